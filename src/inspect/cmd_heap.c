/* cmd_heap.c - what a runtime's heap holds, and how it grows.
 *
 * All that reads others' memory and files, and the printing of what was read, is done in a child
 * with a deadline. What it made comes through a pipe: text, and the content of files, which we
 * alone write.
 */
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/job.h"
#include "base/mem.h"
#include "base/num.h"
#include "cmd/opt.h"
#include "inspect/heapfiles.h"
#include "inspect/heaplook.h"
#include "inspect/heapprint.h"
#include "profile/pprof.h"

enum {
    LOOK_US = 30 * 1000000, /* for a look at a process to be had, and printed */
    NODE_SECONDS = 10,      /* of sampling when a profile is wanted and no time was named */
    SECONDS_MAX = 3600,
    ANSWER_MAX = 160 << 20,
    TOP = 20,
};

struct options {
    int64_t diff_us;
    uint64_t seconds, top;
    uint16_t port;
    bool live, inject, have_seconds, have_top, have_sort;
    enum heap_sort sort;
    const char *out, *flame;
};

/* --- options ---------------------------------------------------------------------------------- */

static int set_diff(void *into, struct str value, struct err *err) {
    return opt_interval_us(value, &((struct options *)into)->diff_us, err);
}

static int set_seconds(void *into, struct str value, struct err *err) {
    struct options *o = into;

    if (str_to_u64(value, &o->seconds) < 0 || o->seconds == 0 || o->seconds > SECONDS_MAX)
        return err_set(err, -EINVAL, "'%.*s' is not a number of seconds from 1 to %d",
                       STR_ARG(value), SECONDS_MAX);
    o->have_seconds = true;
    return 0;
}

static int set_port(void *into, struct str value, struct err *err) {
    uint64_t port;

    if (str_to_u64(value, &port) < 0 || port == 0 || port > UINT16_MAX)
        return err_set(err, -EINVAL, "'%.*s' is not a port (1 to 65535)", STR_ARG(value));
    ((struct options *)into)->port = (uint16_t)port;
    return 0;
}

static int set_top(void *into, struct str value, struct err *err) {
    struct options *o = into;

    if (str_eq(value, STR("all")))
        o->top = 0;
    else if (str_to_u64(value, &o->top) < 0 || o->top == 0)
        return err_set(err, -EINVAL, "'%.*s' is not a number of rows, or all", STR_ARG(value));
    o->have_top = true;
    return 0;
}

static int set_sort(void *into, struct str value, struct err *err) {
    static const struct str names[] = {
        [HEAP_SORT_BYTES] = {"bytes", 5},
        [HEAP_SORT_COUNT] = {"count", 5},
        [HEAP_SORT_NAME] = {"name", 4},
    };

    for (unsigned i = 0; i < ARRAY_N(names); i++) {
        if (!str_eq(value, names[i]))
            continue;
        ((struct options *)into)->sort = (enum heap_sort)i;
        return 0;
    }
    return err_set(err, -EINVAL, "cannot sort by '%.*s'; known are bytes, count, name",
                   STR_ARG(value));
}

/* Of argv, so it ends with a NUL and stays. */
static int set_out(void *into, struct str value, struct err *err) {
    (void)err;
    ((struct options *)into)->out = value.p;
    return 0;
}

static int set_flame(void *into, struct str value, struct err *err) {
    (void)err;
    ((struct options *)into)->flame = value.p;
    return 0;
}

static int set_live(void *into, struct str value, struct err *err) {
    (void)value, (void)err;
    ((struct options *)into)->live = true;
    return 0;
}

static int set_inject(void *into, struct str value, struct err *err) {
    (void)value, (void)err;
    ((struct options *)into)->inject = true;
    return 0;
}

/* --- in the child ----------------------------------------------------------------------------- */

struct heap {
    struct cmd_context *context;
    const struct options *options;
    int32_t pid; /* 0: files */
    const char *file[2];
    unsigned files;
    size_t width;
};

/* The answer is parts: what it is, its length, its bytes. */
enum part { PART_ERROR = 'e', PART_TEXT = 't', PART_OUT = 'o', PART_FLAME = 'f' };

struct part_head {
    uint64_t kind, n;
};

static size_t begin_part(struct buf *out, enum part kind) {
    struct part_head head = {.kind = kind};

    buf_add(out, (struct str){(const char *)&head, sizeof(head)});
    return out->n;
}

static void end_part(struct buf *out, size_t from) {
    uint64_t n = out->n - from;

    if (!buf_error(out))
        memcpy(out->p + from - sizeof(n), &n, sizeof(n));
}

