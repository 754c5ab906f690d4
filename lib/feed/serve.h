/* The head of a farm as it runs: the rules of head.h between its sockets, its data set and its output. */
#ifndef TW_FEED_SERVE_H
#define TW_FEED_SERVE_H

#include "feed/link.h"
#include "feed/places.h"
#include "source/rejects.h"

typedef struct {
    tw_link_options link;
    tw_head_options rules;
    const char *endpoint, *output, *metrics, *log;
    tw_places *places;
    tw_rejects *rejects;
    const tw_header *header;       /* of the files stream that workers are given */
    int on_error;
    bool ship;
    const char *(*local)(void);    /* called every second: keeps the own workers alive; NULL, or what is wrong with them. NULL: none */
} tw_serve_options;

/* Runs until the last sample is written. stop, reload: whether a signal came. say: as in tw_head_ops. 0; 1: the reader of the
 * output has gone, the workers have been told; or -1 and tw_error(). */
int tw_serve_run(const tw_serve_options *o, int (*stop)(void), bool (*reload)(void), void (*say)(int level, const char *text));

#endif
