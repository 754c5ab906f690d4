/* twist-linear: linear classification on frozen features. */
#include "core/file.h"
#include "core/mem.h"
#include "core/pool.h"
#include "core/program.h"
#include "eval/batches.h"
#include "eval/classifier.h"
#include "eval/device.h"
#include "eval/linear.h"
#include "nn/backend.h"
#include "train/schedule.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static const char usage[] =
    "usage: twist-linear --train ENDPOINT --val ENDPOINT [options]\n"
    "Trains a linear classifier on the features of one stream and measures it on another after every epoch: accuracies as\n"
    "JSON on standard output. A training stream of one epoch is kept and shuffled; one of several is used in its order.\n"
    "      --train ENDPOINT   features and labels to learn from: -, a file, pipe:COMMAND, tcp://, ipc://\n"
    "      --val ENDPOINT     features and labels to measure on\n"
    "      --lr R,...         learning rate, cosine to 0 by epoch (default 0.2; --lr-classifier is the same); with several, one\n"
    "                         pass trains a classifier for each, and the best is reported\n"
    "      --scale-lr         each --lr times batch size / 256 (the protocol of vision transformers)\n"
    "      --batch-size N     samples a step (default 1024)\n"
    "      --classes N        number of classes, if the streams do not name them (default: from the highest label)\n"
    "      --epochs N         (default 100, or those of the training stream, of which it takes the first N)\n"
    "      --weight-decay R   (default 0)\n"
    "      --momentum R       (default 0.9)\n"
    "      --normalize        scale every feature to mean 0, deviation 1 of the training set\n"
    "      --seed N           of the first weights and the order (default 0)\n"
    "  -o, --output FILE      the best epoch's classifier, as safetensors: fc.weight, fc.bias\n"
    "      --log FILE         a line of JSON for each epoch\n"
    "      --device NAME      auto, cpu or cuda (default auto: a GPU where there is one)\n"
    "  -j, --jobs N           threads (default: the processors this process may use)\n"
    "      --progress         progress line even where standard error is no terminal\n"
    "  -q, --quiet            errors only        -v, --verbose  a line for each epoch\n"
    "  -h, --help             this text          -V, --version  version\n";

enum { MOST_RATES = 64 };

struct opts {
    const char *train, *val, *output, *log, *lr;
    double weight_decay, momentum;
    int batch_size, classes, epochs, jobs, device;
    int64_t seed;
    bool normalize, scale_lr;
    tw_common common;
};

/* The result of an epoch. */
struct score {
    int epoch; /* from 1 */
    double loss, acc1, acc5;
};

/* The classifier of one learning rate. */
struct pupil {
    double lr;
    tw_linear *model;
    bool lost;                 /* diverged: its loss is not finite */
    double loss;               /* of the epoch: the sum over its samples, at its end their mean */
    float *best_w, *best_b;    /* [C,D], [C]: the weights of the best epoch, with -o */
    struct score best, last;
};

struct run {
    struct opts o;
    tw_blocks *threads;
    tw_eval_device device;
    tw_batches train;
    tw_features val;
    float *val_x;              /* the validation features, in device memory if a device is used */
    struct pupil pupil[MOST_RATES];
    int n_pupils;
    int C, D, epochs;
    float *mean, *std;         /* [D] each, with --normalize */
    FILE *log;
    double start;
};

/* Number of classes: by --classes, the class names or the labels. */
static int count_classes(const struct run *r)
{
    const tw_roster *const of[] = {r->train.who, &r->val.who};
    int C = r->o.classes;
    for (int i = 0; i < 2; i++) {
        if (r->o.classes > 0 && of[i]->named > 0 && of[i]->named != r->o.classes)
            tw_die("--classes=%d: %s has %d", r->o.classes, of[i]->name, of[i]->named);
        if (r->o.classes > 0 && of[i]->n_classes > r->o.classes)
            tw_die("--classes=%d: %s has label %d", r->o.classes, of[i]->name, of[i]->n_classes - 1);
        C = of[i]->n_classes > C ? of[i]->n_classes : C;
    }
    return C;
}

