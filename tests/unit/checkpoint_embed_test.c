/* Goal: twist-embed computes from a checkpoint what PyTorch does from the same weights (tests/golden/checkpoint/make.py, f64):
 * features, logits and probabilities within 1e-4 of their size, in order, with all else of the samples passed on.
 *
 * `checkpoint_embed_test --make FILE` writes that checkpoint for tests/embed.bats. */
#include "checkpoint/network.h"
#include "core/mem.h"
#include "formula.h"
#include "stream/reader.h"
#include "test.h"

#include <unistd.h>

#define GOLDEN "tests/golden/checkpoint"

static bool make_checkpoint(const char *path)
{
    const tw_net_config c = {.backbone = "resnet18", .head = true, .hid_dim = 40, .dim = 24, .act = "relu", .precision = TW_F32,
                             .blank = true, .threads = 1};
    tw_net *net = tw_net_new("cpu", &c);
    if (net == NULL)
        return false;
    formula_fill(net);
    tw_named_tensor *t = tw_calloc((size_t)tw_net_params(net), sizeof *t);
    tw_network_description d;
    tw_network_describe(&d, &c);
    const int n = tw_network_tensors(t, net, TW_NETWORK_BACKBONE | TW_NETWORK_HEAD);
    const bool good = tw_safetensors_write(path, t, n, (const char *const(*)[2])d.pair, d.n) == 0;
    tw_net_free(net);
    free(t);
    return good;
}

/* Distance over the length of `want`; infinite where they cannot be compared. */
static double distance(const tw_tensor *a, const tw_tensor *want)
{
    double off = 0, norm = 0;
    if (a->data == NULL || want->data == NULL || a->rank != 1 || a->dim[0] != want->dim[0])
        return INFINITY;
    for (int64_t i = 0; i < want->dim[0]; i++) {
        float x, y;
        memcpy(&x, (const char *)a->data + 4 * i, sizeof x);
        memcpy(&y, (const char *)want->data + 4 * i, sizeof y);
        off += ((double)x - y) * ((double)x - y);
        norm += (double)y * y;
    }
    return sqrt(off / norm);
}

static bool same_place(const tw_sample *a, const tw_sample *b)
{
    return a->key_size == b->key_size && memcmp(a->key, b->key, a->key_size) == 0 && a->index == b->index &&
           a->epoch == b->epoch && a->pos == b->pos && a->label == b->label && a->extra_size == b->extra_size &&
           memcmp(a->extra, b->extra, a->extra_size) == 0;
}

/* precision: an option; tolerances of features, logits, probabilities. */
static void compare(const char *checkpoint, const char *options, double tolerance)
{
    char command[512];
    tw_sample s, want;
    double worst[3] = {0};
    int n = 0;
    snprintf(command, sizeof command, "pipe:%s/twist-embed -q -i %s/views.tws --output=features,logits,probs %s %s",
             getenv("BIN") != NULL ? getenv("BIN") : "bin", GOLDEN, options, checkpoint);
    tw_reader *r = tw_reader_open(command, NULL, NULL), *golden = tw_reader_open(GOLDEN "/features.tws", NULL, NULL);
    CHECK(r != NULL && golden != NULL);
    if (r == NULL || golden == NULL)
        return;
    const tw_header *h = tw_reader_header(r);
    CHECK(h->kind == TW_FEATURES && h->samples == 5 && h->seed == 3 && h->n_classes == 2 && strcmp(h->classes[1], "dog") == 0);
    tw_sample_init(&s);
    tw_sample_init(&want);
    while (tw_reader_next(golden, &want) == 1) {
        CHECK(tw_reader_next(r, &s) == 1);
        CHECK(same_place(&s, &want));
        worst[0] = fmax(worst[0], distance(&s.features, &want.features));
        worst[1] = fmax(worst[1], distance(&s.logits, &want.logits));
        worst[2] = fmax(worst[2], distance(&s.probs, &want.probs));
        n++;
    }
    CHECK(n == 5 && tw_reader_next(r, &s) == 0);
    if (getenv("TW_TEST_VERBOSE") != NULL)
        printf("%s: off by %.2g in features, %.2g in logits, %.2g in probs\n", options, worst[0], worst[1], worst[2]);
    for (int i = 0; i < 3; i++)
        CHECK(worst[i] <= tolerance);
    tw_reader_close(r);
    tw_reader_close(golden);
    tw_sample_fini(&s);
    tw_sample_fini(&want);
}

static bool has_bf16(void)
{
    const tw_backend *be = tw_backend_open("cpu");
    tw_dev *d = be != NULL ? be->open(TW_BF16, 1) : NULL;
    if (d != NULL)
        be->close(d);
    return d != NULL;
}

int main(int argc, char **argv)
{
    if (argc == 3 && strcmp(argv[1], "--make") == 0)
        return make_checkpoint(argv[2]) ? 0 : (fprintf(stderr, "%s\n", tw_error()), 1);
    char folder[] = "/tmp/tw-embed-XXXXXX", path[64];
    if (mkdtemp(folder) == NULL)
        return 1;
    snprintf(path, sizeof path, "%s/checkpoint.safetensors", folder);
    CHECK(make_checkpoint(path));
    compare(path, "--precision=fp32", 1e-4);
    compare(path, "--precision=fp32 --batch-size=2 -j1", 1e-4);
    if (has_bf16())
        compare(path, "--precision=bf16", 3e-2);
    unlink(path);
    rmdir(folder);
    return test_done();
}
