#include "stream/input.h"

#include "core/ending.h"
#include "core/error.h"
#include "stream/zmq.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { PIPE_SIZE = 1 << 20, SHOWN = 160 };

/* The command with %r %n %e %s %% replaced. Free with free(). */
static char *expand(const char *command, const tw_place *place)
{
    const long long value[] = {place->rank, place->ranks, place->epoch, place->skip};
    char *text = malloc(strlen(command) * 21 / 2 + 32); /* two characters are replaced by at most 20 digits and a sign */
    if (text == NULL) {
        tw_fail("out of memory");
        return NULL;
    }
    char *to = text;
    for (const char *p = command; *p != '\0'; p++) {
        static const char letter[] = "rnes";
        const char *which = p[0] == '%' && p[1] != '\0' ? strchr(letter, p[1]) : NULL;
        if (which != NULL) {
            to += sprintf(to, "%lld", value[which - letter]);
            p++;
        } else {
            *to++ = *p;
            p += p[0] == '%' && p[1] == '%';
        }
    }
    *to = '\0';
    return text;
}

/* The shells of running commands, leaders of their process groups. Read by a signal handler. */
enum { MOST_COMMANDS = 8 };
static volatile sig_atomic_t commands[MOST_COMMANDS];
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

/* A terminal's signals do not reach their groups. */
static void end_commands(void)
{
    for (int i = 0; i < MOST_COMMANDS; i++)
        if (commands[i] > 0)
            kill(-(pid_t)commands[i], SIGTERM);
}

/* Makes the first `from` in the list `to`; nothing if there is none. */
static void replace_command(pid_t from, pid_t to)
{
    pthread_mutex_lock(&lock);
    for (int i = 0; i < MOST_COMMANDS; i++)
        if (commands[i] == from) {
            commands[i] = to;
            break;
        }
    pthread_mutex_unlock(&lock);
}

/* Runs the command in the child process; never returns. */
static void run_shell(const char *command, int out)
{
    setpgid(0, 0);
    signal(SIGPIPE, SIG_DFL);
    signal(SIGXFSZ, SIG_DFL);
    signal(SIGUSR1, SIG_IGN); /* batch systems send it to every process of a job before the time limit; only the program acts on it */
    const int null = open("/dev/null", O_RDONLY); /* the command must not read the program's standard input */
    if (null < 0 || dup2(null, STDIN_FILENO) < 0 || dup2(out, STDOUT_FILENO) < 0)
        _exit(126);
    execl("/bin/sh", "sh", "-c", command, (char *)NULL);
    _exit(127);
}

static int start_command(tw_input *in, const char *command, const tw_place *place)
{
    static const tw_place alone = {0, 1, 0, 0};
    int fd[2];
    char *text = expand(command, place != NULL ? place : &alone);
    if (text == NULL)
        return -1;
    const size_t room = SHOWN + 16;
    in->name = malloc(room);
    if (in->name == NULL) {
        tw_fail("out of memory");
        goto err1;
    }
    snprintf(in->name, room, "pipe:%.*s%s", SHOWN, text, strlen(text) > SHOWN ? "..." : "");
    if (pipe2(fd, O_CLOEXEC) != 0) {
        tw_fail_errno("%s", in->name);
        goto err1;
    }
    in->pid = fork();
    if (in->pid == 0)
        run_shell(text, fd[1]);
    close(fd[1]);
    if (in->pid < 0) {
        tw_fail_errno("%s", in->name);
        goto err0;
    }
    setpgid(in->pid, in->pid); /* in the parent too: either process may run first */
    replace_command(0, in->pid);
    tw_on_ending(end_commands);
    free(text);
    in->fd = fd[0];
    return 0;
err0:
    close(fd[0]);
err1:
    free(text);
    return -1;
}

static int open_file(tw_input *in, const char *endpoint)
{
    const bool standard = strcmp(endpoint, "-") == 0;
    in->name = strdup(standard ? "standard input" : endpoint);
    if (in->name == NULL)
        return tw_fail("out of memory");
    in->fd = standard ? fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3) : open(endpoint, O_RDONLY | O_CLOEXEC);
    if (in->fd < 0)
        tw_fail_errno("%s", in->name);
    else if (isatty(in->fd) == 1)
        tw_fail("%s: a terminal; want a stream", in->name);
    else
        return 0;
    if (in->fd >= 0)
        close(in->fd);
    return -1;
}

static int open_net(tw_input *in, const char *endpoint, int64_t most)
{
    in->name = strdup(endpoint);
    if (in->name == NULL)
        return tw_fail("out of memory");
    in->net = tw_net_open(endpoint, false, most);
    return in->net != NULL ? 0 : -1;
}

