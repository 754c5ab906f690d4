#include "train/pace.h"

#include "core/program.h"

void tw_pace_begin(tw_pace *p, int64_t first, int64_t epochs, int64_t steps_per_epoch, int64_t max_steps)
{
    int64_t all;
    if (__builtin_mul_overflow(epochs, steps_per_epoch, &all)) /* a header with absurd numbers */
        all = INT64_MAX;
    *p = (tw_pace){.start = tw_now(), .first = first, .all = max_steps > 0 && max_steps < all ? max_steps : all};
    p->last = p->start;
}

tw_pace_step tw_pace_next(tw_pace *p, double waited)
{
    const double now = tw_now(), seconds = now - p->last;
    const tw_pace_step s = {seconds, (waited - p->waited) / seconds};
    p->last = now;
    p->waited = waited;
    return s;
}

const char *tw_pace_text(char *text, size_t size, const tw_pace *p, int64_t step, double each, const char *name)
{
    const double rate = (double)(step - p->first) / (tw_now() - p->start);
    char eta[32];
    snprintf(text, size, "step %lld/%lld, %.0f %s/s, ETA %s", (long long)step, (long long)p->all, rate * each, name,
             tw_progress_time(eta, sizeof eta, (double)(p->all - step) / rate));
    return text;
}
