/* The momentum encoder (twist-method.md 2): a second network whose parameters are a moving average of the student's; it sees views 0 and 1 in
 * training mode and has running statistics of its own. */
#ifndef TW_TRAIN_TEACHER_H
#define TW_TRAIN_TEACHER_H

#include "nn/net.h"

typedef struct tw_teacher tw_teacher;

/* A copy of the student, whose config is c, with its parameters and statistics, on its device. NULL and tw_error(). Free with tw_net_free, before the
 * student. */
tw_net *tw_teacher_net(const tw_net_config *c, tw_net *student);
/* Copies parameters and statistics again. 0, or -1 and tw_error(). */
int tw_teacher_copy(tw_net *teacher, tw_net *student);

/* For running net, which is borrowed until free, on views 0 and 1 of batches of the student's shape. NULL and tw_error(). */
tw_teacher *tw_teacher_new(tw_net *net, const tw_view_group *group, int n_groups, int B);
void tw_teacher_free(tw_teacher *t); /* NULL is allowed */
size_t tw_teacher_bytes(const tw_teacher *t); /* memory of its plan */

/* pictures, step: as for tw_plan_forward of the student's plan. 0, or -1 and tw_error(). */
int tw_teacher_forward(tw_teacher *t, uint8_t *const *pictures, int64_t step);
tw_plan *tw_teacher_plan(tw_teacher *t); /* borrowed */
tw_net *tw_teacher_network(tw_teacher *t); /* borrowed */
const float *tw_teacher_logits(const tw_teacher *t); /* of the last forward: f32 [2*B, K], view-major; borrowed */

/* teacher = keep teacher + (1 - keep) student, for the parameters, not the statistics. 0, or -1 and tw_error(). */
int tw_teacher_follow(tw_teacher *t, tw_net *student, double keep);

#endif
