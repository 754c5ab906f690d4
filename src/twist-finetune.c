/* twist-finetune: training of a whole network and a linear classifier on labelled views. */
#include "checkpoint/network.h"
#include "core/crc32c.h"
#include "core/error.h"
#include "core/mem.h"
#include "core/pool.h"
#include "core/program.h"
#include "nn/backbones.h"
#include "report/jsonl.h"
#include "train/args.h"
#include "train/best.h"
#include "train/folder.h"
#include "train/learner.h"
#include "train/pace.h"
#include "train/schedule.h"
#include "train/tally.h"
#include "train/turns.h"

#include <stdio.h>
#include <stdlib.h>
#include <stdnoreturn.h>
#include <string.h>

static const char usage[] =
    "usage: twist-finetune -o DIR --weights FILE [OPTION...] < VIEWS\n"
    "Trains a whole network and a linear classifier on its features with labelled views, one of each picture, and measures it on\n"
    "others after every epoch. Into DIR: checkpoint.safetensors, best.safetensors, log.jsonl, args.json; accuracies on stdout.\n"
    "  -o, --output DIR, -i, --input ENDPOINT (-)      --resume: continue from DIR/checkpoint.safetensors\n"
    "  --weights FILE: start from its backbone                          --val ENDPOINT: views to measure on, a file or pipe:COMMAND\n"
    "  --backbone NET, --small-stem: an untrained network, named as for twist-train, instead of --weights\n"
    "  --lr-backbone X (0.01)  --lr-classifier X (0.2): cosine to 0 by epoch  --weight-decay X (0)  --clip-norm X (0: off)\n"
    "  --epochs N (30)  --batch-size N (256)  --val-batch-size N (64)  --val-epoch N: measure every N epochs (1)\n"
    "  --classes N: if the stream does not name them         --seed N: of the classifier's initial weights (0)\n"
    "  --max-steps N (of the whole run; 0: no limit)         --epoch-samples N: if the stream does not tell\n"
    "  --save-every N: steps between checkpoints (0: an epoch)\n"
    "Started by mpirun or srun, N ranks train as one, each from its own -i pipe:... with %r and %n (rank, ranks), --batch-size of each:\n"
    "  --sync-bn: norms over all ranks' samples, not each rank's   --patience S: with other ranks' GPUs (60)\n"
    "  --device auto|cpu|cuda (auto)  --precision auto|fp32|bf16|fp16 (auto)  -j, --threads N (all)\n"
    "  -h, --help  -V, --version  -q, --quiet  -v, --verbose  --progress  --no-history\n"
    "SIGINT, SIGTERM, SIGUSR1: a checkpoint after the current step, exit 75; with --resume the same command continues.\n";

struct opts {
    tw_common common;
    const char *input, *output, *weights, *backbone, *val;
    bool resume, small_stem, sync_bn;
    int64_t seed, max_steps, save_every, epoch_samples, epochs, val_epoch;
    int batch_size, val_batch_size, classes, device, precision, threads;
    double lr_backbone, lr_classifier, weight_decay, clip_norm, patience;
};

struct run {
    struct opts o;
    tw_comm *comm;
    char *args;            /* the options as JSON */
    tw_folder folder;
    char *best_path;
    tw_learner learner;
    tw_train_state *state; /* points into the learner */
    tw_turns turns;
    tw_step *step;
    tw_jsonl *log;
    const tw_header *header; /* of the training stream */
    int64_t first_step; /* number of steps done before this process */
    int64_t saved_step; /* step of the last checkpoint; -1: none */
    tw_pace pace;
    tw_score best;         /* best result on --val */
    tw_tally tally;
    char notes[TW_TALLY_NOTES]; /* the tally as text, for the checkpoint */
};

/* Rank 0 alone validates, writes files and prints. */
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

/* Samples of one step over all ranks. */
static int samples_of_step(const struct run *r)
{
    return r->o.batch_size * r->comm->ranks;
}

