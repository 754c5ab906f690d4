/* The pipeline that a worker supervises: a shell command from a files stream on its standard input to a views stream on its standard
 * output, fed and read without waiting. */
#ifndef TW_FEED_CHILD_H
#define TW_FEED_CHILD_H

#include "stream/record.h"

#include <stdbool.h>
#include <sys/types.h>

typedef struct tw_child tw_child;

/* Starts it, as leader of a process group of its own, without new privileges, ended when this process is. most: bytes of a record; memory:
 * address space that each of its processes may have, 0: no bound. NULL and tw_error(). */
tw_child *tw_child_start(const char *command, int64_t most, int64_t memory);

/* Descriptors to wait for: input (-1: nothing is to be written), output, errors (-1: closed). */
int tw_child_input(const tw_child *c);
int tw_child_output(const tw_child *c);
int tw_child_errors(const tw_child *c);

/* Appends bytes to what goes to its standard input. 0, or -1. */
int tw_child_give(tw_child *c, const void *data, size_t size);
int tw_child_give_sample(tw_child *c, const tw_sample *s); /* as a record */
/* Writes as much of that as it takes. A command that reads no more is seen by its end. */
void tw_child_pump(tw_child *c);

/* The next whole record of its output (scanned; its last key is at that offset): the caller frees *record. 1; 0: not yet; -1: there will be none,
 * tw_error() says why; -2: nor will there be, since what has come is no record, or a larger one than `most`. */
int tw_child_record(tw_child *c, void **record, size_t *size, size_t *last_key);
/* The next line it has complained with, without its end (a long one in pieces); borrowed until the next call. NULL: none now. */
const char *tw_child_line(tw_child *c);

/* Ends it with all its processes, frees. cause: how it ended, at least 128 bytes, or NULL. Its exit status; -1: a signal ended it. */
int tw_child_end(tw_child *c, char *cause, size_t size);

#endif
