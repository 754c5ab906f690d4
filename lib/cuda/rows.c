/* Entries of the table that only call a kernel, with scratch memory where it needs some. */
#include "cuda/ops.h"

#include "core/error.h"
#include "cuda/device.h"
#include "cuda/launch.h"
#include "cuda/peers.h"

#include <string.h>

/* To be called before copies from or to memory that is not pinned, which wait for the stream: if that may hang on other ranks, waits with a time
 * limit first. */
static int watched(tw_dev *d)
{
    return d->peers != NULL ? tw_peers_watch(d, d->patience) : 0;
}

int tw_cuda_upload(tw_dev *d, void *to, const void *from, size_t bytes)
{
    if (watched(d) != 0 || TW_CUDA(cudaMemcpyAsync(to, from, bytes, cudaMemcpyHostToDevice, d->stream)) != 0)
        return -1;
    return TW_CUDA(cudaStreamSynchronize(d->stream)); /* afterwards the caller may change the source, also if it is pinned */
}

int tw_cuda_upload_pinned(tw_dev *d, void *to, const void *from, size_t bytes)
{
    return TW_CUDA(cudaMemcpyAsync(to, from, bytes, cudaMemcpyHostToDevice, d->stream));
}

int tw_cuda_pin(tw_dev *d, void *p, size_t bytes)
{
    (void)d;
    return TW_CUDA(cudaHostRegister(p, bytes, cudaHostRegisterDefault));
}

void tw_cuda_unpin(tw_dev *d, void *p)
{
    (void)d;
    cudaHostUnregister(p);
}

int tw_cuda_download(tw_dev *d, void *to, const void *from, size_t bytes)
{
    if (watched(d) != 0 || TW_CUDA(cudaMemcpyAsync(to, from, bytes, cudaMemcpyDeviceToHost, d->stream)) != 0)
        return -1;
    return TW_CUDA(cudaStreamSynchronize(d->stream));
}

int tw_cuda_copy(tw_dev *d, void *to, const void *from, size_t bytes)
{
    return TW_CUDA(cudaMemcpyAsync(to, from, bytes, cudaMemcpyDeviceToDevice, d->stream));
}

int tw_cuda_zero(tw_dev *d, void *p, size_t bytes)
{
    return TW_CUDA(cudaMemsetAsync(p, 0, bytes, d->stream));
}

int tw_cuda_from_f32(tw_dev *d, void *y, const float *x, size_t n)
{
    if (d->precision == TW_F32)
        return tw_cuda_upload(d, y, x, n * sizeof *x);
    float *wide = tw_dev_scratch(d, TW_SCRATCH_PARTIAL, n * sizeof *wide);
    if (wide == NULL || tw_cuda_upload(d, wide, x, n * sizeof *wide) != 0)
        return -1;
    return tw_launch_from_f32(y, wide, (int64_t)n, d->precision, d->stream);
}

int tw_cuda_to_f32(tw_dev *d, float *y, const void *x, size_t n)
{
    if (d->precision == TW_F32)
        return tw_cuda_download(d, y, x, n * sizeof *y);
    float *wide = tw_dev_scratch(d, TW_SCRATCH_PARTIAL, n * sizeof *wide);
    if (wide == NULL || tw_launch_to_f32(wide, x, (int64_t)n, d->precision, d->stream) != 0)
        return -1;
    return tw_cuda_download(d, y, wide, n * sizeof *y);
}

int tw_cuda_pictures(tw_dev *d, void *y, const uint8_t *x, size_t pixels)
{
    return tw_launch_pictures(y, x, (int64_t)(3 * pixels), d->precision, d->stream);
}

int tw_cuda_add(tw_dev *d, void *y, const void *x, size_t n)
{
    return tw_launch_add(y, x, (int64_t)n, d->precision, d->stream);
}

int tw_cuda_gelu_forward(tw_dev *d, void *y, const void *x, size_t n)
{
    return tw_launch_gelu(y, x, (int64_t)n, d->precision, d->stream);
}

int tw_cuda_gelu_backward(tw_dev *d, void *dx, const void *dy, const void *x, size_t n)
{
    return tw_launch_gelu_backward(dx, dy, x, (int64_t)n, d->precision, d->stream);
}

int tw_cuda_dropout(tw_dev *d, const tw_drop *drop, void *y, const void *x, int rows, int C)
{
    return tw_launch_dropout(drop, d->step, y, x, rows, C, d->precision, d->stream);
}

int tw_cuda_residual_forward(tw_dev *d, const tw_drop *drop, void *y, const void *x, const void *shortcut, int N, size_t each)
{
    return tw_launch_residual(drop, d->step, y, x, shortcut, N, (int64_t)each, d->precision, d->stream);
}

