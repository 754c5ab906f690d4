/* Processor seconds of the partition metrics and of the match, for labels as many as ImageNet's: 1000 classes, half of the samples in the
 * cluster of their class, the rest anywhere. usage: partition_loop CLUSTERS... Prints, for each: clusters, seconds of the metrics, of the
 * one-to-one match; AMI. */
#include "core/philox.h"
#include "eval/assignment.h"
#include "eval/partition.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { N = 1281167, CLASSES = 1000 };

static double now(void)
{
    return (double)clock() / CLOCKS_PER_SEC;
}

int main(int argc, char **argv)
{
    static int32_t x[N], y[N];
    for (int a = 1; a < argc; a++) {
        const int K = atoi(argv[a]);
        tw_rng r;
        tw_agreement all;
        int *to = malloc((size_t)(K > 0 ? K : 1) * sizeof *to);
        if (K < 1 || to == NULL)
            return 2;
        tw_rng_init(&r, 1, TW_USE_SHUFFLE, (uint64_t)K, 0, 0);
        for (int i = 0; i < N; i++) {
            y[i] = (int32_t)tw_rng_below(&r, CLASSES);
            const bool keep = tw_rng_below(&r, 2) == 0;
            /* a class is spread over K / 1000 clusters */
            const int64_t spread = K > CLASSES ? (int64_t)tw_rng_below(&r, (uint64_t)(K / CLASSES)) * CLASSES : 0;
            x[i] = keep ? (int32_t)((y[i] + spread) % K) : (int32_t)tw_rng_below(&r, (uint64_t)K);
        }
        const double start = now();
        if (tw_agree(&all, x, y, N) != 0)
            return 1;
        const double two = now();
        if (tw_match_classes(to, x, y, N, K, CLASSES) != 0)
            return 1;
        printf("%d %.3f %.3f %.12g\n", K, two - start, now() - two, all.ami);
        free(to);
    }
    return 0;
}