static void read_streams(struct run *r)
{
    const struct opts *o = &r->o;
    if (tw_features_read(&r->val, o->val) != 0 || tw_roster_labelled(&r->val.who) != 0 ||
        tw_batches_open(&r->train, o->train, o->batch_size, (uint64_t)o->seed) != 0 ||
        tw_roster_same_classes(r->train.who, &r->val.who) != 0)
        tw_die_error();
    tw_roster_compare_networks(r->train.who, &r->val.who);
    r->D = r->train.D;
    if (r->val.D != r->D)
        tw_die("%s: %d features, where %s has %d", r->val.who.name, r->val.D, r->train.who->name, r->D);
    r->train.classes = r->C = count_classes(r);
    r->epochs = o->epochs;
    if (r->train.kept != NULL)
        return;
    const bool given = tw_opts_given("epochs");
    if (given && o->epochs > r->train.epochs)
        tw_die("--epochs=%d: %s has %lld epochs", o->epochs, r->train.who->name, (long long)r->train.epochs);
    if (!given && r->train.epochs > 1 << 24)
        tw_die("%s: %lld epochs are too many: set how many to use with --epochs", r->train.who->name, (long long)r->train.epochs);
    if (o->normalize)
        tw_die("--normalize: %s has several epochs; it needs a stream of one, which is kept", r->train.who->name);
    r->epochs = given ? o->epochs : (int)r->train.epochs;
}

/* Opens the output files, so that errors show before the work. */
static void open_outputs(struct run *r)
{
    if ((r->o.output != NULL && tw_file_probe(r->o.output) != 0) || tw_file_no_terminal(r->o.output) != 0 ||
        tw_program_beside("--log", r->o.log, r->o.output) != 0)
        tw_die_error();
    if (r->o.log != NULL && (r->log = fopen(r->o.log, "we")) == NULL)
        tw_die("%s: %s", r->o.log, strerror(errno));
}

static void normalize(struct run *r)
{
    r->mean = tw_calloc((size_t)r->D, sizeof *r->mean);
    r->std = tw_calloc((size_t)r->D, sizeof *r->std);
    if (r->mean == NULL || r->std == NULL || tw_features_moments(r->mean, r->std, r->train.kept) != 0)
        tw_die_error();
    tw_features_standardize(r->train.kept, r->mean, r->std);
    tw_features_standardize(&r->val, r->mean, r->std);
}

static void make_models(struct run *r)
{
    const struct opts *o = &r->o;
    for (int i = 0; i < r->n_pupils; i++) {
        struct pupil *p = &r->pupil[i];
        p->model = tw_linear_new(r->C, r->D, r->train.size, o->momentum, o->weight_decay, r->threads);
        if (p->model == NULL)
            tw_die_error();
        tw_linear_init(p->model, (uint64_t)o->seed);
        if (o->output == NULL)
            continue;
        p->best_w = tw_calloc((size_t)r->C * r->D, sizeof *p->best_w);
        p->best_b = tw_calloc((size_t)r->C, sizeof *p->best_b);
        if (p->best_w == NULL || p->best_b == NULL)
            tw_die_error();
    }
}

/* Copies the features to the memory of the device that computes the products. */
static void place_features(struct run *r)
{
    const size_t size = (size_t)r->train.size, n = (size_t)r->val.who.n, D = (size_t)r->D, room = (n + size - 1) / size * size;
    r->val_x = r->val.x;
    if (r->device.be != NULL && (tw_batches_to_device(&r->train, &r->device) != 0 ||
                                 (r->val_x = tw_eval_device_copy(&r->device, r->val.x, n * D, room * D)) == NULL))
        tw_die_error();
}

/* The learning rate: cosine schedule from lr to 0 over the epochs, constant within one. */
static double rate_of(const struct run *r, const struct pupil *p, int epoch)
{
    const double scale = r->o.scale_lr ? r->o.batch_size / 256.0 : 1;
    return p->lr * scale * tw_cosine((double)epoch / r->epochs);
}

