/* The TWIST loss and its gradient over [V*B,K] logits, read four times (rows and columns in logits.cu, sums over classes, gradient) and written
 * once; probabilities exist in registers only. Sums are in an order that depends on the shape only.
 *
 * The derivatives are those of train/loss.c, rearranged so that a class costs little. With L = log(p + eps) and r = p / (p + eps), p times the
 * derivative by p of view v is
 *     p (c L + mean - kl S) + r (c p - kl P),   c = kl n - entropy,
 * where kl and entropy are the coefficients of the divergences and of the entropies, mean is the diversity's contribution, n the number of the view
 * and its partners, P the sum of their p and S that of their L. With a teacher there are no n and S, and P is the sum of the teacher's
 * probabilities. If tau is not 1, entropies and diversity have such an expression of their own, in s. The divergences between view v and
 * views 0 and 1 are
 *     ((2 p - P) (2 L - S) + (p_0 - p_1) (L_0 - L_1)) / 2. */
#include "cuda/kernel.h"

#include "cuda/board.h"
#include "nn/formula.h"

/* Kernels. */

/* Computes dmean, and each block's part of he. */
static __global__ void diversity(tw_loss_memory m, bool taught)
{
    const int64_t i = TW_GRID_FROM;
    double he = 0;
    if (i < (int64_t)m.V * m.K) {
        const double mean = m.mean[i] / m.global, log_m = log(mean + (double)TW_LOSS_EPS);
        const double weight = tw_view_weight((int)(i / m.K), m.V, taught);
        he = -weight * mean * log_m;
        m.dmean[i] = (float)(m.lam2 * weight / m.global * tw_mean_entropy_slope(mean, log_m));
    }
    he = tw_block_sum(he);
    if (threadIdx.x == 0)
        m.part[2 * m.B + blockIdx.x] = he;
}

/* Of one logit: its probability p, log2(p + eps) and p / (p + eps). */
struct number {
    float p, bits, share;
};

/* The numbers of W adjacent classes; bits: log2(e) / temperature. Two classes share a division. */
template <int W> static __device__ inline void numbers_of(number x[W], const float f[W], float bits, float shift)
{
    float over[W];
#pragma unroll
    for (int i = 0; i < W; i++) {
        x[i].p = tw_quick_exp2(f[i] * bits - shift);
        over[i] = x[i].p + TW_LOSS_EPS;
        x[i].bits = tw_quick_log2(over[i]);
    }
    const float inverse = tw_quick_inverse(W == 2 ? over[0] * over[W - 1] : over[0]);
    x[0].share = x[0].p * (W == 2 ? over[W - 1] : 1) * inverse;
    if (W == 2)
        x[W - 1].share = x[W - 1].p * over[0] * inverse;
}

/* Returns to + p (c log(p + eps) + a) + p / (p + eps) (c p + b). */
static __device__ inline float add_slope(float to, const number &x, float c, float a, float b)
{
    return x.p * (c * TW_LN_2 * x.bits + a) + (x.share * (c * x.p + b) + to);
}

/* A block's shared data of its sample: per view the shift that turns logits into probabilities, at temperature 1 and tau (the teacher's views last);
 * the coefficients of the derivatives, for views 0 and 1 and for the others; <p, dp> and <s, ds>, once known. */
struct sample {
    volatile float shift[TW_MOST_VIEWS], shift_tau[TW_MOST_VIEWS + 2]; /* volatile: read again at each use, to save registers */
    float kl, pairs[2], entropy[2];
    float dot[TW_MOST_VIEWS], dot_tau[TW_MOST_VIEWS];
};

