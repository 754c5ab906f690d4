/* Batches from a views stream, read ahead by a thread of its own, so that steps need not wait if the stream is fast enough. */
#ifndef TW_TRAIN_LOADER_H
#define TW_TRAIN_LOADER_H

#include "nn/net.h"
#include "stream/reader.h"

/* A place in the data: the epoch, and how many places of this rank's share of the epoch's order have been used. */
typedef struct {
    int64_t epoch, sample;
} tw_position;

/* The identity of a batch's sample. */
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
    tw_position next;        /* the place after this batch */
} tw_batch;

typedef struct {
    int B, rank, ranks;
    tw_position start;       /* where to begin: samples before it are read and dropped */
    int (*stop)(void);       /* once it returns true, open and next no longer wait for the stream */
    bool (*wait)(void *context, double seconds); /* as of tw_reader_open_wait; NULL: waits without limit */
    void *context;
} tw_loader_options;

typedef struct tw_loader tw_loader;

/* Opens the endpoint (%r %n %e %s of pipe:COMMAND filled in). From a stream with all places, ranks take blocks of B places in turn; a stream that is
 * a share must be this rank's. Refuses others, and streams of another kind than views. NULL and tw_error(). */
tw_loader *tw_loader_open(const char *endpoint, const tw_loader_options *o);
const tw_header *tw_loader_header(const tw_loader *b); /* borrowed */
/* How many samples of an epoch are this rank's, if the data set has `all` (-1: the header's number). -1 if that is not known. */
int64_t tw_loader_samples(const tw_loader *b, int64_t all);
const char *tw_loader_name(const tw_loader *b); /* of the endpoint, for messages; borrowed */

/* The next full batch of samples of one epoch, borrowed until the next call; an incomplete last batch of an epoch is dropped, as in the official
 * code. 1: *out is set; 0: the stream has ended; 2: stop() became true while waiting; 3 and tw_error(): the reader gave up
 * (tw_reader_gave_up), a later run can go on; -1 and tw_error(): the stream failed, a sample's views differ in size from the first sample's,
 * the stream begins after `start`, or places do not rise. */
int tw_loader_next(tw_loader *b, const tw_batch **out);

/* After tw_loader_next returned 0: whether the stream reached that epoch, its last one, and its end record says that it was complete. Batches that
 * the epoch lacks were then lost to bad images, or lie before the place where the stream began. False if the stream does not say how many
 * samples it has. */
bool tw_loader_complete(const tw_loader *b, int64_t epoch);

/* The batch that tw_loader_next will return, if it is complete already; else NULL. It does not change before it is returned. */
const tw_batch *tw_loader_ahead(tw_loader *b);

int64_t tw_loader_passed(const tw_loader *b); /* samples before `start` that have been read and dropped */
double tw_loader_waited(const tw_loader *b);  /* seconds that tw_loader_next has waited */

/* Closes the stream, as soon as the batch being read is complete or the stream stalls, and frees. NULL is allowed. */
void tw_loader_close(tw_loader *b);

#endif
