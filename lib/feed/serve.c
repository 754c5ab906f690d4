#include "feed/serve.h"

#include "core/error.h"
#include "core/mem.h"
#include "core/program.h"
#include "feed/agree.h"
#include "feed/output.h"
#include "feed/status.h"
#include "stream/decode.h"
#include "stream/scan.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

enum { AT_ONCE = 64 /* messages processed before the output is written again */, CAUSE = 600 };
static const double FAREWELL = 1; /* seconds to wait for the workers' BYE */

/* A file that could not be found or read for a lease. It is reported to the rules, after the current message, as a failure of the image; or, for lack
 * of descriptors or memory (no_fault), it is a failure of the head. */
typedef struct {
    tw_feed_id to;
    int64_t pos, sub;
    uint64_t lease;
    bool no_fault;
    char cause[CAUSE];
} unread;

typedef struct {
    const tw_serve_options *o;
    void (*say)(int level, const char *text);
    tw_link link;
    tw_head *head;
    tw_output *out;
    tw_awake clock;          /* of the rules */
    uint64_t session;
    tw_bytes files, views;   /* encoded headers of both streams; views empty: none yet */
    tw_feed_what reference;  /* the sample that new workers are tested with */
    int64_t reference_pos, reference_sub;
    char *reference_text;
    void *file;              /* contents of the file to be sent with a lease */
    size_t file_cap;
    unread *unread;
    size_t n_unread, unread_cap;
    tw_sample sample;        /* scratch for checking results */
    tw_bytes text;           /* header or end record being written */
    size_t at;               /* bytes already written of text, or of the current result */
    bool header_written, blocked, ending;
    int64_t written, skipped, dropped, in_all;
    double start, waited, blocked_since;
    double no_worker, told_of; /* time of the last worker; seconds without one at the last warning, which is repeated after twice that time */
    double told, second;     /* times of the last metrics and log; of the last action done once a second */
    double rate_since;
    int64_t rate_written;
} serve;

static double awake(serve *s)
{
    return tw_awake_now(&s->clock);
}

static int put(tw_bytes *b, const void *data, size_t size)
{
    b->size = 0;
    return tw_bytes_append(b, data, size);
}

/* ---- what the rules want done ---- */

/* Completes a lease: sets m->what and, with --ship, reads the file into s->file (*size bytes). 0, or -1 and tw_error(). */
static int fill_lease(serve *s, tw_feed_msg *m, size_t *size)
{
    if (m->pos == s->reference_pos && m->sub == s->reference_sub)
        m->what = s->reference;
    else if (tw_places_describe(s->o->places, m->pos, m->sub, &m->what) != 0)
        return -1;
    if (s->o->ship && tw_places_read(s->o->places, &m->what, &s->file, &s->file_cap, size) != 0)
        return -1;
    if (*size > (size_t)s->o->link.max_bytes) /* libzmq at the worker would drop the message and the connection */
        return tw_fail("%zu bytes, and messages have at most %lld (--max-bytes)", *size, (long long)s->o->link.max_bytes);
    return 0;
}

static int send_lease(serve *s, const tw_feed_id *to, const tw_feed_msg *m)
{
    tw_feed_msg lease = *m;
    size_t size = 0;
    const unsigned before = tw_shortages();
    if (fill_lease(s, &lease, &size) == 0)
        return tw_link_send(&s->link, to, &lease, s->o->ship ? s->file : NULL, size);
    if (tw_grow(&s->unread, &s->unread_cap, s->n_unread + 1, sizeof *s->unread) != 0)
        return -1;
    unread *u = &s->unread[s->n_unread++];
    *u = (unread){.to = *to, .pos = m->pos, .sub = m->sub, .lease = m->lease, .no_fault = tw_shortages() != before};
    snprintf(u->cause, sizeof u->cause, "%s", tw_error());
    return 0;
}

static int op_send(void *context, const tw_feed_id *to, const tw_feed_msg *m)
{
    serve *s = context;
    if (m->type == TW_LEASE)
        return send_lease(s, to, m);
    return tw_link_send(&s->link, to, m, m->type == TW_WELCOME ? s->files.data : NULL, s->files.size);
}

