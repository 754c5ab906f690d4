/* Goal: folders are listed as torchvision's ImageFolder lists them, lists and label files mean what they say, and an epoch's order is
 * the same for any rank, shard or restart. */
#include "test.h"

#include "core/file.h"
#include "source/order.h"
#include "source/source.h"

#include <unistd.h>

static char folder[] = "/tmp/twist-source-XXXXXX";

/* NAME inside the test's folder. The last four stay valid. */
static const char *in(const char *name)
{
    static char text[4][256];
    static int k;
    k = (k + 1) % 4;
    snprintf(text[k], sizeof text[k], "%s/%s", folder, name);
    return text[k];
}

/* Creates the file with the text in it, and its folders. */
static void put(const char *name, const char *text)
{
    char parent[256];
    snprintf(parent, sizeof parent, "%s", in(name));
    *strrchr(parent, '/') = '\0';
    CHECK(tw_make_folder(parent) == 0);
    FILE *f = fopen(in(name), "w");
    CHECK(f != NULL);
    if (f == NULL)
        return;
    fputs(text, f);
    fclose(f);
}

static tw_source *open_one(const char *operand, const char *list, const char *subset, const char *labels)
{
    const tw_source_options o = {.operand = &operand, .n_operands = operand != NULL, .list = {&list, list != NULL}, .subset = subset,
                                 .labels = labels, .jobs = 2};
    return tw_source_open(&o);
}

/* "name=label name=label ... | class class ...", the names without the first `strip` bytes. */
static bool lists_as(const tw_source *s, size_t strip, const char *want)
{
    char got[2000] = "";
    if (s == NULL)
        return printf("%s\n", tw_error()), false;
    for (uint64_t i = 0; i < tw_source_count(s); i++) {
        const size_t used = strlen(got);
        snprintf(got + used, sizeof got - used, "%s=%lld ", tw_source_path(s, i) + strip, (long long)tw_source_label(s, i));
    }
    strcat(got, "|");
    for (int c = 0; c < tw_source_n_classes(s); c++) {
        strcat(got, " ");
        strcat(got, tw_source_classes(s)[c]);
    }
    if (tw_source_n_classes(s) < 0)
        strcat(got, " nil");
    if (strcmp(got, want) != 0)
        printf("got  %s\nwant %s\n", got, want);
    return strcmp(got, want) == 0;
}

static bool refused(tw_source *s, const char *a, const char *b)
{
    const bool right = s == NULL && strstr(tw_error(), a) != NULL && strstr(tw_error(), b) != NULL;
    if (!right)
        printf("want '%s' and '%s' in: %s\n", a, b, s != NULL ? "(no error)" : tw_error());
    tw_source_close(s);
    return right;
}

/* The wanted order is what torchvision.datasets.ImageFolder gave for this very tree (hidden.jpg left out). */
static void class_folders(void)
{
    static const char *const files[] = {"t/b/x.jpg",    "t/a/z.JPG",      "t/a/B.png",       "t/a/sub/c.jpeg", "t/a-b/q.webp", "t/a/sub-x/d.ppm",
                                        "t/10/e.bmp",   "t/2/f.tif",      "t/a/notes.txt",   "t/outside.jpg",  "t/a/.hidden.jpg",
                                        "t/.git/g.jpg", "t/a/sub/in/h.jpg", "t/a/sub/ccc.jpg"};
    for (size_t i = 0; i < sizeof files / sizeof *files; i++)
        put(files[i], "x");
    tw_source *s = open_one(in("t"), NULL, NULL, NULL);
    CHECK(lists_as(s, strlen(in("t/")),
                   "10/e.bmp=0 2/f.tif=1 a/B.png=2 a/z.JPG=2 a/sub/c.jpeg=2 a/sub/ccc.jpg=2 a/sub-x/d.ppm=2 a/sub/in/h.jpg=2 "
                   "a-b/q.webp=3 b/x.jpg=4 | 10 2 a a-b b"));
    tw_source_close(s);
    s = open_one(in("t/"), NULL, NULL, NULL); /* a slash at the end changes nothing but where the names begin */
    CHECK(s != NULL && tw_source_count(s) == 10 && strcmp(tw_source_path(s, 0), in("t/10/e.bmp")) == 0);
    tw_source_close(s);
}

