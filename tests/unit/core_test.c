/* Goal: the core library keeps its promises: options, numbers, Philox, the ordered pool, files written whole. */
#include "test.h"

#include "core/budget.h"
#include "core/file.h"
#include "core/opts.h"
#include "core/philox.h"
#include "core/pool.h"
#include "core/relay.h"
#include "core/tsv.h"
#include "core/utf8.h"

#include <pthread.h>
#include <stdatomic.h>
#include <sys/stat.h>
#include <unistd.h>

static void options(void)
{
    static const char *const names[] = {"skip", "fail", NULL};
    bool flag = false;
    int count = 3, choice = 0;
    int64_t size = 0;
    double lr = 0.5;
    tw_common common = {0};
    tw_strings operands = {0};
    const tw_opt table[] = {
        {'f', "flag", TW_OPT_FLAG, &flag, 0, 0, NULL},       {'n', "hid-dim", TW_OPT_INT, &count, 1, 9999, NULL},
        {0, "lr", TW_OPT_FLOAT, &lr, 0, 10, NULL},           {0, "on-error", TW_OPT_CHOICE, &choice, 0, 0, names},
        {0, "limit", TW_OPT_SIZE, &size, 0, 0, NULL},
    };
    const int n = sizeof table / sizeof *table;
    char *good[] = {"p", "--hid_dim=512", "a", "-f", "--lr", "0.1", "--on-error=fail", "--limit", "2MiB", "-vv", "--", "-x"};
    CHECK(tw_opts_parse(12, good, table, n, &common, &operands) == 0);
    CHECK(flag && count == 512 && choice == 1 && size == 2 << 20 && common.verbose == 2);
    CHECK_NEAR(lr, 0.1, 0);
    CHECK(operands.n == 2 && strcmp(operands.item[1], "-x") == 0);
    CHECK(tw_opts_given("hid-dim") && !tw_opts_given("momentum"));
    free(operands.item);
    static char *bad[][2] = {{"--hid-dim=0", "hid-dim"}, {"--hid-dim=5x", "hid-dim"}, {"--lr=nan", "lr"},       {"--lr", "lr"},
                             {"--nope", "nope"},         {"-z", "-z"},                {"--on-error=x", "skip"}, {"--flag=1", "flag"},
                             {"--limit=5XB", "limit"},   {"--limit=99999999999GiB", "limit"}, {"operand", "operand"}};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        char *argv[] = {"p", bad[i][0]};
        CHECK(tw_opts_parse(2, argv, table, n, &common, NULL) == -1);
        CHECK(strstr(tw_error(), bad[i][1]) != NULL); /* the message names the operand */
    }
}

static void random_numbers(void)
{
    tw_rng a, b;
    double sum = 0, square = 0;
    tw_rng_init(&a, 1, TW_USE_VIEW, 5, 2, 0);
    tw_rng_init(&b, 1, TW_USE_VIEW, 5, 2, 1);
    int equal = 0;
    for (int i = 0; i < 1000; i++)
        equal += tw_rng_u32(&a) == tw_rng_u32(&b);
    CHECK(equal < 3); /* streams of two views have nothing in common */
    const int n = 100000;
    for (int i = 0; i < n; i++) {
        const double x = tw_rng_normal(&a);
        sum += x;
        square += x * x;
    }
    CHECK_NEAR(sum / n, 0, 0.016); /* five deviations of a mean of 1e5 normals */
    CHECK_NEAR(square / n, 1, 0.023);
    uint64_t p[100];
    bool seen[100] = {false};
    tw_rng_permutation(&a, p, 100);
    for (int i = 0; i < 100; i++)
        seen[p[i]] = true;
    int all = 0;
    for (int i = 0; i < 100; i++)
        all += seen[i];
    CHECK(all == 100);
    /* the known answer of the Random123 package for key and counter zero */
    tw_rng zero = {{0, 0}, {0, 0, 0, 0}, {0}, 0};
    CHECK(tw_rng_u32(&zero) == 0x6627e8d5u);
}

static void square_job(void *job, int worker, void *context)
{
    (void)worker, (void)context;
    int *x = job;
    if (*x % 7 == 0)
        usleep(300); /* so that jobs overtake each other */
    *x *= *x;
}

