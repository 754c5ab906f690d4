/* The loss of self-labeling: confident views label the others (twist-method.md 3). */
#ifndef TW_TRAIN_SELFLABEL_H
#define TW_TRAIN_SELFLABEL_H

#include <stdint.h>

typedef struct {
    double quantile;  /* q in (0, 1]: the threshold is the value at rank floor(q B) of the confidences, the largest first */
    double threshold; /* fixed, where q is 0 */
} tw_confidence;

typedef struct {
    double loss;      /* cross-entropy in nats, the mean over selected samples and V-1 views; 0 where none is selected, NaN where a maximum is */
    double threshold;
    int selected;     /* samples whose weak view's maximum is above the threshold */
} tw_selflabel_terms;

/* Of views 0 and 1 the one with the larger maximum probability is the weak anchor, whose argmax labels the other one and views
 * 2..V-1. logits: f32 [V*B, K], view-major; dlogits, of the same shape, is set to the derivatives (the labels have none). V >= 2.
 * teacher: f32 [2*B, K], its logits of views 0 and 1, or NULL: with it the maxima, and so anchor, label and confidence, are its own.
 * 0, or -1 and tw_error(). */
int tw_loss_selflabel(tw_selflabel_terms *terms, float *dlogits, const float *logits, const float *teacher, int V, int B, int K,
                      const tw_confidence *c);

#endif
