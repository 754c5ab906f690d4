/* twist-knn: k-NN classification and nearest-neighbour search on features. */
#include "core/file.h"
#include "core/mem.h"
#include "core/pool.h"
#include "core/program.h"
#include "core/tsv.h"
#include "eval/device.h"
#include "eval/features.h"
#include "eval/knn.h"
#include "eval/matrix.h"
#include "eval/picture_file.h"
#include "nn/backend.h"

#include <stdlib.h>
#include <string.h>

static const char usage[] =
    "usage: twist-knn --train ENDPOINT --val ENDPOINT [options]\n"
    "Classifies the records of one features stream by their nearest neighbours (cosine) in another, each neighbour voting\n"
    "with exp(cosine / temperature): accuracies as JSON on standard output.\n"
    "      --train ENDPOINT   with known labels: -, a file, pipe:COMMAND, tcp://, ipc://; read once, not kept\n"
    "      --val ENDPOINT     the records to classify\n"
    "  -k LIST                numbers of neighbours (default 10,20,100,200)\n"
    "      --temperature T    of the votes (default 0.07)\n"
    "      --neighbours N     instead of accuracies print a line for each record of --val: its key and the keys of its N\n"
    "                         nearest records in --train, the nearest first, separated by tabs\n"
    "      --cosines          with --neighbours: a tab and the cosine after each key\n"
    "      --sheet FILE.png   with --neighbours: a sheet, a row for each of the first 64 records and its nearest, if keys are paths\n"
    "                         of pictures\n"
    "      --device NAME      auto, cpu or cuda (default auto: a GPU where there is one)\n"
    "  -j, --jobs N           threads (default: the processors this process may use)\n"
    "      --progress         progress line even where standard error is no terminal\n"
    "  -q, --quiet            errors only        -v, --verbose  say more\n"
    "  -h, --help             this text          -V, --version  version\n";

enum { MOST_K = 100000, MOST_KS = 64 };

struct opts {
    const char *train, *val, *ks, *sheet;
    double temperature;
    int neighbours, jobs, device;
    bool cosines;
    int k[MOST_KS], n_k, k_most;
    tw_common common;
};

struct run {
    struct opts o;
    tw_blocks *threads;
    tw_eval_device device;
    tw_features val;
    tw_roster train;
    tw_knn *search;
    const tw_neighbour *near; /* [val, k_most] */
};

static void read_val(struct run *r)
{
    if (tw_features_read(&r->val, r->o.val) != 0 || (r->o.neighbours == 0 && tw_roster_labelled(&r->val.who) != 0))
        tw_die_error();
    tw_unit_rows(r->val.x, (size_t)r->val.who.n, r->val.D);
    tw_note(1, "%s: %lld records of %d features", r->val.who.name, (long long)r->val.who.n, r->val.D);
}

/* Adds the n rows of the chunk to the search. 0, or -1 and tw_error(). */
static int add_chunk(struct run *r, float *chunk, int n)
{
    tw_unit_rows(chunk, (size_t)n, r->val.D);
    if (tw_progress_due())
        tw_progress("%lld training records", (long long)r->train.n);
    return tw_knn_add(r->search, chunk, n);
}

/* Checks that the first training record has as many features as the records of --val. 0, or -1 and tw_error(). */
static int same_width(const struct run *r, const tw_sample *s)
{
    const tw_tensor *t = &s->features;
    if (r->train.n > 0 || t->data == NULL || t->dim[0] == r->val.D)
        return 0;
    return tw_fail("%s: %lld features, where %s has %d", r->train.name, (long long)t->dim[0], r->val.who.name, r->val.D);
}

/* Streams the training set through the search, chunk by chunk. 0, or -1 and tw_error(). */
static int stream_train(struct run *r, tw_reader *reader, float *chunk)
{
    tw_sample s;
    int rc, n = 0, D = r->val.D;
    tw_roster_compare_networks(&r->train, &r->val.who);
    tw_sample_init(&s);
    while ((rc = tw_reader_next(reader, &s)) == 1) {
        rc = -1;
        if (same_width(r, &s) != 0 || tw_vector_check(&D, &r->train, &s, &s.features, "features") != 0 ||
            tw_vector_copy(chunk + (size_t)n * D, &r->train, &s, &s.features, "features") != 0 || tw_roster_add(&r->train, &s) != 0)
            break;
        if (++n == TW_KNN_CHUNK) {
            if (add_chunk(r, chunk, n) != 0)
                break;
            n = 0;
        }
    }
    if (rc == 0 && n > 0)
        rc = add_chunk(r, chunk, n);
    tw_sample_fini(&s);
    return rc;
}

