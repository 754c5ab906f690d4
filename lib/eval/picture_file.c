#include "eval/picture_file.h"

#include "core/file.h"
#include "core/mem.h"
#include "image/decode.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { FILE_LIMIT = 1 << 28 };

struct tw_picture_files {
    tw_image image;
    void *file;
    size_t cap;
};

/* The key as a path; false: it is none. */
static bool as_path(char path[PATH_MAX], const char *key, size_t size)
{
    if (size == 0 || size >= PATH_MAX || memchr(key, '\0', size) != NULL)
        return false;
    memcpy(path, key, size);
    path[size] = '\0';
    return true;
}

bool tw_is_picture_file(const char *key, size_t size)
{
    char path[PATH_MAX];
    struct stat st;
    return as_path(path, key, size) && stat(path, &st) == 0 && S_ISREG(st.st_mode) && access(path, R_OK) == 0;
}

tw_picture_files *tw_picture_files_new(void)
{
    return tw_calloc(1, sizeof(tw_picture_files));
}

void tw_picture_files_free(tw_picture_files *p)
{
    if (p == NULL)
        return;
    tw_image_fini(&p->image);
    free(p->file);
    free(p);
}

bool tw_picture_file(tw_tensor *t, tw_picture_files *p, const char *key, size_t size)
{
    static const tw_decode_options options = {178956970, TW_SHEET_CELL, true, false, NULL, NULL};
    char path[PATH_MAX];
    if (!tw_is_picture_file(key, size) || !as_path(path, key, size) || tw_file_load(path, &p->file, &p->cap, &size, FILE_LIMIT) != 0 ||
        tw_image_decode(&p->image, p->file, size, &options) != 0)
        return false;
    *t = (tw_tensor){.dtype = TW_U8, .rank = 3, .dim = {p->image.h, p->image.w, 3}, .data = p->image.data};
    return true;
}
