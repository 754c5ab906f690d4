/* Part of kernels_body.h: colour operations in float, with the same results as Pillow's mixture of integers, floats and doubles. */

/* A block of pixels in float: as many whole rows as fit, or part of one, each padded to a multiple of STEP. Each operation is a short loop over the
 * block. The arrays have LANE more elements, since rows are converted to bytes LANE at a time. */
enum { STEP = LANE / 4, BLOCK = 32 * STEP };
typedef struct {
    _Alignas(64) float p[3][BLOCK + LANE];
    int n;               /* numbers in total */
    int rows, row, used; /* row: numbers per row; used: pixels per row */
} block;

/* Maximum and minimum of two floats of which at most one is negative: they are ordered like their bit patterns, and integer comparison is
 * faster. */
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

/* Pillow's grey, (19595 r + 38470 g + 7471 b + 2^15) >> 16, in steps below 2^24, which are exact in float. */
static inline vf grey(vf r, vf g, vf b)
{
    const float unit = 1.0f / 65536;
    return vftrunc(vfmadd(r, vfset(19595 * unit), vfmadd(g, vfset(38470 * unit), vfmadd(b, vfset(7471 * unit), vfset(0.5f)))));
}

/* Whether a result is clipped and truncated to 0..255 now, or left to the conversion to bytes that follows. */
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
static inline void around_number(block *b, const tw_colour_op *op, finish how)
{
    const vf base = vfset(op->kind == TW_SCALE ? 0 : op->base), factor = vfset(op->factor);
    for (int c = 0; c < 3; c++)
        for (int i = 0; i < b->n; i += STEP)
            vfput(b->p[c] + i, finished(blend(base, vfget(b->p[c] + i), factor), how));
}

/* TW_SATURATE */
static inline void around_grey(block *b, const tw_colour_op *op, finish how)
{
    const vf factor = vfset(op->factor);
    for (int i = 0; i < b->n; i += STEP) {
        const vf v[3] = {vfget(b->p[0] + i), vfget(b->p[1] + i), vfget(b->p[2] + i)}, l = grey(v[0], v[1], v[2]);
        for (int c = 0; c < 3; c++)
            vfput(b->p[c] + i, finished(blend(l, v[c], factor), how));
    }
}

/* Pillow's RGB -> HSV in 8 bits, with the hue shifted. The hue is (a +- x) / 6 with x = (range - |difference|) / range; float gives the same as
 * Pillow's mixture of float and double (checked for all r, g, b). The results are the hue (85 per sixth of a turn), the value, and
 * value * saturation / 21675 (checked too, together with channel()). */
static inline void to_hsv(block *p, const tw_colour_op *op)
{
    const vi sign_bit = vset32(1u << 31), one = vset32(0x3f800000), turn_by = vset32((uint32_t)op->factor);
    for (int i = 0; i < p->n; i += STEP) {
        const vf r = vfget(p->p[0] + i), g = vfget(p->p[1] + i), b = vfget(p->p[2] + i);
        const vf max = vfmax(vfmax(r, g), b), range = max - vfmin(vfmin(r, g), b);
        const vm red = vequal32(vfbits(r), vfbits(max)), green = vequal32(vfbits(g), vfbits(max));
        const vf d = vfsel(red, g - b, vfsel(green, b - r, r - g));
        const vi sign = vand(vfbits(d), sign_bit); /* the sign of the difference */
        /* 0, 2 or 4 sixths, where red, green or blue is the greatest: the floats 2 and 4 differ in one bit */
        const vf at = vfof(vunless(red, vor(vset32(0x40000000), vunless(green, vset32(0x00800000)))));
        const vf x = (range - vfabs(d)) / vfmax(range, vfset(1));
        vf h = vfsixth(at + vfof(vor(one, sign)) - vfof(vxor(vfbits(x), sign)));
        h = h + vfof(vand(vsra32(vfbits(h), 31), one)); /* adds 1 to a negative hue */
        const vi whole = vand(vadd32(vfint(h * vfset(255)), turn_by), vset32(255));
        const vf s = vftrunc(range / vfmax(max, vfset(1)) * vfset(255));
        vfput(p->p[0] + i, vfwhole(vadd32(whole, whole)));
        vfput(p->p[1] + i, max);
        vfput(p->p[2] + i, max * s * vfset(1.0f / 21675));
    }
}

/* Pillow's HSV -> RGB: each channel is v (1 - s m), rounded; m, 0..85 for 0..1, is the part of the saturation that applies to it. The result is
 * never halfway between two integers, so float is precise enough, fused or not. */
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

static inline void to_grey(block *b)
{
    for (int i = 0; i < b->n; i += STEP) {
        const vf l = grey(vfget(b->p[0] + i), vfget(b->p[1] + i), vfget(b->p[2] + i));
        for (int c = 0; c < 3; c++)
            vfput(b->p[c] + i, l);
    }
}

