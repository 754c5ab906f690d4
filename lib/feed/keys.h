/* Keys of CURVE: made, read from files that nobody else can read, and the list of those that are let in. */
#ifndef TW_FEED_KEYS_H
#define TW_FEED_KEYS_H

#include <stdbool.h>
#include <stddef.h>

enum { TW_KEY = 41 }; /* a key as text (Z85) with its NUL */

/* Makes NAME.key (secret, mode 0600, must not be there yet) and NAME.pub ("KEY NAME", as lists of allowed keys have it). 0, or -1. */
int tw_keys_make(const char *name);

/* The secret key in a file and its public key. The file must be a regular file of this user that nobody else may read or write, no
 * link. Also as curve_keygen and czmq write them. 0, or -1 and tw_error(). Wipe the secret with explicit_bzero after use. */
int tw_keys_read(char secret[TW_KEY], char public[TW_KEY], const char *path);

/* The public key in a file (NAME.pub). 0, or -1 and tw_error(). */
int tw_keys_public(char public[TW_KEY], const char *path);

typedef struct {
    unsigned char key[32];
    char name[96];
} tw_allowed;

typedef struct {
    tw_allowed *item;
    size_t n, cap;
} tw_allow_list;

/* Lines "KEY NAME"; empty ones and those that begin with "# " are passed over. Replaces what the list holds. 0, or -1 and tw_error() (the
 * list is then empty: nobody is let in). */
int tw_allow_read(tw_allow_list *l, const char *path);
void tw_allow_fini(tw_allow_list *l);
/* The name of a key's owner, borrowed; NULL: not allowed. */
const char *tw_allow_find(const tw_allow_list *l, const unsigned char key[32]);
bool tw_allow_has(const tw_allow_list *l, const char *name);

#endif
