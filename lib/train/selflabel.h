/* The loss of self-labeling: confident views label the others (twist-method.md 3). */
#ifndef TW_TRAIN_SELFLABEL_H
#define TW_TRAIN_SELFLABEL_H

typedef struct {
    double quantile;  /* q in (0, 1]: the threshold is the value at rank floor(q B) of the confidences in descending order; 0: fixed threshold */
    double threshold; /* the threshold if q is 0 */
} tw_confidence;

typedef struct {
    double loss;      /* cross-entropy in nats, mean over selected samples and V-1 views; 0 if none is selected, NaN if a maximum is NaN */
    double threshold; /* that was used */
    int selected;     /* samples whose weak view's maximum is above the threshold */
} tw_selflabel_terms;

/* Of each sample's views 0 and 1 the one with the larger maximum probability is the weak anchor; its argmax is the label of the other one and of
 * views 2..V-1. logits: f32 [V*B, K], view-major, V >= 2; dlogits, of the same shape, is set to the gradient (none flows through the labels).
 * teacher: its logits of views 0 and 1, f32 [2*B, K], from which anchor, label and confidence are then taken; NULL: no teacher.
 * 0, or -1 and tw_error(). */
int tw_loss_selflabel(tw_selflabel_terms *terms, float *dlogits, const float *logits, const float *teacher, int V, int B, int K,
                      const tw_confidence *c);

#endif
