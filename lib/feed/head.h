/* The head's scheduling rules (formats/farm.md): which worker makes which position, what happens if one is slow, fails or dies, and in which order
 * results are output. A pure state machine, without sockets, files or clocks: messages and the time come in as arguments, actions go out through
 * the callbacks of tw_head_ops. Not thread-safe. All times are seconds of one monotonic clock. */
#ifndef TW_FEED_HEAD_H
#define TW_FEED_HEAD_H

#include "feed/message.h"

typedef struct {
    unsigned char n, byte[32];
} tw_feed_id; /* a connection, as the router socket names it */

typedef struct {
    double heartbeat; /* seconds between two; a worker that misses 3 is gone */
    double lease;     /* seconds until a lease expires */
    double hedge;     /* a position among the next to be output is leased to a second worker after this + 4 times the shortest latency, seconds */
    int64_t first, end, epoch; /* the first position, one past the last, positions per epoch */
    int window;       /* most positions in progress (leased, or done and not yet output) */
    int64_t memory;   /* most bytes of results held: reduces the window, but not below 16 positions */
    int64_t max_bytes; /* most bytes of one result */
    double audit;     /* fraction of the positions that two workers make, 0..1 */
    int workers;      /* most workers at once */
} tw_head_options;
#define TW_HEAD_DEFAULT {1, 30, 0.02, 0, 0, 1, 1024, (int64_t)1 << 30, (int64_t)64 << 20, 0, 1024}

/* Callbacks. position: position in the stream; sub: 0 for the position's own image, k for its k-th substitute. */
typedef struct {
    void *context;
    /* Sends a message. 0, or -1: the worker cannot be reached. A TW_LEASE has only session, pos, lease and sub; the callback adds the sample. */
    int (*send)(void *context, const tw_feed_id *to, const tw_feed_msg *m);
    /* Checks that a result is a valid record of its position. 0, or -1 and tw_error(). */
    int (*check)(void *context, int64_t position, int64_t sub, const void *payload, size_t size);
    void (*release)(void *context, void *payload); /* frees a result that is not needed */
    /* The cause if this image is known to be bad, else NULL. */
    const char *(*known)(void *context, int64_t position, int64_t sub);
    /* Records that the image is bad. 1: use sub + 1 instead; 0: the position stays empty; -1 and tw_error(): the head fails. */
    int (*bad)(void *context, int64_t position, int64_t sub, int code, const char *cause);
    /* From now on new workers are tested with this sample. */
    void (*remember)(void *context, int64_t position, int64_t sub);
    void (*say)(void *context, int level, const char *text); /* level -1: an error, 0: a warning, 1: a note */
} tw_head_ops;

typedef struct tw_head tw_head;

/* The state of one worker, for status reports. */
typedef struct {
    const char *name;
    int slots, held, credit;             /* leases that it offers to hold, that it holds, that it may hold by its speed */
    double service, silent;              /* mean seconds per sample (lease time / leases held); seconds since its last message */
    int64_t done, failed, duplicates, wrong, expired;
    bool ready;
} tw_head_worker;

typedef struct {
    int64_t next, bytes, duplicates, stale, wrong, expired, hedged, gone, refused, audited, bad;
    /* up: workers connected; ready: of these, with a command that has written its header; leased: leases held; filled: positions decided, but
     * not yet output; window: positions that may be in progress now */
    int up, ready, leased, filled, window;
} tw_head_state;

tw_head *tw_head_new(const tw_head_options *o, const tw_head_ops *ops, uint64_t session, double now); /* NULL and tw_error() */
void tw_head_free(tw_head *h); /* releases what it holds; NULL is allowed */

/* Processes a message. TW_DONE: payload is the result, `size` bytes at data; the head takes ownership (release). TW_READY: why_not is NULL if the
 * worker's header is right, else the reason why not. user: name of the worker's key, or NULL. 0, or -1 and tw_error(): the head cannot continue. */
int tw_head_message(tw_head *h, double now, const tw_feed_id *from, const tw_feed_msg *m, void *payload, const void *data, size_t size,
                    const char *why_not, const char *user);

/* To be called regularly: handles expired leases and silent workers, grants second leases and new leases. 0, or -1 and tw_error(). */
int tw_head_tick(tw_head *h, double now);

/* The result of the next position to be output. 1: *payload is the result (NULL: the position stays empty); 0: not there yet. */
int tw_head_first(tw_head *h, void **payload);
/* Advances to the next position; the payload from tw_head_first now belongs to the caller. */
void tw_head_advance(tw_head *h);

/* Sends BYE to every worker; they answer with BYE. Returns the number of workers. */
int tw_head_bye(tw_head *h, const char *why);
/* After the list of keys has changed: drops the workers for whose user allowed() is false. */
void tw_head_drop_user(tw_head *h, bool (*allowed)(void *context, const char *user), void *context);

void tw_head_get(const tw_head *h, tw_head_state *s);                          /* the present state and the counters */
int tw_head_workers(const tw_head *h);                                         /* size of the table of workers */
bool tw_head_worker_get(const tw_head *h, int i, double now, tw_head_worker *w); /* i from 0; false: that worker is gone */

#endif
