/* Goal: a head's rules on a simulated clock. Whose fault a crash or a hang is: workers whose command takes all that it has in hand down with a poisonous image, at any moment,
 * also long after its lease has expired: every poisonous image is left out, after three times of which it was alone the last, no other one ever
 * is, and the order is completed. How long the order stands still when a worker dies without a word: three heartbeats and a sample at most. What a worker 75
 * times slower than the others costs: less than 15 % of the throughput without it. */
#include "core/crc32c.h"
#include "core/philox.h"
#include "core/program.h"
#include "feed/head.h"
#include "test.h"

#include <stdlib.h>
#include <string.h>

enum { END = 60, LONG = 4000, MOST_WORKERS = 5, SLOTS = 6, IN_HAND = 3 * SLOTS, SIZE = 8, WIRE = 512, TICKS = 60000 };
#define TICK 0.01
#define HEARTBEAT 0.2
#define WIRE_TIME 0.03 /* at most, each way */
#define SAMPLE_TIMEOUT 0.4

typedef struct {
    double when;
    int worker;
    bool to_head;
    tw_feed_msg m;
} event;

typedef struct {
    tw_feed_msg lease[IN_HAND];
    double since[IN_HAND]; /* when it came */
    int n;
    bool dead, blind; /* blind: it can read no file */
    double progress, told; /* when it last gave a result; when it was last heard */
} machine;

typedef struct {
    tw_head *head;
    tw_rng r;
    double now;
    machine worker[MOST_WORKERS];
    int workers, n, blocks;
    event wire[WIRE];
    int64_t poison[2], next;
    bool hangs, broken, left_out[LONG];
    double chance[MOST_WORKERS]; /* that a worker makes a sample in a tick */
    int innocents; /* that were left out */
    int warned;    /* of a small window */
    double longest, written, gap; /* a sample in a worker's hand; when one was last written; the longest time between two that were */
} farm;

static bool is_poison(const farm *f, int64_t p, int64_t sub)
{
    return sub == 0 && (p == f->poison[0] || p == f->poison[1]);
}

static void post(farm *f, int worker, bool to_head, const tw_feed_msg *m)
{
    if (f->n == WIRE)
        f->broken = true;
    else
        f->wire[f->n++] = (event){f->now + WIRE_TIME * tw_rng_uniform(&f->r), worker, to_head, *m};
}

static int op_send(void *context, const tw_feed_id *to, const tw_feed_msg *m)
{
    post(context, to->byte[4], false, m);
    return 0;
}

static int op_check(void *context, int64_t p, int64_t sub, const void *payload, size_t size)
{
    (void)context, (void)p, (void)sub, (void)payload, (void)size;
    return 0;
}

static void op_release(void *context, void *payload)
{
    ((farm *)context)->blocks--;
    free(payload);
}

static const char *op_known(void *context, int64_t p, int64_t sub)
{
    (void)context, (void)p, (void)sub;
    return NULL;
}

static int op_bad(void *context, int64_t p, int64_t sub, int code, const char *cause)
{
    farm *f = context;
    (void)cause;
    f->broken = f->broken || (code != TW_FAIL_CRASH && code != TW_FAIL_TIMEOUT);
    f->innocents += !is_poison(f, p, sub);
    f->left_out[p] = true;
    return p % 2 != 0; /* another takes its place, or none */
}

static void op_remember(void *context, int64_t p, int64_t sub)
{
    (void)context, (void)p, (void)sub;
}

static void op_say(void *context, int level, const char *text)
{
    ((farm *)context)->warned += level == 0 && strstr(text, "half of the window") != NULL;
}

static bool holds(const farm *f, int worker, int64_t p)
{
    for (int k = 0; k < f->worker[worker].n; k++)
        if (f->worker[worker].lease[k].pos == p)
            return true;
    return false;
}

