/* The records of a stream (formats/stream.md): header, samples, end. */
#ifndef TW_STREAM_RECORD_H
#define TW_STREAM_RECORD_H

#include "core/share.h"
#include "core/tensor.h"

#include <stdbool.h>

/* Bytes of a record, of a header, and keys of a map: writers make no record of more, readers take none unless told to. */
enum { TW_MOST_RECORD = 1 << 30, TW_MOST_HEADER = 64 << 20, TW_MOST_KEYS = 64 };

typedef enum { TW_FILES, TW_IMAGES, TW_VIEWS, TW_FEATURES } tw_kind;
extern const char *const tw_kind_names[]; /* "files", ..., NULL */

typedef struct {
    tw_kind kind;
    int64_t samples;            /* per epoch; -1: unknown (nil) */
    int64_t epochs, first_epoch;
    uint64_t seed;
    int n_classes;              /* -1: nil, the data has no labels */
    const char **classes;
    tw_share share;             /* of the data set's places; ranks 0 or 1: it has all */
    int64_t data_checksum;      /* of the data set's names and labels; 0: absent */
    int64_t network;            /* of features: a checksum of what made them of the views; 0: absent */
    int n_history;
    const char **history;
    const void *extra;          /* unknown keys with their values, msgpack, passed on as they are */
    size_t extra_size;
    int n_extra;
} tw_header;

/* One sample. Pointers lead into the buffer of the sample that was read, or wherever its maker keeps the data. */
typedef struct {
    const char *key;            /* path or member name, key_size bytes, not NUL-terminated */
    size_t key_size;
    int64_t index, epoch, pos;
    int64_t label;              /* -1: nil */
    int64_t sub;                /* -1: absent; else the index of the bad image that this one stands in for */
    const void *bytes;          /* the undecoded file, or NULL */
    size_t bytes_size;
    tw_tensor image;            /* u8 [H,W,3]; data NULL: absent */
    int n_views;
    tw_tensor *views;           /* u8 [H,W,3] each */
    tw_tensor features, logits, probs; /* f32 or f16 [D]; data NULL: absent */
    const void *trace;          /* the msgpack of the value of `trace`, or NULL */
    size_t trace_size;
    const void *extra;          /* unknown keys with values, as in tw_header */
    size_t extra_size;
    int n_extra;
    void *buffer;               /* owned: what tw_reader_next read into; reused by the next read into this sample */
    size_t buffer_cap;
    size_t record_size;         /* bytes of the record as read (at buffer) */
    int views_cap;
} tw_sample;

typedef struct {
    int64_t samples, skipped;
} tw_end;

/* An empty sample: label, sub -1, everything absent. */
void tw_sample_init(tw_sample *s);
/* Frees what the sample owns (buffer, views). */
void tw_sample_fini(tw_sample *s);

/* A growing block of bytes. */
typedef struct {
    unsigned char *data;
    size_t size, cap;
} tw_bytes;

/* 0, or -1 and tw_error() with b as it was. */
int tw_bytes_append(tw_bytes *b, const void *data, size_t n);

/* Append one whole record with its crc, by msgpack rules of formats/stream.md. Thread-safe for different blocks, so that
 * workers may encode. 0, or -1 and tw_error(). */
int tw_encode_header(tw_bytes *out, const tw_header *h);
int tw_encode_sample(tw_bytes *out, const tw_sample *s);
int tw_encode_end(tw_bytes *out, const tw_end *e);

#endif
