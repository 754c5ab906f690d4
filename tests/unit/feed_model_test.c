/* Goal: the farm's protocol (formats/farm.md) as a model, every interleaving of it: messages lost, repeated and reordered, leases expiring at any
 * time, workers dying and coming back, a head restarted, an image that always fails and one that fails at times; then one that takes its worker's
 * command down with all that is in hand, the other being innocent. In every state what has gone out is right, and from every state the order
 * can be completed; and each of the model's mutants breaks that, so that the search can see what it looks for. */
#include "test.h"

#include <stdbool.h>
#include <stdint.h>

enum { N = 2, WINDOW = 2, WORKERS = 2, IN_FLIGHT = 2, NONE = 3, MOST = 1 << 21 };
enum { FLAKY = 0, POISON = 1 }; /* positions whose first image fails at times (of crashes: never by itself), always */
enum { LEASE = 1, DONE, FAIL };
enum { CRASHED = 0x10 };        /* of a job: its command has ended, which is to be told */

/* Mutants: what is left out of the rules. */
enum { SOUND, REPEATS, NO_SUB, FROM_START, EXPIRY_IS_FAILURE, FAIL_TWICE, OUT_OF_ORDER, NEVER_AGAIN, ALL_TO_BLAME, FORGOTTEN, MUTANTS };
static const char *const mutant_name[] = {"none", "a position that is filled is filled again", "results of an older choice are taken",
                                          "a new head begins at the start", "an expired lease is a failure", "a repeated FAIL counts",
                                          "filled positions go out as they come", "a dead worker's leases are kept",
                                          "whatever was in hand is to blame for a crash", "a lease that has expired is in nobody's hand"};

typedef struct {
    uint8_t type, worker, session, pos, sub, lease;
} message;

typedef struct {
    uint8_t session, next, out, extra; /* out: bitmap of what has gone out; extra: something went out twice or out of order */
    uint8_t filled[N], value[N], sub[N], fails[N], holders[N], sent[N];
    uint8_t failed[N];            /* how often, up to 2, a worker of this head's has truly failed it */
    uint8_t up, knows[WORKERS];   /* knows: the session it has joined */
    uint8_t job[WORKERS][N], job_lease[WORKERS][N]; /* job: 0, or the choice plus one; job_lease: its lease is outstanding */
    uint8_t astray[WORKERS], alone[N]; /* of crashes: leases that are outstanding no more and not answered; workers that had the position alone */
    uint8_t n;
    message net[IN_FLIGHT];
} state;

static state *all;
static uint32_t *table, *from_head, *edge_to, *edge_next; /* edges backwards, for the search of states that cannot complete */
static size_t n_states, n_edges;
static int mutant, in_flight, heads; /* messages on the way at most; lives of the head */
static uint32_t current;
static bool violated, crashes;

static uint64_t hash(const state *s)
{
    const unsigned char *p = (const unsigned char *)s;
    uint64_t h = 1469598103934665603u;
    for (size_t i = 0; i < sizeof *s; i++)
        h = (h ^ p[i]) * 1099511628211u;
    return h ^ h >> 29;
}

static void sort_net(state *s)
{
    for (int i = s->n; i < IN_FLIGHT; i++)
        s->net[i] = (message){0};
    if (s->n == 2 && memcmp(&s->net[0], &s->net[1], sizeof(message)) > 0) {
        const message m = s->net[0];
        s->net[0] = s->net[1];
        s->net[1] = m;
    }
}

/* Whether what has gone out is what one machine would have made, or a substitute for an image that has failed twice. */
static bool wrong(const state *s)
{
    for (int p = 0; p < N; p++)
        if ((s->out >> p & 1) != 0 && (p == POISON ? s->sent[p] != 1 : s->sent[p] > (p == FLAKY && !crashes)))
            return true;
    for (int p = 0; p < N; p++)
        if ((s->filled[p] && s->value[p] != s->sub[p]) || (s->sub[p] != 0 && s->failed[p] < 2))
            return true;
    return s->extra != 0;
}

static void swap_workers(state *s)
{
    const state t = *s;
    for (int w = 0; w < WORKERS; w++) {
        memcpy(s->job[w], t.job[!w], sizeof s->job[w]);
        memcpy(s->job_lease[w], t.job_lease[!w], sizeof s->job_lease[w]);
        s->knows[w] = t.knows[!w];
        s->astray[w] = t.astray[!w];
    }
    s->up = (uint8_t)((t.up >> 1 | t.up << 1) & 3);
    for (int p = 0; p < N; p++)
        s->holders[p] = (uint8_t)((t.holders[p] >> 1 | t.holders[p] << 1) & 3), s->alone[p] = (uint8_t)((t.alone[p] >> 1 | t.alone[p] << 1) & 3);
    for (int i = 0; i < s->n; i++)
        s->net[i].worker = !t.net[i].worker;
    sort_net(s);
}

