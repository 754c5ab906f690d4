#include "train/selflabel.h"

#include "core/mem.h"
#include "train/labels.h"
#include "train/softmax.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static int descending(const void *a, const void *b)
{
    const float x = *(const float *)a, y = *(const float *)b;
    return (x < y) - (x > y);
}

/* The value at rank floor(q B) of confidence[B]; order: [B], overwritten. */
static float at_rank(float *order, const float *confidence, int B, double q)
{
    const int rank = (int)floor(q * B);
    memcpy(order, confidence, (size_t)B * sizeof *order);
    qsort(order, (size_t)B, sizeof *order, descending);
    return order[rank < B ? rank : B - 1];
}

/* What a sample's views 0 and 1 (or the teacher's) give. */
typedef struct {
    float confidence; /* the larger of their maxima; NaN if either is */
    int weak, label;  /* the view that has it, and its class */
} anchor;

/* Sample b's anchor, from the logits [2*B,K] of views 0 and 1; p: scratch, [2,K]. */
static anchor find_anchor(float *p, const float *logits, int b, int B, int K)
{
    int k[2];
    for (int v = 0; v < 2; v++) {
        tw_softmax(p + (size_t)v * (size_t)K, logits + ((size_t)v * (size_t)B + (size_t)b) * (size_t)K, K, 1);
        k[v] = tw_argmax(p + (size_t)v * (size_t)K, K);
    }
    const float m0 = p[k[0]], m1 = p[(size_t)K + (size_t)k[1]];
    return m1 > m0 || isnan(m1) ? (anchor){m1, 1, k[1]} : (anchor){m0, 0, k[0]};
}

int tw_loss_selflabel(tw_selflabel_terms *terms, float *dlogits, const float *logits, const float *teacher, int V, int B, int K,
                      const tw_confidence *c)
{
    anchor *of = tw_calloc((size_t)B, sizeof *of);
    float *confidence = tw_calloc((size_t)B, 2 * sizeof *confidence), *p = tw_calloc((size_t)K, 2 * sizeof *p);
    int rc = -1;
    if (of == NULL || confidence == NULL || p == NULL)
        goto done;
    *terms = (tw_selflabel_terms){0};
    for (int b = 0; b < B; b++) {
        of[b] = find_anchor(p, teacher != NULL ? teacher : logits, b, B, K);
        confidence[b] = of[b].confidence;
        if (isnan(confidence[b])) /* NaN must not pass for "below the threshold" */
            terms->loss = NAN;
    }
    const float threshold = isnan(terms->loss) ? NAN : c->quantile > 0 ? at_rank(confidence + B, confidence, B, c->quantile) : (float)c->threshold;
    for (int b = 0; b < B; b++)
        terms->selected += confidence[b] > threshold;
    terms->threshold = (double)threshold;
    const double scale = terms->selected > 0 ? 1.0 / ((double)terms->selected * (V - 1)) : 0;
    for (int b = 0; b < B; b++)
        for (int v = 0; v < V; v++) {
            const size_t at = ((size_t)v * (size_t)B + (size_t)b) * (size_t)K;
            if (v == of[b].weak || !(confidence[b] > threshold))
                memset(dlogits + at, 0, (size_t)K * sizeof *dlogits);
            else
                terms->loss += scale * tw_cross_entropy(dlogits + at, logits + at, of[b].label, K, scale);
        }
    rc = 0;
done:
    free(of);
    free(confidence);
    free(p);
    return rc;
}