static void parse(struct run *r)
{
    struct opts *o = &r->o;
    const tw_opt table[] = {
        {'i', "input", TW_OPT_STRING, &o->input, 0, 0, NULL},
        {'o', "output", TW_OPT_STRING, &o->output, 0, 0, NULL},
        {0, "resume", TW_OPT_FLAG, &o->resume, 0, 0, NULL},
        {0, "weights", TW_OPT_STRING, &o->weights, 0, 0, NULL},
        {0, "backbone", TW_OPT_STRING, &o->backbone, 0, 0, NULL},
        {0, "small-stem", TW_OPT_FLAG, &o->small_stem, 0, 0, NULL},
        {0, "val", TW_OPT_STRING, &o->val, 0, 0, NULL},
        {0, "val-epoch", TW_OPT_I64, &o->val_epoch, 1, 1 << 24, NULL},
        {0, "val-batch-size", TW_OPT_INT, &o->val_batch_size, 1, 65536, NULL},
        {0, "classes", TW_OPT_INT, &o->classes, 1, 1 << 20, NULL},
        {0, "seed", TW_OPT_I64, &o->seed, 0, 9e18, NULL},
        {0, "max-steps", TW_OPT_I64, &o->max_steps, 0, 1e15, NULL},
        {0, "save-every", TW_OPT_I64, &o->save_every, 0, 1e15, NULL},
        {0, "epoch-samples", TW_OPT_I64, &o->epoch_samples, 0, 1e12, NULL},
        {0, "epochs", TW_OPT_I64, &o->epochs, 1, 1 << 24, NULL},
        {0, "batch-size", TW_OPT_INT, &o->batch_size, 2, 1 << 20, NULL},
        {0, "lr-backbone", TW_OPT_FLOAT, &o->lr_backbone, 0, 1e300, NULL},
        {0, "lr-classifier", TW_OPT_FLOAT, &o->lr_classifier, 0, 1e300, NULL},
        {0, "weight-decay", TW_OPT_FLOAT, &o->weight_decay, 0, 1e6, NULL},
        {0, "patience", TW_OPT_FLOAT, &o->patience, 0.1, 1e6, NULL},
        {0, "sync-bn", TW_OPT_FLAG, &o->sync_bn, 0, 0, NULL},
        {0, "clip-norm", TW_OPT_FLOAT, &o->clip_norm, 0, 1e9, NULL},
        {0, "device", TW_OPT_CHOICE, &o->device, 0, 0, tw_device_names},
        {0, "precision", TW_OPT_CHOICE, &o->precision, 0, 0, tw_precision_names},
        {'j', "threads", TW_OPT_INT, &o->threads, 1, 4096, NULL},
    };
    const int n = sizeof table / sizeof *table;
    tw_program_options(table, n, &o->common, NULL, usage);
    if (o->output == NULL)
        tw_die_usage("-o: which folder is the run to be written to?");
    if ((o->weights == NULL) == (o->backbone == NULL))
        tw_die_usage("--weights: give the checkpoint to begin with (or --backbone, for an untrained network; not both)");
    if (o->backbone != NULL && tw_backbone_check(o->backbone, o->small_stem) != 0)
        tw_die_usage("--backbone=%s", tw_error());
    if (o->weights != NULL && o->small_stem)
        tw_die_usage("--small-stem: only with --backbone; the file of --weights has its own stem");
    if (o->val != NULL && !tw_validate_again(o->val))
        tw_die_usage("--val: %s can be read only once, but is read after every epoch: give a file or pipe:COMMAND",
                     strcmp(o->val, "-") == 0 ? "standard input" : o->val);
    r->comm = tw_turns_join(&o->threads);
    if (r->comm == NULL)
        tw_die_error();
    if (r->comm->ranks > 1 && strcmp(o->input, "-") == 0)
        tw_die_usage("-i: each rank needs its own input: 'pipe:twist-decode --shard=%%r/%%n ... | twist-augment ...'");
    r->args = tw_args_json(table, n);
    if (r->args == NULL || tw_args_compare(r->comm, table, n) != 0)
        tw_die_error();
}

