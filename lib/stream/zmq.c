#include "stream/zmq.h"

#include "core/error.h"
#include "core/program.h"

#include <dlfcn.h>
#include <errno.h>
#include <net/if.h>
#include <netdb.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

static tw_zmq_table table;
static bool loaded;
static char why[256];

static void load(void)
{
    int v[3];
    void *library = dlopen("libzmq.so.5", RTLD_NOW | RTLD_LOCAL);
    if (library == NULL) {
        snprintf(why, sizeof why, "ZeroMQ is not installed (%.200s)", dlerror());
        return;
    }
#define FIND(f)                                                                      \
    *(void **)&table.f = dlsym(library, "zmq_" #f);                                  \
    if (table.f == NULL) {                                                           \
        snprintf(why, sizeof why, "libzmq.so.5: there is no zmq_" #f " in it");      \
        return;                                                                      \
    }
    TW_ZMQ_FUNCTIONS(FIND)
#undef FIND
    table.version(&v[0], &v[1], &v[2]);
    if (ZMQ_MAKE_VERSION(v[0], v[1], v[2]) < ZMQ_MAKE_VERSION(4, 3, 4))
        snprintf(why, sizeof why, "libzmq.so.5: version %d.%d.%d; 4.3.4 or later is wanted", v[0], v[1], v[2]);
    else
        loaded = true;
}

const tw_zmq_table *tw_zmq(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, load);
    if (loaded)
        return &table;
    tw_fail("%s", why);
    return NULL;
}

int tw_zmq_fail(const char *what)
{
    return tw_fail("%s: %s", what, table.strerror(errno));
}

const char *tw_zmq_address(const char *endpoint)
{
    return endpoint + (endpoint[0] == '@');
}

bool tw_zmq_is(const char *endpoint)
{
    const char *a = tw_zmq_address(endpoint);
    return strncmp(a, "tcp://", 6) == 0 || strncmp(a, "ipc://", 6) == 0;
}

static bool binds(const char *endpoint)
{
    return endpoint[0] == '@' || strncmp(endpoint, "tcp://*:", 8) == 0;
}

int tw_zmq_check(const char *endpoint)
{
    const char *host = tw_zmq_address(endpoint), *port = strrchr(host, ':');
    if (!tw_zmq_is(endpoint))
        return tw_fail("%s: neither tcp://HOST:PORT nor ipc://PATH", endpoint);
    if (strncmp(host, "ipc://", 6) == 0)
        return 0;
    host += 6;
    if (port < host)
        return tw_fail("%s: at which port?", endpoint);
    if (strspn(port + 1, "0123456789") == strlen(port + 1) && (strlen(port + 1) > 5 || atoi(port + 1) > 65535))
        return tw_fail("%s: port %s: the highest is 65535", endpoint, port + 1);
    return port == host && !binds(endpoint) ? tw_fail("%s: on which host?", endpoint) : 0;
}

enum { NAME = 256 };

/* The addresses of the host of a tcp:// address, which the caller frees (*found NULL: another kind, IPv6, a source address), and its name. 0, or
 * getaddrinfo's error. */
static int look_up(struct addrinfo **found, char name[NAME], const char *address)
{
    static const struct addrinfo kind = {.ai_socktype = SOCK_STREAM};
    *found = NULL;
    if (strncmp(address, "tcp://", 6) != 0 || strpbrk(address, "[;") != NULL)
        return 0;
    const char *host = address + 6, *port = strrchr(host, ':');
    const size_t n = port != NULL ? (size_t)(port - host) : NAME;
    if (n >= NAME)
        return 0;
    memcpy(name, host, n);
    name[n] = '\0';
    return getaddrinfo(name, NULL, &kind, found);
}

/* Warns if the host name cannot be resolved now: ZeroMQ would silently retry. */
static void check_host(const char *endpoint)
{
    char name[NAME];
    struct addrinfo *found = NULL;
    const int rc = binds(endpoint) ? 0 : look_up(&found, name, tw_zmq_address(endpoint));
    if (rc != 0)
        tw_warn("%s: %s: %s; waiting for it to be known", endpoint, name, gai_strerror(rc));
    else if (found != NULL)
        freeaddrinfo(found);
}

int tw_zmq_resolve(char *address, size_t size, const char *endpoint, unsigned turn)
{
    char name[NAME], number[INET6_ADDRSTRLEN + IF_NAMESIZE];
    struct addrinfo *found;
    int n = 0;
    snprintf(address, size, "%s", tw_zmq_address(endpoint));
    if (look_up(&found, name, tw_zmq_address(endpoint)) != 0)
        return -1;
    if (found == NULL)
        return 0;
    for (const struct addrinfo *i = found; i != NULL; i = i->ai_next)
        n++;
    const struct addrinfo *one = found;
    for (unsigned k = turn % (unsigned)n; k > 0; k--)
        one = one->ai_next;
    if (getnameinfo(one->ai_addr, one->ai_addrlen, number, sizeof number, NULL, 0, NI_NUMERICHOST) == 0)
        snprintf(address, size, one->ai_family == AF_INET6 ? "tcp://[%s]%s" : "tcp://%s%s", number, strrchr(tw_zmq_address(endpoint), ':'));
    freeaddrinfo(found);
    return n;
}

/* Whether a process listens on this Unix socket. */
static bool is_taken(const char *path)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof a.sun_path)
        return false;
    memcpy(a.sun_path, path, strlen(path));
    const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const bool taken = fd >= 0 && connect(fd, (const struct sockaddr *)&a, sizeof a) == 0;
    if (fd >= 0)
        close(fd);
    return taken;
}

