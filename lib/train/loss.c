/* p_v: the probabilities of view v of one sample, L = log(p + eps). There are P = 2V - 3 pairs: views 0 and 1 are paired with all others, every other
 * view with 0 and 1. For one pair KL(p, q) + KL(q, p) = sum (p - q)(Lp - Lq), whose derivative by p is (Lp - Lq) + (p - q) / (p + eps). Summed
 * over the partners of a view this needs only sums over views, so that the gradient costs O(V), not O(V^2). With a teacher's probabilities t_0,
 * t_1 there are 2 (V - 1) divergences KL(t, s), with the derivative -t / (s + eps) by s; as in the official code, both are at temperature tau
 * then. */
#include "train/loss.h"

#include "core/error.h"
#include "core/mem.h"
#include "nn/formula.h"
#include "train/softmax.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const float EPS = TW_LOSS_EPS;

struct tw_loss {
    tw_loss_weights w;
    int V, B, K;
    tw_comm *comm;
    float *p, *s;    /* softmax(f), softmax(f / tau): [V*B,K]; the same array if tau is 1 */
    double *mean;    /* of s over the global batch: [V,K] */
    float *dmean;    /* he's contribution to the derivative by s: [V,K] */
    float *log_p;    /* of one sample: [V,K] */
    float *sum, *sum_log; /* over the views of one sample: [K] */
    float *g;        /* of one row: [K] */
    const float *taught; /* the present call's teacher logits [2*B,K]; NULL: none */
    float *t;        /* the teacher's probabilities of one sample, at temperature tau: [2,K] */
};

tw_loss *tw_loss_new(const tw_loss_weights *w, int V, int B, int K, tw_comm *comm)
{
    if (V < 2 || B < 1 || K < 1) {
        tw_fail("loss of %d views, batch %d, %d classes: want two views and at least one of the others", V, B, K);
        return NULL;
    }
    tw_loss *l = tw_calloc(1, sizeof *l);
    if (l == NULL)
        return NULL;
    *l = (tw_loss){.w = *w, .V = V, .B = B, .K = K, .comm = comm};
    const size_t views = (size_t)V * (size_t)K, all = views * (size_t)B;
    l->p = tw_alloc64(all * sizeof *l->p);
    l->s = w->tau == 1 ? l->p : tw_alloc64(all * sizeof *l->s);
    l->mean = tw_alloc64(views * sizeof *l->mean);
    l->dmean = tw_alloc64(views * sizeof *l->dmean);
    l->log_p = tw_alloc64(views * sizeof *l->log_p);
    l->sum = tw_alloc64((size_t)K * sizeof *l->sum);
    l->sum_log = tw_alloc64((size_t)K * sizeof *l->sum_log);
    l->g = tw_alloc64((size_t)K * sizeof *l->g);
    l->t = tw_alloc64(2 * (size_t)K * sizeof *l->t);
    if (l->p != NULL && l->s != NULL && l->mean != NULL && l->dmean != NULL && l->log_p != NULL && l->sum != NULL &&
        l->sum_log != NULL && l->g != NULL && l->t != NULL)
        return l;
    tw_loss_free(l);
    return NULL;
}

void tw_loss_free(tw_loss *l)
{
    if (l == NULL)
        return;
    if (l->s != l->p)
        free(l->s);
    free(l->p);
    free(l->mean);
    free(l->dmean);
    free(l->log_p);
    free(l->sum);
    free(l->sum_log);
    free(l->g);
    free(l->t);
    free(l);
}

/* 1 / (p + eps), for the derivatives below; log_p there is log(p + eps). */
static inline float over(float p)
{
    return 1 / (p + EPS);
}

/* The derivative by p of a view's divergences. sum, sum_log: the sums of p and log_p over the n views that are the view itself, if it is 0 or 1, and
 * its partners. */
static inline float pairs_slope(float n, float p, float log_p, float sum, float sum_log)
{
    return (n * log_p - sum_log) + (n * p - sum) * over(p);
}

/* The negated derivative of -s log(s + eps) by s. */
static inline float entropy_slope(float s, float log_s)
{
    return log_s + s * over(s);
}

static float *row(float *x, const tw_loss *l, int v, int b)
{
    return x + ((size_t)v * (size_t)l->B + (size_t)b) * (size_t)l->K;
}

static double weight(const tw_loss *l, int v)
{
    return tw_view_weight(v, l->V, l->taught != NULL);
}

static double divergences(const tw_loss *l)
{
    return tw_divergences(l->V, l->taught != NULL);
}