static int check_labels(void *context, const tw_batch *b)
{
    const struct run *r = context;
    for (int i = 0; i < b->B; i++)
        if (b->label[i] < 0 || b->label[i] >= r->learner.config.classes)
            return tw_fail("%s: epoch %lld: a sample of step %lld has %s", tw_loader_name(r->turns.loader), (long long)b->epoch,
                           (long long)r->state->step + 1, b->label[i] < 0 ? "no label" : "a label beyond the classes");
    return 0;
}

/* Checks that all ranks' streams have the same classes; a stream without class names agrees with any names. */
static void compare_classes(const struct run *r)
{
    struct {
        uint32_t number, names;
    } mine = {(uint32_t)r->learner.config.classes, 0}, *all = tw_calloc((size_t)r->comm->ranks, sizeof *all);
    for (int i = 0; i < r->header->n_classes; i++)
        mine.names = tw_crc32c(mine.names, r->header->classes[i], strlen(r->header->classes[i]) + 1);
    if (all == NULL || r->comm->gather(r->comm, all, &mine, sizeof mine) != 0)
        tw_die_error();
    if (mine.number != all[0].number || (mine.names != all[0].names && mine.names != 0 && all[0].names != 0))
        tw_die("%s: its %u classes are not the %u of rank 0", tw_loader_name(r->turns.loader), mine.number, all[0].number);
    free(all);
}

static void open_stream(struct run *r)
{
    const struct opts *o = &r->o;
    const tw_loader_options lo = {.B = o->batch_size, .start = {r->state->at.epoch, r->learner.places[r->comm->rank]}, .stop = tw_stop_signal};
    r->turns = (tw_turns){.comm = r->comm, .epochs = o->epochs, .check = check_labels, .context = r};
    const int rc = tw_turns_open(&r->turns, o->input, o->epoch_samples, &lo);
    if (r->turns.loader == NULL && tw_stop_signal() != 0) { /* the other ranks may be waiting for this one; its exit ends them */
        (leads(r) ? tw_warn : tw_complain)("stopped by signal %d before the views came; %s", tw_stop_signal(),
                                           r->state->step > 0 ? tw_goes_on(o->resume) : "nothing was learned; the same command starts over");
        exit(TW_EXIT_AGAIN);
    }
    if (rc != 0)
        tw_die_error();
    const char *name = tw_loader_name(r->turns.loader);
    r->header = tw_loader_header(r->turns.loader);
    if (leads(r))
        tw_state_data(&r->learner, r->header, name);
    if (r->header->n_classes > 0 && o->classes > 0 && o->classes != r->header->n_classes)
        tw_die("--classes=%d: %s has %d", o->classes, name, r->header->n_classes);
    r->learner.config.classes = r->header->n_classes > 0 ? r->header->n_classes : o->classes;
    if (r->learner.config.classes == 0)
        tw_die("%s: does not name its classes: set their number with --classes", name);
    compare_classes(r);
}

/* Opens --weights and sets the configuration of the network that it contains. */
static tw_checkpoint *open_weights(struct run *r)
{
    r->learner.config.backbone = r->o.backbone;
    r->learner.config.small_stem = r->o.small_stem;
    if (r->o.weights == NULL)
        return NULL;
    tw_checkpoint *f = tw_checkpoint_open(r->o.weights);
    if (f == NULL || tw_network_config(&r->learner.config, f) != 0)
        tw_die_error();
    r->learner.config.head = false;
    return f;
}

