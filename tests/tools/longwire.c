/* longwire NAMESPACE_A NAMESPACE_B DELAY_MS LOSS_PERCENT SEED: a slow, lossy link between two network namespaces (/run/netns), where netem is not at hand: a TUN
 * device `wire` in each; every packet comes out of the other DELAY_MS later, or not at all. SIGUSR1: for two seconds nothing comes through, and nobody is
 * told. SIGTERM: prints how many packets there were, were lost, were swallowed, and ends. */
#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

enum { PACKET = 2048, QUEUE = 16384 };

static struct {
    double due;
    int to;
    ssize_t size;
    char data[PACKET];
} queue[QUEUE];

static volatile sig_atomic_t ending, partition;

static void on_signal(int sig)
{
    if (sig == SIGUSR1)
        partition = 1;
    else
        ending = 1;
}

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static int device(const char *ns)
{
    char path[256];
    struct ifreq r = {.ifr_name = "wire", .ifr_flags = IFF_TUN | IFF_NO_PI};
    snprintf(path, sizeof path, "/run/netns/%s", ns);
    const int there = open(path, O_RDONLY);
    const int fd = there >= 0 && setns(there, CLONE_NEWNET) == 0 ? open("/dev/net/tun", O_RDWR | O_NONBLOCK) : -1; /* makes devices where it was opened */
    if (fd < 0 || ioctl(fd, TUNSETIFF, &r) != 0) {
        perror(ns);
        exit(1);
    }
    return fd;
}

int main(int argc, char **argv)
{
    if (argc != 6) {
        fprintf(stderr, "longwire NAMESPACE_A NAMESPACE_B DELAY_MS LOSS_PERCENT SEED\n");
        return 2;
    }
    const double delay = atof(argv[3]) * 1e-3, loss = atof(argv[4]) * 1e-2;
    struct pollfd p[2] = {{device(argv[1]), POLLIN, 0}, {device(argv[2]), POLLIN, 0}};
    long first = 0, last = 0, lost = 0, swallowed = 0;
    double dark = 0;
    srand48(atol(argv[5]));
    signal(SIGUSR1, on_signal);
    signal(SIGTERM, on_signal);
    while (!ending) {
        const double wait = first == last ? 0.05 : queue[first % QUEUE].due - now();
        const struct timespec t = {0, wait > 0 ? (long)(wait * 1e9) : 0};
        ppoll(p, 2, &t, NULL);
        if (partition)
            dark = now() + 2;
        partition = 0;
        for (int i = 0; i < 2; i++)
            for (ssize_t n; last - first < QUEUE && (n = read(p[i].fd, queue[last % QUEUE].data, PACKET)) > 0;) {
                if (now() < dark) {
                    swallowed++;
                } else if (drand48() < loss) {
                    lost++;
                } else {
                    queue[last % QUEUE].size = n;
                    queue[last % QUEUE].to = p[!i].fd;
                    queue[last++ % QUEUE].due = now() + delay;
                }
            }
        for (; first < last && queue[first % QUEUE].due <= now(); first++)
            if (write(queue[first % QUEUE].to, queue[first % QUEUE].data, (size_t)queue[first % QUEUE].size) < 0)
                lost++; /* the device is down, or full */
    }
    printf("%ld packets, %ld lost, %ld swallowed\n", last, lost, swallowed);
    return 0;
}
