/* cmd_ps.c - the processes of the machine, of a group, or of a process and its descendants, with
 * the sizes that add up (PSS, USS) beside those that do not (RES).
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <time.h>

#include "base/clock.h"
#include "base/mem.h"
#include "cmd/agentclient.h"
#include "cmd/opt.h"
#include "cmd/pspast.h"
#include "cmd/scope.h"
#include "cmd/session.h"
#include "kern/limit.h"
#include "kern/meminfo.h"

enum { OUTPUT_MAX = 1 << 30 };

struct options {
    bool exact, no_pss, have_columns;
    int64_t interval_us; /* 0: once */
    int64_t at_ms;       /* 0: now */
    const char *socket;
    struct psview_columns columns;
    struct psview_sort sort;
};

static int set_sort(void *into, struct str value, struct err *err) {
    return psview_parse_sort(value, &((struct options *)into)->sort, err);
}

static int set_exact(void *into, struct str value, struct err *err) {
    (void)value, (void)err;
    ((struct options *)into)->exact = true;
    return 0;
}

static int set_no_pss(void *into, struct str value, struct err *err) {
    (void)value, (void)err;
    ((struct options *)into)->no_pss = true;
    return 0;
}

static int set_interval(void *into, struct str value, struct err *err) {
    return opt_interval_us(value, &((struct options *)into)->interval_us, err);
}

static int set_columns(void *into, struct str value, struct err *err) {
    ((struct options *)into)->have_columns = true;
    return psview_parse_columns(value, &((struct options *)into)->columns, err);
}

static int set_at(void *into, struct str value, struct err *err) {
    return agentclient_moment(value, &((struct options *)into)->at_ms, err);
}

static int set_socket(void *into, struct str value, struct err *err) {
    return agentclient_set_socket(value, &((struct options *)into)->socket, err);
}

static void defaults(void *options) {
    struct options *o = options;
    struct err err;

    psview_default_columns(&o->columns);
    (void)psview_parse_sort(STR("res"), &o->sort, &err);
}

struct ps {
    struct cmd_context *context;
    const struct options *options;
    struct host host;
    struct cgfs fs;
    bool have_fs;
    struct scope scope;
    struct cgroup_fds fds;
    struct cgroup group;
    struct procs procs;
    struct pidlist pids;
    struct passwd *users;
    struct buf out;
    int stop; /* readable when a stream is to end; -1: not a stream */
    bool gone, told, told_unread;
};

static uint32_t wanted(const struct ps *ps) {
    uint32_t want = psview_want(&ps->options->columns, &ps->options->sort);

    return ps->context->json ? psview_want_json() : want;
}

static int open_all(struct ps *ps, struct err *err) {
    const struct options *o = ps->options;
    struct procs_options collect = {
        .want = wanted(ps),
        .pss = o->exact    ? PROCS_PSS_EXACT
               : o->no_pss ? PROCS_PSS_NONE
                           : PROCS_PSS_BUDGET,
        .streaming = o->interval_us > 0,
    };
    struct err no_groups;
    int r = host_open(ps->context->root, &ps->host, err);

    if (r < 0)
        return r;
    ps->have_fs = cgfs_open(&ps->host, &ps->fs, &no_groups) == 0;
    r = ps->context->nargs > 0
            ? scope_find(ps->context, &ps->host, ps->have_fs ? &ps->fs : NULL,
                         str_of(ps->context->args[0]), &ps->scope, err)
            : scope_own(ps->context, &ps->host, ps->have_fs ? &ps->fs : NULL, &ps->scope);
    if (r == -ENOMEM)
        return err_set(err, r, "out of memory");
    if (r < 0)
        return r;
    collect.proc = ps->host.proc;
    collect.live = ps->host.live;
    collect.host = &ps->host;
    r = procs_init(&ps->procs, &collect);
    if (r == 0)
        r = passwd_open(ps->host.root, &ps->users);
    if (r < 0)
        return err_set(err, r, "cannot start reading processes:");
    cgroup_fds_init(&ps->fds, 64);
    if (ps->scope.has_group)
        cgroup_init(&ps->group, &ps->fs, &ps->fds, str_of(ps->scope.path));
    return 0;
}

