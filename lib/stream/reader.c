#include "stream/reader.h"

#include "core/clock.h"
#include "core/error.h"
#include "core/mem.h"
#include "stream/decode.h"
#include "stream/input.h"
#include "stream/scan.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* Bytes are read into one block that stays in the processor's cache, and copied from there: for large records this takes two thirds of
 * the time of reading into their own, uncached memory. */
enum { AHEAD = 1 << 17, FIRST_STEP = 1 << 20, GLANCE = 100 /* ms between two calls of wait() */ };

struct tw_reader {
    tw_input in;
    tw_limits limits;
    tw_header header;
    void *header_block;
    tw_end end;
    bool ended, failed, gave_up;
    bool (*wait)(void *context, double seconds);
    void *context;
    int64_t record, offset; /* of the current record: number (the header is 0), byte offset in the stream */
    double waited;
    char error[1024];
    char *endpoint;             /* of a command that may be restarted; else NULL */
    tw_place place;             /* position at which it would be restarted */
    double restart[TW_RESTARTS]; /* times of the last restarts (a ring) */
    int restarts;
    int64_t before, lost;       /* before the last restart: samples read; places passed without a sample */
    tw_place begun;             /* position at which the running command was started */
    size_t ahead_at, ahead_end; /* ahead[ahead_at, ahead_end) has been read and not yet copied */
    unsigned char ahead[AHEAD];
};

/* Keeps the message for all later calls. */
static int fail(tw_reader *r)
{
    r->failed = true;
    snprintf(r->error, sizeof r->error, "%s", tw_error());
    return -1;
}

/* Adds the endpoint, the record's number and its byte offset to tw_error(). */
static int fail_record(tw_reader *r)
{
    tw_fail("%s: record %lld at byte %lld: %s", r->in.name, (long long)r->record, (long long)r->offset, tw_error());
    return fail(r);
}

/* Reports a premature end of the input. If a command has failed, reports that instead. */
static int fail_cut(tw_reader *r, size_t have)
{
    if (tw_input_end(&r->in) != 0)
        return fail(r);
    if (have > 0)
        tw_fail("%s: truncated at byte %lld, inside record %lld", r->in.name, (long long)r->offset + (long long)have, (long long)r->record);
    else if (r->record == 0)
        tw_fail("%s: empty: no header", r->in.name);
    else
        tw_fail("%s: ended at byte %lld without its end record, after %lld samples", r->in.name, (long long)r->offset,
                (long long)r->record - 1);
    return fail(r);
}

/* Waits until ready() is true. False: wait() returned false. */
static bool wait_for(tw_reader *r, bool (*ready)(tw_input *in, int ms))
{
    tw_awake clock = {0};
    const double start = tw_awake_now(&clock);
    while (r->wait != NULL && !ready(&r->in, GLANCE))
        if (!r->wait(r->context, tw_awake_now(&clock) - start))
            return false;
    return true;
}

/* Waits until something can be read. 0, or -1 and tw_error(): wait() returned false. */
static int await(tw_reader *r)
{
    const double start = tw_now();
    if (wait_for(r, tw_input_ready))
        return 0;
    r->gave_up = true;
    return tw_fail("%s: nothing received for %.0f s", r->in.name, tw_now() - start);
}

/* Reads up to n bytes, waiting for the first. Bytes read; 0 at the end of the input; -1, failed. */
static ssize_t read_some(tw_reader *r, void *to, size_t n)
{
    const double start = tw_now();
    const ssize_t got = await(r) == 0 ? tw_input_read(&r->in, to, n) : -1;
    r->waited += tw_now() - start;
    return got < 0 ? fail(r) : got;
}

/* Fills `ahead` if it is empty. 1; 0 at the end of the input; -1, failed. */
static int fill(tw_reader *r)
{
    if (r->ahead_at < r->ahead_end)
        return 1;
    const ssize_t got = read_some(r, r->ahead, AHEAD);
    if (got < 0)
        return -1;
    r->ahead_at = 0;
    r->ahead_end = (size_t)got;
    return got > 0;
}

/* The next bytes of a record, up to n: from `ahead`, or, if that is empty and n is large, read directly into place. Returns as read_some. */
static ssize_t get(tw_reader *r, void *to, size_t n)
{
    if (r->ahead_at == r->ahead_end && n >= AHEAD)
        return read_some(r, to, n);
    const int more = fill(r);
    if (more <= 0)
        return more;
    const size_t ahead = r->ahead_end - r->ahead_at, some = ahead < n ? ahead : n;
    memcpy(to, r->ahead + r->ahead_at, some);
    r->ahead_at += some;
    return (ssize_t)some;
}

/* Makes room for the rest of the record, but at most doubles what has arrived (from FIRST_STEP on): a claimed length alone allocates nothing.
 * Returns the room in bytes; 0 and tw_error(). */
static size_t make_room(void **buffer, size_t *cap, size_t have, size_t need)
{
    size_t step = have > FIRST_STEP ? have : FIRST_STEP;
    if (*cap > have && step < *cap - have)
        step = *cap - have;
    if (step > need - have)
        step = need - have;
    return tw_reserve(buffer, cap, have + step, 1) == 0 ? step : 0;
}

