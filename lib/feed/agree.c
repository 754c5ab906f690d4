#include "feed/agree.h"

#include "core/error.h"
#include "stream/decode.h"
#include "stream/scan.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Copies the command line without the words that do not change the stream. to: at least as large as line, and 2 bytes. */
static void essence(char *to, const char *line)
{
    static const char *const flags[] = {"-q", "-v", "-vv", "--quiet", "--verbose", "--progress", "-", NULL};
    static const char *const valued[] = {"-j", "--jobs", "--log", "--rejects", NULL};
    *to = '\0';
    bool skip = false;
    while (*(line += strspn(line, " ")) != '\0') {
        size_t n = strcspn(line, " ");
        const char *word = line;
        line += n;
        bool drop = skip;
        skip = false;
        for (int i = 0; flags[i] != NULL; i++)
            drop = drop || (n == strlen(flags[i]) && strncmp(word, flags[i], n) == 0);
        for (int i = 0; valued[i] != NULL && !drop; i++) {
            const size_t k = strlen(valued[i]);
            if (strncmp(word, valued[i], k) != 0)
                continue;
            skip = n == k;
            drop = n == k || word[k] == '=' || (i == 0 && word[k] != '-');
        }
        if (drop)
            continue;
        const char *program = memmem(word, n, "/twist-", 7);
        if (program != NULL && memchr(program + 1, '/', n - (size_t)(program + 1 - word)) == NULL && word[0] != '-') {
            n -= (size_t)(program + 1 - word);
            word = program + 1;
        }
        to += sprintf(to, "%.*s ", (int)n, word);
    }
}

static bool same_line(const char *a, const char *b)
{
    char *x = malloc(strlen(a) + strlen(b) + 8), *y = malloc(strlen(a) + strlen(b) + 8);
    bool same = false;
    if (x != NULL && y != NULL) {
        essence(x, a);
        essence(y, b);
        same = strcmp(x, y) == 0;
    }
    free(x);
    free(y);
    return same;
}

static int decode(tw_header *h, void **block, const void *data, size_t size)
{
    const tw_limits limits = TW_LIMITS_DEFAULT;
    tw_scan scan;
    tw_scan_init(&scan, &limits);
    const int rc = tw_scan_run(&scan, data, size);
    if (rc != 1 || scan.at != size)
        return rc < 0 ? -1 : tw_fail("not a complete record");
    return tw_check_crc(data, size, scan.last_key, NULL) != 0 ? -1 : tw_decode_header(h, block, data, size);
}

static const char *difference(char *room, size_t size, const tw_header *a, const tw_header *b, bool history)
{
    if (a->samples != b->samples || a->epochs != b->epochs || a->first_epoch != b->first_epoch)
        return "another number of samples or epochs";
    if (a->seed != b->seed)
        return "another seed";
    bool same = a->n_classes == b->n_classes;
    for (int i = 0; same && i < a->n_classes; i++)
        same = strcmp(a->classes[i], b->classes[i]) == 0;
    if (!same)
        return "different classes";
    if (!history)
        return NULL;
    if (a->n_history != b->n_history)
        return "another command: its history has a different number of lines";
    for (int i = 0; i < a->n_history; i++)
        if (!same_line(a->history[i], b->history[i])) {
            snprintf(room, size, "another command: `%.200s`, where the first worker has `%.200s`", b->history[i], a->history[i]);
            return room;
        }
    return NULL;
}

const char *tw_feed_agree(char *room, size_t size, const void *a, size_t a_size, const void *b, size_t b_size)
{
    tw_header first, second;
    void *block[2] = {NULL, NULL};
    const char *why = NULL;
    if (decode(&second, &block[1], b, b_size) != 0) {
        snprintf(room, size, "its command wrote no header: %.300s", tw_error());
        why = room;
    } else if (second.kind != TW_VIEWS) {
        snprintf(room, size, "its command makes a stream of %s; want views", tw_kind_names[second.kind]);
        why = room;
    } else if (decode(&first, &block[0], a, a_size) == 0) {
        why = difference(room, size, &first, &second, first.kind == TW_VIEWS);
    }
    free(block[0]);
    free(block[1]);
    return why;
}
