/* twist-cat: look at, cut, join, copy and convert streams. */
#include "core/file.h"
#include "core/mem.h"
#include "core/program.h"
#include "report/columns.h"
#include "report/sheet.h"
#include "report/stats.h"
#include "report/table.h"
#include "stream/json.h"
#include "stream/reader.h"
#include "stream/scan.h"
#include "stream/writer.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char usage[] =
    "usage: twist-cat [options] [FILE...]\n"
    "Copies streams (default: standard input) unchanged; several of one kind are joined.\n"
    "  -i, --input ENDPOINT   instead of FILEs: -, a file, pipe:COMMAND, tcp://, ipc:// (default -)\n"
    "  -o, --output ENDPOINT  where the stream goes: -, a file, tcp://, ipc:// (default -; none with --json, --npy, --sheet, --table)\n"
    "      --json             one line of JSON for each record, to standard output\n"
    "      --header           the header as JSON, to standard output, and nothing else\n"
    "      --check            read everything and print what is there; exit 1 if anything is wrong\n"
    "      --npy FIELD=FILE   one field of all samples as a NumPy array; FIELD is index, epoch, pos, label,\n"
    "                         image, views, features, logits or probs; may be repeated\n"
    "      --table FILE       a line for each input: key, label, status (ok), separated by tabs\n"
    "      --rejects FILE     of twist-decode: its bad pictures too get lines of --table, and rows of NaN in --npy\n"
    "      --sheet FILE.png   contact sheet of the first 64 rows: a row for a sample's views, or of images\n"
    "      --head N           only the first N samples (after --skip)\n"
    "      --skip N           without the first N samples (default 0)\n"
    "      --stats            at the end, on standard error: rates, mean and deviation of the pixels, counts of labels\n"
    "      --log FILE         append a line of JSON: samples, seconds, seconds spent waiting\n"
    "      --max-record SIZE  refuse larger records (default 1GiB)\n"
    "      --max-keys N       refuse maps of more keys (default 64)\n"
    "      --max-depth N      refuse deeper nesting (default 8; at most 64)\n"
    "      --no-history       leave this command out of the header's history\n"
    "      --progress         progress line even where standard error is no terminal\n"
    "  -q, --quiet            errors only        -v, --verbose  say more\n"
    "  -h, --help             this text          -V, --version  version\n";

struct opts {
    const char *input, *output, *sheet, *log, *table, *rejects;
    tw_strings npy;
    bool json, header, check, stats;
    int64_t head, skip;
    tw_limits limits;
    tw_common common;
};

enum { IMAGES_PER_ROW = 12, FEW_LABELS = 32 };

/* All that a run holds open. */
struct run {
    struct opts o;
    tw_reader **reader;
    int n_readers;
    tw_writer *writer;
    tw_columns *columns;
    tw_sheet *sheet;
    tw_table *table;
    tw_stats stats;
    int at;     /* number of the current reader */
    bool held;  /* a sample has been read and not yet output */
    int64_t seen, taken, skipped, bytes;
    int64_t place; /* place in the data's order of the next line of the table */
};

/* Ends the program with tw_error(), leaving no half-written file and no command running. */
static noreturn void give_up(struct run *r)
{
    tw_writer_abandon(r->writer);
    tw_columns_abandon(r->columns);
    tw_table_abandon(r->table);
    for (int i = 0; i < r->n_readers; i++)
        tw_reader_close(r->reader[i]);
    tw_die_error();
}

/* Makes h, of the first stream, the header of it and the next stream; a, b: their names. */
static int join(tw_header *h, const tw_header *next, const char *a, const char *b)
{
    if (next->kind != h->kind)
        return tw_fail("%s: a stream of %s, but %s is one of %s", b, tw_kind_names[next->kind], a, tw_kind_names[h->kind]);
    bool same = next->n_classes == h->n_classes;
    for (int k = 0; same && k < h->n_classes; k++)
        same = strcmp(next->classes[k], h->classes[k]) == 0;
    if (!same)
        return tw_fail("%s: its classes differ from those of %s: its labels would change their meaning", b, a);
    if (next->epochs != h->epochs || next->first_epoch != h->first_epoch)
        h->epochs = h->samples = -1;
    h->data_checksum = h->data_checksum == next->data_checksum ? h->data_checksum : 0;
    h->network = h->network == next->network ? h->network : 0;
    if (h->samples < 0 || next->samples < 0 || __builtin_add_overflow(h->samples, next->samples, &h->samples))
        h->samples = -1;
    return 0;
}