static void add(const state *from)
{
    state s = *from;
    if (wrong(&s))
        violated = true;
    for (int p = 0; p < s.next; p++) { /* of a position that has gone out, only what of it is still on its way matters */
        s.fails[p] = s.failed[p] = s.sub[p] = s.value[p] = s.filled[p] = s.holders[p] = s.alone[p] = 0;
        for (int w = 0; w < WORKERS; w++)
            s.job_lease[w][p] = 0;
        for (int i = 0; i < s.n; i++)
            if (s.net[i].pos == p && s.net[i].type != LEASE)
                s.net[i].lease = 0;
    }
    sort_net(&s);
    state other = s;
    swap_workers(&other);
    if (memcmp(&other, &s, sizeof s) < 0) /* which worker is the first does not matter */
        s = other;
    size_t i = hash(&s) & (2 * MOST - 1);
    while (table[i] != 0 && memcmp(&all[table[i] - 1], &s, sizeof s) != 0)
        i = (i + 1) & (2 * MOST - 1);
    if (table[i] == 0 && n_states < MOST) {
        all[n_states++] = s;
        table[i] = (uint32_t)n_states;
    }
    if (table[i] != 0 && n_edges < 16 * (size_t)MOST) {
        edge_to[n_edges] = current;
        edge_next[n_edges] = from_head[table[i] - 1];
        from_head[table[i] - 1] = (uint32_t)++n_edges;
    }
}

static bool post(state *s, int type, int worker, int session, int pos, int sub, int lease)
{
    if (s->n == in_flight)
        return false;
    s->net[s->n++] = (message){(uint8_t)type, (uint8_t)worker, (uint8_t)session, (uint8_t)pos, (uint8_t)sub, (uint8_t)lease};
    return true;
}

/* The worker's lease for the position is outstanding no more: what comes of it is known by its number to be of no lease. */
static void unlease(state *s, int w, int p)
{
    s->alone[p] &= (uint8_t) ~(1 << w);
    s->holders[p] &= (uint8_t) ~(1 << w);
    s->job_lease[w][p] = 0;
    for (int i = 0; i < s->n; i++)
        if (s->net[i].worker == w && s->net[i].pos == p)
            s->net[i].lease = 0;
}

/* The same where the worker has not answered. */
static void revoke(state *s, int w, int p)
{
    s->astray[w] = (uint8_t)(s->astray[w] + (crashes && (s->holders[p] >> w & 1) != 0));
    unlease(s, w, p);
}

static void unlease_all(state *s, int p)
{
    for (int w = 0; w < WORKERS; w++)
        revoke(s, w, p);
}

/* The worker has nothing in hand. */
static void afresh(state *s, int w)
{
    s->astray[w] = 0;
    memset(s->job[w], 0, sizeof s->job[w]);
    memset(s->job_lease[w], 0, sizeof s->job_lease[w]);
    for (int i = 0; i < s->n && crashes; i++) /* what it has said came before its new HELLO */
        if (s->net[i].worker == w)
            s->net[i--] = s->net[--s->n];
}

static void emit(state *s, int p)
{
    if (p != s->next || (s->out >> p & 1) != 0 || (s->out & ((1 << p) - 1)) != (1 << p) - 1)
        s->extra = 1;
    s->out |= (uint8_t)(1 << p);
    s->sent[p] = s->value[p];
    unlease_all(s, p);
}

static bool in_hand(const state *s, int p)
{
    return p >= s->next && p < s->next + WINDOW;
}

static void fail(state *s, int p, bool alone)
{
    if (s->fails[p] == 0 || alone || !crashes || mutant == ALL_TO_BLAME)
        s->fails[p]++;
    if (s->fails[p] < 2)
        return;
    s->sub[p] = 1;
    s->fails[p] = 0;
    unlease_all(s, p);
}

