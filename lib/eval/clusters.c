#include "eval/clusters.h"

#include "core/error.h"
#include "core/mem.h"
#include "eval/features.h"

#include <math.h>
#include <stdlib.h>

/* The TW_TOP largest of value [K], the largest first, of equal ones the lower first: their numbers in top, values in best. */
static void take_top(int32_t *top, float *best, const float *value, int K)
{
    for (int i = 0; i < TW_TOP; i++) {
        top[i] = -1;
        best[i] = -INFINITY;
    }
    for (int k = 0; k < K; k++) {
        if (!(value[k] > best[TW_TOP - 1]))
            continue;
        int at = TW_TOP - 1;
        for (; at > 0 && value[k] > best[at - 1]; at--) {
            best[at] = best[at - 1];
            top[at] = top[at - 1];
        }
        best[at] = value[k];
        top[at] = k;
    }
}

/* Replaces the largest logits in best by their softmax probabilities. */
static void normalize_top(float *best, const float *logit, int K)
{
    double sum = 0;
    const float max = best[0];
    for (int k = 0; k < K; k++)
        sum += exp((double)logit[k] - max);
    for (int i = 0; i < TW_TOP; i++)
        best[i] = (float)(exp((double)best[i] - max) / sum);
}

static int add(tw_clusters *c, const tw_sample *s, bool probs, float **value)
{
    const tw_tensor *t = probs ? &s->probs : &s->logits;
    const char *what = probs ? "probs" : "logits";
    const size_t size = ((size_t)c->who.n + 1) * TW_TOP;
    if (tw_vector_check(&c->K, &c->who, s, t, what) != 0)
        return -1;
    if (*value == NULL && (*value = tw_calloc((size_t)c->K, sizeof **value)) == NULL)
        return -1;
    if (tw_vector_copy(*value, &c->who, s, t, what) != 0 || tw_grow(&c->top, &c->top_cap, size, sizeof *c->top) != 0 ||
        tw_grow(&c->prob, &c->prob_cap, size, sizeof *c->prob) != 0)
        return -1;
    float *best = c->prob + size - TW_TOP;
    take_top(c->top + size - TW_TOP, best, *value, c->K);
    if (!probs)
        normalize_top(best, *value, c->K);
    for (int i = c->K; i < TW_TOP; i++)
        best[i] = 0;
    return tw_roster_add(&c->who, s);
}

/* Adds the stream's samples. 0, or -1 and tw_error(). */
static int add_all(tw_clusters *c, tw_reader *r)
{
    tw_sample s;
    float *value = NULL;
    bool probs = false;
    int rc;
    tw_sample_init(&s);
    while ((rc = tw_reader_next(r, &s)) == 1) {
        rc = -1;
        if (c->who.n == 0) {
            probs = s.probs.data != NULL;
            if (!probs && s.logits.data == NULL) {
                tw_roster_fail(&c->who, &s, "neither probs nor logits: cluster features with --kmeans");
                break;
            }
        }
        if (add(c, &s, probs, &value) != 0)
            break;
    }
    if (rc == 0 && c->who.n == 0)
        rc = tw_fail("%s: no samples", c->who.name);
    tw_sample_fini(&s);
    free(value);
    return rc;
}

int tw_clusters_read(tw_clusters *c, const char *endpoint)
{
    *c = (tw_clusters){0};
    tw_reader *r = tw_reader_open(endpoint, NULL, NULL);
    const int rc = r != NULL && tw_roster_init(&c->who, r) == 0 ? add_all(c, r) : -1;
    tw_reader_close(r);
    return rc;
}

void tw_clusters_fini(tw_clusters *c)
{
    tw_roster_fini(&c->who);
    free(c->top);
    free(c->prob);
    *c = (tw_clusters){0};
}

static int count_used(int *used, const tw_clusters *c)
{
    char *seen = tw_calloc((size_t)c->K, 1);
    if (seen == NULL)
        return -1;
    *used = 0;
    for (int64_t i = 0; i < c->who.n; i++) {
        const int32_t k = c->top[i * TW_TOP];
        *used += !seen[k];
        seen[k] = 1;
    }
    free(seen);
    return 0;
}

/* Shares of the labelled samples that the match gets right. */
static void count_hits(tw_cluster_scores *s, const tw_clusters *c, const int *to)
{
    int64_t first = 0, any = 0;
    for (int64_t i = 0; i < c->who.n; i++) {
        const int32_t label = c->who.label[i], *top = c->top + i * TW_TOP;
        bool hit = false;
        for (int t = 0; t < TW_TOP && label >= 0; t++)
            hit |= top[t] >= 0 && to[top[t]] == label;
        first += label >= 0 && to[top[0]] == label;
        any += hit;
    }
    s->acc = (double)first / (double)c->who.labelled;
    s->acc5 = (double)any / (double)c->who.labelled;
}

int tw_clusters_score(tw_cluster_scores *s, const tw_clusters *c, const int *to)
{
    const size_t n = (size_t)c->who.labelled;
    *s = (tw_cluster_scores){0, {NAN, NAN, NAN, NAN, NAN}, NAN, NAN};
    if (count_used(&s->used, c) != 0)
        return -1;
    if (n == 0)
        return 0;
    int32_t *cluster = tw_calloc(n, sizeof *cluster), *label = tw_calloc(n, sizeof *label);
    int rc = -1;
    if (cluster != NULL && label != NULL) {
        size_t m = 0;
        for (int64_t i = 0; i < c->who.n; i++)
            if (c->who.label[i] >= 0) {
                cluster[m] = c->top[i * TW_TOP];
                label[m++] = c->who.label[i];
            }
        rc = tw_agree(&s->agree, cluster, label, n);
    }
    if (rc == 0 && to != NULL)
        count_hits(s, c, to);
    free(cluster);
    free(label);
    return rc;
}
