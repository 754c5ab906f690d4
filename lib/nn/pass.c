#include "nn/pass.h"

#include "core/error.h"
#include "core/mem.h"
#include "nn/arena.h"

#include <stdlib.h>
#include <string.h>

enum { GIVEN_DY = -1, GIVEN_DX = -2, NONE = -3 }; /* gradients outside the arena: the caller's dy and dx; none */

enum { LEAST_FRONT = 1 << 20 }; /* see front_layers: bytes of input and output of a picture from which on it pays */

/* Numbers of the gradient blocks of a value, one from each layer that uses it. */
typedef struct {
    int block[2], n;
} users;

struct tw_pass {
    tw_context *ctx;
    tw_shape in;
    int front;          /* how many layers, from the first, run one picture at a time (front_layers) */
    const void *x;      /* the caller's memory of the first value and of the last one (y) */
    void *y;
    const tw_graph *graph;
    tw_graph folded;    /* evaluation: the graph with folded norms, run instead of the network's; or empty */
    tw_node *node;
    int n;
    tw_block *value;    /* [2n]; value[i]: the output of layer i (value i + 1); the last one is the caller's */
    tw_block *grad;     /* value + n: at most one block per layer, the gradient of its input */
    int n_grads;
    int *dx;            /* per layer: its dx block or NONE */
    int *reader;        /* per gradient block shared by a layer's dy and dx: the layer that reads that dx; n: not shared */
    int *complete;      /* per layer: gradients of tensors from this number on are final once its backward pass has run */
    users *users;       /* per value */
    size_t memory_bytes, keep_bytes; /* of values and gradients; of what layers keep */
    char *memory, *keep;
};

static size_t element_size(const tw_context *ctx)
{
    return tw_dtype_size(ctx->net->config.precision);
}

static int infer_shapes(tw_pass *p, int64_t first_row)
{
    const tw_shape in = p->in;
    for (int i = 0; i < p->n; i++) {
        tw_node *n = &p->node[i];
        const tw_layer *l = &p->graph->layer[i];
        n->layer = l;
        n->index = i;
        n->ctx = p->ctx;
        n->first_row = first_row;
        n->in = l->in == 0 ? in : p->node[l->in - 1].out;
        n->in.N = i < p->front ? 1 : in.N;
        n->out = n->in;
        n->out.C = l->K;
        if (l->op->shape != NULL && l->op->shape(n) != 0)
            return -1;
        if (n->out.H < 1 || n->out.W < 1)
            return tw_fail("views of %d x %d pixels are too small for this network", in.H, in.W);
    }
    return 0;
}

/* Bytes of one picture's activations. */
static size_t picture_bytes(const tw_pass *p, const tw_shape *s)
{
    return tw_shape_elements(s) / (size_t)s->N * element_size(p->ctx);
}

/* With unified memory, evaluation runs the first layers one picture at a time, so that activations are still in the cache when the next layer
 * reads them: up to the last convolution whose activations of a picture outweigh its weights. */
static int front_layers(const tw_pass *p)
{
    int front = 0;
    for (int i = 0; i < p->n && p->in.N > 1 && p->graph == &p->folded && p->ctx->be->unified; i++) {
        const tw_node *n = &p->node[i];
        const size_t bytes = picture_bytes(p, &n->in) + picture_bytes(p, &n->out);
        if (n->layer->op == &tw_op_conv_folded && bytes > LEAST_FRONT &&
            bytes > 2 * p->ctx->net->param[n->layer->param].n * element_size(p->ctx))
            front = i + 1;
    }
    return front;
}

/* Whether value v has memory for all pictures; one picture is enough for a value that only front layers use. */
static bool holds_all(const tw_pass *p, int v)
{
    bool all = v == 0 || v > p->front || v == p->n;
    for (int i = p->front; i < p->n; i++)
        all = all || p->node[i].layer->in == v || p->node[i].layer->shortcut == v;
    return all;
}

