/* An archive in an open file, as the tar reader wants it: a place in it, and a block of what is ahead, since most reads are of 512 bytes. */
#ifndef TW_SOURCE_ARCHIVE_H
#define TW_SOURCE_ARCHIVE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>

typedef struct {
    int fd;
    int64_t place, size; /* where the next read begins; bytes of the file */
    int64_t from, have;  /* what ahead holds */
    bool failed;         /* a read has: of what is there nothing is known */
    unsigned char ahead[4096];
} tw_archive;

/* A tw_tar_source: copies n bytes to `to`, or steps over them (NULL). How many there were; -1 and tw_error(). */
int64_t tw_archive_read(void *archive, void *to, int64_t n);

/* Whether a file is as it was, by its size and the time of its last change. */
bool tw_archive_unchanged(const struct stat *is, const struct stat *was);

#endif
