#include "eval/page.h"

#include "core/error.h"
#include "core/file.h"
#include "core/mem.h"
#include "eval/page_parts.h"
#include "eval/page_pictures.h"
#include "eval/picture_file.h"
#include "report/text.h"

#include <limits.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static const char head[] =
    "<!DOCTYPE html><html lang=\"en\"><meta charset=\"utf-8\"><title>Clusters and classes</title>\n"
    "<style>body{font:15px/1.5 sans-serif;max-width:70em;margin:2em auto;padding:0 1em;color:#222}table{border-collapse:collapse}\n"
    "td,th{padding:.2em .9em;border-bottom:1px solid #ddd;text-align:right}th:first-child,td.n{text-align:left}\n"
    "figure{display:inline-block;vertical-align:top;width:150px;margin:6px;font-size:12px}\n"
    "figure img{max-width:150px;max-height:110px}\n"
    "figcaption div{overflow:hidden;white-space:nowrap;text-overflow:ellipsis}.k{color:#888}.y{color:#070;font-weight:bold}\n"
    "svg{font:11px sans-serif}.f{fill:none;stroke:#bbb}.s{fill:#2a6fb0}code{background:#f4f4f4}</style>\n";

static void put_metric(FILE *f, const char *name, double value)
{
    if (!isnan(value))
        fprintf(f, "<tr><th>%s</th><td>%.4f</td></tr>\n", name, value);
}

static void put_metrics(FILE *f, const tw_page *p)
{
    const tw_cluster_scores *s = p->scores;
    const tw_roster *who = &p->clusters->who;
    fputs("<h1>Clusters and classes</h1>\n<p><code>", f);
    tw_text_html(f, p->command, strlen(p->command));
    fputs("</code></p>\n<table>\n", f);
    fprintf(f, "<tr><th>samples</th><td>%lld</td></tr>\n<tr><th>of them with a label</th><td>%lld</td></tr>\n", (long long)who->n,
            (long long)who->labelled);
    fprintf(f, "<tr><th>clusters used, of %d</th><td>%d</td></tr>\n", p->clusters->K, s->used);
    put_metric(f, "NMI", s->agree.nmi);
    put_metric(f, "AMI", s->agree.ami);
    put_metric(f, "ARI", s->agree.ari);
    put_metric(f, "FMI", s->agree.fmi);
    put_metric(f, "purity", s->agree.purity);
    put_metric(f, "accuracy, clusters matched to classes", s->acc);
    put_metric(f, "the class among those of the top 5 clusters", s->acc5);
    fputs("</table>\n", f);
}

/* The folder's real path, with a slash at the end. 0, or -1 and tw_error(). */
static int real_folder(char path[PATH_MAX + 1], const char *folder)
{
    if (realpath(folder, path) == NULL)
        return tw_fail_errno("%s", folder);
    if (path[strlen(path) - 1] != '/')
        strcat(path, "/");
    return 0;
}

/* The path from `folder` to the current folder ("", "../", "../../x/"), for links. Free with free(). NULL and tw_error(). */
static char *way_back(const char *folder)
{
    char from[PATH_MAX + 1], to[PATH_MAX + 1];
    size_t same = 0, ups = 0;
    if (real_folder(from, folder) != 0 || real_folder(to, ".") != 0)
        return NULL;
    for (size_t i = 0; from[i] != '\0' && from[i] == to[i]; i++)
        if (from[i] == '/')
            same = i + 1;
    for (const char *c = from + same; *c != '\0'; c++)
        ups += *c == '/';
    char *way = tw_calloc(3 * ups + strlen(to + same) + 1, 1);
    for (size_t i = 0; way != NULL && i < ups; i++)
        memcpy(way + 3 * i, "../", 3);
    return way != NULL ? strcat(way, to + same) : NULL;
}

static void put_guess(FILE *f, const tw_page *p, int64_t i, int t)
{
    const tw_clusters *c = p->clusters;
    const int32_t k = c->top[i * TW_TOP + t];
    if (k < 0)
        return;
    const int to = p->match != NULL ? p->match->to[k] : -1;
    fputs(to >= 0 && to == c->who.label[i] ? "<div class=\"y\">" : "<div>", f);
    tw_page_class(f, p, to, k);
    if (c->prob != NULL)
        fprintf(f, " %.3f", (double)c->prob[i * TW_TOP + t]);
    fputs("</div>", f);
}

static void put_picture(FILE *f, const tw_page *p, int64_t i, const char *way)
{
    const tw_roster *who = &p->clusters->who;
    size_t size;
    const char *key = tw_roster_key(who, i, &size);
    fputs("<figure>", f);
    if (tw_is_picture_file(key, size)) {
        fputs("<img loading=\"lazy\" alt=\"\" src=\"", f);
        if (key[0] != '/')
            tw_text_url(f, way, strlen(way));
        tw_text_url(f, key, size);
        fputs("\">", f);
    }
    fputs("<figcaption><div class=\"k\" title=\"", f);
    tw_text_html(f, key, size);
    fputs("\">", f);
    if (who->label[i] >= 0)
        tw_page_class(f, p, who->label[i], -1);
    else
        tw_text_html(f, key, size);
    fputs("</div>", f);
    for (int t = 0; t < 3; t++)
        put_guess(f, p, i, t);
    fputs("</figcaption></figure>\n", f);
}

static void put_pictures(FILE *f, const tw_page *p, const char *way)
{
    const int64_t n = p->clusters->who.n, shown = n < TW_PAGE_PICTURES ? n : TW_PAGE_PICTURES;
    fprintf(f, "<h2>Pictures</h2>\n<p>%lld of %lld samples, evenly spread. Grey: the label (or the key). Below: the "
               "%s, by the class that each stands for; green where that is the label.</p>\n",
            (long long)shown, (long long)n, p->clusters->prob != NULL ? "three most probable clusters" : "three nearest clusters");
    for (int64_t i = 0; i < shown; i++)
        put_picture(f, p, i * n / shown, way);
}

int tw_page_write(const tw_page *p, const char *folder)
{
    if (tw_make_folder(folder) != 0)
        return -1;
    bool *sheet = tw_calloc((size_t)p->clusters->K, sizeof *sheet);
    char *way = way_back(folder), *path = tw_calloc(strlen(folder) + sizeof "/report.html", 1);
    tw_file *out = NULL;
    int rc = -1;
    if (way != NULL && path != NULL && sheet != NULL && tw_page_confusion_png(p, folder) == 0 && tw_page_sheets(sheet, p, folder) == 0) {
        stpcpy(stpcpy(path, folder), "/report.html");
        out = tw_file_create(path);
    }
    if (out != NULL) {
        FILE *f = tw_file_stream(out);
        fputs(head, f);
        put_metrics(f, p);
        if (tw_page_confusion(f, p) == 0 && tw_page_clusters(f, p, sheet) == 0) {
            put_pictures(f, p, way);
            fputs("</html>\n", f);
            rc = tw_file_commit(out);
        } else {
            tw_file_abandon(out);
        }
    }
    free(sheet);
    free(way);
    free(path);
    return rc;
}
