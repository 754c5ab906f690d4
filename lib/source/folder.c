/* Walking an image folder. */
#include "source/entries.h"

#include "core/error.h"
#include "core/mem.h"

#include <dirent.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

enum { MAX_DEPTH = 64 }; /* a link back to a parent would be followed for ever */

static bool is_picture(const char *name)
{
    static const char *const ending[] = {".jpg", ".jpeg", ".png", ".ppm", ".bmp", ".pgm", ".tif", ".tiff", ".webp"};
    const char *dot = strrchr(name, '.');
    for (size_t i = 0; dot != NULL && i < sizeof ending / sizeof *ending; i++)
        if (strcasecmp(dot, ending[i]) == 0)
            return true;
    return false;
}

static bool is_folder(const char *path, const struct dirent *d)
{
    struct stat st;
    if (d->d_type == DT_DIR || d->d_type == DT_REG)
        return d->d_type == DT_DIR;
    return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

static char *join(const char *folder, const char *name)
{
    const size_t n = strlen(folder);
    char *path;
    if (asprintf(&path, "%s%s%s", folder, n > 0 && folder[n - 1] == '/' ? "" : "/", name) < 0) {
        tw_fail("out of memory");
        return NULL;
    }
    return path;
}

/* Appends the pictures of a folder, where `below` those of its subfolders too, each first-level one a class of its own if
 * `classes`. */
static int walk(tw_entries *e, const char *folder, int32_t label, bool files, bool below, bool classes, int depth)
{
    if (depth > MAX_DEPTH)
        return tw_fail("%s: folders nested deeper than %d: a link in a circle?", folder, MAX_DEPTH);
    DIR *dir = opendir(folder);
    if (dir == NULL)
        return tw_fail_errno("%s", folder);
    int rc = 0;
    for (struct dirent *d; rc == 0 && (d = readdir(dir)) != NULL;) {
        if (d->d_name[0] == '.')
            continue;
        char *path = join(folder, d->d_name);
        if (path == NULL) {
            rc = -1;
        } else if (is_folder(path, d)) {
            int32_t of = label;
            if (below && classes && (of = tw_entries_class(e, d->d_name)) < 0)
                rc = -1;
            else if (below)
                rc = walk(e, path, of, true, true, false, depth + 1);
        } else if (files && is_picture(d->d_name)) {
            rc = tw_entries_add(e, path, label);
        }
        free(path);
    }
    closedir(dir);
    return rc;
}

int tw_entries_folder(tw_entries *e, const char *folder)
{
    const size_t from = e->n;
    if (walk(e, folder, -1, false, true, true, 0) != 0)
        return -1;
    if (e->n == from && walk(e, folder, -1, true, false, false, 0) != 0)
        return -1;
    if (e->n == from)
        return tw_fail("%s: no pictures in this folder", folder);
    tw_entries_sort(e, from);
    return 0;
}
