#include "train/tally.h"

#include "core/program.h"

#include <stdio.h>
#include <string.h>

/* The last validation (epoch, top-1, top-5); steps, sum of the losses, top-1 and top-5 hits. */
#define READ "measured %lld %lf %lf, epoch %lld %lf %lld %lld"
#define WRITE "measured %lld %.17g %.17g, epoch %lld %.17g %lld %lld"
#define PENDING ", to be measured"

void tw_tally_add(tw_tally *t, const tw_step_result *s)
{
    t->loss += s->terms.loss;
    t->hits[0] += s->hits[0];
    t->hits[1] += s->hits[1];
    t->steps++;
}

void tw_tally_clear(tw_tally *t)
{
    *t = (tw_tally){.last = t->last};
}

void tw_tally_write(char notes[TW_TALLY_NOTES], const tw_tally *t)
{
    snprintf(notes, TW_TALLY_NOTES, WRITE "%s", (long long)t->last.epoch, t->last.acc1, t->last.acc5, (long long)t->steps, t->loss,
             (long long)t->hits[0], (long long)t->hits[1], t->pending ? PENDING : "");
}

int tw_tally_read(tw_tally *t, const char *notes)
{
    tw_tally r = {0};
    long long epoch, steps, hits[2];
    if (sscanf(notes, READ, &epoch, &r.last.acc1, &r.last.acc5, &steps, &r.loss, &hits[0], &hits[1]) != 7)
        return -1;
    r.last.epoch = epoch;
    r.steps = steps;
    r.hits[0] = hits[0];
    r.hits[1] = hits[1];
    r.pending = strstr(notes, PENDING) != NULL;
    *t = r;
    return 0;
}

int tw_tally_log(tw_jsonl *log, const tw_tally *t, int64_t epoch, int64_t step, int each, const tw_validation *v)
{
    const double steps = (double)t->steps, samples = steps * each;
    tw_jsonl_begin(log);
    tw_jsonl_int(log, "end_of_epoch", epoch);
    tw_jsonl_int(log, "after_step", step);
    tw_jsonl_number(log, "loss", t->loss / steps);
    tw_jsonl_number(log, "acc1", (double)t->hits[0] / samples);
    tw_jsonl_number(log, "acc5", (double)t->hits[1] / samples);
    if (v != NULL) {
        tw_jsonl_number(log, "val_loss", v->loss);
        tw_jsonl_number(log, "val_acc1", v->acc1);
        tw_jsonl_number(log, "val_acc5", v->acc5);
        tw_jsonl_int(log, "val_samples", v->samples);
    }
    if (tw_jsonl_end(log) != 0)
        return -1;
    tw_note(1, "epoch %lld: loss %.4f, acc1 %.4f%s", (long long)epoch + 1, t->loss / steps, (double)t->hits[0] / samples,
            v != NULL ? "" : ", not measured");
    if (v != NULL)
        tw_note(1, "epoch %lld: on %lld other samples: loss %.4f, acc1 %.4f, acc5 %.4f", (long long)epoch + 1, (long long)v->samples,
                v->loss, v->acc1, v->acc5);
    return 0;
}
