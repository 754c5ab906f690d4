/* twist-train: TWIST pre-training on a views stream. */
#include "checkpoint/network.h"
#include "core/file.h"
#include "core/mem.h"
#include "core/pool.h"
#include "core/program.h"
#include "report/jsonl.h"
#include "train/args.h"
#include "train/loader.h"
#include "train/monitor.h"
#include "train/schedule.h"
#include "train/state.h"
#include "train/step.h"

#include <cjson/cJSON.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char usage[] =
    "usage: twist-train -o DIR [OPTION...] < VIEWS\n"
    "TWIST pre-training: checkpoint.safetensors, backbone.safetensors, log.jsonl, args.json in DIR.\n"
    "  -o, --output DIR, -i, --input ENDPOINT (-)      --resume: go on from DIR/checkpoint.safetensors\n"
    "  --init FILE (weights)    --seed N (0)           --max-steps N (of the whole run; 0: no limit)\n"
    "  --save-every N: steps between checkpoints (0: an epoch)    --epoch-samples N: where the stream does not say\n"
    " network: --backbone resnet18|resnet34|resnet50 (resnet50)   --small-stem (for 64 px and less)\n"
    "  --dim N (32768)  --hid-dim N (4096)  --act relu|gelu (relu)  --drop P (0)\n"
    "  --lbn-type bn|syncbn (bn)  --bunch-size N (256)  --proj-norm bn (bn)\n"
    " loss: --lam1 X (0)  --lam2 X (1)  --tau X (1)\n"
    "  self-labeling from --mme-epochs N (800) on: --quantile X (0.5)  --quantile-end X (0.6)  --threshold X (0.5)\n"
    " steps: --epochs N (850)  --batch-size N per rank (128)  --optim lars|sgd|admw (lars)  --clip-norm X (0: off)\n"
    "  --lr X (0.5) and --lr-sl X (0.05), each times the batch of all ranks / 256; --lr-wbr X (1): lr / X for biases and norms\n"
    "  --warmup-epochs N (3, 5, 10 by --epochs)  --sl-warmup-epochs N (5)  --weight-decay X (1.5e-6)  --weight-decay-end X (the same)\n"
    " machine: --device auto|cpu|cuda (auto)  --precision auto|fp32|bf16|fp16 (auto)  -j, --threads N (all)\n"
    "  -h, --help  -V, --version  -q, --quiet  -v, --verbose  --progress\n"
    "SIGINT, SIGTERM, SIGUSR1: a checkpoint after the step in hand, exit 75.\n";

enum { DEVICE_AUTO, DEVICE_CPU, DEVICE_CUDA };
enum { PRECISION_AUTO, PRECISION_FP32, PRECISION_BF16, PRECISION_FP16 };
static const char *const device_names[] = {"auto", "cpu", "cuda", NULL};
static const char *const precision_names[] = {"auto", "fp32", "bf16", "fp16", NULL};
static const char *const act_names[] = {"relu", "gelu", NULL};
static const char *const lbn_names[] = {"bn", "syncbn", NULL};
static const char *const proj_norm_names[] = {"bn", NULL};

struct opts {
    tw_common common;
    const char *input, *output, *init, *backbone;
    bool resume, small_stem;
    int64_t seed, max_steps, save_every, epoch_samples, epochs, mme_epochs, warmup_epochs, sl_warmup_epochs, bunch_size;
    int dim, hid_dim, act, lbn_type, proj_norm, batch_size, optim, device, precision, threads;
    double drop, lam1, lam2, tau, quantile, quantile_end, threshold, clip_norm, lr, lr_sl, lr_wbr, weight_decay, weight_decay_end;
};

struct run {
    struct opts o;
    char *args; /* the options as JSON */
    char *checkpoint_path;
    tw_net_config config;
    tw_net *net;
    tw_optim *optim;
    tw_loader *loader;
    tw_step *step;
    tw_monitor *monitor;
    tw_jsonl *log;
    tw_schedule schedule;
    tw_train_state state;
    int64_t saved_step;    /* of the last checkpoint; -1: none */
    double start, last, last_waited; /* times: of this process's training, of the step before */
    int64_t first_step;    /* where this process began */
};

static char *in_folder(const struct run *r, const char *name)
{
    const size_t size = strlen(r->o.output) + strlen(name) + 2;
    char *path = tw_calloc(size, 1);
    if (path == NULL)
        tw_die_error();
    snprintf(path, size, "%s/%s", r->o.output, name);
    return path;
}

