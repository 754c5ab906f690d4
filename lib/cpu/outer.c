#include "cpu/outer.h"

#include "cpu/avx512.h"
#include "cpu/slices.h"

#include <string.h>

/* Operands are packed in 32-bit words [step, column]: in f32 a step is one output place, in bf16 two, as the instructions multiply them. Steps are
 * taken in pieces and columns of dw in blocks, such that the packed operands stay in the L2 cache and a panel of x in the L1 cache. */
enum { MR = 8, NR = 32, PIECE = 256, PART = 8 /* steps packed by a thread at a time */, BLOCK = 18 /* panels of x */,
       APART = 16 /* padding between panels, in words, so that they do not map to the same sets of the L1 cache */,
       SLICES_BYTES = 512 << 10 };

/* A bf16 device implies that the processor has all the instructions. */
bool tw_outer_suits(const tw_dev *d, const tw_conv_shape *s)
{
#if defined(__x86_64__)
    const bool has = d->precision == TW_BF16 || (__builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl"));
    return has && s->train && s->C % NR == 0 && s->K % NR == 0;
#else
    (void)d, (void)s;
    return false;
#endif
}

#if defined(__x86_64__)
#include <omp.h>

static size_t room_bytes(const tw_conv_shape *s)
{
    return ((size_t)PIECE * (size_t)(BLOCK * NR + s->K) + (size_t)APART * (size_t)(BLOCK + s->K / MR)) * sizeof(uint32_t);
}

/* Output places per step. */
static int step_of(const tw_dev *d)
{
    return d->precision == TW_BF16 ? 2 : 1;
}

/* If dw is small, the output places are divided into slices with sums of their own: each thread reads its own places, and nothing is packed
 * twice. */
typedef struct {
    int slices;
    int64_t each;    /* places of a slice; the last one has the rest */
    size_t dw, all;  /* floats of a slice's sums: of the weights; of weights and bias */
} slicing;

static slicing slicing_of(const tw_dev *d, const tw_conv_shape *s)
{
    const int64_t places = (int64_t)s->N * s->OH * s->OW, step = step_of(d);
    slicing c = {.dw = (size_t)(s->size * s->size) * (size_t)s->C * (size_t)s->K};
    c.all = c.dw + (size_t)s->K;
    c.slices = tw_slices_count(c.dw * sizeof(float), SLICES_BYTES, places, PIECE * step);
    c.each = tw_pieces(tw_pieces(places, c.slices), PART * step) * PART * step;
    c.slices = (int)tw_pieces(places, c.each);
    return c;
}

static float *slices_room(tw_dev *d, const slicing *c)
{
    return tw_dev_scratch(d, TW_SCRATCH_PARTIAL, (size_t)c->slices * c->all * sizeof(float));
}

int tw_outer_reserve(tw_dev *d, const tw_conv_shape *s)
{
    const slicing c = slicing_of(d, s);
    if (tw_dev_scratch(d, TW_SCRATCH_COLUMNS, (size_t)d->threads * room_bytes(s)) == NULL)
        return -1;
    return c.slices == 1 || slices_room(d, &c) != NULL ? 0 : -1;
}

/* Memory to prefetch into the L2 cache during a product: `by` bytes with each step. */
typedef struct {
    const char *at;
    size_t by;
} ahead;

/* dw [MR,NR], row stride `stride`, += dy [steps,MR] transposed times x [steps,NR]; then: the tile of dw that comes next, or NULL. Loops over the
 * tile are unrolled so that the sums stay in registers. */
TW_AVX512_KERNEL void tile_any(float *dw, const float *then, size_t stride, const uint32_t *dy, const uint32_t *x, int steps, ahead next, tw_dtype t)
{
#pragma GCC unroll 8
    for (int i = 0; i < MR && then != NULL; i++) {
        _mm_prefetch((const char *)(then + (size_t)i * stride), _MM_HINT_T0);
        _mm_prefetch((const char *)(then + (size_t)i * stride + 16), _MM_HINT_T0);
    }
    __m512 s[MR][2];
#pragma GCC unroll 8
    for (int i = 0; i < MR; i++)
#pragma GCC unroll 2
        for (int j = 0; j < 2; j++)
            s[i][j] = _mm512_loadu_ps(dw + (size_t)i * stride + 16 * j);
    for (int p = 0; p < steps; p++, dy += MR, x += NR, next.at += next.by) {
        _mm_prefetch(next.at, _MM_HINT_T1);
        const __m512i x0 = _mm512_load_si512(x), x1 = _mm512_load_si512(x + 16);
#pragma GCC unroll 8
        for (int i = 0; i < MR; i++) {
            const __m512i g = _mm512_set1_epi32((int)dy[i]);
            if (t == TW_BF16) {
                s[i][0] = _mm512_dpbf16_ps(s[i][0], (__m512bh)g, (__m512bh)x0);
                s[i][1] = _mm512_dpbf16_ps(s[i][1], (__m512bh)g, (__m512bh)x1);
            } else {
                s[i][0] = _mm512_fmadd_ps((__m512)g, (__m512)x0, s[i][0]);
                s[i][1] = _mm512_fmadd_ps((__m512)g, (__m512)x1, s[i][1]);
            }
        }
    }
#pragma GCC unroll 8
    for (int i = 0; i < MR; i++)
#pragma GCC unroll 2
        for (int j = 0; j < 2; j++)
            _mm512_storeu_ps(dw + (size_t)i * stride + 16 * j, s[i][j]);
}

TW_AVX512 static void tile(float *dw, const float *then, size_t stride, const uint32_t *dy, const uint32_t *x, int steps, ahead next, tw_dtype t)
{
    TW_BY_TYPE(t, tile_any, dw, then, stride, dy, x, steps, next);
}

TW_AVX512 void tw_outer_tile(float *dw, size_t stride, const uint32_t *dy, const uint32_t *x, int steps)
{
    tile_any(dw, NULL, stride, dy, x, steps, (ahead){(const char *)x, 0}, TW_BF16);
}

static const float zeros[NR]; /* read instead of a pixel on padding, or of a place after the last one */

/* The source of a piece's packed operands, and its first place. */
typedef struct {
    const tw_conv_shape *shape;
    const char *x, *dy;
    int64_t first, begin, places; /* first place of the piece; of its slice; the slice's end */
    tw_dtype type;
    int step;              /* places of a step */
} source;

/* The words of columns c .. c + 31 of a step from the rows a and b of its two places (f32: a only; NULL: zeros): *low the first 16. */
TW_AVX512_KERNEL void words(__m512i *low, __m512i *high, const char *a, const char *b, int c, tw_dtype t)
{
    const size_t at = (size_t)c * (t == TW_BF16 ? 2 : 4);
    const char *u = a != NULL ? a + at : (const char *)zeros, *v = b != NULL ? b + at : (const char *)zeros;
    if (t == TW_F32) {
        *low = _mm512_loadu_si512(u);
        *high = _mm512_loadu_si512(u + 64);
        return;
    }
    tw_words(low, high, _mm512_loadu_si512(u), _mm512_loadu_si512(v));
}

static inline const char *gradient_at(const source *f, int64_t i)
{
    return f->first + i < f->places ? f->dy + (size_t)(f->first + i) * (size_t)f->shape->K * tw_dtype_size(f->type) : NULL;
}

/* A thread's portion of dw: rows from `row` on, panels of columns from `panel` on. Each thread packs the operands it multiplies itself (of the
 * smaller one all of it), so that threads neither wait for one another nor read what another core has just written. */
typedef struct {
    int row, rows, panel, panels;
} portion;

static portion portion_of(const tw_conv_shape *s, int thread, int threads)
{
    const int panels = s->size * s->size * (s->C / NR), strips = s->K / NR;
    if (panels < strips)
        return (portion){strips * thread / threads * NR, (strips * (thread + 1) / threads - strips * thread / threads) * NR, 0, panels};
    return (portion){0, s->K, panels * thread / threads, panels * (thread + 1) / threads - panels * thread / threads};
}

/* sum [32] += the numbers in the words of each column. */
TW_AVX512_KERNEL void add_columns(float *sum, __m512i low, __m512i high, tw_dtype t)
{
    const __m512 a = _mm512_loadu_ps(sum), b = _mm512_loadu_ps(sum + 16);
    const __m512bh ones = (__m512bh)_mm512_set1_epi32(0x3f803f80);
    _mm512_storeu_ps(sum, t == TW_BF16 ? _mm512_dpbf16_ps(a, (__m512bh)low, ones) : _mm512_add_ps(a, (__m512)low));
    _mm512_storeu_ps(sum + 16, t == TW_BF16 ? _mm512_dpbf16_ps(b, (__m512bh)high, ones) : _mm512_add_ps(b, (__m512)high));
}

/* Packs dy of steps from .. from + PART - 1 into panels of MR columns, two steps at a time so that whole cache lines are written; also adds it to
 * db, unless NULL. */
TW_AVX512_KERNEL void gradient_any(uint32_t *to, size_t panel, float *db, const source *f, const portion *mine, int from, tw_dtype t)
{
    const int step = t == TW_BF16 ? 2 : 1; /* places per step */
    const char *row[2 * PART + 1];
    for (int i = 0; i <= PART * step; i++)
        row[i] = gradient_at(f, (int64_t)from * step + i);
    for (int k = 0; k < mine->rows; k += NR)
#pragma GCC unroll 4
        for (int p = 0; p < PART; p += 2) {
            uint32_t *at = to + (size_t)(k / MR) * panel + (size_t)(from + p) * MR;
            __m512i a, b, c, d;
            words(&a, &b, row[p * step], row[p * step + 1], mine->row + k, t);
            words(&c, &d, row[(p + 1) * step], row[(p + 1) * step + 1], mine->row + k, t);
            if (db != NULL) {
                add_columns(db + mine->row + k, a, b, t);
                add_columns(db + mine->row + k, c, d, t);
            }
            _mm512_store_si512(at, _mm512_shuffle_i64x2(a, c, 0x44));
            _mm512_store_si512(at + panel, _mm512_shuffle_i64x2(a, c, 0xee));
            _mm512_store_si512(at + 2 * panel, _mm512_shuffle_i64x2(b, d, 0x44));
            _mm512_store_si512(at + 3 * panel, _mm512_shuffle_i64x2(b, d, 0xee));
        }
}

TW_AVX512 static void pack_gradient(uint32_t *to, size_t panel, float *db, const source *f, const portion *mine, int from)
{
    TW_BY_TYPE(f->type, gradient_any, to, panel, db, f, mine, from);
}

/* The pixel under a tap of output place i; NULL: padding. */
static inline const char *pixel_at(const source *f, int64_t i, int tap)
{
    const tw_conv_shape *s = f->shape;
    if (f->first + i >= f->places)
        return NULL;
    const int place = (int)(f->first + i), n = place / (s->OH * s->OW), in = place % (s->OH * s->OW);
    const int h = in / s->OW * s->stride - s->pad + tap / s->size, w = in % s->OW * s->stride - s->pad + tap % s->size;
    if (h < 0 || h >= s->H || w < 0 || w >= s->W)
        return NULL;
    return f->x + (((size_t)n * (size_t)s->H + (size_t)h) * (size_t)s->W + (size_t)w) * (size_t)s->C * tw_dtype_size(f->type);
}

/* Packs the pixels of steps from .. from + PART - 1 into panels first .. first + panels - 1 of the taps*C columns. */
TW_AVX512_KERNEL void pixels_any(uint32_t *to, size_t panel, const source *f, int first, int panels, int from, tw_dtype t)
{
    const int per_tap = f->shape->C / NR;
    for (int j = 0, n; j < panels; j += n) {
        const int tap = (first + j) / per_tap, c = (first + j) % per_tap;
        n = (int)tw_min(panels - j, per_tap - c);
        for (int p = from; p < from + PART; p++) {
            const char *a = pixel_at(f, (int64_t)p * f->step, tap), *b = t == TW_BF16 ? pixel_at(f, 2 * p + 1, tap) : NULL;
            uint32_t *at = to + (size_t)j * panel + (size_t)p * NR;
            for (int i = 0; i < n; i++, at += panel) {
                __m512i low, high;
                words(&low, &high, a, b, (c + i) * NR, t);
                _mm512_store_si512(at, low);
                _mm512_store_si512(at + 16, high);
            }
        }
    }
}

TW_AVX512 static void pack_pixels(uint32_t *to, size_t panel, const source *f, int first, int panels, int from)
{
    TW_BY_TYPE(f->type, pixels_any, to, panel, f, first, panels, from);
}

/* Prefetching of the next piece: the first `tiles` tiles of dw fetch its dy, the others its x (approximately: from where its share of x begins),
 * each an equal part. */
typedef struct {
    int tiles;
    ahead dy, x;
} fetch;

static ahead part_of(const char *from, size_t bytes, size_t steps)
{
    const size_t all = steps > 0 ? bytes / steps : 0;
    return (ahead){from, all < 64 ? all : 64};
}

static fetch next_piece(const source *f, int n, int steps)
{
    const tw_conv_shape *s = f->shape;
    const int64_t piece = (int64_t)PIECE * f->step, first = f->first + piece < f->places ? f->first + piece : f->begin;
    const size_t share = (size_t)tw_min(piece, f->places - first), size = tw_dtype_size(f->type), dy = (size_t)s->K * size;
    const size_t x = (size_t)(s->H * s->W) * (size_t)s->C * size / (size_t)(s->OH * s->OW);
    const int tiles = (int)((size_t)n * dy / (dy + x));
    return (fetch){tiles, part_of(f->dy + (size_t)first * dy, share * dy, (size_t)tiles * (size_t)steps),
                   part_of(f->x + (size_t)first * x, share * x, (size_t)(n - tiles) * (size_t)steps)};
}

static ahead tile_fetches(const fetch *f, int i, int steps)
{
    const ahead *from = i < f->tiles ? &f->dy : &f->x;
    return (ahead){from->at + (size_t)(i < f->tiles ? i : i - f->tiles) * (size_t)steps * from->by, from->by};
}

/* Adds one piece of places to panels first .. first + panels - 1 of the thread's portion. */
static void add_piece(const source *f, const portion *mine, float *dw, float *db, uint32_t *room, int first, int panels)
{
    const tw_conv_shape *s = f->shape;
    const int part = PART * f->step, parts = (int)((tw_min((int64_t)PIECE * f->step, f->places - f->first) + part - 1) / part);
    const int steps = parts * PART, rows = mine->rows / MR;
    const size_t columns = (size_t)(s->size * s->size) * (size_t)s->C, x_panel = (size_t)steps * NR + APART, dy_panel = (size_t)steps * MR + APART;
    uint32_t *const dy = room + (size_t)panels * x_panel;
    for (int i = 0; i < parts; i++) {
        pack_pixels(room, x_panel, f, first, panels, i * PART);
        pack_gradient(dy, dy_panel, db, f, mine, i * PART);
    }
    const fetch next = next_piece(f, panels * rows, steps);
    float *at = dw + (size_t)mine->row * columns + (size_t)first * NR;
    for (int i = 0, row = 0, panel = 0; i < panels * rows; i++) {
        const int row_after = row + 1 < rows ? row + 1 : 0, panel_after = row_after > 0 ? panel : panel + 1 < panels ? panel + 1 : 0;
        tile(at + (size_t)(row * MR) * columns + (size_t)panel * NR, at + (size_t)(row_after * MR) * columns + (size_t)panel_after * NR, columns,
             dy + (size_t)row * dy_panel, room + (size_t)panel * x_panel, steps, tile_fetches(&next, i, steps), f->type);
        row = row_after, panel = panel_after;
    }
}

/* Zeroes a thread's portion of dw and db. */
static void zero(const tw_conv_shape *s, const portion *mine, float *dw, float *db)
{
    const size_t columns = (size_t)(s->size * s->size) * (size_t)s->C;
    for (int k = mine->row; k < mine->row + mine->rows; k++)
        memset(dw + (size_t)k * columns + (size_t)mine->panel * NR, 0, (size_t)mine->panels * NR * sizeof *dw);
    if (mine->panel == 0 && mine->panels > 0) /* an empty portion begins where the next one does */
        memset(db + mine->row, 0, (size_t)mine->rows * sizeof *db);
}

static void add_portion(source f, const portion *mine, float *dw, float *db, uint32_t *room)
{
    for (int first = mine->panel, n; mine->rows > 0 && first < mine->panel + mine->panels; first += n) {
        n = (int)tw_min(BLOCK, mine->panel + mine->panels - first);
        for (f.first = f.begin; f.first < f.places; f.first += PIECE * f.step)
            add_piece(&f, mine, dw, first == 0 ? db : NULL, room, first, n);
    }
}

int tw_outer_add(tw_dev *d, const tw_conv_shape *s, float *dw, float *db, const void *x, const void *dy)
{
    const slicing c = slicing_of(d, s);
    const int parts = tw_slices_parts(c.slices, d->threads);
    const int64_t places = (int64_t)s->N * s->OH * s->OW;
    uint32_t *all = tw_dev_scratch(d, TW_SCRATCH_COLUMNS, (size_t)d->threads * room_bytes(s));
    float *slices = c.slices > 1 ? slices_room(d, &c) : NULL;
    if (all == NULL || (c.slices > 1 && slices == NULL))
        return -1;
#pragma omp parallel for schedule(static)
    for (int i = 0; i < c.slices * parts; i++) {
        const portion mine = portion_of(s, i % parts, parts);
        const int64_t first = i / parts * c.each;
        uint32_t *const room = all + (size_t)omp_get_thread_num() * (room_bytes(s) / sizeof *all);
        float *to = slices != NULL ? slices + (size_t)(i / parts) * c.all : dw, *to_b = slices != NULL ? to + c.dw : db;
        if (slices != NULL)
            zero(s, &mine, to, to_b);
        add_portion((source){s, x, dy, first, first, tw_min(first + c.each, places), d->precision, step_of(d)}, &mine, to,
                    db != NULL ? to_b : NULL, room);
    }
    if (slices != NULL)
        tw_slices_add(dw, slices, c.slices, c.all, c.dw);
    if (slices != NULL && db != NULL)
        tw_slices_add(db, slices + c.dw, c.slices, c.all, (size_t)s->K);
    return 0;
}
#else
int tw_outer_reserve(tw_dev *d, const tw_conv_shape *s)
{
    (void)d, (void)s;
    return 0;
}

int tw_outer_add(tw_dev *d, const tw_conv_shape *s, float *dw, float *db, const void *x, const void *dy)
{
    (void)d, (void)s, (void)dw, (void)db, (void)x, (void)dy;
    return -1;
}
#endif
