/* cmd_stats.c - a table of containers like docker's, straight from the kernel's files.
 *
 * Once with --no-stream, else at every interval: drawn over the last one on a terminal, one block
 * after the other into a pipe. Targets that are named are followed: a container that is made again
 * under its name appears again.
 */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/text.h"
#include "cmd/agentclient.h"
#include "cmd/opt.h"
#include "cmd/statspast.h"
#include "cmd/statsview.h"
#include "net/loop.h"

enum {
    SETTLE_MS = 700,        /* for names that have to be asked for */
    FIRST_US = 1000000,     /* CPU % needs two looks; docker waits as long */
    UPDATE_GAP_US = 100000, /* groups that come and go are taken in at most so often */
    OUTPUT_MAX = 256 << 20,
};

struct options {
    bool once, all, no_trunc, wide;
    int64_t interval_us;
    struct str format;
    enum stats_sort sort;
    int64_t at_ms; /* 0: now */
    const char *socket;
};

static int set_once(void *into, struct str value, struct err *err) {
    (void)value, (void)err;
    ((struct options *)into)->once = true;
    return 0;
}

static int set_all(void *into, struct str value, struct err *err) {
    (void)value, (void)err;
    ((struct options *)into)->all = true;
    return 0;
}

static int set_wide(void *into, struct str value, struct err *err) {
    (void)value, (void)err;
    ((struct options *)into)->wide = true;
    return 0;
}

static int set_no_trunc(void *into, struct str value, struct err *err) {
    (void)value, (void)err;
    ((struct options *)into)->no_trunc = true;
    return 0;
}

static int set_format(void *into, struct str value, struct err *err) {
    if (value.n == 0)
        return err_set(err, -EINVAL, "--format needs 'docker', 'json' or a template");
    ((struct options *)into)->format = value;
    return 0;
}

static int set_interval(void *into, struct str value, struct err *err) {
    return opt_interval_us(value, &((struct options *)into)->interval_us, err);
}

static int set_sort(void *into, struct str value, struct err *err) {
    for (unsigned i = 0; i < SORT_N; i++)
        if (str_eq(value, str_of(stats_sort_names[i]))) {
            ((struct options *)into)->sort = i;
            return 0;
        }
    return err_set(err, -EINVAL,
                   "cannot sort by '%.*s'; known are name, cpu, used, used%%, usage, limit, pids, "
                   "oom",
                   STR_ARG(value));
}

static int set_at(void *into, struct str value, struct err *err) {
    return agentclient_moment(value, &((struct options *)into)->at_ms, err);
}

static int set_socket(void *into, struct str value, struct err *err) {
    return agentclient_set_socket(value, &((struct options *)into)->socket, err);
}

static void defaults(void *options) {
    ((struct options *)options)->interval_us = 1000000;
}

struct stats {
    struct cmd_context *context;
    struct options options;
    struct session session;
    struct stats_view view;
    struct statslang *lang; /* NULL: not --wide */
    struct loop *loop;
    uint32_t *order; /* slots in the order of the rows */
    size_t rows, room;
    uint64_t ordered_at; /* session.changes when `order` was made */
    struct buf out;
    uint32_t watch_id;
    int stop; /* a signalfd of SIGINT and SIGTERM while streaming, else -1 */
    bool watching, gone, drawn;
    int status;
};

/* Sorting needs the session and the key: one command, one thread. */
static const struct stats *sorting;

static uint64_t sort_value(const struct stats *st, uint32_t slot) {
    uint64_t value = 0;

    if (st->options.sort == SORT_CPU)
        return ticker_cpu(st->session.ticker, slot, &value) ? value + 1 : 0;
    return stats_sort_value(st->options.sort, ticker_sample(st->session.ticker, slot));
}

static int by_name(const void *a, const void *b) {
    const struct target *x = targets_at(sorting->session.targets, *(const uint32_t *)a);
    const struct target *y = targets_at(sorting->session.targets, *(const uint32_t *)b);
    int r = stats_compare_names(x, y);

    return r != 0 ? r : x->slot < y->slot ? -1 : x->slot > y->slot;
}

