/* What a network runs on. A backend is one const table; the layers in lib/nn call nothing else, and nothing outside the
 * backend's folder includes oneDNN or CUDA. Activations are NHWC of the device's precision, [rows,C] being N x 1 x 1 x C;
 * parameters and their gradients are f32 in the plain layout of tw_param; "device memory" comes from the table's alloc.
 * A function that fails returns -1 or NULL and error() tells why: a backend lives in a shared library and has a message
 * slot of its own. A NULL entry means that the backend cannot do it. */
#ifndef TW_NN_BACKEND_H
#define TW_NN_BACKEND_H

#include "comm/comm.h"
#include "core/tensor.h"

#include <stdbool.h>

typedef struct tw_dev tw_dev;
typedef struct tw_conv tw_conv;     /* a convolution of one shape */
typedef struct tw_linear tw_linear; /* y = x W^T + b for one number of rows */
typedef struct tw_peers tw_peers;   /* the devices of several ranks, which add up */

/* [N,H,W,C] -> [N,OH,OW,K]: square kernel, the same stride and padding both ways, no bias. */
typedef struct {
    int N, H, W, C, OH, OW, K;
    int size, stride, pad;
    bool train;         /* gradients will be asked for */
    bool data_gradient; /* that of the input too */
    bool folded;        /* of evaluation: with the norm that follows it, see conv_fold */
    bool add, relu;     /* of that norm, or else of the one that makes x: a shortcut, a ReLU */
    int norms;          /* of TW_CONV_...: those that may be done (conv_norms), that are (conv_new) */
} tw_conv_shape;

/* [N,H,W,C] -> [N,OH,OW,C] */
typedef struct {
    int N, H, W, C, OH, OW;
    int size, stride, pad;
} tw_pool_shape;

/* One BatchNorm over rows = N*H*W of this rank; count: over all ranks (0: nothing but sums is wanted). Pointers: device memory. */
typedef struct {
    int64_t rows, count;
    int C;
    bool add, relu;                       /* norm_apply adds a shortcut; a ReLU, after that */
    const float *gamma, *beta;            /* [C] or NULL (1 and 0) */
    float *dgamma, *dbeta;                /* [C] or NULL: norm_backward_sums adds this rank's gradients to them */
    float *running_mean, *running_var;    /* [C] */
    float *mean, *rstd;                   /* [C]: of the batch, from norm_statistics or norm_running */
    double *sums;                         /* [2C]: what the ranks add up */
    uint8_t *mask;                        /* norm_mask_bytes, or NULL: where the ReLU is open behind a shortcut, as norm_apply finds it: then
                                           * norm_backward_sums does not read y */
} tw_norm;

/* Dropout of row r, column c: decided by number c of the Philox stream (seed, TW_USE_DROP, step, number of r, layer). The number of
 * row r, among those of all ranks, is row + r / batch * stride + r % batch: rows are view-major. A number below p 2^32 drops. */
typedef struct {
    double p;
    uint64_t seed;
    int64_t step;
    int64_t row;           /* number of the first row */
    int64_t batch, stride; /* samples of a view on this rank, on all ranks */
    int layer;
} tw_drop;

/* LayerNorm over the C channels of each row. */
typedef struct {
    int64_t rows;
    int C;
    double eps;
    const float *gamma, *beta; /* [C] */
    float *mean, *rstd;        /* [rows]: written by the forward pass, read by the backward pass */
    bool adds;                 /* the backward pass adds to dx */
} tw_layer_norm;

/* Attention of T tokens among themselves, softmax(q k^T / sqrt(width)) v, for N samples and each head. */
typedef struct {
    int N, T, heads, width;
    bool train;        /* log_sum is wanted */
    float *log_sum;    /* [N,heads,T]: log of the sum of exponentials of each row, for the backward pass */
} tw_attention;

/* A vision transformer's tokens from its patches: CLS first, then the patches, each plus its position. */
typedef struct {
    int N, patches, C;
    int grid;              /* side of the learned position embedding */
    const float *bias;     /* [C], of the patch embedding */
    const float *cls;      /* [C] */
    const float *pos;      /* [1 + grid^2, C], CLS first */
    const float *resize;   /* [patches, grid^2]: the patches' positions from pos; NULL: they are pos, patches = grid^2 */
} tw_tokens;

