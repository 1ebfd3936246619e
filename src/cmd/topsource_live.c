#include "cmd/topsource_live.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "cmd/session.h"
#include "cmd/topproc.h"
#include "cmd/topwatch.h"
#include "engine/hostsample.h"
#include "kern/procstatm.h"
#include "sampler/procs.h"

enum {
    TREND_TURNS = 5,      /* ticks in which the trends of all have their turn */
    PROCESSES_SHARE = 20, /* listing processes takes at most this part of the time */
    EARLY_PART = 2,       /* of the interval: sooner, only what is new is read */
};

#define WANT                                                                                       \
    (PROC_BIT(PROC_PPID) | PROC_BIT(PROC_UID) | PROC_BIT(PROC_COMM) | PROC_BIT(PROC_STATE) |       \
     PROC_BIT(PROC_THREADS) | PROC_BIT(PROC_FDS) | PROC_BIT(PROC_VIRT) | PROC_BIT(PROC_RES) |      \
     PROC_BIT(PROC_SHR) | PROC_BIT(PROC_SWAP) | PROC_BIT(PROC_ANON) | PROC_BIT(PROC_FILE) |        \
     PROC_BIT(PROC_SHMEM) | PROC_BIT(PROC_PSS) | PROC_BIT(PROC_USS) | PROC_BIT(PROC_START) |       \
     PROC_BIT(PROC_COMMAND))

struct topsource_live {
    struct host host;
    struct cgfs fs;
    struct ticker *ticker;
    struct topwatch watch;
    struct hostsample machine;
    struct sample machine_now;
    struct tui_host shown;
    struct utsname names;
    int64_t interval_us, ticked_us, cost_us, cost_at_us;
    uint32_t *some; /* slots of a look in between */
    uint64_t ticks;
    struct tui_row **row;
    size_t rows, room; /* of row and some */
    struct procs procs;
    struct pidlist pids;
    struct tui_process *process;
    size_t processes, process_room;
    uint64_t process_of;
    int64_t process_due_us;
    bool begun;
};

/* --- looks ------------------------------------------------------------------------------------ */

static uint64_t swap_total(const struct topsource_live *s) {
    return sample_has(&s->machine_now, METRIC_SWAP_LIMIT) ? s->machine_now.value[METRIC_SWAP_LIMIT]
                                                          : 0;
}

static struct str limit_words(const struct tick_limit *limit) {
    if (limit->from == LIMIT_LEVEL)
        return limit->path;
    return limit->from == LIMIT_OUTSIDE ? STR("outside") : STR("host");
}

static struct str parent_of(struct str path) {
    ptrdiff_t at = str_rfind(path, '/');

    return at > 0 ? str_head(path, (size_t)at) : STR("/");
}

static void fill_identity(struct seen *x) {
    const struct target *t = x->target;

    x->row = (struct tui_row){
        .id = x->id,
        .key = str_of(x->key),
        .name = session_name(t),
        .runtime = t->runtime == RUNTIME_NONE ? STR("") : str_of(runtime_name(t->runtime)),
        .kind = str_of(target_kind_name(t->kind)),
        .image = str_of(t->image),
        .path = t->path,
        .pod = str_of(x->pod),
        .compose = str_of(x->compose),
        .labels = str_of(t->labels),
        .is_inside = t->inside != NULL,
        .slice = parent_of(t->path),
        .have_restarts = x->restarts > 0,
        .restarts = x->restarts,
    };
}

static void fill_row(struct topsource_live *s, uint32_t slot) {
    struct seen *x = &s->watch.seen[slot];
    const struct sample *now = ticker_sample(s->ticker, slot);
    struct tui_row *row = &x->row;
    struct tick_limit limit;

    fill_identity(x);
    row->v1 = s->fs.ctl[CG_MEMORY].version == CG_V1;
    row->sample = now;
    row->trend = x->view;
    if (!now)
        return;
    ticker_limit(s->ticker, slot, &limit);
    row->limit_from = limit_words(&limit);
    row->state = state_moving(now, swap_total(s), &x->view, x->killed_ms);
    row->have_time_to_limit = trend_time_to_limit(&x->view, now, &row->time_to_limit_s);
    row->have_cpu = ticker_cpu(s->ticker, slot, &row->cpu_centi);
    row->have_kills = sample_has(now, METRIC_OOM_KILLS);
    row->kills = x->kills_before + (row->have_kills && now->value[METRIC_OOM_KILLS] > x->kills_told
                                        ? now->value[METRIC_OOM_KILLS]
                                        : x->kills_told);
}

/* Blocks of all end at the same moment: each has its turn within some ticks. */
static void look_at_trend(const struct topsource_live *s, uint32_t slot, struct seen *x) {
    trend_refaults(&x->trend, &x->view);
    if (x->viewed_ms == trend_newest_ms(&x->trend) ||
        (x->view.word != TREND_UNKNOWN && (slot + s->ticks) % TREND_TURNS != 0))
        return;
    x->viewed_ms = trend_newest_ms(&x->trend);
    x->view = trend_look(&x->trend);
}

