/* Where a stream comes from: "-", a file, or "pipe:COMMAND", as a descriptor to read. */
#ifndef TW_STREAM_INPUT_H
#define TW_STREAM_INPUT_H

#include "stream/reader.h"

#include <sys/types.h>

typedef struct {
    int fd;
    pid_t pid;  /* of the command's shell, which leads a process group of its own; 0: no command, or it has been waited for */
    char *name; /* for messages */
} tw_input;

/* Opens the endpoint (place NULL: 0 1 0 0); pipes are enlarged to 1 MiB. 0, or -1 and tw_error() with nothing open. */
int tw_input_open(tw_input *in, const char *endpoint, const tw_place *place);

/* After the last byte: waits for the command. 0, or -1 and tw_error() if it failed. */
int tw_input_end(tw_input *in);

/* Closes; a command that still runs gets SIGTERM, two seconds, then SIGKILL, with all its process group. */
void tw_input_close(tw_input *in);

/* 0 where an endpoint's scheme is none that this build has (tcp:, ipc:): -1 and tw_error(). */
int tw_endpoint_check(const char *endpoint);

#endif
