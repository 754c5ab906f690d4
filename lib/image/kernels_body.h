/* The arithmetic of the kernels, in terms of vector operations that the including file defines (kernels_plain.c, kernels_avx2.c,
 * kernels_avx512.c, kernels_vnni.c), together with the name of the table. Included once by each. */

#include "image/kernels_resize.h"

#include "image/kernels_colour.h"

/* Vector of the coarse, or fine, parts of both weights of a box, inside and beyond, alternating. A weight is 65536 * coarse + fine, both signed. */
static inline vi both(uint32_t inside, uint32_t beyond, bool coarse)
{
    return coarse ? vset32((inside + 32768) >> 16 | ((beyond + 32768) >> 16) << 16) : vset32((inside & 65535) | beyond << 16);
}

/* One box blur: sum of the pixels inside times their weight, plus the two pixels beyond the ends times theirs, rounded. in: n steps, with radius
 * + 1 further ones before and after them. A step is two vectors of 16-bit numbers. */
static inline void box(uint16_t *out, const uint16_t *in, int n, const tw_box *b)
{
    const ptrdiff_t r = b->radius;
    const vi coarse = both(b->inside, b->beyond, true), fine = both(b->inside, b->beyond, false), half = vset32(1u << 23);
    vi sum[2] = {vzero(), vzero()};
    for (ptrdiff_t i = -r - 1; i < r; i++)
        for (int side = 0; side < 2; side++)
            sum[side] = vadd16(sum[side], vload(in + i * LANE + side * (LANE / 2)));
    for (ptrdiff_t i = 0; i < n; i++)
        for (int side = 0; side < 2; side++) {
            const uint16_t *at = in + i * LANE + side * (LANE / 2);
            const vi left = vload(at - (r + 1) * LANE);
            sum[side] = vadd16(sum[side], vsub16(vload(at + r * LANE), left));
            const vi ends = vadd16(left, vload(at + (r + 1) * LANE));
            const vi x = vunlo16(sum[side], ends), y = vunhi16(sum[side], ends);
            const vi low = vdot16(vsra32(vdot16(half, x, fine), 16), x, coarse); /* in 2^-8, below 2^16 */
            const vi high = vdot16(vsra32(vdot16(half, y, fine), 16), y, coarse);
            vstore(out + i * LANE + side * (LANE / 2), vpack32(vsrl32(low, 8), vsrl32(high, 8)));
        }
}

static void blur(uint8_t *at, size_t pitch, int n, const tw_box *b, int passes, uint16_t *work)
{
    const size_t margin = (size_t)b->radius + 1, size = ((size_t)n + 2 * margin) * LANE;
    uint16_t *in = work + margin * LANE, *out = in + size;
    for (int i = 0; i < n; i++) {
        const vi v = vload(at + (size_t)i * pitch);
        vstore(in + i * LANE, vunlo8(v, vzero()));
        vstore(in + i * LANE + LANE / 2, vunhi8(v, vzero()));
    }
    for (int pass = 0; pass < passes; pass++) {
        for (size_t i = 1; i <= margin; i++) {
            memcpy(in - i * LANE, in, LANE * sizeof *in);
            memcpy(in + ((size_t)n - 1 + i) * LANE, in + (n - 1) * LANE, LANE * sizeof *in);
        }
        box(out, in, n, b);
        uint16_t *t = in;
        in = out;
        out = t;
    }
    for (int i = 0; i < n; i++)
        vstore(at + (size_t)i * pitch, vpack16(vload(in + i * LANE), vload(in + i * LANE + LANE / 2)));
}

static void interleave(uint8_t *to, const uint8_t *const plane[3], size_t n, bool solarize)
{
    for (size_t i = 0; i < n; i += LANE) {
        vi v[3];
        for (int c = 0; c < 3; c++) {
            v[c] = vload(plane[c] + i);
            if (solarize)
                v[c] = vsolarize(v[c]);
        }
        if (n - i >= LANE) {
            vinterleave(to + 3 * i, v[0], v[1], v[2]);
        } else {
            uint8_t rest[3 * LANE];
            vinterleave(rest, v[0], v[1], v[2]);
            memcpy(to + 3 * i, rest, 3 * (n - i));
        }
    }
}

const tw_kernels KERNELS = {KERNELS_NAME, LANE, BY_TABLE, taps, turn_in, turn_out, across, down, blur, colour, interleave};
