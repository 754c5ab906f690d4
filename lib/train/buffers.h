/* A backup of a network's buffers (running statistics, num_batches_tracked), to undo a step. */
#ifndef TW_TRAIN_BUFFERS_H
#define TW_TRAIN_BUFFERS_H

#include "nn/net.h"

typedef struct tw_buffers tw_buffers;

tw_buffers *tw_buffers_new(tw_net *net); /* net is borrowed until free. NULL and tw_error() */
void tw_buffers_free(tw_buffers *b);     /* NULL is allowed */

/* keep: copies the net's buffers; restore: sets them to that copy. 0, or -1 and tw_error(). */
int tw_buffers_keep(tw_buffers *b);
int tw_buffers_restore(tw_buffers *b);

#endif
