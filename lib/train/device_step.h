/* A training step done wholly by the device (nn/backend.h, learn_new): the host hands over views and numbers and gets the results. The first step
 * of each kind (TWIST loss, self-labeling) runs call by call, later ones as a recorded piece of work. For step.c only. */
#ifndef TW_TRAIN_DEVICE_STEP_H
#define TW_TRAIN_DEVICE_STEP_H

#include "train/step.h"
#include "train/teacher.h"

typedef struct tw_device_step tw_device_step;

/* Whether the network's device can do it. */
bool tw_device_step_suits(tw_net *net);
/* All objects are borrowed until free. teacher NULL: none. NULL and tw_error(). */
tw_device_step *tw_device_step_new(tw_net *net, tw_plan *plan, tw_teacher *teacher, tw_optim *optim, const tw_view_group *group, int n_groups,
                                   int B, const tw_step_options *o);
void tw_device_step_free(tw_device_step *d); /* NULL is allowed */

/* As tw_step_run, except that running statistics are not restored: if it returns 0 or sets r->skipped, the caller has to. */
int tw_device_step_run(tw_device_step *d, tw_step_result *r, uint8_t *const *pictures, const tw_step_inputs *p);

/* As tw_step_renew. */
void tw_device_step_renew(tw_device_step *d);

#endif
