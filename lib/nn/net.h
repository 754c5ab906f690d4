/* A network (backbone, and head if asked for) with its parameters, and plans that run it on views. */
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
    double drop;            /* dropout of the head, 0 <= drop < 1 */
    const char *proj_norm;  /* norms inside the head: "bn", "ln", "none"; NULL: bn */
    const char *lbn_type;   /* last norm: "bn", "syncbn" (both BatchNorm without affine), "identity": none; NULL: bn */
    bool proj_trunc_init;   /* linear layers of the head start truncated normal 0.02, as those of vision transformers do */
    int patch_size;         /* of vision transformers, in pixels; 0: 16 */
    int pos_grid;           /* side of the learned position embedding, in patches; 0: 224 / patch_size */
    double drop_path;       /* stochastic depth: drop probability of the last block, linear in depth from 0 at the first; 0 <= drop_path < 1 */
    int last_blocks;        /* vision transformers, evaluation: the feature concatenates the CLS tokens of this many last blocks, each after
                             * the final norm; 0: 1 */
    bool patch_mean;        /* vision transformers, evaluation: and the mean patch token of the last block, after the final norm */
    int classes;            /* instead of a head: a linear classifier "fc" of that many classes; 0: none */
    tw_dtype precision;     /* activations: TW_F32, TW_BF16, or TW_F16 (CUDA only) */
    uint64_t seed;          /* initial weights, dropout, stochastic depth */
    bool blank;             /* leave the weights zero, for a checkpoint to fill, instead of drawing initial ones */
    int threads;            /* of the backend, >= 1 */
    tw_comm *comm;          /* borrowed; sums gradients and synchronises BatchNorm; NULL: tw_comm_single() */
    bool own_norms;         /* the backbone's norms use this rank's samples only, as PyTorch's BatchNorm under DistributedDataParallel. Running
                             * statistics then differ between ranks; those of rank 0 count as the run's */
    tw_comm *bunch;         /* borrowed; the ranks, of comm, that share the last norm's statistics (twist-method.md 1); NULL: all of comm */
    int bunch_samples;      /* 0, or samples of a bunch where this rank's batch holds several bunches (CPU only; bunch is not used) */
    double patience;        /* seconds until copies fail because another rank's GPU never comes to a sum; 0: 600 */
    tw_net *beside;         /* use that net's device, which must outlive this net; NULL: open a device */
} tw_net_config;

/* One tensor of the state dict, official name and shape ("backbone.conv1.weight" [64,3,7,7], OIHW as PyTorch). */
typedef struct {
    const char *name;
    int rank;
    int64_t dim[TW_MAX_RANK];
    size_t n;               /* elements */
    bool trained;           /* parameter; false: a buffer (running statistics, num_batches_tracked) */
    bool decayed;           /* weight decay and LARS adaptation apply (twist-method.md 4, groups) */
    tw_dtype dtype;         /* TW_F32; TW_I64 for num_batches_tracked */
    void *value;            /* f32 [n] (i64 for num_batches_tracked), host memory, plain layout, owned by the net */
    float *device;          /* f32 [n] in device memory, what is computed with; NULL for num_batches_tracked. With unified memory the same
                             * pointer as value, else tw_net_download and tw_net_upload copy between the two */
    float *grad;            /* f32 [n], device memory, same layout; NULL for buffers, and before the first plan that trains */
} tw_param;

/* Builds the network and initialises it as the official code does (twist-method.md 1, init). device: a backend's name, "cpu" or "cuda"
 * (tw_backend_choose), whose library is opened at run time; not used with c->beside. NULL and tw_error(). */
tw_net *tw_net_new(const char *device, const tw_net_config *c);
void tw_net_free(tw_net *net); /* NULL is allowed */

int tw_net_params(const tw_net *net);               /* number of tensors */
tw_param *tw_net_param(tw_net *net, int i);         /* tensor i in state-dict order; borrowed */
/* All buffers (running statistics) as one block in device memory, with padding between them and room for num_batches_tracked, whose values are
 * in host memory. Borrowed; *bytes: its size. */
float *tw_net_buffers(const tw_net *net, size_t *bytes);
/* All gradients as one block of *n floats in device memory; the padding between them is zero. Borrowed. NULL before the first plan that trains. */
float *tw_net_gradients(const tw_net *net, size_t *n);
int tw_net_feature_dim(const tw_net *net);          /* 512 for resnet18/34, 2048 for resnet50, 384 for vit_s */
int tw_net_classes(const tw_net *net);              /* K of the head or the classifier; 0 without one */
/* To be called after changing parameters in device memory (an optimizer step): plans then refresh their copies of the weights (other layouts,
 * other types) before their next forward pass. */
void tw_net_changed(tw_net *net);
/* Copy all values to host memory, to be called before reading param->value; from host memory, to be called after changing them there (calls
 * tw_net_changed). With unified memory nothing is copied. 0, or -1 and tw_error(). */
