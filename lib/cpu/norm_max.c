/* BatchNorm, ReLU and max pooling, fused: the activation between them exists only a few rows of pixels at a time, in the cache. */
#include "cpu/ops.h"

#include "cpu/norm.h"
#include "cpu/pool.h"
#include "cpu/vec.h"

#include <omp.h>

enum { ROWS = 4 }; /* of windows whose pixels are computed together */

/* Window rows first .. last - 1 of picture n; room: for the rows of pixels under them. */
static void pool_rows(tw_dev *d, const tw_pool_shape *s, const tw_norm_affine *k, void *y, uint8_t *pick, const char *x, int n, int first, int last,
                      void *room)
{
    const int begin = (int)tw_max(0, first * s->stride - s->pad), end = (int)tw_min(s->H, (last - 1) * s->stride - s->pad + s->size);
    const size_t pixel = (size_t)n * (size_t)(s->H * s->W) + (size_t)(begin * s->W);
    const tw_norm_piece p = {0, (int64_t)(end - begin) * s->W, 0, s->C, s->C};
    tw_norm_apply_piece(room, x + pixel * (size_t)s->C * tw_dtype_size(d->precision), NULL, k, &p, true, d->precision);
    for (int oh = first; oh < last; oh++)
        tw_pool_max_row(y, pick, room, s, begin, (int64_t)n * s->OH + oh, d->precision);
}

int tw_cpu_norm_max_forward(tw_dev *d, const tw_norm *n, const tw_pool_shape *s, void *y, uint8_t *pick, const void *x)
{
    const size_t each = (size_t)((ROWS - 1) * s->stride + s->size) * (size_t)s->W * (size_t)s->C * tw_dtype_size(d->precision);
    char *room = tw_dev_scratch(d, TW_SCRATCH_PIXELS, (size_t)d->threads * each);
    float *line = tw_norm_room(d, n);
    if (room == NULL || line == NULL)
        return -1;
    const tw_norm_affine k = tw_norm_affine_of(n, line);
    const int64_t down = tw_pieces(s->OH, ROWS);
#pragma omp parallel for schedule(static)
    for (int64_t i = 0; i < s->N * down; i++) {
        const int first = (int)(i % down) * ROWS;
        pool_rows(d, s, &k, y, pick, x, (int)(i / down), first, (int)tw_min(s->OH, first + ROWS), room + (size_t)omp_get_thread_num() * each);
    }
    return 0;
}

int tw_cpu_norm_max_backward_sums(tw_dev *d, const tw_norm *n, const tw_pool_shape *s, const uint8_t *pick, const void *dy, const void *x)
{
    return tw_norm_backward_sums_of(d, n, &(tw_norm_gradient){.dy = (void *)dy, .pool = s, .pick = pick}, x);
}

int tw_cpu_norm_max_backward_apply(tw_dev *d, const tw_norm *n, const tw_pool_shape *s, void *dx, const uint8_t *pick, const void *dy, const void *x)
{
    return tw_norm_backward_apply_of(d, n, dx, &(tw_norm_gradient){.dy = (void *)dy, .pool = s, .pick = pick}, x);
}