static inline uint64_t sum_greys(const block *b)
{
    uint64_t rest = 0;
    vi sums = vzero();
    for (int y = 0; y < b->rows; y++)
        for (int x = 0; x < b->used; x += STEP) {
            const int i = y * b->row + x;
            const vi l = vfint(grey(vfget(b->p[0] + i), vfget(b->p[1] + i), vfget(b->p[2] + i)));
            if (x + STEP <= b->used) {
                sums = vadd32(sums, l);
            } else {
                uint32_t last[STEP];
                vstore(last, l);
                for (int k = x; k < b->used; k++)
                    rest += last[k - x];
            }
        }
    return rest + vsum32(sums);
}

#ifndef LOOKUP
static inline void lookup(uint8_t *p, int n, const uint8_t table[256])
{
    for (int i = 0; i < n; i++)
        p[i] = table[p[i]];
}
#endif

static inline void apply(block *b, const tw_colour_op *op, finish how)
{
    switch (op->kind) {
    case TW_SCALE:
    case TW_STRETCH:
        around_number(b, op, how);
        return;
    case TW_SATURATE:
        around_grey(b, op, how);
        return;
    case TW_SHIFT_HUE:
        to_hsv(b, op);
        to_rgb(b, how);
        return;
    case TW_GREY:
        to_grey(b);
        return;
    case TW_TABLE: /* applied to the bytes, before or after the other operations */
        return;
    }
}

static inline void look_up(uint8_t *const at[3], size_t pitch, const block *b, const uint8_t *table)
{
    for (int c = 0; c < 3; c++)
        for (int y = 0; y < b->rows; y++)
            lookup(at[c] + (size_t)y * pitch, b->used, table);
}

static inline void load(block *b, uint8_t *const at[3], size_t pitch)
{
    for (int c = 0; c < 3; c++)
        for (int y = 0; y < b->rows; y++)
            for (int x = 0; x < b->row; x += STEP)
                vfput(b->p[c] + y * b->row + x, vfload(at[c] + (size_t)y * pitch + x));
}

static inline void store(uint8_t *const at[3], size_t pitch, const block *b)
{
    for (int c = 0; c < 3; c++)
        for (int y = 0; y < b->rows; y++)
            for (int x = 0; x < b->row; x += LANE)
                vstore(at[c] + (size_t)y * pitch + x, vfbytes(b->p[c] + y * b->row + x));
}

static uint64_t colour_block(block *b, uint8_t *const at[3], size_t pitch, const tw_colour_op *op, int n_ops, bool sum)
{
    const uint8_t *first = n_ops > 0 && op[0].kind == TW_TABLE ? op[0].table : NULL;
    const uint8_t *final = n_ops > 1 && op[n_ops - 1].kind == TW_TABLE ? op[n_ops - 1].table : NULL;
    op += first != NULL;
    n_ops -= (first != NULL) + (final != NULL);
    if (first != NULL)
        look_up(at, pitch, b, first);
    if (n_ops > 0 || sum)
        load(b, at, pitch);
    for (int k = 0; k < n_ops; k++) {
        if (k == n_ops - 1 && (!sum || final != NULL) && op[k].factor < 64) /* stays within 16 bits */
            apply(b, &op[k], LEAVE);
        else
            apply(b, &op[k], CLIP);
    }
    if (n_ops > 0)
        store(at, pitch, b);
    if (final != NULL)
        look_up(at, pitch, b, final);
    if (final != NULL && sum)
        load(b, at, pitch);
    return sum ? sum_greys(b) : 0;
}

static uint64_t colour(uint8_t *const plane[3], size_t pitch, int w, int h, const tw_colour_op *op, int n_ops, bool sum)
{
    block b;
    uint64_t total = 0;
    const int most = w < BLOCK ? BLOCK / ((w + STEP - 1) / STEP * STEP) : 1; /* rows at once */
    for (int c = 0; c < 3; c++) /* the rest after the last row is converted to bytes too */
        for (int i = 0; i < BLOCK + LANE; i += STEP)
            vfput(b.p[c] + i, vfset(0));
    for (int y = 0; y < h; y += most)
        for (int x = 0; x < w; x += BLOCK) {
            const size_t from = (size_t)y * pitch + (size_t)x;
            uint8_t *const at[3] = {plane[0] + from, plane[1] + from, plane[2] + from};
            b.rows = most < h - y ? most : h - y;
            b.used = BLOCK < w - x ? BLOCK : w - x;
            b.row = (b.used + STEP - 1) / STEP * STEP;
            b.n = b.rows * b.row;
            total += colour_block(&b, at, pitch, op, n_ops, sum);
        }
    return total;
}
