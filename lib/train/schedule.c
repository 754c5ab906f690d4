#include "train/schedule.h"

#include <math.h>

static const double FLOOR = 0.001; /* share of the learning rate that is left at the end of a cosine */

int64_t tw_schedule_warmup(int64_t epochs)
{
    return epochs <= 20 ? 3 : epochs <= 50 ? 5 : 10;
}

double tw_cosine(double done)
{
    return 0.5 * (1 + cos(3.14159265358979323846 * done));
}

/* Warm-up and cosine of one phase: the rate at step `at` of `all`, the first `warm` of which are warm-up. */
static double phase(double lr, double at, double warm, double all)
{
    if (at < warm)
        return lr * at / warm;
    const double q = all > warm ? tw_cosine((at - warm) / (all - warm)) : 1;
    return lr * (q + FLOOR * (1 - q));
}

double tw_schedule_lr(const tw_schedule *s, int64_t epoch, int64_t it)
{
    const double n = (double)s->steps_per_epoch, at = (double)epoch * n + (double)it;
    const double first = (double)(s->mme_epochs < s->epochs ? s->mme_epochs : s->epochs) * n;
    if (at < first)
        return phase(s->lr, at, (double)s->warmup_epochs * n, first);
    return phase(s->lr_sl, at - first, (double)s->sl_warmup_epochs * n, (double)s->epochs * n - first);
}

double tw_schedule_quantile(const tw_schedule *s, double q, double q_end, int64_t first, int64_t epoch, int64_t it)
{
    if (epoch < first)
        return q;
    const double n = (double)s->steps_per_epoch, done = (double)(epoch - first) * n + (double)it;
    return q_end + (q - q_end) * tw_cosine(done / ((double)(s->epochs - first) * n));
}

double tw_schedule_momentum(const tw_schedule *s, double start, double end, int64_t epoch, int64_t it)
{
    if (epoch >= s->mme_epochs)
        return end;
    const double n = (double)s->steps_per_epoch, done = (double)epoch * n + (double)it;
    return end + (start - end) * tw_cosine(done / ((double)s->mme_epochs * n));
}

double tw_schedule_weight_decay(const tw_schedule *s, int64_t epoch, int64_t it)
{
    const double n = (double)s->steps_per_epoch, q = tw_cosine(((double)epoch * n + (double)it) / ((double)s->epochs * n));
    return s->weight_decay_end + (s->weight_decay - s->weight_decay_end) * q;
}
