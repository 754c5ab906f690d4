/* Words in the index and listing files: any bytes except NUL; control characters, space, DEL, '%', and the word "-" are written %XX, so that words
 * can be separated by spaces and line ends, and "-" can mean "none". */
#ifndef TW_SOURCE_WORDS_H
#define TW_SOURCE_WORDS_H

#include <stdbool.h>
#include <stdio.h>

/* Writes the word, escaped, and the byte `after`. Errors stay in ferror(f). */
void tw_word_write(FILE *f, const char *word, char after);

/* Checks the escaped word [from, end) and, if store is set, unescapes it in place, ended by a NUL (at `end` at the latest). False if it is malformed
 * or empty. */
bool tw_word_read(char *from, const char *end, bool store);

#endif