static int joined_header(tw_header *joined, const struct run *r)
{
    tw_header h = *tw_reader_header(r->reader[0]);
    if (r->o.rejects != NULL && h.share.ranks > 1)
        return tw_fail("%s: a share of the data, %d/%d: --rejects needs a whole stream", tw_reader_name(r->reader[0]),
                       h.share.rank, h.share.ranks);
    if (r->n_readers > 1)
        h.share.ranks = 0;
    for (int i = 1; i < r->n_readers; i++)
        if (join(&h, tw_reader_header(r->reader[i]), tw_reader_name(r->reader[0]), tw_reader_name(r->reader[i])) != 0)
            return -1;
    if (r->o.head >= 0 || r->o.skip > 0) { /* a part of several epochs has no definite number of epochs or of samples per epoch */
        int64_t left = h.samples > r->o.skip ? h.samples - r->o.skip : 0;
        left = r->o.head >= 0 && left > r->o.head ? r->o.head : left;
        h.samples = h.samples >= 0 && h.epochs == 1 ? left : -1;
        h.epochs = h.epochs == 1 ? 1 : -1;
    }
    *joined = h;
    return 0;
}

/* Whether the stream itself is to be written: with -o, or if no other output is asked for (but not with --stats to a terminal). */
static bool copies(const struct opts *o)
{
    if (o->output == NULL && o->stats && tw_is_terminal(STDOUT_FILENO))
        return false;
    return o->output != NULL || (!o->json && o->npy.n == 0 && o->sheet == NULL && o->table == NULL);
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

/* Adds the sample's views as a row of the sheet, or its image to a row of images. */
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

/* Writes the missing pictures at places before pos: for each a line of the table and a row of every array. */
static int put_rejects(struct run *r, int64_t pos)
{
    for (; r->place < pos; r->place++)
        if (tw_table_missing(r->table) != 0 || (r->columns != NULL && tw_columns_missing(r->columns) != 0))
            return -1;
    return 0;
}

static int put_in_table(struct run *r, const tw_sample *s)
{
    if (r->o.rejects != NULL && s->epoch != tw_reader_header(r->reader[0])->first_epoch)
        return tw_fail("%s: several epochs: --rejects needs a stream of one", tw_reader_name(r->reader[0]));
    if (r->o.rejects != NULL && put_rejects(r, s->pos) != 0)
        return -1;
    r->place = s->pos < INT64_MAX ? s->pos + 1 : s->pos;
    return tw_table_add(r->table, s);
}

static int put_sample(struct run *r, const tw_sample *s)
{
    if (r->table != NULL && put_in_table(r, s) != 0)
        return -1;
    if (r->writer != NULL && tw_writer_encoded(r->writer, s->buffer, s->record_size) != 0)
        return -1;
    if (r->o.json && tw_json_record(stdout, s->buffer, s->record_size) != 0)
        return -1;
    if ((r->columns != NULL && tw_columns_add(r->columns, s) != 0) || (r->o.stats && tw_stats_add(&r->stats, s) != 0))
        return -1;
    return r->sheet != NULL ? put_on_sheet(r->sheet, s) : 0;
}

static bool enough(const struct run *r)
{
    return r->o.head >= 0 && r->taken >= r->o.head;
}

/* The next sample of the joined streams. 1; 0: no more; -1. */
static int next(struct run *r, tw_sample *s)
{
    for (; r->at < r->n_readers; r->at++) {
        tw_reader *reader = r->reader[r->at];
        if (r->writer != NULL && !tw_reader_ready(reader, 0) && tw_writer_flush(r->writer) != 0)
            return -1;
        const int rc = tw_reader_next(reader, s);
        if (rc == 1) {
            r->seen++;
            r->bytes += (int64_t)s->record_size;
        }
        if (rc != 0)
            return rc;
        if (__builtin_add_overflow(r->skipped, tw_reader_end(reader)->skipped, &r->skipped))
            return tw_fail("%s: more inputs skipped than can be counted", tw_reader_name(reader));
    }
    return 0;
}

/* Skips the first samples (--skip). The first sample after them is read and held; the header gets its epoch. */
static int leave_out(struct run *r, tw_sample *s, tw_header *h)
{
    if (r->o.skip == 0 || enough(r))
        return 0;
    while (r->seen <= r->o.skip) {
        const int rc = next(r, s);
        if (rc != 1)
            return rc;
    }
    r->held = true;
    h->first_epoch = s->epoch;
    return 0;
}

static int put_samples(struct run *r, tw_sample *s)
{
    while (!enough(r)) {
        const int rc = r->held ? 1 : next(r, s);
        if (rc != 1)
            return rc;
        r->held = false;
        if (put_sample(r, s) != 0)
            return -1;
        r->taken++;
        if (tw_progress_due())
            tw_progress("%lld samples, %.1f MB", (long long)r->taken, (double)r->bytes * 1e-6);
    }
    return 0;
}

/* Completes the outputs, the stream last: its end record tells its reader that everything has succeeded. */
static int close_outputs(struct run *r)
{
    const tw_end end = {r->taken, r->skipped};
    int rc = r->o.json && (print_end(&end) != 0 || tw_program_printed() != 0) ? -1 : 0;
    if (rc == 0 && r->o.rejects != NULL && tw_table_named(r->table) > r->skipped)
        rc = tw_fail("%s: begins after its epoch's first sample: --rejects needs a whole stream", tw_reader_name(r->reader[0]));
    const int64_t rest = rc == 0 && r->o.rejects != NULL ? r->skipped - tw_table_named(r->table) : 0;
    if (rest > 0)
        rc = put_rejects(r, rest < INT64_MAX - r->place ? r->place + rest : INT64_MAX);
    if (rc == 0 && r->table != NULL) {
        rc = tw_table_finish(r->table);
        r->table = NULL;
    }
    if (rc == 0 && r->columns != NULL) {
        rc = tw_columns_finish(r->columns);
        r->columns = NULL;
    }
    if (rc == 0 && r->sheet != NULL)
        rc = tw_sheet_write(r->sheet, r->o.sheet);
    if (rc == 0 && r->writer != NULL) {
        rc = tw_writer_finish(r->writer, r->skipped);
        r->writer = NULL;
    }
    return rc;
}

static void print_labels(const tw_stats *s, const tw_header *h, bool all)
{
    int64_t least = INT64_MAX, most = 0;
    for (size_t i = 0; i < s->labels; i++) {
        least = s->count[i] < least ? s->count[i] : least;
        most = s->count[i] > most ? s->count[i] : most;
    }
    if (s->labels == 0)
        return;
    fprintf(stderr, "labels: 0 to %zu, each %lld to %lld times; %lld samples without\n", s->labels - 1, (long long)least, (long long)most,
            (long long)s->unlabelled);
    for (size_t i = 0; i < s->labels && (all || s->labels <= FEW_LABELS); i++)
        fprintf(stderr, "%8zu %8lld  %s\n", i, (long long)s->count[i], (int64_t)i < h->n_classes ? h->classes[i] : "");
}

static void print_stats(const struct run *r, const tw_header *h, const tw_waits *w)
{
    const double rate = w->seconds > 0 ? 1 / w->seconds : 0, mb = (double)r->bytes * 1e-6;
    double mean[3], deviation[3];
    fprintf(stderr, "twist-cat: %lld records, %.1f MB in %.3f s: %.0f records/s, %.0f MB/s; %.3f s in reading, %.3f s in writing\n",
            (long long)r->seen, mb, w->seconds, (double)r->seen * rate, mb * rate, w->input, w->output);
    for (int c = 0; c < 3; c++)
        tw_stats_channel(&r->stats, c, &mean[c], &deviation[c]);
    if (r->stats.pixels > 0)
        fprintf(stderr, "pixels: %llu; red, green, blue: mean %.3f %.3f %.3f, deviation %.3f %.3f %.3f\n", (unsigned long long)r->stats.pixels,
                mean[0], mean[1], mean[2], deviation[0], deviation[1], deviation[2]);
    print_labels(&r->stats, h, r->o.common.verbose > 0);
}

static int open_inputs(struct run *r, const tw_strings *inputs)
{
    r->reader = tw_calloc((size_t)inputs->n, sizeof *r->reader);
    if (r->reader == NULL)
        return -1;
    tw_allow_files((size_t)inputs->n);
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
    if (r->o.npy.n > 0 && (r->columns = tw_columns_create(r->o.npy.item, r->o.npy.n)) == NULL)
        return -1;
    if (r->o.table != NULL && (r->table = tw_table_create(r->o.table, r->o.rejects, h)) == NULL)
        return -1;
    if (r->o.json && print_header(h) != 0)
        return -1;
    if (copies(&r->o) && (r->writer = tw_writer_open(r->o.output != NULL ? r->o.output : "-", h, command)) == NULL)
        return -1;
    return 0;
}

static void copy(struct run *r, const tw_strings *inputs)
{
    const double start = tw_now();
    tw_waits w = {0};
    tw_header h;
    tw_sample s;
    tw_sample_init(&s);
    for (int i = 0; i < r->o.npy.n; i++) {
        const char *path = strchr(r->o.npy.item[i], '=');
        if (tw_program_beside("--npy", path != NULL ? path + 1 : NULL, r->o.output) != 0)
            give_up(r);
    }
    if (tw_program_log_check(r->o.log, r->o.output) != 0 || tw_program_beside("--sheet", r->o.sheet, r->o.output) != 0 ||
        tw_file_no_terminal(r->o.sheet) != 0 || open_inputs(r, inputs) != 0 || joined_header(&h, r) != 0 || leave_out(r, &s, &h) != 0)
        give_up(r);
    if (r->o.header) {
        if (print_header(&h) != 0 || tw_program_printed() != 0)
            give_up(r);
    } else {
        if (open_outputs(r, &h) != 0 || put_samples(r, &s) != 0)
            give_up(r);
        for (int i = 0; i < r->n_readers; i++)
            w.input += tw_reader_waited(r->reader[i]);
        w.output = r->writer != NULL ? tw_writer_waited(r->writer) : 0;
        if (close_outputs(r) != 0)
            give_up(r);
        tw_progress_end();
        w.samples = r->taken;
        w.seconds = tw_now() - start;
        if (r->o.stats)
            print_stats(r, &h, &w);
        if (tw_program_waits(r->o.log, &w) != 0)
            give_up(r);
    }
    for (int i = 0; i < r->n_readers; i++)
        tw_reader_close(r->reader[i]);
    free(r->reader);
    tw_stats_fini(&r->stats);
    tw_sheet_free(r->sheet);
    tw_sample_fini(&s);
}

/* Number of places of the stream before that of the sample. */
static int64_t places_before(const tw_header *h, const tw_sample *s)
{
    const int64_t in_epoch = h->share.ranks > 1 ? tw_share_before(&h->share, s->pos) : s->pos;
    int64_t n;
    if (s->epoch <= h->first_epoch)
        return in_epoch;
    return __builtin_mul_overflow(s->epoch - h->first_epoch, h->samples, &n) || __builtin_add_overflow(n, in_epoch, &n) ? INT64_MAX : n;
}

/* Warns if the header's and the end record's numbers of samples differ. before: number of places before the first sample, which may have been left
 * out on purpose. */
static void compare_numbers(const tw_reader *r, int64_t before)
{
    const tw_header *h = tw_reader_header(r);
    const tw_end *e = tw_reader_end(r);
    int64_t all;
    if (h->samples < 0 || h->epochs < 0 || __builtin_mul_overflow(h->samples, h->epochs, &all))
        return;
    const int64_t least = before < all ? all - before : 0;
    if (e->samples > all || (e->samples < least && e->skipped < least - e->samples))
        tw_warn("%s: its header promises %lld samples an epoch, epochs: %lld; %lld were read, %lld were skipped", tw_reader_name(r),
                (long long)h->samples, (long long)h->epochs, (long long)e->samples, (long long)e->skipped);
}

/* --check: reads one stream to its end and prints a summary; false, with the reason on stderr, if it is not valid. */
static bool check(const char *endpoint, const struct opts *o)
{
    tw_sample s;
    int64_t bytes = 0, n = 0, labels = 0, before = INT64_MAX;
    int rc = -1;
    tw_sample_init(&s);
    tw_reader *r = tw_reader_open(endpoint, &o->limits, NULL);
    if (r != NULL)
        while ((rc = tw_reader_next(r, &s)) == 1) {
            before = n == 0 ? places_before(tw_reader_header(r), &s) : before;
            bytes += (int64_t)s.record_size;
            n++;
            labels += s.label >= 0;
        }
    if (rc == 0) {
        printf("%s: %s: %lld samples (%lld labelled), %lld skipped, %lld bytes of samples\n", tw_reader_name(r),
               tw_kind_names[tw_reader_header(r)->kind], (long long)n, (long long)labels, (long long)tw_reader_end(r)->skipped,
               (long long)bytes);
        compare_numbers(r, before);
    } else {
        tw_complain("%s", tw_error());
    }
    tw_reader_close(r);
    tw_sample_fini(&s);
    return rc == 0;
}

static int check_all(const struct opts *o, const tw_strings *inputs)
{
    bool good = true;
    for (int i = 0; i < inputs->n; i++)
        good = check(inputs->item[i], o) && good;
    if (tw_program_printed() != 0)
        tw_die_error();
    return good ? TW_EXIT_OK : TW_EXIT_FAILED;
}

/* Checks the files to be written besides the stream. */
static void check_files(const struct opts *o)
{
    tw_program_file("table", o->table);
    tw_program_file("sheet", o->sheet);
    tw_program_file("log", o->log);
    for (int i = 0; i < o->npy.n; i++) {
        struct stat st;
        const char *equals = strchr(o->npy.item[i], '='), *to = equals != NULL ? equals + 1 : "";
        if (strcmp(to, "-") == 0 || (stat(to, &st) == 0 && !S_ISREG(st.st_mode)))
            tw_die_usage("--npy: '%s': not a regular file", o->npy.item[i]); /* the header is rewritten at the end, so it must be seekable */
    }
}

static void parse(struct opts *o, tw_strings *inputs)
{
    const tw_opt table[] = {
        {'i', "input", TW_OPT_STRING, &o->input, 0, 0, NULL},
        {'o', "output", TW_OPT_STRING, &o->output, 0, 0, NULL},
        {0, "json", TW_OPT_FLAG, &o->json, 0, 0, NULL},
        {0, "header", TW_OPT_FLAG, &o->header, 0, 0, NULL},
        {0, "check", TW_OPT_FLAG, &o->check, 0, 0, NULL},
        {0, "npy", TW_OPT_LIST, &o->npy, 0, 0, NULL},
        {0, "table", TW_OPT_STRING, &o->table, 0, 0, NULL},
        {0, "rejects", TW_OPT_STRING, &o->rejects, 0, 0, NULL},
        {0, "sheet", TW_OPT_STRING, &o->sheet, 0, 0, NULL},
        {0, "head", TW_OPT_I64, &o->head, 0, 9e15, NULL},
        {0, "skip", TW_OPT_I64, &o->skip, 0, 9e15, NULL},
        {0, "stats", TW_OPT_FLAG, &o->stats, 0, 0, NULL},
        {0, "log", TW_OPT_STRING, &o->log, 0, 0, NULL},
        {0, "max-record", TW_OPT_SIZE, &o->limits.record, 1, 0x1p50, NULL},
        {0, "max-keys", TW_OPT_INT, &o->limits.keys, 1, 1 << 30, NULL},
        {0, "max-depth", TW_OPT_INT, &o->limits.depth, 1, TW_SCAN_DEPTH, NULL},
    };
    tw_program_options(table, sizeof table / sizeof *table, &o->common, inputs, usage);
    for (int i = 0; i < o->npy.n; i++)
        if (!tw_is_column(o->npy.item[i]))
            tw_die_usage("--npy: '%s' is not FIELD=FILE with FIELD one of %s", o->npy.item[i], TW_COLUMNS);
    const bool shows = o->json || o->header || o->npy.n > 0 || o->sheet != NULL || o->table != NULL;
    if (o->check && (shows || o->stats || o->log != NULL || o->output != NULL || o->head >= 0 || o->skip > 0))
        tw_die_usage("--check stands alone");
    if (o->header && (o->json || o->npy.n > 0 || o->sheet != NULL || o->table != NULL || o->stats || o->log != NULL || o->output != NULL))
        tw_die_usage("--header stands alone");
    if (o->rejects != NULL && (o->table == NULL || o->head >= 0 || o->skip > 0 || inputs->n > 1))
        tw_die_usage("--rejects: only with --table, and with one whole stream");
    check_files(o);
    if (o->json && o->output != NULL && strcmp(o->output, "-") == 0)
        tw_die_usage("--json and -o - would both write to standard output");
    if (o->input != NULL && inputs->n > 0)
        tw_die_usage("-i and operands exclude each other");
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
