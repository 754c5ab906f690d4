/* Opening this project's shared libraries at run time. */
#ifndef TW_CORE_LIBRARY_H
#define TW_CORE_LIBRARY_H

/* Opens libtwist-NAME.so, searched beside the executable, in ../lib relative to it, then on the dynamic loader's path. It stays loaded.
 * Returns dlopen's handle; NULL and tw_error() if none is found, or if the first one found does not load. */
void *tw_library_open(const char *name);

#endif
