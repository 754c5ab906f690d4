#include "report/events.h"

#include "core/crc32c.h"
#include "core/error.h"
#include "core/mem.h"
#include "report/event.pb-c.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { TAG = 64 };

typedef struct {
    char tag[TAG];
    Tw__Summary__Value value;
} number;

struct tw_events {
    FILE *f;
    char *path;
    int64_t step;
    number *number;
    size_t n, cap;
    Tw__Summary__Value **value; /* pointers to the values in number, as protobuf-c wants them */
    size_t value_cap;
    unsigned char *message;
    size_t message_cap;
};

static void put_u32(unsigned char to[4], uint32_t v)
{
    for (int i = 0; i < 4; i++)
        to[i] = (unsigned char)(v >> (8 * i));
}

static void put_crc(unsigned char to[4], const void *data, size_t size)
{
    const uint32_t crc = tw_crc32c(0, data, size);
    put_u32(to, (crc >> 15 | crc << 17) + 0xa282ead8u);
}

static int write_event(tw_events *e, Tw__Event *event)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    event->has_wall_time = true;
    event->wall_time = (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
    const size_t size = tw__event__get_packed_size(event);
    unsigned char head[12], tail[4];
    if (tw_grow(&e->message, &e->message_cap, size, 1) != 0)
        return -1;
    tw__event__pack(event, e->message);
    put_u32(head, (uint32_t)size);
    put_u32(head + 4, (uint32_t)((uint64_t)size >> 32));
    put_crc(head + 8, head, 8);
    put_crc(tail, e->message, size);
    if (fwrite(head, 1, sizeof head, e->f) != sizeof head || fwrite(e->message, 1, size, e->f) != size ||
        fwrite(tail, 1, sizeof tail, e->f) != sizeof tail || fflush(e->f) != 0)
        return tw_fail_errno("%s", e->path);
    return 0;
}

static int open_file(tw_events *e, const char *folder)
{
    struct timespec now;
    const size_t room = strlen(folder) + 80;
    e->path = tw_calloc(room, 1);
    if (e->path == NULL)
        return -1;
    clock_gettime(CLOCK_REALTIME, &now);
    snprintf(e->path, room, "%s/events.out.tfevents.%lld.%06ld.twist", folder, (long long)now.tv_sec, now.tv_nsec / 1000);
    e->f = fopen(e->path, "wbxe");
    return e->f != NULL ? 0 : tw_fail_errno("%s", e->path);
}

/* Writes the records at the beginning of a file. */
static int write_start(tw_events *e, int64_t keep)
{
    Tw__Event version = TW__EVENT__INIT, start = TW__EVENT__INIT;
    Tw__SessionLog session = TW__SESSION_LOG__INIT;
    version.file_version = (char *)"brain.Event:2";
    if (write_event(e, &version) != 0)
        return -1;
    if (keep < 0)
        return 0;
    session.has_status = true;
    session.status = TW__SESSION_LOG__STATUS__START;
    start.has_step = true;
    start.step = keep + 1;
    start.session_log = &session;
    return write_event(e, &start);
}

tw_events *tw_events_open(const char *folder, int64_t keep)
{
    tw_events *e = tw_calloc(1, sizeof *e);
    if (e == NULL)
        return NULL;
    if (open_file(e, folder) == 0 && write_start(e, keep) == 0)
        return e;
    if (e->f != NULL)
        fclose(e->f);
    free(e->path);
    free(e->message);
    free(e);
    return NULL;
}

void tw_events_begin(tw_events *e, int64_t step)
{
    e->step = step;
    e->n = 0;
}

int tw_events_number(tw_events *e, const char *tag, double v)
{
    if (tw_grow(&e->number, &e->cap, e->n + 1, sizeof *e->number) != 0)
        return -1;
    number *to = &e->number[e->n++];
    snprintf(to->tag, sizeof to->tag, "%s", tag);
    to->value = (Tw__Summary__Value)TW__SUMMARY__VALUE__INIT;
    to->value.has_simple_value = true;
    to->value.simple_value = (float)v;
    return 0;
}

int tw_events_end(tw_events *e)
{
    Tw__Event event = TW__EVENT__INIT;
    Tw__Summary summary = TW__SUMMARY__INIT;
    if (e->n == 0)
        return 0;
    if (tw_grow(&e->value, &e->value_cap, e->n, sizeof *e->value) != 0)
        return -1;
    for (size_t i = 0; i < e->n; i++) {
        e->value[i] = &e->number[i].value;
        e->value[i]->tag = e->number[i].tag;
    }
    summary.n_value = e->n;
    summary.value = e->value;
    event.has_step = true;
    event.step = e->step;
    event.summary = &summary;
    return write_event(e, &event);
}

int tw_events_close(tw_events *e)
{
    if (e == NULL)
        return 0;
    const int rc = fclose(e->f) == 0 ? 0 : tw_fail_errno("%s", e->path);
    free(e->path);
    free(e->number);
    free(e->value);
    free(e->message);
    free(e);
    return rc;
}
