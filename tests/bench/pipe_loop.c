/* The machine's pipe: a process writes records of SIZE bytes into a pipe with a buffer of 1 MiB, another reads them, nothing else. Prints
 * GB/s. usage: pipe_loop SIZE COUNT */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static int write_all(int fd, const char *data, size_t size)
{
    while (size > 0) {
        const ssize_t n = write(fd, data, size);
        if (n < 0)
            return -1;
        data += n;
        size -= (size_t)n;
    }
    return 0;
}

int main(int argc, char **argv)
{
    int fd[2];
    const size_t size = argc == 3 ? strtoul(argv[1], NULL, 10) : 0;
    const long count = argc == 3 ? atol(argv[2]) : 0;
    char *data = malloc(size + 1);
    if (size == 0 || count < 1 || data == NULL || pipe(fd) != 0 || fcntl(fd[0], F_SETPIPE_SZ, 1 << 20) < 0)
        return fprintf(stderr, "usage: pipe_loop SIZE COUNT\n"), 1;
    memset(data, 1, size);
    const double start = now();
    if (fork() == 0) {
        close(fd[0]);
        for (long i = 0; i < count; i++)
            if (write_all(fd[1], data, size) != 0)
                _exit(1);
        _exit(0);
    }
    close(fd[1]);
    double all = 0;
    for (ssize_t n; (n = read(fd[0], data, size)) > 0;)
        all += (double)n;
    printf("%.3f\n", all / (now() - start) / 1e9);
    wait(NULL);
    free(data);
    return 0;
}