static int op_check(void *context, int64_t position, int64_t sub, const void *payload, size_t size)
{
    serve *s = context;
    const tw_limits limits = {(int64_t)size, 64, 8};
    tw_scan scan;
    tw_sample *t = &s->sample;
    tw_scan_init(&scan, &limits);
    if (tw_scan_run(&scan, payload, size) != 1 || scan.at != size)
        return tw_fail("a result that is not a record");
    const tw_feed_what what = tw_places_what(s->o->places, position, sub);
    const int rc = tw_decode_borrowed(t, TW_VIEWS, payload, size);
    const bool right = rc == 0 && t->index == what.index && t->epoch == what.epoch && t->pos == what.pos && t->sub == what.sub &&
                       t->label == what.label && t->key_size == strlen(what.key) && memcmp(t->key, what.key, t->key_size) == 0;
    return rc != 0 ? -1 : right ? 0 : tw_fail("a result that is of another sample");
}

static void op_release(void *context, void *payload)
{
    serve *s = context;
    s->link.z->msg_close(payload);
    free(payload);
}

static const char *op_known(void *context, int64_t position, int64_t sub)
{
    return tw_places_known(((serve *)context)->o->places, position, sub);
}

static int op_bad(void *context, int64_t position, int64_t sub, int code, const char *cause)
{
    return tw_places_bad(((serve *)context)->o->places, position, sub, code, cause);
}

static void op_remember(void *context, int64_t position, int64_t sub)
{
    serve *s = context;
    tw_feed_what what;
    if (tw_places_describe(s->o->places, position, sub, &what) != 0)
        return;
    char *text = NULL;
    if (asprintf(&text, "%s", what.path) < 0) /* the key needs no copy: it lives as long as the data set */
        return;
    free(s->reference_text);
    s->reference_text = text;
    what.path = text;
    s->reference = what;
    s->reference_pos = position;
    s->reference_sub = sub;
}

static void op_say(void *context, int level, const char *text)
{
    ((serve *)context)->say(level, text);
}

/* ---- messages ---- */

static void tell(serve *s, char **json)
{
    const double now = tw_now();
    tw_head_state h;
    tw_head_get(s->head, &h);
    const char *waits_for = s->blocked ? "reader" : h.filled > 0 && h.up > 0 ? "the next sample" : "workers";
    const tw_status_more more = {.seconds = now - s->start, .waited = s->waited + (s->blocked ? now - s->blocked_since : 0), .written = s->written,
                                 .skipped = s->skipped, .end = s->o->rules.end, .epoch_size = s->o->rules.epoch, .dropped = s->dropped,
                                 .refused_keys = s->link.refused, .since_written = s->written - s->rate_written,
                                 .interval = now - s->rate_since, .waits_for = waits_for};
    *json = tw_status_json(s->head, awake(s), &more);
}

static int answer(serve *s, const tw_feed_id *to)
{
    char *json;
    tell(s, &json);
    if (json == NULL)
        return -1;
    tw_link_send(&s->link, to, &(tw_feed_msg){.type = TW_TELL}, json, strlen(json));
    free(json);
    return 0;
}

/* Checks a worker's header; the first one becomes that of the output. NULL, or why it is refused. */
static const char *header_of(serve *s, tw_link_msg *in, char *room, size_t size)
{
    if (!in->has_payload)
        return "its message has no header";
    const void *data = s->link.z->msg_data(&in->payload);
    const size_t n = s->link.z->msg_size(&in->payload);
    const tw_bytes *with = s->views.size > 0 ? &s->views : &s->files;
    const char *why = tw_feed_agree(room, size, with->data, with->size, data, n);
    if (why == NULL && s->views.size == 0 && (put(&s->views, data, n) != 0 || put(&s->text, data, n) != 0))
        why = "the head is out of memory";
    return why;
}

