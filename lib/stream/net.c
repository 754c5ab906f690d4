#include "stream/net.h"

#include "core/error.h"
#include "core/mem.h"
#include "stream/zmq.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ON_THE_WAY: queue length at each end, in messages. LINGER: ms that closing waits for queued messages to be sent. */
enum { ON_THE_WAY = 8, LINGER = 5000 };

static const char ready[] = "ready", done[] = "done";

struct tw_net {
    const tw_zmq_table *z;
    void *context, *socket, *monitor;
    /* writing end; "ready" has been sent; a message of the other end has come; its connection is lost */
    bool writes, greeted, met, gone;
    bool ended;      /* "done" has been sent */
    int peer;        /* descriptor of the connection to the other end */
    zmq_msg_t msg;   /* message being read */
    size_t at, size; /* bytes of it already copied; its size */
};

static int set_up(tw_net *n, const char *endpoint, int64_t most)
{
    static const int options[][2] = {{ZMQ_SNDHWM, ON_THE_WAY}, {ZMQ_RCVHWM, ON_THE_WAY}, {ZMQ_IMMEDIATE, 1}, {ZMQ_LINGER, LINGER},
                                     {ZMQ_IPV6, 1}, {ZMQ_TCP_KEEPALIVE, 1}, {ZMQ_TCP_KEEPALIVE_IDLE, 30},
                                     {ZMQ_TCP_KEEPALIVE_INTVL, 10}, {ZMQ_TCP_KEEPALIVE_CNT, 3}, {ZMQ_RECONNECT_IVL_MAX, 5000}};
    char watch[64];
    n->context = n->z->ctx_new();
    n->socket = n->context != NULL ? n->z->socket(n->context, ZMQ_PAIR) : NULL;
    if (n->socket == NULL)
        return tw_zmq_fail(endpoint);
    for (size_t i = 0; i < sizeof options / sizeof *options; i++)
        if (tw_zmq_set(n->socket, options[i][0], options[i][1]) != 0)
            return -1;
    if (n->z->setsockopt(n->socket, ZMQ_MAXMSGSIZE, &most, sizeof most) != 0)
        return tw_zmq_fail(endpoint);
    /* With a ZAP domain but no handler, libzmq accepts peers with the NULL mechanism but refuses ZMTP 1 and 2, which would take any bytes
     * for a message. */
    if (n->z->setsockopt(n->socket, ZMQ_ZAP_DOMAIN, "twist", 5) != 0)
        return tw_zmq_fail(endpoint);
    snprintf(watch, sizeof watch, "inproc://watch-%p", (void *)n);
    if (n->z->socket_monitor(n->socket, watch, ZMQ_EVENT_DISCONNECTED) != 0)
        return tw_zmq_fail(endpoint);
    n->monitor = n->z->socket(n->context, ZMQ_PAIR);
    if (n->monitor == NULL || n->z->connect(n->monitor, watch) != 0)
        return tw_zmq_fail(endpoint);
    return tw_zmq_attach(n->socket, endpoint);
}

tw_net *tw_net_open(const char *endpoint, bool writes, int64_t most)
{
    const tw_zmq_table *z = tw_zmq();
    tw_net *n = z != NULL ? tw_calloc(1, sizeof *n) : NULL;
    if (n == NULL) {
        if (z == NULL)
            tw_fail("%s: %s", endpoint, tw_error());
        return NULL;
    }
    n->z = z;
    n->writes = writes;
    z->msg_init(&n->msg);
    if (set_up(n, endpoint, most) == 0)
        return n;
    tw_net_close(n);
    return NULL;
}

/* Processes the monitor's events: sets gone if the connection to the other end is lost. */
static void look(tw_net *n)
{
    int event, fd;
    while (tw_zmq_event(n->monitor, &event, &fd) == 1) {
        n->gone = n->gone || (n->met && fd == n->peer); /* others: failed connections, a second peer that was refused */
        n->greeted = false;                              /* "ready" may be lost; a writer ignores a second one */
    }
}

/* Waits up to ms milliseconds (-1: no limit) for one of the events of the socket. 1: there is one; 0: timeout, or the other end has gone;
 * -1 and tw_error(). */
static int await(tw_net *n, short events, int ms)
{
    zmq_pollitem_t item[2] = {{n->socket, 0, events, 0}, {n->monitor, 0, ZMQ_POLLIN, 0}};
    for (;;) {
        if (n->z->poll(item, 2, ms) < 0)
            return tw_fail_errno("ZeroMQ"); /* EINTR too: the program may have to stop */
        if (item[0].revents != 0)
            return 1;
        look(n);
        if (n->gone || ms >= 0)
            return 0;
    }
}

/* Receives one message without waiting. 1; 0: none; -1 and tw_error(). */
static int take(tw_net *n)
{
    if (n->z->msg_recv(&n->msg, n->socket, ZMQ_DONTWAIT) < 0)
        return errno == EAGAIN ? 0 : tw_zmq_fail("ZeroMQ");
    if (!n->met) {
        n->met = true;
        n->peer = n->z->msg_get(&n->msg, ZMQ_SRCFD);
    }
    n->at = 0;
    n->size = n->z->msg_size(&n->msg);
    return 1;
}

