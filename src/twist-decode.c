/* twist-decode: finds, orders, shards and decodes pictures. */
#include "core/budget.h"
#include "core/mem.h"
#include "core/pool.h"
#include "core/program.h"
#include "core/relay.h"
#include "image/decode.h"
#include "source/options.h"
#include "source/order.h"
#include "source/rejects.h"
#include "source/sequence.h"
#include "stream/reader.h"
#include "stream/writer.h"

#include <malloc.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

static const char usage[] =
    "usage: twist-decode [options] SOURCE...\n"
    "Decodes pictures into an images stream. A SOURCE is a folder (class = first-level subfolder), a .tar shard, an image file, or, read from\n"
    "first to last, a .tar.gz or .tar.zst file or - (a tar on standard input).\n"
    "      --list FILE        also the pictures of `path[TAB label]` lines (-: stdin); may be repeated   -0, --null  ended by NUL, no labels\n"
    "      --labels FILE      labels from `name TAB label` lines, .csv, .tsv or .jsonl, instead of the sources' own\n"
    "      --listing FILE     keep the listing of the folders in FILE and use it while they are unchanged\n"
    "      --subset FILE      keep only the pictures named in FILE        --every N  keep only each N-th of them (default 1)\n"
    "  -i, --input ENDPOINT   decode a files stream instead of SOURCEs    -o, --output ENDPOINT  -, a file, tcp://, ipc:// (default -)\n"
    "      --shuffle          a new order each epoch (default: sorted)    --seed N   of the order (default 0)\n"
    "      --epochs N         epochs in all (default 1)                   --start-epoch N  the first one to make (default 0)\n"
    "      --skip N           leave out the first N samples of the first epoch (default 0)\n"
    "      --limit N          only the first N places of each epoch's order (default 0: all)\n"
    "      --shard R/W[/B]    every W-th place from the R-th on, or block of B places (default 0/1)\n"
    "      --shrink-to PX     JPEG: decode at 1/2, 1/4, 1/8 size, short side never below PX (default 0: off)\n"
    "      --max-pixels N     larger images are bad (default 178956970)   --exif-rotate  turn upright as the Exif orientation says\n"
    "      --truncated WHAT   bad, or keep: what decoded of a damaged image or archive counts (default bad)\n"
    "      --on-error WHAT    bad images: skip, fail, or substitute the next good one (default skip)\n"
    "      --max-errors N|R%  fail with more bad images than this (default: any number)\n"
    "      --rejects FILE     write path, TAB, cause of each bad image\n"
    "  -j, --jobs N           threads (default: the processors); the output does not depend on it\n"
    "      --log FILE         append a line of JSON: samples, seconds, seconds spent reading and waiting\n"
    "      --no-history       leave this command out of the header's history\n"
    "  -q, --quiet  errors only   -v, --verbose  say more   --progress  even where stderr is no terminal\n"
    "  -h, --help   this text     -V, --version  version\n";

static const char *const truncated_names[] = {"bad", "keep", NULL};

enum { KEEP_IMAGE = 6 << 20, KEEP_FILE = 1 << 20 }; /* bytes; larger blocks are freed after each picture */
static const size_t BUDGET = 40u << 20;             /* bytes per thread beyond the first (core/budget.h) */

struct opts {
    tw_data_options data;
    const char *input, *output, *log;
    int64_t max_pixels;
    int shrink_to, truncated, jobs;
    bool exif_rotate;
    tw_common common;
};

struct run;

/* One sample in progress: which one it is, then its record or its error. */
struct job {
    struct run *run;
    uint64_t number;    /* number of the job, in the order of submission */
    uint64_t i;         /* place within the shard's epoch */
    int64_t epoch;
    tw_sample sample;   /* files stream: as read; sequential archive: all fields except the image */
    tw_picture member;  /* sequential archive only */
    tw_image image;
    void *file;         /* the undecoded file */
    size_t file_cap;
    tw_parts record;    /* refers to the image */
    bool bad, last;     /* bad: no record; last: the last place of its epoch */
    bool no_fault;      /* the failure is not the picture's fault: memory or descriptors were short */
    char path[TW_REJECT_PATH], cause[600]; /* the bad picture and its error, also if a substitute was found; cause "": no error */
    size_t path_size;
};

