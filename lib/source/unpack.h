/* Sequential reading of a file or standard input, decompressed if its first bytes are those of gzip or zstd. */
#ifndef TW_SOURCE_UNPACK_H
#define TW_SOURCE_UNPACK_H

#include <stdint.h>

typedef struct tw_unpack tw_unpack;

/* path "-": standard input. NULL and tw_error(), also for a terminal. */
tw_unpack *tw_unpack_open(const char *path);
void tw_unpack_close(tw_unpack *u); /* NULL is allowed */

/* A tw_tar_source (context: the tw_unpack). */
int64_t tw_unpack_read(void *unpack, void *to, int64_t n);

/* Seconds spent waiting for input so far. */
double tw_unpack_waited(const tw_unpack *u);

#endif
