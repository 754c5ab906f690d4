/* Goal: every picture in tests/golden/decode comes out as Pillow's convert("RGB") made it, to the last bit; what is no good picture
 * is refused with a message, in bounded memory and time. */
#include "test.h"

#include "core/file.h"
#include "image/decode.h"

#include <glob.h>

static const char folder[] = "tests/golden/decode/";

/* The pixels of a P6 file as Pillow writes it: two lines of numbers, then the bytes. */
static bool same_as_ppm(const tw_image *m, const char *path)
{
    size_t size;
    int w = 0, h = 0, at = 0;
    char *ppm = tw_file_read(path, &size, 0);
    if (ppm == NULL || sscanf(ppm, "P6 %d %d 255%n", &w, &h, &at) != 2 || at == 0)
        return free(ppm), false;
    const size_t bytes = (size_t)w * (size_t)h * 3;
    bool same = m->w == w && m->h == h && size == (size_t)at + 1 + bytes;
    for (size_t i = 0; same && i < bytes; i++)
        if (m->data[i] != (uint8_t)ppm[(size_t)at + 1 + i]) {
            printf("%s: byte %zu is %d, want %d\n", path, i, m->data[i], (uint8_t)ppm[(size_t)at + 1 + i]);
            same = false;
        }
    free(ppm);
    return same;
}

static bool decodes_as(const char *file, const char *ending, const tw_decode_options *o, tw_image *m)
{
    char want[256];
    size_t size;
    void *bytes = tw_file_read(file, &size, 0);
    snprintf(want, sizeof want, "%s%s", file, ending);
    const bool good = bytes != NULL && tw_image_decode(m, bytes, size, o) == 0 && same_as_ppm(m, want);
    if (!good)
        printf("%s: %s\n", file, tw_error());
    free(bytes);
    return good;
}

static void goldens(void)
{
    const tw_decode_options as_is = TW_DECODE_DEFAULT;
    tw_decode_options upright = TW_DECODE_DEFAULT;
    glob_t found;
    tw_image m = {0};
    char pattern[64];
    upright.exif_rotate = true;
    snprintf(pattern, sizeof pattern, "%s*", folder);
    CHECK(glob(pattern, 0, NULL, &found) == 0);
    int n = 0;
    for (size_t i = 0; i < found.gl_pathc; i++) {
        const char *file = found.gl_pathv[i], *dot = strrchr(file, '.');
        if (strcmp(dot, ".py") == 0 || strcmp(dot, ".want") == 0 || strcmp(dot, ".upright") == 0)
            continue;
        CHECK(decodes_as(file, ".want", &as_is, &m));
        n++;
        if (strstr(file, "orientation") != NULL)
            CHECK(decodes_as(file, ".upright", &upright, &m));
    }
    CHECK(n >= 150);
    tw_image_fini(&m);
    globfree(&found);
}

int main(void)
{
    goldens();
    return test_done();
}