static int by_value(const void *a, const void *b) {
    uint64_t x = sort_value(sorting, *(const uint32_t *)a);
    uint64_t y = sort_value(sorting, *(const uint32_t *)b);

    if (x != y)
        return x < y ? 1 : -1;
    return by_name(a, b);
}

/* The slots that have something to show: a group may be gone and still be in the table. */
static void fill_order(struct stats *st, uint32_t slots) {
    st->rows = 0;
    for (uint32_t slot = 0; slot < slots; slot++)
        if (targets_at(st->session.targets, slot) && ticker_sample(st->session.ticker, slot))
            st->order[st->rows++] = slot;
}

static bool some_gone(const struct stats *st) {
    for (size_t i = 0; i < st->rows; i++)
        if (!ticker_sample(st->session.ticker, st->order[i]))
            return true;
    return false;
}

static int collect_rows(struct stats *st) {
    uint32_t slots = targets_slots(st->session.targets);
    bool changed = st->ordered_at != st->session.changes || !st->order || some_gone(st);

    if (slots > st->room || !st->order) {
        size_t room = slots + 64;
        uint32_t *order = realloc(st->order, room * sizeof(*order));

        if (!order)
            return -ENOMEM;
        st->order = order;
        st->room = room;
    }
    if (changed)
        fill_order(st, slots);
    st->ordered_at = st->session.changes;
    sorting = st;
    if (st->options.sort != SORT_NAME)
        qsort(st->order, st->rows, sizeof(*st->order), by_value);
    else if (changed)
        qsort(st->order, st->rows, sizeof(*st->order), by_name);
    return 0;
}

static int say_err(struct stats *st, const struct err *err) {
    st->status = cmd_fail(err);
    return -1;
}

/* Finds the groups that TARGETs mean now. `first`: it is an error if there is none. */
static int choose_targets(struct stats *st, bool first) {
    for (size_t i = 0; i < st->context->nargs; i++) {
        struct resolved resolved;
        struct err err;
        int r = resolve_target(st->session.targets, str_of(st->context->args[i]), &resolved, &err);

        if (r < 0 && first)
            return say_err(st, &err);
        if (r < 0)
            continue;
        r = targets_choose(st->session.targets, (struct str){resolved.path, resolved.path_len});
        if (r == 0 && first &&
            !targets_find(st->session.targets, (struct str){resolved.path, resolved.path_len}))
            r = err_set(&err, -ENOENT, "there is no group '%.*s'", (int)resolved.path_len,
                        resolved.path);
        else if (r < 0)
            (void)err_set(&err, r, "cannot show '%s':", st->context->args[i]);
        resolved_done(&resolved);
        if (r < 0)
            return say_err(st, &err);
    }
    return 0;
}

static int look(struct stats *st) {
    struct err err;
    int r = targets_update(st->session.targets, clock_mono_us());

    /* A TARGET without a row: perhaps it was made again, under the same name in another group. */
    if (r == 0 && st->order && targets_shown(st->session.targets) < st->context->nargs)
        r = choose_targets(st, false);
    if (r == 0)
        r = ticker_run(st->session.ticker);
    if (r == 0 && st->session.failed)
        r = -ENOMEM;
    if (r == 0)
        r = collect_rows(st);
    if (r < 0 && st->status == EXIT_DONE) {
        err_set(&err, r, "cannot go on:");
        return say_err(st, &err);
    }
    return r;
}

static void print_rows(struct stats *st, size_t columns, struct buf *out) {
    struct session_rows of = {&st->session, st->order, st->lang};
    struct stats_rows rows = {st->rows, session_row, &of};

    stats_view_print(&st->view, &rows, columns, out);
}

/* Draws over the last screen: no flicker, and what is left of longer lines is erased. */
static void print_screen(struct stats *st) {
    struct buf text;
    struct str rest, line;
    size_t columns, rows, left;

    cmd_terminal_size(&columns, &rows);
    left = rows > 1 ? rows - 1 : SIZE_MAX;
    buf_init(&text, OUTPUT_MAX);
    print_rows(st, columns, &text);
    session_tell(&st->session, &text);
    buf_add(&st->out, st->drawn ? STR("\033[H") : STR("\033[2J\033[H"));
    rest = buf_str(&text);
    for (; left > 0 && str_cut(&rest, '\n', &line); left--) {
        bool more = left == 1 && rest.n > 0;

        if (more)
            line = STR("... more rows than lines: a larger window, --sort or a TARGET");
        /* the table fits already; lines of words may not, and have no colours */
        buf_add(&st->out, columns && str_find(line, '\033') < 0 ? text_head(line, columns) : line);
        buf_add(&st->out, STR("\033[K\n"));
    }
    buf_add(&st->out, STR("\033[J"));
    st->drawn = true;
    buf_done(&text);
}

