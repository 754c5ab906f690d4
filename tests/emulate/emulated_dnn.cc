/* cuDNN's graph interface as lib/cuda uses it: descriptors keep what they are told, an execution reads it back and computes in plain
 * loops. The heuristic offers five plans: the first is the fastest but not repeatable, the second rounds to TF32, the third is slow,
 * the fourth is the one to be taken in f32 and the fifth is not for this device. */
#include "descriptor.h"

#include <stdlib.h>

static const double plan_ms[] = {1, 2, 9, 4, 5};

struct cudnnContext {
    cudaStream_t stream;
};

static std::map<void *, ref> living;
static std::vector<ref> saved; /* plans that were written as text */
static std::string why;

static cudnnStatus_t refuse(cudnnStatus_t s, const char *text)
{
    why = text;
    return s;
}

static ref &find(void *d)
{
    const auto it = living.find(d);
    if (it == living.end())
        die("a descriptor that does not exist");
    return it->second;
}

/* Visits the elements in the order N H W C: fn(index in that order, index in memory). */
template <typename F> static void walk(const tensor &t, F fn)
{
    size_t i = 0;
    for (int64_t n = 0; n < t.dim[0]; n++)
        for (int64_t h = 0; h < t.dim[2]; h++)
            for (int64_t w = 0; w < t.dim[3]; w++)
                for (int64_t c = 0; c < t.dim[1]; c++)
                    fn(i++, n * t.stride[0] + c * t.stride[1] + h * t.stride[2] + w * t.stride[3]);
}

struct pass_names {
    int conv, x, w, y, result; /* result: 0 x, 1 w, 2 y */
};

static pass_names names_of(const ref &op)
{
    switch ((int)op->type) {
    case CUDNN_BACKEND_OPERATION_CONVOLUTION_FORWARD_DESCRIPTOR:
        return {CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_CONV_DESC, CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_X,
                CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_W, CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_Y, 2};
    case CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_DATA_DESCRIPTOR:
        return {CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_CONV_DESC, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_DX,
                CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_W, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_DY, 0};
    case CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_FILTER_DESCRIPTOR:
        return {CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_CONV_DESC, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_X,
                CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_DW, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_DY, 1};
    default: return {0, 0, 0, 0, -1};
    }
}

struct geometry {
    tensor t[3]; /* x, w, y */
    int64_t pad[2], after[2], stride[2];
    int result;
};

static geometry geometry_of(const ref &op)
{
    const pass_names n = names_of(op);
    geometry g;
    g.t[0] = tensor_of(sub(op, n.x));
    g.t[1] = tensor_of(sub(op, n.w));
    g.t[2] = tensor_of(sub(op, n.y));
    g.result = n.result;
    ints(sub(op, n.conv), CUDNN_ATTR_CONVOLUTION_PRE_PADDINGS, g.pad, 2);
    ints(sub(op, n.conv), CUDNN_ATTR_CONVOLUTION_POST_PADDINGS, g.after, 2);
    ints(sub(op, n.conv), CUDNN_ATTR_CONVOLUTION_FILTER_STRIDES, g.stride, 2);
    return g;
}

/* All (output pixel, tap) pairs of the pass. */
static void convolve(const geometry &g, std::vector<float> v[3])
{
    const tensor &x = g.t[0], &w = g.t[1], &y = g.t[2];
    const int64_t C = x.dim[1], K = y.dim[1], R = w.dim[2], S = w.dim[3];
    for (int64_t o = 0; o < y.dim[0] * y.dim[2] * y.dim[3]; o++)
        for (int64_t t = 0; t < R * S; t++) {
            const int64_t n = o / (y.dim[2] * y.dim[3]), oh = o / y.dim[3] % y.dim[2], ow = o % y.dim[3];
            const int64_t h = oh * g.stride[0] - g.pad[0] + t / S, c0 = ow * g.stride[1] - g.pad[1] + t % S;
            if (h < 0 || h >= x.dim[2] || c0 < 0 || c0 >= x.dim[3])
                continue;
            float *xp = &v[0][(size_t)(((n * x.dim[2] + h) * x.dim[3] + c0) * C)], *yp = &v[2][(size_t)(o * K)];
            for (int64_t k = 0; k < K; k++) {
                float *wp = &v[1][(size_t)((k * R * S + t) * C)];
                if (g.result == 2)
                    yp[k] += emu_dot(xp, wp, C);
                else
                    emu_add_scaled(g.result == 0 ? xp : wp, g.result == 0 ? wp : xp, yp[k], C);
            }
        }
}