/* Whether value v is never stored. */
static bool never_made(const tw_pass *p, int v)
{
    return v > 0 && p->node[v - 1].not_made;
}

/* Time for lifetimes: layer i runs forward at time i, backward at this time. */
static int backward_at(const tw_pass *p, int i)
{
    return 2 * p->n - 1 - i;
}

/* Extends value v's lifetime to that time (v 0: the caller's input, nothing to do). */
static void needed(tw_pass *p, int v, int until)
{
    if (v > 0 && p->value[v - 1].last < until)
        p->value[v - 1].last = until;
}

/* A value lives until its last user has run; in training, if a backward pass reads it, until that has run. */
static void find_lives(tw_pass *p)
{
    for (int i = 0; i < p->n; i++) {
        const bool all = holds_all(p, i + 1);
        const size_t bytes = i < p->n - 1 && !never_made(p, i + 1) ? picture_bytes(p, &p->node[i].out) * (size_t)(all ? p->in.N : 1) : 0;
        const tw_layer *l = p->node[i].layer;
        const bool ahead = (p->node[i].done & (TW_LINEAR_ADDS | TW_LINEAR_GELU)) != 0; /* the layer before writes it (fused) */
        const int first = i < p->front && all ? 0 : ahead ? i - 1 : i; /* the front runs once per picture */
        const bool again = p->ctx->train && l->op->reads_y != NULL && l->op->reads_y(&p->node[i]);
        p->value[i] = (tw_block){.bytes = bytes, .first = first, .last = again ? backward_at(p, i) : i};
        needed(p, l->in, p->ctx->train && l->op->reads_x ? backward_at(p, i) : i);
        needed(p, l->shortcut, i);
        if ((p->node[i].does & (TW_CONV_APPLIES | TW_CONV_THROUGH)) != 0) {
            needed(p, p->node[i].maker->layer->in, i);
            needed(p, p->node[i].maker->layer->shortcut, i);
        }
        if (p->node[i].aside != NULL)
            needed(p, p->node[i].aside->layer->in, i);
        if (i > 0 && (p->node[i - 1].does & TW_CONV_BACKWARD_APPLIES) != 0) /* the layer before reads this norm's x in its own backward pass */
            needed(p, i, backward_at(p, i - 1));
    }
}

static void add_user(users *u, int block)
{
    u->block[u->n++] = block;
}

static int uses(const tw_pass *p, int v)
{
    int n = 0;
    for (int i = 0; i < p->n; i++)
        n += (p->node[i].layer->in == v) + (p->node[i].layer->shortcut == v);
    return n;
}

/* Whether no layer before i uses value v, so that in the backward pass layer i is the last to add to v's gradient. */
static bool first_user(const tw_pass *p, int i, int v)
{
    for (int j = 0; j < i; j++)
        if (p->node[j].layer->in == v || p->node[j].layer->shortcut == v)
            return false;
    return true;
}

/* Which passes of the adjacent norms layer i may do: applying the maker if it is the layer right after it, the maker's backward sums if it is
 * the last layer to contribute to their gradient. */
static int norms_of(const tw_pass *p, int i)
{
    const tw_node *n = &p->node[i];
    int may = 0;
    if (n->maker != NULL && n->layer->in == i)
        may |= TW_CONV_APPLIES;
    if (n->maker != NULL && p->ctx->train && n->maker->layer->relu && n->maker->layer->shortcut < 0 && uses(p, n->layer->in) == 1)
        may |= TW_CONV_THROUGH;
    if (n->maker != NULL && p->ctx->train && first_user(p, i, n->layer->in))
        may |= TW_CONV_BACKWARD_SUMS;
    if (n->reader != NULL)
        may |= TW_CONV_SUMS;
    if (n->reader != NULL && n->reader->layer->op == &tw_op_norm && p->ctx->train && n->layer->in > 0)
        may |= TW_CONV_BACKWARD_APPLIES;
    return may;
}