struct run {
    struct opts o;
    tw_decode_options how;
    tw_source *source;     /* exactly one of these three is set */
    tw_sequence *sequence;
    tw_reader *reader;
    tw_order order;
    _Atomic uint8_t *bad;  /* with --on-error=substitute: one bit per picture, set if it is known to be bad and no candidate for a substitute */
    tw_rejects rejects;
    tw_writer *writer;
    tw_budget *budget;
    struct job *job;
    void **jobs;
    int n_jobs;
    uint64_t taken;
    int64_t epoch, place;  /* of the next sample; place in the shard's epoch, or in the sequential archives */
    int64_t mine;          /* sequential archives: pictures so far that belong to this shard */
    bool alone;            /* at the end of an epoch: waiting until no job uses its order any more */
    double *reading;       /* seconds spent reading files, per worker */
    int64_t written, skipped, in_all;
    double start;
};

static void parse(struct opts *o, tw_strings *operands, int argc, char **argv)
{
    const tw_opt own[] = {
        {'i', "input", TW_OPT_STRING, &o->input, 0, 0, NULL},
        {'o', "output", TW_OPT_STRING, &o->output, 0, 0, NULL},
        {0, "shrink-to", TW_OPT_INT, &o->shrink_to, 0, 65535, NULL},
        {0, "max-pixels", TW_OPT_I64, &o->max_pixels, 1, 1e12, NULL},
        {0, "exif-rotate", TW_OPT_FLAG, &o->exif_rotate, 0, 0, NULL},
        {0, "truncated", TW_OPT_CHOICE, &o->truncated, 0, 0, truncated_names},
        {'j', "jobs", TW_OPT_INT, &o->jobs, 1, 1024, NULL},
        {0, "log", TW_OPT_STRING, &o->log, 0, 0, NULL},
    };
    tw_opt table[TW_DATA_ROWS + sizeof own / sizeof *own];
    memcpy(table + tw_data_rows(table, &o->data), own, sizeof own);
    tw_program_start("twist-decode", argc, argv);
    tw_program_options(table, sizeof table / sizeof *table, &o->common, operands, usage);
    if (tw_data_settle(&o->data) != 0)
        tw_die_usage("%s", tw_error());
    tw_program_file("rejects", o->data.rejects);
    tw_program_file("log", o->log);
    o->data.from.operand = operands->item;
    o->data.from.n_operands = operands->n;
    o->data.from.keep_cut = o->truncated == 1;
    o->data.from.jobs = o->jobs;
}

/* Refuses options that need random access, for a files stream or a sequential archive. */
static void refuse(const char *const *names, size_t n, const struct opts *o, const char *why)
{
    for (size_t i = 0; i < n; i++)
        if (tw_opts_given(names[i]) && !(strcmp(names[i], "on-error") == 0 && o->data.on_error != TW_BAD_SUBSTITUTE))
            tw_die_usage("--%s: %s", names[i], why);
}

static bool check_sources(const struct opts *o)
{
    static const char *const order[] = {"shuffle", "seed", "epochs", "start-epoch", "on-error", "list", "listing"};
    static const char *const stream[] = {"subset", "labels", "every", "skip", "limit", "shard"};
    int sequences = 0;
    for (int i = 0; i < o->data.from.n_operands; i++)
        sequences += tw_is_sequence(o->data.from.operand[i]);
    if (o->input != NULL) {
        if (o->data.from.n_operands > 0)
            tw_die_usage("%s: sources and -i exclude each other", o->data.from.operand[0]);
        refuse(order, sizeof order / sizeof *order, o, "not with -i: a files stream has its own order");
        refuse(stream, sizeof stream / sizeof *stream, o, "not with -i: a files stream has its own samples");
    } else if (sequences > 0) {
        if (sequences != o->data.from.n_operands)
            tw_die_usage("archives that are read in sequence cannot be combined with other sources");
        refuse(order, sizeof order / sizeof *order, o, "an archive that is read in sequence has one pass in its own order");
    } else if (o->data.from.n_operands == 0 && o->data.from.list.n == 0) {
        tw_die_usage("no SOURCE: a folder, archives, image files, --list or -i");
    }
    return sequences > 0;
}

