/* Inside lib/cpu: the ways to convolve. Which one is taken depends on the shape and the precision only, so that the same run gives
 * the same bits on the next day. */
#ifndef TW_CPU_CONV_H
#define TW_CPU_CONV_H

#include "cpu/device.h"

/* Contracts as those of conv_* in nn/backend.h; `way` is what open returned. */
typedef struct {
    bool (*suits)(const tw_dev *d, const tw_conv_shape *s);
    void *(*open)(tw_dev *d, const tw_conv_shape *s); /* NULL and tw_error() */
    void (*close)(void *way);
    size_t (*bytes)(const void *way);
    /* scale: what the channels of a folded one are multiplied by, f32 [K]; else NULL */
    int (*weights)(void *way, const float *w, const float *scale);
    /* shift f32 [K] and shortcut: of a folded one; else NULL */
    int (*forward)(void *way, void *y, const void *x, const float *shift, const void *shortcut);
    int (*backward_data)(void *way, void *dx, const void *dy);
    int (*backward_weights)(void *way, float *dw, const void *x, const void *dy);
    /* NULL: nothing is done for norms. */
    int (*norms)(const tw_conv_shape *s);
    int (*forward_norms)(void *way, void *y, void *x, const tw_conv_norms *n);
    int (*backward_norms)(void *way, void *dx, void *dy, const tw_conv_norms *n);
} tw_conv_way;

/* A convolution that sees (nearly) the whole picture at every place, as one matrix [OH*OW*K, H*W*C] with zeros where a tap would
 * meet padding or a pixel is not seen: in training, 3x3 on up to 3 x 3 pixels. */
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
