/* Matrix products by cuBLASLt, column-major: D [m,n] = op(A) op(B) + beta C, op(A) is [m,k]; the algorithm timed once per shape and kept among the
 * plans. */
#ifndef TW_CUDA_PRODUCT_H
#define TW_CUDA_PRODUCT_H

#include "cuda/device.h"

#include <cublasLt.h>

typedef struct {
    cublasLtMatmulDesc_t desc; /* NULL: there is no such product */
    cublasLtMatrixLayout_t a, b, d;
    cublasLtMatmulAlgo_t algo;
    float beta; /* 1: what is at C, which has D's shape and type, is added; 0: it is not read */
    bool onto;  /* C is other memory than D */
} tw_product;

enum { TW_PRODUCT_KEY = 128 };

/* What is kept of a product of that shape under that name. */
void tw_product_key(char key[TW_PRODUCT_KEY], const char *what, const tw_dev *d, int m, int n, int k);

cudaDataType_t tw_product_type(tw_dtype t);

/* In three parts, so that attributes can be set between them: a product without an algorithm, and the fastest of the heuristic's first ones for it.
 * `in`, `out`: bytes of a number. 0, or -1 and tw_error(). */
int tw_product_describe(tw_product *p, bool transpose_a, bool transpose_b, int m, int n, int k, cudaDataType_t in, cudaDataType_t out);
int tw_product_choose(tw_product *p, tw_dev *d, const char *what, int m, int n, int k, size_t in, size_t out);
void tw_product_fini(tw_product *p); /* zeros are allowed */

/* Of numbers of the device's type, into that type, or (wide) added to f32. 0, or -1 and tw_error(). */
int tw_product_make(tw_product *p, tw_dev *d, const char *what, bool transpose_a, bool transpose_b, int m, int n, int k, bool wide);

/* On the device's stream. c may be out. 0, or -1 and tw_error(). */
int tw_product_run(const tw_product *p, tw_dev *d, void *out, const void *c, const void *a, const void *b);

#endif
