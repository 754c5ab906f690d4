/* Goal: views are Pillow's and torchvision's, bit for bit (tests/golden/augment/make.py), by each kernel that this processor
 * runs; the hue's arithmetic is Pillow's for colours of all kinds. */
#include "image/erase.h"
#include "image/view.h"

#include "test.h"

/* Noise and gradients in squares of 8 x 8, as make.py's picture(). Exactly as many bytes as it has: a sanitizer sees a read
 * beyond. */
static uint8_t *picture(int w, int h)
{
    uint8_t *p = malloc((size_t)w * (size_t)h * 3), *to = p;
    for (uint32_t y = 0; y < (uint32_t)h; y++)
        for (uint32_t x = 0; x < (uint32_t)w; x++)
            for (uint32_t c = 0; c < 3; c++) {
                uint32_t n = x * 374761393u + y * 668265263u + c * 2246822519u;
                n = (n ^ n >> 13) * 1274126177u;
                *to++ = (uint8_t)(((x >> 3) + (y >> 3)) & 1 ? n >> 16 : x * 3 + y * 2 + c * 40);
            }
    return p;
}

static uint64_t fnv(const uint8_t *p, size_t n)
{
    uint64_t h = 0xcbf29ce484222325u;
    for (size_t i = 0; i < n; i++)
        h = (h ^ p[i]) * 0x100000001b3u;
    return h;
}

/* One line of views.txt: the number of pixels of the picture, 0 at the end. */
static int read_case(FILE *f, int *w, int *h, tw_view_kind *k, tw_view *v, uint64_t *want)
{
    char filter[16], op[16];
    int flip, grey, solarize;
    unsigned long long sum;
    *v = (tw_view){0};
    *k = (tw_view_kind){0};
    if (fscanf(f, "%d %d %d %d %d %d %d %d %d %15s %d %d", w, h, &v->resize_w, &v->resize_h, &v->crop.top, &v->crop.left,
               &v->crop.height, &v->crop.width, &k->size, filter, &flip, &v->n_steps) != 12)
        return 0;
    for (int i = 0; i < v->n_steps; i++) {
        if (fscanf(f, "%15s %lf", op, &v->step[i].value) != 2)
            return 0;
        while (strcmp(tw_step_names[v->step[i].kind], op) != 0)
            v->step[i].kind++;
    }
    if (fscanf(f, "%d %lf %d %llx", &grey, &v->sigma, &solarize, &sum) != 4)
        return 0;
    v->flip = flip;
    v->grey = grey;
    v->solarize = solarize;
    *want = sum;
    k->filter = strcmp(filter, "bicubic") == 0 ? TW_BICUBIC : TW_BILINEAR;
    return *w * *h;
}

static void golden(const tw_kernels *kernels)
{
    FILE *f = fopen("tests/golden/augment/views.txt", "r");
    tw_workspace ws;
    tw_view_kind k;
    tw_view v;
    uint64_t want;
    int w, h, n = 0;
    CHECK(f != NULL);
    if (f == NULL)
        return;
    tw_workspace_init(&ws, kernels);
    for (; read_case(f, &w, &h, &k, &v, &want) > 0; n++) {
        uint8_t *p = picture(w, h), *to = malloc(3 * (size_t)k.size * (size_t)k.size);
        const tw_rgb image = {p, w, h};
        const bool ok = tw_view_make(&ws, to, &image, &k, &v) == 0 && fnv(to, 3 * (size_t)k.size * (size_t)k.size) == want;
        if (!ok)
            printf("%s: line %d of views.txt\n", kernels->name, n + 1);
        CHECK(ok);
        free(p);
        free(to);
    }
    CHECK(n > 250);
    tw_workspace_fini(&ws);
    fclose(f);
}

