/* Where a head's stream goes: standard output or a file, written without ever waiting. */
#ifndef TW_FEED_OUTPUT_H
#define TW_FEED_OUTPUT_H

#include <stdbool.h>
#include <stddef.h>

typedef struct tw_output tw_output;

tw_output *tw_output_open(const char *endpoint); /* "-" or a file. NULL and tw_error() */
int tw_output_fd(const tw_output *o);            /* to poll */
/* Writes what it takes of the bytes: *at moves on. 1: all are written; 0: it takes no more now; -1 and tw_error(), with errno EPIPE where the
 * reader has gone. */
int tw_output_write(tw_output *o, const void *data, size_t size, size_t *at);
int tw_output_finish(tw_output *o);  /* syncs and names a file, frees. 0, or -1 and tw_error() */
void tw_output_abandon(tw_output *o); /* NULL is allowed */

#endif
