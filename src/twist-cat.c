/* twist-cat: look at, cut, join, copy and convert streams. */
#include "core/mem.h"
#include "core/program.h"
#include "report/npy.h"
#include "report/sheet.h"
#include "stream/json.h"
#include "stream/reader.h"
#include "stream/scan.h"
#include "stream/writer.h"

#include <stdlib.h>
#include <string.h>

static const char usage[] =
    "usage: twist-cat [options] [FILE...]\n"
    "Copies streams, joined where there are several of one kind (default: standard input), as they are.\n"
    "  -i, --input ENDPOINT   instead of FILEs: -, a file, pipe:COMMAND (default -)\n"
    "  -o, --output ENDPOINT  where the stream goes: -, a file (default -; nowhere with any of the next five)\n"
    "      --json             one line of JSON for each record, to standard output\n"
    "      --header           the header as JSON, to standard output, and nothing else\n"
    "      --check            read everything, print what is there; exit 1 if anything is wrong\n"
    "      --npy FIELD=FILE   one field of all samples as a NumPy array; FIELD is index, epoch, pos, label,\n"
    "                         image, views, features, logits or probs; may be repeated\n"
    "      --sheet FILE.png   contact sheet of the first 64 rows: a row for a sample's views, or of images\n"
    "      --head N           only the first N samples (after --skip)\n"
    "      --skip N           without the first N samples (default 0)\n"
    "      --stats            records/s and MB/s on standard error at the end\n"
    "      --max-record SIZE  refuse larger records (default 1GiB)\n"
    "      --max-keys N       refuse maps of more keys (default 64)\n"
    "      --max-depth N      refuse deeper nesting (default 8; at most 64)\n"
    "      --no-history       leave this command out of the header's history\n"
    "      --progress         progress line even where standard error is no terminal\n"
    "  -q, --quiet            errors only        -v, --verbose  say more\n"
    "  -h, --help             this text          -V, --version  version\n";

struct opts {
    const char *input, *output, *sheet;
    tw_strings npy;
    bool json, header, check, stats;
    int64_t head, skip;
    tw_limits limits;
    tw_common common;
};

/* A field on its way into a .npy file. */
struct column {
    const char *field, *path; /* field: length bytes */
    size_t length;
    tw_npy *file;
};

enum { IMAGES_PER_ROW = 12 };

/* All that a run holds open. */
struct run {
    struct opts o;
    tw_reader **reader;
    int n_readers;
    tw_writer *writer;
    struct column *column;
    tw_sheet *sheet;
    int64_t seen, taken, skipped, bytes;
};

/* Ends the program with tw_error(), leaving no half-written file and no command running. */
static noreturn void give_up(struct run *r)
{
    tw_writer_abandon(r->writer);
    for (int i = 0; r->column != NULL && i < r->o.npy.n; i++)
        tw_npy_abandon(r->column[i].file);
    for (int i = 0; i < r->n_readers; i++)
        tw_reader_close(r->reader[i]);
    tw_die_error();
}

static int joined_header(tw_header *joined, const struct run *r)
{
    tw_header h = *tw_reader_header(r->reader[0]);
    for (int i = 1; i < r->n_readers; i++) {
        const tw_header *next = tw_reader_header(r->reader[i]);
        const char *a = tw_reader_name(r->reader[0]), *b = tw_reader_name(r->reader[i]);
        if (next->kind != h.kind)
            return tw_fail("%s: a stream of %s, where %s is one of %s", b, tw_kind_names[next->kind], a, tw_kind_names[h.kind]);
        bool same = next->n_classes == h.n_classes;
        for (int k = 0; same && k < h.n_classes; k++)
            same = strcmp(next->classes[k], h.classes[k]) == 0;
        if (!same)
            return tw_fail("%s: its classes are not those of %s, so that labels would change their meaning", b, a);
        if (next->epochs != h.epochs || next->first_epoch != h.first_epoch)
            h.epochs = h.samples = -1;
        h.samples = h.samples < 0 || next->samples < 0 ? -1 : h.samples + next->samples;
    }
    if (r->o.head >= 0 || r->o.skip > 0) { /* what is left of several epochs has no number per epoch */
        int64_t left = h.samples > r->o.skip ? h.samples - r->o.skip : 0;
        left = r->o.head >= 0 && left > r->o.head ? r->o.head : left;
        h.samples = h.samples >= 0 && h.epochs == 1 ? left : -1;
    }
    *joined = h;
    return 0;
}