static void pool(void)
{
    for (int threads = 0; threads <= 4; threads += 2) {
        int job[500], next = 0, got = 0, wrong = 0;
        tw_pool *p = tw_pool_new(threads, 0, square_job, NULL);
        CHECK(p != NULL);
        while (got < 500) {
            while (next < 500 && !tw_pool_full(p)) {
                job[next] = next;
                tw_pool_submit(p, &job[next++]);
            }
            const int *early = tw_pool_ready(p), *x = tw_pool_take(p);
            CHECK(early == NULL || early == x);
            wrong += *x != got * got;
            got++;
        }
        CHECK(wrong == 0);
        CHECK(tw_pool_take(p) == NULL && tw_pool_ready(p) == NULL);
        tw_pool_submit(p, &job[0]);
        while (tw_pool_ready(p) == NULL)
            sched_yield();
        CHECK(tw_pool_ready(p) == &job[0] && tw_pool_take(p) == &job[0] && tw_pool_pending(p) == 0);
        tw_pool_free(p);
    }
}

/* A relay of numbers 0, 1, ...: what its steps find wrong is counted. All but `inside` and `largest` belong to whoever takes or puts. */
typedef struct {
    int taken, put, n, flushes;
    int later, fail_take, fail_put; /* at which number; -1: never */
    bool hold;                      /* the first is not put out before two more have been taken */
    int looks;                      /* at input that is not there */
    atomic_int wrong, inside, largest, ended, flushed;
} numbers;

typedef struct {
    int value;
    bool done;
} number;

static int take_number(void *job, size_t *held, void *context)
{
    numbers *c = context;
    c->wrong += atomic_fetch_add(&c->inside, 1) != 0; /* one at a time */
    int rc = c->taken == c->n ? TW_RELAY_END : TW_RELAY_JOB;
    if (c->taken == c->fail_take)
        rc = tw_fail("number %d", c->taken);
    if (c->taken > 0 && c->later == -1 - c->taken)
        c->wrong += atomic_load(&c->ended) != c->taken; /* it is later now */
    if (c->taken == c->later) {
        c->later = -1 - c->later;
        rc = TW_RELAY_LATER;
    }
    if (rc == TW_RELAY_JOB)
        *(number *)job = (number){c->taken++, false};
    *held = 10;
    usleep(c->taken % 11 == 0 ? 200 : 0);
    atomic_fetch_sub(&c->inside, 1);
    return rc;
}

static void run_number(void *job, int worker, void *context)
{
    numbers *c = context;
    number *x = job;
    (void)worker;
    const int ahead = x->value - atomic_load(&c->ended) + 1;
    if (ahead > atomic_load(&c->largest))
        atomic_store(&c->largest, ahead);
    if (x->value % 7 == 0)
        usleep(300); /* so that jobs overtake each other */
    x->done = true;
}

static int put_number(void *job, void *context)
{
    numbers *c = context;
    const number *x = job;
    c->wrong += x->value != c->put || !x->done;
    for (int i = 0; c->hold && x->value == 0 && atomic_load(&c->largest) < 3 && i <= 5000; i++) {
        usleep(1000);
        c->wrong += i == 5000;
    }
    if (x->value == c->fail_put)
        return tw_fail("no room for %d", x->value);
    c->put++;
    atomic_store(&c->ended, c->put);
    return 0;
}

/* The numbers come in hundreds: the next when those before have been put out and flushed. */
static bool number_ready(void *context, int ms)
{
    numbers *c = context;
    if (c->taken % 100 != 0 || atomic_load(&c->flushed) == c->taken)
        return true;
    if (ms == 0)
        return false;
    usleep(1000);
    c->wrong += ++c->looks == 5000; /* they wait for each other */
    return c->looks >= 5000;
}

/* The next number is never there yet, and comes as soon as it is waited for. */
static bool number_comes(void *context, int ms)
{
    (void)context;
    return ms > 0;
}

static int flush_numbers(void *context)
{
    numbers *c = context;
    c->flushes++;
    atomic_store(&c->flushed, c->put);
    return 0;
}

