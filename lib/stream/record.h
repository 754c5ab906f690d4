/* The records of a stream (formats/stream.md): header, samples, end. */
#ifndef TW_STREAM_RECORD_H
#define TW_STREAM_RECORD_H

#include "core/share.h"
#include "core/tensor.h"

/* Limits: bytes of a record, bytes of a header, keys of a map. Writers never exceed them; readers refuse more unless tw_limits says otherwise. */
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
    tw_share share;             /* which places of an epoch this stream has; ranks 0 or 1: all */
    int64_t data_checksum;      /* of the data set's names, labels and order; 0: absent */
    int64_t network;            /* features only: checksum of the network and settings that computed them from the views; 0: absent */
    int n_history;
    const char **history;       /* command lines of the programs so far */
    const void *extra;          /* unknown keys with their values, as msgpack, passed on unchanged */
    size_t extra_size;
    int n_extra;
} tw_header;

/* One sample. After a read its pointers lead into `buffer`; in a sample made by the program they are borrowed from its maker. */
typedef struct {
    const char *key;            /* path or member name, key_size bytes, not NUL-terminated */
    size_t key_size;
    int64_t index, epoch, pos;  /* number in the data set; epoch; place in the epoch's order; all from 0 */
    int64_t label;              /* -1: nil */
    int64_t sub;                /* -1: absent; else the index of the bad image that this one stands in for */
    const void *bytes;          /* the undecoded file, or NULL */
    size_t bytes_size;
    tw_tensor image;            /* u8 [H,W,3]; data NULL: absent */
    int n_views;
    tw_tensor *views;           /* u8 [H,W,3] each */
    tw_tensor features, logits, probs; /* f32 or f16 [D]; data NULL: absent */
    const void *trace;          /* value of the field `trace`, as msgpack, or NULL */
    size_t trace_size;
    const void *extra;          /* unknown keys with values, as in tw_header */
    size_t extra_size;
    int n_extra;
    void *buffer;               /* owned: the record that tw_reader_next read; reused by the next read */
    size_t buffer_cap;
    size_t record_size;         /* bytes of the record as read (at buffer) */
    int views_cap;
} tw_sample;

typedef struct {
    int64_t samples, skipped;
} tw_end;

/* Makes an empty sample: label and sub are -1, all other fields absent. */
void tw_sample_init(tw_sample *s);
/* Frees what the sample owns: buffer and the array views. */
void tw_sample_fini(tw_sample *s);

/* A growing block of bytes. Zero-initialise; free(data). */
typedef struct {
    unsigned char *data;
    size_t size, cap;
} tw_bytes;

/* Appends n bytes. 0, or -1 and tw_error() with b unchanged. */
int tw_bytes_append(tw_bytes *b, const void *data, size_t n);

/* Append one record with its crc, encoded as formats/stream.md says. Thread-safe for different blocks. 0, or -1 and tw_error(). */
int tw_encode_header(tw_bytes *out, const tw_header *h);
int tw_encode_sample(tw_bytes *out, const tw_sample *s);
int tw_encode_end(tw_bytes *out, const tw_end *e);

#endif
