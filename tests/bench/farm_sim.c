/* farm_sim WORKERS CORES SAMPLES SERVICE_MS [SLOW_FACTOR [WINDOW [DEAD_PART]]]: the head's own rules on a simulated clock: so many workers of CORES
 * cores each, a sample taking SERVICE_MS of a core (with a spread of a third), 0.2 ms of network each way. The first worker is SLOW_FACTOR times
 * slower. DEAD_PART of the workers die halfway. Prints what part of the workers' capacity arrives, in order, and the processor time of the rules. */
#include "core/crc32c.h"
#include "core/philox.h"
#include "core/program.h"
#include "feed/head.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { PAYLOAD = 8 };
#define WIRE 0.0002

typedef struct {
    double when;
    int worker; /* -1: a tick of the head */
    int life;
    tw_feed_msg m;
} event;

typedef struct {
    double *core; /* when each is free */
    int life;
    bool dead;
    double factor;
} machine;

static event *heap;
static size_t n, cap;
static machine *machines;
static int workers, cores;
static double clock_now, service;
static tw_rng rng;
static const unsigned char bytes[PAYLOAD] = "payload";
static uint32_t crc;

static void push(const event *e)
{
    if (n == cap)
        heap = realloc(heap, (cap = cap > 0 ? 2 * cap : 4096) * sizeof *heap);
    size_t i = n++;
    for (; i > 0 && heap[(i - 1) / 2].when > e->when; i = (i - 1) / 2)
        heap[i] = heap[(i - 1) / 2];
    heap[i] = *e;
}

static event pop(void)
{
    const event top = heap[0], last = heap[--n];
    size_t i = 0;
    for (size_t k; (k = 2 * i + 1) < n; i = k) {
        if (k + 1 < n && heap[k + 1].when < heap[k].when)
            k++;
        if (last.when <= heap[k].when)
            break;
        heap[i] = heap[k];
    }
    heap[i] = last;
    return top;
}

static tw_feed_id id_of(int w)
{
    tw_feed_id id = {.n = 5};
    memcpy(id.byte, &w, sizeof w);
    return id;
}

/* A lease takes the machine's core that is free first; its result comes back when that is done. */
static int op_send(void *context, const tw_feed_id *to, const tw_feed_msg *m)
{
    int w;
    (void)context;
    memcpy(&w, to->byte, sizeof w);
    machine *k = &machines[w];
    event e = {clock_now + 2 * WIRE, w, k->life, {.type = TW_READY, .session = m->session}};
    if (k->dead)
        return m->type == TW_LEASE ? 0 : -1; /* a machine that is cut off takes what it is sent, for all that is known */
    if (m->type == TW_LEASE) {
        int first = 0;
        for (int c = 1; c < cores; c++)
            if (k->core[c] < k->core[first])
                first = c;
        const double start = k->core[first] > clock_now + WIRE ? k->core[first] : clock_now + WIRE;
        k->core[first] = start + service * k->factor * (0.667 + 0.667 * tw_rng_uniform(&rng));
        e.when = k->core[first] + WIRE;
        e.m = (tw_feed_msg){.type = TW_DONE, .session = m->session, .pos = m->pos, .lease = m->lease, .sub = m->sub, .crc = crc, .bytes = PAYLOAD};
    } else if (m->type != TW_WELCOME) {
        return 0;
    }
    push(&e);
    return 0;
}

static int op_check(void *context, int64_t p, int64_t sub, const void *payload, size_t size)
{
    (void)context, (void)p, (void)sub, (void)payload, (void)size;
    return 0;
}

static void op_release(void *context, void *payload)
{
    (void)context;
    free(payload);
}

static const char *op_known(void *context, int64_t p, int64_t sub)
{
    (void)context, (void)p, (void)sub;
    return NULL;
}

static int op_bad(void *context, int64_t p, int64_t sub, int code, const char *cause)
{
    (void)context, (void)p, (void)sub, (void)code, (void)cause;
    return 0;
}

static void op_remember(void *context, int64_t p, int64_t sub)
{
    (void)context, (void)p, (void)sub;
}

static void op_say(void *context, int level, const char *text)
{
    (void)context, (void)level, (void)text;
}

