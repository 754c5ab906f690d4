/* twist-linear: linear classification on frozen features. */
#include "core/file.h"
#include "core/mem.h"
#include "core/pool.h"
#include "core/program.h"
#include "eval/batches.h"
#include "eval/classifier.h"
#include "eval/linear.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const char usage[] =
    "usage: twist-linear --train ENDPOINT --val ENDPOINT [options]\n"
    "Trains a linear classifier on the features of one stream and measures it on another after every epoch: accuracies as\n"
    "JSON on standard output. A training stream of one epoch is kept and shuffled; one of several is taken as it comes.\n"
    "      --train ENDPOINT   features and labels to learn from: -, a file, pipe:COMMAND\n"
    "      --val ENDPOINT     features and labels to measure on\n"
    "      --lr R             learning rate, cosine to 0 by epoch (default 0.2; --lr-classifier is the same)\n"
    "      --batch-size N     samples a step (default 1024)\n"
    "      --epochs N         (default 100, or those of the training stream)\n"
    "      --weight-decay R   (default 0)\n"
    "      --momentum R       (default 0.9)\n"
    "      --normalize        scale every feature to mean 0, deviation 1 of the training set\n"
    "      --seed N           of the first weights and the order (default 0)\n"
    "  -o, --output FILE      the best epoch's classifier, as safetensors: fc.weight, fc.bias\n"
    "      --log FILE         a line of JSON for each epoch\n"
    "  -j, --jobs N           threads (default: the processors this process may use)\n"
    "      --progress         progress line even where standard error is no terminal\n"
    "  -q, --quiet            errors only        -v, --verbose  a line for each epoch\n"
    "  -h, --help             this text          -V, --version  version\n";

struct opts {
    const char *train, *val, *output, *log;
    double lr, weight_decay, momentum;
    int batch_size, epochs, jobs;
    int64_t seed;
    bool normalize;
    tw_common common;
};

/* What an epoch reached. */
struct score {
    int epoch; /* 1, 2, ... */
    double loss, acc1, acc5;
};

struct run {
    struct opts o;
    tw_blocks *threads;
    tw_batches train;
    tw_features val;
    tw_linear *model;
    int C, D, epochs;
    float *mean, *std;         /* [D] each, with --normalize */
    float *best_w, *best_b;    /* [C,D], [C]: the weights of the best epoch, with -o */
    struct score best, last;
    FILE *log;
    double start;
};

static void read_streams(struct run *r)
{
    const struct opts *o = &r->o;
    if (tw_features_read(&r->val, o->val) != 0 || tw_roster_labelled(&r->val.who) != 0 ||
        tw_batches_open(&r->train, o->train, o->batch_size, (uint64_t)o->seed) != 0 ||
        tw_roster_same_classes(r->train.who, &r->val.who) != 0)
        tw_die_error();
    r->D = r->train.D;
    if (r->val.D != r->D)
        tw_die("%s: %d features, where %s has %d", r->val.who.name, r->val.D, r->train.who->name, r->D);
    r->C = r->train.who->n_classes > r->val.who.n_classes ? r->train.who->n_classes : r->val.who.n_classes;
    r->train.classes = r->C;
    r->epochs = o->epochs;
    if (r->train.kept != NULL)
        return;
    if (tw_opts_given("epochs") && o->epochs != r->train.epochs)
        tw_die("--epochs=%d: %s has %lld epochs", o->epochs, r->train.who->name, (long long)r->train.epochs);
    if (r->train.epochs > 1 << 24)
        tw_die("%s: %lld epochs are too many", r->train.who->name, (long long)r->train.epochs);
    if (o->normalize)
        tw_die("--normalize: %s has several epochs; the mean of one that is kept is wanted", r->train.who->name);
    r->epochs = (int)r->train.epochs;
}

