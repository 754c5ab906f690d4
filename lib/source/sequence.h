/* Tar archives read sequentially, as from a pipe: in one pass, in their own order, also compressed with gzip or zstd. */
#ifndef TW_SOURCE_SEQUENCE_H
#define TW_SOURCE_SEQUENCE_H

#include "source/members.h"
#include "source/source.h"

typedef struct tw_sequence tw_sequence;

/* Whether the operand is such an archive: "-", or a name ending in .tar.gz, .tgz, .tar.zst or .tzst. */
bool tw_is_sequence(const char *operand);

/* Reads the label and subset files of the options; the archives are opened one after the other. Labels are those of the label file, else
 * integers in .cls members; names in .cls members and folder names are not used, since the classes would be known only at the end.
 * o is borrowed until close. NULL and tw_error(). */
tw_sequence *tw_sequence_open(const tw_source_options *o);
void tw_sequence_close(tw_sequence *q); /* NULL is allowed */

int tw_sequence_n_classes(const tw_sequence *q);         /* -1: not known */
const char **tw_sequence_classes(const tw_sequence *q);

/* The next picture; the caller frees p->name and p->bytes. *label: -1: none. Its number in the data set is the number of pictures before it.
 * 1; 0 at the end; -1 and tw_error(): naming the archive, also if it has no pictures, or, at the end, the subset or label file if it names none of
 * the pictures. */
int tw_sequence_next(tw_sequence *q, tw_picture *p, int64_t *label);

/* Seconds spent waiting for input so far. */
double tw_sequence_waited(const tw_sequence *q);

#endif
