/* Errors of the library: it never prints them and never exits. A function that fails records one message for its thread and
 * returns -1 (or NULL); the program prints it. Messages are lower case, operand first, cause last, no full stop. */
#ifndef TW_CORE_ERROR_H
#define TW_CORE_ERROR_H

#include <stdbool.h>

#if defined(__GNUC__)
#define TW_PRINTF(a, b) __attribute__((format(printf, a, b)))
#else
#define TW_PRINTF(a, b)
#endif

/* Records the message (replacing the thread's last one; arguments may point into tw_error()). Returns -1. */
int tw_fail(const char *fmt, ...) TW_PRINTF(1, 2);

/* The same with ": " and strerror(errno) appended. Returns -1; errno is kept. */
int tw_fail_errno(const char *fmt, ...) TW_PRINTF(1, 2);

/* Whether an errno means lack of memory or file descriptors (ENOMEM, EMFILE, ENFILE). */
bool tw_is_short(int err);

/* tw_shortages: how many failures of the calling thread were due to lack of memory (requests below 1 GiB) or file descriptors, hence not caused by
 * the input. tw_fail_errno (tw_is_short) and core/mem.h count them; code that detects such a failure by other means calls tw_short. */
unsigned tw_shortages(void);
void tw_short(void);

/* The calling thread's last message; "" if there is none. Borrowed until the thread's next failure. */
const char *tw_error(void);

#endif
