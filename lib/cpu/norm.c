/* BatchNorm. Sums are f64: per piece of 256 rows in row order, then over the pieces in order, so that their bits depend
 * neither on the threads nor on the processor. In bf16, whose products f32 holds without rounding, four rows are added up in f32 before:
 * what rounding that brings is 2^-15 of what bf16 itself has brought. */
#include "cpu/ops.h"

#include "core/error.h"
#include "cpu/device.h"
#include "cpu/vec.h"
#include "nn/formula.h"

enum { PIECE = 256, COLUMNS = 512, FOUR = 4 }; /* rows and channels of a piece: its two rows of sums stay in the first cache */

/* A piece: rows [first, first + rows), channels [c, c + n); C: the whole row. */
typedef struct {
    int64_t first, rows;
    int c, n, C;
} piece;

/* `rows` rows from r on, a constant. */
TW_KERNEL void sums_rows(double *restrict s, double *restrict q, const void *restrict x, piece p, int64_t r, int rows, tw_dtype t)
{
    const size_t at = (size_t)r * (size_t)p.C + (size_t)p.c;
    for (int c = 0; c < p.n; c++) {
        if (t == TW_F32) {
            const double v = tw_get(x, at + (size_t)c, t);
            s[c] += v;
            q[c] += v * v;
            continue;
        }
        float sum = 0, square = 0;
#pragma GCC unroll 4
        for (int i = 0; i < rows; i++) {
            const float v = tw_get(x, at + (size_t)i * (size_t)p.C + (size_t)c, t);
            sum += v;
            square += v * v;
        }
        s[c] += (double)sum;
        q[c] += (double)square;
    }
}

TW_KERNEL void sums_any(double *restrict s, double *restrict q, const void *restrict x, piece p, tw_dtype t)
{
    int64_t r = p.first;
    for (; t == TW_BF16 && r + FOUR <= p.first + p.rows; r += FOUR)
        sums_rows(s, q, x, p, r, FOUR, t);
    for (; r < p.first + p.rows; r++)
        sums_rows(s, q, x, p, r, 1, t);
}

TW_CLONES static void sums_piece(double *s, double *q, const void *x, piece p, tw_dtype t)
{
    TW_BY_TYPE(t, sums_any, s, q, x, p);
}

/* g = dy (+ dy2), 0 where the ReLU's result y is not above 0; written back to dy where that changes it. */
TW_KERNEL void backward_rows(double *restrict s, double *restrict q, void *restrict dy, const void *restrict dy2,
                             const void *restrict y, const void *restrict x, piece p, bool two, bool relu, int64_t r, int rows, tw_dtype t)
{
    const size_t at = (size_t)r * (size_t)p.C + (size_t)p.c;
    for (int c = 0; c < p.n; c++) {
        float sum = 0, product = 0;
#pragma GCC unroll 4
        for (int j = 0; j < rows; j++) {
            const size_t i = at + (size_t)j * (size_t)p.C + (size_t)c;
            float g = tw_get(dy, i, t);
            if (two)
                g += tw_get(dy2, i, t);
            if (relu)
                g = tw_get(y, i, t) > 0 ? g : 0;
            if (two || relu)
                tw_put(dy, i, g, t);
            if (t == TW_BF16 && two)
                g = tw_get(dy, i, t); /* what later passes will see */
            if (t == TW_F32) {
                s[c] += (double)g;
                q[c] += (double)g * (double)tw_get(x, i, t);
            } else {
                sum += g;
                product += g * tw_get(x, i, t);
            }
        }
        if (t == TW_F32)
            continue;
        s[c] += (double)sum;
        q[c] += (double)product;
    }
}

TW_KERNEL void backward_any(double *restrict s, double *restrict q, void *restrict dy, const void *restrict dy2,
                            const void *restrict y, const void *restrict x, piece p, bool two, bool relu, tw_dtype t)
{
    int64_t r = p.first;
    for (; t == TW_BF16 && r + FOUR <= p.first + p.rows; r += FOUR)
        backward_rows(s, q, dy, dy2, y, x, p, two, relu, r, FOUR, t);
    for (; r < p.first + p.rows; r++)
        backward_rows(s, q, dy, dy2, y, x, p, two, relu, r, 1, t);
}

