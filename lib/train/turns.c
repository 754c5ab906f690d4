#include "train/turns.h"

#include "core/error.h"
#include "core/mem.h"
#include "core/opts.h"
#include "core/program.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

tw_comm *tw_turns_join(int *threads)
{
    char part[32];
    tw_comm *c = tw_comm_open();
    if (c == NULL || c->ranks == 1)
        return c;
    snprintf(part, sizeof part, "rank %d", c->rank);
    tw_program_part(part, c->rank > 0);
    if (!tw_opts_given("threads") && (*threads = tw_comm_processors(c)) < 0)
        return NULL;
    return c;
}

/* How many samples of an epoch are this rank's. -1 and tw_error(). */
static int64_t samples(const tw_turns *t, int64_t epoch_samples, int B)
{
    const char *name = tw_loader_name(t->loader);
    const int64_t said = tw_loader_samples(t->loader, -1), in_header = tw_loader_header(t->loader)->samples;
    const int64_t n = epoch_samples > 0 && epoch_samples != in_header ? tw_loader_samples(t->loader, epoch_samples) : said;
    if (said >= 0 && n != said)
        return tw_fail("--epoch-samples=%lld: %s has epochs of %lld", (long long)epoch_samples, name, (long long)in_header);
    if (n < 0)
        return tw_fail("%s: does not give the number of samples per epoch: set it with --epoch-samples", name);
    if (n < B)
        return tw_fail("%s: an epoch of %lld samples is less than one batch of %d", name, (long long)n, B);
    return n;
}

/* The fewest steps that a rank has in an epoch. -1 and tw_error(), also where the ranks' data sets differ: their shares would overlap. */
static int64_t fewest(const tw_turns *t, int64_t steps)
{
    struct {
        int64_t data, steps;
    } mine = {tw_loader_header(t->loader)->data_checksum, steps}, *all = tw_calloc((size_t)t->comm->ranks, sizeof *all);
    int64_t n = all != NULL && t->comm->gather(t->comm, all, &mine, sizeof mine) == 0 ? steps : -1;
    for (int i = 0; n >= 0 && i < t->comm->ranks; i++) {
        n = all[i].steps < n ? all[i].steps : n;
        if (mine.data != 0 && all[i].data != 0 && all[i].data != mine.data)
            n = tw_fail("%s: its data set is not that of rank %d: their names or labels differ", tw_loader_name(t->loader), i);
    }
    free(all);
    return n;
}

int tw_turns_open(tw_turns *t, const char *input, int64_t epoch_samples, const tw_loader_options *o)
{
    tw_loader_options mine = *o;
    mine.rank = t->comm->rank;
    mine.ranks = t->comm->ranks;
    t->all.places = tw_calloc((size_t)mine.ranks, sizeof *t->all.places);
    if (t->all.places == NULL || (t->loader = tw_loader_open(input, &mine)) == NULL)
        return -1;
    const int64_t n = samples(t, epoch_samples, o->B);
    t->steps_per_epoch = n < 0 ? -1 : fewest(t, n / o->B);
    return t->steps_per_epoch < 0 ? -1 : 0;
}

void tw_turns_close(tw_turns *t)
{
    tw_loader_close(t->loader);
    free(t->all.places);
}

/* Exchanges status with the other ranks and sets t->all. Returns its status, or -1 and tw_error(). */
static int agree(tw_turns *t, int status, const tw_batch *b)
{
    const double since = tw_now();
    const tw_rank_report mine = tw_rank_reports(status, b, tw_stop_signal());
    if (tw_ranks_agree(&t->all, t->comm, &mine) != 0)
        return -1;
    if (t->all.status == TW_RANK_FAILED && t->all.rank == t->comm->rank && status != TW_RANK_FAILED)
        tw_complain("%s", tw_error());
    t->waited += t->comm->ranks > 1 ? tw_now() - since : 0;
    return t->all.status;
}

/* Whether the stream has ended because of a signal to all processes of the run, which this one may receive a moment later. */
static bool signal_came(void)
{
    static const struct timespec nap = {0, 10000000};
    for (int i = 0; i < 10 && tw_stop_signal() == 0; i++)
        nanosleep(&nap, NULL);
    return tw_stop_signal() != 0;
}

/* Gets this rank's next batch and returns the rank's status; prints what is wrong. */
static int fetch(const tw_turns *t, const tw_batch **b, int64_t epoch)
{
    static const int status[] = {TW_RANK_FAILED, TW_RANK_ENDED, TW_RANK_READY, TW_RANK_STOPPED, TW_RANK_STOPPED};
    const int rc = tw_loader_next(t->loader, b);
    int have = status[1 + rc];
    if (rc == 3)
        tw_complain("%s", tw_error());
    if (have == TW_RANK_READY && t->check != NULL && t->check(t->context, *b) != 0)
        have = TW_RANK_FAILED;
    if (have == TW_RANK_ENDED && tw_loader_complete(t->loader, t->epochs - 1))
        have = TW_RANK_DONE;
    if (have >= TW_RANK_ENDED && signal_came())
        have = TW_RANK_STOPPED;
    if (have == TW_RANK_FAILED)
        tw_complain("%s", tw_error());
    if (have == TW_RANK_ENDED)
        tw_complain("%s: ended after %lld of %lld epochs", tw_loader_name(t->loader), (long long)epoch, (long long)t->epochs);
    return have;
}

int tw_turns_next(tw_turns *t, const tw_batch **b, int64_t epoch)
{
    bool keep = false;
    do {
        const int have = keep ? TW_RANK_READY : fetch(t, b, epoch);
        if (agree(t, have, have == TW_RANK_READY ? *b : NULL) < 0)
            return -1;
        keep = t->all.status == TW_RANK_READY && (*b)->epoch == t->all.last; /* a batch of an earlier epoch is dropped */
    } while (t->all.status == TW_RANK_READY && t->all.first < t->all.last);
    return t->all.status;
}

int tw_turns_end(tw_turns *t)
{
    const tw_batch *b;
    const int rc = tw_loader_next(t->loader, &b);
    if (rc >= 0 && rc != 3)
        return 0;
    tw_complain("%s", tw_error());
    return -1;
}
