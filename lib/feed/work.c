#include "feed/work.h"

#include "core/error.h"
#include "core/mem.h"
#include "core/pool.h"
#include "core/program.h"
#include "feed/below.h"
#include "feed/child.h"
#include "source/rejects.h"
#include "stream/decode.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    READERS = 4,
    MISSED = 6,  /* missed heartbeats after which the head is gone */
    START = 10,  /* seconds for a command to write its header */
    STARTS = 6,  /* most starts of a command that write none, one after the other */
    LINES = 256, /* most lines of the command's messages at a time: there may be no end of them */
};

/* A lease that the worker holds. */
typedef struct {
    uint64_t lease;
    int64_t pos, try;
    tw_feed_what what;
    char *text;         /* memory of key, path and name */
    const char *name;   /* the key as written in the command's messages (tw_rejects_spell) */
    enum { FETCHING, GIVEN } state;
    double since;       /* when it was given to the command */
    void *file;         /* its contents */
    size_t size;
    bool failed, no_fault, dropped; /* reading failed (see error); for lack of descriptors or memory; the lease is no longer needed */
    char error[600];
} held;

typedef struct {
    const tw_work_options *o;
    void (*say)(int level, const char *text);
    tw_link link;
    bool open, joined, draining, header_sent, header_next; /* header_next: the command's next record is its header */
    unsigned turn;  /* which of the addresses of the head's host is dialled */
    uint64_t session;
    int64_t max_bytes;
    tw_awake clock; /* of all times */
    double heartbeat, dialled, heard, sent, pinged, hello, last_head; /* times of the last ... */
    double told_of;     /* the seconds without a head that were told last */
    double started, start_took; /* the command: time of its start; seconds until its first header, 0: none yet */
    double retry, back_off, progress; /* the command: time of the next start; delay before it; time of its last record */
    int barren;         /* times that it ended before it ever wrote a header */
    char hopeless[600]; /* why the command is not restarted */
    int root;
    tw_child *child;
    tw_bytes header;    /* of the files stream */
    tw_pool *readers;
    held *next;         /* read and waiting to be given to the command; NULL: none */
    held *item[TW_FEED_SLOTS]; /* GIVEN ones first */
    int n, given;
    int64_t done, failed;
    tw_sample sample;
} work;

static double awake(work *w)
{
    return tw_awake_now(&w->clock);
}

static void say(work *w, int level, const char *fmt, ...) TW_PRINTF(3, 4);
static void say(work *w, int level, const char *fmt, ...)
{
    char text[1200];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    w->say(level, text);
}

static void free_held(held *h)
{
    free(h->text);
    free(h->file);
    free(h);
}

/* Removes item i from the list. If its file is being read, it is freed after that. */
static void remove_item(work *w, int i)
{
    held *h = w->item[i];
    memmove(&w->item[i], &w->item[i + 1], (size_t)(w->n - i - 1) * sizeof *w->item);
    w->n--;
    if (h->state == GIVEN) {
        w->given--;
        free_held(h);
    } else {
        h->dropped = true;
    }
}

static bool send(work *w, const tw_feed_msg *m)
{
    if (!w->open || tw_link_send(&w->link, NULL, m, NULL, 0) != 0)
        return false;
    w->sent = awake(w);
    return true;
}

static void fail_item(work *w, int i, int code, const char *text)
{
    const held *h = w->item[i];
    w->failed += code != TW_FAIL_RETURNED;
    send(w, &(tw_feed_msg){.type = TW_FAIL, .session = w->session, .pos = h->pos, .lease = h->lease, .sub = h->try, .code = code, .text = text});
    remove_item(w, i);
}

/* ---- the command ---- */

static int start_child(work *w)
{
    w->child = tw_child_start(w->o->command, w->max_bytes, w->o->child_memory);
    if (w->child == NULL)
        return -1;
    w->progress = w->started = awake(w);
    w->header_next = true;
    return tw_child_give(w->child, w->header.data, w->header.size);
}

