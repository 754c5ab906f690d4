/* Inside lib/cpu: the convolution algorithms. Which one is used depends on shape, precision and processor only (no timing), so that a run can be
 * repeated bit by bit. */
#ifndef TW_CPU_CONV_H
#define TW_CPU_CONV_H

#include "cpu/device.h"

/* Contracts as those of conv_* in nn/backend.h; `way` is what open returned. */
typedef struct {
    bool (*suits)(const tw_dev *d, const tw_conv_shape *s); /* NULL: none, on this kind of processor */
    void *(*open)(tw_dev *d, const tw_conv_shape *s); /* NULL and tw_error() */
    void (*close)(void *way);
    size_t (*bytes)(const void *way);
    /* scale: of a folded convolution, f32 [K], multiplies the output channels' weights; else NULL */
    int (*weights)(void *way, const float *w, const float *scale);
    /* shift f32 [K] and shortcut (or NULL): of a folded convolution; else NULL */
    int (*forward)(void *way, void *y, const void *x, const float *shift, const void *shortcut);
    int (*backward_data)(void *way, void *dx, const void *dy);
    int (*backward_weights)(void *way, float *dw, const void *x, const void *dy);
    /* NULL: no passes of adjacent norms are taken over. */
    int (*norms)(const tw_conv_shape *s);
    int (*forward_norms)(void *way, void *y, void *x, const tw_conv_norms *n);
    int (*backward_norms)(void *way, void *dx, void *dy, const tw_conv_norms *n);
} tw_conv_way;

/* A convolution whose every window covers (nearly) the whole picture, as one product with a matrix [OH*OW*K, H*W*C] that has zeros where the
 * window does not cover a pixel: in training, 3x3 on up to 3 x 3 pixels. */
extern const tw_conv_way tw_conv_dense;

/* Winograd's minimal filtering F(4x4, 3x3): 3x3 at stride 1 in fp32, a quarter of the multiplications. */
extern const tw_conv_way tw_conv_winograd;

/* F(2x2, 3x3): 3x3 at stride 1 in bf16, four ninths of the multiplications. */
extern const tw_conv_way tw_conv_winograd16;

/* 1x1 in bf16. */
extern const tw_conv_way tw_conv_pointwise;

/* 3x3 at stride 2 in bf16, in training. */
extern const tw_conv_way tw_conv_strided;

/* oneDNN's: suits every shape. */
extern const tw_conv_way tw_conv_direct;

#endif