/* White stays white however much it shrinks: the sums of the weights' parts do not overflow. */
static void white(const tw_kernels *kernels)
{
    tw_workspace ws;
    int wrong = 0;
    tw_workspace_init(&ws, kernels);
    for (int size = 40; size < 9000; size += 1 + size / 6)
        for (int turned = 0; turned < 2; turned++)
            for (int filter = TW_BILINEAR; filter <= TW_BICUBIC; filter++) {
                const int w = turned ? 3 : size, h = turned ? size : 3;
                uint8_t *p = malloc((size_t)w * (size_t)h * 3);
                memset(p, 255, (size_t)w * (size_t)h * 3);
                const tw_rgb image = {p, w, h};
                const tw_area all = {0, 0, h, w}, part = {0, 0, 33, 33};
                CHECK(tw_resize(&ws, &image, &all, 33, 33, &part, (tw_filter)filter, false) == 0);
                for (int c = 0; c < 3; c++)
                    for (int y = 0; y < 33; y++)
                        for (int x = 0; x < 33; x++)
                            wrong += ws.view.plane[c][(size_t)y * ws.view.pitch + (size_t)x] != 255;
                free(p);
            }
    CHECK(wrong == 0);
    tw_workspace_fini(&ws);
}

/* Pillow's rgb2hsv and hsv2rgb, with its mixture of float and double, around a turn of the hue. */
static void turn_hue(uint8_t *p, int shift)
{
    const uint8_t r = p[0], g = p[1], b = p[2];
    const uint8_t max = r > g ? (r > b ? r : b) : g > b ? g : b, min = r < g ? (r < b ? r : b) : g < b ? g : b;
    uint8_t h8 = 0, s8 = 0;
    if (min != max) {
        const float range = (float)(max - min), s = range / (float)max, rc = (float)(max - r) / range,
                    gc = (float)(max - g) / range, bc = (float)(max - b) / range;
        float h = r == max ? bc - gc : g == max ? (float)(2.0 + (double)rc - (double)bc) : (float)(4.0 + (double)gc - (double)rc);
        h = (float)fmod((double)h / 6.0 + 1.0, 1.0);
        h8 = (uint8_t)(int)((double)h * 255.0);
        s8 = (uint8_t)(int)((double)s * 255.0);
    }
    h8 = (uint8_t)(h8 + shift);
    p[0] = p[1] = p[2] = max;
    if (s8 == 0)
        return;
    const double turned = (double)(float)h8 * 6.0 / 255.0;
    const int i = (int)floor(turned);
    const float f = (float)(turned - (double)(float)i), fs = (float)((double)(float)s8 / 255.0);
    const uint8_t a = (uint8_t)round((double)max * (1.0 - (double)fs)), q = (uint8_t)round((double)max * (1.0 - (double)(fs * f))),
                  t = (uint8_t)round((double)max * (1.0 - (double)fs * (1.0 - (double)f)));
    const uint8_t of[6][3] = {{max, t, a}, {q, max, a}, {a, max, t}, {a, q, max}, {t, a, max}, {max, a, q}};
    memcpy(p, of[i % 6], 3);
}

static void hue(const tw_kernels *k)
{
    enum { N = 1 << 16 };
    static uint8_t plane[3][N], want[N][3];
    uint8_t *const planes[3] = {plane[0], plane[1], plane[2]};
    int wrong = 0;
    for (int high = 0; high < 256; high += 5) /* red; all greens and blues */
        for (int shift = 0; shift < 256; shift += high % 3 == 0 ? 231 : 255) {
            for (int i = 0; i < N; i++) {
                want[i][0] = plane[0][i] = (uint8_t)high;
                want[i][1] = plane[1][i] = (uint8_t)(i >> 8);
                want[i][2] = plane[2][i] = (uint8_t)i;
                turn_hue(want[i], shift);
            }
            const tw_colour_op op = {TW_SHIFT_HUE, (float)shift, 0, NULL};
            k->colour(planes, N, N, 1, &op, 1, false);
            for (int i = 0; i < N; i++)
                for (int c = 0; c < 3; c++)
                    wrong += plane[c][i] != want[i][c];
        }
    if (wrong > 0)
        printf("%s: %d values\n", k->name, wrong);
    CHECK(wrong == 0);
}

/* The sum of greys counts the pixels that there are and no more, and is that of Pillow's formula. */
static void sums(const tw_kernels *k)
{
    enum { N = 1000 };
    uint8_t plane[3][N + 64];
    uint8_t *const planes[3] = {plane[0], plane[1], plane[2]};
    for (int n = 1; n < N; n += 37) {
        uint64_t want = 0;
        for (int i = 0; i < n + 64; i++)
            for (int c = 0; c < 3; c++)
                plane[c][i] = (uint8_t)((i + 7) * (31 + 8 * c));
        for (int i = 0; i < n; i++)
            want += (uint64_t)((plane[0][i] * 19595 + plane[1][i] * 38470 + plane[2][i] * 7471 + 0x8000) >> 16);
        CHECK(k->colour(planes, N, n, 1, NULL, 0, true) == want);
    }
}