static void relay_of(numbers *c, int threads, size_t most, bool (*ready)(void *, int), int rc)
{
    enum { JOBS = 9 };
    const tw_relay_steps steps = {take_number, run_number, put_number, ready, ready == number_ready ? flush_numbers : NULL, most};
    number x[JOBS];
    void *job[JOBS];
    for (int i = 0; i < JOBS; i++)
        job[i] = &x[i];
    CHECK(tw_relay(&steps, threads, job, JOBS, c) == rc);
    CHECK(c->wrong == 0 && atomic_load(&c->largest) <= JOBS);
}

static void relay(void)
{
    for (int threads = 1; threads <= 4; threads++) {
        numbers plain = {.n = 1000, .later = 500, .fail_take = -1, .fail_put = -1};
        relay_of(&plain, threads, SIZE_MAX, NULL, 0);
        CHECK(plain.taken == 1000 && plain.put == 1000 && plain.later == -501);
        numbers heavy = {.n = 300, .later = -1, .fail_take = -1, .fail_put = -1};
        relay_of(&heavy, threads, 0, NULL, 0);
        CHECK(heavy.put == 300 && atomic_load(&heavy.largest) == 1); /* each holds more than may be held beside it */
        numbers cut = {.n = 1000, .later = -1, .fail_take = 777, .fail_put = -1};
        relay_of(&cut, threads, SIZE_MAX, NULL, -1);
        CHECK(cut.taken == 777 && cut.put == 777 && strcmp(tw_error(), "number 777") == 0);
        numbers full = {.n = 1000, .later = -1, .fail_take = -1, .fail_put = 333};
        relay_of(&full, threads, SIZE_MAX, NULL, -1);
        CHECK(full.put == 333 && full.taken < 343 && strcmp(tw_error(), "no room for 333") == 0);
        numbers slow = {.n = 400, .later = -1, .fail_take = -1, .fail_put = -1};
        relay_of(&slow, threads, SIZE_MAX, number_ready, 0);
        CHECK(slow.put == 400 && slow.flushes == 4);
        numbers held_up = {.n = 30, .later = -1, .fail_take = -1, .fail_put = -1, .hold = threads > 1};
        relay_of(&held_up, threads, SIZE_MAX, number_comes, 0);
        CHECK(held_up.put == 30);
    }
}

static tw_budget *shared;
static int in_use, most;
static pthread_mutex_t count_lock = PTHREAD_MUTEX_INITIALIZER;

typedef struct {
    uint64_t number;
    int bytes;
} claimer;

static void claim_job(void *job, int worker, void *context)
{
    const claimer *c = job;
    (void)worker, (void)context;
    tw_budget_take(shared, c->number, (size_t)c->bytes);
    pthread_mutex_lock(&count_lock);
    in_use += c->bytes;
    most = in_use > most ? in_use : most;
    pthread_mutex_unlock(&count_lock);
    usleep(100);
}

/* Jobs of 1 to 90 bytes with 100 set aside: never more than that and the oldest's at once, and all of them get done, also those that ask
 * for more than there is. */
static void budget(void)
{
    claimer job[300];
    int next = 0, done = 0;
    shared = tw_budget_new(100, 10);
    tw_pool *p = tw_pool_new(4, 10, claim_job, NULL);
    CHECK(shared != NULL && p != NULL);
    while (done < 300) {
        while (next < 300 && !tw_pool_full(p)) {
            job[next] = (claimer){(uint64_t)next, next % 50 == 49 ? 1000 : 1 + next * 37 % 90};
            tw_pool_submit(p, &job[next++]);
        }
        const claimer *c = tw_pool_take(p);
        pthread_mutex_lock(&count_lock);
        in_use -= c->bytes;
        pthread_mutex_unlock(&count_lock);
        tw_budget_done(shared);
        done++;
    }
    CHECK(most <= 1100 && most > 100);
    for (int i = 0; i < 4; i++) { /* two are not the oldest and take too much: they end when the budget does */
        job[i] = (claimer){(uint64_t)(300 + i), 60};
        tw_pool_submit(p, &job[i]);
    }
    CHECK(tw_pool_take(p) == &job[0]);
    tw_budget_lift(shared);
    while (tw_pool_take(p) != NULL)
        ;
    tw_pool_free(p);
    tw_budget_free(shared);
}

