/* libzmq, opened at run time: a program that is given no tcp:// or ipc:// endpoint neither loads it nor needs it installed (with its dozen
 * dependencies it would slow the start of every filter). */
#ifndef TW_STREAM_ZMQ_H
#define TW_STREAM_ZMQ_H

#include <stdbool.h>
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

/* The library's functions, static. NULL and tw_error() if it is not installed or older than 4.3.4. Thread-safe. */
const tw_zmq_table *tw_zmq(void);

/* tw_fail with what, ": " and zmq_strerror(errno). Returns -1. */
int tw_zmq_fail(const char *what);

/* Whether an endpoint is one of ZeroMQ (tcp:// or ipc://, with or without a leading @). */
bool tw_zmq_is(const char *endpoint);
/* Checks the endpoint's form: tcp:// needs a port (at most 65535: libzmq would take it modulo 65536) and, unless it is bound, a host. 0, or -1
 * and tw_error(). */
int tw_zmq_check(const char *endpoint);
/* The endpoint without a leading @: the address for bind or connect. Borrowed. */
const char *tw_zmq_address(const char *endpoint);

/* The address of a tcp:// endpoint with its host resolved, in *address: of the host's addresses the one of this turn, cyclically. libzmq itself
 * would use the first one only. An endpoint that is not of tcp://, or whose host is not known now, stays as it is. Returns
 * the number of addresses, or -1: the host is not known now. */
int tw_zmq_resolve(char *address, size_t size, const char *endpoint, unsigned turn);

/* As zmq_bind, but a host's name stands for its first address, and for ipc:// an existing file that is no socket (EEXIST), or a socket that a process
 * listens on (EADDRINUSE), is not replaced. 0, or -1 and errno. */
int tw_zmq_bind(void *socket, const char *address);
/* Binds the socket to an endpoint with a leading @, or * as the host, and connects it to others. 0, or -1 and tw_error(). */
int tw_zmq_attach(void *socket, const char *endpoint);

/* Sets a socket option of type int. 0, or -1 and tw_error(). */
int tw_zmq_set(void *socket, int option, int value);

/* Receives one event from a monitor socket (zmq_socket_monitor) without waiting. 1: in *event and *value; 0: none; -1 and tw_error(). */
int tw_zmq_event(void *monitor, int *event, int *value);

#endif
