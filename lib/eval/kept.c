#include "eval/kept.h"

#include "core/error.h"
#include "stream/crc32c.h"

#include <errno.h>
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

int tw_kept_fits(const tw_kept *k, const char *path, const tw_header *h)
{
    if (k->of != h->samples || k->epochs != h->epochs || k->first_epoch != h->first_epoch)
        return tw_fail("%s: of other data: %lld samples in an epoch, where there are %lld now", path, (long long)k->of,
                       (long long)h->samples);
    return k->n_classes == h->n_classes && k->classes == names(h) ? 0 : tw_fail("%s: of other data: its classes are others", path);
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

int tw_kept_read(tw_kept *k, const char *path)
{
    struct stat st;
    tw_sample s;
    int rc;
    *k = (tw_kept){.bytes = 0};
    if (stat(path, &st) != 0)
        return errno == ENOENT ? 0 : tw_fail_errno("%s", path);
    if (!S_ISREG(st.st_mode))
        return tw_fail("%s: no regular file: nothing can be appended to it", path);
    if (st.st_size == 0)
        return 0;
    tw_reader *r = tw_reader_open(path, NULL, NULL);
    if (r == NULL)
        return -1;
    const tw_header *h = tw_reader_header(r);
    if (h->kind != TW_FEATURES) {
        tw_fail("%s: a stream of %s, to which features cannot be appended", path, tw_kind_names[h->kind]);
        tw_reader_close(r);
        return -1;
    }
    *k = (tw_kept){.bytes = tw_reader_offset(r), .of = h->samples, .epochs = h->epochs, .first_epoch = h->first_epoch, .share = h->share,
                   .network = h->network, .n_classes = h->n_classes, .classes = names(h)};
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
