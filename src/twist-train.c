/* twist-train: TWIST pre-training on a views stream. */
#include "core/program.h"
#include "train/args.h"
#include "train/bad_batch.h"
#include "train/folder.h"
#include "train/keep.h"
#include "train/learner.h"
#include "train/log.h"
#include "train/pace.h"
#include "train/schedule.h"
#include "train/step.h"
#include "train/turns.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <stdnoreturn.h>
#include <string.h>

static const char usage[] =
    "usage: twist-train -o DIR [OPTION...] < VIEWS\n"
    "TWIST pre-training: checkpoint.safetensors, backbone.safetensors, log.jsonl, events, args.json in DIR.\n"
    "  -o, --output DIR, -i, --input ENDPOINT (-)      --resume: continue from DIR/checkpoint.safetensors\n"
    "  --init FILE (weights)    --seed N (0)           --max-steps N (of the whole run; 0: no limit)\n"
    "  --stop-on-nan 0|1 (1; 0: a batch whose numbers are not finite is skipped)\n"
    "  --save-every N: steps between checkpoints (0: an epoch)    --epoch-samples N: if the stream does not tell\n"
    " network: --backbone resnet18|34|50|200|50w2|50w4|50w5|200w2, vit_t|s|b (resnet50)   --small-stem (for 64 px and less)\n"
    "  --dim N (4096)  --hid-dim N (4096)  --act relu|gelu (relu)  --drop P (0)  --patch-size N (16)  --drop-path P (0)\n"
    "  --lbn-type bn|syncbn|identity (bn)  --bunch-size N (256)  --proj-norm bn|ln|none (bn)  --proj-trunc-init 0|1 (0)\n"
    " loss: --lam1 X (0)  --lam2 X (1)  --tau X (1)\n"
    "  --crops-interact-style sparse|self_label (sparse; self_label: labels from the first epoch on)\n"
    "  self-labeling from --mme-epochs N (800) on: --quantile X (0.5)  --quantile-end X (0.6; with --quantile 0: 0)  --threshold X (0)\n"
    " teacher: --use-momentum-encoder 0|1 (0)  --momentum-start X (0.996)  --momentum-end X (1)\n"
    " steps: --epochs N (850)  --batch-size N per rank (128)  --optim lars|sgd|admw (lars)  --clip-norm X (0: off)\n"
    "  --lr X (0.5) and --lr-sl X (0.05), each times the batch of all ranks / 256; --lr-wbr X (1): lr / X for biases and norms\n"
    "  --warmup-epochs N (3, 5, 10 by --epochs)  --sl-warmup-epochs N (5)  --weight-decay X (1.5e-6)  --weight-decay-end X (the same)\n"
    " machine: --device auto|cpu|cuda (auto)  --precision auto|fp32|bf16|fp16 (auto)  -j, --threads N (all)\n"
    "  --patience SECONDS (60; for the GPUs of other ranks)  --starve SECONDS without views: a checkpoint, exit 75 (600; 0: never)\n"
    "  -h, --help  -V, --version  -q, --quiet  -v, --verbose  --progress\n"
    "SIGINT, SIGTERM, SIGUSR1: a checkpoint after the current step, exit 75; with --resume the same command continues.\n";

enum { MOST_UNUSABLE = 10 }; /* batches skipped in a row before the run is given up */

struct run {
    tw_train_options o;
    tw_common common;
    tw_comm *comm;
    char *args; /* the options as JSON */
    tw_folder folder;
    tw_learner learner;
    tw_train_state *state; /* points into the learner */
    tw_turns turns;
    tw_step *step;
    tw_monitor *monitor;
    char notes[TW_KEEP_NOTES]; /* of the monitor and the watch, for the checkpoint */
    tw_runlog *log;
    tw_watch watch;
    bool warned, gave_up; /* has warned that no views arrive; has given up waiting for them */
    int unusable;       /* batches in a row whose loss or gradient was not finite */
    tw_schedule schedule;
    tw_pace pace;
    int64_t saved_step; /* step of the last checkpoint; -1: none */
    int64_t first_step; /* number of steps done before this process */
};

/* Rank 0 alone writes files and prints. */
static bool leads(const struct run *r)
{
    return r->comm->rank == 0;
}

/* Ends this rank; all ranks must have agreed to end. None exits before rank 0 has finished. */
noreturn static void leave(struct run *r, int status)
{
    if (r->comm->close(r->comm) != 0)
        tw_die_error();
    exit(status); /* without cleanup: the reading thread may be blocked on the stream */
}

