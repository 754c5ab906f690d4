#include "cuda/product.h"

#include "core/error.h"
#include "cuda/cache.h"
#include "cuda/ops.h"
#include "cuda/tune.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const size_t WORKSPACE = (size_t)32 << 20;

cudaDataType_t tw_product_type(tw_dtype t)
{
    return t == TW_F32 ? CUDA_R_32F : t == TW_BF16 ? CUDA_R_16BF : CUDA_R_16F;
}

int tw_product_describe(tw_product *p, bool transpose_a, bool transpose_b, int m, int n, int k, cudaDataType_t in, cudaDataType_t out)
{
    const cublasOperation_t ta = transpose_a ? CUBLAS_OP_T : CUBLAS_OP_N, tb = transpose_b ? CUBLAS_OP_T : CUBLAS_OP_N;
    const int ar = transpose_a ? k : m, ac = transpose_a ? m : k, br = transpose_b ? n : k, bc = transpose_b ? k : n;
    if (TW_CUBLAS(cublasLtMatmulDescCreate(&p->desc, CUBLAS_COMPUTE_32F, CUDA_R_32F)) != 0 ||
        TW_CUBLAS(cublasLtMatmulDescSetAttribute(p->desc, CUBLASLT_MATMUL_DESC_TRANSA, &ta, sizeof ta)) != 0 ||
        TW_CUBLAS(cublasLtMatmulDescSetAttribute(p->desc, CUBLASLT_MATMUL_DESC_TRANSB, &tb, sizeof tb)) != 0 ||
        TW_CUBLAS(cublasLtMatrixLayoutCreate(&p->a, in, (uint64_t)ar, (uint64_t)ac, ar)) != 0 ||
        TW_CUBLAS(cublasLtMatrixLayoutCreate(&p->b, in, (uint64_t)br, (uint64_t)bc, br)) != 0 ||
        TW_CUBLAS(cublasLtMatrixLayoutCreate(&p->d, out, (uint64_t)m, (uint64_t)n, m)) != 0)
        return -1;
    return 0;
}

int tw_product_run(const tw_product *p, tw_dev *d, void *out, const void *c, const void *a, const void *b)
{
    const float one = 1;
    void *workspace = tw_dev_scratch(d, TW_SCRATCH_LIBRARY, WORKSPACE);
    if (workspace == NULL)
        return -1;
    return TW_CUBLAS(cublasLtMatmul(d->blas, p->desc, &one, a, p->a, b, p->b, &p->beta, c, p->d, out, p->d, &p->algo, workspace, WORKSPACE,
                                    d->stream));
}

typedef struct {
    tw_product *p;
    tw_dev *dev;
    const cublasLtMatmulHeuristicResult_t *found;
    void *out, *c, *a, *b;
} trial;

static int run_trial(void *arg)
{
    const trial *t = arg;
    return tw_product_run(t->p, t->dev, t->out, t->c, t->a, t->b);
}

static double time_algorithm(void *arg, int i)
{
    trial *t = arg;
    t->p->algo = t->found[i].algo;
    return tw_time(t->dev->stream, run_trial, t);
}

/* Times the heuristic's first algorithms, on memory allocated for that, and keeps the fastest in p. */
static int time_algorithms(tw_product *p, tw_dev *d, const cublasLtMatmulHeuristicResult_t *found, int n, const size_t bytes[3])
{
    void *other = p->onto ? tw_cuda_alloc(d, bytes[0]) : NULL;
    trial t = {.p = p, .dev = d, .found = found, .out = tw_cuda_alloc(d, bytes[0]), .a = tw_cuda_alloc(d, bytes[1]), .b = tw_cuda_alloc(d, bytes[2])};
    t.c = p->onto ? other : t.out;
    const bool room = t.out != NULL && t.c != NULL && t.a != NULL && t.b != NULL;
    const int best = room ? tw_fastest(time_algorithm, &t, n) : -1;
    if (best >= 0)
        p->algo = found[best].algo;
    cudaFree(other);
    cudaFree(t.out);
    cudaFree(t.a);
    cudaFree(t.b);
    return best < 0 ? -1 : 0;
}

/* Choices are kept in the cache of plans, so that each shape is timed only once per machine. An algorithm is kept as words. */
enum { WORDS = sizeof(cublasLtMatmulAlgo_t) / sizeof(uint64_t) };

