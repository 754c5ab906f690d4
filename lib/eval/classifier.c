#include "eval/classifier.h"

#include "checkpoint/network.h"
#include "core/error.h"
#include "core/mem.h"
#include "core/utf8.h"

#include <cjson/cJSON.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_META = 16 };

void tw_classifier_fold(float *weight, float *bias, int C, int D, const float *mean, const float *std)
{
    for (int c = 0; c < C; c++) {
        float *w = weight + (size_t)c * D;
        double shift = 0;
        for (int d = 0; d < D; d++) {
            const double folded = (double)w[d] / std[d];
            shift += folded * mean[d];
            w[d] = (float)folded;
        }
        bias[c] = (float)(bias[c] - shift);
    }
}

char *tw_classes_json(const char *const *classes, int C)
{
    cJSON *list = cJSON_CreateStringArray(classes, C);
    char *text = list != NULL ? tw_utf8_escape(cJSON_PrintUnformatted(list), "\\") : NULL;
    cJSON_Delete(list);
    if (text == NULL)
        tw_fail("out of memory for the names of %d classes", C);
    return text;
}

int tw_classifier_write(const char *path, const float *weight, const float *bias, int C, int D, char *const *classes,
                        const char *const (*meta)[2], int n)
{
    const tw_named_tensor t[] = {{"fc.weight", {.dtype = TW_F32, .rank = 2, .dim = {C, D}, .data = weight}},
                                 {"fc.bias", {.dtype = TW_F32, .rank = 1, .dim = {C}, .data = bias}}};
    const char *all[MOST_META + 2][2] = {{"kind", "twist linear classifier"}};
    int m = 1;
    char *text = NULL;
    if (n > MOST_META)
        return tw_fail("%s: more than %d pairs of metadata", path, MOST_META);
    if (classes != NULL && (text = tw_classes_json((const char *const *)classes, C)) == NULL)
        return -1;
    if (text != NULL)
        memcpy(all[m++], ((const char *[]){"classes", text}), sizeof all[0]);
    for (int i = 0; i < n; i++, m++)
        memcpy(all[m], meta[i], sizeof all[0]);
    const int rc = tw_safetensors_write(path, t, 2, all, m);
    free(text);
    return rc;
}

static int take(tw_classifier *c, const tw_checkpoint *f)
{
    const tw_tensor *bias, *weight = tw_network_classifier(f, &bias);
    if (weight == NULL)
        return tw_fail("contains no classifier (weight and bias of fc, linear or head)");
    if (weight->rank != 2 || bias->rank != 1 || weight->dim[0] != bias->dim[0] || weight->dim[0] < 1 || weight->dim[1] < 1 ||
        weight->dim[0] > 1 << 20 || weight->dim[1] > 1 << 24)
        return tw_fail("its classifier's weight and bias are not of shape [C,D] and [C]");
    c->C = (int)weight->dim[0];
    c->D = (int)weight->dim[1];
    float *w = tw_calloc((size_t)c->C * (size_t)c->D, sizeof *w);
    c->bias = tw_calloc((size_t)c->C, sizeof *c->bias);
    int rc = w == NULL || c->bias == NULL || tw_tensor_to_f32(w, weight) != 0 || tw_tensor_to_f32(c->bias, bias) != 0 ||
             tw_panels_init(&c->weight, c->C, c->D, NULL) != 0 ? -1 : 0;
    if (rc == 0)
        tw_panels_set(&c->weight, w, (size_t)c->D, 1, c->C, c->D, NULL);
    free(w);
    return rc;
}

int tw_classifier_read(tw_classifier *c, const char *path)
{
    *c = (tw_classifier){.C = 0};
    tw_checkpoint *f = tw_checkpoint_open(path);
    int rc = f != NULL ? take(c, f) : -1;
    if (f != NULL && rc != 0)
        tw_fail("%s: %s", path, tw_error());
    if (rc != 0)
        tw_classifier_fini(c);
    tw_checkpoint_close(f);
    return rc;
}

void tw_classifier_fini(tw_classifier *c)
{
    tw_panels_fini(&c->weight);
    free(c->bias);
    *c = (tw_classifier){.C = 0};
}

void tw_classifier_apply(float *logits, const tw_classifier *c, const float *x, int n)
{
    tw_product(logits, (size_t)c->C, x, (size_t)c->D, 1, n, &c->weight, false);
    for (int i = 0; i < n; i++)
        for (int k = 0; k < c->C; k++)
            logits[(size_t)i * c->C + k] += c->bias[k];
}
