/* The loss on labelled samples. */
#ifndef TW_TRAIN_LABELS_H
#define TW_TRAIN_LABELS_H

#include <stdint.h>

/* Softmax cross-entropy in nats of one row of logits f [K]; d [K] is set to its gradient times scale; NULL: not wanted. NaN if a logit is not
 * finite. */
double tw_cross_entropy(float *d, const float *f, int label, int K, double scale);

/* Softmax cross-entropy in nats, the mean over the V*B rows (torch.nn.CrossEntropyLoss). logits: f32 [V*B, K], view-major; label: [B], each
 * 0..K-1; dlogits, of the same shape, is set to the gradient; NULL: not wanted. Adds to hits[0] and hits[1] the number of rows whose label is
 * the top-1 class, is among the top 5, by logit (of equal ones the lower class first; a row with a logit that is not finite is no hit).
 * Returns the loss, NaN if a logit is not finite. */
double tw_loss_labels(float *dlogits, int64_t hits[2], const float *logits, const int32_t *label, int V, int B, int K);

#endif
