/* twist-feed: a farm of machines that make views for a trainer: head, work, keygen, status. */
#include "core/pool.h"
#include "core/program.h"
#include "feed/serve.h"
#include "feed/status.h"
#include "feed/work.h"
#include "source/options.h"
#include "source/sequence.h"
#include "stream/record.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static const char usage[] =
    "usage: twist-feed head --work ENDPOINT [options] SOURCE... [-- COMMAND]    twist-feed work [options] ENDPOINT... -- COMMAND\n"
    "       twist-feed keygen NAME                                              twist-feed status [options] ENDPOINT\n"
    "Many machines make the views of a data set for one trainer, each sample once and in order. COMMAND: files to views, as\n"
    "'twist-decode -i - | twist-augment'. ENDPOINT: ipc://PATH (in a folder of mode 0700), tcp://HOST:PORT (beyond loopback: with keys)\n"
    "head:   the order of twist-decode, made by workers; the stream goes to standard output\n"
    "  --list FILE  -0, --null  --labels FILE  --listing FILE  --subset FILE  --every N  --shuffle  --seed N  --epochs N  --start-epoch N\n"
    "  --skip N  --limit N  --shard R/W[/B]  --on-error WHAT  --max-errors N|R%  --rejects FILE  --no-history: as of twist-decode\n"
    "  -w, --work ENDPOINT    where workers connect       --local N        start N workers here (default 0), which run COMMAND\n"
    "  -o, --output FILE      instead of standard output  --root DIR       workers find the files below DIR (.) below their own root\n"
    "      --ship             send the files themselves   --quarantine FILE  remember images that crash or hang COMMAND\n"
    "      --window N         samples in hand (1024)      --mem SIZE       bytes of results held at most (1GiB)\n"
    "      --audit PART       of the samples are made twice and compared (0)  --max-bytes SIZE  of one result (64MiB)\n"
    "      --heartbeat S      (1)   --lease S  until a sample is given to another worker (30)   --hedge S  (0.02)  --workers N  (1024)\n"
    "      --metrics FILE     for Prometheus, every 10 s  --log FILE       the same as lines of JSON\n"
    "work:   --slots N        samples in hand (4 a processor, and 4)           --root DIR  files are looked for below it (.)\n"
    "      --name NAME        (host.pid)   --sample-timeout S  (10)   --linger S  without a head (3600)   --once  end with the head\n"
    "      --child-memory SIZE  address space of each process of COMMAND (0: no bound)   -j, --jobs N  so many workers (1)\n"
    "status: --watch  every second   --json  lines of JSON   --metrics FILE  for Prometheus, instead of the table\n"
    "all:    --key FILE       own secret key (NAME.key)   --allow FILE  head: keys that are let in   --server FILE  the head's NAME.pub\n"
    "      --insecure         without keys where others can reach it      -q, --quiet  -v, --verbose  --progress  -h, --help  -V, --version\n";

struct opts {
    tw_data_options data;
    tw_link_options link;
    tw_head_options rules;
    tw_work_options worker;
    const char *work, *output, *root, *quarantine, *metrics, *log, *command;
    bool ship, watch, json;
    int local, jobs, slots, window;
    tw_common common;
};

static volatile sig_atomic_t stops, hups;

static void on_signal(int sig)
{
    if (sig == SIGHUP)
        hups = 1;
    else
        stops++;
}

static int stop(void)
{
    return stops > 2 ? 2 : stops;
}

static bool reload(void)
{
    const bool yes = hups != 0;
    hups = 0;
    return yes;
}

static void catch(int sig)
{
    struct sigaction a = {.sa_handler = on_signal};
    sigemptyset(&a.sa_mask);
    sigaction(sig, &a, NULL);
}

static void say(int level, const char *text)
{
    char safe[1400];
    size_t n = 0;
    for (; *text != '\0' && n < sizeof safe - 1; text++) /* file names and workers' messages may contain control characters */
        safe[n++] = (unsigned char)*text < 32 || *text == 127 ? '?' : *text;
    safe[n] = '\0';
    if (level < 0)
        tw_complain("%s", safe);
    else if (level == 0)
        tw_warn("%s", safe);
    else
        tw_note(level, "%s", safe);
}

/* ---- own workers of a head ---- */

static struct {
    pid_t pid[256];
    double since[256];
    int n, deaths;
    char **argv;
} locals;

