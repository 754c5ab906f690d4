/* The first frame of a GIF, through giflib. It is placed on the canvas as Pillow does: pixels outside the frame, or with an index beyond the
 * palette, get the transparent colour, or without one the palette's first. */
#include "image/codec.h"

#include "core/error.h"

#include <stdlib.h>
#include <string.h>

#include <gif_lib.h>

typedef struct {
    const uint8_t *at, *end;
} source;

static int on_read(GifFileType *g, GifByteType *to, int n)
{
    source *s = g->UserData;
    const ptrdiff_t left = s->end - s->at;
    if (n > left)
        n = (int)left;
    memcpy(to, s->at, (size_t)n);
    s->at += n;
    return n;
}

static int fail(int code)
{
    const char *text = GifErrorString(code);
    return tw_fail("bad GIF: %s", text != NULL ? text : "it cannot be read");
}

/* Advances to the data of the first frame; *transparent: its transparent index, -1: none. 0 or -1. */
static int find_frame(GifFileType *g, int *transparent)
{
    GifRecordType type;
    GraphicsControlBlock control;
    GifByteType *block;
    int code;
    for (;;) {
        if (DGifGetRecordType(g, &type) == GIF_ERROR)
            return fail(g->Error);
        if (type == IMAGE_DESC_RECORD_TYPE)
            return DGifGetImageDesc(g) == GIF_OK ? 0 : fail(g->Error);
        if (type == TERMINATE_RECORD_TYPE)
            return tw_fail("bad GIF: no picture in it");
        if (type != EXTENSION_RECORD_TYPE)
            continue;
        if (DGifGetExtension(g, &code, &block) == GIF_ERROR)
            return fail(g->Error);
        if (code == GRAPHICS_EXT_FUNC_CODE && block != NULL && DGifExtensionToGCB(block[0], block + 1, &control) == GIF_OK &&
            control.TransparentColor >= 0)
            *transparent = control.TransparentColor;
        while (block != NULL)
            if (DGifGetExtensionNext(g, &block) == GIF_ERROR)
                return fail(g->Error);
    }
}

/* Makes 256 RGB entries. Without a palette, or with one whose entries i are grey i, all are grey. */
static void make_palette(uint8_t rgb[256][3], const ColorMapObject *map)
{
    bool grey = true;
    for (int i = 0; map != NULL && i < map->ColorCount; i++)
        grey = grey && map->Colors[i].Red == i && map->Colors[i].Green == i && map->Colors[i].Blue == i;
    for (int i = 0; i < 256; i++) {
        memset(rgb[i], grey ? i : 0, 3);
        if (!grey && i < map->ColorCount)
            memcpy(rgb[i], (uint8_t[]){map->Colors[i].Red, map->Colors[i].Green, map->Colors[i].Blue}, 3);
    }
}

/* Reads the rows of the frame, each through the buffer `row`, into the canvas. Returns the number of rows read. */
static int read_rows(GifFileType *g, tw_image *out, const uint8_t palette[256][3], GifPixelType *row)
{
    static const int first[] = {0, 4, 2, 1}, step[] = {8, 8, 4, 2};
    const GifImageDesc *f = &g->Image;
    int done = 0;
    for (int pass = 0; pass < (f->Interlace ? 4 : 1); pass++)
        for (int y = f->Interlace ? first[pass] : 0; y < f->Height; y += f->Interlace ? step[pass] : 1) {
            if (DGifGetLine(g, row, f->Width) == GIF_ERROR)
                return done;
            uint8_t *to = out->data + ((size_t)(f->Top + y) * (size_t)out->w + (size_t)f->Left) * 3;
            for (int x = 0; x < f->Width; x++, to += 3)
                memcpy(to, palette[row[x]], 3);
            done++;
        }
    return done;
}

static int decode(GifFileType *g, tw_image *out, const tw_decode_options *o)
{
    uint8_t palette[256][3];
    int transparent = -1;
    if (find_frame(g, &transparent) != 0)
        return -1;
    const GifImageDesc *f = &g->Image;
    const int w = f->Left + f->Width > g->SWidth ? f->Left + f->Width : g->SWidth;
    const int h = f->Top + f->Height > g->SHeight ? f->Top + f->Height : g->SHeight;
    if (f->Width < 1 || f->Height < 1 || f->Left < 0 || f->Top < 0)
        return tw_fail("bad GIF: an empty picture");
    if (tw_image_check(w, h, o) != 0 || tw_image_resize(out, w, h, 0, o) != 0)
        return -1;
    make_palette(palette, f->ColorMap != NULL ? f->ColorMap : g->SColorMap);
    const uint8_t *around = palette[transparent >= 0 ? transparent : 0];
    for (size_t i = 0; i < (size_t)w * (size_t)h; i++)
        memcpy(out->data + 3 * i, around, 3);
    GifPixelType *row = malloc((size_t)f->Width);
    if (row == NULL)
        return tw_fail("out of memory");
    const int rows = read_rows(g, out, palette, row);
    free(row);
    return rows == f->Height || (o->keep_truncated && rows > 0) ? 0 : fail(g->Error);
}

int tw_gif_decode(tw_image *out, const uint8_t *bytes, size_t n, const tw_decode_options *o)
{
    source s = {bytes, bytes + n};
    int code = 0;
    GifFileType *g = DGifOpen(&s, on_read, &code);
    if (g == NULL)
        return fail(code);
    const int rc = decode(g, out, o);
    DGifCloseFile(g, &code);
    return rc;
}