/* All threads of the block must call it. */
static __device__ inline void read_sample(sample *of, const tw_loss_memory &m, int b, bool taught, float bits)
{
    const int t = (int)threadIdx.x;
    if (t < m.V + (taught ? 2 : 0)) {
        const tw_row_stats r = t < m.V ? m.row[(int64_t)t * m.B + b] : m.taught[(int64_t)(t - m.V) * m.B + b];
        if (t < m.V)
            of->shift[t] = r.most * TW_LOG2_E - log2f(r.inverse);
        of->shift_tau[t] = r.most * bits - log2f(r.inverse_tau);
    }
    if (t == 0)
        of->kl = (float)(1 / (tw_divergences(m.V, taught) * m.global));
    if (t < 2) {
        const int v = 2 * t;
        of->pairs[t] = (float)((v < 2 ? m.V : 2) / (tw_divergences(m.V, taught) * m.global));
        of->entropy[t] = (float)(tw_view_weight(v, m.V, taught) * (1 + m.lam1) / m.global);
    }
    __syncthreads();
}

/* The loss's terms. PAIRS: divergences of pairs and entropies, all at temperature 1; PAIRS_AND_TAU: entropies at tau; TAUGHT: divergences from the
 * teacher and entropies, all at tau. */
enum terms { PAIRS, PAIRS_AND_TAU, TAUGHT };

/* Resident blocks per multiprocessor, limited by registers. */
constexpr int together(int most, int terms)
{
    return most > 16 ? 1 : most > 2 && terms == PAIRS_AND_TAU ? 2 : 4;
}

/* A thread's sums: divergences and entropies (of views 0 and 1; of the others), in bits; <p, dp> and <s, ds>. */
template <int MOST, int TERMS> struct class_sums {
    float kl, eh[2], dot[MOST], dot_tau[TERMS == PAIRS_AND_TAU ? MOST : 1];
};

/* W classes of all views of a sample: adds to those sums (SUMS), or writes the gradient. The number of views is a compile-time constant for 2 and
 * 14, else at most MOST; of a view only the logits are kept in registers. */
