/* Contact sheets: rows of thumbnails on white, written as PNG. */
#ifndef TW_REPORT_SHEET_H
#define TW_REPORT_SHEET_H

#include "core/tensor.h"

#include <stdbool.h>

enum { TW_SHEET_CELL = 128, TW_SHEET_ROWS = 64, TW_SHEET_COLUMNS = 64 };

typedef struct tw_sheet tw_sheet;

tw_sheet *tw_sheet_new(void); /* NULL and tw_error() */
void tw_sheet_free(tw_sheet *s);

/* Begins a row; false if there are TW_SHEET_ROWS already. */
bool tw_sheet_row(tw_sheet *s);
/* Number of pictures in the current row, 0 before the first row. */
int tw_sheet_columns(const tw_sheet *s);
/* Adds a copy of the picture (u8 [H,W,3], any size) to the current row (there must be one): shrunk by area averaging to TW_SHEET_CELL pixels on its
 * longer side, or enlarged by an integer factor up to that. A full row (TW_SHEET_COLUMNS) is left unchanged. 0, or -1 and tw_error(). */
int tw_sheet_add(tw_sheet *s, const tw_tensor *picture);

/* Writes the sheet as a PNG file (without a row: one white cell). 0, or -1 and tw_error(). */
int tw_sheet_write(const tw_sheet *s, const char *path);

#endif