static int message(serve *s, tw_link_msg *in)
{
    char room[600];
    zmq_msg_t *payload = NULL;
    const void *data = NULL;
    const char *why = NULL;
    size_t size = 0;
    if (in->m.type == TW_ASK)
        return answer(s, &in->from);
    if (in->m.type == TW_READY && in->m.session == s->session)
        why = header_of(s, in, room, sizeof room);
    if (in->m.type == TW_DONE) {
        payload = malloc(sizeof *payload);
        if (payload == NULL)
            return tw_fail("out of memory");
        s->link.z->msg_init(payload);
        if (in->has_payload)
            s->link.z->msg_move(payload, &in->payload);
        data = s->link.z->msg_data(payload);
        size = s->link.z->msg_size(payload);
    }
    return tw_head_message(s->head, awake(s), &in->from, &in->m, payload, data, size, why, in->user[0] != '\0' ? in->user : NULL);
}

static int hear(serve *s, tw_link_msg *in)
{
    int rc = 1;
    for (int i = 0; i < AT_ONCE && (rc = tw_link_receive(&s->link, in, &s->dropped)) == 1; i++)
        if (message(s, in) != 0)
            return -1;
    if (rc < 0)
        return -1;
    for (size_t i = 0; i < s->n_unread; i++) { /* the list may grow in the loop */
        const unread u = s->unread[i];
        if (u.no_fault)
            return tw_fail("%s: %s", tw_places_what(s->o->places, u.pos, u.sub).key, u.cause);
        const tw_feed_msg m = {.type = TW_FAIL, .session = s->session, .pos = u.pos, .lease = u.lease, .sub = u.sub, .code = TW_FAIL_IO,
                               .text = u.cause};
        if (tw_head_message(s->head, awake(s), &u.to, &m, NULL, NULL, 0, NULL, NULL) != 0)
            return -1;
    }
    s->n_unread = 0;
    return 0;
}

/* ---- the output ---- */

/* If the position's own image is bad, reports it as twist-decode does, when the position is output. 0, or -1 and tw_error(). */
static int report_bad(serve *s, int64_t position, bool empty)
{
    char text[2048];
    const char *cause = tw_places_known(s->o->places, position, 0);
    if (cause == NULL)
        return 0;
    const tw_feed_what what = tw_places_what(s->o->places, position, 0);
    if (s->o->on_error == TW_BAD_FAIL) {
        tw_rejects_add(s->o->rejects, what.key, strlen(what.key), cause, s->in_all);
        return tw_fail("%s: %s", what.key, cause);
    }
    snprintf(text, sizeof text, "%.1200s: %.600s; %s", what.key, cause, empty ? "skipped" : "the next good image takes its place");
    s->say(-1, text);
    return tw_rejects_add(s->o->rejects, what.key, strlen(what.key), cause, s->in_all);
}

/* After the last position: prepares the end record. 0, or -1 and tw_error(). */
static int begin_end(serve *s)
{
    const tw_end end = {s->written, s->skipped};
    const tw_head_options *o = &s->o->rules;
    const bool rest = o->first % o->epoch != 0 && o->end - o->first < o->epoch; /* in a continued run the few positions left may all be bad */
    if (s->written == 0 && s->skipped > 0 && !rest)
        return tw_fail("no good image among %lld", (long long)s->skipped);
    s->ending = true;
    return tw_rejects_close(s->o->rejects, s->written + s->skipped) != 0 ? -1 : tw_encode_end(&s->text, &end);
}

/* Writes what is available, as far as the output accepts it. 1: the end record has been written; 0: not yet; -1 and tw_error(). */
static int pump(serve *s)
{
    int rc = 1;
    bool dry = false; /* the next result is not available */
    while (rc == 1) {
        void *payload = NULL;
        if (s->text.size > 0) { /* the header first, the end record last */
            rc = tw_output_write(s->out, s->text.data, s->text.size, &s->at);
            if (rc == 1) {
                s->text.size = s->at = 0;
                s->header_written = true;
                if (s->ending)
                    return 1;
            }
            continue;
        }
        if (!s->header_written || s->ending)
            break;
        const int64_t next = s->o->rules.first + s->written + s->skipped;
        if (next == s->o->rules.end) {
            if (begin_end(s) != 0)
                return -1;
            continue;
        }
        if (tw_head_first(s->head, &payload) == 0) {
            dry = true;
            break;
        }
        if (payload != NULL && (rc = tw_output_write(s->out, s->link.z->msg_data(payload), s->link.z->msg_size(payload), &s->at)) != 1)
            break;
        if (report_bad(s, next, payload == NULL) != 0)
            return -1;
        s->at = 0;
        tw_head_advance(s->head);
        if (payload != NULL) {
            op_release(s, payload);
            s->written++;
        } else {
            s->skipped++;
        }
    }
    const bool blocked = rc == 0 && !dry;
    if (blocked && !s->blocked)
        s->blocked_since = tw_now();
    else if (!blocked && s->blocked)
        s->waited += tw_now() - s->blocked_since;
    s->blocked = blocked;
    return rc < 0 ? -1 : 0;
}

