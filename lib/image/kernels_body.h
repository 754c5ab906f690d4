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
            for (int i = 0; i < TW_TURN; i++) {
                v[i] = vload(row[half + i] + j);
                __builtin_prefetch(row[half + i] + j + 192);
            }
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

/* One pair of taps for LANE outputs: the products with the coarse weights in 16 bits, with the fine ones in 32. */
typedef struct {
    vi c0, c1, f0, f1, f2, f3;
} products;

static inline products weigh_pair(const uint8_t *from, size_t stride, const tw_weight *weight)
{
    const vi a = vload(from), b = vload(from + stride), coarse = vset32(weight->coarse), fine = vset32(weight->fine);
    const vi x = vunlo8(a, b), y = vunhi8(a, b), zero = vzero();
    return (products){vmadd8(x, coarse), vmadd8(y, coarse), vmadd16(vunlo8(x, zero), fine), vmadd16(vunhi8(x, zero), fine),
                      vmadd16(vunlo8(y, zero), fine), vmadd16(vunhi8(y, zero), fine)};
}

/* LANE outputs of at least one pair. 32 in the coarse sum is one half in the result. */
static inline vi weigh(const uint8_t *from, size_t stride, const tw_weight *weight, int pairs)
{
    const vi half = vset32(32 | 32 << 16), zero = vzero();
    products s = weigh_pair(from, stride, weight);
    s.c0 = vadd16(s.c0, half);
    s.c1 = vadd16(s.c1, half);
    for (const tw_weight *end = weight + pairs; ++weight < end;) {
        from += 2 * stride;
        const products p = weigh_pair(from, stride, weight);
        s.c0 = vadd16(s.c0, p.c0);
        s.c1 = vadd16(s.c1, p.c1);
        s.f0 = vadd32(s.f0, p.f0);
        s.f1 = vadd32(s.f1, p.f1);
        s.f2 = vadd32(s.f2, p.f2);
        s.f3 = vadd32(s.f3, p.f3);
    }
    s.f0 = vsra32(vadd32(s.f0, vunlo16(zero, s.c0)), 22);
    s.f1 = vsra32(vadd32(s.f1, vunhi16(zero, s.c0)), 22);
    s.f2 = vsra32(vadd32(s.f2, vunlo16(zero, s.c1)), 22);
    s.f3 = vsra32(vadd32(s.f3, vunhi16(zero, s.c1)), 22);
    return vpack16(vpack32(s.f0, s.f1), vpack32(s.f2, s.f3));
}

/* Outputs side by side in double, as many as a vector holds. */
typedef double vd __attribute__((vector_size(LANE)));
typedef int64_t vdm __attribute__((vector_size(LANE)));
typedef int32_t vdi __attribute__((vector_size(LANE / 2)));
enum { WIDE = LANE / (int)sizeof(double) };

static inline vd vdsel(vdm m, vd a, vd b)
{
    return (vd)(((vdm)a & m) | ((vdm)b & ~m));
}

/* Pillow's filters, whose steps and roundings these are. */
static inline vd filter_at(vd x, bool cubic)
{
    x = (vd)((vdm)x & INT64_MAX);
    if (!cubic)
        return vdsel(x < 1.0, 1.0 - x, (vd){0});
    const vd near = ((1.5 * x - 2.5) * x) * x + 1.0, far = (((x - 5.0) * x + 8.0) * x - 4.0) * -0.5;
    return vdsel(x < 1.0, near, vdsel(x < 2.0, far, (vd){0}));
}

/* The first tap and the number of taps of WIDE outputs from `at` on; those beyond the last are the last one again. */
static inline int place_taps(tw_taps *t, const tw_scale *s, int at, vd *centre, vd *first, vd *count)
{
    int most = 0;
    for (int l = 0; l < WIDE; l++) {
        const int i = at + l < t->n ? at + l : t->n - 1;
        const double c = (s->from + i + 0.5) * s->scale;
        int low = (int)(c - s->support + 0.5), high = (int)(c + s->support + 0.5);
        low = low < 0 ? 0 : low;
        high = high > s->size ? s->size : high;
        (*centre)[l] = c;
        (*first)[l] = low;
        (*count)[l] = high - low;
        t->first[i] = low;
        t->pairs[i] = (high - low + 1) / 2;
        most = high - low > most ? high - low : most;
    }
    return most;
}