static void plain_folders(void)
{
    put("flat/b.jpg", "x");
    put("flat/a.jpg", "x");
    put("flat/empty/readme", "x");
    tw_source *s = open_one(in("flat"), NULL, NULL, NULL);
    CHECK(lists_as(s, strlen(in("flat/")), "a.jpg=-1 b.jpg=-1 | nil"));
    tw_source_close(s);
    CHECK(tw_make_folder(in("nothing")) == 0);
    CHECK(refused(open_one(in("nothing"), NULL, NULL, NULL), in("nothing"), "no pictures"));
    CHECK(refused(open_one(in("missing"), NULL, NULL, NULL), in("missing"), "No such file"));
    CHECK(tw_make_folder(in("loop/c")) == 0 && symlink("..", in("loop/c/up")) == 0);
    CHECK(refused(open_one(in("loop"), NULL, NULL, NULL), "loop", "a loop of symbolic links"));
    CHECK(tw_make_folder(in("link/c")) == 0 && symlink(".", in("link/self")) == 0); /* one link a level: Linux follows 40 */
    CHECK(refused(open_one(in("link"), NULL, NULL, NULL), "link/self/self", "a loop of symbolic links"));
    /* two folders: equal names are one class */
    put("u/b/1.jpg", "x");
    put("u/c/2.jpg", "x");
    const char *two[] = {in("t"), in("u")};
    const tw_source_options o = {.operand = two, .n_operands = 2};
    s = tw_source_open(&o);
    CHECK(s != NULL && tw_source_count(s) == 12 && tw_source_n_classes(s) == 6);
    CHECK(s != NULL && tw_source_label(s, 9) == 4 && tw_source_label(s, 10) == 4 && tw_source_label(s, 11) == 5);
    tw_source_close(s);
}

static int64_t checksum(const char *operand, const char *list)
{
    tw_source *s = open_one(operand, list, NULL, NULL);
    CHECK(s != NULL);
    const int64_t sum = s != NULL ? tw_source_checksum(s) : 0;
    tw_source_close(s);
    return sum;
}

/* It follows names, order and labels, wherever the data set lies. */
static void checksums(void)
{
    put("first/set/a/1.jpg", "x");
    put("first/set/b/2.jpg", "y");
    put("copy/of/set/a/1.jpg", "x");
    put("copy/of/set/b/2.jpg", "y");
    const int64_t sum = checksum(in("first/set"), NULL);
    CHECK(sum > 0 && checksum(in("copy/of/set"), NULL) == sum);
    put("same.txt", "elsewhere/a/1.jpg\ta\nb/2.jpg\tb\n");
    put("labels.txt", "elsewhere/a/1.jpg\tb\nb/2.jpg\ta\n");
    put("order.txt", "b/2.jpg\tb\nelsewhere/a/1.jpg\ta\n");
    put("none.txt", "elsewhere/a/1.jpg\nb/2.jpg\n");
    put("name.txt", "elsewhere/a/1.jpg\ta\nc/2.jpg\tb\n");
    put("one.txt", "elsewhere/a/1.jpg\ta\n");
    CHECK(checksum(NULL, in("same.txt")) == sum);
    static const char *const other[] = {"labels.txt", "order.txt", "none.txt", "name.txt", "one.txt"};
    for (int i = 0; i < 5; i++)
        CHECK(checksum(NULL, in(other[i])) > 0 && checksum(NULL, in(other[i])) != sum);
}

static void lists(void)
{
    put("names.txt", "p/2.jpg\tdog\r\n\np/1.jpg\tcat\np/3.jpg\tdog");
    tw_source *s = open_one(NULL, in("names.txt"), NULL, NULL);
    CHECK(lists_as(s, 0, "p/2.jpg=1 p/1.jpg=0 p/3.jpg=1 | cat dog"));
    tw_source_close(s);
    put("numbers.txt", "a\t10\nb\t2\nc\t0\n");
    s = open_one(NULL, in("numbers.txt"), NULL, NULL);
    CHECK(lists_as(s, 0, "a=10 b=2 c=0 | 0 1 2 3 4 5 6 7 8 9 10"));
    tw_source_close(s);
    put("mixed.txt", "a\t10\nb\ttwo\n");
    s = open_one(NULL, in("mixed.txt"), NULL, NULL);
    CHECK(lists_as(s, 0, "a=0 b=1 | 10 two"));
    tw_source_close(s);
    put("half.txt", "a\tx\nb\n");
    s = open_one(NULL, in("half.txt"), NULL, NULL);
    CHECK(lists_as(s, 0, "a=-1 b=-1 | nil"));
    tw_source_close(s);
    put("none.txt", "\n\n");
    CHECK(refused(open_one(NULL, in("none.txt"), NULL, NULL), in("none.txt"), "empty"));
    put("tab.txt", "a\tx\n\tx\n");
    CHECK(refused(open_one(NULL, in("tab.txt"), NULL, NULL), in("tab.txt"), "line 2: no path"));
    CHECK(refused(open_one(NULL, in("missing.txt"), NULL, NULL), in("missing.txt"), "No such file"));
    CHECK(refused(open_one(NULL, folder, NULL, NULL), folder, "Is a directory"));
}

