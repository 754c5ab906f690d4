/* All-reduce of the gradients over all ranks, overlapped with the backward pass: buckets are summed from the last tensor to the first, as soon
 * as all layers that add to them have run. */
#ifndef TW_NN_EXCHANGE_H
#define TW_NN_EXCHANGE_H

#include "nn/net.h"

#include <limits.h>

typedef struct {
    tw_net *net;
    size_t from; /* index into the block of gradients: the sums of those from here on have been started */
} tw_exchange;

enum { TW_EXCHANGE_NONE = INT_MAX };

void tw_exchange_start(tw_exchange *x, tw_net *net); /* once per backward pass; net is borrowed */
/* Says that the gradients of tensors number `param` and above are final (TW_EXCHANGE_NONE: none are), and starts the sum of those collected so
 * far if they are enough for a message. 0, or -1 and tw_error(). */
int tw_exchange_down_to(tw_exchange *x, int param);
/* Says that all gradients are final, starts the sums that are left, and waits for all. 0, or -1 and tw_error(). */
int tw_exchange_finish(tw_exchange *x);

#endif
