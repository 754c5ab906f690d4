#include "train/ranks.h"

#include "core/crc32c.h"
#include "core/error.h"
#include "core/mem.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { DEVICE_NAME = 20 };

tw_rank_report tw_rank_reports(int status, const tw_batch *b, int signal)
{
    tw_rank_report r = {.status = status == TW_RANK_READY && signal != 0 ? TW_RANK_STOPPED : status, .signal = signal};
    if (b != NULL) {
        r.epoch = b->epoch;
        r.sample = b->next.sample;
        r.views = tw_crc32c(0, b->group, (size_t)b->n_groups * sizeof *b->group);
    }
    return r;
}

static void add(tw_ranks_state *s, const tw_rank_report *r, int rank)
{
    if (rank == 0 || r->status > s->status) {
        s->status = r->status;
        s->rank = rank;
        s->signal = r->signal;
    }
    s->first = rank == 0 || r->epoch < s->first ? r->epoch : s->first;
    s->last = rank == 0 || r->epoch > s->last ? r->epoch : s->last;
    s->sample = rank == 0 || r->sample > s->sample ? r->sample : s->sample;
}

int tw_ranks_agree(tw_ranks_state *s, tw_comm *c, const tw_rank_report *mine)
{
    tw_rank_report *all = tw_calloc((size_t)c->ranks, sizeof *all);
    if (all == NULL || c->gather(c, all, mine, sizeof *mine) != 0) {
        free(all);
        return -1;
    }
    for (int r = 0; r < c->ranks; r++) {
        add(s, &all[r], r);
        s->places[r] = all[r].sample;
    }
    for (int r = 1; r < c->ranks && s->status == TW_RANK_READY; r++)
        if (all[r].views != all[0].views) {
            s->status = TW_RANK_FAILED;
            s->rank = r;
            if (c->rank == r)
                tw_fail("its views differ in size or number from those of rank 0");
        }
    free(all);
    return 0;
}

int tw_ranks_device(tw_comm *c, const char *name)
{
    char mine[DEVICE_NAME] = "", (*all)[DEVICE_NAME] = tw_calloc((size_t)c->ranks, sizeof *all);
    snprintf(mine, sizeof mine, "%s", name);
    int rc = all != NULL ? c->gather(c, all, mine, sizeof mine) : -1;
    for (int r = 0; rc == 0 && r < c->ranks; r++)
        if (strcmp(all[r], mine) != 0)
            rc = tw_fail("the device is %s here, but %s on rank %d: choose one with --device", mine, all[r], r);
    free(all);
    return rc;
}

int tw_ranks_bunch(tw_net_config *c, int64_t bunch_size, int B)
{
    tw_comm *comm = c->comm;
    const int64_t each = bunch_size / B;
    c->bunch = comm;
    c->bunch_samples = 0;
    if (bunch_size == 0 || each >= comm->ranks)
        return 0;
    if (each > 0 ? bunch_size % B != 0 || comm->ranks % each != 0 : B % bunch_size != 0)
        return tw_fail("--bunch-size=%lld: %d ranks with batches of %d cannot be divided into bunches of that size", (long long)bunch_size,
                       comm->ranks, B);
    c->bunch = comm->neighbours(comm, each > 0 ? (int)each : 1);
    if (each == 0)
        c->bunch_samples = (int)bunch_size;
    return c->bunch != NULL ? 0 : -1;
}

static int share_net(tw_net *net, tw_comm *c)
{
    if (net == NULL)
        return 0;
    if (tw_net_download(net) != 0) /* a teacher's values were copied on the device only */
        return -1;
    for (int i = 0; i < tw_net_params(net); i++) {
        const tw_param *p = tw_net_param(net, i);
        if (c->broadcast(c, p->value, p->n * tw_dtype_size(p->dtype), 0) != 0)
            return -1;
    }
    return tw_net_upload(net);
}

int tw_ranks_share_place(tw_learner *l)
{
    tw_comm *c = l->config.comm;
    if (c->broadcast(c, &l->state, sizeof l->state, 0) != 0)
        return -1;
    return c->broadcast(c, l->places, (size_t)c->ranks * sizeof *l->places, 0);
}

int tw_ranks_share(tw_learner *l)
{
    tw_comm *c = l->config.comm;
    int64_t steps = tw_optim_steps(l->optim);
    if (c->ranks == 1)
        return 0;
    if (c->broadcast(c, &steps, sizeof steps, 0) != 0 || share_net(l->net, c) != 0 || share_net(l->teacher, c) != 0)
        return -1;
    tw_optim_set_steps(l->optim, steps);
    for (int i = 0; i < tw_optim_states(l->optim); i++) {
        const tw_optim_state s = tw_optim_state_at(l->optim, i);
        if (c->broadcast(c, s.value, s.of->n * sizeof *s.value, 0) != 0)
            return -1;
    }
    return tw_optim_upload(l->optim);
}
