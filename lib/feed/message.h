/* The messages between a head and its workers (formats/farm.md): a msgpack array of fixed length, its first value the type; some carry
 * a second frame, the payload. */
#ifndef TW_FEED_MESSAGE_H
#define TW_FEED_MESSAGE_H

#include "stream/record.h"

#include <stdbool.h>
#include <stdint.h>

enum {
    TW_FEED_PROTOCOL = 1,
    TW_FEED_CONTROL = 16384, /* bytes of the first frame at most: a lease has two paths in it */
    TW_FEED_TEXT = 4096,     /* bytes of a text in it at most */
    TW_FEED_SLOTS = 256,     /* leases that a worker may hold */
};

typedef enum {
    TW_HELLO = 1,    /* w>h  protocol, text (program version), name, slots */
    TW_WELCOME = 2,  /* h>w  protocol, session, hb_ms, lease_ms, max_bytes; payload: header of the files stream */
    TW_REFUSE = 3,   /* h>w  code, text */
    TW_LEASE = 4,    /* h>w  session, pos, lease, sub, what it is (see tw_feed_what); payload: the file, where it is shipped */
    TW_DONE = 5,     /* w>h  session, pos, lease, sub, crc, bytes; payload: the record */
    TW_FAIL = 6,     /* w>h  session, pos, lease, sub, code, text */
    TW_PING = 7,     /* w>h  session, slots, held, done, failed */
    TW_PONG = 8,     /* h>w  session, pos (next) */
    TW_BYE = 9,      /* both session, text */
    TW_READY = 10,   /* w>h  session; payload: header of the views stream */
    TW_ASK = 11,     /* anybody > h */
    TW_TELL = 12,    /* h > who asked; payload: the head's state as JSON */
} tw_feed_type;

/* Codes of TW_REFUSE. */
enum { TW_REFUSE_VERSION = 1, TW_REFUSE_COMMAND = 2, TW_REFUSE_UNKNOWN = 3, TW_REFUSE_FULL = 4, TW_REFUSE_BANNED = 5 };

/* Codes of TW_FAIL: the image's own fault (decode, limit, io), perhaps its fault (crash, timeout), nobody's (returned). */
enum { TW_FAIL_DECODE = 1, TW_FAIL_LIMIT = 2, TW_FAIL_CRASH = 3, TW_FAIL_TIMEOUT = 4, TW_FAIL_IO = 5, TW_FAIL_RETURNED = 6 };
extern const char *const tw_fail_names[]; /* by code; [0] is "" */

/* What a lease is about: the fields of the files record, and where the file is. */
typedef struct {
    int64_t index, epoch, pos, label, sub; /* as in tw_sample (pos: in the epoch's order); label, sub -1: nil */
    const char *key, *path;                /* path: below the root; "": the file is the payload */
    int64_t offset, length;                /* of it in the file at path; length -1: all of that file */
} tw_feed_what;

/* One message; of the fields those count that its type has. Texts are borrowed from the bytes it was decoded from, or its maker's. */
typedef struct {
    tw_feed_type type;
    int64_t protocol, code, slots, held, done, failed, hb_ms, lease_ms, max_bytes, bytes;
    uint64_t session, lease, crc;
    int64_t pos, sub;
    const char *text, *name; /* NUL-terminated */
    tw_feed_what what;
} tw_feed_msg;

/* Appends the first frame. 0, or -1 and tw_error(). */
int tw_feed_encode(tw_bytes *out, const tw_feed_msg *m);

/* Reads a first frame of n bytes. Every value is checked: type, range, length; texts hold no control bytes. They are copied into text,
 * which has room for n + 8 bytes. 0, or -1 and tw_error(). */
int tw_feed_decode(tw_feed_msg *m, char *text, const unsigned char *data, size_t n);

/* For lines and tables: the text with a '?' for each byte that is not printable ASCII, in place. Returns it. */
char *tw_feed_printable(char *text);

#endif
