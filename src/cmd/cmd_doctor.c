/* cmd_doctor.c - who believes in the wrong memory size: the heap that each process would take
 * beside the limit of its container, and the flag that mends it.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "cmd/doctorview.h"
#include "cmd/session.h"
#include "kern/procstat.h"
#include "runtime/goword.h"
#include "runtime/recognise.h"
#include "sampler/procs.h"

enum { OUTPUT_MAX = 256 << 20, SETTLE_MS = 300, PROCESSES_MAX = 100000 };

/* A TARGET: a process of the group, or all of it (pid 0). */
struct wanted {
    int32_t pid;
    char *path; /* owned; NULL where there are no groups */
    int error;  /* why the process could not be looked at */
};

struct look {
    struct cmd_context *context;
    struct session session;
    bool have_groups; /* the session is open: else only pids can be told */
    struct host host;
    struct rt_cache *cache;
    struct doctor doctor;
    struct pidlist seen; /* shown already, under a container inside */
    struct wanted *wanted;
    size_t n_wanted;
    unsigned cpus;
};

static const struct host *host_of(const struct look *l) {
    return l->have_groups ? &l->session.host : &l->host;
}

/* --- one process ------------------------------------------------------------------------------ */

static uint64_t above(uint64_t a, uint64_t b) {
    return a > b ? a - b : 0;
}

/* Go: free memory not given back, room in spans, and what was not in use by the last collection. */
static bool go_held(const struct rtproc *p, const struct rt_id *id, struct doctor_process *out) {
    struct go_words words;
    struct go_state s;
    uint64_t used, live;

    if (go_words_find(p, id, &words, NULL) < 0 || go_words_read(p, &words, &s) < 0)
        return false;
    used = above(s.value[GO_ALLOC], s.value[GO_FREED]);
    live = s.value[GO_START] != 0 && s.value[GO_MARKED] < used ? s.value[GO_MARKED] : used;
    out->held = s.value[GO_FREE] + (used - live) + above(s.value[GO_IN_USE], used);
    out->marked = live;
    return true;
}

/* Whether pprof answers on a port is not asked: nothing is, of any process. */
static bool has_no_port(const struct rtproc *p) {
    struct rtproc_port port;

    return rtproc_ports(p, &port, 1) == 0;
}

static void look_at_heap(const struct rtproc *p, struct doctor_process *out) {
    struct rt_figures figures;
    uint64_t anon;

    out->have_rss = rtproc_rss(p, &out->rss, &anon) == 0;
    if (!p->host->live || !out->have_rss)
        return;
    if (out->id.kind == RT_GO)
        out->have_held = go_held(p, &out->id, out);
    else if (rt_figures(p, &out->id, &figures) == 0)
        out->have_held = doctor_held(&figures, out->rss, &out->held);
    out->holds_much = out->have_held && doctor_holds_much(out->held, out->rss);
    out->no_port = out->id.kind == RT_GO && has_no_port(p);
}

/* 0; -ENODATA for what has no memory of its own; -ESRCH; -EACCES, -EPERM. */
static int look_at(struct look *l, int32_t pid, const struct aware_ask *ask,
                   struct doctor_process *out) {
    struct doctor_process row = {.pid = pid};
    struct rtproc p;
    int r = rtproc_open(host_of(l), pid, &p, NULL);

    if (r < 0)
        return r;
    memcpy(row.comm, p.comm, sizeof(row.comm));
    r = rt_cache_recognise(l->cache, pid, &row.id);
    if (r == 0)
        r = aware_look(&p, &row.id, ask, &row.aware);
    if (r == 0)
        look_at_heap(&p, &row);
    rtproc_done(&p);
    if (r == 0)
        *out = row;
    return r;
}

/* --- a container's ---------------------------------------------------------------------------- */

static struct doctor_process *next_row(struct doctor_target *t) {
    if (t->n == t->size) {
        size_t size = t->size ? 2 * t->size : 16;
        struct doctor_process *grown = reallocarray(t->process, size, sizeof(*grown));

        if (!grown)
            return NULL;
        t->process = grown;
        t->size = size;
    }
    return &t->process[t->n];
}

static int by_size(const void *a, const void *b) {
    const struct doctor_process *x = a, *y = b;

    if (aware_is_bad(x->aware.word) != aware_is_bad(y->aware.word))
        return aware_is_bad(x->aware.word) ? -1 : 1;
    if (x->rss != y->rss)
        return x->rss < y->rss ? 1 : -1;
    return x->pid < y->pid ? -1 : x->pid > y->pid;
}

static void take_error(struct look *l, int32_t pid, int error) {
    for (size_t i = 0; i < l->n_wanted; i++)
        if (l->wanted[i].pid == pid)
            l->wanted[i].error = error;
}

