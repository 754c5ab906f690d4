/* twist-embed: features, class logits or probabilities of a network for a stream of views. */
#include "checkpoint/network.h"
#include "core/crc32c.h"
#include "core/file.h"
#include "core/half.h"
#include "core/mem.h"
#include "core/pool.h"
#include "core/program.h"
#include "eval/classifier.h"
#include "eval/views.h"
#include "nn/backbones.h"
#include "nn/backend.h"
#include "stream/writer.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const char usage[] =
    "usage: twist-embed [options] CHECKPOINT\n"
    "Reads a stream of views, one of each picture (twist-augment --aug=eval), writes one of features.\n"
    "      --output LIST       features, logits, probs: several with commas (default features)\n"
    "      --head FILE         logits and probs of a classifier in FILE (twist-linear -o, fc of a network)\n"
    "      --type TYPE         of the numbers written: f32 or f16 (default f32)\n"
    "  -i, --input ENDPOINT    where the views come from: -, a file, pipe:COMMAND, tcp://, ipc:// (default -)\n"
    "  -o, --out ENDPOINT      where the features go: -, a file, tcp://, ipc:// (default -)\n"
    "      --append            continue the file of --out of an interrupted run\n"
    "      --random-init NET   without CHECKPOINT: an untrained network (as of twist-train --backbone)\n"
    "      --small-stem        of --random-init: for views of 64 px and less\n"
    "      --seed N            of --random-init (default 0)\n"
    "      --pixels            without CHECKPOINT: the views themselves, values / 255\n"
    "      --part WHAT         model, teacher or student of a training checkpoint (default model)\n"
    "      --batch-size N      views computed together (default 32)\n"
    "      --device NAME       auto, cpu or cuda (default auto)\n"
    "      --precision NAME    auto, fp32 or bf16 (default auto: fp32)\n"
    "      --n-last-blocks N   of vision transformers: CLS tokens of the last N blocks (default 1)\n"
    "      --avgpool-patchtokens  of vision transformers: and the mean patch token\n"
    "  -j, --threads N         threads that compute (default: the processors)\n"
    "      --no-history        leave this command out of the header's history\n"
    "      --progress          progress line even where standard error is no terminal\n"
    "  -q, --quiet             errors only        -v, --verbose  say more\n"
    "  -h, --help              this text          -V, --version  version\n";

enum { PRECISION_AUTO, FP32, BF16 };
enum { F32, F16 };
static const float BEYOND_F16 = 65520; /* the smallest magnitude that rounds to infinity in f16 */
enum { PLANS = 4 };

struct opts {
    const char *input, *output, *checkpoint, *random_init, *head;
    int part; /* model, teacher, student */
    tw_strings outputs;
    bool features, logits, probs, small_stem, pixels, avgpool, append;
    int64_t seed;
    int batch_size, device, precision, threads, last_blocks, type;
    tw_common common;
};

struct slot {
    int H, W, B;
    int64_t used;
    tw_plan *plan;
};

/* A batch whose computation has been started. */
struct started {
    tw_plan *plan;
    const tw_view_batch *batch;
};

struct run {
    struct opts o;
    const char *device;   /* "cpu" or "cuda" */
    tw_net *net;
    int K, D; /* classes, features; with --output pixels, D is that of the first view */
    struct slot slot[PLANS];
    struct started started[2]; /* in the order of the stream */
    int n_started;
    tw_writer *writer;
    tw_classifier head;   /* C 0: none */
    float *head_logits;   /* [batch_size,C] */
    float *row;           /* [D] pixels or [K] probabilities */
    uint16_t *half[3];    /* features, logits, probs as f16 */
    int64_t network;      /* checksum of the network and the settings that determine the output, never 0 */
    tw_kept kept;
    int64_t batches, done;
};

static int write_oldest(struct run *r);

/* The plan for n views of H x W pixels. Its batch is the batch size halved as long as n fits, so that a short batch costs at most twice its
 * share. At most PLANS plans are kept; the least recently used one is replaced. */
