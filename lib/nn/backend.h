/* What a network runs on. A backend is one const table of functions; the layers in lib/nn call nothing else, and nothing outside the
 * backend's folder includes oneDNN or CUDA. Activations are NHWC in the device's precision, [rows,C] being N x 1 x 1 x C; parameters and
 * their gradients are f32 in the plain layout of tw_param; "device memory" is what the table's alloc returns. Pointers to activations,
 * parameters and gradients are device memory unless said otherwise. Functions return 0, or -1 (pointers: NULL) with the reason in the table's
 * error(): a backend is a shared library with a message slot of its own. A NULL entry means that the backend cannot do it.
 * "dw +=" in a comment: the gradient is added to what is there; other results are overwritten. */
#ifndef TW_NN_BACKEND_H
#define TW_NN_BACKEND_H

#include "comm/comm.h"
#include "core/tensor.h"

#include <stdbool.h>

typedef struct tw_dev tw_dev;
typedef struct tw_conv tw_conv;     /* a convolution of one shape */
typedef struct tw_linear tw_linear; /* y = x W^T + b for one number of rows */
typedef struct tw_peers tw_peers;   /* the devices of several ranks, which all-reduce among themselves */

/* [N,H,W,C] -> [N,OH,OW,K]: square kernel, the same stride and padding both ways, no bias. */
typedef struct {
    int N, H, W, C, OH, OW, K;
    int size, stride, pad;
    bool train;         /* the gradient of the weights will be asked for */
    bool data_gradient; /* and that of the input */
    bool folded;        /* evaluation: the norm that follows is folded in, see conv_fold */
    bool add, relu;     /* whether that norm (not folded: the norm that makes x) adds a shortcut, has a ReLU */
    int norms;          /* bits of TW_CONV_...: the passes it may take over (conv_norms), those it does take over (conv_new) */
} tw_conv_shape;

/* [N,H,W,C] -> [N,OH,OW,C] */
typedef struct {
    int N, H, W, C, OH, OW;
    int size, stride, pad;
} tw_pool_shape;

/* One BatchNorm over rows = N*H*W of this rank; count: rows of all ranks together (0: only the sums are wanted). Pointers: device memory. */
typedef struct {
    int64_t rows, count;
    int C;
    bool add, relu;                       /* norm_apply adds a shortcut; then applies a ReLU */
    const float *gamma, *beta;            /* [C] or NULL (1 and 0) */
    float *dgamma, *dbeta;                /* [C] or NULL: norm_backward_sums adds this rank's gradients to them */
    float *running_mean, *running_var;    /* [C] */
    float *mean, *rstd;                   /* [C]: what x is normalised by (rstd = 1 / sqrt(var + eps)), set by norm_statistics or norm_running */
    double *sums;                         /* [2C]: this rank's sums, which the caller all-reduces over the ranks */
    uint8_t *mask;                        /* [norm_mask_bytes] or NULL. With a shortcut: norm_apply stores where its ReLU passes, and
                                           * norm_backward_sums reads that instead of y */
} tw_norm;

/* Dropout mask: row r, column c is dropped if the c-th 32-bit number of the Philox stream (seed, TW_USE_DROP, step, R, layer) is below p 2^32.
 * R, the number of row r among the rows of all ranks, is row + r / batch * stride + r % batch (rows are view-major), so that the mask does
 * not depend on how many ranks share the batch. */
typedef struct {
    double p;
    uint64_t seed;
    int64_t step;
    int64_t row;           /* R of the first row */
    int64_t batch, stride; /* samples of one view on this rank, on all ranks */
    int layer;
} tw_drop;

/* LayerNorm over the C channels of each row. */
typedef struct {
    int64_t rows;
    int C;
    double eps;
    const float *gamma, *beta; /* [C] */
    float *mean, *rstd;        /* [rows]: written by the forward pass, read by the backward pass */
    bool adds;                 /* the backward pass adds to what is in dx */
} tw_layer_norm;

