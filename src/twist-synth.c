/* twist-synth: makes labelled pictures to try things on. */
#include "core/file.h"
#include "core/mem.h"
#include "core/pool.h"
#include "core/program.h"
#include "report/jpeg.h"
#include "synth/scene.h"
#include "synth/texture.h"

#include <fcntl.h>
#include <ftw.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char usage[] =
    "usage: twist-synth [options] -o DIR\n"
    "Makes pictures in classes that differ in texture and shape, as DIR/train/CLASS/NNNNN.jpg and DIR/val/CLASS/NNNNN.jpg.\n"
    "Position, size, orientation, polarity, light, what hides the objects and noise are random and carry no class.\n"
    "  -o, --output DIR       output folder; DIR/train and DIR/val must not exist yet\n"
    "      --count N          pictures in train/ (default 2000)\n"
    "      --val-count N      pictures in val/ (default 500; 0: no val/)\n"
    "      --classes N        2 to 10 classes (default 10)\n"
    "      --size PX          side of a picture, 16 to 1024 (default 48)\n"
    "      --quality N        of the JPEG files, 1 to 100 (default 95)\n"
    "      --seed N           random seed (default 0)\n"
    "  -j, --jobs N           threads (default: the processors); the pictures do not depend on it\n"
    "      --progress         progress line even where standard error is no terminal\n"
    "  -q, --quiet            errors only        -v, --verbose  say more\n"
    "  -h, --help             this text          -V, --version  version\n";

struct opts {
    const char *output;
    int count, val_count, classes, size, quality, jobs;
    int64_t seed;
    tw_common common;
};

struct part {
    int count;
    char *path, *made; /* the folder; its temporary name, NULL: none */
};

struct job {
    int part, index;
    uint8_t *rgb;
    unsigned char *jpeg; /* NULL: failed, see message */
    size_t size;
    char message[200];
};

struct run {
    struct opts o;
    struct part part[2];
    tw_pool *pool;
    struct job *job, **idle;
    int n_jobs, n_idle, written;
};

static int remove_one(const char *path, const struct stat *s, int type, struct FTW *walk)
{
    (void)s, (void)type, (void)walk;
    return remove(path);
}

/* Ends the program with tw_error(), removing unfinished folders. */
static noreturn void give_up(struct run *r)
{
    for (int i = 0; i < 2; i++)
        if (r->part[i].made != NULL)
            nftw(r->part[i].made, remove_one, 16, FTW_DEPTH | FTW_PHYS);
    tw_die_error();
}

static void work(void *job, int worker, void *context)
{
    const struct opts *o = &((struct run *)context)->o;
    struct job *j = job;
    (void)worker;
    tw_synth_draw(j->rgb, o->size, j->index % o->classes, (uint64_t)o->seed, (uint32_t)j->part, (uint64_t)j->index);
    j->jpeg = tw_jpeg_compress(&j->size, j->rgb, o->size, o->size, o->quality);
    if (j->jpeg == NULL)
        snprintf(j->message, sizeof j->message, "%s", tw_error());
}

static int write_file(const char *path, const void *bytes, size_t n)
{
    const int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (fd < 0)
        return tw_fail_errno("%s", path);
    const int wrong = tw_write_all(fd, bytes, n) != 0 ? tw_fail_errno("%s", path) : 0;
    return close(fd) != 0 && wrong == 0 ? tw_fail_errno("%s", path) : wrong;
}


static char *text(const char *fmt, ...) TW_PRINTF(1, 2);
static char *text(const char *fmt, ...)
{
    char *t;
    va_list ap;
    va_start(ap, fmt);
    if (vasprintf(&t, fmt, ap) < 0)
        tw_die("out of memory");
    va_end(ap);
    return t;
}

static void write_out(struct run *r, struct job *j)
{
    char *path = text("%s/%s/%05d.jpg", r->part[j->part].made, tw_synth_names[j->index % r->o.classes], j->index);
    const bool good = j->jpeg != NULL ? write_file(path, j->jpeg, j->size) == 0 : tw_fail("%s: %s", path, j->message) == 0;
    if (!good)
        give_up(r);
    free(j->jpeg);
    free(path);
    r->idle[r->n_idle++] = j;
    r->written++;
    tw_progress("%d of %d pictures", r->written, r->o.count + r->o.val_count);
}