/* The command has ended or is ended: the samples given to it are failed with this code; oldest: only the first one, the others are returned. */
static void child_lost(work *w, int code, bool oldest, const char *why)
{
    char how[160], text[600];
    const int status = tw_child_end(w->child, how, sizeof how);
    w->child = NULL;
    snprintf(text, sizeof text, "%.400s%s%s", why, why[0] != '\0' && !oldest ? ": " : "", oldest ? "" : how);
    const bool absent = status == 126 || status == 127; /* the shell could not start the command */
    w->barren += code == TW_FAIL_TIMEOUT ? 2 : 1; /* fewer starts if each takes long */
    if ((w->header_next && w->barren >= STARTS) || (w->start_took == 0 && absent))
        snprintf(w->hopeless, sizeof w->hopeless, "%s", text);
    else
        say(w, 0, "%s; restarting it", text);
    for (bool first = true; w->given > 0; first = false)
        fail_item(w, 0, oldest && !first ? TW_FAIL_RETURNED : code, text);
    w->back_off = w->back_off == 0 ? 0.1 : w->back_off < 2.5 ? 2 * w->back_off : 5;
    w->retry = awake(w) + w->back_off;
}

static void stop_child(work *w)
{
    tw_child_end(w->child, NULL, 0);
    w->child = NULL;
    while (w->n > 0)
        remove_item(w, w->n - 1);
}

static int give(work *w, held *h)
{
    const tw_feed_what *t = &h->what;
    tw_sample s;
    tw_sample_init(&s);
    s.key = t->key;
    s.key_size = strlen(t->key);
    s.index = t->index;
    s.epoch = t->epoch;
    s.pos = t->pos;
    s.label = t->label;
    s.sub = t->sub;
    s.bytes = h->file;
    s.bytes_size = h->size;
    const int rc = tw_child_give_sample(w->child, &s);
    free(h->file);
    h->file = NULL;
    h->since = awake(w);
    if (w->given == 0)
        w->progress = h->since;
    h->state = GIVEN;
    w->given++;
    return rc;
}

/* Reads the file of a lease, in a thread of the pool. */
static void fetch(void *job, int worker, void *context)
{
    held *h = job;
    const work *w = context;
    const unsigned before = tw_shortages();
    (void)worker;
    if (!h->failed && h->file == NULL &&
        tw_below_read(w->root, h->what.path, h->what.offset, h->what.length, w->o->link.max_bytes, &h->file, &h->size) != 0) {
        h->failed = true;
        h->no_fault = tw_shortages() != before;
        snprintf(h->error, sizeof h->error, "%s", tw_error());
    }
}

/* Whether a message of the command about one of these names could be taken for one about the other. */
static bool alike(const char *a, const char *b)
{
    while (*a != '\0' && *a == *b)
        a++, b++;
    const char *rest = *a == '\0' ? b : a;
    return (*a == '\0' || *b == '\0') && (*rest == '\0' || strncmp(rest, ": ", 2) == 0);
}

/* Whether the command is working on a picture with an alike name: h must wait until that is done. */
static bool has_alike(const work *w, const held *h)
{
    for (int i = 0; i < w->given; i++)
        if (alike(w->item[i]->name, h->name))
            return true;
    return false;
}

/* Gives the command the files that have been read, in the order of their leases. */
static int hand_on(work *w)
{
    while (w->child != NULL && !w->header_next) { /* no sample is to blame for a command that does not start */
        held *h = w->next != NULL ? w->next : tw_pool_take_ready(w->readers);
        w->next = h;
        if (h == NULL || (!h->dropped && !h->failed && has_alike(w, h)))
            return 0;
        if (!h->dropped && h->no_fault)
            return tw_fail("%s: %s", h->what.path, h->error);
        w->next = NULL;
        if (h->dropped)
            free_held(h);
        else if (h->failed) {
            h->state = GIVEN; /* so that fail_item frees it; files come in the order of the items */
            fail_item(w, w->given++, TW_FAIL_IO, h->error);
        } else if (give(w, h) != 0) {
            return -1;
        }
    }
    return 0;
}

