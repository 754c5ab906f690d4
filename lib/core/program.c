#include "core/program.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static struct {
    const char *name;
    char *command;
    int argc;
    char **argv;
    char part[24];   /* "rank 1: "; empty: a single process */
    bool quiet, silent, progress;
    _Atomic bool line_open; /* an unfinished progress line is on stderr; reader threads print messages too */
    int verbose;
    double last_progress;
} program = {.name = "twist"};

static volatile sig_atomic_t stop_signal;

bool tw_is_terminal(int fd)
{
    return isatty(fd) == 1;
}

/* Appends a word to the text at *to, quoted if the shell would change it, and advances *to. */
static void append_word(char **to, const char *word)
{
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-./=:,+@%";
    const bool quote = word[0] == '\0' || word[strspn(word, plain)] != '\0';
    char *p = *to;
    if (quote)
        *p++ = '\'';
    for (; *word != '\0'; word++) {
        if (*word == '\'') {
            memcpy(p, "'\\''", 4);
            p += 4;
        } else {
            *p++ = *word;
        }
    }
    if (quote)
        *p++ = '\'';
    *to = p;
}

/* Opens each closed standard descriptor in the wrong direction: using it still fails, and no later file gets its number. */
static void keep_standard_streams(void)
{
    for (int fd = 0; fd < 3; fd++)
        while (fcntl(fd, F_GETFD) < 0 && open("/dev/null", fd == STDOUT_FILENO ? O_RDONLY : O_WRONLY) >= 0)
            ;
}

void tw_program_start(const char *name, int argc, char **argv)
{
    keep_standard_streams();
    signal(SIGCHLD, SIG_DFL); /* if inherited as ignored, waitpid could not get the status of commands */
    signal(SIGXFSZ, SIG_IGN); /* a write beyond the file size limit fails with EFBIG instead */
    size_t room = strlen(name) + 1;
    for (int i = 1; i < argc; i++)
        room += 4 * strlen(argv[i]) + 3;
    program.name = name;
    program.argc = argc;
    program.argv = argv;
    program.command = malloc(room);
    if (program.command == NULL)
        tw_die("out of memory");
    char *p = program.command;
    append_word(&p, name);
    for (int i = 1; i < argc; i++) {
        *p++ = ' ';
        append_word(&p, argv[i]);
    }
    *p = '\0';
}

void tw_program_limit(int n)
{
    program.argc = n;
}

const char *tw_program_command(void)
{
    return program.command;
}

void tw_program_part(const char *part, bool quiet)
{
    snprintf(program.part, sizeof program.part, "%s: ", part);
    program.silent = quiet;
}

static void say(const char *part, const char *fmt, va_list ap)
{
    char text[4096], line[2 * sizeof text], *to = line;
    tw_progress_end();
    vsnprintf(text, sizeof text, fmt, ap);
    for (const char *p = text; *p != '\0'; p++) {
        if (*p == '\n')
            *to++ = '\\';
        *to++ = *p == '\n' ? 'n' : *p;
    }
    *to = '\0';
    fprintf(stderr, "%s: %s%s\n", program.name, part, line); /* one write, so that lines of other processes do not mix in */
}

void tw_die(const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    say(program.part, fmt, ap);
    va_end(ap);
    exit(TW_EXIT_FAILED);
}

void tw_die_error(void)
{
    tw_die("%s", tw_error());
}

void tw_die_usage(const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    say(program.part, fmt, ap);
    va_end(ap);
    fprintf(stderr, "try '%s -h'\n", program.name);
    exit(TW_EXIT_USAGE);
}

void tw_complain(const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    say(program.part, fmt, ap);
    va_end(ap);
}

void tw_warn(const char *fmt, ...)
{
    if (program.quiet || program.silent)
        return;
    va_list ap;
    va_start(ap, fmt);
    say("", fmt, ap);
    va_end(ap);
}

void tw_note(int level, const char *fmt, ...)
{
    if (program.quiet || program.silent || program.verbose < level)
        return;
    va_list ap;
    va_start(ap, fmt);
    say("", fmt, ap);
    va_end(ap);
}

bool tw_progress_due(void)
{
    return !program.quiet && !program.silent && (program.progress || tw_is_terminal(STDERR_FILENO)) && tw_now() - program.last_progress >= 0.2;
}

void tw_progress(const char *fmt, ...)
{
    if (!tw_progress_due())
        return;
    program.last_progress = tw_now();
    va_list ap;
    va_start(ap, fmt);
    flockfile(stderr);
    fprintf(stderr, "\r%s: ", program.name);
    vfprintf(stderr, fmt, ap);
    fputs("\033[K", stderr);
    fflush(stderr);
    funlockfile(stderr);
    va_end(ap);
    program.line_open = true;
}

void tw_progress_count(int64_t done, int64_t all, const char *what, double start)
{
    if (!tw_progress_due())
        return;
    const double rate = (double)done / (tw_now() - start);
    if (all > 0)
        tw_progress("%lld of %lld %s, %.0f/s", (long long)done, (long long)all, what, rate);
    else
        tw_progress("%lld %s, %.0f/s", (long long)done, what, rate);
}

