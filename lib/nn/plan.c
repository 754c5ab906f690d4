/* A plan: one pass through the backbone per group of views, one through the head over all rows. */
#include "nn/net.h"

#include "core/error.h"
#include "core/mem.h"
#include "nn/ahead.h"
#include "nn/pass.h"

#include <stdlib.h>

typedef struct {
    tw_shape shape;    /* of the pictures */
    tw_pass *pass;
    void *pictures;    /* normalised, in device memory */
    uint8_t *raw[2];   /* u8 pictures in device memory; NULL with unified memory, the second one also until it is used */
    const uint8_t *given; /* u8 pictures that the next pass reads: raw, or the caller's */
    size_t first_row;  /* number of the group's first row among all V*B */
} group;

struct tw_plan {
    tw_context ctx;
    tw_net *net;
    group *group;
    int n_groups, B, V;
    int turn;          /* which of the two raw is read */
    const uint8_t *early; /* host address of the first group's pictures uploaded ahead to the other raw; NULL: none */
    tw_pass *head;
    void *features, *dfeatures, *logits, *dlogits; /* device memory, [V*B, D] and [V*B, K] */
    const void *raw;                               /* the head's value before its last norm, device memory */
    float *host_features, *host_logits, *host_raw;
    tw_ahead *ahead; /* made by the first tw_plan_start on a device that runs asynchronously */
    size_t rows;    /* V*B */
    int K;
    size_t bytes;   /* allocated by the plan itself */
    uint64_t version; /* net->version of the parameters that the passes have */
    bool forwarded;
};

static void *device_memory(tw_plan *p, size_t bytes)
{
    void *block = p->ctx.be->alloc(p->ctx.dev, bytes);
    if (block == NULL)
        tw_backend_failed(p->ctx.be);
    else
        p->bytes += bytes;
    return block;
}

static float *host_memory(tw_plan *p, size_t n)
{
    float *block = tw_alloc64(n * sizeof *block);
    if (block != NULL)
        p->bytes += n * sizeof *block;
    return block;
}

static size_t element_size(const tw_plan *p)
{
    return tw_dtype_size(p->net->config.precision);
}

/* Checks the caller's sizes: products of sizes that pass fit the backend's ints. */
static int check(const tw_view_group *v, int n_groups, int B, bool batch)
{
    if (n_groups < 1 || B < 1)
        return tw_fail("plan of %d groups, batch %d: want 1 or more", n_groups, B);
    for (int i = 0; i < n_groups; i++) {
        if (v[i].n_views < 1 || v[i].H < 1 || v[i].W < 1 || v[i].H > 1 << 14 || v[i].W > 1 << 14)
            return tw_fail("group %d: %d views of %d x %d pixels: want 1 view or more, sides of 1 to %d", i, v[i].n_views, v[i].H,
                           v[i].W, 1 << 14);
        const double rows = (double)v[i].n_views * B, values = rows * v[i].H * v[i].W * 64;
        if (values > 1e11 || rows > 1 << 24)
            return tw_fail("group %d: %d x %d views of %d x %d pixels are too many", i, v[i].n_views, B, v[i].H, v[i].W);
        if (batch && rows < 2)
            return tw_fail("batch of %d: BatchNorm needs more than one view to train on", B);
    }
    return 0;
}

static int make_groups(tw_plan *p, const tw_view_group *v)
{
    for (int i = 0; i < p->n_groups; i++) {
        group *g = &p->group[i];
        g->shape = (tw_shape){v[i].n_views * p->B, v[i].H, v[i].W, 3};
        g->first_row = p->rows;
        p->rows += (size_t)g->shape.N;
        p->V += v[i].n_views;
        g->pictures = device_memory(p, tw_shape_elements(&g->shape) * element_size(p));
        if (!p->ctx.be->unified)
            g->raw[0] = device_memory(p, tw_shape_elements(&g->shape));
        if (g->pictures == NULL || (g->raw[0] == NULL && !p->ctx.be->unified))
            return -1;
        g->pass = tw_pass_new(&p->ctx, &p->net->backbone, g->shape, (int64_t)g->first_row, false);
        if (g->pass == NULL)
            return -1;
    }
    return 0;
}

