/* One step of training: forward, loss, backward, clipping, the optimizer, the teacher; nothing changes where a number is not
 * finite. */
#ifndef TW_TRAIN_STEP_H
#define TW_TRAIN_STEP_H

#include "train/loss.h"
#include "train/monitor.h"
#include "train/optim.h"
#include "train/selflabel.h"

typedef struct {
    tw_loss_weights loss;
    double clip_norm; /* 0: off */
    double patience;  /* seconds that a step may wait for the devices of other ranks: see tw_learn_config */
    tw_loss_scale first; /* see tw_learn_config */
    bool supervised;  /* cross-entropy with labels instead: one view is enough */
} tw_step_options;

/* What a step is given beside the pictures. */
typedef struct {
    double lr, weight_decay;
    bool self_label;      /* with `confidence`, instead of the TWIST loss */
    tw_confidence confidence;
    int64_t number;       /* of all steps of the run: numbers the dropout masks */
    double momentum;      /* what the teacher keeps of itself */
    const int32_t *label; /* [B], where the step is supervised */
    uint8_t *const *ahead; /* the next step's pictures where they are at hand, which a GPU fetches during this one; or NULL. They stay as
                            * they are until then */
} tw_step_inputs;

typedef struct {
    tw_loss_terms terms;  /* supervised: loss only, the others NaN; self-labeling: kl NaN, eh and he of views 0 and 1 */
    tw_selflabel_terms selflabel;
    double gradient_norm; /* before clipping */
    bool skipped;         /* fp16: the gradient overflowed; nothing was changed, and the loss is scaled less from now on */
    tw_loss_scale next;   /* where a device computes in fp16: of the next step; else 0 */
    const tw_spread *spread;  /* where the logits stay on a device: how they spread, and [2*B] the largest of views 0 and 1; */
    const int32_t *largest;   /* else NULL: the plan has them in host memory. Borrowed until the next step */
    int64_t hits[2];      /* supervised: of all ranks, rows whose label is the first, is among the first five, by logit */
} tw_step_result;

typedef struct tw_step tw_step;

/* For batches of that shape; net, teacher (NULL: none) and optim are kept. NULL and tw_error(). */
tw_step *tw_step_new(tw_net *net, tw_net *teacher, tw_optim *optim, const tw_view_group *group, int n_groups, int B,
                     const tw_step_options *o);
void tw_step_free(tw_step *s); /* NULL is allowed */
size_t tw_step_bytes(const tw_step *s); /* of the plans: what it holds beside weights, gradients and optimizer */

/* pictures: as tw_plan_forward takes them. 1: done; 0: the loss or the gradient is not finite (r says what they are), and weights,
 * running statistics and optimizer are as they were before; -1 and tw_error(). */
int tw_step_run(tw_step *s, tw_step_result *r, uint8_t *const *pictures, const tw_step_inputs *p);

/* To be called on all ranks where a device may have done what the others have not, between two steps: what is recorded is recorded anew, by all
 * of them at once. */
void tw_step_renew(tw_step *s);

/* The plan, for its logits after a step. */
const tw_plan *tw_step_plan_of(const tw_step *s);
int tw_step_views(const tw_step *s); /* V */

#endif