const char *tw_progress_time(char *text, size_t size, double seconds)
{
    const long long s = seconds >= 0 && seconds < 1e15 ? (long long)seconds : -1;
    if (s < 0)
        snprintf(text, size, "unknown");
    else
        snprintf(text, size, "%lld:%02lld:%02lld", s / 3600, s / 60 % 60, s % 60);
    return text;
}

void tw_progress_end(void)
{
    if (program.line_open)
        fputc('\n', stderr);
    program.line_open = false;
}

int tw_program_printed(void)
{
    errno = 0; /* the reason of an earlier failed write is not known any more */
    if (fflush(stdout) == 0 && !ferror(stdout))
        return 0;
    return errno != 0 ? tw_fail_errno("standard output: cannot be written") : tw_fail("standard output: cannot be written");
}

void tw_program_options(const tw_opt *table, int n, tw_common *common, tw_strings *operands, const char *usage)
{
    if (tw_opts_parse(program.argc, program.argv, table, n, common, operands) != 0)
        tw_die_usage("%s", tw_error());
    if (common->help || common->version) {
        if (common->help)
            fputs(usage, stdout);
        else
            printf("%s (TWIST in C) %s\n", program.name, TW_VERSION);
        if (tw_program_printed() != 0)
            tw_die_error();
        exit(TW_EXIT_OK);
    }
    program.quiet = common->quiet;
    program.progress = common->progress;
    program.verbose = common->verbose;
}

int tw_program_waits(const char *log, const tw_waits *w)
{
    tw_note(1, "%lld samples in %.2f s: waited %.2f s for input, %.2f s for output", (long long)w->samples, w->seconds, w->input, w->output);
    if (log == NULL)
        return 0;
    FILE *f = fopen(log, "ae"); /* one write for the line: several programs may share the file */
    if (f == NULL)
        return tw_fail_errno("%s", log);
    fprintf(f, "{\"program\": \"%s\", \"samples\": %lld, \"seconds\": %.3f, \"waited_input\": %.3f, \"waited_output\": %.3f}\n", program.name,
            (long long)w->samples, w->seconds, w->input, w->output);
    return fclose(f) == 0 ? 0 : tw_fail_errno("%s", log);
}

static bool is_file(const char *path, const struct stat *of)
{
    struct stat st;
    return stat(path, &st) == 0 && st.st_dev == of->st_dev && st.st_ino == of->st_ino;
}

/* How many words of the command line name this file, alone or after an '='. */
static int words_of(const struct stat *of)
{
    int n = 0;
    for (int i = 1; i < program.argc; i++) {
        bool yes = is_file(program.argv[i], of);
        for (const char *p = program.argv[i]; !yes && (p = strchr(p, '=')) != NULL;)
            yes = is_file(++p, of);
        n += yes;
    }
    return n;
}

int tw_program_beside(const char *option, const char *path, const char *output)
{
    struct stat st;
    if (path == NULL || strcmp(path, "-") == 0)
        return 0;
    const bool there = stat(path, &st) == 0 && S_ISREG(st.st_mode), open = output != NULL && strcmp(output, "-") != 0;
    if (open && (strcmp(path, output) == 0 || (there && is_file(output, &st))))
        return tw_fail("%s=%s: is the output file too", option, path);
    return there && words_of(&st) > 1 ? tw_fail("%s=%s: the command line uses the same file for something else", option, path) : 0;
}

void tw_program_file(const char *option, const char *path)
{
    if (path != NULL && strcmp(path, "-") == 0)
        tw_die_usage("--%s: '-': give a file; standard output carries the stream", option);
}

int tw_program_log_check(const char *log, const char *output)
{
    if (tw_program_beside("--log", log, output) != 0)
        return -1;
    FILE *f = log != NULL ? fopen(log, "ae") : NULL;
    return log == NULL || (f != NULL && fclose(f) == 0) ? 0 : tw_fail_errno("%s", log);
}

static void on_stop(int sig)
{
    stop_signal = sig;
}

void tw_catch_stops(void)
{
    /* The handler needs its own stack: dnnl_sgemm of oneDNN before 3.12 computes with the stack pointer inside its panels, which a handler
     * running on that stack would overwrite (oneDNN issue 4845). */
    static char stack[1 << 16];
    sigaltstack(&(stack_t){.ss_sp = stack, .ss_size = sizeof stack}, NULL);
    /* no SA_RESTART: a blocking read returns at once */
    struct sigaction a = {.sa_handler = on_stop, .sa_flags = SA_ONSTACK};
    sigemptyset(&a.sa_mask);
    sigaction(SIGINT, &a, NULL);
    sigaction(SIGTERM, &a, NULL);
    sigaction(SIGUSR1, &a, NULL);
}

int tw_stop_signal(void)
{
    return stop_signal;
}

const char *tw_goes_on(bool resume)
{
    return resume ? "run the same command again to continue" : "run the same command with --resume to continue";
}
