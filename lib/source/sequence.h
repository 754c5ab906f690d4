/* Tar archives read from first to last, as from a pipe: one pass, in their own order, also packed with gzip or zstd. */
#ifndef TW_SOURCE_SEQUENCE_H
#define TW_SOURCE_SEQUENCE_H

#include "source/members.h"
#include "source/source.h"

typedef struct tw_sequence tw_sequence;

/* Whether the operand is one: "-", or a name ending in .tar.gz, .tgz, .tar.zst or .tzst. */
bool tw_is_sequence(const char *operand);

/* Opens the label and subset files of the options; the archives are opened one after the other. Labels: those of the label file, else
 * whole numbers in .cls members; names in .cls members and folders are no labels here, since the classes are not known before the
 * end. NULL and tw_error(). o must live until close. */
tw_sequence *tw_sequence_open(const tw_source_options *o);
void tw_sequence_close(tw_sequence *q); /* NULL is allowed */

int tw_sequence_n_classes(const tw_sequence *q);         /* -1: not known */
const char **tw_sequence_classes(const tw_sequence *q);

/* The next picture; its name and bytes are the caller's to free. *label: -1: none. Its number in the data set is how many came before.
 * 1; 0 at the end; -1 and tw_error() naming the archive, which also has to have pictures, or at the end the file of names (of a subset, of
 * labels) that is about none of the pictures. */
int tw_sequence_next(tw_sequence *q, tw_picture *p, int64_t *label);

/* Seconds spent waiting for input so far. */
double tw_sequence_waited(const tw_sequence *q);

#endif
