/* cuDNN's graphs composed of products, single numbers, reductions and reshapes, one operation after the other, with everything between
 * them in memory and rounded to its type. A tensor's numbers lie in a buffer as its strides say. */
#include "descriptor.h"

#include <algorithm>
#include <functional>

typedef std::vector<tensor> tensors; /* what an operation reads, then what it writes */

static tensors tensors_of(const ref &op)
{
    std::vector<int> names;
    switch ((int)op->type) {
    case CUDNN_BACKEND_OPERATION_MATMUL_DESCRIPTOR:
        names = {CUDNN_ATTR_OPERATION_MATMUL_ADESC, CUDNN_ATTR_OPERATION_MATMUL_BDESC, CUDNN_ATTR_OPERATION_MATMUL_CDESC};
        break;
    case CUDNN_BACKEND_OPERATION_POINTWISE_DESCRIPTOR:
        names = {CUDNN_ATTR_OPERATION_POINTWISE_XDESC, CUDNN_ATTR_OPERATION_POINTWISE_BDESC, CUDNN_ATTR_OPERATION_POINTWISE_YDESC};
        if (op->a.count(CUDNN_ATTR_OPERATION_POINTWISE_DYDESC) != 0)
            names = {CUDNN_ATTR_OPERATION_POINTWISE_XDESC, CUDNN_ATTR_OPERATION_POINTWISE_DYDESC, CUDNN_ATTR_OPERATION_POINTWISE_DXDESC};
        else if (op->a.count(CUDNN_ATTR_OPERATION_POINTWISE_BDESC) == 0)
            names.erase(names.begin() + 1);
        break;
    case CUDNN_BACKEND_OPERATION_REDUCTION_DESCRIPTOR:
        names = {CUDNN_ATTR_OPERATION_REDUCTION_XDESC, CUDNN_ATTR_OPERATION_REDUCTION_YDESC};
        break;
    case CUDNN_BACKEND_OPERATION_RESHAPE_DESCRIPTOR:
        names = {CUDNN_ATTR_OPERATION_RESHAPE_XDESC, CUDNN_ATTR_OPERATION_RESHAPE_YDESC};
        break;
    default: break;
    }
    tensors t;
    for (int name : names)
        t.push_back(tensor_of(sub(op, name)));
    return t;
}

static size_t span(const tensor &t)
{
    size_t n = 1;
    for (int i = 0; i < 4; i++)
        n += (size_t)((t.dim[i] - 1) * t.stride[i]);
    return n;
}

/* Where the number at `at` lies; a tensor with one number along a dimension has it everywhere. */
static size_t offset(const tensor &t, const int64_t at[4])
{
    int64_t o = 0;
    for (int i = 0; i < 4; i++)
        o += t.dim[i] == 1 ? 0 : at[i] * t.stride[i];
    return (size_t)o;
}

static void walk(const int64_t dim[4], const std::function<void(const int64_t at[4])> &fn)
{
    int64_t at[4];
    for (at[0] = 0; at[0] < dim[0]; at[0]++)
        for (at[1] = 0; at[1] < dim[1]; at[1]++)
            for (at[2] = 0; at[2] < dim[2]; at[2]++)
                for (at[3] = 0; at[3] < dim[3]; at[3]++)
                    fn(at);
}

static bool repeats(const tensor &x, const tensor &y)
{
    for (int i = 0; i < 4; i++)
        if (x.dim[i] != y.dim[i] && x.dim[i] != 1)
            return false;
    return true;
}

static bool fits(const ref &op, const tensors &t)
{
    switch ((int)op->type) {
    case CUDNN_BACKEND_OPERATION_MATMUL_DESCRIPTOR:
        for (int i = 0; i < 2; i++)
            if (t[0].dim[i] != t[2].dim[i] || t[1].dim[i] != t[2].dim[i])
                return false;
        return t[0].dim[2] == t[2].dim[2] && t[0].dim[3] == t[1].dim[2] && t[1].dim[3] == t[2].dim[3] && t[0].type != CUDNN_DATA_FLOAT &&
               t[0].type == t[1].type;
    case CUDNN_BACKEND_OPERATION_POINTWISE_DESCRIPTOR:
        return repeats(t[0], t.back()) && repeats(t[t.size() - 2], t.back());
    case CUDNN_BACKEND_OPERATION_REDUCTION_DESCRIPTOR: return repeats(t[1], t[0]);
    case CUDNN_BACKEND_OPERATION_RESHAPE_DESCRIPTOR: return elements(t[0]) == elements(t[1]) && span(t[0]) == span(t[1]);
    default: return false;
    }
}

/* Rows of 16-bit numbers in memory begin at whole 16 bytes. */
static bool aligned(const tensor &t)
{
    bool yes = true;
    for (int i = 0; i < 4; i++)
        yes = yes && (t.is_virtual || t.type == CUDNN_DATA_FLOAT || t.dim[i] == 1 || t.stride[i] == 1 || t.stride[i] % 8 == 0);
    return yes;
}

const char *emu_composed_refusal(const std::vector<ref> &ops)
{
    std::map<int64_t, bool> written;
    const auto product = [](const ref &op) { return op->type == CUDNN_BACKEND_OPERATION_MATMUL_DESCRIPTOR; };
    const bool alone = std::count_if(ops.begin(), ops.end(), product) == 1;
    for (const ref &op : ops) {
        const tensors t = tensors_of(op);
        if (alone && product(op) && t[0].dims != 3)
            return "a product of more than three dimensions that is no attention";
        if (alone && ops.size() > 1 && getenv("EMULATE_NO_FOLD") != nullptr)
            return "no such fusion";
        if (t.empty() || !fits(op, t))
            return "an operation whose shapes or types do not fit";
        for (size_t i = 0; i < t.size(); i++) {
            if (!aligned(t[i]))
                return "rows that do not begin at whole 16 bytes";
            if (i + 1 < t.size() && t[i].is_virtual && !written[t[i].uid])
                return "a virtual tensor is read before it is written";
        }
        written[t.back().uid] = true;
    }
    return nullptr;
}