static void subsets_and_labels(void)
{
    put("keep.txt", "z.JPG\nsub/c.jpeg\nc/2.jpg\n");
    const char *two[] = {in("t"), in("u")};
    tw_source_options o = {.operand = two, .n_operands = 2, .subset = in("keep.txt")};
    tw_source *s = tw_source_open(&o);
    CHECK(lists_as(s, strlen(folder), "/t/a/z.JPG=2 /t/a/sub/c.jpeg=2 /u/c/2.jpg=5 | 10 2 a a-b b c")); /* the classes stay as they were */
    tw_source_close(s);
    put("other.txt", "zz.JPG\n");
    CHECK(refused(open_one(in("t"), NULL, in("other.txt"), NULL), in("other.txt"), "none of its names"));
    put("labels.txt", "a.jpg\t1\nb.jpg\t0\n");
    s = open_one(in("flat"), NULL, NULL, in("labels.txt"));
    CHECK(lists_as(s, strlen(in("flat/")), "a.jpg=1 b.jpg=0 | 0 1"));
    tw_source_close(s);
    put("words.txt", "a.jpg\tup\nb.jpg\tdown\n");
    s = open_one(in("flat"), NULL, NULL, in("words.txt"));
    CHECK(lists_as(s, strlen(in("flat/")), "a.jpg=1 b.jpg=0 | down up"));
    tw_source_close(s);
    put("bare.txt", "a.jpg\n");
    CHECK(refused(open_one(in("flat"), NULL, NULL, in("bare.txt")), in("bare.txt"), "label after 'a.jpg'"));
}

/* A byte order mark is no part of a name or heading, in any format. */
static void marks(void)
{
    static const char *const files[][2] = {{"mark.csv", "id,size,label\na.jpg,9,1\nb,8,0\n"}, {"mark.tsv", "a.jpg\t1\nb.jpg\t0\n"},
                                           {"mark.jsonl", "{\"name\": \"a.jpg\", \"label\": 1}\n{\"name\": \"b.jpg\", \"label\": 0}\n"},
                                           {"mark.txt", "a.jpg\t1\nb.jpg\t0\n"}, {"quoted.csv", "\"a.jpg\",1\nb.jpg,0\n"}};
    char text[200];
    tw_source *s;
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        snprintf(text, sizeof text, "\xef\xbb\xbf%s", files[i][1]);
        put(files[i][0], text);
        s = open_one(in("flat"), NULL, NULL, in(files[i][0]));
        CHECK(lists_as(s, strlen(in("flat/")), "a.jpg=1 b.jpg=0 | 0 1"));
        tw_source_close(s);
    }
    put("mark-keep.txt", "\xef\xbb\xbf\r\na.jpg\n");
    put("mark-list.txt", "\xef\xbb\xbfq/a.jpg\t1\r\nq/b.jpg\t0\n");
    s = open_one(in("flat"), NULL, in("mark-keep.txt"), NULL);
    CHECK(lists_as(s, strlen(in("flat/")), "a.jpg=-1 | nil"));
    tw_source_close(s);
    s = open_one(NULL, in("mark-list.txt"), NULL, NULL);
    CHECK(lists_as(s, 0, "q/a.jpg=1 q/b.jpg=0 | 0 1"));
    tw_source_close(s);
}

static bool labelled(const char *file, const char *text, const char *want)
{
    put(file, text);
    tw_source *s = open_one(in("flat"), NULL, NULL, in(file));
    const bool right = lists_as(s, strlen(in("flat/")), want);
    tw_source_close(s);
    return right;
}

