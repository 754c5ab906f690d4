/* The kernels of matrix.h, one file per instruction set. */
#ifndef TW_EVAL_MATRIX_KERNELS_H
#define TW_EVAL_MATRIX_KERNELS_H

#include "eval/matrix.h"

extern const tw_matrix_kernel tw_matrix_portable;
#if defined(__x86_64__)
extern const tw_matrix_kernel tw_matrix_avx2, tw_matrix_avx512;
#endif

enum { TW_MATRIX_MOST_MR = 12, TW_MATRIX_MOST_NR = 32 };

/* fmaf(a, b, c) for processors without the instruction. */
float tw_matrix_fused(float a, float b, float c);

#endif