static int find_norms(tw_pass *p)
{
    for (int i = 0; i < p->n && p->ctx->batch; i++) {
        tw_node *n = &p->node[i];
        const tw_layer *l = n->layer;
        if (l->op->norms == NULL)
            continue;
        if (l->in > 0 && p->node[l->in - 1].layer->op == &tw_op_norm)
            n->maker = &p->node[l->in - 1];
        if (i + 1 < p->n && tw_is_norm(n[1].layer) && n[1].layer->in == i + 1 && uses(p, i + 1) == 1)
            n->reader = n + 1;
        n->does = norms_of(p, i);
        const int can = l->op->norms(n);
        if (can < 0)
            return -1;
        n->does &= can;
        if (n->maker != NULL)
            n->maker->done |= n->does & (TW_CONV_APPLIES | TW_CONV_BACKWARD_SUMS);
        if ((n->does & TW_CONV_THROUGH) != 0)
            n->maker->not_made = true;
        if (n->reader != NULL)
            n->reader->done |= n->does & (TW_CONV_SUMS | TW_CONV_BACKWARD_APPLIES);
    }
    return 0;
}

/* Fuses norms that only make another norm's shortcut with that norm (norm_apply_two). */
static void find_asides(tw_pass *p)
{
    for (int i = 0; i < p->n && p->ctx->batch && p->ctx->be->norm_apply_two != NULL; i++) {
        tw_node *n = &p->node[i];
        tw_node *maker = n->layer->shortcut > 0 ? &p->node[n->layer->shortcut - 1] : NULL;
        if (n->layer->op != &tw_op_norm || (n->done & TW_CONV_APPLIES) != 0 || maker == NULL || maker->layer->op != &tw_op_norm)
            continue;
        if (maker->layer->relu || maker->layer->shortcut >= 0 || uses(p, n->layer->shortcut) != 1)
            continue;
        n->aside = maker;
        maker->not_made = true;
    }
}

/* Fuses linear layers with what is the only reader of their result: a residual sum, unless stochastic depth may drop branches; a GELU. A linear
 * layer that is the only reader of a GELU computes the GELU's gradient. */
static void find_linears(tw_pass *p)
{
    const tw_backend *be = p->ctx->be;
    for (int i = 0; i + 1 < p->n; i++) {
        tw_node *n = &p->node[i], *next = n + 1, *then = i + 2 < p->n ? n + 2 : NULL;
        if (n->layer->op != &tw_op_linear || next->layer->in != i + 1 || uses(p, i + 1) != 1)
            continue;
        if (be->linear_forward_add != NULL && next->layer->op == &tw_op_residual && !(p->ctx->batch && next->layer->drop > 0)) {
            n->does |= TW_LINEAR_ADDS;
            next->done |= TW_LINEAR_ADDS;
            n->not_made = true;
            n->reader = next;
        }
        if (be->linear_forward_gelu != NULL && next->layer->op == &tw_op_gelu) {
            n->does |= TW_LINEAR_GELU;
            n->reader = next;
            next->done |= TW_LINEAR_GELU;
            if (then != NULL && p->ctx->train && then->layer->op == &tw_op_linear && then->layer->in == i + 2 && uses(p, i + 2) == 1) {
                then->does |= TW_LINEAR_GELU_BACKWARD;
                then->maker = next;
                next->done |= TW_LINEAR_GELU_BACKWARD;
            }
        }
    }
}

/* The gradient block that layer i's dx can share instead of having its own; NONE: there is none. Either the block with the gradient from the
 * other layer that uses its input, to which it then adds (only if the readers of all that shares the block have run); or the block of its own
 * dy, if neither the maker of its input nor another user of that input changes it before that maker has read it. */