/* A sample that is new into what is kept. */
static void take_in(struct topsource_live *s, uint32_t slot) {
    struct seen *x = &s->watch.seen[slot];
    const struct sample *now = x->target ? ticker_sample(s->ticker, slot) : NULL;

    if (!now)
        return;
    trend_add(&x->trend, now);
    topwatch_limit(&s->watch, x, now);
    if (tophistory_add(&x->history, now) < 0)
        s->watch.failed = true;
    if (sample_has(now, METRIC_OOM_KILLS))
        oomtally_seen(s->watch.oom, (uint32_t)x->id, now->value[METRIC_OOM_KILLS]);
    look_at_trend(s, slot, x);
}

static int make_room(struct topsource_live *s) {
    struct tui_row **row;
    uint32_t *some;

    if (s->room >= s->watch.slots)
        return 0;
    row = reallocarray(s->row, s->watch.slots, sizeof(struct tui_row *));
    if (!row)
        return -ENOMEM;
    s->row = row;
    some = reallocarray(s->some, s->watch.slots, sizeof(*some));
    if (!some)
        return -ENOMEM;
    s->some = some;
    s->room = s->watch.slots;
    return 0;
}

static void collect_rows(struct topsource_live *s) {
    s->rows = 0;
    for (uint32_t slot = 0; slot < s->watch.slots; slot++)
        if (s->watch.seen[slot].target) {
            fill_row(s, slot);
            s->row[s->rows++] = &s->watch.seen[slot].row;
        }
}

/* Between two ticks: those that have come. */
static int look_at_fresh(struct topsource_live *s) {
    uint32_t n = 0;
    int r;

    for (uint32_t slot = 0; slot < s->watch.slots; slot++)
        if (s->watch.seen[slot].target && s->watch.seen[slot].fresh)
            s->some[n++] = slot;
    r = n > 0 ? ticker_run_some(s->ticker, s->some, n) : 0;
    for (uint32_t i = 0; i < n; i++)
        s->watch.seen[s->some[i]].fresh = false;
    return r;
}

static int look_at_all(struct topsource_live *s, int64_t now_us) {
    int r;

    ticker_events_told(s->ticker, oomtally_unwatched(s->watch.oom) == 0);
    r = ticker_run(s->ticker);
    if (r < 0)
        return r;
    s->ticked_us = now_us;
    hostsample_read(&s->machine, clock_wall_ms(), &s->machine_now);
    for (uint32_t slot = 0; slot < s->watch.slots; slot++) {
        s->watch.seen[slot].fresh = false;
        take_in(s, slot);
    }
    s->ticks++;
    return 0;
}

static void look_at_ourselves(struct topsource_live *s, int64_t now_us) {
    struct procstatm m;
    int64_t cost_us = clock_cpu_us(), passed_us = now_us - s->cost_at_us;

    if (s->cost_at_us > 0 && passed_us < 1000000)
        return;
    if (s->cost_at_us > 0) {
        s->shown.cost_cpu_centi = (uint64_t)((cost_us - s->cost_us) * 10000 / passed_us);
        s->shown.have_cost =
            s->host.live && procstatm_read(s->host.proc, (int32_t)getpid(), &m) == 0;
        s->shown.cost_rss = s->shown.have_cost ? m.res : 0;
    }
    s->cost_us = cost_us;
    s->cost_at_us = now_us;
}

static int refresh(void *ctx, int64_t at_ms, struct err *err) {
    struct topsource_live *s = ctx;
    int64_t now_us = clock_mono_us();
    int r;

    s->rows = 0;
    if (at_ms > 0)
        return err_set(err, -ENODATA, "the past is known to an agent alone: `plimsoll agent`");
    r = topwatch_update(&s->watch, now_us);
    if (r == 0)
        r = make_room(s);
    if (r == 0)
        r = now_us - s->ticked_us < s->interval_us / EARLY_PART && s->begun
                ? look_at_fresh(s)
                : look_at_all(s, now_us);
    if (r < 0)
        return err_set(err, r, "cannot look at the groups:");
    s->begun = true;
    look_at_ourselves(s, now_us);
    collect_rows(s);
    s->shown.at_ms = s->machine_now.at_ms;
    s->shown.sample = sample_has(&s->machine_now, METRIC_USAGE) ? &s->machine_now : NULL;
    return 0;
}

static size_t count_rows(void *ctx) {
    return ((struct topsource_live *)ctx)->rows;
}

static const struct tui_row *row_at(void *ctx, size_t i) {
    return ((struct topsource_live *)ctx)->row[i];
}

static const struct tui_host *machine(void *ctx) {
    return &((struct topsource_live *)ctx)->shown;
}