static void parse(struct run *r)
{
    struct opts *o = &r->o;
    const tw_opt table[] = {
        {'i', "input", TW_OPT_STRING, &o->input, 0, 0, NULL},
        {'o', "output", TW_OPT_STRING, &o->output, 0, 0, NULL},
        {0, "resume", TW_OPT_FLAG, &o->resume, 0, 0, NULL},
        {0, "init", TW_OPT_STRING, &o->init, 0, 0, NULL},
        {0, "seed", TW_OPT_I64, &o->seed, 0, 9e18, NULL},
        {0, "max-steps", TW_OPT_I64, &o->max_steps, 0, 1e15, NULL},
        {0, "save-every", TW_OPT_I64, &o->save_every, 0, 1e15, NULL},
        {0, "epoch-samples", TW_OPT_I64, &o->epoch_samples, 0, 1e12, NULL},
        {0, "backbone", TW_OPT_STRING, &o->backbone, 0, 0, NULL},
        {0, "small-stem", TW_OPT_FLAG, &o->small_stem, 0, 0, NULL},
        {0, "dim", TW_OPT_INT, &o->dim, 2, 1 << 20, NULL},
        {0, "hid-dim", TW_OPT_INT, &o->hid_dim, 1, 1 << 20, NULL},
        {0, "act", TW_OPT_CHOICE, &o->act, 0, 0, act_names},
        {0, "drop", TW_OPT_FLOAT, &o->drop, 0, 0.999, NULL},
        {0, "lbn-type", TW_OPT_CHOICE, &o->lbn_type, 0, 0, lbn_names},
        {0, "bunch-size", TW_OPT_I64, &o->bunch_size, 1, 1e9, NULL},
        {0, "proj-norm", TW_OPT_CHOICE, &o->proj_norm, 0, 0, proj_norm_names},
        {0, "lam1", TW_OPT_FLOAT, &o->lam1, -1e6, 1e6, NULL},
        {0, "lam2", TW_OPT_FLOAT, &o->lam2, -1e6, 1e6, NULL},
        {0, "tau", TW_OPT_FLOAT, &o->tau, 1e-3, 1e3, NULL},
        {0, "mme-epochs", TW_OPT_I64, &o->mme_epochs, 0, 1 << 24, NULL},
        {0, "quantile", TW_OPT_FLOAT, &o->quantile, 0, 1, NULL},
        {0, "quantile-end", TW_OPT_FLOAT, &o->quantile_end, 0, 1, NULL},
        {0, "threshold", TW_OPT_FLOAT, &o->threshold, 0, 1, NULL},
        {0, "epochs", TW_OPT_I64, &o->epochs, 1, 1 << 24, NULL},
        {0, "batch-size", TW_OPT_INT, &o->batch_size, 1, 1 << 20, NULL},
        {0, "optim", TW_OPT_CHOICE, &o->optim, 0, 0, tw_optim_names},
        {0, "clip-norm", TW_OPT_FLOAT, &o->clip_norm, 0, 1e9, NULL},
        {0, "lr", TW_OPT_FLOAT, &o->lr, 0, 1e300, NULL},
        {0, "lr-sl", TW_OPT_FLOAT, &o->lr_sl, 0, 1e300, NULL},
        {0, "lr-wbr", TW_OPT_FLOAT, &o->lr_wbr, 1e-9, 1e9, NULL},
        {0, "warmup-epochs", TW_OPT_I64, &o->warmup_epochs, 0, 1 << 24, NULL},
        {0, "sl-warmup-epochs", TW_OPT_I64, &o->sl_warmup_epochs, 0, 1 << 24, NULL},
        {0, "weight-decay", TW_OPT_FLOAT, &o->weight_decay, 0, 1e6, NULL},
        {0, "weight-decay-end", TW_OPT_FLOAT, &o->weight_decay_end, 0, 1e6, NULL},
        {0, "device", TW_OPT_CHOICE, &o->device, 0, 0, device_names},
        {0, "precision", TW_OPT_CHOICE, &o->precision, 0, 0, precision_names},
        {'j', "threads", TW_OPT_INT, &o->threads, 1, 4096, NULL},
    };
    const int n = sizeof table / sizeof *table;
    tw_program_options(table, n, &o->common, NULL, usage);
    if (o->output == NULL)
        tw_die_usage("-o: which folder is the run to be written to?");
    if (!tw_opts_given("warmup-epochs"))
        o->warmup_epochs = tw_schedule_warmup(o->epochs);
    if (!tw_opts_given("weight-decay-end"))
        o->weight_decay_end = o->weight_decay;
    r->args = tw_args_json(table, n);
    if (r->args == NULL)
        tw_die_error();
}