static void files(void)
{
    char path[] = "/tmp/twist-core-XXXXXX";
    CHECK(mkdtemp(path) != NULL);
    char name[64];
    size_t size;
    snprintf(name, sizeof name, "%s/a/b", path);
    CHECK(tw_make_folder(name) == 0);
    snprintf(name, sizeof name, "%s/a/b/c", path);
    tw_file *f = tw_file_create(name);
    CHECK(f != NULL && access(name, F_OK) != 0); /* nothing under the name yet */
    fputs("hello", tw_file_stream(f));
    CHECK(tw_file_commit(f) == 0);
    char *text = tw_file_read(name, &size, 0);
    CHECK(text != NULL && size == 5 && strcmp(text, "hello") == 0);
    free(text);
    struct stat st;
    CHECK(chmod(name, 0600) == 0);
    f = tw_file_create(name);
    fputs("hello", tw_file_stream(f));
    CHECK(tw_file_commit(f) == 0 && stat(name, &st) == 0 && (st.st_mode & 0777) == 0600); /* as the file before */
    f = tw_file_create(name);
    fputs("half", tw_file_stream(f));
    tw_file_abandon(f);
    text = tw_file_read(name, &size, 0);
    CHECK(text != NULL && strcmp(text, "hello") == 0); /* the old file stands */
    free(text);
    CHECK(tw_file_read(name, &size, 3) == NULL && strstr(tw_error(), name) != NULL);
    CHECK(tw_file_create("/nonexistent/x") == NULL && strstr(tw_error(), "/nonexistent/x") != NULL);
    f = tw_file_create("/dev/full");
    CHECK(f != NULL);
    fputs("x", tw_file_stream(f));
    CHECK(tw_file_commit(f) == -1);
    char command[64];
    snprintf(command, sizeof command, "rm -r %s", path);
    CHECK(system(command) == 0);
}

/* What is not UTF-8 travels through JSON as Python's surrogateescape has it, and back; pairs and other escapes stay. */
static void names(void)
{
    static const char raw[] = "[\"caf\xe9 \xc3\xa9\xf0\x9f\x98\x80\xed\xb3\xa9\xc3\"]",
                      json[] = "[\"caf\\udce9 \xc3\xa9\xf0\x9f\x98\x80\\udced\\udcb3\\udca9\\udcc3\"]";
    char *text = tw_utf8_escape(strdup(raw), "\\");
    CHECK(text != NULL && strcmp(text, json) == 0);
    tw_utf8_unescape(text);
    CHECK(strcmp(text, raw) == 0);
    free(text);
    text = tw_utf8_escape(strdup("a\xff"), "\\\\");
    CHECK(text != NULL && strcmp(text, "a\\\\udcff") == 0);
    free(text);
    CHECK(tw_utf8_escape(NULL, "\\") == NULL);
    char same[] = "\\\\udce9 \\ud83d\\udca9 \\udc7f \\uDD00 \\ud \\";
    char *const kept = strdup(same);
    tw_utf8_unescape(same);
    CHECK(strcmp(same, kept) == 0);
    free(kept);
}

/* What is written is one field, and reads as what it was; a backslash that was never written so stays. */
static void fields(void)
{
    static const char raw[] = "a\tb\\t\n\\\r\x1f\xff\\";
    char written[64] = "", other[] = "C:\\x\\\\n\\n\\";
    FILE *f = fmemopen(written, sizeof written, "w");
    tw_tsv_write(f, raw, sizeof raw - 1);
    fclose(f);
    CHECK(strcmp(written, "a\\tb\\\\t\\n\\\\\\r\x1f\xff\\\\") == 0);
    tw_tsv_read(written);
    CHECK(strcmp(written, raw) == 0);
    tw_tsv_read(other);
    CHECK(strcmp(other, "C:\\x\\n\n\\") == 0);
}

int main(void)
{
    options();
    random_numbers();
    pool();
    relay();
    budget();
    files();
    names();
    fields();
    return test_done();
}
