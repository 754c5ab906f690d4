#include "cuda/dnn.h"

#include "core/mem.h"
#include "cuda/device.h"

#include <stdlib.h>
#include <string.h>

cudnnDataType_t tw_dnn_type(tw_dtype t)
{
    return t == TW_F32 ? CUDNN_DATA_FLOAT : t == TW_BF16 ? CUDNN_DATA_BFLOAT16 : CUDNN_DATA_HALF;
}

static cudnnBackendDescriptor_t add(tw_dnn *b, cudnnBackendDescriptorType_t type)
{
    cudnnBackendDescriptor_t d = NULL;
    if (b->failed)
        return NULL;
    if (b->n == TW_DNN_MOST || TW_CUDNN(cudnnBackendCreateDescriptor(type, &d)) != 0) {
        b->failed = true;
        return NULL;
    }
    b->own[b->n++] = d;
    return d;
}

static void set(tw_dnn *b, cudnnBackendDescriptor_t d, cudnnBackendAttributeName_t name, cudnnBackendAttributeType_t type, int64_t n,
                const void *value)
{
    if (!b->failed && TW_CUDNN(cudnnBackendSetAttribute(d, name, type, n, value)) != 0)
        b->failed = true;
}

static void set_desc(tw_dnn *b, cudnnBackendDescriptor_t d, cudnnBackendAttributeName_t name, cudnnBackendDescriptor_t value)
{
    set(b, d, name, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &value);
}

static void set_int(tw_dnn *b, cudnnBackendDescriptor_t d, cudnnBackendAttributeName_t name, int64_t value)
{
    set(b, d, name, CUDNN_TYPE_INT64, 1, &value);
}

static void finalize(tw_dnn *b, cudnnBackendDescriptor_t d)
{
    if (!b->failed && TW_CUDNN(cudnnBackendFinalize(d)) != 0)
        b->failed = true;
}

/* Alignment of a tensor's memory: the largest power of two that divides a pixel's bytes, at most 16. */
static int64_t alignment(cudnnDataType_t type, int C)
{
    int64_t bytes = (int64_t)C * (type == CUDNN_DATA_FLOAT ? 4 : 2), power = 16;
    while (bytes % power != 0)
        power /= 2;
    return power;
}

static cudnnBackendDescriptor_t tensor(tw_dnn *b, int64_t uid, cudnnDataType_t type, int dims, const int64_t *dim, const int64_t *stride,
                                       int64_t align, tw_dnn_kind kind)
{
    const bool yes = true;
    cudnnBackendDescriptor_t d = add(b, CUDNN_BACKEND_TENSOR_DESCRIPTOR);
    set_int(b, d, CUDNN_ATTR_TENSOR_UNIQUE_ID, uid);
    set(b, d, CUDNN_ATTR_TENSOR_DATA_TYPE, CUDNN_TYPE_DATA_TYPE, 1, &type);
    set_int(b, d, CUDNN_ATTR_TENSOR_BYTE_ALIGNMENT, align);
    set(b, d, CUDNN_ATTR_TENSOR_DIMENSIONS, CUDNN_TYPE_INT64, dims, dim);
    set(b, d, CUDNN_ATTR_TENSOR_STRIDES, CUDNN_TYPE_INT64, dims, stride);
    if (kind != TW_DNN_MEMORY)
        set(b, d, kind == TW_DNN_VIRTUAL ? CUDNN_ATTR_TENSOR_IS_VIRTUAL : CUDNN_ATTR_TENSOR_IS_BY_VALUE, CUDNN_TYPE_BOOLEAN, 1, &yes);
    finalize(b, d);
    return d;
}

cudnnBackendDescriptor_t tw_dnn_tensor(tw_dnn *b, int64_t uid, cudnnDataType_t type, int N, int C, int H, int W, bool is_virtual)
{
    const int64_t dim[4] = {N, C, H, W}, stride[4] = {(int64_t)H * W * C, 1, (int64_t)W * C, C};
    return tensor(b, uid, type, 4, dim, stride, alignment(type, C), is_virtual ? TW_DNN_VIRTUAL : TW_DNN_MEMORY);
}

