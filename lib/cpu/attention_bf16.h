/* Inside lib/cpu: attention by products of bf16, where the heads' width is a multiple of 32: queries, keys, values and gradients as they are;
 * probabilities and the gradients of scores are rounded to bf16 before they are multiplied. Sums are f32. */
#ifndef TW_CPU_ATTENTION_BF16_H
#define TW_CPU_ATTENTION_BF16_H

#include "cpu/device.h"

/* Where a head's columns begin and how long rows are, in qkv and in y; part: from queries to keys, from keys to values. */
typedef struct {
    size_t qkv, qkv_stride, part, y, y_stride;
} tw_head_place;

/* Of head i of the N * heads. */
static inline tw_head_place tw_head_place_of(const tw_attention *a, int i)
{
    const size_t C = (size_t)a->heads * (size_t)a->width, T = (size_t)a->T;
    const size_t sample = (size_t)(i / a->heads) * T, head = (size_t)(i % a->heads) * (size_t)a->width;
    return (tw_head_place){sample * 3 * C + head, 3 * C, C, sample * C + head, C};
}

bool tw_attention_bf16_suits(const tw_dev *d, const tw_attention *a);
/* As in nn/backend.h. */
int tw_attention_bf16_forward(tw_dev *d, const tw_attention *a, void *y, const void *qkv);
int tw_attention_bf16_backward(tw_dev *d, const tw_attention *a, void *dqkv, const void *dy, const void *y, const void *qkv);

#endif
