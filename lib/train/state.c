#include "train/state.h"

#include "checkpoint/network.h"
#include "core/error.h"
#include "core/mem.h"
#include "core/opts.h"
#include "core/program.h"

#include <float.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { COUNTS = 7, MOST_PAIRS = TW_NETWORK_PAIRS + COUNTS + 8, NAME = 192 };

/* Metadata keys of the checkpoint's numbers. */
static const char *const count_key[COUNTS] = {"epoch", "sample", "iteration", "step", "batch_size", "ranks", "optim_steps"};

static const char *const scale_key[2] = {"loss_scale", "loss_scale_steps"};

static void state_name(char text[NAME], const tw_optim_state *s)
{
    snprintf(text, NAME, "optimizer.%s.%s", s->name, s->of->name);
}

static tw_tensor tensor_like(const tw_param *p, const void *data)
{
    tw_tensor t = {.dtype = TW_F32, .rank = p->rank, .data = data};
    memcpy(t.dim, p->dim, sizeof t.dim);
    return t;
}

static void teacher_name(char text[NAME], const tw_param *p)
{
    snprintf(text, NAME, "teacher.%s", p->name);
}

/* Lists the optimizer's tensors, then the teacher's, in t and their names in name. Returns their number. */
static int more_tensors(tw_named_tensor *t, char (*name)[NAME], const tw_learner *l)
{
    int n = 0;
    for (int i = 0; i < tw_optim_states(l->optim); i++, n++) {
        const tw_optim_state state = tw_optim_state_at(l->optim, i);
        state_name(name[n], &state);
        t[n] = (tw_named_tensor){name[n], tensor_like(state.of, state.value)};
    }
    for (int i = 0; l->teacher != NULL && i < tw_net_params(l->teacher); i++, n++) {
        const tw_param *p = tw_net_param(l->teacher, i);
        teacher_name(name[n], p);
        t[n] = (tw_named_tensor){name[n], tensor_like(p, p->value)};
        t[n].tensor.dtype = p->dtype;
    }
    return n;
}

void tw_state_at(tw_learner *l, tw_position at, const int64_t *places)
{
    l->state.at = at;
    for (int i = 0; i < l->state.ranks; i++)
        l->places[i] = places != NULL ? places[i] : at.sample;
}

/* The places as "12 8 12"; NULL: out of memory. */
static char *places_text(const tw_learner *l)
{
    enum { EACH = 21 };
    char *text = tw_calloc((size_t)l->state.ranks, EACH), *at = text;
    for (int i = 0; text != NULL && i < l->state.ranks; i++)
        at += sprintf(at, i > 0 ? " %lld" : "%lld", (long long)l->places[i]);
    return text;
}

/* Warns where the run knows of another number. */
static void note(char known[24], uint64_t number, const char *name, const char *what)
{
    char text[24];
    snprintf(text, sizeof text, "%llu", (unsigned long long)number);
    if (known[0] != '\0' && strcmp(known, text) != 0)
        tw_warn("%s: the %s is %s, that of the run so far was %s: in this epoch some samples may come twice and others not at all", name, what, text,
                known);
    strcpy(known, text);
}

void tw_state_data(tw_learner *l, const tw_header *h, const char *name)
{
    note(l->state.data_seed, h->seed, name, "seed of its order");
    if (h->data_checksum != 0)
        note(l->state.data_checksum, (uint64_t)h->data_checksum, name, "checksum of its data set");
}

/* A checkpoint's metadata, and the texts of its numbers. */
typedef struct {
    tw_network_description network;
    char *places, count[COUNTS][24], scale[2][32];
    const char *pair[MOST_PAIRS][2];
    int n;
} metadata;

/* value NULL: there is none. */
static void say(metadata *m, const char *key, const char *value)
{
    if (value == NULL)
        return;
    m->pair[m->n][0] = key;
    m->pair[m->n++][1] = value;
}