static void open_network(struct run *r)
{
    const struct opts *o = &r->o;
    tw_learner *l = &r->learner;
    l->config.seed = (uint64_t)o->seed;
    l->config.blank = !leads(r); /* the others get the weights of rank 0 */
    l->config.threads = o->threads;
    l->config.own_norms = !o->sync_bn;
    l->config.patience = 10 * o->patience; /* for copies of the weights, as in the first steps */
    tw_checkpoint *f = open_weights(r);
    if (tw_learner_network(l, o->device, o->precision) != 0 || (f != NULL && leads(r) && tw_network_load(l->net, f, TW_NETWORK_BACKBONE) != 0) ||
        (l->optim = tw_optim_new(l->net, TW_SGD, 1)) == NULL)
        tw_die_error();
    tw_checkpoint_close(f);
    for (int i = 0; i < tw_net_params(l->net); i++) /* as torch.optim.SGD: weight decay for all tensors */
        tw_optim_rule(l->optim, i, strncmp(tw_net_param(l->net, i)->name, "fc.", 3) == 0 ? o->lr_classifier : o->lr_backbone, true);
}

/* Reads the position at which training continues; the stream is then opened there. */
static void read_state(struct run *r)
{
    tw_checkpoint *f = tw_checkpoint_open(r->folder.checkpoint);
    if (f == NULL || tw_learner_place(&r->learner, f, r->o.batch_size) != 0)
        tw_die_error();
    const char *notes = tw_checkpoint_meta(f, "notes"); /* NULL in checkpoints of old versions */
    if (notes != NULL && tw_tally_read(&r->tally, notes) != 0)
        tw_die("%s: 'notes' in its metadata are not twist-finetune's", r->folder.checkpoint);
    tw_checkpoint_close(f);
    if (tw_best_load(&r->best, r->best_path) != 0)
        tw_die_error();
}

static void load_state(struct run *r)
{
    tw_checkpoint *f = tw_checkpoint_open(r->folder.checkpoint);
    if (f == NULL || tw_state_load(&r->learner, f) != 0)
        tw_die_error();
    tw_checkpoint_close(f);
    r->saved_step = r->state->step;
    tw_warn("continuing from %s: epoch %lld, sample %lld, step %lld", r->folder.checkpoint, (long long)r->state->at.epoch,
            (long long)r->state->at.sample, (long long)r->state->step);
}

static void save(struct run *r)
{
    r->saved_step = r->state->step;
    if (!leads(r))
        return;
    r->tally.pending = r->o.val != NULL && r->state->iteration >= r->turns.steps_per_epoch;
    tw_tally_write(r->notes, &r->tally);
    r->learner.notes = r->notes;
    if (tw_state_save(r->folder.checkpoint, &r->learner) != 0)
        tw_die_error();
}

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

static bool finished(const struct run *r)
{
    return r->state->at.epoch >= r->o.epochs || (r->o.max_steps > 0 && r->state->step >= r->o.max_steps);
}

/* Opens the run's folder and reads its state. */
static void open_run(struct run *r)
{
    tw_learner *l = &r->learner;
    r->folder = (tw_folder){.path = r->o.output, .lock = -1};
    if (leads(r) && (tw_folder_open(&r->folder, r->o.output, r->o.resume) != 0 ||
                     (r->best_path = tw_folder_file(&r->folder, "best.safetensors")) == NULL))
        tw_die_error();
    r->state = &l->state;
    *r->state = (tw_train_state){.B = r->o.batch_size, .ranks = r->comm->ranks, .optim = TW_SGD};
    l->args = r->args;
    l->config.comm = r->comm;
    l->places = tw_calloc((size_t)r->comm->ranks, sizeof *l->places);
    if (l->places == NULL)
        tw_die_error();
    r->saved_step = -1;
    if (r->folder.there)
        read_state(r);
    if (tw_ranks_share_place(l) != 0 || r->comm->broadcast(r->comm, &r->tally.pending, sizeof r->tally.pending, 0) != 0)
        tw_die_error();
    r->first_step = r->state->step;
}

static void open_log(struct run *r)
{
    if (!leads(r))
        return;
    char *path = tw_folder_file(&r->folder, "log.jsonl");
    r->log = path != NULL ? tw_jsonl_open(path, r->folder.there ? r->state->step : -1, r->state->at.epoch) : NULL;
    if (r->log == NULL || tw_folder_write(&r->folder, "args.json", r->args) != 0)
        tw_die_error();
    free(path);
}

