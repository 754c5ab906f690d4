/* twist-decode: finds, orders, shards and decodes pictures. */
#include "core/file.h"
#include "core/mem.h"
#include "core/pool.h"
#include "core/program.h"
#include "image/decode.h"
#include "source/order.h"
#include "source/source.h"
#include "stream/reader.h"
#include "stream/writer.h"

#include <stdlib.h>
#include <string.h>

static const char usage[] =
    "usage: twist-decode [options] SOURCE...\n"
    "Decodes pictures into an images stream. A SOURCE is a folder (class = first-level subfolder) or an image file.\n"
    "      --list FILE          also the pictures of `path[TAB label]` lines (-: standard input)\n"
    "      --subset FILE        keep only the pictures whose names are in FILE\n"
    "      --labels FILE        labels from `name TAB label` lines instead of the folders\n"
    "  -i, --input ENDPOINT     decode a files stream instead of SOURCEs\n"
    "  -o, --output ENDPOINT    -, a file (default -)\n"
    "      --shuffle            a new order each epoch (default: sorted)    --seed N  of the order (default 0)\n"
    "      --epochs N           epochs in all (default 1)    --start-epoch N  the first one to make (default 0)\n"
    "      --skip N             leave out the first N samples of the first epoch (default 0)\n"
    "      --limit N            only the first N places of each epoch's order (default 0: all)\n"
    "      --shard R/W          every W-th place from the R-th on (default 0/1)\n"
    "      --shrink-to PX       JPEG: decode at 1/2, 1/4, 1/8 size, short side never below PX (default 0: off)\n"
    "      --max-pixels N       larger images are bad (default 178956970)\n"
    "      --exif-rotate        turn upright as the Exif orientation says\n"
    "      --truncated WHAT     bad, or keep: what decoded of a damaged image counts (default bad)\n"
    "      --on-error WHAT      bad images: skip, fail, or substitute the next good one (default skip)\n"
    "  -j, --jobs N             threads (default: the processors); the output does not depend on it\n"
    "      --no-history         leave this command out of the header's history\n"
    "  -q, --quiet  errors only   -v, --verbose  say more   --progress  even where stderr is no terminal\n"
    "  -h, --help   this text     -V, --version  version\n";

enum { SKIP, FAIL, SUBSTITUTE };
static const size_t MAX_FILE = (size_t)1 << 30;
static const char *const on_error_names[] = {"skip", "fail", "substitute", NULL};
static const char *const truncated_names[] = {"bad", "keep", NULL};

struct opts {
    const char *list, *subset, *labels, *input, *output, *shard;
    bool shuffle;
    int64_t seed, epochs, start_epoch, skip, limit, max_pixels;
    int shrink_to, truncated, on_error, jobs, rank, ranks;
    bool exif_rotate;
    tw_common common;
};

/* One sample on its way: what it is, then its record or what is wrong with it. */
struct job {
    uint64_t i;        /* place within the shard's epoch; of a files stream: not used */
    int64_t epoch;
    tw_sample sample;  /* of a files stream: as read */
    tw_image image;
    void *file;        /* what was read of a file */
    size_t file_cap;
    tw_parts record;   /* refers to the image */
    bool bad;
    char message[600]; /* what was wrong with the sample (also where another took its place) */
};

struct run {
    struct opts o;
    tw_decode_options how;
    tw_source *source; /* NULL: a files stream */
    tw_reader *reader;
    tw_order order;
    tw_writer *writer;
    tw_pool *pool;
    struct job *job, **idle;
    int n_jobs, n_idle;
    int64_t written, skipped, in_all;
    double start;
};