int tw_zmq_bind(void *socket, const char *address)
{
    struct stat st;
    const char *path = strncmp(address, "ipc://", 6) == 0 ? address + 6 : NULL;
    const bool there = path != NULL && lstat(path, &st) == 0;
    if (there && !S_ISSOCK(st.st_mode)) {
        errno = EEXIST;
        return -1;
    }
    if (there && is_taken(path)) {
        errno = EADDRINUSE;
        return -1;
    }
    char resolved[320];
    int rc = table.bind(socket, address);
    if (rc != 0 && errno == ENODEV && tw_zmq_resolve(resolved, sizeof resolved, address, 0) > 0) /* no interface of that name */
        rc = table.bind(socket, resolved);
    return rc;
}

int tw_zmq_attach(void *socket, const char *endpoint)
{
    const char *address = tw_zmq_address(endpoint);
    if (tw_zmq_check(endpoint) != 0)
        return -1;
    check_host(endpoint);
    if (binds(endpoint) ? tw_zmq_bind(socket, address) == 0 : table.connect(socket, address) == 0)
        return 0;
    char what[320];
    snprintf(what, sizeof what, "%.256s: cannot %s", endpoint, binds(endpoint) ? "listen there" : "be connected to");
    return tw_zmq_fail(what);
}

int tw_zmq_set(void *socket, int option, int value)
{
    if (table.setsockopt(socket, option, &value, sizeof value) == 0)
        return 0;
    char what[64];
    snprintf(what, sizeof what, "ZeroMQ: socket option %d", option);
    return tw_zmq_fail(what);
}

int tw_zmq_event(void *monitor, int *event, int *value)
{
    unsigned char head[6], address[512];
    if (table.recv(monitor, head, sizeof head, ZMQ_DONTWAIT) != (int)sizeof head)
        return errno == EAGAIN ? 0 : tw_zmq_fail("ZeroMQ: monitor");
    uint16_t e;
    int32_t v;
    memcpy(&e, head, sizeof e);
    memcpy(&v, head + 2, sizeof v);
    *event = e;
    *value = v;
    if (table.recv(monitor, address, sizeof address, 0) < 0) /* the second frame, the address, always comes with the first */
        return tw_zmq_fail("ZeroMQ: monitor");
    return 1;
}