static void open_step(struct run *r, const tw_batch *b)
{
    const tw_step_options so = {.clip_norm = r->o.clip_norm, .supervised = true, .patience = r->o.patience, .first = r->state->scale};
    if (b->V != 1)
        tw_die("%s: %d views per sample; want one (twist-augment --aug=linear)", tw_loader_name(r->turns.loader), b->V);
    r->step = tw_step_new(r->learner.net, NULL, r->learner.optim, b->group, b->n_groups, b->B, &so);
    if (r->step == NULL)
        tw_die_error();
    tw_note(1, "batch of %d: %.0f MB beside the weights", b->B, (double)tw_step_bytes(r->step) / 1e6);
    if (tw_loader_passed(r->turns.loader) > 0)
        tw_warn("%s: %lld samples read and skipped to reach the position where training continues", tw_loader_name(r->turns.loader),
                (long long)tw_loader_passed(r->turns.loader));
    tw_pace_begin(&r->pace, r->first_step, r->o.epochs, r->turns.steps_per_epoch, r->o.max_steps);
}

/* The factor of both learning rates, constant within an epoch. */
static double share(const struct run *r, int64_t epoch)
{
    return tw_cosine((double)epoch / (double)r->o.epochs);
}

static void log_step(struct run *r, const tw_batch *b, const tw_step_result *s)
{
    const tw_pace_step pace = tw_pace_next(&r->pace, tw_loader_waited(r->turns.loader) + r->turns.waited);
    tw_tally_add(&r->tally, s);
    if (!leads(r))
        return;
    tw_jsonl_begin(r->log);
    tw_jsonl_int(r->log, "step", r->state->step);
    tw_jsonl_int(r->log, "epoch", b->epoch);
    if (s->skipped)
        tw_jsonl_int(r->log, "skipped", 1);
    tw_jsonl_number(r->log, "loss", s->terms.loss);
    tw_jsonl_number(r->log, "acc1", (double)s->hits[0] / samples_of_step(r));
    tw_jsonl_number(r->log, "lr_backbone", r->o.lr_backbone * share(r, b->epoch));
    tw_jsonl_number(r->log, "lr_classifier", r->o.lr_classifier * share(r, b->epoch));
    tw_jsonl_number(r->log, "grad_norm", s->gradient_norm);
    tw_jsonl_number(r->log, "images_per_second", samples_of_step(r) / pace.seconds);
    tw_jsonl_number(r->log, "wait", pace.wait);
    if (tw_jsonl_end(r->log) != 0)
        tw_die_error();
}

static void show_progress(const struct run *r, const tw_step_result *s)
{
    char text[160];
    if (tw_progress_due())
        tw_progress("epoch %lld/%lld, loss %.4f, best acc1 %.4f, %s", (long long)r->state->at.epoch + 1, (long long)r->o.epochs,
                    s->terms.loss, r->best.acc1,
                    tw_pace_text(text, sizeof text, &r->pace, r->state->step, samples_of_step(r), "images"));
}

static tw_validation_options validation_of(const struct run *r)
{
    return (tw_validation_options){r->o.val, r->o.val_batch_size, r->header->n_classes, r->header->classes, tw_stop_signal};
}

/* Whether all ranks want to continue. Collective. */
static bool all_go_on(struct run *r, bool go_on)
{
    double stopped = go_on ? 0 : 1;
    if (r->comm->sum_f64(r->comm, &stopped, 1) != 0)
        tw_die_error();
    return stopped == 0;
}

/* Checks the validation data before an epoch is spent on training. false: a signal came. */
static bool look_ahead(struct run *r)
{
    const tw_validation_options vo = validation_of(r);
    const int rc = r->o.val != NULL && leads(r) ? tw_validate_first(r->learner.net, &vo) : 1;
    if (rc < 0)
        tw_die_error();
    return all_go_on(r, rc != 2);
}

