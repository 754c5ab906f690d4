/* Goal: features streams are read whole or refused with the sample's name; batches and classifier files are what they say. */
#include "test.h"

#include "checkpoint/checkpoint.h"
#include "core/tsv.h"
#include "eval/batches.h"
#include "eval/blocks.h"
#include "eval/classifier.h"
#include "report/text.h"

#include <float.h>
#include <stdatomic.h>
#include <unistd.h>

#define EVAL "tests/golden/eval/"

static void reading(void)
{
    tw_features f, g;
    size_t size;
    CHECK(tw_features_read(&f, EVAL "train.tws") == 0);
    CHECK(f.who.n == 80 && f.D == 8 && f.who.n_classes == 4 && f.who.named == 4 && f.who.labelled == 80);
    const char *key = tw_roster_key(&f.who, 79, &size);
    CHECK(size == 15 && memcmp(key + 7, "/079.png", 8) == 0);
    key = tw_roster_key(&f.who, 0, &size);
    CHECK(size == 15 && key[6] == '0' + f.who.label[0] && strcmp(f.who.classes[3], "class 3") == 0);
    CHECK(tw_roster_labelled(&f.who) == 0);
    CHECK(tw_features_read(&g, EVAL "unlabelled.tws") == 0 && g.who.labelled == 0 && g.who.label[0] == -1 && g.who.named == 0);
    CHECK(tw_roster_labelled(&g.who) == -1 && strstr(tw_error(), "unlabelled.tws: sample 0 (class ") != NULL);
    CHECK(tw_roster_same_classes(&f.who, &g.who) == 0); /* one of them names none */
    tw_features_fini(&g);
    CHECK(tw_features_read(&g, "formats/features.tws") == 0 && tw_roster_same_classes(&f.who, &g.who) == -1);
    tw_features_fini(&g);
    static const char *const bad[][2] = {{"nan.tws", ": sample 3 (class "}, {"nan.tws", "/003.png): features: value 1 is NaN"},
                                         {"odd.tws", "/003.png): 7 features, where the first sample has 8"},
                                         {"cut.tws", "without its end record"}, {"none.tws", "No such file"}};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        char path[100];
        snprintf(path, sizeof path, EVAL "%s", bad[i][0]);
        CHECK(tw_features_read(&g, path) == -1 && g.x == NULL);
        CHECK(strstr(tw_error(), bad[i][1]) != NULL && strstr(tw_error(), bad[i][0]) != NULL);
    }
    /* too many of them, in the first sample too */
    const tw_tensor many = {TW_F32, 1, {(1 << 24) + 1}, &f};
    const tw_sample s = {.key = "k", .key_size = 1};
    int D = 0;
    CHECK(tw_vector_check(&D, &f.who, &s, &many, "features") == -1 && D == 0);
    CHECK(strstr(tw_error(), "(k): 16777217 features, more than the 16777216 that a sample may have here") != NULL);
    tw_features_fini(&f);
}

static void scaling(void)
{
    float x[] = {1, 5, 3e-30f, 2, 5, 1e-30f, 3, 5, 2e-30f}, mean[3], std[3];
    tw_features f = {.who = {.n = 3}, .x = x, .D = 3};
    CHECK(tw_features_moments(mean, std, &f) == 0);
    CHECK_NEAR(mean[0], 2, 0);
    CHECK_NEAR(std[0], sqrt(2.0 / 3), 1e-7);
    CHECK(mean[1] == 5 && std[1] == 1); /* does not vary */
    tw_features_standardize(&f, mean, std);
    CHECK_NEAR(x[0], -sqrt(1.5), 1e-6);
    CHECK_NEAR(x[8], 0, 1e-6);
    CHECK(x[1] == 0 && x[4] == 0);
}