static void start_local(int i)
{
    const pid_t parent = getpid();
    locals.since[i] = tw_now();
    locals.pid[i] = fork();
    if (locals.pid[i] != 0)
        return;
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    if (getppid() != parent)
        _exit(1);
    signal(SIGPIPE, SIG_DFL);
    dup2(STDERR_FILENO, STDOUT_FILENO); /* only the head may hold the stream's pipe, or its reader would not see the end */
    execv("/proc/self/exe", locals.argv);
    _exit(127);
}

/* Restarts local workers that have ended. NULL, or, after too many early ends (within 5 s) or failures reported by workers, the reason to stop the
 * head. */
static const char *keep_local(void)
{
    for (int i = 0; i < locals.n; i++) {
        int status = 0;
        if (locals.pid[i] > 0 && waitpid(locals.pid[i], &status, WNOHANG) != locals.pid[i])
            continue;
        const bool soon = tw_now() - locals.since[i] < 5, told = WIFEXITED(status) && WEXITSTATUS(status) == TW_EXIT_FAILED;
        if (locals.pid[i] > 0)
            locals.deaths += soon ? 1 : told ? 3 : 0;
        if (locals.deaths >= 3 + 2 * locals.n)
            return soon ? "its local workers exit as soon as they start" : "its local workers fail again and again";
        start_local(i);
    }
    return NULL;
}

static void end_local(void)
{
    for (int i = 0; i < locals.n; i++)
        if (locals.pid[i] > 0)
            kill(locals.pid[i], SIGTERM);
    for (int i = 0; i < locals.n; i++) {
        int status = 0;
        while (locals.pid[i] > 0 && waitpid(locals.pid[i], &status, WUNTRACED) == locals.pid[i] && WIFSTOPPED(status))
            kill(locals.pid[i], SIGCONT); /* a stopped one does not hear the other signal */
    }
}

/* Composes the command line of the local workers. */
static void set_up_local(const struct opts *o)
{
    static char *argv[24];
    static char slots[32], timeout[32], memory[32], at[300];
    int n = 0;
    snprintf(slots, sizeof slots, "--slots=%d", o->slots);
    snprintf(timeout, sizeof timeout, "--sample-timeout=%g", o->worker.sample_timeout);
    snprintf(memory, sizeof memory, "--child-memory=%lld", (long long)o->worker.child_memory);
    argv[n++] = "twist-feed";
    argv[n++] = "work";
    argv[n++] = "--once";
    if (o->common.quiet)
        argv[n++] = "-q";
    argv[n++] = slots;
    argv[n++] = timeout;
    argv[n++] = memory;
    argv[n++] = "--root";
    argv[n++] = (char *)o->root;
    if (o->link.insecure)
        argv[n++] = "--insecure";
    const bool any = strncmp(tw_zmq_address(o->work), "tcp://*:", 8) == 0; /* an address to listen on, but not to connect to */
    snprintf(at, sizeof at, "tcp://127.0.0.1:%s", any ? strrchr(o->work, ':') + 1 : "");
    argv[n++] = any ? at : (char *)tw_zmq_address(o->work);
    argv[n++] = "--";
    argv[n++] = (char *)o->command;
    argv[n] = NULL;
    locals.argv = argv;
    locals.n = o->local;
}

/* ---- head ---- */

static void check_endpoint(const char *endpoint, bool head, const struct opts *o)
{
    const char *note;
    if (tw_zmq_check(endpoint) != 0)
        tw_die_usage("%s", tw_error());
    if (tw_link_check(endpoint, head, &o->link, &note) != 0)
        tw_die_error();
    if (note != NULL && (head || o->link.insecure))
        tw_warn("%s: %s", endpoint, note);
    const char *port = strncmp(tw_zmq_address(endpoint), "tcp://", 6) == 0 ? strrchr(endpoint, ':') : NULL;
    if (port != NULL && atoi(port + 1) >= 32768)
        tw_warn("%s: the system may give ports from 32768 on to other connections; use a lower one", endpoint);
}

/* Folder of the socket for local workers if no address is given: new, accessible to this user only. */
static char folder[64];

static void remove_folder(void)
{
    char path[80];
    if (folder[0] == '\0')
        return;
    snprintf(path, sizeof path, "%s/feed", folder);
    unlink(path);
    rmdir(folder);
    folder[0] = '\0';
}

