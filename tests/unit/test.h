/* A small harness: each check prints one line where it fails; the exit status is 1 if any did, 77 for a skipped file. The
 * last line of each test program is "N passed, N failed". */
#ifndef TW_TEST_H
#define TW_TEST_H

#include "core/error.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int test_passed, test_failed;

#define CHECK(cond)                                                                            \
    ((cond) ? (void)test_passed++                                                              \
            : (void)(test_failed++, printf("%s:%d: NOT OK: %s (%s)\n", __FILE__, __LINE__, #cond, tw_error())))
#define CHECK_NEAR(a, b, tol)                                                                                   \
    do {                                                                                                        \
        const double a_ = (a), b_ = (b);                                                                        \
        if (fabs(a_ - b_) <= (tol))                                                                             \
            test_passed++;                                                                                      \
        else                                                                                                    \
            test_failed++, printf("%s:%d: NOT OK: %s = %.9g, want %.9g\n", __FILE__, __LINE__, #a, a_, b_);     \
    } while (0)

static inline int test_done(void)
{
    printf("%d passed, %d failed\n", test_passed, test_failed);
    return test_failed != 0;
}

static inline void test_skip(const char *why)
{
    printf("skipped: %s\n", why);
    exit(77);
}

#endif
