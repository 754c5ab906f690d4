/* What a supervised run counts goes through its checkpoint's notes and comes back to the bit; a resumed run reports as one that never stopped. */
#include "train/tally.h"

#include "test.h"

#include <unistd.h>

static const tw_step_result steps[] = {
    {.terms.loss = 1.0 / 3, .hits = {5, 9}}, {.terms.loss = 0x1.123456789abcdp-3, .hits = {7, 8}}, {.terms.loss = 2.25, .hits = {0, 1}},
};

static tw_tally through_notes(const tw_tally *t)
{
    char notes[TW_TALLY_NOTES];
    tw_tally r = {0};
    tw_tally_write(notes, t);
    CHECK(tw_tally_read(&r, notes) == 0);
    return r;
}

static void test_notes(void)
{
    tw_tally whole = {.last = {3, 0.1, 2.0 / 3}}, resumed = whole;
    for (int i = 0; i < 3; i++) {
        tw_tally_add(&whole, &steps[i]);
        tw_tally_add(&resumed, &steps[i]);
        resumed = through_notes(&resumed);
    }
    CHECK(memcmp(&whole, &resumed, sizeof whole) == 0);
    CHECK(whole.steps == 3 && whole.hits[0] == 12 && whole.hits[1] == 18);
    whole.pending = true;
    CHECK(through_notes(&whole).pending);
    tw_tally_clear(&whole);
    CHECK(whole.steps == 0 && !(whole.loss > 0) && whole.hits[1] == 0 && !whole.pending && whole.last.epoch == 3);
}

static void test_longest_notes(void)
{
    const tw_tally t = {.last = {INT64_MIN, -0x1.fffffffffffffp+1023, -0x1.fffffffffffffp-1022}, .steps = INT64_MIN, .loss = -0x1.fffffffffffffp-1022,
                        .hits = {INT64_MIN, INT64_MIN}, .pending = true};
    const tw_tally r = through_notes(&t);
    CHECK(r.last.epoch == INT64_MIN && r.hits[1] == INT64_MIN && r.pending);
}

static void test_other_notes(void)
{
    tw_tally t = {.steps = 7};
    CHECK(tw_tally_read(&t, "") == -1 && tw_tally_read(&t, "starved 3") == -1);
    CHECK(tw_tally_read(&t, "measured 1 0.5 0.5, epoch 2 0.5 3") == -1);
    CHECK(t.steps == 7);
}

static void test_line(void)
{
    char path[] = "/tmp/twist-tally-XXXXXX", line[512] = "";
    const int fd = mkstemp(path);
    tw_tally t = {0};
    tw_tally_add(&t, &steps[0]);
    tw_tally_add(&t, &steps[2]);
    tw_jsonl *log = tw_jsonl_open(path, -1, 0);
    CHECK(fd >= 0 && log != NULL && tw_tally_log(log, &t, 4, 10, 10, &(tw_validation){20, 0.5, 0.25, 0.75}) == 0);
    FILE *f = tw_jsonl_close(log) == 0 ? fopen(path, "r") : NULL;
    CHECK(f != NULL && fgets(line, sizeof line, f) != NULL);
    long epoch = 0, step = 0;
    double loss = 0, acc1 = 0, acc5 = 0, val = 0;
    CHECK(sscanf(line, "{\"end_of_epoch\":%ld,\"after_step\":%ld,\"loss\":%lf,\"acc1\":%lf,\"acc5\":%lf,\"val_loss\":%lf", &epoch, &step,
                 &loss, &acc1, &acc5, &val) == 6);
    CHECK(epoch == 4 && step == 10);
    CHECK_NEAR(loss, (1.0 / 3 + 2.25) / 2, 1e-6);
    CHECK_NEAR(acc1, 0.25, 1e-9);
    CHECK_NEAR(acc5, 0.5, 1e-9);
    CHECK_NEAR(val, 0.5, 1e-9);
    CHECK(strstr(line, "\"val_samples\":20}") != NULL);
    if (f != NULL)
        fclose(f);
    close(fd);
    unlink(path);
}

int main(void)
{
    test_notes();
    test_longest_notes();
    test_other_notes();
    test_line();
    return test_done();
}
