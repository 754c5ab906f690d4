/* Where a stream comes from: "-", a file, "pipe:COMMAND" or an endpoint of ZeroMQ, as bytes to read. */
#ifndef TW_STREAM_INPUT_H
#define TW_STREAM_INPUT_H

#include "stream/net.h"
#include "stream/reader.h"

#include <sys/types.h>

typedef struct {
    int fd;
    tw_net *net; /* instead of the descriptor; NULL: none */
    pid_t pid;  /* of the command's shell, which leads a process group of its own; 0: no command, or it has been waited for */
    char *name; /* for messages */
    bool killed; /* by tw_input_end: the command was ended by a signal */
} tw_input;

/* Opens the endpoint (place NULL: 0 1 0 0); pipes are enlarged to 1 MiB; most: bytes of a message. 0, or -1 and tw_error() with nothing open. */
int tw_input_open(tw_input *in, const char *endpoint, const tw_place *place, int64_t most);

/* As read(2), waiting where the descriptor is non-blocking: bytes read, 0 at their end, -1 and tw_error() (also for EINTR). */
ssize_t tw_input_read(tw_input *in, void *to, size_t size);
/* Whether tw_input_read would return at once; waits so many milliseconds for that. */
bool tw_input_ready(tw_input *in, int ms);

/* After the end record: nothing may follow (-1 and tw_error(): something does, or it cannot be known). */
int tw_input_last(tw_input *in);
/* Whether tw_input_end would return at once; waits so many milliseconds for that. */
bool tw_input_over(tw_input *in, int ms);
/* After the last byte: waits for the command. 0, or -1 and tw_error() if it failed. */
int tw_input_end(tw_input *in);

/* Closes; a command that still runs gets SIGTERM, two seconds, then SIGKILL, with all its process group. */
void tw_input_close(tw_input *in);

#endif
