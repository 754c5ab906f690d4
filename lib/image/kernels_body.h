/* The arithmetic of the kernels, written on the vector operations of the file that includes this one (kernels_plain.c,
 * kernels_avx2.c, kernels_avx512.c), which also names the table. Included once by each. */

/* Sixteen rows of LANE bytes become LANE rows of sixteen: four rounds of the perfect shuffle. */
static inline void turn(uint8_t *to, size_t stride, vi v[TW_TURN])
{
    for (int round = 0; round < 4; round++) {
        vi t[TW_TURN];
        for (int i = 0; i < 8; i++) {
            t[2 * i] = vunlo8(v[i], v[i + 8]);
            t[2 * i + 1] = vunhi8(v[i], v[i + 8]);
        }
        for (int i = 0; i < TW_TURN; i++)
            v[i] = t[i];
    }
    for (int i = 0; i < TW_TURN; i++)
        for (int part = 0; part < LANE / 16; part++)
            vstore_part(to + (size_t)(16 * part + i) * stride, v[i], part);
}

static void turn_in(uint8_t *tile, const uint8_t *const *row, size_t n)
{
    for (size_t j = 0; j < n; j += LANE)
        for (int half = 0; half < LANE; half += TW_TURN) {
            vi v[TW_TURN];
            for (int i = 0; i < TW_TURN; i++)
                v[i] = vload(row[half + i] + j);
            turn(tile + j * LANE + half, LANE, v);
        }
}

static void turn_out(uint8_t *to, size_t pitch, const uint8_t *tile, size_t n)
{
    for (size_t j = 0; j < n; j += TW_TURN) {
        vi v[TW_TURN];
        for (int i = 0; i < TW_TURN; i++)
            v[i] = vload(tile + (j + (size_t)i) * LANE);
        turn(to + j, pitch, v);
    }
}

/* LANE outputs. Four accumulators hold the sums with the weights' high parts, four with the low ones. */
static inline vi weigh(const uint8_t *from, size_t stride, const tw_weight *weight, int pairs)
{
    vi high[4], low[4];
    for (int i = 0; i < 4; i++) {
        high[i] = vzero();
        low[i] = vset32(1u << 21);
    }
    for (int p = 0; p < pairs; p++, from += 2 * stride) {
        const vi a = vload(from), b = vload(from + stride), h = vset32(weight[p].high), l = vset32(weight[p].low);
        const vi x = vunlo8(a, b), y = vunhi8(a, b);
        const vi v[4] = {vunlo8(x, vzero()), vunhi8(x, vzero()), vunlo8(y, vzero()), vunhi8(y, vzero())};
        for (int i = 0; i < 4; i++) {
            high[i] = vadd32(high[i], vmadd16(v[i], h));
            low[i] = vadd32(low[i], vmadd16(v[i], l));
        }
    }
    for (int i = 0; i < 4; i++)
        high[i] = vsra32(vadd32(high[i], vsra32(low[i], 11)), 11);
    return vpack16(vpack32(high[0], high[1]), vpack32(high[2], high[3]));
}

static void across(uint8_t *out, size_t room, const uint8_t *tile, const tw_taps *t, int from, int n, bool flip)
{
    for (int x = 0; x < n; x++) {
        const int i = from + x, to = flip ? n - 1 - x : x;
        const tw_weight *weight = t->weight + (size_t)i * (size_t)t->room;
        for (size_t c = 0; c < 3; c++)
            vstore(out + (c * room + (size_t)to) * LANE,
                   weigh(tile + (3 * (size_t)t->first[i] + c) * LANE, 3 * LANE, weight, t->pairs[i]));
    }
}

static void down(uint8_t *out, const uint8_t *from, size_t pitch, const tw_weight *weight, int pairs, size_t n)
{
    for (size_t x = 0; x < n; x += LANE)
        vstore(out + x, weigh(from + x, pitch, weight, pairs));
}

/* One box: what is inside times its weight, plus the two pixels beyond the ends times theirs, rounded. in has radius + 1 steps
 * before its first and after its last, of n. A step is two vectors of 16-bit numbers. */
