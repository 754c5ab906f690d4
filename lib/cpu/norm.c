/* BatchNorm. Sums are f64: per piece of 256 rows in row order, then over the pieces in order, so that their bits depend neither on the number
 * of threads nor on the processor. bf16 has kernels of its own (norm_bf16.h). */
#include "cpu/ops.h"

#include "cpu/norm.h"
#include "cpu/pool.h"
#include "cpu/vec.h"
#include "nn/formula.h"

#include <omp.h>

/* PIECE, COLUMNS: rows and channels of a piece in passes that sum, whose two rows of sums stay in the L1 cache; ROWS: rows of a piece in passes
 * that do not. */
enum { PIECE = 256, COLUMNS = 512, ROWS = 32 };

typedef tw_norm_piece piece;

TW_CLONES static void sums_piece(double *restrict s, double *restrict q, const float *restrict x, piece p)
{
    for (int64_t r = p.first; r < p.first + p.rows; r++) {
        const float *row = x + (size_t)r * (size_t)p.C + (size_t)p.c;
        for (int c = 0; c < p.n; c++) {
            const double v = (double)row[c];
            s[c] += v;
            q[c] += v * v;
        }
    }
}

/* two (whether there is dy2) and mask are compile-time constants. */
TW_KERNEL void backward_any(double *restrict s, double *restrict q, float *restrict dy, const float *restrict dy2, const float *restrict y,
                            const float *restrict x, const float *restrict scale, const float *restrict shift, piece p, bool two,
                            tw_norm_mask mask)
{
    for (int64_t r = p.first; r < p.first + p.rows; r++) {
        const size_t at = (size_t)r * (size_t)p.C + (size_t)p.c;
        for (int c = 0; c < p.n; c++) {
            const size_t i = at + (size_t)c;
            float g = dy[i];
            if (two)
                g += dy2[i];
            if (mask == TW_NORM_BY_Y)
                g = y[i] > 0 ? g : 0;
            if (mask == TW_NORM_BY_X)
                g = x[i] * scale[p.c + c] + shift[p.c + c] > 0 ? g : 0;
            if (two || mask == TW_NORM_BY_Y)
                dy[i] = g;
            s[c] += (double)g;
            q[c] += (double)g * (double)x[i];
        }
    }
}

/* Operands of the backward sums; dy is changed if there is dy2 or a mask by y. */
typedef struct {
    void *dy;
    const void *dy2, *y, *x;
    tw_norm_affine k;
    tw_norm_mask mask;
} backward;

TW_KERNEL void backward_masked(double *s, double *q, const backward *b, piece p, tw_norm_mask mask)
{
    if (b->dy2 != NULL)
        backward_any(s, q, b->dy, b->dy2, b->y, b->x, b->k.scale, b->k.shift, p, true, mask);
    else
        backward_any(s, q, b->dy, NULL, b->y, b->x, b->k.scale, b->k.shift, p, false, mask);
}

/* Picks the version whose loops have no branches. */
TW_CLONES static void backward_piece(double *s, double *q, const backward *b, piece p)
{
    if (b->mask == TW_NORM_BY_X)
        backward_masked(s, q, b, p, TW_NORM_BY_X);
    else if (b->mask == TW_NORM_BY_Y)
        backward_masked(s, q, b, p, TW_NORM_BY_Y);
    else
        backward_masked(s, q, b, p, TW_NORM_ALL);
}

/* The pieces of [rows,C], numbered row piece by row piece. */
typedef struct {
    int64_t down;
    int across;
} grid;

static grid cut(const tw_norm *n)
{
    return (grid){tw_pieces(n->rows, PIECE), (int)tw_pieces(n->C, COLUMNS)};
}

static piece piece_at(const tw_norm *n, grid g, int64_t i)
{
    const int64_t first = i / g.across * PIECE;
    const int c = (int)(i % g.across) * COLUMNS;
    return (piece){first, tw_min(PIECE, n->rows - first), c, (int)tw_min(COLUMNS, n->C - c), n->C};
}

/* Piece i of ROWS rows, for passes that do not sum. */
static piece rows_at(const tw_norm *n, int64_t i)
{
    return (piece){i * ROWS, tw_min(ROWS, n->rows - i * ROWS), 0, n->C, n->C};
}

