/* twist-cluster: unsupervised classification by a class head, or by k-means if there is none. */
#include "core/file.h"
#include "core/pool.h"
#include "core/program.h"
#include "core/tsv.h"
#include "eval/clusters.h"
#include "eval/device.h"
#include "eval/features.h"
#include "eval/kmeans.h"
#include "eval/matrix.h"
#include "eval/page.h"
#include "nn/backend.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char usage[] =
    "usage: twist-cluster [options] [FILE]\n"
    "Puts each record of a features stream into the cluster of its largest probability (or logit) and compares clusters and\n"
    "labels: metrics as JSON on standard output (null where there are no labels).\n"
    "  -i, --input ENDPOINT    instead of FILE: -, a file, pipe:COMMAND, tcp://, ipc:// (default -)\n"
    "      --kmeans K          clusters by k-means on the features instead\n"
    "      --restarts N        the best of N runs of k-means (default 3)\n"
    "      --iterations N      most iterations of each (default 300)\n"
    "      --spherical         k-means on features and centres of unit length\n"
    "      --seed N            of k-means (default 0)\n"
    "      --assignments FILE  a line for each record: key, cluster, probability, label, class of the cluster\n"
    "      --match FILE.json   for a class head: which cluster stands for which class, read if FILE exists, else the one-to-one match with the\n"
    "                          most records right (used without this option too) is written there;\n"
    "                          or a classifier of twist-linear or twist-finetune, which names its classes\n"
    "      --top N             instead of the metrics print a line for each record: key, and the classes of its N (1 to 5) most\n"
    "                          probable clusters, each with its probability\n"
    "      --report DIR        DIR/report.html: metrics, confusion matrix, pictures with their top 3 predictions; sheets\n"
    "      --device NAME       of k-means: auto, cpu or cuda (default auto: a GPU where there is one)\n"
    "  -j, --jobs N            threads of k-means (default: the processors this process may use)\n"
    "      --progress          progress line even where standard error is no terminal\n"
    "  -q, --quiet             errors only       -v, --verbose  say more\n"
    "  -h, --help              this text         -V, --version  version\n";

struct opts {
    const char *input, *assignments, *match, *report;
    tw_kmeans_options kmeans; /* K 0: no k-means, the clusters are those of the class head */
    int64_t seed;
    int jobs, top, device;
    tw_common common;
};

struct run {
    struct opts o;
    tw_clusters clusters;
    double inertia;
    int iterations;
    tw_match match;
    bool matched, match_read;
    tw_cluster_scores scores;
};

/* Prepares the rows for k-means: centred and scaled by 2^exponent, or (spherical) normalised to unit length. */
static int prepare(tw_features *f, bool spherical, int *exponent)
{
    if (!spherical)
        return tw_features_centre(exponent, f);
    tw_unit_rows(f->x, (size_t)f->who.n, f->D);
    *exponent = 0;
    return 0;
}

static void show_progress(const tw_kmeans_options *o, int restart, int iteration, int64_t number)
{
    if (iteration < 0) {
        tw_progress("k-means, run %d of %d, seed %lld of %d", restart + 1, o->restarts, (long long)number, o->K);
        return;
    }
    tw_progress("k-means, run %d of %d, iteration %d: %lld records moved", restart + 1, o->restarts, iteration + 1,
                (long long)number);
}

static void cluster_features(struct run *r)
{
    const tw_kmeans_options *o = &r->o.kmeans;
    tw_clusters *c = &r->clusters;
    static tw_features f; /* static: still reachable, hence no leak, if an error ends the program */
    static tw_blocks *threads;
    tw_kmeans k;
    static tw_eval_device device;
    int exponent;
    threads = tw_blocks_new(r->o.jobs);
    if (threads == NULL || tw_eval_device_open(&device, tw_device_names[r->o.device]) != 0 || tw_features_read(&f, r->o.input) != 0)
        tw_die_error();
    if (o->K > f.who.n)
        tw_die("--kmeans=%d: %s has %lld samples", o->K, f.who.name, (long long)f.who.n);
    tw_blocks_set_device(threads, &device);
    tw_note(1, "%s: %lld records of %d features", f.who.name, (long long)f.who.n, f.D);
    c->K = o->K;
    if (prepare(&f, o->spherical, &exponent) != 0 || tw_kmeans_run(&k, f.x, f.who.n, f.D, o, threads) != 0)
        tw_die_error();
    tw_progress_end();
    if (!k.converged)
        tw_warn("k-means still moved after %d iterations (--iterations)", k.iterations);
    c->top = k.near;
    k.near = NULL;
    for (int64_t i = 0; i < f.who.n; i++) /* differs where an empty cluster was given a row at which two centres coincide */
        c->top[i * TW_TOP] = k.cluster[i];
    r->inertia = ldexp(k.inertia, -2 * exponent);
    r->iterations = k.iterations;
    c->who = f.who;
    f.who = (tw_roster){0};
    tw_features_fini(&f);
    tw_kmeans_fini(&k);
    tw_blocks_free(threads);
    tw_eval_device_close(&device);
}

