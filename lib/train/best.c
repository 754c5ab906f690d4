#include "train/best.h"

#include "checkpoint/network.h"
#include "core/error.h"
#include "core/mem.h"
#include "core/opts.h"
#include "eval/classifier.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int write_network(const char *path, const tw_learner *l, const char *const (*pair)[2], int n)
{
    tw_named_tensor *t = tw_calloc((size_t)tw_net_params(l->net), sizeof *t);
    if (t == NULL)
        return -1;
    const int tensors = tw_network_tensors(t, l->net, TW_NETWORK_BACKBONE | TW_NETWORK_CLASSIFIER);
    const int rc = tw_net_download(l->net) == 0 ? tw_safetensors_write(path, t, tensors, pair, n) : -1;
    free(t);
    return rc;
}

int tw_best_save(const char *path, const tw_score *score, const tw_learner *l, const tw_header *header, const char *command)
{
    tw_network_description d;
    char acc1[32], acc5[32], epoch[24], *classes = NULL;
    if (header->n_classes > 0 && (classes = tw_classes_json(header->classes, header->n_classes)) == NULL)
        return -1;
    tw_network_describe(&d, &l->config);
    snprintf(acc1, sizeof acc1, "%.17g", score->acc1); /* 17 digits read back as the same number, so that an equal score does not count as better */
    snprintf(acc5, sizeof acc5, "%.17g", score->acc5);
    snprintf(epoch, sizeof epoch, "%lld", (long long)score->epoch);
    const char *const more[][2] = {{"acc1", acc1}, {"acc5", acc5}, {"best_epoch", epoch}, {"classes", classes}, {"command", command}};
    const char *pair[TW_NETWORK_PAIRS + sizeof more / sizeof *more][2];
    int n = d.n;
    memcpy(pair, d.pair, sizeof *pair * (size_t)n);
    for (size_t i = 0; i < sizeof more / sizeof *more; i++)
        if (more[i][1] != NULL)
            memcpy(pair[n++], more[i], sizeof *pair);
    const int rc = write_network(path, l, (const char *const(*)[2])pair, n);
    free(classes);
    return rc;
}

static int read_score(tw_score *score, const tw_checkpoint *f, const char *path)
{
    static const char *const key[] = {"acc1", "acc5", "best_epoch"};
    double v[3];
    for (int i = 0; i < 3; i++) {
        const char *text = tw_checkpoint_meta(f, key[i]);
        if (text == NULL)
            return tw_fail("%s: no checkpoint of twist-finetune: '%s' is not in its metadata", path, key[i]);
        if (tw_parse_double(&v[i], text, 0, 1e15, key[i]) != 0)
            return -1;
    }
    *score = (tw_score){(int64_t)v[2], v[0], v[1]};
    return 0;
}

int tw_best_load(tw_score *score, const char *path)
{
    *score = (tw_score){0};
    if (access(path, F_OK) != 0)
        return 0;
    tw_checkpoint *f = tw_checkpoint_open(path);
    if (f == NULL)
        return -1;
    const int rc = read_score(score, f, path);
    tw_checkpoint_close(f);
    return rc;
}
