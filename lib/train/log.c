#include "train/log.h"

static void log_terms(tw_runlog *log, const tw_loss_terms *t)
{
    tw_runlog_number(log, "loss", t->loss);
    tw_runlog_number(log, "kl", t->kl);
    tw_runlog_number(log, "eh", t->eh);
    tw_runlog_number(log, "he", t->he);
}

int tw_log_step(tw_runlog *log, int64_t step, int64_t epoch, const tw_step_inputs *p, const tw_step_result *s, bool taken, int B, int views,
                const tw_pace_step *pace)
{
    const double images = B / pace->seconds;
    tw_runlog_begin(log, "step", step);
    tw_runlog_int(log, "step", step);
    tw_runlog_int(log, "epoch", epoch);
    if (!taken)
        tw_runlog_int(log, "skipped", 1);
    log_terms(log, &s->terms);
    if (p->self_label) {
        tw_runlog_number(log, "threshold", s->selflabel.threshold);
        tw_runlog_number(log, "selected", s->selflabel.selected);
    }
    tw_runlog_number(log, "lr", p->lr);
    tw_runlog_number(log, "weight_decay", p->weight_decay);
    tw_runlog_number(log, "grad_norm", s->gradient_norm);
    tw_runlog_number(log, "images_per_second", images);
    tw_runlog_number(log, "views_per_second", images * views);
    tw_runlog_number(log, "wait", pace->wait);
    return tw_runlog_end(log);
}

int tw_log_epoch(tw_runlog *log, int64_t epoch, int64_t step, const tw_epoch_summary *e, const char *warning)
{
    tw_runlog_begin(log, "epoch", step);
    tw_runlog_int(log, "end_of_epoch", epoch);
    tw_runlog_int(log, "after_step", step);
    tw_runlog_int(log, "steps", e->steps);
    log_terms(log, &e->mean);
    const struct {
        const char *name;
        double v;
    } number[] = {
        {"agreement", e->agreement}, {"classes_used", e->classes}, {"raw_column_std", e->raw_column_std}, {"raw_row_std", e->raw_row_std},
        {"column_std", e->column_std}, {"row_std", e->row_std}, {"nmi", e->nmi}, {"ami", e->ami}, {"ari", e->ari},
    };
    for (size_t i = 0; i < sizeof number / sizeof *number; i++)
        tw_runlog_number(log, number[i].name, number[i].v);
    if (warning != NULL)
        tw_runlog_text(log, "warning", warning);
    return tw_runlog_end(log);
}