int tw_input_open(tw_input *in, const char *endpoint, const tw_place *place, int64_t most)
{
    *in = (tw_input){.fd = -1};
    const int rc = tw_zmq_is(endpoint) ? open_net(in, endpoint, most)
                   : strncmp(endpoint, "pipe:", 5) == 0 ? start_command(in, endpoint + 5, place)
                                                        : open_file(in, endpoint);
    if (rc != 0) {
        free(in->name);
        *in = (tw_input){.fd = -1};
        return -1;
    }
    if (in->net != NULL)
        return 0;
    fcntl(in->fd, F_SETPIPE_SZ, PIPE_SIZE); /* an error is ignored: not a pipe */
    posix_fadvise(in->fd, 0, 0, POSIX_FADV_SEQUENTIAL);
    return 0;
}

ssize_t tw_input_read(tw_input *in, void *to, size_t size)
{
    ssize_t got;
    if (in->net != NULL) {
        got = tw_net_read(in->net, to, size);
        return got < 0 ? tw_fail("%s: %s", in->name, tw_error()) : got;
    }
    while ((got = read(in->fd, to, size)) < 0 && errno == EAGAIN) { /* another process has made the pipe non-blocking */
        struct pollfd p = {.fd = in->fd, .events = POLLIN};
        poll(&p, 1, -1);
    }
    return got < 0 ? tw_fail_errno("%s", in->name) : got; /* EINTR too: the program may have to stop */
}

bool tw_input_ready(tw_input *in, int ms)
{
    struct pollfd p = {.fd = in->fd, .events = POLLIN};
    if (in->net != NULL)
        return tw_net_ready(in->net, ms);
    const int n = poll(&p, 1, ms);
    return n > 0 || (n < 0 && errno != EINTR);
}

int tw_input_last(tw_input *in)
{
    char more;
    ssize_t got = 0;
    if (in->net == NULL)
        got = tw_input_read(in, &more, 1);
    else if (tw_net_done(in->net) != 0)
        return tw_fail("%s: %s", in->name, tw_error());
    else if (tw_net_ready(in->net, 0))
        got = tw_input_read(in, &more, 1);
    return got > 0 ? tw_fail("%s: data after the end record", in->name) : (int)got;
}

bool tw_input_over(tw_input *in, int ms)
{
    const struct timespec tick = {0, 1000000};
    siginfo_t how = {0};
    for (int i = 0; in->pid != 0 && waitid(P_PID, (id_t)in->pid, &how, WEXITED | WNOHANG | WNOWAIT) == 0 && how.si_pid == 0; i++) {
        if (i == ms)
            return false;
        nanosleep(&tick, NULL);
    }
    return true;
}

int tw_input_end(tw_input *in)
{
    int status;
    pid_t pid;
    if (in->pid == 0)
        return 0;
    do
        pid = waitpid(in->pid, &status, 0);
    while (pid < 0 && errno == EINTR);
    replace_command(in->pid, 0);
    in->pid = 0;
    if (pid < 0)
        return tw_fail_errno("%s", in->name);
    in->killed = WIFSIGNALED(status) || WEXITSTATUS(status) > 128; /* 128 + signal: status of a shell whose command a signal ended */
    if (WIFSIGNALED(status))
        return tw_fail("%s: the command was ended by signal %d (%s)", in->name, WTERMSIG(status), strsignal(WTERMSIG(status)));
    if (WEXITSTATUS(status) != 0)
        return tw_fail("%s: the command failed with status %d", in->name, WEXITSTATUS(status));
    return 0;
}

/* Waits up to two seconds for the shell and its whole process group to end. Whether they did. */
static bool gone(pid_t pid)
{
    const struct timespec tick = {0, 10000000};
    bool waited_for = false;
    for (int i = 0; i < 200; i++) {
        waited_for = waited_for || waitpid(pid, NULL, WNOHANG) != 0;
        if (waited_for && kill(-pid, 0) != 0) /* the group's number is not reused while it has members */
            return true;
        nanosleep(&tick, NULL);
    }
    return false;
}

void tw_input_close(tw_input *in)
{
    tw_net_close(in->net);
    if (in->fd >= 0)
        close(in->fd);
    if (in->pid > 0) {
        kill(-in->pid, SIGTERM);
        if (!gone(in->pid)) {
            kill(-in->pid, SIGKILL);
            waitpid(in->pid, NULL, 0);
        }
        replace_command(in->pid, 0);
    }
    free(in->name);
    *in = (tw_input){.fd = -1};
}