cudnnBackendDescriptor_t tw_dnn_view(tw_dnn *b, int64_t uid, cudnnDataType_t type, const int64_t dim[4], const int64_t stride[4],
                                     tw_dnn_kind kind)
{
    return tensor(b, uid, type, 4, dim, stride, 16, kind);
}

cudnnBackendDescriptor_t tw_dnn_matrix(tw_dnn *b, int64_t uid, cudnnDataType_t type, int m, int n, bool across, tw_dnn_kind kind)
{
    const int64_t dim[3] = {1, m, n}, stride[3] = {(int64_t)m * n, across ? 1 : n, across ? m : 1};
    return tensor(b, uid, type, 3, dim, stride, 16, kind);
}

/* The descriptor of what an operation does, with f32 as compute type (attribute `precision`). To be finalized. */
static cudnnBackendDescriptor_t in_f32(tw_dnn *b, cudnnBackendDescriptorType_t type, cudnnBackendAttributeName_t precision)
{
    const cudnnDataType_t compute = CUDNN_DATA_FLOAT;
    cudnnBackendDescriptor_t d = add(b, type);
    set(b, d, precision, CUDNN_TYPE_DATA_TYPE, 1, &compute);
    return d;
}

static cudnnBackendDescriptor_t convolution(tw_dnn *b, int before, int after, int stride)
{
    const cudnnConvolutionMode_t mode = CUDNN_CROSS_CORRELATION;
    const int64_t pre[2] = {before, before}, post[2] = {after, after}, strides[2] = {stride, stride}, one[2] = {1, 1};
    cudnnBackendDescriptor_t d = in_f32(b, CUDNN_BACKEND_CONVOLUTION_DESCRIPTOR, CUDNN_ATTR_CONVOLUTION_COMP_TYPE);
    set(b, d, CUDNN_ATTR_CONVOLUTION_CONV_MODE, CUDNN_TYPE_CONVOLUTION_MODE, 1, &mode);
    set_int(b, d, CUDNN_ATTR_CONVOLUTION_SPATIAL_DIMS, 2);
    set(b, d, CUDNN_ATTR_CONVOLUTION_PRE_PADDINGS, CUDNN_TYPE_INT64, 2, pre);
    set(b, d, CUDNN_ATTR_CONVOLUTION_POST_PADDINGS, CUDNN_TYPE_INT64, 2, post);
    set(b, d, CUDNN_ATTR_CONVOLUTION_FILTER_STRIDES, CUDNN_TYPE_INT64, 2, strides);
    set(b, d, CUDNN_ATTR_CONVOLUTION_DILATIONS, CUDNN_TYPE_INT64, 2, one);
    finalize(b, d);
    return d;
}

/* The three passes' names for the same descriptors and attributes. */
static const struct {
    cudnnBackendDescriptorType_t type;
    cudnnBackendAttributeName_t conv, x, w, y, alpha, beta;
} pass_names[] = {
    [TW_DNN_FORWARD] = {CUDNN_BACKEND_OPERATION_CONVOLUTION_FORWARD_DESCRIPTOR, CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_CONV_DESC,
                        CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_X, CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_W,
                        CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_Y, CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_ALPHA,
                        CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_BETA},
    [TW_DNN_DATA] = {CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_DATA_DESCRIPTOR, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_CONV_DESC,
                     CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_DX, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_W,
                     CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_DY, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_ALPHA,
                     CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_BETA},
    [TW_DNN_WEIGHTS] = {CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_FILTER_DESCRIPTOR,
                        CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_CONV_DESC, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_X,
                        CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_DW, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_DY,
                        CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_ALPHA, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_BETA},
};

static void add_op(tw_dnn *b, cudnnBackendDescriptor_t d)
{
    finalize(b, d);
    if (!b->failed)
        b->op[b->ops++] = d;
}

