#include "eval/matrix.h"

#include "core/mem.h"
#include "eval/matrix_kernels.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* The inner dimension is taken DEPTH elements at a time: TW_MATRIX_ROWS x DEPTH of the left operand stay in the L2 cache, DEPTH x nr of the right
 * one in the L1 cache. */
enum { DEPTH = 256, LANES = 8 };

const tw_matrix_kernel *tw_matrix_kernel_at(int i)
{
    const tw_matrix_kernel *found[3];
    int n = 0;
#if defined(__x86_64__)
    if (__builtin_cpu_supports("avx512f"))
        found[n++] = &tw_matrix_avx512;
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"))
        found[n++] = &tw_matrix_avx2;
#endif
    found[n++] = &tw_matrix_portable;
    return i < n ? found[i] : NULL;
}

/* Four floats at any address. */
typedef float quad __attribute__((vector_size(16), aligned(4), may_alias));
typedef int picks __attribute__((vector_size(16)));

#ifdef __clang__
#define PICK(a, b, ...) __builtin_shufflevector(a, b, __VA_ARGS__)
#else
#define PICK(a, b, ...) __builtin_shuffle(a, b, (picks){__VA_ARGS__})
#endif

/* to[d*width + i] = from[i*row + d] for i < 4, d < 4. */
static inline void transpose(float *to, size_t width, const float *from, size_t row)
{
    const quad a = *(const quad *)from, b = *(const quad *)(from + row), c = *(const quad *)(from + 2 * row), e = *(const quad *)(from + 3 * row);
    const quad ab = PICK(a, b, 0, 4, 1, 5), ce = PICK(c, e, 0, 4, 1, 5), ab2 = PICK(a, b, 2, 6, 3, 7), ce2 = PICK(c, e, 2, 6, 3, 7);
    *(quad *)to = PICK(ab, ce, 0, 1, 4, 5);
    *(quad *)(to + width) = PICK(ab, ce, 2, 3, 6, 7);
    *(quad *)(to + 2 * width) = PICK(ab2, ce2, 0, 1, 4, 5);
    *(quad *)(to + 3 * width) = PICK(ab2, ce2, 2, 3, 6, 7);
}

/* lay_out for col = 1, by 4 x 4 transposes as far as possible. */
static void lay_out_rows(float *to, int width, const float *from, size_t row, int n, int k)
{
    for (int at = 0; at < k; at += DEPTH) { /* so that the output stays in the L1 cache */
        const int end = k - at < DEPTH ? k : at + DEPTH;
        int i = 0;
        for (; i + 4 <= n; i += 4) {
            int d = at;
            for (; d + 4 <= end; d += 4)
                transpose(to + (size_t)d * width + i, (size_t)width, from + i * row + d, row);
            for (; d < end; d++)
                for (int j = i; j < i + 4; j++)
                    to[(size_t)d * width + j] = from[j * row + d];
        }
        for (; i + 2 <= n; i += 2)
            for (int d = at; d < end; d++) {
                to[(size_t)d * width + i] = from[i * row + d];
                to[(size_t)d * width + i + 1] = from[(i + 1) * row + d];
            }
        for (; i < n; i++)
            for (int d = at; d < end; d++)
                to[(size_t)d * width + i] = from[i * row + d];
    }
}

/* Packs: to[d*width + i] = from[i*row + d*col] for i < n, d < k; zero for n <= i < width. */
static void lay_out(float *to, int width, const float *from, size_t row, size_t col, int n, int k)
{
    if (row == 1) {
        for (int d = 0; d < k; d++)
            for (int i = 0; i < n; i++)
                to[(size_t)d * width + i] = from[d * col + i];
    } else if (col == 1) {
        lay_out_rows(to, width, from, row, n, k);
    } else {
        for (int i = 0; i < n; i++)
            for (int d = 0; d < k; d++)
                to[(size_t)d * width + i] = from[i * row + d * col];
    }
    for (int d = 0; d < k && n < width; d++)
        memset(to + (size_t)d * width + n, 0, (size_t)(width - n) * sizeof *to);
}

