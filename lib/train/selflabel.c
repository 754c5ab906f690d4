#include "train/selflabel.h"

#include "core/mem.h"
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

int tw_loss_selflabel(tw_selflabel_terms *terms, float *dlogits, const float *logits, int V, int B, int K, const tw_confidence *c)
{
    const size_t rows = (size_t)V * (size_t)B;
    float *confidence = tw_calloc((size_t)B, 2 * sizeof *confidence);
    if (confidence == NULL)
        return -1;
    *terms = (tw_selflabel_terms){0};
    for (size_t r = 0; r < rows; r++)
        tw_softmax(dlogits + r * (size_t)K, logits + r * (size_t)K, K, 1); /* the probabilities, for now */
    for (int b = 0; b < B; b++) {
        const float *p0 = dlogits + (size_t)b * (size_t)K, *p1 = p0 + (size_t)B * (size_t)K;
        confidence[b] = fmaxf(p0[tw_argmax(p0, K)], p1[tw_argmax(p1, K)]);
    }
    const float threshold = c->quantile > 0 ? at_rank(confidence + B, confidence, B, c->quantile) : (float)c->threshold;
    for (int b = 0; b < B; b++)
        terms->selected += confidence[b] > threshold;
    terms->threshold = (double)threshold;
    const double scale = terms->selected > 0 ? 1.0 / ((double)terms->selected * (V - 1)) : 0;
    for (int b = 0; b < B; b++) { /* what is needed of p0 and p1 is taken before their rows become derivatives */
        const float *p0 = dlogits + (size_t)b * (size_t)K, *p1 = p0 + (size_t)B * (size_t)K;
        const int k0 = tw_argmax(p0, K), k1 = tw_argmax(p1, K), weak = p1[k1] > p0[k0], label = weak ? k1 : k0;
        for (int v = 0; v < V; v++) {
            float *d = dlogits + ((size_t)v * (size_t)B + (size_t)b) * (size_t)K;
            if (v == weak || !(confidence[b] > threshold)) {
                memset(d, 0, (size_t)K * sizeof *d);
                continue;
            }
            const float *f = logits + (d - dlogits);
            const double most = (double)f[tw_argmax(f, K)];
            double total = 0;
            for (int k = 0; k < K; k++)
                total += exp((double)f[k] - most);
            terms->loss += scale * (log(total) + most - (double)f[label]);
            d[label] -= 1;
            for (int k = 0; k < K; k++)
                d[k] *= (float)scale;
        }
    }
    free(confidence);
    return 0;
}