static void close_all(struct ps *ps) {
    if (ps->scope.has_group && ps->group.fs)
        cgroup_done(&ps->group);
    procs_done(&ps->procs);
    pidlist_done(&ps->pids);
    passwd_free(ps->users);
    if (ps->stop >= 0)
        close(ps->stop);
    scope_done(&ps->scope);
    if (ps->have_fs)
        cgfs_done(&ps->fs);
    host_done(&ps->host);
    buf_done(&ps->out);
}

static int list(struct ps *ps, struct err *err) {
    int r = 0;

    pidlist_clear(&ps->pids);
    if (!ps->scope.all)
        r = scope_pids(&ps->scope, &ps->host, true, &ps->pids, err);
    if (r < 0)
        return r;
    r = procs_collect(&ps->procs, ps->scope.all ? NULL : &ps->pids);
    return r < 0 ? err_set(err, r, "cannot list the processes:") : 0;
}

static void take_stat(const struct memstat *m, enum memstat_field field, bool *have,
                      uint64_t *out) {
    *have = memstat_has(m, field);
    *out = m->value[field];
}

static void look_at_group(struct ps *ps, struct psview_group *g) {
    const unsigned what = CGROUP_READ_STAT | CGROUP_READ_USAGE | CGROUP_READ_KERNEL;
    struct cgroup_numbers numbers = {.have = 0};
    struct memstat stat = {.have = 0};
    struct memstat_order *order = NULL;

    *g = (struct psview_group){.have = false};
    if (!ps->scope.has_group || cgroup_read(&ps->group, what, order, &stat, &numbers) < 0)
        return;
    g->name = str_of(ps->scope.name ? ps->scope.name : ps->scope.path);
    g->have = cgroup_has(&numbers, CGROUP_USAGE);
    g->usage = numbers.value[CGROUP_USAGE];
    g->have_used = limit_used(&numbers, &stat, &g->used);
    take_stat(&stat, MEMSTAT_SHMEM, &g->have_shmem, &g->shmem);
    take_stat(&stat, MEMSTAT_FILE, &g->have_cache, &g->cache);
    if (g->have_shmem && g->have_cache) /* the kernel counts tmpfs as page cache */
        g->cache = g->cache > g->shmem ? g->cache - g->shmem : 0;
    take_stat(&stat, MEMSTAT_KERNEL, &g->have_kernel, &g->kernel);
    if (!g->have_kernel && cgroup_has(&numbers, CGROUP_KERNEL)) {
        g->kernel = numbers.value[CGROUP_KERNEL];
        g->have_kernel = true;
    }
}

static uint64_t machine_used(const struct ps *ps) {
    struct meminfo m;

    if (meminfo_read(ps->host.proc, &m) < 0 || !meminfo_has(&m, MEMINFO_TOTAL) ||
        !meminfo_has(&m, MEMINFO_AVAILABLE))
        return 0;
    return m.value[MEMINFO_TOTAL] - m.value[MEMINFO_AVAILABLE];
}

static int print(struct ps *ps, bool first) {
    struct psview v = {
        .procs = &ps->procs,
        .users = ps->users,
        .columns = ps->options->columns,
        .sort = ps->options->sort,
        .whole_machine = ps->scope.all && !ps->scope.has_group,
        .plain = ps->context->plain,
        .ascii = ps->context->terminal && !ps->context->utf8,
    };
    bool redraw = ps->context->terminal && ps->options->interval_us > 0;
    int r;

    look_at_group(ps, &v.group);
    if (v.whole_machine)
        v.machine_used = machine_used(ps);
    if (ps->context->terminal)
        cmd_terminal_size(&v.width, &v.height);
    if (redraw)
        buf_add(&ps->out, STR("\033[H\033[2J"));
    else
        v.height = 0;
    if (ps->context->json) {
        r = psview_print_json(&v, clock_wall_ms(), &ps->out);
    } else {
        if (!first && !redraw)
            buf_add_char(&ps->out, '\n');
        r = psview_print_text(&v, &ps->out);
    }
    if (r < 0)
        return cmd_failf("out of memory");
    return cmd_write_until(&ps->out, ps->stop, &ps->gone);
}