/* Validates, on rank 0 with its BatchNorm running statistics; the others wait. false: a signal came. */
static bool measure(struct run *r, tw_validation *v)
{
    const tw_validation_options vo = validation_of(r);
    const int rc = leads(r) ? tw_validate(v, r->learner.net, &vo) : 1;
    if (rc < 0)
        tw_die_error();
    if (!all_go_on(r, rc != 2))
        return false;
    if (r->comm->ranks > 1 && r->step != NULL)
        tw_step_renew(r->step);
    if (!leads(r))
        return true;
    r->tally.last = (tw_score){r->state->at.epoch + 1, v->acc1, v->acc5};
    if (r->best.epoch == 0 || v->acc1 > r->best.acc1) {
        r->best = r->tally.last;
        const char *command = r->o.common.no_history ? NULL : tw_program_command();
        if (tw_best_save(r->best_path, &r->best, &r->learner, r->header, command) != 0)
            tw_die_error();
    }
    return true;
}

/* Ends an epoch: validates, logs, saves, and begins epoch `epoch`. A checkpoint whose position is still in the old epoch is saved before the
 * validation, so that a signal or failure during it loses nothing. false: a signal came. */
static bool turn_to(struct run *r, int64_t epoch)
{
    const int64_t done = r->state->at.epoch + 1;
    const bool wanted = r->o.val != NULL && (done % r->o.val_epoch == 0 || epoch >= r->o.epochs);
    tw_validation v;
    tw_progress_end();
    if (wanted) {
        save_if_new(r);
        if (!measure(r, &v))
            return false;
    }
    if (leads(r) && tw_tally_log(r->log, &r->tally, r->state->at.epoch, r->state->step, samples_of_step(r), wanted ? &v : NULL) != 0)
        tw_die_error();
    tw_tally_clear(&r->tally);
    tw_state_at(&r->learner, (tw_position){epoch, 0}, NULL);
    r->state->iteration = 0;
    if (r->o.save_every == 0 || wanted || epoch >= r->o.epochs)
        save(r);
    r->pace.last = tw_now(); /* this time is not counted for the next step */
    return true;
}

noreturn static void refuse_numbers(struct run *r, const tw_step_result *s)
{
    tw_progress_end();
    save_if_learned(r);
    if (leads(r))
        tw_complain("%s: step %lld, epoch %lld: the loss is %g, the gradient's norm %g; the step was not taken", tw_loader_name(r->turns.loader),
                    (long long)r->state->step + 1, (long long)r->state->at.epoch, s->terms.loss, s->gradient_norm);
    if (leads(r) && r->saved_step >= 0)
        tw_complain("%s is of step %lld", r->folder.checkpoint, (long long)r->saved_step);
    leave(r, TW_EXIT_FAILED);
}

static void train_on(struct run *r, const tw_batch *b)
{
    const tw_batch *ahead = tw_loader_ahead(r->turns.loader);
    const tw_step_inputs p = {.lr = share(r, b->epoch), .weight_decay = r->o.weight_decay, .number = r->state->step, .label = b->label,
                              .ahead = ahead != NULL ? ahead->pictures : NULL};
    tw_step_result s;
    const int rc = tw_step_run(r->step, &s, b->pictures, &p);
    if (rc < 0)
        tw_die_error();
    if (rc == 0)
        refuse_numbers(r, &s);
    r->state->step++;
    r->state->scale = s.next;
    log_step(r, b, &s);
    show_progress(r, &s);
    tw_state_at(&r->learner, (tw_position){b->epoch, r->turns.all.sample}, r->turns.all.places);
    r->state->iteration++;
    if (r->o.save_every > 0 && r->state->step % r->o.save_every == 0)
        save(r);
}