static void search_train(struct run *r)
{
    size_t size;
    float *chunk = tw_mul(&size, TW_KNN_CHUNK * sizeof *chunk, (size_t)r->val.D) ? tw_alloc64(size) : NULL;
    tw_reader *reader = tw_reader_open(r->o.train, NULL, NULL);
    r->search = tw_knn_new(r->val.x, r->val.who.n, r->val.D, r->o.k_most, r->threads);
    const bool good = chunk != NULL && reader != NULL && r->search != NULL && tw_roster_init(&r->train, reader) == 0 &&
                      (r->o.neighbours > 0 || tw_roster_same_classes(&r->train, &r->val.who) == 0) &&
                      stream_train(r, reader, chunk) == 0 && (r->o.neighbours > 0 || tw_roster_labelled(&r->train) == 0);
    tw_progress_end();
    tw_reader_close(reader);
    free(chunk);
    if (!good)
        tw_die_error();
    if (r->train.n == 0)
        tw_die("%s: no samples", r->train.name);
    r->near = tw_knn_finish(r->search);
}

/* Values of k beyond the size of the training set: default ones are dropped, those given with -k are an error. */
static void check_ks(struct run *r)
{
    struct opts *o = &r->o;
    int kept = 0;
    for (int i = 0; i < o->n_k; i++) {
        if (o->k[i] <= r->train.n)
            o->k[kept++] = o->k[i];
        else if (tw_opts_given("k"))
            tw_die("-k: %d neighbours, where %s has %lld samples", o->k[i], r->train.name, (long long)r->train.n);
        else
            tw_warn("%s has only %lld samples: k = %d is left out", r->train.name, (long long)r->train.n, o->k[i]);
    }
    o->n_k = kept;
}

/* Prints top-1 and top-5 accuracy for k neighbours. */
static void print_k(const struct run *r, int k, double *vote, int C)
{
    int64_t first = 0, five = 0;
    for (int64_t i = 0; i < r->val.who.n; i++) {
        tw_knn_vote(vote, C, r->near + i * r->o.k_most, k, r->train.label, r->o.temperature);
        const int rank = tw_knn_rank(vote, C, r->val.who.label[i]);
        first += rank == 0;
        five += rank < 5 && rank < C;
    }
    const double n = (double)r->val.who.n;
    printf("\"k%d\": %.9g, \"k%d_top5\": %.9g, ", k, (double)first / n, k, (double)five / n);
}

static void print_metrics(struct run *r)
{
    const int C = tw_knn_number(r->train.label, r->train.n, r->val.who.label, r->val.who.n);
    double *vote = C >= 0 ? tw_calloc((size_t)C, sizeof *vote) : NULL;
    if (vote == NULL)
        tw_die_error();
    check_ks(r);
    printf("{");
    for (int i = 0; i < r->o.n_k; i++)
        print_k(r, r->o.k[i], vote, C);
    printf("\"temperature\": %.9g, \"train\": %lld, \"val\": %lld}\n", r->o.temperature, (long long)r->train.n,
           (long long)r->val.who.n);
    free(vote);
}

static void print_key(const tw_roster *who, int64_t i)
{
    size_t size;
    const char *key = tw_roster_key(who, i, &size);
    tw_tsv_write(stdout, key, size);
}

/* Adds the record's picture to the row, white if its key names none, of which the first is warned. 0, or -1 and tw_error(). */
static int add_picture(tw_sheet *s, tw_picture_files *files, const tw_roster *who, int64_t i, bool *lacks)
{
    static const uint8_t white[3] = {255, 255, 255};
    size_t size;
    tw_tensor t;
    const char *key = tw_roster_key(who, i, &size);
    if (!tw_picture_file(&t, files, key, size)) {
        if (!*lacks)
            tw_warn("--sheet: %.*s: no picture that can be read from here: white in the sheet, as others may be", (int)size, key);
        *lacks = true;
        t = (tw_tensor){.dtype = TW_U8, .rank = 3, .dim = {1, 1, 3}, .data = white};
    }
    return tw_sheet_add(s, &t);
}

static void write_sheet(const struct run *r)
{
    tw_picture_files *files = tw_picture_files_new();
    tw_sheet *s = files != NULL ? tw_sheet_new() : NULL;
    int rc = s != NULL ? 0 : -1;
    bool lacks = false;
    for (int64_t i = 0; rc == 0 && i < r->val.who.n && tw_sheet_row(s); i++) {
        rc = add_picture(s, files, &r->val.who, i, &lacks);
        for (int k = 0; rc == 0 && k < r->o.neighbours; k++)
            rc = add_picture(s, files, &r->train, r->near[i * r->o.k_most + k].row, &lacks);
    }
    if (rc != 0 || tw_sheet_write(s, r->o.sheet) != 0)
        tw_die_error();
    tw_sheet_free(s);
    tw_picture_files_free(files);
}

