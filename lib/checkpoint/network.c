#include "checkpoint/network.h"

#include "checkpoint/identify.h"
#include "core/error.h"
#include "core/mem.h"
#include "nn/backbones.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char backbone_prefix[] = "backbone.";

static bool starts(const char *text, const char *with)
{
    return strncmp(text, with, strlen(with)) == 0;
}

static unsigned part_of(const char *name)
{
    return starts(name, backbone_prefix) ? TW_NETWORK_BACKBONE : starts(name, "fc.") ? TW_NETWORK_CLASSIFIER : TW_NETWORK_HEAD;
}

unsigned tw_network_parts(tw_net *net)
{
    unsigned parts = 0;
    for (int i = 0; i < tw_net_params(net); i++)
        parts |= part_of(tw_net_param(net, i)->name);
    return parts;
}

int tw_network_tensors(tw_named_tensor *t, tw_net *net, unsigned parts)
{
    int n = 0;
    for (int i = 0; i < tw_net_params(net); i++) {
        const tw_param *p = tw_net_param(net, i);
        if ((part_of(p->name) & parts) == 0)
            continue;
        tw_named_tensor *to = &t[n++];
        const bool bare = (parts & TW_NETWORK_HEAD) == 0 && part_of(p->name) == TW_NETWORK_BACKBONE;
        to->name = p->name + (bare ? strlen(backbone_prefix) : 0);
        to->tensor = (tw_tensor){.dtype = p->dtype, .rank = p->rank, .data = p->value};
        memcpy(to->tensor.dim, p->dim, sizeof p->dim);
    }
    return n;
}

static void say(tw_network_description *d, const char *key, const char *value)
{
    d->pair[d->n][0] = key;
    d->pair[d->n++][1] = value;
}

void tw_network_describe(tw_network_description *d, const tw_net_config *c)
{
    snprintf(d->hid_dim, sizeof d->hid_dim, "%d", c->hid_dim);
    snprintf(d->dim, sizeof d->dim, "%d", c->dim);
    snprintf(d->drop, sizeof d->drop, "%.17g", c->drop);
    snprintf(d->patch_size, sizeof d->patch_size, "%d", c->patch_size > 0 ? c->patch_size : TW_VIT_PATCH);
    d->n = 0;
    say(d, "backbone", c->backbone);
    say(d, "small_stem", c->small_stem ? "1" : "0");
    if (tw_vit_find(c->backbone) != NULL)
        say(d, "patch_size", d->patch_size);
    if (!c->head)
        return;
    say(d, "hid_dim", d->hid_dim);
    say(d, "dim", d->dim);
    say(d, "act", c->act);
    say(d, "drop", d->drop);
    if (c->proj_norm != NULL && strcmp(c->proj_norm, "bn") != 0)
        say(d, "proj_norm", c->proj_norm);
    if (c->lbn_type != NULL && strcmp(c->lbn_type, "identity") == 0)
        say(d, "lbn_type", c->lbn_type);
}

static int identify_behind(tw_identity *id, const tw_checkpoint *f, const char *root)
{
    const int n = tw_checkpoint_count(f);
    return n > 0 ? tw_identify(id, tw_checkpoint_at(f, 0), n, root) : tw_fail("contains no tensors");
}

static int identify_file(tw_identity *id, const tw_checkpoint *f, unsigned parts)
{
    const char *who = (parts & TW_NETWORK_TEACHER) != 0 ? "teacher" : (parts & TW_NETWORK_STUDENT) != 0 ? "student" : NULL;
    char root[16] = "";
    if (who != NULL)
        snprintf(root, sizeof root, "%s.", who);
    if (identify_behind(id, f, root) == 0)
        return 0;
    if (who != NULL)
        return tw_fail("%s: no %s in it", tw_checkpoint_path(f), who);
    return tw_fail("%s: %s", tw_checkpoint_path(f), tw_error());
}

int tw_network_text(char *text, size_t size, const tw_checkpoint *f, const char *root)
{
    tw_identity id;
    if (identify_behind(&id, f, root) != 0)
        return tw_fail("%s: %s", tw_checkpoint_path(f), tw_error());
    snprintf(text, size, "%s", id.text);
    return 0;
}

static const tw_tensor *classifier_under(const tw_checkpoint *f, const char *prefix, const tw_tensor **bias)
{
    static const char *const layer[] = {"fc", "linear", "head"};
    char name[96];
    for (size_t i = 0; i < sizeof layer / sizeof *layer; i++) {
        snprintf(name, sizeof name, "%s%s.weight", prefix, layer[i]);
        const tw_tensor *weight = tw_checkpoint_find(f, name);
        snprintf(name, sizeof name, "%s%s.bias", prefix, layer[i]);
        *bias = tw_checkpoint_find(f, name);
        if (weight != NULL && *bias != NULL)
            return weight;
    }
    return NULL;
}