static void default_endpoint(struct opts *o)
{
    static char endpoint[96];
    if (o->work != NULL)
        return;
    if (o->local == 0)
        tw_die_usage("head: give --work ENDPOINT, where workers connect, or --local N to start some here");
    snprintf(folder, sizeof folder, "/tmp/twist-feed-XXXXXX");
    if (mkdtemp(folder) == NULL)
        tw_die("%s: %s", folder, strerror(errno));
    atexit(remove_folder);
    snprintf(endpoint, sizeof endpoint, "ipc://%s/feed", folder);
    o->work = endpoint;
}

static void check_head(struct opts *o, const tw_strings *sources, tw_rejects *rejects)
{
    tw_data_options *d = &o->data;
    d->from.operand = sources->item;
    d->from.n_operands = sources->n;
    d->from.jobs = tw_processors();
    if (sources->n == 0 && d->from.list.n == 0)
        tw_die_usage("head: no SOURCE");
    for (int i = 0; i < sources->n; i++)
        if (tw_is_sequence(sources->item[i]))
            tw_die_usage("%s: can only be read in sequence; a farm needs random access: folders, .tar shards, lists", sources->item[i]);
    if (o->local > 0 && o->command == NULL)
        tw_die_usage("head: --local needs a COMMAND after --");
    if (o->local > 0 && o->link.key != NULL)
        tw_die_usage("head: --local workers have no keys: start workers by hand, or omit --key");
    if (tw_rejects_init(rejects, d->max_errors) != 0)
        tw_die_usage("%s", tw_error());
    tw_program_file("rejects", d->rejects);
    tw_program_file("log", o->log);
    tw_program_file("metrics", o->metrics);
    if (tw_program_beside("--rejects", d->rejects, o->output) != 0 || tw_program_beside("--log", o->log, o->output) != 0 ||
        tw_program_beside("--metrics", o->metrics, o->output) != 0 || tw_program_beside("--quarantine", o->quarantine, o->output) != 0)
        tw_die_error();
    default_endpoint(o);
    check_endpoint(o->work, true, o);
}

static void run_head(struct opts *o, const tw_strings *sources)
{
    const tw_data_options *d = &o->data;
    tw_rejects rejects;
    tw_header header;
    check_head(o, sources, &rejects);
    tw_source *source = tw_data_open(d);
    if (source == NULL)
        tw_die_error();
    const tw_places_options po = {source, o->ship ? NULL : o->root, d->shuffle, d->seed, d->limit, d->share, d->on_error};
    tw_places *places = tw_places_new(&po);
    if (places == NULL || (o->quarantine != NULL && tw_places_quarantine(places, o->quarantine) != 0) ||
        tw_rejects_open(&rejects, d->rejects, tw_data_goes_on(d)) != 0)
        tw_die_error();
    const int64_t count = tw_places_count(places);
    if (tw_data_header(&header, TW_FILES, d, source, count) != 0)
        tw_die_error();
    const char *history = tw_program_command();
    header.n_history = o->common.no_history ? 0 : 1;
    header.history = &history;
    o->rules.window = o->window;
    o->rules.epoch = count > 0 ? count : 1;
    o->rules.first = d->start_epoch * count + (header.epochs > 0 ? d->skip : 0);
    o->rules.end = header.epochs > 0 ? d->epochs * count : o->rules.first;
    set_up_local(o);
    const tw_serve_options so = {.link = o->link, .rules = o->rules, .endpoint = o->work, .output = o->output, .metrics = o->metrics, .log = o->log,
                                 .places = places, .rejects = &rejects, .header = &header, .on_error = d->on_error, .ship = o->ship,
                                 .local = o->local > 0 ? keep_local : NULL};
    tw_note(1, "%s: epoch %lld, sample %lld; heartbeat %g s, dead after 3; lease %g s; window %d, %lld MiB", o->work, (long long)d->start_epoch,
            (long long)d->skip, o->rules.heartbeat, o->rules.lease, o->window, (long long)(o->rules.memory >> 20));
    catch(SIGHUP);
    catch(SIGTERM);
    catch(SIGINT);
    const int rc = tw_serve_run(&so, stop, reload, say);
    end_local();
    remove_folder();
    tw_progress_end();
    if (rc > 0) { /* ends as a filter does whose reader has gone: by SIGPIPE */
        remove_folder();
        raise(SIGPIPE);
    }
    if (rc != 0)
        tw_die_error();
    tw_places_free(places);
    tw_source_close(source);
}

/* ---- work ---- */