/* What the worker says of its i-th sample, which is then in hand no more. */
static void answer(farm *f, int worker, int i, int type, int code, int with)
{
    machine *w = &f->worker[worker];
    tw_feed_msg m = w->lease[i];
    m.type = (tw_feed_type)type;
    m.code = code;
    m.held = with;
    m.text = "";
    m.bytes = SIZE;
    m.crc = tw_crc32c(0, "payload", SIZE);
    f->longest = f->now - w->since[i] > f->longest ? f->now - w->since[i] : f->longest;
    memmove(&w->since[i], &w->since[i + 1], (size_t)(w->n - i - 1) * sizeof *w->since);
    memmove(&w->lease[i], &w->lease[i + 1], (size_t)(w->n - i - 1) * sizeof *w->lease);
    w->n--;
    w->told = f->now;
    post(f, worker, true, &m);
}

/* The command ends, and with it all that it had in hand. */
static void crash(farm *f, int worker)
{
    const int with = f->worker[worker].n;
    while (f->worker[worker].n > 0)
        answer(f, worker, 0, TW_FAIL, TW_FAIL_CRASH, with);
}

/* One tick of a worker's command. */
static void work(farm *f, int worker)
{
    machine *w = &f->worker[worker];
    const int with = w->n;
    bool poisoned = false;
    for (int i = 0; i < w->n; i++)
        poisoned = poisoned || is_poison(f, w->lease[i].pos, w->lease[i].sub);
    if (w->n == 0) {
        ;
    } else if (w->blind) {
        if (f->now - w->since[0] > 20 * TICK)
            answer(f, worker, 0, TW_FAIL, TW_FAIL_IO, with);
    } else if (poisoned && !f->hangs && tw_rng_uniform(&f->r) < 0.05) {
        crash(f, worker);
    } else if (poisoned && f->hangs && f->now - w->progress > SAMPLE_TIMEOUT) { /* whichever sample is the oldest */
        for (bool first = true; w->n > 0; first = false)
            answer(f, worker, 0, TW_FAIL, first ? TW_FAIL_TIMEOUT : TW_FAIL_RETURNED, with);
    } else if (!(poisoned && f->hangs) && !is_poison(f, w->lease[0].pos, w->lease[0].sub) && tw_rng_uniform(&f->r) < f->chance[worker]) {
        answer(f, worker, 0, TW_DONE, 0, 0);
        w->progress = f->now;
    }
}

static void ping(farm *f, int worker)
{
    machine *w = &f->worker[worker];
    if (f->now - w->told <= 0.1)
        return;
    w->told = f->now;
    post(f, worker, true, &(tw_feed_msg){.type = TW_PING, .session = 1, .slots = SLOTS, .held = w->n});
}

static void deliver(farm *f, const event *e)
{
    const tw_feed_id id = {.n = 5, .byte = {0, 0, 0, 0, (unsigned char)e->worker}};
    machine *w = &f->worker[e->worker];
    void *payload = NULL;
    if (!e->to_head && w->dead)
        return;
    if (!e->to_head && e->m.type == TW_WELCOME)
        post(f, e->worker, true, &(tw_feed_msg){.type = TW_READY, .session = 1});
    if (!e->to_head && e->m.type == TW_LEASE) {
        if (w->n == 0)
            w->progress = f->now;
        w->since[w->n] = f->now;
        w->lease[w->n++] = e->m;
        if (w->n == IN_HAND)
            answer(f, e->worker, w->n - 1, TW_FAIL, TW_FAIL_RETURNED, w->n);
    }
    if (!e->to_head)
        return;
    if (e->m.type == TW_DONE) {
        payload = calloc(1, SIZE);
        memcpy(payload, "payload", SIZE);
        f->blocks++;
    }
    if (tw_head_message(f->head, f->now, &id, &e->m, payload, payload, payload != NULL ? SIZE : 0, NULL, NULL) != 0)
        f->broken = true;
}

/* stuck: whoever has that position in hand does nothing; -1: nobody. */
static void tick(farm *f, int64_t stuck)
{
    f->now += TICK;
    for (int i = 0; i < f->n; i++)
        if (f->wire[i].when <= f->now) { /* of what comes at a time, in any order */
            const event e = f->wire[i];
            f->wire[i--] = f->wire[--f->n];
            deliver(f, &e);
        }
    for (int i = 0; i < f->workers; i++) {
        if (!f->worker[i].dead && !holds(f, i, stuck))
            work(f, i);
        if (!f->worker[i].dead)
            ping(f, i);
    }
    if (tw_head_tick(f->head, f->now) != 0)
        f->broken = true;
    for (void *payload; tw_head_first(f->head, &payload) == 1; f->next++) {
        if (payload != NULL)
            op_release(f, payload);
        tw_head_advance(f->head);
        f->gap = f->now - f->written > f->gap ? f->now - f->written : f->gap;
        f->written = f->now;
    }
}