static inline void box(uint16_t *out, const uint16_t *in, int n, const tw_box *b)
{
    const ptrdiff_t r = b->radius;
    const vi high = vset32(b->inside >> 12 | b->beyond >> 12 << 16);
    const vi low = vset32((b->inside & 4095) | (b->beyond & 4095) << 16);
    const vi half = vset32(1u << 23);
    for (int side = 0; side < 2; side++, in += LANE / 2, out += LANE / 2) {
        vi sum = vzero();
        for (ptrdiff_t i = -r - 1; i < r; i++)
            sum = vadd16(sum, vload(in + i * LANE));
        for (ptrdiff_t i = 0; i < n; i++) {
            const vi left = vload(in + (i - r - 1) * LANE);
            sum = vadd16(sum, vsub16(vload(in + (i + r) * LANE), left));
            const vi ends = vadd16(left, vload(in + (i + r + 1) * LANE));
            const vi x = vunlo16(sum, ends), y = vunhi16(sum, ends);
            const vi u = vadd32(vsll32(vmadd16(x, high), 12), vadd32(vmadd16(x, low), half));
            const vi v = vadd32(vsll32(vmadd16(y, high), 12), vadd32(vmadd16(y, low), half));
            vstore(out + i * LANE, vpack32(vsrl32(u, 24), vsrl32(v, 24)));
        }
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

/* Pillow's grey, (19595 r + 38470 g + 7471 b + 2^15) >> 16: every step is below 2^24 and so exact in float. */
static inline vf grey(const vf p[3])
{
    const float unit = 1.0f / 65536;
    return vftrunc(p[0] * vfset(19595 * unit) + p[1] * vfset(38470 * unit) + p[2] * vfset(7471 * unit) + vfset(0.5f));
}

static inline vf clip(vf v)
{
    return vftrunc(vfmin(vfmax(v, vfset(0)), vfset(255)));
}

/* Image.blend as ImageEnhance calls it */
static inline vf blend(vf base, vf value, vf factor)
{
    return clip(base + factor * (value - base));
}

/* Pillow's HSV -> RGB for one channel: v (1 - s m), rounded, where m (of 85) says how much of the saturation acts on it. v, s
 * of 255. It never falls on a half, so float is enough (checked for all h, s, v). */
static inline vf channel(vf v, vf s, vf m)
{
    m = vfmin(vfmax(m, vfset(0)), vfset(85));
    return vftrunc(v * (vfset(21675) - s * m) * vfset(1.0f / 21675) + vfset(0.5f));
}

/* RGB -> HSV in 8 bits, hue turned, HSV -> RGB. The hue is (a +- x) / 6 with x = (max - mid) / (max - min); float gives what
 * Pillow's mixture of float and double gives (checked for all r, g, b). */
static inline void turn_hue(vf p[3], vf shift)
{
    const vf r = p[0], g = p[1], b = p[2];
    const vf low = vfmin(r, g), high = vfmax(r, g), max = vfmax(high, b), min = vfmin(low, b), mid = vfmax(low, vfmin(high, b));
    const vf range = max - min;
    const vm red = vfequal(r, max), green = vfequal(g, max);
    const vf d = vfsel(red, g - b, vfsel(green, b - r, r - g)); /* its sign is the direction */
    const vf at = vfsel(red, vfset(0), vfsel(green, vfset(2), vfset(4)));
    const vf x = (max - mid) / vfmax(range, vfset(1));
    vf h = (at + vfturn(vfset(1), d) - vfturn(x, d)) / vfset(6);
    h = h + vfsel(vfless(h, vfset(0)), vfset(1), vfset(0));
    h = vftrunc(h * vfset(255)) + shift;
    h = h - vfsel(vfless(h, vfset(256)), vfset(0), vfset(256));
    const vf s = vftrunc(range / vfmax(max, vfset(1)) * vfset(255)), turned = h + h; /* 85 to the sixth of a turn */
    p[0] = channel(max, s, vfset(170) - vfabs(turned - vfset(255)));
    p[1] = channel(max, s, vfabs(turned - vfset(170)) - vfset(85));
    p[2] = channel(max, s, vfabs(turned - vfset(340)) - vfset(85));
}

static inline void apply(vf p[3], const tw_colour_op *op)
{
    const vf factor = vfset(op->factor);
    vf base = vfset(op->base);
    switch (op->kind) {
    case TW_SCALE:
        for (int c = 0; c < 3; c++)
            p[c] = vftrunc(vfmin(p[c] * factor, vfset(255)));
        return;
    case TW_SATURATE:
        base = grey(p); /* fall through */
    case TW_STRETCH:
        for (int c = 0; c < 3; c++)
            p[c] = blend(base, p[c], factor);
        return;
    case TW_SHIFT_HUE:
        turn_hue(p, factor);
        return;
    case TW_GREY:
        p[0] = p[1] = p[2] = grey(p);
    }
}

static uint64_t colour(uint8_t *const plane[3], size_t n, const tw_colour_op *op, int n_ops, bool sum)
{
    enum { HALF = LANE / 4, STEP = 2 * HALF };
    uint64_t total = 0;
    vi sums = vzero();
    for (size_t i = 0; i < n; i += STEP) {
        vf p[2][3], l[2];
        for (int h = 0; h < 2; h++) {
            for (int c = 0; c < 3; c++)
                p[h][c] = vfload(plane[c] + i + h * HALF);
            for (int k = 0; k < n_ops; k++)
                apply(p[h], &op[k]);
        }
        if (n_ops > 0)
            for (int c = 0; c < 3; c++)
                vfstore(plane[c] + i, p[0][c], p[1][c]);
        if (!sum)
            continue;
        l[0] = grey(p[0]);
        l[1] = grey(p[1]);
        if (n - i >= STEP) {
            sums = vadd32(sums, vadd32(vfint(l[0]), vfint(l[1])));
            if (i % (STEP << 20) == 0) { /* long before 32 bits are full */
                total += vsum32(sums);
                sums = vzero();
            }
            continue;
        }
        uint8_t rest[STEP];
        vfstore(rest, l[0], l[1]);
        for (size_t k = i; k < n; k++)
            total += rest[k - i];
    }
    return total + vsum32(sums);
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

const tw_kernels KERNELS = {KERNELS_NAME, LANE, turn_in, turn_out, across, down, blur, colour, interleave};
