/* The options of the training that wrote a checkpoint, as a recipe of pipelines/pretrain. */
#ifndef TW_CHECKPOINT_RECIPE_H
#define TW_CHECKPOINT_RECIPE_H

#include "checkpoint/checkpoint.h"

#include <stdio.h>

/* Writes a line "--NAME VALUE" for each option that pipelines/pretrain has, in the file's order, from the trainer's arguments: of an
 * official checkpoint its Namespace ("args.NAME" in the metadata), of twist-train's the JSON text "args". The official
 * trainer saves lr and lr_sl multiplied by batch_size x world_size / 256: they are divided by it. Arguments that say where files are, or that have
 * no meaning here, follow as comments. 0, or -1 and tw_error() where the file has no arguments. */
int tw_recipe_write(FILE *to, const tw_checkpoint *f);

#endif