template <typename T, int MOST, int W, int TERMS, bool SUMS> struct classes {
    const sample &of;
    const tw_loss_memory &m;
    class_sums<MOST, TERMS> *sums;
    T *d;
    const float *dmean;
    int64_t at;   /* offset of view 0 in f and d */
    int k;
    float bits, scale;
    tw_pack<T, W> in[MOST];

    __device__ inline int views() const
    {
        return MOST == 2 || MOST == 14 ? MOST : m.V;
    }

    __device__ inline void widen(float f[W], int v) const
    {
        tw_unpack<T, W>(f, in[v]);
    }

    /* Takes view v. x at temperature 1, less_log and less_p: its partners' sums S and P times kl; or (TAUGHT) x at tau, less_p: the teacher's. */
    __device__ inline void take(int v, const number x[W], const float less_log[W], const float less_p[W])
    {
        const int other = v < 2 ? 0 : 1;
        float mean[W], g[W];
        tw_load<float, W>(mean, dmean + (int64_t)v * m.K + k);
        number s[W];
        if (TERMS == PAIRS_AND_TAU) {
            float f[W];
            widen(f, v);
            numbers_of<W>(s, f, bits, of.shift_tau[v]);
        }
#pragma unroll
        for (int i = 0; i < W; i++) {
            const number &e = TERMS == PAIRS_AND_TAU ? s[i] : x[i];
            const float c = (TERMS == PAIRS_AND_TAU ? 0 : -of.entropy[other]) + (TERMS == TAUGHT ? 0 : of.pairs[other]);
            const float a = (TERMS == PAIRS_AND_TAU ? 0 : mean[i]) - (TERMS == TAUGHT ? 0 : less_log[i]);
            if (SUMS) {
                sums->eh[other] += e.p * e.bits;
                sums->dot[v] = add_slope(sums->dot[v], x[i], c, a, -less_p[i]);
                if (TERMS == PAIRS_AND_TAU)
                    sums->dot_tau[v] = add_slope(sums->dot_tau[v], e, -of.entropy[other], mean[i], 0);
                continue;
            }
            g[i] = add_slope(0, x[i], c, a - of.dot[v], -less_p[i]);
            if (TERMS == PAIRS_AND_TAU)
                g[i] += bits / TW_LOG2_E * add_slope(0, e, -of.entropy[other], mean[i] - of.dot_tau[v], 0);
            g[i] *= scale;
        }
        if (!SUMS)
            tw_store<T, W>(d + at + (int64_t)v * m.B * m.K, g);
    }

    __device__ inline void pairs()
    {
        number first[2][W];
        float f[W], two_p[W], two_bits[W], all_p[W], all_bits[W], less_log[W], less_p[W];
#pragma unroll
        for (int v = 0; v < 2; v++) {
            widen(f, v);
            numbers_of<W>(first[v], f, TW_LOG2_E, of.shift[v]);
        }
#pragma unroll
        for (int i = 0; i < W; i++) {
            const number &x = first[0][i], &y = first[1][i];
            all_p[i] = two_p[i] = x.p + y.p;
            all_bits[i] = two_bits[i] = x.bits + y.bits;
            less_p[i] = of.kl * two_p[i];
            less_log[i] = of.kl * TW_LN_2 * two_bits[i];
            if (SUMS)
                sums->kl += (float)views() * (x.p - y.p) * (x.bits - y.bits);
        }
#pragma unroll
        for (int v = 2; v < MOST; v++) {
            if (v >= views())
                break;
            number x[W];
            widen(f, v);
            numbers_of<W>(x, f, TW_LOG2_E, of.shift[v]);
#pragma unroll
            for (int i = 0; i < W; i++) {
                all_p[i] += x[i].p;
                all_bits[i] += x[i].bits;
                if (SUMS)
                    sums->kl += (2 * x[i].p - two_p[i]) * (2 * x[i].bits - two_bits[i]);
            }
            take(v, x, less_log, less_p);
        }
#pragma unroll
        for (int i = 0; i < W; i++) {
            less_p[i] = of.kl * all_p[i];
            less_log[i] = of.kl * TW_LN_2 * all_bits[i];
        }
        take(0, first[0], less_log, less_p);
        take(1, first[1], less_log, less_p);
    }

    __device__ inline void taught(const T *by)
    {
        number t[2][W];
        float f[W];
#pragma unroll
        for (int v = 0; v < 2; v++) {
            tw_load<T, W>(f, by + (int64_t)v * m.B * m.K);
            numbers_of<W>(t[v], f, bits, of.shift_tau[m.V + v]);
#pragma unroll
            for (int i = 0; SUMS && i < W; i++)
                sums->kl += 2 * (float)(m.V - 1) * t[v][i].p * t[v][i].bits;
        }
#pragma unroll
        for (int v = 0; v < MOST; v++) {
            if (v >= views())
                break;
            number x[W];
            float less_p[W];
            widen(f, v);
            numbers_of<W>(x, f, bits, of.shift_tau[v]);
#pragma unroll
            for (int i = 0; i < W; i++) {
                const float p = (v == 0 ? 0 : t[0][i].p) + (v == 1 ? 0 : t[1][i].p);
                less_p[i] = of.kl * p;
                if (SUMS)
                    sums->kl -= 2 * p * x[i].bits;
            }
            take(v, x, NULL, less_p);
        }
    }

    __device__ inline void all(const T *f, const T *by)
    {
#pragma unroll
        for (int v = 0; v < MOST; v++)
            if (v < views())
                in[v] = tw_fetch<T, W>(f + at + (int64_t)v * m.B * m.K);
        if (TERMS == TAUGHT)
            taught(by + at);
        else
            pairs();
    }
};

/* The first class of a block: gridDim.x blocks share a sample's K classes, in multiples of W. */
static __device__ inline int class_of(int K, int W, unsigned block)
{
    return (int)((int64_t)(K / W) * block / gridDim.x) * W;
}

/* Sums over a block's classes into dots [B, gridDim.x, 2 + 2V]: the divergences, the entropies, and <p, dp> and <s, ds> of each view (their sum if s
 * is p). A thread sums its few classes in f32; the threads' sums are added in f64. */