/* The precision that the processor has; auto: bf16 where it has instructions for it. */
static void open_network(struct run *r)
{
    const struct opts *o = &r->o;
    if (o->device == DEVICE_CUDA)
        tw_die("--device=cuda: this build has no CUDA backend");
    if (o->precision == PRECISION_FP16)
        tw_die("--precision=fp16: the CPU trains in fp32 and bf16");
    r->config = (tw_net_config){
        .backbone = o->backbone, .small_stem = o->small_stem, .head = true, .hid_dim = o->hid_dim, .dim = o->dim,
        .act = act_names[o->act], .drop = o->drop, .precision = o->precision == PRECISION_FP32 ? TW_F32 : TW_BF16,
        .seed = (uint64_t)o->seed, .threads = o->threads, .comm = tw_comm_single(),
    };
    r->net = tw_net_new("cpu", &r->config);
    if (r->net == NULL && o->precision == PRECISION_AUTO) {
        r->config.precision = TW_F32;
        r->net = tw_net_new("cpu", &r->config);
    }
    if (r->net == NULL)
        tw_die_error();
    r->optim = tw_optim_new(r->net, (tw_optim_kind)o->optim, o->lr_wbr);
    if (r->optim == NULL)
        tw_die_error();
}

static void load_weights(struct run *r)
{
    tw_checkpoint *f = tw_checkpoint_open(r->o.init);
    tw_net_config c;
    if (f == NULL || tw_network_config(&c, f) != 0 ||
        tw_network_load(r->net, f, TW_NETWORK_BACKBONE | (c.head ? TW_NETWORK_HEAD : 0)) != 0)
        tw_die_error();
    if (!c.head)
        tw_note(1, "%s: has no head; the head starts anew", r->o.init);
    tw_checkpoint_close(f);
}

static void resume(struct run *r)
{
    const struct opts *o = &r->o;
    tw_checkpoint *f = tw_checkpoint_open(r->checkpoint_path);
    tw_train_state s;
    if (f == NULL || tw_state_read(&s, f) != 0)
        tw_die_error();
    if (s.B * s.ranks != o->batch_size)
        tw_die("--batch-size=%d: %s was trained with %d on each of %d ranks", o->batch_size, r->checkpoint_path, s.B, s.ranks);
    if (s.optim != (tw_optim_kind)o->optim)
        tw_die("--optim=%s: %s was trained with %s", tw_optim_names[o->optim], r->checkpoint_path, tw_optim_names[s.optim]);
    if (tw_state_load(r->net, r->optim, f) != 0)
        tw_die_error();
    tw_checkpoint_close(f);
    r->state = s;
    r->saved_step = s.step;
    tw_warn("going on from %s: epoch %lld, sample %lld, step %lld", r->checkpoint_path, (long long)s.at.epoch, (long long)s.at.sample,
            (long long)s.step);
}

static void save(struct run *r)
{
    char *backbone = in_folder(r, "backbone.safetensors");
    if (tw_state_save(r->checkpoint_path, r->net, &r->config, r->optim, &r->state, r->args) != 0 ||
        tw_state_save_backbone(backbone, r->net, &r->config) != 0)
        tw_die_error();
    r->saved_step = r->state.step;
    free(backbone);
}

/* What is left to do ends here: with a checkpoint, if steps have been done since the last one. */
static void save_if_new(struct run *r)
{
    if (r->saved_step != r->state.step)
        save(r);
}

static void write_args(struct run *r)
{
    char *path = in_folder(r, "args.json");
    tw_file *f = tw_file_create(path);
    if (f == NULL)
        tw_die_error();
    fprintf(tw_file_stream(f), "%s\n", r->args);
    if (tw_file_commit(f) != 0)
        tw_die_error();
    free(path);
}

