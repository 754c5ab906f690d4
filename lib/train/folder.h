/* The folder of a run: the names of its files, whether a run is there already, and that no other process trains in it. */
#ifndef TW_TRAIN_FOLDER_H
#define TW_TRAIN_FOLDER_H

#include <stdbool.h>

typedef struct {
    const char *path;  /* borrowed */
    char *checkpoint;  /* PATH/checkpoint.safetensors */
    bool there;        /* it was there when the folder was opened */
    int lock;          /* the folder, locked (flock); -1: its file system has no locks */
} tw_folder;

/* Makes the folder where it is not there. A run that is there is refused unless resume, and so is a folder in which another process trains and
 * goes on for some seconds. What processes that were killed had half written is removed. 0, or -1 and tw_error(). */
int tw_folder_open(tw_folder *f, const char *path, bool resume);
void tw_folder_close(tw_folder *f);

/* PATH/NAME, to be freed with free(). NULL and tw_error(). */
char *tw_folder_file(const tw_folder *f, const char *name);

/* Writes the text and a newline as the file PATH/NAME. 0, or -1 and tw_error(). */
int tw_folder_write(const tw_folder *f, const char *name, const char *text);

#endif
