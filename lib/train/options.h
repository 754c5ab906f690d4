/* The options of a pre-training run: their defaults, their rows of the option table, and how they depend on one another. */
#ifndef TW_TRAIN_OPTIONS_H
#define TW_TRAIN_OPTIONS_H

#include "core/opts.h"

enum { TW_DEVICE_AUTO, TW_DEVICE_CPU, TW_DEVICE_CUDA };
enum { TW_PRECISION_AUTO, TW_PRECISION_FP32, TW_PRECISION_BF16, TW_PRECISION_FP16 };
/* Values of --precision, --act, --lbn-type, --proj-norm, NULL at the end. */
extern const char *const tw_precision_names[], *const tw_act_names[], *const tw_lbn_names[],
    *const tw_proj_norm_names[];

/* Named as on the command line; man/twist-train.1 says what each does. */
typedef struct {
    const char *input, *output, *init, *backbone;
    bool resume, small_stem, proj_trunc_init, use_momentum_encoder, stop_on_nan;
    bool self_label; /* from the first epoch on: what --crops-interact-style=self_label means */
    int64_t seed, max_steps, save_every, epoch_samples, epochs, mme_epochs, warmup_epochs, sl_warmup_epochs, bunch_size;
    int crops_interact_style, dim, hid_dim, act, lbn_type, proj_norm, patch_size, batch_size, optim, device, precision, threads;
    double drop, drop_path, lam1, lam2, tau, quantile, quantile_end, threshold, clip_norm, lr, lr_sl, lr_wbr, weight_decay, weight_decay_end;
    double momentum_start, momentum_end, patience, starve;
} tw_train_options;

/* The official code's defaults; threads: the number of processors. */
void tw_train_defaults(tw_train_options *o);

/* Fills the table with the rows of these options, which parse into *o. Returns their number. */
enum { TW_TRAIN_ROWS = 64 };
int tw_train_rows(tw_opt table[TW_TRAIN_ROWS], tw_train_options *o);

/* The epochs of the first phase (TWIST loss, before self-labeling): mme_epochs; all epochs if they are fewer, or if self-labeling is used from the
 * start. */
int64_t tw_train_mme_epochs(const tw_train_options *o);

/* To be called after parsing: sets the options that follow from others. 0, or -1 and tw_error() if options contradict one another (a usage error,
 * exit 2). */
int tw_train_settle(tw_train_options *o);

#endif
