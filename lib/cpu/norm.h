/* Inside lib/cpu: what BatchNorm's passes share with the convolutions that find its sums. */
#ifndef TW_CPU_NORM_H
#define TW_CPU_NORM_H

#include "cpu/device.h"
#include "cpu/norm_bf16.h"

/* Scratch memory for the sums of so many pieces of the rows, f64 [pieces,2,C], and behind them `floats` numbers for each channel. NULL and
 * tw_error(). */
double *tw_norm_partial(tw_dev *d, const tw_norm *n, int64_t pieces, int floats);

/* n->sums from those of the pieces, in their order. */
void tw_norm_add_up(const tw_norm *n, const double *partial, int64_t pieces);
/* The same at the end of a backward pass over them: the gradients of gamma and beta too. */
void tw_norm_add_up_gradients(const tw_norm *n, const double *partial, int64_t pieces);

tw_norm_mask tw_norm_mask_of(const tw_norm *n);
tw_norm_affine tw_norm_affine_of(const tw_norm *n, float *room); /* room: [2C] */
tw_norm_coefficients tw_norm_coefficients_of(const tw_norm *n, float *room); /* room: [5C] */

/* norm_apply of a piece. */
void tw_norm_apply_piece(void *y, const void *x, const void *shortcut, const tw_norm_affine *k, const tw_norm_piece *p, bool relu, tw_dtype t);

/* The gradient of a norm's result: as norm_backward_sums has it; or that of what max pooling makes of the result, dy and pick as max_backward
 * has them, which is gathered on the way. */
typedef struct {
    void *dy;
    const void *dy2, *y;
    const tw_pool_shape *pool; /* NULL: there is none */
    const uint8_t *pick;
} tw_norm_gradient;

int tw_norm_backward_sums_of(tw_dev *d, const tw_norm *n, const tw_norm_gradient *from, const void *x);
int tw_norm_backward_apply_of(tw_dev *d, const tw_norm *n, void *dx, const tw_norm_gradient *from, const void *x);

/* Memory for those, until the next norm is applied. NULL and tw_error(). */
float *tw_norm_room(tw_dev *d, const tw_norm *n);

#endif
