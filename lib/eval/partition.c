#include "eval/partition.h"

#include "core/error.h"
#include "core/mem.h"

#include <float.h>
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

/* The contingency table of two labelings, its filled cells only, by rows and then columns. */
typedef struct {
    size_t n, n_cells;
    int rows, cols;
    int *row, *col;            /* of each cell */
    int64_t *count;            /* of each cell */
    int64_t *row_sum, *col_sum;
} table;

typedef struct {
    int32_t label;
    size_t sample;
} tagged;

static int by_label(const void *x, const void *y)
{
    const tagged *p = x, *q = y;
    return (p->label > q->label) - (p->label < q->label);
}

static int by_number(const void *x, const void *y)
{
    const int64_t p = *(const int64_t *)x, q = *(const int64_t *)y;
    return (p > q) - (p < q);
}

/* Renumbers labels 0, 1, ... in their order; returns how many there are. order: scratch [n]. */
static int renumber(int *out, const int32_t *label, size_t n, tagged *order)
{
    int groups = 0;
    for (size_t i = 0; i < n; i++)
        order[i] = (tagged){label[i], i};
    qsort(order, n, sizeof *order, by_label);
    for (size_t i = 0; i < n; i++) {
        if (i == 0 || order[i].label != order[i - 1].label)
            groups++;
        out[order[i].sample] = groups - 1;
    }
    return groups;
}

static void table_fini(table *t)
{
    free(t->row);
    free(t->col);
    free(t->count);
    free(t->row_sum);
    free(t->col_sum);
}

static int table_init(table *t, const int32_t *a, const int32_t *b, size_t n)
{
    *t = (table){.n = n, .row = tw_calloc(n, sizeof(int)), .col = tw_calloc(n, sizeof(int)),
                 .count = tw_calloc(n, sizeof(int64_t)), .row_sum = tw_calloc(n, sizeof(int64_t)),
                 .col_sum = tw_calloc(n, sizeof(int64_t))};
    tagged *order = tw_calloc(n, sizeof *order);
    int64_t *cell = tw_calloc(n, sizeof *cell);
    const bool ok = t->row && t->col && t->count && t->row_sum && t->col_sum && order && cell;
    if (ok) {
        t->rows = renumber(t->row, a, n, order);
        t->cols = renumber(t->col, b, n, order);
        for (size_t i = 0; i < n; i++) {
            cell[i] = (int64_t)t->row[i] * t->cols + t->col[i];
            t->row_sum[t->row[i]]++;
            t->col_sum[t->col[i]]++;
        }
        qsort(cell, n, sizeof *cell, by_number);
        for (size_t i = 0; i < n; i++) {
            if (i == 0 || cell[i] != cell[i - 1])
                t->n_cells++;
            const size_t c = t->n_cells - 1;
            t->row[c] = (int)(cell[i] / t->cols);
            t->col[c] = (int)(cell[i] % t->cols);
            t->count[c]++;
        }
    }
    free(order);
    free(cell);
    if (!ok)
        table_fini(t);
    return ok ? 0 : -1;
}

static double entropy(const int64_t *sum, int groups, size_t n)
{
    if (groups == 1)
        return 0;
    double h = 0;
    for (int i = 0; i < groups; i++) {
        const double p = (double)sum[i] / (double)n;
        h -= p * (log((double)sum[i]) - log((double)n));
    }
    return h;
}

static double mutual_information(const table *t)
{
    if (t->rows == 1 || t->cols == 1)
        return 0;
    const double log_n = log((double)t->n);
    double sum = 0;
    for (size_t c = 0; c < t->n_cells; c++) {
        const double p = (double)t->count[c] / (double)t->n;
        const double outer = (double)t->row_sum[t->row[c]] * (double)t->col_sum[t->col[c]];
        const double term = p * (log((double)t->count[c]) - log_n) + p * (-log(outer) + log_n + log_n);
        if (fabs(term) >= DBL_EPSILON)
            sum += term;
    }
    return sum > 0 ? sum : 0;
}

/* The different values among sums[groups], sorted, with how often each occurs; returns how many. */
static int tally(int64_t *value, int64_t *times, const int64_t *sums, int groups)
{
    int n = 0;
    memcpy(value, sums, (size_t)groups * sizeof *value);
    qsort(value, (size_t)groups, sizeof *value, by_number);
    for (int i = 0; i < groups; i++) {
        if (n > 0 && value[n - 1] == value[i]) {
            times[n - 1]++;
        } else {
            value[n] = value[i];
            times[n++] = 1;
        }
    }
    return n;
}

/* Expected mutual information of two random partitions with these group sizes (Vinh, Epps and Bailey, 2010, eq. 24a):
 * hypergeometric in each cell. Cells with equal group sizes share one sum. NaN and tw_error() without memory. */