const tw_tensor *tw_network_classifier(const tw_checkpoint *f, const tw_tensor **bias)
{
    static const char *const alone[] = {"", "module.", "model.", "model.module.", "state_dict.", "state_dict.module."};
    tw_identity id;
    const tw_tensor *weight = identify_file(&id, f, 0) == 0 ? classifier_under(f, id.prefix, bias) : NULL;
    for (size_t i = 0; weight == NULL && i < sizeof alone / sizeof *alone; i++)
        weight = classifier_under(f, alone[i], bias);
    return weight;
}

static const char *known_act(const char *text)
{
    static const char *const acts[] = {"relu", "gelu"};
    for (size_t i = 0; i < sizeof acts / sizeof *acts; i++)
        if (strcmp(text, acts[i]) == 0)
            return acts[i];
    return NULL;
}

const char *tw_network_act(const tw_checkpoint *f)
{
    const char *act = tw_checkpoint_meta(f, "act");
    return act != NULL ? act : tw_checkpoint_meta(f, "args.act");
}

/* Only if there is a head: for a backbone alone, other trainers may use these keys for something else. */
static int read_act(tw_net_config *c, const tw_checkpoint *f)
{
    const char *act = c->head ? tw_network_act(f) : NULL, *drop = c->head ? tw_checkpoint_meta(f, "drop") : NULL;
    c->act = known_act(act != NULL ? act : "relu");
    c->drop = 0;
    if (c->act == NULL)
        return tw_fail("%s: unknown activation '%.32s'", tw_checkpoint_path(f), act);
    if (drop == NULL)
        return 0;
    char *end;
    c->drop = strtod(drop, &end);
    if (end == drop || *end != '\0' || !(c->drop >= 0 && c->drop < 1))
        return tw_fail("%s: metadata drop=%.32s: want 0 or more and less than 1", tw_checkpoint_path(f), drop);
    return 0;
}

/* Checks that this project's metadata agree with the tensors; another trainer's "backbone" may mean anything. */
static int check_description(const tw_net_config *c, const tw_checkpoint *f, const tw_identity *id)
{
    tw_network_description d = {.n = 0};
    tw_network_describe(&d, c);
    for (int i = 0; i < d.n && tw_checkpoint_meta(f, "small_stem") != NULL; i++) {
        const char *said = tw_checkpoint_meta(f, d.pair[i][0]);
        const bool told_by_tensors = strcmp(d.pair[i][0], "drop") != 0;
        if (said != NULL && told_by_tensors && strcmp(said, d.pair[i][1]) != 0)
            return tw_fail("%s: its metadata says %s=%.64s, its tensors are those of %s", tw_checkpoint_path(f), d.pair[i][0], said,
                           id->text);
    }
    return 0;
}

int tw_network_config(tw_net_config *c, const tw_checkpoint *f)
{
    return tw_network_config_of(c, f, 0);
}

int tw_network_config_of(tw_net_config *c, const tw_checkpoint *f, unsigned parts)
{
    tw_identity id;
    if (identify_file(&id, f, parts) != 0)
        return -1;
    if (id.backbone == NULL)
        return tw_fail("%s: %s, which this version cannot run", tw_checkpoint_path(f), id.text);
    c->backbone = id.backbone;
    c->small_stem = id.small_stem;
    c->patch_size = id.patch_size;
    c->pos_grid = id.pos_grid;
    c->proj_norm = id.proj_norm;
    c->lbn_type = id.last_norm ? "bn" : "identity";
    c->head = id.head;
    c->hid_dim = id.hid_dim;
    c->dim = id.dim;
    return read_act(c, f) != 0 ? -1 : check_description(c, f, &id);
}

static int load_tensor(tw_param *p, const tw_tensor *t)
{
    bool same = t->rank == p->rank;
    for (int i = 0; same && i < p->rank; i++)
        same = t->dim[i] == p->dim[i];
    if (!same) {
        char have[128], want[128];
        tw_tensor wanted = {.dtype = p->dtype, .rank = p->rank};
        memcpy(wanted.dim, p->dim, sizeof p->dim);
        return tw_fail("it is %s, want %s", tw_tensor_describe(have, sizeof have, t),
                       tw_tensor_describe(want, sizeof want, &wanted));
    }
    if (p->dtype == TW_F32)
        return tw_tensor_to_f32(p->value, t);
    if (t->dtype != p->dtype)
        return tw_fail("of type %s, want %s", tw_dtype_name(t->dtype), tw_dtype_name(p->dtype));
    memcpy(p->value, t->data, p->n * tw_dtype_size(p->dtype));
    return 0;
}

static bool ends(const char *name, const char *with)
{
    const size_t n = strlen(name), m = strlen(with);
    return n >= m && strcmp(name + n - m, with) == 0;
}

