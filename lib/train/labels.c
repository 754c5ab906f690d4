#include "train/labels.h"

#include <math.h>
#include <stddef.h>

double tw_cross_entropy(float *d, const float *f, int label, int K, double scale)
{
    float most = f[0];
    double total = 0;
    for (int k = 1; k < K; k++)
        most = f[k] > most ? f[k] : most;
    for (int k = 0; k < K; k++)
        total += exp((double)f[k] - (double)most);
    for (int k = 0; d != NULL && k < K; k++)
        d[k] = (float)((exp((double)f[k] - (double)most) / total - (k == label)) * scale);
    return log(total) - ((double)f[label] - (double)most);
}

static int rank_of(const float *f, int label, int K)
{
    int before = 0;
    for (int k = 0; k < K; k++)
        before += f[k] > f[label] || (f[k] == f[label] && k < label);
    return before;
}

double tw_loss_labels(float *dlogits, int64_t hits[2], const float *logits, const int32_t *label, int V, int B, int K)
{
    const int64_t rows = (int64_t)V * B;
    double loss = 0;
    for (int64_t i = 0; i < rows; i++) {
        const float *f = logits + i * K;
        const int y = label[i % B];
        const double one = tw_cross_entropy(dlogits != NULL ? dlogits + i * K : NULL, f, y, K, 1 / (double)rows);
        const int rank = isfinite(one) ? rank_of(f, y, K) : K;
        loss += one;
        hits[0] += rank < 1;
        hits[1] += rank < 5;
    }
    return loss / (double)rows;
}
