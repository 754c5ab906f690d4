/* What is complete of a features file whose writer was interrupted, so that it can be continued. */
#ifndef TW_EVAL_KEPT_H
#define TW_EVAL_KEPT_H

#include "stream/reader.h"

typedef struct {
    int64_t bytes;      /* length of the header and the complete records; 0: no such file, or an incomplete header */
    bool cut;           /* the file ends inside its header */
    int64_t samples;
    int64_t epoch, pos, index; /* of the last sample */
    uint32_t key;       /* checksum of its key */
    int64_t features, logits, probs; /* lengths of the last sample's vectors; 0: absent */
    bool half;          /* they are f16 */
    bool complete;      /* the file has its end record */
    int64_t of, epochs, first_epoch; /* from the header: samples in an epoch, epochs, first epoch */
    uint64_t seed;
    tw_share share;
    int64_t data_checksum, network;
    int n_classes;
    uint32_t classes;   /* checksum of the classes' names */
} tw_kept;

/* Reads the file up to its first truncated or broken record. 0, or -1 and tw_error() if it cannot be read or is not a stream of features. */
int tw_kept_read(tw_kept *k, const char *path);

/* Checks that the header h describes the file's data (samples, epochs, seed, share, classes). rest: h is that of a stream that may begin in the
 * file's last epoch and has only the epochs from there on. 0, or -1 and tw_error() with both values. */
int tw_kept_fits(const tw_kept *k, const char *path, const tw_header *h, bool rest);

/* Where a stream from the endpoint should begin: after the file's last sample, if the endpoint's command can be told so, else at the beginning. */
tw_place tw_kept_place(const tw_kept *k, const char *endpoint);
/* Whether it can: if the command has %s, and also %e if the last sample is not of the first epoch. */
bool tw_kept_placed(const tw_kept *k, const char *endpoint);

/* last: whether s is the sample that the file's last one was made from; behind: whether its place comes after that. */
bool tw_kept_last(const tw_kept *k, const tw_sample *s);
bool tw_kept_behind(const tw_kept *k, const tw_sample *s);

/* How many of the data's places up to the last sample's have no sample in the file; -1: unknown. */
int64_t tw_kept_lost(const tw_kept *k);

#endif
