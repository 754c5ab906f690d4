#include "core/philox.h"

#include <Random123/philox.h>
#include <math.h>

void tw_rng_init(tw_rng *r, uint64_t seed, uint32_t use, uint64_t a, uint32_t b, uint32_t c)
{
    r->key[0] = (uint32_t)seed;
    r->key[1] = (uint32_t)(seed >> 32);
    r->counter[0] = 0; /* counts the blocks */
    r->counter[1] = (uint32_t)a;
    r->counter[2] = (uint32_t)(a >> 32 & 0xff) | b << 8;
    r->counter[3] = use << 16 | (c & 0xffff);
    r->left = 0;
}

void tw_rng_seek(tw_rng *r, uint32_t n)
{
    r->counter[0] = n;
    r->left = 0;
}

uint32_t tw_rng_u32(tw_rng *r)
{
    if (r->left == 0) {
        const philox4x32_ctr_t ctr = {{r->counter[0]++, r->counter[1], r->counter[2], r->counter[3]}};
        const philox4x32_key_t key = {{r->key[0], r->key[1]}};
        const philox4x32_ctr_t out = philox4x32(ctr, key);
        for (int i = 0; i < 4; i++)
            r->block[i] = out.v[i];
        r->left = 4;
    }
    return r->block[4 - r->left--];
}

double tw_rng_uniform(tw_rng *r)
{
    const uint64_t high = tw_rng_u32(r), low = tw_rng_u32(r);
    return (double)((high << 32 | low) >> 11) * 0x1p-53;
}

double tw_rng_between(tw_rng *r, double low, double high)
{
    return low + (high - low) * tw_rng_uniform(r);
}

uint64_t tw_rng_below(tw_rng *r, uint64_t n)
{
    const uint64_t floor = (0 - n) % n; /* 2^64 mod n: draws below it would favour small results */
    for (;;) {
        const uint64_t high = tw_rng_u32(r), x = high << 32 | tw_rng_u32(r);
        if (x >= floor)
            return x % n;
    }
}

double tw_rng_normal(tw_rng *r)
{
    const double u = 1 - tw_rng_uniform(r), v = tw_rng_uniform(r); /* u in (0, 1] */
    return sqrt(-2 * log(u)) * cos(6.283185307179586476925 * v);
}

void tw_rng_permutation(tw_rng *r, uint64_t *out, uint64_t n)
{
    for (uint64_t i = 0; i < n; i++) {
        const uint64_t j = tw_rng_below(r, i + 1);
        out[i] = out[j];
        out[j] = i;
    }
}
