/* The best network of a run that measures itself: a file of its own, with what it reached. */
#ifndef TW_TRAIN_BEST_H
#define TW_TRAIN_BEST_H

#include "train/state.h"

/* What the classifier reached on other samples. */
typedef struct {
    int64_t epoch; /* 1, 2, ...; 0: not measured yet */
    double acc1, acc5;
} tw_score;

/* Writes the learner's backbone and classifier, safetensors under torchvision's names (twist-embed, timm and torchvision read it), with the score and
 * the classes that the header names, if any, in its metadata; command (NULL: left out): the one that made it. 0, or -1 and tw_error(). */
int tw_best_save(const char *path, const tw_score *score, const tw_learner *l, const tw_header *header, const char *command);

/* The score of such a file, or zeros where there is none. 0, or -1 and tw_error(): also a file that is not one. */
int tw_best_load(tw_score *score, const char *path);

#endif
