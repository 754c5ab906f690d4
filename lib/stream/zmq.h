/* libzmq, opened at run time: a program that is given no tcp:// or ipc:// endpoint neither loads it nor needs it installed (it brings
 * a dozen libraries with it, which would cost every start of every filter). */
#ifndef TW_STREAM_ZMQ_H
#define TW_STREAM_ZMQ_H

#include <stdbool.h>
#include <stdint.h>
#include <zmq.h>

/* The functions of the library that are used, each as zmq.h declares it. */
#define TW_ZMQ_FUNCTIONS(X)                                                                                                              \
    X(ctx_new) X(ctx_term) X(socket) X(close) X(bind) X(connect) X(setsockopt) X(poll) X(socket_monitor) \
    X(msg_init) X(msg_init_size) X(msg_init_data) X(msg_close) X(msg_move) X(msg_data) X(msg_size) X(msg_more) X(msg_get) X(msg_gets)     \
    X(msg_send) X(msg_recv) X(send) X(recv) X(strerror) X(version) X(has) X(curve_keypair) X(curve_public) X(z85_decode)

typedef struct {
#define TW_ZMQ_FIELD(f) __typeof__(&zmq_##f) f;
    TW_ZMQ_FUNCTIONS(TW_ZMQ_FIELD)
#undef TW_ZMQ_FIELD
} tw_zmq_table;

/* The library's functions; NULL and tw_error() where it is not installed or older than 4.3.4. Thread-safe. */
const tw_zmq_table *tw_zmq(void);

/* tw_fail with ": " and the text of errno as libzmq sets it. Returns -1. */
int tw_zmq_fail(const char *what);

/* Whether an endpoint is one of ZeroMQ (tcp:// or ipc://, with or without a leading @). */
bool tw_zmq_is(const char *endpoint);
/* Whether it is one that can be: with a path, or a host where it is to be connected to, and a port of at most 65535, which libzmq would take modulo
 * 65536. 0, or -1 and tw_error(). */
int tw_zmq_check(const char *endpoint);
/* Whether it is to be bound: a leading @, or * as the host. */
bool tw_zmq_binds(const char *endpoint);
/* Without the leading @: the address for bind or connect. */
const char *tw_zmq_address(const char *endpoint);

/* zmq_bind, which puts no socket in the place of a file that is none (EEXIST), nor of one where somebody listens (EADDRINUSE). 0, or -1 and
 * errno. */
int tw_zmq_bind(void *socket, const char *address);
/* Binds or connects, as the endpoint says; the message says what was tried. 0, or -1 and tw_error(). */
int tw_zmq_attach(void *socket, const char *endpoint);

/* A socket's whole-number option. 0, or -1 and tw_error(). */
int tw_zmq_set(void *socket, int option, int value);

/* One event of a monitor socket (zmq_socket_monitor), without waiting. 1: *event and *value have it; 0: none there; -1. */
int tw_zmq_event(void *monitor, int *event, int *value);

#endif