static tw_plan *plan_for(struct run *r, int H, int W, int n)
{
    int B = r->o.batch_size;
    while (B > 1 && (B + 1) / 2 >= n)
        B = (B + 1) / 2;
    struct slot *s = &r->slot[0];
    for (int i = 0; i < PLANS; i++) {
        struct slot *c = &r->slot[i];
        if (c->plan != NULL && c->H == H && c->W == W && c->B == B) {
            c->used = r->batches;
            return c->plan;
        }
        if (c->used < s->used)
            s = c;
    }
    const tw_view_group group = {1, H, W};
    while (r->n_started > 0)
        if (write_oldest(r) != 0)
            return NULL;
    tw_plan_free(s->plan);
    *s = (struct slot){H, W, B, r->batches, tw_plan_new(r->net, &group, 1, B, TW_PLAN_EVAL)};
    if (s->plan != NULL)
        tw_note(1, "plan for %d views of %d x %d pixels: %.1f MB", B, H, W, (double)tw_plan_bytes(s->plan) * 1e-6);
    return s->plan;
}

/* p [K] = softmax(x) */
static void softmax(float *p, const float *x, int K)
{
    float max = x[0];
    double sum = 0;
    for (int k = 1; k < K; k++)
        max = x[k] > max ? x[k] : max;
    for (int k = 0; k < K; k++) {
        p[k] = expf(x[k] - max);
        sum += (double)p[k];
    }
    for (int k = 0; k < K; k++)
        p[k] = (float)((double)p[k] / sum);
}

/* The vector data [n] as a tensor of the output type; number: index in r->half of its f16 copy. data is NULL, with tw_error(), if memory is short. */
static tw_tensor vector(struct run *r, const float *data, int n, int number)
{
    tw_tensor t = {.dtype = r->o.type == F16 ? TW_F16 : TW_F32, .rank = 1, .dim = {n}, .data = data};
    if (r->o.type == F32)
        return t;
    if (r->half[number] == NULL)
        r->half[number] = tw_calloc((size_t)n, sizeof *r->half[number]);
    if (r->half[number] != NULL)
        tw_halves_from_floats(r->half[number], data, (size_t)n);
    t.data = r->half[number];
    return t;
}

static bool all_below(const float *x, int n, float limit)
{
    bool all = true;
    for (int i = 0; i < n; i++)
        all &= fabsf(x[i]) < limit; /* false for NaN */
    return all;
}

static int refuse(const struct run *r, const tw_sample *s, const char *text)
{
    return tw_fail("%s: sample %lld (%.*s): %s", r->o.checkpoint, (long long)r->done, (int)(s->key_size < 200 ? s->key_size : 200), s->key,
                   text);
}

/* Writes the sample read, with these results (logits NULL: none) instead of its views. */
static int put(struct run *r, const tw_sample *read, const float *features, const float *logits)
{
    tw_sample s = *read;
    s.n_views = 0;
    s.views = NULL;
    if (!all_below(features, r->D, INFINITY) || (logits != NULL && !all_below(logits, r->K, INFINITY)))
        return refuse(r, read, "the results are not finite");
    if (r->o.type == F16 && ((r->o.features && !all_below(features, r->D, BEYOND_F16)) || (r->o.logits && !all_below(logits, r->K, BEYOND_F16))))
        return refuse(r, read, "a result of 65520 or more is beyond f16; --type=f32 holds it");
    s.features = s.logits = s.probs = (tw_tensor){.data = NULL};
    if (r->o.probs)
        softmax(r->row, logits, r->K);
    if ((r->o.features && (s.features = vector(r, features, r->D, 0)).data == NULL) ||
        (r->o.logits && (s.logits = vector(r, logits, r->K, 1)).data == NULL) ||
        (r->o.probs && (s.probs = vector(r, r->row, r->K, 2)).data == NULL))
        return -1;
    r->done++;
    return tw_writer_sample(r->writer, &s);
}

static int put_pixels(struct run *r, const tw_view_batch *b)
{
    const size_t n = (size_t)b->H * (size_t)b->W * 3;
    if (n > 1 << 30)
        return tw_fail("views of %d x %d pixels are too large", b->H, b->W);
    if (r->row == NULL) {
        r->D = (int)n;
        r->row = tw_calloc(n, sizeof *r->row);
        if (r->row == NULL)
            return -1;
    }
    for (int i = 0; i < b->n; i++) {
        if ((int)n != r->D)
            return tw_fail("sample %lld (%.*s): %d x %d pixels, of another size than the views before it", (long long)r->done,
                           (int)(b->sample[i].key_size < 200 ? b->sample[i].key_size : 200), b->sample[i].key, b->H, b->W);
        for (size_t k = 0; k < n; k++)
            r->row[k] = (float)b->pixels[(size_t)i * n + k] / 255;
        if (put(r, &b->sample[i], r->row, NULL) != 0)
            return -1;
    }
    return 0;
}