static int shared_block(const tw_pass *p, int i)
{
    const tw_layer *l = p->node[i].layer;
    const users *in = &p->users[l->in];
    const int dy = p->users[i + 1].block[0];
    if ((l->op->adds_gradient || (p->node[i].does & TW_CONV_BACKWARD_SUMS) != 0) && in->n == 1 && in->block[0] >= 0 && i < p->reader[in->block[0]])
        return in->block[0];
    const bool keeps = l->op->keeps_gradient != NULL && l->op->keeps_gradient(&p->node[i]);
    if (keeps && dy >= 0 && uses(p, l->in) == 1 && !p->node[l->in - 1].layer->op->sums_gradients)
        return dy;
    return NONE;
}

static void read_until(tw_pass *p, const users *u, int now)
{
    for (int k = 0; k < u->n; k++)
        if (u->block[k] >= 0)
            p->grad[u->block[k]].last = now;
}

/* Walks the layers backwards and gives each dx its block and lifetime: written when the layer runs, read when the maker of its input runs. A
 * shortcut's gradient is the block of the layer's own dy. */
static void place_gradients(tw_pass *p, bool input_gradient)
{
    for (int i = 0; i < p->n; i++)
        p->reader[i] = p->n;
    add_user(&p->users[p->n], GIVEN_DY);
    for (int i = p->n - 1; i >= 0; i--) {
        const tw_layer *l = p->node[i].layer;
        const int now = backward_at(p, i);
        const users *own = &p->users[i + 1];
        read_until(p, own, now);
        if ((p->node[i].does & TW_CONV_BACKWARD_APPLIES) != 0)
            read_until(p, &p->users[i + 2], now);
        const int shared = l->in > 0 ? shared_block(p, i) : NONE;
        p->dx[i] = shared != NONE ? shared : l->in > 0 ? p->n_grads : input_gradient ? GIVEN_DX : NONE;
        p->node[i].adds = shared != NONE && shared != own->block[0];
        if ((p->node[i].does & TW_CONV_BACKWARD_SUMS) != 0 && p->users[l->in].n != (p->node[i].adds ? 1 : 0)) { /* it would have to add to dx */
            p->node[i].does -= TW_CONV_BACKWARD_SUMS;
            p->node[i].maker->done -= TW_CONV_BACKWARD_SUMS;
        }
        if (shared != NONE && !p->node[i].adds) {
            p->reader[shared] = l->in - 1;
            add_user(&p->users[l->in], shared);
        }
        if (l->in > 0 && shared == NONE) {
            const size_t bytes = tw_shape_elements(&p->node[i].in) * element_size(p->ctx);
            p->grad[p->n_grads++] = (tw_block){.bytes = bytes, .first = now, .last = now};
            add_user(&p->users[l->in], p->dx[i]);
        }
        if (l->shortcut > 0)
            add_user(&p->users[l->shortcut], own->block[0]);
    }
}

/* Fills p->complete. A layer's tensors are those from its first one up to the next layer's first one, by number. */
static void find_complete(tw_pass *p)
{
    int last = -1, lowest = TW_EXCHANGE_NONE; /* the highest first tensor among the layers before i; the lowest of all layers */
    for (int i = 0; i < p->n; i++) {
        const int own = p->node[i].layer->param;
        lowest = own >= 0 && own < lowest ? own : lowest;
    }
    for (int i = 0; i < p->n; i++) {
        p->complete[i] = last < 0 ? lowest : TW_EXCHANGE_NONE;
        for (int j = 0; j < p->n && last >= 0; j++)
            if (p->node[j].layer->param > last && p->node[j].layer->param < p->complete[i])
                p->complete[i] = p->node[j].layer->param;
        last = p->node[i].layer->param > last ? p->node[i].layer->param : last;
    }
}

/* Whether the backend has what the layer needs. */
static int check_backend(const tw_backend *be, const tw_op *op)
{
    void (*entry)(void) = NULL;
    memcpy(&entry, (const char *)be + op->needs, sizeof entry);
    return op->needs == 0 || entry != NULL ? 0 : tw_fail("device %s has no layer of the kind '%s'", be->name, op->name);
}

