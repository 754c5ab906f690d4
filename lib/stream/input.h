/* The source of a stream as bytes to read: "-" (standard input), a file, "pipe:COMMAND" or a ZeroMQ endpoint. */
#ifndef TW_STREAM_INPUT_H
#define TW_STREAM_INPUT_H

#include "stream/net.h"
#include "stream/reader.h"

#include <sys/types.h>

typedef struct {
    int fd;
    tw_net *net; /* used instead of fd if not NULL */
    pid_t pid;  /* of the command's shell, leader of its own process group; 0: no command, or it has been waited for */
    char *name; /* for messages */
    bool killed; /* set by tw_input_end: a signal ended the command */
} tw_input;

/* Opens the endpoint; pipes are enlarged to 1 MiB. place: see tw_place, NULL: rank 0 of 1, epoch 0, skip 0; most: largest ZeroMQ message accepted,
 * bytes. 0, or -1 and tw_error() with nothing left open. */
int tw_input_open(tw_input *in, const char *endpoint, const tw_place *place, int64_t most);

/* As read(2), but blocks even if the descriptor is non-blocking. Bytes read; 0 at the end; -1 and tw_error(), also for EINTR. */
ssize_t tw_input_read(tw_input *in, void *to, size_t size);
/* Whether tw_input_read would return at once; waits up to ms milliseconds for that. */
bool tw_input_ready(tw_input *in, int ms);

/* Call after the end record: checks that the input ends there (over ZeroMQ, also confirms the end record to the writer). 0, or -1 and
 * tw_error(). */
int tw_input_last(tw_input *in);
/* Whether tw_input_end would return at once; waits up to about ms milliseconds for that. */
bool tw_input_over(tw_input *in, int ms);
/* Call after the last byte: waits for the command. 0 (also without a command), or -1 and tw_error() if it failed. */
int tw_input_end(tw_input *in);

/* Closes. If the command still runs, its process group gets SIGTERM and, if it has not ended after two seconds, SIGKILL. */
void tw_input_close(tw_input *in);

#endif
