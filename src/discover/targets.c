#include "discover/targets.h"

#include <errno.h>
#include <poll.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "discover/naming.h"

enum {
    EVENTS_AT_ONCE = 50000, /* more wait for the next update */
    RESCAN_US = 60 * 1000000,
    FALLBACK_MIN_US = 1000000, /* without watches: at most 5 % of the time, between these */
    FALLBACK_MAX_US = 10000000,
};

struct targets {
    struct targets_options o;
    const struct host *h;
    const struct cgfs *fs;
    struct tree tree;
    struct namer namer;
    struct node **slot;
    uint32_t slots, slots_size, shown, free_from;
    char **chosen;
    size_t chosen_n;
    int epoll;
    uint32_t now_ms;                          /* of the update that runs */
    uint32_t due_ms;                          /* the earliest of all nodes */
    int64_t scanned_us, rescan_us, looked_us; /* when last; when next; all looked at again */
    int error;
};

/* ---- what is shown ---- */

/* What somebody started on this machine under a name, and may ask about by it. Units inside a
 * container are its own affair, and as many as it likes. */
static bool is_watched(const struct target *t) {
    if (target_is_container(t) || t->kind == TARGET_POD)
        return true;
    return (t->kind == TARGET_SERVICE || t->kind == TARGET_SESSION) && !target_outside(t);
}

static bool should_show(const struct targets *t, const struct node *n) {
    switch (t->o.scope) {
    case TARGETS_CONTAINERS:
        return target_is_container(&n->t) && !namer_undecided(n);
    case TARGETS_SERVICES:
        return is_watched(&n->t) && !namer_undecided(n);
    case TARGETS_ALL:
        return true;
    case TARGETS_CHOSEN:
        return n->chosen;
    }
    return false;
}

static int take_slot(struct targets *t, struct node *n) {
    uint32_t at = t->free_from;

    while (at < t->slots && t->slot[at])
        at++;
    if (at == t->slots_size) {
        uint32_t size = t->slots_size ? t->slots_size * 2 : 16;
        struct node **bigger = realloc(t->slot, size * sizeof(struct node *));

        if (!bigger)
            return -ENOMEM;
        t->slot = bigger;
        t->slots_size = size;
    }
    t->slot[at] = n;
    n->t.slot = at;
    t->free_from = at + 1;
    if (at == t->slots)
        t->slots++;
    t->shown++;
    return 0;
}

static void show(struct targets *t, struct node *n) {
    int r = take_slot(t, n);

    if (r < 0) {
        t->error = r;
        return;
    }
    if (t->o.added)
        t->o.added(t->o.ctx, &n->t);
}

static void hide(struct targets *t, struct node *n) {
    uint32_t at = n->t.slot;

    if (at == TARGET_NO_SLOT)
        return;
    if (t->o.removed)
        t->o.removed(t->o.ctx, &n->t);
    t->slot[at] = NULL;
    n->t.slot = TARGET_NO_SLOT;
    t->shown--;
    if (at < t->free_from)
        t->free_from = at;
    while (t->slots > 0 && !t->slot[t->slots - 1])
        t->slots--;
    if (t->free_from > t->slots)
        t->free_from = t->slots;
}

static void show_or_hide(struct targets *t, struct node *n) {
    bool is = n->t.slot != TARGET_NO_SLOT, should = should_show(t, n);

    if (should && !is)
        show(t, n);
    else if (is && !should)
        hide(t, n);
}

/* ---- what the tree and the namer tell ---- */

static void schedule(struct targets *t, uint32_t due_ms) {
    if (due_ms != 0 && (t->due_ms == 0 || (int32_t)(due_ms - t->due_ms) < 0))
        t->due_ms = due_ms;
}

static void born(void *ctx, struct node *n) {
    struct targets *t = ctx;
    int r = namer_born(&t->namer, n, t->now_ms);

    if (r < 0)
        t->error = r;
    if (t->o.group_came)
        t->o.group_came(t->o.ctx, &n->t);
    for (size_t i = 0; i < t->chosen_n; i++)
        n->chosen = n->chosen || str_eq(n->t.path, str_of(t->chosen[i]));
    /* What has more to tell is shown after the first look at it, in step_all: the caller of
     * added() wants the name. */
    if (n->due_ms == 0)
        show_or_hide(t, n);
    schedule(t, n->due_ms);
}

static void gone(void *ctx, struct node *n) {
    struct targets *t = ctx;

    hide(t, n);
    if (t->o.group_went)
        t->o.group_went(t->o.ctx, &n->t);
    namer_gone(n);
}

static void changed(void *ctx, struct node *n) {
    struct targets *t = ctx;
    bool was = n->t.slot != TARGET_NO_SLOT;

    show_or_hide(t, n);
    if (was && n->t.slot != TARGET_NO_SLOT && t->o.renamed)
        t->o.renamed(t->o.ctx, &n->t);
}

/* ---- update ---- */

