/* Where two checkpoints differ. */
#ifndef TW_CHECKPOINT_COMPARE_H
#define TW_CHECKPOINT_COMPARE_H

#include "checkpoint/layout.h"

#include <stdio.h>

typedef struct {
    int same, changed, reshaped, only_a, only_b; /* tensors */
} tw_comparison;

/* Compares tensors by name and prints a line for each one that is not the same, the name followed by a tab: "only in A" (or B, with
 * type and shape), both shapes, or how far the values are apart: the largest difference, and the norm of all differences relative to
 * that of A's tensor. Of equal numbers the type may differ. -0 is 0; NaN is the same as NaN. 0, or -1 and tw_error(): no memory. */
int tw_compare(tw_comparison *c, FILE *to, const tw_selection *a, const tw_selection *b);

#endif