/* The decoder's claim callback: reserves the memory it will need. */
static void claim(void *context, size_t bytes)
{
    struct job *j = context;
    tw_budget_take(j->run->budget, j->number, bytes);
}

static int decode(struct job *j, const void *bytes, size_t size)
{
    tw_decode_options how = j->run->how;
    how.claim = claim;
    how.context = j;
    return tw_image_decode(&j->image, bytes, size, &how);
}

static void set_bad(struct job *j, const char *path, size_t size)
{
    j->path_size = size < sizeof j->path ? size : sizeof j->path;
    memcpy(j->path, path, j->path_size);
    snprintf(j->cause, sizeof j->cause, "%s", tw_error());
}

static void encode(struct job *j, tw_sample *s)
{
    const unsigned before = tw_shortages();
    s->image = (tw_tensor){TW_U8, 3, {j->image.h, j->image.w, 3}, j->image.data};
    j->bad = tw_parts_sample(&j->record, s) != 0;
    if (!j->bad)
        return;
    set_bad(j, s->key, s->key_size);
    j->no_fault = tw_shortages() != before;
}

static int read_and_decode(struct job *j, uint64_t index, int worker)
{
    const double start = tw_now();
    size_t size;
    int rc = tw_source_read(j->run->source, index, &j->file, &j->file_cap, &size);
    j->run->reading[worker] += tw_now() - start;
    if (rc != 0)
        return -1;
    if (j->file_cap > KEEP_FILE)
        claim(j, j->file_cap);
    rc = decode(j, j->file, size);
    if (j->file_cap > KEEP_FILE) {
        free(j->file);
        j->file = NULL;
        j->file_cap = 0;
    }
    return rc;
}

static bool is_known_bad(struct run *r, uint64_t index)
{
    return r->bad != NULL && (atomic_load_explicit(&r->bad[index / 8], memory_order_relaxed) >> index % 8 & 1) != 0;
}

static void note_bad(struct run *r, uint64_t index)
{
    if (r->bad != NULL)
        atomic_fetch_or_explicit(&r->bad[index / 8], (uint8_t)(1u << index % 8), memory_order_relaxed);
}

/* Makes the sample of a place: its own picture or, with --on-error=substitute, the next good one in the epoch's order. */
static void run_place(struct run *r, struct job *j, int worker)
{
    const uint64_t tries = r->bad != NULL ? r->order.limit : 1, wanted = tw_order_index(&r->order, j->i);
    for (uint64_t t = 0; t < tries; t++) {
        const uint64_t index = tw_order_behind(&r->order, j->i, t);
        const char *path = tw_source_path(r->source, index);
        const unsigned before = tw_shortages();
        if (t > 0 && is_known_bad(r, index)) /* its error is reported at its own place */
            continue;
        if (read_and_decode(j, index, worker) != 0) {
            j->no_fault = tw_shortages() != before;
            if (t == 0 || j->no_fault)
                set_bad(j, path, strlen(path));
            if (j->no_fault)
                break;
            note_bad(r, index);
            continue;
        }
        tw_sample s;
        tw_sample_init(&s);
        s.key = path;
        s.key_size = strlen(s.key);
        s.index = (int64_t)index;
        s.epoch = j->epoch;
        s.pos = (int64_t)tw_order_pos(&r->order, j->i);
        s.label = tw_source_label(r->source, index);
        s.sub = t > 0 ? (int64_t)wanted : -1;
        encode(j, &s);
        return;
    }
    j->bad = true;
}

/* Makes the sample of a job that already has the undecoded file: from a files stream or a sequential archive. */
static void run_bytes(struct job *j)
{
    tw_sample *s = &j->sample;
    const unsigned before = tw_shortages();
    if (decode(j, s->bytes, s->bytes_size) != 0) {
        set_bad(j, s->key, s->key_size);
        j->bad = true;
        j->no_fault = tw_shortages() != before;
        return;
    }
    s->bytes = NULL;
    encode(j, s);
}

static void work(void *job, int worker, void *context)
{
    struct job *j = job;
    struct run *r = context;
    j->bad = j->no_fault = false;
    j->cause[0] = '\0';
    if (r->source != NULL)
        run_place(r, j, worker);
    else
        run_bytes(j);
}

