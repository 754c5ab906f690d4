/* The inner loops of the image operations, in one version per processor type. All give the same bytes: their arithmetic is written once,
 * in kernels_body.h, for vectors of 16 (plain), 32 (AVX2) or 64 bytes (AVX-512). Internal to lib/image. */
#ifndef TW_IMAGE_KERNELS_H
#define TW_IMAGE_KERNELS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Images are processed in strips of `lane` rows (lane: bytes of a vector), transposed so that a column of the strip is one vector: a
 * "tile". */
enum { TW_MAX_LANE = 64, TW_TURN = 16, TW_MAX_RADIUS = 63 };

/* The filter taps of one pass of a resize. Output i is the sum over its pairs p = 0 .. pairs[i] - 1 of
 * in[first[i] + 2p] * k[2p] + in[first[i] + 2p + 1] * k[2p + 1], k in units of 2^-22. weight[i * room + p] holds the two k, each split as
 * 65536 * coarse + fine, both signed: the two coarse are in bytes 0 and 1, and again in 2 and 3, the two fine in 16 bits each. An odd last tap
 * is paired with a weight of 0. |coarse| sums to at most 128 over an output, since its k sum to 2^22 and few are negative. */
typedef struct {
    uint32_t coarse, fine;
} tw_weight;

typedef struct {
    int n, room;      /* outputs; pairs reserved for each */
    int *first, *pairs;
    tw_weight *weight;
} tw_taps;

/* Parameters of one direction of a resize. size: input pixels; from: number of the first output in the taps; scale: inputs per output; narrow:
 * min(1, 1 / scale); support: of the filter, in inputs. */
typedef struct {
    int size, from;
    double scale, narrow, support;
    bool cubic;
} tw_scale;

/* One extended box filter: integer radius, weight of the pixels inside, and of the pixel beyond each end, in units of 2^-24. */
typedef struct {
    int radius;
    uint32_t inside, beyond;
} tw_box;

/* Colour operations on a pixel; all but TW_SHIFT_HUE give trunc(base + factor * (value - base)) within 0..255, in float. */
typedef enum {
    TW_SCALE,      /* base 0: brightness */
    TW_STRETCH,    /* base: a number, contrast */
    TW_SATURATE,   /* base: the pixel's grey */
    TW_SHIFT_HUE,  /* RGB -> 8-bit HSV, H + shift modulo 256 (an integer, 0..255), and back */
    TW_GREY,       /* all three become the pixel's grey */
    TW_TABLE,      /* each value v becomes table[v]; first or last of the operations only */
} tw_colour_kind;

typedef struct {
    tw_colour_kind kind;
    float factor; /* TW_SHIFT_HUE: the shift */
    float base;   /* TW_STRETCH */
    const uint8_t *table; /* TW_TABLE: 256 values */
} tw_colour_op;

typedef struct {
    const char *name;
    int lane;
    bool by_table; /* whether TW_TABLE is faster than TW_SCALE and TW_STRETCH */
    /* Computes first, pairs and weights of the t->n outputs as Pillow's precompute_coeffs. work, fixed: scratch, (taps of an output + 1) *
     * lane / 8 numbers each. */
    void (*taps)(tw_taps *t, const tw_scale *s, double *work, int32_t *fixed);
    /* Transposes: tile[j * lane + i] = row[i][j] for i < lane, j < n; rows are read, and the tile written, up to the next multiple of lane. */
    void (*turn_in)(uint8_t *tile, const uint8_t *const *row, size_t n);
    /* The inverse: to[i * pitch + j] = tile[j * lane + i] for i < lane, j < n rounded up to a multiple of TW_TURN. */
    void (*turn_out)(uint8_t *to, size_t pitch, const uint8_t *tile, size_t n);
    /* Resizes a tile of RGB columns, tile[(3 * column + c) * lane], along x: outputs from + x of t, x < n, go to out[(c * room + x) * lane];
     * flip: to out[(c * room + n - 1 - x) * lane]. */
    void (*across)(uint8_t *out, size_t room, const uint8_t *tile, const tw_taps *t, int from, int n, bool flip);
    /* Resizes along y: one output row of n bytes from rows `pitch` bytes apart. Written up to the next multiple of lane. */
    void (*down)(uint8_t *out, const uint8_t *from, size_t pitch, const tw_weight *weight, int pairs, size_t n);
    /* Applies `passes` box blurs in place along n steps of `pitch` bytes, to lane adjacent bytes at once. work: scratch, 2 * (n + 2 * radius
     * + 2) * lane numbers. radius at most TW_MAX_RADIUS. */
    void (*blur)(uint8_t *at, size_t pitch, int n, const tw_box *box, int passes, uint16_t *work);
    /* Applies the operations in order to w x h pixels in three planes with rows `pitch` bytes apart, in place; rows are changed up to the
     * next multiple of lane. sum: returns the sum of the grey values of the result, else 0. */
    uint64_t (*colour)(uint8_t *const plane[3], size_t pitch, int w, int h, const tw_colour_op *op, int n_ops, bool sum);
    /* Planes to RGB: to[3 * i + c] = plane[c][i] for i < n; solarize: 255 - v for v >= 128. Writes no byte beyond. */
    void (*interleave)(uint8_t *to, const uint8_t *const plane[3], size_t n, bool solarize);
} tw_kernels;

/* The fastest version that this processor supports. */
const tw_kernels *tw_kernels_best(void);
/* For tests: the i-th version that this processor supports, from the slowest ("plain") on; NULL after the last. */
const tw_kernels *tw_kernels_at(int i);

extern const tw_kernels tw_kernels_plain;
#if defined(__x86_64__)
extern const tw_kernels tw_kernels_avx2, tw_kernels_avx512, tw_kernels_vnni;
#endif

#endif