static void start(farm *f, uint64_t seed, int workers, double lease, double hedge, int end, int window)
{
    *f = (farm){.now = 1, .workers = workers, .poison = {-1, -1}};
    tw_rng_init(&f->r, seed, TW_USE_SYNTH, 3, 0, 0);
    const tw_head_ops ops = {f, op_send, op_check, op_release, op_known, op_bad, op_remember, op_say};
    tw_head_options o = TW_HEAD_DEFAULT;
    o.end = o.epoch = end;
    o.window = window;
    o.workers = MOST_WORKERS;
    o.lease = lease;
    o.hedge = hedge;
    o.heartbeat = HEARTBEAT;
    f->head = tw_head_new(&o, &ops, 1, f->now);
    for (int i = 0; i < MOST_WORKERS; i++)
        f->chance[i] = 0.3;
    for (int i = 0; i < workers; i++)
        post(f, i, true, &(tw_feed_msg){.type = TW_HELLO, .protocol = TW_FEED_PROTOCOL, .text = TW_VERSION, .name = "w\n\xff", .slots = SLOTS});
}

/* A worker that has the position in hand, but for one; -1: none. */
static int holder(const farm *f, int64_t p, int but)
{
    for (int i = 0; i < f->workers; i++)
        if (i != but && holds(f, i, p))
            return i;
    return -1;
}

/* Three crashes of the same samples, the third in the hands of a worker that was given them before anybody knew: nobody's fault yet. */
static void third_together(void)
{
    static farm f;
    start(&f, 1, 4, 30, 0.02, END, 16);
    while (f.next < 12 || holder(&f, f.next, -1) < 0)
        tick(&f, -1);
    const int64_t p = f.poison[0] = f.next;
    int second = -1;
    for (int crashes = 0; crashes < 2; crashes++) {
        while (holder(&f, p, -1) < 0 || (second = holder(&f, p, holder(&f, p, -1))) < 0)
            tick(&f, p); /* until a second worker has it too */
        crash(&f, holder(&f, p, -1));
    }
    CHECK(f.worker[second].n > 1);
    crash(&f, second);
    while (holder(&f, p, -1) < 0 && !f.left_out[p])
        tick(&f, p);
    CHECK(!f.left_out[p]);
    const int last = holder(&f, p, -1);
    CHECK(last >= 0 && f.worker[last].n == 1);
    if (last >= 0)
        crash(&f, last);
    for (int i = 0; i < 5; i++)
        tick(&f, p);
    CHECK(f.left_out[p] && f.innocents == 0);
    while (f.next < END)
        tick(&f, -1);
    CHECK(f.innocents == 0);
    tw_head_free(f.head);
}

static void names(void)
{
    static farm f;
    tw_head_worker w;
    start(&f, 1, 1, 30, 0.02, END, 16);
    while (f.next == 0)
        tick(&f, -1);
    CHECK(tw_head_worker_get(f.head, 0, f.now, &w) && strcmp(w.name, "w??") == 0);
    tw_head_free(f.head);
}

static void run(uint64_t seed, int workers, bool hangs, bool two)
{
    static farm f;
    start(&f, seed, workers, 0.3, 0.02, END, 16); /* shorter than the poison takes */
    f.hangs = hangs;
    f.poison[0] = (int64_t)tw_rng_below(&f.r, END);
    f.poison[1] = two ? (f.poison[0] + 1 + (int64_t)tw_rng_below(&f.r, 4)) % END : -1;
    for (int i = 0; i < TICKS && f.next < END; i++)
        tick(&f, -1);
    if (f.next < END || f.innocents > 0)
        printf("seed %llu, %d workers%s%s: %lld written, %d innocents left out\n", (unsigned long long)seed, workers, hangs ? ", hangs" : "",
               two ? ", two" : "", (long long)f.next, f.innocents);
    CHECK(f.next == END && f.innocents == 0 && !f.broken);
    CHECK(f.left_out[f.poison[0]] && (!two || f.left_out[f.poison[1]]));
    tw_head_free(f.head);
    CHECK(f.blocks == 0);
}

