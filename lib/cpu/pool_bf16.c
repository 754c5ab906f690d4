#include "cpu/pool_bf16.h"

#include "cpu/avx512.h"

enum { LANES = 16 };

#if defined(__x86_64__)
/* 16 channels of a pixel. */
TW_AVX512_KERNEL void gather_channels(uint16_t *dx, const uint8_t *pick, const uint16_t *dy, const tw_pool_shape *s, const tw_pool_pixel *at,
                                      __mmask16 lanes)
{
    __m512 sum = _mm512_setzero_ps();
    for (int y = at->down.first; y <= at->down.last; y++)
        for (int x = at->across.first; x <= at->across.last; x++) {
            const size_t from = at->picture + ((size_t)y * (size_t)s->OW + (size_t)x) * (size_t)s->C;
            const __m128i taps = lanes == TW_ALL_LANES ? _mm_loadu_si128((const void *)(pick + from)) : _mm_maskz_loadu_epi8(lanes, pick + from);
            const __mmask16 mine = _mm_mask_cmpeq_epi8_mask(lanes, taps, _mm_set1_epi8((char)tw_pool_tap(s, at, y, x)));
            sum = _mm512_add_ps(sum, tw_widened16(_mm256_maskz_mov_epi16(mine, tw_load16(lanes, dy + from))));
        }
    tw_put16(dx, lanes, sum);
}

TW_AVX512 void tw_pool16_gather(uint16_t *dx, const uint8_t *pick, const uint16_t *dy, const tw_pool_shape *s, int64_t first, int64_t n)
{
    for (int64_t i = first; i < first + n; i++, dx += s->C) {
        const tw_pool_pixel at = tw_pool_pixel_of(s, i);
        int c = 0;
        for (; c + LANES <= s->C; c += LANES)
            gather_channels(dx + c, pick + c, dy + c, s, &at, TW_ALL_LANES);
        if (c < s->C)
            gather_channels(dx + c, pick + c, dy + c, s, &at, tw_first_lanes(s->C - c));
    }
}
#else /* never called: elsewhere no device opens in bf16 */
void tw_pool16_gather(uint16_t *dx, const uint8_t *pick, const uint16_t *dy, const tw_pool_shape *s, int64_t first, int64_t n)
{
    (void)dx, (void)pick, (void)dy, (void)s, (void)first, (void)n;
}
#endif
