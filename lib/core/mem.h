/* Memory with checked sizes. */
#ifndef TW_CORE_MEM_H
#define TW_CORE_MEM_H

#include <stdbool.h>
#include <stddef.h>

/* *out = a * b; false (and *out unchanged) if the product does not fit a size_t. */
bool tw_mul(size_t *out, size_t a, size_t b);

/* n * size bytes, zeroed (n or size 0: a non-NULL pointer). Free with free(). NULL and tw_error() if the product overflows or
 * memory is short. */
void *tw_calloc(size_t n, size_t size);

/* Grows a block to hold at least n elements of `size` bytes. block: address of the caller's pointer (a T **; NULL at first); *cap: its capacity in
 * elements. At least doubles the capacity; keeps the contents; new bytes are uninitialised. 0, or -1 and tw_error() with block and *cap unchanged. */
int tw_grow(void *block, size_t *cap, size_t n, size_t size);
/* As tw_grow, but to exactly n elements: for known sizes, or a caller with its own growth steps. */
int tw_reserve(void *block, size_t *cap, size_t n, size_t size);

/* Uninitialised memory aligned to 64 bytes (a cache line, an AVX-512 register). Free with free(). NULL and tw_error() on failure. */
void *tw_alloc64(size_t bytes);

#endif
