#include "cpu/slices.h"

enum { AT_ONCE = 4096, MOST = 8 };

int tw_slices_count(size_t each, size_t bytes, int64_t n, int64_t least)
{
    int slices = MOST;
    while (slices > 1 && ((size_t)slices * each > bytes || n < slices * least))
        slices /= 2;
    return slices;
}

int tw_slices_parts(int slices, int threads)
{
    int a = slices, b = threads;
    while (b != 0) {
        const int rest = a % b;
        a = b, b = rest;
    }
    return threads / a;
}

TW_CLONES static void add(float *restrict to, const float *restrict slice, int slices, size_t apart, int64_t n)
{
    for (int64_t i = 0; i < n; i++) {
        float sum = slice[i];
        for (int j = 1; j < slices; j++)
            sum += slice[(size_t)j * apart + (size_t)i];
        to[i] += sum;
    }
}

void tw_slices_add(float *to, const float *slice, int slices, size_t apart, size_t n)
{
#pragma omp parallel for schedule(static) if (n > AT_ONCE)
    for (size_t i = 0; i < n; i += AT_ONCE)
        add(to + i, slice + i, slices, apart, tw_min(AT_ONCE, (int64_t)(n - i)));
}
