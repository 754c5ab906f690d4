#include "eval/page_pictures.h"

#include "core/file.h"
#include "core/mem.h"
#include "eval/page_parts.h"
#include "eval/picture_file.h"
#include "report/png.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LEAST_SIZE = 640, PER_ROW = 8 };

static void paint(unsigned char *rgb, int W, int cell, int row, int column, unsigned char shade)
{
    for (int y = row * cell; y < (row + 1) * cell; y++)
        memset(rgb + ((size_t)y * (size_t)W + (size_t)column * (size_t)cell) * 3, shade, (size_t)cell * 3);
}

int tw_page_confusion_png(const tw_page *p, const char *folder)
{
    if (p->match == NULL || p->clusters->who.labelled == 0 || p->match->C > TW_PAGE_CLASSES)
        return 0;
    const int C = p->match->C, cell = C + 1 < LEAST_SIZE ? LEAST_SIZE / (C + 1) : 1, W = (C + 1) * cell, H = C * cell;
    int64_t *count = tw_page_counts(p);
    unsigned char *rgb = tw_calloc((size_t)W * (size_t)H, 3);
    char *path = tw_path_in(folder, "confusion.png");
    int rc = count != NULL && rgb != NULL && path != NULL ? 0 : -1;
    for (int r = 0; rc == 0 && r < C; r++) {
        const int64_t *row = count + (size_t)r * (size_t)(C + 1);
        int64_t all = 0;
        for (int k = 0; k <= C; k++)
            all += row[k];
        for (int k = 0; k <= C; k++)
            paint(rgb, W, cell, r, k, (unsigned char)(all > 0 ? 255 - row[k] * 255 / all : 255));
    }
    if (rc == 0)
        rc = tw_png_write(path, rgb, H, W);
    free(path);
    free(rgb);
    free(count);
    return rc;
}

typedef struct {
    int64_t sample;
    int32_t cluster;
    float prob;
} member;

/* Order by cluster, then by descending probability, then by sample. */
static int by_cluster(const void *a, const void *b)
{
    const member *p = a, *q = b;
    if (p->cluster != q->cluster)
        return p->cluster < q->cluster ? -1 : 1;
    if (p->prob != q->prob)
        return p->prob > q->prob ? -1 : 1;
    return p->sample < q->sample ? -1 : p->sample > q->sample;
}

static member *sorted_members(const tw_clusters *c)
{
    member *m = tw_calloc((size_t)c->who.n, sizeof *m);
    for (int64_t i = 0; m != NULL && i < c->who.n; i++)
        m[i] = (member){i, c->top[i * TW_TOP], c->prob != NULL ? c->prob[i * TW_TOP] : 0};
    if (m != NULL)
        qsort(m, (size_t)c->who.n, sizeof *m, by_cluster);
    return m;
}

/* Adds the sample's picture, if its key is the path of one. 1: added; 0: no picture; -1 and tw_error(). */
static int add_picture(tw_sheet *s, tw_picture_files *files, const tw_roster *who, int64_t sample)
{
    size_t size;
    tw_tensor t;
    const char *key = tw_roster_key(who, sample, &size);
    if (!tw_picture_file(&t, files, key, size))
        return 0;
    const int columns = tw_sheet_columns(s);
    if ((columns == 0 || columns == PER_ROW) && !tw_sheet_row(s))
        return 0;
    return tw_sheet_add(s, &t) == 0 ? 1 : -1;
}

/* The sheet of the cluster whose members begin at m. 1: written; 0: no pictures; -1 and tw_error(). */
static int write_sheet(const tw_page *p, const char *folder, tw_picture_files *files, const member *m, int64_t n)
{
    char name[32];
    int added = 0, rc = 0;
    tw_sheet *s = tw_sheet_new();
    for (int64_t i = 0; s != NULL && rc >= 0 && i < n && added < TW_PAGE_SHEET; i++) {
        rc = add_picture(s, files, &p->clusters->who, m[i].sample);
        added += rc > 0;
        if (i >= 4 * TW_PAGE_SHEET && added == 0)
            break; /* keys are not paths */
    }
    rc = s == NULL || rc < 0 ? -1 : added > 0;
    if (rc == 1) {
        snprintf(name, sizeof name, "cluster-%d.png", m[0].cluster);
        char *path = tw_path_in(folder, name);
        rc = path != NULL && tw_sheet_write(s, path) == 0 ? 1 : -1;
        free(path);
    }
    tw_sheet_free(s);
    return rc;
}

int tw_page_sheets(bool *sheet, const tw_page *p, const char *folder)
{
    const tw_clusters *c = p->clusters;
    tw_page_row *row = tw_page_largest(p);
    member *m = row != NULL ? sorted_members(c) : NULL;
    int64_t *first = m != NULL ? tw_calloc((size_t)c->K, sizeof *first) : NULL;
    tw_picture_files *files = tw_picture_files_new();
    int rc = first != NULL && files != NULL ? 0 : -1;
    for (int64_t i = c->who.n - 1; rc == 0 && i >= 0; i--)
        first[m[i].cluster] = i;
    for (int k = 0; rc >= 0 && k < c->K && k < TW_PAGE_CLUSTERS && row[k].samples > 0; k++) {
        rc = write_sheet(p, folder, files, m + first[row[k].cluster], row[k].samples);
        sheet[row[k].cluster] = rc == 1;
    }
    tw_picture_files_free(files);
    free(first);
    free(m);
    free(row);
    return rc < 0 ? -1 : 0;
}
