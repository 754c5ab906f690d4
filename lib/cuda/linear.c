/* y = x W^T + b on rows: matrix products by cuBLASLt, whose column-major order makes of a row-major [m,n] an [n,m]. The bias, rounded to the
 * type of the activations, is added to the product before that is rounded, by a kernel afterwards where cuBLASLt cannot; its gradient comes
 * with the weights' where cuBLASLt can, does it right and no slower than a kernel. */
#include "cuda/ops.h"

#include "core/error.h"
#include "core/mem.h"
#include "cuda/cache.h"
#include "cuda/device.h"
#include "cuda/launch.h"
#include "cuda/tune.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TRIED = 8 };
static const size_t WORKSPACE = (size_t)32 << 20;

/* D [m,n] = op(A) op(B), column-major; op(A) is [m,k]. */
typedef struct {
    cublasLtMatmulDesc_t desc;
    cublasLtMatrixLayout_t a, b, d;
    cublasLtMatmulAlgo_t algo;
    float beta; /* 1: D is added to */
} product;

struct tw_linear {
    tw_dev *dev;
    int rows, C, K;
    product forward, data, weights, both; /* both: weights, and the sums of dy's columns into sums; desc NULL: there is no such */
    float *sums;         /* f32 [K] */
    const float *w, *b; /* borrowed, device memory */
    void *narrow, *bias; /* the weights in 16 bits (NULL in f32); the bias in the type of the activations */
    bool fused;          /* the product adds the bias */
    size_t bytes;
};

static cudaDataType_t type_of(tw_dtype t)
{
    return t == TW_F32 ? CUDA_R_32F : t == TW_BF16 ? CUDA_R_16BF : CUDA_R_16F;
}

static int describe(product *p, bool transpose_a, bool transpose_b, int m, int n, int k, cudaDataType_t in, cudaDataType_t out)
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

static int multiply(const product *p, tw_dev *d, void *out, const void *a, const void *b)
{
    const float one = 1;
    void *workspace = tw_dev_scratch(d, TW_SCRATCH_LIBRARY, WORKSPACE);
    if (workspace == NULL)
        return -1;
    return TW_CUBLAS(cublasLtMatmul(d->blas, p->desc, &one, a, p->a, b, p->b, &p->beta, out, p->d, out, p->d, &p->algo, workspace, WORKSPACE,
                                    d->stream));
}

typedef struct {
    const product *p;
    tw_dev *dev;
    void *out, *a, *b;
} trial;

static int run_trial(void *arg)
{
    const trial *t = arg;
    return multiply(t->p, t->dev, t->out, t->a, t->b);
}

/* The fastest of the heuristic's first, on memory of its own. */
static int time_algorithms(product *p, tw_dev *d, const cublasLtMatmulHeuristicResult_t *found, int n, const size_t bytes[3])
{
    trial t = {p, d, tw_cuda_alloc(d, bytes[0]), tw_cuda_alloc(d, bytes[1]), tw_cuda_alloc(d, bytes[2])};
    int best = -1, rc = t.out != NULL && t.a != NULL && t.b != NULL ? 0 : -1;
    double least = 0;
    for (int i = 0; rc == 0 && i < n; i++) {
        p->algo = found[i].algo;
        const double ms = tw_time(d->stream, run_trial, &t);
        if (ms >= 0 && (best < 0 || ms < least)) {
            best = i;
            least = ms;
        }
    }
    if (rc == 0 && best >= 0)
        p->algo = found[best].algo;
    cudaFree(t.out);
    cudaFree(t.a);
    cudaFree(t.b);
    return rc != 0 || best < 0 ? -1 : 0;
}

/* Choices are kept among the plans: of the many layers of one shape the first is timed, once per machine. */
enum { WORDS = sizeof(cublasLtMatmulAlgo_t) / sizeof(uint64_t), KEY = 128 };

