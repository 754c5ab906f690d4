/* Inside lib/cpu: attention by bf16 matrix products, for heads whose width is a multiple of 32. Probabilities and the gradients of the scores are
 * rounded to bf16 before they are multiplied, the other operands are bf16 anyway. Sums are f32. */
#ifndef TW_CPU_ATTENTION_BF16_H
#define TW_CPU_ATTENTION_BF16_H

#include "cpu/device.h"

/* Offset of a head's first element and row stride, in qkv and in y; part: offset from queries to keys and from keys to values. In elements. */
typedef struct {
    size_t qkv, qkv_stride, part, y, y_stride;
} tw_head_place;

/* The place of head i of N * heads, sample by sample. */
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
