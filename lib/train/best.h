/* The best network so far of a run that validates: a file of its own, with its score. */
#ifndef TW_TRAIN_BEST_H
#define TW_TRAIN_BEST_H

#include "train/state.h"

/* The classifier's top-1 and top-5 accuracy on the validation samples, 0 .. 1. */
typedef struct {
    int64_t epoch; /* 1, 2, ...; 0: not measured yet */
    double acc1, acc5;
} tw_score;

/* Writes the learner's backbone and classifier as safetensors under torchvision's names (twist-embed, timm and torchvision read them). Metadata: the
 * score, the header's class names, if any, and the command line (NULL: left out). 0, or -1 and tw_error(). */
int tw_best_save(const char *path, const tw_score *score, const tw_learner *l, const tw_header *header, const char *command);

/* Reads the score of such a file; zeros if there is no file. 0, or -1 and tw_error(), also if the file is of another kind. */
int tw_best_load(tw_score *score, const char *path);

#endif
