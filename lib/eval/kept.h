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
    int64_t data_checksum, network;
    int n_classes;
    uint32_t classes;   /* checksum of their names */
} tw_kept;

/* Reads the file up to its first record that is cut or broken. 0, or -1 and tw_error(): it cannot be read, or is no stream of
 * features. */
int tw_kept_read(tw_kept *k, const char *path);

/* 0 if the header's data are those of the file (samples, epochs, seed, share, classes); else -1 and tw_error() with both. rest: it
 * is that of a stream which may begin in the file's last epoch and has the epochs from there on. */
int tw_kept_fits(const tw_kept *k, const char *path, const tw_header *h, bool rest);

/* Where a stream from the endpoint is to begin: behind the last sample if it can be told that, else at the beginning. */
tw_place tw_kept_place(const tw_kept *k, const char *endpoint);
/* Whether it can: by %s, and by %e too where the last sample is of a later epoch than the first. */
bool tw_kept_placed(const tw_kept *k, const char *endpoint);

/* Whether s is what the file's last sample was made of; whether its place is behind that one's. */
bool tw_kept_last(const tw_kept *k, const tw_sample *s);
bool tw_kept_behind(const tw_kept *k, const tw_sample *s);

/* How many of the data's places up to the last sample's have none; -1: that cannot be known. */
int64_t tw_kept_lost(const tw_kept *k);

#endif
