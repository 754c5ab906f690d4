/* What every main() shares: program name, messages on stderr, help and version, signals, exit. The library returns its errors
 * (core/error.h); its warnings and progress go through here. */
#ifndef TW_CORE_PROGRAM_H
#define TW_CORE_PROGRAM_H

#include "core/clock.h"
#include "core/error.h"
#include "core/opts.h"

#include <stdnoreturn.h>

#define TW_VERSION "0.1.0"

enum { TW_EXIT_OK = 0, TW_EXIT_FAILED = 1, TW_EXIT_USAGE = 2, TW_EXIT_AGAIN = 75 };

/* Call first in main. name: "twist-decode", borrowed. Keeps argv. Reserves closed standard descriptors, so that no file opened later
 * gets number 0, 1 or 2; resets SIGCHLD to its default; ignores SIGXFSZ (writing then fails with EFBIG). */
void tw_program_start(const char *name, int argc, char **argv);

/* Only the first n words of argv are this program's options and operands: for a program that runs the command given after them. */
void tw_program_limit(int n);

/* Parses as tw_opts_parse does. -h prints `usage` (at most 24 lines, with the defaults) on stdout and -V the version; both exit 0. A mistake
 * prints one line and `try 'NAME -h'` on stderr and exits 2. */
void tw_program_options(const tw_opt *table, int n, tw_common *common, tw_strings *operands, const char *usage);

/* The whole command line, with shell quoting where needed ("twist-decode --shuffle photos/"), for the history in stream headers.
 * Borrowed; valid as long as the program runs. */
const char *tw_program_command(void);

/* For one of several processes of a program: errors name `part` ("rank 1"). quiet: no warnings, notes and progress from this one. */
void tw_program_part(const char *part, bool quiet);

/* Flushes stdout. 0 if everything printed on it so far has been written, else -1 and tw_error(). */
int tw_program_printed(void);

/* Print "NAME: message" on stderr as one line (newlines in it are written \n), then exit 1. tw_die_error prints tw_error(). */
noreturn void tw_die(const char *fmt, ...) TW_PRINTF(1, 2);
noreturn void tw_die_error(void);
/* The same with `try 'NAME -h'` and exit 2: for command-line mistakes that the option table cannot express. */
noreturn void tw_die_usage(const char *fmt, ...) TW_PRINTF(1, 2);

/* A message about lost data or output after which the program continues; -q does not silence it. */
void tw_complain(const char *fmt, ...) TW_PRINTF(1, 2);
/* Warnings (silenced by -q), and notes shown from `level` times -v on. */
void tw_warn(const char *fmt, ...) TW_PRINTF(1, 2);
void tw_note(int level, const char *fmt, ...) TW_PRINTF(2, 3);

/* Shows or replaces the progress line "NAME: <text>" on stderr, at most five times a second, if stderr is a terminal or --progress was
 * given, and never under -q. tw_progress_end() finishes the line. */
void tw_progress(const char *fmt, ...) TW_PRINTF(1, 2);
/* The same with the text "DONE of ALL WHAT, R/s", the rate being that since `start` (tw_now); all 0 or less: not known. */
void tw_progress_count(int64_t done, int64_t all, const char *what, double start);
void tw_progress_end(void);
/* Whether tw_progress would show its text now; lets a caller avoid composing it. */
bool tw_progress_due(void);
/* Formats seconds as "H:MM:SS", or "unknown" if they are negative, NaN or 1e15 and more. Returns text. */
const char *tw_progress_time(char *text, size_t size, double seconds);

/* From now on SIGINT, SIGTERM and SIGUSR1 only set a flag, and interrupt blocking system calls (EINTR). tw_stop_signal: the number of the last of
 * them received, or 0. */
void tw_catch_stops(void);
int tw_stop_signal(void);
/* The part of a stop message that says how to continue the run. resume: --resume was given. */
const char *tw_goes_on(bool resume);

/* How a program of a pipeline spent its time. The bottleneck is the program that waits for neither side. */
typedef struct {
    int64_t samples;       /* written; read, in a program that writes no stream */
    double seconds;        /* in total */
    double input, output;  /* of these, spent waiting for input and for the reader of the output */
} tw_waits;

/* Exits 2 if path is "-", for an option whose output must not mix with the stream on standard output. path NULL: option not given. option: long name
 * without dashes. */
void tw_program_file(const char *option, const char *path);

/* At the end of a program: prints the waits under -v and appends them to the file `log` (NULL: none) as one line of JSON. 0, or -1 and tw_error(). */
int tw_program_waits(const char *log, const tw_waits *w);
/* At the start of a program: checks that `log` (NULL: fine) can be appended to and is neither the output nor another file of the command line (as
 * tw_program_beside). 0, or -1 and tw_error(). */
int tw_program_log_check(const char *log, const char *output);
/* Checks that `path`, written besides the main output, is neither the file `output` nor a file that the command line names a second time, as an
 * input for example. path or output NULL or "-": no file. option: its name with dashes, for the message. 0, or -1 and tw_error(). */
int tw_program_beside(const char *option, const char *path, const char *output);

/* Whether the descriptor is a terminal: for refusing to write binary data to it. */
bool tw_is_terminal(int fd);

#endif