void tw_dnn_conv(tw_dnn *b, tw_dnn_pass pass, int before, int after, int stride, cudnnBackendDescriptor_t x, cudnnBackendDescriptor_t w,
                 cudnnBackendDescriptor_t y)
{
    const float one = 1, zero = 0;
    cudnnBackendDescriptor_t conv = convolution(b, before, after, stride), d = add(b, pass_names[pass].type);
    set_desc(b, d, pass_names[pass].conv, conv);
    set_desc(b, d, pass_names[pass].x, x);
    set_desc(b, d, pass_names[pass].w, w);
    set_desc(b, d, pass_names[pass].y, y);
    set(b, d, pass_names[pass].alpha, CUDNN_TYPE_FLOAT, 1, &one);
    set(b, d, pass_names[pass].beta, CUDNN_TYPE_FLOAT, 1, &zero);
    add_op(b, d);
}

/* A pointwise operation, its tensors not yet set. */
static cudnnBackendDescriptor_t single(tw_dnn *b, cudnnPointwiseMode_t mode)
{
    cudnnBackendDescriptor_t p = in_f32(b, CUDNN_BACKEND_POINTWISE_DESCRIPTOR, CUDNN_ATTR_POINTWISE_MATH_PREC);
    set(b, p, CUDNN_ATTR_POINTWISE_MODE, CUDNN_TYPE_POINTWISE_MODE, 1, &mode);
    finalize(b, p);
    cudnnBackendDescriptor_t d = add(b, CUDNN_BACKEND_OPERATION_POINTWISE_DESCRIPTOR);
    set_desc(b, d, CUDNN_ATTR_OPERATION_POINTWISE_PW_DESCRIPTOR, p);
    return d;
}

void tw_dnn_pointwise(tw_dnn *b, cudnnPointwiseMode_t mode, cudnnBackendDescriptor_t x, cudnnBackendDescriptor_t other,
                      cudnnBackendDescriptor_t y)
{
    cudnnBackendDescriptor_t d = single(b, mode);
    set_desc(b, d, CUDNN_ATTR_OPERATION_POINTWISE_XDESC, x);
    if (other != NULL)
        set_desc(b, d, CUDNN_ATTR_OPERATION_POINTWISE_BDESC, other);
    set_desc(b, d, CUDNN_ATTR_OPERATION_POINTWISE_YDESC, y);
    add_op(b, d);
}

void tw_dnn_slope(tw_dnn *b, cudnnPointwiseMode_t mode, cudnnBackendDescriptor_t dy, cudnnBackendDescriptor_t x, cudnnBackendDescriptor_t dx)
{
    cudnnBackendDescriptor_t d = single(b, mode);
    set_desc(b, d, CUDNN_ATTR_OPERATION_POINTWISE_XDESC, x);
    set_desc(b, d, CUDNN_ATTR_OPERATION_POINTWISE_DYDESC, dy);
    set_desc(b, d, CUDNN_ATTR_OPERATION_POINTWISE_DXDESC, dx);
    add_op(b, d);
}

void tw_dnn_reduce(tw_dnn *b, cudnnReduceTensorOp_t by, cudnnBackendDescriptor_t x, cudnnBackendDescriptor_t y)
{
    cudnnBackendDescriptor_t r = in_f32(b, CUDNN_BACKEND_REDUCTION_DESCRIPTOR, CUDNN_ATTR_REDUCTION_COMP_TYPE);
    set(b, r, CUDNN_ATTR_REDUCTION_OPERATOR, CUDNN_TYPE_REDUCTION_OPERATOR_TYPE, 1, &by);
    finalize(b, r);
    cudnnBackendDescriptor_t d = add(b, CUDNN_BACKEND_OPERATION_REDUCTION_DESCRIPTOR);
    set_desc(b, d, CUDNN_ATTR_OPERATION_REDUCTION_DESC, r);
    set_desc(b, d, CUDNN_ATTR_OPERATION_REDUCTION_XDESC, x);
    set_desc(b, d, CUDNN_ATTR_OPERATION_REDUCTION_YDESC, y);
    add_op(b, d);
}

