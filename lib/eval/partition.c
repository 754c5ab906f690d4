#include "eval/partition.h"

#include "core/mem.h"

#include <float.h>
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

/* The contingency table of two labelings: its nonzero cells, by rows and then columns. */
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

/* renumber for labels over a wide range, by sorting. Returns their number, -1 if out of memory. */
static int renumber_sorted(int *out, const int32_t *label, size_t n)
{
    tagged *order = tw_calloc(n, sizeof *order);
    int groups = 0;
    if (order == NULL)
        return -1;
    for (size_t i = 0; i < n; i++)
        order[i] = (tagged){label[i], i};
    qsort(order, n, sizeof *order, by_label);
    for (size_t i = 0; i < n; i++) {
        if (i == 0 || order[i].label != order[i - 1].label)
            groups++;
        out[order[i].sample] = groups - 1;
    }
    free(order);
    return groups;
}

/* Renumbers labels 0, 1, ... in ascending order; returns their number, -1 and tw_error() if out of memory. */
static int renumber(int *out, const int32_t *label, size_t n)
{
    int32_t low = n > 0 ? label[0] : 0, high = low;
    int groups = 0;
    for (size_t i = 0; i < n; i++) {
        low = label[i] < low ? label[i] : low;
        high = label[i] > high ? label[i] : high;
    }
    const size_t range = (size_t)((int64_t)high - low) + 1;
    if (range > 4 * n + 65536)
        return renumber_sorted(out, label, n);
    int *number = tw_calloc(range, sizeof *number);
    if (number == NULL)
        return -1;
    for (size_t i = 0; i < n; i++)
        number[label[i] - (int64_t)low] = 1;
    for (size_t v = 0; v < range; v++)
        if (number[v] != 0)
            number[v] = groups++;
    for (size_t i = 0; i < n; i++)
        out[i] = number[label[i] - (int64_t)low];
    free(number);
    return groups;
}

/* Stable counting sort: to [n] = from (NULL: 0, 1, ...) ordered by key[from[.]]. sums [groups]: how often each key occurs. */
static int sort_by_key(size_t *to, const size_t *from, const int *key, size_t n, const int64_t *sums, int groups)
{
    size_t *start = tw_calloc((size_t)groups + 1, sizeof *start);
    if (start == NULL)
        return -1;
    for (int g = 0; g < groups; g++)
        start[g + 1] = start[g] + (size_t)sums[g];
    for (size_t i = 0; i < n; i++) {
        const size_t sample = from != NULL ? from[i] : i;
        to[start[key[sample]]++] = sample;
    }
    free(start);
    return 0;
}

static void table_fini(table *t)
{
    free(t->row);
    free(t->col);
    free(t->count);
    free(t->row_sum);
    free(t->col_sum);
}

/* Counts the cells: after sorting samples by column and then, stably, by row, those of a cell are adjacent. */
static int count_cells(table *t, const int *row, const int *col)
{
    size_t *by_col = tw_calloc(t->n, sizeof *by_col), *order = tw_calloc(t->n, sizeof *order);
    const bool ok = by_col && order && sort_by_key(by_col, NULL, col, t->n, t->col_sum, t->cols) == 0 &&
                    sort_by_key(order, by_col, row, t->n, t->row_sum, t->rows) == 0;
    for (size_t i = 0; ok && i < t->n; i++) {
        const int r = row[order[i]], c = col[order[i]];
        if (i == 0 || r != t->row[t->n_cells - 1] || c != t->col[t->n_cells - 1])
            t->n_cells++;
        t->row[t->n_cells - 1] = r;
        t->col[t->n_cells - 1] = c;
        t->count[t->n_cells - 1]++;
    }
    free(by_col);
    free(order);
    return ok ? 0 : -1;
}

