/* Inside lib/cpu: what BatchNorm's passes share with the convolutions that are fused with them. */
#ifndef TW_CPU_NORM_H
#define TW_CPU_NORM_H

#include "cpu/device.h"
#include "cpu/norm_bf16.h"

/* Scratch memory for partial sums, f64 [pieces,2,C], one row of two sums per piece of the rows, followed by f32 [floats,C]. NULL and tw_error(). */
double *tw_norm_partial(tw_dev *d, const tw_norm *n, int64_t pieces, int floats);

/* n->sums = the sum of the pieces' sums, in order. */
void tw_norm_add_up(const tw_norm *n, const double *partial, int64_t pieces);
/* The same for the sums of a backward pass; also adds to the gradients of gamma and beta. */
void tw_norm_add_up_gradients(const tw_norm *n, const double *partial, int64_t pieces);

tw_norm_mask tw_norm_mask_of(const tw_norm *n);
tw_norm_affine tw_norm_affine_of(const tw_norm *n, float *room); /* room: [2C] */
tw_norm_coefficients tw_norm_coefficients_of(const tw_norm *n, float *room); /* room: [5C] */

/* norm_apply on a piece. */
void tw_norm_apply_piece(void *y, const void *x, const void *shortcut, const tw_norm_affine *k, const tw_norm_piece *p, bool relu, tw_dtype t);

/* The gradient that a norm's backward passes read. pool NULL: dy, dy2, y as in norm_backward_sums. Else dy and pick are those of the max pooling
 * that follows the norm, as in max_backward, and the gradient of the norm's result is gathered from them on the fly. */
typedef struct {
    void *dy;
    const void *dy2, *y;
    const tw_pool_shape *pool;
    const uint8_t *pick;
} tw_norm_gradient;

int tw_norm_backward_sums_of(tw_dev *d, const tw_norm *n, const tw_norm_gradient *from, const void *x);
int tw_norm_backward_apply_of(tw_dev *d, const tw_norm *n, void *dx, const tw_norm_gradient *from, const void *x);

/* Room for tw_norm_affine_of or tw_norm_coefficients_of: device scratch, valid until the next norm is applied. NULL and tw_error(). */
float *tw_norm_room(tw_dev *d, const tw_norm *n);

#endif