/* Numbers of any usual size are only shifted, as standardize shifts them; the largest and the smallest come to where their squares fit. */
static void centring(void)
{
    static const float x[] = {1.25f, -3, 7.5f, 0.1f, 3e-4f, 100, 9, 2, 4, 8, -6, 0.3f};
    static const float one[3] = {1, 1, 1};
    float plain[12], y[12], mean[3], std[3];
    for (int power = -100; power <= 100; power += 50) {
        tw_features f = {.who = {.n = 4}, .x = plain, .D = 3}, g = {.who = {.n = 4}, .x = y, .D = 3};
        int exponent;
        for (int i = 0; i < 12; i++)
            plain[i] = y[i] = ldexpf(x[i], power);
        CHECK(tw_features_moments(mean, std, &f) == 0 && tw_features_centre(&exponent, &g) == 0);
        tw_features_standardize(&f, mean, one);
        CHECK(exponent == (power == 0 ? 0 : 33 - power)); /* the largest is 97.5 less the mean of its column, below 2^7 */
        for (int i = 0; i < 12; i++)
            CHECK(y[i] == ldexpf(plain[i], exponent));
    }
    float edge[] = {FLT_MAX, -FLT_MAX, FLT_MAX, -FLT_MAX, -FLT_MAX, FLT_MAX, 5, 5, 5}; /* whose differences are beyond f32 */
    tw_features f = {.who = {.n = 2}, .x = edge, .D = 3};
    int exponent;
    CHECK(tw_features_centre(&exponent, &f) == 0 && exponent < 0);
    for (int i = 0; i < 6; i++)
        CHECK(isfinite(edge[i]) && fabsf(edge[i]) <= 0x1p40f);
    f = (tw_features){.who = {.n = 3}, .x = edge + 6, .D = 1}; /* nothing varies */
    CHECK(tw_features_centre(&exponent, &f) == 0 && exponent == 0 && edge[6] == 0 && edge[8] == 0);
}

static void batches(void)
{
    tw_batches b;
    int seen[20] = {0}, sizes[4] = {0}, n, order[2][20];
    CHECK(tw_batches_open(&b, EVAL "epoch.tws", 8, 5) == 0 && b.kept != NULL && b.D == 8 && b.epochs == 0);
    for (int e = 0; e < 2; e++) {
        int total = 0;
        for (int k = 0; (n = tw_batches_next(&b)) > 0; k++) {
            sizes[k] = n;
            for (int i = 0; i < n; i++)
                for (int s = 0; s < 20; s++)
                    if (memcmp(b.x + i * 8, b.kept->x + s * 8, 32) == 0 && b.y[i] == b.who->label[s]) {
                        seen[s]++;
                        order[e][total++] = s;
                    }
        }
        CHECK(n == 0 && total == 20 && sizes[0] == 8 && sizes[1] == 8 && sizes[2] == 4);
    }
    for (int s = 0; s < 20; s++)
        CHECK(seen[s] == 2);
    CHECK(memcmp(order[0], order[1], sizeof order[0]) != 0);
    CHECK(tw_batches_finish(&b) == 0);
    tw_batches_close(&b);
    tw_features f;
    CHECK(tw_features_read(&f, EVAL "epoch.tws") == 0);
    CHECK(tw_batches_open(&b, EVAL "epochs.tws", 8, 5) == 0 && b.kept == NULL && b.epochs == 3 && b.D == 8);
    b.classes = 4;
    for (int e = 0; e < 3; e++) {
        int total = 0;
        if (e == 2)
            CHECK(tw_batches_finish(&b) == -1); /* there is more */
        for (; (n = tw_batches_next(&b)) > 0; total += n)
            CHECK(memcmp(b.x, f.x + total * 8, (size_t)n * 32) == 0 && b.y[n - 1] == f.who.label[total + n - 1]);
        CHECK(n == 0 && total == 20);
    }
    CHECK(tw_batches_next(&b) == 0 && tw_batches_finish(&b) == 0);
    tw_batches_close(&b);
    CHECK(tw_batches_open(&b, EVAL "epochs.tws", 100, 5) == 0);
    b.classes = 1;
    CHECK(tw_batches_next(&b) == -1 && strstr(tw_error(), "there are 1 classes") != NULL);
    tw_batches_close(&b);
    CHECK(tw_batches_open(&b, EVAL "unlabelled.tws", 4, 0) == -1);
    tw_batches_close(&b);
    tw_features_fini(&f);
}

