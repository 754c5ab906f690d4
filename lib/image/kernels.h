/* The inner loops of the picture operations, once per kind of processor. All give the same bytes: the arithmetic stands once,
 * in kernels_body.h, on vectors of 16 (plain), 32 (AVX2) or 64 bytes (AVX-512). Internal to lib/image. */
#ifndef TW_IMAGE_KERNELS_H
#define TW_IMAGE_KERNELS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A picture is worked on in strips as high as a vector is wide: `lane` rows, turned so that a column of the strip is one
 * vector. */
enum { TW_MAX_LANE = 64, TW_TURN = 16, TW_MAX_RADIUS = 63 };

/* Where the outputs of one pass of a resize come from. Output i is the sum over its pairs p of
 * in[first + 2p] * k[2p] + in[first + 2p + 1] * k[2p + 1], k in 2^-22. weight[i * room + p] holds the two k, each as
 * 65536 * coarse + fine with both signed: coarse is in bytes 0 and 1 and again in 2 and 3, fine in two halves. An odd last tap is
 * paired with a weight of 0. |coarse| sums to at most 128 over an output, since its k sum to 2^22 and few are negative. */
typedef struct {
    uint32_t coarse, fine;
} tw_weight;

typedef struct {
    int n, room;      /* outputs; pairs reserved for each */
    int *first, *pairs;
    tw_weight *weight;
} tw_taps;

/* One direction of a resize of `size` pixels: output i of the taps is number from + i of all. scale: inputs to an output; narrow:
 * 1 / scale where that is at most 1, else 1; support: of the filter, in inputs. */
typedef struct {
    int size, from;
    double scale, narrow, support;
    bool cubic;
} tw_scale;

/* One box of a blur: its whole radius, the weight of what is inside and of the pixel beyond each end, in 2^-24. */
typedef struct {
    int radius;
    uint32_t inside, beyond;
} tw_box;

/* Colour operations on a pixel; all but TW_SHIFT_HUE give trunc(base + factor * (value - base)) within 0..255, in float. */
typedef enum {
    TW_SCALE,      /* base 0: brightness */
    TW_STRETCH,    /* base: a number, contrast */
    TW_SATURATE,   /* base: the pixel's grey */
    TW_SHIFT_HUE,  /* RGB -> HSV of 8 bits, H + shift (0..255, whole), back */
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
    bool by_table; /* whether looking values up is faster than TW_SCALE and TW_STRETCH */
    /* Fills the t->n outputs of t by Pillow's precompute_coeffs: first, pairs and as many weights. work, fixed: (taps of an output
     * + 1) * lane / 8 numbers. */
    void (*taps)(tw_taps *t, const tw_scale *s, double *work, int32_t *fixed);
    /* tile[j * lane + i] = row[i][j] for i < lane, j < n; rows are read, and the tile written, up to the next multiple of lane. */
    void (*turn_in)(uint8_t *tile, const uint8_t *const *row, size_t n);
    /* The way back: to[i * pitch + j] = tile[j * lane + i] for i < lane, j < n and up to the next multiple of TW_TURN. */
    void (*turn_out)(uint8_t *to, size_t pitch, const uint8_t *tile, size_t n);
    /* Resizes a turned strip of RGB columns along x: output `from` + x of t goes to out[(c * room + x) * lane], x < n, out of
     * the columns tile[(3 * column + c) * lane]; flip: to x = n - 1 first. */
    void (*across)(uint8_t *out, size_t room, const uint8_t *tile, const tw_taps *t, int from, int n, bool flip);
    /* Resizes along y: one output row of n bytes out of rows that lie `pitch` apart. Written up to the next multiple of lane. */
    void (*down)(uint8_t *out, const uint8_t *from, size_t pitch, const tw_weight *weight, int pairs, size_t n);
    /* `passes` box blurs along n steps of `pitch` bytes, of lane bytes side by side, in place. work: 2 * (n + 2 * radius + 2)
     * * lane numbers. radius at most TW_MAX_RADIUS. */
    void (*blur)(uint8_t *at, size_t pitch, int n, const tw_box *box, int passes, uint16_t *work);
    /* Applies the operations in turn to w x h pixels in three planes whose rows lie `pitch` apart, in place; changes the rows up to the
     * next multiple of lane. sum: returns the sum of the greys of the results, else 0. */
    uint64_t (*colour)(uint8_t *const plane[3], size_t pitch, int w, int h, const tw_colour_op *op, int n_ops, bool sum);
    /* to[3 * i + c] = plane[c][i], n pixels; solarize: 255 - v for v >= 128. Writes no byte beyond. */
    void (*interleave)(uint8_t *to, const uint8_t *const plane[3], size_t n, bool solarize);
} tw_kernels;

/* The fastest that this processor runs. */
const tw_kernels *tw_kernels_best(void);
/* The i-th that this processor runs, slowest ("plain") first; NULL beyond the last: for tests, which compare them all. */
const tw_kernels *tw_kernels_at(int i);

extern const tw_kernels tw_kernels_plain;
#if defined(__x86_64__)
extern const tw_kernels tw_kernels_avx2, tw_kernels_avx512, tw_kernels_vnni;
#endif

#endif
