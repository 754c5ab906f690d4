#include "train/folder.h"

#include "core/error.h"
#include "core/file.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

char *tw_folder_file(const tw_folder *f, const char *name)
{
    return tw_path_in(f->path, name);
}

int tw_folder_open(tw_folder *f, const char *path, bool resume)
{
    *f = (tw_folder){.path = path};
    if (tw_make_folder(path) != 0)
        return -1;
    f->checkpoint = tw_folder_file(f, "checkpoint.safetensors");
    if (f->checkpoint == NULL)
        return -1;
    f->there = access(f->checkpoint, F_OK) == 0;
    if (f->there && !resume)
        return tw_fail("%s: a run is there already: --resume goes on with it; or choose another folder", f->checkpoint);
    return 0;
}

void tw_folder_close(tw_folder *f)
{
    free(f->checkpoint);
    f->checkpoint = NULL;
}

int tw_folder_write(const tw_folder *f, const char *name, const char *text)
{
    char *path = tw_folder_file(f, name);
    tw_file *file = path != NULL ? tw_file_create(path) : NULL;
    free(path);
    if (file == NULL)
        return -1;
    fprintf(tw_file_stream(file), "%s\n", text);
    return tw_file_commit(file);
}
