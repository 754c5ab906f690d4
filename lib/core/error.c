#include "core/error.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static _Thread_local char message[1024];
static _Thread_local unsigned shortages;

static void record(const char *fmt, va_list ap, int err)
{
    char text[sizeof message]; /* the arguments may be the old message itself */
    int n = vsnprintf(text, sizeof text, fmt, ap);
    const char *why = err != 0 ? strerror(err) : "";
    const size_t most = sizeof text - 1 - (err != 0 ? strlen(why) + 2 : 0); /* a long path is cut, not the cause */
    size_t len = n < 0 ? 0 : (size_t)n < most ? (size_t)n : most;
    text[len] = '\0';
    if (err != 0)
        snprintf(text + len, sizeof text - len, ": %s", why);
    memcpy(message, text, sizeof text);
}

bool tw_is_short(int err)
{
    return err == ENOMEM || err == EMFILE || err == ENFILE;
}

unsigned tw_shortages(void)
{
    return shortages;
}

void tw_short(void)
{
    shortages++;
}

int tw_fail(const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    record(fmt, ap, 0);
    va_end(ap);
    return -1;
}

int tw_fail_errno(const char *fmt, ...)
{
    const int err = errno;
    va_list ap;
    va_start(ap, fmt);
    record(fmt, ap, err);
    va_end(ap);
    if (tw_is_short(err))
        tw_short();
    errno = err;
    return -1;
}

const char *tw_error(void)
{
    return message;
}