/* Of an operation on single numbers. */
static cudnnPointwiseMode_t mode_of(const ref &op)
{
    return one<cudnnPointwiseMode_t>(sub(op, CUDNN_ATTR_OPERATION_POINTWISE_PW_DESCRIPTOR), CUDNN_ATTR_POINTWISE_MODE);
}

/* v, of the shape of x, becomes the operation's result, rounded to its type. The other operand: of that shape, or a number for each channel. */
static void pointwise(const ref &op, std::vector<float> &v, const std::map<int64_t, void *> &operand)
{
    const tensor x = tensor_of(sub(op, CUDNN_ATTR_OPERATION_POINTWISE_XDESC)), y = tensor_of(sub(op, CUDNN_ATTR_OPERATION_POINTWISE_YDESC));
    const bool times = mode_of(op) == CUDNN_POINTWISE_MUL;
    if (mode_of(op) == CUDNN_POINTWISE_RELU_FWD)
        for (float &f : v)
            f = f < 0 ? 0 : f;
    if (times || mode_of(op) == CUDNN_POINTWISE_ADD) {
        tensor other = tensor_of(sub(op, CUDNN_ATTR_OPERATION_POINTWISE_BDESC));
        for (int i = 0; i < 4; i++) {
            other.stride[i] = other.dim[i] == 1 ? 0 : other.stride[i];
            other.dim[i] = x.dim[i];
        }
        walk(other, [&](size_t k, int64_t at) {
            const float o = emu_get(operand.at(other.uid), at, other.type);
            v[k] = times ? v[k] * o : v[k] + o;
        });
    }
    for (float &f : v) {
        float rounded;
        emu_put(&rounded, 0, f, y.type);
        f = emu_get(&rounded, 0, y.type);
    }
}

static bool is_sums(const ref &op)
{
    return op->type == CUDNN_BACKEND_OPERATION_GEN_STATS_DESCRIPTOR;
}

/* What each channel of a tensor's rounded numbers, in the order N H W C, adds to; in f32. */
static void sums(const ref &op, const std::vector<float> &v, const std::map<int64_t, void *> &operand)
{
    const tensor x = tensor_of(sub(op, CUDNN_ATTR_OPERATION_GENSTATS_XDESC));
    float *sum = (float *)operand.at(tensor_of(sub(op, CUDNN_ATTR_OPERATION_GENSTATS_SUMDESC)).uid);
    float *squares = (float *)operand.at(tensor_of(sub(op, CUDNN_ATTR_OPERATION_GENSTATS_SQSUMDESC)).uid);
    for (size_t i = 0; i < v.size(); i++) {
        sum[i % (size_t)x.dim[1]] += v[i];
        squares[i % (size_t)x.dim[1]] += v[i] * v[i];
    }
}

/* The place of the convolution among the operations; their number: there is none. */
static size_t convolution_of(const std::vector<ref> &ops)
{
    size_t i = 0;
    while (i < ops.size() && names_of(ops[i]).result < 0)
        i++;
    return i;
}