/* Computes s and its mean over the global batch, and p if want_p, for the first `views` views. */
static int probabilities(tw_loss *l, const float *logits, int views, bool want_p)
{
    const size_t means = (size_t)views * (size_t)l->K;
    memset(l->mean, 0, means * sizeof *l->mean);
    for (int v = 0; v < views; v++)
        for (int b = 0; b < l->B; b++) {
            const float *f = logits + (row(l->p, l, v, b) - l->p);
            float *s = row(l->s, l, v, b);
            if (want_p || l->s == l->p)
                tw_softmax(row(l->p, l, v, b), f, l->K, 1);
            if (l->s != l->p)
                tw_softmax(s, f, l->K, (float)(1 / l->w.tau));
            double *m = l->mean + (size_t)v * (size_t)l->K;
            for (int k = 0; k < l->K; k++)
                m[k] += (double)s[k];
        }
    if (l->comm->sum_f64(l->comm, l->mean, means) != 0)
        return -1;
    const double global = (double)l->B * l->comm->ranks;
    for (size_t i = 0; i < means; i++)
        l->mean[i] /= global;
    return 0;
}

/* Returns he, the weighted mean over the views; fills dmean. */
static double diversity(tw_loss *l)
{
    const double global = (double)l->B * l->comm->ranks, eps = (double)EPS;
    double he = 0;
    for (int v = 0; v < l->V; v++)
        for (int k = 0; k < l->K; k++) {
            const size_t i = (size_t)v * (size_t)l->K + (size_t)k;
            const double m = l->mean[i], log_m = log(m + eps);
            he -= weight(l, v) * m * log_m;
            l->dmean[i] = (float)(l->w.lam2 * weight(l, v) / global * tw_mean_entropy_slope(m, log_m));
        }
    return he;
}

/* The sum of sample b's divergences from the teacher; fills t, and log_p from s. */
static double taught_consistency(tw_loss *l, int b)
{
    const int K = l->K;
    double total = 0;
    for (int t = 0; t < 2; t++) {
        float *q = l->t + (size_t)t * (size_t)K;
        tw_softmax(q, l->taught + ((size_t)t * (size_t)l->B + (size_t)b) * (size_t)K, K, (float)(1 / l->w.tau));
        for (int k = 0; k < K; k++) /* each teacher view is paired with all student views but one */
            total += (l->V - 1) * (double)q[k] * (double)logf(q[k] + EPS);
    }
    for (int v = 0; v < l->V; v++) {
        const float *s = row(l->s, l, v, b), *t0 = l->t, *t1 = l->t + K;
        const float with0 = v == 0 ? 0 : 1, with1 = v == 1 ? 0 : 1;
        float *log_p = l->log_p + (size_t)v * (size_t)K;
        for (int k = 0; k < K; k++) {
            log_p[k] = logf(s[k] + EPS);
            total -= (double)(with0 * t0[k] + with1 * t1[k]) * (double)log_p[k];
        }
    }
    return total;
}

/* g = scale times the derivative, by s of view v, of its divergences from the teacher. */
static void taught_gradient(const tw_loss *l, float *restrict g, const float *s, int v, float scale)
{
    const int K = l->K;
    const float *t0 = l->t, *t1 = l->t + K;
    const float from0 = v == 0 ? 0 : scale, from1 = v == 1 ? 0 : scale;
    for (int k = 0; k < K; k++)
        g[k] = -(from0 * t0[k] + from1 * t1[k]) / (s[k] + EPS);
}

/* The sum of sample b's divergences over all pairs; fills log_p, sum and sum_log. */
static double consistency(tw_loss *l, int b)
{
    const int K = l->K;
    double total = 0;
    memset(l->sum, 0, (size_t)K * sizeof *l->sum);
    memset(l->sum_log, 0, (size_t)K * sizeof *l->sum_log);
    for (int v = 0; v < l->V; v++) {
        const float *p = row(l->p, l, v, b);
        float *log_p = l->log_p + (size_t)v * (size_t)K;
        for (int k = 0; k < K; k++) {
            log_p[k] = logf(p[k] + EPS);
            l->sum[k] += p[k];
            l->sum_log[k] += log_p[k];
        }
        for (int a = 0; a < 2 && a < v; a++) {
            const float *pa = row(l->p, l, a, b), *log_a = l->log_p + (size_t)a * (size_t)K;
            for (int k = 0; k < K; k++)
                total += (double)((pa[k] - p[k]) * (log_a[k] - log_p[k]));
        }
    }
    return total;
}

