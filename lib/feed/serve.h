/* Runs the head of a farm: connects the rules of head.h with sockets, data set and output. */
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
    const tw_header *header;       /* of the files stream, sent to the workers */
    int on_error;                  /* TW_BAD_... */
    bool ship;                     /* files are sent to the workers */
    const char *(*local)(void);    /* called every second, restarts local workers; returns NULL, or what is wrong with them. NULL: no local workers */
} tw_serve_options;

/* Runs until the last sample is written. stop: nonzero after a signal to stop; reload: true if the list of keys is to be read again; say: as in
 * tw_head_ops. 0; 1: the reader of the output has gone (the workers have been told); -1 and tw_error(). */
int tw_serve_run(const tw_serve_options *o, int (*stop)(void), bool (*reload)(void), void (*say)(int level, const char *text));

#endif