/* Reads the match of clusters to classes (--match), or computes it from the labels. */
static void match_classes(struct run *r)
{
    const char *path = r->o.match;
    r->match_read = path != NULL && access(path, F_OK) == 0;
    if (r->match_read) {
        int64_t lost;
        if (tw_match_read(&r->match, path, &r->clusters, &lost) != 0)
            tw_die_error();
        if (lost > 0)
            tw_warn("%s: %lld labels are of classes that %s does not have; they are ignored", r->clusters.who.name, (long long)lost, path);
        tw_note(1, "%s: match read", path);
    } else if (r->clusters.who.labelled > 0) {
        if (tw_match_find(&r->match, &r->clusters) != 0)
            tw_die_error();
    } else if (path != NULL) {
        tw_die("%s: no such file, and %s has no labels to find a match by", path, r->clusters.who.name);
    } else {
        return;
    }
    r->matched = true;
}

static void put_class(FILE *f, const struct run *r, int class)
{
    const tw_roster *who = &r->clusters.who;
    const char *name = class < who->named ? who->classes[class] : class < r->match.named ? r->match.classes[class] : NULL;
    if (name != NULL)
        tw_tsv_write(f, name, strlen(name));
    else
        fprintf(f, "%d", class);
}

static void put_assignment(FILE *f, const struct run *r, int64_t i)
{
    const tw_clusters *c = &r->clusters;
    size_t size;
    const char *key = tw_roster_key(&c->who, i, &size);
    const int32_t k = c->top[i * TW_TOP];
    tw_tsv_write(f, key, size);
    fprintf(f, "\t%d\t", k);
    if (c->prob != NULL)
        fprintf(f, "%.6g", (double)c->prob[i * TW_TOP]);
    putc('\t', f);
    if (c->who.label[i] >= 0)
        put_class(f, r, c->who.label[i]);
    putc('\t', f);
    if (r->matched && r->match.to[k] >= 0)
        put_class(f, r, r->match.to[k]);
    putc('\n', f);
}

/* Prints each record's most likely clusters, as the classes matched to them ("cluster K" without one). */
static void print_top(const struct run *r)
{
    const tw_clusters *c = &r->clusters;
    for (int64_t i = 0; i < c->who.n; i++) {
        size_t size;
        const char *key = tw_roster_key(&c->who, i, &size);
        tw_tsv_write(stdout, key, size);
        for (int t = 0; t < r->o.top && c->top[i * TW_TOP + t] >= 0; t++) {
            const int32_t k = c->top[i * TW_TOP + t];
            putchar('\t');
            if (r->matched && r->match.to[k] >= 0)
                put_class(stdout, r, r->match.to[k]);
            else
                printf("cluster %d", k);
            putchar('\t');
            if (c->prob != NULL)
                printf("%.6g", (double)c->prob[i * TW_TOP + t]);
        }
        putchar('\n');
    }
}

static int write_assignments(const struct run *r)
{
    tw_file *out = tw_file_create(r->o.assignments);
    if (out == NULL)
        return -1;
    FILE *f = tw_file_stream(out);
    fputs("key\tcluster\tprobability\tlabel\tclass\n", f);
    for (int64_t i = 0; i < r->clusters.who.n; i++)
        put_assignment(f, r, i);
    return tw_file_commit(out);
}

static void write_files(const struct run *r)
{
    const struct opts *o = &r->o;
    const tw_page page = {&r->clusters, &r->scores, r->matched ? &r->match : NULL, tw_program_command()};
    if ((o->match != NULL && !r->match_read && tw_match_write(&r->match, o->match) != 0) ||
        (o->assignments != NULL && write_assignments(r) != 0) || (o->report != NULL && tw_page_write(&page, o->report) != 0))
        tw_die_error();
}

static void print_metric(const char *name, double value)
{
    if (isnan(value))
        printf("\"%s\": null, ", name);
    else
        printf("\"%s\": %.9g, ", name, value);
}

