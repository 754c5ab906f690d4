/* y = x W^T + b as matrix products; as cuBLASLt is column-major, a row-major [m,n] is its [n,m]. The bias, rounded to the activations' type, is
 * added by cuBLASLt's epilogue before the product is rounded, or, where it cannot, by a kernel afterwards. The bias's gradient comes with the
 * weights' where cuBLASLt can do both, gives right sums and is no slower than a separate kernel. */
#include "cuda/linear.h"

#include "core/mem.h"
#include "cuda/launch.h"
#include "cuda/ops.h"
#include "cuda/tune.h"

#include <stdio.h>
#include <stdlib.h>

/* Column-major: y' [K,rows] = W'^T x' + b; onto: C is added. */
static int make_forward(tw_linear *l, bool onto)
{
    static const char *const name[2][2] = {{"forward", "forward with bias"}, {"forward onto", "forward with bias onto"}};
    const cublasLtEpilogue_t bias = CUBLASLT_EPILOGUE_BIAS;
    const cudaDataType_t type = tw_product_type(l->dev->precision);
    const size_t each = tw_dtype_size(l->dev->precision);
    tw_product *p = &l->forward[onto];
    for (int biased = 1; biased >= 0; biased--) {
        if (tw_product_describe(p, true, false, l->K, l->rows, l->C, type, type) != 0)
            return -1;
        p->beta = onto ? 1 : 0;
        p->onto = onto;
        l->biased[onto] = biased;
        if ((!biased || (TW_CUBLAS(cublasLtMatmulDescSetAttribute(p->desc, CUBLASLT_MATMUL_DESC_EPILOGUE, &bias, sizeof bias)) == 0 &&
                         TW_CUBLAS(cublasLtMatmulDescSetAttribute(p->desc, CUBLASLT_MATMUL_DESC_BIAS_POINTER, &l->bias, sizeof l->bias)) == 0)) &&
            tw_product_choose(p, l->dev, name[onto][biased], l->K, l->rows, l->C, each, each) == 0)
            return 0;
        tw_product_fini(p);
    }
    return -1;
}

static int add_gradients(tw_linear *l, float *dw, float *db, const void *x, const void *dy, bool together)
{
    tw_dev *d = l->dev;
    if (together)
        return tw_product_run(&l->both, d, dw, dw, x, dy) != 0 ? -1 : tw_launch_add(db, l->sums, l->K, TW_F32, d->stream);
    float *partial = tw_dev_scratch(d, TW_SCRATCH_PARTIAL, tw_bias_partials(l->rows, l->K) * sizeof *partial);
    if (partial == NULL || tw_launch_bias_gradient(db, partial, dy, l->rows, l->K, d->precision, d->stream) != 0)
        return -1;
    return tw_product_run(&l->weights, d, dw, dw, x, dy);
}

typedef struct {
    tw_linear *l;
    float *dw, *db, *host;
    void *x, *dy;
} gradient_trial;

static int run_together(void *arg)
{
    const gradient_trial *t = arg;
    return add_gradients(t->l, t->dw, t->db, t->x, t->dy, true);
}

static int run_apart(void *arg)
{
    const gradient_trial *t = arg;
    return add_gradients(t->l, t->dw, t->db, t->x, t->dy, false);
}

static float small(int k)
{
    return (float)(k % 7 - 3);
}

/* Whether cuBLASLt's sums are right, tested on rows that are all {-3, -2, ..}, whose sums are exact in f32. */
static bool sums_right(const gradient_trial *t)
{
    const tw_linear *l = t->l;
    const size_t bytes = (size_t)l->K * sizeof *t->db;
    bool right = true;
    for (int k = 0; k < l->K; k++)
        t->host[k] = small(k);
    if (tw_cuda_upload(l->dev, t->db, t->host, bytes) != 0 || tw_launch_bias(t->dy, t->db, l->rows, l->K, l->dev->precision, l->dev->stream) != 0 ||
        tw_cuda_zero(l->dev, t->db, bytes) != 0 || run_together((void *)t) != 0 || tw_cuda_download(l->dev, t->host, t->db, bytes) != 0)
        return false;
    for (int k = 0; k < l->K; k++)
        right = right && t->host[k] == small(k) * (float)l->rows;
    return right;
}

/* Whether to compute both gradients together: measured now. */
static bool better_together(tw_linear *l)
{
    tw_dev *d = l->dev;
    const size_t rows = (size_t)l->rows, C = (size_t)l->C, K = (size_t)l->K, each = tw_dtype_size(d->precision);
    gradient_trial t = {.l = l, .dw = tw_cuda_alloc(d, C * K * sizeof(float)), .db = tw_cuda_alloc(d, K * sizeof(float)),
                        .host = tw_calloc(K, sizeof(float)), .x = tw_cuda_alloc(d, rows * C * each), .dy = tw_cuda_alloc(d, rows * K * each)};
    bool better = t.dw != NULL && t.db != NULL && t.host != NULL && t.x != NULL && t.dy != NULL && sums_right(&t);
    better = better && tw_choice_time(d, run_together, run_apart, &t) == 1;
    cudaFree(t.dw);
    cudaFree(t.db);
    free(t.host);
    cudaFree(t.x);
    cudaFree(t.dy);
    return better;
}

