/* Goal: the rules of a head hold under any schedule of messages delivered, repeated, reordered, lost and forged, leases expiring, workers dying and
 * heads restarting: results go out in order, each once, each of its own position; nothing is used after it was released; and when the
 * faults end, the order is completed. A byte string is such a schedule. */
#include "feed/head.h"

#include "core/crc32c.h"
#include "core/error.h"
#include "core/program.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define FEED_MUST(cond) ((cond) ? (void)0 : (fprintf(stderr, "%s:%d: %s (%s)\n", __FILE__, __LINE__, #cond, tw_error()), abort()))

enum { EPOCH = 8, END = 24, WIRE = 256, PEERS = 64, SLOTS = 4, SIZE = 24 };

typedef struct {
    int from;
    tw_feed_msg m;
    unsigned char payload[SIZE];
} wire_msg;

typedef struct {
    tw_head *head;
    uint64_t session, old_session;
    double now;
    int64_t next;
    wire_msg wire[WIRE];
    int n, peers, blocks;
    bool dead[PEERS], in[PEERS]; /* in: welcomed by a head, and not refused since */
    bool lie; /* payloads of the next results are another position's */
} world;

/* What position p is made into with choice sub: two in eleven of the first choices are bad. */
static bool is_bad(int64_t p, int64_t sub)
{
    return sub == 0 && p * 7 % 11 == 3;
}

static bool crashes(int64_t p, int64_t sub)
{
    return sub == 0 && p * 5 % 13 == 4;
}

static void make(unsigned char out[SIZE], int64_t p, int64_t sub)
{
    const int64_t v[3] = {p, sub, p * 1000003 + sub};
    memcpy(out, v, SIZE);
}

static void post(world *w, int from, const tw_feed_msg *m)
{
    if (w->n == WIRE)
        return;
    w->wire[w->n].from = from;
    w->wire[w->n].m = *m;
    if (m->type == TW_DONE)
        make(w->wire[w->n].payload, w->lie ? m->pos + 1 : m->pos, m->sub);
    w->n++;
}

static tw_feed_id id_of(int peer)
{
    return (tw_feed_id){.n = 5, .byte = {0, 1, 2, 3, (unsigned char)peer}};
}

static int op_send(void *context, const tw_feed_id *to, const tw_feed_msg *m)
{
    world *w = context;
    const int peer = to->byte[4];
    FEED_MUST(to->n == 5 && peer < w->peers);
    if (w->dead[peer])
        return -1;
    w->in[peer] = m->type == TW_WELCOME || (w->in[peer] && m->type != TW_REFUSE);
    if (m->type == TW_WELCOME) {
        post(w, peer, &(tw_feed_msg){.type = TW_READY, .session = m->session});
    } else if (m->type == TW_LEASE) {
        tw_feed_msg answer = {.type = TW_DONE, .session = m->session, .pos = m->pos, .lease = m->lease, .sub = m->sub, .bytes = SIZE, .text = "x"};
        unsigned char bytes[SIZE];
        make(bytes, w->lie ? m->pos + 1 : m->pos, m->sub);
        answer.crc = tw_crc32c(0, bytes, SIZE);
        FEED_MUST(m->pos >= 0 && m->pos < END);
        if (is_bad(m->pos, m->sub) || crashes(m->pos, m->sub)) {
            answer.type = TW_FAIL;
            answer.code = crashes(m->pos, m->sub) ? TW_FAIL_CRASH : TW_FAIL_DECODE;
        }
        post(w, peer, &answer);
    }
    return 0;
}

static int op_check(void *context, int64_t p, int64_t sub, const void *payload, size_t size)
{
    unsigned char want[SIZE];
    (void)context;
    make(want, p, sub);
    return size == SIZE && memcmp(payload, want, SIZE) == 0 ? 0 : tw_fail("another position's");
}

static void op_release(void *context, void *payload)
{
    ((world *)context)->blocks--;
    free(payload);
}

static const char *op_known(void *context, int64_t p, int64_t sub)
{
    (void)context;
    return p % 17 == 16 && sub == 0 ? "known" : NULL;
}

static int op_bad(void *context, int64_t p, int64_t sub, int code, const char *cause)
{
    (void)context;
    FEED_MUST(cause != NULL && code >= 0 && code <= TW_FAIL_RETURNED);
    return p % 2 == 0 ? sub < 6 : 0; /* even places are filled by another, odd ones stay empty */
}

static void op_remember(void *context, int64_t p, int64_t sub)
{
    (void)context;
    FEED_MUST(p >= 0 && p < END && sub >= 0);
}

static void op_say(void *context, int level, const char *text)
{
    (void)context;
    FEED_MUST(level >= -1 && text[0] != '\0');
}

static void start(world *w)
{
    const tw_head_ops ops = {w, op_send, op_check, op_release, op_known, op_bad, op_remember, op_say};
    tw_head_options o = TW_HEAD_DEFAULT;
    o.first = w->next;
    o.end = END;
    o.epoch = EPOCH;
    o.window = 7;
    o.workers = 6;
    o.audit = 0.3;
    w->old_session = w->session;
    w->session = w->session * 3 + 1;
    w->head = tw_head_new(&o, &ops, w->session, w->now);
    FEED_MUST(w->head != NULL);
}

