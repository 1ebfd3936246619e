#include "guard/guards.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>

#include "base/clock.h"
#include "base/hurry.h"
#include "base/log.h"
#include "base/mem.h"
#include "guard/guardsint.h"
#include "guard/locked.h"

enum {
    HANDS_LEAST = 3,
    HANDS_MOST = 8,
    GROUPS_PER_HAND = 50,
    RESERVE_AGAIN_US = 2000000,
    WARDEN_AGAIN_US = 10000000,
    UNREAD_US = 250000,
    BEAT_US = 3000000,
    BEAT_AGAIN_US = 500000,
    FORK_ROOM = 5 << 19, /* 2.5 MB: what is ours alone, the reserve, page tables */
};

/* --- policies --------------------------------------------------------------------------------- */

/* Many groups have the same one. */
static const struct policy *share(struct guards *g, const struct policy *p) {
    struct shared_policy *s;

    for (s = g->policies; s; s = s->next)
        if (policy_same(&s->policy, p)) {
            s->users++;
            return &s->policy;
        }
    s = calloc(1, sizeof(*s));
    if (!s)
        return NULL;
    *s = (struct shared_policy){.next = g->policies, .users = 1, .policy = *p};
    g->policies = s;
    return &s->policy;
}

static void unshare(struct guards *g, const struct policy *p) {
    for (struct shared_policy **at = &g->policies; *at; at = &(*at)->next) {
        struct shared_policy *s = *at;

        if (&s->policy != p)
            continue;
        if (--s->users == 0) {
            *at = s->next;
            free(s);
        }
        return;
    }
}

/* --- time ------------------------------------------------------------------------------------- */

static void set_timer(int timer, int64_t at_us) {
    struct itimerspec spec = {.it_value = {at_us / 1000000, at_us % 1000000 * 1000}};

    (void)timerfd_settime(timer, TFD_TIMER_ABSTIME, &spec, NULL);
}

/* Who is slowed down at a wire waits for us: the warden undoes them all when this is not put off.
 */
static void beat(struct guards *g, int64_t now_us) {
    if (now_us - g->beat_us < BEAT_AGAIN_US)
        return;
    g->beat_us = now_us;
    set_timer(g->beat, now_us + BEAT_US);
}

/* One timer for all, set to what is due first: nothing is allocated to wait. */
void guards_plan(struct guards *g, int64_t now_us) {
    int64_t next = g->hands_us;

    beat(g, now_us);
    for (unsigned i = 0; i < g->n; i++)
        if (g->at[i] && (next == 0 || g->at[i]->look_us < next))
            next = g->at[i]->look_us;
    if (next == g->armed_us)
        return;
    g->armed_us = next;
    if (next > 0 && next <= now_us)
        next = now_us + 1;
    set_timer(g->timer, next);
}

static void gone(struct guards *g, struct guarded *x) {
    unsigned id = x->id;

    guards_remove(g, id, "the group was removed");
    if (g->o.gone)
        g->o.gone(g->o.ctx, id);
}

/* Limits that others have moved take their marks with them. */
static void refresh(struct guarded *x, int64_t now_us) {
    struct guards *g = x->owner;
    int moved;

    if (now_us < x->refresh_us)
        return;
    x->refresh_us = now_us + GUARDED_REFRESH_US;
    moved = grip_refresh(&x->grip);
    if (moved < 0)
        return; /* the look that follows says why */
    if (moved > 0 || (high_may(x) && !tripwire_stands(&x->wire, &x->grip)))
        x->last.have = 0; /* where the marks lie is looked at anew */
    (void)guarded_watch(x, false, g->o.loop, guards_on_event);
}

/* It is there yet, and cannot be read now: that is no reason to leave it. */
static void unread(struct guarded *x, int r, int64_t now_us) {
    if (x->failed_looks++ == 0)
        log_line(LOG_BAD, "'%s' cannot be looked at: %s; it is tried again", x->grip.name,
                 strerror(-r));
    x->look_us = now_us + UNREAD_US;
}

