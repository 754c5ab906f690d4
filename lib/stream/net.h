/* A stream between two machines: a ZeroMQ socket of type PAIR used as a pipe, one record a message.
 *
 * The reading end sends "ready" when it is connected and "done" when it has the end record; the writing end waits for the first before it
 * sends anything, and for the second before it calls the stream delivered. A connection that is lost in between is the
 * end of the pipe for both: ZeroMQ would connect anew and go on, with the records lost that were on the way. */
#ifndef TW_STREAM_NET_H
#define TW_STREAM_NET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <sys/types.h>
#include <sys/uio.h>

typedef struct tw_net tw_net;

/* Opens one end (endpoint: tw_zmq_is). most: bytes of a message that is accepted. NULL and tw_error(). */
tw_net *tw_net_open(const char *endpoint, bool writes, int64_t most);

/* The reading end. Waits for the writer and for a message, and copies up to n bytes of it (the rest comes with the next call). Bytes
 * copied; 0 where the other end has gone; -1 and tw_error(), with errno EINTR where a signal came. */
ssize_t tw_net_read(tw_net *n, void *to, size_t size);
/* Whether tw_net_read would return at once; waits so many milliseconds for that. */
bool tw_net_ready(tw_net *n, int ms);
/* Tells the writer that the end record has come. 0, or -1 and tw_error(). */
int tw_net_done(tw_net *n);

/* The writing end. Sends the pieces as one message; waits for the reader, and while eight messages are on the way. 0, or -1 and tw_error(). */
int tw_net_write(tw_net *n, const struct iovec *v, int count);
/* Waits until the reader says that it has the end record. 0, or -1 and tw_error(). */
int tw_net_finish(tw_net *n);

void tw_net_close(tw_net *n); /* NULL is allowed */

#endif
