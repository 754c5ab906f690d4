/* The part of oneDNN's C interface used here, the same for version 2 (Debian 12) and version 3, which changed it: memory
 * descriptors became opaque, operation descriptors went away. The only file that knows which version it is. */
#ifndef TW_CPU_DNNL_H
#define TW_CPU_DNNL_H

#include <oneapi/dnnl/dnnl.h>

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#if DNNL_VERSION_MAJOR >= 3
typedef dnnl_memory_desc_t tw_md; /* owned: tw_md_free */
typedef const_dnnl_memory_desc_t tw_const_md;
#else
typedef dnnl_memory_desc_t *tw_md;
typedef const dnnl_memory_desc_t *tw_const_md;
#endif

/* strides in elements; NULL: the layout that oneDNN finds best ("any"). Returns NULL where oneDNN refuses. */
static inline tw_md tw_md_new(int rank, const dnnl_dims_t dim, dnnl_data_type_t type, const dnnl_dims_t strides)
{
#if DNNL_VERSION_MAJOR >= 3
    tw_md md = NULL;
    if (strides != NULL)
        dnnl_memory_desc_create_with_strides(&md, rank, dim, type, strides);
    else
        dnnl_memory_desc_create_with_tag(&md, rank, dim, type, dnnl_format_tag_any);
    return md;
#else
    tw_md md = malloc(sizeof *md);
    if (md == NULL)
        return NULL;
    const dnnl_status_t status = strides != NULL ? dnnl_memory_desc_init_by_strides(md, rank, dim, type, strides)
                                                 : dnnl_memory_desc_init_by_tag(md, rank, dim, type, dnnl_format_tag_any);
    if (status == dnnl_success)
        return md;
    free(md);
    return NULL;
#endif
}

static inline void tw_md_free(tw_md md)
{
#if DNNL_VERSION_MAJOR >= 3
    if (md != NULL)
        dnnl_memory_desc_destroy(md);
#else
    free(md);
#endif
}

typedef struct {
    tw_const_md src, weights, dst;
    tw_const_md bias; /* of the forward kinds; NULL: none */
    dnnl_dims_t strides, before, after; /* before, after: padding */
    dnnl_dim_t taps;    /* of a kernel */
} tw_conv_desc;

/* On processors other than x86 oneDNN computes convolutions as plain matrix products. These add a tensor (a binary post-op) to the wrong rows, and
 * their bits depend on the batch size and on the number of threads. */
#if defined(__x86_64__)
enum { TW_CONV_PLAIN = 0 };
#else
enum { TW_CONV_PLAIN = 1 };
#endif

/* TW_CONV_PICTURE: inference on one picture at a time. */
typedef enum { TW_CONV_FORWARD, TW_CONV_INFERENCE, TW_CONV_PICTURE, TW_CONV_BACKWARD_DATA, TW_CONV_BACKWARD_WEIGHTS } tw_conv_kind;

/* Whether this implementation will do. Batch-reduce kernels ("brg...") with AVX-512 divide the work, and choose the order of their sums, by the
 * batch size, and by the number of threads: forward where a kernel has several taps, whose rows may be summed one by one, and in version 3 for the
 * data gradient. In inference a picture's bits would depend on that, in training weights. With AMX no difference was seen, and there is no other
 * fast implementation. */
static inline bool tw_conv_will_do(const_dnnl_primitive_desc_t pd, tw_conv_kind kind, const tw_conv_desc *d)
{
    const char *name = NULL;
    const bool forward = kind == TW_CONV_FORWARD || kind == TW_CONV_PICTURE;
    if ((forward && d->taps == 1) || kind == TW_CONV_BACKWARD_WEIGHTS)
        return true;
    return dnnl_primitive_desc_query(pd, dnnl_query_impl_info_str, 0, &name) == dnnl_success &&
           (strncmp(name, "brg", 3) != 0 || ((forward || kind == TW_CONV_BACKWARD_DATA) && strstr(name, "amx") != NULL));
}

#if DNNL_VERSION_MAJOR < 3
/* The first implementation for which tw_conv_will_do. */
static inline dnnl_status_t tw_conv_first(dnnl_primitive_desc_t *pd, const dnnl_convolution_desc_t *desc, const_dnnl_primitive_attr_t attr,
                                          dnnl_engine_t engine, const_dnnl_primitive_desc_t hint, tw_conv_kind kind, const tw_conv_desc *d)
{
    dnnl_primitive_desc_iterator_t all;
    dnnl_status_t status = dnnl_primitive_desc_iterator_create(&all, desc, attr, engine, hint);
    if (status != dnnl_success)
        return status;
    do {
        *pd = dnnl_primitive_desc_iterator_fetch(all);
        if (*pd == NULL || tw_conv_will_do(*pd, kind, d))
            break;
        dnnl_primitive_desc_destroy(*pd);
        *pd = NULL;
        status = dnnl_primitive_desc_iterator_next(all);
    } while (status == dnnl_success);
    dnnl_primitive_desc_iterator_destroy(all);
    return *pd != NULL ? dnnl_success : dnnl_unimplemented;
}
#endif

