/* Reading a stream from an endpoint: "-", a file, "pipe:COMMAND", or tcp://HOST:PORT and ipc://PATH of ZeroMQ (net.h). Each record is scanned
 * (structure, lengths, limits) before it is decoded; its crc is checked where present. A stream that ends without its end record is an error. */
#ifndef TW_STREAM_READER_H
#define TW_STREAM_READER_H

#include "stream/record.h"

typedef struct tw_reader tw_reader;

typedef struct {
    int64_t record;  /* bytes of a record; default 1 GiB */
    int keys, depth; /* keys of a map, default 64; levels of nesting, default 8, at most TW_SCAN_DEPTH */
} tw_limits;
#define TW_LIMITS_DEFAULT {TW_MOST_RECORD, TW_MOST_KEYS, 8}

/* The numbers that replace %r %n %e %s in pipe:COMMAND: rank, number of ranks, epoch to start with, samples of it to skip. */
typedef struct {
    int rank, ranks;
    int64_t epoch, skip;
} tw_place;

/* Opens the endpoint and reads the header. limits NULL: the defaults; place NULL: 0 1 0 0. NULL and tw_error().
 *
 * A command `twist-feed head ...` that contains %e and %s is restarted if a signal ends it, at most TW_RESTARTS times in ten minutes: %e and %s
 * then are the position after the last sample read (by its epoch and pos, and the header's share), and the reader continues the stream. */
tw_reader *tw_reader_open(const char *endpoint, const tw_limits *limits, const tw_place *place);

enum { TW_RESTARTS = 5 };

/* The same, but while input is awaited, the opening or reading thread calls wait() several times a second with the seconds waited so far; if it
 * returns false, the reader fails. */
tw_reader *tw_reader_open_wait(const char *endpoint, const tw_limits *limits, const tw_place *place, bool (*wait)(void *context, double seconds),
                               void *context);
/* Whether the reader failed for a reason that may be temporary: wait() returned false, or a command was restarted too often. */
bool tw_reader_gave_up(const tw_reader *r);

/* Whether the endpoint is a command with %s: its stream begins at the position it is given. */
bool tw_reader_places(const char *endpoint);
/* Whether the endpoint is a command with %e: its stream begins with the epoch it is given. */
bool tw_reader_epochs(const char *endpoint);
const tw_header *tw_reader_header(const tw_reader *r); /* borrowed until close */

/* Reads the next sample into s (initialised by tw_sample_init; its pointers are valid until the next read into s).
 * 1: a sample; 0: the end record has come and nothing followed it, and a command has exited with status 0; -1 and tw_error() with
 * the endpoint, the record's number and byte offset. Errors are sticky. */
int tw_reader_next(tw_reader *r, tw_sample *s);
/* Whether tw_reader_next would find its first bytes, or the end, without blocking; waits up to ms milliseconds for that. Lets a filter
 * flush its output before it waits. */
bool tw_reader_ready(tw_reader *r, int ms);
/* The end record, once tw_reader_next has returned 0; borrowed until close. */
const tw_end *tw_reader_end(const tw_reader *r);

/* Bytes of all records read so far, header and end record included; from 0 again after a restart of the command. */
int64_t tw_reader_offset(const tw_reader *r);

/* Name of the endpoint for messages. */
const char *tw_reader_name(const tw_reader *r);
/* Seconds spent waiting for input so far. */
double tw_reader_waited(const tw_reader *r);

/* Closes and frees; ends a command that still runs (tw_input_close). NULL is allowed. */
void tw_reader_close(tw_reader *r);

#endif