/* Waits for the results of the oldest batch started and writes them. */
static int write_oldest(struct run *r)
{
    tw_plan *plan = r->started[0].plan;
    const tw_view_batch *b = r->started[0].batch;
    r->started[0] = r->started[1];
    r->n_started--;
    if (tw_plan_finish(plan) != 0)
        return -1;
    const float *features = tw_plan_features(plan), *logits = tw_plan_logits(plan);
    if (r->head.C > 0) {
        tw_classifier_apply(r->head_logits, &r->head, features, b->n);
        logits = r->head_logits;
    }
    for (int i = 0; i < b->n; i++) {
        if (put(r, &b->sample[i], features, logits) != 0)
            return -1;
        features += r->D;
        logits = logits != NULL ? logits + r->K : NULL;
    }
    return 0;
}

/* Starts a batch. On a device that computes asynchronously, its results are written after the next batch has been started. */
static int compute(struct run *r, const tw_view_batch *b)
{
    r->batches++;
    if (r->o.pixels)
        return put_pixels(r, b);
    tw_plan *plan = plan_for(r, b->H, b->W, b->n);
    if (plan == NULL || tw_plan_start(plan, b->pixels, b->n) != 0)
        return -1;
    r->started[r->n_started++] = (struct started){plan, b};
    while (r->n_started >= tw_plan_ahead(plan))
        if (write_oldest(r) != 0)
            return -1;
    return 0;
}

/* Sets which tokens and blocks of a vision transformer form the features. */
static void choose_blocks(const struct run *r, tw_net_config *c)
{
    c->last_blocks = r->o.last_blocks;
    c->patch_mean = r->o.avgpool;
    if ((c->last_blocks > 0 || c->patch_mean) && tw_vit_find(c->backbone) == NULL)
        tw_die_usage("--n-last-blocks and --avgpool-patchtokens are for vision transformers: %s holds a %s", r->o.checkpoint,
                     c->backbone);
}

static int load(struct run *r, tw_net_config *c)
{
    tw_checkpoint *f = tw_checkpoint_open(r->o.checkpoint);
    static const unsigned bits[] = {0, TW_NETWORK_TEACHER, TW_NETWORK_STUDENT};
    const unsigned part = bits[r->o.part];
    if (f == NULL || tw_network_config_of(c, f, part) != 0)
        goto err;
    const bool classes = r->o.logits || r->o.probs;
    const tw_tensor *bias;
    if (classes && r->o.head == NULL && !c->head && tw_network_classifier(f, &bias) != NULL)
        r->o.head = r->o.checkpoint; /* its own classifier */
    if (!classes || r->o.head != NULL)
        c->head = false;
    if (classes && !c->head && r->o.head == NULL) {
        tw_fail("%s: a backbone without a head has no logits or probs (give it a classifier with --head)", r->o.checkpoint);
        goto err;
    }
    choose_blocks(r, c);
    if (c->head && (c->last_blocks > 1 || c->patch_mean))
        tw_die_usage("--n-last-blocks and --avgpool-patchtokens: the head takes only the last CLS token: use --output=features");
    c->blank = true;
    r->net = tw_net_new(r->device, c);
    if (r->net == NULL || tw_network_load(r->net, f, part | TW_NETWORK_BACKBONE | (c->head ? TW_NETWORK_HEAD : 0)) != 0)
        goto err;
    r->K = c->head ? c->dim : 0;
    tw_checkpoint_close(f);
    return 0;
err:
    tw_checkpoint_close(f);
    return -1;
}

static int open_head(struct run *r)
{
    if (tw_classifier_read(&r->head, r->o.head) != 0)
        return -1;
    if (r->head.D != r->D)
        return tw_fail("%s: its classifier wants %d features, %s has %d", r->o.head, r->head.D, r->o.checkpoint, r->D);
    r->K = r->head.C;
    r->head_logits = tw_calloc((size_t)r->o.batch_size * (size_t)r->K, sizeof *r->head_logits);
    return r->head_logits != NULL ? 0 : -1;
}

