/* Winograd F(4x4, 3x3): the picture is divided into tiles of 4 x 4 outputs, each computed from 6 x 6 inputs. With V = B^T x B of a tile's inputs
 * and U = G w G^T of the weights, both [36 positions, ...], the outputs are A^T (U V) A: one matrix product over the channels per position. The
 * backward passes are the transposed maps: Z = A dy A^T, dV = U^T Z, dx += B dV B^T, dU = Z V^T, dw += G^T dU G. Pictures are processed in
 * pieces whose V and Z stay in the cache. */
#include "cpu/conv.h"
#include "cpu/winograd.h"

#include "core/mem.h"

#include <stdlib.h>

enum { POSITIONS = 36, TILE = 4, SEEN = 6, PIECE_BYTES = 8 << 20, ROWS = 256, LEAST_ROWS = 16,
       LINE = 16 /* padding between positions, in floats, so that they do not map to the same sets of the L1 cache */ };

typedef struct {
    tw_dev *dev;
    tw_conv_shape shape;
    int down, across; /* tiles of a picture */
    int pictures;     /* of a piece */
    int rows;         /* of a matrix product: tiles */
    float *u;         /* [36,C,K] */
} winograd;

/* A tile: its picture, its first output's row and column. */
typedef struct {
    int n, y, x;
} tile;

static size_t tile_bytes(const tw_conv_shape *s)
{
    return POSITIONS * ((size_t)s->C + (size_t)s->K) * sizeof(float);
}

/* Stride between the positions of [36,rows,C], in floats. */
static size_t apart_of(int rows, int C)
{
    return (size_t)rows * (size_t)C + LINE;
}

/* Bytes of V and Z of a piece. */
static size_t piece_bytes(const winograd *w)
{
    const int rows = w->pictures * w->down * w->across;
    return POSITIONS * (apart_of(rows, w->shape.C) + apart_of(rows, w->shape.K)) * sizeof(float);
}

static int tiles_along(int pixels)
{
    return (pixels + TILE - 1) / TILE;
}

/* In evaluation a picture's features must not depend on the rest of the batch. As the bits of a row depend on the size of oneDNN's product, each
 * product is then of one picture. Edge tiles cost as much as whole ones: on odd sizes the direct method, which skips padding, may be cheaper. */
static bool suits(const tw_dev *d, const tw_conv_shape *s)
{
    if ((!s->train && !s->folded) || d->precision != TW_F32 || s->size != 3 || s->stride != 1 || s->pad != 1 || s->C % TW_LANES != 0 ||
        s->K % TW_LANES != 0 || s->C < 32 || s->K < 32)
        return false;
    const double tiles = (double)tiles_along(s->H) * tiles_along(s->W), taps = (3.0 * s->H - 2) * (3.0 * s->W - 2);
    return (s->train || tiles >= LEAST_ROWS) && tiles * POSITIONS * 1.7 <= taps && tiles * (double)tile_bytes(s) <= 4.0 * PIECE_BYTES;
}

static void close_winograd(void *way)
{
    winograd *w = way;
    free(w->u);
    free(w);
}

static size_t weights_bytes(const tw_conv_shape *s)
{
    return POSITIONS * (size_t)s->C * (size_t)s->K * sizeof(float);
}

static size_t bytes(const void *way)
{
    return weights_bytes(&((const winograd *)way)->shape);
}

static void *open_winograd(tw_dev *d, const tw_conv_shape *s)
{
    winograd *w = tw_calloc(1, sizeof *w);
    if (w == NULL)
        return NULL;
    *w = (winograd){.dev = d, .shape = *s, .down = tiles_along(s->H), .across = tiles_along(s->W)};
    const size_t picture = (size_t)(w->down * w->across) * tile_bytes(s);
    w->pictures = (int)tw_min(s->N, (int64_t)(PIECE_BYTES / picture > 0 ? PIECE_BYTES / picture : 1));
    w->rows = s->train ? ROWS : w->down * w->across;
    w->u = tw_alloc64(weights_bytes(s));
    if (w->u != NULL && tw_dev_scratch(d, TW_SCRATCH_COLUMNS, piece_bytes(w)) != NULL &&
        (!s->train || tw_dev_scratch(d, TW_SCRATCH_GRADIENT, weights_bytes(s)) != NULL))
        return w;
    close_winograd(w);
    return NULL;
}

