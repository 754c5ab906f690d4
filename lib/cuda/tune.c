#include "cuda/tune.h"

#include "core/error.h"
#include "core/program.h"
#include "cuda/cache.h"
#include "cuda/ops.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { RUNS = 5, MOST_OPERANDS = 16 };

double tw_time(cudaStream_t stream, int (*run)(void *arg), void *arg)
{
    cudaEvent_t from = NULL, to = NULL;
    float ms = -1;
    int rc = TW_CUDA(cudaEventCreate(&from));
    if (rc == 0)
        rc = TW_CUDA(cudaEventCreate(&to));
    for (int i = -1; rc == 0 && i < RUNS; i++) {
        if (i == 0)
            rc = TW_CUDA(cudaEventRecord(from, stream));
        if (rc == 0)
            rc = run(arg);
    }
    if (rc == 0)
        rc = TW_CUDA(cudaEventRecord(to, stream));
    if (rc == 0)
        rc = TW_CUDA(cudaEventSynchronize(to));
    if (rc == 0)
        rc = TW_CUDA(cudaEventElapsedTime(&ms, from, to));
    if (from != NULL)
        cudaEventDestroy(from);
    if (to != NULL)
        cudaEventDestroy(to);
    return rc == 0 ? (double)ms / RUNS : -1;
}

int tw_fastest(double (*time)(void *arg, int i), void *arg, int n)
{
    double ms[TW_TRIED], least = HUGE_VAL;
    int best = -1;
    const double first = time(arg, 0); /* an idle device's clocks rise meanwhile */
    if (n == 1)
        return first >= 0 ? 0 : -1;
    for (int i = 0; i < n; i++) {
        ms[i] = time(arg, i);
        least = ms[i] >= 0 && ms[i] < least ? ms[i] : least;
    }
    for (int i = 0; i < n; i++)
        if (ms[i] >= 0 && ms[i] <= 1.1 * least) {
            const double second = time(arg, i);
            ms[i] = second >= 0 && second < ms[i] ? second : ms[i];
            best = best < 0 || ms[i] < ms[best] ? i : best;
        }
    return best;
}

static const char at_once[] = "together", one_by_one[] = "apart";

static bool named(const char *variable, const char *key)
{
    const char *part = getenv(variable);
    return part != NULL && strstr(key, part) != NULL;
}

bool tw_choice_plain(const char *key)
{
    return named("TWIST_PLAIN", key);
}

int tw_choice_kept(const tw_dev *d, const char *key)
{
    if (tw_choice_plain(key))
        return 0;
    if (named("TWIST_TOGETHER", key))
        return 1;
    const char *kept = tw_dnn_cache_find(d->plans, key);
    return kept == NULL ? -1 : strcmp(kept, at_once) == 0;
}

void tw_choice_keep(tw_dev *d, const char *key, bool together)
{
    tw_dnn_cache_add(d->plans, key, together ? at_once : one_by_one);
}

void tw_choice_failed(const char *key)
{
    cudaGetLastError();
    tw_warn("the plan \"%s\" does not run, separate passes take its place: %s", key, tw_error());
}

bool tw_choice(tw_dev *d, const char *key, int (*make)(void *arg), int (*compare)(void *arg), void *arg)
{
    char choice[176];
    snprintf(choice, sizeof choice, "%s or apart", key);
    int better = tw_choice_kept(d, choice);
    if (better == 0)
        return false;
    const int made = make(arg);
    if (made > 0 && better < 0) {
        better = compare(arg);
        if (better >= 0)
            tw_choice_keep(d, choice, better);
    }
    if (made < 0 || (made > 0 && better < 0))
        tw_choice_failed(key);
    return made > 0 && better == 1;
}

int tw_choice_time(tw_dev *d, int (*once)(void *arg), int (*apart)(void *arg), void *arg)
{
    double took = HUGE_VAL, parts = HUGE_VAL;
    if (tw_time(d->stream, once, arg) < 0) /* not counted: an idle device's clocks rise meanwhile */
        return -1;
    for (int i = 0; i < 2; i++) {
        const double a = tw_time(d->stream, once, arg), b = tw_time(d->stream, apart, arg);
        if (a < 0 || b < 0)
            return -1;
        took = fmin(took, a);
        parts = fmin(parts, b);
    }
    return took <= parts;
}

typedef struct {
    tw_dev *dev;
    cudnnBackendDescriptor_t *plan; /* those to choose from */
    tw_tuned tuned;
    tw_dnn_operand operand[MOST_OPERANDS];
    int n;
} trial;

