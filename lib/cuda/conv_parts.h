/* What the parts of a convolution share: conv.c (the passes as they are), conv_folded.c (with a norm of running statistics in the weights),
 * conv_norms.c (with the norms beside it), conv_ways.c (one plan for several things, or each by itself). */
#ifndef TW_CUDA_CONV_PARTS_H
#define TW_CUDA_CONV_PARTS_H

#include "cuda/conv.h"
#include "cuda/device.h"
#include "cuda/tune.h"

struct tw_conv {
    tw_dev *dev;
    tw_conv_shape shape;
    tw_conv_form form;
    tw_tuned pass[3];    /* by tw_dnn_pass */
    void *w;             /* in cuDNN's layout */
    /* Where there are such plans, and they are not slower than the parts; else plan is NULL. */
    tw_tuned wide;       /* the gradient of the weights in f32 */
    tw_tuned sums;       /* forward, with the sums of y */
    tw_tuned through[2]; /* forward with sums, and the gradient of the weights, of what the norm before it makes */
    tw_tuned applied;    /* forward with sums, after what the norm before it makes with its shortcut */
    tw_tuned together;   /* of a folded shape: all at once */
    float *shift;        /* of the norm that is folded in; zeros; ones: [K] each. NULL: none is */
};

size_t tw_conv_input_count(const tw_conv *c); /* numbers of the input as cuDNN gets it */
size_t tw_conv_weight_count(const tw_conv *c);
size_t tw_conv_output_bytes(const tw_conv *c);
bool tw_conv_as_it_is(const tw_conv *c); /* cuDNN gets the input in the form that it has */
/* x, or a copy in the form that cuDNN gets. NULL and tw_error(). */
void *tw_conv_input(const tw_conv *c, const void *x);

/* As tw_tune. s: c's, folded or not. */
int tw_conv_tune(tw_conv *c, tw_tuned *out, tw_dnn_pass pass, const tw_conv_shape *s, tw_conv_kind kind);

/* Memory that ways to do the same are timed on, as large as the shape needs; the numbers are zeros. */
typedef struct {
    tw_conv *c;
    void *x, *y, *shortcut; /* shortcut: as large as y */
    void *made, *added;     /* of the norm before it: its result, its shortcut; as large as x */
    uint8_t *mask;          /* of that result */
    float *dw;
    tw_norm maker, reader;
} tw_conv_trial;

/* n plans of a kind, for the passes of those names, unless `apart` is faster than `one`, which runs them (of a tw_conv_trial): that is measured once
 * and kept among the plans. Where cuDNN has none, or they are slower, or fail, the plans are NULL. */
void tw_conv_choose(tw_conv *c, tw_tuned *plan, const tw_dnn_pass *pass, int n, tw_conv_kind kind, int (*one)(void *trial),
                    int (*apart)(void *trial));

/* Chooses what c->shape asks for: sums, through, applied; together (0, or -1 and tw_error()). */
void tw_conv_choose_norms(tw_conv *c);
int tw_conv_choose_folded(tw_conv *c);

#endif