static int make_head(tw_plan *p)
{
    const tw_graph *head = &p->net->head;
    if (head->n == 0)
        return 0;
    p->head = tw_pass_new(&p->ctx, head, (tw_shape){(int)p->rows, 1, 1, p->net->feature_dim}, 0, true);
    if (p->head == NULL)
        return -1;
    p->K = tw_pass_out(p->head).C;
    const size_t n = p->rows * (size_t)p->K;
    p->logits = device_memory(p, n * element_size(p));
    p->host_logits = host_memory(p, n);
    if (p->net->config.head && (p->host_raw = host_memory(p, n)) == NULL)
        return -1;
    return p->logits != NULL && p->host_logits != NULL ? 0 : -1;
}

static int make_gradients(tw_plan *p)
{
    if (!p->ctx.train)
        return 0;
    p->dfeatures = device_memory(p, p->rows * (size_t)p->net->feature_dim * element_size(p));
    p->dlogits = device_memory(p, p->rows * (size_t)p->K * element_size(p));
    return p->dfeatures != NULL && p->dlogits != NULL ? 0 : -1;
}

static void bind(tw_plan *p)
{
    const size_t row = (size_t)p->net->feature_dim * element_size(p);
    for (int i = 0; i < p->n_groups; i++) {
        group *g = &p->group[i];
        char *y = (char *)p->features + g->first_row * row;
        char *dy = p->ctx.train ? (char *)p->dfeatures + g->first_row * row : NULL;
        tw_pass_bind(g->pass, g->pictures, y, dy, NULL);
    }
    if (p->head == NULL)
        return;
    tw_pass_bind(p->head, p->features, p->logits, p->dlogits, p->dfeatures);
    p->raw = p->net->last_norm ? tw_pass_last_input(p->head) : p->logits;
}

tw_plan *tw_plan_new(tw_net *net, const tw_view_group *v, int n_groups, int B, tw_plan_mode mode)
{
    const bool train = mode == TW_PLAN_TRAIN, batch = mode != TW_PLAN_EVAL;
    if (train && (net->config.last_blocks > 1 || net->config.patch_mean)) {
        tw_fail("features of several blocks are for evaluation only");
        return NULL;
    }
    if (check(v, n_groups, B, batch) != 0 || (train && tw_params_gradients(net) != 0))
        return NULL;
    tw_plan *p = tw_calloc(1, sizeof *p);
    if (p == NULL)
        return NULL;
    *p = (tw_plan){.ctx = {.net = net, .be = net->be, .dev = net->dev, .train = train, .batch = batch, .B = B},
                   .net = net, .n_groups = n_groups, .B = B};
    net->be->enter(net->dev);
    p->group = tw_calloc((size_t)n_groups, sizeof *p->group);
    if (p->group == NULL || make_groups(p, v) != 0)
        goto err;
    const size_t features = p->rows * (size_t)net->feature_dim;
    p->features = device_memory(p, features * element_size(p));
    p->host_features = host_memory(p, features);
    if (p->features == NULL || p->host_features == NULL || make_head(p) != 0 || make_gradients(p) != 0)
        goto err;
    bind(p);
    return p;
err:
    tw_plan_free(p);
    return NULL;
}

void tw_plan_free(tw_plan *p)
{
    if (p == NULL)
        return;
    const tw_backend *be = p->ctx.be;
    tw_ahead_free(p->ahead);
    for (int i = 0; p->group != NULL && i < p->n_groups; i++) {
        tw_pass_free(p->group[i].pass);
        be->release(p->ctx.dev, p->group[i].pictures);
        be->release(p->ctx.dev, p->group[i].raw[0]);
        be->release(p->ctx.dev, p->group[i].raw[1]);
    }
    tw_pass_free(p->head);
    void *const block[] = {p->features, p->dfeatures, p->logits, p->dlogits};
    for (size_t i = 0; i < sizeof block / sizeof *block; i++)
        be->release(p->ctx.dev, block[i]);
    free(p->host_features);
    free(p->host_logits);
    free(p->host_raw);
    free(p->group);
    free(p);
}

static int refresh(tw_plan *p)
{
    if (p->version == p->net->version)
        return 0;
    for (int i = 0; i < p->n_groups; i++)
        if (tw_pass_weights(p->group[i].pass) != 0)
            return -1;
    if (p->head != NULL && tw_pass_weights(p->head) != 0)
        return -1;
    p->version = p->net->version;
    return 0;
}