void tw_dnn_statistics(tw_dnn *b, cudnnBackendDescriptor_t x, cudnnBackendDescriptor_t sum, cudnnBackendDescriptor_t squares)
{
    const cudnnGenStatsMode_t mode = CUDNN_GENSTATS_SUM_SQSUM;
    cudnnBackendDescriptor_t d = in_f32(b, CUDNN_BACKEND_OPERATION_GEN_STATS_DESCRIPTOR, CUDNN_ATTR_OPERATION_GENSTATS_MATH_PREC);
    set(b, d, CUDNN_ATTR_OPERATION_GENSTATS_MODE, CUDNN_TYPE_GENSTATS_MODE, 1, &mode);
    set_desc(b, d, CUDNN_ATTR_OPERATION_GENSTATS_XDESC, x);
    set_desc(b, d, CUDNN_ATTR_OPERATION_GENSTATS_SUMDESC, sum);
    set_desc(b, d, CUDNN_ATTR_OPERATION_GENSTATS_SQSUMDESC, squares);
    add_op(b, d);
}

void tw_dnn_product(tw_dnn *b, cudnnBackendDescriptor_t x, cudnnBackendDescriptor_t w, cudnnBackendDescriptor_t y)
{
    cudnnBackendDescriptor_t m = in_f32(b, CUDNN_BACKEND_MATMUL_DESCRIPTOR, CUDNN_ATTR_MATMUL_COMP_TYPE);
    finalize(b, m);
    cudnnBackendDescriptor_t d = add(b, CUDNN_BACKEND_OPERATION_MATMUL_DESCRIPTOR);
    set_desc(b, d, CUDNN_ATTR_OPERATION_MATMUL_DESC, m);
    set_desc(b, d, CUDNN_ATTR_OPERATION_MATMUL_ADESC, x);
    set_desc(b, d, CUDNN_ATTR_OPERATION_MATMUL_BDESC, w);
    set_desc(b, d, CUDNN_ATTR_OPERATION_MATMUL_CDESC, y);
    add_op(b, d);
}

void tw_dnn_reshape(tw_dnn *b, cudnnBackendDescriptor_t x, cudnnBackendDescriptor_t y)
{
    cudnnBackendDescriptor_t d = add(b, CUDNN_BACKEND_OPERATION_RESHAPE_DESCRIPTOR);
    set_desc(b, d, CUDNN_ATTR_OPERATION_RESHAPE_XDESC, x);
    set_desc(b, d, CUDNN_ATTR_OPERATION_RESHAPE_YDESC, y);
    add_op(b, d);
}

cudnnBackendDescriptor_t tw_dnn_finish(tw_dnn *b, const tw_dnn_site *at)
{
    cudnnBackendDescriptor_t g = add(b, CUDNN_BACKEND_OPERATIONGRAPH_DESCRIPTOR);
    if (at->handle != NULL)
        set(b, g, CUDNN_ATTR_OPERATIONGRAPH_HANDLE, CUDNN_TYPE_HANDLE, 1, &at->handle);
    set(b, g, CUDNN_ATTR_OPERATIONGRAPH_OPS, CUDNN_TYPE_BACKEND_DESCRIPTOR, b->ops, b->op);
    finalize(b, g);
    return b->failed ? NULL : g;
}

void tw_dnn_fini(tw_dnn *b)
{
    while (b->n > 0)
        cudnnBackendDestroyDescriptor(b->own[--b->n]);
    *b = (tw_dnn){0};
}

static int set_one(cudnnBackendDescriptor_t d, cudnnBackendAttributeName_t name, cudnnBackendAttributeType_t type, const void *value)
{
    return TW_CUDNN(cudnnBackendSetAttribute(d, name, type, 1, value));
}

/* A new descriptor, to be finalized by seal. */
static cudnnBackendDescriptor_t make(cudnnBackendDescriptorType_t type)
{
    cudnnBackendDescriptor_t d = NULL;
    return TW_CUDNN(cudnnBackendCreateDescriptor(type, &d)) == 0 ? d : NULL;
}

static void destroy(cudnnBackendDescriptor_t d)
{
    if (d != NULL)
        cudnnBackendDestroyDescriptor(d);
}

