/* The messages between a head and its workers (formats/farm.md). The first frame is a msgpack array of fixed length that begins with the type; some
 * messages have a second frame, the payload. */
#ifndef TW_FEED_MESSAGE_H
#define TW_FEED_MESSAGE_H

#include "stream/record.h"

#include <stdint.h>

enum {
    TW_FEED_PROTOCOL = 1,
    TW_FEED_CONTROL = 16384, /* most bytes of the first frame (a lease contains two paths) */
    TW_FEED_TEXT = 4096,     /* most bytes of a text in it */
    TW_FEED_SLOTS = 256,     /* most leases that a worker may hold */
};

typedef enum {       /* w>h: from worker to head; h>w: from head to worker */
    TW_HELLO = 1,    /* w>h  protocol, text (program version), name, slots */
    TW_WELCOME = 2,  /* h>w  protocol, session, hb_ms, lease_ms, max_bytes; payload: header of the files stream */
    TW_REFUSE = 3,   /* h>w  code, text */
    TW_LEASE = 4,    /* h>w  session, pos, lease, sub, tw_feed_what; payload: the file, with --ship */
    TW_DONE = 5,     /* w>h  session, pos, lease, sub, crc, bytes; payload: the record */
    TW_FAIL = 6,     /* w>h  session, pos, lease, sub, code, text */
    TW_PING = 7,     /* w>h  session, slots, held, done, failed */
    TW_PONG = 8,     /* h>w  session, pos (next to be output) */
    TW_BYE = 9,      /* both session, text */
    TW_READY = 10,   /* w>h  session; payload: header of the views stream */
    TW_ASK = 11,     /* status request, from any peer */
    TW_TELL = 12,    /* its answer; payload: the head's state as JSON */
} tw_feed_type;

/* Codes of TW_REFUSE. */
enum { TW_REFUSE_VERSION = 1, TW_REFUSE_COMMAND = 2, TW_REFUSE_UNKNOWN = 3, TW_REFUSE_FULL = 4, TW_REFUSE_BANNED = 5 };

/* Codes of TW_FAIL. decode, limit, io: the image is at fault; crash, timeout: it may be; returned: no fault, the lease is given back. */
enum { TW_FAIL_DECODE = 1, TW_FAIL_LIMIT = 2, TW_FAIL_CRASH = 3, TW_FAIL_TIMEOUT = 4, TW_FAIL_IO = 5, TW_FAIL_RETURNED = 6 };
extern const char *const tw_fail_names[]; /* by code; [0] is "" */

/* The sample of a lease: the fields of its record in the files stream, and where the file is. */
typedef struct {
    int64_t index, epoch, pos, label, sub; /* as in tw_sample (pos: in the epoch's order); label, sub -1: nil */
    const char *key, *path;                /* path: relative to the root; "": the file is the payload */
    int64_t offset, length;                /* bytes of the picture in the file at path; length -1: the whole file */
} tw_feed_what;

/* One message; only the fields of its type are used. Texts are borrowed: from the buffer given to tw_feed_decode, or from the sender. */
typedef struct {
    tw_feed_type type;
    int64_t protocol, code, slots, held, done, failed, hb_ms, lease_ms, max_bytes, bytes;
    uint64_t session, lease, crc;
    int64_t pos, sub;
    const char *text, *name; /* NUL-terminated */
    tw_feed_what what;
} tw_feed_msg;

/* Appends the message's first frame to out. 0, or -1 and tw_error(). */
int tw_feed_encode(tw_bytes *out, const tw_feed_msg *m);

/* Decodes a first frame of n bytes. Type, range and length of every value are checked; texts must not contain control characters. They are copied
 * into text, which must have room for n + 8 bytes. 0, or -1 and tw_error(). */
int tw_feed_decode(tw_feed_msg *m, char *text, const unsigned char *data, size_t n);

/* Replaces each byte that is not printable ASCII by '?', in place. Returns text. */
char *tw_feed_printable(char *text);

#endif