void tw_product_key(char key[TW_PRODUCT_KEY], const char *what, const tw_dev *d, int m, int n, int k)
{
    snprintf(key, TW_PRODUCT_KEY, "product %zu %s %s %d %d %d", cublasLtGetVersion(), what, tw_dtype_name(d->precision), m, n, k);
}

static void keep(tw_dev *d, const char *key, const cublasLtMatmulAlgo_t *algo)
{
    uint64_t word[WORDS];
    char text[17 * WORDS + 1];
    memcpy(word, algo, sizeof word);
    for (int i = 0; i < WORDS; i++)
        snprintf(text + 17 * i, 18, "%016" PRIx64 " ", word[i]);
    tw_dnn_cache_add(d->plans, key, text);
}

/* Takes the algorithm kept under the key; false if there is none that this cuBLASLt accepts. */
static bool recall(tw_product *p, const tw_dev *d, const char *key)
{
    const char *text = tw_dnn_cache_find(d->plans, key);
    cublasLtMatmulHeuristicResult_t found;
    uint64_t word[WORDS];
    char *end;
    for (int i = 0; text != NULL && i < WORDS; i++) {
        word[i] = strtoull(text, &end, 16);
        text = end == text ? NULL : end;
    }
    if (text == NULL)
        return false;
    memcpy(&p->algo, word, sizeof word);
    return cublasLtMatmulAlgoCheck(d->blas, p->desc, p->a, p->b, p->d, p->d, &p->algo, &found) == CUBLAS_STATUS_SUCCESS &&
           found.workspaceSize <= WORKSPACE;
}

/* Alignment of operands, in bytes. */
static const uint32_t ALIGNED = 16;
static const cublasLtMatmulPreferenceAttributes_t aligned[] = {
    CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES,
    CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES,
};

int tw_product_choose(tw_product *p, tw_dev *d, const char *what, int m, int n, int k, size_t in, size_t out)
{
    char key[TW_PRODUCT_KEY];
    tw_product_key(key, what, d, m, n, k);
    if (recall(p, d, key))
        return 0;
    cublasLtMatmulHeuristicResult_t found[TW_TRIED];
    cublasLtMatmulPreference_t wish = NULL;
    int count = 0, rc = TW_CUBLAS(cublasLtMatmulPreferenceCreate(&wish));
    if (rc == 0)
        rc = TW_CUBLAS(cublasLtMatmulPreferenceSetAttribute(wish, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, &WORKSPACE, sizeof WORKSPACE));
    for (size_t i = 0; rc == 0 && i < sizeof aligned / sizeof *aligned; i++)
        rc = TW_CUBLAS(cublasLtMatmulPreferenceSetAttribute(wish, aligned[i], &ALIGNED, sizeof ALIGNED));
    if (rc == 0)
        rc = TW_CUBLAS(cublasLtMatmulAlgoGetHeuristic(d->blas, p->desc, p->a, p->b, p->d, p->d, wish, TW_TRIED, found, &count));
    if (wish != NULL)
        cublasLtMatmulPreferenceDestroy(wish);
    if (rc == 0 && count == 0)
        rc = tw_fail("cuBLASLt has no product of %d x %d x %d", m, n, k);
    if (rc != 0)
        return -1;
    const size_t M = (size_t)m, N = (size_t)n, D = (size_t)k, bytes[3] = {M * N * out, M * D * in, D * N * in};
    if (time_algorithms(p, d, found, count, bytes) != 0)
        return -1;
    keep(d, key, &p->algo);
    return 0;
}

int tw_product_make(tw_product *p, tw_dev *d, const char *what, bool transpose_a, bool transpose_b, int m, int n, int k, bool wide)
{
    const tw_dtype out = wide ? TW_F32 : d->precision;
    if (tw_product_describe(p, transpose_a, transpose_b, m, n, k, tw_product_type(d->precision), tw_product_type(out)) != 0)
        return -1;
    p->beta = wide ? 1 : 0;
    return tw_product_choose(p, d, what, m, n, k, tw_dtype_size(d->precision), tw_dtype_size(out));
}

void tw_product_fini(tw_product *p)
{
    if (p->desc != NULL)
        cublasLtMatmulDescDestroy(p->desc);
    cublasLtMatrixLayout_t const layout[] = {p->a, p->b, p->d};
    for (int i = 0; i < 3; i++)
        if (layout[i] != NULL)
            cublasLtMatrixLayoutDestroy(layout[i]);
    *p = (tw_product){0};
}