/* One convolution, what is done with the numbers of its input before, and with those of its result. */
static void run_graph(const std::vector<ref> &ops, const std::map<int64_t, void *> &operand)
{
    const size_t at_conv = convolution_of(ops);
    const geometry g = geometry_of(ops[at_conv]);
    std::vector<float> v[3];
    for (int i = 0; i < 3; i++) {
        v[i].resize(elements(g.t[i]));
        const tensor from = i == 0 && at_conv > 0 ? tensor_of(sub(ops[0], CUDNN_ATTR_OPERATION_POINTWISE_XDESC)) : g.t[i];
        if (i != g.result)
            walk(from, [&](size_t k, int64_t at) { v[i][k] = emu_get(operand.at(from.uid), at, from.type); });
    }
    for (size_t i = 0; i < at_conv; i++)
        pointwise(ops[i], v[0], operand);
    if (at_conv > 0 && !g.t[0].is_virtual)
        walk(g.t[0], [&](size_t k, int64_t at) { emu_put(operand.at(g.t[0].uid), at, v[0][k], g.t[0].type); });
    convolve(g, v);
    const bool tail = ops.size() > at_conv + 1, with_sums = tail && is_sums(ops.back());
    for (size_t i = at_conv + 1; i < ops.size() && !with_sums; i++)
        pointwise(ops[i], v[g.result], operand);
    const tensor out = tail && !with_sums ? tensor_of(sub(ops.back(), CUDNN_ATTR_OPERATION_POINTWISE_YDESC)) : g.t[g.result];
    walk(out, [&](size_t k, int64_t at) { emu_put(operand.at(out.uid), at, v[g.result][k], out.type); });
    if (with_sums)
        sums(ops.back(), v[g.result], operand);
}

static const std::vector<ref> &ops_of(const ref &graph)
{
    return get_attribute(graph, CUDNN_ATTR_OPERATIONGRAPH_OPS).refs;
}

/* What may follow the convolution: after a forward pass sums and a ReLU, each from what is before it. */
static bool check_tail(const std::vector<ref> &all)
{
    const std::vector<ref> ops(all.begin() + (ptrdiff_t)convolution_of(all), all.end());
    const bool forward = names_of(ops[0]).result == 2;
    int64_t before = geometry_of(ops[0]).t[names_of(ops[0]).result].uid;
    if (ops.size() > 1 && (!forward || getenv("EMULATE_NO_FOLD") != nullptr))
        return false;
    if (ops.size() == 2 && is_sums(ops[1]))
        return tensor_of(sub(ops[1], CUDNN_ATTR_OPERATION_GENSTATS_XDESC)).uid == before;
    for (size_t i = 1; i < ops.size(); i++) {
        const bool sum = mode_of(ops[i]) == CUDNN_POINTWISE_ADD, relu = mode_of(ops[i]) == CUDNN_POINTWISE_RELU_FWD;
        if ((!sum && !relu) || tensor_of(sub(ops[i], CUDNN_ATTR_OPERATION_POINTWISE_XDESC)).uid != before)
            return false;
        if (sum) {
            const tensor x = tensor_of(sub(ops[i], CUDNN_ATTR_OPERATION_POINTWISE_XDESC));
            const tensor b = tensor_of(sub(ops[i], CUDNN_ATTR_OPERATION_POINTWISE_BDESC));
            for (int k = 0; k < 4; k++)
                if (b.dim[k] != x.dim[k] && (b.dim[k] != 1 || k == 1))
                    return false;
        }
        before = tensor_of(sub(ops[i], CUDNN_ATTR_OPERATION_POINTWISE_YDESC)).uid;
    }
    return true;
}

/* What may come before it, in fp16 and not before a data gradient: x scale + offset, with a number of each for a channel, and a ReLU, none of it in
 * memory; or that with a shortcut before the ReLU, whose result is, before a forward pass with a filter of one. A forward pass then has sums. */
