#include "eval/features.h"

#include "core/error.h"
#include "core/half.h"
#include "core/mem.h"

#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int tw_vector_check(int *D, const tw_roster *r, const tw_sample *s, const tw_tensor *t, const char *what)
{
    char text[120];
    if (t->data == NULL) {
        snprintf(text, sizeof text, "no %s", what);
        return tw_roster_fail(r, s, text);
    }
    if (t->dim[0] > 1 << 24) {
        snprintf(text, sizeof text, "%lld %s, more than the %d that a sample may have here", (long long)t->dim[0], what, 1 << 24);
        return tw_roster_fail(r, s, text);
    }
    if (*D != 0 && t->dim[0] != *D) {
        snprintf(text, sizeof text, "%lld %s, where the first sample has %d", (long long)t->dim[0], what, *D);
        return tw_roster_fail(r, s, text);
    }
    *D = (int)t->dim[0];
    return 0;
}

int tw_vector_copy(float *out, const tw_roster *r, const tw_sample *s, const tw_tensor *t, const char *what)
{
    const int D = (int)t->dim[0];
    bool finite = true;
    if (t->dtype == TW_F16)
        tw_halves_to_floats(out, t->data, (size_t)D);
    else
        memcpy(out, t->data, (size_t)D * sizeof *out);
    for (int d = 0; d < D; d++)
        finite &= fabsf(out[d]) <= FLT_MAX;
    for (int d = 0; d < D && !finite; d++) {
        if (isfinite(out[d]))
            continue;
        char text[120];
        snprintf(text, sizeof text, "%s: value %d is %s", what, d, isnan(out[d]) ? "NaN" : "infinite");
        return tw_roster_fail(r, s, text);
    }
    return 0;
}

static int add(tw_features *f, const tw_sample *s)
{
    size_t size;
    if (tw_vector_check(&f->D, &f->who, s, &s->features, "features") != 0)
        return -1;
    if (!tw_mul(&size, (size_t)f->who.n + 1, (size_t)f->D))
        return tw_fail("%s: too many features", f->who.name);
    if (tw_grow(&f->x, &f->cap, size, sizeof *f->x) != 0 ||
        tw_vector_copy(f->x + f->who.n * f->D, &f->who, s, &s->features, "features") != 0)
        return -1;
    return tw_roster_add(&f->who, s);
}

int tw_features_take(tw_features *f, tw_reader *r)
{
    tw_sample s;
    int rc = -1;
    *f = (tw_features){0};
    tw_sample_init(&s);
    if (tw_roster_init(&f->who, r) == 0)
        while ((rc = tw_reader_next(r, &s)) == 1)
            if (add(f, &s) != 0) {
                rc = -1;
                break;
            }
    if (rc == 0 && f->who.n == 0)
        rc = tw_fail("%s: no samples", f->who.name);
    tw_sample_fini(&s);
    if (rc != 0)
        tw_features_fini(f);
    return rc;
}

int tw_features_read(tw_features *f, const char *endpoint)
{
    *f = (tw_features){0};
    tw_reader *r = tw_reader_open(endpoint, NULL, NULL);
    const int rc = r != NULL ? tw_features_take(f, r) : -1;
    tw_reader_close(r);
    return rc;
}

void tw_features_fini(tw_features *f)
{
    tw_roster_fini(&f->who);
    free(f->x);
    *f = (tw_features){0};
}

int tw_features_moments(float *mean, float *std, const tw_features *f)
{
    const int64_t n = f->who.n;
    double *sum = tw_calloc((size_t)f->D, 2 * sizeof *sum);
    if (sum == NULL)
        return -1;
    double *square = sum + f->D;
    for (int64_t i = 0; i < n; i++)
        for (int d = 0; d < f->D; d++)
            sum[d] += f->x[i * f->D + d];
    for (int d = 0; d < f->D; d++)
        sum[d] /= (double)n;
    for (int64_t i = 0; i < n; i++)
        for (int d = 0; d < f->D; d++) {
            const double v = f->x[i * f->D + d] - sum[d];
            square[d] += v * v;
        }
    for (int d = 0; d < f->D; d++) {
        const double deviation = sqrt(square[d] / (double)n);
        mean[d] = (float)sum[d];
        /* a constant column's deviation is rounding error, by which it must not be divided */
        std[d] = deviation > 1e-6 * fabs(sum[d]) && deviation > 0x1p-100 ? (float)deviation : 1;
    }
    free(sum);
    return 0;
}

void tw_features_standardize(tw_features *f, const float *mean, const float *std)
{
    for (int64_t i = 0; i < f->who.n; i++)
        for (int d = 0; d < f->D; d++) {
            float *v = &f->x[i * f->D + d];
            *v = (*v - mean[d]) / std[d];
        }
}

/* Range of numbers that need no scaling: with 2^24 columns of numbers below 2^LARGE squared distances are below 2^107; the square of 2^SMALL is 2^86
 * times f32's smallest normal number. */
enum { LARGE = 40, SMALL = -20 };

int tw_features_centre(int *exponent, tw_features *f)
{
    float *mean = tw_calloc((size_t)f->D, sizeof *mean), *std = tw_calloc((size_t)f->D, sizeof *std);
    double largest = 0;
    const int rc = mean != NULL && std != NULL ? tw_features_moments(mean, std, f) : -1;
    for (int64_t i = 0; i < f->who.n && rc == 0; i++)
        for (int d = 0; d < f->D; d++) {
            const double v = fabs((double)f->x[i * f->D + d] - mean[d]);
            largest = v > largest ? v : largest; /* gcc 12 crashes on fmax() here when it compiles for AArch64 */
        }
    frexp(largest, exponent);
    *exponent = largest == 0 || (*exponent > SMALL && *exponent <= LARGE) ? 0 : LARGE - *exponent;
    const double scale = ldexp(1, *exponent);
    for (int64_t i = 0; i < f->who.n && rc == 0; i++)
        for (int d = 0; d < f->D; d++)
            f->x[i * f->D + d] = (float)(((double)f->x[i * f->D + d] - mean[d]) * scale); /* in double, so that it is rounded only once */
    free(mean);
    free(std);
    return rc;
}