/* Tables stand for what they were made of, first and last, and what is summed comes after them. */
static void tables(const tw_kernels *k)
{
    enum { PITCH = 128, N = 7 * PITCH };
    const tw_colour_op op[] = {{TW_SCALE, 1.3f, 0, NULL}, {TW_SATURATE, 0.7f, 0, NULL}, {TW_STRETCH, 1.2f, 99, NULL}};
    static uint8_t table[2][3][256], plane[2][3][N + 64];
    const tw_colour_op by_table[] = {{TW_TABLE, 0, 0, table[0][0]}, op[1], {TW_TABLE, 0, 0, table[1][0]}};
    for (int t = 0; t < 2; t++) {
        uint8_t *const all[3] = {table[t][0], table[t][1], table[t][2]};
        for (int i = 0; i < 256; i++)
            table[t][0][i] = table[t][1][i] = table[t][2][i] = (uint8_t)i;
        k->colour(all, 256, 256, 1, &op[2 * t], 1, false);
    }
    for (int from = 0; from < 3; from++)
        for (int n_ops = 1; n_ops <= 3 - from; n_ops++) {
            uint64_t sum[2];
            if (from == 1 && n_ops == 1) /* no table in it */
                continue;
            for (int t = 0; t < 2; t++) {
                uint8_t *const all[3] = {plane[t][0], plane[t][1], plane[t][2]};
                for (int i = 0; i < N + 64; i++)
                    for (int c = 0; c < 3; c++)
                        plane[t][c][i] = (uint8_t)((i + 7) * (31 + 8 * c));
                sum[t] = k->colour(all, PITCH, 70, 7, t == 0 ? op + from : by_table + from, n_ops, true);
            }
            CHECK(sum[0] == sum[1]);
            for (int c = 0; c < 3; c++)
                for (int y = 0; y < 7; y++)
                    CHECK(memcmp(plane[0][c] + y * PITCH, plane[1][c] + y * PITCH, 70) == 0);
        }
}

/* Erased pixels have the normal distribution that they should, and only those of the rectangle change. */
static void erase(void)
{
    enum { SIZE = 200 };
    static uint8_t pixels[SIZE * SIZE * 3];
    const tw_area area = {10, 20, 150, 160};
    const double mean[3] = {0.485, 0.456, 0.406}, deviation[3] = {0.229, 0.224, 0.225};
    int count[3][256] = {{0}}, outside = 0, n = area.height * area.width;
    tw_rng r;
    tw_rng_init(&r, 1, TW_USE_VIEW, 2, 3, 4);
    memset(pixels, 7, sizeof pixels);
    tw_erase(pixels, SIZE, &area, r);
    for (int y = 0; y < SIZE; y++)
        for (int x = 0; x < SIZE; x++)
            for (int c = 0; c < 3; c++) {
                const uint8_t v = pixels[(y * SIZE + x) * 3 + c];
                if (y >= 10 && y < 160 && x >= 20 && x < 180)
                    count[c][v]++;
                else
                    outside += v != 7;
            }
    CHECK(outside == 0);
    for (int c = 0; c < 3; c++)
        for (int v = 0, up_to = 0; v < 255; v++) {
            up_to += count[c][v];
            CHECK_NEAR((double)up_to / n, 0.5 * erfc(-((v + 0.5) / 255 - mean[c]) / deviation[c] / sqrt(2)), 2.7 / sqrt(n));
        }
}

int main(void)
{
    erase();
    const tw_kernels *k;
    for (int i = 0; (k = tw_kernels_at(i)) != NULL; i++) {
        golden(k);
        white(k);
        hue(k);
        sums(k);
        tables(k);
        printf("instructions: of pictures: %s%s\n", k->name, k == tw_kernels_best() ? ", taken" : "");
    }
    CHECK(strcmp(tw_kernels_at(0)->name, "plain") == 0 && tw_kernels_best() != NULL);
    return test_done();
}