static void pause_us(int64_t us) {
    struct timespec t = {us / 1000000, us % 1000000 * 1000};

    while (clock_nanosleep(CLOCK_MONOTONIC, 0, &t, &t) == EINTR)
        ;
}

/* How long one look may take. */
static int64_t look_us(const struct heap *h) {
    return LOOK_US +
           (int64_t)(h->options->have_seconds ? h->options->seconds : NODE_SECONDS) * 1000000;
}

static int look_at_process(const struct heap *h, struct heapreport *r, struct err *err) {
    const struct options *o = h->options;
    struct rt_heap_ask ask = {
        .ask = {.inject = o->inject},
        .live = o->live,
        .seconds = o->have_seconds ? o->seconds : NODE_SECONDS,
        .port = o->port,
    };
    struct heapsubject s;
    int code = heapsubject_open(&s, h->pid, r, err);

    /* Go's profiles are there anyway; V8 must first sample. */
    ask.profile = s.id.kind == RT_GO || o->have_seconds || o->flame;
    ask.ask.deadline_us = clock_mono_us() + look_us(h) - LOOK_US / 2; /* the rest is for printing */
    if (code == 0 && o->diff_us) {
        r->is_diff = true;
        code = heaplook_process(&s, &ask, &r->before, err);
        if (code == 0)
            pause_us(o->diff_us);
        ask.ask.deadline_us = clock_mono_us() + look_us(h) - LOOK_US / 2;
    }
    if (code == 0)
        code = heaplook_process(&s, &ask, &r->after, err);
    heapsubject_done(&s);
    return code;
}

static int look_at_files(const struct heap *h, struct heapreport *r, struct err *err) {
    int code = 0;

    r->is_diff = h->files == 2;
    if (r->is_diff)
        code = heaplook_file(h->file[0], &r->before, err);
    return code < 0 ? code : heaplook_file(h->file[h->files - 1], &r->after, err);
}

/* Go's own file says more than we keep of it (labels, addresses): it is saved as it came. */
static const struct heap_blob *own_file(const struct heapreport *r) {
    const struct heapview *v = &r->after.view;

    if (r->is_diff || !r->after.heap)
        return NULL;
    for (unsigned i = 0; i < v->blobs; i++)
        if (str_eq(str_of(v->blob[i].what), STR("heap")))
            return &v->blob[i];
    return NULL;
}

static int nothing_to_save(const struct heapreport *r, uint16_t port, struct err *err) {
    if (port && str_starts(buf_str(&r->runtime), STR("go")))
        return err_set(err, -ENODATA,
                       "nothing answers as pprof on port %u of process %d's network namespace: "
                       "there is no profile to save; without --port its ports are tried",
                       (unsigned)port, r->pid);
    return err_set(err, -ENODATA,
                   "there is no profile and no list of types to save: see what it says without "
                   "--out and --flame");
}

static int add_out(const struct heap *h, const struct heapreport *r, struct buf *out,
                   struct err *err) {
    const struct profile *p = heapreport_profile(r);
    const struct heap_blob *own = own_file(r);
    size_t from = begin_part(out, PART_OUT);
    int code = 0;

    if (!p)
        return nothing_to_save(r, h->options->port, err);
    if (own)
        buf_add(out, (struct str){own->data, own->n});
    else
        code = pprof_write(p, out);
    end_part(out, from);
    return code < 0 ? err_set(err, code, "cannot make the profile:") : 0;
}

static int add_flame(const struct heap *h, const struct heapreport *r, struct buf *out,
                     struct err *err) {
    const struct profile *p = heapreport_profile(r);
    struct flame_options options = {.diff = r->is_diff};
    size_t from = begin_part(out, PART_FLAME);
    struct buf title;
    int code;

    if (!p)
        return nothing_to_save(r, h->options->port, err);
    buf_init(&title, 4096);
    if (r->pid) {
        buf_add(&title, str_head(buf_str(&r->command), 200));
        buf_add_format(&title, " (pid %d)", r->pid);
    } else if (r->is_diff) {
        buf_add_format(&title, "%.200s -> %.200s", basename(r->before.file),
                       basename(r->after.file));
    } else {
        buf_add_format(&title, "%.200s", basename(r->after.file));
    }
    buf_add_char(&title, '\0');
    options.title = title.p ? title.p : "heap";
    options.type = profile_default(p);
    code = profile_add_flame(out, p, &options);
    end_part(out, from);
    buf_done(&title);
    return code < 0 ? err_set(err, code, "cannot make the flame graph:") : 0;
}

