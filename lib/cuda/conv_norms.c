/* Training: a convolution fused with the adjacent norms: the sums of the reader, the application of the maker. In fp16 cuDNN has kernels for both,
 * written for the device; in bf16 only older ones for the sums, which take half a second each to compile. */
#include "cuda/conv_parts.h"

#include "cuda/launch.h"
#include "cuda/ops.h"

/* Additional operands of a fused pass. Sums: f32, zeroed, because plans may add to them; scale and offset: in the activations' type. */
typedef struct {
    float *sum, *squares;
    void *scale, *offset;
} beside;

/* Rounds up to 16 bytes, the alignment of operands. */
static size_t whole(size_t bytes)
{
    return (bytes + 15) / 16 * 16;
}

/* Fills b: scale and offset from maker (NULL: none), and zeroed sums if `sums`. */
static int prepare(beside *b, const tw_conv *c, const tw_norm *maker, bool sums)
{
    tw_dev *d = c->dev;
    const size_t each = sums ? whole((size_t)c->shape.K * sizeof(float)) : 0, line = whole((size_t)c->shape.C * tw_dtype_size(d->precision));
    char *room = tw_dev_scratch(d, TW_SCRATCH_PARTIAL, 2 * each + 2 * line);
    if (room == NULL)
        return -1;
    *b = (beside){(void *)room, (void *)(room + each), room + 2 * each, room + 2 * each + line};
    if (sums && tw_cuda_zero(d, room, 2 * each) != 0)
        return -1;
    return maker == NULL ? 0 : tw_launch_norm_line(maker, b->scale, b->offset, d->precision, d->stream);
}

static int forward_sums(tw_conv *c, void *y, const void *x, const tw_norm *reader)
{
    beside b;
    void *in = tw_conv_input(c, x);
    if (in == NULL || prepare(&b, c, NULL, true) != 0)
        return -1;
    const tw_dnn_operand operand[] = {{TW_CONV_X, in}, {TW_CONV_W, c->w}, {TW_CONV_Y, y}, {TW_CONV_SUM, b.sum}, {TW_CONV_SQUARES, b.squares}};
    return tw_tuned_run(&c->sums, c->dev, operand, 5) != 0 ? -1 : tw_launch_norm_take_sums(reader, b.sum, b.squares, c->dev->stream);
}

static int forward_apart(tw_conv *c, void *y, const void *x, const tw_norm *reader)
{
    return tw_cuda_conv_forward(c, y, x) != 0 ? -1 : tw_cuda_norm_sums(c->dev, reader, y);
}

/* The forward pass when x is in memory; with the reader's sums, unless NULL. */
static int forward(tw_conv *c, void *y, const void *x, const tw_norm *reader)
{
    if (reader == NULL)
        return tw_cuda_conv_forward(c, y, x);
    return c->sums.plan != NULL ? forward_sums(c, y, x, reader) : forward_apart(c, y, x, reader);
}

/* The forward pass through the maker (x NULL), or after applying it to write x. */
static int forward_maker(tw_conv *c, void *y, void *x, const tw_conv_norms *n)
{
    beside b;
    if (prepare(&b, c, n->maker, true) != 0)
        return -1;
    const tw_dnn_operand operand[] = {{TW_CONV_X, x != NULL ? x : (void *)n->maker_x}, {TW_CONV_W, c->w}, {TW_CONV_Y, y}, {TW_CONV_SUM, b.sum},
                                      {TW_CONV_SQUARES, b.squares}, {TW_CONV_SCALE, b.scale}, {TW_CONV_OFFSET, b.offset},
                                      {TW_CONV_FROM, (void *)n->maker_x}, {TW_CONV_SHORTCUT, (void *)n->shortcut}};
    if (tw_tuned_run(x != NULL ? &c->applied : &c->through[0], c->dev, operand, x != NULL ? 9 : 7) != 0)
        return -1;
    return n->reader == NULL ? 0 : tw_launch_norm_take_sums(n->reader, b.sum, b.squares, c->dev->stream);
}

static int weights_through(tw_conv *c, float *dw, const void *dy, const tw_conv_norms *n)
{
    beside b;
    void *g = tw_dev_scratch(c->dev, TW_SCRATCH_GRADIENT, tw_cuda_conv_bytes(c));
    if (g == NULL || prepare(&b, c, n->maker, false) != 0)
        return -1;
    const tw_dnn_operand operand[] = {{TW_CONV_X, (void *)n->maker_x}, {TW_CONV_W, g}, {TW_CONV_Y, (void *)dy}, {TW_CONV_SCALE, b.scale},
                                      {TW_CONV_OFFSET, b.offset}};
    if (tw_tuned_run(&c->through[1], c->dev, operand, 5) != 0)
        return -1;
    return tw_launch_weights_out(dw, g, &c->form, c->dev->precision, c->dev->stream);
}

/* The maker's result in scratch memory, for a pass that has no plan to read through it. NULL and tw_error(). */
static void *make(const tw_conv *c, const tw_conv_norms *n)
{
    const tw_conv_shape *s = &c->shape;
    void *x = tw_dev_scratch(c->dev, TW_SCRATCH_MADE, (size_t)s->N * (size_t)(s->H * s->W * s->C) * tw_dtype_size(c->dev->precision));
    return x == NULL || tw_cuda_norm_apply(c->dev, n->maker, x, n->maker_x, NULL) != 0 ? NULL : x;
}

