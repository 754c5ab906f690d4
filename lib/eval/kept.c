#include "eval/kept.h"

#include "core/crc32c.h"
#include "core/error.h"
#include "core/file.h"
#include "stream/scan.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static int64_t length(const tw_tensor *t)
{
    return t->data != NULL ? t->dim[0] : 0;
}

static uint32_t names(const tw_header *h)
{
    uint32_t crc = 0;
    for (int i = 0; i < h->n_classes; i++)
        crc = tw_crc32c(crc, h->classes[i], strlen(h->classes[i]) + 1);
    return crc;
}

static const char *number(char text[24], int64_t n)
{
    snprintf(text, 24, n < 0 ? "unknown" : "%lld", (long long)n);
    return text;
}

/* Checks that a number of the header equals the file's. 0, or -1 and tw_error(). */
static int same(const char *path, const char *what, int64_t theirs, int64_t ours)
{
    char a[24], b[24];
    return theirs == ours ? 0 : tw_fail("%s: of other data: %s %s, but now it is %s", path, what, number(a, theirs), number(b, ours));
}

int tw_kept_fits(const tw_kept *k, const char *path, const tw_header *h, bool rest)
{
    const tw_share *a = &k->share, *b = &h->share;
    const bool later = rest && h->first_epoch > k->first_epoch && h->first_epoch <= k->epoch;
    int64_t epochs = h->epochs; /* counted from the file's first epoch */
    if (later && epochs >= 0 && __builtin_add_overflow(epochs, h->first_epoch - k->first_epoch, &epochs))
        epochs = -1;
    if (same(path, "the number of samples in an epoch is", k->of, h->samples) != 0 || same(path, "the number of epochs is", k->epochs, epochs) != 0 ||
        same(path, "the first epoch is", k->first_epoch, later ? k->first_epoch : h->first_epoch) != 0 ||
        same(path, "the seed is", (int64_t)k->seed, (int64_t)h->seed) != 0 ||
        same(path, "the number of classes is", k->n_classes, h->n_classes) != 0)
        return -1;
    if (a->rank != b->rank || a->ranks != b->ranks || a->block != b->block)
        return tw_fail("%s: of other data: its share is %d/%d/%lld, but now it is %d/%d/%lld", path, a->rank, a->ranks, (long long)a->block,
                       b->rank, b->ranks, (long long)b->block);
    if (k->data_checksum != 0 && h->data_checksum != 0 && k->data_checksum != h->data_checksum)
        return tw_fail("%s: of other data: the names or labels of its data set differ", path);
    return k->classes == names(h) ? 0 : tw_fail("%s: of other data: its classes differ", path);
}

static void take(tw_kept *k, const tw_reader *r, const tw_sample *s)
{
    const tw_tensor *any = s->features.data != NULL ? &s->features : s->logits.data != NULL ? &s->logits : &s->probs;
    k->bytes = tw_reader_offset(r);
    k->samples++;
    k->epoch = s->epoch;
    k->pos = s->pos;
    k->index = s->index;
    k->key = tw_crc32c(0, s->key, s->key_size);
    k->features = length(&s->features);
    k->logits = length(&s->logits);
    k->probs = length(&s->probs);
    k->half = any->dtype == TW_F16;
}

/* Whether the file ends inside a stream's header. */
static bool is_cut_header(const char *path)
{
    static const char start[] = "\xa5twist\x01"; /* follows the byte with the number of keys */
    const tw_limits limits = TW_LIMITS_DEFAULT;
    tw_scan scan;
    size_t size;
    unsigned char *bytes = tw_file_read(path, &size, 0);
    if (bytes == NULL)
        return false;
    tw_scan_init(&scan, &limits);
    const size_t n = size > sizeof start ? sizeof start - 1 : size - 1;
    const bool cut = (bytes[0] & 0xf0) == 0x80 && memcmp(bytes + 1, start, n) == 0 && tw_scan_run(&scan, bytes, size) == 0;
    free(bytes);
    return cut;
}

int tw_kept_read(tw_kept *k, const char *path)
{
    struct stat st;
    tw_sample s;
    int rc;
    *k = (tw_kept){.bytes = 0};
    if (stat(path, &st) != 0)
        return errno == ENOENT ? 0 : tw_fail_errno("%s", path);
    if (!S_ISREG(st.st_mode))
        return tw_fail("%s: not a regular file: cannot append to it", path);
    if (st.st_size == 0)
        return 0;
    tw_reader *r = tw_reader_open(path, NULL, NULL);
    if (r == NULL)
        return (k->cut = is_cut_header(path)) ? 0 : -1;
    const tw_header *h = tw_reader_header(r);
    if (h->kind != TW_FEATURES) {
        tw_fail("%s: a stream of %s, to which features cannot be appended", path, tw_kind_names[h->kind]);
        tw_reader_close(r);
        return -1;
    }
    *k = (tw_kept){.bytes = tw_reader_offset(r), .of = h->samples, .epochs = h->epochs, .first_epoch = h->first_epoch, .seed = h->seed,
                   .share = h->share, .data_checksum = h->data_checksum, .network = h->network, .n_classes = h->n_classes, .classes = names(h)};
    tw_sample_init(&s);
    while ((rc = tw_reader_next(r, &s)) == 1)
        take(k, r, &s);
    k->complete = rc == 0;
    tw_sample_fini(&s);
    tw_reader_close(r);
    return 0;
}

bool tw_kept_last(const tw_kept *k, const tw_sample *s)
{
    return s->epoch == k->epoch && s->pos == k->pos && s->index == k->index && tw_crc32c(0, s->key, s->key_size) == k->key;
}

bool tw_kept_behind(const tw_kept *k, const tw_sample *s)
{
    return s->epoch > k->epoch || (s->epoch == k->epoch && s->pos > k->pos);
}

bool tw_kept_placed(const tw_kept *k, const char *endpoint)
{
    return tw_reader_places(endpoint) && (tw_reader_epochs(endpoint) || k->samples == 0 || k->epoch == k->first_epoch);
}

tw_place tw_kept_place(const tw_kept *k, const char *endpoint)
{
    tw_place p = {0, 1, 0, 0};
    if (tw_reader_places(endpoint))
        p.epoch = k->first_epoch;
    if (k->samples > 0 && tw_kept_placed(k, endpoint)) {
        p.epoch = k->epoch;
        p.skip = tw_share_done(&k->share, k->pos);
    }
    return p;
}

int64_t tw_kept_lost(const tw_kept *k)
{
    int64_t places = 0;
    const int64_t epochs = k->epoch - k->first_epoch;
    if (k->samples == 0)
        return 0;
    if (epochs < 0 || (epochs > 0 && (k->of < 0 || __builtin_mul_overflow(epochs, k->of, &places))) ||
        __builtin_add_overflow(places, tw_share_done(&k->share, k->pos), &places))
        return -1;
    return places >= k->samples ? places - k->samples : -1;
}