/* What a convolution does for the norms beside it while the activations are at hand anyway. */
enum {
    TW_CONV_APPLIES = 1,          /* forward, first: norm_apply of the maker makes x */
    TW_CONV_SUMS = 2,             /* then norm_sums of y, before it is rounded, for the reader: with all that norm_sums does */
    TW_CONV_BACKWARD_APPLIES = 4, /* backward, first: norm_backward_apply of the reader makes dy */
    TW_CONV_BACKWARD_SUMS = 8,    /* then norm_backward_sums of dx for the maker; dx can be added to what is there */
    TW_CONV_THROUGH = 16,         /* forward and gradient of the weights: x is in no memory, both make it from maker_x as they read. Of a maker with
                                   * a ReLU and no shortcut, whose result nobody else reads; norm_backward_sums gets no y then */
};

/* The norm that made x from maker_x (and a shortcut, or NULL), or makes it on the way, and the one that reads y; NULL: nothing is done for it. */
typedef struct {
    const tw_norm *maker, *reader;
    const void *maker_x, *shortcut;
    const void *maker_y;              /* backward: x, for the mask */
    const void *reader_x, *reader_dy; /* backward: y, and the gradient of what the reader made */
    bool adds;
} tw_conv_norms;

/* One tensor's step with momentum: v = momentum v + into (grad g + decay w), w -= out v. */
typedef struct {
    float grad;          /* of clipping */
    float decay;         /* weight decay */
    float momentum;
    float into, out;     /* SGD (PyTorch): 1, lr; LARS: lr times the local rate, 1 */
} tw_momentum;

/* One tensor's AdamW step (PyTorch's): w *= 1 - lr decay; m += (1 - beta1)(grad g - m); v = beta2 v + (1 - beta2)(grad g)^2;
 * w -= rate m / (sqrt(v) / root + eps). */
typedef struct {
    float grad, decay_factor, beta1, beta2, eps;
    float rate;          /* lr / (1 - beta1^t) */
    float root;          /* sqrt(1 - beta2^t) */
} tw_adamw;

typedef enum { TW_LEARN_LARS, TW_LEARN_SGD, TW_LEARN_ADAMW } tw_learn_optim;

/* What a device that trains by itself (learn_new) is told once. Pointers: device memory. */
typedef struct {
    float *w;                  /* [n] */
    const float *g;
    float *state[2];           /* velocity; first and second moment */
    float *teacher;            /* follows w; NULL: none */
    size_t n;
    double rate;               /* times the learning rate */
    bool decayed;
} tw_learn_tensor;

/* By what the loss is multiplied in fp16, so that small gradients are not lost; steps: that were taken since it last changed. */
typedef struct {
    double scale;
    int64_t steps;
} tw_loss_scale;

typedef struct {
    int V, B, K;
    int64_t ranks;
    tw_peers *peers;           /* what the loss is summed by; NULL: one rank */
    double patience;           /* seconds that a recorded step may take with peers, ten times as many one that is not recorded yet */
    double lam1, lam2, tau;    /* twist-method.md 2 */
    bool supervised;           /* cross-entropy with labels instead, of which one view is enough */
    double clip_norm;
    tw_learn_optim optim;
    tw_loss_scale first;       /* in fp16: where a run went on from; scale 0: the usual one */
    const tw_learn_tensor *tensor; /* read by learn_new only */
    int tensors;
} tw_learn_config;

/* The numbers of one step, which the device reads from its own memory: a recorded step is played again with others. */
typedef struct {
    int64_t number;            /* of all steps: of the dropout masks */
    int64_t adam;              /* this is AdamW's step number so many, from 1 */
    double lr, weight_decay;
    double quantile, threshold; /* of self-labeling: see tw_confidence */
    double keep;               /* the teacher's, of itself */
} tw_learn_numbers;