/* Sums over the pieces of columns c .. c + n - 1 of the 2C. */
TW_CLONES static void add_up_channels(double *restrict sum, const double *restrict partial, int64_t pieces, int c, int n, int C)
{
    memset(sum + c, 0, (size_t)n * sizeof *sum);
    for (int64_t i = 0; i < pieces; i++, partial += 2 * C)
        for (int j = c; j < c + n; j++)
            sum[j] += partial[j];
}

void tw_norm_add_up(const tw_norm *n, const double *partial, int64_t pieces)
{
    enum { AT_ONCE = 64 };
#pragma omp parallel for schedule(static) if (pieces * n->C > 1 << 14)
    for (int c = 0; c < 2 * n->C; c += AT_ONCE)
        add_up_channels(n->sums, partial, pieces, c, (int)tw_min(AT_ONCE, 2 * n->C - c), n->C);
}

static double sum_normalised(const tw_norm *n, int c)
{
    return tw_norm_normalised(n->sums[c], n->sums[n->C + c], n->mean[c], n->rstd[c]);
}

void tw_norm_add_up_gradients(const tw_norm *n, const double *partial, int64_t pieces)
{
    tw_norm_add_up(n, partial, pieces);
    for (int c = 0; c < n->C && n->dgamma != NULL; c++) {
        n->dgamma[c] += (float)sum_normalised(n, c);
        n->dbeta[c] += (float)n->sums[c];
    }
}

double *tw_norm_partial(tw_dev *d, const tw_norm *n, int64_t pieces, int floats)
{
    return tw_dev_scratch(d, TW_SCRATCH_PARTIAL, (size_t)n->C * ((size_t)pieces * 2 * sizeof(double) + (size_t)floats * sizeof(float)));
}

/* A piece's two rows of sums, zeroed. */
static double *sums_of(double *partial, const tw_norm *n, grid g, int64_t i, piece p)
{
    double *s = partial + i / g.across * 2 * n->C + p.c;
    memset(s, 0, (size_t)p.n * sizeof *s);
    memset(s + n->C, 0, (size_t)p.n * sizeof *s);
    return s;
}

int tw_cpu_norm_sums(tw_dev *d, const tw_norm *n, const void *x)
{
    const grid g = cut(n);
    double *partial = tw_norm_partial(d, n, g.down, 0);
    if (partial == NULL)
        return -1;
#pragma omp parallel for schedule(static)
    for (int64_t i = 0; i < g.down * g.across; i++) {
        const piece p = piece_at(n, g, i);
        double *s = sums_of(partial, n, g, i, p);
        if (d->precision == TW_BF16)
            tw_norm16_sums(s, s + n->C, x, &p);
        else
            sums_piece(s, s + n->C, x, p);
    }
    tw_norm_add_up(n, partial, g.down);
    return 0;
}

int tw_cpu_norm_statistics(tw_dev *d, const tw_norm *n)
{
    (void)d;
    const double count = (double)n->count;
    for (int c = 0; c < n->C; c++) {
        const double mean = n->sums[c] / count, var = tw_norm_variance(mean, n->sums[n->C + c] / count);
        n->mean[c] = (float)mean;
        n->rstd[c] = tw_norm_rstd(var);
        n->running_mean[c] = tw_norm_move(n->running_mean[c], mean);
        n->running_var[c] = tw_norm_move(n->running_var[c], var * count / (count - 1));
    }
    return 0;
}

int tw_cpu_norm_running(tw_dev *d, const tw_norm *n)
{
    (void)d;
    for (int c = 0; c < n->C; c++) {
        n->mean[c] = n->running_mean[c];
        n->rstd[c] = tw_norm_rstd((double)n->running_var[c]);
    }
    return 0;
}

float *tw_norm_room(tw_dev *d, const tw_norm *n)
{
    return tw_dev_scratch(d, TW_SCRATCH_NORM, 5 * (size_t)n->C * sizeof(float));
}

tw_norm_affine tw_norm_affine_of(const tw_norm *n, float *room)
{
    float *scale = room, *shift = room + n->C;
    for (int c = 0; c < n->C; c++) {
        scale[c] = n->rstd[c] * (n->gamma != NULL ? n->gamma[c] : 1);
        shift[c] = (n->beta != NULL ? n->beta[c] : 0) - n->mean[c] * scale[c];
    }
    return (tw_norm_affine){scale, shift};
}

