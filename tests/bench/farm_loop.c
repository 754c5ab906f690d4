/* farm_loop: what tests/bench/farm measures with.
 *   stub                         files on standard input to views of 2 x 224 and 12 x 96 pixels (632,832 bytes) on standard output: a command
 *                                that costs nothing
 *   send ENDPOINT N [KEY]        a bare dealer that sends N messages of that size, four of them ahead of the receiver's word
 *   take ENDPOINT N [KEY]        a bare router that takes them and writes them to standard output
 * KEY: a file of a secret key, the same for both: CURVE. */
#include "core/error.h"
#include "core/file.h"
#include "core/program.h"
#include "feed/keys.h"
#include "stream/reader.h"
#include "stream/writer.h"
#include "stream/zmq.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { VIEWS = 14, BYTES = 2 * 224 * 224 * 3 + 12 * 96 * 96 * 3, AHEAD = 8 };

static unsigned char pixels[BYTES];

static int stub(void)
{
    tw_sample s;
    tw_tensor view[VIEWS];
    const unsigned char *at = pixels;
    for (int i = 0; i < VIEWS; i++) {
        const int side = i < 2 ? 224 : 96;
        view[i] = (tw_tensor){TW_U8, 3, {side, side, 3}, at};
        at += side * side * 3;
    }
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
    if (argc < 4)
        tw_die_usage("stub, send or take");
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
