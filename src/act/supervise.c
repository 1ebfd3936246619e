#include "act/supervise.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "act/around.h"
#include "act/life.h"
#include "act/signals.h"
#include "base/file.h"
#include "base/mem.h"
#include "kern/cgroup.h"

/* What a run needs beside its life, made in this order and taken down in the other. */
struct run {
    const struct supervise_options *options;
    const struct cgfs *fs;
    struct place place;
    struct rungroup group;
    bool have_place, have_group, have_log;
    char cgroup[4096 + PLAN_REL];
    struct hints hints;
    char **env, *env_storage;
    struct runlog log;
    struct loop *loop;
    struct oomwatch *oom;
    struct pressurewatch *pressure;
    int signals;
    struct life life;
};

static bool has_limit(const struct run *run) {
    return run->options->limits.limit != RUNGROUP_UNSET;
}

/* The tightest of the run's own limit and those of the groups around it; 0: none. */
static uint64_t find_cap(const struct run *run) {
    uint64_t cap = has_limit(run) ? run->options->limits.limit : CGROUP_NO_LIMIT;
    uint64_t around = CGROUP_NO_LIMIT;
    struct buf parent;

    buf_init(&parent, 2 * sizeof(run->place.path[0]));
    place_add_path(&run->place, PLAN_MEMORY, run->place.make, &parent);
    if (buf_error(&parent) == 0)
        around = around_limit(run->life.host, run->fs, buf_str(&parent));
    buf_done(&parent);
    if (around < cap)
        cap = around;
    return cap == CGROUP_NO_LIMIT ? 0 : cap;
}

static int find_hints(struct run *run) {
    uint64_t cap = find_cap(run);
    struct hints_input in = {
        .cap = cap,
        .version = run->place.version,
        .env = run->options->env,
        .argv = run->options->argv,
    };

    if (!run->options->hints || cap == 0)
        return 0;
    return hints_find(&in, &run->hints);
}

/* --- the environment of the program ----------------------------------------------------------- */

static int make_env(struct run *run, struct err *err) {
    const char *pairs[] = {NULL, NULL, NULL, NULL, NULL};
    size_t n = 0;

    if (!hints_variable(run->options->env, "MEMORY_PRESSURE_WATCH") &&
        pressurewatch_path(run->pressure)) {
        pairs[n++] = "MEMORY_PRESSURE_WATCH";
        pairs[n++] = pressurewatch_path(run->pressure);
        if (pressurewatch_write(run->pressure)) {
            pairs[n++] = "MEMORY_PRESSURE_WRITE";
            pairs[n++] = pressurewatch_write(run->pressure);
        }
    }
    run->env = hints_environment(run->options->env, &run->hints, pairs, &run->env_storage);
    return run->env ? 0 : err_set(err, -ENOMEM, "cannot make the environment:");
}

static void tell_hints(struct run *run) {
    for (size_t i = 0; i < run->hints.n; i++) {
        const struct hint *h = &run->hints.hint[i];

        if (h->kept)
            runlog_detail(&run->log, "%s is set already and stays '%s'", h->name, h->value);
        else
            runlog_detail(&run->log, "%s=%s (%s)", h->name, h->value, h->why);
    }
}

/* --- our own process -------------------------------------------------------------------------- */

static bool has_terminal(void) {
    auto_close int fd = open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY);

    return fd >= 0;
}

/* --- print --------------------------------------------------------------------------------- */

static void add_variable(struct buf *out, const char *name, const char *value) {
    buf_add_format(out, "export %s=", name);
    plan_add_word(out, str_of(value));
    buf_add_char(out, '\n');
}

/* What the program's process does itself: it joins the groups, then becomes the program. */
static void show_start(struct run *run, const struct plan_roots *roots, struct plan *plan,
                       struct buf *out) {
    char work[RUNGROUP_REL];

    plan->n = 0;
    rungroup_work_rel(&run->place, run->options->name, work);
    plan_move(plan, PLAN_MEMORY, work);
    plan_move(plan, PLAN_UNIFIED, work);
    buf_add(out,
            STR("# plimsoll itself stays outside: memory locked, oom_score_adj -900, watching "
                "the OOM events of\n# these groups and those around them, and /dev/kmsg; in the "
                "end the groups are removed\n"));
    plan_add_text(plan, roots, out);
    buf_add(out, STR("exec"));
    for (char **word = run->options->argv; *word; word++) {
        buf_add_char(out, ' ');
        plan_add_word(out, str_of(*word));
    }
    buf_add_char(out, '\n');
}

/* All of it as a shell would do it. */
static void show(struct run *run, struct buf *out) {
    const struct supervise_options *o = run->options;
    auto_free struct plan *plan = calloc(1, sizeof(*plan));
    const struct plan_roots roots = place_roots(&run->place);

    if (!plan)
        return;
    rungroup_plan(&run->place, o->name, &o->limits, plan);
    plan_add_text(plan, &roots, out);
    for (size_t i = 0; i < run->hints.n; i++)
        if (!run->hints.hint[i].kept)
            add_variable(out, run->hints.hint[i].name, run->hints.hint[i].value);
    if (!hints_variable(o->env, "MEMORY_PRESSURE_WATCH"))
        pressurewatch_add_plan(&o->limits, &run->place, o->name, o->pressure, out);
    show_start(run, &roots, plan, out);
}

