#include "feed/head_parts.h"

#include "core/crc32c.h"
#include "core/error.h"
#include "core/mem.h"
#include "core/program.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void tw_head_say(tw_head *h, int level, const char *fmt, ...)
{
    char text[1200];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    h->ops.say(h->ops.context, level, text);
}

tw_head *tw_head_new(const tw_head_options *o, const tw_head_ops *ops, uint64_t session, double now)
{
    tw_head *h = tw_calloc(1, sizeof *h);
    if (h == NULL)
        return NULL;
    h->o = *o;
    h->ops = *ops;
    h->session = session;
    h->next = h->low = o->first;
    h->now = now;
    h->reference = -1;
    h->slot = tw_calloc((size_t)o->window, sizeof *h->slot);
    h->worker = tw_calloc((size_t)o->workers, sizeof *h->worker);
    if (h->slot != NULL && h->worker != NULL)
        return h;
    tw_head_free(h);
    return NULL;
}

void tw_head_free(tw_head *h)
{
    if (h == NULL)
        return;
    for (int64_t i = 0; h->slot != NULL && i < h->o.window; i++)
        for (int k = 0; k < h->slot[i].results; k++)
            if (h->slot[i].result[k].payload != NULL)
                h->ops.release(h->ops.context, h->slot[i].result[k].payload);
    free(h->slot);
    free(h->worker);
    free(h);
}

slot *tw_head_slot(const tw_head *h, int64_t position)
{
    return &h->slot[position % h->o.window];
}

/* One past the last position that may be leased: limited by the window, by memory, and to the current and the next epoch. */
int64_t tw_head_limit(const tw_head *h)
{
    const int64_t fit = h->largest > 0 ? h->o.memory / h->largest : h->o.memory / h->o.max_bytes;
    int64_t n = fit < h->o.window ? fit : h->o.window;
    n = n < MIN_WINDOW ? (MIN_WINDOW < h->o.window ? MIN_WINDOW : h->o.window) : n;
    int64_t end = (h->next / h->o.epoch + 2) * h->o.epoch;
    if (end > h->o.end)
        end = h->o.end;
    return h->next + n < end ? h->next + n : end;
}

void tw_head_tell_window(tw_head *h)
{
    const int64_t fit = h->largest > 0 ? h->o.memory / h->largest : h->o.window, window = fit < h->o.window ? fit : h->o.window;
    int64_t slots = 0;
    for (int i = 0; i < h->workers; i++)
        slots += h->worker[i].up && h->worker[i].ready ? h->worker[i].slots : 0;
    if (h->told_window || slots <= window / 2)
        return;
    h->told_window = true;
    tw_head_say(h, 0, "the workers have %lld slots, more than half of the window of %lld samples: some workers will be idle; use a larger --%s",
                (long long)slots, (long long)window, window < h->o.window ? "mem" : "window");
}

static bool in_hand(const tw_head *h, int64_t p)
{
    return p >= h->next && p < h->next + h->o.window && p < h->o.end;
}

/* ---- workers ---- */

static worker *find(tw_head *h, const tw_feed_id *id)
{
    for (int i = 0; i < h->workers; i++)
        if (h->worker[i].up && h->worker[i].id.n == id->n && memcmp(h->worker[i].id.byte, id->byte, id->n) == 0)
            return &h->worker[i];
    return NULL;
}

static int send(tw_head *h, const tw_feed_id *to, const tw_feed_msg *m)
{
    return h->ops.send(h->ops.context, to, m);
}

static void refuse(tw_head *h, const tw_feed_id *to, int code, const char *text)
{
    h->count.refused++;
    send(h, to, &(tw_feed_msg){.type = TW_REFUSE, .code = code, .text = text});
}

void tw_head_ban(tw_head *h, worker *w, int code, const char *why)
{
    tw_head_say(h, -1, "worker %s is turned away: %s", w->name, why);
    refuse(h, &w->id, code, why);
    tw_head_gone(h, w, NULL);
}

