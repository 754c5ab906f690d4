/* The heads of msgpack values (github.com/msgpack/msgpack, spec.md), read one by one without building a tree: what the
 * scanner and the decoder stand on. msgpack-c writes our records but does not read them: its unpacker reserves memory
 * by the counts it is told, 24 bytes for every byte that has arrived, and forgets where in the record a value stood. */
#ifndef TW_STREAM_MSG_H
#define TW_STREAM_MSG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef enum { TW_MSG_NIL, TW_MSG_BOOL, TW_MSG_INT, TW_MSG_UINT, TW_MSG_FLOAT, TW_MSG_STR, TW_MSG_BIN, TW_MSG_EXT,
               TW_MSG_ARRAY, TW_MSG_MAP } tw_msg_type;

/* A head: the value itself where it is a number; else what follows the head. An integer >= 0 is always TW_MSG_UINT. */
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

/* Reads the head at p. Its length (1 to 9); 0 if it needs more than the n bytes there are; -1 for a byte that begins no
 * value (0xc1). */
int tw_msg_head(tw_msg *m, const unsigned char *p, size_t n);

/* Bytes that follow the head without heads of their own: n of str, bin and ext, 0 of the others. */
static inline size_t tw_msg_payload(const tw_msg *m)
{
    return m->type == TW_MSG_STR || m->type == TW_MSG_BIN || m->type == TW_MSG_EXT ? m->n : 0;
}

/* Walks over values that have been scanned (scan.h). */
typedef struct {
    const unsigned char *p, *end;
} tw_cursor;

/* Reads a head and steps over it and its payload, which then begins at *payload (payload may be NULL). 0, or -1 and
 * tw_error() where the bytes end first. */
int tw_cursor_next(tw_cursor *c, tw_msg *m, const unsigned char **payload);
/* Steps over one whole value with all that is in it. 0, or -1 and tw_error(). */
int tw_cursor_skip(tw_cursor *c);

/* Whether the payload of a str or bin is that text. */
bool tw_msg_is(const tw_msg *m, const unsigned char *payload, const char *text);

#endif