TW_KERNEL void apply_any(float *restrict y, const float *restrict x, const float *restrict shortcut, const float *restrict scale,
                         const float *restrict shift, piece p, bool add, bool relu)
{
    for (int64_t r = p.first; r < p.first + p.rows; r++) {
        const size_t at = (size_t)r * (size_t)p.C + (size_t)p.c;
        for (int c = 0; c < p.n; c++) {
            float v = x[at + (size_t)c] * scale[p.c + c] + shift[p.c + c];
            if (add)
                v += shortcut[at + (size_t)c];
            if (relu)
                v = v < 0 ? 0 : v; /* keeps NaN */
            y[at + (size_t)c] = v;
        }
    }
}

TW_CLONES static void apply_piece(float *y, const float *x, const float *shortcut, tw_norm_affine k, piece p, bool relu)
{
    if (shortcut != NULL && relu)
        apply_any(y, x, shortcut, k.scale, k.shift, p, true, true);
    else if (shortcut != NULL)
        apply_any(y, x, shortcut, k.scale, k.shift, p, true, false);
    else if (relu)
        apply_any(y, x, shortcut, k.scale, k.shift, p, false, true);
    else
        apply_any(y, x, shortcut, k.scale, k.shift, p, false, false);
}

void tw_norm_apply_piece(void *y, const void *x, const void *shortcut, const tw_norm_affine *k, const tw_norm_piece *p, bool relu, tw_dtype t)
{
    if (t == TW_BF16)
        tw_norm16_apply(y, x, shortcut, k, p, relu);
    else
        apply_piece(y, x, shortcut, *k, *p, relu);
}

int tw_cpu_norm_apply(tw_dev *d, const tw_norm *n, void *y, const void *x, const void *shortcut)
{
    float *room = tw_norm_room(d, n);
    if (room == NULL)
        return -1;
    const tw_norm_affine k = tw_norm_affine_of(n, room);
#pragma omp parallel for schedule(static)
    for (int64_t i = 0; i < tw_pieces(n->rows, ROWS); i++) {
        const piece p = rows_at(n, i);
        tw_norm_apply_piece(y, x, shortcut, &k, &p, n->relu, d->precision);
    }
    return 0;
}

tw_norm_mask tw_norm_mask_of(const tw_norm *n)
{
    return !n->relu ? TW_NORM_ALL : n->add ? TW_NORM_BY_Y : TW_NORM_BY_X;
}

static void *row_of(void *x, const tw_norm *n, int64_t row, tw_dtype t)
{
    return (char *)x + (size_t)row * (size_t)n->C * tw_dtype_size(t);
}

/* With max pooling after the norm: the gradient for the rows of p, gathered through the pooling into this thread's room of `rows` rows. */
static void *gathered(void *room, int rows, const tw_norm_gradient *g, const piece *p, tw_dtype t)
{
    char *own = (char *)room + (size_t)omp_get_thread_num() * (size_t)rows * (size_t)p->C * tw_dtype_size(t);
    tw_pool_gather(own, g->pick, g->dy, g->pool, p->first, p->rows, t);
    return own;
}

/* Room of `rows` rows for each thread, if there is pooling (else a dummy). NULL and tw_error(). */
static void *gather_room(tw_dev *d, const tw_norm *n, int rows, const tw_norm_gradient *g)
{
    const size_t each = (size_t)rows * (size_t)n->C * tw_dtype_size(d->precision);
    return tw_dev_scratch(d, TW_SCRATCH_PIXELS, g->pool != NULL ? (size_t)d->threads * each : 1);
}