/* ---- the loop ---- */

static int write_log(const char *path, const char *json)
{
    FILE *f = fopen(path, "a+e");
    if (f == NULL)
        return tw_fail_errno("%s", path);
    const bool cut = fseek(f, -1, SEEK_END) == 0 && getc(f) != '\n'; /* the last line, of a head that was killed or found the disk full */
    fseek(f, 0, SEEK_END);
    const bool written = fprintf(f, "%s%s\n", cut ? "\n" : "", json) > 0;
    return fclose(f) == 0 && written ? 0 : tw_fail_errno("%s", path);
}

static int report(serve *s)
{
    char *json;
    if (s->o->metrics == NULL && s->o->log == NULL)
        return 0;
    tell(s, &json);
    int rc = json != NULL ? 0 : -1;
    if (rc == 0 && s->o->metrics != NULL)
        rc = tw_status_metrics(s->o->metrics, json);
    if (rc == 0 && s->o->log != NULL)
        rc = write_log(s->o->log, json);
    free(json);
    return rc;
}

static int each_second(serve *s, double now)
{
    tw_head_state h;
    char text[128];
    s->second = now;
    tw_head_get(s->head, &h);
    if (h.ready > 0) {
        s->no_worker = now;
        s->told_of = 0;
    }
    const double none = now - s->no_worker;
    if (none >= 10 * s->o->rules.heartbeat && none >= 2 * s->told_of) {
        s->told_of = none;
        snprintf(text, sizeof text, "no worker for %.0f s", none);
        s->say(-1, text);
    }
    const char *wrong = s->o->local != NULL ? s->o->local() : NULL;
    if (wrong != NULL)
        return tw_fail("%s", wrong);
    if (now - s->told >= 10) {
        s->told = now;
        if (report(s) != 0)
            return -1;
        s->rate_since = now;
        s->rate_written = s->written;
    }
    if (tw_progress_due())
        tw_progress("%lld of %lld samples, %d workers, %.0f/s", (long long)(s->written + s->skipped), (long long)s->in_all, h.up,
                    (double)s->written / (now - s->start));
    return 0;
}

static int wait_for(serve *s)
{
    zmq_pollitem_t item[4] = {{s->link.socket, 0, ZMQ_POLLIN, 0}};
    int n = 1;
    if (s->link.zap != NULL) {
        item[n++] = (zmq_pollitem_t){s->link.zap, 0, ZMQ_POLLIN, 0};
        item[n++] = (zmq_pollitem_t){s->link.monitor, 0, ZMQ_POLLIN, 0};
    }
    item[n++] = (zmq_pollitem_t){NULL, tw_output_fd(s->out), (short)(s->blocked ? ZMQ_POLLOUT : ZMQ_POLLERR), 0};
    const int rc = s->link.z->poll(item, n, 20);
    if (rc < 0 && errno != EINTR)
        return tw_zmq_fail("ZeroMQ");
    if (rc > 0 && (item[n - 1].revents & ZMQ_POLLERR) != 0) {
        tw_fail("the reader of the output has gone");
        errno = EPIPE;
        return -1;
    }
    return 0;
}

static bool is_allowed(void *context, const char *user)
{
    return tw_allow_has(&((serve *)context)->link.allowed, user);
}

/* Sends BYE and reads messages until all workers have answered, at most FAREWELL seconds: closing a connection with unread data would lose the BYE
 * sent last, and a worker without it would wait for another head. */
