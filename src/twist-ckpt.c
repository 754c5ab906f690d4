/* twist-ckpt: look into checkpoints, and convert them. */
#include "checkpoint/compare.h"
#include "checkpoint/export.h"
#include "checkpoint/layout.h"
#include "checkpoint/network.h"
#include "checkpoint/recipe.h"
#include "core/mem.h"
#include "core/program.h"
#include "train/state.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const char usage[] =
    "usage: twist-ckpt [options] FILE\n"
    "Lists what a checkpoint holds: its network, its metadata, its tensors (name, type, shape).\n"
    "      --stats         add minimum, maximum, mean and deviation of each tensor\n"
    "      --position      print only where training continues: --start-epoch=E --skip=S, for twist-decode\n"
    "      --recipe        print only the options of the training that wrote it, as pipelines/pretrain --recipe takes them\n"
    "      --diff OTHER    print only where the tensors of FILE (A) and OTHER (B) differ; exit 1 if they do\n"
    "      --to FILE       write the tensors to FILE: .safetensors, .pth, .pt, .npz, or .pkl for detectron2\n"
    "      --part PART     only the model (backbone and head), the backbone, the teacher, or the student\n"
    "      --prefix TEXT   the model is the tensors whose names begin with TEXT (default: prefixes of known trainers)\n"
    "      --keys NAMING   name the tensors as official, torchvision or detectron2 does (default: as in FILE; with\n"
    "                      --part official, with --part backbone torchvision)\n"
    "  -q, --quiet         errors only        -v, --verbose  say more\n"
    "  -h, --help          this text          -V, --version  version\n";

struct opts {
    const char *file, *to, *diff, *prefix;
    bool stats, position, recipe;
    int part, keys; /* tw_part, tw_keys */
    tw_common common;
};

struct stats {
    double min, max, mean, deviation;
    bool finite;
};

static int64_t read_count(const tw_checkpoint *f, const char *key)
{
    int64_t v;
    const char *text = tw_checkpoint_meta(f, key);
    if (text == NULL)
        tw_die("%s: no position in it: '%s' is not in its metadata", tw_checkpoint_path(f), key);
    if (tw_parse_i64(&v, text, 0, INT64_MAX, key) != 0)
        tw_die("%s: %s", tw_checkpoint_path(f), tw_error());
    return v;
}

static void print_position(const tw_checkpoint *f)
{
    const int64_t epoch = read_count(f, "epoch");
    int64_t sample = read_count(f, "sample");
    if (tw_checkpoint_meta(f, "places") != NULL) { /* of several ranks: the least advanced; the others read on to theirs */
        const tw_train_state s = {.at.sample = sample, .ranks = (int)read_count(f, "ranks")};
        int64_t *places = tw_calloc((size_t)s.ranks, sizeof *places);
        if (places == NULL || tw_state_read_places(places, &s, f) != 0)
            tw_die_error();
        for (int i = 0; i < s.ranks; i++)
            sample = places[i] < sample ? places[i] : sample;
        free(places);
    }
    printf("--start-epoch=%lld --skip=%lld\n", (long long)epoch, (long long)sample);
}

/* Prints text from a file with control characters as '?', so that it cannot contain terminal escapes. */
static void print_text(const char *text)
{
    for (; *text != '\0'; text++)
        putchar((unsigned char)*text < 32 || *text == 127 ? '?' : *text);
}

static struct stats measure(const tw_tensor *t)
{
    const int64_t n = tw_tensor_elements(t);
    struct stats s = {.min = INFINITY, .max = -INFINITY, .finite = true};
    double square = 0;
    for (int64_t i = 0; i < n; i++) {
        const double v = tw_tensor_element(t, i);
        s.finite = s.finite && isfinite(v);
        s.min = fmin(s.min, v);
        s.max = fmax(s.max, v);
        s.mean += v / (double)n;
    }
    for (int64_t i = 0; i < n; i++) {
        const double d = tw_tensor_element(t, i) - s.mean;
        square += d * d / (double)n;
    }
    s.deviation = sqrt(square);
    return s;
}

static void print_tensor(const tw_named_tensor *t, bool with_stats)
{
    char text[160];
    print_text(t->name);
    printf("\t%s", tw_tensor_describe(text, sizeof text, &t->tensor));
    if (with_stats && tw_tensor_elements(&t->tensor) > 0 && !tw_tensor_is_complex(&t->tensor)) {
        const struct stats s = measure(&t->tensor);
        printf("\tmin %.6g max %.6g mean %.6g deviation %.6g%s", s.min, s.max, s.mean, s.deviation, s.finite ? "" : " NOT FINITE");
    }
    putchar('\n');
}