/* Whether the line is twist-decode's message about one of the samples given, "twist-decode: KEY: CAUSE; skipped"; that sample is then failed. */
static bool heard_bad(work *w, const char *line)
{
    static const char program[] = "twist-decode: ", end[] = "; skipped";
    const size_t n = strlen(line), m = sizeof end - 1;
    if (strncmp(line, program, sizeof program - 1) != 0 || n < sizeof program + m || strcmp(line + n - m, end) != 0)
        return false;
    line += sizeof program - 1;
    for (int i = 0; i < w->given; i++) {
        const size_t k = strlen(w->item[i]->name);
        if (strncmp(line, w->item[i]->name, k) != 0 || strncmp(line + k, ": ", 2) != 0)
            continue;
        char cause[600];
        snprintf(cause, sizeof cause, "%.*s", (int)(strlen(line + k + 2) - m), line + k + 2);
        fail_item(w, i, TW_FAIL_DECODE, cause);
        w->progress = awake(w);
        return true;
    }
    return false;
}

static void read_errors(work *w)
{
    const char *line;
    for (int i = 0; i < LINES && w->child != NULL && (line = tw_child_line(w->child)) != NULL; i++)
        if (!heard_bad(w, line))
            say(w, -1, "command: %s", line);
}

static void free_message(void *data, void *hint)
{
    (void)hint;
    free(data);
}

static void send_record(work *w, const tw_feed_msg *m, void *record, size_t size)
{
    zmq_msg_t msg;
    if (w->link.z->msg_init_data(&msg, record, size, free_message, NULL) != 0) {
        free(record);
        return;
    }
    if (tw_link_send_msg(&w->link, m, &msg) == 0)
        w->sent = awake(w);
    else
        w->joined = false; /* the connection is lost, and with it the leases */
}

/* Index of the lease that w->sample, the record just decoded, belongs to; -1: none. */
static int match(const work *w)
{
    for (int i = 0; i < w->given; i++) {
        const tw_feed_what *t = &w->item[i]->what;
        if (t->index == w->sample.index && t->epoch == w->sample.epoch && t->pos == w->sample.pos && t->sub == w->sample.sub)
            return i;
    }
    return -1;
}

/* Decodes a record into w->sample; *crc: its checksum. 0, or -1 and tw_error(): not a valid record of a sample given to the command. */
static int decode(work *w, uint32_t *crc, const void *record, size_t size, size_t last_key)
{
    tw_end end;
    if (tw_check_crc(record, size, last_key, crc) != 0)
        return tw_fail("a damaged record: %s", tw_error());
    if (tw_decode_end(&end, record, size) != 0)
        return tw_fail("an end record before the end of its input");
    return tw_decode_borrowed(&w->sample, TW_VIEWS, record, size) != 0 ? -1
           : match(w) < 0 ? tw_fail("a record of a sample that was not requested")
                          : 0;
}

/* Handles a record of the command. Samples given before it without a record are bad: the command works in order. */
static void take_record(work *w, void *record, size_t size, size_t last_key)
{
    uint32_t crc;
    if (w->header_next) {
        w->header_next = false;
        w->barren = 0;
        if (!w->header_sent)
            w->start_took = awake(w) - w->started;
        w->progress = awake(w); /* the time of the start is not counted for the first sample */
        if (w->header_sent) /* the command has been restarted */
            free(record);
        else
            send_record(w, &(tw_feed_msg){.type = TW_READY, .session = w->session}, record, size);
        w->header_sent = true;
        return;
    }
    if (decode(w, &crc, record, size, last_key) != 0) {
        char why[600];
        snprintf(why, sizeof why, "the command gave %.500s", tw_error());
        free(record);
        child_lost(w, TW_FAIL_CRASH, false, why);
        return;
    }
    read_errors(w); /* may tell why some have no record */
    while (match(w) > 0)
        fail_item(w, 0, TW_FAIL_DECODE, "the command made no record of it");
    if (match(w) < 0) {
        free(record);
        return;
    }
    const held *h = w->item[0];
    const tw_feed_msg m = {.type = TW_DONE, .session = w->session, .pos = h->pos, .lease = h->lease, .sub = h->try,
                           .crc = crc, .bytes = (int64_t)size};
    w->done++;
    w->back_off = 0;
    w->progress = awake(w);
    send_record(w, &m, record, size);
    remove_item(w, 0);
}

