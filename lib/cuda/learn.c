/* The whole training step on the device: losses, optimizer and teacher without the host, recorded as one CUDA graph. */
#include "cuda/ops.h"

#include "core/error.h"
#include "core/mem.h"
#include "cuda/board.h"
#include "cuda/device.h"
#include "cuda/peers.h"

#include <stdlib.h>
#include <string.h>

enum { RECORDS = 4 };
static const float FIRST_SCALE = 65536; /* as torch.cuda.amp.GradScaler's */

struct tw_learn {
    tw_dev *dev;
    tw_learn_config c;       /* `tensor` is not kept */
    tw_loss_memory loss;
    void *block;             /* one allocation for all device memory below and the loss's */
    tw_update_tensor *tensor;
    tw_update_chunk *chunk;
    double *sums, *partial;
    int chunks;
    tw_learn_numbers *numbers; /* pinned host memory */
    tw_learn_results *results;
    int32_t *largest;
    int32_t *label;            /* pinned host memory, of a supervised step */
    cudaGraphExec_t record[RECORDS];
    unsigned long moved[RECORDS]; /* dev->moved when it was recorded */
    bool played;               /* the current step is a replay */
    int32_t *stage;            /* with peers: pinned host memory, how far the device has come */
};

/* Stages of a step. */
enum { FORWARD, LOSS, BACKWARD, UPDATE };

/* Places pieces in a block; block NULL: only counts their bytes. */
typedef struct {
    char *block;
    size_t at;
} carver;

static void *carve(carver *c, size_t n, size_t size)
{
    void *p = c->block == NULL ? NULL : c->block + c->at;
    c->at += (n * size + 255) / 256 * 256;
    return p;
}

static void place(tw_learn *l, carver *c)
{
    tw_loss_memory *m = &l->loss;
    const size_t V = (size_t)m->V, B = (size_t)m->B, K = (size_t)m->K, blocks = (V * K + 255) / 256;
    m->board = carve(c, 1, sizeof *m->board);
    m->row = carve(c, V * B, sizeof *m->row);
    m->taught = carve(c, 2 * B, sizeof *m->taught);
    m->mean = carve(c, V * K, sizeof *m->mean);
    m->dmean = carve(c, V * K, sizeof *m->dmean);
    m->part = carve(c, 2 * B + blocks, sizeof *m->part);
    m->dots = carve(c, B * (size_t)tw_twist_blocks(m) * (2 + 2 * V), sizeof *m->dots);
    m->spread = carve(c, V * B + K, sizeof *m->spread);
    m->columns = carve(c, 2 * V * K, sizeof *m->columns);
    m->largest = carve(c, 2 * B, sizeof *m->largest);
    m->confidence = carve(c, B, sizeof *m->confidence);
    m->label = carve(c, 2 * B, sizeof *m->label);
    l->tensor = carve(c, (size_t)l->c.tensors, sizeof *l->tensor);
    l->chunk = carve(c, (size_t)l->chunks, sizeof *l->chunk);
    l->sums = carve(c, 2 * (size_t)l->c.tensors, sizeof *l->sums);
    l->partial = carve(c, 2 * (size_t)l->chunks, sizeof *l->partial);
}

static int count_chunks(const tw_learn_config *c)
{
    int64_t n = 0;
    for (int i = 0; i < c->tensors; i++)
        n += ((int64_t)c->tensor[i].n + TW_CHUNK - 1) / TW_CHUNK;
    return (int)n;
}

/* Uploads the tables of tensors and of their chunks. */
static int upload_tensors(tw_learn *l, const tw_learn_config *c)
{
    tw_update_tensor *t = tw_calloc((size_t)c->tensors, sizeof *t);
    tw_update_chunk *chunk = tw_calloc((size_t)l->chunks, sizeof *chunk);
    int at = 0, rc = -1;
    if (t == NULL || chunk == NULL)
        goto done;
    for (int i = 0; i < c->tensors; i++) {
        const tw_learn_tensor *from = &c->tensor[i];
        t[i] = (tw_update_tensor){from->w, from->g, {from->state[0], from->state[1]}, from->teacher, (int64_t)from->n, from->rate,
                                  from->decayed, at, 0};
        for (int64_t k = 0; k < t[i].n; k += TW_CHUNK)
            chunk[at++] = (tw_update_chunk){i, k};
        t[i].chunks = at - t[i].first;
    }
    rc = tw_cuda_upload(l->dev, l->tensor, t, (size_t)c->tensors * sizeof *t);
    if (rc == 0)
        rc = tw_cuda_upload(l->dev, l->chunk, chunk, (size_t)l->chunks * sizeof *chunk);
done:
    free(t);
    free(chunk);
    return rc;
}

