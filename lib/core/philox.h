/* Counter-based random numbers (Philox4x32-10: Salmon, Moraes, Dror, Shaw, "Parallel random numbers: as easy as 1, 2, 3",
 * SC'11; the permutation itself is the Random123 package's). A number depends on the seed and on what it is for, never
 * on threads, order or machines. */
#ifndef TW_CORE_PHILOX_H
#define TW_CORE_PHILOX_H

#include <stdint.h>

/* What a stream of random numbers is used for: one value per purpose, never reassigned, so that no two purposes share a stream. */
enum {
    TW_USE_SHUFFLE = 1, /* the order of an epoch */
    TW_USE_VIEW = 2,    /* the parameters of a view */
    TW_USE_INIT = 3,    /* initial weights */
    TW_USE_DROP = 4,    /* dropout and stochastic depth */
    TW_USE_KMEANS = 5,
    TW_USE_LINEAR = 6,
    TW_USE_SYNTH = 7,
};

typedef struct {
    uint32_t key[2];
    uint32_t counter[4];
    uint32_t block[4];
    int left; /* words of block not yet handed out */
} tw_rng;

/* Starts the stream of (seed, use, a, b, c): use < 2^16, a < 2^40 (sample index), b < 2^24 (epoch), c < 2^16 (view number). Larger
 * values are not checked. A stream has 2^32 blocks of four 32-bit words; different tuples give independent streams. */
void tw_rng_init(tw_rng *r, uint64_t seed, uint32_t use, uint64_t a, uint32_t b, uint32_t c);

/* Moves to block n of the stream (words 4n to 4n+3). */
void tw_rng_seek(tw_rng *r, uint32_t n);

uint32_t tw_rng_u32(tw_rng *r);                            /* the next word of the stream */
double tw_rng_uniform(tw_rng *r);                          /* [0, 1), 53 bits */
double tw_rng_between(tw_rng *r, double low, double high); /* [low, high) */
uint64_t tw_rng_below(tw_rng *r, uint64_t n);              /* 0 .. n-1, without bias; n >= 1 */
double tw_rng_normal(tw_rng *r);                           /* mean 0, deviation 1 (Box-Muller, one of the pair) */

/* A permutation of 0..n-1 (Fisher-Yates) into out. */
void tw_rng_permutation(tw_rng *r, uint64_t *out, uint64_t n);

#endif