typedef void map(tw_lanes *restrict y, int out, const tw_lanes *restrict x, int in);

/* Applies a map to both sides: y [to,to] = M x M^T, x [from,from]. */
TW_KERNEL void both(tw_lanes *restrict y, const tw_lanes *restrict x, map *m, int to, int from)
{
    tw_lanes half[SEEN * SEEN];
    for (int j = 0; j < from; j++)
        m(half + j, from, x + j, from);
    for (int i = 0; i < to; i++)
        m(y + i * to, 1, half + i * from, 1);
}

/* A vector at any address. (A macro, because the ABI for returning vectors from functions depends on the instruction set.) */
#define LANES(p) (*(tw_lanes_anywhere *)(p))

/* u [36,C,K] of output channels k .. k + TW_LANES - 1, from w [K,C,3,3], each times its scale (NULL: 1). */
TW_CLONES static void spread_taps(float *restrict u, const float *restrict w, const float *scale, int k, int C, int K)
{
    for (int c = 0; c < C; c++) {
        tw_lanes taps[9], spread[POSITIONS];
        for (int i = 0; i < 9; i++)
            for (int l = 0; l < TW_LANES; l++)
                taps[i][l] = w[((size_t)(k + l) * (size_t)C + (size_t)c) * 9 + (size_t)i] * (scale != NULL ? scale[k + l] : 1);
        both(spread, taps, tw_wino_taps, SEEN, 3);
        for (int p = 0; p < POSITIONS; p++)
            LANES(u + ((size_t)p * (size_t)C + (size_t)c) * (size_t)K + (size_t)k) = spread[p];
    }
}

TW_CLONES static void gather_taps(float *restrict dw, const float *restrict du, int k, int C, int K)
{
    for (int c = 0; c < C; c++) {
        tw_lanes taps[9], spread[POSITIONS];
        for (int p = 0; p < POSITIONS; p++)
            spread[p] = LANES(du + ((size_t)p * (size_t)C + (size_t)c) * (size_t)K + (size_t)k);
        both(taps, spread, tw_wino_taps_transposed, 3, SEEN);
        for (int i = 0; i < 9; i++)
            for (int l = 0; l < TW_LANES; l++)
                dw[((size_t)(k + l) * (size_t)C + (size_t)c) * 9 + (size_t)i] += taps[i][l];
    }
}

/* A window of size x size pixels of [H,W,C] from (y, x) on. Pixels outside the picture point to `none`, with step 0. */
typedef struct {
    float *at[SEEN * SEEN];
    int step[SEEN * SEEN]; /* 1, or 0 outside */
} window;

static window window_at(float *picture, int y, int x, int size, int H, int W, int C, float *none)
{
    window w;
    for (int i = 0; i < size; i++)
        for (int j = 0; j < size; j++) {
            const bool inside = y + i >= 0 && y + i < H && x + j >= 0 && x + j < W;
            w.at[i * size + j] = inside ? picture + ((size_t)(y + i) * (size_t)W + (size_t)(x + j)) * (size_t)C : none;
            w.step[i * size + j] = inside;
        }
    return w;
}

