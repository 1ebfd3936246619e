/* cmd_incidents.c - what the kernel killed, what hung, and what guards did about it: from the audit
 * file and from the agent. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/mem.h"
#include "cmd/agentclient.h"
#include "cmd/incidentview.h"
#include "cmd/opt.h"
#include "guard/auditlog.h"

enum {
    OUTPUT_MAX = 256 << 20,
    FILE_MOST = AUDITLOG_MOST + (16 << 20),
    ASK_MOST = 1000,
    BEFORE_MS = 10 * 60 * 1000,
    AFTER_MS = 60 * 1000,
    TURN_US = 500000,
    ASK_US = 3 * 1000000,
    FEW = 10,
};

struct options {
    const char *socket, *file;
    struct str target, kinds;
    int64_t since_ms, until_ms; /* 0: not given */
    bool follow, verbose;
};

static int set_socket(void *into, struct str value, struct err *err) {
    return agentclient_set_socket(value, &((struct options *)into)->socket, err);
}

static int set_since(void *into, struct str value, struct err *err) {
    return agentclient_since(value, &((struct options *)into)->since_ms, err);
}

static int set_until(void *into, struct str value, struct err *err) {
    return agentclient_moment(value, &((struct options *)into)->until_ms, err);
}

static int set_target(void *into, struct str value, struct err *err) {
    (void)err;
    ((struct options *)into)->target = value;
    return 0;
}

static int set_kinds(void *into, struct str value, struct err *err) {
    ((struct options *)into)->kinds = value;
    return incident_check_kinds(value, err);
}

static int set_audit(void *into, struct str value, struct err *err) {
    if (value.n == 0)
        return err_set(err, -EINVAL, "--audit needs a path");
    ((struct options *)into)->file = value.p;
    return 0;
}

static int set_follow(void *into, struct str value, struct err *err) {
    (void)value, (void)err;
    ((struct options *)into)->follow = true;
    return 0;
}

static int set_verbose(void *into, struct str value, struct err *err) {
    (void)value, (void)err;
    ((struct options *)into)->verbose = true;
    return 0;
}

struct run {
    struct options *o;
    struct incidentlist list;
    struct incidentview view;
    const char *socket;
    char path[PATH_MAX], before[PATH_MAX];
    /* --follow: */
    dev_t dev;
    ino_t inode;
    off_t at;
    int64_t shown_ms; /* of the newest record of the agent that was printed */
};

/* --- the file --------------------------------------------------------------------------------- */

/* -ENOENT and the like without a text. */
static int read_file(struct run *r, const char *path, bool newest) {
    auto_close int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    auto_free char *text = NULL;
    struct stat st;
    size_t n = 0;
    int e;

    if (fd < 0 || fstat(fd, &st) < 0)
        return -errno;
    if (!S_ISREG(st.st_mode))
        return -EINVAL;
    e = file_load_fd(fd, FILE_MOST, &text, &n);
    if (e < 0)
        return e;
    if (newest) { /* a record that is being written is no damage for who follows */
        const char *end = memrchr(text, '\n', n);

        r->dev = st.st_dev;
        r->inode = st.st_ino;
        r->at = end ? end - text + 1 : 0;
    }
    return incidentlist_add_lines(&r->list, (struct str){text, n}, !(newest && r->o->follow));
}

/* The file and the one before it. */
static int read_files(struct run *r, struct err *err) {
    int e = 0;

    if (r->o->file)
        e = str_copy(str_of(r->o->file), r->path, sizeof(r->path));
    else
        e = auditlog_default_path(r->path, sizeof(r->path));
    if (e < 0)
        return err_set(err, e, "cannot tell where the audit file is:");
    if (snprintf(r->before, sizeof(r->before), "%s.1", r->path) < (int)sizeof(r->before))
        (void)read_file(r, r->before, false);
    e = read_file(r, r->path, true);
    if (e < 0)
        return err_set(err, e, "cannot read the audit file '%s':", r->path);
    r->view.file = r->path;
    return 0;
}

/* --- the agent -------------------------------------------------------------------------------- */

