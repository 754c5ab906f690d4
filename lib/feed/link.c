#include "feed/link.h"

#include "core/error.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum {
    HANDSHAKE = 5000, /* milliseconds */
    BIND_TRIES = 100,
    BACKLOG = 1024,   /* all workers of a restarted head connect at once, perhaps among strangers */
    FILES = 4096,
    ENFORCE_DOMAIN = 93, /* ZMQ_ZAP_ENFORCE_DOMAIN, a draft option that zmq.h does not define */
};

/* ---- addresses ---- */

static int check_folder(const char *path, bool head)
{
    char folder[4096];
    struct stat st;
    const char *slash = strrchr(path, '/');
    const size_t n = slash != NULL ? (size_t)(slash - path) : 0;
    if (n >= sizeof folder)
        return tw_fail("ipc://%s: too long", path);
    memcpy(folder, slash == NULL ? "." : n == 0 ? "/" : path, n > 0 ? n : 1);
    folder[n > 0 ? n : 1] = '\0';
    if (head && mkdir(folder, 0700) != 0 && errno != EEXIST)
        return tw_fail_errno("%s", folder);
    if (stat(folder, &st) != 0)
        return tw_fail_errno("%s", folder);
    if (st.st_uid != geteuid() || (st.st_mode & 077) != 0)
        return tw_fail("ipc://%s: its folder is open to other users or owned by one: use a folder of mode 0700, keys, or --insecure", path);
    return 0;
}

/* Whether "HOST:PORT" is this machine's loopback. A source address before a ';', which libzmq accepts too, does not count. */
static bool is_loopback(const char *host)
{
    char address[INET_ADDRSTRLEN];
    struct in_addr a;
    const char *port = strrchr(host, ':');
    if (strchr(host, ';') != NULL || port == NULL)
        return false;
    if (strncmp(host, "[::1]:", 6) == 0 || strncmp(host, "localhost:", 10) == 0)
        return true;
    snprintf(address, sizeof address, "%.*s", (int)(port - host), host);
    return port - host < INET_ADDRSTRLEN && inet_pton(AF_INET, address, &a) == 1 && ntohl(a.s_addr) >> 24 == 127;
}

int tw_link_check(const char *endpoint, bool head, const tw_link_options *o, const char **note)
{
    const char *a = tw_zmq_address(endpoint);
    *note = NULL;
    if (strncmp(a, "ipc://@", 7) == 0)
        return tw_fail("%s: an abstract socket, which every user of the machine can reach", endpoint);
    if (o->key != NULL && (head ? o->allow == NULL : o->server == NULL))
        return tw_fail("%s: --key also needs %s", endpoint,
                       head ? "--allow, the file of the workers' public keys" : "--server, the file of the head's public key");
    if (o->key == NULL && (head ? o->allow != NULL : o->server != NULL))
        return tw_fail("%s: --%s also needs --key, the file of this side's secret key", endpoint, head ? "allow" : "server");
    if (o->key != NULL)
        return 0;
    if (strncmp(a, "ipc://", 6) == 0)
        return o->insecure ? 0 : check_folder(a + 6, head);
    if (is_loopback(a + 6)) {
        *note = "without keys: every user of this machine can reach it";
        return 0;
    }
    if (!o->insecure)
        return tw_fail("%s: reachable from other machines and without keys: --key and --%s, or --insecure", endpoint, head ? "allow" : "server");
    *note = "--insecure: anyone who can reach it can read what it sends and send it anything";
    return 0;
}

/* ---- opening ---- */

static int open_socket(tw_link *l, int type, const tw_link_options *o)
{
    const int64_t most = o->max_bytes + 4096;
    *l = (tw_link){.z = tw_zmq(), .router = type == ZMQ_ROUTER, .curve = o->key != NULL, .allow = o->allow};
    if (l->z == NULL)
        return -1;
    if (l->curve && !l->z->has("curve"))
        return tw_fail("this libzmq has no CURVE");
    l->context = l->z->ctx_new();
    l->socket = l->context != NULL ? l->z->socket(l->context, type) : NULL;
    if (l->socket == NULL)
        return tw_zmq_fail("ZeroMQ");
    const int options[][2] = {{ZMQ_LINGER, 0}, {ZMQ_IPV6, 1}, {ZMQ_HANDSHAKE_IVL, HANDSHAKE}, {ZMQ_BACKLOG, BACKLOG},
                              {ZMQ_TCP_KEEPALIVE, 1}, {ZMQ_TCP_KEEPALIVE_IDLE, 30}, {ZMQ_TCP_KEEPALIVE_INTVL, 10}, {ZMQ_TCP_KEEPALIVE_CNT, 3},
                              {ZMQ_SNDHWM, 2 * TW_FEED_SLOTS + 16}, {ZMQ_RCVHWM, 2 * TW_FEED_SLOTS + 16}};
    for (size_t i = 0; i < sizeof options / sizeof *options; i++)
        if (tw_zmq_set(l->socket, options[i][0], options[i][1]) != 0)
            return -1;
    return l->z->setsockopt(l->socket, ZMQ_MAXMSGSIZE, &most, sizeof most) == 0 ? 0 : tw_zmq_fail("ZeroMQ");
}

