#include "source/options.h"

#include "core/error.h"
#include "core/program.h"

#include <string.h>

int tw_data_rows(tw_opt table[TW_DATA_ROWS], tw_data_options *o)
{
    static const char *const on_error_names[] = {"skip", "fail", "substitute", NULL};
    const tw_opt rows[] = {
        {0, "list", TW_OPT_LIST, &o->from.list, 0, 0, NULL},
        {'0', "null", TW_OPT_FLAG, &o->from.nuls, 0, 0, NULL},
        {0, "subset", TW_OPT_STRING, &o->from.subset, 0, 0, NULL},
        {0, "labels", TW_OPT_STRING, &o->from.labels, 0, 0, NULL},
        {0, "listing", TW_OPT_STRING, &o->from.listing, 0, 0, NULL},
        {0, "every", TW_OPT_I64, &o->from.every, 1, 1e15, NULL},
        {0, "shuffle", TW_OPT_FLAG, &o->shuffle, 0, 0, NULL},
        {0, "seed", TW_OPT_I64, &o->seed, 0, 9e18, NULL},
        {0, "epochs", TW_OPT_I64, &o->epochs, 0, 1 << 24, NULL},
        {0, "start-epoch", TW_OPT_I64, &o->start_epoch, 0, 1 << 24, NULL},
        {0, "skip", TW_OPT_I64, &o->skip, 0, 1e15, NULL},
        {0, "limit", TW_OPT_I64, &o->limit, 0, 1e15, NULL},
        {0, "shard", TW_OPT_STRING, &o->shard, 0, 0, NULL},
        {0, "on-error", TW_OPT_CHOICE, &o->on_error, 0, 0, on_error_names},
        {0, "max-errors", TW_OPT_STRING, &o->max_errors, 0, 0, NULL},
        {0, "rejects", TW_OPT_STRING, &o->rejects, 0, 0, NULL},
    };
    _Static_assert(sizeof rows / sizeof *rows == TW_DATA_ROWS, "one row each");
    memcpy(table, rows, sizeof rows);
    return TW_DATA_ROWS;
}

int tw_data_settle(tw_data_options *o)
{
    if (o->shard != NULL && !tw_share_parse(&o->share, o->shard))
        return tw_fail("--shard: '%s' is not R/W or R/W/B with 0 <= R < W and B > 0", o->shard);
    if (o->from.nuls && o->from.list.n == 0)
        return tw_fail("--null: only with --list");
    return 0;
}

tw_source *tw_data_open(const tw_data_options *o)
{
    tw_source *s = tw_source_open(&o->from);
    const char *one, *file = o->from.labels;
    const unsigned long long lacking = s != NULL ? tw_source_lacking(s, &one) : 0;
    if (lacking > 0)
        tw_warn("%s%s%llu of %llu pictures have no label, so none has one in the stream; %s is one of them", file != NULL ? file : "",
                file != NULL ? ": " : "", lacking, (unsigned long long)tw_source_count(s), one);
    return s;
}

bool tw_data_goes_on(const tw_data_options *o)
{
    return o->start_epoch > 0 || o->skip > 0;
}

int64_t tw_data_epochs(const tw_data_options *o, int64_t count)
{
    if (o->skip > count)
        return tw_fail("--skip=%lld: an epoch has only %lld samples", (long long)o->skip, (long long)count);
    return o->epochs > o->start_epoch ? o->epochs - o->start_epoch : 0;
}

int tw_data_header(tw_header *h, tw_kind kind, const tw_data_options *o, const tw_source *s, int64_t count)
{
    *h = (tw_header){.kind = kind, .samples = count, .epochs = tw_data_epochs(o, count), .first_epoch = o->start_epoch, .seed = (uint64_t)o->seed,
                     .n_classes = tw_source_n_classes(s), .classes = tw_source_classes(s), .share = o->share,
                     .data_checksum = tw_source_checksum(s)};
    return h->epochs < 0 ? -1 : 0;
}