/* Where the stream itself is asked for: with -o, or with nothing else to do. */
static bool copies(const struct opts *o)
{
    return o->output != NULL || (!o->json && o->npy.n == 0 && o->sheet == NULL);
}

static int print_header(const tw_header *h)
{
    tw_bytes text = {0};
    const bool good = tw_encode_header(&text, h) == 0 && tw_json_record(stdout, text.data, text.size) == 0;
    free(text.data);
    return good ? 0 : -1;
}

static int print_end(const tw_end *e)
{
    tw_bytes text = {0};
    const bool good = tw_encode_end(&text, e) == 0 && tw_json_record(stdout, text.data, text.size) == 0;
    free(text.data);
    return good ? 0 : -1;
}

static int flush_text(void)
{
    return fflush(stdout) == 0 && !ferror(stdout) ? 0 : tw_fail("standard output: cannot be written");
}

static int open_columns(struct run *r)
{
    r->column = tw_calloc((size_t)r->o.npy.n, sizeof *r->column);
    if (r->column == NULL)
        return -1;
    for (int i = 0; i < r->o.npy.n; i++) {
        struct column *c = &r->column[i];
        c->path = strchr(r->o.npy.item[i], '=') + 1;
        c->field = r->o.npy.item[i];
        c->length = (size_t)(c->path - c->field) - 1;
        c->file = tw_npy_create(c->path);
        if (c->file == NULL)
            return -1;
    }
    return 0;
}

static bool is(const struct column *c, const char *field)
{
    return strlen(field) == c->length && memcmp(c->field, field, c->length) == 0;
}

static int put_number(struct column *c, int64_t v)
{
    const tw_tensor t = {.dtype = TW_I64, .rank = 0, .data = &v};
    return tw_npy_row(c->file, &t, 1, false);
}

static int put_column(struct column *c, const tw_sample *s)
{
    const struct { const char *name; int64_t value; } number[] = {
        {"index", s->index}, {"epoch", s->epoch}, {"pos", s->pos}, {"label", s->label}};
    const struct { const char *name; const tw_tensor *value; } tensor[] = {
        {"image", &s->image}, {"features", &s->features}, {"logits", &s->logits}, {"probs", &s->probs}};
    for (size_t i = 0; i < sizeof number / sizeof *number; i++)
        if (is(c, number[i].name))
            return put_number(c, number[i].value);
    for (size_t i = 0; i < sizeof tensor / sizeof *tensor; i++)
        if (is(c, tensor[i].name))
            return tensor[i].value->data != NULL ? tw_npy_row(c->file, tensor[i].value, 1, false)
                                                 : tw_fail("%s: the sample has no %s", c->path, tensor[i].name);
    return s->n_views > 0 ? tw_npy_row(c->file, s->views, s->n_views, true) : tw_fail("%s: the sample has no views", c->path);
}

/* A row of its views, or the next place in a row of images. */
static int put_on_sheet(tw_sheet *sheet, const tw_sample *s)
{
    if (s->n_views > 0) {
        if (!tw_sheet_row(sheet))
            return 0;
        for (int i = 0; i < s->n_views; i++)
            if (tw_sheet_add(sheet, &s->views[i]) != 0)
                return -1;
        return 0;
    }
    const int columns = tw_sheet_columns(sheet);
    if ((columns == 0 || columns == IMAGES_PER_ROW) && !tw_sheet_row(sheet))
        return 0;
    return tw_sheet_add(sheet, &s->image);
}

static int put_sample(struct run *r, const tw_sample *s)
{
    if (r->writer != NULL && tw_writer_encoded(r->writer, s->buffer, s->record_size) != 0)
        return -1;
    if (r->o.json && tw_json_record(stdout, s->buffer, s->record_size) != 0)
        return -1;
    for (int i = 0; i < r->o.npy.n; i++)
        if (put_column(&r->column[i], s) != 0)
            return tw_fail("%s (sample %.*s)", tw_error(), (int)(s->key_size < 200 ? s->key_size : 200), s->key);
    return r->sheet != NULL ? put_on_sheet(r->sheet, s) : 0;
}

static bool enough(const struct run *r)
{
    return r->o.head >= 0 && r->taken >= r->o.head;
}

