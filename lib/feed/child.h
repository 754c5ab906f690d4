/* The command that a worker supervises: a shell pipeline that reads a files stream on standard input and writes a views stream on standard
 * output. It is fed and read without blocking. */
#ifndef TW_FEED_CHILD_H
#define TW_FEED_CHILD_H

#include "stream/record.h"

#include <sys/types.h>

typedef struct tw_child tw_child;

/* Starts the command in its own process group, without new privileges (PR_SET_NO_NEW_PRIVS), to be killed if this process dies. most: largest record
 * accepted, bytes; memory: address space limit of each of its processes, bytes, 0: none. NULL and tw_error(). */
tw_child *tw_child_start(const char *command, int64_t most, int64_t memory);

/* Descriptors for poll(): standard input (-1: nothing to write), output (-1: ended), error output (-1: closed). */
int tw_child_input(const tw_child *c);
int tw_child_output(const tw_child *c);
int tw_child_errors(const tw_child *c);

/* Queue bytes, or a sample's record, for its standard input. 0, or -1 and tw_error(). */
int tw_child_give(tw_child *c, const void *data, size_t size);
int tw_child_give_sample(tw_child *c, const tw_sample *s);
/* Writes as much of the queue as the pipe takes. A write error is ignored: the command's end will be noticed. */
void tw_child_pump(tw_child *c);

/* The next complete record of its output, scanned; the caller frees *record; *last_key: see tw_scan. 1; 0: not yet; -1 and tw_error(): its output has
 * ended, or memory is short; -2 and tw_error(): its output is not a valid record, or larger than `most`. */
int tw_child_record(tw_child *c, void **record, size_t *size, size_t *last_key);
/* The next line of its error output, without the line end (a long one in pieces); borrowed until the next call. NULL: none now. */
const char *tw_child_line(tw_child *c);

/* Kills all its processes (if its output has ended, after half a second to exit by itself) and frees c. cause (NULL, or room for `size` bytes, 128 at
 * least): how it ended. Returns its exit status; -1: a signal ended it. */
int tw_child_end(tw_child *c, char *cause, size_t size);

#endif