/* A heading of any words is no class, and what may be a row of labels is no heading. */
static void headings(void)
{
    CHECK(labelled("words.csv", "photo,species\na.jpg,10\nb.jpg,2\n", "a.jpg=10 b.jpg=2 | 0 1 2 3 4 5 6 7 8 9 10"));
    CHECK(labelled("bare.csv", "photo,species\na,1\nb,0\n", "a.jpg=1 b.jpg=0 | 0 1"));
    CHECK(labelled("words.tsv", "photo\tspecies\na.jpg\tzebra\nb.jpg\tant\n", "a.jpg=1 b.jpg=0 | ant zebra"));
    CHECK(labelled("more.csv", "photo,species\na.jpg,1\nb.jpg,0\nno/such.jpg,2\n", "a.jpg=1 b.jpg=0 | 0 1 2"));
    CHECK(labelled("absent.csv", "c.jpg,rare\na.jpg,x\nb.jpg,y\n", "a.jpg=1 b.jpg=2 | rare x y"));
    CHECK(labelled("shared.csv", "photo,x\na.jpg,x\nb.jpg,y\n", "a.jpg=0 b.jpg=1 | x y"));
    CHECK(labelled("known.csv", "a,rare\nb.jpg,1\n", "a.jpg=1 b.jpg=0 | 1 rare"));
    CHECK(labelled("number.csv", "c,7\na.jpg,1\nb.jpg,0\n", "a.jpg=1 b.jpg=0 | 0 1 2 3 4 5 6 7"));
    CHECK(labelled("named.csv", "ID,species\na,x\nb,y\n", "a.jpg=0 b.jpg=1 | x y"));
    CHECK(labelled("unsure.csv", "photo,species\na,x\nb,y\n", "a.jpg=1 b.jpg=2 | species x y"));
    CHECK(labelled("lines.txt", "photo\tspecies\na.jpg\tx\nb.jpg\ty\n", "a.jpg=1 b.jpg=2 | species x y")); /* no columns */
    put("one.csv", "photo,species\n");
    CHECK(refused(open_one(in("flat"), NULL, NULL, in("one.csv")), in("one.csv"), "labels none of the pictures"));
}

/* Of columns that could be names or labels the word listed first counts, wherever it is, as in objects. */
static void ranks_of_headings(void)
{
    CHECK(labelled("id.csv", "id,file,label\na,b.jpg,1\nb,a.jpg,0\n", "a.jpg=0 b.jpg=1 | 0 1"));
    CHECK(labelled("id.tsv", "target\tImage\tlabel\tID\tfile_name\n0\tc\tx\tb\ta.jpg\n1\tc\ty\ta\tb.jpg\n", "a.jpg=0 b.jpg=1 | x y"));
    CHECK(labelled("id.jsonl", "{\"id\": \"a\", \"file\": \"b.jpg\", \"label\": 1}\n{\"cls\": 1, \"id\": \"b\", \"path\": \"a\", \"class\": 0}\n",
                   "a.jpg=0 b.jpg=1 | 0 1"));
    CHECK(labelled("twice.csv", "file,file,class,class\na.jpg,b.jpg,1,0\nb.jpg,a.jpg,0,1\n", "a.jpg=1 b.jpg=0 | 0 1"));
}

/* A number that a double does not hold would be another picture's name. */
static void large_numbers(void)
{
    static const char *const large[] = {"9007199254740993", "-9007199254740992", "1e300", "1e999"};
    char text[100];
    CHECK(labelled("large.jsonl",
                   "{\"id\": \"9007199254740993\", \"label\": 1}\n{\"id\": \"a\", \"label\": 9007199254740991}\n{\"id\": \"b\", \"label\": 1}\n",
                   "a.jpg=1 b.jpg=0 | 1 9007199254740991"));
    for (size_t i = 0; i < sizeof large / sizeof *large; i++) {
        snprintf(text, sizeof text, "{\"id\": \"a\", \"label\": 0}\n{\"id\": %s, \"label\": 0}\n", large[i]);
        put("larger.jsonl", text);
        CHECK(refused(open_one(in("flat"), NULL, NULL, in("larger.jsonl")), in("larger.jsonl"), "line 2: id: a number too large"));
    }
}

/* A thousand classes named in any order: their numbers are those of the sorted names. */
static void many_classes(void)
{
    FILE *f = fopen(in("many.txt"), "w");
    CHECK(f != NULL);
    for (int i = 0; i < 20000; i++)
        fprintf(f, "%d.jpg\tn%08d\n", i, i * 7919 % 1000);
    fclose(f);
    tw_source *s = open_one(NULL, in("many.txt"), NULL, NULL);
    int wrong = s == NULL || tw_source_n_classes(s) != 1000;
    for (int i = 0; i < 20000 && s != NULL; i++)
        wrong += tw_source_label(s, (uint64_t)i) != i * 7919 % 1000;
    CHECK(wrong == 0);
    tw_source_close(s);
}

