/* A network (backbone, and head where asked for) with its parameters, and plans that run it on views. */
#ifndef TW_NN_NET_H
#define TW_NN_NET_H

#include "comm/comm.h"
#include "core/tensor.h"
#include "nn/backend.h"

#include <stdbool.h>

typedef struct tw_net tw_net;
typedef struct tw_plan tw_plan;

typedef struct {
    const char *backbone;   /* a name of nn/backbones.h */
    bool small_stem;        /* 3x3 stride 1, no max pool: for images of 64 px and less */
    bool head;              /* projection head of twist-method.md 1 */
    int hid_dim, dim;       /* 4096, 32768 in the paper */
    const char *act;        /* "relu" or "gelu", in the head */
    double drop;            /* dropout of the head, 0 .. 1 */
    const char *proj_norm;  /* norms inside the head: "bn", "ln", "none"; NULL: bn */
    const char *lbn_type;   /* last norm: "bn", "syncbn" (both BatchNorm without affine), "identity": none; NULL: bn */
    bool proj_trunc_init;   /* linear layers of the head start truncated normal 0.02, as those of vision transformers do */
    int patch_size;         /* of vision transformers; 0: 16 */
    int pos_grid;           /* side of the learned position embedding, in patches; 0: 224 / patch_size */
    double drop_path;       /* stochastic depth of the last block, growing from 0 at the first, 0 .. 1 */
    int last_blocks;        /* vision transformers, evaluation: the feature is the CLS tokens of so many last blocks, each after the
                             * final norm, side by side; 0: 1 */
    bool patch_mean;        /* and behind them the mean patch token of the last block after the final norm */
    int classes;            /* in the place of the head: a linear classifier of that many classes, "fc"; 0: none */
    tw_dtype precision;     /* activations: TW_F32, TW_BF16 */
    uint64_t seed;          /* initial weights, dropout, stochastic depth */
    bool blank;             /* weights that a checkpoint will fill are not drawn: zeros */
    int threads;            /* of the backend */
    tw_comm *comm;          /* sums gradients, and synchronises BatchNorm; NULL: tw_comm_single() */
    bool own_norms;         /* the backbone's norms take this rank's samples alone, as PyTorch's BatchNorm does under DistributedDataParallel. Each
                             * rank has running statistics of its own then: the first one's are those of the run */
    tw_comm *bunch;         /* of the ranks among these whose samples the last norm takes together; NULL: all of comm */
    int bunch_samples;      /* 0, or: a rank has several bunches, of so many of its samples each (CPU only; bunch is not used) */
    double patience;        /* seconds that copies wait where another rank's GPU does not come to a sum; 0: 600 */
    tw_net *beside;         /* runs on that net's device, which must outlive it; NULL: on one of its own */
} tw_net_config;

/* One tensor of the state dict, official name and shape ("backbone.conv1.weight" [64,3,7,7], OIHW as PyTorch). */
typedef struct {
    const char *name;
    int rank;
    int64_t dim[TW_MAX_RANK];
    size_t n;               /* elements */
    bool trained;           /* parameter; false: a buffer (running statistics, num_batches_tracked) */
    bool decayed;           /* rank > 1 and no bias: weight decay and LARS adaptation (twist-method.md 4) */
    tw_dtype dtype;         /* TW_F32; TW_I64 for num_batches_tracked */
    void *value;            /* f32 [n] (i64 for num_batches_tracked), host memory, plain layout, owned by the net */
    float *device;          /* the same in device memory: what is computed with; NULL for num_batches_tracked. Where device memory is
                             * host memory it is value itself, else tw_net_download and tw_net_upload copy one to the other */
    float *grad;            /* f32 [n], device memory, same layout; NULL for buffers, and before the first plan that trains */
} tw_param;

/* Builds and initialises as the official code does (twist-method.md 1, init). device "cpu": libtwist-cpu.so is opened at
 * run time. NULL and tw_error(). */
tw_net *tw_net_new(const char *device, const tw_net_config *c);
void tw_net_free(tw_net *net);

int tw_net_params(const tw_net *net);               /* number of tensors, in state-dict order */
tw_param *tw_net_param(tw_net *net, int i);
/* All values that are not trained (statistics) as one block in device memory, with what fills up between them and the places of those that are
 * in host memory only. */
float *tw_net_buffers(const tw_net *net, size_t *bytes);
/* All gradients as one block of n numbers in device memory; what fills up between them is zero. NULL before the first plan that trains. */
float *tw_net_gradients(const tw_net *net, size_t *n);
int tw_net_feature_dim(const tw_net *net);          /* 512 for resnet18/34, 2048 for resnet50, 384 for vit_s */
int tw_net_classes(const tw_net *net);              /* K of the head or the classifier; 0 without one */
/* Must be called after values in device memory were changed by anyone but the net (optimizer step): the plans refresh their own
 * layouts before the next forward pass. */