/* The classifier with the best accuracy so far; among equal ones, the first that has not diverged. */
static const struct pupil *best_of(const struct run *r)
{
    const struct pupil *best = &r->pupil[0];
    for (int i = 1; i < r->n_pupils; i++)
        if (r->pupil[i].best.acc1 > best->best.acc1 || (r->pupil[i].best.acc1 == best->best.acc1 && best->lost && !r->pupil[i].lost))
            best = &r->pupil[i];
    return best;
}

/* n: samples of the epoch processed so far. */
static void show_progress(const struct run *r, int epoch, int64_t n)
{
    char left[40] = "";
    const struct pupil *best = best_of(r);
    if (r->train.kept != NULL) {
        const double all = (double)r->epochs * (double)r->train.who->n, done = (double)epoch * (double)r->train.who->n + (double)n;
        snprintf(left, sizeof left, ", %.0f s left", (tw_now() - r->start) * (all - done) / done);
    }
    tw_progress("epoch %d/%d, loss %.4f, best acc1 %.4f%s", epoch + 1, r->epochs, best->loss / (double)n, best->best.acc1, left);
}

/* One step of every classifier that has not diverged; fails if none is left. */
static void step(struct run *r, int epoch, int m)
{
    int left = 0;
    for (int i = 0; i < r->n_pupils; i++) {
        struct pupil *p = &r->pupil[i];
        if (p->lost)
            continue;
        const double loss = tw_linear_step(p->model, r->train.x, r->train.y, m, rate_of(r, p, epoch));
        if (loss < 0)
            tw_die_error();
        p->loss += loss;
        p->lost = !isfinite(p->loss);
        left += !p->lost;
        if (p->lost && r->n_pupils > 1)
            tw_warn("--lr=%g: epoch %d: the loss is not finite", p->lr, epoch + 1);
    }
    if (left > 0)
        return;
    tw_progress_end();
    tw_die("epoch %d: the loss is not finite: a smaller --lr, or --normalize, may help", epoch + 1);
}

/* One epoch of steps. */
static void train_epoch(struct run *r, int epoch)
{
    int64_t n = 0;
    int m;
    for (int i = 0; i < r->n_pupils; i++)
        r->pupil[i].loss = 0;
    while ((m = tw_batches_next(&r->train)) > 0) {
        step(r, epoch, m);
        n += m;
        if (tw_progress_due())
            show_progress(r, epoch, n);
    }
    if (m < 0) {
        tw_progress_end();
        tw_die_error();
    }
    if (n == 0)
        tw_die("%s: ends after %d of its %d epochs", r->train.who->name, epoch, r->epochs);
    for (int i = 0; i < r->n_pupils; i++)
        r->pupil[i].loss /= (double)n;
}

static void measure(struct run *r, struct pupil *p, int epoch)
{
    int64_t hits[2] = {0, 0};
    const double n = (double)r->val.who.n;
    if (tw_linear_count(hits, p->model, r->val_x, r->val.who.label, r->val.who.n) != 0)
        tw_die_error();
    p->last = (struct score){epoch + 1, p->loss, (double)hits[0] / n, (double)hits[1] / n};
    if (epoch > 0 && p->last.acc1 <= p->best.acc1)
        return;
    p->best = p->last;
    if (p->best_w != NULL) {
        if (tw_linear_fetch(p->model) != 0)
            tw_die_error();
        memcpy(p->best_w, tw_linear_weight(p->model), (size_t)r->C * r->D * sizeof *p->best_w);
        memcpy(p->best_b, tw_linear_bias(p->model), (size_t)r->C * sizeof *p->best_b);
    }
}