static void run_worker(const struct opts *o, const char *endpoint, int number)
{
    static char name[160];
    char host[100] = "";
    tw_work_options w = o->worker;
    gethostname(host, sizeof host - 1);
    snprintf(name, sizeof name, "%.64s.%ld", host, (long)getpid());
    if (w.name != NULL && number >= 0)
        snprintf(name, sizeof name, "%.120s.%d", w.name, number);
    w.name = w.name != NULL && number < 0 ? w.name : name;
    w.endpoint = endpoint;
    w.command = o->command;
    w.link = o->link;
    if (!tw_opts_given("max-bytes"))
        w.link.max_bytes = TW_MOST_RECORD; /* the head sends its own limit for results */
    w.root = o->root;
    w.slots = o->slots;
    signal(SIGPIPE, SIG_IGN); /* a command that ends while input is written to it is noticed otherwise */
    if (tw_work_run(&w, stop, say) != 0)
        tw_die_error();
    tw_note(1, "done");
}

static pid_t start_worker(const struct opts *o, const char *endpoint, int number)
{
    const pid_t parent = getpid(), pid = fork();
    if (pid < 0)
        tw_die("a worker cannot be started: %s", strerror(errno));
    if (pid > 0)
        return pid;
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    if (getppid() == parent)
        run_worker(o, endpoint, number);
    exit(TW_EXIT_OK);
}

/* Waits for all workers and passes signals to stop on to them. The exit status: failed if one of them has. */
static int wait_for_workers(pid_t *pid, int n)
{
    int rc = TW_EXIT_OK;
    for (int told = 0, left = n; left > 0;) {
        int status;
        const pid_t ended = waitpid(-1, &status, WNOHANG); /* WNOHANG: a blocking wait would not notice a signal that came just before it */
        if (ended == 0)
            nanosleep(&(struct timespec){0, 50000000}, NULL);
        left = ended < 0 && errno == ECHILD ? 0 : left - (ended > 0);
        for (int i = 0; i < n && ended > 0; i++)
            pid[i] = pid[i] == ended ? 0 : pid[i]; /* the number may be reused */
        if (ended > 0 && (!WIFEXITED(status) || WEXITSTATUS(status) != 0))
            rc = TW_EXIT_FAILED;
        for (; told < stops; told++)
            for (int i = 0; i < n; i++)
                if (pid[i] > 0)
                    kill(pid[i], SIGTERM);
    }
    return rc;
}

/* Runs one process per head (and per -j), so that a hanging head or a worker that dies does not affect the others. */
static void run_workers(const struct opts *o, const tw_strings *endpoints)
{
    pid_t pid[1024];
    int n = 0;
    if (endpoints->n == 0 || o->command == NULL)
        tw_die_usage("work: needs ENDPOINT... -- COMMAND");
    if ((size_t)endpoints->n * (size_t)o->jobs > sizeof pid / sizeof *pid)
        tw_die_usage("work: more than %zu workers", sizeof pid / sizeof *pid);
    for (int i = 0; i < endpoints->n; i++)
        check_endpoint(endpoints->item[i], false, o);
    catch(SIGTERM);
    catch(SIGINT);
    if (endpoints->n * o->jobs == 1) {
        run_worker(o, endpoints->item[0], -1);
        return;
    }
    for (int k = 0; k < o->jobs; k++)
        for (int i = 0; i < endpoints->n; i++, n++)
            pid[n] = start_worker(o, endpoints->item[i], n);
    const int rc = wait_for_workers(pid, n);
    if (rc != TW_EXIT_OK)
        exit(rc);
}

/* ---- status ---- */

static void show(const struct opts *o, const char *json, const char *endpoint)
{
    int rc = 0;
    if (o->metrics != NULL)
        rc = tw_status_metrics(o->metrics, json);
    else if (o->json)
        rc = puts(json) < 0;
    else
        rc = tw_status_print(stdout, json);
    if (rc != 0 && (o->metrics != NULL || !o->json))
        tw_die("%s: %s", endpoint, tw_error());
    if (tw_program_printed() != 0)
        tw_die_error();
}