/* Finalizes d unless rc says that setting it failed. Returns d, or NULL with d destroyed. */
static cudnnBackendDescriptor_t seal(cudnnBackendDescriptor_t d, int rc)
{
    if (d != NULL && rc == 0 && TW_CUDNN(cudnnBackendFinalize(d)) == 0)
        return d;
    destroy(d);
    return NULL;
}

cudnnBackendDescriptor_t tw_dnn_device(const char *json)
{
    cudnnBackendDescriptor_t d = make(CUDNN_BACKEND_DEVICEPROP_DESCRIPTOR);
    if (d == NULL)
        return NULL;
    return seal(d, TW_CUDNN(cudnnBackendSetAttribute(d, CUDNN_ATTR_DEVICEPROP_JSON_REPRESENTATION, CUDNN_TYPE_CHAR, (int64_t)strlen(json),
                                                    json)));
}

/* Properties of a configuration's engine, from its numerical and behaviour notes. */
typedef struct {
    bool varies;   /* nondeterministic */
    bool rounds;   /* rounds its input to fewer bits (TF32) */
    bool compiled; /* compiles at run time, when a plan is made */
    int64_t engine;
} notes;

static notes notes_of(cudnnBackendDescriptor_t config)
{
    cudnnBackendNumericalNote_t number[CUDNN_NUMERICAL_NOTE_TYPE_COUNT];
    cudnnBackendBehaviorNote_t behaviour[CUDNN_BEHAVIOR_NOTE_TYPE_COUNT];
    cudnnBackendDescriptor_t engine = make(CUDNN_BACKEND_ENGINE_DESCRIPTOR);
    int64_t n = 0;
    notes is = {0};
    if (engine == NULL || cudnnBackendGetAttribute(config, CUDNN_ATTR_ENGINECFG_ENGINE, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &n, &engine) !=
                              CUDNN_STATUS_SUCCESS) {
        destroy(engine);
        return is;
    }
    if (cudnnBackendGetAttribute(engine, CUDNN_ATTR_ENGINE_NUMERICAL_NOTE, CUDNN_TYPE_NUMERICAL_NOTE, CUDNN_NUMERICAL_NOTE_TYPE_COUNT, &n,
                                 number) == CUDNN_STATUS_SUCCESS)
        while (n-- > 0) {
            is.varies = is.varies || number[n] == CUDNN_NUMERICAL_NOTE_NONDETERMINISTIC;
            is.rounds = is.rounds || number[n] == CUDNN_NUMERICAL_NOTE_TENSOR_CORE || number[n] == CUDNN_NUMERICAL_NOTE_DOWN_CONVERT_INPUTS;
        }
    if (cudnnBackendGetAttribute(engine, CUDNN_ATTR_ENGINE_BEHAVIOR_NOTE, CUDNN_TYPE_BEHAVIOR_NOTE, CUDNN_BEHAVIOR_NOTE_TYPE_COUNT, &n,
                                 behaviour) == CUDNN_STATUS_SUCCESS)
        while (n-- > 0)
            is.compiled = is.compiled || behaviour[n] == CUDNN_BEHAVIOR_NOTE_RUNTIME_COMPILATION;
    cudnnBackendGetAttribute(engine, CUDNN_ATTR_ENGINE_GLOBAL_INDEX, CUDNN_TYPE_INT64, 1, &n, &is.engine);
    destroy(engine);
    return is;
}

static cudnnBackendDescriptor_t plan_of(cudnnBackendDescriptor_t config, const tw_dnn_site *at)
{
    cudnnBackendDescriptor_t p = make(CUDNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR);
    int rc = p == NULL ? -1 : 0;
    if (rc == 0 && at->handle != NULL)
        rc = set_one(p, CUDNN_ATTR_EXECUTION_PLAN_HANDLE, CUDNN_TYPE_HANDLE, &at->handle);
    if (rc == 0 && at->device != NULL)
        rc = set_one(p, CUDNN_ATTR_EXECUTION_PLAN_DEVICEPROP, CUDNN_TYPE_BACKEND_DESCRIPTOR, &at->device);
    if (rc == 0)
        rc = set_one(p, CUDNN_ATTR_EXECUTION_PLAN_ENGINE_CONFIG, CUDNN_TYPE_BACKEND_DESCRIPTOR, &config);
    return seal(p, rc);
}

