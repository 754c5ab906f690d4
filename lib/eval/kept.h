/* A stream of features in a file that a process was writing when it ended: what of it is whole. */
#ifndef TW_EVAL_KEPT_H
#define TW_EVAL_KEPT_H

#include "stream/reader.h"

typedef struct {
    int64_t bytes;      /* of the header and the whole records; 0: there is no such file, or no whole header in it */
    bool cut;           /* the file ends inside its header */
    int64_t samples;
    int64_t epoch, pos, index; /* of the last sample */
    uint32_t key;       /* checksum of its key */
    int64_t features, logits, probs; /* their lengths in it; 0: absent */
    bool half;          /* they are f16 */
    bool complete;      /* its end record is there */
    int64_t of, epochs, first_epoch; /* its header's: samples in an epoch, ... */
    uint64_t seed;
    tw_share share;
    int64_t network;
    int n_classes;
    uint32_t classes;   /* checksum of their names */
} tw_kept;

/* Reads the file up to its first record that is cut or broken. 0, or -1 and tw_error(): it cannot be read, or is no stream of
 * features. */
int tw_kept_read(tw_kept *k, const char *path);

/* 0 if the header's data are those of the file (samples, epochs, seed, share, classes); else -1 and tw_error() with both. */
int tw_kept_fits(const tw_kept *k, const char *path, const tw_header *h);

/* Whether s is what the file's last sample was made of. */
bool tw_kept_last(const tw_kept *k, const tw_sample *s);

#endif
