/* The momentum encoder (twist-method.md 2): a second network, the average of what the student was, that sees views 0 and 1 in
 * training mode, with running statistics of its own. */
#ifndef TW_TRAIN_TEACHER_H
#define TW_TRAIN_TEACHER_H

#include "nn/net.h"

typedef struct tw_teacher tw_teacher;

/* A network like the student's of config c, on its device, its parameters and statistics a copy. NULL and tw_error(). Free with
 * tw_net_free, before the student. */
tw_net *tw_teacher_net(const tw_net_config *c, tw_net *student);
/* The copy anew. 0, or -1 and tw_error(). */
int tw_teacher_copy(tw_net *teacher, tw_net *student);

/* Runs the net on views 0 and 1 of batches of the student's shape; net is kept. NULL and tw_error(). */
tw_teacher *tw_teacher_new(tw_net *net, const tw_view_group *group, int n_groups, int B);
void tw_teacher_free(tw_teacher *t); /* NULL is allowed */
size_t tw_teacher_bytes(const tw_teacher *t); /* of its plan */

/* pictures, step: as tw_plan_forward of the student's plan takes them. 0, or -1 and tw_error(). */
int tw_teacher_forward(tw_teacher *t, uint8_t *const *pictures, int64_t step);
tw_plan *tw_teacher_plan(tw_teacher *t); /* borrowed */
tw_net *tw_teacher_network(tw_teacher *t);
const float *tw_teacher_logits(const tw_teacher *t); /* of the last forward: f32 [2*B, K], view-major; borrowed */

/* Parameters (not the statistics): keep of the teacher's + (1 - keep) of the student's. 0, or -1 and tw_error(). */
int tw_teacher_follow(tw_teacher *t, tw_net *student, double keep);

#endif
