/* Evaluates a network with a classifier on labelled views. */
#ifndef TW_TRAIN_VALIDATE_H
#define TW_TRAIN_VALIDATE_H

#include "nn/net.h"

#include <stdbool.h>
#include <stdint.h>

typedef struct {
    int64_t samples;
    double loss, acc1, acc5; /* mean cross-entropy in nats; top-1, top-5 accuracy, 0 .. 1 */
} tw_validation;

typedef struct {
    const char *endpoint;    /* a file or pipe:COMMAND, opened anew by each call */
    int B;                   /* batch size */
    int n_classes;           /* of the training data, and their names (classes) or NULL */
    const char *const *classes;
    int (*stop)(void);       /* once it returns true, evaluation ends */
} tw_validation_options;

/* Whether the endpoint can be opened again and again: a command or a regular file (or a missing one, an error that opening it will report). */
bool tw_validate_again(const char *endpoint);

/* Runs the network in evaluation mode over the whole stream: one view per sample, of any sizes, each with a label below the network's number of
 * classes. If stream and training data both name their classes, the names must agree. 1: done; 2: stop() became true; -1 and tw_error(). */
int tw_validate(tw_validation *v, tw_net *net, const tw_validation_options *o);

/* Checks only the first of these views, before a long run that will need them. Returns as tw_validate. */
int tw_validate_first(tw_net *net, const tw_validation_options *o);

#endif