void tw_net_changed(tw_net *net);
/* Brings the values to host memory, before they are read there; takes them over from it, once they were changed there (then
 * tw_net_changed is called too). 0, or -1 and tw_error(). */
int tw_net_download(tw_net *net);
int tw_net_upload(tw_net *net);
int tw_net_zero_grad(tw_net *net); /* 0, or -1 and tw_error() */
tw_comm *tw_net_comm(const tw_net *net); /* borrowed */
tw_peers *tw_net_peers(const tw_net *net); /* what its device sums by; NULL: that of tw_net_comm does, or there is one rank; borrowed */
/* What it runs on; borrowed. For the optimizers, whose steps are the backend's. */
const tw_backend *tw_net_backend(const tw_net *net);
tw_dev *tw_net_device(const tw_net *net);
tw_dtype tw_net_precision(const tw_net *net); /* of its activations */

/* Views of one size that go through the backbone together: n_views x B pictures of H x W. */
typedef struct {
    int n_views, H, W;
} tw_view_group;

/* EVAL: BatchNorm uses running statistics, nothing is dropped. TRAIN: BatchNorm uses batch statistics and updates running ones,
 * dropout drops, and what the backward pass needs is kept. BATCH: as TRAIN, without a backward pass (a teacher). */
typedef enum { TW_PLAN_EVAL = 0, TW_PLAN_TRAIN = 1, TW_PLAN_BATCH = 2 } tw_plan_mode;

/* A plan for B samples; all buffers are planned once. NULL and tw_error(). */
tw_plan *tw_plan_new(tw_net *net, const tw_view_group *group, int n_groups, int B, tw_plan_mode mode);
void tw_plan_free(tw_plan *p);

/* pictures[g]: u8 NHWC [n_views*B,H,W,3], view-major. Normalised inside by ImageNet's mean and deviation. Groups of the
 * official order: one backbone pass per group, one head pass over all V*B rows. step numbers the dropout masks. In eval
 * plans `rows` <= B samples may be given (n_views 1). 0, or -1 and tw_error(). */
int tw_plan_forward(tw_plan *p, const uint8_t *const *pictures, int rows, int64_t step);

/* tw_plan_forward of an evaluation plan in two halves, with which the device computes while the host reads and writes. start: takes the
 * pictures of rows <= B samples (which may be changed afterwards) and has them computed; finish: waits for the oldest batch started
 * and not finished, whose features and logits are then the plan's. As many as tw_plan_ahead says may be started: 1, where start
 * itself computes, or 2. 0, or -1 and tw_error(). */
int tw_plan_ahead(const tw_plan *p);
int tw_plan_start(tw_plan *p, const uint8_t *pictures, int rows);
int tw_plan_finish(tw_plan *p);

/* Results of the last forward pass, host memory, borrowed until the next: f32 [V*B, D] and [V*B, K], view-major. logits:
 * after the last BatchNorm; raw_logits: before it. NULL where the net has no head; raw_logits also where it has a classifier. */
const float *tw_plan_features(const tw_plan *p);
const float *tw_plan_logits(const tw_plan *p);
const float *tw_plan_raw_logits(const tw_plan *p);

/* dlogits: f32 [V*B, K]; NULL: they are in tw_plan_device_gradient. Adds to every param's grad; with several ranks these are then summed over all
 * of them, so that they must be zero before. Once after each forward pass, whose activations are gone then. 0, or -1 and tw_error(). */
int tw_plan_backward(tw_plan *p, const float *dlogits);

/* tw_plan_forward in parts, for a device that trains by itself (tw_backend, learn_new). load: the views to the device; pinned: they
 * lie in memory that was pinned and stay there until learn_results. load_ahead: those that the next load will be given (or not: then
 * they are forgotten), pinned, while the device computes with those before. They go to one of two places in turn, which tw_plan_turn
 * names, 0 or 1: what is recorded is so for one of them. Ranks whose devices sum take the places in turn whether loaded ahead or not.
 * count: what the host counts of a pass. run: all else, of B samples and without results in host memory, so that it can be recorded.
 * 0, or -1 and tw_error(). */
int tw_plan_load(tw_plan *p, const uint8_t *const *pictures, int rows, bool pinned);
int tw_plan_load_ahead(tw_plan *p, const uint8_t *const *pictures);
int tw_plan_turn(const tw_plan *p);
void tw_plan_count(tw_plan *p);
int tw_plan_run(tw_plan *p);
/* In device memory, activations: [V*B, K]. raw NULL: the head has no last norm. */
const void *tw_plan_device_logits(const tw_plan *p);
const void *tw_plan_device_raw_logits(const tw_plan *p);
void *tw_plan_device_gradient(tw_plan *p);

/* Bytes of memory the plan holds. */
size_t tw_plan_bytes(const tw_plan *p);

#endif