/* Self-attention over the T tokens of each of N samples, per head: softmax(q k^T / sqrt(width)) v; width: channels of a head. */
typedef struct {
    int N, T, heads, width;
    bool train;        /* log_sum is wanted, for the backward pass */
    float *log_sum;    /* [N,heads,T]: log-sum-exp of each row of the scaled scores */
} tw_attention;

/* A vision transformer's tokens: CLS first, then the embedded patches, each with its position embedding added. */
typedef struct {
    int N, patches, C;
    int grid;              /* side of the learned position embedding */
    const float *bias;     /* [C], of the patch embedding */
    const float *cls;      /* [C] */
    const float *pos;      /* [1 + grid^2, C], CLS first */
    const float *resize;   /* [patches, grid^2]: interpolation matrix from pos's patches to these; NULL: pos as it is, patches = grid^2 */
} tw_tokens;

/* Passes of the adjacent BatchNorms that a convolution can fuse with its own, in its prologue or epilogue. "Maker": the norm whose result is x;
 * "reader": the norm that normalises y. */
enum {
    TW_CONV_APPLIES = 1,          /* forward, prologue: the maker's norm_apply, which writes x */
    TW_CONV_SUMS = 2,             /* forward, epilogue: the reader's norm_sums of y before y is rounded, with all else that norm_sums may do */
    TW_CONV_BACKWARD_APPLIES = 4, /* backward, prologue: the reader's norm_backward_apply, which writes dy */
    TW_CONV_BACKWARD_SUMS = 8,    /* backward, epilogue: the maker's norm_backward_sums of dx; dx may then be added to what is there */
    TW_CONV_THROUGH = 16,         /* forward and gradient of the weights: x is never stored, both recompute it from maker_x as they read. Only
                                   * where the maker has a ReLU and no shortcut, and no other layer reads x; norm_backward_sums gets y NULL */
};

/* The adjacent norms of a convolution. maker: has made, or makes on the way, x from maker_x and shortcut (or NULL); reader: normalises y. NULL:
 * nothing is done for that norm. */
typedef struct {
    const tw_norm *maker, *reader;
    const void *maker_x, *shortcut;
    const void *maker_y;              /* backward: the maker's result, which is x, for the ReLU's mask */
    const void *reader_x, *reader_dy; /* backward: the reader's input, which is y, and the gradient of the reader's result */
    bool adds;                        /* backward: dx is added to what is there */
} tw_conv_norms;

/* One tensor's step with momentum: v = momentum v + into (grad g + decay w), w -= out v. */
typedef struct {
    float grad;          /* factor of the gradient, from clipping */
    float decay;         /* weight decay */
    float momentum;
    float into, out;     /* SGD (as PyTorch): 1, lr; LARS: lr times the local rate, 1 */
} tw_momentum;

/* One tensor's AdamW step (as PyTorch): w *= decay_factor; m += (1 - beta1)(grad g - m); v = beta2 v + (1 - beta2)(grad g)^2;
 * w -= rate m / (sqrt(v) / root + eps). grad: factor of the gradient, from clipping; decay_factor: 1 - lr decay; t: steps, from 1. */
typedef struct {
    float grad, decay_factor, beta1, beta2, eps;
    float rate;          /* lr / (1 - beta1^t) */
    float root;          /* sqrt(1 - beta2^t) */
} tw_adamw;

typedef enum { TW_LEARN_LARS, TW_LEARN_SGD, TW_LEARN_ADAMW } tw_learn_optim;

/* One trained tensor, for a device that does the whole training step (learn_new). Pointers: device memory. */
typedef struct {
    float *w;                  /* [n] */
    const float *g;            /* [n]: the gradient */
    float *state[2];           /* [n] each: velocity, NULL (LARS, SGD); first, second moment (AdamW) */
    float *teacher;            /* [n]: the teacher's tensor, moved towards w by each step; NULL: none */
    size_t n;
    double rate;               /* factor of the learning rate */
    bool decayed;              /* weight decay and LARS adaptation apply */
} tw_learn_tensor;

