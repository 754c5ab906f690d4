/* A stream between two machines: a ZeroMQ socket of type PAIR used as a pipe, one record a message.
 *
 * The reading end sends "ready" once it is connected and "done" once it has the end record. The writing end sends nothing before "ready",
 * and takes the stream for delivered only after "done". If the connection breaks in between, the pipe is broken for both ends: ZeroMQ
 * itself would reconnect and continue without the records in transit. */
#ifndef TW_STREAM_NET_H
#define TW_STREAM_NET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <sys/types.h>
#include <sys/uio.h>

typedef struct tw_net tw_net;

/* Opens one end; does not wait for the other. endpoint: see tw_zmq_is; writes: this is the writing end; most: largest message accepted,
 * bytes. NULL and tw_error(). */
tw_net *tw_net_open(const char *endpoint, bool writes, int64_t most);

/* Reading end: waits for the writer and for a message, and copies up to `size` bytes of it (the rest is left for the next call). Bytes
 * copied; 0 if the writer has gone; -1 and tw_error(), errno EINTR after a signal. */
ssize_t tw_net_read(tw_net *n, void *to, size_t size);
/* Reading end: whether tw_net_read would return at once; waits up to ms milliseconds for that. */
bool tw_net_ready(tw_net *n, int ms);
/* Reading end: sends "done". 0, or -1 and tw_error(). */
int tw_net_done(tw_net *n);

/* Writing end: sends the pieces as one message. Waits for the reader's "ready", and while the send queue (eight messages) is full. 0, or -1
 * and tw_error(). */
int tw_net_write(tw_net *n, const struct iovec *v, int count);
/* Writing end: waits for "done". 0, or -1 and tw_error() if the reader has gone before. */
int tw_net_finish(tw_net *n);

void tw_net_close(tw_net *n); /* NULL is allowed */

#endif