int tw_cuda_residual_backward(tw_dev *d, const tw_drop *drop, void *dx, const void *dy, int N, size_t each)
{
    return tw_launch_residual(drop, d->step, dx, dy, NULL, N, (int64_t)each, d->precision, d->stream);
}

int tw_cuda_tokens_forward(tw_dev *d, const tw_tokens *t, void *y, const void *x)
{
    float *base = tw_dev_scratch(d, TW_SCRATCH_PARTIAL, (size_t)(1 + t->patches) * (size_t)t->C * sizeof *base);
    return base == NULL ? -1 : tw_launch_tokens(t, base, y, x, d->precision, d->stream);
}

int tw_cuda_tokens_backward(tw_dev *d, const tw_tokens *t, void *dx, float *dbias, float *dcls, float *dpos, const void *dy)
{
    float *partial = tw_dev_scratch(d, TW_SCRATCH_PARTIAL, tw_tokens_partials(t) * sizeof *partial);
    return partial == NULL ? -1 : tw_launch_tokens_backward(t, partial, dx, dbias, dcls, dpos, dy, d->precision, d->stream);
}

int tw_cuda_token_mean_forward(tw_dev *d, void *y, const void *x, int N, int T, int C, int first, int count)
{
    return tw_launch_token_mean(y, x, N, T, C, first, count, d->precision, d->stream);
}

int tw_cuda_token_mean_backward(tw_dev *d, void *dx, const void *dy, int N, int T, int C, int first, int count)
{
    return tw_launch_token_mean_backward(dx, dy, N, T, C, first, count, d->precision, d->stream);
}

int tw_cuda_join(tw_dev *d, void *y, const void *a, const void *b, int N, int A, int B)
{
    return tw_launch_join(y, a, b, N, A, B, d->precision, d->stream);
}

static double *norm_partials(tw_dev *d, const tw_norm *n)
{
    return tw_dev_scratch(d, TW_SCRATCH_PARTIAL, tw_norm_partials(n, d->precision) * sizeof(double));
}

int tw_cuda_norm_sums(tw_dev *d, const tw_norm *n, const void *x)
{
    double *partial = norm_partials(d, n);
    return partial == NULL ? -1 : tw_launch_norm_sums(n, partial, x, d->precision, d->stream);
}

int tw_cuda_norm_statistics(tw_dev *d, const tw_norm *n)
{
    return tw_norm_alone(n) ? 0 : tw_launch_norm_statistics(n, d->stream);
}

int tw_cuda_norm_running(tw_dev *d, const tw_norm *n)
{
    return tw_launch_norm_running(n, d->stream);
}

int tw_cuda_norm_apply(tw_dev *d, const tw_norm *n, void *y, const void *x, const void *shortcut)
{
    return tw_launch_norm_apply(n, y, x, NULL, shortcut, d->precision, d->stream);
}

int tw_cuda_norm_apply_two(tw_dev *d, const tw_norm *n, void *y, const void *x, const tw_norm *aside, const void *aside_x)
{
    return tw_launch_norm_apply(n, y, x, aside, aside_x, d->precision, d->stream);
}

size_t tw_cuda_norm_mask_bytes(tw_dev *d, int64_t rows, int C)
{
    return tw_norm_mask_bytes(rows, C, d->precision);
}

int tw_cuda_norm_backward_sums(tw_dev *d, const tw_norm *n, void *dy, const void *dy2, const void *y, const void *x)
{
    double *partial = norm_partials(d, n);
    return partial == NULL ? -1 : tw_launch_norm_backward_sums(n, partial, dy, dy2, y, x, d->precision, d->stream);
}

int tw_cuda_norm_backward_apply(tw_dev *d, const tw_norm *n, void *dx, const void *dy, const void *x)
{
    return tw_launch_norm_backward_apply(n, dx, dy, x, d->precision, d->stream);
}

static int check_windows(const tw_pool_shape *s)
{
    if (s->size != 3 || s->stride != 2 || s->pad != 1)
        return tw_fail("max pooling after a norm: not supported with windows of %d x %d pixels, stride %d, padding %d", s->size, s->size,
                       s->stride, s->pad);
    return (int64_t)s->N * s->H * s->W <= UINT32_MAX ? 0 : tw_fail("max pooling of %d pictures of %d x %d: too many pixels", s->N, s->H, s->W);
}

int tw_cuda_norm_max_forward(tw_dev *d, const tw_norm *n, const tw_pool_shape *s, void *y, uint8_t *pick, const void *x)
{
    return check_windows(s) != 0 ? -1 : tw_launch_norm_max(n, s, y, pick, x, d->precision, d->stream);
}