static void log_epoch(const struct run *r, const struct pupil *p, int epoch)
{
    const double seconds = tw_now() - r->start;
    tw_note(1, "epoch %d/%d, lr %g: loss %.4f, acc1 %.4f, acc5 %.4f", epoch + 1, r->epochs, p->lr, p->last.loss, p->last.acc1,
            p->last.acc5);
    if (r->log == NULL)
        return;
    fprintf(r->log, "{\"epoch\": %d, ", epoch + 1);
    if (r->n_pupils > 1)
        fprintf(r->log, "\"of\": %.9g, ", p->lr);
    fprintf(r->log, "\"lr\": %.9g, \"loss\": %.9g, \"acc1\": %.9g, \"acc5\": %.9g, \"seconds\": %.3f}\n", rate_of(r, p, epoch),
            p->last.loss, p->last.acc1, p->last.acc5, seconds);
    if (fflush(r->log) != 0)
        tw_die("%s: %s", r->o.log, strerror(errno));
}

static void end_epoch(struct run *r, int epoch)
{
    for (int i = 0; i < r->n_pupils; i++)
        if (!r->pupil[i].lost) {
            measure(r, &r->pupil[i], epoch);
            log_epoch(r, &r->pupil[i], epoch);
        }
}

static void write_classifier(struct run *r)
{
    char acc1[32], epoch[32], lr[32];
    const struct pupil *p = best_of(r);
    const tw_roster *named = r->train.who->named > 0 ? r->train.who : &r->val.who;
    snprintf(acc1, sizeof acc1, "%.9g", p->best.acc1);
    snprintf(epoch, sizeof epoch, "%d", p->best.epoch);
    snprintf(lr, sizeof lr, "%.9g", p->lr);
    const char *const meta[][2] = {{"acc1", acc1}, {"epoch", epoch}, {"lr", lr}, {"command", tw_program_command()}};
    if (r->o.normalize)
        tw_classifier_fold(p->best_w, p->best_b, r->C, r->D, r->mean, r->std);
    if (tw_classifier_write(r->o.output, p->best_w, p->best_b, r->C, r->D, named->named == r->C ? named->classes : NULL, meta,
                            r->o.common.no_history ? 3 : 4) != 0)
        tw_die_error();
}

/* Prints the result of each learning rate, if there are several. */
static void print_rates(const struct run *r)
{
    fputs("\"rates\": [", stdout);
    for (int i = 0; i < r->n_pupils; i++) {
        const struct pupil *p = &r->pupil[i];
        printf("%s{\"lr\": %.9g, \"acc1\": %.9g, \"acc5\": %.9g, \"epoch\": %d, \"acc1_last\": ", i > 0 ? ", " : "", p->lr, p->best.acc1,
               p->best.acc5, p->best.epoch);
        printf(p->lost ? "null}" : "%.9g}", p->last.acc1);
    }
    fputs("], ", stdout);
}

static void print_result(const struct run *r)
{
    const struct pupil *p = best_of(r);
    printf("{\"acc1\": %.9g, \"acc5\": %.9g, \"epoch\": %d, \"lr\": %.9g, ", p->best.acc1, p->best.acc5, p->best.epoch, p->lr);
    if (p->lost)
        fputs("\"acc1_last\": null, \"acc5_last\": null, \"loss_last\": null, ", stdout);
    else
        printf("\"acc1_last\": %.9g, \"acc5_last\": %.9g, \"loss_last\": %.9g, ", p->last.acc1, p->last.acc5, p->last.loss);
    if (r->n_pupils > 1)
        print_rates(r);
    printf("\"epochs\": %d, \"classes\": %d, \"val\": %lld}\n", r->epochs, r->C, (long long)r->val.who.n);
    if (tw_program_printed() != 0)
        tw_die_error();
}

static void parse_rates(struct run *r)
{
    for (const char *p = r->o.lr, *end; p != NULL; p = *end != '\0' ? end + 1 : NULL) {
        char text[64];
        end = strchrnul(p, ',');
        if (end - p >= (long)sizeof text || r->n_pupils == MOST_RATES)
            tw_die_usage("--lr: a list of at most %d numbers", MOST_RATES);
        snprintf(text, sizeof text, "%.*s", (int)(end - p), p);
        if (tw_parse_double(&r->pupil[r->n_pupils++].lr, text, 0, 1e6, "--lr") != 0)
            tw_die_usage("%s", tw_error());
    }
}

