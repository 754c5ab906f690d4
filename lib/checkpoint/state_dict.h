/* Inside lib/checkpoint: the values of a pickle as tensors and metadata. */
#ifndef TW_CHECKPOINT_STATE_DICT_H
#define TW_CHECKPOINT_STATE_DICT_H

#include "checkpoint/contents.h"
#include "checkpoint/pickle.h"

typedef struct {
    const unsigned char *data;
    size_t size;
} tw_stored;

/* Finds a storage by its key. 0, or -1 and tw_error(). */
typedef int tw_find_storage(void *context, tw_stored *s, const char *key, size_t n);

/* What may be copied of a file of that many bytes: its texts as bytes, and these in order; and, of a small one, tensors that were expanded. */
static inline size_t tw_state_dict_copies(size_t file)
{
    return 2 * file + (64 << 20);
}

/* Walks the value (naming as in contents.h). Tensors whose strides are not those of C order, and arrays whose bytes are written as a text, are
 * copied, at most `most` bytes in all; what cannot be read, such as arrays of no numbers, becomes the metadata "?". 0, or -1 and tw_error() naming
 * the tensor: outside its storage, too large a copy, of an unknown type; or endless values. */
int tw_state_dict_read(tw_contents *c, const tw_py *value, tw_find_storage *find, void *context, size_t most);

#endif
