/* The folder of a run: the names of its files, and whether a run is there already. */
#ifndef TW_TRAIN_FOLDER_H
#define TW_TRAIN_FOLDER_H

#include <stdbool.h>

typedef struct {
    const char *path;  /* borrowed */
    char *checkpoint;  /* PATH/checkpoint.safetensors */
    bool there;        /* it was there when the folder was opened */
} tw_folder;

/* Makes the folder where it is not there. A run that is there is refused unless resume. 0, or -1 and tw_error(). */
int tw_folder_open(tw_folder *f, const char *path, bool resume);
void tw_folder_close(tw_folder *f);

/* PATH/NAME, to be freed with free(). NULL and tw_error(). */
char *tw_folder_file(const tw_folder *f, const char *name);

/* Writes the text and a newline as the file PATH/NAME. 0, or -1 and tw_error(). */
int tw_folder_write(const tw_folder *f, const char *name, const char *text);

#endif
