/* Saves a batch whose loss or gradient is not finite as a stream of views, for twist-cat. */
#ifndef TW_TRAIN_BAD_BATCH_H
#define TW_TRAIN_BAD_BATCH_H

#include "train/loader.h"

/* Writes the batch as a views stream, its samples with key, index, epoch, pos and label. from: header of the stream that they came from; command:
 * appended to its history. 0, or -1 and tw_error(). */
int tw_bad_batch_save(const char *path, const tw_batch *b, const tw_header *from, const char *command);

#endif