static int table_init(table *t, const int32_t *a, const int32_t *b, size_t n)
{
    *t = (table){.n = n};
    t->row = tw_calloc(n, sizeof *t->row);
    t->col = tw_calloc(n, sizeof *t->col);
    t->count = tw_calloc(n, sizeof *t->count);
    int *row = tw_calloc(n, sizeof *row), *col = tw_calloc(n, sizeof *col);
    bool ok = t->row && t->col && t->count && row && col;
    ok = ok && (t->rows = renumber(row, a, n)) >= 0 && (t->cols = renumber(col, b, n)) >= 0;
    if (ok) {
        t->row_sum = tw_calloc((size_t)t->rows, sizeof *t->row_sum);
        t->col_sum = tw_calloc((size_t)t->cols, sizeof *t->col_sum);
        ok = t->row_sum && t->col_sum;
    }
    for (size_t i = 0; ok && i < n; i++) {
        t->row_sum[row[i]]++;
        t->col_sum[col[i]]++;
    }
    ok = ok && count_cells(t, row, col) == 0;
    free(row);
    free(col);
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

/* The distinct values among sums [groups], sorted, and how often each occurs; returns their number. */
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

/* sum over c of P(c) c (log(n c) - log(a b)), c hypergeometric: how many of b draws without replacement from n samples are among a marked ones. P is
 * computed by the ratios of neighbouring terms, from the mode outwards until terms are negligible in double, and normalised by its own sum, so
 * that no factorial is needed. log_of[c]: log(c). */
static double expected_cell(int64_t a, int64_t b, int64_t n, const double *log_of, double log_n)
{
    const int64_t low = a + b - n > 0 ? a + b - n : 0, high = a < b ? a : b;
    const int64_t mode = (int64_t)(((double)a + 1) * ((double)b + 1) / ((double)n + 2));
    const int64_t start = mode < low ? low : mode > high ? high : mode;
    const double rest = (double)(n - a - b), fixed = log_n - log_of[a] - log_of[b];
    double mass = 0, sum = 0, p = 1;
    for (int64_t c = start; c <= high && p > 1e-25; c++) {
        mass += p;
        sum += c > 0 ? p * (double)c * (fixed + log_of[c]) : 0;
        p *= (double)(a - c) * (double)(b - c) / (((double)c + 1) * (rest + (double)c + 1));
    }
    p = 1;
    for (int64_t c = start; c > low;) {
        p *= (double)c * (rest + (double)c) / ((double)(a - c + 1) * (double)(b - c + 1));
        if (p <= 1e-25)
            break;
        c--;
        mass += p;
        sum += c > 0 ? p * (double)c * (fixed + log_of[c]) : 0;
    }
    return sum / mass;
}

/* Expected mutual information of two random partitions with these group sizes (Vinh, Epps and Bailey, 2010, eq. 24a). Cells
 * with equal group sizes share one sum. NaN and tw_error() if out of memory. */
static double expected_information(const table *t)
{
    double *log_of = tw_calloc(t->n + 1, sizeof *log_of);
    int64_t *block = tw_calloc(2 * ((size_t)t->rows + (size_t)t->cols), sizeof *block);
    double emi = NAN;
    if (log_of && block) {
        int64_t *a = block, *na = a + t->rows, *b = na + t->rows, *nb = b + t->cols;
        const int ra = tally(a, na, t->row_sum, t->rows), rb = tally(b, nb, t->col_sum, t->cols);
        const int64_t n = (int64_t)t->n, most = a[ra - 1] > b[rb - 1] ? a[ra - 1] : b[rb - 1];
        const double log_n = log((double)n);
        for (int64_t i = 1; i <= most; i++)
            log_of[i] = log((double)i);
        emi = 0;
        for (int i = 0; i < ra; i++)
            for (int j = 0; j < rb; j++)
                emi += expected_cell(a[i], b[j], n, log_of, log_n) * (double)na[i] * (double)nb[j];
        emi /= (double)n;
    }
    free(log_of);
    free(block);
    return emi;
}

/* x, moved away from zero to at least epsilon, with its sign, as scikit-learn does: 0/0 becomes 1, for partitions that cannot disagree. */
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

/* Sums the largest cell of each row; a row's cells are adjacent. */
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

int tw_agree(tw_agreement *out, const int32_t *clusters, const int32_t *classes, size_t n)
{
    table t;
    if (table_init(&t, clusters, classes, n) != 0)
        return -1;
    *out = (tw_agreement){nmi(&t), ami(&t), ari(&t), fmi(&t), purity(&t)};
    table_fini(&t);
    return isnan(out->ami) ? -1 : 0;
}
