/* Where two checkpoints differ. */
#ifndef TW_CHECKPOINT_COMPARE_H
#define TW_CHECKPOINT_COMPARE_H

#include "checkpoint/layout.h"

#include <stdio.h>

typedef struct {
    int same, changed, reshaped, only_a, only_b; /* tensors */
} tw_comparison;

/* Compares tensors by name and prints a line for each difference, name and tab first: "only in A" (or B) with type and shape; both shapes; or the
 * largest absolute difference of the values and the norm of the difference relative to that of A's tensor. Only values count, not types;
 * -0 equals 0, NaN equals NaN. 0, or -1 and tw_error(): out of memory. */
int tw_compare(tw_comparison *c, FILE *to, const tw_selection *a, const tw_selection *b);

#endif