/* Workers that can read no file, there first or not, beside one that can: no image is left out for it. */
static void blind(uint64_t seed, int workers, int sees)
{
    static farm f;
    start(&f, seed, workers, 30, 0.02, END, 16);
    for (int i = 0; i < workers; i++)
        f.worker[i].blind = i != sees;
    for (int i = 0; i < TICKS && f.next < END; i++)
        tick(&f, -1);
    CHECK(f.next == END && f.innocents == 0 && !f.broken);
    tw_head_free(f.head);
    CHECK(f.blocks == 0);
}

/* A worker falls silent at some time, and what is sent to it is lost without a word. hedge: what the rules about late positions do is left out, or not. */
static void death(uint64_t seed, bool hedge, double *sum)
{
    static farm f;
    start(&f, seed, 3, 30, hedge ? 0.02 : 1000, END, 16);
    while (f.next < 10 + (int64_t)(seed % 30))
        tick(&f, -1);
    f.worker[seed % 3].dead = true;
    f.gap = 0;
    for (int i = 0; i < TICKS && f.next < END; i++)
        tick(&f, -1);
    CHECK(f.next == END && f.gap <= 3 * HEARTBEAT + f.longest + 2 * WIRE_TIME + 3 * TICK);
    *sum += f.gap;
    tw_head_free(f.head);
}

/* Seconds that three equal workers take, and a slow fourth where there is one. */
static double seconds(uint64_t seed, bool slow)
{
    static farm f;
    start(&f, seed, slow ? 4 : 3, 30, 0.02, LONG, 256);
    f.chance[3] = f.chance[0] / 75;
    while (f.next < LONG / 8)
        tick(&f, -1);
    const double since = f.now;
    while (f.next < LONG && f.now < 1000)
        tick(&f, -1);
    tw_head_free(f.head);
    return f.now - since;
}

/* Workers with more slots than half of the window: said once, whoever comes after. */
static void crowded(int workers, int window, int warned)
{
    static farm f;
    start(&f, 1, workers, 30, 0.02, END, window);
    for (int i = 0; i < TICKS && f.next < END; i++)
        tick(&f, -1);
    CHECK(f.next == END && f.warned == warned);
    tw_head_free(f.head);
}

/* Two workers told step by step what to say, four positions; the last lease of each, 0: none that is not answered. */
enum { FOUR = 4 };
typedef struct {
    tw_head *head;
    double now;
    uint64_t lease[FOUR];
    int to[FOUR];
} script;

static int script_send(void *context, const tw_feed_id *to, const tw_feed_msg *m)
{
    script *s = context;
    if (m->type == TW_LEASE) {
        s->lease[m->pos] = m->lease;
        s->to[m->pos] = to->byte[0];
    }
    return 0;
}

static void script_release(void *context, void *payload)
{
    (void)context, (void)payload;
}

static int script_bad(void *context, int64_t p, int64_t sub, int code, const char *cause)
{
    (void)context, (void)p, (void)sub, (void)code, (void)cause;
    return 0;
}

static void script_say(void *context, int level, const char *text)
{
    (void)context, (void)level, (void)text;
}

static void say(script *s, int worker, tw_feed_msg m)
{
    const tw_feed_id id = {.n = 1, .byte = {(unsigned char)worker}};
    void *payload;
    m.session = 1;
    CHECK(tw_head_message(s->head, s->now, &id, &m, NULL, NULL, 0, NULL, NULL) == 0);
    while (tw_head_first(s->head, &payload) == 1)
        tw_head_advance(s->head);
}

static void fails(script *s, int worker, int64_t p, uint64_t lease, int code)
{
    if (s->lease[p] == lease)
        s->lease[p] = 0;
    say(s, worker, (tw_feed_msg){.type = TW_FAIL, .pos = p, .lease = lease, .code = code, .text = ""});
}