static int add_text(const struct heap *h, const struct heapreport *r, struct buf *out,
                    struct err *err) {
    const struct cmd_context *c = h->context;
    struct heapprint how = {.context = c, .width = h->width};
    size_t from = begin_part(out, PART_TEXT);
    int code;

    how.top = h->options->have_top ? h->options->top : c->json || c->plain ? 0 : TOP;
    if (c->json)
        code = heapprint_json(&how, r, out);
    else if (c->plain)
        code = heapprint_plain(&how, r, out);
    else
        code = heapprint_text(&how, r, out);
    end_part(out, from);
    if (code == -EFBIG)
        return err_set(err, code, "there is too much to print; --top N prints the first N");
    return code < 0 ? err_set(err, code, "cannot print it:") : 0;
}

static int nothing_in_common(const struct heap *h, const struct heapreport *r, struct err *err) {
    struct str before = {"", 0}, after = {"", 0};

    if (r->before.tally && r->after.tally) {
        before = profile_comment(r->before.tally);
        after = profile_comment(r->after.tally);
    }
    if (before.n > 0 && after.n > 0)
        return err_set(err, -EINVAL,
                       "'%s' is of a %.*s program and '%s' of a %.*s one: their types cannot be "
                       "compared",
                       h->file[0], STR_ARG(before), h->file[1], STR_ARG(after));
    return err_set(err, -EINVAL,
                   "'%s' and '%s' have nothing in common: they measure different things",
                   h->file[0], h->file[1]);
}

static int look(const struct heap *h, struct heapreport *r, struct buf *out, struct err *err) {
    const struct options *o = h->options;
    int code = h->pid ? look_at_process(h, r, err) : look_at_files(h, r, err);

    if (code < 0)
        return code;
    code = heapreport_finish(r, o->sort);
    if (code == -EINVAL)
        return nothing_in_common(h, r, err);
    if (code < 0)
        return err_set(err, code, "cannot compare what was read:");
    code = add_text(h, r, out, err);
    if (code == 0 && o->out)
        code = add_out(h, r, out, err);
    if (code == 0 && o->flame)
        code = add_flame(h, r, out, err);
    if (code == 0 && buf_error(out))
        code = err_set(err, buf_error(out), "there is more to say than fits into %d MiB",
                       ANSWER_MAX >> 20);
    return code;
}

static int work(void *arg, struct buf *out) {
    struct heapreport report;
    struct err err;

    heapreport_init(&report);
    if (look(arg, &report, out, &err) < 0) {
        size_t from;

        buf_clear(out);
        from = begin_part(out, PART_ERROR);
        buf_add(out, str_of(err.text));
        end_part(out, from);
    }
    return 0; /* it ends here: nothing is freed */
}

/* --- in the parent ---------------------------------------------------------------------------- */

/* The next part of an answer; false at its end. */
static bool next_part(struct str *rest, uint64_t *kind, struct str *part) {
    struct part_head head;

    if (rest->n < sizeof(head))
        return false;
    memcpy(&head, rest->p, sizeof(head));
    *rest = str_from(*rest, sizeof(head));
    if (head.n > rest->n)
        return false;
    *kind = head.kind;
    *part = str_head(*rest, head.n);
    *rest = str_from(*rest, head.n);
    return true;
}

static int print(struct str text) {
    struct buf out;
    int status;

    buf_init(&out, ANSWER_MAX);
    buf_add(&out, text);
    status = cmd_write(&out, NULL);
    buf_done(&out);
    return status;
}

/* Files first: what is on the terminal then is true. */
static int use(const struct heap *h, struct str answer) {
    struct str rest = answer, part, text = STR("");
    struct err err;
    uint64_t kind;

    while (next_part(&rest, &kind, &part)) {
        int r = 0;

        if (kind == PART_ERROR)
            return cmd_failf("%.*s", STR_ARG(part));
        if (kind == PART_TEXT)
            text = part;
        else if (kind == PART_OUT && h->options->out)
            r = heapfiles_write(h->options->out, part, &err);
        else if (kind == PART_FLAME && h->options->flame)
            r = heapfiles_write(h->options->flame, part, &err);
        if (r < 0)
            return cmd_fail(&err);
    }
    return print(text);
}

static int tell_failure(const struct heap *h, bool late) {
    if (h->pid && late)
        return cmd_failf("process %d did not answer in time: it may be stopped, or hang at its "
                         "limit (`plimsoll ps %d` tells its state)",
                         h->pid, h->pid);
    if (late)
        return cmd_failf("reading '%s' took too long", h->file[0]);
    return cmd_failf("the child that read %s broke down, or ran out of memory; nothing was written",
                     h->pid ? "the process" : "the file");
}