/* fp16 loss scaling: the factor of the loss, and how many steps have been taken since it last changed. */
typedef struct {
    double scale;
    int64_t steps;
} tw_loss_scale;

/* Settings of learn_new. V views of B samples on this rank, K classes. */
typedef struct {
    int V, B, K;
    int64_t ranks;
    tw_peers *peers;           /* all-reduces the loss's sums; NULL: one rank */
    double patience;           /* with peers: seconds that a recorded step may take; one not recorded yet may take ten times as long */
    double lam1, lam2, tau;    /* twist-method.md 2 */
    bool supervised;           /* cross-entropy with labels instead; V may be 1 */
    double clip_norm;          /* of the global gradient norm; 0: off */
    tw_learn_optim optim;
    tw_loss_scale first;       /* in fp16: the loss scale of a resumed run; scale 0: the default one */
    const tw_learn_tensor *tensor; /* [tensors], read by learn_new only */
    int tensors;
} tw_learn_config;

/* The numbers that change from step to step. The device reads them from its own memory, so that a recorded step can be replayed with new ones. */
typedef struct {
    int64_t number;            /* of the step in the whole run: seeds the dropout masks */
    int64_t adam;              /* AdamW's t of this step, from 1 */
    double lr, weight_decay;
    double quantile, threshold; /* of self-labeling: see tw_confidence */
    double keep;               /* momentum of the teacher: teacher = keep teacher + (1 - keep) w */
} tw_learn_numbers;

/* Results of one step. loss, gradient_norm: without loss scaling. */
typedef struct {
    double loss, kl, eh, he, threshold, gradient_norm; /* self-labeling: kl NaN, eh and he of views 0 and 1; supervised: loss only */
    double raw_column_std, raw_row_std, column_std, row_std; /* see tw_epoch_summary */
    double scale;              /* in fp16: loss scale of this step */
    tw_loss_scale next;        /* and of the next one */
    int64_t selected;          /* self-labeling: samples above the threshold, see tw_selflabel_terms */
    int64_t hits[2];           /* supervised: rows, over all ranks, whose label is the top-1 class, is among the top 5, by logit */
    int32_t taken;             /* 0: a number was not finite, and no weight, moment or teacher has changed */
} tw_learn_results;

typedef struct tw_learn tw_learn;

