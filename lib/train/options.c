#include "train/options.h"

#include "core/error.h"
#include "core/pool.h"
#include "core/program.h"
#include "nn/backbones.h"
#include "nn/backend.h"
#include "train/optim.h"
#include "train/schedule.h"

#include <string.h>

const char *const tw_precision_names[] = {"auto", "fp32", "bf16", "fp16", NULL};
const char *const tw_act_names[] = {"relu", "gelu", NULL};
const char *const tw_lbn_names[] = {"bn", "syncbn", "identity", NULL};
const char *const tw_proj_norm_names[] = {"bn", "ln", "none", NULL};

static const char *const styles[] = {"sparse", "self_label", "label", "class", NULL};
enum { SPARSE, SELF_LABEL };

void tw_train_defaults(tw_train_options *o)
{
    *o = (tw_train_options){
        .input = "-", .stop_on_nan = true, .backbone = "resnet50", .patch_size = 16, .dim = 4096, .hid_dim = 4096, .bunch_size = 256, .lam2 = 1,
        .tau = 1, .mme_epochs = 800, .quantile = 0.5, .quantile_end = 0.6, .epochs = 850, .batch_size = 128, .lr = 0.5, .lr_sl = 0.05, .lr_wbr = 1,
        .sl_warmup_epochs = 5, .weight_decay = 1.5e-6, .momentum_start = 0.996, .momentum_end = 1, .patience = 60,
        .starve = 600, .threads = tw_processors(),
    };
}

int tw_train_rows(tw_opt table[TW_TRAIN_ROWS], tw_train_options *o)
{
    const tw_opt rows[] = {
        {'i', "input", TW_OPT_STRING, &o->input, 0, 0, NULL},
        {'o', "output", TW_OPT_STRING, &o->output, 0, 0, NULL},
        {0, "resume", TW_OPT_FLAG, &o->resume, 0, 0, NULL},
        {0, "init", TW_OPT_STRING, &o->init, 0, 0, NULL},
        {0, "seed", TW_OPT_I64, &o->seed, 0, 9e18, NULL},
        {0, "max-steps", TW_OPT_I64, &o->max_steps, 0, 1e15, NULL},
        {0, "save-every", TW_OPT_I64, &o->save_every, 0, 1e15, NULL},
        {0, "stop-on-nan", TW_OPT_BOOL, &o->stop_on_nan, 0, 0, NULL},
        {0, "epoch-samples", TW_OPT_I64, &o->epoch_samples, 0, 1e12, NULL},
        {0, "backbone", TW_OPT_STRING, &o->backbone, 0, 0, NULL},
        {0, "small-stem", TW_OPT_FLAG, &o->small_stem, 0, 0, NULL},
        {0, "patch-size", TW_OPT_INT, &o->patch_size, 1, 224, NULL},
        {0, "drop-path", TW_OPT_FLOAT, &o->drop_path, 0, 0.999, NULL},
        {0, "proj-trunc-init", TW_OPT_BOOL, &o->proj_trunc_init, 0, 0, NULL},
        {0, "dim", TW_OPT_INT, &o->dim, 2, 1 << 20, NULL},
        {0, "hid-dim", TW_OPT_INT, &o->hid_dim, 1, 1 << 20, NULL},
        {0, "act", TW_OPT_CHOICE, &o->act, 0, 0, tw_act_names},
        {0, "drop", TW_OPT_FLOAT, &o->drop, 0, 0.999, NULL},
        {0, "lbn-type", TW_OPT_CHOICE, &o->lbn_type, 0, 0, tw_lbn_names},
        {0, "bunch-size", TW_OPT_I64, &o->bunch_size, 1, 1e9, NULL},
        {0, "proj-norm", TW_OPT_CHOICE, &o->proj_norm, 0, 0, tw_proj_norm_names},
        {0, "lam1", TW_OPT_FLOAT, &o->lam1, -1e6, 1e6, NULL},
        {0, "lam2", TW_OPT_FLOAT, &o->lam2, -1e6, 1e6, NULL},
        {0, "tau", TW_OPT_FLOAT, &o->tau, 1e-3, 1e3, NULL},
        {0, "crops-interact-style", TW_OPT_CHOICE, &o->crops_interact_style, 0, 0, styles},
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
        {0, "use-momentum-encoder", TW_OPT_BOOL, &o->use_momentum_encoder, 0, 0, NULL},
        {0, "momentum-start", TW_OPT_FLOAT, &o->momentum_start, 0, 1, NULL},
        {0, "momentum-end", TW_OPT_FLOAT, &o->momentum_end, 0, 1, NULL},
        {0, "device", TW_OPT_CHOICE, &o->device, 0, 0, tw_device_names},
        {0, "precision", TW_OPT_CHOICE, &o->precision, 0, 0, tw_precision_names},
        {0, "patience", TW_OPT_FLOAT, &o->patience, 0.1, 1e6, NULL},
        {0, "starve", TW_OPT_FLOAT, &o->starve, 0, 1e9, NULL},
        {'j', "threads", TW_OPT_INT, &o->threads, 1, 4096, NULL},
    };
    _Static_assert(sizeof rows / sizeof *rows <= TW_TRAIN_ROWS, "room for the rows");
    memcpy(table, rows, sizeof rows);
    return (int)(sizeof rows / sizeof *rows);
}

/* Options that have no effect are accepted, as by the official trainer, with a message. */
static void tell_unused(const tw_train_options *o)
{
    static const char *const of_vits[] = {"patch-size", "drop-path"}, *const of_teachers[] = {"momentum-start", "momentum-end"};
    for (size_t i = 0; i < 2; i++) {
        if (tw_resnet_find(o->backbone) != NULL && tw_opts_given(of_vits[i]))
            tw_warn("--%s: for vision transformers only; %s ignores it", of_vits[i], o->backbone);
        if (!o->use_momentum_encoder && tw_opts_given(of_teachers[i]))
            tw_warn("--%s: ignored without --use-momentum-encoder=1", of_teachers[i]);
    }
}

int64_t tw_train_mme_epochs(const tw_train_options *o)
{
    return o->self_label || o->mme_epochs > o->epochs ? o->epochs : o->mme_epochs;
}

int tw_train_settle(tw_train_options *o)
{
    if (o->output == NULL)
        return tw_fail("-o: which folder is the run to be written to?");
    if (tw_backbone_check(o->backbone, o->small_stem) != 0)
        return tw_fail("--backbone=%s", tw_error());
    if (o->crops_interact_style > SELF_LABEL)
        return tw_fail("--crops-interact-style=%s: not supported; use sparse or self_label", styles[o->crops_interact_style]);
    o->self_label = o->crops_interact_style == SELF_LABEL;
    if (o->self_label && tw_opts_given("mme-epochs") && o->mme_epochs < o->epochs)
        return tw_fail("--crops-interact-style=self_label: self-labels in all epochs; --mme-epochs=%lld means a change before "
                       "epoch %lld",
                       (long long)o->mme_epochs, (long long)o->epochs);
    tell_unused(o);
    if (!tw_opts_given("warmup-epochs"))
        o->warmup_epochs = tw_schedule_warmup(o->epochs);
    if (!tw_opts_given("weight-decay-end"))
        o->weight_decay_end = o->weight_decay;
    if (o->quantile == 0 && !tw_opts_given("quantile-end")) /* the threshold is fixed in all epochs */
        o->quantile_end = 0;
    return 0;
}