static void deliver(tw_head *h, const event *e)
{
    const tw_feed_id id = id_of(e->worker);
    void *payload = e->m.type == TW_DONE ? malloc(PAYLOAD) : NULL;
    if (payload != NULL)
        memcpy(payload, bytes, PAYLOAD);
    tw_head_message(h, clock_now, &id, &e->m, payload, payload, payload != NULL ? PAYLOAD : 0, NULL, NULL);
}

int main(int argc, char **argv)
{
    tw_program_start("farm_sim", argc, argv);
    if (argc < 5)
        tw_die_usage("WORKERS CORES SAMPLES SERVICE_MS [SLOW_FACTOR [WINDOW [DEAD_PART]]]");
    workers = atoi(argv[1]);
    cores = atoi(argv[2]);
    const int64_t samples = atoll(argv[3]);
    service = atof(argv[4]) * 1e-3;
    const double slow = argc > 5 ? atof(argv[5]) : 1, dead = argc > 7 ? atof(argv[7]) : 0;
    const int slots = 4 * cores + 4 > TW_FEED_SLOTS ? TW_FEED_SLOTS : 4 * cores + 4;
    const tw_head_ops ops = {NULL, op_send, op_check, op_release, op_known, op_bad, op_remember, op_say};
    tw_head_options o = TW_HEAD_DEFAULT;
    o.epoch = o.end = samples;
    o.window = argc > 6 ? atoi(argv[6]) : 4 * slots * workers;
    o.workers = workers;
    tw_rng_init(&rng, 1, TW_USE_SYNTH, 3, 0, 0);
    crc = tw_crc32c(0, bytes, PAYLOAD);
    machines = calloc((size_t)workers, sizeof *machines);
    tw_head *h = tw_head_new(&o, &ops, 1, 0);
    if (machines == NULL || h == NULL)
        tw_die("out of memory");
    for (int w = 0; w < workers; w++) {
        machines[w].core = calloc((size_t)cores, sizeof(double));
        machines[w].factor = w == 0 ? slow : 1;
        push(&(event){0.001 * w / workers, w, 0, {.type = TW_HELLO, .protocol = TW_FEED_PROTOCOL, .text = TW_VERSION, .name = "w", .slots = slots}});
        for (double t = 1; t < 3600 && w >= 0; t += 3600) /* one ping each is posted anew when it comes */
            push(&(event){t, w, 0, {.type = TW_PING, .session = 1, .slots = slots}});
    }
    push(&(event){0.01, -1, 0, {.type = TW_PONG}});
    const clock_t begun = clock();
    int64_t next = 0;
    double half = 0;
    while (next < samples && n > 0) {
        const event e = pop();
        clock_now = e.when;
        if (e.worker < 0) {
            tw_head_tick(h, clock_now);
            push(&(event){clock_now + 0.01, -1, 0, {.type = TW_PONG}});
        } else if (!machines[e.worker].dead) {
            deliver(h, &e);
            if (e.m.type == TW_PING)
                push(&(event){clock_now + 1, e.worker, 0, e.m});
        }
        for (void *payload; tw_head_first(h, &payload) == 1; next++) {
            free(payload);
            tw_head_advance(h);
        }
        if (half == 0 && next >= samples / 2) {
            half = clock_now;
            for (int w = 0; w < (int)(dead * workers); w++)
                machines[w].dead = true;
        }
    }
    const double cpu = (double)(clock() - begun) / CLOCKS_PER_SEC;
    tw_head_state s;
    tw_head_get(h, &s);
    const double capacity = (double)cores / service * (workers - 1 + 1 / slow), left = (double)cores / service * (workers - (int)(dead * workers));
    printf("%d workers of %d cores, window %d: %.0f samples/s, %.1f %% of the capacity; %.1f us of a core a sample; %lld second leases, %lld duplicates\n",
           workers, cores, o.window, (double)samples / clock_now, 100 * (double)samples / clock_now / capacity, cpu / (double)samples * 1e6,
           (long long)s.hedged, (long long)s.duplicates);
    if (dead > 0)
        printf("with %d of them dead: %.1f %% of what is left\n", (int)(dead * workers),
               100 * (double)(samples - samples / 2) / (clock_now - half) / left);
    tw_head_free(h);
    return 0;
}
