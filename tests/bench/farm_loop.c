/* farm_loop: what tests/bench/farm measures with.
 *   stub                         files on standard input to views of 2 x 224 and 12 x 96 pixels (632,832 bytes) on standard output: a command
 *                                that costs nothing
 *   send ENDPOINT N [KEY]        a bare dealer that sends N messages of that size, four of them ahead of the receiver's word
 *   take ENDPOINT N [KEY]        a bare router that takes them and writes them to standard output
 * KEY: a file of a secret key, the same for both: CURVE.
 *   answer ENDPOINT [KEY PUB]    a worker without a command: every lease is answered at once. PUB: the head's public key
 *   rate                         reads standard input to its end; prints GB/s, from the first bytes to the last */
#include "core/crc32c.h"
#include "core/file.h"
#include "core/program.h"
#include "feed/link.h"
#include "stream/decode.h"
#include "stream/reader.h"
#include "stream/writer.h"
#include "stream/zmq.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { VIEWS = 14, BYTES = 2 * 224 * 224 * 3 + 12 * 96 * 96 * 3, AHEAD = 8 };

static unsigned char pixels[BYTES];

static void make_views(tw_tensor view[VIEWS])
{
    const unsigned char *at = pixels;
    for (int i = 0; i < VIEWS; i++) {
        const int side = i < 2 ? 224 : 96;
        view[i] = (tw_tensor){TW_U8, 3, {side, side, 3}, at};
        at += side * side * 3;
    }
}

static int stub(void)
{
    tw_sample s;
    tw_tensor view[VIEWS];
    make_views(view);
    tw_sample_init(&s);
    tw_reader *r = tw_reader_open("-", NULL, NULL);
    if (r == NULL)
        tw_die_error();
    tw_header h = *tw_reader_header(r);
    h.kind = TW_VIEWS;
    tw_writer *w = tw_writer_open("-", &h, NULL);
    int rc = w != NULL ? 1 : -1;
    while (rc == 1) {
        if (!tw_reader_ready(r, 0) && tw_writer_flush(w) != 0)
            tw_die_error();
        rc = tw_reader_next(r, &s);
        s.bytes = NULL;
        s.views = view;
        s.n_views = VIEWS;
        if (rc == 1 && tw_writer_sample(w, &s) != 0)
            rc = -1;
        s.views = NULL;
        s.n_views = 0;
    }
    if (rc < 0 || tw_writer_finish(w, 0) != 0)
        tw_die_error();
    return 0;
}

static void say_ready(tw_link *link, tw_link_msg *in)
{
    tw_header h;
    void *block = NULL;
    tw_bytes out = {0};
    if (tw_decode_header(&h, &block, link->z->msg_data(&in->payload), link->z->msg_size(&in->payload)) != 0)
        tw_die_error();
    h.kind = TW_VIEWS;
    if (tw_encode_header(&out, &h) != 0)
        tw_die_error();
    tw_link_send(link, NULL, &(tw_feed_msg){.type = TW_READY, .session = in->m.session}, out.data, out.size);
    free(out.data);
    free(block);
}

static void free_record(void *data, void *hint)
{
    (void)hint;
    free(data);
}

static void say_done(tw_link *link, const tw_feed_msg *m, const tw_tensor *view)
{
    const tw_feed_what *t = &m->what;
    tw_bytes out = {0};
    tw_sample s;
    zmq_msg_t msg;
    tw_sample_init(&s);
    s.key = t->key;
    s.key_size = strlen(t->key);
    s.index = t->index;
    s.epoch = t->epoch;
    s.pos = t->pos;
    s.label = t->label;
    s.sub = t->sub;
    s.views = (tw_tensor *)view;
    s.n_views = VIEWS;
    if (tw_encode_sample(&out, &s) != 0)
        tw_die_error();
    const tw_feed_msg done = {.type = TW_DONE, .session = m->session, .pos = m->pos, .lease = m->lease, .sub = m->sub,
                              .crc = tw_crc32c(0, out.data, out.size), .bytes = (int64_t)out.size};
    link->z->msg_init_data(&msg, out.data, out.size, free_record, NULL);
    tw_link_send_msg(link, &done, &msg);
}

