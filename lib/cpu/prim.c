#include "cpu/prim.h"

#include "core/error.h"

dnnl_primitive_attr_t tw_prim_attr(bool add)
{
    dnnl_primitive_attr_t attr = NULL;
    dnnl_post_ops_t ops = NULL;
    int rc = TW_DNNL(dnnl_primitive_attr_create(&attr));
    if (rc == 0)
        rc = TW_DNNL(dnnl_primitive_attr_set_scratchpad_mode(attr, dnnl_scratchpad_mode_user));
    if (rc == 0 && add) {
        rc = TW_DNNL(dnnl_post_ops_create(&ops));
        if (rc == 0)
            rc = TW_DNNL(tw_append_sum(ops));
        if (rc == 0)
            rc = TW_DNNL(dnnl_primitive_attr_set_post_ops(attr, ops));
        if (ops != NULL)
            dnnl_post_ops_destroy(ops);
    }
    if (rc == 0)
        return attr;
    if (attr != NULL)
        dnnl_primitive_attr_destroy(attr);
    return NULL;
}

tw_const_md tw_prim_md(const tw_prim *p, dnnl_query_t query)
{
    return dnnl_primitive_desc_query_md(p->pd, query, 0);
}

static int add_arg(tw_prim *p, tw_dev *d, int arg, tw_const_md md)
{
    p->arg[p->n].arg = arg;
    return TW_DNNL(dnnl_memory_create(&p->arg[p->n++].memory, md, d->engine, DNNL_MEMORY_NONE));
}

/* Makes the scratchpad's memory object, the last argument; its pointer is set at each run, as the device's scratch memory may have moved. */
static int finish(tw_prim *p, tw_dev *d)
{
    tw_const_md scratch = tw_prim_md(p, dnnl_query_scratchpad_md);
    p->scratch = dnnl_memory_desc_get_size(scratch);
    if (tw_dev_scratch(d, TW_SCRATCH_PRIMITIVE, p->scratch) == NULL || add_arg(p, d, DNNL_ARG_SCRATCHPAD, scratch) != 0)
        return -1;
    return TW_DNNL(dnnl_primitive_create(&p->prim, p->pd));
}

int tw_prim_make(tw_prim *p, tw_dev *d, const tw_prim_arg *arg, int n)
{
    for (int i = 0; i < n; i++)
        if (add_arg(p, d, arg[i].arg, dnnl_primitive_desc_query_md(p->pd, arg[i].query, arg[i].index)) != 0)
            return -1;
    return finish(p, d);
}

int tw_prim_reorder(tw_prim *p, tw_dev *d, tw_const_md from, tw_const_md to, bool add)
{
    dnnl_primitive_attr_t attr = tw_prim_attr(add);
    if (attr == NULL)
        return -1;
    const int rc = TW_DNNL(dnnl_reorder_primitive_desc_create(&p->pd, from, d->engine, to, d->engine, attr));
    dnnl_primitive_attr_destroy(attr);
    if (rc != 0 || add_arg(p, d, DNNL_ARG_FROM, from) != 0 || add_arg(p, d, DNNL_ARG_TO, to) != 0)
        return -1;
    return finish(p, d);
}

dnnl_status_t tw_prim_execute(tw_prim *p, dnnl_stream_t stream, void *const *data, void *scratch)
{
    dnnl_status_t status = dnnl_memory_set_data_handle(p->arg[p->n - 1].memory, scratch);
    for (int i = 0; i < p->n - 1 && status == dnnl_success; i++)
        status = dnnl_memory_set_data_handle(p->arg[i].memory, data[i]);
    return status != dnnl_success ? status : dnnl_primitive_execute(p->prim, stream, p->n, p->arg);
}

int tw_prim_run(tw_prim *p, tw_dev *d, void *const *data)
{
    return tw_dnnl_check(tw_prim_execute(p, d->stream, data, tw_dev_scratch(d, TW_SCRATCH_PRIMITIVE, p->scratch)), "dnnl_primitive_execute(");
}

void tw_prim_fini(tw_prim *p)
{
    for (int i = 0; i < p->n; i++)
        if (p->arg[i].memory != NULL)
            dnnl_memory_destroy(p->arg[i].memory);
    if (p->prim != NULL)
        dnnl_primitive_destroy(p->prim);
    if (p->pd != NULL)
        dnnl_primitive_desc_destroy(p->pd);
    *p = (tw_prim){0};
}

tw_md tw_md_nhwc(int N, int H, int W, int C, dnnl_data_type_t type)
{
    const dnnl_dims_t dim = {N, C, H, W};
    const dnnl_dims_t stride = {(dnnl_dim_t)H * W * C, 1, (dnnl_dim_t)W * C, C};
    return tw_md_new(4, dim, type, stride);
}

tw_md tw_md_matrix(int a, int b, bool transposed, dnnl_data_type_t type)
{
    const dnnl_dims_t dim = {a, b}, stride = {transposed ? 1 : b, transposed ? a : 1};
    return tw_md_new(2, dim, type, stride);
}

int tw_prim_product(tw_prim *p, tw_dev *d, const tw_product *s)
{
    static const tw_prim_arg arg[] = {{DNNL_ARG_DST, dnnl_query_dst_md, 0}, {DNNL_ARG_SRC, dnnl_query_src_md, 0},
                                      {DNNL_ARG_WEIGHTS, dnnl_query_weights_md, 0}, {DNNL_ARG_BIAS, dnnl_query_weights_md, 1}};
    tw_md src = tw_md_matrix(s->M, s->D, s->src_transposed, s->src_type);
    tw_md weights = s->packed ? tw_md_new(2, (dnnl_dims_t){s->D, s->N}, s->src_type, NULL)
                              : tw_md_matrix(s->D, s->N, s->weights_transposed, s->src_type);
    tw_md dst = tw_md_matrix(s->M, s->N, false, s->dst_type);
    tw_md bias = s->bias ? tw_md_matrix(1, s->N, false, dnnl_f32) : NULL;
    dnnl_primitive_attr_t attr = tw_prim_attr(s->add);
    int rc = -1;
    if (src == NULL || weights == NULL || dst == NULL || (s->bias && bias == NULL))
        tw_fail("product of %d x %d and %d x %d: refused by oneDNN", s->M, s->D, s->D, s->N);
    else if (attr != NULL)
        rc = TW_DNNL(tw_matmul_pd(&p->pd, d->engine, src, weights, bias, dst, attr));
    if (rc == 0)
        rc = tw_prim_make(p, d, arg, s->bias ? 4 : 3);
    if (attr != NULL)
        dnnl_primitive_attr_destroy(attr);
    tw_md_free(src);
    tw_md_free(weights);
    tw_md_free(bias);
    tw_md_free(dst);
    return rc;
}