static void list(const tw_checkpoint *f, const tw_selection *s, const char *prefix, bool with_stats)
{
    char text[160];
    int64_t numbers = 0, bytes = 0;
    const char *key, *value;
    for (int i = 0; i < s->n; i++) {
        numbers += tw_tensor_elements(&s->t[i].tensor);
        bytes += tw_tensor_bytes(&s->t[i].tensor);
    }
    printf("%s: %s, %d tensors, %lld numbers, %lld bytes\n", tw_checkpoint_path(f), tw_checkpoint_format(f), s->n,
           (long long)numbers, (long long)bytes);
    printf("network: %s\n", tw_network_text(text, sizeof text, f, prefix) == 0 ? text : "none known here");
    for (int i = 0; tw_checkpoint_meta_at(f, i, &key, &value); i++) {
        print_text(key);
        fputs(" = ", stdout);
        print_text(value);
        putchar('\n');
    }
    for (int i = 0; i < s->n; i++)
        print_tensor(&s->t[i], with_stats);
}

static const struct format {
    const char *extension;
    int (*write)(const char *path, const tw_named_tensor *t, int n, const char *const (*meta)[2], int n_meta);
} formats[] = {
    {".safetensors", tw_safetensors_write},
    {".pth", tw_pth_write},
    {".pt", tw_pth_write},
    {".npz", tw_npz_write},
    {".pkl", tw_detectron2_write},
};

static const struct format *format_of(const char *path)
{
    const char *dot = strrchr(path, '.');
    for (size_t i = 0; dot != NULL && i < sizeof formats / sizeof *formats; i++)
        if (strcmp(dot, formats[i].extension) == 0)
            return &formats[i];
    return NULL;
}

/* Warns if the head's activation is lost: only safetensors files can record it, and readers of other formats assume ReLU. */
static void warn_of_act(const tw_checkpoint *f, const tw_selection *s, const char *to)
{
    const char *act = tw_network_act(f);
    bool head = false;
    for (int i = 0; i < s->n; i++)
        head = head || strstr(s->t[i].name, "projection_head.") != NULL;
    if (head && act != NULL && strcmp(act, "relu") != 0 && format_of(to)->write != tw_safetensors_write)
        tw_warn("%s: this format cannot record act=%s, which its head needs: .safetensors can", to, act);
}

static int convert(const tw_checkpoint *f, const tw_selection *s, const char *to)
{
    int n = 0;
    const char *key, *value;
    while (tw_checkpoint_meta_at(f, n, &key, &value))
        n++;
    const char *(*meta)[2] = tw_calloc((size_t)n, sizeof *meta);
    if (meta == NULL)
        return -1;
    for (int i = 0; i < n; i++)
        tw_checkpoint_meta_at(f, i, &meta[i][0], &meta[i][1]);
    const int rc = format_of(to)->write(to, s->t, s->n, (const char *const(*)[2])meta, n);
    free(meta);
    if (rc == 0)
        warn_of_act(f, s, to);
    if (rc == 0)
        tw_note(1, "%s: %d tensors", to, s->n);
    return rc;
}

/* Compares the tensors of two files and prints the differences. Whether there are none. */
static bool compare(const tw_selection *a, const struct opts *o)
{
    tw_selection b;
    tw_comparison c;
    tw_checkpoint *f = tw_checkpoint_open(o->diff);
    if (f == NULL || tw_select(&b, f, (tw_part)o->part, (tw_keys)o->keys, "") != 0 || tw_compare(&c, stdout, a, &b) != 0)
        tw_die_error();
    printf("%d tensors are the same, %d differ, %d in shape; %d only in A, %d only in B\n", c.same, c.changed, c.reshaped, c.only_a,
           c.only_b);
    if (c.same + c.changed + c.reshaped == 0 && a->n > 0 && b.n > 0 && o->part == TW_PART_ALL && o->keys == TW_KEYS_KEEP)
        tw_warn("no tensor name is in both: try --part=backbone or --part=model, which unify the names");
    tw_selection_fini(&b);
    tw_checkpoint_close(f);
    return c.changed + c.reshaped + c.only_a + c.only_b == 0;
}

