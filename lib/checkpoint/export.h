/* Writing tensors in other programs' file formats: temp + sync + rename; 0, or -1 and tw_error() with the old file as it was. The metadata are not
 * written, as these formats have no place for them; the parameters only give all writers one signature. */
#ifndef TW_CHECKPOINT_EXPORT_H
#define TW_CHECKPOINT_EXPORT_H

#include "checkpoint/safetensors.h"

/* PyTorch's zip format: an OrderedDict of tensors by name, for torch.load(path, weights_only=True). */
int tw_pth_write(const char *path, const tw_named_tensor *t, int n, const char *const (*meta)[2], int n_meta);

/* .npz, for numpy.load: an array for each tensor; bf16, which numpy lacks, as f32. */
int tw_npz_write(const char *path, const tw_named_tensor *t, int n, const char *const (*meta)[2], int n_meta);

/* detectron2's .pkl: the pickle of {"model": {name: array}, "__author__": ..., "matching_heuristics": True}; bf16 as f32. */
int tw_detectron2_write(const char *path, const tw_named_tensor *t, int n, const char *const (*meta)[2], int n_meta);

#endif