static int set_text(tw_link *l, int option, const char *text)
{
    return l->z->setsockopt(l->socket, option, text, strlen(text)) == 0 ? 0 : tw_zmq_fail("ZeroMQ");
}

/* Opens the ZAP handler, before the socket listens: without one, libzmq would accept every key. */
static int guard(tw_link *l, const char *key)
{
    char secret[TW_KEY], public[TW_KEY];
    l->zap = l->z->socket(l->context, ZMQ_REP);
    if (l->zap == NULL || tw_zmq_set(l->zap, ZMQ_LINGER, 0) != 0 || l->z->bind(l->zap, "inproc://zeromq.zap.01") != 0)
        return tw_zmq_fail("ZeroMQ: the handler of keys");
    int rc = tw_allow_read(&l->allowed, l->allow);
    rc = rc || tw_keys_read(secret, public, key) || tw_zmq_set(l->socket, ZMQ_CURVE_SERVER, 1) || set_text(l, ZMQ_CURVE_SECRETKEY, secret) ||
         set_text(l, ZMQ_ZAP_DOMAIN, "twist") || tw_zmq_set(l->socket, ENFORCE_DOMAIN, 1);
    explicit_bzero(secret, sizeof secret);
    if (rc != 0)
        return -1;
    l->monitor = l->z->socket(l->context, ZMQ_PAIR);
    if (l->monitor == NULL || tw_zmq_set(l->monitor, ZMQ_LINGER, 0) != 0 ||
        l->z->socket_monitor(l->socket, "inproc://monitor", ZMQ_EVENT_HANDSHAKE_FAILED_AUTH) != 0 ||
        l->z->connect(l->monitor, "inproc://monitor") != 0)
        return tw_zmq_fail("ZeroMQ: monitor");
    return 0;
}

int tw_link_listen(tw_link *l, const char *endpoint, const tw_link_options *o)
{
    const struct timespec nap = {0, 100000000};
    struct rlimit files;
    if (getrlimit(RLIMIT_NOFILE, &files) == 0 && files.rlim_cur < FILES && files.rlim_max > files.rlim_cur) {
        files.rlim_cur = files.rlim_max < FILES ? files.rlim_max : FILES; /* unauthenticated connections take descriptors too */
        setrlimit(RLIMIT_NOFILE, &files);
    }
    if (open_socket(l, ZMQ_ROUTER, o) != 0 || tw_zmq_set(l->socket, ZMQ_ROUTER_MANDATORY, 1) != 0)
        goto err;
    /* Without keys a ZAP domain is set all the same: it refuses ZMTP 1, which takes any bytes for a message. */
    if (l->curve ? guard(l, o->key) != 0 : set_text(l, ZMQ_ZAP_DOMAIN, "twist") != 0)
        goto err;
    for (int i = 0; tw_zmq_bind(l->socket, tw_zmq_address(endpoint)) != 0; i++) {
        if (errno != EADDRINUSE || i == BIND_TRIES) {
            char what[600];
            snprintf(what, sizeof what, "%.500s: cannot listen there", endpoint);
            tw_zmq_fail(what);
            goto err;
        }
        nanosleep(&nap, NULL);
    }
    return 0;
err:
    tw_link_close(l, 0);
    return -1;
}

