#include "core/ending.h"

#include <pthread.h>
#include <signal.h>
#include <stddef.h>
#include <unistd.h>

enum { MOST = 4 };

/* Read by a signal handler. */
static void (*volatile to_do[MOST])(void);
static volatile pid_t owner;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static void on_ending(int sig)
{
    for (int i = 0; i < MOST && owner == getpid(); i++)
        if (to_do[i] != NULL)
            to_do[i]();
    signal(sig, SIG_DFL);
    raise(sig); /* blocked, hence delivered when this handler returns */
}

/* Handles the signals that would end the process. */
static void begin(void)
{
    static const int deadly[] = {SIGINT, SIGTERM, SIGHUP, SIGPIPE, SIGQUIT, SIGUSR1, SIGUSR2, SIGXCPU, SIGXFSZ};
    owner = getpid();
    for (size_t i = 0; i < sizeof deadly / sizeof *deadly; i++) {
        struct sigaction now, then = {.sa_handler = on_ending};
        if (sigaction(deadly[i], NULL, &now) == 0 && (now.sa_flags & SA_SIGINFO) == 0 && now.sa_handler == SIG_DFL)
            sigaction(deadly[i], &then, NULL);
    }
}

void tw_on_ending(void (*f)(void))
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, begin);
    pthread_mutex_lock(&lock);
    int i = 0;
    while (i < MOST - 1 && to_do[i] != NULL && to_do[i] != f)
        i++;
    to_do[i] = f;
    pthread_mutex_unlock(&lock);
}