/* Transforms one tile's pixels into its row of v [36,rows,C]; apart: stride between positions, in elements. Prefetches the next tile's pixels. */
TW_KERNEL void spread_any(float *restrict v, size_t apart, const window *w, int C, map *m, int size)
{
    for (int c = 0; c < C; c += TW_LANES) {
        tw_lanes x[SEEN * SEEN], y[POSITIONS];
        for (int i = 0; i < size * size; i++)
            x[i] = LANES(w->at[i] + c * w->step[i]);
        for (int i = 0; i < size * size; i++)
            if (i % size >= size - TILE) /* the next tile's other pixels are this tile's too */
                __builtin_prefetch(w->at[i] + c * w->step[i] + TILE * C);
        both(y, x, m, SEEN, size);
        for (int p = 0; p < POSITIONS; p++)
            LANES(v + (size_t)p * apart + (size_t)c) = y[p];
    }
}

TW_CLONES static void spread_input(float *restrict v, size_t apart, const window *w, int C)
{
    spread_any(v, apart, w, C, tw_wino_input, SEEN);
}

TW_CLONES static void spread_gradient(float *restrict v, size_t apart, const window *w, int C)
{
    spread_any(v, apart, w, C, tw_wino_output_transposed, TILE);
}

/* The way back, from v to the window's pixels; those outside the picture are written to its `none`. */
TW_KERNEL void gather_any(const window *w, const float *restrict v, size_t apart, int C, map *m, int size, bool add)
{
    for (int c = 0; c < C; c += TW_LANES) {
        tw_lanes x[POSITIONS], y[SEEN * SEEN];
        for (int p = 0; p < POSITIONS; p++)
            x[p] = LANES(v + (size_t)p * apart + (size_t)c);
        both(y, x, m, size, SEEN);
        for (int i = 0; i < size * size; i++) {
            float *to = w->at[i] + c * w->step[i];
            if (add)
                y[i] += LANES(to);
            LANES(to) = y[i];
        }
    }
}

TW_CLONES static void gather_output(const window *w, const float *restrict v, size_t apart, int C)
{
    gather_any(w, v, apart, C, tw_wino_output, TILE, false);
}

/* The same with the epilogue of a folded norm; shortcut: the same window of the shortcut, or NULL. */
TW_CLONES static void gather_folded(const window *w, const window *shortcut, const float *restrict v, size_t apart, int C,
                                    const float *restrict shift, bool relu)
{
    for (int c = 0; c < C; c += TW_LANES) {
        tw_lanes x[POSITIONS], y[TILE * TILE];
        for (int p = 0; p < POSITIONS; p++)
            x[p] = LANES(v + (size_t)p * apart + (size_t)c);
        both(y, x, tw_wino_output, TILE, SEEN);
        for (int i = 0; i < TILE * TILE; i++) {
            y[i] += LANES(shift + c);
            if (shortcut != NULL)
                y[i] += LANES(shortcut->at[i] + c * shortcut->step[i]);
            if (relu)
                y[i] = (tw_lanes)((tw_masks)y[i] & ~(tw_masks)(y[i] < 0)); /* keeps NaN */
            LANES(w->at[i] + c * w->step[i]) = y[i];
        }
    }
}

TW_CLONES static void add_input_gradient(const window *w, const float *restrict v, size_t apart, int C)
{
    gather_any(w, v, apart, C, tw_wino_input_transposed, SEEN, true);
}

/* The piece being processed: pictures first .. first + n - 1, and its scratch memory. */
typedef struct {
    int first, n, rows; /* rows: tiles */
    float *v, *z;       /* [36,rows,C], [36,rows,K] */
} piece;

static piece piece_at(const winograd *w, float *scratch, int first)
{
    piece p = {.first = first, .n = (int)tw_min(w->pictures, w->shape.N - first), .v = scratch};
    p.rows = p.n * w->down * w->across;
    p.z = p.v + POSITIONS * apart_of(p.rows, w->shape.C);
    return p;
}

static tile tile_at(const winograd *w, const piece *p, int row)
{
    const int each = w->down * w->across, in = row % each;
    return (tile){p->first + row / each, in / w->across * TILE, in % w->across * TILE};
}

static float *picture_at(const void *x, int n, const tw_conv_shape *s, int C)
{
    return (float *)x + (size_t)n * (size_t)(s->H * s->W) * (size_t)C;
}