static void run_status(struct opts *o, const tw_strings *endpoints)
{
    static tw_link_msg in;
    tw_link link = {0};
    if (endpoints->n != 1)
        tw_die_usage("status: needs one ENDPOINT");
    o->link.max_bytes = 16 << 20;
    check_endpoint(endpoints->item[0], false, o);
    catch(SIGTERM);
    catch(SIGINT);
    double asked = 0, dialled = 0, heard = tw_now();
    unsigned dials = 0;
    bool wanted = false, told = false;
    int64_t dropped = 0;
    while (stop() == 0) {
        const double now = tw_now();
        if (dials == 0 || (asked == 0 && link.addresses > 1 && now - dialled >= 1)) { /* not connected: perhaps to the next address */
            tw_link_close(&link, 0);
            if (tw_link_dial(&link, endpoints->item[0], dials++, &o->link) != 0)
                tw_die_error();
            dialled = now;
        }
        zmq_pollitem_t item = {link.socket, 0, ZMQ_POLLIN, 0};
        if (!wanted && now - asked >= 1 && tw_link_send(&link, NULL, &(tw_feed_msg){.type = TW_ASK}, NULL, 0) == 0) {
            wanted = true;
            asked = now;
        }
        if (now - heard > 5)
            tw_die("%s: no answer from a head", endpoints->item[0]);
        link.z->poll(&item, 1, 50);
        const int rc = tw_link_receive(&link, &in, &dropped);
        if (rc < 0)
            tw_die_error();
        if (rc == 1 && in.m.type == TW_TELL && in.has_payload) {
            const size_t n = link.z->msg_size(&in.payload);
            char *json = malloc(n + 1);
            if (json == NULL)
                tw_die("out of memory");
            memcpy(json, link.z->msg_data(&in.payload), n);
            json[n] = '\0';
            show(o, json, endpoints->item[0]);
            free(json);
            heard = tw_now();
            wanted = false;
            told = true;
            if (!o->watch)
                break;
        }
    }
    if (in.has_payload)
        link.z->msg_close(&in.payload);
    tw_link_close(&link, 0);
    if (!told)
        tw_die("%s: stopped before the head answered", endpoints->item[0]);
}

/* ---- the command line ---- */

/* Takes the words after "--" as the command, joined by spaces as ssh does. Returns the number of words before it. */
static int cut_command(struct opts *o, int argc, char **argv)
{
    size_t room = 1;
    int end = 1;
    while (end < argc && strcmp(argv[end], "--") != 0)
        end++;
    for (int i = end + 1; i < argc; i++)
        room += strlen(argv[i]) + 1;
    if (end + 1 >= argc)
        return end;
    char *text = calloc(room, 1);
    if (text == NULL)
        tw_die("out of memory");
    for (int i = end + 1; i < argc; i++) {
        strcat(text, argv[i]);
        strcat(text, i + 1 < argc ? " " : "");
    }
    o->command = text;
    return end;
}

/* Refuses options of other subcommands. */
static void refuse_others(const struct opts *o, const char *what)
{
    static const struct {
        const char *what, *options; /* words, each with a space on both sides */
    } all[] = {
        {"head", " work output local root ship quarantine window mem max-bytes audit heartbeat lease hedge workers metrics log slots sample-timeout "
                 "child-memory key allow insecure "},
        {"work", " root max-bytes slots name sample-timeout linger once child-memory jobs key server insecure "},
        {"status", " watch json metrics key server insecure "},
        {"keygen", " "},
    };
    const size_t kinds = sizeof all / sizeof *all;
    tw_opt table[TW_DATA_ROWS];
    tw_data_options data;
    const int n = tw_data_rows(table, &data);
    const char *own = NULL;
    for (size_t i = 0; i < kinds; i++)
        own = strcmp(what, all[i].what) == 0 ? all[i].options : own;
    for (size_t i = 0; i < kinds && own != NULL; i++)
        for (const char *word = all[i].options + 1, *end; (end = strchr(word, ' ')) != NULL; word = end + 1) {
            char name[32], with[40];
            snprintf(name, sizeof name, "%.*s", (int)(end - word), word);
            snprintf(with, sizeof with, " %s ", name);
            if (tw_opts_given(name) && strstr(own, with) == NULL)
                tw_die_usage("--%s goes with %s, not with %s", name, all[i].what, what);
        }
    for (int i = 0; i < n && own != NULL && own != all[0].options; i++)
        if (tw_opts_given(table[i].name))
            tw_die_usage("--%s goes with head, not with %s", table[i].name, what);
    if (o->command != NULL && strcmp(what, "work") != 0 && o->local == 0)
        tw_die_usage("-- COMMAND goes with work, or with head --local N");
}

