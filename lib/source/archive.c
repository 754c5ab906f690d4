#include "source/archive.h"

#include "core/error.h"

#include <string.h>
#include <unistd.h>

int64_t tw_archive_read(void *archive, void *to, int64_t n)
{
    tw_archive *a = archive;
    int64_t done = 0;
    if (n > a->size - a->place)
        n = a->size - a->place;
    while (to != NULL && done < n) {
        if (a->place + done < a->from || a->place + done >= a->from + a->have) {
            const ssize_t got = pread(a->fd, a->ahead, sizeof a->ahead, a->place + done);
            a->failed = got < 0;
            if (got <= 0)
                return got == 0 ? done : tw_fail_errno("cannot be read");
            a->from = a->place + done;
            a->have = got;
        }
        const int64_t at = a->place + done - a->from, left = a->have - at, some = left < n - done ? left : n - done;
        memcpy((char *)to + done, a->ahead + at, (size_t)some);
        done += some;
    }
    a->place += n;
    return n;
}

bool tw_archive_unchanged(const struct stat *is, const struct stat *was)
{
    return is->st_size == was->st_size && is->st_mtim.tv_sec == was->st_mtim.tv_sec && is->st_mtim.tv_nsec == was->st_mtim.tv_nsec;
}
