/* The floor under decoding: libjpeg-turbo alone, every FILE read and decoded to RGB in one thread into the same memory, nothing written.
 * Prints pictures, wall seconds, processor seconds. usage: jpeg_loop FILE... */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <jpeglib.h>

static double seconds(clockid_t clock)
{
    struct timespec t;
    clock_gettime(clock, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static unsigned char *load(const char *path, size_t *size)
{
    FILE *f = fopen(path, "rb");
    if (f == NULL || fseek(f, 0, SEEK_END) != 0)
        perror(path), exit(1);
    const long n = ftell(f);
    unsigned char *data = malloc((size_t)n + 1);
    rewind(f);
    if (n < 0 || data == NULL || fread(data, 1, (size_t)n, f) != (size_t)n)
        perror(path), exit(1);
    fclose(f);
    *size = (size_t)n;
    return data;
}

static void decode(struct jpeg_decompress_struct *c, const unsigned char *data, size_t size, unsigned char **rgb, size_t *room)
{
    jpeg_mem_src(c, data, size);
    jpeg_read_header(c, TRUE);
    c->out_color_space = c->num_components == 4 ? JCS_CMYK : JCS_RGB;
    jpeg_start_decompress(c);
    const size_t stride = (size_t)c->output_width * (size_t)c->output_components;
    if (*room < stride * c->output_height)
        *rgb = realloc(*rgb, *room = stride * c->output_height);
    if (*rgb == NULL)
        exit(1);
    while (c->output_scanline < c->output_height) {
        JSAMPROW row[16];
        for (unsigned i = 0; i < 16; i++)
            row[i] = *rgb + (c->output_scanline + i) * stride;
        jpeg_read_scanlines(c, row, 16);
    }
    jpeg_finish_decompress(c);
}

int main(int argc, char **argv)
{
    struct jpeg_decompress_struct c;
    struct jpeg_error_mgr errors;
    unsigned char *rgb = NULL;
    size_t room = 0, size;
    c.err = jpeg_std_error(&errors);
    jpeg_create_decompress(&c);
    const double wall = seconds(CLOCK_MONOTONIC), cpu = seconds(CLOCK_PROCESS_CPUTIME_ID);
    for (int i = 1; i < argc; i++) {
        unsigned char *data = load(argv[i], &size);
        decode(&c, data, size, &rgb, &room);
        free(data);
    }
    printf("%d %.4f %.4f\n", argc - 1, seconds(CLOCK_MONOTONIC) - wall, seconds(CLOCK_PROCESS_CPUTIME_ID) - cpu);
    jpeg_destroy_decompress(&c);
    free(rgb);
    return 0;
}
