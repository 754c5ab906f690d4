/* Learning rate, weight decay and the other scheduled numbers of every step (twist-method.md 2 to 4). */
#ifndef TW_TRAIN_SCHEDULE_H
#define TW_TRAIN_SCHEDULE_H

#include <stdint.h>

typedef struct {
    double lr, lr_sl;               /* scaled already: lr x batch x ranks / 256 */
    double weight_decay, weight_decay_end;
    int64_t epochs, mme_epochs;     /* self-labeling from epoch mme_epochs on */
    int64_t warmup_epochs, sl_warmup_epochs;
    int64_t steps_per_epoch;
} tw_schedule;

/* (1 + cos(pi done)) / 2: from 1 at done = 0 to 0 at done = 1, as CosineAnnealingLR. */
double tw_cosine(double done);

/* Default warm-up epochs of a run of that many epochs: 3 up to 20 epochs, 5 up to 50, 10 above. */
int64_t tw_schedule_warmup(int64_t epochs);

/* The learning rate of step `it` (from 0) of an epoch. Before mme_epochs: linear from 0 to lr over the warm-up, then cosine to 0.001 lr at
 * mme_epochs; afterwards likewise from 0 to lr_sl over sl_warmup_epochs, then cosine to 0.001 lr_sl at the end of the last epoch. */
double tw_schedule_lr(const tw_schedule *s, int64_t epoch, int64_t it);

/* Self-labeling's quantile of the confidences: cosine from q to q_end over the epochs from `first` to the last. */
double tw_schedule_quantile(const tw_schedule *s, double q, double q_end, int64_t first, int64_t epoch, int64_t it);

/* The teacher's momentum (the share it keeps of itself): cosine from start to end over the epochs before mme_epochs, then end. */
double tw_schedule_momentum(const tw_schedule *s, double start, double end, int64_t epoch, int64_t it);

/* Cosine from weight_decay to weight_decay_end over all epochs. */
double tw_schedule_weight_decay(const tw_schedule *s, int64_t epoch, int64_t it);

#endif
