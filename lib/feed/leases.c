#include "feed/head_parts.h"

#include <math.h>

worker *tw_head_by_serial(const tw_head *h, uint32_t serial)
{
    for (int i = 0; i < h->workers; i++)
        if (h->worker[i].up && h->worker[i].serial == serial)
            return &h->worker[i];
    return NULL;
}

static bool here(const worker *w)
{
    return w->up && w->ready && w->slots > 0;
}

static bool able(const tw_head *h, const worker *w)
{
    return here(w) && (w->tried || h->first_only == w->serial);
}

/* Number of workers that may get leases, not counting those with the serials but and or_but (0: none). */
static int count_able(const tw_head *h, uint32_t but, uint32_t or_but)
{
    int n = 0;
    for (int i = 0; i < h->workers; i++)
        n += able(h, &h->worker[i]) && h->worker[i].serial != but && h->worker[i].serial != or_but;
    return n;
}

int tw_head_others(const tw_head *h, uint32_t but, uint32_t or_but)
{
    int n = 0;
    for (int i = 0; i < h->workers; i++) {
        const worker *w = &h->worker[i];
        n += here(w) && (w->tried || h->reference < 0) && w->serial != but && w->serial != or_but;
    }
    return n;
}

/* The fastest worker's time per sample, or (latency) from lease to result, in seconds; 0: not known yet. */
static double best(const tw_head *h, bool latency)
{
    double least = 0;
    for (int i = 0; i < h->workers; i++) {
        const double v = latency ? h->worker[i].latency : h->worker[i].service;
        if (h->worker[i].up && v > 0 && (least == 0 || v < least))
            least = v;
    }
    return least;
}

/* Leases that the worker may hold. fastest: the fastest worker's seconds per sample. */
static int effective(const worker *w, double fastest)
{
    if (w->slots < 1)
        return 0;
    if (w->service <= 0)
        return w->slots < NEW_CREDIT ? w->slots : NEW_CREDIT;
    const double part = 2 * fastest / w->service, n = floor(w->slots * (part < 1 ? part : 1));
    return n < 1 ? 1 : (int)n;
}

int tw_head_effective(const tw_head *h, const worker *w)
{
    return effective(w, best(h, false));
}

void tw_head_unlease(tw_head *h, int64_t position, int k)
{
    slot *s = tw_head_slot(h, position);
    worker *w = tw_head_by_serial(h, s->lease[k].serial);
    if (w != NULL) {
        w->held--;
        if (w->solo == position + 1)
            w->solo = 0;
    }
    s->lease[k] = s->lease[--s->leases];
    if (!s->filled && position < h->low)
        h->low = position;
}

void tw_head_revoke(tw_head *h, int64_t position, int k)
{
    worker *w = tw_head_by_serial(h, tw_head_slot(h, position)->lease[k].serial);
    tw_head_unlease(h, position, k);
    if (w != NULL)
        w->astray++;
}

/* Leases the position to the worker. 0, or -1: the worker could not be reached and has been removed. */
static int grant(tw_head *h, worker *w, int64_t position)
{
    slot *s = tw_head_slot(h, position);
    const tw_feed_msg m = {.type = TW_LEASE, .session = h->session, .pos = position, .lease = ++h->leases, .sub = s->sub};
    s->lease[s->leases++] = (lease){m.lease, w->serial, ++w->held, h->now};
    if (s->solo)
        w->solo = position + 1;
    if (h->ops.send(h->ops.context, &w->id, &m) == 0)
        return 0;
    tw_head_gone(h, w, "it cannot be reached");
    return -1;
}

static bool has_part(const slot *s, uint32_t serial)
{
    for (int k = 0; k < s->leases; k++)
        if (s->lease[k].serial == serial)
            return true;
    for (int k = 0; k < s->results; k++)
        if (s->result[k].serial == serial)
            return true;
    return false;
}

/* Of the workers that may take the position, the one likely to finish it first; NULL: none now. */
static worker *pick(tw_head *h, const slot *s)
{
    const double usual = best(h, false);
    const bool others = count_able(h, s->failed_by[0], s->failed_by[1]) > 0; /* there are workers that have not failed it */
    const bool other = count_able(h, s->failed_by[0], 0) > 0;
    worker *first = NULL;
    double when = 0;
    for (int i = 0; i < h->workers; i++) {
        worker *w = &h->worker[i];
        const double t = (w->held + 1) * (w->service > 0 ? w->service : usual);
        const bool failed = w->serial == s->failed_by[0] ? other : w->serial == s->failed_by[1] && others;
        if (!able(h, w) || w->solo != 0 || failed || has_part(s, w->serial))
            continue;
        if (s->solo ? w->astray > 0 : w->held >= effective(w, usual))
            continue;
        if (first == NULL || t < when) {
            first = w;
            when = t;
        }
    }
    return first;
}

/* For a position to be leased alone: reserves a worker for it, and returns it once it holds no other lease; else NULL. A worker with withdrawn leases
 * that it has not answered is not used: it may still be working on them. */
static worker *pick_alone(tw_head *h, int64_t position)
{
    for (int i = 0; i < h->workers; i++) {
        worker *w = &h->worker[i];
        if (w->up && w->solo == position + 1 && w->astray == 0 && able(h, w))
            return w->held == 0 ? w : NULL;
        if (w->up && w->solo == position + 1)
            w->solo = 0;
    }
    worker *w = pick(h, tw_head_slot(h, position));
    if (w != NULL)
        w->solo = position + 1;
    return w != NULL && w->held == 0 ? w : NULL;
}

