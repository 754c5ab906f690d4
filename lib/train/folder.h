/* The folder of a run: the names of its files, whether it holds a run already, and a lock against other processes. */
#ifndef TW_TRAIN_FOLDER_H
#define TW_TRAIN_FOLDER_H

#include <stdbool.h>

typedef struct {
    const char *path;  /* borrowed */
    char *checkpoint;  /* PATH/checkpoint.safetensors */
    bool there;        /* the checkpoint existed when the folder was opened */
    int lock;          /* descriptor of the folder, locked by flock; -1: its file system has no locks */
} tw_folder;

/* Makes the folder if need be and locks it. Refuses a folder with a run, unless resume, and one that another process holds for more than 5 s.
 * Removes temporary files older than 10 minutes, left by killed processes. path is borrowed. 0, or -1 and tw_error(). */
int tw_folder_open(tw_folder *f, const char *path, bool resume);
void tw_folder_close(tw_folder *f);

/* Returns PATH/NAME; free with free(). NULL and tw_error(). */
char *tw_folder_file(const tw_folder *f, const char *name);

/* Writes the text and a newline as the file PATH/NAME. 0, or -1 and tw_error(). */
int tw_folder_write(const tw_folder *f, const char *name, const char *text);

#endif
