/* intrude PORT SILENT SECONDS: what comes to a port that strangers can reach. SILENT connections are held open all the time: half of them never say
 * a word, half send a greeting of ZeroMQ a byte at a time; whenever one is closed it is opened again. Beside them, one after the other: random bytes,
 * a greeting with nonsense behind it, and, after a handshake as it should be, a frame of 2^40 bytes, forged messages of a farm, random frames. After SECONDS,
 * and when as many as SILENT have been closed by the other side (or after a minute more), it prints how many connections there were, the most that
 * were held at once, how many silent ones were closed, the longest that one was held in seconds. */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { LOUD = 12, MOST = 4000, KINDS = 5, GREETING = 64 };
enum { RANDOM, NONSENSE, HUGE, FORGED, FRAMES };

typedef struct {
    double since, said; /* connected (before: dialled); quiet: when it last said something */
    int connected;
    int at;             /* quiet: bytes of the greeting that have been sent; loud: its speech is over */
    int kind;
} peer;

static struct pollfd fds[MOST + LOUD];
static peer peers[MOST + LOUD];
static struct sockaddr_in where;
static long opened;
static uint64_t state = 88172645463325252u;

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static unsigned draw(unsigned n)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return (unsigned)(state >> 33) % n;
}

static int dial(peer *p)
{
    const int s = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    *p = (peer){.since = now()};
    if (s >= 0 && (connect(s, (struct sockaddr *)&where, sizeof where) == 0 || errno == EINPROGRESS)) {
        opened++;
        return s;
    }
    if (s >= 0)
        close(s);
    return -1;
}

static void make_greeting(unsigned char g[GREETING])
{
    memset(g, 0, GREETING);
    g[0] = 0xff;
    g[9] = 0x7f;
    g[10] = 3;
    memcpy(g + 12, "NULL", 4);
}

/* What a loud connection says first; its length. */
static size_t opening(unsigned char *b, int kind)
{
    static const char ready[] = "\x04\x1c\x05READY\x0bSocket-Type\0\0\0\x06" "DEALER";
    size_t n = 0;
    if (kind != RANDOM) {
        make_greeting(b);
        n = GREETING;
    }
    if (kind >= HUGE) {
        memcpy(b + n, ready, sizeof ready - 1);
        n += sizeof ready - 1;
    }
    for (unsigned rest = kind <= NONSENSE ? draw(3000) : 0; rest > 0; rest--)
        b[n++] = (unsigned char)draw(256);
    return n;
}

/* What it says when it has been let in. */
static size_t speech(unsigned char *b, int kind)
{
    size_t n = 0;
    if (kind == HUGE) {
        static const unsigned char huge[] = {0x02, 0, 0, 1, 0, 0, 0, 0, 0};
        memcpy(b + n, huge, sizeof huge);
        n += sizeof huge;
    }
    for (int k = 0; (kind == FORGED || kind == FRAMES) && k < 8; k++) {
        const unsigned size = 1 + draw(60);
        b[n++] = kind == FORGED ? 0 : (unsigned char)draw(8);
        b[n++] = (unsigned char)size;
        const size_t start = n;
        for (unsigned i = 0; i < size; i++)
            b[n++] = (unsigned char)draw(256);
        if (kind == FORGED && size > 8) { /* an array of a type's length, small numbers in it */
            b[start] = (unsigned char)(0x90 + draw(8));
            for (unsigned i = 1; i < 8; i++)
                b[start + i] = (unsigned char)(i == 1 ? 1 + draw(12) : draw(128));
        }
    }
    return n;
}

/* Closed by the other side, or never opened. */
static int ended(int fd)
{
    char b[512];
    ssize_t n;
    while ((n = recv(fd, b, sizeof b, 0)) > 0)
        ;
    return n == 0 || (errno != EAGAIN && errno != EINTR);
}

/* Just now. */
static int has_connected(const struct pollfd *p, peer *q)
{
    if (q->connected || (p->revents & POLLOUT) == 0)
        return 0;
    q->connected = 1;
    q->since = now();
    return 1;
}

/* Says its opening when it is connected, its speech a moment later, and stays for a while to hear what comes of it. */
static void loud(struct pollfd *p, peer *q)
{
    static int turn;
    unsigned char b[8192];
    if (p->fd >= 0 && (now() - q->since > 0.4 || ((p->revents & ~POLLOUT) != 0 && ended(p->fd)))) {
        close(p->fd);
        p->fd = -1;
    }
    if (p->fd < 0 && now() - q->since > 0.05) {
        p->fd = dial(q);
        q->kind = turn++ % KINDS;
    } else if (p->fd >= 0 && has_connected(p, q)) {
        send(p->fd, b, opening(b, q->kind), MSG_NOSIGNAL);
    } else if (p->fd >= 0 && q->connected && !q->at && now() - q->since > 0.1) {
        q->at = 1;
        send(p->fd, b, speech(b, q->kind), MSG_NOSIGNAL);
    }
    p->events = q->connected ? POLLIN : POLLIN | POLLOUT;
}

int main(int argc, char **argv)
{
    unsigned char greeting[GREETING];
    struct rlimit r;
    if (argc != 4 || atoi(argv[2]) > MOST) {
        fprintf(stderr, "intrude PORT SILENT SECONDS\n");
        return 2;
    }
    where = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(argv[1])), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    const int silent = atoi(argv[2]);
    const double end = now() + atof(argv[3]);
    double longest = 0;
    int most = 0, closed = 0;
    getrlimit(RLIMIT_NOFILE, &r);
    r.rlim_cur = r.rlim_max;
    setrlimit(RLIMIT_NOFILE, &r);
    make_greeting(greeting);
    for (int i = 0; i < silent + LOUD; i++)
        fds[i] = (struct pollfd){-1, POLLIN, 0};
    while (now() < end || (closed < silent && now() < end + 60)) {
        int held = 0;
        for (int i = 0; i < silent; i++) {
            peer *q = &peers[i];
            if (fds[i].fd < 0) {
                fds[i].fd = dial(q);
            } else if ((fds[i].revents & ~POLLOUT) != 0 && ended(fds[i].fd)) {
                longest = q->connected && now() - q->since > longest ? now() - q->since : longest;
                close(fds[i].fd);
                fds[i].fd = -1;
                closed += q->connected;
                q->connected = 0;
            } else if (!has_connected(&fds[i], q) && q->connected && i % 2 == 1 && now() - q->said > 0.3 && q->at < GREETING) {
                q->said = now();
                send(fds[i].fd, greeting + q->at++, 1, MSG_NOSIGNAL);
            }
            fds[i].events = q->connected ? POLLIN : POLLIN | POLLOUT;
            held += q->connected;
        }
        for (int i = silent; i < silent + LOUD; i++)
            loud(&fds[i], &peers[i]);
        most = held > most ? held : most;
        poll(fds, (nfds_t)(silent + LOUD), 20);
    }
    for (int i = 0; i < silent; i++)
        if (peers[i].connected && now() - peers[i].since > longest)
            longest = now() - peers[i].since;
    printf("%ld connections, %d held, %d closed, %.1f s the longest\n", opened, most, closed, longest);
    return 0;
}
