#include "train/monitor.h"

#include "core/mem.h"
#include "eval/partition.h"
#include "nn/formula.h"
#include "train/softmax.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { LOSS, KL, EH, HE, RAW_COLUMN, RAW_ROW, COLUMN, ROW }; /* of the sums */

struct tw_monitor {
    int B, K;
    tw_comm *comm;
    tw_epoch_so_far seen;
    double *column; /* [2K]: per class sums, sums of squares */
};

tw_monitor *tw_monitor_new(int B, int K, tw_comm *comm)
{
    tw_monitor *m = tw_calloc(1, sizeof *m);
    if (m == NULL)
        return NULL;
    *m = (tw_monitor){.B = B, .K = K, .comm = comm, .column = tw_calloc((size_t)K, 2 * sizeof *m->column)};
    if (m->column != NULL)
        return m;
    tw_monitor_free(m);
    return NULL;
}

void tw_monitor_free(tw_monitor *m)
{
    if (m == NULL)
        return;
    free(m->seen.samples);
    free(m->column);
    free(m);
}

tw_epoch_so_far *tw_monitor_so_far(tw_monitor *m)
{
    return &m->seen;
}

/* Adds this rank's part of the mean standard deviations of the columns and rows of x [rows, K]. */
static void spread(tw_monitor *m, double *column, double *row, const float *x, int64_t rows)
{
    const int K = m->K;
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
    *column += of_columns / K / m->comm->ranks;
    *row += of_rows / (double)rows / m->comm->ranks;
}

static void add_terms(tw_epoch_so_far *seen, const tw_loss_terms *terms)
{
    seen->steps++;
    seen->sums[LOSS] += terms->loss;
    seen->sums[KL] += terms->kl;
    seen->sums[EH] += terms->eh;
    seen->sums[HE] += terms->he;
}

static int make_room(tw_epoch_so_far *seen, size_t more)
{
    return tw_grow(&seen->samples, &seen->cap, seen->n + more, sizeof *seen->samples);
}

/* Counts a sample; first, second: argmax of its views 0 and 1. */
static void add_sample(tw_epoch_so_far *seen, int first, int second, int32_t label)
{
    seen->agreed += first == second;
    seen->samples[seen->n][0] = first;
    seen->samples[seen->n++][1] = label;
}

int tw_monitor_learned(tw_monitor *m, const tw_loss_terms *terms, const tw_spread *spread, const int32_t *largest, const int32_t *label)
{
    tw_epoch_so_far *seen = &m->seen;
    const int ranks = m->comm->ranks;
    add_terms(seen, terms);
    seen->sums[RAW_COLUMN] += spread->raw_column_std / ranks;
    seen->sums[RAW_ROW] += spread->raw_row_std / ranks;
    seen->sums[COLUMN] += spread->column_std / ranks;
    seen->sums[ROW] += spread->row_std / ranks;
    if (make_room(seen, (size_t)m->B) != 0)
        return -1;
    for (int b = 0; b < m->B; b++)
        add_sample(seen, largest[b], largest[m->B + b], label[b]);
    return 0;
}

int tw_monitor_step(tw_monitor *m, const tw_loss_terms *terms, int V, const float *logits, const float *raw, const int32_t *label)
{
    tw_epoch_so_far *seen = &m->seen;
    const int64_t rows = (int64_t)V * m->B;
    add_terms(seen, terms);
    spread(m, &seen->sums[RAW_COLUMN], &seen->sums[RAW_ROW], raw, rows);
    spread(m, &seen->sums[COLUMN], &seen->sums[ROW], logits, rows);
    if (make_room(seen, (size_t)m->B) != 0)
        return -1;
    for (int b = 0; b < m->B; b++)
        add_sample(seen, tw_argmax(logits + (size_t)b * (size_t)m->K, m->K), tw_argmax(logits + (size_t)(m->B + b) * (size_t)m->K, m->K), label[b]);
    return 0;
}

