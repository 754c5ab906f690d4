/* cuBLASLt's matrix products as lib/cuda uses them, in plain loops. The heuristic offers three; the second is the fastest. */
#include "numbers.h"

#include <cublasLt.h>

struct matrix {
    cudaDataType_t type;
    int64_t rows, cols, ld;
};

struct product {
    cublasOperation_t ta = CUBLAS_OP_N, tb = CUBLAS_OP_N;
    cublasLtEpilogue_t epilogue = CUBLASLT_EPILOGUE_DEFAULT;
    const void *bias = nullptr; /* of the type of D */
    cudaDataType_t bias_type = CUDA_R_32F;
};

static int number_type(cudaDataType_t t)
{
    return t == CUDA_R_32F ? CUDNN_DATA_FLOAT : t == CUDA_R_16BF ? CUDNN_DATA_BFLOAT16 : CUDNN_DATA_HALF;
}

/* Row-major. */
static std::vector<float> unpack(const matrix &m, const void *p, bool transpose)
{
    const int64_t rows = transpose ? m.cols : m.rows, cols = transpose ? m.rows : m.cols;
    std::vector<float> v((size_t)(rows * cols));
    for (int64_t r = 0; r < rows; r++)
        for (int64_t c = 0; c < cols; c++)
            v[(size_t)(r * cols + c)] = emu_get(p, transpose ? c + r * m.ld : r + c * m.ld, number_type(m.type));
    return v;
}

