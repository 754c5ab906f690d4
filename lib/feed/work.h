/* A worker of a farm: takes leases from a head, hands the files to its command, brings the results back. */
#ifndef TW_FEED_WORK_H
#define TW_FEED_WORK_H

#include "feed/link.h"

typedef struct {
    tw_link_options link;
    const char *endpoint, *command, *name, *root;
    int slots;
    double sample_timeout; /* seconds that the command may take for a sample */
    double linger;         /* seconds without a head until it gives up */
    int64_t child_memory;  /* bytes of address space for each process of the command; 0: no bound */
    bool once;             /* ends when the head says BYE */
} tw_work_options;

/* Works until it is told to stop: stop(): 0: go on; 1: finish what is in hand; 2: at once. say: as in tw_head_ops. 0, or -1 and
 * tw_error(): refused, or no head for so long. */
int tw_work_run(const tw_work_options *o, int (*stop)(void), void (*say)(int level, const char *text));

#endif