static void read_child(work *w)
{
    int rc = 0;
    void *record;
    size_t size, last_key;
    while (w->child != NULL && (rc = tw_child_record(w->child, &record, &size, &last_key)) == 1)
        take_record(w, record, size, last_key);
    char wrong[400];
    snprintf(wrong, sizeof wrong, "%s", rc < 0 ? tw_error() : "");
    read_errors(w); /* a picture that it reports as bad has not caused its end */
    if (w->child != NULL && rc == -2) {
        char why[600];
        snprintf(why, sizeof why, "the command: %s", wrong);
        child_lost(w, w->header_next ? TW_FAIL_CRASH : TW_FAIL_LIMIT, !w->header_next, why);
    } else if (w->child != NULL && rc < 0) {
        child_lost(w, TW_FAIL_CRASH, false, "");
    }
    const double patience = w->o->sample_timeout + (!w->header_next ? 0 : w->header_sent ? 2 * w->start_took : START);
    if (w->child != NULL && (w->given > 0 || w->header_next) && awake(w) - w->progress > patience) {
        char why[200];
        snprintf(why, sizeof why, w->header_next ? "the command has not begun its stream for %g s" : "no result of the command for %g s", patience);
        child_lost(w, TW_FAIL_TIMEOUT, true, why);
    }
}

/* ---- the head ---- */

static int redial(work *w)
{
    if (w->open)
        tw_link_close(&w->link, 0);
    w->open = false;
    w->joined = false;
    stop_child(w);
    w->turn += w->last_head < w->dialled; /* no head there: perhaps at the next address */
    if (tw_link_dial(&w->link, w->o->endpoint, w->turn, &w->o->link) != 0)
        return -1;
    w->open = true;
    w->dialled = w->heard = awake(w);
    w->hello = 0;
    return 0;
}

static int welcome(work *w, tw_link_msg *in)
{
    if (!in->has_payload)
        return 0;
    stop_child(w);
    w->header.size = 0;
    if (tw_bytes_append(&w->header, w->link.z->msg_data(&in->payload), w->link.z->msg_size(&in->payload)) != 0)
        return -1;
    w->session = in->m.session;
    w->max_bytes = in->m.max_bytes;
    w->heartbeat = (double)(in->m.hb_ms > 10 ? in->m.hb_ms : 10) * 1e-3;
    w->joined = true;
    w->header_sent = false;
    w->retry = 0;
    return start_child(w);
}

static int leased(work *w, tw_link_msg *in)
{
    const tw_feed_msg *m = &in->m;
    if (!w->joined || m->session != w->session)
        return 0;
    if (w->n == TW_FEED_SLOTS || (m->what.path[0] == '\0' && !in->has_payload)) {
        send(w, &(tw_feed_msg){.type = TW_FAIL, .session = w->session, .pos = m->pos, .lease = m->lease, .sub = m->sub, .code = TW_FAIL_RETURNED});
        return 0;
    }
    held *h = tw_calloc(1, sizeof *h);
    char name[2 * TW_REJECT_PATH + 1];
    tw_rejects_spell(name, m->what.key, strlen(m->what.key));
    const size_t k = strlen(m->what.key) + 1, p = strlen(m->what.path) + 1, n = strlen(name) + 1;
    if (h == NULL || (h->text = malloc(k + p + n)) == NULL)
        return tw_fail("out of memory");
    *h = (held){.lease = m->lease, .pos = m->pos, .try = m->sub, .what = m->what, .text = h->text};
    h->what.key = memcpy(h->text, m->what.key, k);
    h->what.path = memcpy(h->text + k, m->what.path, p);
    h->name = memcpy(h->text + k + p, name, n);
    if (in->has_payload) {
        h->size = w->link.z->msg_size(&in->payload);
        h->file = malloc(h->size + 1);
        if (h->file == NULL)
            return tw_fail("out of memory");
        memcpy(h->file, w->link.z->msg_data(&in->payload), h->size);
    } else if (w->root < 0) {
        h->failed = true;
        snprintf(h->error, sizeof h->error, "the worker has no --root to find files under");
    }
    w->item[w->n++] = h;
    while (tw_pool_full(w->readers)) /* only if many were dropped while they were read */
        free_held(tw_pool_take(w->readers));
    tw_pool_submit(w->readers, h);
    return 0;
}