static int deliver(world *w, const wire_msg *m)
{
    void *payload = NULL;
    const tw_feed_id id = id_of(m->from);
    if (m->m.type == TW_DONE) {
        payload = malloc(SIZE);
        FEED_MUST(payload != NULL);
        memcpy(payload, m->payload, SIZE);
        w->blocks++;
    }
    return tw_head_message(w->head, w->now, &id, &m->m, payload, payload, payload != NULL ? SIZE : 0, NULL, NULL);
}

static void take_off(world *w, int k)
{
    memmove(&w->wire[k], &w->wire[k + 1], (size_t)(w->n - k - 1) * sizeof *w->wire);
    w->n--;
}

/* The consumer: what it gets is of the next position, whole. */
static bool consume(world *w)
{
    void *payload = NULL;
    if (tw_head_first(w->head, &payload) == 0)
        return false;
    if (payload != NULL) {
        int64_t v[3];
        memcpy(v, payload, sizeof v);
        FEED_MUST(v[0] == w->next && v[2] == v[0] * 1000003 + v[1] && !is_bad(v[0], v[1]));
        op_release(w, payload);
    }
    tw_head_advance(w->head);
    w->next++;
    return true;
}

static void say_hello(world *w, int peer)
{
    post(w, peer, &(tw_feed_msg){.type = TW_HELLO, .protocol = TW_FEED_PROTOCOL, .text = TW_VERSION, .name = "w", .slots = SLOTS});
}

static void hello(world *w)
{
    if (w->peers < PEERS)
        say_hello(w, w->peers++);
}

static void restart(world *w)
{
    tw_head_free(w->head);
    start(w);
}

/* A result that a broken or malicious worker might send. */
static void forge(world *w, int what)
{
    if (w->peers == 0)
        return;
    tw_feed_msg m = {.type = what % 3 == 0 ? TW_FAIL : TW_DONE, .session = what % 5 == 0 ? w->old_session : w->session, .pos = w->next + what % 9 - 1,
                     .lease = (uint64_t)(what % 40), .sub = what % 3 % 2, .bytes = what % 7 == 0 ? SIZE + 1 : SIZE, .code = 1 + what % 6, .text = "forged"};
    if (m.pos < 0)
        m.pos = 0;
    m.crc = (uint32_t)what;
    post(w, what % w->peers, &m);
}

static int step(world *w, int op, int arg)
{
    const int k = w->n > 0 ? arg % w->n : -1;
    int rc = 0;
    if (op < 6 && k >= 0) { /* delivered, and sometimes kept for another time */
        const wire_msg m = w->wire[k];
        if (op > 0)
            take_off(w, k);
        rc = deliver(w, &m);
    } else if (op == 6 && k >= 0) {
        take_off(w, k);
    } else if (op == 7 || op == 8) {
        w->now += op == 7 ? 0.05 : arg * 0.2;
        for (int i = 0; i < w->peers && op == 7; i++) /* those that live say so */
            if (!w->dead[i])
                post(w, i, &(tw_feed_msg){.type = TW_PING, .session = w->session, .slots = arg % 16 == 1 ? 0 : SLOTS});
        rc = tw_head_tick(w->head, w->now);
    } else if (op == 9 && w->peers > 0) {
        w->dead[arg % w->peers] = true;
    } else if (op == 10 || op == 11) {
        hello(w);
    } else if (op == 12) {
        forge(w, arg);
    } else if (op == 13) {
        restart(w);
    } else if (op == 14) {
        w->lie = arg % 4 == 0;
    } else {
        while (consume(w))
            ;
    }
    return rc;
}

/* From here on nothing fails: three workers come, and the order must be completed. */
static void complete(world *w)
{
    w->lie = false;
    w->n = 0;
    for (int i = 0; i < w->peers; i++)
        w->dead[i] = true;
    w->peers = PEERS - 3 < w->peers ? PEERS - 3 : w->peers;
    const int first = w->peers;
    w->peers += 3;
    for (int k = 0; k < 3; k++)
        w->dead[first + k] = w->in[first + k] = false;
    for (int i = 0; w->next < END; i++) {
        FEED_MUST(i < 20000);
        w->now += 0.01;
        for (int k = 0; k < 3 && i % 20 == 0; k++) {
            if (w->in[first + k])
                post(w, first + k, &(tw_feed_msg){.type = TW_PING, .session = w->session, .slots = SLOTS});
            else
                say_hello(w, first + k); /* until there is room */
        }
        while (w->n > 0) {
            const wire_msg m = w->wire[0];
            take_off(w, 0);
            FEED_MUST(deliver(w, &m) == 0);
        }
        FEED_MUST(tw_head_tick(w->head, w->now) == 0);
        while (consume(w))
            ;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static world w;
    w = (world){.now = 1, .session = 1};
    start(&w);
    hello(&w);
    hello(&w);
    for (size_t i = 0; i + 1 < size && w.next < END; i += 2)
        if (step(&w, data[i] % 16, data[i + 1]) != 0)
            restart(&w); /* two workers that differ and no third to ask: the head has given up, and its trainer starts another */
    if (w.next < END)
        complete(&w);
    tw_head_bye(w.head, "done");
    tw_head_free(w.head);
    FEED_MUST(w.blocks == 0);
    return 0;
}
