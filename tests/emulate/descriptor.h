/* What cudnnBackendSetAttribute has been told, and how the interpreters of graphs read it. */
#ifndef EMULATE_DESCRIPTOR_H
#define EMULATE_DESCRIPTOR_H

#include "numbers.h"

#include <map>
#include <memory>
#include <stdio.h>
#include <string>

struct desc;
typedef std::shared_ptr<desc> ref;

struct attribute {
    std::vector<char> bytes;
    std::vector<ref> refs;
    int64_t n = 0;
};

struct desc {
    cudnnBackendDescriptorType_t type;
    bool final = false;
    std::map<int, attribute> a;
    int choice = 0; /* of engines and their configurations */
};

static inline void die(const char *text)
{
    fprintf(stderr, "emulate: cuDNN: %s\n", text);
    abort();
}

static inline attribute &get_attribute(const ref &d, int name)
{
    const auto it = d->a.find(name);
    if (it == d->a.end()) {
        fprintf(stderr, "emulate: cuDNN: a descriptor of type %d lacks attribute %d\n", (int)d->type, name);
        abort();
    }
    return it->second;
}

template <typename T> static T one(const ref &d, int name)
{
    T v = T();
    const auto it = d->a.find(name);
    if (it != d->a.end())
        memcpy(&v, it->second.bytes.data(), sizeof v);
    return v;
}

static inline ref sub(const ref &d, int name)
{
    return get_attribute(d, name).refs.at(0);
}

static inline void ints(const ref &d, int name, int64_t *out, size_t n)
{
    const attribute &a = get_attribute(d, name);
    if (a.bytes.size() != n * sizeof *out)
        die("an attribute of another size");
    memcpy(out, a.bytes.data(), a.bytes.size());
}

struct tensor {
    size_t dims; /* 3 or 4; three are the last ones here */
    int64_t uid, dim[4], stride[4];
    int type;
    bool is_virtual, by_value;
};

static inline tensor tensor_of(const ref &d)
{
    tensor t;
    t.uid = one<int64_t>(d, CUDNN_ATTR_TENSOR_UNIQUE_ID);
    t.type = one<cudnnDataType_t>(d, CUDNN_ATTR_TENSOR_DATA_TYPE);
    t.is_virtual = one<bool>(d, CUDNN_ATTR_TENSOR_IS_VIRTUAL);
    t.by_value = one<bool>(d, CUDNN_ATTR_TENSOR_IS_BY_VALUE);
    t.dims = (size_t)get_attribute(d, CUDNN_ATTR_TENSOR_DIMENSIONS).n;
    t.dim[0] = t.stride[0] = 1;
    ints(d, CUDNN_ATTR_TENSOR_DIMENSIONS, t.dim + 4 - t.dims, t.dims);
    ints(d, CUDNN_ATTR_TENSOR_STRIDES, t.stride + 4 - t.dims, t.dims);
    return t;
}

static inline size_t elements(const tensor &t)
{
    return (size_t)(t.dim[0] * t.dim[1] * t.dim[2] * t.dim[3]);
}

/* Graphs of products, single numbers, reductions and reshapes (composed.cc). value: of tensors that are passed by value. */
const char *emu_composed_refusal(const std::vector<ref> &ops); /* NULL: it is taken */
std::map<int64_t, float> emu_composed_values(const std::vector<ref> &ops, const std::map<int64_t, void *> &operand);
void emu_composed_run(const std::vector<ref> &ops, const std::map<int64_t, void *> &operand, const std::map<int64_t, float> &value);

#endif
