/* CURVE keys: generation, key files, and the list of public keys that are allowed. */
#ifndef TW_FEED_KEYS_H
#define TW_FEED_KEYS_H

#include <stdbool.h>
#include <stddef.h>

enum { TW_KEY = 41 }; /* a key as text (Z85) with its NUL */

/* Generates a key pair into NAME.key (the secret key, mode 0600) and NAME.pub ("KEY NAME", a line for a list of allowed keys). Neither may exist. 0,
 * or -1 and tw_error(). */
int tw_keys_make(const char *name);

/* Reads a secret key and derives its public key. The file must be a regular file (no link) of this user, without permissions for others; the formats
 * of curve_keygen and czmq are read too. Wipe the secret with explicit_bzero after use. 0, or -1 and tw_error(). */
int tw_keys_read(char secret[TW_KEY], char public[TW_KEY], const char *path);

/* Reads the public key in a file (NAME.pub). 0, or -1 and tw_error(). */
int tw_keys_public(char public[TW_KEY], const char *path);

typedef struct {
    unsigned char key[32];
    char name[96];
} tw_allowed;

typedef struct {
    tw_allowed *item;
    size_t n, cap;
} tw_allow_list;

/* Reads a file of lines "KEY NAME" (empty lines and those beginning with "# " are ignored) and replaces the list. 0, or -1 and tw_error(): the list
 * is then empty, and no key is allowed. */
int tw_allow_read(tw_allow_list *l, const char *path);
void tw_allow_fini(tw_allow_list *l);
/* The name of a public key's owner, borrowed; NULL: the key is not allowed. */
const char *tw_allow_find(const tw_allow_list *l, const unsigned char key[32]);
bool tw_allow_has(const tw_allow_list *l, const char *name);

#endif
