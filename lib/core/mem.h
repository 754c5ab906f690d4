/* Memory with checked sizes. */
#ifndef TW_CORE_MEM_H
#define TW_CORE_MEM_H

#include <stdbool.h>
#include <stddef.h>

/* *out = a * b; false (and *out unchanged) if the product does not fit a size_t. */
bool tw_mul(size_t *out, size_t a, size_t b);

/* n * size bytes, zeroed (n or size 0: a pointer that may be freed). NULL and tw_error() where that overflows or there is
 * no memory. Free with free(). */
void *tw_calloc(size_t n, size_t size);

/* Grows *block to hold at least n elements of size bytes, its capacity in *cap (elements); contents kept, new bytes not
 * initialised, at least doubling. 0, or -1 and tw_error() with the block as it was. */
int tw_grow(void *block, size_t *cap, size_t n, size_t size);
/* As tw_grow, to n elements and no more: for sizes that are known, or grow in steps of their own. */
int tw_reserve(void *block, size_t *cap, size_t n, size_t size);

/* Bytes aligned to 64 (a cache line, an AVX-512 register), not initialised. NULL and tw_error(). Free with free(). */
void *tw_alloc64(size_t bytes);

#endif