static noreturn void give_up(struct run *r)
{
    tw_writer_abandon(r->writer);
    tw_reader_close(r->reader);
    tw_die_error();
}

static int handle_bad(struct run *r, const struct job *j)
{
    char name[2 * TW_REJECT_PATH + 1];
    tw_rejects_spell(name, j->path, j->path_size);
    if (j->no_fault)
        return tw_fail("%s: %s", name, j->cause);
    if (r->o.data.on_error == TW_BAD_FAIL) {
        tw_rejects_add(&r->rejects, j->path, j->path_size, j->cause, r->in_all);
        return tw_fail("%s: %s", name, j->cause);
    }
    if (j->bad && r->o.data.on_error == TW_BAD_SUBSTITUTE)
        return tw_fail("%s: %s; and there is no good image to take its place", name, j->cause);
    tw_complain("%s: %s; %s", name, j->cause, j->bad ? "skipped" : "the next good image takes its place");
    return tw_rejects_add(&r->rejects, j->path, j->path_size, j->cause, r->in_all);
}

/* Prepares the job for its next sample; frees large blocks. */
static void release(struct run *r, struct job *j)
{
    if (j->image.cap > KEEP_IMAGE || j->image.spare_cap > KEEP_IMAGE)
        tw_image_fini(&j->image);
    free(j->member.name);
    free(j->member.bytes);
    j->member = (tw_picture){0};
    tw_budget_done(r->budget);
}

static int write_out(void *job, void *context)
{
    struct run *r = context;
    struct job *j = job;
    int rc = j->cause[0] != '\0' ? handle_bad(r, j) : 0;
    if (rc == 0 && !j->bad)
        rc = tw_writer_parts(r->writer, &j->record);
    if (rc != 0) {
        tw_budget_lift(r->budget); /* workers may be waiting for this job's end */
        return -1;
    }
    r->skipped += j->bad;
    r->written += !j->bad;
    if (j->last)
        tw_note(1, "epoch %lld: %lld written, %lld skipped", (long long)j->epoch, (long long)r->written, (long long)r->skipped);
    release(r, j);
    tw_progress_count(r->written, r->in_all, "images", r->start);
    return 0;
}

/* Relay step `take` for a data set: the next place of the order. The permutation is replaced only when no job uses it (TW_RELAY_LATER). */
static int take_place(void *job, size_t *held, void *context)
{
    struct run *r = context;
    struct job *j = job;
    const int64_t n = (int64_t)tw_order_count(&r->order), last = r->o.data.epochs - 1;
    (void)held;
    if (n == 0 || r->epoch > last || (r->epoch == last && r->place >= n))
        return TW_RELAY_END;
    if (r->place >= n) {
        r->alone = !r->alone;
        if (r->alone && r->order.shuffle)
            return TW_RELAY_LATER;
        r->alone = false;
        r->place = 0;
        tw_order_epoch(&r->order, ++r->epoch);
    }
    j->i = (uint64_t)r->place++;
    j->epoch = r->epoch;
    j->last = r->place == n;
    j->number = r->taken++;
    return TW_RELAY_JOB;
}

/* Relay step `take` for a files stream: the next sample. */
static int take_record(void *job, size_t *held, void *context)
{
    struct run *r = context;
    struct job *j = job;
    (void)held;
    const int rc = tw_reader_next(r->reader, &j->sample);
    if (rc != 1)
        return rc < 0 ? -1 : TW_RELAY_END;
    j->number = r->taken++;
    return TW_RELAY_JOB;
}

/* Relay step `take` for sequential archives: the next picture that belongs to this shard. */
static int take_member(void *job, size_t *held, void *context)
{
    struct run *r = context;
    struct job *j = job;
    const tw_data_options *o = &r->o.data;
    int64_t label, pos;
    tw_picture p;
    (void)held;
    for (;;) {
        const int rc = o->limit == 0 || r->place < o->limit ? tw_sequence_next(r->sequence, &p, &label) : 0;
        if (rc != 1) /* only now is it known whether --skip exceeds the epoch */
            return rc < 0 || tw_data_epochs(o, r->mine) < 0 ? -1 : TW_RELAY_END;
        pos = r->place++;
        if (tw_share_has(&o->share, pos) && r->mine++ >= o->skip)
            break;
        free(p.name);
        free(p.bytes);
    }
    tw_sample_init(&j->sample);
    j->member = p;
    j->sample.key = p.name;
    j->sample.key_size = strlen(p.name);
    j->sample.index = j->sample.pos = pos;
    j->sample.label = label;
    j->sample.bytes = p.bytes;
    j->sample.bytes_size = (size_t)p.size;
    j->number = r->taken++;
    return TW_RELAY_JOB;
}

