/* Softmax of one row, as both losses take it. */
#ifndef TW_TRAIN_SOFTMAX_H
#define TW_TRAIN_SOFTMAX_H

#include <math.h>

/* p = softmax(scale f), [K]; the sum in f64. p may be f. */
static inline void tw_softmax(float *p, const float *f, int K, float scale)
{
    float most = f[0];
    double total = 0;
    for (int k = 1; k < K; k++)
        most = f[k] > most ? f[k] : most;
    for (int k = 0; k < K; k++) {
        p[k] = expf((f[k] - most) * scale);
        total += (double)p[k];
    }
    const float factor = (float)(1 / total);
    for (int k = 0; k < K; k++)
        p[k] *= factor;
}

/* The index of the largest, the first of equal ones. */
static inline int tw_argmax(const float *x, int K)
{
    int best = 0;
    for (int k = 1; k < K; k++)
        best = x[k] > x[best] ? k : best;
    return best;
}

#endif