static int refused(work *w, const tw_feed_msg *m)
{
    if (m->code == TW_REFUSE_UNKNOWN) {
        if (w->joined)
            stop_child(w);
        w->joined = false;
        w->hello = 0;
        return 0;
    }
    if (m->code == TW_REFUSE_FULL) {
        w->joined = false;
        w->hello = awake(w) + 5; /* try again later */
        return 0;
    }
    return tw_fail("%s: the head turns this worker away: %s", w->o->endpoint, m->text);
}

/* Handles a message. 1: the head has ended, and with `once` the worker ends too; 0; -1 and tw_error(). */
static int message(work *w, tw_link_msg *in)
{
    const tw_feed_msg *m = &in->m;
    if (m->type != TW_WELCOME && m->type != TW_REFUSE && m->type != TW_LEASE && m->type != TW_PONG && m->type != TW_BYE)
        return 0; /* a head does not send these: perhaps the worker's own messages, from a socket connected to itself */
    w->heard = w->last_head = awake(w);
    if (m->type == TW_WELCOME)
        return welcome(w, in);
    if (m->type == TW_REFUSE)
        return refused(w, m);
    if (m->type == TW_LEASE)
        return leased(w, in);
    if (m->type == TW_BYE && (!w->joined || m->session == w->session)) {
        say(w, 1, "the head has ended: %s", m->text);
        send(w, &(tw_feed_msg){.type = TW_BYE, .session = m->session, .text = "heard"});
        if (w->joined)
            stop_child(w);
        w->joined = false;
        return w->o->once ? 1 : 0;
    }
    return 0;
}

static int hear(work *w, tw_link_msg *in)
{
    int64_t dropped = 0;
    int rc, done = 0;
    while (done == 0 && (rc = tw_link_receive(&w->link, in, &dropped)) == 1)
        done = message(w, in);
    return done != 0 ? done : rc;
}

static void speak(work *w)
{
    const double now = awake(w);
    if (!w->joined && now - w->hello >= w->heartbeat) {
        const tw_feed_msg hello = {.type = TW_HELLO, .protocol = TW_FEED_PROTOCOL, .text = TW_VERSION, .name = w->o->name, .slots = w->o->slots};
        w->hello = send(w, &hello) ? now : now - w->heartbeat + 0.02; /* cannot be sent: not connected yet */
    } else if (w->joined && (now - w->sent >= w->heartbeat || (now - w->heard >= 2 * w->heartbeat && now - w->pinged >= w->heartbeat))) {
        w->pinged = now;
        send(w, &(tw_feed_msg){.type = TW_PING, .session = w->session, .slots = w->draining ? 0 : w->o->slots, .held = w->n, .done = w->done,
                               .failed = w->failed});
    }
}

static int wait_for(work *w)
{
    zmq_pollitem_t item[4] = {{w->link.socket, 0, ZMQ_POLLIN, 0}};
    int n = 1;
    if (w->child != NULL) {
        if (tw_child_output(w->child) >= 0)
            item[n++] = (zmq_pollitem_t){NULL, tw_child_output(w->child), ZMQ_POLLIN, 0};
        if (tw_child_errors(w->child) >= 0)
            item[n++] = (zmq_pollitem_t){NULL, tw_child_errors(w->child), ZMQ_POLLIN, 0};
        if (tw_child_input(w->child) >= 0)
            item[n++] = (zmq_pollitem_t){NULL, tw_child_input(w->child), ZMQ_POLLOUT, 0};
    }
    const bool reading = tw_pool_pending(w->readers) > 0 && w->child != NULL;
    const long ms = reading ? 1 : !w->joined ? 20 : w->heartbeat < 0.4 ? (long)(w->heartbeat * 250) : 100;
    return w->link.z->poll(item, n, ms > 0 ? ms : 1) < 0 && errno != EINTR ? tw_zmq_fail("ZeroMQ") : 0;
}

