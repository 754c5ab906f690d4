/* The table that libtwist-cpu.so exports. */
#include "cpu/ops.h"

#include "core/error.h"

extern const tw_backend tw_backend_cpu;

const tw_backend tw_backend_cpu = {
    .version = TW_BACKEND_VERSION,
    .name = "cpu",
    .error = tw_error,
    .open = tw_cpu_open,
    .close = tw_cpu_close,
    .enter = tw_cpu_enter,
    .alloc = tw_cpu_alloc,
    .release = tw_cpu_release,
    .from_f32 = tw_cpu_from_f32,
    .to_f32 = tw_cpu_to_f32,
    .pictures = tw_cpu_pictures,
    .add = tw_cpu_add,
    .conv_new = tw_cpu_conv_new,
    .conv_free = tw_cpu_conv_free,
    .conv_bytes = tw_cpu_conv_bytes,
    .conv_weights = tw_cpu_conv_weights,
    .conv_forward = tw_cpu_conv_forward,
    .conv_backward_data = tw_cpu_conv_backward_data,
    .conv_backward_weights = tw_cpu_conv_backward_weights,
    .linear_new = tw_cpu_linear_new,
    .linear_free = tw_cpu_linear_free,
    .linear_bytes = tw_cpu_linear_bytes,
    .linear_weights = tw_cpu_linear_weights,
    .linear_forward = tw_cpu_linear_forward,
    .linear_backward_data = tw_cpu_linear_backward_data,
    .linear_backward_weights = tw_cpu_linear_backward_weights,
    .norm_sums = tw_cpu_norm_sums,
    .norm_statistics = tw_cpu_norm_statistics,
    .norm_running = tw_cpu_norm_running,
    .norm_apply = tw_cpu_norm_apply,
    .norm_backward_sums = tw_cpu_norm_backward_sums,
    .norm_backward_params = tw_cpu_norm_backward_params,
    .norm_backward_apply = tw_cpu_norm_backward_apply,
    .max_forward = tw_cpu_max_forward,
    .max_backward = tw_cpu_max_backward,
    .mean_forward = tw_cpu_mean_forward,
    .mean_backward = tw_cpu_mean_backward,
    .gelu_forward = tw_cpu_gelu_forward,
    .gelu_backward = tw_cpu_gelu_backward,
    .dropout = tw_cpu_dropout,
};