/* As better_together, but measured once per shape and kept in the cache. */
static bool preferred(tw_linear *l)
{
    char key[TW_PRODUCT_KEY];
    tw_product_key(key, "bias", l->dev, l->C, l->K, l->rows);
    const int kept = tw_choice_kept(l->dev, key);
    if (kept >= 0)
        return kept;
    const bool better = better_together(l);
    tw_choice_keep(l->dev, key, better);
    return better;
}

static void try_both(tw_linear *l)
{
    const cublasLtEpilogue_t sums = CUBLASLT_EPILOGUE_BGRADB;
    const cudaDataType_t type = tw_product_type(l->dev->precision), wide = CUDA_R_32F;
    tw_product *p = &l->both;
    const bool there = tw_product_describe(p, false, true, l->C, l->K, l->rows, type, wide) == 0 &&
                       TW_CUBLAS(cublasLtMatmulDescSetAttribute(p->desc, CUBLASLT_MATMUL_DESC_EPILOGUE, &sums, sizeof sums)) == 0 &&
                       TW_CUBLAS(cublasLtMatmulDescSetAttribute(p->desc, CUBLASLT_MATMUL_DESC_BIAS_POINTER, &l->sums, sizeof l->sums)) == 0 &&
                       TW_CUBLAS(cublasLtMatmulDescSetAttribute(p->desc, CUBLASLT_MATMUL_DESC_BIAS_DATA_TYPE, &wide, sizeof wide)) == 0;
    p->beta = 1;
    const size_t each = tw_dtype_size(l->dev->precision);
    if (there && tw_product_choose(p, l->dev, "weights and bias", l->C, l->K, l->rows, each, sizeof(float)) == 0 && preferred(l))
        return;
    tw_product_fini(p);
}

tw_linear *tw_cuda_linear_new(tw_dev *d, int rows, int C, int K, bool train)
{
    tw_linear *l = tw_calloc(1, sizeof *l);
    if (l == NULL)
        return NULL;
    *l = (tw_linear){.dev = d, .rows = rows, .C = C, .K = K, .train = train};
    const size_t each = tw_dtype_size(d->precision);
    l->bytes = (size_t)K * ((d->precision != TW_F32 ? (size_t)C : 0) + 1) * each;
    l->bias = tw_cuda_alloc(d, (size_t)K * each);
    if (l->bias == NULL || (d->precision != TW_F32 && (l->narrow = tw_dev_memory((size_t)K * (size_t)C * each)) == NULL))
        goto err;
    if (make_forward(l, false) != 0)
        goto err;
    /* column-major: dx' [C,rows] = W' dy', dW' [C,K] += x' dy'^T */
    if (train && (tw_product_make(&l->data, d, "data", false, false, C, rows, K, false) != 0 ||
                  tw_product_make(&l->weights, d, "weights", false, true, C, K, rows, true) != 0 ||
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
    tw_product_fini(&l->forward[0]);
    tw_product_fini(&l->forward[1]);
    tw_product_fini(&l->data);
    tw_product_fini(&l->weights);
    tw_product_fini(&l->both);
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

const void *tw_linear_weights_of(const tw_linear *l)
{
    return l->narrow != NULL ? l->narrow : l->w;
}

static int forward(tw_linear *l, void *y, const void *x, const void *shortcut)
{
    const bool onto = shortcut != NULL;
    if (tw_product_run(&l->forward[onto], l->dev, y, onto ? shortcut : y, tw_linear_weights_of(l), x) != 0)
        return -1;
    return l->biased[onto] ? 0 : tw_launch_bias(y, l->b, l->rows, l->K, l->dev->precision, l->dev->stream);
}

int tw_cuda_linear_forward(tw_linear *l, void *y, const void *x)
{
    return forward(l, y, x, NULL);
}

/* Its product is made at first use, which is in a step that is not recorded yet. */
int tw_cuda_linear_forward_add(tw_linear *l, void *y, const void *x, const void *shortcut)
{
    if (tw_choice_plain("onto"))
        return forward(l, y, x, NULL) != 0 ? -1 : tw_cuda_add(l->dev, y, shortcut, (size_t)l->rows * (size_t)l->K);
    if (l->forward[1].desc == NULL && make_forward(l, true) != 0)
        return -1;
    return forward(l, y, x, shortcut);
}

int tw_cuda_linear_backward_data(tw_linear *l, void *dx, const void *dy)
{
    return tw_product_run(&l->data, l->dev, dx, dx, tw_linear_weights_of(l), dy);
}

int tw_cuda_linear_backward_weights(tw_linear *l, float *dw, float *db, const void *x, const void *dy)
{
    return add_gradients(l, dw, db, x, dy, l->both.desc != NULL);
}
