/* Finds the fastest plan for a graph on this device: from the cache, else by timing. */
#ifndef TW_CUDA_TUNE_H
#define TW_CUDA_TUNE_H

#include "cuda/device.h"
#include "cuda/dnn.h"

#define TW_TUNE_SHARED ((size_t)-1) /* as bytes: while plans are timed, the operand uses the memory of the one before it */

/* The operands of a graph, for timing. */
typedef struct {
    int64_t uid;
    size_t bytes; /* 0: a number passed by value, which is 1 while plans are timed */
} tw_tune_operand;

typedef struct {
    cudnnBackendDescriptor_t plan;
    size_t workspace;
} tw_tuned;

/* Takes the plan that the cache has for the key; else times the heuristic's first plans that need at most `limit` bytes of workspace, on memory
 * allocated for that. 1: found; 0: cuDNN has no such plan for this graph; -1 and tw_error(). */
int tw_tune(tw_tuned *out, tw_dev *d, const char *key, cudnnBackendDescriptor_t graph, const tw_tune_operand *operand, int n, size_t limit);
void tw_tuned_fini(tw_tuned *t);

/* Queues the plan on the device's stream, with the shared scratch memory as workspace. 0, or -1 and tw_error(). */
int tw_tuned_run(const tw_tuned *t, tw_dev *d, const tw_dnn_operand *operand, int n);

/* Milliseconds of one run(arg) on the stream: the mean of several, after one for warm-up; < 0: it failed. */
double tw_time(cudaStream_t stream, int (*run)(void *arg), void *arg);

enum { TW_TRIED = 16 }; /* plans or algorithms of one thing that are timed, at most */

/* Which of n (1 to TW_TRIED), by time(arg, i) in milliseconds (< 0: it failed), is the fastest: each is timed once, those near the fastest twice; one
 * alone is tried only. -1: all failed. */
int tw_fastest(double (*time)(void *arg, int i), void *arg, int n);

/* The choice between a fused plan and separate ones, as kept in the cache under the key. 1: fused; 0: separate; -1: not known. */
int tw_choice_kept(const tw_dev *d, const char *key);
/* For debugging: whether the environment variable TWIST_PLAIN is a substring of the key (if empty: of any key), which makes the choice "separate".
 * TWIST_TOGETHER, by the same rule, makes it "fused" wherever there is a plan, without timing. */
bool tw_choice_plain(const char *key);
void tw_choice_keep(tw_dev *d, const char *key, bool together);
/* Whether to use fused plans: by the choice kept under "KEY or apart", else by one that is made and kept. make: makes the plans; 1, 0: cuDNN has
 * none, or -1 and tw_error(). compare: as tw_choice_time. If one of them fails: no, with a warning, and not kept. */
bool tw_choice(tw_dev *d, const char *key, int (*make)(void *arg), int (*compare)(void *arg), void *arg);
/* Warns that a fused plan failed, with tw_error(), and clears CUDA's error, so that the next launch does not report it. */
void tw_choice_failed(const char *key);
/* Compares by tw_time, twice each, in turns. 1: `once` (fused) is not slower than `apart` (separate); 0: it is; -1: one of them failed. */
int tw_choice_time(tw_dev *d, int (*once)(void *arg), int (*apart)(void *arg), void *arg);

#endif
