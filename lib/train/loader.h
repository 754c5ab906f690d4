/* Batches from a views stream, read ahead by a thread of its own so that the step does not wait where the stream is fast
 * enough. */
#ifndef TW_TRAIN_LOADER_H
#define TW_TRAIN_LOADER_H

#include "nn/net.h"
#include "stream/reader.h"

/* A place in the data: how many places of this rank's share of the epoch's order have been used. */
typedef struct {
    int64_t epoch, sample;
} tw_position;

/* Which sample a row of a batch is. */
typedef struct {
    char *key;
    size_t key_size, key_cap;
    int64_t index, pos;
} tw_batch_row;

typedef struct {
    int B, V, n_groups;
    tw_view_group *group;    /* runs of equal sizes, as in the stream's views */
    uint8_t **pictures;      /* per group: u8 [n_views*B,H,W,3], view-major: as tw_plan_forward takes them */
    int32_t *label;          /* [B], -1: nil */
    tw_batch_row *row;       /* [B] */
    int64_t epoch;
    tw_position next;        /* after this batch */
} tw_batch;

typedef struct {
    int B, rank, ranks;
    tw_position start;       /* where to begin: samples before it are read and dropped */
    int (*stop)(void);       /* once it is true the stream is no longer waited for, by open or by next */
    bool (*wait)(void *context, double seconds); /* as of tw_reader_open_wait; NULL: there is no end to waiting */
    void *context;
} tw_loader_options;

typedef struct tw_loader tw_loader;

/* Opens the endpoint (%r %n %e %s of pipe:COMMAND filled in). Of a stream that has all places, ranks take blocks of B in turn; of a
 * share, this rank's must be it. Refuses others, and streams of another kind than views. NULL and tw_error(). */
tw_loader *tw_loader_open(const char *endpoint, const tw_loader_options *o);
const tw_header *tw_loader_header(const tw_loader *b); /* borrowed */
/* Samples of an epoch that are this rank's, where the data set's are `all` (-1: as the header says; -1 if it does not). */
int64_t tw_loader_samples(const tw_loader *b, int64_t all);
const char *tw_loader_name(const tw_loader *b);

/* The next full batch of samples of one epoch, borrowed until the next call; what is left of an epoch is dropped, as the official
 * code does. 1; 0 after the stream's end; 2 where stop() became true while waiting; 3 and tw_error(): the reader gave up
 * (tw_reader_gave_up), another run may go on; -1 and tw_error(): the stream's failures, a sample whose views are not of the first
 * sample's sizes, a stream that begins after `start`, samples whose places do not rise. */
int tw_loader_next(tw_loader *b, const tw_batch **out);

/* After 0: whether the stream came to that epoch, its last one, and by its end record was whole: what the epoch lacks of batches then was in bad
 * images, now or before training went on, or in front of where it began. False too where the stream does not say how many samples it has. */
bool tw_loader_complete(const tw_loader *b, int64_t epoch);

/* The batch that tw_loader_next will hand out, where it is complete by now; else NULL. It stays as it is until it has been handed out. */
const tw_batch *tw_loader_ahead(tw_loader *b);

int64_t tw_loader_passed(const tw_loader *b); /* samples before `start` that have been read and dropped */
double tw_loader_waited(const tw_loader *b);  /* seconds that tw_loader_next has waited */

/* Closes the stream (after the batch being read is complete, or where nothing more comes for it) and frees. NULL is allowed. */
void tw_loader_close(tw_loader *b);

#endif