static void parse(struct run *r)
{
    tw_opt table[TW_TRAIN_ROWS];
    tw_train_defaults(&r->o);
    const int n = tw_train_rows(table, &r->o);
    tw_program_options(table, n, &r->common, NULL, usage);
    if (tw_train_settle(&r->o) != 0)
        tw_die_usage("%s", tw_error());
    r->comm = tw_turns_join(&r->o.threads);
    if (r->comm == NULL)
        tw_die_error();
    if (r->comm->ranks > 1 && strcmp(r->o.input, "-") == 0)
        tw_die_usage("-i: each rank needs its own input: 'pipe:twist-decode --shard=%%r/%%n ... | twist-augment ...'");
    tw_learner_bunch(&r->o, r->comm->ranks);
    r->args = tw_args_json(table, n);
    if (r->args == NULL || tw_args_compare(r->comm, table, n) != 0)
        tw_die_error();
}

/* Writes the learner to a file of the run's folder. */
static void save_as(const struct run *r, const char *name, int (*write)(const char *path, const tw_learner *l))
{
    if (!leads(r))
        return;
    char *path = tw_folder_file(&r->folder, name);
    if (path == NULL || write(path, &r->learner) != 0)
        tw_die_error();
    free(path);
}

static void save(struct run *r)
{
    save_as(r, "checkpoint.safetensors", tw_state_save);
    save_as(r, "backbone.safetensors", tw_state_save_backbone);
    r->saved_step = r->state->step;
}

/* Puts into the next checkpoints what the log will go on from. All ranks call this. */
static void keep(struct run *r)
{
    if (tw_keep(&r->learner, r->notes, r->monitor, &r->watch) != 0)
        tw_die_error();
}

/* Saves a checkpoint if steps have been done since the last one. */
static void save_if_new(struct run *r)
{
    if (r->saved_step != r->state->step)
        save(r);
}

/* The same after a failure, but without any step nothing is written, so that the corrected command can start in the same folder. */
static void save_if_learned(struct run *r)
{
    if (r->state->step > 0)
        save_if_new(r);
}

static void resume(struct run *r)
{
    const tw_train_state *s = r->state;
    tw_checkpoint *f = tw_checkpoint_open(r->folder.checkpoint);
    if (f == NULL || tw_learner_resume(&r->learner, f, &r->o) != 0 ||
        tw_keep_read(r->monitor, &r->watch, tw_net_classes(r->learner.net), f) != 0)
        tw_die_error();
    tw_checkpoint_close(f);
    r->saved_step = s->step;
    tw_warn("continuing from %s: epoch %lld, sample %lld, step %lld", r->folder.checkpoint, (long long)s->at.epoch,
            (long long)s->at.sample, (long long)s->step);
}

static void load_weights(struct run *r)
{
    const char *act;
    if (tw_learner_init(&r->learner, r->o.init, &act) != 0)
        tw_die_error();
    if (act == NULL)
        tw_note(1, "%s: has no head; training starts with a random one", r->o.init);
    else if (strcmp(act, r->learner.config.act) != 0)
        tw_warn("%s: its head was trained with --act=%s", r->o.init, act);
}

static void open_run(struct run *r)
{
    const tw_train_options *o = &r->o;
    r->folder = (tw_folder){.path = o->output, .lock = -1};
    if ((leads(r) && tw_folder_open(&r->folder, o->output, o->resume) != 0) || tw_learner_open(&r->learner, o, r->comm, r->args) != 0)
        tw_die_error();
    r->state = &r->learner.state;
    r->saved_step = -1;
    r->watch = (tw_watch)TW_WATCH_NEW;
    r->monitor = tw_monitor_new(o->batch_size, tw_net_classes(r->learner.net), r->comm);
    if (r->monitor == NULL)
        tw_die_error();
    if (r->folder.there)
        resume(r);
    else if (o->init != NULL && leads(r))
        load_weights(r);
    if (tw_ranks_share_place(&r->learner) != 0 || tw_ranks_share(&r->learner) != 0)
        tw_die_error();
    r->first_step = r->state->step;
    if (!leads(r))
        return;
    r->log = tw_runlog_open(o->output, r->folder.there ? r->state->step : -1);
    if (r->log == NULL || tw_folder_write(&r->folder, "args.json", r->args) != 0)
        tw_die_error();
}

static bool finished(const struct run *r)
{
    return r->state->at.epoch >= r->o.epochs || (r->o.max_steps > 0 && r->state->step >= r->o.max_steps);
}