int tw_net_download(tw_net *net);
int tw_net_upload(tw_net *net);
int tw_net_zero_grad(tw_net *net); /* 0, or -1 and tw_error() */
tw_comm *tw_net_comm(const tw_net *net); /* borrowed */
tw_peers *tw_net_peers(const tw_net *net); /* borrowed; all-reduces between devices; NULL: tw_net_comm does, or there is one rank */
/* The backend and the device that it runs on, for the optimizers; borrowed. */
const tw_backend *tw_net_backend(const tw_net *net);
tw_dev *tw_net_device(const tw_net *net);
tw_dtype tw_net_precision(const tw_net *net); /* of the activations */

/* Views of one size that go through the backbone together: n_views x B pictures of H x W. */
typedef struct {
    int n_views, H, W;
} tw_view_group;

/* EVAL: BatchNorm uses running statistics, no dropout. TRAIN: BatchNorm uses batch statistics and updates the running ones, dropout and
 * stochastic depth act, and what the backward pass needs is kept. BATCH: as TRAIN without a backward pass (a teacher). */
typedef enum { TW_PLAN_EVAL = 0, TW_PLAN_TRAIN = 1, TW_PLAN_BATCH = 2 } tw_plan_mode;

/* Binds the network to B samples per rank of these views; allocates all memory. The net must outlive the plan. One backbone pass per group, in
 * the order of the views, one head pass over all V*B rows (V: views of all groups). NULL and tw_error(). */
tw_plan *tw_plan_new(tw_net *net, const tw_view_group *group, int n_groups, int B, tw_plan_mode mode);
void tw_plan_free(tw_plan *p); /* NULL is allowed */

/* pictures[g]: u8 NHWC [n_views*B,H,W,3], view-major, host memory; normalised inside by ImageNet's mean and standard deviation. rows: B, or in
 * an eval plan of one view 1 .. B samples. step: number of the training step, which seeds the dropout masks. 0, or -1 and tw_error(). */
int tw_plan_forward(tw_plan *p, const uint8_t *const *pictures, int rows, int64_t step);

/* tw_plan_forward of an eval plan of one group in two halves, so that the device computes while the host reads and writes. start: copies the
 * pictures of rows <= B samples and queues the forward pass; finish: waits for the oldest batch started and not finished, and sets the plan's
 * features and logits (not the raw logits) to its results. At most tw_plan_ahead batches may be started and not finished: 1 (start itself
 * computes) or 2. start, finish: 0, or -1 and tw_error(). */
int tw_plan_ahead(const tw_plan *p);
int tw_plan_start(tw_plan *p, const uint8_t *pictures, int rows);
int tw_plan_finish(tw_plan *p);

/* Results of the last forward pass in host memory, borrowed until the next: features f32 [V*B, D]; logits (after the last norm) and raw_logits
 * (before it; the same numbers if there is none) f32 [V*B, K]; all view-major. NULL without a head; logits are there with a classifier too. */
const float *tw_plan_features(const tw_plan *p);
const float *tw_plan_logits(const tw_plan *p);
const float *tw_plan_raw_logits(const tw_plan *p);

/* dlogits: f32 [V*B, K], host memory; NULL: they are in tw_plan_device_gradient already. Adds to every param's grad, then sums the grads over
 * all ranks: with several ranks they must be zero before (tw_net_zero_grad). Once per forward pass, whose activations it overwrites. Needs a
 * head or a classifier. 0, or -1 and tw_error(). */
int tw_plan_backward(tw_plan *p, const float *dlogits);

/* tw_plan_forward in parts, for a device that does the whole training step (tw_backend, learn_new). 0, or -1 and tw_error().
 * load: uploads the views; pinned: they are in pinned memory and stay unchanged until learn_results.
 * load_ahead: starts to upload the pinned views that the next load will be given, while the device computes with the present ones; a next load of
 * other views discards them. Views go to one of two device buffers, tw_plan_turn (0 or 1): a recorded step reads the buffer it was recorded
 * with. With devices that sum among several ranks the buffers alternate at every load, so that all ranks replay the same record.
 * count: what the host counts per pass (num_batches_tracked). run: the passes, of B samples, without downloads: can be recorded. */
int tw_plan_load(tw_plan *p, const uint8_t *const *pictures, int rows, bool pinned);
int tw_plan_load_ahead(tw_plan *p, const uint8_t *const *pictures);
int tw_plan_turn(const tw_plan *p);
void tw_plan_count(tw_plan *p);
int tw_plan_run(tw_plan *p);
/* In device memory, in the net's precision, borrowed: [V*B, K]. raw: before the last norm; the logits themselves if there is none. */
const void *tw_plan_device_logits(const tw_plan *p);
const void *tw_plan_device_raw_logits(const tw_plan *p);
void *tw_plan_device_gradient(tw_plan *p);

/* Bytes of memory the plan holds. */
size_t tw_plan_bytes(const tw_plan *p);

#endif
