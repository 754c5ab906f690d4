/* Inside lib/cpu: max pooling by rows and pixels, for those who make its input or use its gradient on the way. */
#ifndef TW_CPU_POOL_H
#define TW_CPU_POOL_H

#include "nn/backend.h"

/* Row `row` of the [N*OH] of y and pick, by max_forward of nn/backend.h; x: the rows of its picture [H,W,C] from number `begin` on. */
void tw_pool_max_row(void *y, uint8_t *pick, const void *x, const tw_pool_shape *s, int begin, int64_t row, tw_dtype t);

/* dx [n,C] of pixels [first, first + n) of the [N*H*W], by max_backward; pick and dy are whole. */
void tw_pool_gather(void *dx, const uint8_t *pick, const void *dy, const tw_pool_shape *s, int64_t first, int64_t n, tw_dtype t);

#endif