static int print(struct stats *st, bool screen) {
    if (screen) {
        print_screen(st);
    } else {
        size_t columns = 0, rows;

        if (st->context->terminal)
            cmd_terminal_size(&columns, &rows);
        print_rows(st, columns, &st->out);
    }
    st->status = cmd_write_until(&st->out, st->stop, &st->gone);
    if (!screen && !st->gone && st->status == EXIT_DONE)
        session_tell(&st->session, NULL);
    return st->status != EXIT_DONE || st->gone ? -1 : 0;
}

static bool wants_screen(const struct stats *st) {
    return st->context->terminal && !st->options.once && st->view.format != STATS_JSON;
}

static int on_tick(struct loop *loop, uint32_t what, void *ctx) {
    struct stats *st = ctx;

    (void)loop, (void)what;
    if (look(st) < 0 || print(st, wants_screen(st)) < 0)
        return -ECANCELED; /* told already, or the reader went away */
    return 0;
}

static int on_change(struct loop *loop, uint32_t what, void *ctx);

static int on_gap_over(struct loop *loop, uint32_t what, void *ctx) {
    struct stats *st = ctx;

    (void)what;
    return loop_add_fd(loop, targets_fd(st->session.targets), EPOLLIN, on_change, st,
                       &st->watch_id);
}

/* Births and deaths between ticks. A storm of them must not keep us busy: after each look the
 * descriptor is left alone for a moment. */
static int on_change(struct loop *loop, uint32_t what, void *ctx) {
    struct stats *st = ctx;

    (void)what;
    if (targets_update(st->session.targets, loop_now_us(loop)) < 0)
        return -ENOMEM;
    loop_remove(loop, st->watch_id);
    return loop_add_timer(loop, UPDATE_GAP_US, 0, on_gap_over, st, NULL);
}

static int on_stop(struct loop *loop, uint32_t what, void *ctx) {
    (void)what, (void)ctx;
    loop_stop(loop);
    return 0;
}

static int on_resize(struct loop *loop, uint32_t what, void *ctx) {
    struct stats *st = ctx;

    (void)loop, (void)what;
    st->drawn = false;
    return wants_screen(st) && print(st, true) < 0 ? -ECANCELED : 0;
}

static int open_stop(struct stats *st, sigset_t *signals) {
    sigemptyset(signals);
    sigaddset(signals, SIGINT);
    sigaddset(signals, SIGTERM);
    if (sigprocmask(SIG_BLOCK, signals, NULL) < 0)
        return -errno;
    st->stop = signalfd(-1, signals, SFD_CLOEXEC | SFD_NONBLOCK);
    return st->stop < 0 ? -errno : loop_add_fd(st->loop, st->stop, EPOLLIN, on_stop, st, NULL);
}

static int stream(struct stats *st) {
    sigset_t signals;
    struct err err;
    int r = loop_new(&st->loop);

    if (r == 0)
        r = open_stop(st, &signals);
    if (r == 0)
        r = loop_add_signal(st->loop, SIGWINCH, on_resize, st, NULL);
    if (r == 0 && targets_fd(st->session.targets) >= 0)
        r = on_gap_over(st->loop, 0, st);
    if (r == 0)
        r = loop_add_timer(st->loop, 0, st->options.interval_us, on_tick, st, NULL);
    if (r == 0)
        r = loop_run(st->loop);
    loop_free(st->loop);
    if (wants_screen(st))
        (void)!write(STDOUT_FILENO, "\n", 1); /* behind the terminal's ^C */
    if (st->stop >= 0)
        close(st->stop);
    if (r < 0 && r != -ECANCELED) {
        err_set(&err, r, "cannot go on:");
        return cmd_fail(&err);
    }
    return st->status;
}