static void part(serve *s, tw_link_msg *in, const char *why)
{
    const double until = tw_now() + FAREWELL;
    zmq_pollitem_t item = {s->link.socket, 0, ZMQ_POLLIN, 0};
    for (int left = tw_head_bye(s->head, why); left > 0 && tw_now() < until;) {
        if (s->link.z->poll(&item, 1, 20) < 0 && errno != EINTR)
            return;
        while (left > 0 && tw_link_receive(&s->link, in, &s->dropped) == 1)
            left -= in->m.type == TW_BYE;
    }
}

static int loop(serve *s, tw_link_msg *in, int (*stop)(void), bool (*reload)(void))
{
    double tick = 0;
    for (;;) {
        if (stop() != 0)
            return tw_fail("stopped by a signal");
        tw_link_admit(&s->link);
        if (hear(s, in) != 0)
            return -1;
        const int rc = pump(s);
        if (rc != 0)
            return rc < 0 ? -1 : 0;
        const double now = tw_now();
        if (now - tick >= 0.01) {
            tick = now;
            if (tw_head_tick(s->head, awake(s)) != 0)
                return -1;
        }
        if (now - s->second >= 1 && each_second(s, now) != 0)
            return -1;
        if (reload()) {
            if (tw_link_reload(&s->link) != 0)
                s->say(-1, tw_error()); /* no key is allowed then */
            tw_head_drop_user(s->head, is_allowed, s);
        }
        if (wait_for(s) != 0)
            return -1;
    }
}

static int open_all(serve *s)
{
    const tw_head_ops ops = {s, op_send, op_check, op_release, op_known, op_bad, op_remember, op_say};
    while (s->session == 0)
        if (getrandom(&s->session, sizeof s->session, 0) != sizeof s->session)
            return tw_fail_errno("random numbers");
    if (tw_encode_header(&s->files, s->o->header) != 0)
        return tw_fail("header: %s", tw_error());
    s->out = tw_output_open(s->o->output);
    if (s->out == NULL)
        return -1;
    s->head = tw_head_new(&s->o->rules, &ops, s->session, awake(s));
    return s->head != NULL && tw_link_listen(&s->link, s->o->endpoint, &s->o->link) == 0 ? 0 : -1;
}

int tw_serve_run(const tw_serve_options *o, int (*stop)(void), bool (*reload)(void), void (*say)(int level, const char *text))
{
    serve s = {.o = o, .say = say, .reference_pos = -1, .start = tw_now(), .in_all = o->rules.end - o->rules.first};
    tw_link_msg *in = tw_calloc(1, sizeof *in);
    char why[1024];
    s.no_worker = s.told = s.rate_since = s.start;
    tw_sample_init(&s.sample);
    signal(SIGPIPE, SIG_IGN); /* so that the workers can still be told */
    int rc = in != NULL ? open_all(&s) : -1;
    if (rc == 0)
        rc = loop(&s, in, stop, reload);
    const bool reader_gone = rc != 0 && errno == EPIPE;
    snprintf(why, sizeof why, "%s", rc != 0 ? tw_error() : "all is done");
    if (s.head != NULL && s.link.socket != NULL)
        part(&s, in, why);
    if (rc == 0 && (rc = report(&s)) != 0)
        snprintf(why, sizeof why, "%s", tw_error());
    if (in != NULL && in->has_payload)
        s.link.z->msg_close(&in->payload);
    tw_head_free(s.head);
    tw_link_close(&s.link, 1000);
    if (rc != 0)
        tw_output_abandon(s.out);
    else if ((rc = tw_output_finish(s.out)) != 0)
        snprintf(why, sizeof why, "%s", tw_error());
    free(in);
    free(s.files.data);
    free(s.views.data);
    free(s.text.data);
    free(s.file);
    free(s.unread);
    free(s.reference_text);
    tw_sample_fini(&s.sample);
    signal(SIGPIPE, SIG_DFL);
    if (reader_gone)
        return 1;
    return rc == 0 ? 0 : tw_fail("%s", why);
}
