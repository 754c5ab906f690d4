/* Inside lib/cpu: kernels written for AVX-512 and its bf16 products, chosen at run time. */
#ifndef TW_CPU_AVX512_H
#define TW_CPU_AVX512_H

#if defined(__x86_64__)
#include <immintrin.h>
#include <stdint.h>

/* The instructions of bf16 are reached in that precision only. */
#define TW_AVX512 __attribute__((target("avx512f,avx512bw,avx512vl,avx512bf16,prfchw")))
#define TW_AVX512_KERNEL TW_AVX512 static inline __attribute__((always_inline))

/* The words (first, second) of two rows of 32 numbers in bf16, as products of bf16 take them: *low has those of the first 16. */
TW_AVX512_KERNEL void tw_words(__m512i *low, __m512i *high, __m512i first, __m512i second)
{
    static const uint16_t order[32] = {0, 32, 1, 33, 2,  34, 3,  35, 4,  36, 5,  37, 6,  38, 7,  39,
                                       8, 40, 9, 41, 10, 42, 11, 43, 12, 44, 13, 45, 14, 46, 15, 47};
    const __m512i to_low = _mm512_loadu_si512(order), to_high = _mm512_add_epi16(to_low, _mm512_set1_epi16(16));
    *low = _mm512_permutex2var_epi16(first, to_low, second);
    *high = _mm512_permutex2var_epi16(first, to_high, second);
}
#endif

#endif
