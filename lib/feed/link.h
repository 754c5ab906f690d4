/* The sockets of a farm: opened by the rules of twist-feed(1) for addresses and keys, messages sent and received. */
#ifndef TW_FEED_LINK_H
#define TW_FEED_LINK_H

#include "feed/head.h"
#include "feed/keys.h"
#include "stream/zmq.h"

typedef struct {
    const char *key;    /* file of the own secret key; NULL: no encryption */
    const char *allow;  /* head: file of the allowed public keys */
    const char *server; /* worker: file of the head's public key */
    bool insecure;      /* permits addresses that others can reach without keys */
    int64_t max_bytes;  /* most bytes of a payload */
} tw_link_options;

typedef struct {
    const tw_zmq_table *z;
    void *context, *socket;
    void *zap, *monitor; /* head with keys only; else NULL */
    tw_allow_list allowed;
    const char *allow;
    bool router, curve;
    int addresses;       /* of the head's host, when it was dialled; -1: it was not known */
    int64_t refused;     /* connections refused because of their key */
} tw_link;

/* Checks that the address (which has passed tw_zmq_check) may be used: never an abstract socket; any other one with keys or --insecure; without,
 * loopback, or an ipc:// socket in a folder that only this user may enter (a head creates it). *note: a hint for the user, or NULL. 0, or -1 and
 * tw_error(). */
int tw_link_check(const char *endpoint, bool head, const tw_link_options *o, const char **note);

/* Open a head's socket (binds; tries for ten seconds if the address is in use), or a worker's (connects; if the host has several addresses, to the
 * one of this turn). 0, or -1 and tw_error(). */
int tw_link_listen(tw_link *l, const char *endpoint, const tw_link_options *o);
int tw_link_dial(tw_link *l, const char *endpoint, unsigned turn, const tw_link_options *o);
void tw_link_close(tw_link *l, int linger_ms);

/* Sends without waiting. to: NULL for a worker. payload: `size` bytes, copied, or NULL. 0, or -1: the peer cannot be reached, or its queue is
 * full. */
int tw_link_send(tw_link *l, const tw_feed_id *to, const tw_feed_msg *m, const void *payload, size_t size);
/* The same for a worker with a zmq message as payload, which is taken over. */
int tw_link_send_msg(tw_link *l, const tw_feed_msg *m, zmq_msg_t *payload);

typedef struct {
    tw_feed_id from;      /* set on a head's socket only */
    tw_feed_msg m;
    char text[TW_FEED_CONTROL + 8];
    char user[128];       /* owner of the peer's key; "": no keys */
    bool has_payload;
    zmq_msg_t payload;    /* closed by the next call, unless the caller takes it over by setting has_payload to false */
} tw_link_msg;

/* Receives one message without waiting. 1; 0: none; -1 and tw_error(). Malformed messages, and those from keys that are no longer allowed, are
 * dropped and counted in *dropped. Zero-initialise *out before the first call. */
int tw_link_receive(tw_link *l, tw_link_msg *out, int64_t *dropped);

/* Head with keys (else no effect): answers pending authentication requests (ZAP) and counts refused connections. */
void tw_link_admit(tw_link *l);
/* Reads the list of allowed keys again. 0, or -1 and tw_error(): no key is allowed then. */
int tw_link_reload(tw_link *l);

#endif