static void step_all(struct targets *t) {
    uint32_t now_ms = t->now_ms;

    if (!namer_is_due(t->due_ms, now_ms))
        return;
    t->due_ms = 0;
    for (struct node *n = t->tree.top; n; n = tree_next(n)) {
        if (namer_is_due(n->due_ms, now_ms)) {
            namer_step(&t->namer, n, now_ms);
            show_or_hide(t, n);
        }
        schedule(t, n->due_ms);
    }
    names_flush(t->namer.names);
}

/* Plain groups are looked at again now and then, spread over the time to the next rescan: a
 * container may move into any of them. */
static void look_again(struct targets *t) {
    uint64_t i = 0, n_groups = t->tree.count;

    for (struct node *n = t->tree.top; n; n = tree_next(n), i++) {
        if (n->t.kind != TARGET_GROUP || n->due_ms != 0 || !n->parent)
            continue;
        n->due_ms = t->now_ms + (uint32_t)(i * (RESCAN_US / 1000) / n_groups);
        n->due_ms += n->due_ms == 0;
        schedule(t, n->due_ms);
    }
}

static bool is_blind(const struct targets *t) {
    return t->o.watch && (t->tree.inotify < 0 || t->tree.unwatched > 0);
}

static int rescan(struct targets *t, int64_t now_us) {
    int64_t before = clock_mono_us(), wait = RESCAN_US;
    int r = tree_scan(&t->tree);

    if (r < 0)
        return r;
    /* Some groups have no watch: soon again, but never at the price of more than a twentieth of
     * the time. */
    if (is_blind(t)) {
        wait = 20 * (clock_mono_us() - before);
        if (wait < FALLBACK_MIN_US)
            wait = FALLBACK_MIN_US;
        if (wait > FALLBACK_MAX_US)
            wait = FALLBACK_MAX_US;
    }
    t->scanned_us = now_us;
    t->rescan_us = now_us + wait;
    if (now_us - t->looked_us >= RESCAN_US) {
        t->looked_us = now_us;
        look_again(t);
    }
    return 0;
}

/* The pipes of running jobs come and go: the set follows. Closing one takes it out. */
static void watch_jobs(struct targets *t) {
    for (size_t i = 0; i < NAMING_JOBS && t->epoll >= 0; i++) {
        struct epoll_event event = {.events = EPOLLIN};
        int fd = t->namer.job[i].job.fd;

        if (fd >= 0)
            (void)epoll_ctl(t->epoll, EPOLL_CTL_ADD, fd, &event); /* EEXIST: it is in */
    }
}

int targets_update(struct targets *t, int64_t now_us) {
    int r;

    t->now_ms = namer_clock(&t->namer, now_us);
    r = tree_drain(&t->tree, EVENTS_AT_ONCE);
    if (t->tree.lost && t->rescan_us > t->scanned_us + FALLBACK_MIN_US)
        t->rescan_us = t->scanned_us + FALLBACK_MIN_US;
    if (r == 0 && now_us >= t->rescan_us && (t->o.watch || t->tree.lost))
        r = rescan(t, now_us);
    if (r < 0)
        return r;
    step_all(t);
    if (namer_jobs(&t->namer, now_us))
        t->due_ms = t->now_ms; /* an answer made something due, at a time to be found out */
    watch_jobs(t);
    r = t->error;
    t->error = 0;
    return r;
}

/* When a time on the table's clock comes, which may be over already. */
static int64_t us_of(const struct targets *t, uint32_t due_ms) {
    int32_t left = (int32_t)(due_ms - t->now_ms);

    return t->namer.epoch_us + ((int64_t)t->now_ms + (left > 0 ? left : 0)) * 1000;
}

static int64_t earlier(int64_t a, int64_t b) {
    return a < b ? a : b;
}

int64_t targets_due_us(const struct targets *t) {
    int64_t due = t->o.watch || t->tree.lost ? t->rescan_us : INT64_MAX;

    if (t->due_ms != 0)
        due = earlier(due, us_of(t, t->due_ms));
    if (t->namer.waiting && t->namer.job[0].job.pid == 0)
        due = earlier(due, us_of(t, t->namer.asked_ms));
    for (size_t i = 0; i < NAMING_JOBS; i++)
        if (t->namer.job[i].job.pid > 0)
            due = earlier(due, t->namer.job[i].job.deadline_us);
    return due;
}

/* Whether something shown has no final name yet. */
static bool unsettled(const struct targets *t) {
    for (const struct node *n = t->tree.top; n; n = tree_next(n))
        if (n->naming && n->naming->stage != NAMING_SETTLED &&
            (n->t.slot != TARGET_NO_SLOT || target_is_container(&n->t)))
            return true;
    return false;
}

void targets_settle(struct targets *t, int64_t max_ms) {
    int64_t end = clock_mono_us() + max_ms * 1000;

    for (;;) {
        int64_t now = clock_mono_us(), until;
        struct pollfd p = {.fd = t->epoll, .events = POLLIN};

        if (now >= end || targets_update(t, now) < 0 || !unsettled(t))
            return;
        until = targets_due_us(t);
        if (until > end)
            until = end;
        now = clock_mono_us();
        if (until > now)
            (void)poll(&p, 1, (int)((until - now + 999) / 1000));
    }
}

