#include "image/kernels.h"

#include <stdlib.h>
#include <string.h>

const tw_kernels *tw_kernels_at(int i)
{
    const tw_kernels *have[4];
    int n = 0;
    have[n++] = &tw_kernels_plain;
#if defined(__x86_64__)
    __builtin_cpu_init();
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"))
        have[n++] = &tw_kernels_avx2;
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw"))
        have[n++] = &tw_kernels_avx512;
    if (n == 3 && __builtin_cpu_supports("avx512vbmi") && __builtin_cpu_supports("avx512vnni"))
        have[n++] = &tw_kernels_vnni;
#endif
    return i >= 0 && i < n ? have[i] : NULL;
}

const tw_kernels *tw_kernels_best(void)
{
    const tw_kernels *best = NULL;
    const char *most = getenv("TWIST_SIMD");
    for (int i = 0; tw_kernels_at(i) != NULL; i++) {
        best = tw_kernels_at(i);
        if (most != NULL && strcmp(most, best->name) == 0)
            break;
    }
    return best;
}
