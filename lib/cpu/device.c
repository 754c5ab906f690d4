#include "cpu/ops.h"

#include "core/error.h"
#include "core/mem.h"
#include "cpu/device.h"

#include <omp.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

int tw_dnnl_check(dnnl_status_t status, const char *call)
{
    static const char *const what[] = {"", "out of memory", "invalid arguments", "not implemented for this processor",
                                       "no more implementations", "runtime error", "not required"};
    if (status == dnnl_success)
        return 0;
    const int length = (int)strcspn(call, "(");
    const bool known = (size_t)status < sizeof what / sizeof *what;
    return tw_fail("oneDNN: %.*s: %s", length, call, known ? what[status] : "unknown error");
}

/* Whether oneDNN uses these instructions (ONEDNN_MAX_CPU_ISA can restrict it). Without bf16 instructions bf16 would run, many times slower than
 * f32. */
static bool has(unsigned isa)
{
    return ((unsigned)dnnl_get_effective_cpu_isa() & isa) == isa;
}

bool tw_cpu_computes(tw_dtype precision)
{
    return precision == TW_F32 || (precision == TW_BF16 && has(dnnl_cpu_isa_avx512_core_bf16));
}

int tw_cpu_devices(void)
{
    return 1;
}

/* Starts OpenMP's threads with all signals blocked, so that a signal interrupts the main thread, which has a stack for it (tw_catch_stops), and
 * never a worker inside one of oneDNN's kernels. */
static void begin_team(int threads)
{
    sigset_t all;
    sigfillset(&all);
#pragma omp parallel num_threads(threads)
    if (omp_get_thread_num() > 0)
        pthread_sigmask(SIG_BLOCK, &all, NULL);
}

tw_dev *tw_cpu_open(tw_dtype precision, int threads)
{
    if (precision != TW_F32 && precision != TW_BF16) {
        tw_fail("the processor computes in fp32 and bf16, not in %s", tw_dtype_name(precision));
        return NULL;
    }
    if (!tw_cpu_computes(precision)) {
        tw_fail("this processor has no bf16: use --precision=fp32");
        return NULL;
    }
#ifdef __x86_64__
    if (!has(dnnl_cpu_isa_sse41)) {
        tw_fail("this processor has no SSE4.1: oneDNN's convolutions without it are wrong");
        return NULL;
    }
#endif
    tw_dev *d = tw_calloc(1, sizeof *d);
    if (d == NULL)
        return NULL;
    d->precision = precision;
    d->own16 = precision == TW_BF16 && !has(dnnl_cpu_isa_avx512_core_amx);
    d->threads = threads;
    begin_team(threads);
    if (TW_DNNL(dnnl_engine_create(&d->engine, dnnl_cpu, 0)) == 0 &&
        TW_DNNL(dnnl_stream_create(&d->stream, d->engine, dnnl_stream_default_flags)) == 0)
        return d;
    tw_cpu_close(d);
    return NULL;
}

void tw_cpu_close(tw_dev *d)
{
    if (d == NULL)
        return;
    if (d->stream != NULL)
        dnnl_stream_destroy(d->stream);
    if (d->engine != NULL)
        dnnl_engine_destroy(d->engine);
    for (int i = 0; i < TW_SCRATCHES; i++)
        free(d->scratch[i]);
    free(d);
}

void tw_cpu_enter(tw_dev *d)
{
    omp_set_num_threads(d->threads);
}

void *tw_cpu_alloc(tw_dev *d, size_t bytes)
{
    (void)d;
    void *p = tw_alloc64(bytes);
    if (p != NULL)
        memset(p, 0, bytes);
    return p;
}

void tw_cpu_release(tw_dev *d, void *p)
{
    (void)d;
    free(p);
}

int tw_cpu_copy(tw_dev *d, void *to, const void *from, size_t bytes)
{
    (void)d;
    memcpy(to, from, bytes);
    return 0;
}

int tw_cpu_zero(tw_dev *d, void *p, size_t bytes)
{
    (void)d;
    const size_t piece = 1 << 20;
#pragma omp parallel for schedule(static)
    for (size_t at = 0; at < bytes; at += piece)
        memset((char *)p + at, 0, bytes - at < piece ? bytes - at : piece);
    return 0;
}

void *tw_dev_scratch(tw_dev *d, tw_scratch purpose, size_t bytes)
{
    if (bytes <= d->scratch_bytes[purpose] && d->scratch[purpose] != NULL)
        return d->scratch[purpose];
    void *p = tw_alloc64(bytes);
    if (p == NULL)
        return NULL;
    free(d->scratch[purpose]);
    d->scratch[purpose] = p;
    d->scratch_bytes[purpose] = bytes;
    return p;
}
