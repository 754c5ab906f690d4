/* Inside lib/cpu: primitives that threads carry out side by side, each alone on copies of its own. oneDNN makes a primitive for a number of
 * threads; what one thread computes depends on nothing but the shape. */
#ifndef TW_CPU_LANES_H
#define TW_CPU_LANES_H

#include "cpu/prim.h"

enum { TW_LANE_KINDS = 2 }; /* of pieces: any but the last, the last */

typedef struct tw_lanes tw_lanes;

/* make is called for each kind of each thread's: 0, or -1 and tw_error(). alone false: one set, made for all threads together. NULL and
 * tw_error(). */
tw_lanes *tw_lanes_new(tw_dev *d, bool alone, int (*make)(tw_prim *p, int kind, void *context), void *context);
void tw_lanes_free(tw_lanes *l); /* NULL is allowed */

const tw_prim *tw_lanes_prim(const tw_lanes *l, int kind); /* one of them, borrowed */

/* Memory for a run of all, the device's scratch. NULL and tw_error(). */
char *tw_lanes_scratch(const tw_lanes *l);

/* The calling thread's, on its part of that memory; data as of tw_prim_run. */
dnnl_status_t tw_lanes_run(tw_lanes *l, int kind, void *const *data, char *scratch);

#endif
