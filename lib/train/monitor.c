#include "train/monitor.h"

#include "core/mem.h"
#include "eval/partition.h"
#include "nn/formula.h"
#include "train/softmax.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

struct tw_monitor {
    int V, B, K;
    tw_comm *comm;
    tw_epoch_summary sum;   /* sums over the steps */
    int64_t agreed, seen;
    int32_t *cluster, *label; /* of the samples with a label */
    size_t n, cluster_cap, label_cap;
    unsigned char *used;    /* [K]: whether the class was an argmax of view 0 */
    double *column;         /* [2K]: per class sums, sums of squares */
};

tw_monitor *tw_monitor_new(int V, int B, int K, tw_comm *comm)
{
    tw_monitor *m = tw_calloc(1, sizeof *m);
    if (m == NULL)
        return NULL;
    *m = (tw_monitor){.V = V, .B = B, .K = K, .comm = comm};
    m->used = tw_calloc((size_t)K, 1);
    m->column = tw_calloc((size_t)K, 2 * sizeof *m->column);
    if (m->used != NULL && m->column != NULL)
        return m;
    tw_monitor_free(m);
    return NULL;
}

void tw_monitor_free(tw_monitor *m)
{
    if (m == NULL)
        return;
    free(m->cluster);
    free(m->label);
    free(m->used);
    free(m->column);
    free(m);
}

/* Adds the mean standard deviations of x's columns and rows. */
static void spread(tw_monitor *m, double *column, double *row, const float *x)
{
    const int K = m->K;
    const int64_t rows = (int64_t)m->V * m->B;
    double *sum = m->column, *square = sum + K, of_rows = 0, of_columns = 0;
    memset(sum, 0, 2 * (size_t)K * sizeof *sum);
    for (int64_t r = 0; r < rows; r++) {
        double s = 0, q = 0;
        for (int k = 0; k < K; k++) {
            const double v = x[r * K + k];
            s += v;
            q += v * v;
            sum[k] += v;
            square[k] += v * v;
        }
        of_rows += tw_deviation(s, q, K);
    }
    for (int k = 0; k < K; k++)
        of_columns += tw_deviation(sum[k], square[k], (double)rows);
    *column += of_columns / K;
    *row += of_rows / (double)rows;
}

static void add_terms(tw_monitor *m, const tw_loss_terms *terms)
{
    m->sum.steps++;
    m->sum.mean.loss += terms->loss;
    m->sum.mean.kl += terms->kl;
    m->sum.mean.eh += terms->eh;
    m->sum.mean.he += terms->he;
}

static int make_room(tw_monitor *m)
{
    if (tw_grow(&m->cluster, &m->cluster_cap, m->n + (size_t)m->B, sizeof *m->cluster) != 0 ||
        tw_grow(&m->label, &m->label_cap, m->n + (size_t)m->B, sizeof *m->label) != 0)
        return -1;
    return 0;
}

/* Counts a sample; first, second: argmax of its views 0 and 1. */
static void add_sample(tw_monitor *m, int first, int second, int32_t label)
{
    m->used[first] = 1;
    m->agreed += first == second;
    m->seen++;
    if (label < 0)
        return;
    m->cluster[m->n] = first;
    m->label[m->n++] = label;
}

int tw_monitor_learned(tw_monitor *m, const tw_loss_terms *terms, const tw_spread *spread, const int32_t *largest, const int32_t *label)
{
    add_terms(m, terms);
    m->sum.raw_column_std += spread->raw_column_std;
    m->sum.raw_row_std += spread->raw_row_std;
    m->sum.column_std += spread->column_std;
    m->sum.row_std += spread->row_std;
    if (make_room(m) != 0)
        return -1;
    for (int b = 0; b < m->B; b++)
        add_sample(m, largest[b], largest[m->B + b], label[b]);
    return 0;
}

int tw_monitor_step(tw_monitor *m, const tw_loss_terms *terms, const float *logits, const float *raw, const int32_t *label)
{
    add_terms(m, terms);
    spread(m, &m->sum.raw_column_std, &m->sum.raw_row_std, raw);
    spread(m, &m->sum.column_std, &m->sum.row_std, logits);
    if (make_room(m) != 0)
        return -1;
    for (int b = 0; b < m->B; b++)
        add_sample(m, tw_argmax(logits + (size_t)b * (size_t)m->K, m->K), tw_argmax(logits + (size_t)(m->B + b) * (size_t)m->K, m->K), label[b]);
    return 0;
}

