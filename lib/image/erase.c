#include "image/erase.h"

#include <math.h>
#include <pthread.h>

enum { STEPS = 1 << 16 };
static uint8_t table[3][STEPS]; /* value of each channel for 16 random bits */
static pthread_once_t once = PTHREAD_ONCE_INIT;

/* The inverse distribution function: the share of entries with values up to v is the probability of a result below v + 0.5. */
static void make_table(void)
{
    static const double mean[3] = {0.485, 0.456, 0.406}, deviation[3] = {0.229, 0.224, 0.225};
    for (int c = 0; c < 3; c++)
        for (int v = 0, i = 0; v < 256; v++) {
            const double z = ((v + 0.5) / 255 - mean[c]) / deviation[c];
            const int end = v < 255 ? (int)lrint(STEPS * 0.5 * erfc(-z / sqrt(2.0))) : STEPS;
            while (i < end)
                table[c][i++] = (uint8_t)v;
        }
}

void tw_erase(uint8_t *pixels, int size, const tw_area *area, tw_rng r)
{
    uint32_t bits = 0;
    int left = 0;
    if (area->height == 0)
        return;
    pthread_once(&once, make_table);
    for (int y = area->top; y < area->top + area->height; y++) {
        uint8_t *p = pixels + ((size_t)y * (size_t)size + (size_t)area->left) * 3;
        for (int i = 0; i < 3 * area->width; i++) {
            if (left == 0)
                bits = tw_rng_u32(&r);
            p[i] = table[i % 3][left == 0 ? bits & 0xffff : bits >> 16];
            left = !left;
        }
    }
}