static void deliver(state *s, const message *m)
{
    const int p = m->pos, w = m->worker;
    if (m->type == LEASE) {
        if (s->knows[w] == m->session)
            s->job[w][p] = (uint8_t)(m->sub + 1), s->job_lease[w][p] = m->lease;
        return;
    }
    if (m->session != s->session)
        return;
    const bool outstanding = (s->holders[p] >> w & 1) != 0 && m->lease != 0;
    if (!outstanding && s->astray[w] > 0)
        s->astray[w]--;
    if (m->type == DONE) {
        if (mutant == REPEATS && p < s->next) {
            emit(s, p);
            return;
        }
        if (!in_hand(s, p) || s->filled[p] || (mutant != NO_SUB && s->sub[p] != m->sub))
            return;
        s->filled[p] = 1;
        s->value[p] = m->sub;
        if (outstanding)
            unlease(s, w, p);
        unlease_all(s, p);
        if (mutant == OUT_OF_ORDER)
            emit(s, p);
        return;
    }
    const bool alone = (s->alone[p] >> w & 1) != 0;
    if (outstanding)
        unlease(s, w, p);
    if (in_hand(s, p) && !s->filled[p] && s->sub[p] == m->sub && (outstanding || mutant == FAIL_TWICE))
        fail(s, p, alone);
}

/* A lease for the worker; false where no message fits on the way. */
static bool grant(state *s, int w, int p)
{
    bool alone = crashes && (s->astray[w] == 0 || mutant == FORGOTTEN);
    for (int q = 0; q < N; q++) {
        alone = alone && (s->holders[q] >> w & 1) == 0;
        s->alone[q] &= (uint8_t) ~(1 << w);
    }
    s->alone[p] |= (uint8_t)(alone << w);
    s->holders[p] |= (uint8_t)(1 << w);
    return post(s, LEASE, w, s->session, p, s->sub[p], 1);
}

static void head_steps(const state *s)
{
    for (int p = s->next; p < N && p < s->next + WINDOW; p++)
        for (int w = 0; w < WORKERS; w++) {
            state t = *s;
            if (!s->filled[p] && (s->up >> w & 1) != 0 && (s->holders[p] >> w & 1) == 0 && grant(&t, w, p))
                add(&t);
            t = *s;
            if ((s->holders[p] >> w & 1) != 0 && !s->filled[p] && s->astray[w] == 0) { /* expires; of a worker once until it answers */
                revoke(&t, w, p);
                if (mutant == EXPIRY_IS_FAILURE)
                    fail(&t, p, false);
                if (mutant != NEVER_AGAIN)
                    add(&t);
            }
        }
    if (s->next < N && s->filled[s->next]) {
        state t = *s;
        if (mutant != OUT_OF_ORDER)
            emit(&t, s->next);
        t.next++;
        add(&t);
    }
    for (int w = 0; w < WORKERS; w++)
        if ((s->up >> w & 1) != 0) { /* silent too long */
            state t = *s;
            t.up &= (uint8_t) ~(1 << w);
            for (int p = 0; p < N && mutant != NEVER_AGAIN; p++)
                unlease(&t, w, p);
            t.astray[w] = 0;
            add(&t);
        }
    if (s->session + 1 < heads) { /* killed; its trainer starts another at the position that it holds */
        state t = *s;
        t.session = 1;
        t.up = 0;
        t.next = 0;
        while (mutant != FROM_START && t.next < N && (s->out >> t.next & 1) != 0)
            t.next++;
        memset(t.filled, 0, sizeof t.filled);
        memset(t.sub, 0, sizeof t.sub);
        memset(t.fails, 0, sizeof t.fails);
        for (int p = 0; p < N; p++)
            unlease_all(&t, p);
        memset(t.value, 0, sizeof t.value);
        memset(t.failed, 0, sizeof t.failed);
        add(&t);
    }
}