/* g = scale times the derivative, by p of view v, of the divergences of its pairs. */
static void consistency_gradient(const tw_loss *l, float *restrict g, const float *p, int v, int b, float scale)
{
    const int K = l->K;
    const float *log_p = l->log_p + (size_t)v * (size_t)K;
    if (v < 2) {
        const float n = (float)l->V;
        for (int k = 0; k < K; k++)
            g[k] = scale * pairs_slope(n, p[k], log_p[k], l->sum[k], l->sum_log[k]);
        return;
    }
    const float *p0 = row(l->p, l, 0, b), *p1 = row(l->p, l, 1, b), *log_0 = l->log_p, *log_1 = l->log_p + K;
    for (int k = 0; k < K; k++)
        g[k] = scale * pairs_slope(2, p[k], log_p[k], p0[k] + p1[k], log_0[k] + log_1[k]);
}

/* Adds the derivatives of eh and he by s to g; returns the entropy. log_s: log(s + eps), or NULL: computed here. */
static double entropy_gradient(float *restrict g, const float *s, const float *log_s, const float *dmean, int K, float scale)
{
    double entropy = 0;
    for (int k = 0; k < K; k++) {
        const float log_k = log_s != NULL ? log_s[k] : logf(s[k] + EPS);
        entropy -= (double)(s[k] * log_k);
        g[k] += dmean[k] - scale * entropy_slope(s[k], log_k);
    }
    return entropy;
}

/* Backward through the softmax p: d += p (g - <p, g>) / tau, scale being 1 / tau. */
static void through_softmax(float *restrict d, const float *p, const float *g, int K, float scale)
{
    double dot = 0;
    for (int k = 0; k < K; k++)
        dot += (double)(p[k] * g[k]);
    for (int k = 0; k < K; k++)
        d[k] += scale * p[k] * (g[k] - (float)dot);
}

/* Sets sample b's rows of dlogits; returns its eh, the weighted mean over the views. */
static double sample(tw_loss *l, float *dlogits, int b)
{
    const int K = l->K;
    const double global = (double)l->B * l->comm->ranks;
    const float kl_scale = (float)(1 / (divergences(l) * global));
    double eh = 0;
    for (int v = 0; v < l->V; v++) {
        const size_t at = (size_t)v * (size_t)K;
        const float *p = row(l->p, l, v, b), *s = row(l->s, l, v, b);
        const float eh_scale = (float)(weight(l, v) * (1 + l->w.lam1) / global);
        float *d = row(dlogits, l, v, b), *g = l->g;
        memset(d, 0, (size_t)K * sizeof *d);
        const bool of_s = l->taught != NULL || s == p; /* kl is computed from the same probabilities as eh and he */
        if (l->taught != NULL)
            taught_gradient(l, g, s, v, kl_scale);
        else
            consistency_gradient(l, g, p, v, b, kl_scale);
        if (!of_s) {
            through_softmax(d, p, g, K, 1);
            memset(g, 0, (size_t)K * sizeof *g);
        }
        eh += weight(l, v) * entropy_gradient(g, s, of_s ? l->log_p + at : NULL, l->dmean + at, K, eh_scale);
        through_softmax(d, s, g, K, (float)(1 / l->w.tau));
    }
    return eh;
}

int tw_loss_twist(tw_loss *l, tw_loss_terms *terms, float *dlogits, const float *logits, const float *teacher)
{
    l->taught = teacher;
    if (probabilities(l, logits, l->V, teacher == NULL) != 0)
        return -1;
    double sum[2] = {0, 0}; /* kl and eh */
    terms->he = diversity(l);
    for (int b = 0; b < l->B; b++) {
        sum[0] += teacher != NULL ? taught_consistency(l, b) : consistency(l, b);
        sum[1] += sample(l, dlogits, b);
    }
    if (l->comm->sum_f64(l->comm, sum, 2) != 0)
        return -1;
    const double global = (double)l->B * l->comm->ranks;
    terms->kl = sum[0] / (divergences(l) * global);
    terms->eh = sum[1] / global;
    terms->loss = terms->kl + (1 + l->w.lam1) * terms->eh - l->w.lam2 * terms->he;
    return 0;
}

int tw_loss_entropies(tw_loss *l, double *eh, double *he, const float *logits)
{
    l->taught = NULL;
    if (probabilities(l, logits, 2, false) != 0)
        return -1;
    const double eps = (double)EPS, global = (double)l->B * l->comm->ranks;
    double sum = 0;
    *he = 0;
    for (int v = 0; v < 2; v++) {
        for (int k = 0; k < l->K; k++) {
            const double m = l->mean[(size_t)v * (size_t)l->K + (size_t)k];
            *he -= m * log(m + eps) / 2;
        }
        for (int b = 0; b < l->B; b++) {
            const float *s = row(l->s, l, v, b);
            for (int k = 0; k < l->K; k++)
                sum -= (double)(s[k] * logf(s[k] + EPS));
        }
    }
    if (l->comm->sum_f64(l->comm, &sum, 1) != 0)
        return -1;
    *eh = sum / (2 * global);
    return 0;
}