static bool input_ready(void *context, int ms)
{
    struct run *r = context;
    return tw_reader_ready(r->reader, ms);
}

static int flush(void *context)
{
    struct run *r = context;
    return tw_writer_flush(r->writer);
}

static void samples(struct run *r)
{
    static const tw_relay_steps places = {take_place, work, write_out, NULL, NULL, 0}, members = {take_member, work, write_out, NULL, NULL, 0},
                                records = {take_record, work, write_out, input_ready, flush, 0};
    const tw_relay_steps *steps = r->source != NULL ? &places : r->sequence != NULL ? &members : &records;
    if (tw_relay(steps, r->o.jobs, r->jobs, r->n_jobs, r) != 0)
        give_up(r);
    if (r->reader != NULL && __builtin_add_overflow(r->skipped, tw_reader_end(r->reader)->skipped, &r->skipped)) {
        tw_fail("%s: more inputs skipped than can be counted", tw_reader_name(r->reader));
        give_up(r);
    }
}

static void open_source(struct run *r, tw_header *h)
{
    const struct opts *o = &r->o;
    r->source = tw_data_open(&o->data);
    if (r->source == NULL)
        tw_die_error();
    const uint64_t n = tw_source_count(r->source);
    if (tw_order_init(&r->order, n, (uint64_t)o->data.limit, o->data.shuffle, (uint64_t)o->data.seed, &o->data.share) != 0)
        tw_die_error();
    if (o->data.on_error == TW_BAD_SUBSTITUTE && (r->bad = tw_calloc(n / 8 + 1, 1)) == NULL)
        tw_die_error();
    const int64_t count = (int64_t)tw_order_count(&r->order);
    if (tw_data_header(h, TW_IMAGES, &o->data, r->source, count) != 0)
        tw_die_error();
    r->epoch = o->data.start_epoch;
    r->place = o->data.skip;
    tw_order_epoch(&r->order, r->epoch);
    r->in_all = h->epochs > 0 ? h->epochs * count - o->data.skip : 0;
    tw_note(1, "%llu pictures, %d classes, found in %.2f s", (unsigned long long)n, h->n_classes < 0 ? 0 : h->n_classes, tw_now() - r->start);
}

static void open_sequence(struct run *r, tw_header *h)
{
    r->sequence = tw_sequence_open(&r->o.data.from);
    if (r->sequence == NULL)
        tw_die_error();
    *h = (tw_header){.kind = TW_IMAGES, .samples = -1, .epochs = 1, .n_classes = tw_sequence_n_classes(r->sequence),
                     .classes = tw_sequence_classes(r->sequence)};
    r->in_all = -1;
}

static void open_stream(struct run *r, tw_header *h)
{
    r->reader = tw_reader_open(r->o.input, NULL, NULL);
    if (r->reader == NULL)
        tw_die_error();
    *h = *tw_reader_header(r->reader);
    if (h->kind != TW_FILES)
        tw_die("%s: a stream of %s; want a files stream", tw_reader_name(r->reader), tw_kind_names[h->kind]);
    h->kind = TW_IMAGES;
    if (h->samples <= 0 || h->epochs <= 0 || __builtin_mul_overflow(h->samples, h->epochs, &r->in_all))
        r->in_all = -1;
}

static void plan(struct run *r)
{
    const int jobs = r->o.jobs;
    r->n_jobs = 2 * jobs + 8;
    r->job = tw_calloc((size_t)r->n_jobs, sizeof *r->job);
    r->jobs = tw_calloc((size_t)r->n_jobs, sizeof *r->jobs);
    r->reading = tw_calloc((size_t)jobs, sizeof *r->reading);
    r->budget = tw_budget_new(BUDGET * (size_t)jobs - BUDGET, r->n_jobs);
    if (r->job == NULL || r->jobs == NULL || r->reading == NULL || r->budget == NULL)
        tw_die_error();
    for (int i = 0; i < r->n_jobs; i++) {
        struct job *j = r->jobs[i] = &r->job[i];
        tw_sample_init(&j->sample);
        j->run = r;
    }
}

