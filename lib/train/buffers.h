/* A copy of what a network has beside its parameters (running statistics), for a step that may have to be undone. */
#ifndef TW_TRAIN_BUFFERS_H
#define TW_TRAIN_BUFFERS_H

#include "nn/net.h"

typedef struct tw_buffers tw_buffers;

tw_buffers *tw_buffers_new(tw_net *net); /* net is kept. NULL and tw_error() */
void tw_buffers_free(tw_buffers *b);     /* NULL is allowed */

/* Copies them; sets them to the copy. Each 0, or -1 and tw_error(). */
int tw_buffers_keep(tw_buffers *b);
int tw_buffers_restore(tw_buffers *b);

#endif