static void worker_steps(const state *s)
{
    for (int w = 0; w < WORKERS; w++) {
        state t = *s;
        if (s->knows[w] != s->session || (s->up >> w & 1) == 0) { /* says HELLO, is welcomed */
            t.knows[w] = s->session;
            t.up |= (uint8_t)(1 << w);
            for (int p = 0; p < N && mutant != NEVER_AGAIN; p++)
                unlease(&t, w, p);
            afresh(&t, w);
            add(&t);
        }
        if (s->knows[w] != NONE) { /* dies */
            t = *s;
            t.knows[w] = NONE;
            afresh(&t, w);
            add(&t);
        }
        t = *s;
        for (int p = 0; p < N; p++)
            t.job[w][p] |= t.job[w][p] != 0 ? CRASHED : 0;
        if (crashes && s->job[w][POISON] == 1)
            add(&t);
        for (int p = 0; p < N; p++) {
            const int sub = (s->job[w][p] & ~CRASHED) - 1;
            const bool crashed = (s->job[w][p] & CRASHED) != 0;
            if (sub < 0)
                continue;
            for (int type = DONE; type <= FAIL; type++) {
                t = *s;
                const bool can = type == FAIL ? (crashes ? crashed : sub == 0 && (p == POISON || p == FLAKY)) : !crashed && (sub != 0 || p != POISON);
                if (!can || !post(&t, type, w, s->knows[w], p, sub, s->job_lease[w][p]))
                    continue;
                t.job[w][p] = t.job_lease[w][p] = 0;
                t.failed[p] = (uint8_t)(t.failed[p] + (type == FAIL && t.failed[p] < 2 && s->knows[w] == s->session));
                add(&t);
            }
        }
    }
}

static void net_steps(const state *s)
{
    for (int i = 0; i < s->n; i++) {
        state lost = *s, taken, kept = *s;
        const message m = s->net[i];
        lost.net[i] = lost.net[lost.n - 1];
        lost.n--;
        taken = lost;
        add(&lost);
        deliver(&taken, &m);
        add(&taken);
        if (crashes) /* counts answers, which a connection delivers once */
            continue;
        deliver(&kept, &m); /* and it will come again */
        add(&kept);
    }
}

/* Whether every state can still be completed. */
static bool all_can_end(void)
{
    uint32_t *queue = calloc(n_states, sizeof *queue);
    bool *can = calloc(n_states, sizeof *can);
    size_t n = 0, done = 0;
    for (size_t i = 0; i < n_states; i++)
        if (all[i].next == N) {
            can[i] = true;
            queue[n++] = (uint32_t)i;
        }
    for (; done < n; done++)
        for (uint32_t e = from_head[queue[done]]; e != 0; e = edge_next[e - 1])
            if (!can[edge_to[e - 1]]) {
                can[edge_to[e - 1]] = true;
                queue[n++] = edge_to[e - 1];
            }
    free(queue);
    free(can);
    return n == n_states;
}

/* Searches every state that can be reached; the number of them. */
static size_t search(int which, bool *safe, bool *live)
{
    state first;
    memset(&first, 0, sizeof first);
    memset(first.knows, NONE, sizeof first.knows);
    mutant = which;
    n_states = n_edges = 0;
    violated = false;
    memset(table, 0, 2 * (size_t)MOST * sizeof *table);
    memset(from_head, 0, (size_t)MOST * sizeof *from_head);
    current = 0;
    add(&first);
    n_edges = 0;
    from_head[0] = 0;
    for (size_t i = 0; i < n_states && !violated; i++) {
        const state s = all[i];
        current = (uint32_t)i;
        head_steps(&s);
        worker_steps(&s);
        net_steps(&s);
    }
    *safe = !violated;
    *live = violated || (n_states < MOST && all_can_end());
    return n_states;
}

int main(void)
{
    all = calloc(MOST, sizeof *all);
    table = calloc(2 * (size_t)MOST, sizeof *table);
    from_head = calloc(MOST, sizeof *from_head);
    edge_to = calloc(16 * (size_t)MOST, sizeof *edge_to);
    edge_next = calloc(16 * (size_t)MOST, sizeof *edge_next);
    if (all == NULL || table == NULL || from_head == NULL || edge_to == NULL || edge_next == NULL)
        test_skip("no memory for the states");
    setvbuf(stdout, NULL, _IOLBF, 0);
    /* what is late or out of order waits at the worker, before it is sent: one message on the way, which may come any number of times */
    in_flight = 1;
    for (int part = 0; part < 3; part++)
        for (int m = SOUND; m < MUTANTS; m++) {
            bool safe, live;
            heads = part == 1 ? 2 : 1;
            crashes = part == 2;
            if (m != SOUND && part != (m == FROM_START ? 1 : m >= ALL_TO_BLAME ? 2 : 0))
                continue;
            const size_t n = search(m, &safe, &live);
            printf("%d heads%s, left out: %s: %zu states%s%s\n", heads, crashes ? ", crashes" : "", mutant_name[m], n, safe ? "" : ", a violation",
                   live ? "" : ", states without an end");
            CHECK((safe && live) == (m == SOUND));
        }
    free(all);
    free(table);
    free(from_head);
    free(edge_to);
    free(edge_next);
    return test_done();
}
