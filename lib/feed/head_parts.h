/* What the parts of the head share: head.c (messages), leases.c (who gets what), results.c (what came of it). */
#ifndef TW_FEED_HEAD_PARTS_H
#define TW_FEED_HEAD_PARTS_H

#include "core/error.h"
#include "feed/head.h"

enum {
    LEASES = 2,          /* of one position at once */
    VOTES = 3,           /* results of a position that is audited */
    MIN_WINDOW = 16,     /* until the size of a result is known, and at least */
    TRIES = 3,           /* crashes and time-outs until an image is bad */
    SOLO_EXPIRIES = 5,   /* expired leases until a position is leased alone */
    FAULT_EXPIRIES = 8,  /* until that counts as a time-out */
    MOST_WRONG = 8,      /* wrong results until a worker is turned away */
    NEW_CREDIT = 2,      /* leases of a worker whose speed is not known */
    SILENT = 3,          /* heartbeats */
};

typedef struct {
    uint64_t number;
    uint32_t serial; /* of the worker */
    int held;        /* what the worker had in hand with this one */
    double since;
} lease;

typedef struct {
    void *payload;
    size_t size;
    uint32_t crc, serial;
} result;

typedef struct {
    bool filled, started, solo;
    int leases, results, expiries, tries, confirmed; /* confirmed: faults of the image that workers have reported */
    int64_t sub;
    uint32_t failed_by[2]; /* workers, the last first; 0: none */
    lease lease[LEASES];
    result result[VOTES];  /* not audited: result[0] alone, where filled */
} slot;

typedef struct {
    bool up, ready, tried;
    tw_feed_id id;
    char name[260], user[128];
    int slots, held, trials, refuted; /* refuted: faults that it reported of images that others could do */
    uint64_t trial;        /* number of the lease that it is tried with; 0: none */
    int64_t solo;          /* the position that it has or is to have alone, plus one; 0: none */
    double heard, service, latency, trial_since;
    int overtaken;         /* of held: leases whose positions have been written since, by another's result */
    double overtaken_since;
    int astray;            /* leases that count no more (expired, or decided without it) and that it has not answered: perhaps in its hand */
    uint32_t serial;
    int64_t done, failed, duplicates, wrong, expired;
} worker;

struct tw_head {
    tw_head_options o;
    tw_head_ops ops;
    uint64_t session, leases;
    double now;
    int64_t next, low;     /* positions before low are not free */
    int64_t largest;       /* result so far */
    slot *slot;            /* of position p: [p % window] */
    worker *worker;
    int workers, filled;
    uint32_t serials;
    uint32_t first_only;   /* until there is a reference, this worker alone gets leases */
    uint32_t was_first;    /* that which was chosen for it last */
    int64_t reference;     /* position that new workers are tried with; -1: none yet */
    int64_t reference_size, reference_sub;
    uint64_t reference_crc;
    bool told_window;      /* that it is small for the workers */
    tw_head_state count;
};

void tw_head_say(tw_head *h, int level, const char *fmt, ...) TW_PRINTF(3, 4);
slot *tw_head_slot(const tw_head *h, int64_t position);
int64_t tw_head_limit(const tw_head *h);
void tw_head_tell_window(tw_head *h); /* once, when workers or results have become so many or large that workers wait for the window */
void tw_head_gone(tw_head *h, worker *w, const char *why); /* why NULL: nothing to say */
void tw_head_ban(tw_head *h, worker *w, int code, const char *why);

/* leases.c */
int tw_head_effective(const tw_head *h, const worker *w); /* leases that it may hold by its speed */
worker *tw_head_by_serial(const tw_head *h, uint32_t serial); /* NULL: gone */
void tw_head_unlease(tw_head *h, int64_t position, int k); /* the worker has answered, or is gone */
void tw_head_revoke(tw_head *h, int64_t position, int k);  /* it does not know of it */
int tw_head_assign(tw_head *h);
/* Workers that can be leased to; but: without those of these numbers (0: nobody). */
int tw_head_able(const tw_head *h, uint32_t but, uint32_t or_but);
/* Workers that can be asked about an image that others have failed: all that are ready, until there is a reference; then those that are tried. */
int tw_head_others(const tw_head *h, uint32_t but, uint32_t or_but);

/* results.c */
int tw_head_accept(tw_head *h, worker *w, int64_t position, void *payload, size_t size, uint32_t crc);
/* alone: the worker had nothing else in hand. w NULL: by expiries */
int tw_head_fault(tw_head *h, worker *w, int64_t position, int code, bool alone, const char *cause);
int tw_head_wanted(const tw_head *h, int64_t position);   /* results that are to be made by now */
int tw_head_settle(tw_head *h, int64_t position);          /* fills it where the results suffice */
int tw_head_start(tw_head *h, int64_t position);           /* before its first lease: passes over images that are known to be bad */

#endif
