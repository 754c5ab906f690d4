/* Writing a stream to "-", a file (which appears under its name only when complete) or an endpoint of ZeroMQ (net.h; opening it waits for
 * the reader). Refuses a terminal. Pipes are enlarged to 1 MiB. */
#ifndef TW_STREAM_WRITER_H
#define TW_STREAM_WRITER_H

#include "stream/encode.h"

typedef struct tw_writer tw_writer;

/* Opens and writes the header. history: the program's command line (appended to a copy of h's history), or NULL. NULL and
 * tw_error(). */
tw_writer *tw_writer_open(const char *endpoint, const tw_header *h, const char *history);

/* Opens a file that is written in place, record by record, so that what has been written outlives a process that is killed: keep 0
 * begins it anew, with the header; else its first `keep` bytes, which hold the header and `samples` records, are kept and the rest is
 * cut off. What is written is not removed by tw_writer_abandon. NULL and tw_error(). */
tw_writer *tw_writer_append(const char *path, const tw_header *h, const char *history, int64_t keep, int64_t samples);

/* Each 0, or -1 and tw_error(); errors are sticky. A reader that has gone (EPIPE) ends the process quietly by SIGPIPE's
 * default action. */
int tw_writer_sample(tw_writer *w, const tw_sample *s);
/* One record that is encoded already (tw_encode_sample, or a record read and unchanged); counted as a sample. */
int tw_writer_encoded(tw_writer *w, const void *data, size_t size);
/* One record in pieces (tw_parts_sample), which must live until the call returns; counted as a sample. */
int tw_writer_parts(tw_writer *w, const tw_parts *p);

/* Writes what is held back of small records: for a filter that is about to wait for input. */
int tw_writer_flush(tw_writer *w);

double tw_writer_waited(const tw_writer *w); /* seconds spent waiting for the reader */

/* Writes the end record with the counted samples and `skipped`, flushes, closes (a file: syncs and renames; ZeroMQ: waits
 * until the reader has it), frees. */
int tw_writer_finish(tw_writer *w, int64_t skipped);
/* Closes behind the last sample, without an end record, so that the reader sees a failure; a file is removed. tw_error() stays. NULL is allowed. */
void tw_writer_abandon(tw_writer *w);

#endif