static void classifier(void)
{
    float w[] = {1, 2, 3, 4, 5, 6}, b[] = {1, -1};
    const float mean[] = {1, 0, -2}, std[] = {2, 1, 0.5f}, x[] = {3, 7, 0.25f};
    double want[2], got[2];
    for (int c = 0; c < 2; c++) {
        want[c] = b[c];
        for (int d = 0; d < 3; d++)
            want[c] += w[c * 3 + d] * (x[d] - mean[d]) / std[d];
    }
    tw_classifier_fold(w, b, 2, 3, mean, std);
    for (int c = 0; c < 2; c++) {
        got[c] = b[c];
        for (int d = 0; d < 3; d++)
            got[c] += w[c * 3 + d] * x[d];
        CHECK_NEAR(got[c], want[c], 1e-5);
    }
    char path[] = "/tmp/twist-classifier-XXXXXX", *classes[] = {"cat \"x\"", "dog"};
    close(mkstemp(path));
    const char *const meta[][2] = {{"acc1", "0.5"}};
    CHECK(tw_classifier_write(path, w, b, 2, 3, classes, meta, 1) == 0);
    tw_checkpoint *s = tw_checkpoint_open(path);
    CHECK(s != NULL && tw_checkpoint_count(s) == 2);
    const tw_tensor *t = tw_checkpoint_find(s, "fc.weight"), *u = tw_checkpoint_find(s, "fc.bias");
    CHECK(t != NULL && t->dtype == TW_F32 && t->rank == 2 && t->dim[0] == 2 && t->dim[1] == 3 && memcmp(t->data, w, sizeof w) == 0);
    CHECK(u != NULL && u->rank == 1 && u->dim[0] == 2 && memcmp(u->data, b, sizeof b) == 0);
    CHECK(strcmp(tw_checkpoint_meta(s, "classes"), "[\"cat \\\"x\\\"\",\"dog\"]") == 0);
    CHECK(strcmp(tw_checkpoint_meta(s, "acc1"), "0.5") == 0);
    tw_checkpoint_close(s);
    CHECK(tw_classifier_write(path, w, b, 2, 3, NULL, meta, 1) == 0 && (s = tw_checkpoint_open(path)) != NULL);
    CHECK(tw_checkpoint_meta(s, "classes") == NULL);
    tw_checkpoint_close(s);
    unlink(path);
    CHECK(tw_classifier_write("/nowhere/x", w, b, 2, 3, NULL, meta, 1) == -1);
}

static atomic_int runs[1000], workers;

static void mark(void *context, int block, int worker)
{
    atomic_fetch_add(&runs[block], 1);
    if (worker < 0 || worker >= *(int *)context)
        atomic_fetch_add(&workers, 1);
}

static void loops(void)
{
    for (int threads = 1; threads < 6; threads += 2) {
        tw_blocks *b = tw_blocks_new(threads);
        CHECK(tw_blocks_threads(b) == threads);
        tw_blocks_each(b, 1000, mark, &threads);
        tw_blocks_each(b, 1, mark, &threads);
        tw_blocks_each(b, 0, mark, &threads);
        tw_blocks_free(b);
    }
    int wrong = 0;
    for (int i = 0; i < 1000; i++)
        wrong += runs[i] != (i == 0 ? 6 : 3);
    CHECK(wrong == 0 && workers == 0);
    CHECK(tw_blocks_count(0, 8) == 0 && tw_blocks_count(1, 8) == 1 && tw_blocks_count(16, 8) == 2 && tw_blocks_count(17, 8) == 3);
}

static void texts(void)
{
    char out[200] = "";
    FILE *f = fmemopen(out, sizeof out, "w");
    tw_tsv_write(f, "a\tb\\\n\r\0c", 8);
    putc('|', f);
    tw_text_html(f, "<a \"&\">\xc3\xa9\xc3 \xe2\x82", 13);
    putc('|', f);
    tw_text_url(f, "d e/\xc3#?%.png", 12);
    const long n = ftell(f);
    fclose(f);
    static const char want[] = "a\\tb\\\\\\n\\r\0c|&lt;a &quot;&amp;&quot;&gt;\xc3\xa9\xef\xbf\xbd \xef\xbf\xbd\xef\xbf\xbd|d%20e/%C3%23%3F%25.png";
    CHECK(n == sizeof want - 1 && memcmp(out, want, sizeof want - 1) == 0);
}

int main(void)
{
    reading();
    scaling();
    centring();
    batches();
    classifier();
    loops();
    texts();
    return test_done();
}