/* Reading end: sends a word without waiting. 1; 0: not possible now; -1 and tw_error(). */
static int say(tw_net *n, const char *word)
{
    if (n->z->send(n->socket, word, strlen(word), ZMQ_DONTWAIT) >= 0)
        return 1;
    return errno == EAGAIN ? 0 : tw_zmq_fail("ZeroMQ");
}

static bool is(tw_net *n, const char *word)
{
    return n->size == strlen(word) && memcmp(n->z->msg_data(&n->msg), word, n->size) == 0;
}

/* Reading end: sends "ready" once a writer is connected, waiting up to ms milliseconds for it (-1: no limit). 0, or -1 and tw_error(). */
static int greet(tw_net *n, int ms)
{
    while (!n->met && !n->greeted) {
        const int there = await(n, ZMQ_POLLOUT, ms), rc = there <= 0 ? there : say(n, ready);
        if (rc < 0)
            return -1;
        n->greeted = rc == 1;
        if (!n->greeted && ms >= 0)
            break;
    }
    return 0;
}

ssize_t tw_net_read(tw_net *n, void *to, size_t size)
{
    while (n->at == n->size) {
        int rc = greet(n, -1) != 0 ? -1 : take(n);
        if (rc == 0 && !n->gone && await(n, ZMQ_POLLIN, -1) < 0)
            return -1;
        if (rc == 0 && n->gone) { /* a message received before the disconnection may appear only now */
            rc = take(n);
            if (rc == 0)
                return 0;
        }
        if (rc < 0)
            return -1;
        if (rc == 1 && is(n, ready))
            return tw_fail("connected to itself, or to another reader");
    }
    const size_t left = n->size - n->at, some = left < size ? left : size;
    memcpy(to, (const char *)n->z->msg_data(&n->msg) + n->at, some);
    n->at += some;
    return (ssize_t)some;
}

bool tw_net_ready(tw_net *n, int ms)
{
    if (n->at < n->size || n->gone)
        return true;
    const int rc = greet(n, ms) != 0 ? -1 : await(n, ZMQ_POLLIN, ms);
    return rc < 0 ? errno != EINTR : rc > 0 || n->gone; /* after an error too: the next read reports it */
}

int tw_net_done(tw_net *n)
{
    const int rc = say(n, done);
    n->ended = rc == 1;
    return rc < 0 ? -1 : 0;
}

/* After "done": waits up to LINGER for the writer to close first; closing here could lose "done" before a connected writer has read it. */
static void let_go(tw_net *n)
{
    for (int i = 0; i < 100 && n->ended && n->met && !n->gone; i++)
        if (await(n, 0, LINGER / 100) != 0)
            break;
}

/* Writing end: waits for this word from the reader. 0, or -1 and tw_error(). */
static int hear(tw_net *n, const char *word)
{
    for (;;) {
        const int rc = take(n);
        if (rc < 0)
            return -1;
        if (rc == 1 && !is(n, ready) && !is(n, done))
            return tw_fail("connected to itself, or to another writer");
        if (rc == 1 && is(n, word))
            return 0;
        if (rc == 0 && n->gone)
            return tw_fail("the reader has gone before the end of the stream");
        if (rc == 0 && await(n, ZMQ_POLLIN, -1) < 0 && errno != EINTR)
            return -1;
    }
}

static void gather(char *to, const struct iovec *v, int count)
{
    for (int i = 0; i < count; to += v[i++].iov_len)
        if (v[i].iov_len > 0)
            memcpy(to, v[i].iov_base, v[i].iov_len);
}

int tw_net_write(tw_net *n, const struct iovec *v, int count)
{
    size_t size = 0;
    zmq_msg_t msg;
    for (int i = 0; i < count; i++)
        size += v[i].iov_len;
    if (size == 0 || (!n->met && hear(n, ready) != 0))
        return size == 0 ? 0 : -1;
    if (n->z->msg_init_size(&msg, size) != 0)
        return tw_zmq_fail("ZeroMQ");
    gather(n->z->msg_data(&msg), v, count);
    for (;;) {
        look(n);
        if (n->gone) {
            tw_fail("the reader has gone");
            break;
        }
        if (n->z->msg_send(&msg, n->socket, ZMQ_DONTWAIT) >= 0)
            return 0;
        if (errno != EAGAIN) {
            tw_zmq_fail("ZeroMQ");
            break;
        }
        if (await(n, ZMQ_POLLOUT, -1) < 0 && errno != EINTR)
            break;
    }
    n->z->msg_close(&msg);
    return -1;
}

int tw_net_finish(tw_net *n)
{
    return hear(n, done);
}

void tw_net_close(tw_net *n)
{
    if (n == NULL)
        return;
    let_go(n);
    n->z->msg_close(&n->msg);
    if (n->socket != NULL)
        n->z->socket_monitor(n->socket, NULL, 0);
    if (n->monitor != NULL) {
        tw_zmq_set(n->monitor, ZMQ_LINGER, 0);
        n->z->close(n->monitor);
    }
    if (n->socket != NULL)
        n->z->close(n->socket);
    if (n->context != NULL)
        while (n->z->ctx_term(n->context) != 0 && errno == EINTR)
            ;
    free(n);
}