/* Pages of the newest records, back to the oldest that is wanted. */
static int ask_agent(struct run *r, int64_t from_ms, struct err *err) {
    int64_t to_ms = r->o->until_ms > 0 ? r->o->until_ms : INT64_MAX;
    size_t n = ASK_MOST;
    int e = 0;

    for (unsigned page = 0; e == 0 && n >= ASK_MOST && page < INCIDENTS_MOST / ASK_MOST; page++) {
        const json_t *list, *oldest;
        json_t *answer = NULL;
        struct buf request;

        buf_init(&request, 4096);
        agentclient_path(&request, "/api/v1/incidents");
        agentclient_param(&request, "limit", STR("1000"));
        if (from_ms > 0)
            agentclient_param_ms(&request, "from", from_ms);
        if (to_ms < INT64_MAX)
            agentclient_param_ms(&request, "to", to_ms);
        e = agentclient_ask(r->socket, &request, ASK_US, &answer, err);
        if (e == 0)
            e = incidentlist_add_answer(&r->list, answer);
        list = json_object_get(answer, "incidents");
        n = json_array_size(list);
        oldest = n > 0 ? json_array_get(list, n - 1) : NULL;
        to_ms = json_integer_value(json_object_get(oldest, "at_ms"));
        json_decref(answer);
        buf_done(&request);
    }
    r->view.agent = e == 0;
    return e;
}

/* Used around the story, where the agent knows it. */
static json_t *ask_history(struct run *r, const bool *in) {
    const struct incident_record *first = NULL, *last = NULL;
    json_t *answer = NULL, *points;
    struct buf request;
    struct err err;

    for (size_t i = 0; i < r->list.n; i++)
        if (in[i]) {
            first = first ? first : &r->list.record[i];
            last = &r->list.record[i];
        }
    if (!r->view.agent || !first)
        return NULL;
    buf_init(&request, 16384);
    agentclient_path(&request, "/api/v1/series");
    agentclient_param(&request, "target", str_of(first->a.path));
    agentclient_param(&request, "metric", STR("used"));
    agentclient_param_ms(&request, "from", first->a.at_ms - BEFORE_MS);
    agentclient_param_ms(&request, "to", last->a.at_ms + AFTER_MS);
    agentclient_param(&request, "step", STR("5s"));
    (void)agentclient_ask(r->socket, &request, ASK_US, &answer, &err);
    points = json_incref(json_object_get(answer, "points"));
    json_decref(answer);
    buf_done(&request);
    return points;
}

/* --- shown ------------------------------------------------------------------------------------ */

static int write_out(struct buf *out, int e, bool *gone) {
    struct err err;

    if (e < 0) {
        (void)err_set(&err, e, "cannot print the incidents:");
        return cmd_fail(&err);
    }
    return cmd_write(out, gone);
}

static int show_list(struct run *r) {
    const struct incident_filter filter = {r->o->kinds, r->o->target};
    auto_free struct incident *i = calloc(r->list.n + 1, sizeof(*i));
    struct buf out;
    int status;
    size_t n;
    int e;

    if (!i)
        return cmd_failf("out of memory");
    n = incidentlist_incidents(&r->list, &filter, i);
    buf_init(&out, OUTPUT_MAX);
    if (r->view.json)
        e = incidentview_json(&r->view, &r->list, i, n, &out);
    else
        e = n > 0 || r->view.plain ? incidentview_table(&r->view, i, n, &out) : 0;
    status = write_out(&out, e, NULL);
    if (n == 0 && !r->view.json)
        cmd_warn("nothing that matches: no %shang, no action of a guard%s",
                 r->view.agent ? "kill, no " : "",
                 r->view.agent ? "" : "; OOM kills are not known without an agent");
    buf_done(&out);
    return status;
}

static int show_story(struct run *r, struct str id) {
    auto_free bool *in = calloc(r->list.n + 1, sizeof(*in));
    struct incidentview_story s = {.list = &r->list, .in = in, .id = id};
    json_t *points = NULL;
    char kill[64] = "";
    uint64_t number;
    struct buf out;
    int status;

    if (!in)
        return cmd_failf("out of memory");
    if (str_to_u64(id, &number) == 0 && id.n < 20) { /* as /api/v1/incidents numbers kills */
        snprintf(kill, sizeof(kill), "oom-%.*s", STR_ARG(id));
        s.id = str_of(kill);
    }
    if (incidentlist_story(&r->list, s.id, in, &s.over) == 0)
        return cmd_failf("there is no incident '%.*s'%s; `plimsoll incidents` lists their ids",
                         STR_ARG(id), r->view.agent ? "" : " in the audit file");
    points = ask_history(r, in);
    s.points = points;
    buf_init(&out, OUTPUT_MAX);
    status = write_out(&out, incidentview_story(&r->view, &s, &out), NULL);
    buf_done(&out);
    json_decref(points);
    return status;
}