void tw_head_gone(tw_head *h, worker *w, const char *why)
{
    const uint32_t serial = w->serial;
    if (!w->up)
        return;
    w->up = false;
    for (int64_t p = h->next; p < h->next + h->o.window && p < h->o.end; p++) {
        slot *s = tw_head_slot(h, p);
        for (int k = 0; k < s->leases; k++)
            if (s->lease[k].serial == serial) {
                tw_head_unlease(h, p, k);
                break;
            }
    }
    if (h->first_only == serial)
        h->first_only = 0;
    if (why != NULL) {
        h->count.gone++;
        tw_head_say(h, 0, "worker %s: %s; its samples go to other workers", w->name, why);
    }
}

/* A free entry of the table of workers: that of one that is gone, or a new one. NULL: out of memory. */
static worker *new_worker(tw_head *h)
{
    for (int i = 0; i < h->workers; i++)
        if (!h->worker[i].up)
            return &h->worker[i];
    return h->workers < h->o.workers ? &h->worker[h->workers++] : NULL;
}

static void hello(tw_head *h, const tw_feed_id *from, const tw_feed_msg *m, const char *user)
{
    char text[200];
    if (m->protocol != TW_FEED_PROTOCOL || strcmp(m->text, TW_VERSION) != 0) {
        snprintf(text, sizeof text, "it speaks version %lld of the protocol as program %.64s; the head speaks %d as program " TW_VERSION,
                 (long long)m->protocol, m->text, TW_FEED_PROTOCOL);
        char name[sizeof h->worker[0].name];
        snprintf(name, sizeof name, "%s", m->name);
        tw_head_say(h, -1, "worker %s is turned away: %s", tw_feed_printable(name), text);
        refuse(h, from, TW_REFUSE_VERSION, text);
        return;
    }
    worker *w = find(h, from);
    if (w != NULL)
        tw_head_gone(h, w, NULL); /* it has restarted */
    w = new_worker(h);
    if (w == NULL) {
        refuse(h, from, TW_REFUSE_FULL, "the head has the most workers that it accepts");
        return;
    }
    *w = (worker){.up = true, .id = *from, .slots = (int)m->slots, .heard = h->now, .serial = ++h->serials};
    snprintf(w->name, sizeof w->name, "%s%s%s", user != NULL ? user : "", user != NULL ? "/" : "", m->name);
    tw_feed_printable(w->name);
    snprintf(w->user, sizeof w->user, "%s", user != NULL ? user : "");
    const tw_feed_msg welcome = {.type = TW_WELCOME, .protocol = TW_FEED_PROTOCOL, .session = h->session, .hb_ms = (int64_t)(h->o.heartbeat * 1e3),
                                 .lease_ms = (int64_t)(h->o.lease * 1e3), .max_bytes = h->o.max_bytes};
    if (send(h, from, &welcome) != 0)
        tw_head_gone(h, w, NULL);
}

static void ready(tw_head *h, worker *w, const char *why_not)
{
    if (why_not != NULL) {
        tw_head_ban(h, w, TW_REFUSE_COMMAND, why_not);
        return;
    }
    if (!w->ready)
        tw_head_say(h, 1, "worker %s has joined, %d slots", w->name, w->slots);
    w->ready = true;
    tw_head_tell_window(h);
}

void tw_head_drop_user(tw_head *h, bool (*allowed)(void *context, const char *user), void *context)
{
    for (int i = 0; i < h->workers; i++)
        if (h->worker[i].up && h->worker[i].user[0] != '\0' && !allowed(context, h->worker[i].user))
            tw_head_ban(h, &h->worker[i], TW_REFUSE_BANNED, "its key is not allowed any more");
}

int tw_head_bye(tw_head *h, const char *why)
{
    int told = 0;
    for (int i = 0; i < h->workers; i++)
        told += h->worker[i].up && send(h, &h->worker[i].id, &(tw_feed_msg){.type = TW_BYE, .session = h->session, .text = why}) == 0;
    return told;
}

/* ---- messages ---- */

/* Updates the worker's speed: its time per sample is the time from lease to result divided by the leases that it held. */
static void learn(tw_head *h, worker *w, const lease *l)
{
    const double latency = h->now - l->since, service = latency / (l->held > 1 ? l->held : 1);
    w->service = w->service == 0 ? service : w->service + 0.2 * (service - w->service);
    w->latency = w->latency == 0 ? latency : w->latency + 0.2 * (latency - w->latency);
}

/* Index of this worker's outstanding lease of that number for the position; -1: none. */
static int find_lease(const slot *s, const worker *w, uint64_t number)
{
    for (int k = 0; k < s->leases; k++)
        if (s->lease[k].number == number && s->lease[k].serial == w->serial)
            return k;
    return -1;
}