void tw_plan_count(tw_plan *p)
{
    for (int i = 0; i < p->n_groups; i++)
        tw_pass_count(p->group[i].pass);
    if (p->head != NULL)
        tw_pass_count(p->head);
}

static int download(const tw_plan *p, float *to, const void *from, int columns)
{
    return TW_BACKEND(p->ctx.be, p->ctx.be->to_f32(p->ctx.dev, to, from, p->rows * (size_t)columns));
}

/* Pixels of the group's views of the first `rows` of the B samples. */
static size_t pixels(const tw_plan *p, const group *g, int rows)
{
    return (size_t)g->shape.N / (size_t)p->B * (size_t)rows * (size_t)g->shape.H * (size_t)g->shape.W;
}

/* The group's buffer raw[turn], allocated if need be. NULL and tw_error(). */
static uint8_t *place(tw_plan *p, group *g, int turn)
{
    if (g->raw[turn] == NULL)
        g->raw[turn] = device_memory(p, tw_shape_elements(&g->shape));
    return g->raw[turn];
}

/* Whether the next pictures go to the other buffer. With several ranks some may have loaded ahead and others not; all switch at every step,
 * because a recorded step that contains all-reduces must be replayed together with those the other ranks recorded at the same time. */
static bool changes_places(const tw_plan *p, bool there)
{
    return there || (p->net->peers != NULL && p->ctx.batch && p->ctx.be->upload_ahead != NULL);
}

int tw_plan_load(tw_plan *p, const uint8_t *const *pictures, int rows, bool pinned)
{
    const tw_backend *be = p->ctx.be;
    const bool there = p->early != NULL && p->early == pictures[0];
    be->enter(p->ctx.dev);
    p->early = NULL;
    p->turn = changes_places(p, there) ? !p->turn : p->turn;
    for (int i = 0; i < p->n_groups; i++) {
        group *g = &p->group[i];
        if ((g->given = be->unified ? pictures[i] : place(p, g, p->turn)) == NULL)
            return -1;
        if (!be->unified && !there &&
            TW_BACKEND(be, (pinned ? be->upload_pinned : be->upload)(p->ctx.dev, g->raw[p->turn], pictures[i], 3 * pixels(p, g, rows))) != 0)
            return -1;
    }
    return 0;
}

int tw_plan_load_ahead(tw_plan *p, const uint8_t *const *pictures)
{
    const tw_backend *be = p->ctx.be;
    if (be->upload_ahead == NULL)
        return 0;
    bool made = false;
    for (int i = 0; i < p->n_groups; i++) {
        made = made || p->group[i].raw[!p->turn] == NULL;
        if (place(p, &p->group[i], !p->turn) == NULL)
            return -1;
    }
    if (made) /* the zeroing of a new buffer is still queued and would erase pictures uploaded ahead of it */
        return 0;
    for (int i = 0; i < p->n_groups; i++) {
        group *g = &p->group[i];
        uint8_t *raw = g->raw[!p->turn];
        if (TW_BACKEND(be, be->upload_ahead(p->ctx.dev, raw, pictures[i], tw_shape_elements(&g->shape))) != 0)
            return -1;
    }
    p->early = pictures[0];
    return 0;
}

int tw_plan_turn(const tw_plan *p)
{
    return p->turn;
}

static int run(tw_plan *p, int rows)
{
    const tw_backend *be = p->ctx.be;
    if (refresh(p) != 0)
        return -1;
    for (int i = 0; i < p->n_groups; i++) {
        group *g = &p->group[i];
        if (TW_BACKEND(be, be->pictures(p->ctx.dev, g->pictures, g->given, pixels(p, g, rows))) != 0 || tw_pass_forward(g->pass) != 0)
            return -1;
    }
    p->forwarded = true;
    return p->head == NULL ? 0 : tw_pass_forward(p->head);
}

int tw_plan_run(tw_plan *p)
{
    p->ctx.be->enter(p->ctx.dev);
    return run(p, p->B);
}

static int check_rows(const tw_plan *p, int rows)
{
    if (rows != p->B && (p->ctx.batch || p->V != 1 || rows < 1 || rows > p->B))
        return tw_fail("batch of %d: the plan is for %d", rows, p->B);
    return 0;
}

