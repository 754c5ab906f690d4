#include "feed/keys.h"

#include "core/error.h"
#include "core/file.h"
#include "core/mem.h"
#include "stream/zmq.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { MOST = 1 << 20 }; /* largest file of keys, bytes */

static int write_new(const char *path, const char *text, mode_t mode)
{
    const int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
    if (fd < 0)
        return tw_fail_errno("%s", path);
    if (tw_write_all(fd, text, strlen(text)) != 0 || fsync(fd) != 0) {
        tw_fail_errno("%s", path);
        close(fd);
        unlink(path);
        return -1;
    }
    return close(fd) == 0 ? 0 : tw_fail_errno("%s", path);
}

int tw_keys_make(const char *name)
{
    const tw_zmq_table *z = tw_zmq();
    char public[TW_KEY], secret[TW_KEY], line[TW_KEY + 128], path[4096];
    const char *base = strrchr(name, '/') != NULL ? strrchr(name, '/') + 1 : name;
    if (z == NULL)
        return -1;
    if (base[0] == '\0' || strlen(base) > 90 || strlen(name) > sizeof path - 8)
        return tw_fail("%s: not a valid name for a key", name);
    for (const char *c = base; *c != '\0'; c++)
        if ((unsigned char)*c <= 32 || *c == 127)
            return tw_fail("%s: not a valid name for a key: contains white space", name);
    if (z->curve_keypair(public, secret) != 0)
        return tw_zmq_fail("keys cannot be made");
    snprintf(path, sizeof path, "%s.key", name);
    snprintf(line, sizeof line, "%s\n", secret);
    int rc = write_new(path, line, 0600);
    explicit_bzero(secret, sizeof secret);
    explicit_bzero(line, sizeof line);
    if (rc != 0)
        return -1;
    snprintf(path, sizeof path, "%s.pub", name);
    snprintf(line, sizeof line, "%s %s\n", public, base);
    rc = write_new(path, line, 0644);
    if (rc != 0) {
        snprintf(path, sizeof path, "%s.key", name);
        unlink(path);
    }
    return rc;
}

/* Whether the word of n bytes at p is a key in Z85; its text goes to text, its binary form to bytes (may be NULL). */
static bool key_at(const char *p, size_t n, char text[TW_KEY], unsigned char bytes[32])
{
    unsigned char scratch[32];
    if (n != TW_KEY - 1)
        return false;
    memcpy(text, p, n);
    text[n] = '\0';
    const bool ok = tw_zmq()->z85_decode(bytes != NULL ? bytes : scratch, text) != NULL;
    explicit_bzero(scratch, sizeof scratch);
    return ok;
}

/* The first key in the text. */
static bool find_key(const char *at, char key[TW_KEY])
{
    static const char gaps[] = " \t\r\n\"";
    for (; *(at += strspn(at, gaps)) != '\0'; at += strcspn(at, gaps))
        if (key_at(at, strcspn(at, gaps), key, NULL))
            return true;
    return false;
}

int tw_keys_read(char secret[TW_KEY], char public[TW_KEY], const char *path)
{
    struct stat st;
    char text[4096] = "";
    const tw_zmq_table *z = tw_zmq();
    if (z == NULL)
        return -1;
    const int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (fd < 0)
        return errno == ELOOP ? tw_fail("%s: a symbolic link; a secret key must be in a regular file", path) : tw_fail_errno("%s", path);
    int rc = 0;
    if (fstat(fd, &st) != 0)
        rc = tw_fail_errno("%s", path);
    else if (!S_ISREG(st.st_mode))
        rc = tw_fail("%s: not a regular file", path);
    else if ((st.st_mode & 077) != 0)
        rc = tw_fail("%s: others may read or write it (mode %04o): chmod 600 it", path, (unsigned)st.st_mode & 07777);
    else if (st.st_uid != geteuid())
        rc = tw_fail("%s: belongs to another user", path);
    else if (read(fd, text, sizeof text - 1) < 0)
        rc = tw_fail_errno("%s", path);
    const char *mark = strcasestr(text, "secret"); /* in files with both keys this word is before the secret one */
    if (rc == 0 && !find_key(mark != NULL ? mark : text, secret))
        rc = tw_fail("%s: no secret key in it (40 characters; `twist-feed keygen` makes one)", path);
    if (rc == 0 && z->curve_public(public, secret) != 0)
        rc = tw_zmq_fail(path);
    explicit_bzero(text, sizeof text);
    close(fd);
    return rc;
}

int tw_keys_public(char public[TW_KEY], const char *path)
{
    size_t size;
    if (tw_zmq() == NULL)
        return -1;
    char *text = tw_file_read(path, &size, MOST);
    if (text == NULL)
        return -1;
    const char *secret = strcasestr(text, "secret"); /* the word before the key; after it, it is part of the owner's name */
    const bool found = find_key(text, public) && (secret == NULL || strstr(text, public) < secret);
    free(text);
    return found ? 0 : tw_fail("%s: no public key in it (40 characters; give NAME.pub of `twist-feed keygen`)", path);
}

static int add_line(tw_allow_list *l, const char *line, size_t size, const char *path, int number)
{
    static const char gaps[] = " \t\r";
    char text[TW_KEY];
    tw_allowed a = {.name = ""};
    size_t skip = strspn(line, gaps);
    if (skip >= size || (line[skip] == '#' && (skip + 1 == size || line[skip + 1] == ' ')))
        return 0;
    const char *at = line + skip;
    size_t n = strcspn(at, " \t\r\n");
    if (!key_at(at, n, text, a.key))
        return tw_fail("%s: line %d does not begin with a key (40 characters)", path, number);
    at += n;
    at += strspn(at, gaps);
    n = strcspn(at, " \t\r\n");
    if (n == 0 || n >= sizeof a.name)
        return tw_fail("%s: line %d: no name after the key", path, number);
    for (size_t i = 0; i < n; i++)
        a.name[i] = (unsigned char)at[i] < 32 || at[i] == 127 ? '?' : at[i];
    if (tw_grow(&l->item, &l->cap, l->n + 1, sizeof a) != 0)
        return -1;
    l->item[l->n++] = a;
    return 0;
}

int tw_allow_read(tw_allow_list *l, const char *path)
{
    size_t size;
    l->n = 0;
    char *text = tw_zmq() != NULL ? tw_file_read(path, &size, MOST) : NULL;
    int rc = text != NULL ? 0 : -1, number = 1;
    for (const char *at = text; rc == 0 && *at != '\0'; number++) {
        const size_t n = strcspn(at, "\n");
        rc = add_line(l, at, n, path, number);
        at += n + (at[n] == '\n');
    }
    if (rc != 0)
        l->n = 0;
    free(text);
    return rc;
}

void tw_allow_fini(tw_allow_list *l)
{
    free(l->item);
    *l = (tw_allow_list){0};
}

const char *tw_allow_find(const tw_allow_list *l, const unsigned char key[32])
{
    for (size_t i = 0; i < l->n; i++)
        if (memcmp(l->item[i].key, key, sizeof l->item[i].key) == 0)
            return l->item[i].name;
    return NULL;
}

bool tw_allow_has(const tw_allow_list *l, const char *name)
{
    for (size_t i = 0; i < l->n; i++)
        if (strcmp(l->item[i].name, name) == 0)
            return true;
    return false;
}
