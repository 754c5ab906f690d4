/* cuDNN's graph interface: operation graphs built from descriptors, and execution plans for them. Building and planning need no GPU if `at`
 * describes one. */
#ifndef TW_CUDA_DNN_H
#define TW_CUDA_DNN_H

#include "core/tensor.h"

#include <cudnn.h>
#include <stdbool.h>

/* A graph being built. Errors are sticky: tw_dnn_finish reports them. tw_dnn_fini frees all descriptors. */
enum { TW_DNN_MOST = 96 };
typedef struct {
    cudnnBackendDescriptor_t own[TW_DNN_MOST], op[TW_DNN_MOST];
    int n, ops;
    bool failed;
} tw_dnn;

/* The device to plan for: a handle, or (handle NULL) the description of a device that is not present. */
typedef struct {
    cudnnHandle_t handle;
    cudnnBackendDescriptor_t device;
    bool exact; /* no engine that rounds f32 inputs to TF32 */
} tw_dnn_site;

cudnnDataType_t tw_dnn_type(tw_dtype t);

/* A tensor [N,C,H,W] stored as [N,H,W,C]; filters [K,C,size,size] as [K,size,size,C]. uid: identifies the operand when the plan is run; a virtual
 * tensor exists between operations only. */
cudnnBackendDescriptor_t tw_dnn_tensor(tw_dnn *b, int64_t uid, cudnnDataType_t type, int N, int C, int H, int W, bool is_virtual);
/* A tensor by its strides, in elements; memory is aligned to 16 bytes. TW_DNN_VALUE: one number in host memory, read when the plan is run. */
typedef enum { TW_DNN_MEMORY, TW_DNN_VIRTUAL, TW_DNN_VALUE } tw_dnn_kind;
cudnnBackendDescriptor_t tw_dnn_view(tw_dnn *b, int64_t uid, cudnnDataType_t type, const int64_t dim[4], const int64_t stride[4],
                                     tw_dnn_kind kind);
/* A row-major [m,n] matrix; across: the [m,n] transposed view of a row-major [n,m]. Rows in memory are aligned to 16 bytes. */
cudnnBackendDescriptor_t tw_dnn_matrix(tw_dnn *b, int64_t uid, cudnnDataType_t type, int m, int n, bool across, tw_dnn_kind kind);

typedef enum { TW_DNN_FORWARD, TW_DNN_DATA, TW_DNN_WEIGHTS } tw_dnn_pass;
/* A convolution with `before` and `after` rows and columns of padding. FORWARD: y from x, w; DATA: dx (given as x) from dy (as y), w; WEIGHTS: dw
 * (as w) from x, dy (as y). */
void tw_dnn_conv(tw_dnn *b, tw_dnn_pass pass, int before, int after, int stride, cudnnBackendDescriptor_t x, cudnnBackendDescriptor_t w,
                 cudnnBackendDescriptor_t y);
/* y = mode(x) or mode(x, other), elementwise in f32, rounded to y's type; dimensions of size 1 are broadcast. */
void tw_dnn_pointwise(tw_dnn *b, cudnnPointwiseMode_t mode, cudnnBackendDescriptor_t x, cudnnBackendDescriptor_t other,
                      cudnnBackendDescriptor_t y);
/* dx = dy times the derivative of a function (mode CUDNN_POINTWISE_..._BWD) at x. */
void tw_dnn_slope(tw_dnn *b, cudnnPointwiseMode_t mode, cudnnBackendDescriptor_t dy, cudnnBackendDescriptor_t x, cudnnBackendDescriptor_t dx);
/* Reduces x over the dimensions in which y has size 1. */
void tw_dnn_reduce(tw_dnn *b, cudnnReduceTensorOp_t by, cudnnBackendDescriptor_t x, cudnnBackendDescriptor_t y);
/* sum, squares f32 [1,C,1,1]: sums of x and of x^2 per channel. */
void tw_dnn_statistics(tw_dnn *b, cudnnBackendDescriptor_t x, cudnnBackendDescriptor_t sum, cudnnBackendDescriptor_t squares);
/* y [..,m,n] = x [..,m,k] w [..,k,n] */
void tw_dnn_product(tw_dnn *b, cudnnBackendDescriptor_t x, cudnnBackendDescriptor_t w, cudnnBackendDescriptor_t y);
void tw_dnn_reshape(tw_dnn *b, cudnnBackendDescriptor_t x, cudnnBackendDescriptor_t y); /* y: x's memory with y's strides */

/* The graph of the operations added, to be freed with b. NULL: refused; tw_error() tells. */
cudnnBackendDescriptor_t tw_dnn_finish(tw_dnn *b, const tw_dnn_site *at);
void tw_dnn_fini(tw_dnn *b);

/* The description of a device as cuDNN writes it (CUDNN_ATTR_DEVICEPROP_JSON_REPRESENTATION). NULL and tw_error(). */
cudnnBackendDescriptor_t tw_dnn_device(const char *json);

/* Plans for the graph, at most `most`, in the order of cuDNN's heuristic (if that offers few, as for fusions, followed by its fallback), none that
 * needs more than `limit` bytes of workspace. Nondeterministic plans only if there is no other. At most three plans that must be compiled at
 * run time (half a second to two each), and none once there are four others. Returns their number; the caller destroys them. */
int tw_dnn_plans(cudnnBackendDescriptor_t *plan, int most, cudnnBackendDescriptor_t graph, const tw_dnn_site *at, size_t limit);
size_t tw_dnn_workspace(cudnnBackendDescriptor_t plan);

/* A plan as text, for the cache, and back. NULL: it cannot be written; the text is not a plan for this device. Free the text with free(). */
char *tw_dnn_save(cudnnBackendDescriptor_t plan);
cudnnBackendDescriptor_t tw_dnn_load(const char *text, const tw_dnn_site *at);

typedef struct {
    int64_t uid;
    void *memory;
} tw_dnn_operand;
/* Runs the plan on the handle's stream. 0, or -1 and tw_error(). */
int tw_dnn_run(cudnnHandle_t handle, cudnnBackendDescriptor_t plan, const tw_dnn_operand *operand, int n, void *workspace);

#endif
