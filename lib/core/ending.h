/* What is left to do when a signal ends the program. */
#ifndef TW_CORE_ENDING_H
#define TW_CORE_ENDING_H

/* Calls f before a signal that the program neither handles nor ignores ends this process; not in a forked child. f: async-signal-safe. For four
 * functions of a program at most; each once. */
void tw_on_ending(void (*f)(void));

#endif