/* Called while no views arrive (tw_reader_open_wait). False: stop waiting. */
static bool wait_for_views(void *context, double seconds)
{
    struct run *r = context;
    const double limit = r->o.starve;
    if (limit > 0 && seconds >= limit / 5 && !r->warned)
        tw_warn("no views for %.*f s; after %g s a checkpoint is written and the run ends (--starve)", seconds < 10, seconds, limit);
    r->warned = limit > 0 && seconds >= limit / 5;
    r->gave_up = limit > 0 && seconds >= limit;
    return !r->gave_up;
}

static void open_stream(struct run *r)
{
    const tw_train_options *o = &r->o;
    const tw_loader_options lo = {.B = o->batch_size, .start = {r->state->at.epoch, r->learner.places[r->comm->rank]},
                                  .stop = tw_stop_signal, .wait = wait_for_views, .context = r};
    r->turns = (tw_turns){.comm = r->comm, .epochs = o->epochs};
    const int rc = tw_turns_open(&r->turns, o->input, o->epoch_samples, &lo);
    if (r->turns.loader == NULL && (r->gave_up || tw_stop_signal() != 0)) { /* the other ranks may be waiting for this one; its exit ends them */
        save_if_new(r);
        if (tw_stop_signal() != 0)
            tw_complain("stopped by signal %d before the views came; %s", tw_stop_signal(), tw_goes_on(r->o.resume));
        else
            tw_complain("%s; %s", tw_error(), tw_goes_on(r->o.resume));
        exit(TW_EXIT_AGAIN);
    }
    if (rc != 0)
        tw_die_error();
    if (leads(r))
        tw_state_data(&r->learner, tw_loader_header(r->turns.loader), tw_loader_name(r->turns.loader));
    const double scale = (double)o->batch_size * r->state->ranks / 256;
    r->schedule = (tw_schedule){
        .lr = o->lr * scale, .lr_sl = o->lr_sl * scale, .weight_decay = o->weight_decay, .weight_decay_end = o->weight_decay_end,
        .epochs = o->epochs, .mme_epochs = tw_train_mme_epochs(o), .warmup_epochs = o->warmup_epochs,
        .sl_warmup_epochs = o->sl_warmup_epochs, .steps_per_epoch = r->turns.steps_per_epoch,
    };
}

static void open_step(struct run *r, const tw_batch *b)
{
    const tw_step_options so = {.loss = {r->o.lam1, r->o.lam2, r->o.tau}, .clip_norm = r->o.clip_norm, .patience = r->o.patience,
                                .first = r->state->scale};
    if (b->V < 2)
        tw_die("%s: one view per sample; training needs two or more", tw_loader_name(r->turns.loader));
    r->step = tw_step_new(r->learner.net, r->learner.teacher, r->learner.optim, b->group, b->n_groups, b->B, &so);
    if (r->step == NULL)
        tw_die_error();
    tw_note(1, "batch of %d x %d views in %d sizes: %.0f MB beside the weights", b->B, b->V, b->n_groups,
            (double)tw_step_bytes(r->step) / 1e6);
    if (tw_loader_passed(r->turns.loader) > 0)
        tw_warn("%s: %lld samples read and skipped to reach the position where training continues", tw_loader_name(r->turns.loader),
                (long long)tw_loader_passed(r->turns.loader));
    tw_pace_begin(&r->pace, r->first_step, r->o.epochs, r->schedule.steps_per_epoch, r->o.max_steps);
}

/* Samples of one step over all ranks. */
static int samples_of_step(const struct run *r)
{
    return r->o.batch_size * r->comm->ranks;
}

static void show_progress(const struct run *r, const tw_step_result *s)
{
    char text[160];
    if (tw_progress_due())
        tw_progress("epoch %lld/%lld, loss %.4f, %s", (long long)r->state->at.epoch + 1, (long long)r->o.epochs, s->terms.loss,
                    tw_pace_text(text, sizeof text, &r->pace, r->state->step, samples_of_step(r) * tw_step_views(r->step), "views"));
}

static void log_step(struct run *r, const tw_step_inputs *p, const tw_step_result *s, bool taken)
{
    const tw_pace_step pace = tw_pace_next(&r->pace, tw_loader_waited(r->turns.loader) + r->turns.waited);
    if (leads(r) && tw_log_step(r->log, r->state->step, r->state->at.epoch, p, s, taken, samples_of_step(r), tw_step_views(r->step), &pace) != 0)
        tw_die_error();
}

/* The epoch in which self-labeling begins. */
static int64_t labels_from(const struct run *r)
{
    return r->o.self_label ? 0 : tw_train_mme_epochs(&r->o);
}

