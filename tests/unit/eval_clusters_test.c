/* Goal: clusters are read from probabilities and logits alike, scored against labels and a match, and the match survives
 * its file. */
#include "test.h"

#include "eval/clusters.h"

#include <unistd.h>

#define EVAL "tests/golden/eval/"

static void write_text(const char *path, const char *text)
{
    FILE *f = fopen(path, "w");
    fputs(text, f);
    fclose(f);
}

static void reading(void)
{
    tw_clusters c;
    CHECK(tw_clusters_read(&c, "formats/features.tws") == 0 && c.K == 2 && c.who.n == 3); /* probs */
    CHECK(c.top[0] >= 0 && c.top[2] == -1 && c.prob[2] == 0 && c.prob[0] >= c.prob[1]);
    tw_clusters_fini(&c);
    CHECK(tw_clusters_read(&c, EVAL "val.tws") == 0 && c.K == 4 && c.who.n == 40); /* logits */
    int wrong = 0;
    for (int i = 0; i < 40; i++) {
        double sum = 0;
        for (int t = 0; t < TW_TOP; t++) {
            sum += c.prob[i * TW_TOP + t];
            wrong += t > 0 && c.prob[i * TW_TOP + t] > c.prob[i * TW_TOP + t - 1];
        }
        wrong += fabs(sum - 1) > 1e-6 || c.top[i * TW_TOP + 4] != -1;
    }
    CHECK(wrong == 0);
    tw_clusters_fini(&c);
    CHECK(tw_clusters_read(&c, EVAL "none.tws") == -1);
    tw_clusters_fini(&c);
}

static void scores(void)
{
    /* six samples, three clusters, two classes; the last sample has no label */
    int32_t top[6 * TW_TOP] = {0, 1, 2, -1, -1, 0, 1, 2, -1, -1, 1, 0, 2, -1, -1,
                               1, 2, 0, -1, -1, 1, 0, 2, -1, -1, 2, 0, 1, -1, -1};
    int32_t label[6] = {0, 0, 1, 1, 0, -1};
    const int to[3] = {0, 1, -1}, other[3] = {1, -1, -1};
    tw_clusters c = {.who = {.n = 6, .labelled = 5, .label = label, .n_classes = 2}, .K = 3, .top = top};
    tw_cluster_scores s;
    CHECK(tw_clusters_score(&s, &c, to) == 0 && s.used == 3);
    CHECK_NEAR(s.acc, 0.8, 1e-12);
    CHECK_NEAR(s.acc5, 1, 0);
    CHECK_NEAR(s.agree.purity, 0.8, 1e-12);
    CHECK(tw_clusters_score(&s, &c, other) == 0 && s.acc == 0);
    CHECK_NEAR(s.acc5, 0.4, 1e-12); /* both samples of class 1 have cluster 0 among their five */
    CHECK(tw_clusters_score(&s, &c, NULL) == 0 && isnan(s.acc) && !isnan(s.agree.nmi));
    c.who.labelled = 0;
    CHECK(tw_clusters_score(&s, &c, to) == 0 && s.used == 3 && isnan(s.agree.nmi) && isnan(s.agree.purity) && isnan(s.acc));
}

static void matches(void)
{
    char path[] = "/tmp/twist-match-XXXXXX";
    close(mkstemp(path));
    tw_clusters c;
    tw_match m, again;
    int64_t lost;
    tw_cluster_scores s, t;
    CHECK(tw_clusters_read(&c, EVAL "val.tws") == 0 && tw_match_find(&m, &c) == 0);
    CHECK(m.K == 4 && m.C == 4 && m.named == 4);
    for (int k = 0; k < 4; k++)
        CHECK(m.to[k] == (k + 2) % 4); /* make.py turns the classes by two */
    CHECK(tw_match_write(&m, path) == 0 && tw_match_read(&again, path, &c, &lost) == 0);
    CHECK(again.K == 4 && again.C == 4 && again.named == 4 && memcmp(again.to, m.to, 4 * sizeof *m.to) == 0 &&
          strcmp(again.classes[3], "class 3") == 0);
    CHECK(tw_clusters_score(&s, &c, m.to) == 0 && tw_clusters_score(&t, &c, again.to) == 0 && s.acc == t.acc && s.acc > 0.9);
    tw_match_fini(&again);
    tw_match_fini(&m);
    static const char *const bad[][2] = {
        {"", "neither a match"}, {"{", "neither a match"}, {"[]", "not a match"}, {"{\"clusters\":4,\"n_classes\":4,\"match\":3}", "not a match"},
        {"{\"clusters\":3,\"n_classes\":4,\"classes\":null,\"match\":[0,1,2]}", "a match of 3 clusters, where"},
        {"{\"clusters\":4,\"n_classes\":4,\"classes\":null,\"match\":[0,1,2]}", "a match of 4 clusters, where"},
        {"{\"clusters\":4,\"n_classes\":4,\"classes\":null,\"match\":[0,1,2,4]}", "cluster 3: want a class below 4"},
        {"{\"clusters\":4,\"n_classes\":4,\"classes\":null,\"match\":[0,1.5,2,3]}", "cluster 1"},
        {"{\"clusters\":4,\"n_classes\":4,\"classes\":null,\"match\":[0,-1,2,3]}", "cluster 1"},
        {"{\"clusters\":4,\"n_classes\":3,\"classes\":null,\"match\":[0,1,2,null]}", "a match of 3 classes, where"},
        {"{\"clusters\":4,\"n_classes\":4,\"match\":[0,1,2,3]}", "want null or a list of 4 names"},
        {"{\"clusters\":4,\"n_classes\":4,\"classes\":[\"a\"],\"match\":[0,1,2,3]}", "want null or a list of 4 names"},
        {"{\"clusters\":4,\"n_classes\":4,\"classes\":[\"class 0\",\"class 1\",\"class 2\",3],\"match\":[0,1,2,3]}", "not a string"}};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        write_text(path, bad[i][0]);
        CHECK(tw_match_read(&m, path, &c, &lost) == -1 && m.to == NULL);
        CHECK(strstr(tw_error(), bad[i][1]) != NULL && strstr(tw_error(), path) != NULL);
    }
    write_text(path, "{\"clusters\":4,\"n_classes\":4,\"classes\":null,\"match\":[0,0,null,3]}");
    CHECK(tw_match_read(&m, path, &c, &lost) == 0 && m.to[1] == 0 && m.to[2] == -1 && m.named == 0);
    tw_match_fini(&m);
    /* classes in another order, one of them not there: labels go by name */
    int32_t was[64];
    CHECK(c.who.n <= 64);
    memcpy(was, c.who.label, (size_t)c.who.n * sizeof *was);
    write_text(path, "{\"clusters\":4,\"n_classes\":5,\"classes\":[\"class 3\",\"class 0\",\"x\",\"y\",\"class 1\"],\"match\":[0,1,2,3]}");
    CHECK(tw_match_read(&m, path, &c, &lost) == 0 && c.who.n_classes == 5 && c.who.named == 5 && strcmp(c.who.classes[2], "x") == 0);
    static const int to[] = {1, 4, -1, 0};
    int64_t other = 0;
    for (int64_t i = 0; i < c.who.n; i++) {
        CHECK(c.who.label[i] == to[was[i]]);
        other += was[i] == 2;
    }
    CHECK(other > 0 && lost == other && c.who.labelled == c.who.n - other);
    tw_match_fini(&m);
    tw_clusters_fini(&c);
    unlink(path);
}

int main(void)
{
    reading();
    scores();
    matches();
    return test_done();
}