static int look_at_pids(struct look *l, const int32_t *pid, size_t n, const struct aware_ask *ask,
                        struct doctor_target *t) {
    for (size_t i = 0; i < n && t->n < PROCESSES_MAX; i++) {
        struct doctor_process *row = next_row(t);
        int r;

        if (!row)
            return -ENOMEM;
        r = look_at(l, pid[i], ask, row);
        if (r == -ENOMEM)
            return r;
        if (r < 0)
            take_error(l, pid[i], r);
        if (r == 0) {
            l->doctor.bad += aware_is_bad(row->aware.word);
            t->n++;
        } else if (r == -EACCES || r == -EPERM) {
            t->unread++;
            l->doctor.unread++;
        }
    }
    if (t->n > 1)
        qsort(t->process, t->n, sizeof(*t->process), by_size);
    return 0;
}

/* Limits: the tightest one counts, but Node and HotSpot on v2 read that of their own group alone.
 */
static struct aware_ask ask_of(struct look *l, uint32_t slot) {
    const struct sample *s = ticker_sample(l->session.ticker, slot);
    struct aware_ask ask = {.cpus = l->cpus};
    struct tick_limit from;

    ask.v2 = l->session.fs.ctl[CG_MEMORY].version == CG_V2;
    if (host_mem_total(&l->session.host, &ask.machine) < 0)
        ask.machine = 0;
    if (!s)
        return ask;
    ticker_limit(l->session.ticker, slot, &from);
    if (sample_has(s, METRIC_LIMIT) && from.from != LIMIT_HOST)
        ask.limit = s->value[METRIC_LIMIT];
    ask.seen = ask.limit;
    if (ask.v2 && sample_has(s, METRIC_OWN_LIMIT))
        ask.seen = s->value[METRIC_OWN_LIMIT] == SAMPLE_NONE ? 0 : s->value[METRIC_OWN_LIMIT];
    return ask;
}

/* Those that a container inside of this one has not shown already. */
static int remember_new(struct look *l, struct pidlist *pids) {
    size_t kept = 0;

    for (size_t i = 0; i < pids->n; i++)
        if (!pidlist_has(&l->seen, pids->pid[i]))
            pids->pid[kept++] = pids->pid[i];
    pids->n = kept;
    for (size_t i = 0; i < pids->n; i++) {
        int r = pidlist_add(&l->seen, pids->pid[i]);

        if (r < 0)
            return r;
    }
    pidlist_sort(&l->seen);
    return 0;
}

/* Which processes of a group are looked at: all, or those that were named. */
static int pids_of(const struct look *l, const struct target *target, struct pidlist *out) {
    auto_close int dir = -1;
    bool named = false;
    int r = 0;

    for (size_t i = 0; r == 0 && i < l->n_wanted; i++) {
        const struct wanted *w = &l->wanted[i];

        if (!str_eq(str_of(w->path), target->path))
            continue;
        if (w->pid == 0) {
            named = false;
            break;
        }
        named = true;
        pidlist_sort(out);
        if (!pidlist_has(out, w->pid))
            r = pidlist_add(out, w->pid);
    }
    if (named || r < 0)
        return r;
    pidlist_clear(out);
    dir = cgfs_open_dir(&l->session.fs, CG_MEMORY, target->path);
    r = dir < 0 ? 0 : procs_of_group(dir, out);
    return r == -ENOMEM ? r : 0;
}

static int look_at_target(struct look *l, uint32_t slot, struct doctor_target *out) {
    const struct target *target = targets_at(l->session.targets, slot);
    struct aware_ask ask = ask_of(l, slot);
    struct pidlist pids = {.pid = NULL};
    int r;

    *out = (struct doctor_target){
        .name = session_name(target),
        .path = target->path,
        .engine = target->runtime == RUNTIME_NONE ? "" : runtime_name(target->runtime),
        .limit = ask.limit,
        .machine = ask.machine,
    };
    r = pids_of(l, target, &pids);
    if (r == 0)
        r = remember_new(l, &pids);
    if (r == 0)
        r = look_at_pids(l, pids.pid, pids.n, &ask, out);
    pidlist_done(&pids);
    return r;
}

struct place {
    uint32_t slot;
    size_t depth; /* length of its path */
    struct str name;
};

static int inner_first(const void *a, const void *b) {
    const struct place *x = a, *y = b;

    return x->depth < y->depth ? 1 : x->depth > y->depth ? -1 : 0;
}

static int by_name(const void *a, const void *b) {
    const struct doctor_target *x = a, *y = b;
    size_t n = x->name.n < y->name.n ? x->name.n : y->name.n;
    int r = n ? memcmp(x->name.p, y->name.p, n) : 0;

    return r ? r : (x->name.n > y->name.n) - (x->name.n < y->name.n);
}

