/* The head's rules (formats/farm.md): which worker makes which position of the order, what is done when one is slow, fails or dies, and
 * in which order the results go out. Nothing here knows of sockets, files or clocks: messages and the time come in as arguments, what is to be
 * done goes out through the calls of tw_head_ops. One thread. */
#ifndef TW_FEED_HEAD_H
#define TW_FEED_HEAD_H

#include "feed/message.h"

typedef struct {
    unsigned char n, byte[32];
} tw_feed_id; /* a connection, as the router socket names it */

typedef struct {
    double heartbeat; /* seconds; 3 missed: the worker is gone */
    double lease;     /* seconds until a lease expires */
    double hedge;     /* a position late by this is leased a second time (and by 4 times what the fastest worker takes) */
    int64_t first, end, epoch; /* positions: the first wanted, one past the last; how many an epoch has */
    int window;       /* positions in hand at most */
    int64_t memory;   /* bytes of results held at most */
    int64_t max_bytes; /* of one result */
    double audit;     /* part of the positions that two workers make */
    int workers;      /* at most */
} tw_head_options;
#define TW_HEAD_DEFAULT {1, 30, 0.02, 0, 0, 1, 1024, (int64_t)1 << 30, (int64_t)64 << 20, 0, 1024}

/* What the head wants done. position, sub: which position, and the how-manieth choice for it (0: its own image). */
typedef struct {
    void *context;
    /* Sends; 0, or -1: the worker cannot be reached. A TW_LEASE has only session, pos, lease and sub: what it is about is the caller's. */
    int (*send)(void *context, const tw_feed_id *to, const tw_feed_msg *m);
    /* Whether the result of a position is what it should be: 0, or -1 and tw_error(). */
    int (*check)(void *context, int64_t position, int64_t sub, const void *payload, size_t size);
    void (*release)(void *context, void *payload); /* a result that is not wanted */
    /* The cause if that image is known to be bad, else NULL. */
    const char *(*known)(void *context, int64_t position, int64_t sub);
    /* The image is bad: what next? 1: sub+1 takes its place; 0: the position stays empty; -1 and tw_error(): the head fails. */
    int (*bad)(void *context, int64_t position, int64_t sub, int code, const char *cause);
    /* This position is what new workers are tried with from now on. */
    void (*remember)(void *context, int64_t position, int64_t sub);
    void (*say)(void *context, int level, const char *text); /* level -1: a complaint, 0: a warning, 1: a remark */
} tw_head_ops;

typedef struct tw_head tw_head;

/* One worker, for those who want to see. */
typedef struct {
    const char *name;
    int slots, held, credit;
    double service, silent;              /* seconds a sample (its share of the time); since it was heard */
    int64_t done, failed, duplicates, wrong, expired;
    bool ready;
} tw_head_worker;

typedef struct {
    int64_t next, accepted, bytes, duplicates, stale, wrong, expired, hedged, gone, refused, audited, bad;
    int up, ready, leased, filled, window; /* ready: of those that are up, whose command has begun its stream */
} tw_head_state;

tw_head *tw_head_new(const tw_head_options *o, const tw_head_ops *ops, uint64_t session, double now); /* NULL and tw_error() */
void tw_head_free(tw_head *h); /* releases what it holds; NULL is allowed */

/* A message has come; payload: of TW_DONE, size bytes at data, which the head now owns (release); header: of TW_READY, whether the
 * worker's header of the views stream is the one (NULL: yes, else why not). user: the name of its key, or NULL. 0, or -1 and tw_error(): the
 * head cannot go on. */
int tw_head_message(tw_head *h, double now, const tw_feed_id *from, const tw_feed_msg *m, void *payload, const void *data, size_t size,
                    const char *why_not, const char *user);

/* Time has passed: expiries, silent workers, second leases, new leases. 0, or -1 and tw_error(). */
int tw_head_tick(tw_head *h, double now);

/* The result of the next position in order: 1: *payload has it (NULL: the position stays empty); 0: it is not there yet. */
int tw_head_first(tw_head *h, void **payload);
/* It has been written (its payload is the caller's). */
void tw_head_advance(tw_head *h);

/* Says BYE to every worker; they answer with BYE. Returns their number. */
int tw_head_bye(tw_head *h, const char *why);
/* A worker's key is allowed no more: it is dropped. */
void tw_head_drop_user(tw_head *h, bool (*allowed)(void *context, const char *user), void *context);

void tw_head_get(const tw_head *h, tw_head_state *s);
int tw_head_workers(const tw_head *h);                                         /* how many there have been */
bool tw_head_worker_get(const tw_head *h, int i, double now, tw_head_worker *w); /* false: it is not there any more */

#endif