/* 0, or -1 and tw_error(); m->places is to be freed. */
static int describe(metadata *m, const tw_learner *l)
{
    const tw_train_state *s = &l->state;
    const int64_t count[COUNTS] = {s->at.epoch, s->at.sample, s->iteration, s->step, s->B, s->ranks, tw_optim_steps(l->optim)};
    *m = (metadata){.places = s->ranks > 1 ? places_text(l) : NULL};
    if (m->places == NULL && s->ranks > 1)
        return -1;
    tw_network_describe(&m->network, &l->config);
    for (int i = 0; i < m->network.n; i++)
        say(m, m->network.pair[i][0], m->network.pair[i][1]);
    for (int i = 0; i < COUNTS; i++) {
        snprintf(m->count[i], sizeof m->count[i], "%lld", (long long)count[i]);
        say(m, count_key[i], m->count[i]);
    }
    say(m, "optim", tw_optim_names[s->optim]);
    snprintf(m->scale[0], sizeof m->scale[0], "%.17g", s->scale.scale);
    snprintf(m->scale[1], sizeof m->scale[1], "%lld", (long long)s->scale.steps);
    for (int i = 0; i < 2; i++)
        say(m, scale_key[i], s->scale.scale > 0 ? m->scale[i] : NULL);
    say(m, "places", m->places);
    say(m, "data_seed", s->data_seed[0] != '\0' ? s->data_seed : NULL);
    say(m, "data_checksum", s->data_checksum[0] != '\0' ? s->data_checksum : NULL);
    say(m, "args", l->args);
    say(m, "notes", l->notes);
    return 0;
}

static int download(const tw_learner *l)
{
    if (tw_net_download(l->net) != 0 || tw_optim_download(l->optim) != 0)
        return -1;
    return l->teacher != NULL ? tw_net_download(l->teacher) : 0;
}

int tw_state_save(const char *path, const tw_learner *l)
{
    const int more = tw_optim_states(l->optim) + (l->teacher != NULL ? tw_net_params(l->teacher) : 0);
    tw_named_tensor *t = tw_calloc((size_t)(tw_net_params(l->net) + more + 1), sizeof *t);
    char(*name)[NAME] = tw_calloc((size_t)more, sizeof *name);
    metadata m = {.n = 0};
    int rc = t != NULL && name != NULL && download(l) == 0 ? describe(&m, l) : -1;
    if (rc == 0) {
        int n = tw_network_tensors(t, l->net, tw_network_parts(l->net));
        n += more_tensors(t + n, name, l);
        t[n] = l->extra;
        n += l->extra.name != NULL;
        rc = tw_safetensors_write(path, t, n, (const char *const(*)[2])m.pair, m.n);
    }
    free(t);
    free(name);
    free(m.places);
    return rc;
}

int tw_state_save_backbone(const char *path, const tw_learner *l)
{
    tw_named_tensor *t = tw_calloc((size_t)tw_net_params(l->net), sizeof *t);
    if (t == NULL)
        return -1;
    tw_net_config alone = l->config;
    alone.head = false;
    tw_network_description d;
    tw_network_describe(&d, &alone);
    const int n = tw_network_tensors(t, l->net, TW_NETWORK_BACKBONE);
    int rc = tw_net_download(l->net);
    if (rc == 0)
        rc = tw_safetensors_write(path, t, n, (const char *const(*)[2])d.pair, d.n);
    free(t);
    return rc;
}

static int read_count(int64_t *v, const tw_checkpoint *f, const char *key)
{
    const char *text = tw_checkpoint_meta(f, key);
    if (text == NULL)
        return tw_fail("%s: no checkpoint of a training run: '%s' is not in its metadata", tw_checkpoint_path(f), key);
    if (tw_parse_i64(v, text, 0, INT64_MAX, key) != 0)
        return tw_fail("%s: %s", tw_checkpoint_path(f), tw_error());
    return 0;
}

static int read_scale(tw_loss_scale *v, const tw_checkpoint *f)
{
    const char *scale = tw_checkpoint_meta(f, scale_key[0]);
    if (scale == NULL)
        return 0;
    if (tw_parse_double(&v->scale, scale, DBL_MIN, FLT_MAX, scale_key[0]) != 0)
        return tw_fail("%s: %s", tw_checkpoint_path(f), tw_error());
    return read_count(&v->steps, f, scale_key[1]);
}