/* The head's tensor under the name of older official files; NULL: absent. */
static const tw_tensor *find_older(const tw_checkpoint *f, const tw_identity *id, const char *behind)
{
    char name[256];
    const int n = snprintf(name, sizeof name, "%s", id->head_prefix);
    tw_identify_head_name(name + n, sizeof name - (size_t)n, behind, true);
    return tw_checkpoint_find(f, name);
}

/* Loads a parameter. Its name in the file is the part's prefix there + what follows "backbone." or "projection_heads." here. */
static int load_param(tw_param *p, const tw_checkpoint *f, const tw_identity *id)
{
    char name[256];
    const unsigned part = part_of(p->name);
    const char *behind = part == TW_NETWORK_CLASSIFIER ? p->name : strchr(p->name, '.') + 1;
    snprintf(name, sizeof name, "%s%s", part == TW_NETWORK_HEAD ? id->head_prefix : id->prefix, behind);
    const tw_tensor *t = tw_checkpoint_find(f, name);
    if (t == NULL && part == TW_NETWORK_HEAD)
        t = find_older(f, id, behind);
    if (ends(name, ".num_batches_tracked") && (t == NULL || t->dtype != p->dtype)) /* it is not used in any computation */
        return 0;
    if (t == NULL)
        return tw_fail("%s: tensor %s is missing; it looks like %s", tw_checkpoint_path(f), name, id->text);
    if (load_tensor(p, t) != 0)
        return tw_fail("%s: tensor %s: %s", tw_checkpoint_path(f), name, tw_error());
    const float *v = p->value;
    for (size_t i = 0; i < p->n && ends(name, ".running_var"); i++)
        if (v[i] < 0)
            return tw_fail("%s: tensor %s: element %zu is %g, which cannot be a variance", tw_checkpoint_path(f), name, i, v[i]);
    return 0;
}

/* Checks that the file's network is the net's, in those parts. */
static int compare(const tw_identity *id, tw_net *net, const tw_checkpoint *f, unsigned parts)
{
    tw_identity own;
    tw_named_tensor *t = tw_calloc((size_t)tw_net_params(net), sizeof *t);
    if (t == NULL)
        return -1;
    const int rc = tw_identify(&own, t, tw_network_tensors(t, net, TW_NETWORK_BACKBONE | TW_NETWORK_HEAD), "");
    free(t);
    if (rc != 0)
        return -1;
    if ((parts & TW_NETWORK_HEAD) != 0 && !id->head)
        return tw_fail("%s: a backbone without a head (%s)", tw_checkpoint_path(f), id->text);
    const bool backbone = id->backbone == NULL || strcmp(id->backbone, own.backbone) != 0 || id->small_stem != own.small_stem ||
                          id->patch_size != own.patch_size || id->pos_grid != own.pos_grid;
    const bool head = (parts & TW_NETWORK_HEAD) != 0 &&
                      (id->hid_dim != own.hid_dim || id->dim != own.dim || strcmp(id->proj_norm, own.proj_norm) != 0 ||
                       id->last_norm != own.last_norm);
    if (backbone || head)
        return tw_fail("%s: a checkpoint of another network: %s, where %s is wanted", tw_checkpoint_path(f), id->text, own.text);
    return 0;
}

static bool has_param(tw_net *net, const char *name)
{
    for (int i = 0; i < tw_net_params(net); i++) {
        const char *own = tw_net_param(net, i)->name;
        if (starts(own, backbone_prefix) && strcmp(own + strlen(backbone_prefix), name) == 0)
            return true;
    }
    return false;
}

/* Checks that the file's blocks have no additional layers, which their number and width do not show: without these, features would differ. */
static int check_layers(const tw_identity *id, tw_net *net, const tw_checkpoint *f)
{
    for (int i = 0; i < tw_checkpoint_count(f); i++) {
        const char *name = tw_checkpoint_at(f, i)->name, *behind = name + strlen(id->prefix);
        if (starts(name, id->prefix) && tw_identify_backbone_name(behind) && !ends(name, ".num_batches_tracked") && !has_param(net, behind))
            return tw_fail("%s: a checkpoint of another network: %s has no tensor %.200s", tw_checkpoint_path(f), id->backbone, name);
    }
    return 0;
}

int tw_network_load(tw_net *net, const tw_checkpoint *f, unsigned parts)
{
    tw_identity id;
    if (identify_file(&id, f, parts) != 0 || compare(&id, net, f, parts) != 0 || check_layers(&id, net, f) != 0)
        return -1;
    for (int i = 0; i < tw_net_params(net); i++) {
        tw_param *p = tw_net_param(net, i);
        if ((part_of(p->name) & parts) != 0 && load_param(p, f, &id) != 0)
            return -1;
    }
    return tw_net_upload(net);
}
