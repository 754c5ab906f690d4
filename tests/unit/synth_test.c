/* Goal: the synthetic pictures' classes differ in outline and texture alone: equal areas, half of each tone, and the same scene
 * around them whatever the class; drawing depends on seed, part and number and on nothing else. */
#include "report/jpeg.h"
#include "synth/scene.h"
#include "synth/texture.h"
#include "test.h"

#include "image/decode.h"

enum { GRID = 1200, S = 48 };

/* Midpoints of a fine grid: the area is good to a few border cells, 0.5 %. */
static void outlines_have_one_area(void)
{
    const double step = 2 * TW_SYNTH_REACH / GRID;
    for (int k = 0; k < TW_SYNTH_CLASSES; k++) {
        int64_t inside = 0;
        double x_sum = 0, y_sum = 0, reach = 0;
        for (int i = 0; i < GRID * GRID; i++) {
            const double x = (i % GRID + 0.5) * step - TW_SYNTH_REACH, y = (i / GRID + 0.5) * step - TW_SYNTH_REACH;
            if (!tw_synth_inside(k, x, y))
                continue;
            inside++;
            x_sum += x;
            y_sum += y;
            reach = fmax(reach, hypot(x, y));
        }
        CHECK_NEAR((double)inside * step * step, 3.14159, 0.016);
        CHECK_NEAR(x_sum / (double)inside, 0, 0.02);
        CHECK_NEAR(y_sum / (double)inside, 0, 0.02);
        CHECK(reach < TW_SYNTH_REACH);
    }
}

/* Over 60 x 60 periods; the irregular textures have a few thousand independent cells there: 2 %. */
static void textures_have_half_of_each_tone(void)
{
    for (int k = 0; k < TW_SYNTH_CLASSES; k++) {
        int first = 0;
        for (int i = 0; i < GRID * GRID; i++)
            first += tw_synth_tone(k, (i % GRID + 0.37) * 0.05 - 30, (i / GRID + 0.61) * 0.05 - 30, 5);
        CHECK_NEAR((double)first / (GRID * GRID), 0.5, 0.01);
    }
}

static uint8_t a[S * S * 3], b[S * S * 3];

static double share_equal(void)
{
    int same = 0;
    for (int i = 0; i < S * S; i++)
        same += memcmp(a + i * 3, b + i * 3, 3) == 0;
    return (double)same / (S * S);
}

static void drawing_is_a_function_of_its_arguments(void)
{
    tw_synth_draw(a, S, 3, 7, 0, 11);
    tw_synth_draw(b, S, 3, 7, 0, 11);
    CHECK(share_equal() == 1);
    /* another picture agrees in few pixels, by accident */
    tw_synth_draw(b, S, 3, 8, 0, 11);
    CHECK(share_equal() < 0.05);
    tw_synth_draw(b, S, 3, 7, 1, 11);
    CHECK(share_equal() < 0.05);
    tw_synth_draw(b, S, 3, 7, 0, 12);
    CHECK(share_equal() < 0.05);
}

/* The same scene as two classes: whatever no object touches is the same to the last bit of noise; the objects are not. */
static void only_the_objects_know_the_class(void)
{
    for (int k = 1; k < TW_SYNTH_CLASSES; k++) {
        double equal = 0, most = 0;
        for (int i = 0; i < 20; i++) {
            tw_synth_draw(a, S, 0, 7, 0, (uint64_t)i);
            tw_synth_draw(b, S, k, 7, 0, (uint64_t)i);
            equal += share_equal() / 20;
            most = fmax(most, share_equal());
        }
        CHECK(equal > 0.1);
        CHECK(most < 0.8);
    }
}

/* Mean and deviation of each colour: six numbers that know nothing of texture and shape. */
static void statistics(double out[6], const uint8_t *rgb)
{
    for (int c = 0; c < 3; c++) {
        double sum = 0, square = 0;
        for (int i = 0; i < S * S; i++) {
            sum += rgb[i * 3 + c];
            square += (double)rgb[i * 3 + c] * rgb[i * 3 + c];
        }
        out[c] = sum / (S * S);
        out[3 + c] = sqrt(square / (S * S) - out[c] * out[c]);
    }
}

/* Brightness, contrast and colour carry no class: the nearest of the class means of those six numbers finds hardly more than
 * chance, 10 % (1,000 pictures to learn from and 1,000 to try: four deviations of the share are 3.8 points). */
static void light_and_colour_carry_no_class(void)
{
    enum { N = 1000, K = TW_SYNTH_CLASSES };
    static double mean[K][6], x[6];
    int right = 0;
    for (int part = 0; part < 2; part++)
        for (int i = 0; i < N; i++) {
            tw_synth_draw(a, S, i % K, 3, (uint32_t)part, (uint64_t)i);
            statistics(x, a);
            int best = 0;
            double least = INFINITY;
            for (int k = 0; k < K; k++) {
                double d = 0;
                for (int f = 0; f < 6; f++) {
                    if (part == 0 && k == i % K)
                        mean[k][f] += x[f] * K / N;
                    d += (x[f] - mean[k][f]) * (x[f] - mean[k][f]);
                }
                best = d < least ? k : best;
                least = fmin(least, d);
            }
            right += part == 1 && best == i % K;
        }
    printf("# class from brightness, contrast, colour: %d of %d right\n", right, N);
    CHECK(right < 190);
}

static void a_jpeg_decodes_to_what_was_compressed(void)
{
    tw_image m = {0};
    const tw_decode_options how = TW_DECODE_DEFAULT;
    size_t size;
    double error = 0;
    tw_synth_draw(a, S, 4, 1, 0, 0);
    unsigned char *jpeg = tw_jpeg_compress(&size, a, S, S, 95);
    CHECK(jpeg != NULL);
    CHECK(tw_image_decode(&m, jpeg, size, &how) == 0 && m.w == S && m.h == S);
    for (int i = 0; i < S * S; i++) /* green: colour is at half resolution, so red and blue may be off */
        error += fabs((double)m.data[i * 3 + 1] - a[i * 3 + 1]) / (S * S);
    CHECK(error < 5);
    free(jpeg);
    tw_image_fini(&m);
    CHECK(tw_jpeg_compress(&size, a, 0, 48, 95) == NULL && strstr(tw_error(), "jpeg") != NULL);
}

int main(void)
{
    outlines_have_one_area();
    textures_have_half_of_each_tone();
    drawing_is_a_function_of_its_arguments();
    only_the_objects_know_the_class();
    light_and_colour_carry_no_class();
    a_jpeg_decodes_to_what_was_compressed();
    return test_done();
}
