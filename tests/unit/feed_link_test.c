/* Goal: with keys, nobody is heard where the handler of keys says nothing, or has gone: not even a worker whose key is allowed, whom the head hears
 * where the handler does its work, until its key is allowed no more, on whatever connection. */
#include "core/clock.h"
#include "feed/link.h"
#include "test.h"

#include <unistd.h>

static const char *const ends[] = {"head.key", "head.pub", "w.key", "w.pub", "socket", "allowed"};
enum { HANDLER, SILENT, GONE };

/* Whether a message of an allowed worker comes to the head within the time. */
static bool heard(const char *endpoint, int handler, double seconds)
{
    static tw_link_msg in;
    tw_link head, worker;
    const tw_link_options ho = {.key = "head.key", .allow = "w.pub", .max_bytes = 1 << 20}, wo = {.key = "w.key", .server = "head.pub", .max_bytes = 1 << 20};
    int64_t dropped = 0;
    bool came = false;
    CHECK(tw_link_listen(&head, endpoint, &ho) == 0);
    if (handler == GONE) {
        head.z->close(head.zap);
        head.zap = NULL;
    }
    CHECK(tw_link_dial(&worker, endpoint, 0, &wo) == 0);
    for (const double end = tw_now() + seconds; tw_now() < end && !came;) {
        zmq_pollitem_t item = {head.socket, 0, ZMQ_POLLIN, 0};
        if (handler == HANDLER)
            tw_link_admit(&head);
        tw_link_send(&worker, NULL, &(tw_feed_msg){.type = TW_ASK}, NULL, 0);
        head.z->poll(&item, 1, 20);
        came = tw_link_receive(&head, &in, &dropped) == 1;
    }
    CHECK(!came || (in.m.type == TW_ASK && strcmp(in.user, "w") == 0));
    tw_link_close(&worker, 0);
    tw_link_close(&head, 0);
    return came;
}

static bool hears(tw_link *head, tw_link *worker, double seconds)
{
    static tw_link_msg in;
    int64_t dropped = 0;
    bool came = false;
    for (const double end = tw_now() + seconds; tw_now() < end && !came;) {
        zmq_pollitem_t item = {head->socket, 0, ZMQ_POLLIN, 0};
        tw_link_admit(head);
        tw_link_send(worker, NULL, &(tw_feed_msg){.type = TW_ASK}, NULL, 0);
        head->z->poll(&item, 1, 20);
        came = tw_link_receive(head, &in, &dropped) == 1;
    }
    while (tw_link_receive(head, &in, &dropped) == 1)
        ;
    return came;
}

static void allow(tw_link *head, const char *line)
{
    FILE *f = fopen("allowed", "w");
    CHECK(f != NULL && fputs(line, f) >= 0 && fclose(f) == 0);
    CHECK(head == NULL || tw_link_reload(head) == 0);
}

/* A key that is taken out of the list, comes back, and gives its name to another one: the connection stays the same. */
static void taken_out(const char *endpoint)
{
    char public[TW_KEY], line[64];
    tw_link head, worker;
    const tw_link_options ho = {.key = "head.key", .allow = "allowed", .max_bytes = 1 << 20}, wo = {.key = "w.key", .server = "head.pub", .max_bytes = 1 << 20};
    CHECK(tw_keys_public(public, "w.pub") == 0);
    snprintf(line, sizeof line, "%s w\n", public);
    allow(NULL, line);
    CHECK(tw_link_listen(&head, endpoint, &ho) == 0 && tw_link_dial(&worker, endpoint, 0, &wo) == 0);
    CHECK(hears(&head, &worker, 10));
    allow(&head, "");
    CHECK(!hears(&head, &worker, 0.5));
    allow(&head, line);
    CHECK(hears(&head, &worker, 10));
    CHECK(tw_keys_public(public, "head.pub") == 0);
    snprintf(line, sizeof line, "%s w\n", public);
    allow(&head, line);
    CHECK(!hears(&head, &worker, 0.5));
    tw_link_close(&worker, 0);
    tw_link_close(&head, 0);
}

int main(void)
{
    char folder[] = "/tmp/twist-link-XXXXXX", endpoint[64];
    if (tw_zmq() == NULL)
        test_skip(tw_error());
    CHECK(mkdtemp(folder) != NULL && chdir(folder) == 0);
    snprintf(endpoint, sizeof endpoint, "ipc://%s/socket", folder);
    CHECK(tw_keys_make("head") == 0 && tw_keys_make("w") == 0);
    CHECK(heard(endpoint, HANDLER, 10));
    CHECK(!heard(endpoint, SILENT, 1.5));
    CHECK(!heard(endpoint, GONE, 1.5));
    taken_out(endpoint);
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++)
        unlink(ends[i]);
    CHECK(chdir("/") == 0 && rmdir(folder) == 0);
    return test_done();
}
