#include "report/runlog.h"

#include "core/file.h"
#include "core/mem.h"
#include "report/events.h"
#include "report/jsonl.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct tw_runlog {
    tw_jsonl *lines;
    tw_events *events;
    const char *group; /* of the current record */
    int rc;            /* first error of the current record */
};

tw_runlog *tw_runlog_open(const char *folder, int64_t keep)
{
    tw_runlog *l = tw_calloc(1, sizeof *l);
    char *path = tw_path_in(folder, "log.jsonl");
    if (l == NULL || path == NULL)
        goto err;
    l->lines = tw_jsonl_open(path, keep, INT64_MAX);
    l->events = l->lines != NULL ? tw_events_open(folder, keep) : NULL;
    if (l->events == NULL)
        goto err;
    free(path);
    return l;
err:
    free(path);
    if (l != NULL)
        tw_jsonl_close(l->lines);
    free(l);
    return NULL;
}

void tw_runlog_begin(tw_runlog *l, const char *group, int64_t step)
{
    l->group = group;
    l->rc = 0;
    tw_jsonl_begin(l->lines);
    tw_events_begin(l->events, step);
}

void tw_runlog_int(tw_runlog *l, const char *name, int64_t v)
{
    tw_jsonl_int(l->lines, name, v);
}

void tw_runlog_text(tw_runlog *l, const char *name, const char *v)
{
    tw_jsonl_string(l->lines, name, v);
}

void tw_runlog_number(tw_runlog *l, const char *name, double v)
{
    char tag[64];
    tw_jsonl_number(l->lines, name, v);
    snprintf(tag, sizeof tag, "%s/%s", l->group, name);
    if (l->rc == 0 && isfinite(v))
        l->rc = tw_events_number(l->events, tag, v);
}

int tw_runlog_end(tw_runlog *l)
{
    const int lines = tw_jsonl_end(l->lines);
    return lines == 0 && l->rc == 0 ? tw_events_end(l->events) : -1;
}

int tw_runlog_close(tw_runlog *l)
{
    if (l == NULL)
        return 0;
    const int lines = tw_jsonl_close(l->lines), events = tw_events_close(l->events);
    free(l);
    return lines == 0 ? events : -1;
}