int tw_link_dial(tw_link *l, const char *endpoint, unsigned turn, const tw_link_options *o)
{
    char address[4096];
    char secret[TW_KEY] = "", public[TW_KEY], server[TW_KEY];
    int rc = open_socket(l, ZMQ_DEALER, o);
    if (rc == 0 && l->curve) {
        rc = tw_keys_public(server, o->server) || tw_keys_read(secret, public, o->key) || set_text(l, ZMQ_CURVE_SERVERKEY, server) ||
             set_text(l, ZMQ_CURVE_PUBLICKEY, public) || set_text(l, ZMQ_CURVE_SECRETKEY, secret);
        explicit_bzero(secret, sizeof secret);
    }
    rc = rc || tw_zmq_set(l->socket, ZMQ_IMMEDIATE, 1) || tw_zmq_set(l->socket, ZMQ_CONNECT_TIMEOUT, HANDSHAKE) ||
         tw_zmq_set(l->socket, ZMQ_RECONNECT_IVL, 100) || tw_zmq_set(l->socket, ZMQ_RECONNECT_IVL_MAX, 2000);
    l->addresses = tw_zmq_resolve(address, sizeof address, endpoint, turn);
    if (rc == 0 && l->z->connect(l->socket, address) != 0) {
        char what[600];
        snprintf(what, sizeof what, "%.500s: cannot be connected to", endpoint);
        rc = tw_zmq_fail(what);
    }
    if (rc != 0)
        tw_link_close(l, 0);
    return rc != 0 ? -1 : 0;
}

void tw_link_close(tw_link *l, int linger_ms)
{
    if (l->z == NULL)
        return;
    if (l->monitor != NULL) {
        l->z->socket_monitor(l->socket, NULL, 0);
        l->z->close(l->monitor);
    }
    if (l->socket != NULL) {
        tw_zmq_set(l->socket, ZMQ_LINGER, linger_ms);
        l->z->close(l->socket);
    }
    if (l->zap != NULL)
        l->z->close(l->zap);
    if (l->context != NULL)
        while (l->z->ctx_term(l->context) != 0 && errno == EINTR)
            ;
    tw_allow_fini(&l->allowed);
    *l = (tw_link){0};
}

/* ---- messages ---- */

static int send_frames(tw_link *l, const tw_feed_id *to, const tw_feed_msg *m, zmq_msg_t *payload)
{
    tw_bytes head = {0};
    int rc = tw_feed_encode(&head, m);
    if (rc == 0 && to != NULL)
        rc = l->z->send(l->socket, to->byte, to->n, ZMQ_SNDMORE | ZMQ_DONTWAIT) < 0 ? -1 : 0;
    if (rc == 0) /* after the first frame, sending the rest does not block */
        rc = l->z->send(l->socket, head.data, head.size, (payload != NULL ? ZMQ_SNDMORE : 0) | ZMQ_DONTWAIT) < 0 ? -1 : 0;
    if (rc == 0 && payload != NULL)
        rc = l->z->msg_send(payload, l->socket, ZMQ_DONTWAIT) < 0 ? -1 : 0;
    if (rc != 0 && payload != NULL)
        l->z->msg_close(payload);
    free(head.data);
    return rc;
}

int tw_link_send(tw_link *l, const tw_feed_id *to, const tw_feed_msg *m, const void *payload, size_t size)
{
    zmq_msg_t msg;
    if (payload == NULL)
        return send_frames(l, to, m, NULL);
    if (l->z->msg_init_size(&msg, size) != 0)
        return -1;
    if (size > 0)
        memcpy(l->z->msg_data(&msg), payload, size);
    return send_frames(l, to, m, &msg);
}

int tw_link_send_msg(tw_link *l, const tw_feed_msg *m, zmq_msg_t *payload)
{
    return send_frames(l, NULL, m, payload);
}

/* Receives the next frame without waiting. Whether there was one. */
static int next_frame(tw_link *l, zmq_msg_t *frame)
{
    l->z->msg_init(frame);
    if (l->z->msg_recv(frame, l->socket, ZMQ_DONTWAIT) >= 0)
        return 1;
    l->z->msg_close(frame);
    return 0;
}

/* Sets user to the owner of the key that the connection was authenticated with (answer() has set it as its User-Id). False: that key is not allowed
 * any more. */
static bool read_user(const tw_link *l, char *user, size_t room, zmq_msg_t *frame)
{
    unsigned char key[32];
    const char *text = l->z->msg_gets(frame, "User-Id");
    for (int i = 0; i < 32; i++)
        if (text == NULL || sscanf(text + 2 * i, "%2hhx", &key[i]) != 1)
            return false;
    const char *name = tw_allow_find(&l->allowed, key);
    snprintf(user, room, "%s", name != NULL ? name : "");
    return name != NULL;
}