/* Opens what is written at the end, or fails before the work is done. */
static void open_outputs(struct run *r)
{
    if (r->o.log != NULL && (r->log = fopen(r->o.log, "w")) == NULL)
        tw_fail_errno("%s", r->o.log);
    tw_file *probe = r->o.output != NULL ? tw_file_create(r->o.output) : NULL;
    if ((r->o.log != NULL && r->log == NULL) || (r->o.output != NULL && probe == NULL))
        tw_die_error();
    tw_file_abandon(probe);
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

static void make_model(struct run *r)
{
    const struct opts *o = &r->o;
    r->model = tw_linear_new(r->C, r->D, r->train.size, o->momentum, o->weight_decay, r->threads);
    if (r->model == NULL)
        tw_die_error();
    tw_linear_init(r->model, (uint64_t)o->seed);
    if (o->output == NULL)
        return;
    r->best_w = tw_calloc((size_t)r->C * r->D, sizeof *r->best_w);
    r->best_b = tw_calloc((size_t)r->C, sizeof *r->best_b);
    if (r->best_w == NULL || r->best_b == NULL)
        tw_die_error();
}

/* Cosine from lr to 0 over the epochs, the same within one (CosineAnnealingLR). */
static double rate_of(const struct run *r, int epoch)
{
    return r->o.lr * 0.5 * (1 + cos(3.14159265358979323846 * epoch / r->epochs));
}

/* n samples of the epoch have been seen. */
static void show_progress(const struct run *r, int epoch, int64_t n, double loss)
{
    char left[40] = "";
    if (r->train.kept != NULL) {
        const double all = (double)r->epochs * (double)r->train.who->n, done = (double)epoch * (double)r->train.who->n + (double)n;
        snprintf(left, sizeof left, ", %.0f s left", (tw_now() - r->start) * (all - done) / done);
    }
    tw_progress("epoch %d/%d, loss %.4f, best acc1 %.4f%s", epoch + 1, r->epochs, loss, r->best.acc1, left);
}

/* One epoch of steps. Returns the mean loss. */
static double train_epoch(struct run *r, int epoch)
{
    double loss = 0;
    int64_t n = 0;
    int m;
    while ((m = tw_batches_next(&r->train)) > 0) {
        loss += tw_linear_step(r->model, r->train.x, r->train.y, m, rate_of(r, epoch));
        n += m;
        if (!isfinite(loss)) {
            tw_progress_end();
            tw_die("epoch %d: the loss is not finite: a smaller --lr, or --normalize, may help", epoch + 1);
        }
        if (tw_progress_due())
            show_progress(r, epoch, n, loss / (double)n);
    }
    if (m < 0) {
        tw_progress_end();
        tw_die_error();
    }
    if (n == 0)
        tw_die("%s: ends after %d of its %d epochs", r->train.who->name, epoch, r->epochs);
    return loss / (double)n;
}

static void measure(struct run *r, int epoch, double loss)
{
    int64_t hits[2] = {0, 0};
    if (tw_linear_count(hits, r->model, r->val.x, r->val.who.label, r->val.who.n) != 0)
        tw_die_error();
    r->last = (struct score){epoch + 1, loss, (double)hits[0] / (double)r->val.who.n, (double)hits[1] / (double)r->val.who.n};
    if (epoch > 0 && r->last.acc1 <= r->best.acc1)
        return;
    r->best = r->last;
    if (r->best_w != NULL) {
        memcpy(r->best_w, tw_linear_weight(r->model), (size_t)r->C * r->D * sizeof *r->best_w);
        memcpy(r->best_b, tw_linear_bias(r->model), (size_t)r->C * sizeof *r->best_b);
    }
}

static void log_epoch(const struct run *r, int epoch)
{
    const double seconds = tw_now() - r->start;
    tw_note(1, "epoch %d/%d: loss %.4f, acc1 %.4f, acc5 %.4f", epoch + 1, r->epochs, r->last.loss, r->last.acc1, r->last.acc5);
    if (r->log == NULL)
        return;
    fprintf(r->log, "{\"epoch\": %d, \"lr\": %.9g, \"loss\": %.9g, \"acc1\": %.9g, \"acc5\": %.9g, \"seconds\": %.3f}\n", epoch + 1,
            rate_of(r, epoch), r->last.loss, r->last.acc1, r->last.acc5, seconds);
    if (fflush(r->log) != 0)
        tw_die("%s: cannot be written", r->o.log);
}

static void write_classifier(struct run *r)
{
    char acc1[32], epoch[32];
    const tw_roster *named = r->train.who->named > 0 ? r->train.who : &r->val.who;
    snprintf(acc1, sizeof acc1, "%.9g", r->best.acc1);
    snprintf(epoch, sizeof epoch, "%d", r->best.epoch);
    const char *const meta[][2] = {{"acc1", acc1}, {"epoch", epoch}, {"command", tw_program_command()}};
    if (r->o.normalize)
        tw_classifier_fold(r->best_w, r->best_b, r->C, r->D, r->mean, r->std);
    if (tw_classifier_write(r->o.output, r->best_w, r->best_b, r->C, r->D, named->named == r->C ? named->classes : NULL, meta,
                            r->o.common.no_history ? 2 : 3) != 0)
        tw_die_error();
}

static void print_result(const struct run *r)
{
    printf("{\"acc1\": %.9g, \"acc5\": %.9g, \"epoch\": %d, \"acc1_last\": %.9g, \"acc5_last\": %.9g, \"loss_last\": %.9g, "
           "\"epochs\": %d, \"classes\": %d, \"val\": %lld}\n",
           r->best.acc1, r->best.acc5, r->best.epoch, r->last.acc1, r->last.acc5, r->last.loss, r->epochs, r->C,
           (long long)r->val.who.n);
    if (fflush(stdout) != 0 || ferror(stdout))
        tw_die("standard output: cannot be written");
}

static void parse(struct opts *o)
{
    const tw_opt table[] = {
        {0, "train", TW_OPT_STRING, &o->train, 0, 0, NULL},
        {0, "val", TW_OPT_STRING, &o->val, 0, 0, NULL},
        {0, "lr", TW_OPT_FLOAT, &o->lr, 0, 1e6, NULL},
        {0, "lr-classifier", TW_OPT_FLOAT, &o->lr, 0, 1e6, NULL},
        {0, "batch-size", TW_OPT_INT, &o->batch_size, 1, 1 << 24, NULL},
        {0, "epochs", TW_OPT_INT, &o->epochs, 1, 1 << 24, NULL},
        {0, "weight-decay", TW_OPT_FLOAT, &o->weight_decay, 0, 1e6, NULL},
        {0, "momentum", TW_OPT_FLOAT, &o->momentum, 0, 1, NULL},
        {0, "normalize", TW_OPT_FLAG, &o->normalize, 0, 0, NULL},
        {0, "seed", TW_OPT_I64, &o->seed, 0, 9e18, NULL},
        {'o', "output", TW_OPT_STRING, &o->output, 0, 0, NULL},
        {0, "log", TW_OPT_STRING, &o->log, 0, 0, NULL},
        {'j', "jobs", TW_OPT_INT, &o->jobs, 1, 4096, NULL},
    };
    tw_program_options(table, sizeof table / sizeof *table, &o->common, NULL, usage);
    if (o->train == NULL || o->val == NULL)
        tw_die_usage("--%s is missing", o->train == NULL ? "train" : "val");
    if (strcmp(o->train, "-") == 0 && strcmp(o->val, "-") == 0)
        tw_die_usage("--train and --val cannot both be standard input");
}

static void close_all(struct run *r)
{
    if (r->log != NULL && (ferror(r->log) || fclose(r->log) != 0))
        tw_die("%s: cannot be written", r->o.log);
    tw_linear_free(r->model);
    tw_batches_close(&r->train);
    tw_features_fini(&r->val);
    tw_blocks_free(r->threads);
    free(r->mean);
    free(r->std);
    free(r->best_w);
    free(r->best_b);
}

int main(int argc, char **argv)
{
    static struct run r = {.o = {.lr = 0.2, .batch_size = 1024, .epochs = 100, .momentum = 0.9}};
    tw_program_start("twist-linear", argc, argv);
    r.o.jobs = tw_processors();
    parse(&r.o);
    if ((r.threads = tw_blocks_new(r.o.jobs)) == NULL)
        tw_die_error();
    open_outputs(&r);
    read_streams(&r);
    if (r.o.normalize)
        normalize(&r);
    make_model(&r);
    r.start = tw_now();
    for (int e = 0; e < r.epochs; e++) {
        measure(&r, e, train_epoch(&r, e));
        log_epoch(&r, e);
    }
    tw_progress_end();
    if (tw_batches_finish(&r.train) != 0)
        tw_die_error();
    if (r.o.output != NULL)
        write_classifier(&r);
    print_result(&r);
    close_all(&r);
    return TW_EXIT_OK;
}