static void sleep_us(int64_t us) {
    struct timespec wait = {us / 1000000, us % 1000000 * 1000};

    while (nanosleep(&wait, &wait) < 0 && errno == EINTR)
        ;
}

static int print_once(struct stats *st) {
    int64_t wait = st->options.interval_us < FIRST_US ? st->options.interval_us : FIRST_US;

    targets_settle(st->session.targets, SETTLE_MS);
    if (look(st) < 0)
        return st->status;
    if (stats_view_wants(&st->view) & TICK_CPU && st->rows > 0 && st->session.host.live) {
        sleep_us(wait);
        if (look(st) < 0)
            return st->status;
    }
    (void)print(st, false);
    if (st->status != EXIT_DONE || st->gone)
        return st->status;
    if (st->context->nargs > 0 && st->rows == 0)
        return cmd_failf("the group of '%s' is gone", st->context->args[0]);
    if (st->rows == 0)
        cmd_warn("no containers are running here; `plimsoll stats --all` shows every group");
    return EXIT_DONE;
}

/* --- as of a moment, asked from the agent ----------------------------------------------------- */

/* The rows of a TARGET, or of all of them (NULL). */
static int ask_past(struct stats *st, const char *target, struct statspast *past, struct err *err) {
    struct buf request;
    json_t *answer = NULL;
    int r;

    buf_init(&request, 65536);
    agentclient_path(&request, "/api/v1/targets");
    agentclient_param_ms(&request, "at", st->options.at_ms);
    if (target)
        agentclient_param(&request, "target", str_of(target));
    r = agentclient_get(agentclient_socket(st->options.socket), &request, &answer, err);
    if (r == 0) {
        r = statspast_add(past, answer,
                          target            ? STATSPAST_EVERY
                          : st->options.all ? STATSPAST_ALL
                                            : STATSPAST_CONTAINERS);
        if (r < 0)
            (void)err_set(err, r, "cannot read the agent's answer:");
    }
    json_decref(answer);
    buf_done(&request);
    return r;
}

static int print_past(struct stats *st) {
    struct statspast past = {.row = NULL};
    struct stats_rows rows = {.at = statspast_row, .ctx = &past};
    size_t columns = 0, lines;
    struct err err;
    int r = 0;

    if (st->context->nargs == 0)
        r = ask_past(st, NULL, &past, &err);
    for (size_t i = 0; i < st->context->nargs && r == 0; i++)
        r = ask_past(st, st->context->args[i], &past, &err);
    if (r == 0 && past.n == 0 && json_array_size(past.answers) > 0 &&
        json_array_size(json_object_get(json_array_get(past.answers, 0), "targets")) > 0) {
        cmd_warn("no containers were running then; `plimsoll stats --all --at` shows every group");
    } else if (r == 0 && past.n == 0) {
        r = agentclient_nothing(agentclient_socket(st->options.socket), st->options.at_ms, &err);
    }
    if (r < 0) {
        statspast_done(&past);
        return cmd_fail(&err);
    }
    if (st->context->terminal)
        cmd_terminal_size(&columns, &lines);
    statspast_sort(&past, st->options.sort);
    rows.n = past.n;
    stats_view_print(&st->view, &rows, columns, &st->out);
    statspast_done(&past);
    return cmd_write(&st->out, &st->gone);
}

static int run_past(struct stats *st) {
    int status;

    if (st->context->root)
        return cmd_usage(st->context->cmd, "a captured machine has no agent to ask: --at excludes "
                                           "--root");
    stats_view_init(&st->view);
    buf_init(&st->out, OUTPUT_MAX);
    status = print_past(st);
    buf_done(&st->out);
    stats_view_done(&st->view);
    return status;
}

