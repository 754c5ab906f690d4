#include "train/watch.h"

#include <stdio.h>

static const double FLAT_STD = 0.1, FEW_CLASSES = 0.01, ONE_ANSWER = 0.05, UNIFORM = 0.99, WORSE = 0.25;

static bool describe(char *text, size_t size, const tw_watch *w, const tw_epoch_summary *e, double could, double log_K)
{
    const double few = fmax(1, FEW_CLASSES * could);
    if (e->column_std < FLAT_STD)
        snprintf(text, size, "collapse: all samples get nearly the same logits (their deviation is %.2g)", e->column_std);
    else if (could > 1 && e->classes <= few)
        snprintf(text, size, "collapse: %.0f of %.0f possible classes used", e->classes, could);
    else if (e->mean.he < ONE_ANSWER * log_K)
        snprintf(text, size, "collapse: the mean answer is nearly one class (he is %.3g of %.3g)", e->mean.he, log_K);
    else if (e->mean.eh > UNIFORM * log_K)
        snprintf(text, size, "no class is learned: every answer is nearly uniform (eh is %.3g of %.3g)", e->mean.eh, log_K);
    else if (e->mean.loss > w->least + WORSE * log_K)
        snprintf(text, size, "divergence: the loss is %.3g, that of the best epoch was %.3g", e->mean.loss, w->least);
    else
        return false;
    return true;
}

const char *tw_watch_epoch(char *text, size_t size, tw_watch *w, const tw_epoch_summary *e, int64_t samples, int K, bool self_label)
{
    if (self_label != w->self_label)
        *w = (tw_watch){NAN, self_label};
    const bool wrong = describe(text, size, w, e, fmin((double)samples, K), log(K));
    if (!(e->mean.loss >= w->least)) /* true for the first epoch too, where least is NaN */
        w->least = e->mean.loss;
    return wrong ? text : NULL;
}
