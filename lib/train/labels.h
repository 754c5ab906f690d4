/* The loss of labelled samples. */
#ifndef TW_TRAIN_LABELS_H
#define TW_TRAIN_LABELS_H

#include <stdint.h>

/* Cross-entropy in nats of one row of logits f [K] with its label; d [K] is set to the derivatives times scale; NULL: they are not wanted. NaN where
 * a logit is not finite. */
double tw_cross_entropy(float *d, const float *f, int label, int K, double scale);

/* Cross-entropy in nats of V views of B samples on K classes, the mean over all V*B rows (torch.nn.CrossEntropyLoss). logits: f32
 * [V*B, K], view-major; label: [B], each 0..K-1; dlogits, of the logits' shape, is set to the derivatives; NULL: they are not
 * wanted. Adds to hits[0] and hits[1] the rows whose label is the first, is among the first five, by logit (of equal ones the
 * lower class first; a row that is not finite is no hit). NaN where a logit is not finite. */
double tw_loss_labels(float *dlogits, int64_t hits[2], const float *logits, const int32_t *label, int V, int B, int K);

#endif
