/* Goal: signals that only ask a program to stop leave what it computes as it is: the same bytes, and a heap in order. */
#include "numbers.h"
#include "test.h"

#include "core/mem.h"
#include "core/program.h"
#include "nn/backend.h"

#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { N = 8, SIDE = 4, CHANNELS = 256, TIMES = 1500 };

/* A child that signals this process again and again. */
static pid_t pester(void)
{
    const pid_t parent = getpid(), child = fork();
    if (child != 0)
        return child;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    while (getppid() == parent) {
        kill(parent, SIGUSR1);
        kill(parent, SIGTERM);
        nanosleep(&(struct timespec){.tv_nsec = 20000}, NULL);
    }
    _exit(0);
}

static void forward(const tw_backend *be, int threads)
{
    const tw_conv_shape s = {.N = N, .H = SIDE, .W = SIDE, .C = CHANNELS, .OH = SIDE, .OW = SIDE, .K = CHANNELS, .size = 3, .stride = 1,
                             .pad = 1, .train = true, .data_gradient = true};
    const size_t n = (size_t)N * SIDE * SIDE * CHANNELS, bytes = n * sizeof(float);
    float *x = numbers_within(n, 1), *w = numbers_within((size_t)CHANNELS * CHANNELS * 9, 1);
    float *y = tw_calloc(n, sizeof *y), *y0 = tw_calloc(n, sizeof *y0);
    tw_dev *dev = be->open(TW_F32, threads);
    CHECK(dev != NULL);
    be->enter(dev);
    tw_conv *c = be->conv_new(dev, &s);
    CHECK(c != NULL && be->conv_weights(c, w) == 0 && be->conv_forward(c, y0, x) == 0);
    const pid_t child = pester();
    int same = 0;
    for (int i = 0; i < TIMES; i++) {
        memset(y, 0, bytes);
        same += be->conv_forward(c, y, x) == 0 && memcmp(y, y0, bytes) == 0;
    }
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
    CHECK(same == TIMES);
    CHECK(tw_stop_signal() == SIGUSR1 || tw_stop_signal() == SIGTERM);
    be->conv_free(c);
    be->close(dev);
    free(x), free(w), free(y), free(y0);
}

int main(void)
{
    const tw_backend *be = tw_backend_open("cpu");
    CHECK(be != NULL);
    if (be == NULL)
        return test_done();
    alarm(120); /* a heap in disorder may end in a loop */
    tw_catch_stops();
    tw_rng_init(&rng, 1, TW_USE_INIT, 0, 0, 0);
    forward(be, 1);
    forward(be, 2);
    return test_done();
}