static int open_network(struct run *r)
{
    tw_net_config c = {.precision = r->o.precision == BF16 ? TW_BF16 : TW_F32, .threads = r->o.threads};
    if (r->o.pixels)
        return 0;
    r->device = tw_backend_choose(tw_device_names[r->o.device]);
    if (r->device == NULL)
        return -1;
    if (r->o.random_init != NULL) {
        c.backbone = r->o.random_init;
        c.small_stem = r->o.small_stem;
        c.seed = (uint64_t)r->o.seed;
        choose_blocks(r, &c);
        r->net = tw_net_new(r->device, &c);
    } else if (load(r, &c) != 0) {
        return -1;
    }
    if (r->net == NULL)
        return -1;
    r->D = tw_net_feature_dim(r->net);
    if (r->o.head != NULL && open_head(r) != 0)
        return -1;
    r->row = tw_calloc((size_t)r->K, sizeof *r->row);
    return r->row != NULL ? 0 : -1;
}

static void show_progress(const struct run *r, const tw_header *h, double start)
{
    if (!tw_progress_due())
        return;
    const tw_kept *k = &r->kept;
    const int64_t samples = k->bytes > 0 ? k->of : h->samples, epochs = k->bytes > 0 ? k->epochs : h->epochs;
    const double rate = (double)r->done / (tw_now() - start), done = (double)r->done + (double)k->samples;
    const double all = samples >= 0 ? (double)samples * (double)epochs : -1;
    char left[32];
    if (all > 0)
        tw_progress("%.0f of %.0f views, %.1f/s, ETA %s", done, all, rate, tw_progress_time(left, sizeof left, (all - done) / rate));
    else
        tw_progress("%.0f views, %.1f/s", done, rate);
}

/* Ends the program with tw_error(); the writer's reader sees no end record. */
static noreturn void give_up(struct run *r)
{
    tw_writer_abandon(r->writer);
    tw_die_error();
}

/* Computes all batches in order. If the stream fails, the samples before the failure are still written. */
static int pump(struct run *r, tw_views *views)
{
    const double start = tw_now();
    tw_view_batch *b;
    int rc;
    while ((rc = tw_views_next(views, &b)) == 1) {
        if (compute(r, b) != 0)
            return -1;
        show_progress(r, tw_reader_header(tw_views_reader(views)), start);
    }
    while (r->n_started > 0)
        if (write_oldest(r) != 0)
            return -1;
    tw_progress_end();
    tw_note(1, "%lld views in %.1f s, %.1f s of it waiting for input", (long long)r->done, tw_now() - start,
            tw_reader_waited(tw_views_reader(views)));
    return rc;
}

static int64_t network(const struct run *r)
{
    const struct opts *o = &r->o;
    const bool head = o->head == NULL && (o->logits || o->probs);
    const int how[] = {o->pixels, o->pixels ? 0 : (int)tw_net_precision(r->net), o->last_blocks > 1 ? o->last_blocks : 1, o->avgpool};
    uint32_t crc = tw_crc32c(0, how, sizeof how);
    for (int i = 0; !o->pixels && i < tw_net_params(r->net); i++) {
        const tw_param *p = tw_net_param(r->net, i);
        if (p->dtype != TW_F32 || (!head && strncmp(p->name, "backbone.", 9) != 0))
            continue;
        crc = tw_crc32c(crc, p->name, strlen(p->name));
        crc = tw_crc32c(crc, p->value, p->n * sizeof(float));
    }
    if (o->head != NULL) {
        size_t size;
        void *file = tw_file_read(o->head, &size, 0);
        if (file == NULL)
            tw_die_error();
        crc = tw_crc32c(crc, file, size);
        free(file);
    }
    return (int64_t)crc + 1;
}

/* For a complete output file: checks that its header fits the input, and, if the input can start at the file's end, that it has no more samples. */
static int check_complete(const struct run *r)
{
    const tw_kept *k = &r->kept;
    const tw_place place = tw_kept_place(k, r->o.input);
    tw_reader *in = tw_reader_open(r->o.input, NULL, &place);
    int rc = in != NULL ? tw_kept_fits(k, r->o.output, tw_reader_header(in), tw_reader_epochs(r->o.input)) : -1;
    tw_sample s;
    tw_sample_init(&s);
    if (rc == 0 && k->samples > 0 && tw_kept_placed(k, r->o.input) && (rc = tw_reader_next(in, &s)) == 1 && tw_kept_behind(k, &s))
        rc = tw_fail("%s: complete with %lld samples, but %s has more: %.*s", r->o.output, (long long)k->samples, tw_reader_name(in),
                     (int)(s.key_size < 200 ? s.key_size : 200), s.key);
    tw_sample_fini(&s);
    tw_reader_close(in);
    return rc < 0 ? -1 : 0;
}

