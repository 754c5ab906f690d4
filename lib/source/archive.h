/* An archive in an open file as a tw_tar_source: a position, and a read-ahead buffer, since most reads are of 512 bytes. */
#ifndef TW_SOURCE_ARCHIVE_H
#define TW_SOURCE_ARCHIVE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>

typedef struct {
    int fd;
    int64_t place, size; /* offset of the next read; bytes of the file */
    int64_t from, have;  /* offset and number of the bytes in `ahead` */
    bool failed;         /* the last read failed */
    unsigned char ahead[4096];
} tw_archive;

/* A tw_tar_source (context: the tw_archive). */
int64_t tw_archive_read(void *archive, void *to, int64_t n);

/* Whether a file is unchanged, judged by its size and modification time. */
bool tw_archive_unchanged(const struct stat *is, const struct stat *was);

#endif