template <typename T, int MOST, int W, int TERMS>
static __global__ void __launch_bounds__(TW_BLOCK, together(MOST, TERMS))
    twist_sums(tw_loss_memory m, const float *__restrict__ dmean, const T *__restrict__ f, const T *__restrict__ taught, float bits)
{
    __shared__ sample of;
    const int b = (int)blockIdx.y, last = class_of(m.K, W, blockIdx.x + 1);
    class_sums<MOST, TERMS> sums = {};
    read_sample(&of, m, b, TERMS == TAUGHT, bits);
    for (int k = class_of(m.K, W, blockIdx.x) + (int)threadIdx.x * W; k < last; k += TW_BLOCK * W) {
        classes<T, MOST, W, TERMS, true> c = {of, m, &sums, NULL, dmean, (int64_t)b * m.K + k, k, bits, 1, {}};
        c.all(f, taught);
    }
    double *to = m.dots + ((int64_t)b * gridDim.x + blockIdx.x) * (2 + 2 * m.V);
    const double nats = M_LN2, of_first = tw_view_weight(0, m.V, TERMS == TAUGHT), of_other = tw_view_weight(2, m.V, TERMS == TAUGHT);
    const double kl = tw_block_sum(nats * (double)sums.kl / 2);
    const double eh = tw_block_sum(-nats * (of_first * (double)sums.eh[0] + of_other * (double)sums.eh[1]));
    if (threadIdx.x == 0) {
        to[0] = kl;
        to[1] = eh;
    }
#pragma unroll
    for (int v = 0; v < MOST; v++) {
        if (v >= m.V)
            break;
        const double p = tw_block_sum((double)sums.dot[v]), s = TERMS == PAIRS_AND_TAU ? tw_block_sum((double)sums.dot_tau[v]) : 0;
        if (threadIdx.x == 0) {
            to[2 + 2 * v] = p;
            to[3 + 2 * v] = s;
        }
    }
}

/* The gradient through both softmaxes. Classes are taken from the last on, as twist_sums has read those last. A sample's first block sums its
 * terms. */
template <typename T, int MOST, int W, int TERMS>
static __global__ void __launch_bounds__(TW_BLOCK, together(MOST, TERMS))
    twist_gradient(tw_loss_memory m, const float *__restrict__ dmean, T *__restrict__ d, const T *__restrict__ f, const T *__restrict__ taught,
                   float bits)
{
    __shared__ sample of;
    const int b = (int)blockIdx.y, t = (int)threadIdx.x, each = 2 + 2 * m.V;
    const int first = class_of(m.K, W, blockIdx.x) + t * W, last = class_of(m.K, W, blockIdx.x + 1);
    const float scale = m.board->scale * (TERMS == TAUGHT ? bits / TW_LOG2_E : 1);
    if (t < each) {
        double total = 0;
        for (int i = 0; i < (int)gridDim.x; i++)
            total += m.dots[((int64_t)b * gridDim.x + i) * each + t];
        if (t >= 2)
            (t % 2 == 0 ? of.dot : of.dot_tau)[(t - 2) / 2] = (float)total;
        else if (blockIdx.x == 0)
            m.part[2 * b + t] = total;
    }
    read_sample(&of, m, b, TERMS == TAUGHT, bits);
    for (int i = (last - first + TW_BLOCK * W - 1) / (TW_BLOCK * W) - 1; i >= 0; i--) {
        const int k = first + i * TW_BLOCK * W;
        classes<T, MOST, W, TERMS, false> c = {of, m, NULL, d, dmean, (int64_t)b * m.K + k, k, bits, scale, {}};
        c.all(f, taught);
    }
}