enum { MOST_CONFIGS = 64, FEW = 4, MOST_COMPILED = 3 };

/* Gets the heuristic's configurations, best first; returns their number. The caller destroys them. */
static int configurations(cudnnBackendDescriptor_t config[MOST_CONFIGS], cudnnBackendDescriptor_t graph, const tw_dnn_site *at,
                          cudnnBackendHeurMode_t mode)
{
    cudnnBackendDescriptor_t h = make(CUDNN_BACKEND_ENGINEHEUR_DESCRIPTOR);
    int rc = h == NULL ? -1 : set_one(h, CUDNN_ATTR_ENGINEHEUR_OPERATION_GRAPH, CUDNN_TYPE_BACKEND_DESCRIPTOR, &graph);
    if (rc == 0)
        rc = set_one(h, CUDNN_ATTR_ENGINEHEUR_MODE, CUDNN_TYPE_HEUR_MODE, &mode);
    if (rc == 0 && at->device != NULL)
        rc = set_one(h, CUDNN_ATTR_ENGINEHEUR_DEVICEPROP, CUDNN_TYPE_BACKEND_DESCRIPTOR, &at->device);
    h = seal(h, rc);
    int64_t n = 0;
    if (h == NULL || TW_CUDNN(cudnnBackendGetAttribute(h, CUDNN_ATTR_ENGINEHEUR_RESULTS, CUDNN_TYPE_BACKEND_DESCRIPTOR, 0, &n, NULL)) != 0)
        n = 0;
    n = n < MOST_CONFIGS ? n : MOST_CONFIGS;
    int made = 0;
    while (made < n && (config[made] = make(CUDNN_BACKEND_ENGINECFG_DESCRIPTOR)) != NULL) /* cuDNN copies its results into these */
        made++;
    int64_t got = 0;
    if (made > 0 && TW_CUDNN(cudnnBackendGetAttribute(h, CUDNN_ATTR_ENGINEHEUR_RESULTS, CUDNN_TYPE_BACKEND_DESCRIPTOR, made, &got, config)) != 0)
        got = 0;
    while (made > got)
        destroy(config[--made]);
    destroy(h);
    return made;
}

size_t tw_dnn_workspace(cudnnBackendDescriptor_t plan)
{
    int64_t bytes = INT64_MAX, n = 0;
    if (TW_CUDNN(cudnnBackendGetAttribute(plan, CUDNN_ATTR_EXECUTION_PLAN_WORKSPACE_SIZE, CUDNN_TYPE_INT64, 1, &n, &bytes)) != 0)
        return SIZE_MAX;
    return (size_t)bytes;
}

/* Plans made so far, and the engines of those that were compiled at run time. */
typedef struct {
    cudnnBackendDescriptor_t *plan;
    int most, count;
    int64_t engine[MOST_COMPILED];
    int compiled;
} plans;

/* Whether to compile one more plan: there are few, and it is not the fallback configuration of an engine already compiled for this shape. */
static bool compile(const plans *p, int64_t engine, bool general)
{
    for (int i = 0; i < p->compiled && general; i++)
        if (p->engine[i] == engine)
            return false;
    return p->compiled < MOST_COMPILED && p->count < FEW;
}

/* Makes plans of those configurations that are deterministic (repeatable), or of the others. general: they are cuDNN's fallback, not the
 * heuristic's for this shape. */
static void build(plans *to, cudnnBackendDescriptor_t *config, int n, const tw_dnn_site *at, size_t limit, bool repeatable, bool general)
{
    for (int i = 0; i < n && to->count < to->most; i++) {
        const notes is = notes_of(config[i]);
        if (is.varies == repeatable || (at->exact && is.rounds) || (is.compiled && !compile(to, is.engine, general)))
            continue;
        cudnnBackendDescriptor_t p = plan_of(config[i], at);
        if (is.compiled)
            to->engine[to->compiled++] = is.engine;
        if (p != NULL && tw_dnn_workspace(p) <= limit)
            to->plan[to->count++] = p;
        else
            destroy(p);
    }
}

