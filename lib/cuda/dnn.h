/* cuDNN's graph interface: operation graphs from descriptors, execution plans for them. What follows needs no device where `at`
 * says what device to plan for. */
#ifndef TW_CUDA_DNN_H
#define TW_CUDA_DNN_H

#include "core/tensor.h"

#include <cudnn.h>
#include <stdbool.h>

/* A graph being built. Errors are sticky: tw_dnn_finish tells. All descriptors are freed together. */
enum { TW_DNN_MOST = 96 };
typedef struct {
    cudnnBackendDescriptor_t own[TW_DNN_MOST], op[TW_DNN_MOST];
    int n, ops;
    bool failed;
} tw_dnn;

/* Where plans run: a handle, or (handle NULL) a description of a device that is not here. */
typedef struct {
    cudnnHandle_t handle;
    cudnnBackendDescriptor_t device;
    bool exact; /* f32 in f32: no engine that rounds its input to TF32 */
} tw_dnn_site;

cudnnDataType_t tw_dnn_type(tw_dtype t);

/* A tensor [N,C,H,W] whose memory is [N,H,W,C]; filters [K,C,size,size] are [K,size,size,C]. uid: its name when the plan is run; virtual
 * ones exist between operations only. */
cudnnBackendDescriptor_t tw_dnn_tensor(tw_dnn *b, int64_t uid, cudnnDataType_t type, int N, int C, int H, int W, bool is_virtual);
/* A tensor by its strides, in numbers; memory begins at whole 16 bytes. A value is one number in host memory, read when the plan is run. */
typedef enum { TW_DNN_MEMORY, TW_DNN_VIRTUAL, TW_DNN_VALUE } tw_dnn_kind;
cudnnBackendDescriptor_t tw_dnn_view(tw_dnn *b, int64_t uid, cudnnDataType_t type, const int64_t dim[4], const int64_t stride[4],
                                     tw_dnn_kind kind);
/* [m,n] of a row-major matrix; across: of a row-major [n,m]. Rows in memory begin at whole 16 bytes. */
cudnnBackendDescriptor_t tw_dnn_matrix(tw_dnn *b, int64_t uid, cudnnDataType_t type, int m, int n, bool across, tw_dnn_kind kind);

typedef enum { TW_DNN_FORWARD, TW_DNN_DATA, TW_DNN_WEIGHTS } tw_dnn_pass;
/* A convolution, `before` and `after` rows and columns of padding: y from x and w; dx from dy and w (given as x and y); dw from x and dy (given as
 * w and y). */
void tw_dnn_conv(tw_dnn *b, tw_dnn_pass pass, int before, int after, int stride, cudnnBackendDescriptor_t x, cudnnBackendDescriptor_t w,
                 cudnnBackendDescriptor_t y);
void tw_dnn_identity(tw_dnn *b, cudnnBackendDescriptor_t x, cudnnBackendDescriptor_t y); /* y = x in its own type */
/* y = x or x with other, number by number in f32, rounded to y's own type; what has one number where the other has many is repeated. */
void tw_dnn_pointwise(tw_dnn *b, cudnnPointwiseMode_t mode, cudnnBackendDescriptor_t x, cudnnBackendDescriptor_t other,
                      cudnnBackendDescriptor_t y);
/* dx = dy times the slope of a function (CUDNN_POINTWISE_..._BWD) at x. */
void tw_dnn_slope(tw_dnn *b, cudnnPointwiseMode_t mode, cudnnBackendDescriptor_t dy, cudnnBackendDescriptor_t x, cudnnBackendDescriptor_t dx);
/* Over the dimensions of which y has one. */
void tw_dnn_reduce(tw_dnn *b, cudnnReduceTensorOp_t by, cudnnBackendDescriptor_t x, cudnnBackendDescriptor_t y);
/* sum, squares f32 [1,C,1,1]: of x and of its squares in each channel. */
void tw_dnn_statistics(tw_dnn *b, cudnnBackendDescriptor_t x, cudnnBackendDescriptor_t sum, cudnnBackendDescriptor_t squares);
/* y [..,m,n] = x [..,m,k] w [..,k,n] */
void tw_dnn_product(tw_dnn *b, cudnnBackendDescriptor_t x, cudnnBackendDescriptor_t w, cudnnBackendDescriptor_t y);
void tw_dnn_reshape(tw_dnn *b, cudnnBackendDescriptor_t x, cudnnBackendDescriptor_t y); /* the same memory by y's strides */

/* The graph of the operations added, to be freed with b. NULL: refused; tw_error() tells. */
cudnnBackendDescriptor_t tw_dnn_finish(tw_dnn *b, const tw_dnn_site *at);
void tw_dnn_fini(tw_dnn *b);

/* The description of a device as cuDNN writes it (CUDNN_ATTR_DEVICEPROP_JSON_REPRESENTATION). NULL and tw_error(). */
cudnnBackendDescriptor_t tw_dnn_device(const char *json);

/* Plans for the graph by the heuristic's order (where it offers few, as of fusions, the general ones behind them), at most `most`, none that
 * wants more than `limit` bytes of workspace. Plans whose results may differ from run to run come only where there is no other; of those
 * that must be compiled first (half a second to two each) no more than three, and none behind four others. Returns their number; the caller
 * destroys them. */
int tw_dnn_plans(cudnnBackendDescriptor_t *plan, int most, cudnnBackendDescriptor_t graph, const tw_dnn_site *at, size_t limit);
size_t tw_dnn_workspace(cudnnBackendDescriptor_t plan);

/* A plan as text and back: what a cache keeps. NULL: it cannot be written; it is not for this device. Free the text with free(). */
char *tw_dnn_save(cudnnBackendDescriptor_t plan);
cudnnBackendDescriptor_t tw_dnn_load(const char *text, const tw_dnn_site *at);

typedef struct {
    int64_t uid;
    void *memory;
} tw_dnn_operand;
/* Runs the plan on the handle's stream. 0, or -1 and tw_error(). */
int tw_dnn_run(cudnnHandle_t handle, cudnnBackendDescriptor_t plan, const tw_dnn_operand *operand, int n, void *workspace);

#endif
