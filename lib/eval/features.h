/* The vectors of a features stream, all in memory. */
#ifndef TW_EVAL_FEATURES_H
#define TW_EVAL_FEATURES_H

#include "eval/roster.h"

typedef struct {
    tw_roster who;
    float *x;   /* [n,D], row-major */
    int D;      /* 0: no sample yet */
    size_t cap;
} tw_features;

/* Reads the whole stream's `features`. Memory: n * (4 D + 16 bytes) and the keys. Refuses, naming it, a sample without features, of another length
 * than the first, or with a value that is not finite. 0, or -1 and tw_error() with f empty. Free with tw_features_fini. */
int tw_features_read(tw_features *f, const char *endpoint);
/* The same from an open reader, up to the stream's end record. */
int tw_features_take(tw_features *f, tw_reader *r);
void tw_features_fini(tw_features *f);

/* check: that the vector has *D elements (0: sets it); copy: copies the vector, whose bytes may be unaligned, to out and checks that all values are
 * finite. what: its name for messages, "features", ... 0, or -1 and tw_error(). */
int tw_vector_check(int *D, const tw_roster *r, const tw_sample *s, const tw_tensor *t, const char *what);
int tw_vector_copy(float *out, const tw_roster *r, const tw_sample *s, const tw_tensor *t, const char *what);

/* Standardises every column: x = (x - mean) / std. mean, std: [D]. */
void tw_features_standardize(tw_features *f, const float *mean, const float *std);
/* Centres every column, x = 2^exponent (x - mean). exponent is 0 unless squared distances between rows would leave f32's range. 0, or -1 and
 * tw_error(). */
int tw_features_centre(int *exponent, tw_features *f);
/* The columns' means and standard deviations (population, computed in double); std is 1 for a constant column. mean, std: [D]. 0, or -1 and
 * tw_error(). */
int tw_features_moments(float *mean, float *std, const tw_features *f);

#endif