/* For an input command with %s: checks that it can be told to continue where the file ends. */
static int check_place(const struct run *r)
{
    const tw_kept *k = &r->kept;
    if (k->samples == 0 || !tw_reader_places(r->o.input))
        return 0;
    if (!tw_kept_placed(k, r->o.input))
        return tw_fail("%s: goes to epoch %lld, but the command of --input gets a position in epoch %lld: give it %%e too (--start-epoch=%%e)",
                       r->o.output, (long long)k->epoch, (long long)k->first_epoch);
    if (k->epoch == k->first_epoch && tw_kept_lost(k) < 0)
        return tw_fail("%s: has more samples than its last position, %lld, allows: the command of --input cannot be told where to continue",
                       r->o.output, (long long)k->pos);
    return 0;
}

/* Reads the output of an interrupted run and checks that this run would have written the same. true: it is complete. */
static bool read_kept(struct run *r)
{
    tw_kept *k = &r->kept;
    const struct opts *o = &r->o;
    if (tw_kept_read(k, o->output) != 0)
        tw_die_error();
    if (k->samples > 0 && ((k->features > 0) != o->features || (k->logits > 0) != o->logits || (k->probs > 0) != o->probs ||
                           k->half != (o->type == F16)))
        tw_die("%s: written with other --output or --type", o->output);
    if (k->samples > 0 && k->network != 0 && k->network != r->network)
        tw_die("%s: written with another network, or with other options for it", o->output);
    if ((k->complete ? check_complete(r) : check_place(r)) != 0)
        tw_die_error();
    if (k->cut)
        tw_warn("%s: truncated inside its header: starting it again", o->output);
    else if (k->complete)
        tw_warn("%s: complete: %lld samples", o->output, (long long)k->samples);
    else if (k->samples > 0)
        tw_warn("%s: continuing after %lld samples", o->output, (long long)k->samples);
    return k->complete;
}

static int open_writer(struct run *r, const tw_header *h)
{
    const char *history = r->o.common.no_history ? NULL : tw_program_command();
    const tw_kept *k = &r->kept;
    if (r->o.append && k->bytes > 0 && tw_kept_fits(k, r->o.output, h, tw_reader_epochs(r->o.input)) != 0)
        return -1;
    if (k->samples > 0 && !r->o.pixels && ((k->features > 0 && k->features != r->D) || (k->logits > 0 && k->logits != r->K)))
        return tw_fail("%s: written with another network", r->o.output);
    r->writer = r->o.append ? tw_writer_append(r->o.output, h, history, k->bytes, k->samples) : tw_writer_open(r->o.output, h, history);
    return r->writer != NULL ? 0 : -1;
}

static void embed(struct run *r)
{
    tw_views *views;
    if ((views = tw_views_open(r->o.input, r->o.batch_size, &r->kept, NULL)) == NULL)
        tw_die_error();
    tw_header h = *tw_reader_header(tw_views_reader(views));
    h.kind = TW_FEATURES;
    h.network = r->network;
    if (open_writer(r, &h) != 0 || pump(r, views) != 0)
        give_up(r); /* exits: the reading thread may be blocked on input */
    int64_t skipped = tw_reader_end(tw_views_reader(views))->skipped, all;
    const int64_t lost = tw_reader_places(r->o.input) ? tw_kept_lost(&r->kept) : 0; /* in the earlier runs */
    if (lost > 0 && !__builtin_add_overflow(skipped, lost, &all))
        skipped = all;
    tw_views_close(views);
    if (tw_writer_finish(r->writer, skipped) != 0)
        tw_die_error();
}

static void choose_outputs(struct opts *o)
{
    static const char *const name[] = {"features", "logits", "probs"};
    bool *const to[] = {&o->features, &o->logits, &o->probs};
    o->features = o->outputs.n == 0;
    for (int i = 0; i < o->outputs.n; i++)
        for (const char *p = o->outputs.item[i], *end; p != NULL; p = *end != '\0' ? end + 1 : NULL) {
            end = strchrnul(p, ',');
            int k = 0;
            while (k < 3 && (strlen(name[k]) != (size_t)(end - p) || strncmp(name[k], p, (size_t)(end - p)) != 0))
                k++;
            if (k == 3)
                tw_die_usage("--output: '%.*s' is none of features, logits, probs", (int)(end - p), p);
            *to[k] = true;
        }
}