/* V from x, or Z from dy (gradient). Called inside a parallel region. */
static void spread(const winograd *w, const piece *p, const void *x, bool gradient)
{
    const tw_conv_shape *s = &w->shape;
    const int C = gradient ? s->K : s->C;
    float *to = gradient ? p->z : p->v, none[TW_LANES] = {0};
#pragma omp for schedule(static)
    for (int row = 0; row < p->rows; row++) {
        const tile t = tile_at(w, p, row);
        const int out = gradient ? 0 : 1; /* a tile's inputs begin one pixel before its outputs */
        const window v = window_at(picture_at(x, t.n, s, C), t.y - out, t.x - out, gradient ? TILE : SEEN, s->H, s->W, C, none);
        if (gradient)
            spread_gradient(to + (size_t)row * (size_t)C, apart_of(p->rows, C), &v, C);
        else
            spread_input(to + (size_t)row * (size_t)C, apart_of(p->rows, C), &v, C);
    }
}

/* Per position: z = v u, or backward v = z u^T. Rows are divided in the same way for any number of threads. */
static dnnl_status_t multiply(const winograd *w, const piece *p, bool back)
{
    const int C = w->shape.C, K = w->shape.K, parts = (p->rows + w->rows - 1) / w->rows;
    dnnl_status_t status = dnnl_success;
#pragma omp for schedule(static)
    for (int i = 0; i < POSITIONS * parts; i++) {
        const int position = i / parts, row = i % parts * w->rows, rows = (int)tw_min(w->rows, p->rows - row);
        float *v = p->v + (size_t)position * apart_of(p->rows, C) + (size_t)row * (size_t)C;
        float *z = p->z + (size_t)position * apart_of(p->rows, K) + (size_t)row * (size_t)K, *u = w->u + (size_t)position * (size_t)(C * K);
        const dnnl_status_t st = back ? dnnl_sgemm('N', 'T', rows, C, K, 1, z, K, u, K, 0, v, C)
                                      : dnnl_sgemm('N', 'N', rows, K, C, 1, v, C, u, K, 0, z, K);
        status = st > status ? st : status;
    }
    return status;
}

static int take_weights(void *way, const float *weights, const float *scale)
{
    winograd *w = way;
#pragma omp parallel for schedule(static)
    for (int k = 0; k < w->shape.K; k += TW_LANES)
        spread_taps(w->u, weights, scale, k, w->shape.C, w->shape.K);
    return 0;
}

static float *scratch_of(const winograd *w)
{
    return tw_dev_scratch(w->dev, TW_SCRATCH_COLUMNS, piece_bytes(w));
}

/* y from Z. Called inside a parallel region. */
static void gather(const winograd *w, const piece *p, void *y, const float *shift, const void *shortcut)
{
    const tw_conv_shape *s = &w->shape;
    const size_t apart = apart_of(p->rows, s->K);
    float none[TW_LANES] = {0};
#pragma omp for schedule(static)
    for (int row = 0; row < p->rows; row++) {
        const tile t = tile_at(w, p, row);
        const window to = window_at(picture_at(y, t.n, s, s->K), t.y, t.x, TILE, s->H, s->W, s->K, none);
        const float *z = p->z + (size_t)row * (size_t)s->K;
        if (shift == NULL) {
            gather_output(&to, z, apart, s->K);
            continue;
        }
        window by;
        if (s->add)
            by = window_at(picture_at(shortcut, t.n, s, s->K), t.y, t.x, TILE, s->H, s->W, s->K, none);
        gather_folded(&to, s->add ? &by : NULL, z, apart, s->K, shift, s->relu);
    }
}

static int forward(void *way, void *y, const void *x, const float *shift, const void *shortcut)
{
    const winograd *w = way;
    float *scratch = scratch_of(w);
    int status = dnnl_success;
    if (scratch == NULL)
        return -1;
    for (int first = 0; first < w->shape.N && status == dnnl_success; first += w->pictures) {
        const piece p = piece_at(w, scratch, first);
#pragma omp parallel reduction(max : status)
        {
            spread(w, &p, x, false);
            status = (int)multiply(w, &p, false);
            gather(w, &p, y, shift, shortcut);
        }
    }
    return tw_dnnl_check((dnnl_status_t)status, "dnnl_sgemm(");
}