/* Trains until complete (TW_RANK_READY), or returns why it cannot continue (another TW_RANK_...). */
static int train(struct run *r)
{
    const tw_batch *b;
    for (;;) {
        if (r->state->iteration >= r->turns.steps_per_epoch && !turn_to(r, r->state->at.epoch + 1))
            return TW_RANK_STOPPED;
        if (finished(r))
            return TW_RANK_READY;
        const int rc = tw_turns_next(&r->turns, &b, r->state->at.epoch);
        if (rc < 0)
            tw_die_error();
        if (rc == TW_RANK_DONE) /* the last epoch is shorter, because of bad images */
            return turn_to(r, r->o.epochs) ? TW_RANK_READY : TW_RANK_STOPPED;
        if (rc != TW_RANK_READY)
            return rc;
        if (r->step == NULL)
            open_step(r, b);
        if (b->epoch > r->state->at.epoch) { /* an epoch may be shorter, because of bad images */
            if (!turn_to(r, b->epoch))
                return TW_RANK_STOPPED;
            if (finished(r))
                return TW_RANK_READY;
        }
        train_on(r, b);
    }
}

static void print_result(const struct run *r)
{
    if (!leads(r))
        return;
    if (r->best.epoch > 0)
        printf("{\"acc1\": %.9g, \"acc5\": %.9g, \"epoch\": %lld, \"acc1_last\": %.9g, \"acc5_last\": %.9g, ", r->best.acc1,
               r->best.acc5, (long long)r->best.epoch, r->tally.last.acc1, r->tally.last.acc5);
    else
        printf("{\"acc1\": null, \"acc5\": null, \"epoch\": null, \"acc1_last\": null, \"acc5_last\": null, ");
    printf("\"epochs\": %lld, \"steps\": %lld}\n", (long long)r->state->at.epoch, (long long)r->state->step);
    if (tw_program_printed() != 0)
        tw_die_error();
}

int main(int argc, char **argv)
{
    static struct run r = {.o = {.input = "-", .epochs = 30, .batch_size = 256, .val_batch_size = 64, .val_epoch = 1,
                                 .lr_backbone = 0.01, .lr_classifier = 0.2, .patience = 60}};
    tw_program_start("twist-finetune", argc, argv);
    r.o.threads = tw_processors();
    parse(&r);
    tw_catch_stops();
    open_run(&r);
    if (finished(&r) && !r.tally.pending) {
        tw_warn("%s: the run is complete: %lld epochs, %lld steps", r.folder.checkpoint, (long long)r.state->at.epoch,
                (long long)r.state->step);
        print_result(&r);
        leave(&r, TW_EXIT_OK);
    }
    open_stream(&r);
    open_network(&r);
    if (r.folder.there)
        load_state(&r);
    if (tw_ranks_share(&r.learner) != 0)
        tw_die_error();
    open_log(&r);
    const int rc = look_ahead(&r) ? train(&r) : TW_RANK_STOPPED;
    tw_progress_end();
    (rc == TW_RANK_READY || rc == TW_RANK_STOPPED ? save_if_new : save_if_learned)(&r);
    if (rc == TW_RANK_STOPPED) {
        const int signal = r.turns.all.signal != 0 ? r.turns.all.signal : tw_stop_signal(); /* it may have come during the validation */
        if (signal != 0)
            tw_warn("stopped by signal %d after step %lld; %s", signal, (long long)r.state->step, tw_goes_on(r.o.resume));
        leave(&r, TW_EXIT_AGAIN);
    }
    if (rc != TW_RANK_READY) {
        if (r.saved_step >= 0)
            tw_warn("%s holds the training up to step %lld", r.folder.checkpoint, (long long)r.state->step);
        leave(&r, TW_EXIT_FAILED);
    }
    const bool limited = r.o.max_steps > 0 && r.state->step >= r.o.max_steps;
    if (!all_go_on(&r, limited || tw_turns_end(&r.turns) == 0)) /* fails if the stream of any rank was not complete */
        leave(&r, TW_EXIT_FAILED);
    if (leads(&r) && tw_jsonl_close(r.log) != 0)
        tw_die_error();
    print_result(&r);
    tw_step_free(r.step); /* before the loader: the step may have pinned its memory for a device */
    tw_turns_close(&r.turns);
    tw_learner_close(&r.learner);
    tw_folder_close(&r.folder);
    free(r.best_path);
    leave(&r, TW_EXIT_OK);
}
