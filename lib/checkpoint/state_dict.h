/* Inside lib/checkpoint: converts the values of a pickle to tensors and metadata. */
#ifndef TW_CHECKPOINT_STATE_DICT_H
#define TW_CHECKPOINT_STATE_DICT_H

#include "checkpoint/contents.h"
#include "checkpoint/pickle.h"

typedef struct {
    const unsigned char *data;
    size_t size;
} tw_stored;

/* Finds the data of the storage with that key, of n bytes. 0, or -1 and tw_error(). */
typedef int tw_find_storage(void *context, tw_stored *s, const char *key, size_t n);

/* Limit of the bytes copied from a file of that size: every byte decoded from text and then put in order, plus room for expanded tensors of small
 * files. */
static inline size_t tw_state_dict_copies(size_t file)
{
    return 2 * file + (64 << 20);
}

/* Walks the value and adds its tensors and metadata to c, named as contents.h says. Tensors that are not in C order, and arrays pickled as text, are
 * copied, at most `most` bytes in all; what cannot be converted, such as arrays of other things than numbers, becomes the metadata "?". 0, or -1
 * and tw_error(): a tensor (named) outside its storage, too large to copy or of an unknown type; or values that contain themselves. */
int tw_state_dict_read(tw_contents *c, const tw_py *value, tw_find_storage *find, void *context, size_t most);

#endif