static void log_epoch(struct run *r)
{
    char text[160];
    tw_epoch_summary e;
    const int64_t epoch = r->state->at.epoch;
    if (tw_monitor_epoch(&e, r->monitor) != 0)
        tw_die_error();
    if (e.steps == 0 || !leads(r))
        return;
    const char *warning = tw_watch_epoch(text, sizeof text, &r->watch, &e, e.steps * samples_of_step(r), r->o.dim, epoch >= labels_from(r));
    if (tw_log_epoch(r->log, epoch, r->state->step, &e, warning) != 0)
        tw_die_error();
    char kl[32] = "", nmi[32] = ""; /* self-labeling has no kl, samples without labels no nmi */
    if (isfinite(e.mean.kl))
        snprintf(kl, sizeof kl, "kl %.4f, ", e.mean.kl);
    if (isfinite(e.nmi))
        snprintf(nmi, sizeof nmi, ", nmi %.3f", e.nmi);
    tw_note(1, "epoch %lld: loss %.4f, %seh %.4f, he %.4f, agreement %.1f %%%s", (long long)epoch, e.mean.loss, kl, e.mean.eh, e.mean.he,
            100 * e.agreement, nmi);
    if (warning != NULL)
        tw_warn("epoch %lld: %s", (long long)epoch, warning);
}

/* Ends the current epoch and begins epoch `epoch`. */
static void turn_to(struct run *r, int64_t epoch)
{
    log_epoch(r);
    keep(r);
    tw_state_at(&r->learner, (tw_position){epoch, 0}, NULL);
    r->state->iteration = 0;
    if (epoch == tw_train_mme_epochs(&r->o) && epoch < r->o.epochs) /* self-labeling begins: keeps the checkpoint it starts from */
        save_as(r, "mme_ckpt.safetensors", tw_state_save);
    if (r->o.save_every == 0)
        save(r);
}

/* The loss or the gradient is not finite: saves the batch for inspection, then skips it or ends the run. */
static void refuse_numbers(struct run *r, const tw_batch *b, const tw_step_result *s)
{
    char name[48] = "bad-batch.tws";
    if (!leads(r))
        snprintf(name, sizeof name, "bad-batch.%d.tws", r->comm->rank);
    char *path = tw_folder_file(&r->folder, name);
    tw_progress_end();
    if (path == NULL || tw_bad_batch_save(path, b, tw_loader_header(r->turns.loader), tw_program_command()) != 0)
        tw_die_error();
    if (leads(r))
        tw_complain("%s: step %lld, epoch %lld: the loss is %g, the gradient's norm %g; the step was not taken; %s has the batch",
                    tw_loader_name(r->turns.loader), (long long)r->state->step + 1, (long long)r->state->at.epoch, s->terms.loss,
                    s->gradient_norm, path);
    free(path);
    if (!r->o.stop_on_nan && ++r->unusable < MOST_UNUSABLE)
        return;
    keep(r);
    save_if_learned(r);
    if (leads(r) && !r->o.stop_on_nan)
        tw_complain("%d batches in a row: the run has diverged; %s is as it was before them", r->unusable, r->folder.checkpoint);
    else if (leads(r) && r->saved_step >= 0)
        tw_complain("%s is of step %lld; --stop-on-nan=0 skips such batches", r->folder.checkpoint, (long long)r->saved_step);
    leave(r, TW_EXIT_FAILED);
}

/* What the epoch's figures are made of: nothing where fp16 has passed the step over. */
static void monitor(struct run *r, const tw_step_result *s, const tw_batch *b)
{
    const tw_plan *plan = tw_step_plan_of(r->step);
    int rc = 0;
    if (s->spread == NULL)
        rc = tw_monitor_step(r->monitor, &s->terms, b->V, tw_plan_logits(plan), tw_plan_raw_logits(plan), b->label);
    else if (!s->skipped)
        rc = tw_monitor_learned(r->monitor, &s->terms, s->spread, s->largest, b->label);
    if (rc != 0)
        tw_die_error();
}