static int try_sums(void *trial)
{
    const tw_conv_trial *t = trial;
    return forward_sums(t->c, t->y, t->x, &t->reader);
}

static int try_sums_apart(void *trial)
{
    const tw_conv_trial *t = trial;
    return forward_apart(t->c, t->y, t->x, &t->reader);
}

static int try_through(void *trial)
{
    const tw_conv_trial *t = trial;
    const tw_conv_norms n = {.maker = &t->maker, .maker_x = t->x, .reader = &t->reader};
    return forward_maker(t->c, t->y, NULL, &n) != 0 ? -1 : weights_through(t->c, t->dw, t->y, &n);
}

/* For timing: the fused application. It leaves no mask, so the maker's backward pass, which is timed too, reads the result. */
static int try_applied(void *trial)
{
    const tw_conv_trial *t = trial;
    const tw_conv_norms n = {.maker = &t->maker, .maker_x = t->x, .shortcut = t->added, .reader = &t->reader};
    return forward_maker(t->c, t->y, t->made, &n) != 0 ? -1 : tw_cuda_norm_backward_sums(t->c->dev, &t->maker, t->added, NULL, t->made, t->x);
}

static int try_masked(void *trial)
{
    const tw_conv_trial *t = trial;
    tw_norm maker = t->maker;
    maker.mask = t->mask;
    if (tw_cuda_norm_apply(t->c->dev, &maker, t->made, t->x, t->added) != 0 || forward(t->c, t->y, t->made, &t->reader) != 0)
        return -1;
    return tw_cuda_norm_backward_sums(t->c->dev, &maker, t->added, NULL, NULL, t->x);
}

static int try_made(void *trial)
{
    const tw_conv_trial *t = trial;
    if (tw_cuda_norm_apply(t->c->dev, &t->maker, t->made, t->x, NULL) != 0 || forward(t->c, t->y, t->made, &t->reader) != 0)
        return -1;
    return tw_cuda_conv_backward_weights(t->c, t->dw, t->made, t->y);
}

static bool offered(const tw_dev *d, const tw_conv_shape *s)
{
    return s->train && d->precision == TW_F16;
}

/* Whether cuDNN has kernels that store the maker's result: for 1x1 filters only. */
static bool keeps(const tw_conv *c)
{
    const tw_conv_shape *s = &c->shape;
    return (s->norms & TW_CONV_APPLIES) != 0 && s->add && s->relu && s->size == 1 && s->stride == 1 && tw_conv_as_it_is(c);
}

void tw_conv_choose_norms(tw_conv *c)
{
    static const tw_dnn_pass pass[] = {TW_DNN_FORWARD, TW_DNN_WEIGHTS};
    if (!offered(c->dev, &c->shape))
        return;
    tw_conv_choose(c, &c->sums, pass, 1, TW_CONV_WITH_SUMS, try_sums, try_sums_apart);
    if ((c->shape.norms & TW_CONV_THROUGH) != 0 && tw_conv_as_it_is(c))
        tw_conv_choose(c, c->through, pass, 2, TW_CONV_NORM_THROUGH, try_through, try_made);
    else if (keeps(c))
        tw_conv_choose(c, &c->applied, pass, 1, TW_CONV_NORM_APPLIED, try_applied, try_masked);
}

int tw_cuda_conv_norms(tw_dev *d, const tw_conv_shape *s)
{
    if (!offered(d, s) || (s->norms & (TW_CONV_THROUGH | TW_CONV_APPLIES)) == 0)
        return offered(d, s) ? TW_CONV_SUMS : 0;
    tw_conv *c = tw_cuda_conv_new(d, s);
    if (c == NULL)
        return -1;
    const int can = TW_CONV_SUMS | (c->through[0].plan != NULL ? TW_CONV_THROUGH : 0) | (c->applied.plan != NULL ? TW_CONV_APPLIES : 0);
    tw_cuda_conv_free(c);
    return can;
}

int tw_cuda_conv_forward_norms(tw_conv *c, void *y, void *x, const tw_conv_norms *n)
{
    if (n->maker == NULL)
        return forward(c, y, x, n->reader);
    if ((x != NULL ? c->applied.plan : c->through[0].plan) != NULL)
        return forward_maker(c, y, x, n);
    if (x == NULL)
        x = make(c, n);
    else if (tw_cuda_norm_apply(c->dev, n->maker, x, n->maker_x, n->shortcut) != 0)
        return -1;
    return x == NULL ? -1 : forward(c, y, x, n->reader);
}

int tw_cuda_conv_backward_weights_through(tw_conv *c, float *dw, const void *dy, const tw_conv_norms *n)
{
    if (c->through[1].plan != NULL)
        return weights_through(c, dw, dy, n);
    const void *x = make(c, n);
    return x == NULL ? -1 : tw_cuda_conv_backward_weights(c, dw, x, dy);
}