int tw_state_read(tw_train_state *s, const tw_checkpoint *f)
{
    int64_t count[COUNTS];
    for (int i = 0; i < COUNTS; i++)
        if (read_count(&count[i], f, count_key[i]) != 0)
            return -1;
    *s = (tw_train_state){.at = {count[0], count[1]}, .iteration = count[2], .step = count[3], .B = (int)count[4], .ranks = (int)count[5]};
    if (read_scale(&s->scale, f) != 0)
        return -1;
    const char *optim = tw_checkpoint_meta(f, "optim"), *seed = tw_checkpoint_meta(f, "data_seed"), *sum = tw_checkpoint_meta(f, "data_checksum");
    snprintf(s->data_seed, sizeof s->data_seed, "%s", seed != NULL ? seed : "");
    snprintf(s->data_checksum, sizeof s->data_checksum, "%s", sum != NULL ? sum : "");
    for (int i = 0; optim != NULL && tw_optim_names[i] != NULL; i++)
        if (strcmp(optim, tw_optim_names[i]) == 0) {
            s->optim = (tw_optim_kind)i;
            return 0;
        }
    return tw_fail("%s: optimizer '%s' is not known", tw_checkpoint_path(f), optim != NULL ? optim : "");
}

int tw_state_read_places(int64_t *places, const tw_train_state *s, const tw_checkpoint *f)
{
    const char *text = tw_checkpoint_meta(f, "places");
    for (int i = 0; i < s->ranks; i++) {
        char one[24];
        places[i] = s->at.sample;
        if (text == NULL)
            continue;
        const int length = (int)strcspn(text, " ");
        snprintf(one, sizeof one, "%.*s", length, text);
        if (tw_parse_i64(&places[i], one, 0, s->at.sample, "places") != 0)
            return tw_fail("%s: %s", tw_checkpoint_path(f), tw_error());
        text += length + (text[length] == ' ');
    }
    return text == NULL || *text == '\0' ? 0 : tw_fail("%s: more positions than ranks", tw_checkpoint_path(f));
}

static int load_state(const tw_optim_state *s, const tw_checkpoint *f)
{
    char name[NAME], is[96], want[96];
    state_name(name, s);
    const tw_tensor *t = tw_checkpoint_find(f, name), like = tensor_like(s->of, NULL);
    if (t == NULL)
        return tw_fail("%s: no tensor %s", tw_checkpoint_path(f), name);
    if (t->dtype != TW_F32 || t->rank != like.rank || memcmp(t->dim, like.dim, (size_t)like.rank * sizeof *like.dim) != 0)
        return tw_fail("%s: %s is %s, not %s", tw_checkpoint_path(f), name, tw_tensor_describe(is, sizeof is, t),
                       tw_tensor_describe(want, sizeof want, &like));
    memcpy(s->value, t->data, s->of->n * sizeof *s->value);
    return 0;
}

static int load_teacher(tw_learner *l, const tw_checkpoint *f)
{
    bool there = false;
    for (int i = 0; i < tw_checkpoint_count(f); i++)
        there = there || strncmp(tw_checkpoint_at(f, i)->name, "teacher.", 8) == 0;
    if (there != (l->teacher != NULL))
        return tw_fail("%s: was trained %s a momentum encoder", tw_checkpoint_path(f), there ? "with" : "without");
    return there ? tw_network_load(l->teacher, f, TW_NETWORK_BACKBONE | TW_NETWORK_HEAD | TW_NETWORK_TEACHER) : 0;
}

/* Checks the head's activation, which the tensors do not show. */
static int check_act(const tw_learner *l, const tw_checkpoint *f)
{
    const char *act = tw_network_act(f);
    if (!l->config.head || act == NULL || strcmp(act, l->config.act) == 0)
        return 0;
    return tw_fail("--act=%s: %s was trained with %s", l->config.act, tw_checkpoint_path(f), act);
}

int tw_state_load(tw_learner *l, const tw_checkpoint *f)
{
    int64_t steps;
    if (read_count(&steps, f, "optim_steps") != 0 || tw_network_load(l->net, f, tw_network_parts(l->net)) != 0 || load_teacher(l, f) != 0 ||
        check_act(l, f) != 0)
        return -1;
    for (int i = 0; i < tw_optim_states(l->optim); i++) {
        const tw_optim_state state = tw_optim_state_at(l->optim, i);
        if (load_state(&state, f) != 0)
            return -1;
    }
    tw_optim_set_steps(l->optim, steps);
    return tw_optim_upload(l->optim);
}
