/* Inside lib/cpu: max pooling by rows and pixels, for fusion with the norm before it. */
#ifndef TW_CPU_POOL_H
#define TW_CPU_POOL_H

#include "nn/backend.h"

/* One output row, number `row` of N*OH, of max_forward (nn/backend.h). x: the rows of its picture [H,W,C] from row `begin` on. */
void tw_pool_max_row(void *y, uint8_t *pick, const void *x, const tw_pool_shape *s, int begin, int64_t row, tw_dtype t);

/* dx [n,C] of input pixels first .. first + n - 1 of N*H*W, as max_backward; pick and dy are the whole tensors. */
void tw_pool_gather(void *dx, const uint8_t *pick, const void *dy, const tw_pool_shape *s, int64_t first, int64_t n, tw_dtype t);

#endif