static int answer(int argc, char **argv)
{
    static tw_link_msg in;
    tw_link link;
    tw_tensor view[VIEWS];
    const tw_link_options o = {.key = argc > 3 ? argv[3] : NULL, .server = argc > 4 ? argv[4] : NULL, .max_bytes = 1 << 26};
    int64_t dropped = 0;
    double said = 0, heard = tw_now();
    make_views(view);
    if (tw_link_dial(&link, argv[2], 0, &o) != 0)
        tw_die_error();
    for (uint64_t session = 0; tw_now() - heard < 3;) {
        zmq_pollitem_t item = {link.socket, 0, ZMQ_POLLIN, 0};
        const bool joined = session != 0;
        const tw_feed_msg word = joined ? (tw_feed_msg){.type = TW_PING, .session = session, .slots = 32}
                                        : (tw_feed_msg){.type = TW_HELLO, .protocol = TW_FEED_PROTOCOL, .text = TW_VERSION, .name = "answer", .slots = 32};
        if (tw_now() - said > (joined ? 0.5 : 0.05) && tw_link_send(&link, NULL, &word, NULL, 0) == 0)
            said = tw_now();
        link.z->poll(&item, 1, 20);
        while (tw_link_receive(&link, &in, &dropped) == 1) {
            heard = tw_now();
            if (in.m.type == TW_WELCOME) {
                session = in.m.session;
                say_ready(&link, &in);
            } else if (in.m.type == TW_LEASE) {
                say_done(&link, &in.m, view);
            } else if (in.m.type == TW_REFUSE) { /* it has been silent, on a busy machine */
                session = 0;
            } else if (in.m.type == TW_BYE) {
                tw_link_send(&link, NULL, &(tw_feed_msg){.type = TW_BYE, .session = session, .text = "heard"}, NULL, 0);
                heard = 0;
            }
        }
    }
    tw_link_close(&link, 1000);
    return 0;
}

static int rate(void)
{
    static char b[1 << 18];
    double first = 0, sum = 0;
    for (ssize_t n; (n = read(STDIN_FILENO, b, sizeof b)) > 0; sum += (double)n)
        if (first == 0)
            first = tw_now();
    printf("%.3f\n", sum / (tw_now() - first) / 1e9);
    return 0;
}

static void *open_socket(const tw_zmq_table *z, void *context, int type, const char *endpoint, const char *key)
{
    char secret[TW_KEY], public[TW_KEY];
    void *s = z->socket(context, type);
    if (key != NULL) {
        if (tw_keys_read(secret, public, key) != 0)
            tw_die_error();
        if (type == ZMQ_ROUTER)
            tw_zmq_set(s, ZMQ_CURVE_SERVER, 1);
        else
            z->setsockopt(s, ZMQ_CURVE_SERVERKEY, public, 40);
        if (type != ZMQ_ROUTER)
            z->setsockopt(s, ZMQ_CURVE_PUBLICKEY, public, 40);
        z->setsockopt(s, ZMQ_CURVE_SECRETKEY, secret, 40);
    }
    if (type == ZMQ_ROUTER ? z->bind(s, endpoint) != 0 : z->connect(s, endpoint) != 0)
        tw_die("%s: cannot be opened", endpoint);
    return s;
}

static void send_all(const tw_zmq_table *z, void *s, long n)
{
    char word[8];
    for (long i = 0; i < n; i++) {
        if (i >= AHEAD)
            z->recv(s, word, sizeof word, 0);
        z->send(s, pixels, BYTES, 0);
    }
    for (long i = n < AHEAD ? 0 : n - AHEAD; i < n; i++)
        z->recv(s, word, sizeof word, 0);
}

static void take_all(const tw_zmq_table *z, void *s, long n)
{
    for (long i = 0; i < n; i++) {
        zmq_msg_t who, what;
        z->msg_init(&who);
        z->msg_init(&what);
        z->msg_recv(&who, s, 0);
        z->msg_recv(&what, s, 0);
        if (tw_write_all(STDOUT_FILENO, z->msg_data(&what), z->msg_size(&what)) != 0)
            tw_die("standard output: cannot be written");
        z->msg_send(&who, s, ZMQ_SNDMORE);
        z->send(s, "k", 1, 0);
        z->msg_close(&what);
    }
}

int main(int argc, char **argv)
{
    tw_program_start("farm_loop", argc, argv);
    if (argc == 2 && strcmp(argv[1], "stub") == 0)
        return stub();
    if (argc == 2 && strcmp(argv[1], "rate") == 0)
        return rate();
    if (argc >= 3 && strcmp(argv[1], "answer") == 0)
        return answer(argc, argv);
    if (argc < 4)
        tw_die_usage("stub, send, take, answer or rate");
    const tw_zmq_table *z = tw_zmq();
    if (z == NULL)
        tw_die_error();
    void *context = z->ctx_new(), *s = open_socket(z, context, strcmp(argv[1], "take") == 0 ? ZMQ_ROUTER : ZMQ_DEALER, argv[2], argc > 4 ? argv[4] : NULL);
    if (strcmp(argv[1], "take") == 0)
        take_all(z, s, atol(argv[3]));
    else
        send_all(z, s, atol(argv[3]));
    z->close(s);
    z->ctx_term(context);
    return 0;
}