static int open_memory(tw_learn *l, const tw_learn_config *c)
{
    const bool scaled = l->dev->precision == TW_F16, again = scaled && c->first.scale > 0;
    const tw_board first = {.scale = again ? (float)c->first.scale : scaled ? FIRST_SCALE : 1, .good = again ? c->first.steps : 0};
    carver size = {0};
    place(l, &size);
    l->block = tw_dev_memory(size.at);
    if (l->block == NULL)
        return -1;
    place(l, &(carver){.block = l->block});
    if (TW_CUDA(cudaHostAlloc((void **)&l->stage, sizeof *l->stage, cudaHostAllocDefault)) != 0 ||
        TW_CUDA(cudaHostAlloc((void **)&l->numbers, sizeof *l->numbers, cudaHostAllocDefault)) != 0 ||
        TW_CUDA(cudaHostAlloc((void **)&l->results, sizeof *l->results, cudaHostAllocDefault)) != 0 ||
        TW_CUDA(cudaHostAlloc((void **)&l->label, (size_t)c->B * sizeof *l->label, cudaHostAllocDefault)) != 0 ||
        TW_CUDA(cudaHostAlloc((void **)&l->largest, 2 * (size_t)c->B * sizeof *l->largest, cudaHostAllocDefault)) != 0)
        return -1;
    return tw_cuda_upload(l->dev, l->loss.board, &first, sizeof first) != 0 || upload_tensors(l, c) != 0 ? -1 : 0;
}

tw_learn *tw_cuda_learn_new(tw_dev *d, const tw_learn_config *c)
{
    if (c->V > TW_MOST_VIEWS) {
        tw_fail("%d views: a GPU trains on %d at most", c->V, TW_MOST_VIEWS);
        return NULL;
    }
    tw_learn *l = tw_calloc(1, sizeof *l);
    if (l == NULL)
        return NULL;
    *l = (tw_learn){.dev = d, .c = *c, .chunks = count_chunks(c)};
    l->c.tensor = NULL;
    l->loss = (tw_loss_memory){.V = c->V, .B = c->B, .K = c->K, .global = (double)c->B * (double)c->ranks, .lam1 = c->lam1, .lam2 = c->lam2,
                               .tau = c->tau};
    if (open_memory(l, c) == 0) {
        d->step = &l->loss.board->in.number;
        return l;
    }
    tw_cuda_learn_free(l);
    return NULL;
}

void tw_cuda_learn_free(tw_learn *l)
{
    if (l == NULL)
        return;
    l->dev->step = NULL;
    if (!l->dev->lost)
        cudaStreamSynchronize(l->dev->stream);
    for (int i = 0; i < RECORDS; i++)
        if (l->record[i] != NULL)
            cudaGraphExecDestroy(l->record[i]);
    cudaFree(l->block);
    cudaFreeHost(l->stage);
    cudaFreeHost(l->numbers);
    cudaFreeHost(l->results);
    cudaFreeHost(l->largest);
    cudaFreeHost(l->label);
    free(l);
}

int tw_cuda_learn_begin(tw_learn *l, const tw_learn_numbers *n)
{
    l->played = false;
    l->dev->begun = (tw_begun){0}; /* forgets sums begun by a step that failed */
    *l->stage = FORWARD;
    *l->numbers = *n; /* the previous step's copy has been made: its results were waited for */
    return TW_CUDA(cudaMemcpyAsync(&l->loss.board->in, l->numbers, sizeof *n, cudaMemcpyHostToDevice, l->dev->stream));
}

int tw_cuda_learn_labels(tw_learn *l, const int32_t *label)
{
    const size_t bytes = (size_t)l->c.B * sizeof *label;
    memcpy(l->label, label, bytes);
    return TW_CUDA(cudaMemcpyAsync(l->loss.label, l->label, bytes, cudaMemcpyHostToDevice, l->dev->stream));
}

/* All-reduces x over all ranks. */
static int total(const tw_learn *l, double *x, size_t n)
{
    return l->c.peers == NULL ? 0 : tw_cuda_peers_sum(l->c.peers, x, n, TW_F64);
}

static int enter_stage(const tw_learn *l, int stage)
{
    return l->c.peers == NULL ? 0 : tw_launch_stage(l->stage, stage, l->dev->stream);
}

static int twist(tw_learn *l, void *dlogits, const void *logits, const void *teacher)
{
    const tw_loss_memory *m = &l->loss;
    const tw_dtype t = l->dev->precision;
    const cudaStream_t s = l->dev->stream;
    if (total(l, m->mean, (size_t)m->V * (size_t)m->K) != 0 ||
        tw_launch_diversity(m, teacher != NULL, s) != 0 || tw_launch_twist(m, dlogits, logits, teacher, t, s) != 0 ||
        total(l, m->board->sums, 2) != 0)
        return -1;
    return tw_launch_twist_terms(m, teacher != NULL, s);
}

static int self_labels(tw_learn *l, void *dlogits, const void *logits, bool taught)
{
    const tw_loss_memory *m = &l->loss;
    const cudaStream_t s = l->dev->stream;
    if (total(l, m->mean, 2 * (size_t)m->K) != 0 || tw_launch_selflabel(m, dlogits, logits, taught, l->dev->precision, s) != 0 ||
        total(l, m->board->sums, 4) != 0)
        return -1;
    return tw_launch_selflabel_terms(m, s);
}

