/* The fastest plan for a graph on this device: from the cache, else timed. */
#ifndef TW_CUDA_TUNE_H
#define TW_CUDA_TUNE_H

#include "cuda/device.h"
#include "cuda/dnn.h"

#define TW_TUNE_SHARED ((size_t)-1) /* for bytes: while plans are timed it lies where the operand before it does */

/* Operands as they will be when it is run. */
typedef struct {
    int64_t uid;
    size_t bytes; /* 0: a number that the graph takes by value; 1 while plans are timed */
} tw_tune_operand;

typedef struct {
    cudnnBackendDescriptor_t plan;
    size_t workspace;
} tw_tuned;

/* Times the first plans of the heuristic that want no more workspace than `limit`, on memory of its own, unless the cache knows the key. 1: found;
 * 0: cuDNN has no such plan for this graph; -1 and tw_error(). */
int tw_tune(tw_tuned *out, tw_dev *d, const char *key, cudnnBackendDescriptor_t graph, const tw_tune_operand *operand, int n, size_t limit);
void tw_tuned_fini(tw_tuned *t);

/* Runs it on the device's stream, with the workspace that all share. 0, or -1 and tw_error(). */
int tw_tuned_run(const tw_tuned *t, tw_dev *d, const tw_dnn_operand *operand, int n);

/* Milliseconds of one call of run(arg) on the stream: the mean of several after one that does not count; < 0: it failed. */
double tw_time(cudaStream_t stream, int (*run)(void *arg), void *arg);

/* Several things at once, or one after the other: what has been kept of that under the key among the plans. 1: at once; 0: one after the
 * other; -1: nothing is. */
int tw_choice_kept(const tw_dev *d, const char *key);
/* To look for a fault: whether the environment's TWIST_PLAIN is a part of the key (the empty one is of all). Such a choice is: one after the
 * other. TWIST_TOGETHER, by the same rule, is at once wherever there is a plan, timed or not. */
bool tw_choice_plain(const char *key);
void tw_choice_keep(tw_dev *d, const char *key, bool together);
/* 1: `once` is not slower than `apart`, by tw_time; 0: it is; -1: one of them fails. */
int tw_choice_time(tw_dev *d, int (*once)(void *arg), int (*apart)(void *arg), void *arg);

#endif