static void parse(struct opts *o, tw_strings *operands, int argc, char **argv)
{
    const tw_opt table[] = {
        {0, "list", TW_OPT_STRING, &o->list, 0, 0, NULL},
        {0, "subset", TW_OPT_STRING, &o->subset, 0, 0, NULL},
        {0, "labels", TW_OPT_STRING, &o->labels, 0, 0, NULL},
        {'i', "input", TW_OPT_STRING, &o->input, 0, 0, NULL},
        {'o', "output", TW_OPT_STRING, &o->output, 0, 0, NULL},
        {0, "shuffle", TW_OPT_FLAG, &o->shuffle, 0, 0, NULL},
        {0, "seed", TW_OPT_I64, &o->seed, 0, 9e18, NULL},
        {0, "epochs", TW_OPT_I64, &o->epochs, 0, 1 << 24, NULL},
        {0, "start-epoch", TW_OPT_I64, &o->start_epoch, 0, 1 << 24, NULL},
        {0, "skip", TW_OPT_I64, &o->skip, 0, 1e15, NULL},
        {0, "limit", TW_OPT_I64, &o->limit, 0, 1e15, NULL},
        {0, "shard", TW_OPT_STRING, &o->shard, 0, 0, NULL},
        {0, "shrink-to", TW_OPT_INT, &o->shrink_to, 0, 65535, NULL},
        {0, "max-pixels", TW_OPT_I64, &o->max_pixels, 1, 1e12, NULL},
        {0, "exif-rotate", TW_OPT_FLAG, &o->exif_rotate, 0, 0, NULL},
        {0, "truncated", TW_OPT_CHOICE, &o->truncated, 0, 0, truncated_names},
        {0, "on-error", TW_OPT_CHOICE, &o->on_error, 0, 0, on_error_names},
        {'j', "jobs", TW_OPT_INT, &o->jobs, 1, 1024, NULL},
    };
    tw_program_start("twist-decode", argc, argv);
    tw_program_options(table, sizeof table / sizeof *table, &o->common, operands, usage);
    if (o->shard != NULL) {
        char end;
        if (sscanf(o->shard, "%d/%d%c", &o->rank, &o->ranks, &end) != 2 || o->ranks < 1 || o->rank < 0 || o->rank >= o->ranks)
            tw_die_usage("--shard: '%s' is not R/W with 0 <= R < W", o->shard);
    }
    if (o->input == NULL && operands->n == 0 && o->list == NULL)
        tw_die_usage("no SOURCE: a folder, image files, --list or -i");
    if (o->input == NULL)
        return;
    if (operands->n > 0)
        tw_die_usage("%s: sources and -i exclude each other", operands->item[0]);
    static const char *const by_order[] = {"list",        "subset", "labels", "shuffle", "seed",  "epochs",
                                           "start-epoch", "skip",   "limit",  "shard",   "on-error"};
    for (size_t i = 0; i < sizeof by_order / sizeof *by_order; i++)
        if (tw_opts_given(by_order[i]) && !(strcmp(by_order[i], "on-error") == 0 && o->on_error != SUBSTITUTE))
            tw_die_usage("--%s: the order of a files stream is its own", by_order[i]);
}

/* Reads and decodes the picture of that number. */
static int decode_file(struct run *r, struct job *j, uint64_t index)
{
    const char *path = tw_source_path(r->source, index);
    size_t size;
    if (tw_file_load(path, &j->file, &j->file_cap, &size, MAX_FILE) != 0)
        return -1;
    return tw_image_decode(&j->image, j->file, size, &r->how) == 0 ? 0 : tw_fail("%s: %s", path, tw_error());
}

static void encode(struct job *j, tw_sample *s)
{
    s->image = (tw_tensor){TW_U8, 3, {j->image.h, j->image.w, 3}, j->image.data};
    j->bad = tw_parts_sample(&j->record, s) != 0;
    if (j->bad)
        snprintf(j->message, sizeof j->message, "%s", tw_error());
}