/* Says that no head answers, after ten seconds and whenever it has been twice as long. */
static void tell_waiting(work *w, double none)
{
    if (none < w->told_of)
        w->told_of = 0;
    if (none < 10 || none < 2 * w->told_of)
        return;
    w->told_of = none;
    say(w, -1, "%s: no head for %.0f s%s", w->o->endpoint, none,
        w->link.addresses < 0 ? ": its host is not known" : w->link.curve ? ", or none that admits this key" : "");
}

static int step(work *w, tw_link_msg *in)
{
    const double now = awake(w);
    if (!w->open || now - w->heard > MISSED * w->heartbeat) {
        if (w->joined)
            say(w, 0, "%s: no message from the head; connecting again", w->o->endpoint);
        if (redial(w) != 0)
            return -1;
    }
    if (now - w->last_head > w->o->linger)
        return tw_fail("%s: no head for %g s", w->o->endpoint, w->o->linger);
    tell_waiting(w, now - w->last_head);
    speak(w);
    if (wait_for(w) != 0)
        return -1;
    const int rc = hear(w, in);
    if (rc != 0)
        return rc;
    if (w->hopeless[0] != '\0')
        return tw_fail("%s: %s; it never wrote a stream", w->o->command, w->hopeless);
    if (w->joined && w->child == NULL && awake(w) >= w->retry && start_child(w) != 0)
        return -1;
    if (w->child != NULL) {
        if (hand_on(w) != 0)
            return -1;
        tw_child_pump(w->child);
        read_child(w);
    }
    return 0;
}

int tw_work_run(const tw_work_options *o, int (*stop)(void), void (*say_)(int level, const char *text))
{
    work w = {.o = o, .say = say_, .heartbeat = 1, .root = -1};
    tw_link_msg *in = tw_calloc(1, sizeof *in);
    int rc = in != NULL ? 0 : -1;
    w.last_head = awake(&w);
    tw_sample_init(&w.sample);
    if (o->root != NULL && (w.root = open(o->root, O_PATH | O_DIRECTORY | O_CLOEXEC)) < 0)
        rc = tw_fail_errno("%s", o->root);
    if (rc == 0 && (w.readers = tw_pool_new(READERS, 2 * TW_FEED_SLOTS, fetch, &w)) == NULL)
        rc = -1;
    while (rc == 0) {
        const int how = stop();
        if (how == 2 || (how == 1 && (!w.joined || w.n == 0)))
            break;
        if (how == 1 && !w.draining) {
            w.draining = true;
            w.sent = 0; /* sends a ping at once */
        }
        rc = step(&w, in);
    }
    if (rc >= 0 && w.joined)
        send(&w, &(tw_feed_msg){.type = TW_BYE, .session = w.session, .text = "the worker ends"});
    const int linger = rc == 1 ? 1000 : 5000; /* ms for queued messages to be sent; a head that has ended needs only the BYE */
    char why[1024];
    snprintf(why, sizeof why, "%s", tw_error());
    stop_child(&w);
    if (w.next != NULL)
        free_held(w.next);
    for (held *h; w.readers != NULL && (h = tw_pool_take(w.readers)) != NULL;)
        free_held(h);
    tw_pool_free(w.readers);
    if (in != NULL && in->has_payload)
        w.link.z->msg_close(&in->payload);
    if (w.open)
        tw_link_close(&w.link, linger);
    if (w.root >= 0)
        close(w.root);
    free(w.header.data);
    tw_sample_fini(&w.sample);
    free(in);
    return rc < 0 ? tw_fail("%s", why) : 0;
}