static void parse(struct opts *o)
{
    static const char *const parts[] = {"all", "model", "backbone", "teacher", "student", NULL};
    static const char *const keys[] = {"keep", "official", "torchvision", "detectron2", NULL};
    tw_strings operands = {0};
    const tw_opt table[] = {
        {0, "stats", TW_OPT_FLAG, &o->stats, 0, 0, NULL},
        {0, "position", TW_OPT_FLAG, &o->position, 0, 0, NULL},
        {0, "recipe", TW_OPT_FLAG, &o->recipe, 0, 0, NULL},
        {0, "diff", TW_OPT_STRING, &o->diff, 0, 0, NULL},
        {0, "to", TW_OPT_STRING, &o->to, 0, 0, NULL},
        {0, "part", TW_OPT_CHOICE, &o->part, 0, 0, parts},
        {0, "prefix", TW_OPT_STRING, &o->prefix, 0, 0, NULL},
        {0, "keys", TW_OPT_CHOICE, &o->keys, 0, 0, keys},
    };
    tw_program_options(table, sizeof table / sizeof *table, &o->common, &operands, usage);
    if (operands.n != 1)
        tw_die_usage(operands.n == 0 ? "no FILE" : "one FILE");
    o->file = operands.item[0];
    free(operands.item);
    if (o->position && (o->stats || o->to != NULL || o->part != TW_PART_ALL || o->keys != TW_KEYS_KEEP))
        tw_die_usage("--position stands alone");
    if (o->recipe && (o->position || o->stats || o->to != NULL || o->diff != NULL || o->part != TW_PART_ALL || o->keys != TW_KEYS_KEEP))
        tw_die_usage("--recipe stands alone");
    if (o->diff != NULL && (o->position || o->stats || o->to != NULL))
        tw_die_usage("--diff goes with --part, --keys and --prefix only");
    if (o->to != NULL && o->stats)
        tw_die_usage("--stats: not with --to, which prints no list");
    if (o->to != NULL && format_of(o->to) == NULL)
        tw_die_usage("--to %s: the name must end in .safetensors, .pth, .pt, .npz or .pkl", o->to);
    if (o->to != NULL && format_of(o->to)->write == tw_detectron2_write && o->keys == TW_KEYS_KEEP)
        o->keys = TW_KEYS_DETECTRON2;
    if (o->to != NULL && format_of(o->to)->write == tw_detectron2_write && o->keys != TW_KEYS_DETECTRON2)
        tw_die_usage("--to %s: .pkl is for detectron2: --keys=detectron2", o->to);
    const bool prefix = o->prefix[0] != '\0';
    if (prefix && (o->position || o->recipe || (tw_opts_given("part") && o->part != TW_PART_MODEL && o->part != TW_PART_BACKBONE)))
        tw_die_usage("--prefix: of --part=model and --part=backbone only");
    if (prefix && o->part == TW_PART_ALL && o->keys == TW_KEYS_KEEP)
        o->part = TW_PART_BACKBONE;
    if (o->part == TW_PART_ALL && o->keys != TW_KEYS_KEEP && tw_opts_given("part"))
        tw_die_usage("--part=all: not all of a checkpoint has names in --keys=%s", keys[o->keys]);
    if (o->part == TW_PART_ALL && o->keys != TW_KEYS_KEEP)
        o->part = o->keys == TW_KEYS_OFFICIAL ? TW_PART_MODEL : TW_PART_BACKBONE;
    if (o->part != TW_PART_ALL && o->keys == TW_KEYS_KEEP)
        o->keys = o->part == TW_PART_BACKBONE ? TW_KEYS_TORCHVISION : TW_KEYS_OFFICIAL;
}

int main(int argc, char **argv)
{
    struct opts o = {.part = TW_PART_ALL, .prefix = ""};
    tw_selection s;
    tw_program_start("twist-ckpt", argc, argv);
    parse(&o);
    tw_checkpoint *f = tw_checkpoint_open(o.file);
    if (f == NULL || tw_select(&s, f, (tw_part)o.part, (tw_keys)o.keys, o.prefix) != 0)
        tw_die_error();
    bool good = true;
    if (o.position)
        print_position(f);
    else if (o.diff != NULL)
        good = compare(&s, &o);
    else if (o.to == NULL && !o.recipe)
        list(f, &s, o.prefix, o.stats);
    else if ((o.recipe ? tw_recipe_write(stdout, f) : convert(f, &s, o.to)) != 0)
        tw_die_error();
    if (tw_program_printed() != 0)
        tw_die_error();
    tw_selection_fini(&s);
    tw_checkpoint_close(f);
    return good ? TW_EXIT_OK : TW_EXIT_FAILED;
}