/* --- prepare, live, take down ----------------------------------------------------------------- */

static void tell_made(struct run *run, const struct rungroup_left *left, struct buf *warnings) {
    struct str text = buf_str(warnings), line;

    while (str_cut(&text, '\n', &line))
        runlog_say(&run->log, "%.*s", STR_ARG(line));
    if (left->found)
        runlog_say(&run->log, "replaced what an earlier run left behind (%u process%s killed)",
                   left->killed, left->killed == 1 ? "" : "es");
    if (run->place.without_unified)
        runlog_detail(&run->log, "no group in the unified tree: %s", run->place.without_unified);
}

static int make_group(struct run *run, struct err *err) {
    const struct supervise_options *o = run->options;
    struct rungroup_left left = {.found = false};
    struct buf warnings;
    int r;

    buf_init(&warnings, 16384);
    r = rungroup_make(&run->group, &run->place, o->name, &o->limits, &left, &warnings, err);
    if (r == 0) {
        struct buf path = {
            .p = run->cgroup, .size = sizeof(run->cgroup), .max = sizeof(run->cgroup)};

        run->have_group = true;
        place_add_path(&run->place, PLAN_MEMORY, run->group.rel, &path);
        buf_add_char(&path, '\0');
        tell_made(run, &left, &warnings);
    }
    buf_done(&warnings);
    return r;
}

static int make_watches(struct run *run, struct err *err) {
    int r = loop_new(&run->loop);

    if (r < 0)
        return err_set(err, r, "cannot make an event loop:");
    r = oomwatch_new(run->loop, run->life.host, run->fs, &run->group, life_child_oom, &run->life,
                     &run->oom);
    if (r < 0)
        return err_set(err, r, "cannot watch for OOM kills:");
    return pressurewatch_new(run->loop, &run->group, run->options->pressure, &run->pressure, err);
}

static int prepare(struct run *run, struct err *err) {
    const struct supervise_options *o = run->options;
    int r = runlog_open(&run->log, o->name, o->events, o->quiet, o->verbose, err);

    if (r < 0)
        return r;
    run->have_log = true;
    run->signals = signals_open(&run->life.inherited);
    if (run->signals < 0)
        return err_set(err, run->signals, "cannot take in signals:");
    r = make_group(run, err);
    if (r == 0)
        r = make_watches(run, err);
    if (r == 0)
        r = make_env(run, err);
    if (r < 0)
        return r;
    tell_hints(run);
    (void)prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
    return 0;
}

static void live(struct run *run, struct err *err) {
    struct life *life = &run->life;

    life->options = run->options;
    life->fs = run->fs;
    life->err = err;
    life->group = &run->group;
    life->cgroup = run->cgroup;
    life->env = run->env;
    life->log = &run->log;
    life->loop = run->loop;
    life->oom = run->oom;
    life->pressure = run->pressure;
    life->signals = run->signals;
    life->terminal = has_terminal();
    life->restart = run->options->restart;
    life_run(life);
    runlog_ended(&run->log, life->exit_code, life->gave_up);
}

static void take_down(struct run *run) {
    pressurewatch_free(run->pressure);
    oomwatch_free(run->oom);
    loop_free(run->loop);
    if (run->have_group) {
        int r = rungroup_remove(&run->group);

        if (r < 0) { /* what hangs in it was told of */
            runlog_say(&run->log, "the group %s stays: %s", run->cgroup, strerror(-r));
            rungroup_close(&run->group);
        }
    }
    if (run->have_place)
        place_done(&run->place);
    hints_done(&run->hints);
    free(run->env);
    free(run->env_storage);
    mem_close_fd(&run->signals);
    if (run->have_log)
        runlog_close(&run->log);
}

int supervise(const struct host *h, const struct cgfs *fs, const struct supervise_options *options,
              struct buf *shown, struct err *err) {
    auto_free struct run *run = calloc(1, sizeof(*run)); /* 20 kB of paths and a ring of restarts */
    int code = 125;

    if (!run) {
        err_set(err, -ENOMEM, "cannot start:");
        return 125;
    }
    run->options = options;
    run->fs = fs;
    run->signals = -1;
    run->life.host = h;
    run->have_place = place_find(h, fs, options->parent, &run->place, err) == 0;
    if (!run->have_place)
        return 125;
    if (find_hints(run) < 0) {
        err_set(err, -ENOMEM, "cannot find hints:");
    } else if (options->print && rungroup_check(&run->place, &options->limits, err) == 0) {
        show(run, shown);
        code = 0;
    } else if (!options->print && prepare(run, err) == 0) {
        live(run, err);
        code = run->life.exit_code;
    }
    take_down(run);
    return code;
}
