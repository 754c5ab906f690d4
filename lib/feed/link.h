/* The sockets of a farm: opened by the rules of twist-feed(1) for addresses and keys, messages sent and received. */
#ifndef TW_FEED_LINK_H
#define TW_FEED_LINK_H

#include "feed/head.h"
#include "feed/keys.h"
#include "stream/zmq.h"

typedef struct {
    const char *key;    /* file of the own secret key; NULL: in the clear */
    const char *allow;  /* head: file of the keys that are let in */
    const char *server; /* worker: file of the head's public key */
    bool insecure;      /* also where others can reach it, without keys */
    int64_t max_bytes;  /* of a payload */
} tw_link_options;

typedef struct {
    const tw_zmq_table *z;
    void *context, *socket;
    void *zap, *monitor; /* head, with keys; NULL */
    tw_allow_list allowed;
    const char *allow;
    bool router, curve;
    int64_t refused;     /* connections with a wrong key */
} tw_link;

/* Whether the address (tw_zmq_check) may be used so: abstract sockets never; sockets of a file in a folder of this user that nobody else may enter
 * (it is made where there is none); loopback; others with keys or --insecure. *note: what the user should know, or NULL. 0, or -1 and tw_error(). */
int tw_link_check(const char *endpoint, bool head, const tw_link_options *o, const char **note);

/* A head's socket (binds, for up to ten seconds where the address is in use), or a worker's (connects). 0, or -1 and tw_error(). */
int tw_link_listen(tw_link *l, const char *endpoint, const tw_link_options *o);
int tw_link_dial(tw_link *l, const char *endpoint, const tw_link_options *o);
void tw_link_close(tw_link *l, int linger_ms);

/* Sends without waiting; to NULL on a dealer. payload: bytes that are copied, or NULL. 0, or -1: the peer cannot be reached (or has as much
 * as it takes). */
int tw_link_send(tw_link *l, const tw_feed_id *to, const tw_feed_msg *m, const void *payload, size_t size);
/* The same with a message as payload, which is taken over. */
int tw_link_send_msg(tw_link *l, const tw_feed_msg *m, zmq_msg_t *payload);

typedef struct {
    tw_feed_id from;      /* of a router */
    tw_feed_msg m;
    char text[TW_FEED_CONTROL + 8];
    char user[128];       /* owner of the peer's key, "": none */
    bool has_payload;
    zmq_msg_t payload;    /* open until the next call where it is not taken (has_payload set to false) */
} tw_link_msg;

/* One message, without waiting. 1; 0: there is none; -1 and tw_error(). What is no message is dropped and counted in *dropped, and what comes from
 * one whose key is not allowed any more. */
int tw_link_receive(tw_link *l, tw_link_msg *out, int64_t *dropped);

/* Head, with keys: answers who asks to be let in, counts who was not; the list of keys is read again. */
void tw_link_admit(tw_link *l);
int tw_link_reload(tw_link *l);

#endif
