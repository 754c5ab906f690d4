/* Zip archives with stored (uncompressed) entries, as PyTorch and numpy.savez write them: read in place from a mapped file, written to a stream. */
#ifndef TW_CHECKPOINT_ZIP_H
#define TW_CHECKPOINT_ZIP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

typedef struct {
    const char *name;  /* name_size bytes, not NUL-terminated */
    size_t name_size;
    const unsigned char *data;
    size_t size;
    uint32_t crc;
} tw_zip_entry;

typedef struct {
    tw_zip_entry *entry; /* [n] in the directory's order; names and data are borrowed from the file */
    const tw_zip_entry **by_name;
    int n;
} tw_zip;

/* Reads the directory at the file's end, ZIP64 included; every entry must lie inside the file. 0, or -1 and tw_error(): not a zip, truncated, an
 * entry that is compressed or encrypted, or a duplicate name. Free with tw_zip_fini. */
int tw_zip_read(tw_zip *z, const unsigned char *file, size_t size);
/* The entry of that name (size bytes); NULL: absent. */
const tw_zip_entry *tw_zip_find(const tw_zip *z, const char *name, size_t size);
/* Whether the entry's data match its CRC-32; false and tw_error() if not. */
bool tw_zip_intact(const tw_zip_entry *e);
void tw_zip_fini(tw_zip *z);

/* Writing. Each entry's bytes begin at a multiple of 64. Errors of the stream are the stream's (ferror). */
typedef struct tw_zip_writer tw_zip_writer;
tw_zip_writer *tw_zip_writer_new(FILE *f); /* f: at its beginning, borrowed. NULL and tw_error() */
/* One entry whose bytes come in two parts (the second may be empty). 0, or -1 and tw_error(). */
int tw_zip_add(tw_zip_writer *w, const char *name, const void *head, size_t head_size, const void *data, size_t size);
/* Writes the directory and frees w; the caller checks f for errors. */
void tw_zip_writer_finish(tw_zip_writer *w);
void tw_zip_writer_free(tw_zip_writer *w); /* without a directory; NULL is allowed */

#endif
