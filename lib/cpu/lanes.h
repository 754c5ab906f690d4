/* Inside lib/cpu: single-threaded oneDNN primitives, one copy per thread, run in parallel on different pieces. A oneDNN primitive is created for a
 * number of threads, and its bits may depend on it; those of a single-threaded one depend on the shape only. */
#ifndef TW_CPU_LANES_H
#define TW_CPU_LANES_H

#include "cpu/prim.h"

enum { TW_LANE_KINDS = 2 }; /* of pieces: 0 any but the last, 1 the last, which may be smaller */

typedef struct tw_lanes tw_lanes;

/* make is called for each kind and thread, to create *p; 0, or -1 and tw_error(). alone false: only one set of primitives, each run by all threads
 * together. NULL and tw_error(). */
tw_lanes *tw_lanes_new(tw_dev *d, bool alone, int (*make)(tw_prim *p, int kind, void *context), void *context);
void tw_lanes_free(tw_lanes *l); /* NULL is allowed */

const tw_prim *tw_lanes_prim(const tw_lanes *l, int kind); /* a primitive of that kind (they are all alike), borrowed */

/* Scratch memory (the device's) for all threads, to be passed to tw_lanes_run. NULL and tw_error(). */
char *tw_lanes_scratch(const tw_lanes *l);

/* Runs the calling thread's primitive on its part of the scratch memory; data: as for tw_prim_run. */
dnnl_status_t tw_lanes_run(tw_lanes *l, int kind, void *const *data, char *scratch);

#endif