static bool check_head(const std::vector<ref> &ops)
{
    const size_t n = convolution_of(ops);
    if (n == 0)
        return true;
    const geometry g = geometry_of(ops[n]);
    const bool keeps = n == 4;
    if (n < 3 || n > 4 || g.result == 0 || ops.size() != n + (g.result == 2 ? 2 : 1) || g.t[0].is_virtual == keeps)
        return false;
    if (keeps && (g.result != 2 || g.t[1].dim[2] * g.t[1].dim[3] * g.stride[0] != 1))
        return false;
    int64_t before = -1;
    for (size_t i = 0; i < n; i++) {
        const tensor x = tensor_of(sub(ops[i], CUDNN_ATTR_OPERATION_POINTWISE_XDESC)), y = tensor_of(sub(ops[i], CUDNN_ATTR_OPERATION_POINTWISE_YDESC));
        const int mode = i == 0 ? CUDNN_POINTWISE_MUL : i < n - 1 ? CUDNN_POINTWISE_ADD : CUDNN_POINTWISE_RELU_FWD;
        if (mode_of(ops[i]) != mode || (i > 0 && x.uid != before) || x.type != CUDNN_DATA_HALF || y.type != CUDNN_DATA_HALF ||
            (i < n - 1 && !y.is_virtual))
            return false;
        if (i < n - 1) {
            const tensor b = tensor_of(sub(ops[i], CUDNN_ATTR_OPERATION_POINTWISE_BDESC));
            if (b.type != CUDNN_DATA_HALF || b.dim[1] != x.dim[1] || (b.dim[0] * b.dim[2] * b.dim[3] == 1) != (i < 2))
                return false;
        }
        before = y.uid;
    }
    return g.t[0].uid == before;
}

static cudnnStatus_t check_graph(const ref &graph)
{
    const std::vector<ref> &ops = ops_of(graph);
    if (!ops.empty() && convolution_of(ops) == ops.size()) {
        const char *refusal = emu_composed_refusal(ops);
        return refusal == nullptr ? CUDNN_STATUS_SUCCESS : refuse(CUDNN_STATUS_NOT_SUPPORTED, refusal);
    }
    if (ops.empty())
        return refuse(CUDNN_STATUS_NOT_SUPPORTED, "no such graph");
    if (!check_tail(ops) || !check_head(ops))
        return refuse(CUDNN_STATUS_NOT_SUPPORTED, "no such fusion");
    const geometry g = geometry_of(ops[convolution_of(ops)]);
    const tensor &x = g.t[0], &w = g.t[1], &y = g.t[2];
    bool fits = x.dim[0] == y.dim[0] && x.dim[1] == w.dim[1] && w.dim[0] == y.dim[1];
    for (int i = 0; i < 2; i++)
        fits = fits && y.dim[2 + i] == (x.dim[2 + i] + g.pad[i] + g.after[i] - w.dim[2 + i]) / g.stride[i] + 1;
    return fits ? CUDNN_STATUS_SUCCESS : refuse(CUDNN_STATUS_BAD_PARAM, "the shapes of a convolution do not fit");
}

/* A plan from its text, or from a configuration. */
static cudnnStatus_t check_plan(const ref &plan)
{
    const auto text = plan->a.find(CUDNN_ATTR_EXECUTION_PLAN_JSON_REPRESENTATION);
    if (text != plan->a.end()) {
        size_t number = 0;
        const std::string s(text->second.bytes.begin(), text->second.bytes.end());
        if (sscanf(s.c_str(), "{\"plan\":%zu}", &number) != 1 || number >= saved.size())
            return refuse(CUDNN_STATUS_BAD_PARAM, "a plan of another device");
        plan->a[CUDNN_ATTR_EXECUTION_PLAN_ENGINE_CONFIG] = saved[number]->a[CUDNN_ATTR_EXECUTION_PLAN_ENGINE_CONFIG];
    }
    if (sub(plan, CUDNN_ATTR_EXECUTION_PLAN_ENGINE_CONFIG)->choice == 4)
        return refuse(CUDNN_STATUS_NOT_SUPPORTED, "this engine is not for this device");
    return CUDNN_STATUS_SUCCESS;
}

