/* The gradients' sums over all ranks, begun while the backward pass goes on: from the last tensor to the first, as the layers that
 * add to them are done. */
#ifndef TW_NN_EXCHANGE_H
#define TW_NN_EXCHANGE_H

#include "nn/net.h"

#include <limits.h>

typedef struct {
    tw_net *net;
    size_t from; /* of the gradients' floats, those from here on have been begun */
} tw_exchange;

enum { TW_EXCHANGE_NONE = INT_MAX };

void tw_exchange_start(tw_exchange *x, tw_net *net);
/* Nothing more will be added to the gradients of tensors number `param` and above; TW_EXCHANGE_NONE: of none. Begins what has come
 * together, if it is worth a message. 0, or -1 and tw_error(). */
int tw_exchange_down_to(tw_exchange *x, int param);
/* All gradients are complete: waits until all have been summed. 0, or -1 and tw_error(). */
int tw_exchange_finish(tw_exchange *x);

#endif
