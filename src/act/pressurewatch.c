#include "act/pressurewatch.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>

#include "act/runsocket.h"
#include "base/mem.h"
#include "kern/cgwatch.h"
#include "net/waiters.h"

enum { CLIENTS = 16 };

/* A notice is repeated while usage stays above the mark; crossings are not told more often than
 * the other. */
static const int64_t repeat_us = 1000000, least_us = 50000;

/* "some 200000 2000000" and its NUL: a fifth of two seconds lost by some task. Users without
 * CAP_SYS_RESOURCE may only ask for windows of two seconds. */
static const char psi_write[] = "c29tZSAyMDAwMDAgMjAwMDAwMAA=";

struct pressurewatch {
    struct loop *loop;
    const struct rungroup *group;
    struct buf path;   /* NUL-terminated; empty: nothing to offer */
    const char *write; /* or NULL */

    /* the socket */
    struct runsocket socket;
    struct waiters *waiters; /* NULL: no socket */

    /* what it tells */
    uint64_t mark;
    struct cgwatch watch; /* v1 */
    uint32_t watch_id, timer_id;
    bool watching, have_timer;
    bool above, due; /* due: a crossing that was not told yet */
    int64_t told_us; /* 0: never */
};

/* --- which it is --- */

static enum plan_tree psi_tree(const struct place *place) {
    return place->version == CG_V1 ? PLAN_UNIFIED : PLAN_MEMORY;
}

static bool opens_for_writing(int dir, const char *name) {
    auto_close int fd = dir < 0 ? -1 : openat(dir, name, O_WRONLY | O_CLOEXEC | O_NOCTTY);

    return fd >= 0;
}

static int offer_psi(struct pressurewatch *p) {
    const struct rungroup *g = p->group;
    enum plan_tree tree = psi_tree(g->place);

    if (!opens_for_writing(g->work[tree], "memory.pressure"))
        return -ENOENT;
    place_add_shown(g->place, tree, g->rel, &p->path);
    buf_add(&p->path, STR("/" RUNGROUP_WORK "/memory.pressure"));
    buf_add_char(&p->path, '\0');
    p->write = psi_write;
    return buf_error(&p->path);
}

/* --- those who listen --- */

static int on_look(struct loop *loop, uint32_t what, void *ctx);

static void stop_timer(struct pressurewatch *p) {
    if (p->have_timer)
        loop_remove(p->loop, p->timer_id);
    p->have_timer = false;
}

static void set_timer(struct pressurewatch *p, int64_t first_us, int64_t every_us) {
    stop_timer(p);
    p->have_timer = loop_add_timer(p->loop, first_us, every_us, on_look, p, &p->timer_id) == 0;
}

/* Nothing signals a crossing: usage is looked at while somebody wants to know. */
static bool must_look(const struct pressurewatch *p) {
    return p->watch.fd < 0;
}

static bool check(struct pressurewatch *p, bool crossed);

static void on_came(void *ctx, unsigned number) {
    struct pressurewatch *p = ctx;

    if (must_look(p) && !p->have_timer)
        set_timer(p, least_us, least_us);
    if (!check(p, false) && p->above)
        (void)waiters_tell(p->waiters, number);
}

static void on_left(void *ctx) {
    struct pressurewatch *p = ctx;

    if (waiters_count(p->waiters) == 0)
        stop_timer(p);
}

/* --- what they are told --- */

static void tell_all(struct pressurewatch *p) {
    for (unsigned i = 0; i < CLIENTS; i++)
        (void)waiters_tell(p->waiters, i);
}

/* When to look again, without a signal. */
static void plan_look(struct pressurewatch *p, int64_t now) {
    if (must_look(p))
        return; /* the timer goes on */
    if (p->above && waiters_count(p->waiters) > 0)
        set_timer(p, p->told_us + (p->due ? least_us : repeat_us) - now, 0);
    else
        stop_timer(p);
}

/* Signals come in both directions, late, and when the group is removed: what counts is read. But
 * one that comes while usage is above, as it was, means that it was below in between (`crossed`).
 * Whether all were told now. */
static bool check(struct pressurewatch *p, bool crossed) {
    int64_t now = loop_now_us(p->loop);
    uint64_t usage;
    bool was = p->above, tells;

    if (cgwatch_read_usage(p->group->outer[PLAN_MEMORY], p->group->place->version, &usage) < 0)
        return false;
    p->above = usage >= p->mark;
    p->due = p->above && (p->due || crossed || !was || now - p->told_us >= repeat_us);
    tells = p->due && (p->told_us == 0 || now - p->told_us >= least_us);
    if (tells) {
        p->due = false;
        p->told_us = now;
        tell_all(p);
    }
    plan_look(p, now);
    return tells;
}

static int on_look(struct loop *loop, uint32_t what, void *ctx) {
    struct pressurewatch *p = ctx;

    (void)loop, (void)what;
    if (!must_look(p))
        p->have_timer = false; /* it came once */
    (void)check(p, false);
    return 0;
}

static int on_threshold(struct loop *loop, uint32_t what, void *ctx) {
    struct pressurewatch *p = ctx;

    (void)loop, (void)what;
    if (cgwatch_take(&p->watch) > 0)
        (void)check(p, true);
    return 0;
}