static void print_metrics(const struct run *r)
{
    const tw_cluster_scores *s = &r->scores;
    putchar('{');
    print_metric("nmi", s->agree.nmi);
    print_metric("ami", s->agree.ami);
    print_metric("ari", s->agree.ari);
    print_metric("fmi", s->agree.fmi);
    print_metric("acc", s->acc);
    print_metric("acc5", s->acc5);
    print_metric("purity", s->agree.purity);
    printf("\"clusters\": %d, ", s->used);
    if (r->o.kmeans.K > 0)
        printf("\"inertia\": %.9g, \"iterations\": %d, ", r->inertia, r->iterations);
    printf("\"samples\": %lld, \"labelled\": %lld}\n", (long long)r->clusters.who.n, (long long)r->clusters.who.labelled);
}

/* Fails now, before the work, if an output file cannot be written. */
static void probe_outputs(const struct opts *o)
{
    const char *const path[] = {o->assignments, o->match != NULL && access(o->match, F_OK) != 0 ? o->match : NULL};
    if (tw_program_beside("--assignments", o->assignments, NULL) != 0)
        tw_die_error();
    for (int i = 0; i < 2; i++) {
        if (path[i] != NULL && tw_file_probe(path[i]) != 0)
            tw_die_error();
    }
    if (o->report != NULL && tw_make_folder(o->report) != 0)
        tw_die_error();
}

static void parse(struct opts *o)
{
    tw_strings operands = {0};
    const tw_opt table[] = {
        {'i', "input", TW_OPT_STRING, &o->input, 0, 0, NULL},
        {0, "kmeans", TW_OPT_INT, &o->kmeans.K, 1, 1 << 24, NULL},
        {0, "restarts", TW_OPT_INT, &o->kmeans.restarts, 1, 1 << 20, NULL},
        {0, "iterations", TW_OPT_INT, &o->kmeans.iterations, 1, 1 << 20, NULL},
        {0, "spherical", TW_OPT_FLAG, &o->kmeans.spherical, 0, 0, NULL},
        {0, "seed", TW_OPT_I64, &o->seed, 0, 9e18, NULL},
        {0, "assignments", TW_OPT_STRING, &o->assignments, 0, 0, NULL},
        {0, "match", TW_OPT_STRING, &o->match, 0, 0, NULL},
        {0, "top", TW_OPT_INT, &o->top, 1, TW_TOP, NULL},
        {0, "report", TW_OPT_STRING, &o->report, 0, 0, NULL},
        {0, "device", TW_OPT_CHOICE, &o->device, 0, 0, tw_device_names},
        {'j', "jobs", TW_OPT_INT, &o->jobs, 1, 4096, NULL},
    };
    tw_program_options(table, sizeof table / sizeof *table, &o->common, &operands, usage);
    if (operands.n > 1 || (operands.n == 1 && tw_opts_given("input")))
        tw_die_usage("unexpected operand '%s'", operands.item[operands.n - 1]);
    if (operands.n == 1)
        o->input = operands.item[0];
    free(operands.item);
    static const char *const only_kmeans[] = {"restarts", "iterations", "spherical", "seed"};
    for (int i = 0; i < 4 && o->kmeans.K == 0; i++)
        if (tw_opts_given(only_kmeans[i]))
            tw_die_usage("--%s goes with --kmeans", only_kmeans[i]);
    if (o->assignments != NULL && strcmp(o->assignments, "-") == 0)
        tw_die_usage("--assignments: '-': give a file; standard output carries the metrics");
    if (o->match != NULL && strcmp(o->match, "-") == 0)
        tw_die_usage("--match: '-': give a file, which is written, or read if it exists");
    if (o->match != NULL && o->kmeans.K > 0)
        tw_die_usage("--match and --kmeans exclude each other: k-means numbers its clusters differently for other data");
    o->kmeans.seed = (uint64_t)o->seed;
    o->kmeans.tell = show_progress;
}

int main(int argc, char **argv)
{
    static struct run r = {.o = {.input = "-", .kmeans = {.restarts = 3, .iterations = 300, .near = TW_TOP}}};
    tw_program_start("twist-cluster", argc, argv);
    r.o.jobs = tw_processors();
    parse(&r.o);
    probe_outputs(&r.o);
    if (r.o.kmeans.K > 0)
        cluster_features(&r);
    else if (tw_clusters_read(&r.clusters, r.o.input) != 0)
        tw_die_error();
    match_classes(&r);
    if (tw_clusters_score(&r.scores, &r.clusters, r.matched ? r.match.to : NULL) != 0)
        tw_die_error();
    write_files(&r);
    if (r.o.top > 0)
        print_top(&r);
    else
        print_metrics(&r);
    if (tw_program_printed() != 0)
        tw_die_error();
    tw_match_fini(&r.match);
    tw_clusters_fini(&r.clusters);
    return TW_EXIT_OK;
}
