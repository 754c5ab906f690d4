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

tw_norm_mask tw_norm_mask_of(const tw_norm *n);
tw_norm_affine tw_norm_affine_of(const tw_norm *n, float *room); /* room: [2C] */
tw_norm_coefficients tw_norm_coefficients_of(const tw_norm *n, float *room); /* room: [5C] */

/* Memory for those, until the next norm is applied. NULL and tw_error(). */
float *tw_norm_room(tw_dev *d, const tw_norm *n);

#endif