enum { N = 103 };

static void orders(void)
{
    tw_order all, again, part;
    int seen[N] = {0}, moved = 0, differ = 0, wrong = 0;
    const tw_share whole = {0, 1, 1}, every_third = {2, 3, 1};
    CHECK(tw_order_init(&all, N, 0, true, 7, &whole) == 0 && tw_order_init(&again, N, 0, true, 7, &whole) == 0);
    CHECK(tw_order_count(&all) == N);
    tw_order_epoch(&all, 0);
    tw_order_epoch(&again, 5);
    for (uint64_t i = 0; i < N; i++) {
        seen[tw_order_index(&all, i)]++;
        moved += tw_order_index(&all, i) != i;
        differ += tw_order_index(&all, i) != tw_order_index(&again, i);
    }
    CHECK(moved > N / 2 && differ > N / 2); /* an order of its own each epoch: about one place stays in either */
    for (int i = 0; i < N; i++)
        wrong += seen[i] != 1;
    tw_order_epoch(&again, 0); /* coming back to an epoch, as a restart does */
    for (uint64_t i = 0; i < N; i++)
        wrong += tw_order_index(&all, i) != tw_order_index(&again, i);
    CHECK(wrong == 0);
    /* four shards have the epoch among them, each every fourth place */
    uint64_t total = 0;
    for (int r = 0; r < 4; r++) {
        const tw_share share = {r, 4, 1};
        CHECK(tw_order_init(&part, N, 0, true, 7, &share) == 0);
        tw_order_epoch(&part, 0);
        for (uint64_t i = 0; i < tw_order_count(&part); i++)
            wrong += tw_order_pos(&part, i) != 4 * i + (uint64_t)r || tw_order_index(&part, i) != tw_order_index(&all, 4 * i + (uint64_t)r);
        total += tw_order_count(&part);
        tw_order_fini(&part);
    }
    CHECK(wrong == 0 && total == N);
    CHECK(tw_order_init(&part, N, 10, false, 7, &every_third) == 0); /* places 2, 5, 8 of ten */
    CHECK(tw_order_count(&part) == 3 && tw_order_index(&part, 2) == 8);
    tw_order_fini(&part);
    tw_order_fini(&all);
    tw_order_fini(&again);
}

/* Shares in blocks, against counting them out. */
static void shares(void)
{
    tw_share s;
    int wrong = 0;
    for (int block = 1; block <= 5; block++)
        for (int rank = 0; rank < 3; rank++) {
            const tw_share part = {rank, 3, block};
            int64_t mine = 0;
            for (int64_t pos = 0; pos < 50; pos++) {
                wrong += tw_share_before(&part, pos) != mine;
                if (!tw_share_has(&part, pos))
                    continue;
                wrong += (int)(pos / block % 3) != rank || tw_share_pos(&part, mine) != pos;
                wrong += tw_share_done(&part, pos) != ++mine;
            }
        }
    CHECK(wrong == 0);
    CHECK(tw_share_parse(&s, "2/3") && s.rank == 2 && s.ranks == 3 && s.block == 1);
    CHECK(tw_share_parse(&s, "0/1/64") && s.ranks == 1 && s.block == 64);
    static const char *const bad[] = {"", "1", "3/3", "-1/3", "0/0", "0/2/0", "0/2/-1", "0/2x", "0/2/", "0/2/3x", "0/2/3/4"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        CHECK(!tw_share_parse(&s, bad[i]));
    /* the last place that a record can have */
    CHECK(tw_share_done(&(tw_share){.ranks = 0}, INT64_MAX) == INT64_MAX);
    CHECK(tw_share_done(&(tw_share){0, 2, 1}, INT64_MAX - 1) == INT64_MAX / 2 + 1);
}

int main(void)
{
    CHECK(mkdtemp(folder) != NULL);
    class_folders();
    plain_folders();
    checksums();
    lists();
    subsets_and_labels();
    marks();
    headings();
    ranks_of_headings();
    large_numbers();
    many_classes();
    orders();
    shares();
    char command[64];
    snprintf(command, sizeof command, "rm -r %s", folder);
    CHECK(system(command) == 0);
    return test_done();
}
