#include "source/members.h"

#include "core/error.h"
#include "core/mem.h"
#include "core/program.h"
#include "source/entries.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* A group of MANY pictures or LARGE bytes is returned before it is complete, to bound the memory: in some archives all names are equal up to their
 * first dot. */
enum { MANY = 64, LARGE = 64 << 20, MAX_MEMBER = 1 << 30, STEP = 1 << 22 };

void tw_members_init(tw_members *m, tw_tar_source *source, void *context, bool keep, tw_links *links)
{
    *m = (tw_members){.keep = keep, .links = links};
    tw_tar_init(&m->tar, source, context);
}

static void forget(tw_members *m)
{
    for (size_t i = 0; i < m->n; i++) {
        free(m->picture[i].name);
        free(m->picture[i].bytes);
    }
    free(m->key);
    m->key = NULL;
    m->n = m->given = 0;
    m->label[0] = '\0';
    m->described = m->done = false;
}

void tw_members_fini(tw_members *m)
{
    forget(m);
    free(m->picture);
    free(m->first_lost);
    free(m->first_astray);
    tw_tar_fini(&m->tar);
}

bool tw_members_tell_lost(const tw_members *m, const char *archive, const char *which)
{
    if (m->lost > 0)
        tw_warn("%s: links %s are left out: %zu, %s the first", archive, which, m->lost, m->first_lost);
    if (m->astray > 0)
        tw_warn("%s: labels without a picture beside them are ignored: %zu, %s.cls the first (a picture and its label must be adjacent)",
                archive, m->astray, m->first_astray);
    return m->lost > 0 || m->astray > 0;
}

const char *tw_member_folder(const char *name, size_t *n)
{
    const char *end = strrchr(name, '/');
    if (end == NULL)
        return NULL;
    const char *start = end;
    while (start > name && start[-1] != '/')
        start--;
    *n = (size_t)(end - start);
    const bool dots = (*n == 1 && start[0] == '.') || (*n == 2 && start[0] == '.' && start[1] == '.');
    return *n == 0 || dots ? NULL : start;
}

static const char *base(const char *name)
{
    const char *slash = strrchr(name, '/');
    return slash != NULL ? slash + 1 : name;
}

/* Where the endings begin: the first dot of the file name after its first character; the end of the name if there is none. */
static const char *endings(const char *name)
{
    const char *b = base(name);
    const char *dot = b[0] != '\0' ? strchr(b + 1, '.') : NULL;
    return dot != NULL ? dot : b + strlen(b);
}

static bool has_two_endings(const char *name)
{
    const char *first = endings(name);
    return *first != '\0' && strchr(first + 1, '.') != NULL;
}

/* Whether the member is a picture, by its name. */
static bool is_picture(const tw_tar_member *member)
{
    const char *b = base(member->name);
    return b[0] != '.' && tw_picture_name(b);
}

static bool is_label(const tw_tar_member *member)
{
    return strcasecmp(endings(member->name), ".cls") == 0;
}

static int read_label(tw_members *m, const tw_tar_member *member)
{
    if (member->size >= (int64_t)sizeof m->label)
        return tw_fail("a label of %lld bytes", (long long)member->size);
    char text[sizeof m->label];
    if ((member->link != NULL ? tw_links_read(m->links, text, member) : tw_tar_read(&m->tar, text, member->size)) != 0)
        return -1;
    text[member->size] = '\0';
    const char *start = text + strspn(text, " \t\r\n"); /* the label ends at a NUL byte */
    size_t n = strlen(start);
    while (n > 0 && strchr(" \t\r\n", start[n - 1]) != NULL)
        n--;
    memcpy(m->label, start, n);
    m->label[n] = '\0';
    return 0;
}