/* Leases reserved positions to their workers (pick_alone) once these hold nothing else, before any other position is leased. If the position needs
 * no lease any more, the worker is released. */
static void serve_chosen(tw_head *h)
{
    for (int i = 0; i < h->workers; i++) {
        worker *w = &h->worker[i];
        const int64_t p = w->solo - 1;
        if (!w->up || w->solo == 0)
            continue;
        const slot *s = p >= h->next ? tw_head_slot(h, p) : NULL;
        if (s != NULL && has_part(s, w->serial))
            continue;
        if (s == NULL || s->filled || !s->solo)
            w->solo = 0;
        else if (s->leases + s->results < tw_head_wanted(h, p) && pick_alone(h, p) == w)
            grant(h, w, p);
    }
}

/* While there is no reference: chooses the next worker by serial, cyclically after the last one chosen, so that a failing worker does not block the
 * others. */
static void choose_first(tw_head *h)
{
    const worker *first = NULL;
    for (int i = 0; i < h->workers; i++) {
        const worker *w = &h->worker[i];
        if (here(w) && !w->tried && (first == NULL || w->serial - h->was_first - 1 < first->serial - h->was_first - 1)) /* modulo 2^32 */
            first = w;
    }
    if (first != NULL)
        h->first_only = h->was_first = first->serial;
}

/* Sends the reference sample to new workers as a test, before they get any other lease. */
static void try_workers(tw_head *h)
{
    if (h->reference < 0 && h->first_only == 0)
        choose_first(h);
    for (int i = 0; i < h->workers; i++) {
        worker *w = &h->worker[i];
        if (h->reference < 0 || !here(w) || w->tried || w->trial != 0 || h->first_only == w->serial)
            continue;
        w->trial = ++h->leases;
        w->trial_since = h->now;
        const tw_feed_msg m = {.type = TW_LEASE, .session = h->session, .pos = h->reference, .lease = w->trial, .sub = h->reference_sub};
        if (h->ops.send(h->ops.context, &w->id, &m) != 0)
            tw_head_gone(h, w, "it cannot be reached");
    }
}

int tw_head_assign(tw_head *h)
{
    try_workers(h);
    serve_chosen(h);
    const int64_t limit = tw_head_limit(h);
    for (int64_t p = h->low; p < limit; p++) {
        slot *s = tw_head_slot(h, p);
        if (!s->started && tw_head_start(h, p) != 0)
            return -1;
        while (!s->filled && s->leases + s->results < tw_head_wanted(h, p)) {
            worker *w = s->solo ? pick_alone(h, p) : pick(h, s);
            if (w == NULL)
                break;
            grant(h, w, p); /* if that fails, the loop picks another worker */
        }
        const bool done = s->filled || s->leases + s->results >= tw_head_wanted(h, p);
        if (done && h->low == p) /* else an earlier position needs a lease, perhaps because a worker was removed just now */
            h->low = p + 1;
        if (!done && !s->solo && s->results == 0 && s->failed_by[0] == 0)
            break; /* no worker can take it, nor the following ones */
    }
    return 0;
}

/* Rule R7 (formats/farm.md): late positions in the first quarter of the window are leased to a second worker. */
static void hedge(tw_head *h)
{
    const double late = 4 * best(h, true) + h->o.hedge;
    const int64_t end = h->next + (tw_head_limit(h) - h->next + 3) / 4;
    for (int64_t p = h->next; p < end; p++) {
        slot *s = tw_head_slot(h, p);
        if (s->filled || s->solo || s->leases != 1 || h->now - s->lease[0].since < late)
            continue;
        worker *w = pick(h, s);
        if (w == NULL)
            return;
        h->count.hedged += grant(h, w, p) == 0;
    }
}

static int expire(tw_head *h)
{
    for (int64_t p = h->next; p < h->next + h->o.window && p < h->o.end; p++) {
        slot *s = tw_head_slot(h, p);
        for (int k = 0; k < s->leases; k++) {
            if (h->now - s->lease[k].since < h->o.lease)
                continue;
            worker *w = tw_head_by_serial(h, s->lease[k].serial);
            h->count.expired++;
            if (w != NULL) {
                w->expired++;
                if (h->first_only == w->serial)
                    h->first_only = 0;
            }
            tw_head_revoke(h, p, k--);
            if (s->filled)
                continue;
            s->solo = ++s->expiries >= SOLO_EXPIRIES || s->solo;
            if (s->expiries >= FAULT_EXPIRIES) {
                s->expiries = 0;
                if (tw_head_fault(h, w, p, TW_FAIL_TIMEOUT, true, "no result in time, from any worker") != 0)
                    return -1;
                break;
            }
        }
    }
    return 0;
}

int tw_head_tick(tw_head *h, double now)
{
    h->now = now;
    for (int i = 0; i < h->workers; i++) {
        worker *w = &h->worker[i];
        if (w->up && now - w->heard > SILENT * h->o.heartbeat)
            tw_head_gone(h, w, "it has been silent");
        else if (w->up && w->overtaken > 0 && now - w->overtaken_since > h->o.lease) {
            w->held -= w->overtaken;
            w->astray += w->overtaken;
            w->overtaken = 0;
        } else if (w->up && w->trial != 0 && now - w->trial_since > h->o.lease)
            tw_head_ban(h, w, TW_REFUSE_COMMAND, "the sample that it was tested with did not come back in time");
    }
    if (expire(h) != 0)
        return -1;
    for (int64_t p = h->next; h->o.audit > 0 && p < tw_head_limit(h); p++)
        if (tw_head_settle(h, p) != 0)
            return -1;
    hedge(h);
    return tw_head_assign(h);
}