static void parse(struct opts *o, tw_strings *operands, int argc, char **argv)
{
    const tw_opt own[] = {
        {'w', "work", TW_OPT_STRING, &o->work, 0, 0, NULL},
        {'o', "output", TW_OPT_STRING, &o->output, 0, 0, NULL},
        {0, "local", TW_OPT_INT, &o->local, 0, 256, NULL},
        {0, "root", TW_OPT_STRING, &o->root, 0, 0, NULL},
        {0, "ship", TW_OPT_FLAG, &o->ship, 0, 0, NULL},
        {0, "quarantine", TW_OPT_STRING, &o->quarantine, 0, 0, NULL},
        {0, "window", TW_OPT_INT, &o->window, 1, 1 << 20, NULL},
        {0, "mem", TW_OPT_SIZE, &o->rules.memory, 0, 0, NULL},
        {0, "max-bytes", TW_OPT_SIZE, &o->link.max_bytes, 1024, 1 << 30, NULL},
        {0, "audit", TW_OPT_FLOAT, &o->rules.audit, 0, 1, NULL},
        {0, "heartbeat", TW_OPT_FLOAT, &o->rules.heartbeat, 0.01, 3600, NULL},
        {0, "lease", TW_OPT_FLOAT, &o->rules.lease, 0.05, 86400, NULL},
        {0, "hedge", TW_OPT_FLOAT, &o->rules.hedge, 0, 86400, NULL},
        {0, "workers", TW_OPT_INT, &o->rules.workers, 1, 1 << 16, NULL},
        {0, "metrics", TW_OPT_STRING, &o->metrics, 0, 0, NULL},
        {0, "log", TW_OPT_STRING, &o->log, 0, 0, NULL},
        {0, "slots", TW_OPT_INT, &o->slots, 1, TW_FEED_SLOTS, NULL},
        {0, "name", TW_OPT_STRING, &o->worker.name, 0, 0, NULL},
        {0, "sample-timeout", TW_OPT_FLOAT, &o->worker.sample_timeout, 0.05, 86400, NULL},
        {0, "linger", TW_OPT_FLOAT, &o->worker.linger, 0.05, 1e9, NULL},
        {0, "once", TW_OPT_FLAG, &o->worker.once, 0, 0, NULL},
        {0, "child-memory", TW_OPT_SIZE, &o->worker.child_memory, 0, 0, NULL},
        {'j', "jobs", TW_OPT_INT, &o->jobs, 1, 1024, NULL},
        {0, "watch", TW_OPT_FLAG, &o->watch, 0, 0, NULL},
        {0, "json", TW_OPT_FLAG, &o->json, 0, 0, NULL},
        {0, "key", TW_OPT_STRING, &o->link.key, 0, 0, NULL},
        {0, "allow", TW_OPT_STRING, &o->link.allow, 0, 0, NULL},
        {0, "server", TW_OPT_STRING, &o->link.server, 0, 0, NULL},
        {0, "insecure", TW_OPT_FLAG, &o->link.insecure, 0, 0, NULL},
    };
    tw_opt table[TW_DATA_ROWS + sizeof own / sizeof *own];
    memcpy(table + tw_data_rows(table, &o->data), own, sizeof own);
    tw_program_start("twist-feed", argc, argv);
    tw_program_limit(cut_command(o, argc, argv));
    tw_program_options(table, sizeof table / sizeof *table, &o->common, operands, usage);
    if (tw_data_settle(&o->data) != 0)
        tw_die_usage("%s", tw_error());
    o->rules.max_bytes = o->link.max_bytes;
}

int main(int argc, char **argv)
{
    static struct opts o = {.output = "-", .root = ".", .data = TW_DATA_DEFAULT, .jobs = 1, .window = 1024, .rules = TW_HEAD_DEFAULT,
                            .link = {.max_bytes = (int64_t)64 << 20}, .worker = {.sample_timeout = 10, .linger = 3600}};
    tw_strings operands = {0};
    o.slots = 4 * tw_processors() + 4;
    if (o.slots > TW_FEED_SLOTS)
        o.slots = TW_FEED_SLOTS;
    parse(&o, &operands, argc, argv);
    const char *what = operands.n > 0 ? operands.item[0] : "";
    tw_strings rest = {operands.item + 1, operands.n - 1};
    refuse_others(&o, what);
    if (strcmp(what, "head") == 0)
        run_head(&o, &rest);
    else if (strcmp(what, "work") == 0)
        run_workers(&o, &rest);
    else if (strcmp(what, "status") == 0)
        run_status(&o, &rest);
    else if (strcmp(what, "keygen") != 0)
        tw_die_usage("the first operand must be head, work, keygen or status");
    else if (rest.n != 1)
        tw_die_usage("keygen: needs one NAME");
    else if (tw_keys_make(rest.item[0]) != 0)
        tw_die_error();
    free(operands.item);
    return TW_EXIT_OK;
}
