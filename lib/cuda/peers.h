/* All-reduces between ranks by NCCL, and a watchdog for them. */
#ifndef TW_CUDA_PEERS_H
#define TW_CUDA_PEERS_H

#include "nn/backend.h"

/* Waits until the device has finished all queued work. With peers it fails after `seconds`, or as soon as one of them is found to be gone; it then
 * also sets an alarm, so that SIGALRM ends the process should it hang while exiting. 0, or -1 and tw_error(). */
int tw_peers_watch(tw_dev *d, double seconds);

#endif