/* A direct convolution. hint: the forward primitive, for the backward kinds. */
static inline dnnl_status_t tw_conv_pd(dnnl_primitive_desc_t *pd, dnnl_engine_t engine, tw_conv_kind kind, const tw_conv_desc *d,
                                       const_dnnl_primitive_attr_t attr, const_dnnl_primitive_desc_t hint)
{
    const dnnl_alg_kind_t alg = dnnl_convolution_direct;
    const dnnl_prop_kind_t prop = kind == TW_CONV_FORWARD ? dnnl_forward_training : dnnl_forward_inference;
    dnnl_status_t status;
#if DNNL_VERSION_MAJOR >= 3
    const dnnl_dims_t dilates = {0};
    if (kind == TW_CONV_BACKWARD_DATA)
        status = dnnl_convolution_backward_data_primitive_desc_create(pd, engine, alg, d->src, d->weights, d->dst, d->strides, dilates,
                                                                      d->before, d->after, hint, attr);
    else if (kind == TW_CONV_BACKWARD_WEIGHTS)
        status = dnnl_convolution_backward_weights_primitive_desc_create(pd, engine, alg, d->src, d->weights, NULL, d->dst, d->strides,
                                                                         dilates, d->before, d->after, hint, attr);
    else
        status = dnnl_convolution_forward_primitive_desc_create(pd, engine, prop, alg, d->src, d->weights, d->bias, d->dst, d->strides,
                                                                dilates, d->before, d->after, attr);
    while (status == dnnl_success && !tw_conv_will_do(*pd, kind, d))
        status = dnnl_primitive_desc_next_impl(*pd);
    return status;
#else
    dnnl_convolution_desc_t desc;
    if (kind == TW_CONV_BACKWARD_DATA)
        status = dnnl_convolution_backward_data_desc_init(&desc, alg, d->src, d->weights, d->dst, d->strides, d->before, d->after);
    else if (kind == TW_CONV_BACKWARD_WEIGHTS)
        status = dnnl_convolution_backward_weights_desc_init(&desc, alg, d->src, d->weights, NULL, d->dst, d->strides, d->before,
                                                             d->after);
    else
        status = dnnl_convolution_forward_desc_init(&desc, prop, alg, d->src, d->weights, d->bias, d->dst, d->strides, d->before,
                                                    d->after);
    return status != dnnl_success ? status : tw_conv_first(pd, &desc, attr, engine, hint, kind, d);
#endif
}

/* dst = src x weights (+ bias; NULL: none). */
static inline dnnl_status_t tw_matmul_pd(dnnl_primitive_desc_t *pd, dnnl_engine_t engine, tw_const_md src, tw_const_md weights,
                                         tw_const_md bias, tw_const_md dst, const_dnnl_primitive_attr_t attr)
{
#if DNNL_VERSION_MAJOR >= 3
    return dnnl_matmul_primitive_desc_create(pd, engine, src, weights, bias, dst, attr);
#else
    dnnl_matmul_desc_t desc;
    const dnnl_status_t status = dnnl_matmul_desc_init(&desc, src, weights, bias, dst);
    return status != dnnl_success ? status : dnnl_primitive_desc_create(pd, &desc, attr, engine, NULL);
#endif
}

/* The result is added to what is there already. */
static inline dnnl_status_t tw_append_sum(dnnl_post_ops_t ops)
{
#if DNNL_VERSION_MAJOR >= 3
    return dnnl_post_ops_append_sum(ops, 1, 0, dnnl_data_type_undef);
#else
    return dnnl_post_ops_append_sum(ops, 1);
#endif
}

static inline dnnl_status_t tw_append_relu(dnnl_post_ops_t ops)
{
#if DNNL_VERSION_MAJOR >= 3
    return dnnl_post_ops_append_eltwise(ops, dnnl_eltwise_relu, 0, 0);
#else
    return dnnl_post_ops_append_eltwise(ops, 1, dnnl_eltwise_relu, 0, 0);
#endif
}

#endif