static int run_trial(void *arg)
{
    trial *t = arg;
    return tw_tuned_run(&t->tuned, t->dev, t->operand, t->n);
}

static double time_plan(void *arg, int i)
{
    trial *t = arg;
    t->tuned = (tw_tuned){t->plan[i], tw_dnn_workspace(t->plan[i])};
    return tw_time(t->dev->stream, run_trial, t);
}

/* Returns the fastest of the plans and destroys the others; NULL: none runs. */
static cudnnBackendDescriptor_t fastest(trial *t, int plans)
{
    const int best = tw_fastest(time_plan, t, plans);
    for (int i = 0; i < plans; i++)
        if (i != best)
            cudnnBackendDestroyDescriptor(t->plan[i]);
    return best < 0 ? NULL : t->plan[best];
}

static const float one = 1;

/* Returns the first plan and destroys the others. */
static cudnnBackendDescriptor_t first_of(cudnnBackendDescriptor_t *plan, int plans)
{
    while (plans > 1)
        cudnnBackendDestroyDescriptor(plan[--plans]);
    return plan[0];
}

/* Sets *out. 1: the fastest plan; 0: the heuristic's first, as memory does not suffice for timing; -1: none runs. */
static int time_plans(tw_tuned *out, tw_dev *d, cudnnBackendDescriptor_t *plan, int plans, const tw_tune_operand *operand, int n)
{
    trial t = {.dev = d, .plan = plan, .n = n};
    int rc = 0;
    for (int i = 0; i < n && rc == 0; i++) {
        const size_t bytes = operand[i].bytes;
        void *memory = bytes == 0 ? (void *)&one : bytes == TW_TUNE_SHARED ? t.operand[i - 1].memory : tw_cuda_alloc(d, bytes);
        t.operand[i] = (tw_dnn_operand){operand[i].uid, memory};
        rc = memory == NULL ? -1 : 0;
    }
    if (rc == 0) {
        out->plan = fastest(&t, plans);
        rc = out->plan == NULL ? -1 : 1;
    } else {
        cudaGetLastError(); /* clears the error, so that the next launch does not report it */
        out->plan = first_of(plan, plans);
        rc = 0;
    }
    for (int i = 0; i < n; i++)
        if (operand[i].bytes != 0 && operand[i].bytes != TW_TUNE_SHARED)
            cudaFree(t.operand[i].memory);
    return rc;
}

int tw_tune(tw_tuned *out, tw_dev *d, const char *key, cudnnBackendDescriptor_t graph, const tw_tune_operand *operand, int n, size_t limit)
{
    const tw_dnn_site here = {.handle = d->dnn, .exact = d->precision == TW_F32};
    const char *kept = tw_dnn_cache_find(d->plans, key);
    size_t room = d->scratch_bytes[TW_SCRATCH_LIBRARY];
    *out = (tw_tuned){0};
    if (kept != NULL)
        out->plan = tw_dnn_load(kept, &here);
    if (out->plan == NULL) {
        cudnnBackendDescriptor_t plan[TW_TRIED];
        const int plans = tw_dnn_plans(plan, TW_TRIED, graph, &here, limit);
        if (plans == 0)
            return 0;
        const int timed = time_plans(out, d, plan, plans, operand, n);
        char *text = timed > 0 ? tw_dnn_save(out->plan) : NULL;
        if (text != NULL)
            tw_dnn_cache_add(d->plans, key, text);
        free(text);
    }
    if (out->plan != NULL) {
        out->workspace = tw_dnn_workspace(out->plan);
        room = out->workspace > room ? out->workspace : room;
    }
    tw_dev_scratch_trim(d, TW_SCRATCH_LIBRARY, room); /* frees the workspace that only slower plans needed */
    if (out->plan != NULL && tw_dev_scratch(d, TW_SCRATCH_LIBRARY, room) != NULL)
        return 1;
    tw_tuned_fini(out);
    return -1;
}

void tw_tuned_fini(tw_tuned *t)
{
    if (t->plan != NULL)
        cudnnBackendDestroyDescriptor(t->plan);
    *t = (tw_tuned){0};
}

int tw_tuned_run(const tw_tuned *t, tw_dev *d, const tw_dnn_operand *operand, int n)
{
    void *workspace = tw_dev_scratch(d, TW_SCRATCH_LIBRARY, t->workspace);
    return workspace == NULL ? -1 : tw_dnn_run(d->dnn, t->plan, operand, n, workspace);
}
