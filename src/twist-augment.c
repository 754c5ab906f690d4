/* twist-augment: random or evaluation views of each picture. */
#include "core/mem.h"
#include "core/pool.h"
#include "core/program.h"
#include "core/relay.h"
#include "image/decode.h"
#include "image/view.h"
#include "stream/reader.h"
#include "stream/writer.h"

#include <stdlib.h>
#include <string.h>

static const char usage[] =
    "usage: twist-augment [options]\n"
    "Reads an images stream, writes a views stream: each picture's random (or evaluation) crops, as Pillow makes them.\n"
    "  -i, --input ENDPOINT     -, a file, pipe:COMMAND, tcp://, ipc:// (default -)\n"
    "  -o, --output ENDPOINT    -, a file, tcp://, ipc:// (default -)\n"
    "      --aug NAME           barlow, multicrop, moco, rand, linear or eval (default multicrop)\n"
    "      --policy FILE        the views that FILE says instead\n"
    "      --size PX            of the views (default 224)    --local-size PX  of local crops (default 96)\n"
    "      --local-crops-number N  local crops of multicrop (default 12)\n"
    "      --min1, --max1 F     crop area relative to the picture's (default: of the policy)\n"
    "      --min2, --max2 F     the same of local crops (default 0.05, 0.4)\n"
    "      --interpolation WHAT bilinear or bicubic (default bicubic; eval, linear: bilinear)\n"
    "      --resize PX          eval: short side before the middle is cut out (default 256/224 of --size)\n"
    "      --mme-epochs N       harder crops from epoch N on (default 800): multicrop, late-scale in a FILE\n"
    "      --blur-p, --solarize-p, --jitter-p, --grey-p P  probability, for all views (default: of the policy)\n"
    "      --seed N             of the views (default: the stream's)\n"
    "      --trace              write what was drawn for each view into the records\n"
    "      --log FILE           append JSON lines: program, samples, seconds, seconds waited for input and for output\n"
    "  -j, --jobs N             threads (default: the processors); the output does not depend on it\n"
    "      --no-history         leave this command out of the header's history\n"
    "  -q, --quiet  errors only   -v, --verbose  say more   --progress  even where stderr is no terminal\n"
    "  -h, --help   this text     -V, --version  version\n";

static const char *const filter_names[] = {"bilinear", "bicubic", NULL};

/* IN_FLIGHT: no further record is read while those in progress hold more bytes than this, a limit for large pictures. KEEP: larger record buffers are
 * freed after use. */
enum { IN_FLIGHT = 48 << 20, KEEP = 8 << 20 };

struct opts {
    const char *input, *output, *log, *file;
    tw_policy_options policy;
    int aug, jobs;
    int64_t seed;
    bool trace;
    tw_common common;
};

/* One sample in progress: as read, then with its views. */
struct job {
    tw_sample sample;
    uint8_t *pixels; /* of all views, one after the other */
    tw_tensor *views;
    tw_view *drawn;
    tw_trace trace;
    tw_parts record; /* refers to the views */
    double waited;   /* seconds waited for input so far, when this sample was read */
    bool failed;
    char message[256];
};

struct run {
    struct opts o;
    tw_policy policy;
    uint64_t seed;
    tw_reader *reader;
    tw_writer *writer;
    tw_workspace *workspace; /* one per worker */
    struct job *job;
    void **jobs;
    int n_jobs;
    int64_t written, in_all;
    double start;
};

/* Refuses options that contradict a policy file. */
static void check_file(const struct opts *o)
{
    static const char *const by_file[] = {"aug",  "size", "local-size", "local-crops-number", "min1", "max1", "min2", "max2",
                                          "interpolation", "resize", "blur-p", "solarize-p", "jitter-p", "grey-p"};
    for (size_t i = 0; i < sizeof by_file / sizeof *by_file; i++)
        if (tw_opts_given(by_file[i]))
            tw_die_usage("--%s: not with --policy, whose file sets it", by_file[i]);
    if (strcmp(o->file, "-") == 0)
        tw_die_usage("--policy: '-': give a file; standard input carries the pictures");
}

