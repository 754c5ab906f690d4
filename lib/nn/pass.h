/* A graph bound to one input shape: shapes, backend objects and memory are all made at creation, so that forward and backward are plain loops
 * over nodes. */
#ifndef TW_NN_PASS_H
#define TW_NN_PASS_H

#include "nn/exchange.h"
#include "nn/op.h"

typedef struct tw_pass tw_pass;

/* ctx and g are borrowed until free. first_row: number of the pass's first row among the plan's view-major rows. input_gradient: backward fills
 * dx. NULL and tw_error(). */
tw_pass *tw_pass_new(tw_context *ctx, const tw_graph *g, tw_shape in, int64_t first_row, bool input_gradient);
void tw_pass_free(tw_pass *p);

tw_shape tw_pass_out(const tw_pass *p);
const void *tw_pass_last_input(const tw_pass *p); /* the last layer's input, after bind; valid until backward */
size_t tw_pass_bytes(const tw_pass *p); /* memory that it holds */

/* Sets the caller's device memory: input x and result y, their gradients dx (NULL unless input_gradient) and dy. Once, before any run. */
void tw_pass_bind(tw_pass *p, const void *x, void *y, void *dy, void *dx);

/* weights: after the parameters changed; count: before each forward pass with batch statistics (see tw_op). Each 0, or -1 and tw_error(). */
int tw_pass_weights(tw_pass *p);
void tw_pass_count(tw_pass *p);
int tw_pass_forward(tw_pass *p);
/* Once after a forward pass, whose activations it overwrites; dy may be changed too. x: told as gradients of parameters become final; NULL: a
 * later pass will still add to them. */
int tw_pass_backward(tw_pass *p, tw_exchange *x);

#endif
