/* Inside lib/checkpoint: the result of the readers of files other than safetensors (tensors and metadata), and mapped files. */
#ifndef TW_CHECKPOINT_CONTENTS_H
#define TW_CHECKPOINT_CONTENTS_H

#include "checkpoint/safetensors.h"
#include "checkpoint/zip.h"

typedef struct {
    const unsigned char *data; /* NULL: an empty file */
    size_t size;
} tw_map;

/* Maps a regular file for reading. 0, or -1 and tw_error() naming it. */
int tw_map_open(tw_map *m, const char *path);
void tw_map_close(tw_map *m);

/* Owns names, texts and blocks (copies of tensors' data); other tensors' data are borrowed from the mapped file. Initialise with zeros, free with
 * tw_contents_fini. */
typedef struct {
    tw_named_tensor *tensor;
    char *(*meta)[2];
    void **block;
    size_t n, cap, n_meta, meta_cap, n_blocks, block_cap;
} tw_contents;

/* Each 0, or -1 and tw_error(). Name, key and value are copied; the tensor's data are borrowed. */
int tw_contents_tensor(tw_contents *c, const char *name, const tw_tensor *t);
int tw_contents_meta(tw_contents *c, const char *key, const char *value);
void *tw_contents_block(tw_contents *c, size_t bytes); /* lives as long as c; NULL and tw_error() */
void tw_contents_fini(tw_contents *c);

/* numpy's name of each element type, without byte order ("f4"); NULL: it has none. tw_numpy_dtype: the type of that name, of n bytes; false: none. */
extern const char *const tw_numpy_types[TW_DTYPES];
bool tw_numpy_dtype(tw_dtype *to, const char *word, size_t n);

/* Readers. file: the whole mapped file, which must outlive c. 0, or -1 and tw_error() without the file's name.
 *
 * A tensor's name is its path of keys in the nested dicts, joined by dots; every other leaf becomes metadata under such a name, in JSON syntax, or
 * "?" if it is of a class that is not interpreted. tw_pth_read: PyTorch's zip, entry "NAME/data.pkl"; tw_pth_read_legacy: torch.save before
 * version 1.6. tw_npz_read: numpy.savez, arrays in C order. tw_pkl_read: detectron2's pickle of numpy arrays; the names of its ResNets
 * ("model.res2.0.conv1.norm.weight") become torchvision's ("layer1.0.bn1.weight"). */
int tw_pth_read(tw_contents *c, const tw_zip *z);
bool tw_pth_is_legacy(const tw_map *file);
int tw_pth_read_legacy(tw_contents *c, const tw_map *file);
int tw_npz_read(tw_contents *c, const tw_zip *z);
bool tw_pkl_is(const tw_map *file);
int tw_pkl_read(tw_contents *c, const tw_map *file);

#endif
