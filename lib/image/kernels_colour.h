/* Part of kernels_body.h: colour in float, with the roundings of Pillow's whole numbers, floats and doubles. */

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