static void tell_gaps(const struct run *r) {
    if (r->list.damaged > 0)
        cmd_warn("%llu line%s of the audit file %s damaged and left out",
                 (unsigned long long)r->list.damaged, r->list.damaged > 1 ? "s" : "",
                 r->list.damaged > 1 ? "are" : "is");
    if (r->list.cut)
        cmd_warn("only the newest %u records are looked at: --since TIME --until TIME for others",
                 INCIDENTS_MOST);
}

/* --- followed --------------------------------------------------------------------------------- */

/* What came behind the part that was read; another file begins at its beginning. */
static void read_more(struct run *r) {
    auto_close int fd = open(r->path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    auto_free char *text = NULL;
    const char *end;
    struct stat st;
    size_t n = 0;

    if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
        return;
    if (st.st_dev != r->dev || st.st_ino != r->inode || st.st_size < r->at)
        r->at = 0;
    r->dev = st.st_dev;
    r->inode = st.st_ino;
    if (st.st_size == r->at || lseek(fd, r->at, SEEK_SET) < 0 ||
        file_load_fd(fd, FILE_MOST, &text, &n) < 0)
        return;
    end = memrchr(text, '\n', n);
    n = end ? (size_t)(end - text) + 1 : 0;
    r->at += (off_t)n;
    (void)incidentlist_add_lines(&r->list, (struct str){text, n}, false);
}

static bool told_before(const struct incidentlist *told, const struct incident_record *r) {
    for (size_t i = told->n; i-- > 0;)
        if (incident_same(&told->record[i], r))
            return true;
    return false;
}

/* Prints what was not told yet. The number of records, or -errno. */
static int tell_new(struct run *r, struct incidentlist *told, size_t from, struct buf *out) {
    int n = 0;

    for (size_t i = 0; i < r->list.n; i++) {
        const struct incident_record *record = &r->list.record[i];

        if (told_before(told, record))
            continue;
        if (i >= from && incident_is_of(record, r->o->target)) {
            incidentview_record(&r->view, record, out);
            n++;
        }
        if (record->a.at_ms > r->shown_ms)
            r->shown_ms = record->a.at_ms;
        if (incidentlist_add(told, record) < 0)
            return -ENOMEM;
    }
    r->list.n = 0;
    return n;
}

/* What cannot come again. */
static void forget(struct incidentlist *told, int64_t before_ms) {
    size_t n = 0;

    for (size_t i = 0; i < told->n; i++)
        if (told->record[i].a.at_ms >= before_ms)
            told->record[n++] = told->record[i];
    told->n = n;
}

/* Records as they come, of both sources, until the reader has gone: at first the last few, or all
 * since then. */
static int follow(struct run *r) {
    size_t from;
    struct incidentlist told = {.n = 0};
    bool gone = false;
    struct err err;
    struct buf out;
    int status = EXIT_DONE;

    buf_init(&out, OUTPUT_MAX);
    incidentlist_settle(&r->list);
    from = r->o->since_ms > 0 || r->list.n < FEW ? 0 : r->list.n - FEW;
    for (unsigned turn = 1; status == EXIT_DONE && !gone; turn++) {
        int n = tell_new(r, &told, from, &out);

        if (n != 0)
            status = write_out(&out, n < 0 ? n : buf_error(&out), &gone);
        forget(&told, r->shown_ms - AFTER_MS);
        r->list.since_ms = r->shown_ms - AFTER_MS;
        from = 0;
        usleep(TURN_US);
        read_more(r);
        if (turn % 4 == 0)
            (void)ask_agent(r, r->list.since_ms, &err);
        incidentlist_settle(&r->list);
    }
    incidentlist_done(&told);
    buf_done(&out);
    return status;
}

/* --- all of it -------------------------------------------------------------------------------- */

static int check(struct cmd_context *context, const struct options *o) {
    if (context->root)
        return cmd_usage(context->cmd, "a captured machine has no agent to ask: no --root here");
    if (context->nargs > 1)
        return cmd_usage(context->cmd, "incidents takes one ID, not %zu", context->nargs);
    if (context->nargs == 1 && o->follow)
        return cmd_usage(context->cmd, "--follow goes on; the story of an ID is told once");
    if (o->until_ms > 0 && (o->follow || o->since_ms > o->until_ms))
        return cmd_usage(context->cmd, o->follow ? "--until and --follow exclude each other"
                                                 : "--since lies behind --until");
    return EXIT_DONE;
}

/* Both, as far as they are there; neither is a failure. */
static int read_all(struct run *r) {
    struct err of_file, of_agent;
    int file = read_files(r, &of_file);
    int agent = ask_agent(r, r->o->since_ms, &of_agent);

    if (file < 0 && (r->o->file || (agent < 0 && file != -ENOENT)))
        return cmd_fail(&of_file);
    if (file < 0 && agent < 0)
        return cmd_failf("%s; and there is no audit file '%s'", of_agent.text, r->path);
    if (agent < 0 && r->o->verbose)
        cmd_warn("%s; this is from the audit file alone, which has no OOM kills", of_agent.text);
    else if (agent < 0 && r->o->follow)
        cmd_warn("from the audit file alone: OOM kills are not known without an agent");
    else if (file < 0 && file != -ENOENT)
        cmd_warn("%s; this is from the agent alone", of_file.text);
    return EXIT_DONE;
}

static int run(struct cmd_context *context, void *options) {
    struct run r = {.o = options};
    int status = check(context, r.o);
    size_t rows;

    if (status != EXIT_DONE)
        return status;
    r.view = (struct incidentview){.json = context->json,
                                   .plain = context->plain,
                                   .ascii = context->terminal && !context->utf8,
                                   .colour = context->colour};
    if (context->terminal)
        cmd_terminal_size(&r.view.width, &rows);
    r.socket = agentclient_socket(r.o->socket);
    if (context->nargs == 0) { /* the story of one may begin before */
        r.list.since_ms = r.o->since_ms;
        r.list.until_ms = r.o->until_ms;
    }
    status = read_all(&r);
    if (status == EXIT_DONE && r.o->follow) {
        status = follow(&r);
    } else if (status == EXIT_DONE) {
        incidentlist_settle(&r.list);
        tell_gaps(&r);
        status = context->nargs ? show_story(&r, str_of(context->args[0])) : show_list(&r);
    }
    incidentlist_done(&r.list);
    return status;
}

static const struct opt opts[] = {
    {"since", 's', "TIME", "what happened since then: 10m, 2h, 07:48, 2026-11-21T07:48:16Z",
     set_since},
    {"until", 'u', "TIME", "up to then (now)", set_until},
    {"target", 't', "TARGET", "of this one alone: its name, its group, its id", set_target},
    {"kind", 'k', "KIND,...", "oom, hang, mark, guard (every action) or actions: gc, kill ...",
     set_kinds},
    {"audit", 'a', "FILE", "the audit file (/var/log/plimsoll/audit.jsonl)", set_audit},
    {"follow", 'f', NULL, "goes on with what happens, a line a record", set_follow},
    {"verbose", 'v', NULL, "says too why the agent was not asked", set_verbose},
    {"socket", 0, "PATH", "the agent's unix socket (/run/plimsoll/plimsoll.sock)", set_socket},
    {NULL, 0, NULL, NULL, NULL},
};

const struct cmd cmd_incidents = {
    .name = "incidents",
    .brief = "OOM kills and hangs, and what guards did about them",
    .synopsis = "[ID] [--since TIME] [--until TIME] [--target TARGET] [--kind KIND,...]",
    .about =
        "The newest comes last. With the ID of one: its whole story, from when the target was\n"
        "well until it was well again, the memory in the minutes before, where its dump is, and\n"
        "what to do next. Reads the audit file, and asks the agent when it runs.\n\n"
        "  plimsoll incidents --since 8h\n"
        "  plimsoll incidents oom-12\n"
        "  plimsoll incidents --follow --target web\n",
    .opts = opts,
    .output_opts = true,
    .options_size = sizeof(struct options),
    .run = run,
};