extern "C" {

int emu_last_product = -1; /* for tests: which of the three ran last */

const char *cublasLtGetStatusString(cublasStatus_t)
{
    return "emulated failure";
}

cublasStatus_t cublasLtCreate(cublasLtHandle_t *h)
{
    *h = (cublasLtHandle_t)malloc(1);
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtDestroy(cublasLtHandle_t h)
{
    free(h);
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmulDescCreate(cublasLtMatmulDesc_t *d, cublasComputeType_t compute, cudaDataType_t scale)
{
    if (compute != CUBLAS_COMPUTE_32F || scale != CUDA_R_32F)
        return CUBLAS_STATUS_NOT_SUPPORTED;
    *d = (cublasLtMatmulDesc_t) new product;
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmulDescDestroy(cublasLtMatmulDesc_t d)
{
    delete (product *)d;
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmulDescSetAttribute(cublasLtMatmulDesc_t d, cublasLtMatmulDescAttributes_t name, const void *p, size_t)
{
    if (name == CUBLASLT_MATMUL_DESC_TRANSA)
        memcpy(&((product *)d)->ta, p, sizeof(cublasOperation_t));
    else if (name == CUBLASLT_MATMUL_DESC_TRANSB)
        memcpy(&((product *)d)->tb, p, sizeof(cublasOperation_t));
    else if (name == CUBLASLT_MATMUL_DESC_EPILOGUE)
        memcpy(&((product *)d)->epilogue, p, sizeof(cublasLtEpilogue_t));
    else if (name == CUBLASLT_MATMUL_DESC_BIAS_POINTER)
        memcpy(&((product *)d)->bias, p, sizeof(void *));
    else if (name == CUBLASLT_MATMUL_DESC_BIAS_DATA_TYPE)
        memcpy(&((product *)d)->bias_type, p, sizeof(cudaDataType_t));
    else
        return CUBLAS_STATUS_NOT_SUPPORTED;
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatrixLayoutCreate(cublasLtMatrixLayout_t *l, cudaDataType type, uint64_t rows, uint64_t cols, int64_t ld)
{
    *l = (cublasLtMatrixLayout_t) new matrix{type, (int64_t)rows, (int64_t)cols, ld};
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatrixLayoutDestroy(cublasLtMatrixLayout_t l)
{
    delete (matrix *)l;
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmulPreferenceCreate(cublasLtMatmulPreference_t *p)
{
    *p = (cublasLtMatmulPreference_t)malloc(1);
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmulPreferenceDestroy(cublasLtMatmulPreference_t p)
{
    free(p);
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmulPreferenceSetAttribute(cublasLtMatmulPreference_t, cublasLtMatmulPreferenceAttributes_t, const void *, size_t)
{
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmulAlgoGetHeuristic(cublasLtHandle_t, cublasLtMatmulDesc_t desc, cublasLtMatrixLayout_t, cublasLtMatrixLayout_t,
                                              cublasLtMatrixLayout_t, cublasLtMatrixLayout_t, cublasLtMatmulPreference_t, int most,
                                              cublasLtMatmulHeuristicResult_t *out, int *n)
{
    const bool refused = ((product *)desc)->epilogue != CUBLASLT_EPILOGUE_DEFAULT && getenv("EMULATE_NO_EPILOGUE") != nullptr;
    *n = refused ? 0 : most < 3 ? most : 3;
    for (int i = 0; i < *n; i++) {
        out[i] = cublasLtMatmulHeuristicResult_t();
        out[i].algo.data[0] = (uint64_t)i + 1;
    }
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmulAlgoCheck(cublasLtHandle_t, cublasLtMatmulDesc_t, cublasLtMatrixLayout_t, cublasLtMatrixLayout_t,
                                       cublasLtMatrixLayout_t, cublasLtMatrixLayout_t, const cublasLtMatmulAlgo_t *algo,
                                       cublasLtMatmulHeuristicResult_t *out)
{
    *out = cublasLtMatmulHeuristicResult_t();
    out->algo = *algo;
    return algo->data[0] >= 1 && algo->data[0] <= 3 ? CUBLAS_STATUS_SUCCESS : CUBLAS_STATUS_INVALID_VALUE;
}

size_t cublasLtGetVersion(void)
{
    return 130100;
}

cublasStatus_t cublasLtMatmul(cublasLtHandle_t, cublasLtMatmulDesc_t desc, const void *alpha, const void *A, cublasLtMatrixLayout_t la,
                              const void *B, cublasLtMatrixLayout_t lb, const void *beta, const void *C, cublasLtMatrixLayout_t lc, void *D,
                              cublasLtMatrixLayout_t ld, const cublasLtMatmulAlgo_t *algo, void *, size_t, cudaStream_t stream)
{
    const product p = *(product *)desc;
    const matrix a = *(matrix *)la, b = *(matrix *)lb, c_of = *(matrix *)lc, d = *(matrix *)ld;
    const float scale = *(const float *)alpha, old = *(const float *)beta;
    const bool ta = p.ta == CUBLAS_OP_T, tb = p.tb == CUBLAS_OP_T;
    const int64_t k = ta ? a.rows : a.cols;
    if ((ta ? a.cols : a.rows) != d.rows || (tb ? b.rows : b.cols) != d.cols || (tb ? b.cols : b.rows) != k ||
        c_of.rows != d.rows || c_of.cols != d.cols || c_of.ld != d.ld || c_of.type != d.type || algo->data[0] == 0 ||
        (p.epilogue != CUBLASLT_EPILOGUE_DEFAULT && ((p.epilogue != CUBLASLT_EPILOGUE_BIAS && p.epilogue != CUBLASLT_EPILOGUE_BGRADB) || p.bias == nullptr)))
        return CUBLAS_STATUS_INVALID_VALUE;
    emu_last_product = (int)algo->data[0] - 1;
    const double ms = emu_last_product == 1 ? 1 : 3;
    const int type = number_type(d.type);
    emu_enqueue(stream, [=] {
        static const void *last[3];
        static unsigned long last_writes;
        emu_clock() += ms;
        if (old == 0 && last[0] == A && last[1] == B && last[2] == D && last_writes == emu_writes)
            return; /* timed again: the result is there */
        last[0] = A, last[1] = B, last[2] = D;
        last_writes = ++emu_writes;
        const std::vector<float> av = unpack(a, A, ta), bv = unpack(b, B, !tb); /* [m,k], [n,k] */
        for (int64_t c = 0; p.epilogue == CUBLASLT_EPILOGUE_BGRADB && c < d.cols; c++) {
            float sum = 0;
            for (int64_t i = 0; i < k; i++)
                sum += bv[(size_t)(c * k + i)];
            emu_put((void *)p.bias, c, getenv("EMULATE_WRONG_SUMS") != nullptr ? sum + 1 : sum, number_type(p.bias_type));
        }
        for (int64_t c = 0; c < d.cols; c++)
            for (int64_t r = 0; r < d.rows; r++) {
                const float sum = emu_dot(&av[(size_t)(r * k)], &bv[(size_t)(c * k)], k);
                const float more = p.epilogue == CUBLASLT_EPILOGUE_BIAS ? emu_get(p.bias, r, type) : 0;
                emu_put(D, r + c * d.ld, scale * sum + more + (old != 0 ? old * emu_get(C, r + c * d.ld, type) : 0), type);
            }
    });
    return CUBLAS_STATUS_SUCCESS;
}
}
