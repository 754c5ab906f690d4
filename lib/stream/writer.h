/* Writing a stream to "-" (standard output), a file (which appears under its name only when complete) or a ZeroMQ endpoint (net.h; opening
 * waits for the reader). Refuses a terminal. Pipes are enlarged to 1 MiB. */
#ifndef TW_STREAM_WRITER_H
#define TW_STREAM_WRITER_H

#include "stream/encode.h"

typedef struct tw_writer tw_writer;

/* Opens the endpoint and writes the header. history: the program's command line, written after h's history; NULL: none. NULL and
 * tw_error(). */
tw_writer *tw_writer_open(const char *endpoint, const tw_header *h, const char *history);

/* Opens a file that is written in place, so that its records survive if the process is killed. keep 0: starts the file anew, with the
 * header; else keeps its first `keep` bytes, which contain the header and `samples` records, and truncates the rest. tw_writer_abandon
 * does not remove the file. NULL and tw_error(). */
tw_writer *tw_writer_append(const char *path, const tw_header *h, const char *history, int64_t keep, int64_t samples);

/* Write one sample. 0, or -1 and tw_error(); errors are sticky. If the reader of a pipe has gone, SIGPIPE ends the process silently. */
int tw_writer_sample(tw_writer *w, const tw_sample *s);
/* The same for an encoded record (by tw_encode_sample, or as it was read). */
int tw_writer_encoded(tw_writer *w, const void *data, size_t size);
/* The same for a record in pieces (tw_parts_sample). */
int tw_writer_parts(tw_writer *w, const tw_parts *p);

/* Writes the small records still buffered: for a filter about to wait for input. 0, or -1 and tw_error(). */
int tw_writer_flush(tw_writer *w);

double tw_writer_waited(const tw_writer *w); /* seconds spent waiting for the reader */

/* Writes the end record (number of samples written, and `skipped`), flushes, closes (a file: syncs and renames; ZeroMQ: waits for the
 * reader's confirmation). Frees w in any case. 0, or -1 and tw_error(). */
int tw_writer_finish(tw_writer *w, int64_t skipped);
/* Closes after the last sample without an end record, so that the reader sees a failure, and frees w; removes a file not written in place.
 * tw_error() is unchanged. NULL is allowed. */
void tw_writer_abandon(tw_writer *w);

#endif
