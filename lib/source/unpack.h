/* The bytes of a file or of standard input from first to last, unpacked if they are gzip or zstd by their content. */
#ifndef TW_SOURCE_UNPACK_H
#define TW_SOURCE_UNPACK_H

#include <stdint.h>

typedef struct tw_unpack tw_unpack;

/* "-": standard input. NULL and tw_error(). */
tw_unpack *tw_unpack_open(const char *path);
void tw_unpack_close(tw_unpack *u); /* NULL is allowed */

/* A tw_tar_source: copies n bytes to `to`, or steps over them (NULL). How many there were; -1 and tw_error(). */
int64_t tw_unpack_read(void *unpack, void *to, int64_t n);

/* Seconds spent waiting for input so far. */
double tw_unpack_waited(const tw_unpack *u);

#endif
