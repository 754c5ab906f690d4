/* The file of a linear classifier for twist-embed's features: safetensors with fc.weight f32 [C,D] and fc.bias f32 [C]. Metadata: kind "twist
 * linear classifier", classes (JSON list of names, if known), and what the caller adds. */
#ifndef TW_EVAL_CLASSIFIER_H
#define TW_EVAL_CLASSIFIER_H

#include "eval/matrix.h"

typedef struct {
    int C, D;
    float *bias;      /* [C] */
    tw_panels weight; /* [C,D] */
} tw_classifier;

/* Reads the classifier of a file of weights: weight [C,D] and bias [C], all finite, named fc (twist-linear, twist-finetune, torchvision), linear
 * (DINO's and TWIST's evaluation of vision transformers) or head (timm), alone or with a backbone, also with the prefix "module.", "model." or
 * "state_dict.". 0, or -1 and tw_error() naming the file. Free with tw_classifier_fini. */
int tw_classifier_read(tw_classifier *c, const char *path);
void tw_classifier_fini(tw_classifier *c);

/* logits [n,C] = x weight^T + bias, x [n,D]. A row's bits do not depend on n. */
void tw_classifier_apply(float *logits, const tw_classifier *c, const float *x, int n);

/* Folds the standardisation x' = (x - mean) / std into weight [C,D] and bias [C], which were trained on x', so that they apply to x. mean, std:
 * [D]. */
void tw_classifier_fold(float *weight, float *bias, int C, int D, const float *mean, const float *std);

/* The names of C classes as a JSON list. NULL and tw_error() without memory. Free with free(). */
char *tw_classes_json(const char *const *classes, int C);

/* Writes the file. classes: C names, or NULL; meta: n pairs of key and value. 0, or -1 and tw_error(). */
int tw_classifier_write(const char *path, const float *weight, const float *bias, int C, int D, char *const *classes,
                        const char *const (*meta)[2], int n);

#endif
