/* Sums between ranks by NCCL, and the watch over them. */
#ifndef TW_CUDA_PEERS_H
#define TW_CUDA_PEERS_H

#include "nn/backend.h"

/* Waits until the device has done what was put on it. Where it has peers: for `seconds` at most, and not once one of them is found
 * to be gone; from then on the process, should it hang in its own end too, is ended by SIGALRM. 0, or -1 and tw_error(). */
int tw_peers_watch(tw_dev *d, double seconds);

#endif
