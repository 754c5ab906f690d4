/* cutwire TARGET_PORT SEED MEAN: a TCP proxy on loopback that cuts each connection after a random number of bytes (mean MEAN), one at a time, in
 * either direction, wherever that is in a message. Its port, a free one, is what it prints as soon as it listens. SIGUSR1, from then on: every
 * connection is cut and none accepted for half a second. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { PAIRS = 64 };

static struct {
    int fd[2];
    long long left;
} pair[PAIRS];

static volatile sig_atomic_t partition;

static void on_signal(int sig)
{
    (void)sig;
    partition = 1;
}

static struct sockaddr_in loopback(int port)
{
    return (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons((unsigned short)port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
}

static long long budget(double mean)
{
    return (long long)(mean * 2 * drand48()) + 1;
}

static void cut(int i)
{
    if (pair[i].fd[0] < 0)
        return;
    const struct linger hard = {1, 0};
    for (int k = 0; k < 2; k++) {
        setsockopt(pair[i].fd[k], SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
        close(pair[i].fd[k]);
        pair[i].fd[k] = -1;
    }
}

int main(int argc, char **argv)
{
    if (argc != 4)
        return 2;
    struct sockaddr_in here = loopback(0);
    socklen_t size = sizeof here;
    const struct sockaddr_in there = loopback(atoi(argv[1]));
    const double mean = atof(argv[3]);
    const int listener = socket(AF_INET, SOCK_STREAM, 0);
    static char block[65536];
    srand48(atol(argv[2]));
    signal(SIGPIPE, SIG_IGN);
    signal(SIGUSR1, on_signal);
    if (bind(listener, (const struct sockaddr *)&here, sizeof here) != 0 || listen(listener, 64) != 0 ||
        getsockname(listener, (struct sockaddr *)&here, &size) != 0) {
        perror("cutwire");
        return 1;
    }
    printf("%d\n", ntohs(here.sin_port));
    fflush(stdout);
    for (int i = 0; i < PAIRS; i++)
        pair[i].fd[0] = pair[i].fd[1] = -1;
    for (;;) {
        struct pollfd p[1 + 2 * PAIRS] = {{listener, POLLIN, 0}};
        if (partition) {
            const struct timespec half = {0, 500000000};
            for (int i = 0; i < PAIRS; i++)
                cut(i);
            nanosleep(&half, NULL);
            partition = 0;
        }
        for (int i = 0; i < 2 * PAIRS; i++)
            p[1 + i] = (struct pollfd){pair[i / 2].fd[i % 2], POLLIN, 0};
        if (poll(p, 1 + 2 * PAIRS, -1) < 0)
            continue;
        for (int i = 0; i < 2 * PAIRS; i++) {
            const int k = i / 2, from = pair[k].fd[i % 2], to = pair[k].fd[1 - i % 2];
            if (from < 0 || p[1 + i].revents == 0)
                continue;
            ssize_t n = read(from, block, (size_t)(pair[k].left < (long long)sizeof block ? pair[k].left : (long long)sizeof block));
            if (n > 0)
                pair[k].left -= n;
            for (ssize_t at = 0, w; n > 0 && at < n; at += w)
                if ((w = write(to, block + at, (size_t)(n - at))) < 0) {
                    n = 0;
                    break;
                }
            if (n <= 0 || pair[k].left <= 0)
                cut(k);
        }
        for (int i = 0; (p[0].revents & POLLIN) != 0 && i < PAIRS; i++) {
            if (pair[i].fd[0] >= 0)
                continue;
            const int a = accept(listener, NULL, NULL), b = socket(AF_INET, SOCK_STREAM, 0);
            if (a < 0 || connect(b, (const struct sockaddr *)&there, sizeof there) != 0) {
                close(a);
                close(b);
                break;
            }
            pair[i].fd[0] = a;
            pair[i].fd[1] = b;
            pair[i].left = budget(mean);
            break;
        }
    }
}
