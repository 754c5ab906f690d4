/* Internals shared by head.c (messages, workers, order), leases.c (assignment of positions) and results.c (results and failures). */
#ifndef TW_FEED_HEAD_PARTS_H
#define TW_FEED_HEAD_PARTS_H

#include "core/error.h"
#include "feed/head.h"

enum {
    LEASES = 2,          /* most leases of one position at once */
    VOTES = 3,           /* most results of an audited position */
    MIN_WINDOW = 16,     /* smallest window in positions, whatever the memory limit */
    TRIES = 3,           /* an image is bad after so many crashes and time-outs */
    SOLO_EXPIRIES = 5,   /* after so many expired leases a position is leased to a worker that holds nothing else */
    FAULT_EXPIRIES = 8,  /* so many expired leases count as a time-out */
    MOST_WRONG = 8,      /* a worker is banned after so many wrong results */
    NEW_CREDIT = 2,      /* leases of a worker whose speed is not known yet */
    SILENT = 3,          /* missed heartbeats after which a worker is gone */
};

typedef struct {
    uint64_t number;
    uint32_t serial; /* of the worker */
    int held;        /* leases that the worker held when it got this one, this one included */
    double since;    /* when it was granted */
} lease;

typedef struct {
    void *payload;
    size_t size;
    uint32_t crc, serial;
} result;

typedef struct {
    bool filled, started, solo; /* has its final result, or stays empty; tw_head_start was called; to be leased alone */
    int leases, results, expiries, tries, confirmed; /* confirmed: workers that have reported a fault of the image itself */
    int64_t sub;           /* number of the substitute; 0: its own image */
    uint32_t failed_by[2]; /* serials of the last two workers that failed it, the latest first; 0: none */
    lease lease[LEASES];
    result result[VOTES];  /* if not audited, only result[0], once filled */
} slot;

typedef struct {
    bool up, ready, tried;
    tw_feed_id id;
    char name[260], user[128];
    int slots, held, trials, refuted; /* refuted: images that it failed and another worker made */
    uint64_t trial;        /* number of its test lease (the reference sample); 0: none */
    int64_t solo;          /* 1 + the position that it holds, or will hold, as its only lease; 0: none */
    double heard, service, latency, trial_since;
    int overtaken;         /* of held: leases whose positions have been output with another worker's result */
    double overtaken_since;
    int astray;            /* leases withdrawn (expired, or decided without it) that it has not answered: it may still be working on them */
    uint32_t serial;
    int64_t done, failed, duplicates, wrong, expired;
} worker;

struct tw_head {
    tw_head_options o;
    tw_head_ops ops;
    uint64_t session, leases;
    double now;
    int64_t next, low;     /* next position to be output; positions before low need no further lease */
    int64_t largest;       /* size of the largest result so far, bytes */
    slot *slot;            /* of position p: slot[p % window] */
    worker *worker;
    int workers, filled;
    uint32_t serials;
    uint32_t first_only;   /* serial: until there is a reference, only this worker gets leases; 0: none chosen */
    uint32_t was_first;    /* the last value of first_only but 0 */
    int64_t reference;     /* position that new workers are tested with; -1: none yet */
    int64_t reference_size, reference_sub;
    uint64_t reference_crc;
    bool told_window;      /* has warned that the window is too small for the workers */
    tw_head_state count;
};

void tw_head_say(tw_head *h, int level, const char *fmt, ...) TW_PRINTF(3, 4);
slot *tw_head_slot(const tw_head *h, int64_t position);
int64_t tw_head_limit(const tw_head *h);
void tw_head_tell_window(tw_head *h); /* warns, once, if the window has become so small for the workers or results that workers wait */
void tw_head_gone(tw_head *h, worker *w, const char *why); /* removes a worker; why NULL: without a message */
void tw_head_ban(tw_head *h, worker *w, int code, const char *why);

/* leases.c */
int tw_head_effective(const tw_head *h, const worker *w); /* leases that it may hold by its speed */
worker *tw_head_by_serial(const tw_head *h, uint32_t serial); /* NULL: gone */
void tw_head_unlease(tw_head *h, int64_t position, int k); /* removes lease k: the worker has answered, or is gone */
void tw_head_revoke(tw_head *h, int64_t position, int k);  /* removes lease k without the worker's knowledge */
int tw_head_assign(tw_head *h);                            /* grants leases. 0, or -1 and tw_error() */
/* Number of workers that can retry an image that others have failed, not counting those with the serials but and or_but (0: none): all ready ones
 * until there is a reference, then those that passed its test. */
int tw_head_others(const tw_head *h, uint32_t but, uint32_t or_but);

/* results.c */
int tw_head_accept(tw_head *h, worker *w, int64_t position, void *payload, size_t size, uint32_t crc);
/* Records a failure. alone: the worker held no other lease. w NULL: by expired leases. */
int tw_head_fault(tw_head *h, worker *w, int64_t position, int code, bool alone, const char *cause);
int tw_head_wanted(const tw_head *h, int64_t position);   /* number of results needed, as known by now */
int tw_head_settle(tw_head *h, int64_t position);          /* fills the position if its results suffice */
int tw_head_start(tw_head *h, int64_t position);           /* before the first lease: skips images known to be bad */

#endif