/* Everything that one reader gives. */
static int pass(struct run *r, tw_reader *reader, tw_sample *s)
{
    int rc = 1;
    while (!enough(r) && (rc = tw_reader_next(reader, s)) == 1) {
        r->bytes += (int64_t)s->record_size;
        if (r->seen++ < r->o.skip)
            continue;
        if (put_sample(r, s) != 0)
            return -1;
        r->taken++;
        if (tw_progress_due())
            tw_progress("%lld samples, %.1f MB", (long long)r->taken, (double)r->bytes * 1e-6);
    }
    if (rc == 0)
        r->skipped += tw_reader_end(reader)->skipped;
    return rc < 0 ? -1 : 0;
}

/* The stream last: its end record says that all is well. */
static int close_outputs(struct run *r)
{
    const tw_end end = {r->taken, r->skipped};
    int rc = r->o.json && (print_end(&end) != 0 || flush_text() != 0) ? -1 : 0;
    for (int i = 0; rc == 0 && i < r->o.npy.n; i++) {
        rc = tw_npy_finish(r->column[i].file);
        r->column[i].file = NULL;
    }
    if (rc == 0 && r->sheet != NULL)
        rc = tw_sheet_write(r->sheet, r->o.sheet);
    if (rc == 0 && r->writer != NULL) {
        rc = tw_writer_finish(r->writer, r->skipped);
        r->writer = NULL;
    }
    return rc;
}

static void print_stats(const struct run *r, double seconds, double in, double out)
{
    const double rate = seconds > 0 ? 1 / seconds : 0;
    fprintf(stderr, "twist-cat: %lld records, %.1f MB in %.3f s: %.0f records/s, %.0f MB/s; %.3f s in reading, %.3f s in writing\n",
            (long long)r->seen, (double)r->bytes * 1e-6, seconds, (double)r->seen * rate, (double)r->bytes * 1e-6 * rate, in, out);
}

static int open_inputs(struct run *r, const tw_strings *inputs)
{
    r->reader = tw_calloc((size_t)inputs->n, sizeof *r->reader);
    if (r->reader == NULL)
        return -1;
    for (; r->n_readers < inputs->n; r->n_readers++)
        if ((r->reader[r->n_readers] = tw_reader_open(inputs->item[r->n_readers], &r->o.limits, NULL)) == NULL)
            return -1;
    return 0;
}

static int open_outputs(struct run *r, const tw_header *h)
{
    const char *command = r->o.common.no_history ? NULL : tw_program_command();
    if (r->o.sheet != NULL && h->kind != TW_VIEWS && h->kind != TW_IMAGES)
        return tw_fail("%s: a stream of %s has no pictures for a sheet", tw_reader_name(r->reader[0]), tw_kind_names[h->kind]);
    if (r->o.sheet != NULL && (r->sheet = tw_sheet_new()) == NULL)
        return -1;
    if (open_columns(r) != 0 || (r->o.json && print_header(h) != 0))
        return -1;
    if (copies(&r->o) && (r->writer = tw_writer_open(r->o.output != NULL ? r->o.output : "-", h, command)) == NULL)
        return -1;
    return 0;
}

static void copy(struct run *r, const tw_strings *inputs)
{
    const double start = tw_now();
    double in = 0;
    tw_header h;
    tw_sample s;
    tw_sample_init(&s);
    if (open_inputs(r, inputs) != 0 || joined_header(&h, r) != 0)
        give_up(r);
    if (r->o.header) {
        if (print_header(&h) != 0 || flush_text() != 0)
            give_up(r);
    } else {
        if (open_outputs(r, &h) != 0)
            give_up(r);
        for (int i = 0; i < r->n_readers; i++) {
            if (pass(r, r->reader[i], &s) != 0)
                give_up(r);
            in += tw_reader_waited(r->reader[i]);
        }
        const double out = r->writer != NULL ? tw_writer_waited(r->writer) : 0;
        if (close_outputs(r) != 0)
            give_up(r);
        tw_progress_end();
        if (r->o.stats)
            print_stats(r, tw_now() - start, in, out);
    }
    for (int i = 0; i < r->n_readers; i++)
        tw_reader_close(r->reader[i]);
    free(r->reader);
    free(r->column);
    tw_sheet_free(r->sheet);
    tw_sample_fini(&s);
}