/* One line a run when figures are missing because we are short of something. */
static void tell_unread(struct ps *ps) {
    const struct procs *p = &ps->procs;
    struct err err;

    if (ps->told_unread || p->unread == 0 || (ps->context->terminal && ps->stop >= 0))
        return;
    ps->told_unread = true;
    err_set(&err, p->unread_error, "%zu process%s could not be read:", p->unread,
            p->unread == 1 ? "" : "es");
    cmd_warn("%s%s", err.text, p->unread_error == -EMFILE ? " (try: ulimit -n)" : "");
}

/* One line a run about what only root may read. What even root may not (a process with more
 * capabilities than ours) is said in the line of the sum. */
static void tell(struct ps *ps) {
    size_t fds = 0;

    if (ps->told || geteuid() == 0 || (ps->context->terminal && ps->options->interval_us > 0))
        return;
    for (size_t i = 0; ps->host.live && i < ps->procs.n; i++)
        fds += wanted(ps) & PROC_BIT(PROC_FDS) && !proc_has(&ps->procs.row[i], PROC_FDS);
    if (ps->procs.pss_denied == 0 && fds == 0)
        return;
    ps->told = true;
    cmd_warn("%s of %zu processes may not be read without root; '-' stands for what is unknown",
             fds == 0                    ? "PSS and USS"
             : ps->procs.pss_denied == 0 ? "the open files"
                                         : "PSS, USS and open files",
             fds > ps->procs.pss_denied ? fds : ps->procs.pss_denied);
}

/* A stream ends well when it is interrupted, as `stats` does. */
static int open_stop(struct ps *ps) {
    sigset_t signals;

    sigemptyset(&signals);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGTERM);
    if (sigprocmask(SIG_BLOCK, &signals, NULL) < 0)
        return -errno;
    ps->stop = signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK);
    return ps->stop < 0 ? -errno : 0;
}

/* Waits for that moment; true when it is time to end instead. */
static bool stopped_before(struct ps *ps, int64_t mono_us) {
    struct pollfd stop = {.fd = ps->stop, .events = POLLIN};

    for (;;) {
        int64_t left_us = mono_us - clock_mono_us();
        struct timespec left = {0};

        if (left_us > 0)
            left = (struct timespec){left_us / 1000000, left_us % 1000000 * 1000};
        if (ppoll(&stop, 1, &left, NULL) > 0)
            return true;
        if (left_us <= 0)
            return false;
    }
}

/* What follows on the terminal shall not stand behind its "^C". */
static int end_line(struct ps *ps) {
    if (!ps->context->terminal)
        return EXIT_DONE;
    buf_add_char(&ps->out, '\n');
    return cmd_write_until(&ps->out, ps->stop, &ps->gone);
}

static int watch(struct ps *ps) {
    int64_t next_us = clock_mono_us();
    struct err err;
    int r = ps->options->interval_us > 0 ? open_stop(ps) : 0;

    if (r < 0) {
        err_set(&err, r, "cannot wait for signals:");
        return cmd_fail(&err);
    }
    for (bool first = true;; first = false) {
        int status;

        if (list(ps, &err) < 0)
            return cmd_fail(&err);
        status = print(ps, first);
        tell(ps);
        tell_unread(ps);
        if (status != EXIT_DONE || ps->gone || ps->options->interval_us == 0)
            return status;
        next_us += ps->options->interval_us;
        if (next_us < clock_mono_us()) /* too slow for the interval: no burst to catch up */
            next_us = clock_mono_us();
        if (stopped_before(ps, next_us))
            return end_line(ps);
    }
}

/* --- as of a moment, asked from the agent ----------------------------------------------------- */