/* Refuses options that the policy does not use. For --local-crops-number it only warns: recipes set it, and a later --aug may replace multicrop. */
static void check_policy(const struct opts *o)
{
    static const char *const local[] = {"local-size", "min2", "max2", "local-crops-number"}, *const crop[] = {"min1", "max1"},
                            *const colour[] = {"blur-p", "solarize-p", "jitter-p", "grey-p"};
    const bool one_view = o->aug == TW_EVAL || o->aug == TW_LINEAR;
    if (o->aug != TW_EVAL && tw_opts_given("resize"))
        tw_die_usage("--resize: for --aug=eval only");
    for (size_t i = 0; i < (one_view ? 4 : 3); i++)
        if (o->aug != TW_MULTICROP && tw_opts_given(local[i]))
            tw_die_usage("--%s: for --aug=multicrop only", local[i]);
    for (size_t i = 0; i < 2; i++)
        if (o->aug == TW_EVAL && tw_opts_given(crop[i]))
            tw_die_usage("--%s: not for --aug=eval, which crops the centre", crop[i]);
    for (size_t i = 0; i < 4; i++)
        if (one_view && tw_opts_given(colour[i]))
            tw_die_usage("--%s: not for --aug=%s, which leaves colours as they are", colour[i], tw_policy_names[o->aug]);
    if (o->aug != TW_MULTICROP && tw_opts_given("local-crops-number"))
        tw_warn("--local-crops-number: --aug=%s has no local crops", tw_policy_names[o->aug]);
}

static void parse(struct opts *o, int argc, char **argv)
{
    tw_policy_options *p = &o->policy;
    const tw_opt table[] = {
        {'i', "input", TW_OPT_STRING, &o->input, 0, 0, NULL},
        {'o', "output", TW_OPT_STRING, &o->output, 0, 0, NULL},
        {0, "aug", TW_OPT_CHOICE, &o->aug, 0, 0, tw_policy_names},
        {0, "policy", TW_OPT_STRING, &o->file, 0, 0, NULL},
        {0, "size", TW_OPT_INT, &p->size, 1, TW_MAX_SIZE, NULL},
        {0, "local-size", TW_OPT_INT, &p->local_size, 1, TW_MAX_SIZE, NULL},
        {0, "local-crops-number", TW_OPT_INT, &p->locals, 0, TW_MAX_VIEWS - 2, NULL},
        {0, "min1", TW_OPT_FLOAT, &p->min1, 0, 1, NULL},
        {0, "max1", TW_OPT_FLOAT, &p->max1, 0, 1, NULL},
        {0, "min2", TW_OPT_FLOAT, &p->min2, 0, 1, NULL},
        {0, "max2", TW_OPT_FLOAT, &p->max2, 0, 1, NULL},
        {0, "interpolation", TW_OPT_CHOICE, &p->filter, 0, 0, filter_names},
        {0, "resize", TW_OPT_INT, &p->resize, 1, 2 * TW_MAX_SIZE, NULL},
        {0, "mme-epochs", TW_OPT_I64, &p->late_epoch, 0, 1 << 24, NULL},
        {0, "blur-p", TW_OPT_FLOAT, &p->blur_p, 0, 1, NULL},
        {0, "solarize-p", TW_OPT_FLOAT, &p->solarize_p, 0, 1, NULL},
        {0, "jitter-p", TW_OPT_FLOAT, &p->jitter_p, 0, 1, NULL},
        {0, "grey-p", TW_OPT_FLOAT, &p->grey_p, 0, 1, NULL},
        {0, "seed", TW_OPT_I64, &o->seed, 0, 9e18, NULL},
        {0, "trace", TW_OPT_FLAG, &o->trace, 0, 0, NULL},
        {0, "log", TW_OPT_STRING, &o->log, 0, 0, NULL},
        {'j', "jobs", TW_OPT_INT, &o->jobs, 1, 1024, NULL},
    };
    tw_program_start("twist-augment", argc, argv);
    tw_program_options(table, sizeof table / sizeof *table, &o->common, NULL, usage);
    tw_program_file("log", o->log);
    p->name = (tw_policy_name)o->aug;
    if (o->file != NULL)
        check_file(o);
    else
        check_policy(o);
}

