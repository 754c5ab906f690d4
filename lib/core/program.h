/* What every main() shares: its name, its messages on stderr, help and version, signals, the exit. The library
 * returns its errors (core/error.h); what it goes on with, and how far it is, it says through here. */
#ifndef TW_CORE_PROGRAM_H
#define TW_CORE_PROGRAM_H

#include "core/clock.h"
#include "core/error.h"
#include "core/opts.h"

#include <stdnoreturn.h>

#define TW_VERSION "0.1.0"

enum { TW_EXIT_OK = 0, TW_EXIT_FAILED = 1, TW_EXIT_USAGE = 2, TW_EXIT_AGAIN = 75 };

/* Call first in main. name: "twist-decode". Keeps argv for tw_program_command(). */
void tw_program_start(const char *name, int argc, char **argv);

/* Only the first n words of the command line are options and operands: for a program that runs the command behind them. */
void tw_program_limit(int n);

/* Parses as tw_opts_parse does; then -h prints usage on stdout and exits 0, -V the version; a mistake prints its one line
 * and `try 'NAME -h'` on stderr and exits 2. usage: the static text, at most 24 lines, defaults in it. */
void tw_program_options(const tw_opt *table, int n, tw_common *common, tw_strings *operands, const char *usage);

/* "twist-decode --shuffle photos/": the command line as typed, quoted where the shell would need it; for the header's
 * history. Borrowed, lives as long as the program. */
const char *tw_program_command(void);

/* One of several processes of a program ("rank 1"): named by what goes wrong. quiet: the others speak of all else. */
void tw_program_part(const char *part, bool quiet);

/* 0 once all that was printed on standard output is written; else -1 and tw_error(). */
int tw_program_printed(void);

/* "NAME: message" on stderr, in one line (newlines in names are written \n), then exit 1. die_error() prints tw_error(). */
noreturn void tw_die(const char *fmt, ...) TW_PRINTF(1, 2);
noreturn void tw_die_error(void);
/* The same, exit 2: the command line is wrong in a way that the table cannot see. */
noreturn void tw_die_usage(const char *fmt, ...) TW_PRINTF(1, 2);

/* A message about something that is lost though the program goes on; -q does not silence it. */
void tw_complain(const char *fmt, ...) TW_PRINTF(1, 2);
/* Warnings (silenced by -q) and, with level 1 and up, remarks shown under -v. */
void tw_warn(const char *fmt, ...) TW_PRINTF(1, 2);
void tw_note(int level, const char *fmt, ...) TW_PRINTF(2, 3);

/* A progress line on stderr at most five times a second where stderr is a terminal or --progress was given, never under
 * -q: "NAME: <text>". tw_progress_end() finishes the line. */
void tw_progress(const char *fmt, ...) TW_PRINTF(1, 2);
void tw_progress_end(void);
/* Whether the next tw_progress would be shown (so that text need not be made in vain). */
bool tw_progress_due(void);
/* Seconds as "H:MM:SS" for it; "unknown" where they are no such time, as by a header with absurd numbers. Returns text. */
const char *tw_progress_time(char *text, size_t size, double seconds);

/* SIGINT, SIGTERM and SIGUSR1 set a flag instead of ending the program, whatever the main thread is computing; tw_stop_signal() is that
 * signal's number or 0. */
void tw_catch_stops(void);
int tw_stop_signal(void);
/* How a run that was stopped is gone on with, for the message that says so. resume: --resume was given. */
const char *tw_goes_on(bool resume);

/* What a program of a pipeline did with its time, so that the slow one is plain: the one that waits for neither side. */
typedef struct {
    int64_t samples;       /* written, or read where nothing is */
    double seconds;        /* in all */
    double input, output;  /* of these spent waiting for input, for the reader of the output */
} tw_waits;

/* Exits 2 where path (NULL: none) is -: what goes beside a stream on standard output goes into a file. option: its name without dashes. */
void tw_program_file(const char *option, const char *path);

/* At the end of a program: says so under -v, and appends it to the file `log` (NULL: none) as a line of JSON. 0, or -1 and tw_error(). */
int tw_program_waits(const char *log, const tw_waits *w);
/* Whether that file can be appended to and is not the output, asked at the start (NULL: yes). 0, or -1 and tw_error(). */
int tw_program_log_check(const char *log, const char *output);
/* Whether what goes beside the output (each NULL or -: no file) is another file, and none that the command line names for something else, to be read.
 * 0, or -1 and tw_error(), which names the option. */
int tw_program_beside(const char *option, const char *path, const char *output);

/* Whether NAME=fd is a terminal: for refusing to write binary there. */
bool tw_is_terminal(int fd);

#endif
