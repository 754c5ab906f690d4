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

/* Reads the whole stream's `features`: memory is n * (4 D + 16 bytes) and the keys. Refused, naming the sample: a sample without
 * features, of another length than the first, with a value that is not finite. 0, or -1 and tw_error() with f empty. */
int tw_features_read(tw_features *f, const char *endpoint);
/* The same from a reader that is open, up to its end record. */
int tw_features_take(tw_features *f, tw_reader *r);
void tw_features_fini(tw_features *f);

/* Checks a vector against D (0: the first one settles it) and for values that are not finite, and copies it to out (which
 * need not be told apart from the record's unaligned bytes). what: "features", ... 0, or -1 and tw_error(). */
int tw_vector_check(int *D, const tw_roster *r, const tw_sample *s, const tw_tensor *t, const char *what);
int tw_vector_copy(float *out, const tw_roster *r, const tw_sample *s, const tw_tensor *t, const char *what);

/* Scales every column by the mean and deviation given: x = (x - mean) / std. mean, std: [D]. */
void tw_features_standardize(tw_features *f, const float *mean, const float *std);
/* Shifts every column to mean 0, and scales all by one power of two where squared distances between rows would leave f32's range:
 * x = 2^exponent (x - mean), exponent 0 for numbers of any usual size. 0, or -1 and tw_error(). */
int tw_features_centre(int *exponent, tw_features *f);
/* The columns' means and deviations (population, in double); a column that does not vary has std 1. mean, std: [D].
 * 0, or -1 and tw_error(). */
int tw_features_moments(float *mean, float *std, const tw_features *f);

#endif
