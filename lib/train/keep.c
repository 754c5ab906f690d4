#include "train/keep.h"

#include "core/error.h"
#include "core/mem.h"

#include <stdio.h>
#include <string.h>

/* The best epoch's loss, whether it was of self-labeling; steps, samples whose views agree, the sums. */
#define READ "best %lf %d, epoch %lld %lld %lf %lf %lf %lf %lf %lf %lf %lf%n"
#define WRITE "best %.17g %d, epoch %lld %lld %.17g %.17g %.17g %.17g %.17g %.17g %.17g %.17g"

static const char tensor_name[] = "epoch.samples";

int tw_keep(tw_learner *l, char notes[TW_KEEP_NOTES], tw_monitor *m, const tw_watch *w)
{
    if (tw_monitor_gather(m) != 0)
        return -1;
    const tw_epoch_so_far *seen = tw_monitor_so_far(m);
    const double *s = seen->sums;
    snprintf(notes, TW_KEEP_NOTES, WRITE, w->least, w->self_label, (long long)seen->steps, (long long)seen->agreed, s[0], s[1], s[2], s[3], s[4],
             s[5], s[6], s[7]);
    l->notes = notes;
    l->extra = (tw_named_tensor){seen->n > 0 ? tensor_name : NULL,
                                 {.dtype = TW_I32, .rank = 2, .dim = {(int64_t)seen->n, 2}, .data = seen->samples}};
    return 0;
}

/* Copies the tensor's rows, n of them. */
static int read_samples(tw_epoch_so_far *seen, const tw_tensor *t, int K, const char *path)
{
    if (t->dtype != TW_I32 || t->rank != 2 || t->dim[1] != 2)
        return tw_fail("%s: %s has another shape than twist-train gives it", path, tensor_name);
    const size_t n = (size_t)t->dim[0];
    if (tw_grow(&seen->samples, &seen->cap, n, sizeof *seen->samples) != 0)
        return -1;
    memcpy(seen->samples, t->data, n * sizeof *seen->samples);
    for (size_t i = 0; i < n; i++)
        if (seen->samples[i][0] < 0 || seen->samples[i][0] >= K)
            return tw_fail("%s: %s has class %d of %d", path, tensor_name, seen->samples[i][0], K);
    seen->n = n;
    return 0;
}

int tw_keep_read(tw_monitor *m, tw_watch *w, int K, const tw_checkpoint *f)
{
    const char *notes = tw_checkpoint_meta(f, "notes"), *path = tw_checkpoint_path(f);
    const tw_tensor *samples = tw_checkpoint_find(f, tensor_name);
    tw_epoch_so_far *seen = tw_monitor_so_far(m);
    long long steps, agreed;
    int self_label, end = 0;
    double least, *s = seen->sums;
    if (notes == NULL)
        return 0;
    if (sscanf(notes, READ, &least, &self_label, &steps, &agreed, s, s + 1, s + 2, s + 3, s + 4, s + 5, s + 6, s + 7, &end) != 12 ||
        notes[end] != '\0' || steps < 0 || agreed < 0 || (steps > 0) != (samples != NULL))
        return tw_fail("%s: 'notes' in its metadata are not twist-train's", path);
    *w = (tw_watch){least, self_label != 0};
    seen->steps = steps;
    seen->agreed = agreed;
    return samples != NULL ? read_samples(seen, samples, K, path) : 0;
}
