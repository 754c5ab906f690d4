/* The options that say which samples a program makes and in what order, as twist-decode and twist-feed head share them. */
#ifndef TW_SOURCE_OPTIONS_H
#define TW_SOURCE_OPTIONS_H

#include "core/opts.h"
#include "core/share.h"
#include "source/source.h"

/* --on-error: what becomes of a bad image's place. */
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

/* The rows of these options, which fill *o. Returns their number. */
enum { TW_DATA_ROWS = 16 };
int tw_data_rows(tw_opt table[TW_DATA_ROWS], tw_data_options *o);

/* After the command line was read: fills in share. 0, or -1 and tw_error(): options that make no sense, for exit 2. */
int tw_data_settle(tw_data_options *o);

/* Opens the source; where only some of its pictures have a label, warns that none will have one. NULL and tw_error(). */
tw_source *tw_data_open(const tw_data_options *o);

/* Whether a run goes on: behind the beginning of its first epoch. */
bool tw_data_goes_on(const tw_data_options *o);

/* The epochs that there are to make, of count samples each. -1 and tw_error(): --skip goes beyond an epoch. */
int64_t tw_data_epochs(const tw_data_options *o, int64_t count);

#endif