/* A look, and all that follows from it. */
static void attend(struct guarded *x, int64_t now_us) {
    struct guards *g = x->owner;
    struct facts facts;
    bool enough;
    int r;

    refresh(x, now_us);
    r = guarded_look(x, now_us, &facts, &enough);
    if (r == -ENODEV) {
        gone(g, x);
        return;
    }
    if (r < 0) {
        unread(x, r, now_us);
        return;
    }
    x->failed_looks = 0;
    if (enough) {
        carry_on(x, &facts);
        high_lay(x, &facts);
    }
    record_tell(g);
    guarded_plan(x, &facts, now_us);
}

int guards_on_event(struct loop *loop, uint32_t what, void *ctx) {
    struct guarded *x = ctx;
    struct guards *g = x->owner;
    int64_t now_us = clock_mono_us();

    (void)loop, (void)what;
    (void)cgwatch_take(&x->watch);
    attend(x, now_us);
    guards_plan(g, now_us);
    return 0;
}

/* A fork makes us copy our own pages: in a group without room for them we would wait for ever. */
static bool may_fork(void *ctx) {
    struct guards *g = ctx;

    (void)grip_refresh(&g->own);
    for (unsigned i = 0; i < g->own.levels; i++) {
        const struct grip_level *l = &g->own.level[i];
        uint64_t usage;

        if (l->bytes != CGROUP_NO_LIMIT && grip_usage(l, &usage) == 0 &&
            (usage > l->bytes || l->bytes - usage < FORK_ROOM))
            return false;
    }
    return true;
}

/* Its tasks wait for memory: at most once in half a second. */
static int on_pressure(struct loop *loop, uint32_t what, void *ctx) {
    struct guarded *x = ctx;
    struct guards *g = x->owner;
    int64_t now_us = clock_mono_us();

    if (what & EPOLLERR) /* that tree's group is gone; the memory group may live on */
        guarded_unwatch_pressure(x, loop);
    attend(x, now_us);
    guards_plan(g, now_us);
    return 0;
}

static int on_warden(struct loop *loop, uint32_t what, void *ctx);

static int raise_warden(struct guards *g, struct err *err) {
    int r;

    if (g->warden_id)
        loop_remove(g->o.loop, g->warden_id);
    g->warden_id = 0;
    r = warden_again(g->warden, err);
    if (r == 0)
        r = loop_add_fd(g->o.loop, warden_fd(g->warden), EPOLLIN, on_warden, g, &g->warden_id);
    hands_stale(g->hands, g->generation);
    return r;
}

/* The warden was killed: what is held needs another. */
static int on_warden(struct loop *loop, uint32_t what, void *ctx) {
    struct guards *g = ctx;
    struct err err;

    (void)loop, (void)what;
    if (warden_stands(g->warden))
        return 0;
    log_line(LOG_WARN,
             "the warden, which undoes what we hold when we end, was ended: making another");
    if (raise_warden(g, &err) == 0)
        return 0;
    log_line(LOG_BAD, "%s: what is held is let go; it is tried again", err.text);
    for (unsigned i = 0; i < g->n; i++)
        if (g->at[i]) {
            carry_release(g->at[i], "there is no warden", clock_mono_us());
            (void)oomhold_let_go(&g->at[i]->hold);
        }
    record_tell(g);
    return 0;
}

/* Without one nothing is lent, paused or slowed down. Not at each turn: one that hangs is waited
 * for, and nobody is guarded meanwhile. */
static void see_warden(struct guards *g, int64_t now_us) {
    struct err err;

    if (warden_stands(g->warden) || now_us < g->warden_us)
        return;
    if (raise_warden(g, &err) == 0)
        log_line(LOG_NOTE, "there is a warden again");
    else
        g->warden_us = clock_mono_us() + WARDEN_AGAIN_US;
}

