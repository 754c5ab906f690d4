/* Reading a stream from an endpoint: "-", a file, "pipe:COMMAND", or tcp://HOST:PORT and ipc://PATH of ZeroMQ (net.h). Each record is scanned
 * (structure, lengths, limits) before it is decoded; its crc is checked where present. A stream that ends without its end record is an error. */
#ifndef TW_STREAM_READER_H
#define TW_STREAM_READER_H

#include "stream/record.h"

typedef struct tw_reader tw_reader;

typedef struct {
    int64_t record;  /* bytes of one record; default 1 GiB */
    int keys, depth; /* default 64, 8 */
} tw_limits;
#define TW_LIMITS_DEFAULT {TW_MOST_RECORD, TW_MOST_KEYS, 8}

/* What replaces %r %n %e %s in pipe:COMMAND (rank, ranks, first epoch, samples of it to leave out). NULL: 0 1 0 0. */
typedef struct {
    int rank, ranks;
    int64_t epoch, skip;
} tw_place;

/* Opens the endpoint and reads the header. NULL and tw_error(). limits NULL: the defaults.
 *
 * A command `twist-feed head ...` with %e and %s in it is
 * started again where a signal ends it, at the place behind the last sample that was read (pos / ranks is taken for its place in the rank's order),
 * and the reader goes on as if nothing had been: up to TW_RESTARTS times in ten minutes. */
tw_reader *tw_reader_open(const char *endpoint, const tw_limits *limits, const tw_place *place);

enum { TW_RESTARTS = 5 };

/* The same; while nothing comes, wait() is called several times a second, by the thread that opens or reads, with the seconds since when. Where it
 * returns false the reader fails. */
tw_reader *tw_reader_open_wait(const char *endpoint, const tw_limits *limits, const tw_place *place, bool (*wait)(void *context, double seconds),
                               void *context);
/* Whether a failure is of a kind that may pass: wait() was false, or a command was started again too often. */
bool tw_reader_gave_up(const tw_reader *r);

/* Whether the endpoint is a command that is told where to begin (%s), so that its stream begins there. */
bool tw_reader_places(const char *endpoint);
/* Whether it is a command that is told the epoch to begin with (%e). */
bool tw_reader_epochs(const char *endpoint);
const tw_header *tw_reader_header(const tw_reader *r); /* borrowed until close */

/* Reads the next sample into s (initialised; its buffer is reused; its pointers live until the next read into s).
 * 1: a sample; 0: the end record, then tw_reader_end() has it (for a command also: it exited 0); -1 and tw_error() with
 * the endpoint, the record's number and byte offset. Errors are sticky. */
int tw_reader_next(tw_reader *r, tw_sample *s);
/* Whether more has come, or nothing more will: whether tw_reader_next would not have to wait for the first bytes. Waits so many
 * milliseconds for that. Lets a filter hand on what it holds before it waits. */
bool tw_reader_ready(tw_reader *r, int ms);
const tw_end *tw_reader_end(const tw_reader *r);

/* Bytes of the header and of the samples read so far. */
int64_t tw_reader_offset(const tw_reader *r);

/* Name of the endpoint for messages. */
const char *tw_reader_name(const tw_reader *r);
/* Seconds spent waiting for input so far. */
double tw_reader_waited(const tw_reader *r);

/* Closes; a command that still runs ends, with all its process group (stream/input.h). NULL is allowed. */
void tw_reader_close(tw_reader *r);

#endif
