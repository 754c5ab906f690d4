#include "eval/page_parts.h"

#include "core/mem.h"
#include "report/text.h"

#include <stdlib.h>
#include <string.h>

enum { SHADES = 8, NAMED_CLASSES = 40, COUNTED_CLASSES = 20, LEAST_SIZE = 640 };

void tw_page_class(FILE *f, const tw_page *p, int class, int cluster)
{
    const tw_roster *who = &p->clusters->who;
    const tw_match *m = p->match;
    if (class < 0)
        fprintf(f, "cluster %d", cluster);
    else if (class < who->named)
        tw_text_html(f, who->classes[class], strlen(who->classes[class]));
    else if (m != NULL && class < m->named)
        tw_text_html(f, m->classes[class], strlen(m->classes[class]));
    else
        fprintf(f, "class %d", class);
}

int64_t *tw_page_counts(const tw_page *p)
{
    const tw_clusters *c = p->clusters;
    const int C = p->match->C;
    int64_t *count = tw_calloc((size_t)C * ((size_t)C + 1), sizeof *count);
    for (int64_t i = 0; count != NULL && i < c->who.n; i++) {
        const int label = c->who.label[i], to = p->match->to[c->top[i * TW_TOP]];
        if (label >= 0)
            count[(size_t)label * (C + 1) + (to >= 0 ? to : C)]++;
    }
    return count;
}

/* Prints the cells of one of eight shades, by their share of the row. */
static void put_shade(FILE *f, const int64_t *count, int C, int shade)
{
    bool open = false;
    for (int r = 0; r < C; r++) {
        const int64_t *row = count + (size_t)r * (C + 1);
        int64_t all = 0;
        for (int j = 0; j <= C; j++)
            all += row[j];
        for (int j = 0; j <= C; j++) {
            if (row[j] == 0 || (row[j] * SHADES - 1) / all != shade)
                continue;
            if (!open)
                fprintf(f, "<path class=\"s\" fill-opacity=\"%.3f\" d=\"", (shade + 1.0) / SHADES);
            open = true;
            fprintf(f, "M%d %dh1v1h-1z", j, r);
        }
    }
    if (open)
        fputs("\"/>\n", f);
}

static void put_names(FILE *f, const tw_page *p, int C, double cell)
{
    for (int c = 0; c < C; c++) {
        fprintf(f, "<text x=\"-6\" y=\"%.4g\" text-anchor=\"end\">", (c + 0.5) * cell + 4);
        tw_page_class(f, p, c, -1);
        fprintf(f, "</text><text transform=\"translate(%.4g,-6) rotate(-60)\">", (c + 0.5) * cell + 4);
        tw_page_class(f, p, c, -1);
        fputs("</text>\n", f);
    }
    fprintf(f, "<text transform=\"translate(%.4g,-6) rotate(-60)\">no class</text>\n", (C + 0.5) * cell + 4);
}

static void put_counts(FILE *f, const int64_t *count, int C, double cell)
{
    for (int r = 0; r < C; r++)
        for (int j = 0; j <= C; j++)
            if (count[(size_t)r * (C + 1) + j] > 0)
                fprintf(f, "<text x=\"%.4g\" y=\"%.4g\" text-anchor=\"middle\">%lld</text>\n", (j + 0.5) * cell,
                        (r + 0.5) * cell + 4, (long long)count[(size_t)r * (C + 1) + j]);
}

int tw_page_confusion(FILE *f, const tw_page *p)
{
    if (p->match == NULL || p->clusters->who.labelled == 0)
        return 0;
    const int C = p->match->C, margin = C <= NAMED_CLASSES ? 150 : 10;
    if (C > TW_PAGE_CLASSES) {
        fprintf(f, "<p>%d classes are too many for a confusion matrix.</p>\n", C);
        return 0;
    }
    int64_t *count = tw_page_counts(p);
    if (count == NULL)
        return -1;
    const int size = C + 1 > LEAST_SIZE ? C + 1 : LEAST_SIZE;
    const double cell = (double)size / (C + 1);
    fputs("<h2>Confusion matrix</h2>\n<p>A row for each label, a column for the class that the sample's cluster stands for, the "
          "last one for clusters that stand for none; darker: a larger share of the row.</p>\n", f);
    fprintf(f, "<svg width=\"%d\" height=\"%d\" role=\"img\"><title>confusion matrix</title><g transform=\"translate(%d,%d)\">\n",
            size + 2 * margin, size + margin + 10, margin, margin);
    fprintf(f, "<g transform=\"scale(%.6g)\">\n", cell);
    for (int shade = 0; shade < SHADES; shade++)
        put_shade(f, count, C, shade);
    fprintf(f, "</g>\n<rect class=\"f\" width=\"%d\" height=\"%.4g\"/><path class=\"f\" d=\"M%.4g 0v%.4g\"/>\n", size, C * cell,
            C * cell, C * cell);
    if (C <= NAMED_CLASSES)
        put_names(f, p, C, cell);
    if (C <= COUNTED_CLASSES)
        put_counts(f, count, C, cell);
    fputs("</g></svg>\n", f);
    free(count);
    return 0;
}

static int largest_first(const void *a, const void *b)
{
    const tw_page_row *p = a, *q = b;
    if (p->samples != q->samples)
        return p->samples < q->samples ? 1 : -1;
    return p->cluster - q->cluster;
}

tw_page_row *tw_page_largest(const tw_page *p)
{
    const tw_clusters *c = p->clusters;
    tw_page_row *row = tw_calloc((size_t)c->K, sizeof *row);
    if (row == NULL)
        return NULL;
    for (int k = 0; k < c->K; k++)
        row[k].cluster = k;
    for (int64_t i = 0; i < c->who.n; i++) {
        const int32_t k = c->top[i * TW_TOP], label = c->who.label[i];
        row[k].samples++;
        row[k].right += p->match != NULL && label >= 0 && label == p->match->to[k];
    }
    qsort(row, (size_t)c->K, sizeof *row, largest_first);
    return row;
}

int tw_page_clusters(FILE *f, const tw_page *p, const bool *sheet)
{
    const tw_clusters *c = p->clusters;
    tw_page_row *row = tw_page_largest(p);
    if (row == NULL)
        return -1;
    fputs("<h2>Clusters</h2>\n<table><tr><th>cluster</th><th>samples</th><th>class</th><th>with that label</th></tr>\n", f);
    for (int k = 0; k < c->K && k < TW_PAGE_CLUSTERS && row[k].samples > 0; k++) {
        const int n = row[k].cluster;
        if (sheet[n])
            fprintf(f, "<tr><th><a href=\"cluster-%d.png\">%d</a></th>", n, n);
        else
            fprintf(f, "<tr><th>%d</th>", n);
        fprintf(f, "<td>%lld</td><td class=\"n\">", (long long)row[k].samples);
        if (p->match != NULL && p->match->to[n] >= 0) {
            tw_page_class(f, p, p->match->to[n], -1);
            fprintf(f, "</td><td>%.1f %%</td></tr>\n", 100.0 * (double)row[k].right / (double)row[k].samples);
        } else {
            fputs("</td><td></td></tr>\n", f);
        }
    }
    fputs("</table>\n", f);
    free(row);
    return 0;
}
