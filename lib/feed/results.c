#include "feed/head_parts.h"

#include "core/error.h"

#include <stdlib.h>

enum { MOST_REFUTED = 16 }; /* a worker that fails so many images that others can make, and over a tenth of what it has made, is banned */

/* Whether the position is audited (made by two workers): a pseudo-random choice that is a function of the position. */
static bool audited(const tw_head *h, int64_t position)
{
    uint64_t x = (uint64_t)position * UINT64_C(0x9e3779b97f4a7c15);
    x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
    return h->o.audit > 0 && (double)((x ^ x >> 31) >> 11) * 0x1p-53 < h->o.audit;
}

int tw_head_wanted(const tw_head *h, int64_t position)
{
    const slot *s = tw_head_slot(h, position);
    return !audited(h, position) ? 1 : s->results < 2 ? 2 : VOTES;
}

/* Whether a further result can be expected: another worker could make it, or a lease is outstanding. */
static bool another(const tw_head *h, const slot *s)
{
    for (int i = 0; i < h->workers; i++) {
        const worker *w = &h->worker[i];
        bool has = !w->up || !w->ready || !w->tried || w->slots < 1;
        has = has || w->serial == s->failed_by[0] || w->serial == s->failed_by[1]; /* it is not asked again */
        for (int k = 0; k < s->results && !has; k++)
            has = s->result[k].serial == w->serial;
        if (!has)
            return true;
    }
    return s->leases > 0;
}

static bool same(const result *a, const result *b)
{
    return a->size == b->size && a->crc == b->crc;
}

/* Fills the position with result k and drops the others; workers that made a different one are banned. */
static void fill(tw_head *h, int64_t position, int k)
{
    slot *s = tw_head_slot(h, position);
    const result kept = s->result[k];
    h->count.audited += s->results > 1;
    for (int i = 0; i < s->results; i++) {
        worker *w = tw_head_by_serial(h, s->result[i].serial);
        if (!same(&s->result[i], &kept) && w != NULL)
            tw_head_ban(h, w, TW_REFUSE_BANNED, "its result differs from what two other workers made of the same image");
        if (i != k)
            h->ops.release(h->ops.context, s->result[i].payload);
    }
    s->result[0] = kept;
    s->results = 1;
    s->filled = true;
    h->filled++;
    h->count.bytes += (int64_t)kept.size;
    if ((int64_t)kept.size > h->largest) {
        h->largest = (int64_t)kept.size;
        tw_head_tell_window(h);
    }
    for (int i = 0; i < 2 && s->confirmed > 0; i++) {
        worker *w = tw_head_by_serial(h, s->failed_by[i]);
        if (w != NULL && w->serial != kept.serial && ++w->refuted >= MOST_REFUTED && w->refuted > w->done / 10)
            tw_head_ban(h, w, TW_REFUSE_BANNED, "it fails images that others can read");
    }
    if (h->reference < 0) {
        worker *w = tw_head_by_serial(h, kept.serial);
        h->reference = position;
        h->reference_sub = s->sub;
        h->reference_crc = kept.crc;
        h->reference_size = (int64_t)kept.size;
        h->first_only = 0;
        h->ops.remember(h->ops.context, position, s->sub);
        if (w != NULL)
            w->tried = true;
    }
}

int tw_head_settle(tw_head *h, int64_t position)
{
    slot *s = tw_head_slot(h, position);
    if (s->filled || s->results == 0)
        return 0;
    for (int i = 0; i < s->results; i++)
        for (int k = i + 1; k < s->results; k++)
            if (same(&s->result[i], &s->result[k])) {
                fill(h, position, i);
                return 0;
            }
    if (s->results < VOTES && another(h, s))
        return 0;
    if (s->results == 1) { /* no other worker can make a second one */
        fill(h, position, 0);
        return 0;
    }
    const worker *a = tw_head_by_serial(h, s->result[0].serial), *b = tw_head_by_serial(h, s->result[1].serial);
    return tw_fail("position %lld: workers %s and %s make different bytes of the same image, and no other worker agrees with either",
                   (long long)position, a != NULL ? a->name : "(gone)", b != NULL ? b->name : "(gone)");
}

int tw_head_accept(tw_head *h, worker *w, int64_t position, void *payload, size_t size, uint32_t crc)
{
    slot *s = tw_head_slot(h, position);
    for (int k = 0; k < s->results; k++)
        if (s->result[k].serial == w->serial) { /* a duplicate */
            h->count.duplicates++;
            w->duplicates++;
            h->ops.release(h->ops.context, payload);
            return 0;
        }
    if (s->results == VOTES)
        return tw_head_settle(h, position);
    s->result[s->results++] = (result){payload, size, crc, w->serial};
    if (audited(h, position))
        return tw_head_settle(h, position);
    fill(h, position, 0);
    return 0;
}

/* The image is bad: moves on to its substitute, or leaves the position empty. */
static int bad(tw_head *h, int64_t position, int code, const char *cause)
{
    slot *s = tw_head_slot(h, position);
    const int rc = h->ops.bad(h->ops.context, position, s->sub, code, cause);
    const int64_t sub = s->sub;
    if (rc < 0)
        return -1;
    while (s->leases > 0)
        tw_head_revoke(h, position, 0);
    for (int k = 0; k < s->results; k++)
        h->ops.release(h->ops.context, s->result[k].payload);
    *s = (slot){.sub = sub + 1};
    h->count.bad++;
    if (rc == 0) {
        s->filled = s->started = true;
        h->filled++;
    } else if (position < h->low) {
        h->low = position;
    }
    return 0;
}

int tw_head_start(tw_head *h, int64_t position)
{
    slot *s = tw_head_slot(h, position);
    const char *cause;
    while (!s->filled && (cause = h->ops.known(h->ops.context, position, s->sub)) != NULL)
        if (bad(h, position, 0, cause) != 0)
            return -1;
    s->started = true;
    return 0;
}

int tw_head_fault(tw_head *h, worker *w, int64_t position, int code, bool alone, const char *cause)
{
    slot *s = tw_head_slot(h, position);
    const uint32_t by = w != NULL ? w->serial : 0;
    const bool own = code != TW_FAIL_CRASH && code != TW_FAIL_TIMEOUT; /* blames the image itself */
    const bool again = by != 0 && (by == s->failed_by[0] || by == s->failed_by[1]);
    if (by != 0 && by != s->failed_by[0]) {
        s->failed_by[1] = s->failed_by[0];
        s->failed_by[0] = by;
    }
    if (h->first_only == by)
        h->first_only = 0; /* lets another worker be chosen */
    if (own)
        s->confirmed += !again;
    else if (alone || s->tries < TRIES - 1) /* the last try counts only if no other sample can have caused it */
        s->tries++;
    s->solo = s->solo || s->tries >= TRIES - 1;
    tw_head_say(h, 1, "position %lld: worker %s: %s: %s", (long long)position, w != NULL ? w->name : "(none)", tw_fail_names[code], cause);
    const bool only = tw_head_others(h, by, s->failed_by[1]) == 0;
    if (own ? s->confirmed >= 2 || only : s->tries >= TRIES)
        return bad(h, position, code, cause);
    return 0;
}