static int history(void *ctx, const struct tui_row *row, enum metric m, int64_t from_ms,
                   int64_t to_ms, size_t n, uint64_t *out) {
    struct seen *x = topwatch_find(&((struct topsource_live *)ctx)->watch, row->id);

    return x && tophistory_read(&x->history, m, from_ms, to_ms, n, out) ? 0 : -ENODATA;
}

static int events(void *ctx, const struct tui_row *row, const struct tui_event **out, size_t *n_out,
                  struct err *err) {
    struct topsource_live *s = ctx;

    (void)err;
    *n_out = toplog_read(&s->watch.log, row ? row->key : STR(""), out);
    return 0;
}

/* --- processes -------------------------------------------------------------------------------- */

static int list_processes(struct topsource_live *s, struct str path) {
    auto_close int dir = cgfs_open_dir(&s->fs, CG_MEMORY, path);
    int r;

    if (dir < 0)
        return dir;
    pidlist_clear(&s->pids);
    r = procs_of_group(dir, &s->pids);
    return r < 0 ? r : procs_collect(&s->procs, &s->pids);
}

static int take_processes(struct topsource_live *s) {
    if (s->procs.n > s->process_room) {
        struct tui_process *p = reallocarray(s->process, s->procs.n, sizeof(*p));

        if (!p)
            return -ENOMEM;
        s->process = p;
        s->process_room = s->procs.n;
    }
    for (size_t i = 0; i < s->procs.n; i++)
        topproc_take(&s->procs, &s->procs.row[i], &s->process[i]);
    s->processes = s->procs.n;
    return 0;
}

static int processes(void *ctx, const struct tui_row *row, const struct tui_process **out,
                     size_t *n_out, struct err *err) {
    struct topsource_live *s = ctx;
    int64_t now_us = clock_mono_us();

    if (s->process_of != row->id || now_us >= s->process_due_us) {
        int r = list_processes(s, row->path);

        s->process_of = 0;
        if (r == 0)
            r = take_processes(s);
        if (r == -ENOENT || r == -ENODEV)
            return err_set(err, -ENOENT, "the group is gone");
        if (r < 0)
            return err_set(err, r, "cannot list the processes:");
        s->process_of = row->id;
        s->process_due_us = clock_mono_us() + (clock_mono_us() - now_us) * PROCESSES_SHARE;
    }
    *out = s->process;
    *n_out = s->processes;
    return 0;
}

/* --- begin and end ---------------------------------------------------------------------------- */

static int open_parts(struct topsource_live *s, const char *root, struct err *err) {
    const struct tick_options tick = {.want = TICK_ALL, .spread = true};
    struct procs_options collect = {.want = WANT, .pss = PROCS_PSS_BUDGET, .streaming = true};
    int r = host_open(root, &s->host, err);

    if (r == 0)
        r = cgfs_open(&s->host, &s->fs, err);
    if (r < 0)
        return r;
    hostsample_init(&s->machine, &s->host);
    collect.live = s->host.live;
    collect.proc = s->host.proc;
    if (procs_init(&s->procs, &collect) < 0)
        return err_set(err, -ENOMEM, "cannot begin to watch:");
    r = ticker_new(&s->host, &s->fs, &tick, &s->ticker, err);
    if (r == 0)
        r = topwatch_open(&s->watch, &s->host, &s->fs, s->ticker, s->interval_us / 1000, err);
    return r;
}

int topsource_live_new(const char *root, int64_t interval_us, struct topsource_live **out,
                       struct err *err) {
    struct topsource_live *s = calloc(1, sizeof(*s));
    int r;

    if (!s)
        return err_set(err, -ENOMEM, "out of memory");
    s->host = (struct host){.root = -1, .proc = -1};
    for (unsigned i = 0; i < CG_CTL_N; i++)
        s->fs.ctl[i].dir = -1;
    s->machine = (struct hostsample){-1, -1, -1, -1, -1, 0};
    s->interval_us = interval_us;
    if (!root && uname(&s->names) == 0)
        s->shown.name = str_of(s->names.nodename);
    r = open_parts(s, root, err);
    if (r < 0) {
        topsource_live_free(s);
        return r;
    }
    *out = s;
    return 0;
}

void topsource_live_free(struct topsource_live *s) {
    if (!s)
        return;
    topwatch_close(&s->watch);
    ticker_free(s->ticker);
    procs_done(&s->procs);
    pidlist_done(&s->pids);
    hostsample_done(&s->machine);
    cgfs_done(&s->fs);
    host_done(&s->host);
    free(s->some);
    free(s->row);
    free(s->process);
    free(s);
}

struct tui_source topsource_live_source(struct topsource_live *s) {
    return (struct tui_source){
        .ctx = s,
        .refresh = refresh,
        .rows = count_rows,
        .row = row_at,
        .host = machine,
        .history = history,
        .processes = processes,
        .events = events,
        .fd = loop_fd(s->watch.loop),
    };
}