static void print_neighbours(const struct run *r)
{
    if (r->o.neighbours > r->train.n)
        tw_die("--neighbours=%d: %s has %lld samples", r->o.neighbours, r->train.name, (long long)r->train.n);
    for (int64_t i = 0; i < r->val.who.n; i++) {
        print_key(&r->val.who, i);
        for (int k = 0; k < r->o.neighbours; k++) {
            putchar('\t');
            const tw_neighbour *n = &r->near[i * r->o.k_most + k];
            print_key(&r->train, n->row);
            if (r->o.cosines)
                printf("\t%.6g", (double)n->cosine);
        }
        putchar('\n');
    }
}

static bool in_list(const struct opts *o, int64_t k)
{
    int i = 0;
    while (i < o->n_k && o->k[i] != k)
        i++;
    return i < o->n_k;
}

/* Parses a list such as 10,20; repeated numbers are dropped. */
static void parse_ks(struct opts *o)
{
    char *text = strdup(o->ks), *rest = text, *item;
    if (text == NULL)
        tw_die("out of memory");
    while ((item = strsep(&rest, ",")) != NULL) {
        int64_t k;
        if (tw_parse_i64(&k, item, 1, MOST_K, "-k") != 0)
            tw_die_usage("%s", tw_error());
        if (in_list(o, k))
            continue;
        if (o->n_k == MOST_KS)
            tw_die_usage("-k: more than %d numbers", MOST_KS);
        o->k[o->n_k++] = (int)k;
        o->k_most = k > o->k_most ? (int)k : o->k_most;
    }
    free(text);
}

static void parse(struct opts *o)
{
    const tw_opt table[] = {
        {0, "train", TW_OPT_STRING, &o->train, 0, 0, NULL},
        {0, "val", TW_OPT_STRING, &o->val, 0, 0, NULL},
        {'k', "k", TW_OPT_STRING, &o->ks, 0, 0, NULL},
        {0, "temperature", TW_OPT_FLOAT, &o->temperature, 1e-6, 1e6, NULL},
        {0, "neighbours", TW_OPT_INT, &o->neighbours, 1, MOST_K, NULL},
        {0, "cosines", TW_OPT_FLAG, &o->cosines, 0, 0, NULL},
        {0, "sheet", TW_OPT_STRING, &o->sheet, 0, 0, NULL},
        {0, "device", TW_OPT_CHOICE, &o->device, 0, 0, tw_device_names},
        {'j', "jobs", TW_OPT_INT, &o->jobs, 1, 4096, NULL},
    };
    tw_program_options(table, sizeof table / sizeof *table, &o->common, NULL, usage);
    if (o->train == NULL || o->val == NULL)
        tw_die_usage("--%s is missing", o->train == NULL ? "train" : "val");
    if (strcmp(o->train, "-") == 0 && strcmp(o->val, "-") == 0)
        tw_die_usage("--train and --val cannot both be standard input");
    if ((o->cosines || o->sheet != NULL) && o->neighbours == 0)
        tw_die_usage("--%s goes with --neighbours", o->sheet != NULL ? "sheet" : "cosines");
    if (o->sheet != NULL && strcmp(o->sheet, "-") == 0)
        tw_die_usage("--sheet: '-': give a file; standard output carries the neighbours");
    if (tw_program_beside("--sheet", o->sheet, NULL) != 0 || tw_file_no_terminal(o->sheet) != 0)
        tw_die_error();
    parse_ks(o);
    if (o->neighbours > 0)
        o->k_most = o->neighbours;
}

int main(int argc, char **argv)
{
    static struct run r = {.o = {.ks = "10,20,100,200", .temperature = 0.07}};
    tw_program_start("twist-knn", argc, argv);
    r.o.jobs = tw_processors();
    parse(&r.o);
    if ((r.threads = tw_blocks_new(r.o.jobs)) == NULL || tw_eval_device_open(&r.device, tw_device_names[r.o.device]) != 0)
        tw_die_error();
    tw_blocks_set_device(r.threads, &r.device);
    read_val(&r);
    search_train(&r);
    if (r.o.neighbours > 0)
        print_neighbours(&r);
    else
        print_metrics(&r);
    if (r.o.sheet != NULL)
        write_sheet(&r);
    if (tw_program_printed() != 0)
        tw_die_error();
    tw_knn_free(r.search);
    tw_roster_fini(&r.train);
    tw_features_fini(&r.val);
    tw_blocks_free(r.threads);
    tw_eval_device_close(&r.device);
    return TW_EXIT_OK;
}