/* Sums over the ranks, which rank 0 keeps. */
static int gather_numbers(tw_monitor *m)
{
    tw_epoch_so_far *seen = &m->seen;
    double all[] = {seen->sums[RAW_COLUMN], seen->sums[RAW_ROW], seen->sums[COLUMN], seen->sums[ROW], (double)seen->agreed};
    enum { N = sizeof all / sizeof *all };
    if (m->comm->sum_f64(m->comm, all, N) != 0)
        return -1;
    for (int i = 0; i < N - 1; i++)
        seen->sums[RAW_COLUMN + i] = m->comm->rank == 0 ? all[i] : 0;
    seen->agreed = m->comm->rank == 0 ? (int64_t)all[N - 1] : 0;
    return 0;
}

/* Appends the samples of the other ranks, rank after rank, to those of rank 0. */
static int gather_samples(tw_monitor *m)
{
    tw_comm *c = m->comm;
    tw_epoch_so_far *seen = &m->seen;
    uint64_t mine = seen->n, most = 0, *n = tw_calloc((size_t)c->ranks, sizeof *n);
    int rc = n != NULL ? c->gather(c, n, &mine, sizeof mine) : -1;
    for (int r = 1; rc == 0 && r < c->ranks; r++) /* what rank 0 has it need not send */
        most = n[r] > most ? n[r] : most;
    int32_t(*send)[2] = tw_calloc(most + 1, sizeof *send), (*all)[2] = tw_calloc((most + 1) * (size_t)c->ranks, sizeof *all);
    rc = send == NULL || all == NULL ? -1 : rc;
    if (rc == 0 && c->rank > 0)
        memcpy(send, seen->samples, seen->n * sizeof *send);
    if (rc == 0 && most > 0)
        rc = c->gather(c, all, send, most * sizeof *send);
    for (int r = 1; rc == 0 && r < c->ranks && c->rank == 0; r++)
        if ((rc = make_room(seen, n[r])) == 0) {
            memcpy(seen->samples + seen->n, all + most * (size_t)r, n[r] * sizeof *all);
            seen->n += n[r];
        }
    if (c->rank > 0)
        seen->n = 0;
    free(n), free(send), free(all);
    return rc;
}

int tw_monitor_gather(tw_monitor *m)
{
    return m->comm->ranks == 1 || (gather_numbers(m) == 0 && gather_samples(m) == 0) ? 0 : -1;
}

/* How many classes the samples have, and how those agree with the labels that are known. */
static int compare(tw_epoch_summary *out, const tw_monitor *m)
{
    const tw_epoch_so_far *seen = &m->seen;
    unsigned char *used = tw_calloc((size_t)m->K, 1);
    int32_t *cluster = tw_calloc(seen->n, sizeof *cluster), *label = tw_calloc(seen->n, sizeof *label);
    size_t known = 0;
    int rc = used == NULL || cluster == NULL || label == NULL ? -1 : 0;
    for (size_t i = 0; rc == 0 && i < seen->n; i++) {
        const int32_t *s = seen->samples[i];
        out->classes += !used[s[0]];
        used[s[0]] = 1;
        cluster[known] = s[0];
        label[known] = s[1];
        known += s[1] >= 0;
    }
    tw_agreement a;
    if (rc == 0 && known > 0 && (rc = tw_agree(&a, cluster, label, known)) == 0) {
        out->nmi = a.nmi;
        out->ami = a.ami;
        out->ari = a.ari;
    }
    free(used), free(cluster), free(label);
    return rc;
}

int tw_monitor_epoch(tw_epoch_summary *out, tw_monitor *m)
{
    if (tw_monitor_gather(m) != 0)
        return -1;
    tw_epoch_so_far *seen = &m->seen;
    const double steps = (double)seen->steps, *s = seen->sums;
    *out = (tw_epoch_summary){
        .steps = seen->steps,
        .mean = {s[LOSS] / steps, s[KL] / steps, s[EH] / steps, s[HE] / steps},
        .agreement = (double)seen->agreed / (double)seen->n,
        .raw_column_std = s[RAW_COLUMN] / steps,
        .raw_row_std = s[RAW_ROW] / steps,
        .column_std = s[COLUMN] / steps,
        .row_std = s[ROW] / steps,
        .nmi = NAN,
        .ami = NAN,
        .ari = NAN,
    };
    if (compare(out, m) != 0)
        return -1;
    *seen = (tw_epoch_so_far){.samples = seen->samples, .cap = seen->cap};
    return 0;
}