static int labelled(tw_learn *l, void *dlogits, const void *logits)
{
    const tw_loss_memory *m = &l->loss;
    const tw_dtype t = l->dev->precision;
    const cudaStream_t s = l->dev->stream;
    if (tw_launch_rows(m->row, NULL, logits, (int64_t)m->V * m->B, m->K, 1, t, s) != 0 || tw_launch_labels(m, dlogits, logits, t, s) != 0 ||
        total(l, m->board->sums, 3) != 0)
        return -1;
    return tw_launch_labels_terms(m, s);
}

static int unlabelled(tw_learn *l, void *dlogits, const void *logits, const void *raw, const void *teacher, bool self_label)
{
    const tw_loss_memory *m = &l->loss;
    const tw_dtype t = l->dev->precision;
    const cudaStream_t s = l->dev->stream;
    const int64_t rows = (int64_t)m->V * m->B;
    if (raw != NULL && (tw_launch_rows(NULL, m->spread, raw, rows, m->K, 1, t, s) != 0 || tw_launch_columns(m, raw, true, t, s) != 0))
        return -1;
    if (tw_launch_rows(m->row, m->spread, logits, rows, m->K, m->tau, t, s) != 0 || tw_launch_columns(m, logits, false, t, s) != 0)
        return -1;
    if (teacher != NULL && tw_launch_rows(m->taught, NULL, teacher, 2 * (int64_t)m->B, m->K, m->tau, t, s) != 0)
        return -1;
    return self_label ? self_labels(l, dlogits, logits, teacher != NULL) : twist(l, dlogits, logits, teacher);
}

int tw_cuda_learn_loss(tw_learn *l, void *dlogits, const void *logits, const void *raw, const void *teacher, bool self_label)
{
    if (enter_stage(l, LOSS) != 0)
        return -1;
    if ((l->c.supervised ? labelled(l, dlogits, logits) : unlabelled(l, dlogits, logits, raw, teacher, self_label)) != 0)
        return -1;
    return enter_stage(l, BACKWARD);
}

int tw_cuda_learn_update(tw_learn *l)
{
    tw_board *board = l->loss.board;
    const cudaStream_t s = l->dev->stream;
    if (enter_stage(l, UPDATE) != 0 ||
        tw_launch_norms(board, l->sums, l->partial, l->tensor, l->c.tensors, l->chunk, l->chunks, l->c.optim == TW_LEARN_LARS,
                        l->c.clip_norm, l->dev->precision == TW_F16, s) != 0)
        return -1;
    return tw_launch_update(board, l->sums, l->tensor, l->chunk, l->chunks, l->c.optim, s);
}

static int wait_for_step(const tw_learn *l)
{
    static const char *const name[] = {[FORWARD] = "forward pass", [LOSS] = "loss", [BACKWARD] = "backward pass", [UPDATE] = "update"};
    if (tw_peers_watch(l->dev, l->played ? l->c.patience : 10 * l->c.patience) == 0)
        return 0;
    return l->c.peers == NULL ? -1 : tw_fail("the step's %s: %s", name[*(volatile int32_t *)l->stage], tw_error());
}

static int find_largest(tw_learn *l)
{
    const cudaStream_t s = l->dev->stream;
    if (l->c.supervised)
        return 0;
    return tw_launch_largest(&l->loss, s) != 0
               ? -1
               : TW_CUDA(cudaMemcpyAsync(l->largest, l->loss.largest, 2 * (size_t)l->c.B * sizeof *l->largest, cudaMemcpyDeviceToHost, s));
}

int tw_cuda_learn_results(tw_learn *l, tw_learn_results *r, int32_t *largest)
{
    if (find_largest(l) != 0 ||
        TW_CUDA(cudaMemcpyAsync(l->results, &l->loss.board->out, sizeof *r, cudaMemcpyDeviceToHost, l->dev->stream)) != 0 || wait_for_step(l) != 0)
        return -1;
    *r = *l->results;
    if (!l->c.supervised)
        memcpy(largest, l->largest, 2 * (size_t)l->c.B * sizeof *largest);
    return 0;
}

int tw_cuda_learn_record(tw_learn *l, int i, bool begin)
{
    cudaGraph_t graph = NULL;
    l->dev->begun = (tw_begun){0}; /* forgets sums begun outside of the recording, or in an incomplete one */
    if (begin)
        return TW_CUDA(cudaStreamBeginCapture(l->dev->stream, cudaStreamCaptureModeThreadLocal));
    if (TW_CUDA(cudaStreamEndCapture(l->dev->stream, &graph)) != 0)
        return -1;
    if (l->record[i] != NULL)
        cudaGraphExecDestroy(l->record[i]);
    l->record[i] = NULL;
    const int rc = TW_CUDA(cudaGraphInstantiateWithFlags(&l->record[i], graph, 0));
    cudaGraphDestroy(graph);
    l->moved[i] = l->dev->moved;
    return rc;
}

int tw_cuda_learn_play(tw_learn *l, int i)
{
    if (l->record[i] == NULL || l->moved[i] != l->dev->moved)
        return 0;
    l->played = true;
    return TW_CUDA(cudaGraphLaunch(l->record[i], l->dev->stream)) == 0 ? 1 : -1;
}