int tw_panels_init(tw_panels *p, int n, int k, const tw_matrix_kernel *kernel)
{
    *p = (tw_panels){.kernel = kernel != NULL ? kernel : tw_matrix_kernel_at(0)};
    const size_t nr = (size_t)p->kernel->nr, rows = ((size_t)n + nr - 1) / nr * nr;
    p->data = tw_alloc64(rows * (size_t)k * sizeof *p->data); /* two ints and a 4: no overflow */
    return p->data != NULL ? 0 : -1;
}

void tw_panels_fini(tw_panels *p)
{
    free(p->data);
    *p = (tw_panels){0};
}

struct setting {
    tw_panels *p;
    const float *b;
    size_t row, col;
};

static void set_panel(void *context, int block, int worker)
{
    (void)worker;
    const struct setting *s = context;
    const tw_panels *p = s->p;
    const int nr = p->kernel->nr, first = block * nr, left = p->n - first;
    lay_out(p->data + (size_t)first * p->k, nr, s->b + (size_t)first * s->row, s->row, s->col, left < nr ? left : nr, p->k);
}

void tw_panels_set(tw_panels *p, const float *b, size_t row, size_t col, int n, int k, tw_blocks *threads)
{
    struct setting s = {p, b, row, col};
    p->n = n;
    p->k = k;
    const int blocks = tw_blocks_count(n, p->kernel->nr);
    if (threads != NULL)
        tw_blocks_each(threads, blocks, set_panel, &s);
    for (int i = 0; threads == NULL && i < blocks; i++)
        set_panel(&s, i, 0);
}

tw_panels tw_panels_part(const tw_panels *p, int first, int n)
{
    return (tw_panels){p->kernel, p->data + (size_t)first * p->k, n, p->k};
}

/* A tile at the edge, of which only m x n elements are in c. */
static void edge_tile(const tw_matrix_kernel *kernel, float *c, size_t stride, const float *a, const float *b, int k, bool zero,
                      int m, int n)
{
    _Alignas(64) float part[TW_MATRIX_MOST_MR * TW_MATRIX_MOST_NR] = {0};
    for (int i = 0; i < m && !zero; i++)
        memcpy(part + i * kernel->nr, c + (size_t)i * stride, (size_t)n * sizeof *c);
    kernel->tile(part, (size_t)kernel->nr, a, b, k, false);
    for (int i = 0; i < m; i++)
        memcpy(c + (size_t)i * stride, part + i * kernel->nr, (size_t)n * sizeof *c);
}

/* m <= TW_MATRIX_ROWS rows, packed in `left`, by all columns, over k elements of the inner dimension from `at` on. */
static void multiply(float *c, size_t stride, const float *left, int m, const tw_panels *b, int at, int k, bool zero)
{
    const tw_matrix_kernel *kernel = b->kernel;
    const int mr = kernel->mr, nr = kernel->nr;
    for (int j = 0; j < b->n; j += nr) {
        const float *right = b->data + (size_t)j * b->k + (size_t)at * nr;
        for (int i = 0; i < m; i += mr) {
            float *to = c + (size_t)i * stride + j;
            if (i + mr <= m && j + nr <= b->n)
                kernel->tile(to, stride, left + (size_t)i * k, right, k, zero);
            else
                edge_tile(kernel, to, stride, left + (size_t)i * k, right, k, zero, m - i < mr ? m - i : mr,
                          b->n - j < nr ? b->n - j : nr);
        }
    }
}

/* Packs elements at .. at+k-1 of m rows, in tiles of mr rows. */
static void lay_rows(float *left, int mr, const float *a, size_t row, size_t col, int m, int at, int k)
{
    for (int i = 0; i < m; i += mr)
        lay_out(left + (size_t)i * k, mr, a + (size_t)i * row + (size_t)at * col, row, col, m - i < mr ? m - i : mr, k);
}

void tw_product(float *c, size_t stride, const float *a, size_t row, size_t col, int m, const tw_panels *b, bool add)
{
    _Alignas(64) float left[TW_MATRIX_ROWS * DEPTH];
    for (int first = 0; first < m; first += TW_MATRIX_ROWS) {
        const int rows = m - first < TW_MATRIX_ROWS ? m - first : TW_MATRIX_ROWS;
        for (int at = 0; at < b->k; at += DEPTH) {
            const int k = b->k - at < DEPTH ? b->k - at : DEPTH;
            lay_rows(left, b->kernel->mr, a + (size_t)first * row, row, col, rows, at, k);
            multiply(c + (size_t)first * stride, stride, left, rows, b, at, k, at == 0 && !add);
        }
    }
}

