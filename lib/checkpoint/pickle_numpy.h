/* Inside lib/checkpoint: numpy's types, bytes and numbers among the values of a pickle. */
#ifndef TW_CHECKPOINT_PICKLE_NUMPY_H
#define TW_CHECKPOINT_PICKLE_NUMPY_H

#include "checkpoint/pickle.h"

/* The element type of a DTYPE; false: one that tensors do not have (objects, texts, dates). Whether it is big-endian, as none here is. */
bool tw_py_dtype(tw_dtype *to, const tw_py *dtype);
bool tw_py_is_big_endian(const tw_py *dtype);

/* The bytes that are the characters of a LATIN1 into to. 0, or -1 and tw_error(): they are not `bytes`, or no bytes. */
int tw_py_latin1(unsigned char *to, size_t bytes, const tw_py *text);

/* A SCALAR as Python's number: BOOL, INT or FLOAT, an f32 as the number of its shortest decimal. OPAQUE: Python has no such number, or it is none. */
tw_py tw_py_number(const tw_py *scalar);

#endif