static int look_at_all(struct look *l) {
    uint32_t slots = targets_slots(l->session.targets);
    auto_free struct place *place = calloc(slots + 1, sizeof(*place));
    size_t n = 0;
    int r = 0;

    l->doctor.target = calloc(slots + 1, sizeof(*l->doctor.target));
    if (!place || !l->doctor.target)
        return -ENOMEM;
    for (uint32_t slot = 0; slot < slots; slot++) {
        const struct target *t = targets_at(l->session.targets, slot);

        if (t)
            place[n++] = (struct place){slot, t->path.n, session_name(t)};
    }
    if (n > 1)
        qsort(place, n, sizeof(*place), inner_first);
    for (size_t i = 0; r == 0 && i < n; i++)
        r = look_at_target(l, place[i].slot, &l->doctor.target[l->doctor.n++]);
    if (l->doctor.n > 1)
        qsort(l->doctor.target, l->doctor.n, sizeof(*l->doctor.target), by_name);
    return r;
}

/* --- TARGETs ---------------------------------------------------------------------------------- */

static int want(struct look *l, int32_t pid, struct str path) {
    char *copy = strndup(path.p, path.n);

    if (!copy)
        return -ENOMEM;
    l->wanted[l->n_wanted++] = (struct wanted){.pid = pid, .path = copy};
    return 0;
}

static int choose(struct look *l, struct err *err) {
    for (size_t i = 0; i < l->context->nargs; i++) {
        struct resolved found;
        int r = resolve_target(l->session.targets, str_of(l->context->args[i]), &found, err);

        if (r < 0)
            return r;
        r = want(l, found.how == RESOLVE_PID ? found.pid : 0,
                 (struct str){found.path, found.path_len});
        if (r == 0)
            r = targets_choose(l->session.targets, (struct str){found.path, found.path_len});
        if (r == 0 && !targets_find(l->session.targets, (struct str){found.path, found.path_len}))
            r = err_set(err, -ENOENT, "there is no group '%s'", found.path);
        resolved_done(&found);
        if (r == -ENOMEM)
            return err_set(err, r, "out of memory");
        if (r < 0)
            return r;
    }
    return 0;
}

/* Inside a container that shows no others: its own group. */
static void choose_own(struct look *l) {
    char path[8192];

    if (l->session.fs.at_top || targets_shown(l->session.targets) > 0)
        return;
    if (cgfs_own_path(&l->session.host, &l->session.fs, path, sizeof(path)) == 0)
        (void)targets_choose(l->session.targets, str_of(path));
}

static bool is_pid(const char *text, int32_t *out) {
    uint64_t number;

    if (str_to_u64(str_of(text), &number) < 0 || number == 0 || number > INT32_MAX)
        return false;
    *out = (int32_t)number;
    return true;
}

/* Pids can be looked at where there are no groups, too: then there is no limit to compare with. */
static int only_pids(struct look *l, struct err *err) {
    size_t n = l->context->nargs;
    struct aware_ask ask = {.cpus = l->cpus};
    struct err no_host;
    int r = 0;

    for (size_t i = 0; i < n; i++)
        if (!is_pid(l->context->args[i], &l->wanted[i].pid))
            return err->code;
    if (n == 0 || host_open(l->context->root, &l->host, &no_host) < 0)
        return err->code;
    (void)host_mem_total(&l->host, &ask.machine);
    l->doctor.target = calloc(n, sizeof(*l->doctor.target));
    if (rt_cache_new(&l->host, &l->cache) < 0 || !l->doctor.target)
        return err_set(err, -ENOMEM, "out of memory");
    l->n_wanted = l->doctor.n = n;
    for (size_t i = 0; r == 0 && i < n; i++) {
        l->doctor.target[i] = (struct doctor_target){
            .name = str_of(l->context->args[i]), .engine = "", .machine = ask.machine};
        r = look_at_pids(l, &l->wanted[i].pid, 1, &ask, &l->doctor.target[i]);
    }
    return r < 0 ? err_set(err, r, "out of memory") : 0;
}

static int look(struct look *l, struct err *err) {
    struct session_options open = {
        .scope = l->context->nargs > 0 ? TARGETS_CHOSEN : TARGETS_CONTAINERS, .want = TICK_BOUNDS};
    int r = session_open(&l->session, l->context, &open, err);

    if (r < 0)
        return only_pids(l, err);
    l->have_groups = true;
    if (rt_cache_new(&l->session.host, &l->cache) < 0)
        return err_set(err, -ENOMEM, "out of memory");
    r = choose(l, err);
    if (r < 0)
        return r;
    if (l->context->nargs == 0)
        choose_own(l);
    targets_settle(l->session.targets, SETTLE_MS);
    if (targets_update(l->session.targets, clock_mono_us()) < 0 ||
        ticker_run(l->session.ticker) < 0 || look_at_all(l) < 0)
        return err_set(err, -ENOMEM, "out of memory");
    return 0;
}