/* Adds a picture's tiles to dx, one after the other, as they overlap by two pixels. */
static void add_picture(const winograd *w, const piece *p, float *dx, int n)
{
    const tw_conv_shape *s = &w->shape;
    const int tiles = w->down * w->across;
    float none[TW_LANES] = {0};
    memset(dx, 0, (size_t)(s->H * s->W) * (size_t)s->C * sizeof *dx);
    for (int row = n * tiles; row < (n + 1) * tiles; row++) {
        const tile t = tile_at(w, p, row);
        const window to = window_at(dx, t.y - 1, t.x - 1, SEEN, s->H, s->W, s->C, none);
        add_input_gradient(&to, p->v + (size_t)row * (size_t)s->C, apart_of(p->rows, s->C), s->C);
    }
}

static int backward_data(void *way, void *dx, const void *dy)
{
    const winograd *w = way;
    const tw_conv_shape *s = &w->shape;
    float *scratch = scratch_of(w);
    int status = dnnl_success;
    if (scratch == NULL)
        return -1;
    for (int first = 0; first < s->N && status == dnnl_success; first += w->pictures) {
        const piece p = piece_at(w, scratch, first);
#pragma omp parallel reduction(max : status)
        {
            spread(w, &p, dy, true);
            status = (int)multiply(w, &p, true);
#pragma omp for schedule(static)
            for (int n = 0; n < p.n; n++)
                add_picture(w, &p, picture_at(dx, first + n, s, s->C), n);
        }
    }
    return tw_dnnl_check((dnnl_status_t)status, "dnnl_sgemm(");
}

/* du [36,C,K] += this piece's Z V^T. */
static dnnl_status_t multiply_gradient(const winograd *w, const piece *p, float *du)
{
    const int C = w->shape.C, K = w->shape.K;
    dnnl_status_t status = dnnl_success;
#pragma omp for schedule(static)
    for (int i = 0; i < POSITIONS; i++) {
        const float *v = p->v + (size_t)i * apart_of(p->rows, C), *z = p->z + (size_t)i * apart_of(p->rows, K);
        const dnnl_status_t st = dnnl_sgemm('T', 'N', C, K, p->rows, 1, v, C, z, K, p->first > 0 ? 1 : 0, du + (size_t)i * (size_t)(C * K), K);
        status = st > status ? st : status;
    }
    return status;
}

static int backward_weights(void *way, float *dw, const void *x, const void *dy)
{
    const winograd *w = way;
    const tw_conv_shape *s = &w->shape;
    float *scratch = scratch_of(w), *du = tw_dev_scratch(w->dev, TW_SCRATCH_GRADIENT, weights_bytes(s));
    int status = dnnl_success;
    if (scratch == NULL || du == NULL)
        return -1;
    for (int first = 0; first < s->N && status == dnnl_success; first += w->pictures) {
        const piece p = piece_at(w, scratch, first);
#pragma omp parallel reduction(max : status)
        {
            spread(w, &p, x, false);
            spread(w, &p, dy, true);
            status = (int)multiply_gradient(w, &p, du);
        }
    }
#pragma omp parallel for schedule(static)
    for (int k = 0; k < s->K; k += TW_LANES)
        gather_taps(dw, du, k, s->C, s->K);
    return tw_dnnl_check((dnnl_status_t)status, "dnnl_sgemm(");
}

const tw_conv_way tw_conv_winograd = {
    .suits = suits,
    .open = open_winograd,
    .close = close_winograd,
    .bytes = bytes,
    .weights = take_weights,
    .forward = forward,
    .backward_data = backward_data,
    .backward_weights = backward_weights,
};