/* A sample of the data set: itself or, with --on-error=substitute, the next good one in the order of the shard. */
static void run_place(struct run *r, struct job *j)
{
    const uint64_t n = tw_order_count(&r->order);
    const uint64_t tries = r->o.on_error == SUBSTITUTE ? n : 1, wanted = tw_order_index(&r->order, j->i);
    for (uint64_t t = 0; t < tries; t++) {
        const uint64_t index = tw_order_index(&r->order, (j->i + t) % n);
        if (decode_file(r, j, index) != 0) {
            if (t == 0)
                snprintf(j->message, sizeof j->message, "%s", tw_error());
            continue;
        }
        tw_sample s;
        tw_sample_init(&s);
        s.key = tw_source_path(r->source, index);
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

/* A sample of a files stream. */
static void run_record(struct run *r, struct job *j)
{
    tw_sample *s = &j->sample;
    if (s->bytes == NULL) {
        j->bad = true;
        snprintf(j->message, sizeof j->message, "%.*s: no bytes in this record", (int)s->key_size, s->key);
    } else if (tw_image_decode(&j->image, s->bytes, s->bytes_size, &r->how) != 0) {
        j->bad = true;
        snprintf(j->message, sizeof j->message, "%.*s: %s", (int)s->key_size, s->key, tw_error());
    } else {
        s->bytes = NULL;
        encode(j, s);
    }
}

static void work(void *job, int worker, void *context)
{
    struct job *j = job;
    struct run *r = context;
    (void)worker;
    j->bad = false;
    j->message[0] = '\0';
    if (r->source != NULL)
        run_place(r, j);
    else
        run_record(r, j);
}

static noreturn void give_up(struct run *r)
{
    tw_writer_abandon(r->writer);
    tw_reader_close(r->reader);
    tw_die_error();
}

static void write_out(struct run *r, struct job *j)
{
    if (j->message[0] != '\0' && r->o.on_error == FAIL) {
        tw_fail("%s", j->message);
        give_up(r);
    }
    if (j->bad && r->o.on_error == SUBSTITUTE) {
        tw_fail("%s; and there is no good image to take its place", j->message);
        give_up(r);
    }
    if (j->message[0] != '\0')
        tw_complain("%s; %s", j->message, j->bad ? "skipped" : "the next good image takes its place");
    if (j->bad)
        r->skipped++;
    else if (tw_writer_parts(r->writer, &j->record) != 0)
        give_up(r);
    else
        r->written++;
    r->idle[r->n_idle++] = j;
    if (tw_progress_due()) {
        const double rate = (double)r->written / (tw_now() - r->start);
        if (r->in_all > 0)
            tw_progress("%lld of %lld images, %.0f/s", (long long)r->written, (long long)r->in_all, rate);
        else
            tw_progress("%lld images, %.0f/s", (long long)r->written, rate);
    }
}

/* A job to fill in; where all are under way, the oldest is written first. */
static struct job *next_job(struct run *r)
{
    while (r->n_idle == 0 || tw_pool_full(r->pool))
        write_out(r, tw_pool_take(r->pool));
    for (struct job *j; (j = tw_pool_take_ready(r->pool)) != NULL;)
        write_out(r, j);
    return r->idle[--r->n_idle];
}

static void drain(struct run *r)
{
    for (struct job *j; (j = tw_pool_take(r->pool)) != NULL;)
        write_out(r, j);
}

static void epochs(struct run *r)
{
    const uint64_t n = tw_order_count(&r->order);
    for (int64_t e = r->o.start_epoch; e < r->o.epochs; e++) {
        drain(r); /* the workers look into the order, which changes here */
        tw_order_epoch(&r->order, e);
        for (uint64_t i = e == r->o.start_epoch ? (uint64_t)r->o.skip : 0; i < n; i++) {
            struct job *j = next_job(r);
            j->i = i;
            j->epoch = e;
            tw_pool_submit(r->pool, j);
        }
        tw_note(1, "epoch %lld: %lld written, %lld skipped", (long long)e, (long long)r->written, (long long)r->skipped);
    }
    drain(r);
}

static void records(struct run *r)
{
    int rc;
    for (;;) {
        struct job *j = next_job(r);
        if ((rc = tw_reader_next(r->reader, &j->sample)) != 1)
            break;
        tw_pool_submit(r->pool, j);
    }
    if (rc < 0)
        give_up(r);
    drain(r);
    r->skipped += tw_reader_end(r->reader)->skipped;
}

static void open_sources(struct run *r, const tw_strings *operands, tw_header *h)
{
    const struct opts *o = &r->o;
    const tw_source_options so = {operands->item, operands->n, o->list, o->subset, o->labels};
    r->source = tw_source_open(&so);
    if (r->source == NULL)
        tw_die_error();
    const uint64_t n = tw_source_count(r->source);
    if (tw_order_init(&r->order, n, (uint64_t)o->limit, o->shuffle, (uint64_t)o->seed, o->rank, o->ranks) != 0)
        tw_die_error();
    const int64_t count = (int64_t)tw_order_count(&r->order);
    if (o->skip > count)
        tw_die("--skip=%lld: an epoch has only %lld samples", (long long)o->skip, (long long)count);
    const int64_t epochs = o->epochs > o->start_epoch ? o->epochs - o->start_epoch : 0;
    *h = (tw_header){.kind = TW_IMAGES, .samples = count, .epochs = epochs, .first_epoch = o->start_epoch,
                     .seed = (uint64_t)o->seed, .n_classes = tw_source_n_classes(r->source), .classes = tw_source_classes(r->source)};
    r->in_all = epochs > 0 ? epochs * count - o->skip : 0;
    tw_note(1, "%llu pictures, %d classes", (unsigned long long)n, h->n_classes < 0 ? 0 : h->n_classes);
}

static void open_stream(struct run *r, tw_header *h)
{
    r->reader = tw_reader_open(r->o.input, NULL, NULL);
    if (r->reader == NULL)
        tw_die_error();
    *h = *tw_reader_header(r->reader);
    if (h->kind != TW_FILES)
        tw_die("%s: a stream of %s; a files stream is wanted", tw_reader_name(r->reader), tw_kind_names[h->kind]);
    h->kind = TW_IMAGES;
    r->in_all = h->samples > 0 && h->epochs > 0 ? h->samples * h->epochs : 0;
}

static void start_pool(struct run *r)
{
    r->n_jobs = 2 * r->o.jobs + 2;
    r->job = tw_calloc((size_t)r->n_jobs + 1, sizeof *r->job);
    r->idle = tw_calloc((size_t)r->n_jobs + 1, sizeof *r->idle);
    r->pool = tw_pool_new(r->o.jobs, r->n_jobs, work, r);
    if (r->job == NULL || r->idle == NULL || r->pool == NULL)
        tw_die_error();
    while (r->n_idle <= r->n_jobs) { /* one more than fit in the pool: it is being filled meanwhile */
        tw_sample_init(&r->job[r->n_idle].sample);
        r->idle[r->n_idle] = &r->job[r->n_idle];
        r->n_idle++;
    }
}

int main(int argc, char **argv)
{
    static struct run r = {.o = {.output = "-", .epochs = 1, .max_pixels = 178956970, .ranks = 1}};
    tw_strings operands = {0};
    tw_header h;
    r.o.jobs = tw_processors();
    parse(&r.o, &operands, argc, argv);
    r.how = (tw_decode_options){r.o.max_pixels, r.o.shrink_to, r.o.exif_rotate, r.o.truncated == 1};
    if (r.o.input == NULL)
        open_sources(&r, &operands, &h);
    else
        open_stream(&r, &h);
    r.writer = tw_writer_open(r.o.output, &h, r.o.common.no_history ? NULL : tw_program_command());
    if (r.writer == NULL)
        tw_die_error();
    start_pool(&r);
    r.start = tw_now();
    if (r.source != NULL)
        epochs(&r);
    else
        records(&r);
    tw_progress_end();
    if (r.written == 0 && r.skipped > 0) {
        tw_fail("no good image among %lld", (long long)r.skipped);
        give_up(&r);
    }
    if (r.skipped > 0)
        tw_warn("%lld bad images left out", (long long)r.skipped);
    if (tw_writer_finish(r.writer, r.skipped) != 0)
        tw_die_error();
    tw_pool_free(r.pool);
    for (int i = 0; i <= r.n_jobs; i++) {
        tw_sample_fini(&r.job[i].sample);
        tw_image_fini(&r.job[i].image);
        tw_parts_fini(&r.job[i].record);
        free(r.job[i].file);
    }
    free(r.job);
    free(r.idle);
    tw_order_fini(&r.order);
    tw_source_close(r.source);
    tw_reader_close(r.reader);
    free(operands.item);
    return TW_EXIT_OK;
}
