/* Whole files: written atomically (temporary file, fsync, rename), read with a size limit. */
#ifndef TW_CORE_FILE_H
#define TW_CORE_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

typedef struct tw_file tw_file; /* a file being written under a temporary name */

/* Creates a temporary file (".NAME.PID.tmp") in the folder of PATH; if PATH is a symbolic link, in the folder of the link's target. A PATH that
 * exists and is not a regular file (/dev/full, a FIFO), or names an open descriptor (/dev/stdout), is written in place instead. Temporary files
 * not committed are removed when the process exits, or dies of a signal that it does not handle (at most 64 files at once). NULL and tw_error() on
 * failure, also if this process is already writing that file. */
tw_file *tw_file_create(const char *path);
/* Whether a folder's entry has the name of such a temporary file of NAME. */
bool tw_file_is_temporary(const char *entry, const char *name);
FILE *tw_file_stream(tw_file *f); /* buffered, for writing; borrowed */
/* Flushes, syncs, renames, syncs the folder. Frees f in any case. 0, or -1 and tw_error(): then the old file is unchanged. */
int tw_file_commit(tw_file *f);
/* Removes the temporary file, frees f. NULL is allowed. */
void tw_file_abandon(tw_file *f);
/* Checks, before the work, that the path can be written: by creating and removing the temporary file. What is written in place is not opened (the
 * reader of a FIFO would see an end of file): only its write permission is checked, for names in /dev and /proc nothing. 0, or -1 and tw_error(). */
int tw_file_probe(const char *path);
/* For binary output: -1 and tw_error() if the path is a terminal, under whatever name; else 0 (also for NULL). */
int tw_file_no_terminal(const char *path);

/* Reads the whole file into one block, followed by a NUL byte that *size does not count. limit: largest size accepted, bytes (0: 1 GiB).
 * The caller frees it. NULL and tw_error() naming the path. */
void *tw_file_read(const char *path, size_t *size, size_t limit);

/* Reads a regular file into *block, which the caller owns and which grows as needed (*cap: its capacity; *size: bytes read). Anything else (a
 * folder, a FIFO, which would block) and files of more than limit bytes are refused before they are read. 0, or -1 and tw_error() naming the path. */
int tw_file_load(const char *path, void **block, size_t *cap, size_t *size, size_t limit);

/* "FOLDER/NAME"; the caller frees. NULL and tw_error(). */
char *tw_path_in(const char *folder, const char *name);

/* As mkdir -p. 0, or -1 and tw_error(). */
int tw_make_folder(const char *path);

/* Prepares for n files open at once: if n is at least a quarter of the soft RLIMIT_NOFILE, raises it to the hard limit. Returns how many of
 * the n files may be kept open: at most three quarters of the limit, the rest being left for pipes, libraries and outputs. */
size_t tw_allow_files(size_t n);

/* Writes all n bytes to the descriptor, through partial writes and EINTR. 0, or -1 and errno. */
int tw_write_all(int fd, const void *data, size_t n);

#endif