static void open_run(struct run *r)
{
    const struct opts *o = &r->o;
    if (tw_make_folder(o->output) != 0)
        tw_die_error();
    r->checkpoint_path = in_folder(r, "checkpoint.safetensors");
    const bool there = access(r->checkpoint_path, F_OK) == 0;
    if (there && !o->resume)
        tw_die("%s: a run is there already: --resume goes on with it; or choose another folder", r->checkpoint_path);
    open_network(r);
    r->state = (tw_train_state){.B = o->batch_size, .ranks = 1, .optim = (tw_optim_kind)o->optim};
    r->saved_step = -1;
    if (there)
        resume(r);
    else if (o->init != NULL)
        load_weights(r);
    r->first_step = r->state.step;
    write_args(r);
    char *path = in_folder(r, "log.jsonl");
    r->log = tw_jsonl_open(path, there ? r->state.step : -1);
    if (r->log == NULL)
        tw_die_error();
    free(path);
}

static bool finished(const struct run *r)
{
    return r->state.at.epoch >= r->o.epochs || (r->o.max_steps > 0 && r->state.step >= r->o.max_steps);
}

static void open_stream(struct run *r)
{
    const struct opts *o = &r->o;
    const tw_loader_options bo = {.B = o->batch_size, .rank = 0, .ranks = 1, .start = r->state.at,
                                   .exact = strncmp(o->input, "pipe:", 5) == 0 && strstr(o->input, "%s") != NULL};
    r->loader = tw_loader_open(o->input, &bo);
    if (r->loader == NULL)
        tw_die_error();
    const tw_header *h = tw_loader_header(r->loader);
    const int64_t samples = o->epoch_samples > 0 ? o->epoch_samples : h->samples;
    if (samples < 0)
        tw_die("%s: does not say how many samples an epoch has: --epoch-samples does", tw_loader_name(r->loader));
    if (samples < o->batch_size)
        tw_die("%s: an epoch of %lld samples has no batch of %d", tw_loader_name(r->loader), (long long)samples, o->batch_size);
    const double scale = (double)o->batch_size * r->state.ranks / 256;
    r->schedule = (tw_schedule){
        .lr = o->lr * scale, .lr_sl = o->lr_sl * scale, .weight_decay = o->weight_decay, .weight_decay_end = o->weight_decay_end,
        .epochs = o->epochs, .mme_epochs = o->mme_epochs, .warmup_epochs = o->warmup_epochs,
        .sl_warmup_epochs = o->sl_warmup_epochs, .steps_per_epoch = samples / o->batch_size,
    };
}

static void open_step(struct run *r, const tw_batch *b)
{
    const tw_step_options so = {{r->o.lam1, r->o.lam2, r->o.tau}, r->o.clip_norm};
    if (b->V < 2)
        tw_die("%s: one view a sample; training wants two or more", tw_loader_name(r->loader));
    r->step = tw_step_new(r->net, r->optim, b->group, b->n_groups, b->B, &so);
    r->monitor = r->step == NULL ? NULL : tw_monitor_new(b->V, b->B, tw_net_classes(r->net));
    if (r->monitor == NULL)
        tw_die_error();
    tw_note(1, "batch of %d x %d views in %d sizes: %.0f MB beside the weights", b->B, b->V, b->n_groups,
            (double)tw_plan_bytes(tw_step_plan_of(r->step)) / 1e6);
    if (tw_loader_passed(r->loader) > 0)
        tw_warn("%s: %lld samples read to get to where training goes on", tw_loader_name(r->loader),
                (long long)tw_loader_passed(r->loader));
    r->start = r->last = tw_now();
}

static void log_terms(struct run *r, const tw_loss_terms *t)
{
    tw_jsonl_number(r->log, "loss", t->loss);
    tw_jsonl_number(r->log, "kl", t->kl);
    tw_jsonl_number(r->log, "eh", t->eh);
    tw_jsonl_number(r->log, "he", t->he);
}

