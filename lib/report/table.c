#include "report/table.h"

#include "core/error.h"
#include "core/file.h"
#include "core/mem.h"
#include "core/tsv.h"

#include <stdlib.h>
#include <string.h>

struct tw_table {
    tw_file *file;
    const tw_header *h;
    char *rejects;     /* contents of the rejects file; NULL: none */
    const char *name;  /* of the rejects file */
    const char *at;    /* its next line */
    int64_t named;
};

tw_table *tw_table_create(const char *path, const char *rejects, const tw_header *h)
{
    size_t size;
    tw_table *t = tw_calloc(1, sizeof *t);
    if (t == NULL)
        return NULL;
    t->h = h;
    t->name = rejects;
    if (rejects != NULL && (t->at = t->rejects = tw_file_read(rejects, &size, 0)) == NULL)
        goto err;
    t->file = tw_file_create(path);
    if (t->file == NULL)
        goto err;
    fputs("key\tlabel\tstatus\n", tw_file_stream(t->file));
    return t;
err:
    tw_table_abandon(t);
    return NULL;
}

int tw_table_add(tw_table *t, const tw_sample *s)
{
    FILE *f = tw_file_stream(t->file);
    tw_tsv_write(f, s->key, s->key_size);
    putc('\t', f);
    if (s->label >= 0 && s->label < t->h->n_classes)
        tw_tsv_write(f, t->h->classes[s->label], strlen(t->h->classes[s->label]));
    else if (s->label >= 0)
        fprintf(f, "%lld", (long long)s->label);
    fputs("\tok\n", f);
    return ferror(f) ? tw_fail_errno("the table cannot be written") : 0;
}

/* The next line of rejects: its length without the line end; 0: none. */
static size_t next_reject(tw_table *t, const char **line)
{
    if (t->at == NULL || *t->at == '\0')
        return 0;
    const char *end = strchrnul(t->at, '\n');
    *line = t->at;
    t->at = *end != '\0' ? end + 1 : end;
    return (size_t)(end - *line);
}

int tw_table_missing(tw_table *t)
{
    FILE *f = tw_file_stream(t->file);
    const char *line;
    const size_t n = next_reject(t, &line);
    const char *tab = n > 0 ? memchr(line, '\t', n) : NULL;
    if (n == 0)
        return tw_fail("%s: names %lld bad pictures, but the stream lacks more: the file is of other data, or begins after the first one",
                       t->name, (long long)t->named);
    if (tab == NULL)
        return tw_fail("%s: line %lld has no TAB between path and cause", t->name, (long long)t->named + 1);
    t->named++;
    fwrite(line, 1, (size_t)(tab - line), f); /* the path is already escaped in the same way */
    fputs("\t\t", f);
    tw_tsv_write(f, tab + 1, n - (size_t)(tab + 1 - line));
    putc('\n', f);
    return ferror(f) ? tw_fail_errno("the table cannot be written") : 0;
}

int64_t tw_table_named(const tw_table *t)
{
    return t->named;
}

int tw_table_finish(tw_table *t)
{
    int rc = 0;
    if (t->at != NULL && *t->at != '\0')
        rc = tw_fail("%s: names more bad pictures than the %lld that the stream has left out", t->name, (long long)t->named);
    if (rc == 0) {
        rc = tw_file_commit(t->file);
        t->file = NULL;
    }
    tw_table_abandon(t);
    return rc;
}

void tw_table_abandon(tw_table *t)
{
    if (t == NULL)
        return;
    tw_file_abandon(t->file);
    free(t->rejects);
    free(t);
}