/* Completes the outputs; this can still fail. */
static void finish(struct run *r)
{
    tw_waits w = {.samples = r->written, .output = tw_writer_waited(r->writer)};
    const int64_t all = r->skipped < INT64_MAX - r->written ? r->written + r->skipped : INT64_MAX;
    const bool rest = r->o.data.skip > 0 && r->o.data.epochs == r->o.data.start_epoch + 1; /* then the few samples left may all be bad */
    if (r->written == 0 && r->skipped > 0 && !rest) {
        tw_fail("no good image among %lld", (long long)r->skipped);
        give_up(r);
    }
    if (tw_rejects_close(&r->rejects, all) != 0)
        give_up(r);
    const int64_t own = r->skipped - (r->reader != NULL ? tw_reader_end(r->reader)->skipped : 0); /* the others were reported upstream */
    if (own > 0)
        tw_warn("%lld bad image%s left out", (long long)own, own == 1 ? "" : "s");
    if (tw_writer_finish(r->writer, r->skipped) != 0)
        tw_die_error();
    for (int i = 0; i < r->o.jobs; i++)
        w.input += r->reading[i] / r->o.jobs;
    if (r->reader != NULL)
        w.input = tw_reader_waited(r->reader);
    if (r->sequence != NULL)
        w.input = tw_sequence_waited(r->sequence);
    w.seconds = tw_now() - r->start;
    if (tw_program_waits(r->o.log, &w) != 0)
        tw_die_error();
}

static void free_all(struct run *r)
{
    for (int i = 0; i < r->n_jobs; i++) {
        tw_sample_fini(&r->job[i].sample);
        tw_image_fini(&r->job[i].image);
        tw_parts_fini(&r->job[i].record);
        free(r->job[i].file);
    }
    free(r->job);
    free(r->jobs);
    free(r->reading);
    tw_budget_free(r->budget);
    tw_order_fini(&r->order);
    free((void *)r->bad);
    tw_source_close(r->source);
    tw_sequence_close(r->sequence);
    tw_reader_close(r->reader);
}

int main(int argc, char **argv)
{
    static struct run r = {.o = {.output = "-", .data = TW_DATA_DEFAULT, .max_pixels = 178956970}};
    tw_strings operands = {0};
    tw_header h;
    mallopt(M_MMAP_THRESHOLD, KEEP_IMAGE); /* freed large blocks are returned to the system */
    if (sched_getscheduler(0) == SCHED_OTHER) /* lets the reader of the stream run before this program decodes ahead */
        sched_setscheduler(0, SCHED_BATCH, &(struct sched_param){0});
    r.start = tw_now();
    r.o.jobs = tw_processors();
    parse(&r.o, &operands, argc, argv);
    if (tw_rejects_init(&r.rejects, r.o.data.max_errors) != 0)
        tw_die_usage("%s", tw_error());
    const bool in_sequence = check_sources(&r.o);
    r.how = (tw_decode_options){r.o.max_pixels, r.o.shrink_to, r.o.exif_rotate, r.o.truncated == 1, NULL, NULL};
    if (r.o.input != NULL)
        open_stream(&r, &h);
    else if (in_sequence)
        open_sequence(&r, &h);
    else
        open_source(&r, &h);
    if (tw_program_beside("--rejects", r.o.data.rejects, r.o.output) != 0 || tw_program_log_check(r.o.log, r.o.output) != 0 ||
        tw_rejects_open(&r.rejects, r.o.data.rejects, tw_data_goes_on(&r.o.data)) != 0)
        tw_die_error();
    r.writer = tw_writer_open(r.o.output, &h, r.o.common.no_history ? NULL : tw_program_command());
    if (r.writer == NULL)
        tw_die_error();
    plan(&r);
    samples(&r);
    tw_progress_end();
    finish(&r);
    free_all(&r);
    free(operands.item);
    return TW_EXIT_OK;
}
