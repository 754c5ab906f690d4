#include "feed/status.h"

#include "core/error.h"
#include "core/file.h"
#include "feed/message.h"

#include <cjson/cJSON.h>
#include <math.h>
#include <string.h>

/* The head's numbers: name in JSON; type and help text for Prometheus (NULL: not a metric). */
static const struct {
    const char *name, *kind, *help;
} numbers[] = {
    {"written", "counter", "samples handed to the trainer"},
    {"skipped", "counter", "positions left empty because their images are bad"},
    {"bad", "counter", "bad images met"},
    {"bytes", "counter", "bytes of results received"},
    {"duplicates", "counter", "results received a second time"},
    {"stale", "counter", "messages of an older session"},
    {"wrong", "counter", "results that were refused"},
    {"expired", "counter", "leases that expired"},
    {"hedged", "counter", "second leases of late positions"},
    {"lost_workers", "counter", "workers that died or fell silent"},
    {"refused", "counter", "workers refused, and messages from unknown workers"},
    {"refused_keys", "counter", "connections with keys that are not allowed"},
    {"dropped", "counter", "messages that could not be parsed"},
    {"audited", "counter", "positions made by two workers"},
    {"workers", "gauge", "workers connected"},
    {"leased", "gauge", "leases outstanding"},
    {"filled", "gauge", "results that wait for their turn"},
    {"window", "gauge", "most positions that may be unfinished"},
    {"next", NULL, NULL},
    {"end", NULL, NULL},
    {"epoch_size", NULL, NULL},
    {"seconds", "counter", "seconds since the head started"},
    {"waited_output", "counter", "seconds that the trainer was not ready"},
    {"rate", "gauge", "recent samples per second"},
};
enum { NUMBERS = sizeof numbers / sizeof *numbers };

static const struct {
    const char *name, *kind, *help;
} worker_numbers[] = {
    {"slots", "gauge", "leases that the worker accepts"},     {"held", "gauge", "leases that it has"},
    {"credit", "gauge", "leases that the head allows it"},         {"service", "gauge", "seconds per sample"},
    {"silent", "gauge", "seconds since its last message"},      {"done", "counter", "results taken from it"},
    {"failed", "counter", "images that it could not make"},         {"duplicates", "counter", "results that came too late"},
    {"wrong", "counter", "results that were refused"},      {"expired", "counter", "its leases that expired"},
};
enum { WORKER_NUMBERS = sizeof worker_numbers / sizeof *worker_numbers };

static void add_worker(cJSON *list, const tw_head_worker *w)
{
    cJSON *o = cJSON_CreateObject();
    const double v[WORKER_NUMBERS] = {w->slots, w->held, w->credit, w->service, w->silent, (double)w->done, (double)w->failed,
                                      (double)w->duplicates, (double)w->wrong, (double)w->expired};
    cJSON_AddStringToObject(o, "name", w->name);
    cJSON_AddBoolToObject(o, "ready", w->ready);
    for (int i = 0; i < WORKER_NUMBERS; i++)
        cJSON_AddNumberToObject(o, worker_numbers[i].name, v[i]);
    cJSON_AddItemToArray(list, o);
}

char *tw_status_json(const tw_head *h, double now, const tw_status_more *m)
{
    tw_head_state s;
    tw_head_get(h, &s);
    const double rate = m->interval > 0 ? (double)m->since_written / m->interval : 0;
    const double v[NUMBERS] = {(double)m->written, (double)m->skipped, (double)s.bad, (double)s.bytes, (double)s.duplicates, (double)s.stale,
                               (double)s.wrong, (double)s.expired, (double)s.hedged, (double)s.gone, (double)s.refused,
                               (double)m->refused_keys, (double)m->dropped, (double)s.audited, s.up, s.leased, s.filled, s.window,
                               (double)s.next, (double)m->end, (double)m->epoch_size, m->seconds, m->waited, rate};
    cJSON *o = cJSON_CreateObject();
    for (int i = 0; i < NUMBERS; i++)
        cJSON_AddNumberToObject(o, numbers[i].name, v[i]);
    cJSON_AddStringToObject(o, "waits_for", m->waits_for);
    cJSON *list = cJSON_AddArrayToObject(o, "worker");
    for (int i = 0; i < tw_head_workers(h); i++) {
        tw_head_worker w;
        if (tw_head_worker_get(h, i, now, &w))
            add_worker(list, &w);
    }
    char *text = cJSON_PrintUnformatted(o);
    cJSON_Delete(o);
    if (text == NULL)
        tw_fail("out of memory");
    return text;
}