static void parse(struct opts *o)
{
    static const char *const precisions[] = {"auto", "fp32", "bf16", NULL};
    static const char *const types[] = {"f32", "f16", NULL};
    tw_strings operands = {0};
    static const char *const parts[] = {"model", "teacher", "student", NULL};
    const tw_opt table[] = {
        {'i', "input", TW_OPT_STRING, &o->input, 0, 0, NULL},
        {'o', "out", TW_OPT_STRING, &o->output, 0, 0, NULL},
        {0, "output", TW_OPT_LIST, &o->outputs, 0, 0, NULL},
        {0, "head", TW_OPT_STRING, &o->head, 0, 0, NULL},
        {0, "type", TW_OPT_CHOICE, &o->type, 0, 0, types},
        {0, "append", TW_OPT_FLAG, &o->append, 0, 0, NULL},
        {0, "random-init", TW_OPT_STRING, &o->random_init, 0, 0, NULL},
        {0, "small-stem", TW_OPT_FLAG, &o->small_stem, 0, 0, NULL},
        {0, "seed", TW_OPT_I64, &o->seed, 0, 9e18, NULL},
        {0, "part", TW_OPT_CHOICE, &o->part, 0, 0, parts},
        {0, "pixels", TW_OPT_FLAG, &o->pixels, 0, 0, NULL},
        {0, "batch-size", TW_OPT_INT, &o->batch_size, 1, 65536, NULL},
        {0, "device", TW_OPT_CHOICE, &o->device, 0, 0, tw_device_names},
        {0, "precision", TW_OPT_CHOICE, &o->precision, 0, 0, precisions},
        {0, "n-last-blocks", TW_OPT_INT, &o->last_blocks, 1, TW_VIT_DEPTH, NULL},
        {0, "avgpool-patchtokens", TW_OPT_FLAG, &o->avgpool, 0, 0, NULL},
        {'j', "threads", TW_OPT_INT, &o->threads, 1, 1024, NULL},
    };
    tw_program_options(table, sizeof table / sizeof *table, &o->common, &operands, usage);
    const int sources = operands.n + (o->random_init != NULL) + o->pixels;
    if (sources != 1)
        tw_die_usage(sources == 0 ? "no CHECKPOINT" : "one CHECKPOINT, --random-init or --pixels: only one of them");
    o->checkpoint = operands.n > 0 ? operands.item[0] : o->pixels ? "--pixels" : o->random_init;
    free(operands.item);
    choose_outputs(o);
    if (o->random_init != NULL && tw_backbone_check(o->random_init, o->small_stem) != 0)
        tw_die_usage("--random-init=%s", tw_error());
    if (o->random_init == NULL && (o->small_stem || tw_opts_given("seed")))
        tw_die_usage("--small-stem and --seed go with --random-init");
    if (operands.n == 0 && tw_opts_given("part"))
        tw_die_usage("--part: only with a CHECKPOINT, not with %s", o->checkpoint == o->random_init ? "--random-init" : "--pixels");
    if (o->head != NULL && o->pixels)
        tw_die_usage("--head: not with --pixels: it needs a network's features");
    if (o->head != NULL && !o->logits && !o->probs)
        tw_die_usage("--head: has no effect without --output=logits or probs");
    if (o->append && strcmp(o->output, "-") == 0)
        tw_die_usage("--append: give the file with -o");
    if (operands.n == 0 && (o->logits || o->probs) && o->head == NULL)
        tw_die_usage("--output: %s has features only", o->random_init != NULL ? "--random-init" : "--pixels");
    if (o->pixels && (o->last_blocks > 0 || o->avgpool))
        tw_die_usage("--n-last-blocks and --avgpool-patchtokens are for vision transformers");
}

int main(int argc, char **argv)
{
    struct run r = {.o = {.input = "-", .output = "-", .batch_size = 32, .threads = tw_processors()}};
    tw_program_start("twist-embed", argc, argv);
    parse(&r.o);
    if (open_network(&r) != 0)
        tw_die_error();
    r.network = network(&r);
    if (!r.o.append || !read_kept(&r))
        embed(&r);
    for (int i = 0; i < PLANS; i++)
        tw_plan_free(r.slot[i].plan);
    tw_net_free(r.net);
    tw_classifier_fini(&r.head);
    for (int i = 0; i < 3; i++)
        free(r.half[i]);
    free(r.head_logits);
    free(r.row);
    free(r.o.outputs.item);
    return TW_EXIT_OK;
}