static void make_part(struct run *r, int part)
{
    for (int i = 0; i < r->part[part].count; i++) {
        while (r->n_idle == 0 || tw_pool_full(r->pool))
            write_out(r, tw_pool_take(r->pool));
        if (tw_stop_signal() != 0) {
            tw_fail("%s: stopped by signal %d, nothing is kept", r->o.output, tw_stop_signal());
            give_up(r);
        }
        struct job *j = r->idle[--r->n_idle];
        j->part = part;
        j->index = i;
        tw_pool_submit(r->pool, j);
    }
    for (struct job *j; (j = tw_pool_take(r->pool)) != NULL;)
        write_out(r, j);
}

/* Creates the folders of one part, under a hidden temporary name. */
static void make_folders(struct run *r, int part)
{
    static const char *const name[] = {"train", "val"};
    struct part *p = &r->part[part];
    p->path = text("%s/%s", r->o.output, name[part]);
    if (access(p->path, F_OK) == 0) {
        tw_fail("%s: already exists", p->path);
        give_up(r);
    }
    if (p->count == 0)
        return;
    p->made = text("%s/.%s.%ld.tmp", r->o.output, name[part], (long)getpid());
    for (int k = 0; k < r->o.classes; k++) {
        char *folder = text("%s/%s", p->made, tw_synth_names[k]);
        if (tw_make_folder(folder) != 0)
            give_up(r);
        free(folder);
    }
}

/* Renames both parts to their final names, after all pictures have been synced to the disk. */
static void settle(struct run *r)
{
    const int fd = open(r->o.output, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    bool good = fd >= 0 && syncfs(fd) == 0;
    for (int i = 0; good && i < 2; i++) {
        good = r->part[i].made == NULL || rename(r->part[i].made, r->part[i].path) == 0;
        if (good && r->part[i].made != NULL) {
            free(r->part[i].made);
            r->part[i].made = NULL;
        }
    }
    if (!good || fsync(fd) != 0) {
        tw_fail_errno("%s", r->o.output);
        give_up(r);
    }
    close(fd);
}

static void start_pool(struct run *r)
{
    const size_t pixels = (size_t)r->o.size * (size_t)r->o.size;
    r->n_jobs = 2 * r->o.jobs + 2;
    r->job = tw_calloc((size_t)r->n_jobs, sizeof *r->job);
    r->idle = tw_calloc((size_t)r->n_jobs, sizeof *r->idle);
    r->pool = tw_pool_new(r->o.jobs, r->n_jobs, work, r);
    if (r->job == NULL || r->idle == NULL || r->pool == NULL)
        tw_die_error();
    for (; r->n_idle < r->n_jobs; r->n_idle++) {
        r->idle[r->n_idle] = &r->job[r->n_idle];
        if ((r->job[r->n_idle].rgb = tw_calloc(pixels, 3)) == NULL)
            tw_die_error();
    }
}

static void parse(struct opts *o, int argc, char **argv)
{
    const tw_opt table[] = {
        {'o', "output", TW_OPT_STRING, &o->output, 0, 0, NULL},
        {0, "count", TW_OPT_INT, &o->count, 1, 100000000, NULL},
        {0, "val-count", TW_OPT_INT, &o->val_count, 0, 100000000, NULL},
        {0, "classes", TW_OPT_INT, &o->classes, 2, TW_SYNTH_CLASSES, NULL},
        {0, "size", TW_OPT_INT, &o->size, 16, 1024, NULL},
        {0, "quality", TW_OPT_INT, &o->quality, 1, 100, NULL},
        {0, "seed", TW_OPT_I64, &o->seed, 0, 9e18, NULL},
        {'j', "jobs", TW_OPT_INT, &o->jobs, 1, 1024, NULL},
    };
    tw_program_start("twist-synth", argc, argv);
    tw_program_options(table, sizeof table / sizeof *table, &o->common, NULL, usage);
    if (o->output == NULL)
        tw_die_usage("-o DIR is missing");
}

int main(int argc, char **argv)
{
    static struct run r = {.o = {.count = 2000, .val_count = 500, .classes = TW_SYNTH_CLASSES, .size = 48, .quality = 95}};
    r.o.jobs = tw_processors();
    parse(&r.o, argc, argv);
    r.part[0].count = r.o.count;
    r.part[1].count = r.o.val_count;
    tw_catch_stops();
    start_pool(&r);
    for (int i = 0; i < 2; i++)
        make_folders(&r, i);
    for (int i = 0; i < 2; i++)
        make_part(&r, i);
    settle(&r);
    tw_progress_end();
    tw_note(1, "%d pictures in %s", r.written, r.o.output);
    tw_pool_free(r.pool);
    for (int i = 0; i < r.n_jobs; i++)
        free(r.job[i].rgb);
    for (int i = 0; i < 2; i++)
        free(r.part[i].path);
    free(r.job);
    free(r.idle);
    return TW_EXIT_OK;
}