int tw_plan_forward(tw_plan *p, const uint8_t *const *pictures, int rows, int64_t step)
{
    if (check_rows(p, rows) != 0)
        return -1;
    p->ctx.step = step;
    if (tw_plan_load(p, pictures, rows, false) != 0)
        return -1;
    if (p->ctx.batch)
        tw_plan_count(p);
    if (run(p, rows) != 0)
        return -1;
    if (download(p, p->host_features, p->features, p->net->feature_dim) != 0)
        return -1;
    if (p->head == NULL)
        return 0;
    if (download(p, p->host_logits, p->logits, p->K) != 0)
        return -1;
    return p->host_raw == NULL ? 0 : download(p, p->host_raw, p->raw, p->K);
}

int tw_plan_ahead(const tw_plan *p)
{
    return p->ctx.be->upload_ahead != NULL ? 2 : 1;
}

int tw_plan_start(tw_plan *p, const uint8_t *pictures, int rows)
{
    group *g = &p->group[0];
    if (p->ctx.batch || p->n_groups != 1)
        return tw_fail("batches can be started ahead only in evaluation, with one group of views");
    if (tw_plan_ahead(p) == 1)
        return tw_plan_forward(p, &pictures, rows, 0);
    if (check_rows(p, rows) != 0)
        return -1;
    p->ctx.be->enter(p->ctx.dev);
    if (p->ahead == NULL)
        p->ahead = tw_ahead_new(p->ctx.be, p->ctx.dev, 3 * pixels(p, g, p->B), p->rows * (size_t)p->net->feature_dim,
                                p->head == NULL ? 0 : p->rows * (size_t)p->K);
    if (p->ahead == NULL || (g->given = tw_ahead_send(p->ahead, pictures, 3 * pixels(p, g, rows))) == NULL || run(p, rows) != 0)
        return -1;
    return tw_ahead_return(p->ahead, p->features, p->logits);
}

int tw_plan_finish(tw_plan *p)
{
    if (tw_plan_ahead(p) == 1)
        return 0;
    if (p->ahead == NULL)
        return tw_fail("no batch has been started");
    p->ctx.be->enter(p->ctx.dev);
    return tw_ahead_take(p->ahead, p->host_features, p->host_logits);
}

const float *tw_plan_features(const tw_plan *p)
{
    return p->host_features;
}

const float *tw_plan_logits(const tw_plan *p)
{
    return p->host_logits;
}

const float *tw_plan_raw_logits(const tw_plan *p)
{
    return p->host_raw;
}

const void *tw_plan_device_logits(const tw_plan *p)
{
    return p->logits;
}

const void *tw_plan_device_raw_logits(const tw_plan *p)
{
    return p->raw;
}

void *tw_plan_device_gradient(tw_plan *p)
{
    return p->dlogits;
}

int tw_plan_backward(tw_plan *p, const float *dlogits)
{
    const tw_backend *be = p->ctx.be;
    if (!p->ctx.train || p->head == NULL || !p->forwarded)
        return tw_fail("backward: %s", !p->ctx.train ? "the plan is not for training" : p->head == NULL ? "the network has no head"
                                                                                                        : "no forward pass before it");
    tw_exchange sums;
    p->forwarded = false; /* gradients overwrite the activations */
    be->enter(p->ctx.dev);
    tw_exchange_start(&sums, p->net);
    if ((dlogits != NULL && TW_BACKEND(be, be->from_f32(p->ctx.dev, p->dlogits, dlogits, p->rows * (size_t)p->K)) != 0) ||
        tw_pass_backward(p->head, &sums) != 0)
        return -1;
    for (int i = p->n_groups - 1; i >= 0; i--)
        if (tw_pass_backward(p->group[i].pass, i == 0 ? &sums : NULL) != 0)
            return -1;
    return tw_exchange_finish(&sums);
}

size_t tw_plan_bytes(const tw_plan *p)
{
    size_t total = p->bytes + (p->head != NULL ? tw_pass_bytes(p->head) : 0);
    for (int i = 0; i < p->n_groups; i++)
        total += tw_pass_bytes(p->group[i].pass);
    return total;
}