static int run_child(struct heap *h) {
    const struct options *o = h->options;
    int64_t budget_us = h->pid ? look_us(h) * (o->diff_us ? 2 : 1) + o->diff_us : LOOK_US;
    enum job_state state;
    struct job job;
    int status, r;

    job_init(&job, ANSWER_MAX);
    r = job_start(&job, work, h, clock_mono_us() + budget_us);
    if (r < 0) {
        job_done(&job);
        return cmd_failf("cannot start a child: %s", strerror(-r));
    }
    do {
        struct pollfd p = {.fd = job.fd, .events = POLLIN};

        (void)poll(&p, 1, 200);
        state = job_poll(&job, clock_mono_us());
    } while (state == JOB_RUNNING);
    if (state == JOB_DONE)
        status = use(h, buf_str(&job.answer));
    else
        status = tell_failure(h, clock_mono_us() >= job.deadline_us);
    job_done(&job);
    return status;
}

static int parse_arguments(struct cmd_context *c, struct heap *h) {
    const struct options *o = h->options;
    uint64_t pid;

    if (c->nargs == 0 || c->nargs > 2)
        return cmd_usage(c->cmd, "heap needs one PID, one file, or two files");
    if (str_to_u64(str_of(c->args[0]), &pid) == 0) {
        if (pid == 0 || pid > INT32_MAX)
            return cmd_usage(c->cmd, "'%s' is not a pid", c->args[0]);
        if (c->nargs == 2)
            return cmd_usage(c->cmd,
                             "one PID is looked at, or two files (./%s for a file of that "
                             "name); --diff SECONDS looks twice",
                             c->args[0]);
        h->pid = (int32_t)pid;
    }
    for (size_t i = 0; i < c->nargs && !h->pid; i++)
        h->file[h->files++] = c->args[i];
    if (!h->pid && (o->diff_us || o->live || o->inject || o->have_seconds || o->port))
        return cmd_usage(c->cmd, "--diff, --live, --seconds, --port and --inject are for a PID, "
                                 "not for files");
    if (c->root && h->pid)
        return cmd_usage(c->cmd, "a captured machine has no heaps: --root cannot go with a PID");
    if (o->out && o->flame && strcmp(o->out, o->flame) == 0)
        return cmd_usage(c->cmd, "--out and --flame name the same file");
    return EXIT_DONE;
}

static int run(struct cmd_context *context, void *options) {
    const struct options *o = options;
    struct heap h = {.context = context, .options = o};
    int status = parse_arguments(context, &h);
    struct err err;
    size_t rows;

    if (status != EXIT_DONE)
        return status;
    if ((o->out && heapfiles_check(o->out, &err) < 0) ||
        (o->flame && heapfiles_check(o->flame, &err) < 0))
        return cmd_fail(&err);
    if (context->terminal)
        cmd_terminal_size(&h.width, &rows);
    return run_child(&h);
}

static const struct opt opts[] = {
    {"diff", 'd', "SECONDS", "look twice, and show what grew in between, the most first", set_diff},
    {"out", 'o', "FILE", "save the profile for `go tool pprof`, or for a later comparison",
     set_out},
    {"flame", 'f', "FILE.html", "save a flame graph, a page that needs nothing else", set_flame},
    {"live", 'l', NULL, "live objects only: the runtime collects first, which may stop it shortly",
     set_live},
    {"seconds", 0, "S", "of sampling where a profile needs it: Node (default 10)", set_seconds},
    {"port", 0, "N", "where the program's pprof listens (default: found among its ports)",
     set_port},
    {"inject", 'i', NULL, "also by calls made in its name, where nothing else tells", set_inject},
    {"sort", 's', "KEY", "order types by bytes (the default), count or name", set_sort},
    {"top", 'n', "N", "so many rows of each list, or all (default 20; all with --json)", set_top},
    {NULL, 0, NULL, NULL, NULL},
};

const struct cmd cmd_heap = {
    .name = "heap",
    .brief = "what a runtime's heap holds: classes, types, stacks, and how it grows",
    .synopsis = "PID|FILE [FILE2] [--diff SECONDS] [--out FILE] [--flame FILE.html]",
    .about =
        "Java classes, Go functions and goroutines, Node constructors, Python types, arenas of\n"
        "malloc. Two files that were saved are compared.\n\n"
        "  plimsoll heap 4711\n"
        "  plimsoll heap 4711 --diff 60\n"
        "  plimsoll heap 4711 --out before.pb.gz\n"
        "  plimsoll heap before.pb.gz after.pb.gz --flame growth.html\n",
    .opts = opts,
    .output_opts = true,
    .options_size = sizeof(struct options),
    .run = run,
};
