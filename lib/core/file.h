/* Whole files: written so that a reader never sees half of one, read with a limit. */
#ifndef TW_CORE_FILE_H
#define TW_CORE_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

typedef struct tw_file tw_file; /* being written beside its final name */

/* Creates PATH's temporary sibling (".NAME.pid.tmp", same folder); where PATH is a symbolic link, that of the file it leads to. NULL and tw_error():
 * also where this process is writing that file already. A path that is no regular file (/dev/full, a FIFO) or stands for an open one (/dev/stdout) is
 * written in place. What is not committed is removed when the process ends, by exit() or a signal that it does not catch. */
tw_file *tw_file_create(const char *path);
/* Whether a folder's entry is named as such a sibling of NAME. */
bool tw_file_is_temporary(const char *entry, const char *name);
FILE *tw_file_stream(tw_file *f); /* buffered, for writing; borrowed */
/* Flushes, syncs, renames, syncs the folder, frees f. 0, or -1 and tw_error() with the old file as it was. */
int tw_file_commit(tw_file *f);
/* Removes the temporary file, frees f. NULL is allowed. */
void tw_file_abandon(tw_file *f);
/* Whether the path can be written afterwards, asked before the work: of what is written in place, which a reader of a FIFO would take for all there
 * is, only that it is there. 0, or -1 and tw_error(). */
int tw_file_probe(const char *path);
/* Whether the path is a terminal's, by whatever name, where nothing but text is to be written, asked before the work: 0 (NULL: no), or -1 and
 * tw_error(). */
int tw_file_no_terminal(const char *path);

/* The whole file in one block (plus a NUL byte after it, not counted). At most limit bytes (0: 1 GiB). NULL and tw_error()
 * naming the path. Free with free(). */
void *tw_file_read(const char *path, size_t *size, size_t limit);

/* Reads a regular file into *block, which grows as needed (capacity *cap, bytes read *size); anything else (a folder, a FIFO that
 * would block) and files of more than limit bytes are refused before they are read. 0, or -1 and tw_error() naming the path. */
int tw_file_load(const char *path, void **block, size_t *cap, size_t *size, size_t limit);

/* "FOLDER/NAME"; the caller frees. NULL and tw_error(). */
char *tw_path_in(const char *folder, const char *name);

/* mkdir -p. 0, or -1 and tw_error(). */
int tw_make_folder(const char *path);

/* Where n files, which are to be open at once, are many: lets the process have as many as the system grants it. How many of them may be. */
size_t tw_allow_files(size_t n);

/* Writes all n bytes to the descriptor, through partial writes and EINTR. 0, or -1 and errno. */
int tw_write_all(int fd, const void *data, size_t n);

#endif
