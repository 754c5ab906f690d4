#include "core/file.h"

#include "core/error.h"
#include "core/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

void *tw_file_read(const char *path, size_t *size, size_t limit)
{
    char *data = NULL;
    size_t used = 0, cap = 0;
    if (limit == 0)
        limit = (size_t)1 << 30;
    FILE *f = fopen(path, "r");
    if (f == NULL) {
        tw_fail_errno("%s", path);
        return NULL;
    }
    for (;;) {
        if (tw_grow(&data, &cap, used + 65536 + 1, 1) != 0)
            goto err;
        const size_t got = fread(data + used, 1, cap - used - 1, f);
        if (got == 0)
            break;
        used += got;
        if (used > limit) {
            tw_fail("%s: larger than %zu bytes", path, limit);
            goto err;
        }
    }
    if (ferror(f)) {
        tw_fail_errno("%s", path);
        goto err;
    }
    fclose(f);
    data[used] = '\0';
    *size = used;
    return data;
err:
    fclose(f);
    free(data);
    return NULL;
}

int tw_file_load(const char *path, void **block, size_t *cap, size_t *size, size_t limit)
{
    struct stat st;
    ssize_t got;
    const int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return tw_fail_errno("%s", path);
    int rc = fstat(fd, &st) != 0 ? tw_fail_errno("%s", path) : 0;
    if (rc == 0 && !S_ISREG(st.st_mode))
        rc = tw_fail("%s: not a regular file", path);
    if (rc == 0 && (uint64_t)st.st_size > limit)
        rc = tw_fail("%s: larger than %zu bytes", path, limit);
    *size = 0;
    if (rc == 0)
        rc = tw_grow(block, cap, (size_t)st.st_size + 1, 1); /* one byte more, so that the read that finds the end has room */
    while (rc == 0) {
        if ((got = read(fd, (char *)*block + *size, *cap - *size)) < 0 && errno == EINTR)
            continue;
        if (got < 0)
            rc = tw_fail_errno("%s", path);
        if (got <= 0)
            break;
        *size += (size_t)got;
        if (*size > limit) /* the file has grown since fstat */
            rc = tw_fail("%s: larger than %zu bytes", path, limit);
        else
            rc = tw_grow(block, cap, *size + 1, 1);
    }
    close(fd);
    return rc;
}

char *tw_path_in(const char *folder, const char *name)
{
    const size_t size = strlen(folder) + strlen(name) + 2;
    char *path = tw_calloc(size, 1);
    if (path != NULL)
        snprintf(path, size, "%s/%s", folder, name);
    return path;
}

int tw_make_folder(const char *path)
{
    char *copy = strdup(path);
    if (copy == NULL)
        return tw_fail("out of memory");
    for (char *p = copy + 1; copy[0] != '\0'; p++) {
        const char c = *p;
        if (c != '/' && c != '\0')
            continue;
        *p = '\0';
        if (mkdir(copy, 0777) != 0 && errno != EEXIST) {
            tw_fail_errno("%s", copy);
            free(copy);
            return -1;
        }
        *p = c;
        if (c == '\0')
            break;
    }
    free(copy);
    struct stat st;
    if (stat(path, &st) != 0)
        return tw_fail_errno("%s", path);
    return S_ISDIR(st.st_mode) ? 0 : tw_fail("%s: not a folder", path);
}

size_t tw_allow_files(size_t n)
{
    struct rlimit l, all;
    if (getrlimit(RLIMIT_NOFILE, &l) != 0 || n < l.rlim_cur / 4)
        return n;
    all = (struct rlimit){l.rlim_max, l.rlim_max};
    if (setrlimit(RLIMIT_NOFILE, &all) == 0)
        l = all;
    return n < l.rlim_cur / 4 * 3 ? n : l.rlim_cur / 4 * 3;
}

int tw_write_all(int fd, const void *data, size_t n)
{
    const char *p = data;
    while (n > 0) {
        const ssize_t w = write(fd, p, n);
        if (w < 0 && errno == EINTR)
            continue;
        if (w < 0)
            return -1;
        p += w;
        n -= (size_t)w;
    }
    return 0;
}
