#include "eval/assignment.h"

#include "core/error.h"
#include "core/mem.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>

/* Shortest augmenting paths with potentials (Jonker and Volgenant): each row in turn starts a path, which grows column by column in the order of
 * reduced cost until it reaches a free column. The matrix is read through strides, so that the shorter side can always be the rows. */
typedef struct {
    int cols;                  /* at least as many as rows */
    const double *cost;
    size_t row_stride, col_stride;
    double *u, *v;             /* potentials of rows and columns */
    int *row_of;               /* [cols]: the row assigned to a column, -1: free */
    double *dist;              /* [cols]: shortest path to a column so far */
    int *from;                 /* [cols]: the column before it on that path, -1: the start */
    bool *done;
} solver;

static void add_row(solver *s, int start)
{
    for (int j = 0; j < s->cols; j++) {
        s->dist[j] = INFINITY;
        s->done[j] = false;
    }
    int row = start, last = -1;
    double length = 0;
    for (;;) {
        int next = -1;
        for (int j = 0; j < s->cols; j++) {
            if (s->done[j])
                continue;
            const double d = length + s->cost[row * s->row_stride + j * s->col_stride] - s->u[row] - s->v[j];
            if (d < s->dist[j]) {
                s->dist[j] = d;
                s->from[j] = last;
            }
            if (next < 0 || s->dist[j] < s->dist[next] || (s->dist[j] == s->dist[next] && s->row_of[j] < 0 && s->row_of[next] >= 0))
                next = j;
        }
        length = s->dist[next];
        last = next;
        if (s->row_of[next] < 0)
            break;
        s->done[next] = true;
        row = s->row_of[next];
    }
    s->u[start] += length;
    for (int j = 0; j < s->cols; j++)
        if (s->done[j]) {
            s->u[s->row_of[j]] += length - s->dist[j];
            s->v[j] -= length - s->dist[j];
        }
    for (int j = last; j >= 0; j = s->from[j])
        s->row_of[j] = s->from[j] >= 0 ? s->row_of[s->from[j]] : start;
}

int tw_assign(int *to, const double *cost, int rows, int cols)
{
    const bool turned = rows > cols;
    const int n = turned ? cols : rows, m = turned ? rows : cols;
    solver s = {.cols = m, .cost = cost,
                .row_stride = turned ? 1 : (size_t)cols, .col_stride = turned ? (size_t)cols : 1};
    s.u = tw_calloc((size_t)n + 2 * (size_t)m, sizeof(double));
    s.row_of = tw_calloc(2 * (size_t)m, sizeof(int));
    s.done = tw_calloc((size_t)m, sizeof(bool));
    const bool ok = s.u && s.row_of && s.done;
    if (ok) {
        s.v = s.u + n;
        s.dist = s.v + m;
        s.from = s.row_of + m;
        for (int j = 0; j < m; j++)
            s.row_of[j] = -1;
        for (int i = 0; i < n; i++)
            add_row(&s, i);
        for (int i = 0; i < rows; i++)
            to[i] = -1;
        for (int j = 0; j < m; j++) {
            if (turned)
                to[j] = s.row_of[j];
            else if (s.row_of[j] >= 0)
                to[s.row_of[j]] = j;
        }
    }
    free(s.u);
    free(s.row_of);
    free(s.done);
    return ok ? 0 : -1;
}

int tw_match_classes(int *to, const int32_t *cluster, const int32_t *label, int64_t n, int K, int C)
{
    /* Only clusters that occur get a row: often few of 32,768 outputs do. */
    int *row = tw_calloc((size_t)K, sizeof *row), *found = NULL, rows = 0, rc = -1;
    double *cost = NULL;
    if (!row)
        return -1;
    for (int64_t i = 0; i < n; i++)
        if (cluster[i] >= 0 && cluster[i] < K && label[i] >= 0 && label[i] < C && row[cluster[i]] == 0)
            row[cluster[i]] = ++rows;
    size_t cells;
    if (!tw_mul(&cells, (size_t)rows, (size_t)C)) {
        tw_fail("the table of %d clusters and %d classes is too large", rows, C);
        goto done;
    }
    cost = tw_calloc(cells, sizeof *cost);
    found = tw_calloc((size_t)rows, sizeof *found);
    if (!cost || !found)
        goto done;
    for (int64_t i = 0; i < n; i++)
        if (cluster[i] >= 0 && cluster[i] < K && label[i] >= 0 && label[i] < C)
            cost[(size_t)(row[cluster[i]] - 1) * C + label[i]] -= 1;
    if ((rc = tw_assign(found, cost, rows, C)) != 0)
        goto done;
    for (int k = 0; k < K; k++) {
        const int r = row[k] - 1;
        to[k] = r >= 0 && found[r] >= 0 && cost[(size_t)r * C + found[r]] < 0 ? found[r] : -1;
    }
done:
    free(row);
    free(found);
    free(cost);
    return rc;
}