int tw_norm_backward_sums_of(tw_dev *d, const tw_norm *n, const tw_norm_gradient *from, const void *x)
{
    const grid g = cut(n);
    double *partial = tw_norm_partial(d, n, g.down, 2);
    void *room = gather_room(d, n, PIECE, from);
    if (partial == NULL || room == NULL)
        return -1;
    const backward all = {from->dy, from->dy2, from->y, x, tw_norm_affine_of(n, (void *)(partial + g.down * 2 * n->C)), tw_norm_mask_of(n)};
#pragma omp parallel for schedule(static)
    for (int64_t i = 0; i < g.down * g.across; i++) {
        piece p = piece_at(n, g, i);
        backward b = all;
        double *s = sums_of(partial, n, g, i, p);
        if (from->pool != NULL) {
            b.dy = gathered(room, PIECE, from, &p, d->precision);
            b.x = row_of((void *)x, n, p.first, d->precision);
            p.first = 0;
        }
        if (d->precision == TW_BF16)
            tw_norm16_backward_sums(s, s + n->C, b.dy, b.dy2, b.y, b.x, &b.k, &p, b.mask);
        else
            backward_piece(s, s + n->C, &b, p);
    }
    tw_norm_add_up_gradients(n, partial, g.down);
    return 0;
}

int tw_cpu_norm_backward_sums(tw_dev *d, const tw_norm *n, void *dy, const void *dy2, const void *y, const void *x)
{
    return tw_norm_backward_sums_of(d, n, &(tw_norm_gradient){.dy = dy, .dy2 = dy2, .y = y}, x);
}

TW_KERNEL void dx_any(float *restrict dx, const float *restrict dy, const float *restrict x, const tw_norm_coefficients *k, piece p, bool by_x)
{
    const float *restrict a = k->a, *restrict b = k->b, *restrict e = k->e, *restrict mean = k->mean;
    const float *restrict scale = k->by_x.scale, *restrict shift = k->by_x.shift;
    for (int64_t r = p.first; r < p.first + p.rows; r++) {
        const size_t at = (size_t)r * (size_t)p.C + (size_t)p.c;
        for (int c = 0; c < p.n; c++) {
            const size_t i = at + (size_t)c;
            const int j = p.c + c;
            const float g = !by_x || x[i] * scale[j] + shift[j] > 0 ? dy[i] : 0;
            dx[i] = a[j] * g + (b[j] * (x[i] - mean[j]) + e[j]);
        }
    }
}

TW_CLONES static void dx_piece(float *dx, const float *dy, const float *x, const tw_norm_coefficients *k, piece p)
{
    if (k->by_x.scale != NULL)
        dx_any(dx, dy, x, k, p, true);
    else
        dx_any(dx, dy, x, k, p, false);
}

tw_norm_coefficients tw_norm_coefficients_of(const tw_norm *n, float *room)
{
    float *a = room, *b = a + n->C, *e = b + n->C;
    const double count = (double)n->count;
    for (int c = 0; c < n->C; c++) {
        const double scale = (double)n->rstd[c] * (n->gamma != NULL ? (double)n->gamma[c] : 1);
        a[c] = (float)scale;
        b[c] = (float)(-scale * (double)n->rstd[c] * sum_normalised(n, c) / count);
        e[c] = (float)(-scale * n->sums[c] / count);
    }
    tw_norm_coefficients k = {a, b, e, n->mean, {NULL, NULL}};
    if (tw_norm_mask_of(n) == TW_NORM_BY_X)
        k.by_x = tw_norm_affine_of(n, e + n->C);
    return k;
}

int tw_norm_backward_apply_of(tw_dev *d, const tw_norm *n, void *dx, const tw_norm_gradient *from, const void *x)
{
    float *coefficients = tw_norm_room(d, n);
    void *room = gather_room(d, n, ROWS, from);
    if (coefficients == NULL || room == NULL)
        return -1;
    const tw_norm_coefficients k = tw_norm_coefficients_of(n, coefficients);
#pragma omp parallel for schedule(static)
    for (int64_t i = 0; i < tw_pieces(n->rows, ROWS); i++) {
        piece p = rows_at(n, i);
        void *to = row_of(dx, n, p.first, d->precision);
        const void *at = row_of((void *)x, n, p.first, d->precision);
        const void *dy = from->pool != NULL ? gathered(room, ROWS, from, &p, d->precision) : row_of(from->dy, n, p.first, d->precision);
        p.first = 0;
        if (d->precision == TW_BF16)
            tw_norm16_backward_apply(to, dy, at, &k, &p);
        else
            dx_piece(to, dy, at, &k, p);
    }
    return 0;
}

int tw_cpu_norm_backward_apply(tw_dev *d, const tw_norm *n, void *dx, const void *dy, const void *x)
{
    return tw_norm_backward_apply_of(d, n, dx, &(tw_norm_gradient){.dy = (void *)dy}, x);
}