/* What came of it. loss, gradient_norm: before loss scaling. */
typedef struct {
    double loss, kl, eh, he, threshold, gradient_norm; /* self-labeling: kl NaN, eh and he of views 0 and 1; supervised: loss only */
    double raw_column_std, raw_row_std, column_std, row_std; /* see tw_epoch_summary */
    double scale;              /* of the loss, in fp16 */
    tw_loss_scale next;        /* of the next step */
    int64_t selected;
    int64_t hits[2];           /* supervised: of all ranks, rows whose label is the first, is among the first five, by logit */
    int32_t taken;             /* 0: a number was not finite, and no weight, moment or teacher has changed */
} tw_learn_results;

typedef struct tw_learn tw_learn;

typedef struct tw_backend {
    int version; /* TW_BACKEND_VERSION */
    const char *name;
    const char *(*error)(void);
    int (*devices)(void); /* how many are at hand */

    bool (*computes)(tw_dtype precision); /* whether it has instructions for it */
    /* A precision that it does not compute in is refused. threads >= 1. */
    tw_dev *(*open)(tw_dtype precision, int threads);
    void (*close)(tw_dev *d);
    /* Before each run of calls on a thread: the number of threads is the calling thread's setting. */
    void (*enter)(tw_dev *d);
    void *(*alloc)(tw_dev *d, size_t bytes); /* zeroed, aligned to 64 */
    void (*release)(tw_dev *d, void *p);     /* NULL is allowed */
    /* Device memory is host memory. Where it is not, calls are carried out later, in order; download and to_f32 wait. */
    bool unified;
    int (*upload)(tw_dev *d, void *to, const void *from, size_t bytes);   /* from host memory, which may be changed afterwards */
    int (*download)(tw_dev *d, void *to, const void *from, size_t bytes); /* to host memory */
    int (*copy)(tw_dev *d, void *to, const void *from, size_t bytes);     /* within device memory */
    int (*zero)(tw_dev *d, void *p, size_t bytes);

    int (*from_f32)(tw_dev *d, void *y, const float *x, size_t n); /* host f32 -> activations */
    int (*to_f32)(tw_dev *d, float *y, const void *x, size_t n);   /* activations -> host f32 */
    /* u8 RGB of [0,255], device memory -> activations, by ImageNet's mean and deviation: (x / 255 - mean) / std */
    int (*pictures)(tw_dev *d, void *y, const uint8_t *x, size_t pixels);
    int (*add)(tw_dev *d, void *y, const void *x, size_t n); /* y += x */

    tw_conv *(*conv_new)(tw_dev *d, const tw_conv_shape *s);
    void (*conv_free)(tw_conv *c);
    size_t (*conv_bytes)(const tw_conv *c);
    int (*conv_weights)(tw_conv *c, const float *w); /* w [K,C,size,size]: takes the present values over */
    int (*conv_forward)(tw_conv *c, void *y, const void *x);
    /* For a folded shape, instead of those two: the norm by its running statistics becomes part of the weights, and
     * y = relu(conv(x) + shift + shortcut) one pass. NULL: the norm is a layer of its own. */
    int (*conv_fold)(tw_conv *c, const float *w, const tw_norm *n);
    int (*conv_folded)(tw_conv *c, void *y, const void *x, const void *shortcut);
    int (*conv_backward_data)(tw_conv *c, void *dx, const void *dy);
    int (*conv_backward_weights)(tw_conv *c, float *dw, const void *x, const void *dy); /* dw += */
    /* The norms beside a convolution: which of their passes it does for them, a sum of TW_CONV_..., and the passes with them. x NULL: it is read
     * through the maker. NULL, or those of what is never done: none. conv_norms < 0: it failed. */
    int (*conv_norms)(tw_dev *d, const tw_conv_shape *s);
    int (*conv_forward_norms)(tw_conv *c, void *y, void *x, const tw_conv_norms *n);
    int (*conv_backward_norms)(tw_conv *c, void *dx, void *dy, const tw_conv_norms *n);
    int (*conv_backward_weights_through)(tw_conv *c, float *dw, const void *dy, const tw_conv_norms *n); /* dw += */

    tw_linear *(*linear_new)(tw_dev *d, int rows, int C, int K, bool train);
    void (*linear_free)(tw_linear *l);
    size_t (*linear_bytes)(const tw_linear *l);
    /* w [K,C], b [K]: their present values; also read until the next call, to be made where they change. */
    int (*linear_weights)(tw_linear *l, const float *w, const float *b);
    int (*linear_forward)(tw_linear *l, void *y, const void *x);
    int (*linear_backward_data)(tw_linear *l, void *dx, const void *dy);
    int (*linear_backward_weights)(tw_linear *l, float *dw, float *db, const void *x, const void *dy); /* dw, db += */
    /* What is beside it, on the way; NULL: that is layers of their own. y = shortcut + x W^T + b; a GELU behind it, z = gelu(y), y there in
     * training only; one before it, dx = (dy W) gelu'(before). */
    int (*linear_forward_add)(tw_linear *l, void *y, const void *x, const void *shortcut);
    int (*linear_forward_gelu)(tw_linear *l, void *z, void *y, const void *x);
    int (*linear_backward_gelu)(tw_linear *l, void *dx, const void *dy, const void *before);

    /* sums = {sum x, sum x^2} per channel of this rank, in f64 in an order that depends on the shape only. Where count is rows (no other rank's
     * are wanted) it may go on to what norm_statistics does, which is called once behind it all the same. */
    int (*norm_sums)(tw_dev *d, const tw_norm *n, const void *x);
    /* mean and rstd (eps 1e-5) from the sums over all ranks; running ones moved by 0.1, variance unbiased, as PyTorch does. */
    int (*norm_statistics)(tw_dev *d, const tw_norm *n);
    int (*norm_running)(tw_dev *d, const tw_norm *n); /* mean and rstd from the running ones */
    /* y = relu((x - mean) rstd gamma + beta + shortcut); shortcut may be NULL. */
    int (*norm_apply)(tw_dev *d, const tw_norm *n, void *y, const void *x, const void *shortcut);
    /* The same with a shortcut that `aside`, a norm without a ReLU, makes of aside_x on the way. NULL: it is made first. */
    int (*norm_apply_two)(tw_dev *d, const tw_norm *n, void *y, const void *x, const tw_norm *aside, const void *aside_x);
    /* How large tw_norm's mask is; NULL: it is never used. */
    size_t (*norm_mask_bytes)(tw_dev *d, int64_t rows, int C);
    /* dy = (dy + dy2) masked by y > 0 under relu, in place; sums = {sum dy, sum dy x}. dy2 may be NULL. Without a shortcut the mask is found in
     * x (y is NULL, its memory may be used again), and nobody but norm_backward_apply reads dy afterwards: it may be left to that. */
    int (*norm_backward_sums)(tw_dev *d, const tw_norm *n, void *dy, const void *dy2, const void *y, const void *x);
    int (*norm_backward_apply)(tw_dev *d, const tw_norm *n, void *dx, const void *dy, const void *x);

    /* Maximum of each window, padding never wins; pick u8 [N,OH,OW,C]: the first largest tap, row by row. max_backward, which no network asks
     * for, may be NULL. */
    int (*max_forward)(tw_dev *d, const tw_pool_shape *s, void *y, uint8_t *pick, const void *x);
    int (*max_backward)(tw_dev *d, const tw_pool_shape *s, void *dx, const uint8_t *pick, const void *dy);
    /* A norm with a ReLU, no shortcut, and max pooling behind it in one, what is between them in no memory: as norm_apply and max_forward;
     * max_backward and norm_backward_sums; max_backward and norm_backward_apply. x, dx [N,H,W,C], rows = N H W. dy stays as it is. Of numbers
     * that are the same once they are rounded, pick may be any. */
    int (*norm_max_forward)(tw_dev *d, const tw_norm *n, const tw_pool_shape *s, void *y, uint8_t *pick, const void *x);
    int (*norm_max_backward_sums)(tw_dev *d, const tw_norm *n, const tw_pool_shape *s, const uint8_t *pick, const void *dy, const void *x);
    int (*norm_max_backward_apply)(tw_dev *d, const tw_norm *n, const tw_pool_shape *s, void *dx, const uint8_t *pick, const void *dy, const void *x);
    /* [N,H*W,C] -> [N,C] */
    int (*mean_forward)(tw_dev *d, void *y, const void *x, int N, int HW, int C);
    int (*mean_backward)(tw_dev *d, void *dx, const void *dy, int N, int HW, int C);

    int (*layer_norm_forward)(tw_dev *d, const tw_layer_norm *n, void *y, const void *x);
    /* dx; dgamma, dbeta [C] += */
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
    /* y [N,A+B] = a [N,A] beside b [N,B] */
    int (*join)(tw_dev *d, void *y, const void *a, const void *b, int N, int A, int B);

    /* Stochastic depth: y = shortcut + x / (1 - p) for the samples kept, else the shortcut; a sample is a row of `each` numbers,
     * decided by number 0 of its stream (tw_drop). */
    int (*residual_forward)(tw_dev *d, const tw_drop *drop, void *y, const void *x, const void *shortcut, int N, size_t each);
    int (*residual_backward)(tw_dev *d, const tw_drop *drop, void *dx, const void *dy, int N, size_t each); /* of x */

    int (*relu_forward)(tw_dev *d, void *y, const void *x, size_t n);
    int (*relu_backward)(tw_dev *d, void *dx, const void *dy, const void *x, size_t n);
    int (*gelu_forward)(tw_dev *d, void *y, const void *x, size_t n); /* x Phi(x), exact */
    int (*gelu_backward)(tw_dev *d, void *dx, const void *dy, const void *x, size_t n);
    /* y = x / (1 - p) where kept, else 0. The backward pass is the same function of dy. */
    int (*dropout)(tw_dev *d, const tw_drop *drop, void *y, const void *x, int rows, int C);

    /* Steps of the optimizers over one tensor, all f32. sum_squares: in f64, in an order that depends on n only. */
    int (*sum_squares)(tw_dev *d, double *sum, const float *x, size_t n);
    int (*step_momentum)(tw_dev *d, float *w, float *v, const float *g, size_t n, const tw_momentum *k);
    int (*step_adamw)(tw_dev *d, float *w, float *m, float *v, const float *g, size_t n, const tw_adamw *k);
    int (*average)(tw_dev *d, float *y, const float *x, size_t n, double keep); /* y = keep y + (1 - keep) x, of a teacher */

    /* Sums in place between the ranks of c, each with a device of its own, over device memory. All ranks open, sum and close the same in the same
     * order. sum: in the order of the device's other work; TW_F32 or TW_F64. begin: beside the work that follows, as long as x is left alone:
     * until wait. Best begun from the end of a block to its beginning. None of these waits for other ranks but open, and all can be recorded
     * (learn_record). Where another rank's device does not come to a sum, copies from and to this one fail after `patience` seconds. NULL:
     * where device memory is host memory c itself sums, elsewhere there is one rank only. */
    tw_peers *(*peers_open)(tw_dev *d, tw_comm *c, double patience);
    void (*peers_close)(tw_peers *p); /* NULL is allowed */
    int (*peers_sum)(tw_peers *p, void *x, size_t n, tw_dtype type);
    int (*peers_begin)(tw_peers *p, float *x, size_t n);
    int (*peers_wait)(tw_peers *p);

    /* Losses, clipping, optimizer and teacher on the device, in the order begin, loss, (backward passes), update, results; none of them but
     * results waits. NULL: lib/train does it in host memory. With learn_record everything from loss (or from the forward pass)
     * to update is kept as one piece of work, which learn_play does again without a call in between: learn_record(l, i, true)
     * begins to record number i < 4, learn_record(l, i, false) ends. learn_play: 1: done; 0: there is nothing under that number, or
     * memory has moved since. */
    tw_learn *(*learn_new)(tw_dev *d, const tw_learn_config *c);
    void (*learn_free)(tw_learn *l);
    int (*learn_begin)(tw_learn *l, const tw_learn_numbers *n);
    int (*learn_labels)(tw_learn *l, const int32_t *label); /* [B], of a supervised step, after learn_begin */
    /* Logits (after the last norm, before it: raw or NULL) and the teacher's (of views 0 and 1; NULL: none) -> dlogits */
    int (*learn_loss)(tw_learn *l, void *dlogits, const void *logits, const void *raw, const void *teacher, bool self_label);
    int (*learn_update)(tw_learn *l);
    /* largest [2*B]: of each row of views 0 and 1 the first of the largest logits (supervised: as it was). With peers it fails where one of them
     * is gone, or has not come to a sum within the config's patience; then the device does nothing more, and the process is to end. */
    int (*learn_results)(tw_learn *l, tw_learn_results *r, int32_t *largest);
    int (*learn_record)(tw_learn *l, int i, bool begin);
    int (*learn_play)(tw_learn *l, int i);
    /* Host memory that is often read from: uploads need not be waited for then, until learn_results. */
    int (*pin)(tw_dev *d, void *p, size_t bytes);
    void (*unpin)(tw_dev *d, void *p);
    int (*upload_pinned)(tw_dev *d, void *to, const void *from, size_t bytes);

    /* Copies beside the computation, host memory pinned; NULL: there are none. upload_ahead: at once, so that no work under way may use
     * `to`; work put on later waits for it. to_f32_behind: after the work put on so far, beside what comes later; between: room for n
     * numbers in device memory; slot: 0 or 1. wait_for: until what went to the slot is there. */
    int (*upload_ahead)(tw_dev *d, void *to, const void *from, size_t bytes);
    int (*to_f32_behind)(tw_dev *d, float *y, float *between, const void *x, size_t n, int slot);
    int (*wait_for)(tw_dev *d, int slot);

    /* For evaluation on features, on a device of TW_F32; everything in device memory. NULL: lib/eval does it in host memory.
     * largest: of each of `rows` rows x [rows,n] the k largest numbers and their places, the largest first, of equal ones the lower place;
     * place -1 where there are no more; NaN is passed over. */
    int (*largest)(tw_dev *d, float *value, int32_t *place, const float *x, int rows, int n, int k);
    /* Of each row, n of whose `stride` numbers count: how many are above limit [rows]; then these in their order, a row's from start [rows]
     * on. start has rows + 1 elements. */
    int (*count_above)(tw_dev *d, int32_t *count, const float *x, int stride, const float *limit, int rows, int n);
    int (*list_above)(tw_dev *d, float *value, int32_t *place, const int64_t *start, const float *x, int stride, const float *limit, int rows,
                      int n);
    /* Softmax and cross-entropy of the first n of `rows` rows of logits z [rows,C] with label [n]: their losses, and z becomes the gradient
     * of the mean loss. A row with a logit that is not finite: NaN and zeros. Rows behind n: zeros. */
    int (*cross_entropy)(tw_dev *d, double *loss, float *z, const int32_t *label, int rows, int n, int C);
    int (*gather_rows)(tw_dev *d, float *y, const float *x, const uint64_t *number, int rows, int D); /* y [rows,D]: those rows of x [,D] */
} tw_backend;

enum { TW_BACKEND_VERSION = 12 };

/* The table of libtwist-NAME.so: looked for beside the executable, in ../lib from there, then by the loader's own path. The
 * library stays loaded. NULL and tw_error(). */
const tw_backend *tw_backend_open(const char *name);

/* What --device may name: "auto", "cpu", "cuda", NULL. */
extern const char *const tw_device_names[];

/* The name of what --device names: "auto" is "cuda" where its library and a device are at hand, else "cpu". NULL and tw_error()
 * where "cuda" is asked for and not there. */
const char *tw_backend_choose(const char *device);

/* In lib/nn: a failed call of the backend, its message made ours. */
#define TW_BACKEND(be, call) ((call) == 0 ? 0 : tw_backend_failed(be))
int tw_backend_failed(const tw_backend *be);

#endif
