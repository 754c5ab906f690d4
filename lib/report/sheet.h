/* Contact sheets: rows of small pictures on white. */
#ifndef TW_REPORT_SHEET_H
#define TW_REPORT_SHEET_H

#include "core/tensor.h"

#include <stdbool.h>

enum { TW_SHEET_CELL = 128, TW_SHEET_ROWS = 64, TW_SHEET_COLUMNS = 64 };

typedef struct tw_sheet tw_sheet;

tw_sheet *tw_sheet_new(void); /* NULL and tw_error() */
void tw_sheet_free(tw_sheet *s);

/* Begins a row; false when there are TW_SHEET_ROWS already. */
bool tw_sheet_row(tw_sheet *s);
/* Pictures in the row that was begun last. */
int tw_sheet_columns(const tw_sheet *s);
/* Adds a copy of the picture (u8 [H,W,3], any size) to that row: shrunk by area to TW_SHEET_CELL pixels on its longer side,
 * or enlarged by a whole factor up to that. Beyond TW_SHEET_COLUMNS nothing is added. 0, or -1 and tw_error(). */
int tw_sheet_add(tw_sheet *s, const tw_tensor *picture);

/* Writes the sheet (with no row: one white cell). 0, or -1 and tw_error(). */
int tw_sheet_write(const tw_sheet *s, const char *path);

#endif