static void log_step(struct run *r, const tw_step_plan *p, const tw_step_result *s)
{
    const double now = tw_now(), seconds = now - r->last, waited = tw_loader_waited(r->loader);
    const double images = r->o.batch_size / seconds;
    tw_jsonl_begin(r->log);
    tw_jsonl_int(r->log, "step", r->state.step);
    tw_jsonl_int(r->log, "epoch", r->state.at.epoch);
    log_terms(r, &s->terms);
    if (p->self_label) {
        tw_jsonl_number(r->log, "threshold", s->selflabel.threshold);
        tw_jsonl_int(r->log, "selected", s->selflabel.selected);
    }
    tw_jsonl_number(r->log, "lr", p->lr);
    tw_jsonl_number(r->log, "weight_decay", p->weight_decay);
    tw_jsonl_number(r->log, "grad_norm", s->gradient_norm);
    tw_jsonl_number(r->log, "images_per_second", images);
    tw_jsonl_number(r->log, "views_per_second", images * tw_step_views(r->step));
    tw_jsonl_number(r->log, "wait", (waited - r->last_waited) / seconds);
    if (tw_jsonl_end(r->log) != 0)
        tw_die_error();
    r->last = now;
    r->last_waited = waited;
}

static void show_progress(const struct run *r, const tw_step_result *s)
{
    if (!tw_progress_due())
        return;
    const int64_t all = r->o.max_steps > 0 ? r->o.max_steps : r->o.epochs * r->schedule.steps_per_epoch;
    const int64_t done = r->state.step - r->first_step, left = all - r->state.step;
    const double rate = (double)done / (tw_now() - r->start), eta = (double)left / rate;
    tw_progress("epoch %lld/%lld, step %lld/%lld, loss %.4f, %.0f views/s, ETA %lld:%02d:%02d", (long long)r->state.at.epoch + 1,
                (long long)r->o.epochs, (long long)r->state.step, (long long)all, s->terms.loss,
                rate * r->o.batch_size * tw_step_views(r->step), (long long)(eta / 3600), (int)(eta / 60) % 60, (int)eta % 60);
}

static void log_epoch(struct run *r)
{
    tw_epoch_summary e;
    if (r->monitor == NULL)
        return;
    if (tw_monitor_epoch(&e, r->monitor) != 0)
        tw_die_error();
    if (e.steps == 0)
        return;
    tw_jsonl_begin(r->log);
    tw_jsonl_int(r->log, "end_of_epoch", r->state.at.epoch);
    tw_jsonl_int(r->log, "steps", e.steps);
    log_terms(r, &e.mean);
    const struct {
        const char *name;
        double v;
    } number[] = {
        {"agreement", e.agreement}, {"classes_used", e.classes}, {"raw_column_std", e.raw_column_std}, {"raw_row_std", e.raw_row_std},
        {"column_std", e.column_std}, {"row_std", e.row_std}, {"nmi", e.nmi}, {"ami", e.ami}, {"ari", e.ari},
    };
    for (size_t i = 0; i < sizeof number / sizeof *number; i++)
        tw_jsonl_number(r->log, number[i].name, number[i].v);
    if (tw_jsonl_end(r->log) != 0)
        tw_die_error();
    tw_note(1, "epoch %lld: loss %.4f, kl %.4f, eh %.4f, he %.4f, agreement %.1f %%, nmi %.3f", (long long)r->state.at.epoch,
            e.mean.loss, e.mean.kl, e.mean.eh, e.mean.he, 100 * e.agreement, e.nmi);
}

/* Goes on to the beginning of an epoch. */
static void turn_to(struct run *r, int64_t epoch)
{
    log_epoch(r);
    r->state.at = (tw_position){epoch, 0};
    r->state.iteration = 0;
    if (epoch == r->o.mme_epochs && epoch < r->o.epochs) { /* self-labeling begins: what it began with is kept */
        char *path = in_folder(r, "mme_ckpt.safetensors");
        if (tw_state_save(path, r->net, &r->config, r->optim, &r->state, r->args) != 0)
            tw_die_error();
        free(path);
    }
    if (r->o.save_every == 0)
        save(r);
}

static void refuse_numbers(struct run *r, const tw_step_result *s)
{
    tw_progress_end();
    save_if_new(r);
    tw_die("%s: step %lld, epoch %lld: the loss is %g, the gradient's norm %g; the step was not taken, %s is of step %lld",
           tw_loader_name(r->loader), (long long)r->state.step, (long long)r->state.at.epoch, s->terms.loss, s->gradient_norm,
           r->checkpoint_path, (long long)r->saved_step);
}