/* Four loops without tests inside. */
TW_KERNEL void backward_cases(double *s, double *q, void *dy, const void *dy2, const void *y, const void *x, piece p, bool relu,
                              tw_dtype t)
{
    if (dy2 != NULL && relu)
        backward_any(s, q, dy, dy2, y, x, p, true, true, t);
    else if (dy2 != NULL)
        backward_any(s, q, dy, dy2, y, x, p, true, false, t);
    else if (relu)
        backward_any(s, q, dy, dy2, y, x, p, false, true, t);
    else
        backward_any(s, q, dy, dy2, y, x, p, false, false, t);
}

TW_CLONES static void backward_piece(double *s, double *q, void *dy, const void *dy2, const void *y, const void *x, piece p,
                                     bool relu, tw_dtype t)
{
    TW_BY_TYPE(t, backward_cases, s, q, dy, dy2, y, x, p, relu);
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

/* partial: per row piece {C sums, C sums}. */
static void add_up(const tw_norm *n, const double *partial, int64_t down)
{
#pragma omp parallel for schedule(static) if (down * n->C > 1 << 14)
    for (int c = 0; c < 2 * n->C; c++) {
        double total = 0;
        for (int64_t i = 0; i < down; i++)
            total += partial[i * 2 * n->C + c];
        n->sums[c] = total;
    }
}

static double *partial_sums(tw_dev *d, const tw_norm *n, grid g)
{
    return tw_dev_scratch(d, TW_SCRATCH_PARTIAL, (size_t)g.down * 2 * (size_t)n->C * sizeof(double));
}

int tw_cpu_norm_sums(tw_dev *d, const tw_norm *n, const void *x)
{
    const grid g = cut(n);
    double *partial = partial_sums(d, n, g);
    if (partial == NULL)
        return -1;
#pragma omp parallel for schedule(static)
    for (int64_t i = 0; i < g.down * g.across; i++) {
        const piece p = piece_at(n, g, i);
        double *s = partial + i / g.across * 2 * n->C + p.c, *q = s + n->C;
        memset(s, 0, (size_t)p.n * sizeof *s);
        memset(q, 0, (size_t)p.n * sizeof *q);
        sums_piece(s, q, x, p, d->precision);
    }
    add_up(n, partial, g.down);
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

TW_KERNEL void apply_any(void *restrict y, const void *restrict x, const void *restrict shortcut, const float *restrict scale,
                         const float *restrict shift, piece p, bool add, bool relu, tw_dtype t)
{
    for (int64_t r = p.first; r < p.first + p.rows; r++) {
        const size_t at = (size_t)r * (size_t)p.C + (size_t)p.c;
        for (int c = 0; c < p.n; c++) {
            const size_t i = at + (size_t)c;
            float v = tw_get(x, i, t) * scale[p.c + c] + shift[p.c + c];
            if (add)
                v += tw_get(shortcut, i, t);
            if (relu)
                v = v < 0 ? 0 : v; /* keeps NaN */
            tw_put(y, i, v, t);
        }
    }
}

TW_KERNEL void apply_cases(void *y, const void *x, const void *shortcut, const float *scale, const float *shift, piece p, bool relu,
                           tw_dtype t)
{
    if (shortcut != NULL && relu)
        apply_any(y, x, shortcut, scale, shift, p, true, true, t);
    else if (shortcut != NULL)
        apply_any(y, x, shortcut, scale, shift, p, true, false, t);
    else if (relu)
        apply_any(y, x, shortcut, scale, shift, p, false, true, t);
    else
        apply_any(y, x, shortcut, scale, shift, p, false, false, t);
}

TW_CLONES static void apply_piece(void *y, const void *x, const void *shortcut, const float *scale, const float *shift, piece p,
                                  bool relu, tw_dtype t)
{
    TW_BY_TYPE(t, apply_cases, y, x, shortcut, scale, shift, p, relu);
}

int tw_cpu_norm_apply(tw_dev *d, const tw_norm *n, void *y, const void *x, const void *shortcut)
{
    float *scale = tw_dev_scratch(d, TW_SCRATCH_PARTIAL, 2 * (size_t)n->C * sizeof *scale);
    if (scale == NULL)
        return -1;
    float *shift = scale + n->C;
    for (int c = 0; c < n->C; c++) {
        scale[c] = n->rstd[c] * (n->gamma != NULL ? n->gamma[c] : 1);
        shift[c] = (n->beta != NULL ? n->beta[c] : 0) - n->mean[c] * scale[c];
    }
    const grid g = cut(n);
#pragma omp parallel for schedule(static)
    for (int64_t i = 0; i < g.down * g.across; i++)
        apply_piece(y, x, shortcut, scale, shift, piece_at(n, g, i), n->relu, d->precision);
    return 0;
}

int tw_cpu_norm_backward_sums(tw_dev *d, const tw_norm *n, void *dy, const void *dy2, const void *y, const void *x)
{
    const grid g = cut(n);
    double *partial = partial_sums(d, n, g);
    if (partial == NULL)
        return -1;
#pragma omp parallel for schedule(static)
    for (int64_t i = 0; i < g.down * g.across; i++) {
        const piece p = piece_at(n, g, i);
        double *s = partial + i / g.across * 2 * n->C + p.c, *q = s + n->C;
        memset(s, 0, (size_t)p.n * sizeof *s);
        memset(q, 0, (size_t)p.n * sizeof *q);
        backward_piece(s, q, dy, dy2, y, x, p, n->relu, d->precision);
    }
    add_up(n, partial, g.down);
    return 0;
}

static double sum_normalised(const tw_norm *n, int c)
{
    return tw_norm_normalised(n->sums[c], n->sums[n->C + c], n->mean[c], n->rstd[c]);
}

int tw_cpu_norm_backward_params(tw_dev *d, const tw_norm *n, float *dgamma, float *dbeta)
{
    (void)d;
    for (int c = 0; c < n->C; c++) {
        dgamma[c] += (float)sum_normalised(n, c);
        dbeta[c] += (float)n->sums[c];
    }
    return 0;
}

/* dx = a dy + b (x - mean) + e, per channel */
typedef struct {
    float *a, *b, *e;
    const float *mean;
} coefficients;

TW_KERNEL void dx_any(void *restrict dx, const void *restrict dy, const void *restrict x, const float *restrict a,
                      const float *restrict b, const float *restrict e, const float *restrict mean, piece p, tw_dtype t)
{
    for (int64_t r = p.first; r < p.first + p.rows; r++) {
        const size_t at = (size_t)r * (size_t)p.C + (size_t)p.c;
        for (int c = 0; c < p.n; c++) {
            const size_t i = at + (size_t)c;
            const int k = p.c + c;
            tw_put(dx, i, a[k] * tw_get(dy, i, t) + (b[k] * (tw_get(x, i, t) - mean[k]) + e[k]), t);
        }
    }
}

TW_CLONES static void dx_piece(void *dx, const void *dy, const void *x, coefficients k, piece p, tw_dtype t)
{
    TW_BY_TYPE(t, dx_any, dx, dy, x, k.a, k.b, k.e, k.mean, p);
}

int tw_cpu_norm_backward_apply(tw_dev *d, const tw_norm *n, void *dx, const void *dy, const void *x)
{
    float *a = tw_dev_scratch(d, TW_SCRATCH_PARTIAL, 3 * (size_t)n->C * sizeof *a);
    if (a == NULL)
        return -1;
    const coefficients k = {a, a + n->C, a + 2 * n->C, n->mean};
    const double count = (double)n->count;
    for (int c = 0; c < n->C; c++) {
        const double scale = (double)n->rstd[c] * (n->gamma != NULL ? (double)n->gamma[c] : 1);
        k.a[c] = (float)scale;
        k.b[c] = (float)(-scale * (double)n->rstd[c] * sum_normalised(n, c) / count);
        k.e[c] = (float)(-scale * n->sums[c] / count);
    }
    const grid g = cut(n);
#pragma omp parallel for schedule(static)
    for (int64_t i = 0; i < g.down * g.across; i++)
        dx_piece(dx, dy, x, k, piece_at(n, g, i), d->precision);
    return 0;
}
