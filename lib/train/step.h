/* One training step: forward, loss, backward, clipping, optimizer, teacher. If a number is not finite, nothing changes. */
#ifndef TW_TRAIN_STEP_H
#define TW_TRAIN_STEP_H

#include "train/loss.h"
#include "train/monitor.h"
#include "train/optim.h"
#include "train/selflabel.h"

typedef struct {
    tw_loss_weights loss;
    double clip_norm; /* 0: off */
    double patience;  /* seconds to wait for the devices of other ranks, see tw_learn_config */
    tw_loss_scale first; /* see tw_learn_config */
    bool supervised;  /* cross-entropy with labels instead of the TWIST loss; V may be 1 */
} tw_step_options;

/* The parameters of one step. */
typedef struct {
    double lr, weight_decay;
    bool self_label;      /* the self-labeling loss, with `confidence`, instead of the TWIST loss */
    tw_confidence confidence;
    int64_t number;       /* of the step in the whole run: seeds the dropout masks */
    double momentum;      /* the share that the teacher keeps of itself */
    const int32_t *label; /* [B], if supervised */
    uint8_t *const *ahead; /* the next step's pictures, if ready, which a GPU uploads during this step; or NULL. They must not change until
                            * then */
} tw_step_inputs;

typedef struct {
    tw_loss_terms terms;  /* supervised: loss only, the others NaN; self-labeling: kl NaN, eh and he of views 0 and 1 */
    tw_selflabel_terms selflabel;
    double gradient_norm; /* before clipping */
    bool skipped;         /* fp16: the scaled gradient overflowed; nothing has changed but the loss scale, which is reduced */
    tw_loss_scale next;   /* fp16 on a device: loss scale of the next step; else 0 */
    const tw_spread *spread;  /* if logits stay on the device: their standard deviations, and argmax [2*B] of views 0 and 1; */
    const int32_t *largest;   /* else NULL, and the plan has the logits in host memory. Borrowed until the next step */
    int64_t hits[2];      /* supervised: rows, over all ranks, whose label is the top-1 class, is among the top 5, by logit */
} tw_step_result;

typedef struct tw_step tw_step;

/* For batches of B samples of these views; net, teacher (NULL: none) and optim are borrowed until free. NULL and tw_error(). */
tw_step *tw_step_new(tw_net *net, tw_net *teacher, tw_optim *optim, const tw_view_group *group, int n_groups, int B,
                     const tw_step_options *o);
void tw_step_free(tw_step *s); /* NULL is allowed */
size_t tw_step_bytes(const tw_step *s); /* memory of the plans: without weights, gradients and optimizer state */

/* pictures: as for tw_plan_forward. 1: done; 0: the loss or the gradient is not finite (*r has them), and weights, running statistics and optimizer
 * are as before; -1 and tw_error(). */
int tw_step_run(tw_step *s, tw_step_result *r, uint8_t *const *pictures, const tw_step_inputs *p);

/* To be called on all ranks, between two steps, when their devices may differ in what they have recorded: all record their steps anew, together. */
void tw_step_renew(tw_step *s);

/* The student's plan, for its logits after a step; borrowed. */
const tw_plan *tw_step_plan_of(const tw_step *s);
int tw_step_views(const tw_step *s); /* V */

#endif
