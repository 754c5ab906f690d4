/* The functions behind the table in backend.c; their contracts are in nn/backend.h. */
#ifndef TW_CUDA_OPS_H
#define TW_CUDA_OPS_H

#include "nn/backend.h"

#ifdef __cplusplus
extern "C" {
#endif

int tw_cuda_devices(void);
bool tw_cuda_computes(tw_dtype precision);
tw_dev *tw_cuda_open(tw_dtype precision, int threads);
void tw_cuda_close(tw_dev *d);
void tw_cuda_enter(tw_dev *d);
void *tw_cuda_alloc(tw_dev *d, size_t bytes);
void tw_cuda_release(tw_dev *d, void *p);
int tw_cuda_upload(tw_dev *d, void *to, const void *from, size_t bytes);
int tw_cuda_download(tw_dev *d, void *to, const void *from, size_t bytes);
int tw_cuda_copy(tw_dev *d, void *to, const void *from, size_t bytes);
int tw_cuda_zero(tw_dev *d, void *p, size_t bytes);

int tw_cuda_from_f32(tw_dev *d, void *y, const float *x, size_t n);
int tw_cuda_to_f32(tw_dev *d, float *y, const void *x, size_t n);
int tw_cuda_pictures(tw_dev *d, void *y, const uint8_t *x, size_t pixels);
int tw_cuda_add(tw_dev *d, void *y, const void *x, size_t n);

tw_conv *tw_cuda_conv_new(tw_dev *d, const tw_conv_shape *s);
void tw_cuda_conv_free(tw_conv *c);
size_t tw_cuda_conv_bytes(const tw_conv *c);
int tw_cuda_conv_weights(tw_conv *c, const float *w);
int tw_cuda_conv_forward(tw_conv *c, void *y, const void *x);
int tw_cuda_conv_fold(tw_conv *c, const float *w, const tw_norm *n);
int tw_cuda_conv_folded(tw_conv *c, void *y, const void *x, const void *shortcut);
int tw_cuda_conv_backward_data(tw_conv *c, void *dx, const void *dy);
int tw_cuda_conv_norms(tw_dev *d, const tw_conv_shape *s);
int tw_cuda_conv_forward_norms(tw_conv *c, void *y, void *x, const tw_conv_norms *n);
int tw_cuda_conv_backward_weights_through(tw_conv *c, float *dw, const void *dy, const tw_conv_norms *n);
int tw_cuda_conv_backward_weights(tw_conv *c, float *dw, const void *x, const void *dy);

tw_linear *tw_cuda_linear_new(tw_dev *d, int rows, int C, int K, bool train);
void tw_cuda_linear_free(tw_linear *l);
size_t tw_cuda_linear_bytes(const tw_linear *l);
int tw_cuda_linear_weights(tw_linear *l, const float *w, const float *b);
int tw_cuda_linear_forward(tw_linear *l, void *y, const void *x);
int tw_cuda_linear_backward_data(tw_linear *l, void *dx, const void *dy);
int tw_cuda_linear_backward_weights(tw_linear *l, float *dw, float *db, const void *x, const void *dy);
int tw_cuda_linear_forward_add(tw_linear *l, void *y, const void *x, const void *shortcut);
int tw_cuda_linear_forward_gelu(tw_linear *l, void *z, void *y, const void *x);
int tw_cuda_linear_backward_gelu(tw_linear *l, void *dx, const void *dy, const void *before);

int tw_cuda_norm_sums(tw_dev *d, const tw_norm *n, const void *x);
int tw_cuda_norm_statistics(tw_dev *d, const tw_norm *n);
int tw_cuda_norm_running(tw_dev *d, const tw_norm *n);
int tw_cuda_norm_apply(tw_dev *d, const tw_norm *n, void *y, const void *x, const void *shortcut);
int tw_cuda_norm_apply_two(tw_dev *d, const tw_norm *n, void *y, const void *x, const tw_norm *aside, const void *aside_x);
size_t tw_cuda_norm_mask_bytes(tw_dev *d, int64_t rows, int C);
int tw_cuda_norm_backward_sums(tw_dev *d, const tw_norm *n, void *dy, const void *dy2, const void *y, const void *x);
int tw_cuda_norm_backward_apply(tw_dev *d, const tw_norm *n, void *dx, const void *dy, const void *x);

int tw_cuda_layer_norm_forward(tw_dev *d, const tw_layer_norm *n, void *y, const void *x);
int tw_cuda_layer_norm_backward(tw_dev *d, const tw_layer_norm *n, void *dx, float *dgamma, float *dbeta, const void *dy, const void *x);
int tw_cuda_relu_forward(tw_dev *d, void *y, const void *x, size_t n);
int tw_cuda_relu_backward(tw_dev *d, void *dx, const void *dy, const void *x, size_t n);

int tw_cuda_norm_max_forward(tw_dev *d, const tw_norm *n, const tw_pool_shape *s, void *y, uint8_t *pick, const void *x);
int tw_cuda_norm_max_backward_sums(tw_dev *d, const tw_norm *n, const tw_pool_shape *s, const uint8_t *pick, const void *dy, const void *x);
int tw_cuda_norm_max_backward_apply(tw_dev *d, const tw_norm *n, const tw_pool_shape *s, void *dx, const uint8_t *pick, const void *dy,
                                    const void *x);
int tw_cuda_max_forward(tw_dev *d, const tw_pool_shape *s, void *y, uint8_t *pick, const void *x);
int tw_cuda_mean_forward(tw_dev *d, void *y, const void *x, int N, int HW, int C);
int tw_cuda_mean_backward(tw_dev *d, void *dx, const void *dy, int N, int HW, int C);

int tw_cuda_attention_forward(tw_dev *d, const tw_attention *a, void *y, const void *qkv);
int tw_cuda_attention_backward(tw_dev *d, const tw_attention *a, void *dqkv, const void *dy, const void *y, const void *qkv);

int tw_cuda_tokens_forward(tw_dev *d, const tw_tokens *t, void *y, const void *x);
int tw_cuda_tokens_backward(tw_dev *d, const tw_tokens *t, void *dx, float *dbias, float *dcls, float *dpos, const void *dy);
int tw_cuda_token_mean_forward(tw_dev *d, void *y, const void *x, int N, int T, int C, int first, int count);
int tw_cuda_token_mean_backward(tw_dev *d, void *dx, const void *dy, int N, int T, int C, int first, int count);
int tw_cuda_join(tw_dev *d, void *y, const void *a, const void *b, int N, int A, int B);
int tw_cuda_residual_forward(tw_dev *d, const tw_drop *drop, void *y, const void *x, const void *shortcut, int N, size_t each);
int tw_cuda_residual_backward(tw_dev *d, const tw_drop *drop, void *dx, const void *dy, int N, size_t each);

int tw_cuda_gelu_forward(tw_dev *d, void *y, const void *x, size_t n);
int tw_cuda_gelu_backward(tw_dev *d, void *dx, const void *dy, const void *x, size_t n);
int tw_cuda_dropout(tw_dev *d, const tw_drop *drop, void *y, const void *x, int rows, int C);

int tw_cuda_sum_squares(tw_dev *d, double *sum, const float *x, size_t n);
int tw_cuda_step_momentum(tw_dev *d, float *w, float *v, const float *g, size_t n, const tw_momentum *k);
int tw_cuda_step_adamw(tw_dev *d, float *w, float *m, float *v, const float *g, size_t n, const tw_adamw *k);
int tw_cuda_average(tw_dev *d, float *y, const float *x, size_t n, double keep);

tw_peers *tw_cuda_peers_open(tw_dev *d, tw_comm *c, double patience);
void tw_cuda_peers_close(tw_peers *p);
int tw_cuda_peers_sum(tw_peers *p, void *x, size_t n, tw_dtype type);
int tw_cuda_peers_begin(tw_peers *p, float *x, size_t n);
int tw_cuda_peers_wait(tw_peers *p);

tw_learn *tw_cuda_learn_new(tw_dev *d, const tw_learn_config *c);
void tw_cuda_learn_free(tw_learn *l);
int tw_cuda_learn_begin(tw_learn *l, const tw_learn_numbers *n);
int tw_cuda_learn_labels(tw_learn *l, const int32_t *label);
int tw_cuda_learn_loss(tw_learn *l, void *dlogits, const void *logits, const void *raw, const void *teacher, bool self_label);
int tw_cuda_learn_update(tw_learn *l);
int tw_cuda_learn_results(tw_learn *l, tw_learn_results *r, int32_t *largest);
int tw_cuda_learn_record(tw_learn *l, int i, bool begin);
int tw_cuda_learn_play(tw_learn *l, int i);
int tw_cuda_pin(tw_dev *d, void *p, size_t bytes);
void tw_cuda_unpin(tw_dev *d, void *p);
int tw_cuda_upload_pinned(tw_dev *d, void *to, const void *from, size_t bytes);
int tw_cuda_upload_ahead(tw_dev *d, void *to, const void *from, size_t bytes);
int tw_cuda_to_f32_behind(tw_dev *d, float *y, float *between, const void *x, size_t n, int slot);
int tw_cuda_wait_for(tw_dev *d, int slot);

int tw_cuda_largest(tw_dev *d, float *value, int32_t *place, const float *x, int rows, int n, int k);
int tw_cuda_count_above(tw_dev *d, int32_t *count, const float *x, int stride, const float *limit, int rows, int n);
int tw_cuda_list_above(tw_dev *d, float *value, int32_t *place, const int64_t *start, const float *x, int stride, const float *limit, int rows,
                       int n);
int tw_cuda_cross_entropy(tw_dev *d, double *loss, float *z, const int32_t *label, int rows, int n, int C);
int tw_cuda_gather_rows(tw_dev *d, float *y, const float *x, const uint64_t *number, int rows, int D);

#ifdef __cplusplus
}
#endif

#endif
