/* How well a network with a classifier does on labelled views. */
#ifndef TW_TRAIN_VALIDATE_H
#define TW_TRAIN_VALIDATE_H

#include "nn/net.h"

#include <stdbool.h>
#include <stdint.h>

typedef struct {
    int64_t samples;
    double loss, acc1, acc5; /* means; cross-entropy in nats */
} tw_validation;

typedef struct {
    const char *endpoint;    /* a file or pipe:COMMAND, opened anew at each call */
    int B;                   /* views computed together */
    int n_classes;           /* of the training data, and their names or NULL */
    const char *const *classes;
    int (*stop)(void);
} tw_validation_options;

/* Whether the endpoint gives its stream as often as it is opened: a regular file (or what is not there, as opening it will say), a command. */
bool tw_validate_again(const char *endpoint);

/* Runs the network in evaluation mode over the whole stream of views: one view a sample, of any sizes, each with a label below the
 * network's classes, whose names are those of the training data where both have names. 1: done; 2: stop() became true; -1 and
 * tw_error(). */
int tw_validate(tw_validation *v, tw_net *net, const tw_validation_options *o);

/* Looks at the first of these views only: whether they are such, before long work is begun that ends with them. Results as of tw_validate. */
int tw_validate_first(tw_net *net, const tw_validation_options *o);

#endif
