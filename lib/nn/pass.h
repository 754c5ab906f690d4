/* A graph bound to one input shape: shapes, backend objects and memory are all made here, so that forward and backward are
 * bare loops over nodes. */
#ifndef TW_NN_PASS_H
#define TW_NN_PASS_H

#include "nn/exchange.h"
#include "nn/op.h"

typedef struct tw_pass tw_pass;

/* ctx is kept. first_row: number of the pass's first row among the plan's. input_gradient: backward fills dx. NULL and
 * tw_error(). */
tw_pass *tw_pass_new(tw_context *ctx, const tw_graph *g, tw_shape in, int64_t first_row, bool input_gradient);
void tw_pass_free(tw_pass *p);

tw_shape tw_pass_out(const tw_pass *p);
const void *tw_pass_last_input(const tw_pass *p); /* the last layer's, until backward; after bind */
size_t tw_pass_bytes(const tw_pass *p); /* that it holds */

/* The memory outside: input and result, their gradients (dx NULL unless input_gradient). Call once, before anything is run. */
void tw_pass_bind(tw_pass *p, const void *x, void *y, void *dy, void *dx);

/* After the parameters changed. Each 0, or -1 and tw_error(). */
int tw_pass_weights(tw_pass *p);
void tw_pass_count(tw_pass *p); /* before each forward pass in training */
int tw_pass_forward(tw_pass *p);
/* Once after a forward pass, whose values give way to gradients as they have been read. The result's gradient may be changed too. x: this is the
 * last pass that adds to the gradients of its layers; NULL: it is not. */
int tw_pass_backward(tw_pass *p, tw_exchange *x);

#endif