/* Sums and means over the ranks, and the classes that any of them has used. */
static int add_numbers(tw_monitor *m)
{
    tw_epoch_summary *s = &m->sum;
    double *v[] = {&s->raw_column_std, &s->raw_row_std, &s->column_std, &s->row_std};
    enum { N = sizeof v / sizeof *v };
    double *all = tw_calloc((size_t)m->K + N + 2, sizeof *all);
    if (all == NULL)
        return -1;
    for (int k = 0; k < m->K; k++)
        all[k] = m->used[k];
    double *rest = all + m->K;
    for (int i = 0; i < N; i++)
        rest[i] = *v[i] / m->comm->ranks;
    rest[N] = (double)m->agreed;
    rest[N + 1] = (double)m->seen;
    const int rc = m->comm->sum_f64(m->comm, all, (size_t)m->K + N + 2);
    for (int k = 0; k < m->K; k++)
        m->used[k] = all[k] > 0;
    for (int i = 0; i < N; i++)
        *v[i] = rest[i];
    m->agreed = (int64_t)rest[N];
    m->seen = (int64_t)rest[N + 1];
    free(all);
    return rc;
}

/* Gathers the clusters and labels of all ranks, rank after rank. */
static int add_labels(tw_monitor *m)
{
    tw_comm *c = m->comm;
    uint64_t mine = m->n, most = 0, *n = tw_calloc((size_t)c->ranks, sizeof *n);
    int rc = n != NULL ? c->gather(c, n, &mine, sizeof mine) : -1;
    for (int r = 0; rc == 0 && r < c->ranks; r++)
        most = n[r] > most ? n[r] : most;
    int32_t *send = tw_calloc(2 * most + 1, sizeof *send), *all = tw_calloc((2 * most + 1) * (size_t)c->ranks, sizeof *all);
    rc = send == NULL || all == NULL ? -1 : rc;
    for (size_t i = 0; rc == 0 && i < m->n; i++) {
        send[i] = m->cluster[i];
        send[most + i] = m->label[i];
    }
    if (rc == 0 && most > 0)
        rc = c->gather(c, all, send, 2 * most * sizeof *send);
    m->n = 0;
    for (int r = 0; rc == 0 && r < c->ranks; r++) {
        const size_t at = m->n;
        if ((rc = tw_grow(&m->cluster, &m->cluster_cap, at + n[r] + 1, sizeof *m->cluster)) != 0 ||
            (rc = tw_grow(&m->label, &m->label_cap, at + n[r] + 1, sizeof *m->label)) != 0)
            break;
        memcpy(m->cluster + at, all + 2 * most * (size_t)r, n[r] * sizeof *all);
        memcpy(m->label + at, all + 2 * most * (size_t)r + most, n[r] * sizeof *all);
        m->n += n[r];
    }
    free(n), free(send), free(all);
    return rc;
}

int tw_monitor_epoch(tw_epoch_summary *out, tw_monitor *m)
{
    if (m->comm->ranks > 1 && (add_numbers(m) != 0 || add_labels(m) != 0))
        return -1;
    const double n = (double)m->sum.steps;
    const tw_epoch_summary *s = &m->sum;
    *out = (tw_epoch_summary){
        .steps = s->steps,
        .mean = {s->mean.loss / n, s->mean.kl / n, s->mean.eh / n, s->mean.he / n},
        .agreement = (double)m->agreed / (double)m->seen,
        .raw_column_std = s->raw_column_std / n,
        .raw_row_std = s->raw_row_std / n,
        .column_std = s->column_std / n,
        .row_std = s->row_std / n,
        .nmi = NAN,
        .ami = NAN,
        .ari = NAN,
    };
    for (int k = 0; k < m->K; k++)
        out->classes += m->used[k];
    tw_agreement a;
    if (m->n > 0) {
        if (tw_agree(&a, m->cluster, m->label, m->n) != 0)
            return -1;
        out->nmi = a.nmi;
        out->ami = a.ami;
        out->ari = a.ari;
    }
    memset(m->used, 0, (size_t)m->K);
    m->sum = (tw_epoch_summary){0};
    m->agreed = m->seen = 0;
    m->n = 0;
    return 0;
}