static int open_nodes(tw_pass *p)
{
    static char wanted; /* until bind(), dx only tells the op whether the gradient is wanted */
    for (int i = 0; i < p->n; i++) {
        tw_node *n = &p->node[i];
        n->dx = p->dx[i] == NONE ? NULL : &wanted;
        if (check_backend(p->ctx->be, n->layer->op) != 0)
            return -1;
        if (n->layer->op->open != NULL && n->layer->op->open(n) != 0)
            return -1;
        n->keep_bytes = (n->keep_bytes + 63) / 64 * 64;
        p->keep_bytes += n->keep_bytes;
    }
    return 0;
}

static int allocate(tw_pass *p)
{
    const tw_backend *be = p->ctx->be;
    p->memory_bytes = tw_arena_place(p->value, p->n + p->n_grads);
    p->memory = be->alloc(p->ctx->dev, p->memory_bytes);
    p->keep = be->alloc(p->ctx->dev, p->keep_bytes);
    if (p->memory == NULL || p->keep == NULL)
        return tw_backend_failed(be);
    char *keep = p->keep;
    for (int i = 0; i < p->n; i++) {
        p->node[i].keep = keep;
        keep += p->node[i].keep_bytes;
    }
    return 0;
}

tw_pass *tw_pass_new(tw_context *ctx, const tw_graph *g, tw_shape in, int64_t first_row, bool input_gradient)
{
    tw_pass *p = tw_calloc(1, sizeof *p);
    if (p == NULL)
        return NULL;
    *p = (tw_pass){.ctx = ctx, .graph = g, .in = in};
    if (!ctx->batch && ctx->be->conv_fold != NULL) {
        if (tw_graph_fold(&p->folded, g) != 0)
            goto err;
        p->graph = &p->folded;
    }
    p->n = p->graph->n;
    const size_t n = (size_t)p->n;
    p->node = tw_calloc(n, sizeof *p->node);
    p->value = tw_calloc(2 * n, sizeof *p->value);
    p->dx = tw_calloc(n, sizeof *p->dx);
    p->reader = tw_calloc(n, sizeof *p->reader);
    p->complete = tw_calloc(n, sizeof *p->complete);
    p->users = tw_calloc(n + 1, sizeof *p->users);
    if (p->node == NULL || p->value == NULL || p->dx == NULL || p->reader == NULL || p->complete == NULL || p->users == NULL)
        goto err;
    p->grad = p->value + n;
    if (infer_shapes(p, first_row) != 0)
        goto err;
    if ((p->front = front_layers(p)) > 0 && infer_shapes(p, first_row) != 0)
        goto err;
    if (find_norms(p) != 0)
        goto err;
    find_asides(p);
    find_linears(p);
    find_lives(p);
    find_complete(p);
    for (int i = 0; i < p->n; i++)
        p->dx[i] = NONE;
    if (ctx->train)
        place_gradients(p, input_gradient);
    if (open_nodes(p) != 0 || allocate(p) != 0)
        goto err;
    return p;
err:
    tw_pass_free(p);
    return NULL;
}

void tw_pass_free(tw_pass *p)
{
    if (p == NULL)
        return;
    for (int i = 0; p->node != NULL && i < p->n; i++)
        if (p->node[i].state != NULL && p->node[i].layer->op->close != NULL)
            p->node[i].layer->op->close(&p->node[i]);
    p->ctx->be->release(p->ctx->dev, p->memory);
    p->ctx->be->release(p->ctx->dev, p->keep);
    free(p->node);
    free(p->value);
    free(p->dx);
    free(p->reader);
    free(p->complete);
    free(p->users);
    tw_graph_fini(&p->folded);
    free(p);
}

tw_shape tw_pass_out(const tw_pass *p)
{
    return p->node[p->n - 1].out;
}

const void *tw_pass_last_input(const tw_pass *p)
{
    return p->node[p->n - 1].x;
}

size_t tw_pass_bytes(const tw_pass *p)
{
    size_t total = p->memory_bytes + p->keep_bytes;
    for (int i = 0; i < p->n; i++)
        if (p->node[i].layer->op->bytes != NULL)
            total += p->node[i].layer->op->bytes(&p->node[i]);
    return total;
}

