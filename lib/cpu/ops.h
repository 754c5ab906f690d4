/* The functions behind the table in backend.c; their contracts are in nn/backend.h. */
#ifndef TW_CPU_OPS_H
#define TW_CPU_OPS_H

#include "nn/backend.h"

int tw_cpu_devices(void);
bool tw_cpu_computes(tw_dtype precision);
tw_dev *tw_cpu_open(tw_dtype precision, int threads);
void tw_cpu_close(tw_dev *d);
void tw_cpu_enter(tw_dev *d);
void *tw_cpu_alloc(tw_dev *d, size_t bytes);
void tw_cpu_release(tw_dev *d, void *p);
int tw_cpu_copy(tw_dev *d, void *to, const void *from, size_t bytes);
int tw_cpu_zero(tw_dev *d, void *p, size_t bytes);

int tw_cpu_from_f32(tw_dev *d, void *y, const float *x, size_t n);
int tw_cpu_to_f32(tw_dev *d, float *y, const void *x, size_t n);
int tw_cpu_pictures(tw_dev *d, void *y, const uint8_t *x, size_t pixels);
int tw_cpu_add(tw_dev *d, void *y, const void *x, size_t n);

tw_conv *tw_cpu_conv_new(tw_dev *d, const tw_conv_shape *s);
void tw_cpu_conv_free(tw_conv *c);
size_t tw_cpu_conv_bytes(const tw_conv *c);
int tw_cpu_conv_weights(tw_conv *c, const float *w);
int tw_cpu_conv_forward(tw_conv *c, void *y, const void *x);
int tw_cpu_conv_fold(tw_conv *c, const float *w, const tw_norm *n);
int tw_cpu_conv_folded(tw_conv *c, void *y, const void *x, const void *shortcut);
int tw_cpu_conv_backward_data(tw_conv *c, void *dx, const void *dy);
int tw_cpu_conv_norms(tw_dev *d, const tw_conv_shape *s);
int tw_cpu_conv_forward_norms(tw_conv *c, void *y, void *x, const tw_conv_norms *n);
int tw_cpu_conv_backward_norms(tw_conv *c, void *dx, void *dy, const tw_conv_norms *n);
int tw_cpu_conv_backward_weights(tw_conv *c, float *dw, const void *x, const void *dy);

tw_linear *tw_cpu_linear_new(tw_dev *d, int rows, int C, int K, bool train);
void tw_cpu_linear_free(tw_linear *l);
size_t tw_cpu_linear_bytes(const tw_linear *l);
int tw_cpu_linear_weights(tw_linear *l, const float *w, const float *b);
int tw_cpu_linear_forward(tw_linear *l, void *y, const void *x);
int tw_cpu_linear_backward_data(tw_linear *l, void *dx, const void *dy);
int tw_cpu_linear_backward_weights(tw_linear *l, float *dw, float *db, const void *x, const void *dy);

int tw_cpu_norm_sums(tw_dev *d, const tw_norm *n, const void *x);
int tw_cpu_norm_statistics(tw_dev *d, const tw_norm *n);
int tw_cpu_norm_running(tw_dev *d, const tw_norm *n);
int tw_cpu_norm_apply(tw_dev *d, const tw_norm *n, void *y, const void *x, const void *shortcut);
int tw_cpu_norm_backward_sums(tw_dev *d, const tw_norm *n, void *dy, const void *dy2, const void *y, const void *x);
int tw_cpu_norm_backward_apply(tw_dev *d, const tw_norm *n, void *dx, const void *dy, const void *x);

int tw_cpu_norm_max_forward(tw_dev *d, const tw_norm *n, const tw_pool_shape *s, void *y, uint8_t *pick, const void *x);
int tw_cpu_norm_max_backward_sums(tw_dev *d, const tw_norm *n, const tw_pool_shape *s, const uint8_t *pick, const void *dy, const void *x);
int tw_cpu_norm_max_backward_apply(tw_dev *d, const tw_norm *n, const tw_pool_shape *s, void *dx, const uint8_t *pick, const void *dy, const void *x);
int tw_cpu_max_forward(tw_dev *d, const tw_pool_shape *s, void *y, uint8_t *pick, const void *x);
int tw_cpu_max_backward(tw_dev *d, const tw_pool_shape *s, void *dx, const uint8_t *pick, const void *dy);
int tw_cpu_mean_forward(tw_dev *d, void *y, const void *x, int N, int HW, int C);
int tw_cpu_mean_backward(tw_dev *d, void *dx, const void *dy, int N, int HW, int C);

int tw_cpu_layer_norm_forward(tw_dev *d, const tw_layer_norm *n, void *y, const void *x);
int tw_cpu_layer_norm_backward(tw_dev *d, const tw_layer_norm *n, void *dx, float *dgamma, float *dbeta, const void *dy,
                               const void *x);
int tw_cpu_attention_forward(tw_dev *d, const tw_attention *a, void *y, const void *qkv);
int tw_cpu_attention_backward(tw_dev *d, const tw_attention *a, void *dqkv, const void *dy, const void *y, const void *qkv);
int tw_cpu_tokens_forward(tw_dev *d, const tw_tokens *t, void *y, const void *x);
int tw_cpu_tokens_backward(tw_dev *d, const tw_tokens *t, void *dx, float *dbias, float *dcls, float *dpos, const void *dy);
int tw_cpu_token_mean_forward(tw_dev *d, void *y, const void *x, int N, int T, int C, int first, int count);
int tw_cpu_token_mean_backward(tw_dev *d, void *dx, const void *dy, int N, int T, int C, int first, int count);
int tw_cpu_join(tw_dev *d, void *y, const void *a, const void *b, int N, int A, int B);
int tw_cpu_residual_forward(tw_dev *d, const tw_drop *drop, void *y, const void *x, const void *shortcut, int N, size_t each);
int tw_cpu_residual_backward(tw_dev *d, const tw_drop *drop, void *dx, const void *dy, int N, size_t each);

int tw_cpu_relu_forward(tw_dev *d, void *y, const void *x, size_t n);
int tw_cpu_relu_backward(tw_dev *d, void *dx, const void *dy, const void *x, size_t n);
int tw_cpu_gelu_forward(tw_dev *d, void *y, const void *x, size_t n);
int tw_cpu_gelu_backward(tw_dev *d, void *dx, const void *dy, const void *x, size_t n);
int tw_cpu_dropout(tw_dev *d, const tw_drop *drop, void *y, const void *x, int rows, int C);

int tw_cpu_sum_squares(tw_dev *d, double *sum, const float *x, size_t n);
int tw_cpu_step_momentum(tw_dev *d, float *w, float *v, const float *g, size_t n, const tw_momentum *k);
int tw_cpu_step_adamw(tw_dev *d, float *w, float *m, float *v, const float *g, size_t n, const tw_adamw *k);
int tw_cpu_average(tw_dev *d, float *y, const float *x, size_t n, double keep);

#endif