void targets_rescan(struct targets *t) {
    t->tree.lost = true;
    t->rescan_us = t->scanned_us;
}

/* ---- beginning and end ---- */

static void open_epoll(struct targets *t) {
    struct epoll_event event = {.events = EPOLLIN};

    t->epoll = epoll_create1(EPOLL_CLOEXEC);
    if (t->epoll >= 0 && t->tree.inotify >= 0)
        (void)epoll_ctl(t->epoll, EPOLL_CTL_ADD, t->tree.inotify, &event);
}

static int start(struct targets *t) {
    int64_t now_us = clock_mono_us();
    int r = namer_init(&t->namer, t->h, t->fs, &t->tree, t->o.ask);

    if (r < 0)
        return r;
    t->now_ms = namer_clock(&t->namer, now_us);
    t->looked_us = now_us;
    t->namer.changed = changed;
    t->namer.ctx = t;
    t->namer.initial = true;
    r = tree_init(&t->tree, t->fs, t->o.watch);
    if (r < 0)
        return r;
    r = rescan(t, now_us);
    if (r < 0)
        return r;
    t->namer.initial = false;
    if (t->tree.top->unreadable)
        return -EACCES;
    open_epoll(t);
    step_all(t);
    r = t->error;
    t->error = 0;
    return r;
}

int targets_new(const struct host *h, const struct cgfs *fs, const struct targets_options *options,
                struct targets **out, struct err *err) {
    struct targets *t = calloc(1, sizeof(*t));
    int r;

    if (!t)
        return err_set(err, -ENOMEM, "cannot list the control groups:");
    t->o = *options;
    t->o.watch = t->o.watch && h->live;
    t->h = h;
    t->fs = fs;
    t->epoll = -1;
    t->tree.inotify = -1;
    t->tree.born = born;
    t->tree.gone = gone;
    t->tree.ctx = t;
    r = start(t);
    if (r < 0) {
        targets_free(t);
        return err_set(err, r, "cannot list the control groups of '%s%s':", h->prefix,
                       fs->memory_point);
    }
    *out = t;
    return 0;
}

void targets_free(struct targets *t) {
    if (!t)
        return;
    t->o.added = t->o.removed = t->o.renamed = NULL;
    t->o.group_came = t->o.group_went = NULL;
    tree_done(&t->tree);
    namer_done(&t->namer);
    for (size_t i = 0; i < t->chosen_n; i++)
        free(t->chosen[i]);
    free(t->chosen);
    free(t->slot);
    if (t->epoll >= 0)
        close(t->epoll);
    free(t);
}

/* ---- questions ---- */

int targets_fd(const struct targets *t) {
    return t->epoll;
}

int targets_choose(struct targets *t, struct str path) {
    auto_free char *copy = NULL;
    struct node *n = tree_find(&t->tree, path);
    char **bigger;

    for (size_t i = 0; i < t->chosen_n; i++)
        if (str_eq(path, str_of(t->chosen[i])))
            return 0;
    copy = strndup(path.p, path.n);
    bigger = copy ? realloc(t->chosen, (t->chosen_n + 1) * sizeof(char *)) : NULL;
    if (!bigger)
        return -ENOMEM;
    t->chosen = bigger;
    t->chosen[t->chosen_n++] = take_ptr(&copy);
    if (n) {
        n->chosen = true;
        show_or_hide(t, n);
    }
    return 0;
}

uint32_t targets_slots(const struct targets *t) {
    return t->slots;
}

const struct target *targets_at(const struct targets *t, uint32_t slot) {
    return slot < t->slots && t->slot[slot] ? &t->slot[slot]->t : NULL;
}

uint32_t targets_shown(const struct targets *t) {
    return t->shown;
}

const struct target *targets_find(const struct targets *t, struct str path) {
    const struct node *n = tree_find(&t->tree, path);

    return n ? &n->t : NULL;
}

const struct target *targets_next(const struct targets *t, const struct target *last) {
    /* a target is the first member of its node */
    const struct node *n = last ? tree_next((const struct node *)last) : t->tree.top;

    return n ? &n->t : NULL;
}

size_t targets_groups(const struct targets *t) {
    return t->tree.count;
}

const struct target *targets_container(const struct target *t) {
    return target_is_container(t) ? t : t->inside;
}

struct targets_health targets_health(const struct targets *t) {
    struct targets_health h = {
        .no_watches = is_blind(t),
        .overflows = t->tree.overflows,
        .too_many = t->tree.too_many,
        .unreadable = t->tree.unreadable,
    };

    for (const struct node *n = t->tree.top; n; n = tree_next(n)) {
        bool denied = n->naming && n->naming->denied && n->t.named_by == SOURCE_PATH;

        h.denied += denied;
        h.denied_shown += denied && n->t.slot != TARGET_NO_SLOT;
    }
    return h;
}

const struct host *targets_host(const struct targets *t) {
    return t->h;
}

const struct cgfs *targets_cgfs(const struct targets *t) {
    return t->fs;
}