extern "C" {

int emu_last_plan = -1; /* for tests: which of the five ran last */
int emu_last_operations; /* of its graph */

size_t cudnnGetVersion(void)
{
    return 99999;
}

const char *cudnnGetErrorString(cudnnStatus_t)
{
    return "emulated failure";
}

void cudnnGetLastErrorString(char *text, size_t size)
{
    snprintf(text, size, "%s", why.c_str());
}

cudnnStatus_t cudnnCreate(cudnnHandle_t *h)
{
    *h = new cudnnContext{nullptr};
    return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t cudnnDestroy(cudnnHandle_t h)
{
    delete h;
    return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t cudnnSetStream(cudnnHandle_t h, cudaStream_t s)
{
    h->stream = s;
    return CUDNN_STATUS_SUCCESS;
}

int emu_descriptors() /* for tests: those not destroyed yet */
{
    return (int)living.size();
}

cudnnStatus_t cudnnBackendCreateDescriptor(cudnnBackendDescriptorType_t type, cudnnBackendDescriptor_t *d)
{
    ref r(new desc);
    r->type = type;
    *d = r.get();
    living[*d] = r;
    return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t cudnnBackendDestroyDescriptor(cudnnBackendDescriptor_t d)
{
    find(d);
    living.erase(d);
    return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t cudnnBackendSetAttribute(cudnnBackendDescriptor_t d, cudnnBackendAttributeName_t name, cudnnBackendAttributeType_t type,
                                       int64_t n, const void *value)
{
    static const std::map<int, size_t> size = {{CUDNN_TYPE_HANDLE, sizeof(void *)}, {CUDNN_TYPE_INT64, 8}, {CUDNN_TYPE_FLOAT, 4},
                                               {CUDNN_TYPE_BOOLEAN, 1}, {CUDNN_TYPE_CHAR, 1}, {CUDNN_TYPE_VOID_PTR, sizeof(void *)}};
    ref &r = find(d);
    if (r->final)
        return refuse(CUDNN_STATUS_BAD_PARAM, "an attribute is set after finalization");
    attribute a;
    a.n = n;
    if (type == CUDNN_TYPE_BACKEND_DESCRIPTOR) {
        for (int64_t i = 0; i < n; i++) {
            a.refs.push_back(find(((void *const *)value)[i]));
            if (!a.refs.back()->final)
                return refuse(CUDNN_STATUS_BAD_PARAM, "a part is not finalized");
        }
    } else {
        const auto it = size.find(type);
        a.bytes.assign((const char *)value, (const char *)value + (size_t)n * (it == size.end() ? sizeof(int) : it->second));
    }
    r->a[name] = a;
    return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t cudnnBackendFinalize(cudnnBackendDescriptor_t d)
{
    ref &r = find(d);
    cudnnStatus_t s = CUDNN_STATUS_SUCCESS;
    if (r->type == CUDNN_BACKEND_OPERATIONGRAPH_DESCRIPTOR)
        s = check_graph(r);
    if (r->type == CUDNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR)
        s = check_plan(r);
    r->final = s == CUDNN_STATUS_SUCCESS;
    return s;
}

cudnnStatus_t cudnnBackendGetAttribute(cudnnBackendDescriptor_t d, cudnnBackendAttributeName_t name, cudnnBackendAttributeType_t,
                                       int64_t most, int64_t *n, void *out)
{
    ref &r = find(d);
    switch ((int)name) {
    case CUDNN_ATTR_ENGINEHEUR_RESULTS:
        *n = one<cudnnBackendHeurMode_t>(r, CUDNN_ATTR_ENGINEHEUR_MODE) == CUDNN_HEUR_MODE_FALLBACK ? 0 : 5;
        for (int64_t i = 0; i < *n && i < most; i++) {
            ref &config = find(((void **)out)[i]);
            config->choice = (int)i;
            config->final = true;
            config->a[CUDNN_ATTR_ENGINE_OPERATION_GRAPH].refs = {sub(r, CUDNN_ATTR_ENGINEHEUR_OPERATION_GRAPH)};
        }
        return CUDNN_STATUS_SUCCESS;
    case CUDNN_ATTR_ENGINECFG_ENGINE:
        find(*(void **)out)->choice = r->choice;
        *n = 1;
        return CUDNN_STATUS_SUCCESS;
    case CUDNN_ATTR_ENGINE_NUMERICAL_NOTE:
        *n = r->choice < 2 ? 1 : 0;
        if (*n == 1)
            *(cudnnBackendNumericalNote_t *)out = r->choice == 0 ? CUDNN_NUMERICAL_NOTE_NONDETERMINISTIC : CUDNN_NUMERICAL_NOTE_TENSOR_CORE;
        return CUDNN_STATUS_SUCCESS;
    case CUDNN_ATTR_EXECUTION_PLAN_WORKSPACE_SIZE:
        *(int64_t *)out = 1000;
        *n = 1;
        return CUDNN_STATUS_SUCCESS;
    case CUDNN_ATTR_EXECUTION_PLAN_JSON_REPRESENTATION: {
        if (most == 0)
            saved.push_back(r);
        const std::string text = "{\"plan\":" + std::to_string(saved.size() - 1) + "}";
        *n = (int64_t)text.size();
        memcpy(out, text.data(), (size_t)(*n < most ? *n : most));
        return CUDNN_STATUS_SUCCESS;
    }
    default: return refuse(CUDNN_STATUS_NOT_SUPPORTED, "an attribute that the emulation does not know");
    }
}

cudnnStatus_t cudnnBackendExecute(cudnnHandle_t h, cudnnBackendDescriptor_t plan, cudnnBackendDescriptor_t variants)
{
    const ref config = sub(find(plan), CUDNN_ATTR_EXECUTION_PLAN_ENGINE_CONFIG), v = find(variants);
    const std::vector<ref> ops = ops_of(sub(config, CUDNN_ATTR_ENGINE_OPERATION_GRAPH));
    const size_t n = (size_t)get_attribute(v, CUDNN_ATTR_VARIANT_PACK_UNIQUE_IDS).n;
    std::vector<int64_t> uid(n), pointer(n);
    ints(v, CUDNN_ATTR_VARIANT_PACK_UNIQUE_IDS, uid.data(), n);
    ints(v, CUDNN_ATTR_VARIANT_PACK_DATA_POINTERS, pointer.data(), n);
    std::map<int64_t, void *> operand;
    for (size_t i = 0; i < n; i++)
        operand[uid[i]] = (void *)pointer[i];
    const std::map<int64_t, float> value = emu_composed_values(ops, operand);
    for (size_t i = 0; i < n; i++)
        if (pointer[i] % 16 != 0 && value.count(uid[i]) == 0)
            return refuse(CUDNN_STATUS_BAD_PARAM, "an operand is not aligned");
    if (one<void *>(v, CUDNN_ATTR_VARIANT_PACK_WORKSPACE) == nullptr)
        return refuse(CUDNN_STATUS_BAD_PARAM, "no workspace");
    const bool convolution = convolution_of(ops) != ops.size(), several = ops.size() > 1;
    if (several && getenv("EMULATE_BROKEN_FOLD") != nullptr)
        return refuse(CUDNN_STATUS_NOT_SUPPORTED, "a plan that was made does not run");
    const bool slow = (ops.size() > 2 || (several && !convolution)) && getenv("EMULATE_SLOW_FOLD") != nullptr;
    const int choice = emu_last_plan = config->choice;
    emu_last_operations = (int)ops.size();
    emu_enqueue(h->stream, [=] {
        static std::vector<ref> last_ops;
        static std::map<int64_t, void *> last_operand;
        static unsigned long last_writes;
        emu_clock() += plan_ms[choice] + (slow ? 1 : 0);
        if (ops == last_ops && operand == last_operand && emu_writes == last_writes)
            return; /* timed again: the result is there */
        if (!convolution)
            emu_composed_run(ops, operand, value);
        else
            run_graph(ops, operand);
        last_ops = ops;
        last_operand = operand;
        last_writes = ++emu_writes;
    });
    return CUDNN_STATUS_SUCCESS;
}
}
