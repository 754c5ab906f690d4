/* The shared libraries of this suite that a program opens at run time. */
#ifndef TW_CORE_LIBRARY_H
#define TW_CORE_LIBRARY_H

/* Opens libtwist-NAME.so: looked for beside the executable, in ../lib from there, then by the loader's own path. It stays loaded.
 * NULL and tw_error(). */
void *tw_library_open(const char *name);

#endif