static int watch_usage(struct pressurewatch *p, struct err *err) {
    const struct rungroup *g = p->group;
    int r = cgwatch_usage(g->outer[PLAN_MEMORY], g->place->version, p->mark, &p->watch);

    if (r == -EOPNOTSUPP) {
        p->watch.fd = -1;
        return 0;
    }
    if (r == 0)
        r = loop_add_fd(p->loop, p->watch.fd, cgwatch_poll_events(&p->watch), on_threshold, p,
                        &p->watch_id);
    p->watching = r == 0;
    return r < 0 ? err_set(err, r, "cannot watch the usage of the group:") : 0;
}

static int offer_socket(struct pressurewatch *p, struct err *err) {
    struct waiters_options with = {
        .loop = p->loop, .most = CLIENTS, .came = on_came, .left = on_left, .ctx = p};
    uint64_t cap = p->group->limits.limit;
    int r;

    if (cap == RUNGROUP_UNSET)
        return err_set(err, -EINVAL, "a socket for memory pressure needs a limit (-m SIZE)");
    p->mark = cap / 10 * 9 + cap % 10 * 9 / 10;
    r = runsocket_make(p->group->name, &p->socket, err);
    if (r < 0)
        return r;
    buf_add(&p->path, str_of(p->socket.path));
    buf_add_char(&p->path, '\0');
    r = buf_error(&p->path);
    if (r < 0)
        return err_set(err, r, "out of memory");
    r = watch_usage(p, err);
    if (r < 0)
        return r;
    with.listener = p->socket.own.fd;
    r = waiters_new(&with, &p->waiters);
    return r < 0 ? err_set(err, r, "cannot watch a socket:") : 0;
}

/* --- in all --- */

/* As if nothing had been tried. */
static void withdraw(struct pressurewatch *p) {
    waiters_free(p->waiters);
    p->waiters = NULL;
    stop_timer(p);
    if (p->watching)
        loop_remove(p->loop, p->watch_id);
    p->watching = false;
    cgwatch_close(&p->watch);
    runsocket_remove(&p->socket);
    p->write = NULL;
    buf_clear(&p->path);
}

int pressurewatch_new(struct loop *loop, const struct rungroup *group, enum pressure_mode mode,
                      struct pressurewatch **out, struct err *err) {
    struct pressurewatch *p = calloc(1, sizeof(*p));
    int r = 0;

    if (!p)
        return err_set(err, -ENOMEM, "out of memory");
    p->loop = loop;
    p->group = group;
    p->socket = (struct runsocket)RUNSOCKET_NONE;
    p->watch.fd = -1;
    buf_init(&p->path, 8192);
    if (mode == PRESSURE_SOCKET) {
        r = offer_socket(p, err);
    } else if (mode == PRESSURE_AUTO && offer_psi(p) < 0) {
        buf_clear(&p->path);
        if (offer_socket(p, NULL) < 0)
            withdraw(p);
    }
    if (r < 0) {
        pressurewatch_free(p);
        return r;
    }
    *out = p;
    return 0;
}

void pressurewatch_free(struct pressurewatch *p) {
    if (!p)
        return;
    withdraw(p);
    buf_done(&p->path);
    free(p);
}

void pressurewatch_begin(struct pressurewatch *p) {
    if (p->waiters)
        (void)check(p, false);
}

const char *pressurewatch_path(const struct pressurewatch *p) {
    return p->path.n > 0 ? p->path.p : NULL;
}

const char *pressurewatch_write(const struct pressurewatch *p) {
    return p->write;
}

/* --- for --print --- */

static void add_export(struct buf *out, const char *name, struct str value) {
    buf_add_format(out, "export %s='", name);
    for (size_t i = 0; i < value.n; i++)
        buf_add(out, value.p[i] == '\'' ? STR("'\\''") : (struct str){value.p + i, 1});
    buf_add(out, STR("'\n"));
}

static bool has_psi(const struct place *place) {
    int dir = place->dir[psi_tree(place)];

    return dir >= 0 && faccessat(dir, "memory.pressure", F_OK, 0) == 0;
}

void pressurewatch_add_plan(const struct rungroup_limits *limits, const struct place *place,
                            const char *name, enum pressure_mode mode, struct buf *out) {
    char path[RUNSOCKET_PATH], work[RUNGROUP_REL];
    const char *base = runsocket_base();
    struct buf shown;

    if (mode == PRESSURE_AUTO && has_psi(place)) {
        buf_init(&shown, 16384);
        rungroup_work_rel(place, name, work);
        place_add_shown(place, psi_tree(place), work, &shown);
        buf_add(&shown, STR("/memory.pressure"));
        add_export(out, "MEMORY_PRESSURE_WATCH", buf_str(&shown));
        add_export(out, "MEMORY_PRESSURE_WRITE", str_of(psi_write));
        buf_done(&shown);
    } else if (mode != PRESSURE_OFF && limits->limit != RUNGROUP_UNSET && base &&
               runsocket_name(base, name, false, path, sizeof(path)) == 0) {
        add_export(out, "MEMORY_PRESSURE_WATCH", str_of(path));
    }
}