/* Reads one record into *buffer. 1; 0 if the input ends before its first byte; -1, failed. */
static int read_record(tw_reader *r, const tw_limits *limits, void **buffer, size_t *cap, size_t *size)
{
    tw_scan scan;
    size_t have;
    tw_scan_init(&scan, limits);
    const int more = fill(r);
    if (more <= 0)
        return more;
    /* what is in `ahead` is scanned there, so that no byte of the next record is copied */
    have = r->ahead_end - r->ahead_at;
    int rc = tw_scan_run(&scan, r->ahead + r->ahead_at, have);
    if (rc == 1)
        have = scan.at;
    if (rc < 0 || tw_grow(buffer, cap, have, 1) != 0)
        return fail_record(r);
    memcpy(*buffer, r->ahead + r->ahead_at, have);
    r->ahead_at += have;
    while (rc == 0) {
        const size_t room = make_room(buffer, cap, have, scan.need);
        if (room == 0)
            return fail_record(r);
        const ssize_t some = get(r, (unsigned char *)*buffer + have, room);
        if (some <= 0)
            return some < 0 ? -1 : fail_cut(r, have);
        have += (size_t)some;
        rc = have < scan.need ? 0 : tw_scan_run(&scan, *buffer, have);
    }
    *size = have;
    return rc < 0 || tw_check_crc(*buffer, have, scan.last_key, NULL) != 0 ? fail_record(r) : 1;
}

static int read_header(tw_reader *r)
{
    void *record = NULL;
    size_t cap = 0, size = 0;
    tw_limits limits = r->limits;
    if (limits.record > TW_MOST_HEADER)
        limits.record = TW_MOST_HEADER;
    int rc = read_record(r, &limits, &record, &cap, &size);
    if (rc == 0)
        rc = fail_cut(r, 0);
    else if (rc == 1)
        rc = tw_decode_header(&r->header, &r->header_block, record, size) != 0 ? fail_record(r) : 0;
    r->offset += (int64_t)size;
    free(record);
    return rc;
}

bool tw_reader_places(const char *endpoint)
{
    return strncmp(endpoint, "pipe:", 5) == 0 && strstr(endpoint, "%s") != NULL;
}

bool tw_reader_epochs(const char *endpoint)
{
    return strncmp(endpoint, "pipe:", 5) == 0 && strstr(endpoint, "%e") != NULL;
}

/* Whether the command is one that is restarted: `twist-feed head` with %e and %s. */
static bool restarts(const char *endpoint)
{
    if (!tw_reader_places(endpoint) || !tw_reader_epochs(endpoint))
        return false;
    const char *word = endpoint + 5 + strspn(endpoint + 5, " ");
    const size_t n = strcspn(word, " "), m = strlen("twist-feed");
    const char *next = word + n + strspn(word + n, " ");
    return n >= m && strncmp(word + n - m, "twist-feed", m) == 0 && (n == m || word[n - m - 1] == '/') && strncmp(next, "head ", 5) == 0;
}

/* Reads the header of the restarted command's stream, which must agree with the old one. 0, or -1, failed. */
static int same_stream(tw_reader *r)
{
    tw_header old = r->header;
    void *block = r->header_block;
    r->header_block = NULL;
    int rc = read_header(r);
    const tw_header *h = &r->header;
    if (rc == 0 && (h->kind != old.kind || h->samples != old.samples || h->seed != old.seed || h->data_checksum != old.data_checksum ||
                    h->n_classes != old.n_classes)) {
        tw_fail("%s: restarted, it gives a different stream", r->in.name);
        rc = fail(r);
    }
    free(r->header_block);
    r->header = old;
    r->header_block = block;
    return rc;
}

/* Before a restart: adds the samples read from the ended command, and the places it passed without a sample, to the totals of the stream. */
static void count(tw_reader *r)
{
    const int64_t came = r->record - 1;
    int64_t places;
    if (came < 1)
        return;
    r->before += came;
    if (r->header.samples >= 0 && !__builtin_mul_overflow(r->place.epoch - r->begun.epoch, r->header.samples, &places) &&
        !__builtin_add_overflow(places, r->place.skip - r->begun.skip - came, &places) && __builtin_add_overflow(r->lost, places, &r->lost))
        r->lost = INT64_MAX;
    r->begun = r->place;
}

/* After a failure: restarts the command if a signal ended it and it may be restarted. begun: the header had been read. 0, or -1 and the old or a
 * new error. */