std::map<int64_t, float> emu_composed_values(const std::vector<ref> &ops, const std::map<int64_t, void *> &operand)
{
    std::map<int64_t, float> value;
    for (const ref &op : ops)
        for (const tensor &t : tensors_of(op))
            if (t.by_value)
                value[t.uid] = *(const float *)operand.at(t.uid);
    return value;
}

typedef std::map<int64_t, std::vector<float>> buffers; /* by name; of what is in memory as soon as it is read */

static const std::vector<float> &read(buffers &b, const tensor &t, const std::map<int64_t, void *> &operand,
                                      const std::map<int64_t, float> &value)
{
    const auto it = b.find(t.uid);
    if (it != b.end())
        return it->second;
    std::vector<float> v(span(t));
    if (t.by_value)
        v[0] = value.at(t.uid);
    else
        walk(t.dim, [&](const int64_t at[4]) { v[offset(t, at)] = emu_get(operand.at(t.uid), (int64_t)offset(t, at), t.type); });
    return b[t.uid] = v;
}

static float rounded(float v, int type)
{
    float room;
    emu_put(&room, 0, v, type);
    return emu_get(&room, 0, type);
}

static float single(int mode, float x, float other)
{
    switch (mode) {
    case CUDNN_POINTWISE_ADD: return x + other;
    case CUDNN_POINTWISE_SUB: return x - other;
    case CUDNN_POINTWISE_MUL: return x * other;
    case CUDNN_POINTWISE_DIV: return x / other;
    case CUDNN_POINTWISE_EXP: return expf(x);
    case CUDNN_POINTWISE_LOG: return logf(x);
    case CUDNN_POINTWISE_GELU_FWD: return x * (0.5f + 0.5f * erff(x * 0.70710678f));
    case CUDNN_POINTWISE_GELU_BWD: return other * (0.5f + 0.5f * erff(x * 0.70710678f) + x * 0.39894228f * expf(-0.5f * x * x));
    default: die("a single number's operation that the emulation does not know"); return 0;
    }
}

static void multiply(std::vector<float> &y, const tensors &t, const std::vector<float> &a, const std::vector<float> &b)
{
    walk(t[2].dim, [&](const int64_t at[4]) {
        float sum = 0;
        for (int64_t k = 0; k < t[0].dim[3]; k++) {
            const int64_t left[4] = {at[0], at[1], at[2], k}, right[4] = {at[0], at[1], k, at[3]};
            sum += a[offset(t[0], left)] * b[offset(t[1], right)];
        }
        y[offset(t[2], at)] = sum;
    });
}

static void reduce(std::vector<float> &y, const tensors &t, const std::vector<float> &x, bool largest)
{
    std::fill(y.begin(), y.end(), largest ? -INFINITY : 0);
    walk(t[0].dim, [&](const int64_t at[4]) {
        float &to = y[offset(t[1], at)];
        const float v = x[offset(t[0], at)];
        to = !largest ? to + v : v > to ? v : to;
    });
}

static void run(const ref &op, buffers &b, const std::map<int64_t, void *> &operand, const std::map<int64_t, float> &value)
{
    const tensors t = tensors_of(op);
    const tensor &out = t.back();
    const std::vector<float> x = read(b, t[0], operand, value), other = t.size() > 2 ? read(b, t[1], operand, value) : std::vector<float>();
    std::vector<float> y(span(out));
    switch ((int)op->type) {
    case CUDNN_BACKEND_OPERATION_MATMUL_DESCRIPTOR: multiply(y, t, x, other); break;
    case CUDNN_BACKEND_OPERATION_POINTWISE_DESCRIPTOR: {
        const int mode = one<cudnnPointwiseMode_t>(sub(op, CUDNN_ATTR_OPERATION_POINTWISE_PW_DESCRIPTOR), CUDNN_ATTR_POINTWISE_MODE);
        walk(out.dim, [&](const int64_t at[4]) {
            y[offset(out, at)] = single(mode, x[offset(t[0], at)], other.empty() ? 0 : other[offset(t[1], at)]);
        });
        break;
    }
    case CUDNN_BACKEND_OPERATION_REDUCTION_DESCRIPTOR:
        reduce(y, t, x, one<cudnnReduceTensorOp_t>(sub(op, CUDNN_ATTR_OPERATION_REDUCTION_DESC), CUDNN_ATTR_REDUCTION_OPERATOR) ==
                            CUDNN_REDUCE_TENSOR_MAX);
        break;
    default: y = x; break; /* a reshape */
    }
    for (float &v : y)
        v = rounded(v, out.type);
    if (!out.is_virtual)
        walk(out.dim, [&](const int64_t at[4]) { emu_put(operand.at(out.uid), (int64_t)offset(out, at), y[offset(out, at)], out.type); });
    b[out.uid] = y;
}

void emu_composed_run(const std::vector<ref> &ops, const std::map<int64_t, void *> &operand, const std::map<int64_t, float> &value)
{
    buffers b;
    for (const ref &op : ops)
        run(op, b, operand, value);
}
