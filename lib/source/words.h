/* Words in the text files that this program keeps for itself: any bytes but NUL, with those up to space, '%', '-' alone and DEL written
 * %XX, so that spaces and line ends part them and "-" can stand for none. */
#ifndef TW_SOURCE_WORDS_H
#define TW_SOURCE_WORDS_H

#include <stdbool.h>
#include <stdio.h>

/* Writes the word and the byte after it. */
void tw_word_write(FILE *f, const char *word, char after);

/* Undoes that for the bytes from `from` up to `end`: in place, with a NUL at the end, if store is set. False where they are damaged or
 * none. */
bool tw_word_read(char *from, const char *end, bool store);

#endif