/* The answer to a test lease: the worker's result must equal the reference. */
static void tried(tw_head *h, worker *w, const tw_feed_msg *m)
{
    w->trial = 0;
    if (m->type == TW_DONE && m->crc == h->reference_crc && m->bytes == h->reference_size) {
        w->tried = true;
        return;
    }
    if (m->type == TW_FAIL && (m->code == TW_FAIL_RETURNED || m->code == TW_FAIL_CRASH || m->code == TW_FAIL_TIMEOUT) && ++w->trials < 3)
        return;
    char text[800];
    snprintf(text, sizeof text, "the sample that it was tested with %s%.600s",
             m->type == TW_DONE ? "differs from what other workers made of it: another command or library, or a broken machine" : "failed: ",
             m->type == TW_DONE ? "" : m->text);
    tw_head_ban(h, w, TW_REFUSE_COMMAND, text);
}

/* An answer to a lease that was withdrawn or overtaken. */
static void caught_up(const tw_head *h, worker *w, int64_t position)
{
    if (position < h->next && w->overtaken > 0) { /* the position has been written */
        w->overtaken--;
        w->held--;
    } else if (w->astray > 0) {
        w->astray--;
    }
}

/* A result of a position that is no longer wanted. */
static void late(tw_head *h, worker *w, const tw_feed_msg *m)
{
    h->count.duplicates++;
    w->duplicates++;
    const int k = in_hand(h, m->pos) ? find_lease(tw_head_slot(h, m->pos), w, m->lease) : -1;
    if (k >= 0)
        tw_head_unlease(h, m->pos, k);
    else
        caught_up(h, w, m->pos);
}

static const char *what_is_wrong(const tw_head *h, const tw_feed_msg *m, const void *data, size_t size)
{
    if ((int64_t)size != m->bytes || size == 0 || (int64_t)size > h->o.max_bytes)
        return "a result of the wrong size";
    if (tw_crc32c(0, data, size) != m->crc)
        return "a result that was damaged on the way";
    return h->ops.check(h->ops.context, m->pos, m->sub, data, size) != 0 ? tw_error() : NULL;
}

/* k: the lease, or -1. */
static int accept(tw_head *h, worker *w, const tw_feed_msg *m, int k, void *payload, size_t size)
{
    const int64_t p = m->pos;
    slot *s = tw_head_slot(h, p);
    if (k >= 0) {
        const int64_t low = h->low;
        learn(h, w, &s->lease[k]);
        tw_head_unlease(h, p, k);
        h->low = low; /* the position is about to be filled; if accepting it bans a worker, low can become smaller again */
    }
    w->done++;
    const int rc = tw_head_accept(h, w, p, payload, size, (uint32_t)m->crc);
    if (!s->filled && p < h->low)
        h->low = p;
    return rc;
}

static int done(tw_head *h, worker *w, const tw_feed_msg *m, void *payload, const void *data, size_t size)
{
    const int64_t p = m->pos;
    if (w->trial != 0 && m->lease == w->trial) {
        const bool whole = (int64_t)size == m->bytes && tw_crc32c(0, data, size) == m->crc;
        tried(h, w, whole ? m : &(tw_feed_msg){.type = TW_FAIL, .code = TW_FAIL_IO, .text = "its result was damaged on the way"});
    } else if (!in_hand(h, p) || tw_head_slot(h, p)->filled || tw_head_slot(h, p)->sub != m->sub) {
        late(h, w, m);
    } else {
        const int k = find_lease(tw_head_slot(h, p), w, m->lease);
        if (k < 0)
            caught_up(h, w, p);
        const char *wrong = what_is_wrong(h, m, data, size);
        if (wrong == NULL)
            return accept(h, w, m, k, payload, size);
        h->count.wrong++;
        tw_head_say(h, 0, "worker %s: position %lld: %s", w->name, (long long)p, wrong);
        if (++w->wrong >= MOST_WRONG)
            tw_head_ban(h, w, TW_REFUSE_BANNED, "wrong results");
        else if (k >= 0)
            tw_head_unlease(h, p, k);
    }
    h->ops.release(h->ops.context, payload);
    return 0;
}