/* Encodes the record of the views here in the worker, since their bytes, which the crc needs, are in its cache. */
static int encode(struct job *j, int n_views, bool trace)
{
    tw_sample s = j->sample;
    s.image.data = NULL;
    s.views = j->views;
    s.n_views = n_views;
    s.trace = trace ? j->trace.data : NULL;
    s.trace_size = j->trace.size;
    return tw_parts_sample(&j->record, &s);
}

/* Makes the views of one sample and encodes their record. */
static void work(void *job, int worker, void *context)
{
    struct run *r = context;
    struct job *j = job;
    const tw_sample *s = &j->sample;
    const tw_rgb image = {s->image.data, (int)s->image.dim[1], (int)s->image.dim[0]};
    uint8_t *to = j->pixels;
    j->failed = false;
    for (int i = 0; i < r->policy.n && !j->failed; i++) {
        const tw_view_kind *k = &r->policy.kind[i];
        tw_view_draw(&j->drawn[i], &r->policy, i, image.w, image.h, r->seed, s->index, s->epoch);
        j->failed = tw_view_make(&r->workspace[worker], to, &image, k, &j->drawn[i]) != 0;
        j->views[i] = (tw_tensor){TW_U8, 3, {k->size, k->size, 3}, to};
        to += 3 * (size_t)k->size * (size_t)k->size;
    }
    if (!j->failed && r->o.trace)
        j->failed = tw_trace_views(&j->trace, j->drawn, r->policy.n) != 0;
    if (!j->failed)
        j->failed = encode(j, r->policy.n, r->o.trace) != 0;
    if (j->failed)
        snprintf(j->message, sizeof j->message, "%.*s: %s", s->key_size < 128 ? (int)s->key_size : 128, s->key, tw_error());
}

static noreturn void give_up(struct run *r)
{
    tw_writer_abandon(r->writer);
    tw_reader_close(r->reader);
    tw_die_error();
}

static int report(const struct run *r, double waited)
{
    const tw_waits w = {r->written, tw_now() - r->start, waited, tw_writer_waited(r->writer)};
    return tw_program_waits(r->o.log, &w);
}

static int write_out(void *job, void *context)
{
    struct run *r = context;
    struct job *j = job;
    if (j->failed)
        return tw_fail("%s", j->message);
    if (tw_writer_parts(r->writer, &j->record) != 0)
        return -1;
    if (j->sample.buffer_cap > KEEP) { /* a large picture among small ones */
        tw_sample_fini(&j->sample);
        tw_sample_init(&j->sample);
    }
    r->written++;
    if (r->written % 1000 == 0 && report(r, j->waited) != 0)
        return -1;
    tw_progress_count(r->written, r->in_all, "samples", r->start);
    return 0;
}

static int check(const struct run *r, const tw_sample *s)
{
    if (s->index >= INT64_C(1) << 40 || s->epoch >= 1 << 24)
        return tw_fail("%s: %.*s: index %lld or epoch %lld is too large (2^40, 2^24)", tw_reader_name(r->reader), (int)s->key_size, s->key,
                       (long long)s->index, (long long)s->epoch);
    if (s->image.dim[0] > TW_MOST_SIDE || s->image.dim[1] > TW_MOST_SIDE)
        return tw_fail("%s: %.*s: an image of %lld x %lld pixels; a side may have 2^20", tw_reader_name(r->reader), (int)s->key_size, s->key,
                       (long long)s->image.dim[1], (long long)s->image.dim[0]);
    if (tw_view_check(&r->policy, (int)s->image.dim[1], (int)s->image.dim[0]) != 0)
        return tw_fail("%s: %.*s: %s", tw_reader_name(r->reader), (int)s->key_size, s->key, tw_error());
    return 0;
}

static int read_in(void *job, size_t *held, void *context)
{
    struct run *r = context;
    struct job *j = job;
    const int rc = tw_reader_next(r->reader, &j->sample);
    j->waited = tw_reader_waited(r->reader);
    *held = j->sample.record_size;
    if (rc != 1)
        return rc < 0 ? -1 : TW_RELAY_END;
    return check(r, &j->sample) == 0 ? TW_RELAY_JOB : -1;
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
    static const tw_relay_steps steps = {read_in, work, write_out, input_ready, flush, IN_FLIGHT};
    if (tw_relay(&steps, r->o.jobs, r->jobs, r->n_jobs, r) != 0)
        give_up(r);
}