static int restart(tw_reader *r, bool begun)
{
    static const struct timespec pause = {0, 200000000};
    do {
        const double t = tw_now();
        double *oldest = &r->restart[r->restarts % TW_RESTARTS];
        if (r->endpoint == NULL || !r->in.killed || r->gave_up)
            return -1;
        if (r->restarts >= TW_RESTARTS && t - *oldest < 600) {
            r->gave_up = true;
            tw_fail("%s; it has been restarted %d times in ten minutes", r->error, TW_RESTARTS);
            return fail(r);
        }
        *oldest = t;
        if (r->restarts++ > 0)
            nanosleep(&pause, NULL);
        if (begun)
            count(r);
        tw_input_close(&r->in);
        r->failed = false;
        r->record = r->offset = 0;
        r->ahead_at = r->ahead_end = 0;
        if (tw_input_open(&r->in, r->endpoint, &r->place, r->limits.record) != 0)
            return fail(r);
    } while ((begun ? same_stream(r) : read_header(r)) != 0);
    return 0;
}

tw_reader *tw_reader_open(const char *endpoint, const tw_limits *limits, const tw_place *place)
{
    return tw_reader_open_wait(endpoint, limits, place, NULL, NULL);
}

tw_reader *tw_reader_open_wait(const char *endpoint, const tw_limits *limits, const tw_place *place, bool (*wait)(void *context, double seconds),
                               void *context)
{
    static const tw_limits usual = TW_LIMITS_DEFAULT;
    tw_reader *r = tw_calloc(1, sizeof *r);
    if (r == NULL)
        return NULL;
    r->limits = limits != NULL ? *limits : usual;
    r->wait = wait;
    r->context = context;
    if (r->limits.record < 1 || r->limits.keys < 1 || r->limits.depth < 1 || r->limits.depth > TW_SCAN_DEPTH) {
        tw_fail("%s: the stream's limits are out of range (nesting 1 to %d)", endpoint, TW_SCAN_DEPTH);
        goto err;
    }
    r->place = r->begun = place != NULL ? *place : (tw_place){0, 1, 0, 0};
    if (restarts(endpoint) && (r->endpoint = strdup(endpoint)) == NULL) {
        tw_fail("out of memory");
        goto err;
    }
    if (tw_input_open(&r->in, endpoint, place, r->limits.record) != 0)
        goto err;
    if (read_header(r) == 0 || restart(r, false) == 0)
        return r;
    tw_reader_close(r);
    return NULL;
err:
    free(r->endpoint);
    free(r);
    return NULL;
}

bool tw_reader_gave_up(const tw_reader *r)
{
    return r->gave_up;
}

const tw_header *tw_reader_header(const tw_reader *r)
{
    return &r->header;
}

/* After the end record: checks that nothing follows it, that its count is right and that a command succeeded. If wait() returns false before the
 * writer has ended, that is no error: the stream is complete. */
static int finish(tw_reader *r)
{
    if (r->ahead_at < r->ahead_end)
        tw_fail("%s: data after the end record", r->in.name);
    if (r->ahead_at < r->ahead_end || ((r->in.net != NULL || wait_for(r, tw_input_ready)) && tw_input_last(&r->in) != 0)) {
        tw_fail("%s, at byte %lld", tw_error(), (long long)r->offset);
        return fail(r);
    }
    if (r->end.samples != r->record - 1) {
        tw_fail("%s: the end record counts %lld samples, %lld were read", r->in.name, (long long)r->end.samples,
                (long long)r->record - 1);
        return fail(r);
    }
    if (wait_for(r, tw_input_over) && tw_input_end(&r->in) != 0)
        return fail(r);
    r->end.samples += r->before;
    r->end.skipped += r->lost;
    r->ended = true;
    return 0;
}

static int next(tw_reader *r, tw_sample *s)
{
    r->record++;
    int rc = read_record(r, &r->limits, &s->buffer, &s->buffer_cap, &s->record_size);
    if (rc <= 0)
        return rc == 0 ? fail_cut(r, 0) : -1;
    rc = tw_decode_end(&r->end, s->buffer, s->record_size);
    if (rc == 0 && tw_decode_sample(s, r->header.kind) != 0)
        rc = -1;
    if (rc < 0)
        return fail_record(r);
    r->offset += (int64_t)s->record_size;
    if (rc == 1)
        return finish(r);
    r->place.epoch = s->epoch;
    r->place.skip = tw_share_done(&r->header.share, s->pos);
    return 1;
}

int tw_reader_next(tw_reader *r, tw_sample *s)
{
    if (r->failed)
        return tw_fail("%s", r->error);
    if (r->ended)
        return 0;
    int rc;
    while ((rc = next(r, s)) < 0 && restart(r, true) == 0)
        ;
    return rc;
}

bool tw_reader_ready(tw_reader *r, int ms)
{
    return r->ahead_at < r->ahead_end || r->failed || r->ended || tw_input_ready(&r->in, ms);
}

const tw_end *tw_reader_end(const tw_reader *r)
{
    return &r->end;
}

int64_t tw_reader_offset(const tw_reader *r)
{
    return r->offset;
}

const char *tw_reader_name(const tw_reader *r)
{
    return r->in.name != NULL ? r->in.name : r->endpoint; /* after a restart that could not open it */
}

double tw_reader_waited(const tw_reader *r)
{
    return r->waited;
}

void tw_reader_close(tw_reader *r)
{
    if (r == NULL)
        return;
    tw_input_close(&r->in);
    free(r->header_block);
    free(r->endpoint);
    free(r);
}