/* Memory of value v > 0, from that picture on if it holds all pictures. NULL: it is never stored. */
static void *value_at(const tw_pass *p, int v, int picture)
{
    if (never_made(p, v))
        return NULL;
    char *at = v == p->n ? p->y : p->memory + p->value[v - 1].offset;
    return picture > 0 && holds_all(p, v) ? at + (size_t)picture * picture_bytes(p, &p->node[v - 1].out) : at;
}

static void point(tw_pass *p, int i, int picture)
{
    tw_node *n = &p->node[i];
    const tw_layer *l = n->layer;
    n->x = l->in == 0 ? (const char *)p->x + (size_t)picture * picture_bytes(p, &p->in) : value_at(p, l->in, picture);
    n->shortcut = l->shortcut < 0 ? NULL : value_at(p, l->shortcut, picture);
    n->y = value_at(p, i + 1, picture);
}

void tw_pass_bind(tw_pass *p, const void *x, void *y, void *dy, void *dx)
{
    p->x = x;
    p->y = y;
    for (int i = 0; i < p->n; i++) {
        tw_node *n = &p->node[i];
        point(p, i, 0);
        if (!p->ctx->train)
            continue;
        void *grad[2] = {NULL, NULL};
        const users *u = &p->users[i + 1];
        for (int k = 0; k < u->n; k++)
            grad[k] = u->block[k] == GIVEN_DY ? dy : p->memory + p->grad[u->block[k]].offset;
        n->dy = grad[0];
        n->dy2 = grad[1];
        n->dx = p->dx[i] == NONE ? NULL : p->dx[i] == GIVEN_DX ? dx : p->memory + p->grad[p->dx[i]].offset;
    }
}

int tw_pass_weights(tw_pass *p)
{
    for (int i = 0; i < p->n; i++)
        if (p->node[i].layer->op->weights != NULL && p->node[i].layer->op->weights(&p->node[i]) != 0)
            return -1;
    return 0;
}

void tw_pass_count(tw_pass *p)
{
    for (int i = 0; i < p->n; i++)
        if (p->node[i].layer->op->count != NULL)
            p->node[i].layer->op->count(&p->node[i]);
}

/* For builds with the address sanitizer, which cannot see lifetimes inside one allocation: overwrites what is dead after that time. */
static void forget(const tw_pass *p, int time)
{
#ifdef __SANITIZE_ADDRESS__
    for (int i = 0; i < p->n + p->n_grads && p->ctx->train; i++)
        if (p->value[i].bytes > 0 && p->value[i].last == time)
            p->ctx->be->zero(p->ctx->dev, p->memory + p->value[i].offset, p->value[i].bytes);
#else
    (void)p, (void)time;
#endif
}

int tw_pass_forward(tw_pass *p)
{
    for (int picture = 0; picture < p->in.N && p->front > 0; picture++)
        for (int i = 0; i < p->front; i++) {
            point(p, i, picture);
            if (p->node[i].layer->op->forward(&p->node[i]) != 0)
                return -1;
        }
    for (int i = p->front; i < p->n; i++) {
        if (p->node[i].layer->op->forward(&p->node[i]) != 0)
            return -1;
        forget(p, i);
    }
    return 0;
}

int tw_pass_backward(tw_pass *p, tw_exchange *x)
{
    const tw_backend *be = p->ctx->be;
    for (int i = p->n - 1; i >= 0; i--) {
        tw_node *n = &p->node[i];
        if (n->dy2 != NULL && !n->layer->op->sums_gradients &&
            TW_BACKEND(be, be->add(p->ctx->dev, n->dy, n->dy2, tw_shape_elements(&n->out))) != 0)
            return -1;
        if (n->layer->op->backward(n) != 0 || (x != NULL && tw_exchange_down_to(x, p->complete[i]) != 0))
            return -1;
        forget(p, backward_at(p, i));
    }
    return 0;
}
