/* Part of kernels_body.h: transposition, resize weights, resizing. */

/* Transposes sixteen rows of LANE bytes into LANE rows of sixteen, by four rounds of the perfect shuffle. */
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

/* Sums for LANE outputs: of the products with the coarse weights in 16 bits, with the fine ones in 32 bits. */
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

/* Computes LANE outputs; pairs >= 1. 32 in the coarse sum is 0.5 in the result. */
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

/* A vector of doubles, one per output. */
typedef double vd __attribute__((vector_size(LANE)));
typedef int64_t vdm __attribute__((vector_size(LANE)));
typedef uint64_t vdw __attribute__((vector_size(LANE)));
typedef int32_t vdi __attribute__((vector_size(LANE / 2)));
typedef uint32_t vdu __attribute__((vector_size(LANE / 2)));
enum { WIDE = LANE / (int)sizeof(double) };

static inline vd vdsel(vdm m, vd a, vd b)
{
    return (vd)(((vdm)a & m) | ((vdm)b & ~m));
}

/* Pillow's filters, with the same steps and roundings. */
static inline vd filter_at(vd x, bool cubic)
{
    x = (vd)((vdm)x & INT64_MAX);
    if (!cubic)
        return vdsel(x < 1.0, 1.0 - x, (vd){0});
    const vd near = ((1.5 * x - 2.5) * x) * x + 1.0, far = (((x - 5.0) * x + 8.0) * x - 4.0) * -0.5;
    return vdsel(x < 1.0, near, vdsel(x < 2.0, far, (vd){0}));
}

/* The first tap and the number of taps of WIDE outputs from `at` on; beyond the last output, the last one is repeated. */
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

/* Packs the weights of a pair of taps for WIDE outputs. coarse = weight / 65536, rounded. */
static inline void pair_up(tw_weight *to, const int32_t *a, const int32_t *b)
{
    vdu p, q;
    memcpy(&p, a, sizeof p);
    memcpy(&q, b, sizeof q);
    const vdu x = (p + 32768) >> 16 & 255, y = (q + 32768) >> 16 & 255;
    const vdu coarse = x | x << 16 | y << 8 | y << 24, fine = (p & 0xffff) | q << 16;
    const vdw weight = __builtin_convertvector(coarse, vdw) | __builtin_convertvector(fine, vdw) << 32; /* coarse is the first half */
    memcpy(to, &weight, sizeof weight);
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
            w = w / sum * (1 << 22); /* to integers, ties away from zero */
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