int tw_dnn_plans(cudnnBackendDescriptor_t *plan, int most, cudnnBackendDescriptor_t graph, const tw_dnn_site *at, size_t limit)
{
    static const cudnnBackendHeurMode_t mode[] = {CUDNN_HEUR_MODE_A, CUDNN_HEUR_MODE_FALLBACK};
    cudnnBackendDescriptor_t config[MOST_CONFIGS];
    plans made = {.plan = plan, .most = most};
    for (int k = 0; k < 4 && made.count < (k == 1 ? FEW : 1); k++) {
        const int n = configurations(config, graph, at, mode[k % 2]);
        build(&made, config, n, at, limit, k < 2, k % 2 == 1);
        for (int i = 0; i < n; i++)
            destroy(config[i]);
    }
    return made.count;
}

char *tw_dnn_save(cudnnBackendDescriptor_t plan)
{
    int64_t n = 0;
    if (TW_CUDNN(cudnnBackendGetAttribute(plan, CUDNN_ATTR_EXECUTION_PLAN_JSON_REPRESENTATION, CUDNN_TYPE_CHAR, 0, &n, NULL)) != 0)
        return NULL;
    char *text = tw_calloc((size_t)n + 1, 1);
    if (text != NULL &&
        TW_CUDNN(cudnnBackendGetAttribute(plan, CUDNN_ATTR_EXECUTION_PLAN_JSON_REPRESENTATION, CUDNN_TYPE_CHAR, n, &n, text)) == 0)
        return text;
    free(text);
    return NULL;
}

cudnnBackendDescriptor_t tw_dnn_load(const char *text, const tw_dnn_site *at)
{
    cudnnBackendDescriptor_t p = make(CUDNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR);
    int rc = p == NULL ? -1 : 0;
    if (rc == 0 && at->handle != NULL)
        rc = set_one(p, CUDNN_ATTR_EXECUTION_PLAN_HANDLE, CUDNN_TYPE_HANDLE, &at->handle);
    if (rc == 0 && at->device != NULL)
        rc = set_one(p, CUDNN_ATTR_EXECUTION_PLAN_DEVICEPROP, CUDNN_TYPE_BACKEND_DESCRIPTOR, &at->device);
    if (rc == 0)
        rc = TW_CUDNN(cudnnBackendSetAttribute(p, CUDNN_ATTR_EXECUTION_PLAN_JSON_REPRESENTATION, CUDNN_TYPE_CHAR, (int64_t)strlen(text), text));
    return seal(p, rc);
}

int tw_dnn_run(cudnnHandle_t handle, cudnnBackendDescriptor_t plan, const tw_dnn_operand *operand, int n, void *workspace)
{
    enum { MOST = 16 };
    int64_t uid[MOST];
    void *memory[MOST];
    for (int i = 0; i < n && i < MOST; i++) {
        uid[i] = operand[i].uid;
        memory[i] = operand[i].memory;
    }
    cudnnBackendDescriptor_t pack = make(CUDNN_BACKEND_VARIANT_PACK_DESCRIPTOR);
    int rc = pack == NULL ? -1 : TW_CUDNN(cudnnBackendSetAttribute(pack, CUDNN_ATTR_VARIANT_PACK_UNIQUE_IDS, CUDNN_TYPE_INT64, n, uid));
    if (rc == 0)
        rc = TW_CUDNN(cudnnBackendSetAttribute(pack, CUDNN_ATTR_VARIANT_PACK_DATA_POINTERS, CUDNN_TYPE_VOID_PTR, n, memory));
    if (rc == 0)
        rc = set_one(pack, CUDNN_ATTR_VARIANT_PACK_WORKSPACE, CUDNN_TYPE_VOID_PTR, &workspace);
    pack = seal(pack, rc);
    rc = pack == NULL ? -1 : TW_CUDNN(cudnnBackendExecute(handle, plan, pack));
    destroy(pack);
    return rc;
}
