/* One oneDNN primitive with its memory objects, ready to run on any pointers. */
#ifndef TW_CPU_PRIM_H
#define TW_CPU_PRIM_H

#include "cpu/device.h"
#include "cpu/dnnl.h"

enum { TW_PRIM_ARGS = 6 };

typedef struct {
    dnnl_primitive_desc_t pd;
    dnnl_primitive_t prim;
    dnnl_exec_arg_t arg[TW_PRIM_ARGS + 1]; /* the last one in use is the scratchpad */
    int n;
    size_t scratch;
} tw_prim;

/* An argument: oneDNN's number for it (DNNL_ARG_SRC, ...) and the query that gives its layout in the descriptor. */
typedef struct {
    int arg;
    dnnl_query_t query;
    int index; /* 1: the bias, a second one of the weights */
} tw_prim_arg;

/* Attributes of every primitive here: scratch memory comes from the device; add: the result is added to what is there.
 * NULL and tw_error(). Free with dnnl_primitive_attr_destroy. */
dnnl_primitive_attr_t tw_prim_attr(bool add);

/* Makes the primitive that p->pd describes, with n arguments. 0, or -1 and tw_error(). Free with tw_prim_fini. */
int tw_prim_make(tw_prim *p, tw_dev *d, const tw_prim_arg *arg, int n);

/* dst [M,N] = src [M,D] x weights [D,N] (+ bias [N], f32), row-major; transposed: the matrix is stored transposed. */
typedef struct {
    int M, D, N;
    bool src_transposed, weights_transposed;
    dnnl_data_type_t src_type, dst_type; /* the weights have the type of src */
    bool add;                            /* the product is added to dst */
    bool bias;
    bool packed;                         /* the weights are in the layout that oneDNN prefers, see tw_prim_md */
} tw_product;

/* Arguments: dst, src, weights, bias. 0, or -1 and tw_error(). */
int tw_prim_product(tw_prim *p, tw_dev *d, const tw_product *shape);

/* [a,b] row-major, or the transposed view of a [b,a] matrix. NULL where oneDNN refuses. */
tw_md tw_md_matrix(int a, int b, bool transposed, dnnl_data_type_t type);

/* [N,H,W,C] in oneDNN's logical order N C H W. NULL where oneDNN refuses. */
tw_md tw_md_nhwc(int N, int H, int W, int C, dnnl_data_type_t type);

/* Copies between layouts and types; add: adds to what is there. *p must be zeroed. Arguments: from, to. 0, or -1 and tw_error(). */
int tw_prim_reorder(tw_prim *p, tw_dev *d, tw_const_md from, tw_const_md to, bool add);

/* Layout of an argument; borrowed from p. */
tw_const_md tw_prim_md(const tw_prim *p, dnnl_query_t query);

/* data: one pointer per argument, in the order given when p was made. 0, or -1 and tw_error(). */
int tw_prim_run(tw_prim *p, tw_dev *d, void *const *data);
/* The same with the caller's stream and p->scratch bytes of scratch memory, for a thread that has p to itself. */
dnnl_status_t tw_prim_execute(tw_prim *p, dnnl_stream_t stream, void *const *data, void *scratch);
void tw_prim_fini(tw_prim *p);

#endif
