#include "train/learner.h"

#include "checkpoint/network.h"
#include "core/error.h"
#include "core/mem.h"
#include "train/args.h"
#include "train/ranks.h"
#include "train/teacher.h"

#include <stdlib.h>
#include <string.h>

int tw_learner_network(tw_learner *l, int device, int precision)
{
    static const tw_dtype types[] = {TW_BF16, TW_F32, TW_BF16, TW_F16}; /* by TW_PRECISION_...; auto: bf16 if the device has it, else fp32 */
    const char *name = tw_backend_choose(tw_device_names[device]);
    if (name == NULL || (l->config.comm != NULL && tw_ranks_device(l->config.comm, name) != 0))
        return -1;
    if (precision == TW_PRECISION_FP16 && strcmp(name, "cpu") == 0)
        return tw_fail("--precision=fp16: the CPU trains in fp32 and bf16");
    l->config.precision = types[precision];
    const tw_backend *be = tw_backend_open(name);
    if (be == NULL)
        return -1;
    if (precision == TW_PRECISION_AUTO && !be->computes(TW_BF16))
        l->config.precision = TW_F32;
    l->net = tw_net_new(name, &l->config);
    return l->net != NULL ? 0 : -1;
}

void tw_learner_bunch(tw_train_options *o, int ranks)
{
    const bool cpu = o->device == TW_DEVICE_CPU || strcmp(tw_backend_choose("auto"), "cpu") == 0;
    int64_t each = o->bunch_size / o->batch_size; /* ranks of a bunch */
    if (tw_opts_given("bunch-size") || (each == 0 && cpu && o->batch_size % o->bunch_size == 0))
        return;
    while (each > 1 && each < ranks && ranks % each != 0)
        each--;
    o->bunch_size = (each > 0 ? each : 1) * o->batch_size;
}

int tw_learner_open(tw_learner *l, const tw_train_options *o, tw_comm *comm, char *args)
{
    *l = (tw_learner){.args = args, .state = {.B = o->batch_size, .ranks = comm->ranks, .optim = (tw_optim_kind)o->optim}};
    l->config = (tw_net_config){
        .backbone = o->backbone, .small_stem = o->small_stem, .head = true, .hid_dim = o->hid_dim, .dim = o->dim,
        .act = tw_act_names[o->act], .drop = o->drop, .proj_norm = tw_proj_norm_names[o->proj_norm], .lbn_type = tw_lbn_names[o->lbn_type],
        .proj_trunc_init = o->proj_trunc_init, .patch_size = o->patch_size, .drop_path = o->drop_path,
        .seed = (uint64_t)o->seed, .blank = comm->rank > 0, /* they get rank 0's */
        .threads = o->threads, .comm = comm, .patience = 10 * o->patience,
    };
    const bool bunches = strcmp(l->config.lbn_type, "bn") == 0;
    l->places = tw_calloc((size_t)comm->ranks, sizeof *l->places);
    if (l->places == NULL)
        return -1;
    if (tw_ranks_bunch(&l->config, bunches ? o->bunch_size : 0, o->batch_size) != 0 || tw_learner_network(l, o->device, o->precision) != 0)
        return -1;
    l->optim = tw_optim_new(l->net, (tw_optim_kind)o->optim, o->lr_wbr);
    l->teacher = l->optim != NULL && o->use_momentum_encoder ? tw_teacher_net(&l->config, l->net) : NULL;
    return l->optim != NULL && (l->teacher != NULL) == o->use_momentum_encoder ? 0 : -1;
}

void tw_learner_close(tw_learner *l)
{
    tw_optim_free(l->optim);
    tw_net_free(l->teacher);
    tw_net_free(l->net);
    free(l->places);
    free(l->args);
}

int tw_learner_init(tw_learner *l, const char *path, const char **act)
{
    tw_net_config c;
    tw_checkpoint *f = tw_checkpoint_open(path);
    int rc = f != NULL ? tw_network_config(&c, f) : -1;
    if (rc == 0)
        rc = tw_network_load(l->net, f, TW_NETWORK_BACKBONE | (c.head ? TW_NETWORK_HEAD : 0));
    if (rc == 0 && l->teacher != NULL)
        rc = tw_teacher_copy(l->teacher, l->net);
    *act = rc == 0 && c.head ? c.act : NULL;
    tw_checkpoint_close(f);
    return rc;
}

int tw_learner_place(tw_learner *l, const tw_checkpoint *f, int B)
{
    tw_train_state s;
    if (tw_state_read(&s, f) != 0)
        return -1;
    const int ranks = l->config.comm->ranks;
    const char *path = tw_checkpoint_path(f);
    const bool same = s.ranks == ranks;
    if ((int64_t)s.B * s.ranks != (int64_t)B * ranks)
        return same && ranks == 1
                   ? tw_fail("--batch-size=%d: %s was trained with %d", B, path, s.B)
                   : tw_fail("--batch-size=%d: on %d ranks, where %s was trained with %d on each of %d", B, ranks, path, s.B, s.ranks);
    tw_args_warn(f, l->args);
    if (!same)
        s.at.sample = (s.at.sample * s.ranks + ranks - 1) / ranks;
    s.B = B;
    s.ranks = ranks;
    l->state = s;
    tw_state_at(l, s.at, NULL);
    return same ? tw_state_read_places(l->places, &s, f) : 0;
}

int tw_learner_resume(tw_learner *l, const tw_checkpoint *f, const tw_train_options *o)
{
    if (tw_learner_place(l, f, o->batch_size) != 0)
        return -1;
    if (l->state.optim != (tw_optim_kind)o->optim)
        return tw_fail("--optim=%s: %s was trained with %s", tw_optim_names[o->optim], tw_checkpoint_path(f), tw_optim_names[l->state.optim]);
    return tw_state_load(l, f);
}
