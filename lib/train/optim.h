/* The optimizers (twist-method.md 4): LARS, SGD with momentum 0.9, AdamW with betas 0.9, 0.999 and eps 1e-8, over the tensors
 * of a network. Tensors with `decayed` get weight decay and, under LARS, the adapted rate; the rest get neither, and their
 * learning rate is divided by lr_wbr. */
#ifndef TW_TRAIN_OPTIM_H
#define TW_TRAIN_OPTIM_H

#include "nn/net.h"

typedef enum { TW_LARS, TW_SGD, TW_ADAMW } tw_optim_kind;
extern const char *const tw_optim_names[]; /* "lars", "sgd", "admw", NULL: the seed's words */

typedef struct tw_optim tw_optim;

/* State for every trained tensor, zero. The net must outlive it. NULL and tw_error(). */
tw_optim *tw_optim_new(tw_net *net, tw_optim_kind kind, double lr_wbr);
void tw_optim_free(tw_optim *o);

/* Rules of its own for trained tensor i (of tw_net_param's numbers): its learning rate is `rate` times that of the step, whether
 * it is decayed or not; decayed: whether weight decay (and LARS's adaptation) applies. */
void tw_optim_rule(tw_optim *o, int i, double rate, bool decayed);

/* What a device that trains by itself is told of the optimizer: a row for each trained tensor (room for tw_net_params of them), all but
 * the teacher's part. Returns their number. tw_optim_took: it has taken a step. */
int tw_optim_table(const tw_optim *o, tw_learn_tensor *t);
tw_optim_kind tw_optim_kind_of(const tw_optim *o);
void tw_optim_took(tw_optim *o);

/* The norm of all gradients together. Not finite where one of them is not. The step that follows takes the tensors' norms from here: they must
 * not change in between. 0, or -1 and tw_error(). */
int tw_optim_gradient_norm(double *norm, tw_optim *o);

/* One step with the gradients multiplied by clip (as torch.nn.utils.clip_grad_norm_ finds it, see tw_clip), then tw_net_changed.
 * LARS where the weights or the gradient of a tensor are all zero: the plain step without decay. 0, or -1 and tw_error(). */
int tw_optim_step(tw_optim *o, double lr, double weight_decay, double clip);

/* Factor that brings a gradient of that norm down to at most max: max / (norm + 1e-6), never above 1. max 0: 1. */
double tw_clip(double norm, double max);

/* The state, to be saved and loaded: f32, shaped as the tensor of the net that it belongs to. */
typedef struct {
    const char *name;    /* "momentum", "exp_avg", "exp_avg_sq" */
    const tw_param *of;
    float *value;        /* [of->n], host memory, owned by the optimizer */
} tw_optim_state;
int tw_optim_states(const tw_optim *o);
tw_optim_state tw_optim_state_at(const tw_optim *o, int i);
/* Bring the state to host memory before it is read; take it over from there. Nothing to do where device memory is host memory.
 * 0, or -1 and tw_error(). */
int tw_optim_download(tw_optim *o);
int tw_optim_upload(tw_optim *o);
/* Steps taken (AdamW's t): part of the state. */
int64_t tw_optim_steps(const tw_optim *o);
void tw_optim_set_steps(tw_optim *o, int64_t steps);

#endif