/* A position that is reserved for a worker which may not have it any more goes to the other: all four are bad, and the order is completed. */
static void reserved(void)
{
    script s = {.now = 1};
    const tw_head_ops ops = {&s, script_send, op_check, script_release, op_known, script_bad, op_remember, script_say};
    tw_head_options o = TW_HEAD_DEFAULT;
    o.end = o.epoch = FOUR;
    o.window = 16;
    s.head = tw_head_new(&o, &ops, 1, s.now);
    CHECK(s.head != NULL);
    for (int w = 1; w <= 2; w++)
        say(&s, w, (tw_feed_msg){.type = TW_HELLO, .protocol = TW_FEED_PROTOCOL, .text = TW_VERSION, .name = "w", .slots = 4});
    for (int w = 1; w <= 2; w++)
        say(&s, w, (tw_feed_msg){.type = TW_READY});
    fails(&s, 1, 0, s.lease[0], TW_FAIL_CRASH); /* the command took 0 and 1 down */
    fails(&s, 1, 1, s.lease[1], TW_FAIL_CRASH);
    fails(&s, 2, 0, s.lease[0], TW_FAIL_CRASH);
    fails(&s, 2, 2, s.lease[2], TW_FAIL_CRASH);
    fails(&s, 1, 0, s.lease[0], TW_FAIL_CRASH); /* alone, the third time: bad */
    fails(&s, 2, 1, s.lease[1], TW_FAIL_DECODE);
    const uint64_t first = s.lease[2];
    s.now += 0.05;
    tw_head_tick(s.head, s.now); /* it is late: the other worker is given it too */
    const uint64_t second = s.lease[2];
    fails(&s, 2, 2, first, TW_FAIL_CRASH); /* from now on alone */
    fails(&s, 1, 3, s.lease[3], TW_FAIL_CRASH);
    fails(&s, 1, 2, second, TW_FAIL_CRASH);
    s.lease[2] = 0;
    tw_head_state state = {0};
    for (int i = 0; i < 50 && state.next < FOUR; i++) { /* 1 and 3 are no pictures, 2 crashes whoever has it */
        s.now += 0.3;
        for (int w = 1; w <= 2; w++)
            say(&s, w, (tw_feed_msg){.type = TW_PING, .slots = 4});
        tw_head_tick(s.head, s.now);
        for (int p = 0; p < FOUR; p++)
            if (s.lease[p] != 0)
                fails(&s, s.to[p], p, s.lease[p], p == 2 ? TW_FAIL_CRASH : TW_FAIL_DECODE);
        tw_head_get(s.head, &state);
    }
    CHECK(state.next == FOUR);
    tw_head_free(s.head);
}

int main(void)
{
    double alone = 0, with = 0;
    for (uint64_t seed = 1; seed <= 5; seed++) {
        alone += seconds(seed, false);
        with += seconds(seed, true);
    }
    printf("a worker 75 times slower: %.1f %% of the throughput without it\n", 100 * alone / with);
    CHECK(alone / with >= 0.85);
    double gap = 0, hedged = 0;
    for (uint64_t seed = 1; seed <= 200; seed++) {
        death(seed, false, &gap);
        death(seed, true, &hedged);
    }
    printf("a worker dies: %.2f s between two samples, in the mean; %.2f s with second leases\n", gap / 200, hedged / 200);
    CHECK(gap > 1.5 * hedged); /* else the second leases are of no use */
    names();
    third_together();
    reserved();
    crowded(2, 2 * 2 * SLOTS, 0);
    crowded(3, 2 * 2 * SLOTS, 1);
    crowded(MOST_WORKERS, 2 * 2 * SLOTS, 1);
    for (uint64_t seed = 1; seed <= 50; seed++)
        for (int sees = 0; sees < 2; sees++)
            blind(seed, 2, sees);
    for (uint64_t seed = 1; seed <= 200; seed++)
        for (int workers = 1; workers <= MOST_WORKERS; workers++)
            for (int how = 0; how < 4; how++)
                run(seed, workers, how % 2 == 1, how >= 2);
    return test_done();
}