static int choose_format(struct stats *st) {
    struct err err;

    st->view.no_trunc = st->options.no_trunc;
    st->view.wide = st->options.wide;
    st->view.colour = st->context->colour;
    st->view.ascii = st->context->terminal && !st->context->utf8;
    if (st->options.format.n > 0 && (st->context->json || st->context->plain))
        return cmd_usage(st->context->cmd, "--format excludes --json and --plain");
    if (st->options.format.n > 0 && st->options.wide)
        return cmd_usage(st->context->cmd, "--format excludes --wide");
    if (st->context->json)
        st->view.format = STATS_JSON;
    else if (st->context->plain)
        st->view.format = STATS_PLAIN;
    else if (str_eq(st->options.format, STR("docker")) || str_eq(st->options.format, STR("table")))
        st->view.format = STATS_DOCKER;
    else if (st->options.format.n > 0)
        st->view.format = STATS_TEMPLATE;
    if (st->view.format == STATS_TEMPLATE &&
        template_parse(st->options.format, stats_fields, stats_fields_n, &st->view.template, &err) <
            0)
        return cmd_usage(st->context->cmd, "%s", err.text);
    return EXIT_DONE;
}

static int run(struct cmd_context *context, void *options) {
    struct stats st = {.context = context, .options = *(struct options *)options, .stop = -1};
    struct session_options open = {.watch = !st.options.once};
    struct err err;
    int status = choose_format(&st);

    if (status != EXIT_DONE)
        return status;
    if (context->nargs > 0 && st.options.all)
        return cmd_usage(context->cmd, "--all excludes TARGETs");
    if (st.options.at_ms > 0)
        return run_past(&st);
    open.scope = context->nargs > 0 ? TARGETS_CHOSEN
                 : st.options.all   ? TARGETS_ALL
                                    : TARGETS_CONTAINERS;
    open.want = stats_view_wants(&st.view);
    if (session_open(&st.session, context, &open, &err) < 0)
        return cmd_fail(&err);
    if (st.options.wide && statslang_new(&st.session.host, &st.session.fs, &st.lang) < 0) {
        session_close(&st.session);
        return cmd_failf("out of memory");
    }
    stats_view_init(&st.view);
    buf_init(&st.out, OUTPUT_MAX);
    if (choose_targets(&st, true) == 0)
        st.status = st.options.once ? print_once(&st) : stream(&st);
    buf_done(&st.out);
    free(st.order);
    statslang_free(st.lang);
    stats_view_done(&st.view);
    session_close(&st.session);
    return st.status;
}

static const struct opt opts[] = {
    {"no-stream", 0, NULL, "print once and exit", set_once},
    {"all", 'a', NULL, "every control group, not only containers", set_all},
    {"interval", 'i', "S", "seconds between looks (1), also as 500ms or 1m", set_interval},
    {"sort", 0, "KEY", "name (the default), cpu, used, used%, usage, limit, pids or oom", set_sort},
    {"format", 'f', "FORMAT",
     "docker: docker's own columns; json: docker's own JSON; or a template", set_format},
    {"at", 0, "TIME", "as it was then, from the agent: -10m, 07:48, 2026-11-21T07:48:16Z", set_at},
    {"socket", 0, "PATH", "the agent's unix socket (/run/plimsoll/plimsoll.sock)", set_socket},
    {"wide", 'w', NULL, "with LANG: the language runtime of the largest process", set_wide},
    {"no-trunc", 0, NULL, "whole ids, and nothing cut to the width of the terminal", set_no_trunc},
    {NULL, 0, NULL, NULL, NULL},
};

const struct cmd cmd_stats = {
    .name = "stats",
    .brief = "memory, CPU and I/O of containers, by name, from the kernel's own files",
    .synopsis = "[TARGET...] [--no-stream] [--all] [--format FORMAT] [--interval S] [--wide] "
                "[--at TIME]",
    .about =
        "USED is what stays when the kernel has reclaimed all it can; LIMIT the tightest of the\n"
        "container's own limit, its ancestors' and the machine's memory. TARGET is a name, the\n"
        "head of an id, pod/container, a systemd unit, a cgroup path or a pid.\n\n"
        "  plimsoll stats --no-stream\n"
        "  plimsoll stats web --json --interval 0.5\n"
        "  plimsoll stats --no-stream --format '{{.Name}} {{.MemUsage}}'\n"
        "  plimsoll stats --at -10m\n",
    .opts = opts,
    .output_opts = true,
    .options_size = sizeof(struct options),
    .defaults = defaults,
    .run = run,
};