/* The weights of a pair of taps, for WIDE outputs. coarse is what is above 16 bits, rounded. */
static inline void pair_up(tw_weight *to, const int32_t *a, const int32_t *b)
{
    for (int l = 0; l < WIDE; l++) {
        const uint32_t x = (uint32_t)(a[l] + 32768) >> 16 & 255, y = (uint32_t)(b[l] + 32768) >> 16 & 255;
        to[l].coarse = x | x << 16 | y << 8 | y << 24;
        to[l].fine = ((uint32_t)a[l] & 0xffff) | (uint32_t)b[l] << 16;
    }
}

static void taps(tw_taps *t, const tw_scale *s, double *work, int32_t *fixed)
{
    for (int at = 0; at < t->n; at += WIDE) {
        vd centre, first, count, sum = {0};
        const int most = place_taps(t, s, at, &centre, &first, &count);
        for (int k = 0; k < most; k++) {
            vd w = filter_at((first + (double)k - centre + 0.5) * s->narrow, s->cubic);
            w = vdsel(count > (double)k, w, (vd){0});
            sum += w;
            memcpy(work + k * WIDE, &w, sizeof w);
        }
        sum = vdsel(sum == 0.0, (vd){0} + 1.0, sum);
        for (int k = 0; k < most; k++) {
            vd w;
            memcpy(&w, work + k * WIDE, sizeof w);
            w = w / sum * (1 << 22); /* to whole numbers, halves away from zero */
            const vdi whole = __builtin_convertvector(w + vdsel(w < 0.0, (vd){0} - 0.5, (vd){0} + 0.5), vdi);
            memcpy(fixed + k * WIDE, &whole, sizeof whole);
        }
        memset(fixed + most * WIDE, 0, sizeof(vdi)); /* the partner of an odd last tap */
        for (int k = 0; k < most; k += 2) {
            tw_weight w[WIDE];
            pair_up(w, fixed + k * WIDE, fixed + (k + 1) * WIDE);
            for (int l = 0; l < WIDE && at + l < t->n; l++)
                t->weight[(at + l) * t->room + k / 2] = w[l];
        }
    }
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
 * before its first and after its last, of n. A step is two vectors of 16-bit numbers; even and odd ones are weighed apart. */
static inline void box(uint16_t *out, const uint16_t *in, int n, const tw_box *b)
{
    const ptrdiff_t r = b->radius;
    const vi inside = vset32(b->inside), beyond = vset32(b->beyond), half = vset32(1u << 23), low = vset32(0xffff);
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
            const vi even = vadd32(vmul32(vand(sum[side], low), inside), vadd32(vmul32(vand(ends, low), beyond), half));
            const vi odd = vadd32(vmul32(vsrl32(sum[side], 16), inside), vadd32(vmul32(vsrl32(ends, 16), beyond), half));
            vstore(out + i * LANE + side * (LANE / 2), vmerge16(vsrl32(even, 24), vsrl32(odd, 8)));
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

/* A stretch of pixels in the making, in float: short loops over it, one a step, keep the processor busy. The first step takes
 * its pixels from the bytes of the planes (BYTES), the others from where the one before has left them. */
enum { STEP = LANE / 4, BLOCK = 32 * STEP };
typedef struct {
    _Alignas(64) float p[3][BLOCK];
    const uint8_t *plane[3];
    int n; /* pixels, a multiple of LANE */
} block;
typedef enum { FLOATS, BYTES } origin; /* a constant at each call, so that the loops have no branch */

static inline vf pixel(const block *b, origin from, int c, int i)
{
    return from == BYTES ? vfload(b->plane[c] + i) : vfget(b->p[c] + i);
}

/* The greater and the smaller of two numbers of which at most one is negative: such floats are ordered as their bits are, and
 * whole numbers are compared faster. */
static inline vf vfmax(vf a, vf b)
{
    return vfof(vmax32(vfbits(a), vfbits(b)));
}

static inline vf vfmin(vf a, vf b)
{
    return vfof(vmin32(vfbits(a), vfbits(b)));
}

static inline vf vfabs(vf a)
{
    return vfof(vand(vfbits(a), vset32(0x7fffffff)));
}

/* Pillow's grey, (19595 r + 38470 g + 7471 b + 2^15) >> 16: every step is below 2^24 and so exact in float. */
static inline vf grey(vf r, vf g, vf b)
{
    const float unit = 1.0f / 65536;
    return vftrunc(vfmadd(r, vfset(19595 * unit), vfmadd(g, vfset(38470 * unit), vfmadd(b, vfset(7471 * unit), vfset(0.5f)))));
}

/* How a result becomes a whole number of 0..255: by clipping and truncating, or not yet, since the block is stored next, which
 * does both. */
typedef enum { CLIP, LEAVE } finish;

static inline vf finished(vf v, finish how)
{
    return how == CLIP ? vftrunc(vfmin(vfmax(v, vfset(0)), vfset(255))) : v;
}

static inline vf blend(vf base, vf value, vf factor)
{
    return vfsum(factor * (value - base), base); /* rounded twice, as Image.blend does */
}

/* TW_SCALE, TW_STRETCH */
static inline void around_number(block *b, const tw_colour_op *op, origin from, finish how)
{
    const vf base = vfset(op->kind == TW_SCALE ? 0 : op->base), factor = vfset(op->factor);
    for (int c = 0; c < 3; c++)
        for (int i = 0; i < b->n; i += LANE)
            for (int k = i; k < i + LANE; k += STEP)
                vfput(b->p[c] + k, finished(blend(base, pixel(b, from, c, k), factor), how));
}

/* TW_SATURATE */
static inline void around_grey(block *b, const tw_colour_op *op, origin from, finish how)
{
    const vf factor = vfset(op->factor);
    for (int i = 0; i < b->n; i += STEP) {
        const vf v[3] = {pixel(b, from, 0, i), pixel(b, from, 1, i), pixel(b, from, 2, i)}, l = grey(v[0], v[1], v[2]);
        for (int c = 0; c < 3; c++)
            vfput(b->p[c] + i, finished(blend(l, v[c], factor), how));
    }
}

/* Pillow's RGB -> HSV in 8 bits, the hue turned. The hue is (a +- x) / 6 with x = (range - |difference|) / range; float gives
 * what Pillow's mixture of float and double gives (checked for all r, g, b). Leaves the hue (85 to the sixth of a turn), the
 * value, and value * saturation / 21675 (checked too, with what follows). */
static inline void to_hsv(block *p, const tw_colour_op *op, origin from)
{
    const vi sign_bit = vset32(1u << 31), one = vset32(0x3f800000), turn_by = vset32((uint32_t)op->factor);
    for (int i = 0; i < p->n; i += STEP) {
        const vf r = pixel(p, from, 0, i), g = pixel(p, from, 1, i), b = pixel(p, from, 2, i);
        const vf max = vfmax(vfmax(r, g), b), range = max - vfmin(vfmin(r, g), b);
        const vm red = vequal32(vfbits(r), vfbits(max)), green = vequal32(vfbits(g), vfbits(max));
        const vf d = vfsel(red, g - b, vfsel(green, b - r, r - g));
        const vi sign = vand(vfbits(d), sign_bit); /* the direction */
        /* 0, 2 or 4 sixths, where red, green or blue is the greatest: the floats 2 and 4 differ in one bit */
        const vf at = vfof(vunless(red, vor(vset32(0x40000000), vunless(green, vset32(0x00800000)))));
        const vf x = (range - vfabs(d)) / vfmax(range, vfset(1));
        vf h = vfsixth(at + vfof(vor(one, sign)) - vfof(vxor(vfbits(x), sign)));
        h = h + vfof(vand(vsra32(vfbits(h), 31), one)); /* 1 to what is below 0 */
        const vi whole = vand(vadd32(vfint(h * vfset(255)), turn_by), vset32(255));
        const vf s = vftrunc(range / vfmax(max, vfset(1)) * vfset(255));
        vfput(p->p[0] + i, vfwhole(vadd32(whole, whole)));
        vfput(p->p[1] + i, max);
        vfput(p->p[2] + i, max * s * vfset(1.0f / 21675));
    }
}

/* Pillow's HSV -> RGB: each channel is v (1 - s m), rounded, where m (of 85) says how much of the saturation acts on it. It never
 * falls on a half, so float is enough, fused or not. */
static inline vf channel(vf v, vf vs, vf m, finish how)
{
    const vf c = vfnmadd(vs, vfmin(vfmax(m, vfset(0)), vfset(85)), v); /* within 0..255.5 */
    return how == CLIP ? vftrunc(c) : c;
}

static inline void to_rgb(block *p, finish how)
{
    for (int i = 0; i < p->n; i += STEP) {
        const vf h = vfget(p->p[0] + i), v = vfget(p->p[1] + i) + vfset(0.5f), vs = vfget(p->p[2] + i);
        vfput(p->p[0] + i, channel(v, vs, vfset(170) - vfabs(h - vfset(255)), how));
        vfput(p->p[1] + i, channel(v, vs, vfsum(vfabs(h - vfset(170)), vfset(-85)), how));
        vfput(p->p[2] + i, channel(v, vs, vfsum(vfabs(h - vfset(340)), vfset(-85)), how));
    }
}

static inline void to_grey(block *b, origin from)
{
    for (int i = 0; i < b->n; i += STEP) {
        const vf l = grey(pixel(b, from, 0, i), pixel(b, from, 1, i), pixel(b, from, 2, i));
        for (int c = 0; c < 3; c++)
            vfput(b->p[c] + i, l);
    }
}

/* The sum of the greys of the first n pixels. */
static inline uint64_t sum_greys(const block *b, origin from, size_t n)
{
    const size_t whole = n / STEP * STEP;
    uint64_t rest = 0;
    vi sums = vzero();
    for (size_t i = 0; i < n; i += STEP) {
        const vi l = vfint(grey(pixel(b, from, 0, (int)i), pixel(b, from, 1, (int)i), pixel(b, from, 2, (int)i)));
        if (i < whole) {
            sums = vadd32(sums, l);
        } else {
            uint32_t last[STEP];
            vstore(last, l);
            for (size_t k = i; k < n; k++)
                rest += last[k - i];
        }
    }
    return rest + vsum32(sums);
}

static inline void apply(block *b, const tw_colour_op *op, origin from, finish how)
{
    switch (op->kind) {
    case TW_SCALE:
    case TW_STRETCH:
        around_number(b, op, from, how);
        return;
    case TW_SATURATE:
        around_grey(b, op, from, how);
        return;
    case TW_SHIFT_HUE:
        to_hsv(b, op, from);
        to_rgb(b, how);
        return;
    case TW_GREY:
        to_grey(b, from);
    }
}

static uint64_t colour(uint8_t *const plane[3], size_t n, const tw_colour_op *op, int n_ops, bool sum)
{
    block b;
    uint64_t total = 0;
    for (size_t at = 0; at < n; at += BLOCK) {
        const size_t left = n - at < BLOCK ? n - at : BLOCK;
        b.n = (int)((left + LANE - 1) / LANE * LANE);
        for (int c = 0; c < 3; c++)
            b.plane[c] = plane[c] + at;
        for (int k = 0; k < n_ops; k++) {
            const bool last = k == n_ops - 1 && !sum && op[k].factor < 64; /* stays within 16 bits */
            if (last && k == 0)
                apply(&b, &op[k], BYTES, LEAVE);
            else if (last)
                apply(&b, &op[k], FLOATS, LEAVE);
            else if (k == 0)
                apply(&b, &op[k], BYTES, CLIP);
            else
                apply(&b, &op[k], FLOATS, CLIP);
        }
        if (sum)
            total += n_ops > 0 ? sum_greys(&b, FLOATS, left) : sum_greys(&b, BYTES, left);
        for (int c = 0; c < 3 && n_ops > 0; c++)
            for (int i = 0; i < b.n; i += LANE)
                vstore(plane[c] + at + i, vfbytes(b.p[c] + i));
    }
    return total;
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

const tw_kernels KERNELS = {KERNELS_NAME, LANE, taps, turn_in, turn_out, across, down, blur, colour, interleave};
