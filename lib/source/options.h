/* The options that select and order the samples, shared by twist-decode and twist-feed head. */
#ifndef TW_SOURCE_OPTIONS_H
#define TW_SOURCE_OPTIONS_H

#include "core/opts.h"
#include "core/share.h"
#include "source/source.h"
#include "stream/record.h"

/* --on-error: what happens to the place of a bad image. */
enum { TW_BAD_SKIP, TW_BAD_FAIL, TW_BAD_SUBSTITUTE };

/* Named as on the command line; man/twist-decode.1 says what each does. */
typedef struct {
    tw_source_options from; /* operands, keep_cut and jobs are the program's to fill */
    const char *shard, *max_errors, *rejects;
    bool shuffle;
    int64_t seed, epochs, start_epoch, skip, limit;
    int on_error;
    tw_share share;
} tw_data_options;
#define TW_DATA_DEFAULT {.epochs = 1, .share = {0, 1, 1}}

/* Fills the option table with the rows of these options, which set *o. Returns TW_DATA_ROWS. */
enum { TW_DATA_ROWS = 16 };
int tw_data_rows(tw_opt table[TW_DATA_ROWS], tw_data_options *o);

/* After parsing: sets o->share from --shard and checks the options. 0, or -1 and tw_error(): the caller exits 2. */
int tw_data_settle(tw_data_options *o);

/* Opens the source. If only some of its pictures have a label, warns that all labels are dropped. NULL and tw_error(). */
tw_source *tw_data_open(const tw_data_options *o);

/* Whether this continues an earlier run: --start-epoch or --skip is above 0. */
bool tw_data_goes_on(const tw_data_options *o);

/* Number of epochs to make, of count samples each. -1 and tw_error(): --skip exceeds an epoch. */
int64_t tw_data_epochs(const tw_data_options *o, int64_t count);

/* The header of a stream of the source's pictures, count per epoch; its classes are the source's. 0, or -1 and tw_error() as tw_data_epochs. */
int tw_data_header(tw_header *h, tw_kind kind, const tw_data_options *o, const tw_source *s, int64_t count);

#endif