static int failed(tw_head *h, worker *w, const tw_feed_msg *m)
{
    const int64_t p = m->pos;
    if (w->trial != 0 && m->lease == w->trial) {
        tried(h, w, m);
        return 0;
    }
    const int k = in_hand(h, p) ? find_lease(tw_head_slot(h, p), w, m->lease) : -1;
    if (k < 0) { /* a repeated FAIL, or one for an expired lease, is ignored */
        caught_up(h, w, p);
        return 0;
    }
    const bool alone = w->solo == p + 1; /* else the lease was granted earlier, together with others */
    tw_head_unlease(h, p, k);
    if (m->code == TW_FAIL_RETURNED || tw_head_slot(h, p)->filled || tw_head_slot(h, p)->sub != m->sub)
        return 0;
    w->failed++;
    return tw_head_fault(h, w, p, (int)m->code, alone, m->text);
}

int tw_head_message(tw_head *h, double now, const tw_feed_id *from, const tw_feed_msg *m, void *payload, const void *data, size_t size,
                    const char *why_not, const char *user)
{
    h->now = now;
    int rc = 0;
    bool owned = payload != NULL;
    worker *w = find(h, from);
    if (w != NULL)
        w->heard = now;
    if (m->type == TW_HELLO) {
        hello(h, from, m, user);
    } else if (m->type == TW_DONE || m->type == TW_FAIL || m->type == TW_PING || m->type == TW_READY || m->type == TW_BYE) {
        if (w == NULL) {
            if (m->type != TW_BYE)
                refuse(h, from, TW_REFUSE_UNKNOWN, "say HELLO first");
        } else if (m->session != h->session) {
            h->count.stale++;
        } else if (m->type == TW_DONE) {
            owned = false;
            rc = done(h, w, m, payload, data, size);
        } else if (m->type == TW_FAIL) {
            rc = failed(h, w, m);
        } else if (m->type == TW_PING) {
            w->slots = (int)m->slots;
            send(h, from, &(tw_feed_msg){.type = TW_PONG, .session = h->session, .pos = h->next});
        } else if (m->type == TW_READY) {
            ready(h, w, why_not);
        } else {
            tw_head_say(h, 1, "worker %s has ended", w->name);
            tw_head_gone(h, w, NULL);
        }
    } /* other types do not come from workers: ignored */
    if (owned)
        h->ops.release(h->ops.context, payload);
    return rc != 0 ? rc : tw_head_assign(h);
}

/* ---- the order ---- */

int tw_head_first(tw_head *h, void **payload)
{
    if (h->next >= h->o.end || !tw_head_slot(h, h->next)->filled)
        return 0;
    slot *s = tw_head_slot(h, h->next);
    *payload = s->results > 0 ? s->result[0].payload : NULL;
    return 1;
}

void tw_head_advance(tw_head *h)
{
    slot *s = tw_head_slot(h, h->next);
    for (int k = 0; k < s->leases; k++) { /* another worker was faster. This one gets no new lease instead until it answers: it may be dead */
        worker *w = tw_head_by_serial(h, s->lease[k].serial);
        if (w == NULL)
            continue;
        w->overtaken++;
        w->overtaken_since = h->now;
        if (w->solo == h->next + 1)
            w->solo = 0;
    }
    *s = (slot){0};
    h->next++;
    h->filled--;
    if (h->low < h->next)
        h->low = h->next;
}

void tw_head_get(const tw_head *h, tw_head_state *s)
{
    *s = h->count;
    s->next = h->next;
    s->filled = h->filled;
    s->window = (int)(tw_head_limit(h) - h->next);
    for (int i = 0; i < h->workers; i++) {
        s->up += h->worker[i].up;
        s->ready += h->worker[i].up && h->worker[i].ready;
        s->leased += h->worker[i].up ? h->worker[i].held : 0;
    }
}

int tw_head_workers(const tw_head *h)
{
    return h->workers;
}

bool tw_head_worker_get(const tw_head *h, int i, double now, tw_head_worker *out)
{
    const worker *w = &h->worker[i];
    *out = (tw_head_worker){w->name, w->slots, w->held, tw_head_effective(h, w), w->service, now - w->heard, w->done, w->failed,
                            w->duplicates, w->wrong, w->expired, w->ready};
    return w->up;
}