/* The same for the largest scores: partial sums go to `sums`, until the last elements of the inner dimension. */
static void multiply_largest(tw_largest most, float *sums, const float *left, int m, const tw_panels *b, int at, int k, const float *less,
                             int first)
{
    const tw_matrix_kernel *kernel = b->kernel;
    const int mr = kernel->mr, nr = kernel->nr;
    for (int j = 0; j < b->n; j += nr) {
        const float *right = b->data + (size_t)j * b->k + (size_t)at * nr;
        const bool edge = j + nr > b->n;
        float some[TW_MATRIX_MOST_NR];
        for (int i = 0; i < nr && edge; i++) /* padding columns get the score -infinity */
            some[i] = j + i < b->n ? less[j + i] : INFINITY;
        for (int i = 0; i < m; i += mr) {
            float *to = sums + (size_t)i * TW_MATRIX_COLUMNS + j;
            const tw_largest rows = {most.score + (size_t)i * kernel->lanes, most.column + (size_t)i * kernel->lanes};
            if (at + k < b->k)
                kernel->tile(to, TW_MATRIX_COLUMNS, left + (size_t)i * k, right, k, at == 0);
            else
                kernel->largest(rows, edge ? some : less + j, first + j, to, TW_MATRIX_COLUMNS, left + (size_t)i * k, right, k, at == 0);
        }
    }
}

void tw_product_largest(int32_t *column, float *score, float *scratch, const float *a, int m, const tw_panels *b, const float *less)
{
    _Alignas(64) float left[TW_MATRIX_ROWS * DEPTH], most[TW_MATRIX_ROWS * TW_MATRIX_MOST_LANES];
    _Alignas(64) int32_t at_most[TW_MATRIX_ROWS * TW_MATRIX_MOST_LANES];
    const int lanes = b->kernel->lanes;
    for (int i = 0; i < TW_MATRIX_ROWS * lanes; i++) {
        most[i] = -INFINITY;
        at_most[i] = 0; /* an existing column, even if all scores are NaN */
    }
    for (int first = 0; first < b->n; first += TW_MATRIX_COLUMNS) {
        const tw_panels part = tw_panels_part(b, first, b->n - first < TW_MATRIX_COLUMNS ? b->n - first : TW_MATRIX_COLUMNS);
        for (int at = 0; at < b->k; at += DEPTH) {
            const int k = b->k - at < DEPTH ? b->k - at : DEPTH;
            lay_rows(left, b->kernel->mr, a, (size_t)b->k, 1, m, at, k);
            multiply_largest((tw_largest){most, at_most}, scratch, left, m, &part, at, k, less + first, first);
        }
    }
    for (int i = 0; i < m; i++) {
        const float *s = most + (size_t)i * lanes;
        const int32_t *c = at_most + (size_t)i * lanes;
        float largest = -INFINITY;
        int32_t lowest = INT32_MAX; /* two loops without branches, which would be unpredictable */
        for (int l = 0; l < lanes; l++)
            largest = s[l] > largest ? s[l] : largest;
        for (int l = 0; l < lanes; l++)
            lowest = s[l] == largest && c[l] < lowest ? c[l] : lowest;
        column[i] = lowest;
        score[i] = largest;
    }
}

double tw_sum_squares(const float *x, int D)
{
    double lane[LANES] = {0}, s = 0;
    int d = 0;
    for (; d + LANES <= D; d += LANES)
        for (int i = 0; i < LANES; i++)
            lane[i] += (double)x[d + i] * x[d + i];
    for (; d < D; d++)
        s += (double)x[d] * x[d];
    for (int i = 0; i < LANES; i++)
        s += lane[i];
    return s;
}

void tw_unit_rows(float *x, size_t n, int D)
{
    for (size_t i = 0; i < n; i++) {
        float *row = x + i * D;
        const double s = tw_sum_squares(row, D), scale = s > 0 ? 1 / sqrt(s) : 0;
        for (int d = 0; d < D; d++)
            row[d] = (float)(row[d] * scale);
    }
}