static double expected_information(const table *t)
{
    double *log_fact = tw_calloc(t->n + 1, sizeof *log_fact);
    int64_t *block = tw_calloc(2 * ((size_t)t->rows + (size_t)t->cols), sizeof *block);
    double emi = NAN;
    if (log_fact && block) {
        int64_t *a = block, *na = a + t->rows, *b = na + t->rows, *nb = b + t->cols;
        const int ra = tally(a, na, t->row_sum, t->rows), rb = tally(b, nb, t->col_sum, t->cols);
        const int64_t n = (int64_t)t->n;
        const double log_n = log((double)n);
        int sign;
        for (int64_t i = 0; i <= n; i++)
            log_fact[i] = lgamma_r((double)i + 1, &sign);
        emi = 0;
        for (int i = 0; i < ra; i++)
            for (int j = 0; j < rb; j++) {
                const int64_t low = a[i] + b[j] - n > 1 ? a[i] + b[j] - n : 1, high = a[i] < b[j] ? a[i] : b[j];
                const double fixed = log_fact[a[i]] + log_fact[b[j]] + log_fact[n - a[i]] + log_fact[n - b[j]] - log_fact[n];
                const double log_ab = log((double)a[i]) + log((double)b[j]);
                double cell = 0;
                for (int64_t c = low; c <= high; c++) {
                    const double log_p =
                        fixed - log_fact[c] - log_fact[a[i] - c] - log_fact[b[j] - c] - log_fact[n - a[i] - b[j] + c];
                    cell += (double)c / (double)n * (log_n + log((double)c) - log_ab) * exp(log_p);
                }
                emi += cell * (double)na[i] * (double)nb[j];
            }
    }
    free(log_fact);
    free(block);
    return emi;
}

/* Away from zero by at least an epsilon, the sign kept: 0/0 becomes 1 for partitions that cannot disagree. */
static double off_zero(double x)
{
    return x < 0 ? fmin(x, -DBL_EPSILON) : fmax(x, DBL_EPSILON);
}

static double nmi(const table *t)
{
    if (t->rows <= 1 && t->cols <= 1)
        return 1;
    const double mi = mutual_information(t);
    if (mi == 0)
        return 0;
    return mi / ((entropy(t->row_sum, t->rows, t->n) + entropy(t->col_sum, t->cols, t->n)) / 2);
}

static double ami(const table *t)
{
    if (t->rows <= 1 && t->cols <= 1)
        return 1;
    if (t->rows == 1 || t->cols == 1)
        return 0;
    const double mean = (entropy(t->row_sum, t->rows, t->n) + entropy(t->col_sum, t->cols, t->n)) / 2;
    const double emi = expected_information(t);
    return isnan(emi) ? emi : off_zero(mutual_information(t) - emi) / off_zero(mean - emi);
}

static double squares(const int64_t *x, size_t n)
{
    double s = 0;
    for (size_t i = 0; i < n; i++)
        s += (double)x[i] * (double)x[i];
    return s;
}

static double ari(const table *t)
{
    const double n = (double)t->n, same = squares(t->count, t->n_cells);
    const double same_a = squares(t->row_sum, (size_t)t->rows), same_b = squares(t->col_sum, (size_t)t->cols);
    const double tp = same - n, fp = same_b - same, fn = same_a - same, tn = n * n - same_a - same_b + same;
    if (fp == 0 && fn == 0)
        return 1;
    return 2 * (tp * tn - fn * fp) / ((tp + fn) * (fn + tn) + (tp + fp) * (fp + tn));
}

static double fmi(const table *t)
{
    const double n = (double)t->n, both = squares(t->count, t->n_cells) - n;
    if (both == 0)
        return 0;
    return sqrt(both / (squares(t->row_sum, (size_t)t->rows) - n)) * sqrt(both / (squares(t->col_sum, (size_t)t->cols) - n));
}

/* Cells of a row stand together: the largest of each run. */
static double purity(const table *t)
{
    int64_t hits = 0;
    for (size_t c = 0; c < t->n_cells;) {
        const int row = t->row[c];
        int64_t most = 0;
        for (; c < t->n_cells && t->row[c] == row; c++)
            most = t->count[c] > most ? t->count[c] : most;
        hits += most;
    }
    return t->n ? (double)hits / (double)t->n : 1;
}

static double score(double (*f)(const table *), const int32_t *a, const int32_t *b, size_t n)
{
    table t;
    if (table_init(&t, a, b, n) != 0)
        return NAN;
    const double s = f(&t);
    table_fini(&t);
    return s;
}

double tw_nmi(const int32_t *a, const int32_t *b, size_t n)
{
    return score(nmi, a, b, n);
}

double tw_ami(const int32_t *a, const int32_t *b, size_t n)
{
    return score(ami, a, b, n);
}

double tw_ari(const int32_t *a, const int32_t *b, size_t n)
{
    return score(ari, a, b, n);
}

double tw_fmi(const int32_t *a, const int32_t *b, size_t n)
{
    return score(fmi, a, b, n);
}

double tw_purity(const int32_t *clusters, const int32_t *classes, size_t n)
{
    return score(purity, clusters, classes, n);
}

int tw_agree(tw_agreement *out, const int32_t *clusters, const int32_t *classes, size_t n)
{
    table t;
    if (table_init(&t, clusters, classes, n) != 0)
        return -1;
    *out = (tw_agreement){nmi(&t), ami(&t), ari(&t), fmi(&t), purity(&t), t.rows, t.cols};
    table_fini(&t);
    return isnan(out->ami) ? -1 : 0;
}
