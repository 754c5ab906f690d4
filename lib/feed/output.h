/* The output of a head: standard output or a file, written without blocking (pipes and sockets). */
#ifndef TW_FEED_OUTPUT_H
#define TW_FEED_OUTPUT_H

#include <stddef.h>

typedef struct tw_output tw_output;

tw_output *tw_output_open(const char *endpoint); /* "-" or a file. NULL and tw_error() */
int tw_output_fd(const tw_output *o);            /* to poll */
/* Writes as many as possible of the bytes from *at on and advances *at. 1: all are written; 0: it would block; -1 and tw_error(), errno EPIPE if the
 * reader has gone. */
int tw_output_write(tw_output *o, const void *data, size_t size, size_t *at);
int tw_output_finish(tw_output *o);  /* closes (a file: syncs and renames it) and frees. 0, or -1 and tw_error() */
void tw_output_abandon(tw_output *o); /* closes, removes a file, frees. NULL is allowed */

#endif
