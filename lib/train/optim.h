/* The optimizers (twist-method.md 4) over the tensors of a network: LARS and SGD with momentum 0.9 as in the official code and PyTorch, AdamW with
 * betas 0.9, 0.999 and eps 1e-8. Tensors with tw_param's `decayed` get weight decay and, under LARS, the adapted rate; the others get
 * neither, and their learning rate is divided by lr_wbr. */
#ifndef TW_TRAIN_OPTIM_H
#define TW_TRAIN_OPTIM_H

#include "nn/net.h"

typedef enum { TW_LARS, TW_SGD, TW_ADAMW } tw_optim_kind;
extern const char *const tw_optim_names[]; /* "lars", "sgd", "admw", NULL: the official code's names */

typedef struct tw_optim tw_optim;

/* State for every trained tensor, zero. The net must outlive it. NULL and tw_error(). */
tw_optim *tw_optim_new(tw_net *net, tw_optim_kind kind, double lr_wbr);
void tw_optim_free(tw_optim *o); /* NULL is allowed */

/* Overrides the rules for trained tensor i (tw_net_param's number): its learning rate is `rate` times the step's; decayed: whether weight decay
 * and LARS's adaptation apply. */
void tw_optim_rule(tw_optim *o, int i, double rate, bool decayed);

/* For a device that does the whole step (learn_new): table fills t, with room for tw_net_params rows, with a row per trained tensor, except the
 * teacher's member, and returns their number; took records that the device has taken a step. */
int tw_optim_table(const tw_optim *o, tw_learn_tensor *t);
tw_optim_kind tw_optim_kind_of(const tw_optim *o);
void tw_optim_took(tw_optim *o);

/* The global L2 norm of all gradients; not finite if one of them is not. The next tw_optim_step reuses the tensors' norms: gradients must not change
 * in between. 0, or -1 and tw_error(). */
int tw_optim_gradient_norm(double *norm, tw_optim *o);

/* One step with the gradients multiplied by clip (from tw_clip), then tw_net_changed. LARS, for a tensor whose weights or gradient are all zero: a
 * plain momentum step without decay. 0, or -1 and tw_error(). */
int tw_optim_step(tw_optim *o, double lr, double weight_decay, double clip);

/* The factor that clips a gradient of that norm to max, as torch.nn.utils.clip_grad_norm_: max / (norm + 1e-6), at most 1. max 0 (off): 1. */
double tw_clip(double norm, double max);

/* State tensors, for saving and loading: f32, of the shape of the parameter that they belong to. */
typedef struct {
    const char *name;    /* "momentum", "exp_avg", "exp_avg_sq" */
    const tw_param *of;
    float *value;        /* [of->n], host memory, owned by the optimizer */
} tw_optim_state;
int tw_optim_states(const tw_optim *o); /* how many */
tw_optim_state tw_optim_state_at(const tw_optim *o, int i);
/* Copy the state to host memory, to be called before reading it; back to the device, after changing it. With unified memory nothing is copied.
 * 0, or -1 and tw_error(). */
int tw_optim_download(tw_optim *o);
int tw_optim_upload(tw_optim *o);
/* Steps taken (AdamW's t): part of the state. */
int64_t tw_optim_steps(const tw_optim *o);
void tw_optim_set_steps(tw_optim *o, int64_t steps);

#endif