/* what: what is chosen. */
static void name_product(char key[KEY], const char *what, const tw_dev *d, int m, int n, int k)
{
    snprintf(key, KEY, "product %zu %s %s %d %d %d", cublasLtGetVersion(), what, tw_dtype_name(d->precision), m, n, k);
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

/* Whether an algorithm is kept that this cuBLASLt takes. */
static bool recall(product *p, const tw_dev *d, const char *key)
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

static int choose(product *p, tw_dev *d, const char *what, int m, int n, int k, size_t in, size_t out)
{
    char key[KEY];
    name_product(key, what, d, m, n, k);
    if (recall(p, d, key))
        return 0;
    cublasLtMatmulHeuristicResult_t found[TRIED];
    cublasLtMatmulPreference_t wish = NULL;
    int count = 0, rc = TW_CUBLAS(cublasLtMatmulPreferenceCreate(&wish));
    if (rc == 0)
        rc = TW_CUBLAS(cublasLtMatmulPreferenceSetAttribute(wish, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, &WORKSPACE, sizeof WORKSPACE));
    if (rc == 0)
        rc = TW_CUBLAS(cublasLtMatmulAlgoGetHeuristic(d->blas, p->desc, p->a, p->b, p->d, p->d, wish, TRIED, found, &count));
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

static int make(product *p, tw_dev *d, const char *what, bool transpose_a, bool transpose_b, int m, int n, int k, bool wide)
{
    const tw_dtype out = wide ? TW_F32 : d->precision;
    if (describe(p, transpose_a, transpose_b, m, n, k, type_of(d->precision), type_of(out)) != 0)
        return -1;
    p->beta = wide ? 1 : 0;
    return choose(p, d, what, m, n, k, tw_dtype_size(d->precision), tw_dtype_size(out));
}

static void product_fini(product *p)
{
    if (p->desc != NULL)
        cublasLtMatmulDescDestroy(p->desc);
    cublasLtMatrixLayout_t const layout[] = {p->a, p->b, p->d};
    for (int i = 0; i < 3; i++)
        if (layout[i] != NULL)
            cublasLtMatrixLayoutDestroy(layout[i]);
    *p = (product){0};
}

/* y' [K,rows] = W'^T x' + b in column-major words. */
static int make_forward(tw_linear *l)
{
    const cublasLtEpilogue_t bias = CUBLASLT_EPILOGUE_BIAS;
    const cudaDataType_t type = type_of(l->dev->precision);
    const size_t each = tw_dtype_size(l->dev->precision);
    if (describe(&l->forward, true, false, l->K, l->rows, l->C, type, type) != 0)
        return -1;
    l->fused = TW_CUBLAS(cublasLtMatmulDescSetAttribute(l->forward.desc, CUBLASLT_MATMUL_DESC_EPILOGUE, &bias, sizeof bias)) == 0 &&
               TW_CUBLAS(cublasLtMatmulDescSetAttribute(l->forward.desc, CUBLASLT_MATMUL_DESC_BIAS_POINTER, &l->bias, sizeof l->bias)) == 0 &&
               choose(&l->forward, l->dev, "forward with bias", l->K, l->rows, l->C, each, each) == 0;
    if (l->fused)
        return 0;
    product_fini(&l->forward);
    return make(&l->forward, l->dev, "forward", true, false, l->K, l->rows, l->C, false);
}

static int add_gradients(tw_linear *l, float *dw, float *db, const void *x, const void *dy, bool together)
{
    tw_dev *d = l->dev;
    if (together)
        return multiply(&l->both, d, dw, x, dy) != 0 ? -1 : tw_launch_add(db, l->sums, l->K, TW_F32, d->stream);
    float *partial = tw_dev_scratch(d, TW_SCRATCH_PARTIAL, tw_bias_partials(l->rows, l->K) * sizeof *partial);
    if (partial == NULL || tw_launch_bias_gradient(db, partial, dy, l->rows, l->K, d->precision, d->stream) != 0)
        return -1;
    return multiply(&l->weights, d, dw, x, dy);
}

typedef struct {
    tw_linear *l;
    float *dw, *db, *host;
    void *x, *dy;
    bool together;
} gradient_trial;

static int run_gradients(void *arg)
{
    const gradient_trial *t = arg;
    return add_gradients(t->l, t->dw, t->db, t->x, t->dy, t->together);
}

static float small(int k)
{
    return (float)(k % 7 - 3);
}

/* Whether the sums are right: of rows that are all {-3, -2, ..}, whole numbers that f32 has. */
static bool sums_right(const gradient_trial *t)
{
    const tw_linear *l = t->l;
    const size_t bytes = (size_t)l->K * sizeof *t->db;
    bool right = true;
    for (int k = 0; k < l->K; k++)
        t->host[k] = small(k);
    if (tw_cuda_upload(l->dev, t->db, t->host, bytes) != 0 || tw_launch_bias(t->dy, t->db, l->rows, l->K, l->dev->precision, l->dev->stream) != 0 ||
        tw_cuda_zero(l->dev, t->db, bytes) != 0 || run_gradients((void *)t) != 0 || tw_cuda_download(l->dev, t->host, t->db, bytes) != 0)
        return false;
    for (int k = 0; k < l->K; k++)
        right = right && t->host[k] == small(k) * (float)l->rows;
    return right;
}

/* Whether both together is to be preferred. */
static bool better_together(tw_linear *l)
{
    tw_dev *d = l->dev;
    const size_t rows = (size_t)l->rows, C = (size_t)l->C, K = (size_t)l->K, each = tw_dtype_size(d->precision);
    gradient_trial t = {.l = l, .dw = tw_cuda_alloc(d, C * K * sizeof(float)), .db = tw_cuda_alloc(d, K * sizeof(float)),
                        .host = tw_calloc(K, sizeof(float)), .x = tw_cuda_alloc(d, rows * C * each), .dy = tw_cuda_alloc(d, rows * K * each),
                        .together = true};
    bool better = t.dw != NULL && t.db != NULL && t.host != NULL && t.x != NULL && t.dy != NULL && sums_right(&t);
    if (better) {
        const double together = tw_time(d->stream, run_gradients, &t);
        t.together = false;
        better = together >= 0 && together <= tw_time(d->stream, run_gradients, &t);
    }
    cudaFree(t.dw);
    cudaFree(t.db);
    free(t.host);
    cudaFree(t.x);
    cudaFree(t.dy);
    return better;
}

/* As better_together, measured once per shape. */
static bool preferred(tw_linear *l)
{
    static const char together[] = "together", apart[] = "apart";
    char key[KEY];
    name_product(key, "bias", l->dev, l->C, l->K, l->rows);
    const char *kept = tw_dnn_cache_find(l->dev->plans, key);
    if (kept != NULL)
        return strcmp(kept, together) == 0;
    const bool better = better_together(l);
    tw_dnn_cache_add(l->dev->plans, key, better ? together : apart);
    return better;
}

static void try_both(tw_linear *l)
{
    const cublasLtEpilogue_t sums = CUBLASLT_EPILOGUE_BGRADB;
    const cudaDataType_t type = type_of(l->dev->precision), wide = CUDA_R_32F;
    product *p = &l->both;
    const bool there = describe(p, false, true, l->C, l->K, l->rows, type, wide) == 0 &&
                       TW_CUBLAS(cublasLtMatmulDescSetAttribute(p->desc, CUBLASLT_MATMUL_DESC_EPILOGUE, &sums, sizeof sums)) == 0 &&
                       TW_CUBLAS(cublasLtMatmulDescSetAttribute(p->desc, CUBLASLT_MATMUL_DESC_BIAS_POINTER, &l->sums, sizeof l->sums)) == 0 &&
                       TW_CUBLAS(cublasLtMatmulDescSetAttribute(p->desc, CUBLASLT_MATMUL_DESC_BIAS_DATA_TYPE, &wide, sizeof wide)) == 0;
    p->beta = 1;
    if (there && choose(p, l->dev, "weights and bias", l->C, l->K, l->rows, tw_dtype_size(l->dev->precision), sizeof(float)) == 0 && preferred(l))
        return;
    product_fini(p);
}

tw_linear *tw_cuda_linear_new(tw_dev *d, int rows, int C, int K, bool train)
{
    tw_linear *l = tw_calloc(1, sizeof *l);
    if (l == NULL)
        return NULL;
    *l = (tw_linear){.dev = d, .rows = rows, .C = C, .K = K};
    const size_t each = tw_dtype_size(d->precision);
    l->bytes = (size_t)K * ((d->precision != TW_F32 ? (size_t)C : 0) + 1) * each;
    l->bias = tw_cuda_alloc(d, (size_t)K * each);
    if (l->bias == NULL || (d->precision != TW_F32 && (l->narrow = tw_dev_memory((size_t)K * (size_t)C * each)) == NULL))
        goto err;
    if (make_forward(l) != 0)
        goto err;
    /* in column-major words: dx' [C,rows] = W' dy', dW' [C,K] += x' dy'^T */
    if (train && (make(&l->data, d, "data", false, false, C, rows, K, false) != 0 ||
                  make(&l->weights, d, "weights", false, true, C, K, rows, true) != 0 ||
                  (l->sums = tw_cuda_alloc(d, (size_t)K * sizeof *l->sums)) == NULL))
        goto err;
    if (train)
        try_both(l);
    return l;
err:
    tw_cuda_linear_free(l);
    return NULL;
}

void tw_cuda_linear_free(tw_linear *l)
{
    if (l == NULL)
        return;
    product_fini(&l->forward);
    product_fini(&l->data);
    product_fini(&l->weights);
    product_fini(&l->both);
    cudaFree(l->narrow);
    cudaFree(l->bias);
    cudaFree(l->sums);
    free(l);
}

size_t tw_cuda_linear_bytes(const tw_linear *l)
{
    return l->bytes;
}

int tw_cuda_linear_weights(tw_linear *l, const float *w, const float *b)
{
    l->w = w;
    l->b = b;
    if (tw_launch_from_f32(l->bias, b, l->K, l->dev->precision, l->dev->stream) != 0)
        return -1;
    return l->narrow == NULL ? 0 : tw_launch_from_f32(l->narrow, w, (int64_t)l->K * l->C, l->dev->precision, l->dev->stream);
}

static const void *weights_of(const tw_linear *l)
{
    return l->narrow != NULL ? l->narrow : l->w;
}

int tw_cuda_linear_forward(tw_linear *l, void *y, const void *x)
{
    if (multiply(&l->forward, l->dev, y, weights_of(l), x) != 0)
        return -1;
    return l->fused ? 0 : tw_launch_bias(y, l->b, l->rows, l->K, l->dev->precision, l->dev->stream);
}

int tw_cuda_linear_backward_data(tw_linear *l, void *dx, const void *dy)
{
    return multiply(&l->data, l->dev, dx, weights_of(l), dy);
}

int tw_cuda_linear_backward_weights(tw_linear *l, float *dw, float *db, const void *x, const void *dy)
{
    return add_gradients(l, dw, db, x, dy, l->both.desc != NULL);
}
