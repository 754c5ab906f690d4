#include "source/sequence.h"

#include "core/error.h"
#include "core/mem.h"
#include "core/program.h"
#include "source/names.h"
#include "source/unpack.h"

#include <stdlib.h>
#include <string.h>

struct tw_sequence {
    const tw_source_options *o;
    tw_names labels, subset;
    tw_entries classes; /* for the class names */
    int operand;        /* number of the current archive */
    tw_unpack *unpack;  /* the current archive; NULL: none is open */
    tw_members members;
    int64_t inside;     /* pictures of the current archive so far */
    int64_t seen;       /* pictures selected by --subset */
    int64_t labelled;   /* of these, pictures in the label file */
    bool told;          /* of a label that is no number */
    double waited;
};

bool tw_is_sequence(const char *operand)
{
    static const char *const ending[] = {".tar.gz", ".tgz", ".tar.zst", ".tzst"};
    const size_t n = strlen(operand);
    for (size_t i = 0; i < sizeof ending / sizeof *ending; i++) {
        const size_t m = strlen(ending[i]);
        if (n > m && strcmp(operand + n - m, ending[i]) == 0)
            return true;
    }
    return strcmp(operand, "-") == 0;
}

/* Makes the classes as tw_source does: gives each row of the names an entry, since tw_entries renumbers the labels of entries. */
static int read_labels(tw_sequence *q, const char *file)
{
    tw_entries *e = &q->classes;
    if (tw_names_read(&q->labels, file, e) != 0)
        return -1;
    for (size_t i = 0; i < q->labels.n; i++)
        if (tw_entries_add(e, "", q->labels.row[i].label) != 0)
            return -1;
    const int numbered = tw_entries_number_classes(e);
    if (numbered < 0 || (numbered == 0 && tw_entries_sort_classes(e) != 0))
        return -1;
    if (numbered == 0)
        tw_entries_tell_names(e, file);
    for (size_t i = 0; i < q->labels.n; i++)
        q->labels.row[i].label = e->entry[i].label;
    return 0;
}

tw_sequence *tw_sequence_open(const tw_source_options *o)
{
    tw_sequence *q = tw_calloc(1, sizeof *q);
    if (q == NULL)
        return NULL;
    q->o = o;
    if ((o->labels == NULL || read_labels(q, o->labels) == 0) && (o->subset == NULL || tw_names_read(&q->subset, o->subset, NULL) == 0))
        return q;
    tw_sequence_close(q);
    return NULL;
}

static void close_archive(tw_sequence *q)
{
    if (q->unpack == NULL)
        return;
    q->waited += tw_unpack_waited(q->unpack);
    tw_members_fini(&q->members);
    tw_unpack_close(q->unpack);
    q->unpack = NULL;
}

void tw_sequence_close(tw_sequence *q)
{
    if (q == NULL)
        return;
    close_archive(q);
    tw_names_fini(&q->labels);
    tw_names_fini(&q->subset);
    tw_entries_fini(&q->classes);
    free(q);
}

int tw_sequence_n_classes(const tw_sequence *q)
{
    return q->o->labels != NULL ? q->classes.names : -1;
}

const char **tw_sequence_classes(const tw_sequence *q)
{
    return (const char **)q->classes.name;
}

/* After the last picture: reads the rest of the archive, which checks the checksums of compressed data and lets the writer of a pipe finish. */
static int finish(tw_sequence *q)
{
    int64_t got;
    while ((got = tw_unpack_read(q->unpack, NULL, 1 << 20)) > 0)
        ;
    return got < 0 ? -1 : 0;
}

static const char *name_of(const tw_sequence *q)
{
    const char *operand = q->o->operand[q->operand];
    return strcmp(operand, "-") == 0 ? "standard input" : operand;
}

/* The next picture of any archive, as tw_members_next. */
static int next_member(tw_sequence *q, tw_picture **p, const char **label)
{
    for (; q->operand < q->o->n_operands; q->operand++) {
        const unsigned before = tw_shortages();
        if (q->unpack == NULL) {
            if ((q->unpack = tw_unpack_open(q->o->operand[q->operand])) == NULL)
                return -1;
            tw_members_init(&q->members, tw_unpack_read, q->unpack, true, NULL);
            q->inside = 0;
        }
        int rc = tw_members_next(&q->members, p, label);
        q->inside += rc == 1;
        if (rc == 1)
            return 1;
        if (rc == 0)
            rc = finish(q);
        tw_members_tell_lost(&q->members, name_of(q), "in an archive that is read in sequence");
        if (rc != 0 && (!q->o->keep_cut || tw_shortages() != before))
            return tw_fail("%s: %s", name_of(q), tw_error());
        if (q->inside == 0)
            return tw_fail("%s: no pictures in this archive", name_of(q));
        if (rc != 0)
            tw_warn("%s: %s; it has %lld pictures before that", name_of(q), tw_error(), (long long)q->inside);
        close_archive(q);
    }
    return 0;
}

static int64_t label_of(tw_sequence *q, const char *name, const char *text)
{
    char *end;
    if (q->o->labels != NULL) {
        const tw_row *r = tw_names_find(&q->labels, name);
        return r != NULL ? r->label : -1;
    }
    if (text == NULL)
        return -1;
    if (text[strspn(text, "0123456789")] != '\0') { /* the classes are not known in advance */
        if (!q->told)
            tw_warn("%s: the label '%s' is no whole number: in an archive that is read in sequence such a picture has none (see --labels)", name,
                    text);
        q->told = true;
        return -1;
    }
    const long long v = strtoll(text, &end, 10);
    return v <= TW_MAX_NUMBER ? v : -1;
}

/* After the last archive: fails if the subset or label file names none of the pictures. tw_source checks that at open. */
static int check_names(const tw_sequence *q)
{
    if (q->o->subset != NULL && q->seen == 0)
        return tw_fail("%s: none of its names is in the data", q->o->subset);
    if (q->o->labels != NULL && q->labelled == 0)
        return tw_fail("%s: labels none of the pictures in the data", q->o->labels);
    return 0;
}

int tw_sequence_next(tw_sequence *q, tw_picture *p, int64_t *label)
{
    tw_picture *m;
    const char *text;
    int rc;
    while ((rc = next_member(q, &m, &text)) == 1) {
        if (q->o->subset != NULL && tw_names_find(&q->subset, m->name) == NULL)
            continue;
        *label = label_of(q, m->name, text);
        q->labelled += *label >= 0;
        if (q->seen++ % (q->o->every > 1 ? q->o->every : 1) != 0)
            continue;
        *p = *m;
        m->name = NULL;
        m->bytes = NULL;
        return 1;
    }
    return rc == 0 ? check_names(q) : -1;
}

double tw_sequence_waited(const tw_sequence *q)
{
    return q->waited + (q->unpack != NULL ? tw_unpack_waited(q->unpack) : 0);
}