static int on_timer(struct loop *loop, uint32_t what, void *ctx) {
    struct guards *g = ctx;
    int64_t now_us = clock_mono_us();
    uint64_t times;

    (void)loop, (void)what;
    (void)!read(g->timer, &times, sizeof(times));
    g->armed_us = 0;
    for (unsigned i = 0; i < g->n; i++)
        if (g->at[i] && g->at[i]->look_us <= now_us)
            attend(g->at[i], now_us);
    g->hands_us = hands_tick(g->hands, now_us);
    if (now_us - g->saved_us > RESERVE_AGAIN_US) {
        g->saved_us = now_us;
        if (may_fork(g)) {
            locked_save();
            see_warden(g, now_us);
            if (g->scribe)
                scribe_check(g->scribe);
        }
    }
    guards_plan(g, clock_mono_us());
    return 0;
}

/* --- hands ------------------------------------------------------------------------------------ */

static struct grip *grip_of(void *ctx, unsigned group) {
    struct guards *g = ctx;

    return group < g->n && g->at[group] ? &g->at[group]->grip : NULL;
}

static uint64_t generation_of(void *ctx, unsigned group) {
    struct guards *g = ctx;

    return group < g->n && g->at[group] ? g->at[group]->generation : 0;
}

static void hand_ended(void *ctx, unsigned group, uint64_t generation, enum action action,
                       const struct action_report *report, int64_t took_us) {
    struct guards *g = ctx;
    int64_t now_us = clock_mono_us();

    if (generation == 0 || generation_of(g, group) != generation)
        return; /* another has its id now */
    g->at[group]->look_us = now_us;
    carry_ended(g->at[group], action, report, took_us);
    record_tell(g);
    guards_plan(g, now_us);
}

/* --- all of it -------------------------------------------------------------------------------- */

/* The group that we are in ourselves; nothing open where that cannot be told. */
static void open_own(struct guards *g) {
    char path[GRIP_PATH];
    struct err err;

    if (cgfs_own_path(g->o.host, g->o.fs, path, sizeof(path)) == 0)
        (void)grip_open(g->o.host, g->o.fs, str_of(path), &g->own, &err);
}

static int open_all(struct guards *g, struct err *err) {
    unsigned hands = HANDS_LEAST + g->n / GROUPS_PER_HAND;
    struct hands_options with = {
        .loop = g->o.loop,
        .group = grip_of,
        .generation = generation_of,
        .ended = hand_ended,
        .may_fork = may_fork,
        .ctx = g,
        .dump_dir = g->o.dump_dir,
        .agent_socket = g->o.agent_socket,
    };
    int r;

    open_own(g);
    g->timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
    g->beat = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
    if (g->timer < 0 || g->beat < 0)
        return err_set(err, -errno, "cannot make a timer:");
    r = warden_start(&g->warden, err);
    if (r == 0 && g->o.audit >= 0)
        r = scribe_start(g->o.audit, g->o.audit_path, &g->scribe, err);
    if (r < 0)
        return r;
    r = brakes_new(&g->brakes);
    if (r == 0)
        r = killer_new(&g->killer);
    if (r == 0)
        r = loop_add_fd(g->o.loop, g->timer, EPOLLIN, on_timer, g, &g->timer_id);
    if (r == 0)
        r = loop_add_fd(g->o.loop, warden_fd(g->warden), EPOLLIN, on_warden, g, &g->warden_id);
    if (r < 0)
        return err_set(err, r, "cannot begin to guard:");
    with.warden = g->warden;
    r = hands_new(&with, hands < HANDS_MOST ? hands : HANDS_MOST, &g->hands, err);
    if (r < 0)
        return r;
    hands_stale(g->hands, g->generation);
    g->hands_us = hands_tick(g->hands, clock_mono_us());
    guards_plan(g, clock_mono_us());
    return 0;
}

int guards_new(const struct guards_options *o, struct guards **out, struct err *err) {
    struct guards *g = calloc(1, sizeof(*g));
    int r = -ENOMEM;

    if (g) {
        g->o = *o;
        g->n = o->most;
        g->timer = g->beat = -1;
        g->own = (struct grip)GRIP_NONE;
        g->at = calloc(o->most, sizeof(*g->at));
        buf_fixed(&g->line, g->line_text, sizeof(g->line_text));
    }
    r = g && g->at ? open_all(g, err) : err_set(err, -ENOMEM, "no memory to guard with");
    if (r < 0) {
        guards_free(g);
        return r;
    }
    *out = g;
    return 0;
}