/* --- the command ------------------------------------------------------------------------------ */

static int print(struct look *l) {
    struct buf out;
    size_t width = 0, height;
    int r;

    buf_init(&out, OUTPUT_MAX);
    if (l->context->terminal)
        cmd_terminal_size(&width, &height);
    if (l->context->json)
        r = doctor_print_json(&l->doctor, clock_wall_ms(), &out);
    else if (l->context->plain)
        r = doctor_print_plain(&l->doctor, &out);
    else
        r = doctor_print_text(&l->doctor, l->context, width, &out);
    r = r < 0 ? cmd_failf("out of memory") : cmd_write(&out, NULL);
    buf_done(&out);
    return r;
}

/* A pid that was asked for, and could not be looked at. */
static int say_unread(const struct look *l, const struct wanted *w) {
    struct rtproc p;
    struct err err;
    int r = rtproc_open(host_of(l), w->pid, &p, &err);

    if (r < 0)
        return cmd_fail(&err);
    rtproc_done(&p);
    if ((w->error == -EACCES || w->error == -EPERM) && geteuid() == 0)
        return cmd_failf("permission denied to look into process %d, even as root: it takes the "
                         "capability CAP_SYS_PTRACE over it (try: from the host, not from within "
                         "a container)",
                         w->pid);
    if (w->error == -EACCES || w->error == -EPERM)
        return cmd_failf("permission denied to look into process %d (try: as root, or as its user)",
                         w->pid);
    (void)err_set(&err, w->error, "cannot look into process %d:", w->pid);
    return cmd_fail(&err);
}

static bool is_bad(const struct doctor *d) {
    for (size_t i = 0; i < d->n; i++)
        if (doctor_exceeds(&d->target[i]))
            return true;
    return d->bad > 0;
}

static bool is_empty(const struct doctor *d) {
    for (size_t i = 0; i < d->n; i++)
        if (d->target[i].n > 0)
            return false;
    return true;
}

static int tell(struct look *l) {
    size_t unread = 0, pids = 0;
    int status = EXIT_DONE;

    for (size_t i = 0; i < l->n_wanted; i++) {
        pids += l->wanted[i].pid != 0;
        if (l->wanted[i].pid != 0 && l->wanted[i].error < 0) {
            unread++;
            status = say_unread(l, &l->wanted[i]);
        }
    }
    if (unread > 0 && pids == l->n_wanted && is_empty(&l->doctor))
        return status;
    if (l->doctor.n == 0 && l->context->nargs == 0) {
        cmd_warn("no containers are running here; `plimsoll doctor TARGET` looks at any group or "
                 "process");
        if (!l->context->json)
            return EXIT_DONE;
    }
    if (print(l) != EXIT_DONE)
        return EXIT_FAILED;
    return is_bad(&l->doctor) ? EXIT_BAD : status;
}

static int run(struct cmd_context *context, void *options) {
    long cpus = sysconf(_SC_NPROCESSORS_ONLN);
    struct look l = {
        .context = context,
        .host = {.root = -1, .proc = -1},
        .cpus = cpus > 0 && cpus < 100000 && !context->root ? (unsigned)cpus : 0,
    };
    struct err err = {.code = 0};
    int status;

    (void)options;
    l.wanted = calloc(context->nargs + 1, sizeof(*l.wanted));
    if (!l.wanted)
        return cmd_failf("out of memory");
    status = look(&l, &err) < 0 ? cmd_fail(&err) : tell(&l);
    doctor_done(&l.doctor);
    pidlist_done(&l.seen);
    rt_cache_free(l.cache);
    if (l.have_groups)
        session_close(&l.session);
    else
        host_done(&l.host);
    for (size_t i = 0; i < l.n_wanted; i++)
        free(l.wanted[i].path);
    free(l.wanted);
    return status;
}

static const struct opt opts[] = {{NULL, 0, NULL, NULL, NULL}};

const struct cmd cmd_doctor = {
    .name = "doctor",
    .brief = "who believes in the wrong memory size, and the flag that mends it",
    .synopsis = "[TARGET...]",
    .about =
        "For each process of the containers, or of TARGETs: the runtime, how large its heap may\n"
        "become and why, whether that fits the container's limit, and the flag or variable that\n"
        "mends it. The exit code is 3 when something does not fit.\n\n"
        "  plimsoll doctor\n"
        "  plimsoll doctor web --json\n"
        "  plimsoll doctor 4711\n",
    .opts = opts,
    .output_opts = true,
    .run = run,
};
