/* Matrix products by cuBLASLt, column-major: D [m,n] = op(A) op(B) + beta C, op(A) [m,k]. The algorithm is chosen by timing, once per shape, and
 * kept in the cache of plans. */
#ifndef TW_CUDA_PRODUCT_H
#define TW_CUDA_PRODUCT_H

#include "cuda/device.h"

#include <cublasLt.h>

typedef struct {
    cublasLtMatmulDesc_t desc; /* NULL: none was made */
    cublasLtMatrixLayout_t a, b, d;
    cublasLtMatmulAlgo_t algo;
    float beta; /* 1: adds C, of D's shape and type; 0: C is not read */
    bool onto;  /* C and D are different memory */
} tw_product;

enum { TW_PRODUCT_KEY = 128 };

/* The key in the cache of a product of that shape, named `what`. */
void tw_product_key(char key[TW_PRODUCT_KEY], const char *what, const tw_dev *d, int m, int n, int k);

cudaDataType_t tw_product_type(tw_dtype t);

/* In two steps, so that attributes can be set in between: describe makes a product without an algorithm, choose times the heuristic's first ones and
 * takes the fastest. in, out of choose: bytes of an element. 0, or -1 and tw_error(). */
int tw_product_describe(tw_product *p, bool transpose_a, bool transpose_b, int m, int n, int k, cudaDataType_t in, cudaDataType_t out);
int tw_product_choose(tw_product *p, tw_dev *d, const char *what, int m, int n, int k, size_t in, size_t out);
void tw_product_fini(tw_product *p); /* zeros are allowed */

/* Both steps, for operands of the device's precision and a result of the same, or (wide) added to f32. 0, or -1 and tw_error(). */
int tw_product_make(tw_product *p, tw_dev *d, const char *what, bool transpose_a, bool transpose_b, int m, int n, int k, bool wide);

/* Queues the product on the device's stream; out: D. c may be out. 0, or -1 and tw_error(). */
int tw_product_run(const tw_product *p, tw_dev *d, void *out, const void *c, const void *a, const void *b);

#endif