static void train_on(struct run *r, const tw_batch *b)
{
    const tw_step_plan p = {
        .lr = tw_schedule_lr(&r->schedule, b->epoch, r->state.iteration),
        .weight_decay = tw_schedule_weight_decay(&r->schedule, b->epoch, r->state.iteration),
        .self_label = b->epoch >= r->o.mme_epochs,
        .confidence = {tw_schedule_quantile(&r->schedule, r->o.quantile, r->o.quantile_end, b->epoch, r->state.iteration),
                       r->o.threshold},
        .number = r->state.step,
    };
    tw_step_result s;
    const int rc = tw_step_run(r->step, &s, b->pictures, &p);
    if (rc < 0)
        tw_die_error();
    if (rc == 0)
        refuse_numbers(r, &s);
    const tw_plan *plan = tw_step_plan_of(r->step);
    if (tw_monitor_step(r->monitor, &s.terms, tw_plan_logits(plan), tw_plan_raw_logits(plan), b->label) != 0)
        tw_die_error();
    r->state.step++;
    log_step(r, &p, &s);
    show_progress(r, &s);
    r->state.at = b->next;
    r->state.iteration++;
    if (r->state.iteration == r->schedule.steps_per_epoch)
        turn_to(r, b->epoch + 1);
    if (r->o.save_every > 0 && r->state.step % r->o.save_every == 0)
        save(r);
}

/* 1: training is complete; 0: the stream ended before; 2: a signal wants the program to stop. */
static int train(struct run *r)
{
    const tw_batch *b;
    while (!finished(r)) {
        const int rc = tw_loader_next(r->loader, &b, tw_stop_signal);
        if (rc < 0) {
            save_if_new(r);
            tw_die_error();
        }
        if (rc != 1)
            return rc;
        if (r->step == NULL)
            open_step(r, b);
        if (b->epoch > r->state.at.epoch) /* bad images may leave an epoch short */
            turn_to(r, b->epoch);
        if (finished(r))
            break;
        train_on(r, b);
        if (tw_stop_signal() != 0)
            return finished(r) ? 1 : 2;
    }
    return 1;
}

/* What the stream still has after the last batch: less than a batch, and its end record, which is waited for so that nobody
 * upstream is cut off and a failure there is seen; or more, which nobody needs. */
static void end_stream(struct run *r)
{
    const tw_batch *b;
    if (r->o.max_steps == 0 && tw_loader_next(r->loader, &b, tw_stop_signal) < 0)
        tw_die_error();
}

int main(int argc, char **argv)
{
    static struct run r = {.o = {.input = "-", .backbone = "resnet50", .dim = 32768, .hid_dim = 4096, .bunch_size = 256, .lam2 = 1,
                                 .tau = 1, .mme_epochs = 800, .quantile = 0.5, .quantile_end = 0.6, .threshold = 0.5, .epochs = 850,
                                 .batch_size = 128, .lr = 0.5, .lr_sl = 0.05, .lr_wbr = 1, .sl_warmup_epochs = 5,
                                 .weight_decay = 1.5e-6}};
    tw_program_start("twist-train", argc, argv);
    r.o.threads = tw_processors();
    parse(&r);
    tw_catch_stops();
    open_run(&r);
    if (finished(&r)) {
        tw_warn("%s: the run is complete: %lld epochs, %lld steps", r.checkpoint_path, (long long)r.state.at.epoch,
                (long long)r.state.step);
        return TW_EXIT_OK;
    }
    open_stream(&r);
    const int rc = train(&r);
    tw_progress_end();
    save_if_new(&r);
    if (rc == 2) {
        tw_warn("stopped by signal %d after step %lld; the same command goes on", tw_stop_signal(), (long long)r.state.step);
        exit(TW_EXIT_AGAIN); /* the reading thread may hang in the stream */
    }
    if (rc == 0)
        tw_die("%s: ended after %lld of %lld epochs; %s has what was learned", tw_loader_name(r.loader), (long long)r.state.at.epoch,
               (long long)r.o.epochs, r.checkpoint_path);
    end_stream(&r);
    if (tw_jsonl_close(r.log) != 0)
        tw_die_error();
    tw_note(1, "%lld steps, %.0f s, waited %.1f s for views", (long long)(r.state.step - r.first_step), tw_now() - r.start,
            tw_loader_waited(r.loader));
    tw_loader_close(r.loader);
    tw_monitor_free(r.monitor);
    tw_step_free(r.step);
    tw_optim_free(r.optim);
    tw_net_free(r.net);
    free(r.checkpoint_path);
    free(r.args);
    return TW_EXIT_OK;
}