static int print_past(struct cmd_context *context, const struct options *o,
                      const struct pspast *past, struct buf *out) {
    struct psview v = {
        .procs = &past->procs,
        .columns = o->columns,
        .sort = o->sort,
        .group = past->group,
        .plain = context->plain,
        .ascii = context->terminal && !context->utf8,
        .past = true,
    };
    auto_close int root = open("/", O_PATH | O_CLOEXEC);
    struct passwd *users = NULL;
    int r = passwd_open(root, &users);

    v.users = users;
    if (context->terminal)
        cmd_terminal_size(&v.width, &v.height);
    v.height = 0;
    if (r == 0)
        r = context->json ? psview_print_json(&v, past->at_ms, out) : psview_print_text(&v, out);
    if (r == 0 && !context->json && !context->plain && past->total > past->procs.n)
        buf_add_format(out, "only the largest %zu of %llu processes were recorded\n", past->procs.n,
                       (unsigned long long)past->total);
    passwd_free(users);
    return r;
}

static int run_past(struct cmd_context *context, const struct options *o) {
    struct pspast past = {.total = 0};
    struct buf out;
    struct err err;
    int status;

    if (context->root)
        return cmd_usage(context->cmd,
                         "a captured machine has no agent to ask: --at excludes --root");
    if (context->nargs != 1)
        return cmd_usage(context->cmd, "--at needs a TARGET: its processes are what was recorded");
    if (o->interval_us > 0 || o->exact)
        return cmd_usage(context->cmd, "--at is one moment of the past: no --interval, no --pss");
    buf_init(&out, OUTPUT_MAX);
    if (pspast_ask(&past, agentclient_socket(o->socket), context->args[0], o->at_ms, &err) < 0)
        status = cmd_fail(&err);
    else if (print_past(context, o, &past, &out) < 0)
        status = cmd_failf("out of memory");
    else
        status = cmd_write(&out, NULL);
    pspast_done(&past);
    buf_done(&out);
    return status;
}

static int run(struct cmd_context *context, void *options) {
    struct ps ps = {
        .context = context,
        .options = options,
        .host = {.root = -1, .proc = -1},
        .scope = {.dir = -1},
        .stop = -1,
    };
    struct err err;
    int status;

    if (context->nargs > 1)
        return cmd_usage(context->cmd, "ps takes one TARGET, not %zu", context->nargs);
    if (ps.options->exact && ps.options->no_pss)
        return cmd_usage(context->cmd, "--pss and --no-pss exclude each other");
    if (ps.options->at_ms > 0)
        return run_past(context, ps.options);
    buf_init(&ps.out, OUTPUT_MAX);
    status = open_all(&ps, &err) < 0 ? cmd_fail(&err) : watch(&ps);
    close_all(&ps);
    return status;
}

static const struct opt opts[] = {
    {"sort", 's', "KEY", "order by this column, -KEY reverses (default: res)", set_sort},
    {"pss", 'p', NULL, "read PSS and USS of all processes now, whatever it costs", set_exact},
    {"no-pss", 0, NULL, "read no PSS and USS", set_no_pss},
    {"interval", 'i', "S", "again and again, every S seconds", set_interval},
    {"columns", 'o', "COLS", "these columns, separated by commas", set_columns},
    {"at", 0, "TIME", "as they were then, from the agent: -10m, 07:48, 2026-11-21T07:48:16Z",
     set_at},
    {"socket", 0, "PATH", "the agent's unix socket (/run/plimsoll/plimsoll.sock)", set_socket},
    {NULL, 0, NULL, NULL, NULL},
};

const struct cmd cmd_ps = {
    .name = "ps",
    .brief = "processes of the machine, of a container or of a process, with PSS and USS",
    .synopsis = "[TARGET] [--sort KEY] [--pss | --no-pss] [--interval S] [-o COLS] [--at TIME]",
    .about =
        "PSS and USS are read on a budget of 2 % of a CPU (20 ms in a single look), the largest\n"
        "processes first; ~ marks what was estimated from RES. Columns beyond the usual ones: "
        "ppid,\n"
        "comm, anon, file, shmem, lazyfree, oom, start, cgroup.\n\n"
        "  plimsoll ps\n"
        "  plimsoll ps web --pss --sort pss\n"
        "  plimsoll ps 4711 -o pid,res,pss,command\n"
        "  plimsoll ps web --at -10m\n",
    .opts = opts,
    .output_opts = true,
    .options_size = sizeof(struct options),
    .defaults = defaults,
    .run = run,
};