static bool read_control(tw_link *l, tw_link_msg *out, zmq_msg_t *frame)
{
    out->user[0] = '\0';
    if (l->curve && l->router && !read_user(l, out->user, sizeof out->user, frame))
        return false;
    return tw_feed_decode(&out->m, out->text, l->z->msg_data(frame), l->z->msg_size(frame)) == 0;
}

int tw_link_receive(tw_link *l, tw_link_msg *out, int64_t *dropped)
{
    if (out->has_payload)
        l->z->msg_close(&out->payload);
    out->has_payload = false;
    for (;;) {
        zmq_msg_t frame;
        int part = l->router ? 0 : 1, more = 1; /* 0: the sender; 1: the control frame; 2: the payload */
        bool good = true;
        for (; more; part++) {
            if (!next_frame(l, &frame)) {
                if (part == (l->router ? 0 : 1) && (errno == EAGAIN || errno == EINTR))
                    return 0;
                return tw_zmq_fail("ZeroMQ");
            }
            more = l->z->msg_more(&frame);
            const size_t size = l->z->msg_size(&frame);
            if (part == 0) {
                good = size <= sizeof out->from.byte;
                out->from.n = (unsigned char)(good ? size : 0);
                memcpy(out->from.byte, l->z->msg_data(&frame), out->from.n);
            } else if (part == 1) {
                good = good && read_control(l, out, &frame);
            } else if (part == 2 && good) {
                l->z->msg_init(&out->payload);
                l->z->msg_move(&out->payload, &frame);
                out->has_payload = true;
            }
            l->z->msg_close(&frame);
        }
        if (good && part >= 2 && part <= 3)
            return 1;
        ++*dropped;
        if (out->has_payload)
            l->z->msg_close(&out->payload);
        out->has_payload = false;
    }
}

/* ---- who is let in ---- */

enum { VERSION, REQUEST, DOMAIN, ADDRESS, IDENTITY, MECHANISM, CREDENTIAL, FRAMES };

static void answer(tw_link *l, char frame[FRAMES][256], const size_t size[FRAMES], bool whole)
{
    char id[65] = "";
    if (whole && strcmp(frame[VERSION], "1.0") == 0 && strcmp(frame[DOMAIN], "twist") == 0 && strcmp(frame[MECHANISM], "CURVE") == 0 &&
        size[CREDENTIAL] == 32 && tw_allow_find(&l->allowed, (const unsigned char *)frame[CREDENTIAL]) != NULL)
        for (int i = 0; i < 32; i++)
            sprintf(id + 2 * i, "%02x", (unsigned char)frame[CREDENTIAL][i]);
    const bool in = id[0] != '\0';
    const char *text[] = {"1.0", NULL, in ? "200" : "400", in ? "OK" : "not allowed", id, ""};
    for (int i = 0; i < 6; i++)
        if (i == 1)
            l->z->send(l->zap, frame[REQUEST], size[REQUEST], ZMQ_SNDMORE);
        else
            l->z->send(l->zap, text[i], strlen(text[i]), i < 5 ? ZMQ_SNDMORE : 0);
}

void tw_link_admit(tw_link *l)
{
    int event, value;
    if (l->zap == NULL)
        return;
    for (;;) {
        char frame[FRAMES][256];
        size_t size[FRAMES] = {0};
        bool whole = true;
        int n = 0, more = 1;
        for (; more; n++) {
            zmq_msg_t m;
            l->z->msg_init(&m);
            if (l->z->msg_recv(&m, l->zap, ZMQ_DONTWAIT) < 0) {
                l->z->msg_close(&m);
                n = -1;
                break;
            }
            more = l->z->msg_more(&m);
            const size_t have = l->z->msg_size(&m);
            whole = whole && n < FRAMES && have < 255;
            if (n < FRAMES && have < 255) {
                memcpy(frame[n], l->z->msg_data(&m), have);
                frame[n][have] = '\0';
                size[n] = have;
            }
            l->z->msg_close(&m);
        }
        if (n < 0)
            break;
        answer(l, frame, size, whole && n == FRAMES);
    }
    while (tw_zmq_event(l->monitor, &event, &value) == 1)
        l->refused++;
}

int tw_link_reload(tw_link *l)
{
    return l->zap != NULL ? tw_allow_read(&l->allowed, l->allow) : 0;
}
