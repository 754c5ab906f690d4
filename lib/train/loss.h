/* The TWIST loss over all pairs of views, with its gradient (arXiv 2110.07402; twist-method.md 2). */
#ifndef TW_TRAIN_LOSS_H
#define TW_TRAIN_LOSS_H

#include "comm/comm.h"

typedef struct {
    double lam1, lam2; /* loss = kl + (1 + lam1) eh - lam2 he */
    double tau;        /* temperature of the softmax in eh and he */
} tw_loss_weights;

/* In nats, over the batch of all ranks. */
typedef struct {
    double loss;
    double kl; /* consistency */
    double eh; /* sharpness: mean entropy */
    double he; /* diversity: entropy of the mean */
} tw_loss_terms;

typedef struct tw_loss tw_loss;

/* Scratch memory for V >= 2 views of B samples on this rank and K classes: about 4 V K (B + 4) bytes, twice that if tau is not 1. comm is borrowed
 * until free. NULL and tw_error(). */
tw_loss *tw_loss_new(const tw_loss_weights *w, int V, int B, int K, tw_comm *comm);
void tw_loss_free(tw_loss *l); /* NULL is allowed */

/* The TWIST loss, mean over the pairs of views (0, j), j = 1..V-1, and (1, j), j = 2..V-1. logits: f32 [V*B, K], view-major. dlogits, of the same
 * shape, is set to the gradient of the loss of the GLOBAL batch (B times ranks): ranks' gradients are to be summed, not averaged. Sums are
 * f64 in a fixed order. A loss that is not finite is not an error here. Collective: all ranks call it.
 * teacher: its logits of views 0 and 1, f32 [2*B, K]; NULL: no teacher. With one, kl is the mean over teacher view t and student view v != t of
 * KL(teacher_t, v), both at temperature tau, eh and he are means over all V views, and no gradient flows to the teacher.
 * 0, or -1 and tw_error() (the communicator's). */
int tw_loss_twist(tw_loss *l, tw_loss_terms *terms, float *dlogits, const float *logits, const float *teacher);

/* eh and he of views 0 and 1 only, their means over both views and all ranks, at temperature tau: to monitor a run that trains with another loss.
 * Collective. 0, or -1 and tw_error() (the communicator's). */
int tw_loss_entropies(tw_loss *l, double *eh, double *he, const float *logits);

#endif
