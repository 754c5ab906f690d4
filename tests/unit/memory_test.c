/* Goal: twist-decode with two threads stays under 150 MB with pictures of 12 megapixels of every kind, however many they are. */
#include "test.h"

#include <stdbool.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <jpeglib.h>

enum { W = 4000, H = 3000, PICTURES = 6, MOST = 150000 /* KiB */ };

static char folder[] = "/tmp/twist-memory-XXXXXX";
static unsigned char row[W * 3];

static void fill(int y)
{
    for (int x = 0; x < W * 3; x++)
        row[x] = (unsigned char)((x * 7 + y * 13) % 256 / 2 + (x / 64 + y / 64) % 2 * 100);
}

static bool make_jpeg(const char *path, bool progressive)
{
    struct jpeg_compress_struct c;
    struct jpeg_error_mgr errors;
    FILE *f = fopen(path, "wb");
    if (f == NULL)
        return false;
    c.err = jpeg_std_error(&errors);
    jpeg_create_compress(&c);
    jpeg_stdio_dest(&c, f);
    c.image_width = W;
    c.image_height = H;
    c.input_components = 3;
    c.in_color_space = JCS_RGB;
    jpeg_set_defaults(&c);
    if (progressive)
        jpeg_simple_progression(&c);
    jpeg_start_compress(&c, TRUE);
    for (int y = 0; y < H; y++) {
        JSAMPROW r = row;
        fill(y);
        jpeg_write_scanlines(&c, &r, 1);
    }
    jpeg_finish_compress(&c);
    jpeg_destroy_compress(&c);
    return fclose(f) == 0;
}

static bool make_ppm(const char *path)
{
    FILE *f = fopen(path, "wb");
    if (f == NULL)
        return false;
    fprintf(f, "P6 %d %d 255\n", W, H);
    for (int y = 0; y < H; y++) {
        fill(y);
        fwrite(row, 1, sizeof row, f);
    }
    return fclose(f) == 0;
}

/* The largest resident memory, in KiB, of twist-decode on the folder; -1 if it fails. */
static long peak(const char *program)
{
    struct rusage use;
    int status;
    const pid_t pid = fork();
    if (pid == 0) {
        execl(program, program, "-q", "-j2", "--epochs=2", "-o", "/dev/null", folder, (char *)NULL);
        _exit(127);
    }
    return pid > 0 && wait4(pid, &status, 0, &use) == pid && WIFEXITED(status) && WEXITSTATUS(status) == 0 ? use.ru_maxrss : -1;
}

int main(void)
{
    char path[256], program[1024];
    const char *bin = getenv("BIN");
    snprintf(program, sizeof program, "%s/twist-decode", bin != NULL ? bin : "bin");
    if (strstr(program, "san/") != NULL)
        test_skip("a sanitizer's memory is not the program's");
    CHECK(mkdtemp(folder) != NULL);
    for (int i = 0; i < PICTURES; i++) {
        snprintf(path, sizeof path, "%s/%d.jpg", folder, i);
        CHECK(i == 2 ? make_ppm(path) : make_jpeg(path, i % 3 == 1));
    }
    const long kib = peak(program);
    printf("twist-decode: %ld KiB\n", kib);
    CHECK(kib > 0 && kib < MOST);
    snprintf(path, sizeof path, "rm -r %s", folder);
    CHECK(system(path) == 0);
    return test_done();
}
