#include "checkpoint/recipe.h"

#include "core/error.h"
#include "core/utf8.h"

#include <cjson/cJSON.h>
#include <stdlib.h>
#include <string.h>

static const char *const known[] = {
    "backbone", "small_stem", "patch_size", "drop_path", "dim", "hid_dim", "act", "drop", "proj_norm", "proj_trunc_init", "lbn_type",
    "bunch_size", "aug", "img_size", "size", "local_size", "local_crops_number", "min1", "max1", "min2", "max2", "interpolation", "lam1",
    "lam2", "tau", "quantile", "quantile_end", "threshold", "crops_interact_style", "use_momentum_encoder", "momentum_start",
    "momentum_end", "epochs", "mme_epochs", "batch_size", "optim", "clip_norm", "lr", "lr_sl", "lr_wbr", "warmup_epochs",
    "sl_warmup_epochs", "weight_decay", "weight_decay_end", "seed", "init", "precision", "stop_on_nan",
};

static const char *const of_multicrop[] = {"local_crops_number", "min1", "max1", "min2", "max2"};

static bool is_among(const char *const *names, size_t n, const char *name)
{
    for (size_t i = 0; i < n; i++)
        if (strcmp(name, names[i]) == 0)
            return true;
    return false;
}

/* Whether the official trainer makes views of the kind aug (NULL: unknown, its default) by the argument; also true of those not for views. */
static bool is_used(const char *name, const char *aug)
{
    const bool multicrop = aug == NULL || strcmp(aug, "multicrop") == 0;
    if (strcmp(name, "img_size") == 0)
        return !multicrop && strcmp(aug, "rand") != 0;
    return multicrop || !is_among(of_multicrop, sizeof of_multicrop / sizeof *of_multicrop, name);
}

/* Writes text from a file so that it stays on one line and is one word to the recipe's reader. */
static void put(FILE *to, const char *text)
{
    for (; *text != '\0'; text++)
        putc((unsigned char)*text <= 32 || *text == 127 || strchr("#'\"\\", *text) != NULL ? '?' : *text, to);
}

/* Writes the line of an argument. value: as in the metadata or JSON. used: whether it had an effect. first: the pass that writes options; the
 * other one writes comments. */
static void line(FILE *to, const char *name, const char *value, bool used, bool first)
{
    const bool unread = strcmp(value, "?") == 0; /* of a class that is not interpreted */
    const bool none = unread || *value == '\0' || strcmp(value, "null") == 0, yes = strcmp(value, "true") == 0, no = strcmp(value, "false") == 0;
    const bool is_known = is_among(known, sizeof known / sizeof *known, name);
    const bool option = is_known && used && !none && !(strcmp(name, "small_stem") == 0 && !yes);
    if (option != first)
        return;
    fputs(option ? "--" : "# ", to);
    put(to, name);
    if (unread)
        fputs(": cannot be read", to);
    else if (strcmp(name, "small_stem") != 0 || !option) {
        putc(' ', to);
        put(to, yes ? "1" : no ? "0" : value);
    }
    putc('\n', to);
}

static int from_json(FILE *to, const char *text, bool first)
{
    cJSON *all = tw_utf8_parse(text, strlen(text));
    if (!cJSON_IsObject(all)) {
        cJSON_Delete(all);
        return tw_fail("its metadata 'args' is not a JSON object");
    }
    if (cJSON_GetObjectItemCaseSensitive(all, "lr_classifier") != NULL) {
        cJSON_Delete(all);
        return tw_fail("written by twist-finetune, whose options are not a pre-training recipe");
    }
    const cJSON *v;
    cJSON_ArrayForEach(v, all)
    {
        char *printed = cJSON_PrintUnformatted(v);
        const char *value = cJSON_IsString(v) ? v->valuestring : printed;
        if (value != NULL)
            line(to, v->string, value, true, first);
        cJSON_free(printed);
    }
    cJSON_Delete(all);
    return 0;
}

/* The factor by which the official trainer multiplies its learning rates before saving: pictures of a step / 256; 0: not known. */
static double official_scale(const tw_checkpoint *f)
{
    const char *batch = tw_checkpoint_meta(f, "args.batch_size"), *ranks = tw_checkpoint_meta(f, "args.world_size");
    return batch != NULL && ranks != NULL ? atof(batch) * atof(ranks) / 256 : 0;
}

/* Writes an official checkpoint's arguments; returns their number. */
static int from_namespace(FILE *to, const tw_checkpoint *f, bool first)
{
    const double scale = official_scale(f);
    const char *aug = tw_checkpoint_meta(f, "args.aug"), *key, *value;
    int n = 0;
    for (int i = 0; tw_checkpoint_meta_at(f, i, &key, &value); i++) {
        if (strncmp(key, "args.", 5) != 0)
            continue;
        const char *name = key + 5;
        char unscaled[32];
        const bool rate = strcmp(name, "lr") == 0 || strcmp(name, "lr_sl") == 0;
        if (rate && scale > 0)
            snprintf(unscaled, sizeof unscaled, "%.10g", atof(value) / scale);
        line(to, name, rate && scale > 0 ? unscaled : strcmp(value, "lars_oss") == 0 ? "lars" : value, is_used(name, aug), first);
        if (rate && !first && scale > 0)
            fprintf(to, "# %s: the saved value divided by batch_size x world_size / 256 = %g, by which the official trainer multiplies it\n",
                    name, scale);
        else if (rate && !first)
            fprintf(to, "# %s: as saved; the official trainer multiplies it by batch_size x world_size / 256, which the file does not give\n",
                    name);
        n++;
    }
    return n;
}

int tw_recipe_write(FILE *to, const tw_checkpoint *f)
{
    const char *json = tw_checkpoint_meta(f, "args");
    for (int pass = 0; pass < 2; pass++)
        if (json != NULL && from_json(to, json, pass == 0) != 0)
            return tw_fail("%s: %s", tw_checkpoint_path(f), tw_error());
        else if (json == NULL && from_namespace(to, f, pass == 0) == 0)
            return tw_fail("%s: contains no training options", tw_checkpoint_path(f));
    if (json != NULL) /* the official trainer makes its views itself */
        fprintf(to, "# the file does not record the views: --aug and the other options of twist-augment\n");
    return 0;
}
