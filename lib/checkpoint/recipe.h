/* The training options stored in a checkpoint, as a recipe for pipelines/pretrain. */
#ifndef TW_CHECKPOINT_RECIPE_H
#define TW_CHECKPOINT_RECIPE_H

#include "checkpoint/checkpoint.h"

#include <stdio.h>

/* Writes a line "--NAME VALUE" for each of the trainer's arguments that pipelines/pretrain has as an option, in the file's order. Source: an official
 * checkpoint's Namespace ("args.NAME" in the metadata) or twist-train's JSON text "args". As the official trainer saves lr and lr_sl multiplied
 * by batch_size x world_size / 256, they are divided by it. File paths, and arguments without meaning here, follow as comments. 0, or -1 and
 * tw_error() if the file has no arguments. */
int tw_recipe_write(FILE *to, const tw_checkpoint *f);

#endif
