/* The launchers of the kernels, by .cu file. Pointers are device memory, sizes in elements, t is the type of the activations. Launchers queue work
 * on the stream and return 0, or -1 and tw_error(). Those named after an entry of tw_backend do what nn/backend.h says. */
#ifndef TW_CUDA_LAUNCH_H
#define TW_CUDA_LAUNCH_H

#include <cuda_runtime_api.h>

#ifdef __cplusplus
extern "C" {
#endif

#include "cuda/form.h"
#include "nn/backend.h"

/* device.h */
int tw_cuda_check(cudaError_t status, const char *call);

/* elementwise.cu */
int tw_launch_from_f32(void *y, const float *x, int64_t n, tw_dtype t, cudaStream_t stream);
int tw_launch_to_f32(float *y, const void *x, int64_t n, tw_dtype t, cudaStream_t stream);
int tw_launch_pictures(void *y, const uint8_t *x, int64_t n, tw_dtype t, cudaStream_t stream);
int tw_launch_add(void *y, const void *x, int64_t n, tw_dtype t, cudaStream_t stream);
int tw_launch_gelu(void *y, const void *x, int64_t n, tw_dtype t, cudaStream_t stream);
int tw_launch_gelu_backward(void *dx, const void *dy, const void *x, int64_t n, tw_dtype t, cudaStream_t stream);

/* dropout.cu */
/* step: number of the step in device memory, used instead of drop->step; or NULL */
int tw_launch_dropout(const tw_drop *drop, const int64_t *step, void *y, const void *x, int rows, int C, tw_dtype t, cudaStream_t stream);
/* residual_forward; shortcut NULL: taken as 0, which makes it residual_backward. N samples of `each` elements */
int tw_launch_residual(const tw_drop *drop, const int64_t *step, void *y, const void *x, const void *shortcut, int N, int64_t each, tw_dtype t,
                       cudaStream_t stream);

/* attention.cu: for widths up to TW_ATTENTION_WIDTH. rows: room for N*heads*T floats */
enum { TW_ATTENTION_WIDTH = 256 };
int tw_launch_attention(const tw_attention *a, void *y, const void *qkv, tw_dtype t, cudaStream_t stream);
int tw_launch_attention_backward(const tw_attention *a, float *rows, void *dqkv, const void *dy, const void *y, const void *qkv, tw_dtype t,
                                 cudaStream_t stream);

/* tokens.cu. base: room for (1+patches)*C floats; partial: for tw_tokens_partials(k) floats */
size_t tw_tokens_partials(const tw_tokens *k);
int tw_launch_tokens(const tw_tokens *k, float *base, void *y, const void *x, tw_dtype t, cudaStream_t stream);
int tw_launch_tokens_backward(const tw_tokens *k, float *partial, void *dx, float *dbias, float *dcls, float *dpos, const void *dy, tw_dtype t,
                              cudaStream_t stream);
int tw_launch_token_mean(void *y, const void *x, int N, int tokens, int C, int first, int count, tw_dtype t, cudaStream_t stream);
int tw_launch_token_mean_backward(void *dx, const void *dy, int N, int tokens, int C, int first, int count, tw_dtype t, cudaStream_t stream);
int tw_launch_join(void *y, const void *a, const void *b, int N, int A, int B, tw_dtype t, cudaStream_t stream);

/* Whether statistics are this rank's alone: then they are computed together with the sums. */
static inline bool tw_norm_alone(const tw_norm *n)
{
    return n->count == n->rows;
}

/* norm.cu. partial: room for tw_norm_partials(n, t) doubles. */
size_t tw_norm_partials(const tw_norm *n, tw_dtype t);
int tw_launch_norm_sums(const tw_norm *n, double *partial, const void *x, tw_dtype t, cudaStream_t stream);
/* n->sums: finish: from the partial sums of `down` blocks, [down,2,C], of the forward or backward pass; take_sums: from sum and squares, [C] each.
 * Then also: forward, if tw_norm_alone: the statistics; backward: the gradients of gamma and beta. */
int tw_launch_norm_finish(const tw_norm *n, const double *partial, int down, bool backward, cudaStream_t stream);
int tw_launch_norm_take_sums(const tw_norm *n, const float *sum, const float *squares, cudaStream_t stream);
int tw_launch_norm_statistics(const tw_norm *n, cudaStream_t stream);
int tw_launch_norm_running(const tw_norm *n, cudaStream_t stream);
/* scale, offset [C], of type t, such that norm_apply without shortcut and ReLU is x scale + offset */
int tw_launch_norm_line(const tw_norm *n, void *scale, void *offset, tw_dtype t, cudaStream_t stream);
/* aside NULL: norm_apply (shortcut may be NULL); else norm_apply_two, with shortcut as aside_x */
int tw_launch_norm_apply(const tw_norm *n, void *y, const void *x, const tw_norm *aside, const void *shortcut, tw_dtype t, cudaStream_t stream);
size_t tw_norm_mask_bytes(int64_t rows, int C, tw_dtype t); /* a mask byte per thread's channels: 16 bytes of activations, or one channel */
int tw_launch_norm_backward_sums(const tw_norm *n, double *partial, void *dy, const void *dy2, const void *y, const void *x, tw_dtype t,
                                 cudaStream_t stream);
int tw_launch_norm_backward_apply(const tw_norm *n, void *dx, const void *dy, const void *x, tw_dtype t, cudaStream_t stream);

/* norm_max.cu: windows of 3 x 3 with stride 2 and padding 1 only. partial: as above. */
int tw_launch_norm_max(const tw_norm *n, const tw_pool_shape *s, void *y, uint8_t *pick, const void *x, tw_dtype t, cudaStream_t stream);
int tw_launch_norm_max_backward_sums(const tw_norm *n, const tw_pool_shape *s, double *partial, const uint8_t *pick, const void *dy, const void *x,
                                     tw_dtype t, cudaStream_t stream);
int tw_launch_norm_max_backward_apply(const tw_norm *n, const tw_pool_shape *s, void *dx, const uint8_t *pick, const void *dy, const void *x,
                                      tw_dtype t, cudaStream_t stream);

/* layer_norm.cu. relu: y = x where by > 0 (forward: or by is NaN), else 0 */
int tw_launch_layer_norm(const tw_layer_norm *n, void *y, const void *x, tw_dtype t, cudaStream_t stream);
size_t tw_layer_norm_partials(const tw_layer_norm *n); /* floats of partial */
int tw_launch_layer_norm_backward(const tw_layer_norm *n, float *partial, void *dx, float *dgamma, float *dbeta, const void *dy, const void *x,
                                  tw_dtype t, cudaStream_t stream);
int tw_launch_relu(void *y, const void *x, const void *by, bool forward, int64_t n, tw_dtype t, cudaStream_t stream);

/* pool.cu */
int tw_launch_max_forward(const tw_pool_shape *s, void *y, uint8_t *pick, const void *x, tw_dtype t, cudaStream_t stream);
int tw_launch_mean_forward(void *y, const void *x, int N, int HW, int C, tw_dtype t, cudaStream_t stream);
int tw_launch_mean_backward(void *dx, const void *dy, int N, int HW, int C, tw_dtype t, cudaStream_t stream);

/* weights.cu: conversion between the plain layouts, f32 [K,C,side,side] and [N,H,W,C], and form.h's: [K,size,size,P] and [N,H,W,P]. */
int tw_launch_weights_in(void *y, const float *w, const tw_conv_form *f, tw_dtype t, cudaStream_t stream);
int tw_launch_weights_out(float *dw, const void *g, const tw_conv_form *f, tw_dtype t, cudaStream_t stream); /* dw += g */
int tw_launch_form(void *y, const void *x, const tw_conv_form *f, tw_dtype t, cudaStream_t stream);
int tw_launch_unform(void *y, const void *x, const tw_conv_form *f, tw_dtype t, cudaStream_t stream);
/* y [rows,K] += b; db [K] += the column sums of dy [rows,K], in an order that depends on the shape only. partial: tw_bias_partials floats */
int tw_launch_bias(void *y, const float *b, int64_t rows, int K, tw_dtype t, cudaStream_t stream);
size_t tw_bias_partials(int64_t rows, int K);
int tw_launch_bias_gradient(float *db, float *partial, const void *dy, int64_t rows, int K, tw_dtype t, cudaStream_t stream);

/* fold.cu. folded = w times the norm's scale, both f32 [n->C,each]; shift [n->C] */
int tw_launch_fold(float *folded, float *shift, const float *w, const tw_norm *n, int64_t each, cudaStream_t stream);

/* ranking.cu: see nn/backend.h */
int tw_launch_rows_largest(float *value, int32_t *at, const float *x, int rows, int n, int k, cudaStream_t stream);
int tw_launch_count_above(int32_t *count, const float *x, int stride, const float *limit, int rows, int n, cudaStream_t stream);
int tw_launch_list_above(float *value, int32_t *at, const int64_t *start, const float *x, int stride, const float *limit, int rows, int n,
                         cudaStream_t stream);
int tw_launch_cross_entropy(double *loss, float *z, const int32_t *label, int rows, int n, int C, cudaStream_t stream);
int tw_launch_gather_rows(float *y, const float *x, const uint64_t *number, int rows, int D, cudaStream_t stream);

/* optim.cu. partial: room for TW_SQUARES_PARTIALS doubles; sum: one double. */
enum { TW_SQUARES_PARTIALS = 512 };
int tw_launch_sum_squares(double *sum, double *partial, const float *x, int64_t n, cudaStream_t stream);
int tw_launch_momentum(float *w, float *v, const float *g, int64_t n, const tw_momentum *k, cudaStream_t stream);
int tw_launch_adamw(float *w, float *m, float *v, const float *g, int64_t n, const tw_adamw *k, cudaStream_t stream);
int tw_launch_average(float *y, const float *x, int64_t n, double keep, cudaStream_t stream);

#ifdef __cplusplus
}
#endif

#endif
