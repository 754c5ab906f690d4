/* A worker of a farm: gets leases from a head, feeds the files to its command, sends the results back. */
#ifndef TW_FEED_WORK_H
#define TW_FEED_WORK_H

#include "feed/link.h"

typedef struct {
    tw_link_options link;
    const char *endpoint, *command, *name, *root;
    int slots;             /* most leases held at once */
    double sample_timeout; /* seconds that the command may take for a sample */
    double linger;         /* seconds without a head after which it gives up */
    int64_t child_memory;  /* bytes of address space for each process of the command; 0: no limit */
    bool once;             /* ends after the head's BYE, instead of waiting for another head */
} tw_work_options;

/* Runs until stop() is not 0 (1: finish the leases held; 2: stop at once), or after BYE with once. say: as in tw_head_ops. 0, or -1 and
 * tw_error(): refused by the head, no head for `linger` seconds, or the command cannot be started. */
int tw_work_run(const tw_work_options *o, int (*stop)(void), void (*say)(int level, const char *text));

#endif