/* Reads the content; memory grows with the bytes read, not with the size that the header claims. */
static int read_content(tw_members *m, tw_picture *p)
{
    size_t cap = 0;
    int64_t have = 0;
    if (p->size > MAX_MEMBER)
        return tw_fail("larger than %d bytes", MAX_MEMBER);
    do {
        const int64_t left = p->size - have, most = have < STEP ? STEP : have, some = left < most ? left : most;
        if (tw_grow(&p->bytes, &cap, (size_t)(have + some) + 1, 1) != 0 || tw_tar_read(&m->tar, (char *)p->bytes + have, some) != 0)
            return -1;
        have += some;
    } while (have < p->size);
    return 0;
}

static int add_picture(tw_members *m, const tw_tar_member *member)
{
    if (tw_grow(&m->picture, &m->cap, m->n + 1, sizeof *m->picture) != 0)
        return -1;
    tw_picture *p = &m->picture[m->n++];
    *p = (tw_picture){strdup(member->name), member->at, member->size, NULL};
    if (p->name == NULL)
        return tw_fail_errno("its name");
    return m->keep ? read_content(m, p) : 0;
}

/* Adds a member to the current group. */
static int add(tw_members *m, const tw_tar_member *member)
{
    const char *ending = endings(member->name);
    if (m->key == NULL && (m->key = strndup(member->name, (size_t)(ending - member->name))) == NULL)
        return tw_fail_errno("%s", member->name);
    int rc = 0;
    if (is_picture(member))
        rc = add_picture(m, member);
    else
        m->described = true;
    if (rc == 0 && is_label(member))
        rc = read_label(m, member);
    return rc == 0 ? 0 : tw_fail("%s: %s", member->name, tw_error());
}

static bool belongs(const tw_members *m, const tw_tar_member *member)
{
    const size_t n = (size_t)(endings(member->name) - member->name);
    return m->key == NULL || (strlen(m->key) == n && memcmp(m->key, member->name, n) == 0);
}

static bool is_large(const tw_members *m)
{
    int64_t bytes = 0;
    for (size_t i = 0; m->keep && i < m->n; i++)
        bytes += m->picture[i].size;
    return m->n >= MANY || bytes >= LARGE;
}

/* As tw_tar_next, but links of pictures and labels are resolved or left out. */
static int next_member(tw_members *m)
{
    int rc;
    while ((rc = tw_tar_next(&m->tar, &m->next)) == 1 && m->next.link != NULL && (is_picture(&m->next) || is_label(&m->next))) {
        const int found = m->links != NULL ? tw_links_find(m->links, &m->next) : 0;
        if (found != 0)
            return found;
        if (m->lost++ == 0 && (m->first_lost = strdup(m->next.name)) == NULL)
            return tw_fail_errno("%s", m->next.name);
    }
    return rc;
}

/* Reads members until the current group is complete, or large (is_large). */
static int fill(tw_members *m)
{
    while (!m->done) {
        const int rc = next_member(m);
        if (rc < 0)
            return -1;
        m->ended = rc == 0;
        m->done = m->ended || !belongs(m, &m->next);
        if (!m->done) {
            if (add(m, &m->next) != 0)
                return -1;
            if (is_large(m))
                return 0;
        }
    }
    return 0;
}

static bool has_sample(const tw_members *m)
{
    for (size_t i = 0; m->described && i < m->n; i++)
        if (!has_two_endings(m->picture[i].name))
            return true;
    return false;
}

int tw_members_next(tw_members *m, tw_picture **p, const char **label)
{
    for (;;) {
        while (m->given < m->n) {
            *p = &m->picture[m->given++];
            *label = m->label[0] != '\0' ? m->label : NULL;
            if (!m->sample || !has_two_endings((*p)->name))
                return 1;
        }
        const bool next = m->done && !m->ended;
        if (m->n == 0 && m->label[0] != '\0' && m->astray++ == 0 && (m->first_astray = strdup(m->key)) == NULL)
            return tw_fail_errno("%s", m->key);
        if (m->ended)
            return 0;
        forget(m);
        if ((next && add(m, &m->next) != 0) || fill(m) != 0)
            return -1;
        m->sample = has_sample(m);
    }
}