static double number(const cJSON *o, const char *name)
{
    const cJSON *v = cJSON_GetObjectItemCaseSensitive(o, name);
    return cJSON_IsNumber(v) ? v->valuedouble : 0;
}

static const char *string(const cJSON *o, const char *name)
{
    const cJSON *v = cJSON_GetObjectItemCaseSensitive(o, name);
    return cJSON_IsString(v) ? tw_feed_printable(v->valuestring) : "";
}

static cJSON *parse(const char *json)
{
    cJSON *o = cJSON_Parse(json);
    if (!cJSON_IsObject(o))
        tw_fail("not the status of a head");
    return o;
}

int tw_status_print(FILE *f, const char *json)
{
    cJSON *o = parse(json);
    if (!cJSON_IsObject(o))
        return -1;
    const double size = number(o, "epoch_size") > 0 ? number(o, "epoch_size") : 1, next = number(o, "next");
    fprintf(f, "epoch %.0f, sample %.0f of %.0f; %.0f written, %.0f skipped, %.1f/s; waits for %s\n", floor(next / size), fmod(next, size), size,
            number(o, "written"), number(o, "skipped"), number(o, "rate"), string(o, "waits_for"));
    fprintf(f,
            "window %.0f: %.0f leased, %.0f waiting; duplicates %.0f, expired %.0f, second leases %.0f, bad %.0f, wrong %.0f, lost workers %.0f, "
            "refused %.0f\n",
            number(o, "window"), number(o, "leased"), number(o, "filled"), number(o, "duplicates"), number(o, "expired"), number(o, "hedged"),
            number(o, "bad"), number(o, "wrong"), number(o, "lost_workers"), number(o, "refused") + number(o, "refused_keys"));
    fprintf(f, "%-32s %6s %6s %6s %9s %7s %10s %7s %6s\n", "worker", "slots", "held", "credit", "ms/sample", "silent", "done", "failed", "late");
    const cJSON *w;
    cJSON_ArrayForEach(w, cJSON_GetObjectItemCaseSensitive(o, "worker"))
        fprintf(f, "%-32s %6.0f %6.0f %6.0f %9.2f %7.1f %10.0f %7.0f %6.0f\n", string(w, "name"), number(w, "slots"), number(w, "held"),
                number(w, "credit"), number(w, "service") * 1e3, number(w, "silent"), number(w, "done"), number(w, "failed"),
                number(w, "duplicates"));
    cJSON_Delete(o);
    return 0;
}

/* Prints a label's value, escaped as in Prometheus' text format. */
static void print_label(FILE *f, const char *text)
{
    for (; *text != '\0'; text++) {
        if (*text == '"' || *text == '\\')
            fputc('\\', f);
        fputc((unsigned char)*text < 32 ? '?' : *text, f);
    }
}

int tw_status_metrics(const char *path, const char *json)
{
    cJSON *o = parse(json);
    tw_file *out = cJSON_IsObject(o) ? tw_file_create(path) : NULL;
    if (out == NULL) {
        cJSON_Delete(o);
        return -1;
    }
    FILE *f = tw_file_stream(out);
    for (int i = 0; i < NUMBERS; i++) {
        const char *total = numbers[i].kind != NULL && strcmp(numbers[i].kind, "counter") == 0 ? "_total" : "";
        if (numbers[i].kind != NULL)
            fprintf(f, "# HELP twist_feed_%s%s %s\n# TYPE twist_feed_%s%s %s\ntwist_feed_%s%s %.17g\n", numbers[i].name, total, numbers[i].help,
                    numbers[i].name, total, numbers[i].kind, numbers[i].name, total, number(o, numbers[i].name));
    }
    const cJSON *list = cJSON_GetObjectItemCaseSensitive(o, "worker"), *w;
    for (int i = 0; i < WORKER_NUMBERS && cJSON_GetArraySize(list) > 0; i++) {
        const char *total = strcmp(worker_numbers[i].kind, "counter") == 0 ? "_total" : "", *name = worker_numbers[i].name;
        fprintf(f, "# HELP twist_feed_worker_%s%s %s\n# TYPE twist_feed_worker_%s%s %s\n", name, total, worker_numbers[i].help, name, total,
                worker_numbers[i].kind);
        int k = 0;
        cJSON_ArrayForEach(w, list)
        {
            fprintf(f, "twist_feed_worker_%s%s{worker=\"", name, total);
            print_label(f, string(w, "name"));
            fprintf(f, "\",place=\"%d\"} %.17g\n", k++, number(w, name)); /* several workers may have the same name */
        }
    }
    cJSON_Delete(o);
    return tw_file_commit(out);
}
