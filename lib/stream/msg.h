/* Reads msgpack values (github.com/msgpack/msgpack, spec.md) head by head, without building a tree: the basis of scanner and decoder.
 * msgpack-c writes our records but does not read them: its unpacker allocates memory according to counts in the input, 24 bytes for each
 * byte received, and does not keep the offsets of values. */
#ifndef TW_STREAM_MSG_H
#define TW_STREAM_MSG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef enum { TW_MSG_NIL, TW_MSG_BOOL, TW_MSG_INT, TW_MSG_UINT, TW_MSG_FLOAT, TW_MSG_STR, TW_MSG_BIN, TW_MSG_EXT,
               TW_MSG_ARRAY, TW_MSG_MAP } tw_msg_type;

/* The head of a value: the value itself if it is nil, a boolean or a number, else the size of what follows. Integers >= 0 are always
 * TW_MSG_UINT. */
typedef struct {
    tw_msg_type type;
    union {
        bool yes;
        int64_t i;
        uint64_t u;
        double f;
        size_t n; /* str, bin, ext: bytes that follow (ext: with its type byte); array: values; map: pairs */
    };
} tw_msg;

/* Reads the head at p. Returns its length (1 to 9 bytes); 0 if it is longer than the n bytes available; -1 for 0xc1, which begins no value. */
int tw_msg_head(tw_msg *m, const unsigned char *p, size_t n);

/* Raw bytes after the head: n for str, bin and ext, 0 for other types. */
static inline size_t tw_msg_payload(const tw_msg *m)
{
    return m->type == TW_MSG_STR || m->type == TW_MSG_BIN || m->type == TW_MSG_EXT ? m->n : 0;
}

/* A position in values that have been scanned (scan.h). */
typedef struct {
    const unsigned char *p, *end;
} tw_cursor;

/* Reads a head and steps over it and its payload, whose start goes to *payload (payload may be NULL). 0, or -1 and tw_error() if the
 * bytes end before. */
int tw_cursor_next(tw_cursor *c, tw_msg *m, const unsigned char **payload);
/* Steps over one value, including nested ones. 0, or -1 and tw_error(). */
int tw_cursor_skip(tw_cursor *c);

/* Whether m is a str or bin whose payload equals text. */
bool tw_msg_is(const tw_msg *m, const unsigned char *payload, const char *text);

#endif