typedef struct tw_backend {
    int version; /* TW_BACKEND_VERSION */
    const char *name;
    const char *(*error)(void); /* message of the calling thread's last failure */
    int (*devices)(void); /* how many this process can use */

    bool (*computes)(tw_dtype precision); /* whether the device has instructions for it */
    /* Refuses a precision that it does not compute in. threads >= 1. */
    tw_dev *(*open)(tw_dtype precision, int threads);
    void (*close)(tw_dev *d);
    /* Makes d current for the calling thread (number of threads, current GPU). Call before each series of calls. */
    void (*enter)(tw_dev *d);
    void *(*alloc)(tw_dev *d, size_t bytes); /* zeroed, aligned to 64 */
    void (*release)(tw_dev *d, void *p);     /* NULL is allowed */
    /* Device memory is host memory. Where it is not, calls only queue work, which is done in order; download and to_f32 wait for it. */
    bool unified;
    int (*upload)(tw_dev *d, void *to, const void *from, size_t bytes);   /* from host memory, which may be changed afterwards */
    int (*download)(tw_dev *d, void *to, const void *from, size_t bytes); /* to host memory */
    int (*copy)(tw_dev *d, void *to, const void *from, size_t bytes);     /* within device memory */
    int (*zero)(tw_dev *d, void *p, size_t bytes);

    int (*from_f32)(tw_dev *d, void *y, const float *x, size_t n); /* host f32 -> activations */
    int (*to_f32)(tw_dev *d, float *y, const void *x, size_t n);   /* activations -> host f32 */
    /* u8 RGB, 0 .. 255 -> activations, normalised by ImageNet's mean and standard deviation: (x / 255 - mean) / std */
    int (*pictures)(tw_dev *d, void *y, const uint8_t *x, size_t pixels);
    int (*add)(tw_dev *d, void *y, const void *x, size_t n); /* y += x */

    tw_conv *(*conv_new)(tw_dev *d, const tw_conv_shape *s);
    void (*conv_free)(tw_conv *c);
    size_t (*conv_bytes)(const tw_conv *c);
    int (*conv_weights)(tw_conv *c, const float *w); /* w [K,C,size,size]: copies its present values; call again when they change */
    int (*conv_forward)(tw_conv *c, void *y, const void *x);
    /* Instead of those two where the shape is folded: conv_fold multiplies the weights by the norm's scale (from its running statistics), and
     * conv_folded computes y = relu(conv(x) + shift + shortcut) in one pass; n->add, n->relu: whether there is a shortcut, a ReLU. NULL: the
     * norm stays a layer of its own. */
    int (*conv_fold)(tw_conv *c, const float *w, const tw_norm *n);
    int (*conv_folded)(tw_conv *c, void *y, const void *x, const void *shortcut);
    int (*conv_backward_data)(tw_conv *c, void *dx, const void *dy);
    int (*conv_backward_weights)(tw_conv *c, float *dw, const void *x, const void *dy); /* dw += */
    /* Convolution fused with passes of the adjacent norms. conv_norms: which of the passes in s->norms it can take over, a sum of TW_CONV_...;
     * < 0: it failed. The others are the convolution's passes with them; x NULL: TW_CONV_THROUGH. conv_norms NULL: none can be taken over;
     * another entry is NULL if conv_norms never answers what it is for. */
    int (*conv_norms)(tw_dev *d, const tw_conv_shape *s);
    int (*conv_forward_norms)(tw_conv *c, void *y, void *x, const tw_conv_norms *n);
    int (*conv_backward_norms)(tw_conv *c, void *dx, void *dy, const tw_conv_norms *n);
    int (*conv_backward_weights_through)(tw_conv *c, float *dw, const void *dy, const tw_conv_norms *n); /* dw += */

    tw_linear *(*linear_new)(tw_dev *d, int rows, int C, int K, bool train);
    void (*linear_free)(tw_linear *l);
    size_t (*linear_bytes)(const tw_linear *l);
    /* w [K,C], b [K]: may copy their present values, and may read them in place until the next call: call again when they change. */
    int (*linear_weights)(tw_linear *l, const float *w, const float *b);
    int (*linear_forward)(tw_linear *l, void *y, const void *x);
    int (*linear_backward_data)(tw_linear *l, void *dx, const void *dy);
    int (*linear_backward_weights)(tw_linear *l, float *dw, float *db, const void *x, const void *dy); /* dw, db += */
    /* Fused epilogues; NULL: separate layers instead. add: y = shortcut + x W^T + b. gelu: z = gelu(y), y = x W^T + b (y is written in training
     * only). backward_gelu: dx = (dy W) gelu'(before), before: the input of the GELU that made x. */
    int (*linear_forward_add)(tw_linear *l, void *y, const void *x, const void *shortcut);
    int (*linear_forward_gelu)(tw_linear *l, void *z, void *y, const void *x);
    int (*linear_backward_gelu)(tw_linear *l, void *dx, const void *dy, const void *before);

    /* sums = {sum x, sum x^2} per channel over this rank's rows, in f64 in an order that depends on the shape only. Where count = rows (no
     * all-reduce will follow) it may already do the work of norm_statistics, which is still called once afterwards. */
    int (*norm_sums)(tw_dev *d, const tw_norm *n, const void *x);
    /* mean and rstd (eps 1e-5) from the sums over all ranks; updates the running statistics as PyTorch does (momentum 0.1, unbiased variance). */
    int (*norm_statistics)(tw_dev *d, const tw_norm *n);
    int (*norm_running)(tw_dev *d, const tw_norm *n); /* mean and rstd from the running statistics */
    /* y = relu((x - mean) rstd gamma + beta + shortcut); shortcut may be NULL. */
    int (*norm_apply)(tw_dev *d, const tw_norm *n, void *y, const void *x, const void *shortcut);
    /* The same, the shortcut being `aside` (a norm without a ReLU) applied to aside_x on the fly. NULL: the shortcut is computed first. */
    int (*norm_apply_two)(tw_dev *d, const tw_norm *n, void *y, const void *x, const tw_norm *aside, const void *aside_x);
    /* Bytes of tw_norm's mask; NULL: masks are not used. */
    size_t (*norm_mask_bytes)(tw_dev *d, int64_t rows, int C);
    /* In place: dy = dy + dy2 (dy2 may be NULL), with a ReLU zero where y <= 0; then sums = {sum dy, sum dy x} of this rank. Without a shortcut
     * the ReLU's mask is recomputed from x (y is NULL, its memory may be in use again), and only norm_backward_apply reads dy afterwards, so
     * the masking may be left to it. */
    int (*norm_backward_sums)(tw_dev *d, const tw_norm *n, void *dy, const void *dy2, const void *y, const void *x);
    /* dx from dy (as norm_backward_sums left it) and the sums over all ranks. */
    int (*norm_backward_apply)(tw_dev *d, const tw_norm *n, void *dx, const void *dy, const void *x);

    /* Max pooling; padding never wins. pick u8 [N,OH,OW,C]: which tap of the window is largest, numbered row by row, the first of equal ones.
     * max_backward may be NULL: no network needs it (see norm_max_backward_apply). */
    int (*max_forward)(tw_dev *d, const tw_pool_shape *s, void *y, uint8_t *pick, const void *x);
    int (*max_backward)(tw_dev *d, const tw_pool_shape *s, void *dx, const uint8_t *pick, const void *dy);
    /* A norm with a ReLU and no shortcut, fused with the max pooling that follows; the activation between them is never stored. Equivalent to
     * norm_apply, max_forward; max_backward, norm_backward_sums; max_backward, norm_backward_apply. x, dx [N,H,W,C], rows = N H W; y, dy
     * [N,OH,OW,C]; dy is not changed. Among taps that are equal after rounding, pick may be any. */
    int (*norm_max_forward)(tw_dev *d, const tw_norm *n, const tw_pool_shape *s, void *y, uint8_t *pick, const void *x);
    int (*norm_max_backward_sums)(tw_dev *d, const tw_norm *n, const tw_pool_shape *s, const uint8_t *pick, const void *dy, const void *x);
    int (*norm_max_backward_apply)(tw_dev *d, const tw_norm *n, const tw_pool_shape *s, void *dx, const uint8_t *pick, const void *dy, const void *x);
    /* Global average pooling: [N,H*W,C] -> [N,C] */
    int (*mean_forward)(tw_dev *d, void *y, const void *x, int N, int HW, int C);
    int (*mean_backward)(tw_dev *d, void *dx, const void *dy, int N, int HW, int C);

    int (*layer_norm_forward)(tw_dev *d, const tw_layer_norm *n, void *y, const void *x);
    /* dx as n->adds says; dgamma, dbeta [C] += */
    int (*layer_norm_backward)(tw_dev *d, const tw_layer_norm *n, void *dx, float *dgamma, float *dbeta, const void *dy,
                               const void *x);

    /* qkv [N,T,3,heads,width] -> y [N,T,heads,width] */
    int (*attention_forward)(tw_dev *d, const tw_attention *a, void *y, const void *qkv);
    int (*attention_backward)(tw_dev *d, const tw_attention *a, void *dqkv, const void *dy, const void *y, const void *qkv);

    /* x [N,patches,C] -> y [N,1+patches,C] */
    int (*tokens_forward)(tw_dev *d, const tw_tokens *t, void *y, const void *x);
    /* dx; dbias, dcls, dpos += */
    int (*tokens_backward)(tw_dev *d, const tw_tokens *t, void *dx, float *dbias, float *dcls, float *dpos, const void *dy);
    /* The mean of tokens first .. first + count - 1 of T: x [N,T,C] -> y [N,C] */
    int (*token_mean_forward)(tw_dev *d, void *y, const void *x, int N, int T, int C, int first, int count);
    int (*token_mean_backward)(tw_dev *d, void *dx, const void *dy, int N, int T, int C, int first, int count);
    /* Concatenates rows: y [N,A+B] from a [N,A] and b [N,B]. */
    int (*join)(tw_dev *d, void *y, const void *a, const void *b, int N, int A, int B);

    /* Stochastic depth: y = shortcut + x / (1 - p) for the samples kept, y = shortcut for the others. N samples of `each` numbers; a sample is
     * dropped by the first number of its row's stream (tw_drop). */
    int (*residual_forward)(tw_dev *d, const tw_drop *drop, void *y, const void *x, const void *shortcut, int N, size_t each);
    int (*residual_backward)(tw_dev *d, const tw_drop *drop, void *dx, const void *dy, int N, size_t each); /* of x */

    int (*relu_forward)(tw_dev *d, void *y, const void *x, size_t n);
    int (*relu_backward)(tw_dev *d, void *dx, const void *dy, const void *x, size_t n);
    int (*gelu_forward)(tw_dev *d, void *y, const void *x, size_t n); /* x Phi(x), exact */
    int (*gelu_backward)(tw_dev *d, void *dx, const void *dy, const void *x, size_t n);
    /* y = x / (1 - p) where kept, else 0. The backward pass is the same function of dy. */
    int (*dropout)(tw_dev *d, const tw_drop *drop, void *y, const void *x, int rows, int C);

    /* Optimizer steps of one tensor, all f32. sum_squares: summed in f64 in an order that depends on n only; *sum is host memory. */
    int (*sum_squares)(tw_dev *d, double *sum, const float *x, size_t n);
    int (*step_momentum)(tw_dev *d, float *w, float *v, const float *g, size_t n, const tw_momentum *k);
    int (*step_adamw)(tw_dev *d, float *w, float *m, float *v, const float *g, size_t n, const tw_adamw *k);
    int (*average)(tw_dev *d, float *y, const float *x, size_t n, double keep); /* a teacher's update: y = keep y + (1 - keep) x */

    /* All-reduce (sum) in place over device memory between the ranks of c, one device each. Collective: every rank makes the same calls with the
     * same sizes in the same order. sum: in order with the device's other work; TW_F32 or TW_F64. begin: overlaps the work queued afterwards;
     * x must be left alone until wait. Best begun from the end of a block to its beginning. Only open waits for the other ranks; the others
     * can be recorded (learn_record). If another rank's device never comes to a sum, copies from and to this device fail after `patience`
     * seconds. NULL: with unified memory c itself sums; otherwise only one rank is possible. */
    tw_peers *(*peers_open)(tw_dev *d, tw_comm *c, double patience);
    void (*peers_close)(tw_peers *p); /* NULL is allowed */
    int (*peers_sum)(tw_peers *p, void *x, size_t n, tw_dtype type);
    int (*peers_begin)(tw_peers *p, float *x, size_t n);
    int (*peers_wait)(tw_peers *p);

    /* Losses, clipping, optimizer and teacher on the device: begin, (forward passes), loss, (backward passes), update, results; only results
     * waits. NULL: lib/train does it in host memory. What is queued between learn_record(l, i, true) and learn_record(l, i, false), i < 4, is
     * recorded as one piece of work (a CUDA graph), which learn_play(l, i) replays as a whole. learn_play returns 1: queued; 0: nothing is
     * recorded under i, or memory has moved since; -1. */
    tw_learn *(*learn_new)(tw_dev *d, const tw_learn_config *c);
    void (*learn_free)(tw_learn *l);
    int (*learn_begin)(tw_learn *l, const tw_learn_numbers *n);
    int (*learn_labels)(tw_learn *l, const int32_t *label); /* [B] in host memory, of a supervised step, after learn_begin */
    /* dlogits [V*B,K] from logits [V*B,K] (after the last norm), raw (before it, or NULL: no such norm) and the teacher's logits of views 0 and 1
     * ([2*B,K]; NULL: no teacher) */
    int (*learn_loss)(tw_learn *l, void *dlogits, const void *logits, const void *raw, const void *teacher, bool self_label);
    int (*learn_update)(tw_learn *l);
    /* Waits for the step. largest [2*B], host memory: argmax of the logits of each row of views 0 and 1, the first of equal ones (supervised: not
     * written). With peers it fails if one of them is gone or does not come to a sum within the config's patience; the device is unusable
     * then, and the process must end. */
    int (*learn_results)(tw_learn *l, tw_learn_results *r, int32_t *largest);
    int (*learn_record)(tw_learn *l, int i, bool begin);
    int (*learn_play)(tw_learn *l, int i);
    /* Page-locks host memory that is uploaded from often. upload_pinned does not wait: `from` must stay unchanged until learn_results. */
    int (*pin)(tw_dev *d, void *p, size_t bytes);
    void (*unpin)(tw_dev *d, void *p);
    int (*upload_pinned)(tw_dev *d, void *to, const void *from, size_t bytes);

    /* Copies that overlap computation, from and to pinned host memory; NULL: there are none. upload_ahead starts at once, so no queued work may
     * use `to`; work queued later waits for it. to_f32_behind copies x as f32 after the work queued so far, beside what is queued later;
     * between: room for n floats in device memory; slot: 0 or 1. wait_for waits until the copies given that slot have arrived. */
    int (*upload_ahead)(tw_dev *d, void *to, const void *from, size_t bytes);
    int (*to_f32_behind)(tw_dev *d, float *y, float *between, const void *x, size_t n, int slot);
    int (*wait_for)(tw_dev *d, int slot);

    /* For evaluation on features, on a device opened with TW_F32; all pointers are device memory. NULL: lib/eval does it in host memory.
     * largest: top-k of each row of x [rows,n]: value and column (place), both [rows,k], the largest first, of equal ones the lower column;
     * place -1 where there are fewer; NaN is skipped. */
    int (*largest)(tw_dev *d, float *value, int32_t *place, const float *x, int rows, int n, int k);
    /* x [rows,stride], of which the first n columns count. count [rows]: how many of a row are above limit [rows]. list: these numbers and their
     * columns in ascending order, those of row i at start[i] .. start[i+1] - 1; start [rows+1]. */
    int (*count_above)(tw_dev *d, int32_t *count, const float *x, int stride, const float *limit, int rows, int n);
    int (*list_above)(tw_dev *d, float *value, int32_t *place, const int64_t *start, const float *x, int stride, const float *limit, int rows,
                      int n);
    /* Softmax cross-entropy of the first n rows of logits z [rows,C] with label [n]: loss [n] in nats, and z becomes the gradient of their
     * mean. A row with a logit that is not finite: loss NaN, gradient zero. Rows from n on: gradient zero. */
    int (*cross_entropy)(tw_dev *d, double *loss, float *z, const int32_t *label, int rows, int n, int C);
    int (*gather_rows)(tw_dev *d, float *y, const float *x, const uint64_t *number, int rows, int D); /* y[i,:] = x[number[i],:], y [rows,D] */
} tw_backend;

enum { TW_BACKEND_VERSION = 12 };

/* The table of libtwist-NAME.so, searched for beside the executable, in ../lib from there, then by the dynamic loader. The library stays
 * loaded. NULL and tw_error(). */
const tw_backend *tw_backend_open(const char *name);

/* Values of --device: "auto", "cpu", "cuda", NULL. */
extern const char *const tw_device_names[];

/* The backend's name for a value of --device: "auto" is "cuda" if its library and a device are found, else "cpu". NULL and tw_error() where
 * "cuda" is asked for and not found. */
const char *tw_backend_choose(const char *device);

/* 0 if the backend's call returned 0, else -1, with the backend's message copied to tw_error(). */
#define TW_BACKEND(be, call) ((call) == 0 ? 0 : tw_backend_failed(be))
int tw_backend_failed(const tw_backend *be);

#endif