void guards_free(struct guards *g) {
    if (!g)
        return;
    g->over = true;
    for (unsigned i = 0; g->at && i < g->n; i++)
        guards_remove(g, i, "the guard ends");
    pressuresock_free(g->pressure);
    hands_free(g->hands);
    if (g->timer >= 0 && g->timer_id)
        loop_remove(g->o.loop, g->timer_id);
    if (g->warden_id)
        loop_remove(g->o.loop, g->warden_id);
    mem_close_fd(&g->timer);
    mem_close_fd(&g->beat);
    warden_end(g->warden);
    scribe_end(g->scribe);
    killer_free(g->killer);
    brakes_free(g->brakes);
    grip_done(&g->own);
    free(g->at);
    free(g);
}

int guards_add(struct guards *g, unsigned id, struct str path, struct str name,
               const struct policy *p, struct err *err) {
    const struct policy *policy;
    struct guarded *x;
    int r;

    if (id >= g->n || g->at[id])
        return err_set(err, -EINVAL, "no room for another guard");
    r = policy_check(p, err);
    if (r < 0)
        return r;
    policy = share(g, p);
    x = policy ? calloc(1, sizeof(*x)) : NULL;
    if (!x) {
        if (policy)
            unshare(g, policy);
        return err_set(err, -ENOMEM, "no memory for another guard");
    }
    r = guarded_open(x, g->o.host, g->o.fs, path, name, policy, err);
    if (r < 0) {
        unshare(g, policy);
        free(x);
        return r;
    }
    x->owner = g;
    x->id = id;
    x->generation = ++g->generation;
    g->at[id] = x;
    if (guarded_watch(x, g->o.most == 1, g->o.loop, guards_on_event) < 0)
        log_line(LOG_NOTE, "'%s' has no events of the kernel's here: it is looked at by time",
                 x->grip.name);
    guarded_watch_pressure(x, g->o.loop, on_pressure);
    carry_begin(x);
    record_tell(g); /* who reads that it is guarded may rely on it */
    hands_stale(g->hands, g->generation);
    g->hands_us = hands_tick(g->hands, clock_mono_us());
    x->look_us = clock_mono_us() + 1;
    guards_plan(g, clock_mono_us());
    return 0;
}

void guards_remove(struct guards *g, unsigned id, const char *why) {
    struct guarded *x = id < g->n ? g->at[id] : NULL;

    if (!x)
        return;
    if (g->hands && !g->over)
        hands_end(g->hands, x->generation);
    carry_over(x, why); /* records that too */
    record_tell(g);
    g->at[id] = NULL;
    unshare(g, x->policy);
    guarded_close(x, g->o.loop);
    free(x);
    if (g->hands)
        hands_stale(g->hands, g->generation);
}

bool guards_recorded(struct guards *g, int64_t within_us) {
    return !g->scribe || scribe_wait(g->scribe, within_us);
}

int guards_ask(struct guards *g, unsigned id, enum action action, const char *by,
               char id_out[AUDIT_ID]) {
    struct guarded *x = id < g->n ? g->at[id] : NULL;
    struct facts facts;

    if (!x)
        return -ENOENT;
    if (!policy_has(x->policy, action))
        return -EACCES;
    if (x->slow.any || x->term.any || !ladder_allows(&x->ladder, action, clock_mono_us()))
        return -EBUSY;
    if (grip_read(&x->grip, GRIP_STAT | GRIP_EVENTS, &facts) < 0)
        return -ENODEV;
    carry_asked(x, &facts, action, by, id_out);
    record_tell(g);
    x->look_us = clock_mono_us() + 1;
    guards_plan(g, clock_mono_us());
    return 0;
}

int guards_lock(struct err *err) {
    int r = locked_all(err);

    locked_again();
    hurry();
    return r;
}
