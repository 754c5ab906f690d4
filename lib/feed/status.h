/* A head's status: as JSON, as a table for people, as metrics for Prometheus. */
#ifndef TW_FEED_STATUS_H
#define TW_FEED_STATUS_H

#include "feed/head.h"

#include <stdio.h>

typedef struct {
    double seconds, waited;     /* since the start; of these, waiting for the reader of the output */
    int64_t written, skipped, end, epoch_size, dropped, refused_keys;
    int64_t since_written;      /* samples written in the last `interval` seconds */
    double interval;
    const char *waits_for;      /* "workers", "reader", "the next sample" */
} tw_status_more;

/* The status as one line of JSON, without a line end. The caller frees. NULL and tw_error(). */
char *tw_status_json(const tw_head *h, double now, const tw_status_more *m);

/* Prints that JSON as a table. 0, or -1 and tw_error(): not such a JSON text. */
int tw_status_print(FILE *f, const char *json);
/* Writes it as a file for node_exporter's textfile collector; the file is replaced atomically. 0, or -1 and tw_error(). */
int tw_status_metrics(const char *path, const char *json);

#endif
