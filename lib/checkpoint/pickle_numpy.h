/* Inside lib/checkpoint: numpy's types, bytes and scalars among the values of a pickle. */
#ifndef TW_CHECKPOINT_PICKLE_NUMPY_H
#define TW_CHECKPOINT_PICKLE_NUMPY_H

#include "checkpoint/pickle.h"

/* The element type of a DTYPE; false: one that tensors do not have (objects, strings, dates). Whether a DTYPE is big-endian (tensors never are). */
bool tw_py_dtype(tw_dtype *to, const tw_py *dtype);
bool tw_py_is_big_endian(const tw_py *dtype);

/* Decodes a LATIN1 to the bytes that its characters stand for. 0, or -1 and tw_error() if their number is not `bytes` or a character is no byte. */
int tw_py_latin1(unsigned char *to, size_t bytes, const tw_py *text);

/* A SCALAR as BOOL, INT or FLOAT; an f32 becomes the double of its shortest decimal. OPAQUE: not a number, or one that Python does not have. */
tw_py tw_py_number(const tw_py *scalar);

#endif
