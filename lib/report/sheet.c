#include "report/sheet.h"

#include "core/mem.h"
#include "report/png.h"

#include <stdlib.h>
#include <string.h>

enum { GAP = 2 }; /* pixels between pictures and around the sheet */

typedef struct {
    int width, height;
    unsigned char *rgb;
} cell;

typedef struct {
    cell *cell;
    int n;
} row;

struct tw_sheet {
    row row[TW_SHEET_ROWS];
    int n;
};

tw_sheet *tw_sheet_new(void)
{
    return tw_calloc(1, sizeof(tw_sheet));
}

void tw_sheet_free(tw_sheet *s)
{
    for (int r = 0; s != NULL && r < s->n; r++) {
        for (int i = 0; i < s->row[r].n; i++)
            free(s->row[r].cell[i].rgb);
        free(s->row[r].cell);
    }
    free(s);
}

bool tw_sheet_row(tw_sheet *s)
{
    if (s->n == TW_SHEET_ROWS)
        return false;
    s->n++;
    return true;
}

int tw_sheet_columns(const tw_sheet *s)
{
    return s->n > 0 ? s->row[s->n - 1].n : 0;
}

/* dst [h,w,3] from src [H,W,3]: each pixel is the mean of the source pixels that it overlaps; when enlarging, one source pixel. */
static void resize(unsigned char *dst, int h, int w, const unsigned char *src, int64_t H, int64_t W)
{
    for (int y = 0; y < h; y++)
        for (int x = 0; x < w; x++) {
            const int64_t y0 = y * H / h, y1 = ((y + 1) * H + h - 1) / h, x0 = x * W / w, x1 = ((x + 1) * W + w - 1) / w;
            const int64_t area = (y1 - y0) * (x1 - x0);
            int64_t sum[3] = {0};
            for (int64_t v = y0; v < y1; v++)
                for (int64_t u = x0; u < x1; u++)
                    for (int c = 0; c < 3; c++)
                        sum[c] += src[(v * W + u) * 3 + c];
            for (int c = 0; c < 3; c++)
                *dst++ = (unsigned char)((sum[c] + area / 2) / area);
        }
}

static int fitted(int64_t side, int64_t longest)
{
    const int64_t size = longest > TW_SHEET_CELL ? side * TW_SHEET_CELL / longest : side * (TW_SHEET_CELL / longest);
    return size > 0 ? (int)size : 1;
}

int tw_sheet_add(tw_sheet *s, const tw_tensor *picture)
{
    row *r = &s->row[s->n - 1];
    if (r->n == TW_SHEET_COLUMNS)
        return 0;
    const int64_t H = picture->dim[0], W = picture->dim[1], longest = H > W ? H : W;
    cell c = {fitted(W, longest), fitted(H, longest), NULL};
    if (r->cell == NULL)
        r->cell = tw_calloc(TW_SHEET_COLUMNS, sizeof *r->cell);
    if (r->cell == NULL || (c.rgb = tw_calloc((size_t)c.width * (size_t)c.height, 3)) == NULL)
        return -1;
    resize(c.rgb, c.height, c.width, picture->data, H, W);
    r->cell[r->n++] = c;
    return 0;
}

static void row_size(int *width, int *height, const row *r)
{
    *width = GAP;
    *height = 0;
    for (int i = 0; i < r->n; i++) {
        *width += r->cell[i].width + GAP;
        if (*height < r->cell[i].height)
            *height = r->cell[i].height;
    }
}

static void paste(unsigned char *rgb, int W, int top, int left, const cell *c)
{
    for (int y = 0; y < c->height; y++)
        memcpy(rgb + ((size_t)(top + y) * (size_t)W + (size_t)left) * 3, c->rgb + (size_t)y * (size_t)c->width * 3,
               (size_t)c->width * 3);
}

int tw_sheet_write(const tw_sheet *s, const char *path)
{
    int W = s->n > 0 ? 1 : TW_SHEET_CELL, H = s->n > 0 ? GAP : TW_SHEET_CELL, w, h, top = GAP;
    for (int r = 0; r < s->n; r++) {
        row_size(&w, &h, &s->row[r]);
        W = W < w ? w : W;
        H += h + GAP;
    }
    unsigned char *rgb = tw_calloc((size_t)W * (size_t)H, 3);
    if (rgb == NULL)
        return -1;
    memset(rgb, 255, (size_t)W * (size_t)H * 3);
    for (int r = 0; r < s->n; r++) {
        int left = GAP;
        row_size(&w, &h, &s->row[r]);
        for (int i = 0; i < s->row[r].n; i++) {
            paste(rgb, W, top, left, &s->row[r].cell[i]);
            left += s->row[r].cell[i].width + GAP;
        }
        top += h + GAP;
    }
    const int rc = tw_png_write(path, rgb, H, W);
    free(rgb);
    return rc;
}
