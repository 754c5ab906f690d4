#include "report/columns.h"

#include "core/error.h"
#include "core/mem.h"
#include "report/npy.h"

#include <stdlib.h>
#include <string.h>

static const char *const fields[] = {"index", "epoch", "pos", "label", "image", "views", "features", "logits", "probs"};
enum { INDEX, EPOCH, POS, LABEL, IMAGE, VIEWS, FEATURES, LOGITS, PROBS, FIELDS };

typedef struct {
    int field;
    const char *path;
    tw_npy *file;
} column;

struct tw_columns {
    column *column;
    int n;
};

/* The field named before the '='; -1: none. */
static int field_of(const char *text)
{
    const char *eq = strchr(text, '=');
    for (int i = 0; eq != NULL && eq[1] != '\0' && i < FIELDS; i++)
        if (strlen(fields[i]) == (size_t)(eq - text) && memcmp(fields[i], text, (size_t)(eq - text)) == 0)
            return i;
    return -1;
}

bool tw_is_column(const char *text)
{
    return field_of(text) >= 0;
}

tw_columns *tw_columns_create(const char *const *text, int n)
{
    tw_columns *c = tw_calloc(1, sizeof *c);
    if (c == NULL || (c->column = tw_calloc((size_t)n, sizeof *c->column)) == NULL) {
        free(c);
        return NULL;
    }
    for (; c->n < n; c->n++) {
        column *k = &c->column[c->n];
        *k = (column){field_of(text[c->n]), strchr(text[c->n], '=') + 1, NULL};
        if ((k->file = tw_npy_create(k->path, k->field <= LABEL ? TW_I64 : k->field <= VIEWS ? TW_U8 : TW_F32)) == NULL) {
            tw_columns_abandon(c);
            return NULL;
        }
    }
    return c;
}

static int add_number(column *k, int64_t v)
{
    const tw_tensor t = {.dtype = TW_I64, .rank = 0, .data = &v};
    return tw_npy_row(k->file, &t, 1, false);
}

static int add(column *k, const tw_sample *s)
{
    const int64_t number[] = {[INDEX] = s->index, [EPOCH] = s->epoch, [POS] = s->pos, [LABEL] = s->label};
    const tw_tensor *const tensor[] = {[IMAGE] = &s->image, [FEATURES] = &s->features, [LOGITS] = &s->logits, [PROBS] = &s->probs};
    if (k->field <= LABEL)
        return add_number(k, number[k->field]);
    if (k->field == VIEWS && s->n_views > 0)
        return tw_npy_row(k->file, s->views, s->n_views, true);
    if (k->field != VIEWS && tensor[k->field]->data != NULL)
        return tw_npy_row(k->file, tensor[k->field], 1, false);
    return tw_fail("%s: the sample has no %s", k->path, fields[k->field]);
}

int tw_columns_add(tw_columns *c, const tw_sample *s)
{
    for (int i = 0; i < c->n; i++)
        if (add(&c->column[i], s) != 0)
            return tw_fail("%s (sample %.*s)", tw_error(), (int)(s->key_size < 200 ? s->key_size : 200), s->key);
    return 0;
}

int tw_columns_missing(tw_columns *c)
{
    for (int i = 0; i < c->n; i++) {
        column *k = &c->column[i];
        if (k->field == IMAGE || k->field == VIEWS)
            return tw_fail("%s: an array of pictures has no row for a bad picture", k->path);
        if ((k->field <= LABEL ? add_number(k, -1) : tw_npy_missing(k->file)) != 0)
            return -1;
    }
    return 0;
}

int tw_columns_finish(tw_columns *c)
{
    int rc = 0;
    for (int i = 0; i < c->n && rc == 0; i++) {
        rc = tw_npy_finish(c->column[i].file);
        c->column[i].file = NULL;
    }
    tw_columns_abandon(c);
    return rc;
}

void tw_columns_abandon(tw_columns *c)
{
    if (c == NULL)
        return;
    for (int i = 0; i < c->n; i++)
        tw_npy_abandon(c->column[i].file);
    free(c->column);
    free(c);
}
