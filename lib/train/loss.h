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

/* Scratch memory for V >= 2 views of B samples on this rank and K classes: about 4 V K (B + 4) bytes, twice that where tau is not
 * 1. comm is kept. NULL and tw_error(). */
tw_loss *tw_loss_new(const tw_loss_weights *w, int V, int B, int K, tw_comm *comm);
void tw_loss_free(tw_loss *l);

/* Pairs (0, j) for j = 1..V-1 and (1, j) for j = 2..V-1. logits: f32 [V*B, K], view-major. dlogits, of the same shape, is set
 * to the derivatives of the loss of the GLOBAL batch (B times ranks): gradients of ranks are to be added, not averaged. Sums
 * are f64 in a fixed order. A loss that is not finite is no error here.
 * teacher: f32 [2*B, K], its logits of views 0 and 1, or NULL: there is none. With it kl is the mean over teacher view t and view
 * v != t of KL(teacher_t, v) at temperature tau, eh and he are the means over all V views, and the teacher has no derivatives.
 * 0, or -1 and tw_error() (the communicator's). */
int tw_loss_twist(tw_loss *l, tw_loss_terms *terms, float *dlogits, const float *logits, const float *teacher);

/* Of views 0 and 1 alone, to watch a run that learns from another loss: the means of their eh and he over all ranks, at temperature
 * tau. 0, or -1 and tw_error() (the communicator's). */
int tw_loss_entropies(tw_loss *l, double *eh, double *he, const float *logits);

#endif
