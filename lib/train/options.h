/* The options of a pre-training run: their defaults, their rows of the table, what follows from one another. */
#ifndef TW_TRAIN_OPTIONS_H
#define TW_TRAIN_OPTIONS_H

#include "core/opts.h"

enum { TW_DEVICE_AUTO, TW_DEVICE_CPU, TW_DEVICE_CUDA };
enum { TW_PRECISION_AUTO, TW_PRECISION_FP32, TW_PRECISION_BF16, TW_PRECISION_FP16 };
/* Words of --device, --precision, --act, NULL at the end. */
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

/* The seed's defaults; threads: the processors. */
void tw_train_defaults(tw_train_options *o);

/* The rows of these options, which fill *o, for a table of at least TW_TRAIN_ROWS rows. Returns their number. */
enum { TW_TRAIN_ROWS = 64 };
int tw_train_rows(tw_opt table[TW_TRAIN_ROWS], tw_train_options *o);

/* The epoch with which the first kind of training ends: mme_epochs, or all, where they are fewer or labels are the network's own from the start. */
int64_t tw_train_mme_epochs(const tw_train_options *o);

/* After the command line was read: fills in what follows from other options. 0, or -1 and tw_error(): options that contradict
 * one another, for exit 2. */
int tw_train_settle(tw_train_options *o);

#endif