static void train_on(struct run *r, const tw_batch *b)
{
    const tw_batch *ahead = tw_loader_ahead(r->turns.loader);
    const tw_step_inputs p = {
        .ahead = ahead != NULL ? ahead->pictures : NULL,
        .lr = tw_schedule_lr(&r->schedule, b->epoch, r->state->iteration),
        .weight_decay = tw_schedule_weight_decay(&r->schedule, b->epoch, r->state->iteration),
        .self_label = b->epoch >= labels_from(r),
        .confidence = {tw_schedule_quantile(&r->schedule, r->o.quantile, r->o.quantile_end, labels_from(r), b->epoch, r->state->iteration),
                       r->o.threshold},
        .number = r->state->step,
        .momentum = tw_schedule_momentum(&r->schedule, r->o.momentum_start, r->o.momentum_end, b->epoch, r->state->iteration),
    };
    tw_step_result s;
    const int rc = tw_step_run(r->step, &s, b->pictures, &p);
    if (rc < 0)
        tw_die_error();
    if (rc == 0) {
        refuse_numbers(r, b, &s);
    } else {
        monitor(r, &s, b);
        r->unusable = 0;
    }
    r->state->step++;
    r->state->scale = s.next;
    log_step(r, &p, &s, rc == 1 && !s.skipped);
    show_progress(r, &s);
    tw_state_at(&r->learner, (tw_position){b->epoch, r->turns.all.sample}, r->turns.all.places);
    r->state->iteration++;
    if (r->state->iteration == r->schedule.steps_per_epoch)
        turn_to(r, b->epoch + 1);
    if (r->o.save_every > 0 && r->state->step % r->o.save_every == 0) {
        keep(r);
        save(r);
    }
}

/* Trains until complete (TW_RANK_READY), or returns why it cannot continue (another TW_RANK_...). */
static int train(struct run *r)
{
    const tw_batch *b;
    while (!finished(r)) {
        const int rc = tw_turns_next(&r->turns, &b, r->state->at.epoch);
        if (rc < 0)
            tw_die_error();
        if (rc == TW_RANK_DONE) { /* the last epoch is shorter, because of bad images */
            turn_to(r, r->o.epochs);
            save(r);
            break;
        }
        if (rc != TW_RANK_READY)
            return rc;
        if (r->step == NULL)
            open_step(r, b);
        if (b->epoch > r->state->at.epoch) /* an epoch may be shorter, because of bad images */
            turn_to(r, b->epoch);
        if (!finished(r))
            train_on(r, b);
    }
    return TW_RANK_READY;
}

int main(int argc, char **argv)
{
    static struct run r;
    tw_program_start("twist-train", argc, argv);
    parse(&r);
    tw_catch_stops();
    open_run(&r);
    if (finished(&r)) {
        tw_warn("%s: the run is complete: %lld epochs, %lld steps", r.folder.checkpoint, (long long)r.state->at.epoch,
                (long long)r.state->step);
        save_as(&r, "backbone.safetensors", tw_state_save_backbone); /* the process that wrote the checkpoint may have ended before this */
        leave(&r, TW_EXIT_OK);
    }
    open_stream(&r);
    const int rc = train(&r);
    tw_progress_end();
    keep(&r);
    (rc == TW_RANK_READY || rc == TW_RANK_STOPPED ? save_if_new : save_if_learned)(&r);
    if (rc == TW_RANK_STOPPED) {
        if (r.turns.all.signal != 0)
            tw_warn("stopped by signal %d after step %lld; %s", r.turns.all.signal, (long long)r.state->step, tw_goes_on(r.o.resume));
        else
            tw_warn("stopped after waiting too long for views, after step %lld; %s", (long long)r.state->step, tw_goes_on(r.o.resume));
        leave(&r, TW_EXIT_AGAIN);
    }
    if (rc != TW_RANK_READY) {
        if (r.saved_step >= 0)
            tw_warn("%s holds the training up to step %lld", r.folder.checkpoint, (long long)r.state->step);
        leave(&r, TW_EXIT_FAILED);
    }
    const bool limited = r.o.max_steps > 0 && r.state->step >= r.o.max_steps, whole = limited || tw_turns_end(&r.turns) == 0;
    if (leads(&r) && tw_runlog_close(r.log) != 0)
        tw_die_error();
    if (r.comm->ranks > 1 && r.comm->sum_seconds(r.comm) > 0) /* 0 if the devices do the sums themselves (NCCL) */
        tw_note(1, "sums of gradients took %.1f s, %.1f s of it waiting", r.comm->sum_seconds(r.comm), r.comm->wait_seconds(r.comm));
    if (r.comm->ranks > 1)
        tw_note(1, "waited %.1f s for other ranks' views", r.turns.waited);
    tw_note(1, "%lld steps, %.0f s, waited %.1f s for views", (long long)(r.state->step - r.first_step), tw_now() - r.pace.start,
            tw_loader_waited(r.turns.loader));
    tw_monitor_free(r.monitor);
    tw_step_free(r.step); /* before the loader: the step may have pinned its memory for a device */
    tw_turns_close(&r.turns);
    tw_learner_close(&r.learner);
    tw_folder_close(&r.folder);
    leave(&r, whole ? TW_EXIT_OK : TW_EXIT_FAILED);
}