/* Sums kl and eh over this rank's samples, and he, which is the same on all ranks. */
static __global__ void add_samples(tw_loss_memory m, int blocks)
{
    double kl = 0, eh = 0, he = 0;
    for (int b = (int)threadIdx.x; b < m.B; b += TW_BLOCK) {
        kl += m.part[2 * b];
        eh += m.part[2 * b + 1];
    }
    for (int i = (int)threadIdx.x; i < blocks; i += TW_BLOCK)
        he += m.part[2 * m.B + i];
    kl = tw_block_sum(kl);
    eh = tw_block_sum(eh);
    he = tw_block_sum(he);
    if (threadIdx.x == 0) {
        m.board->sums[0] = kl;
        m.board->sums[1] = eh;
        m.board->out.he = he;
    }
}

static __global__ void finish_terms(tw_loss_memory m, bool taught)
{
    tw_learn_results *r = &m.board->out;
    r->kl = m.board->sums[0] / (tw_divergences(m.V, taught) * m.global);
    r->eh = m.board->sums[1] / m.global;
    r->loss = r->kl + (1 + m.lam1) * r->eh - m.lam2 * r->he;
}

/* Launchers. */

static int diversity_blocks(const tw_loss_memory *m)
{
    return (int)tw_pieces((int64_t)m->V * m->K, TW_BLOCK);
}

int tw_launch_diversity(const tw_loss_memory *m, bool taught, cudaStream_t stream)
{
    TW_LAUNCH_BLOCK(diversity, (unsigned)diversity_blocks(m), TW_BLOCK, stream, *m, taught);
    return TW_LAUNCHED("diversity");
}

int tw_twist_blocks(const tw_loss_memory *m)
{
    enum { BLOCKS = 528 }; /* four per multiprocessor of an H100, which are two rounds of resident blocks; more would begin a third round */
    const int64_t most = tw_pieces(m->K, 2 * TW_BLOCK), wanted = m->B < BLOCKS ? BLOCKS / m->B : 1;
    return (int)(wanted < most ? wanted : most);
}

#define LAUNCH_TWIST(most, W, terms)                                                                                                              \
    TW_BY_TYPE(t, do {                                                                                                                            \
        TW_LAUNCH_BLOCK((twist_sums<T, most, W, terms>), grid, TW_BLOCK, stream, *m, m->dmean, (const T *)f, (const T *)taught, bits);            \
        TW_LAUNCH_BLOCK((twist_gradient<T, most, W, terms>), grid, TW_BLOCK, stream, *m, m->dmean, (T *)d, (const T *)f, (const T *)taught, bits); \
    } while (0))

#define LAUNCH_TERMS(most, W)                 \
    do {                                      \
        if (taught != NULL)                   \
            LAUNCH_TWIST(most, W, TAUGHT);    \
        else if (m->tau == 1)                 \
            LAUNCH_TWIST(most, W, PAIRS);     \
        else                                  \
            LAUNCH_TWIST(most, W, PAIRS_AND_TAU); \
    } while (0)

int tw_launch_twist(const tw_loss_memory *m, void *d, const void *f, const void *taught, tw_dtype t, cudaStream_t stream)
{
    const dim3 grid((unsigned)tw_twist_blocks(m), (unsigned)m->B, 1);
    const float bits = (float)(M_LOG2E / m->tau);
    if (m->K % 2 != 0)
        LAUNCH_TERMS(TW_MOST_VIEWS, 1);
    else if (m->V == 2)
        LAUNCH_TERMS(2, 2);
    else if (m->V == 14)
        LAUNCH_TERMS(14, 2);
    else if (m->V <= 8)
        LAUNCH_TERMS(8, 2);
    else
        LAUNCH_TERMS(TW_MOST_VIEWS, 2);
    if (TW_LAUNCHED("TWIST loss") != 0)
        return -1;
    TW_LAUNCH_BLOCK(add_samples, 1, TW_BLOCK, stream, *m, diversity_blocks(m));
    return TW_LAUNCHED("TWIST loss");
}

int tw_launch_twist_terms(const tw_loss_memory *m, bool taught, cudaStream_t stream)
{
    TW_LAUNCH(finish_terms, 1, 1, stream, *m, taught);
    return TW_LAUNCHED("terms of the loss");
}
