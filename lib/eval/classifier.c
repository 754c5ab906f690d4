#include "eval/classifier.h"

#include "checkpoint/safetensors.h"
#include "core/error.h"

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
    char *text = list != NULL ? cJSON_PrintUnformatted(list) : NULL;
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
    const char *all[MOST_META + 2][2] = {{"format", "twist linear classifier"}};
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