/* Reads one stream to its end and says what it holds; false, and the reason on stderr, if it is not as it should be. */
static bool check(const char *endpoint, const struct opts *o)
{
    tw_sample s;
    int64_t bytes = 0, n = 0, labels = 0;
    int rc = -1;
    tw_sample_init(&s);
    tw_reader *r = tw_reader_open(endpoint, &o->limits, NULL);
    if (r != NULL)
        while ((rc = tw_reader_next(r, &s)) == 1) {
            bytes += (int64_t)s.record_size;
            n++;
            labels += s.label >= 0;
        }
    if (rc == 0)
        printf("%s: %s: %lld samples (%lld labelled), %lld skipped, %lld bytes of samples\n", tw_reader_name(r),
               tw_kind_names[tw_reader_header(r)->kind], (long long)n, (long long)labels, (long long)tw_reader_end(r)->skipped,
               (long long)bytes);
    else
        fprintf(stderr, "twist-cat: %s\n", tw_error());
    tw_reader_close(r);
    tw_sample_fini(&s);
    return rc == 0;
}

static int check_all(const struct opts *o, const tw_strings *inputs)
{
    bool good = true;
    for (int i = 0; i < inputs->n; i++)
        good = check(inputs->item[i], o) && good;
    if (flush_text() != 0)
        tw_die_error();
    return good ? TW_EXIT_OK : TW_EXIT_FAILED;
}

static void parse(struct opts *o, tw_strings *inputs)
{
    static const char *const fields[] = {"index", "epoch", "pos", "label", "image", "views", "features", "logits", "probs"};
    const tw_opt table[] = {
        {'i', "input", TW_OPT_STRING, &o->input, 0, 0, NULL},
        {'o', "output", TW_OPT_STRING, &o->output, 0, 0, NULL},
        {0, "json", TW_OPT_FLAG, &o->json, 0, 0, NULL},
        {0, "header", TW_OPT_FLAG, &o->header, 0, 0, NULL},
        {0, "check", TW_OPT_FLAG, &o->check, 0, 0, NULL},
        {0, "npy", TW_OPT_LIST, &o->npy, 0, 0, NULL},
        {0, "sheet", TW_OPT_STRING, &o->sheet, 0, 0, NULL},
        {0, "head", TW_OPT_I64, &o->head, 0, 9e15, NULL},
        {0, "skip", TW_OPT_I64, &o->skip, 0, 9e15, NULL},
        {0, "stats", TW_OPT_FLAG, &o->stats, 0, 0, NULL},
        {0, "max-record", TW_OPT_SIZE, &o->limits.record, 1, 0x1p50, NULL},
        {0, "max-keys", TW_OPT_INT, &o->limits.keys, 1, 1 << 30, NULL},
        {0, "max-depth", TW_OPT_INT, &o->limits.depth, 1, TW_SCAN_DEPTH, NULL},
    };
    tw_program_options(table, sizeof table / sizeof *table, &o->common, inputs, usage);
    for (int i = 0; i < o->npy.n; i++) {
        const char *text = o->npy.item[i], *eq = strchr(text, '=');
        bool known = false;
        for (size_t k = 0; eq != NULL && eq[1] != '\0' && k < sizeof fields / sizeof *fields; k++)
            known = known || (strlen(fields[k]) == (size_t)(eq - text) && strncmp(fields[k], text, (size_t)(eq - text)) == 0);
        if (!known)
            tw_die_usage("--npy: '%s' is not FIELD=FILE with one of the fields", text);
    }
    if (o->check && (o->json || o->header || o->npy.n > 0 || o->sheet != NULL || o->output != NULL || o->head >= 0 || o->skip > 0))
        tw_die_usage("--check stands alone");
    if (o->header && (o->json || o->npy.n > 0 || o->sheet != NULL || o->output != NULL))
        tw_die_usage("--header stands alone");
    if (o->json && o->output != NULL && strcmp(o->output, "-") == 0)
        tw_die_usage("--json and -o - would both write to standard output");
    if (o->input != NULL && inputs->n > 0)
        tw_die_usage("-i and operands: give one of them");
}

int main(int argc, char **argv)
{
    struct run r = {.o = {.head = -1, .limits = TW_LIMITS_DEFAULT}};
    tw_strings inputs = {0};
    tw_program_start("twist-cat", argc, argv);
    parse(&r.o, &inputs);
    const char *one = r.o.input != NULL ? r.o.input : "-";
    const tw_strings all = inputs.n > 0 ? inputs : (tw_strings){&one, 1};
    int status = TW_EXIT_OK;
    if (r.o.check)
        status = check_all(&r.o, &all);
    else
        copy(&r, &all);
    free(inputs.item);
    free(r.o.npy.item);
    return status;
}