static void parse(struct opts *o)
{
    const tw_opt table[] = {
        {0, "train", TW_OPT_STRING, &o->train, 0, 0, NULL},
        {0, "val", TW_OPT_STRING, &o->val, 0, 0, NULL},
        {0, "lr", TW_OPT_STRING, &o->lr, 0, 0, NULL},
        {0, "lr-classifier", TW_OPT_STRING, &o->lr, 0, 0, NULL},
        {0, "scale-lr", TW_OPT_FLAG, &o->scale_lr, 0, 0, NULL},
        {0, "batch-size", TW_OPT_INT, &o->batch_size, 1, 1 << 24, NULL},
        {0, "classes", TW_OPT_INT, &o->classes, 1, 1 << 20, NULL},
        {0, "epochs", TW_OPT_INT, &o->epochs, 1, 1 << 24, NULL},
        {0, "weight-decay", TW_OPT_FLOAT, &o->weight_decay, 0, 1e6, NULL},
        {0, "momentum", TW_OPT_FLOAT, &o->momentum, 0, 1, NULL},
        {0, "normalize", TW_OPT_FLAG, &o->normalize, 0, 0, NULL},
        {0, "seed", TW_OPT_I64, &o->seed, 0, 9e18, NULL},
        {'o', "output", TW_OPT_STRING, &o->output, 0, 0, NULL},
        {0, "log", TW_OPT_STRING, &o->log, 0, 0, NULL},
        {0, "device", TW_OPT_CHOICE, &o->device, 0, 0, tw_device_names},
        {'j', "jobs", TW_OPT_INT, &o->jobs, 1, 4096, NULL},
    };
    tw_program_options(table, sizeof table / sizeof *table, &o->common, NULL, usage);
    if (o->train == NULL || o->val == NULL)
        tw_die_usage("--%s is missing", o->train == NULL ? "train" : "val");
    if (strcmp(o->train, "-") == 0 && strcmp(o->val, "-") == 0)
        tw_die_usage("--train and --val cannot both be standard input");
    const bool output = o->output != NULL && strcmp(o->output, "-") == 0, log = o->log != NULL && strcmp(o->log, "-") == 0;
    if (output || log)
        tw_die_usage("--%s: '-': give a file; standard output carries the result", output ? "output" : "log");
}

static void close_all(struct run *r)
{
    if (r->log != NULL && fclose(r->log) != 0) /* flushed line by line */
        tw_die("%s: %s", r->o.log, strerror(errno));
    for (int i = 0; i < r->n_pupils; i++) {
        tw_linear_free(r->pupil[i].model);
        free(r->pupil[i].best_w);
        free(r->pupil[i].best_b);
    }
    tw_batches_close(&r->train);
    if (r->val_x != r->val.x)
        tw_eval_device_release(&r->device, r->val_x);
    tw_features_fini(&r->val);
    tw_blocks_free(r->threads);
    tw_eval_device_close(&r->device);
    free(r->mean);
    free(r->std);
}

int main(int argc, char **argv)
{
    static struct run r = {.o = {.lr = "0.2", .batch_size = 1024, .epochs = 100, .momentum = 0.9}};
    tw_program_start("twist-linear", argc, argv);
    r.o.jobs = tw_processors();
    parse(&r.o);
    parse_rates(&r);
    if ((r.threads = tw_blocks_new(r.o.jobs)) == NULL || tw_eval_device_open(&r.device, tw_device_names[r.o.device]) != 0)
        tw_die_error();
    tw_blocks_set_device(r.threads, &r.device);
    open_outputs(&r);
    read_streams(&r);
    if (r.o.normalize)
        normalize(&r);
    place_features(&r);
    make_models(&r);
    r.start = tw_now();
    for (int e = 0; e < r.epochs; e++) {
        train_epoch(&r, e);
        end_epoch(&r, e);
    }
    tw_progress_end();
    if ((r.train.kept != NULL || r.epochs == r.train.epochs) && tw_batches_finish(&r.train) != 0)
        tw_die_error();
    if (r.o.output != NULL)
        write_classifier(&r);
    print_result(&r);
    close_all(&r);
    return TW_EXIT_OK;
}
