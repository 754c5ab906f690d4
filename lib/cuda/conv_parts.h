/* What the files of a convolution share: conv.c (the plain passes), conv_folded.c (evaluation, with a folded norm), conv_norms.c (fused with the
 * adjacent norms), conv_ways.c (chooses between a fused plan and separate ones). */
#ifndef TW_CUDA_CONV_PARTS_H
#define TW_CUDA_CONV_PARTS_H

#include "cuda/conv.h"
#include "cuda/device.h"
#include "cuda/tune.h"

struct tw_conv {
    tw_dev *dev;
    tw_conv_shape shape;
    tw_conv_form form;
    tw_tuned pass[3];    /* the plain passes, indexed by tw_dnn_pass */
    void *w;             /* the weights in cuDNN's layout */
    /* Fused plans, used where they exist and are not slower than separate ones; else their plan is NULL. */
    tw_tuned sums;       /* TW_CONV_WITH_SUMS, forward */
    tw_tuned through[2]; /* TW_CONV_NORM_THROUGH: forward, gradient of the weights */
    tw_tuned applied;    /* TW_CONV_NORM_APPLIED, forward */
    tw_tuned together;   /* of a folded shape, with bias, shortcut and ReLU */
    float *shift;        /* [3,K]: the folded norm's shift; zeros; ones. NULL: no norm is folded in */
};

size_t tw_conv_input_count(const tw_conv *c); /* elements of the input in the form that cuDNN gets (form.h) */
size_t tw_conv_weight_count(const tw_conv *c);
size_t tw_conv_output_bytes(const tw_conv *c);
bool tw_conv_as_it_is(const tw_conv *c); /* whether cuDNN gets the input as it is */
/* x, or a copy of it in the form that cuDNN gets (scratch memory). NULL and tw_error(). */
void *tw_conv_input(const tw_conv *c, const void *x);

/* As tw_tune, for a graph of tw_conv_graph. s: c's shape, folded or not. */
int tw_conv_tune(tw_conv *c, tw_tuned *out, tw_dnn_pass pass, const tw_conv_shape *s, tw_conv_kind kind);

/* Zeroed memory of the shape's sizes on which alternatives are timed. */
typedef struct {
    tw_conv *c;
    void *x, *y, *shortcut; /* shortcut: of y's size */
    void *made, *added;     /* result and shortcut of the norm that makes the input; of x's size */
    uint8_t *mask;          /* of that norm */
    float *dw;
    tw_norm maker, reader;
} tw_conv_trial;

/* Makes n fused plans of a kind, for pass[0 .. n-1], and keeps them unless `apart` (the separate way) is faster than `one` (which runs the plans).
 * Both get a tw_conv_trial; the outcome is measured once and kept in the cache. If cuDNN has no such plans, or they are slower or fail, the
 * plans are NULL. */
void tw_conv_choose(tw_conv *c, tw_tuned *plan, const tw_dnn_pass *pass, int n, tw_conv_kind kind, int (*one)(void *trial),
                    int (*apart)(void *trial));

/* Choose the fused plans that c->shape asks for: sums, through, applied; together. choose_folded: 0, or -1 and tw_error(). */
void tw_conv_choose_norms(tw_conv *c);
int tw_conv_choose_folded(tw_conv *c);

#endif