int tw_cuda_norm_max_backward_sums(tw_dev *d, const tw_norm *n, const tw_pool_shape *s, const uint8_t *pick, const void *dy, const void *x)
{
    double *partial = norm_partials(d, n);
    return partial == NULL ? -1 : tw_launch_norm_max_backward_sums(n, s, partial, pick, dy, x, d->precision, d->stream);
}

int tw_cuda_norm_max_backward_apply(tw_dev *d, const tw_norm *n, const tw_pool_shape *s, void *dx, const uint8_t *pick, const void *dy, const void *x)
{
    return tw_launch_norm_max_backward_apply(n, s, dx, pick, dy, x, d->precision, d->stream);
}

int tw_cuda_layer_norm_forward(tw_dev *d, const tw_layer_norm *n, void *y, const void *x)
{
    return tw_launch_layer_norm(n, y, x, d->precision, d->stream);
}

int tw_cuda_layer_norm_backward(tw_dev *d, const tw_layer_norm *n, void *dx, float *dgamma, float *dbeta, const void *dy, const void *x)
{
    float *partial = tw_dev_scratch(d, TW_SCRATCH_PARTIAL, tw_layer_norm_partials(n) * sizeof *partial);
    return partial == NULL ? -1 : tw_launch_layer_norm_backward(n, partial, dx, dgamma, dbeta, dy, x, d->precision, d->stream);
}

int tw_cuda_relu_forward(tw_dev *d, void *y, const void *x, size_t n)
{
    return tw_launch_relu(y, x, x, true, (int64_t)n, d->precision, d->stream);
}

int tw_cuda_relu_backward(tw_dev *d, void *dx, const void *dy, const void *x, size_t n)
{
    return tw_launch_relu(dx, dy, x, false, (int64_t)n, d->precision, d->stream);
}

int tw_cuda_max_forward(tw_dev *d, const tw_pool_shape *s, void *y, uint8_t *pick, const void *x)
{
    return tw_launch_max_forward(s, y, pick, x, d->precision, d->stream);
}

int tw_cuda_mean_forward(tw_dev *d, void *y, const void *x, int N, int HW, int C)
{
    return tw_launch_mean_forward(y, x, N, HW, C, d->precision, d->stream);
}

int tw_cuda_mean_backward(tw_dev *d, void *dx, const void *dy, int N, int HW, int C)
{
    return tw_launch_mean_backward(dx, dy, N, HW, C, d->precision, d->stream);
}

int tw_cuda_sum_squares(tw_dev *d, double *sum, const float *x, size_t n)
{
    double *partial = tw_dev_scratch(d, TW_SCRATCH_PARTIAL, (TW_SQUARES_PARTIALS + 1) * sizeof *partial);
    if (partial == NULL || tw_launch_sum_squares(partial + TW_SQUARES_PARTIALS, partial, x, (int64_t)n, d->stream) != 0)
        return -1;
    return tw_cuda_download(d, sum, partial + TW_SQUARES_PARTIALS, sizeof *sum);
}

int tw_cuda_step_momentum(tw_dev *d, float *w, float *v, const float *g, size_t n, const tw_momentum *k)
{
    return tw_launch_momentum(w, v, g, (int64_t)n, k, d->stream);
}

int tw_cuda_step_adamw(tw_dev *d, float *w, float *m, float *v, const float *g, size_t n, const tw_adamw *k)
{
    return tw_launch_adamw(w, m, v, g, (int64_t)n, k, d->stream);
}

int tw_cuda_average(tw_dev *d, float *y, const float *x, size_t n, double keep)
{
    return tw_launch_average(y, x, (int64_t)n, keep, d->stream);
}

int tw_cuda_largest(tw_dev *d, float *value, int32_t *place, const float *x, int rows, int n, int k)
{
    return tw_launch_rows_largest(value, place, x, rows, n, k, d->stream);
}

int tw_cuda_count_above(tw_dev *d, int32_t *count, const float *x, int stride, const float *limit, int rows, int n)
{
    return tw_launch_count_above(count, x, stride, limit, rows, n, d->stream);
}

int tw_cuda_list_above(tw_dev *d, float *value, int32_t *place, const int64_t *start, const float *x, int stride, const float *limit, int rows,
                       int n)
{
    return tw_launch_list_above(value, place, start, x, stride, limit, rows, n, d->stream);
}

int tw_cuda_cross_entropy(tw_dev *d, double *loss, float *z, const int32_t *label, int rows, int n, int C)
{
    return tw_launch_cross_entropy(loss, z, label, rows, n, C, d->stream);
}

int tw_cuda_gather_rows(tw_dev *d, float *y, const float *x, const uint64_t *number, int rows, int D)
{
    return tw_launch_gather_rows(y, x, number, rows, D, d->stream);
}