static void open_streams(struct run *r)
{
    r->reader = tw_reader_open(r->o.input, NULL, NULL);
    if (r->reader == NULL)
        tw_die_error();
    tw_header h = *tw_reader_header(r->reader);
    if (h.kind != TW_IMAGES)
        tw_die("%s: a stream of %s; want an images stream", tw_reader_name(r->reader), tw_kind_names[h.kind]);
    h.kind = TW_VIEWS;
    if (tw_opts_given("seed"))
        h.seed = (uint64_t)r->o.seed;
    r->seed = h.seed;
    if (h.samples <= 0 || h.epochs <= 0 || __builtin_mul_overflow(h.samples, h.epochs, &r->in_all))
        r->in_all = 0;
    r->writer = tw_writer_open(r->o.output, &h, r->o.common.no_history ? NULL : tw_program_command());
    if (r->writer == NULL)
        tw_die_error();
    if (tw_program_log_check(r->o.log, r->o.output) != 0)
        give_up(r);
}

static void plan(struct run *r)
{
    size_t pixels = 0;
    const size_t n = (size_t)r->policy.n;
    for (size_t i = 0; i < n; i++)
        pixels += 3 * (size_t)r->policy.kind[i].size * (size_t)r->policy.kind[i].size;
    r->n_jobs = 2 * r->o.jobs + 8;
    r->job = tw_calloc((size_t)r->n_jobs, sizeof *r->job);
    r->jobs = tw_calloc((size_t)r->n_jobs, sizeof *r->jobs);
    r->workspace = tw_calloc((size_t)r->o.jobs, sizeof *r->workspace);
    if (r->job == NULL || r->jobs == NULL || r->workspace == NULL)
        give_up(r);
    for (int i = 0; i < r->o.jobs; i++)
        tw_workspace_init(&r->workspace[i], NULL);
    for (int i = 0; i < r->n_jobs; i++) {
        struct job *j = r->jobs[i] = &r->job[i];
        tw_sample_init(&j->sample);
        j->pixels = tw_alloc64(pixels);
        j->views = tw_calloc(n, sizeof *j->views);
        j->drawn = tw_calloc(n, sizeof *j->drawn);
        if (j->pixels == NULL || j->views == NULL || j->drawn == NULL)
            give_up(r);
    }
}

static void finish(struct run *r)
{
    tw_progress_end();
    if (report(r, tw_reader_waited(r->reader)) != 0)
        give_up(r);
    if (tw_writer_finish(r->writer, tw_reader_end(r->reader)->skipped) != 0)
        tw_die_error();
    for (int i = 0; i < r->n_jobs; i++) {
        tw_sample_fini(&r->job[i].sample);
        free(r->job[i].pixels);
        free(r->job[i].views);
        free(r->job[i].drawn);
        free(r->job[i].trace.data);
        tw_parts_fini(&r->job[i].record);
    }
    for (int i = 0; i < r->o.jobs; i++)
        tw_workspace_fini(&r->workspace[i]);
    free(r->job);
    free(r->jobs);
    free(r->workspace);
    tw_policy_fini(&r->policy);
    tw_reader_close(r->reader);
}

int main(int argc, char **argv)
{
    static struct run r = {.o = {.input = "-", .output = "-", .aug = TW_MULTICROP,
                                 .policy = {.locals = -1, .filter = -1, .min1 = -1, .max1 = -1, .min2 = -1, .max2 = -1,
                                            .blur_p = -1, .solarize_p = -1, .jitter_p = -1, .grey_p = -1, .late_epoch = 800}}};
    r.o.jobs = tw_processors();
    parse(&r.o, argc, argv);
    if (r.o.file != NULL && tw_policy_read(&r.policy, r.o.file, r.o.policy.late_epoch) != 0)
        tw_die_error();
    if (r.o.file == NULL && tw_policy_init(&r.policy, &r.o.policy) != 0)
        tw_die_usage("%s", tw_error());
    open_streams(&r);
    plan(&r);
    r.start = tw_now();
    samples(&r);
    finish(&r);
    return TW_EXIT_OK;
}
