#include "engine/watch.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "discover/targets.h"
#include "engine/hostsample.h"
#include "engine/instance.h"
#include "engine/oomtally.h"
#include "engine/procwatch.h"
#include "engine/rtwatch.h"
#include "engine/stray.h"
#include "sampler/pace.h"
#include "sampler/tick.h"

enum {
    LOOKS_PER_ROUND = 32,         /* at processes, at most; */
    LOOKS_US = 3000,              /* and so long */
    SOON_US = 2000,               /* a name that is due sooner is asked for then */
    PROCS_STEP = 4 << 20,         /* memory that moved by so much: processes are looked at soon */
    PROCS_SOON_US = 1 * 1000000,  /* but not sooner than that after the last look */
    RUNTIMES_US = 15 * 1000000,   /* runtimes are looked at so often, */
    RUNTIMES_FIRST_US = 2000000,  /* first so soon, */
    RUNTIMES_NEW_US = 2000000,    /* so soon after a target came, */
    RUNTIMES_REST_US = 8000000,   /* but so long after the last look; */
    RUNTIMES_STALE_US = 50000000, /* what was not looked at for so long is not known any more */
    RING_LEAST = 4 << 20,
    RING_PER_TARGET = 2048, /* a KEY and what it is called, with room to spare */
};

#define RUNTIME_METRICS                                                                            \
    (1ull << METRIC_RT_HEAP_USED | 1ull << METRIC_RT_HEAP_COMMITTED |                              \
     1ull << METRIC_RT_HEAP_IDLE | 1ull << METRIC_RT_GCS | 1ull << METRIC_RT_GC_US |               \
     1ull << METRIC_RT_TASKS)

/* What is kept of a slot of the table of targets. */
struct watched {
    const struct target *target; /* NULL: nobody has the slot */
    uint32_t uid;
    uint32_t version; /* of the sample that was told, as the ticker counts */
    bool told;        /* the front knows what it is called now */
    bool fresh;       /* has come since the last update */
    int64_t born_ms, due_us, looked_us, look_due_us;
    uint64_t looked_used, instance, run;
    int64_t run_ms; /* when that was seen to begin; 0: it was there before */
    struct tick_limit limit;
    struct pace pace;
    struct sample sent;
    char lang[RTSUM_LANG];     /* of its largest process; "": not known */
    struct rt_figures runtime; /* of the last look; counters since it came */
    uint64_t counted[RT_FIGURES];
    int64_t runtime_us; /* when that was */
};

struct watch {
    struct watch_options o;
    struct targets *targets;
    struct ticker *ticker;
    struct oomtally *oom;
    uint64_t boot;
    struct procwatch procs;
    struct hostsample host;
    struct rtwatch *runtimes;
    uint32_t runtimes_id;
    bool has_runtimes; /* a look is going on, and its descriptor is watched */
    int64_t runtimes_due_us, runtimes_begun_us;
    struct sample merged;
    struct sample host_now, host_sent;
    bool host_told;
    struct watched *at;    /* by slot */
    uint32_t *some, slots; /* room for the slots of a look in between */
    uint32_t fast, look_from;
    bool failed;
    uint32_t round_id, fast_id, soon_id, watch_id;
    bool has_fast, has_soon;
    int64_t round_due_us, round_before_us;
    struct watch_figures figures;
};

/* --- messages --------------------------------------------------------------------------------- */

static struct str limit_words(const struct tick_limit *limit) {
    if (limit->from == LIMIT_LEVEL)
        return limit->path;
    return limit->from == LIMIT_OUTSIDE ? STR("outside") : STR("host");
}

static void describe(const struct watch *w, const struct watched *x, struct wire_target *out) {
    const struct target *t = x->target;
    enum cg_version version = w->o.fs->ctl[CG_MEMORY].version;

    *out = (struct wire_target){
        .uid = x->uid,
        .kind = t->kind,
        .runtime = t->runtime,
        .qos = t->qos,
        .limit_certain = x->limit.certain,
        .version = version == CG_V1 ? WIRE_CG_V1 : WIRE_CG_V2,
        .start_ms = t->start_ms,
        .init_pid = t->init_pid,
        .born_ms = (uint64_t)x->born_ms,
        .instance = x->instance,
        .run = x->run,
        .run_ms = x->run_ms,
        .path = t->path,
        .name = str_of(t->name),
        .id = str_of(t->id),
        .image = str_of(t->image),
        .pod = str_of(t->pod),
        .namespace = str_of(t->namespace),
        .container = str_of(t->container),
        .unit = str_of(t->unit),
        .inside = t->inside ? t->inside->path : (struct str){"", 0},
        .limit_from = limit_words(&x->limit),
        .labels = str_of(t->labels),
        .lang = str_of(x->lang),
    };
}

static void tell_target(struct watch *w, struct watched *x) {
    struct wire_target told;
    struct wire_out out;

    describe(w, x, &told);
    link_begin(w->o.link, &out, WIRE_TARGET);
    (void)wire_add_target(&out, &told); /* fits: texts are cut */
    link_put(w->o.link, &out);
    guardfeed_target(w->o.guard, x->target->slot, &told);
    x->told = true;
}

static void tell_host(struct watch *w) {
    const struct wire_target told = {
        .uid = WIRE_UID_HOST,
        .kind = TARGET_GROUP,
        .version = w->o.fs->ctl[CG_MEMORY].version == CG_V1 ? WIRE_CG_V1 : WIRE_CG_V2,
        .limit_certain = true,
        .path = STR("/"),
        .name = STR("host"),
        .limit_from = STR("host"),
    };
    struct wire_out out;

    link_begin(w->o.link, &out, WIRE_TARGET);
    (void)wire_add_target(&out, &told);
    link_put(w->o.link, &out);
    w->host_told = true;
}

/* A tick being told, in as many messages as it needs. */
struct telling {
    struct watch *w;
    struct wire_out out;
    struct wire_tick tick;
    bool any;
};

static void begin(struct telling *t, struct watch *w, unsigned flags, int64_t at_ms) {
    *t = (struct telling){.w = w, .tick = {at_ms, flags}};
    link_begin(w->o.link, &t->out, WIRE_TICK);
    (void)wire_add_tick(&t->out, &t->tick);
}

static void tell_change(struct telling *t, uint32_t uid, struct sample *sent,
                        const struct sample *now, bool touch) {
    bool key = t->tick.flags & WIRE_TICK_KEY;
    size_t before = t->out.n;

    if (!wire_add_change(&t->out, uid, key ? NULL : sent, now, touch)) {
        wire_set_more(&t->out);
        link_put(t->w->o.link, &t->out);
        link_begin(t->w->o.link, &t->out, WIRE_TICK);
        (void)wire_add_tick(&t->out, &t->tick);
        (void)wire_add_change(&t->out, uid, key ? NULL : sent, now, touch);
        before = 0;
    }
    if (t->out.n == before)
        return;
    *sent = *now;
    t->any = true;
}

static void end(struct telling *t) {
    link_put(t->w->o.link, &t->out);
}

/* The sample with what the runtimes said last; valid until the next call. */
static const struct sample *with_runtimes(struct watch *w, const struct watched *x,
                                          const struct sample *s) {
    static const enum metric metric[RT_FIGURES] = {
        [RT_HEAP_USED] = METRIC_RT_HEAP_USED, [RT_HEAP_COMMITTED] = METRIC_RT_HEAP_COMMITTED,
        [RT_HEAP_IDLE] = METRIC_RT_HEAP_IDLE, [RT_GC_COUNT] = METRIC_RT_GCS,
        [RT_GC_US] = METRIC_RT_GC_US,         [RT_TASKS] = METRIC_RT_TASKS,
    };

    if (x->runtime.have == 0 && (s->have & RUNTIME_METRICS) == 0)
        return s;
    if (s != &w->merged)
        w->merged = *s;
    for (enum rt_figure f = 0; f < RT_FIGURES; f++)
        sample_take(&w->merged, metric[f], x->runtime.have & 1U << f, x->runtime.value[f]);
    return &w->merged;
}

/* --- rounds ----------------------------------------------------------------------------------- */

static bool same_limit(const struct tick_limit *a, const struct tick_limit *b) {
    return a->from == b->from && a->certain == b->certain && a->path.n == b->path.n &&
           (a->path.n == 0 || memcmp(a->path.p, b->path.p, a->path.n) == 0);
}

/* The sample of a slot, NULL when it has none; tells first what the target is called. */
static const struct sample *ready(struct watch *w, uint32_t slot) {
    struct watched *x = &w->at[slot];
    const struct sample *s = x->target ? ticker_sample(w->ticker, slot) : NULL;
    struct tick_limit limit;

    if (!s)
        return NULL;
    ticker_limit(w->ticker, slot, &limit);
    if (!same_limit(&limit, &x->limit)) {
        x->limit = limit;
        x->told = false;
    }
    if (!x->told)
        tell_target(w, x);
    /* The path belongs to the ticker, and may be gone at the next tick: the target's own stays. */
    return s;
}

static void note(struct watch *w, struct watched *x, const struct sample *s, int64_t now_us) {
    int64_t period;

    if (x->pace.at_us != 0 && x->pace.at_us < w->round_before_us)
        x->pace.at_us = w->round_before_us; /* until then it was as it had been: see is_quiet */
    period = pace_next(&x->pace, s, now_us, w->o.interval_us, w->o.fastest_us);
    if (period < w->o.interval_us)
        w->fast++;
    x->due_us = period < w->o.interval_us ? now_us + period : INT64_MAX;
    if (sample_has(s, METRIC_OOM_KILLS) &&
        (!sample_has(&x->sent, METRIC_OOM_KILLS) ||
         s->value[METRIC_OOM_KILLS] != x->sent.value[METRIC_OOM_KILLS]))
        oomtally_seen(w->oom, x->uid, s->value[METRIC_OOM_KILLS]);
    w->figures.samples++;
}

/* Nothing of its sample has changed since it was told, and nothing is due: a round passes it over
 * without looking at either. */
static bool is_quiet(const struct watch *w, uint32_t slot) {
    const struct watched *x = &w->at[slot];

    return x->told && x->due_us == INT64_MAX && x->version != 0 &&
           x->version == ticker_version(w->ticker, slot);
}

static int on_fast(struct loop *loop, uint32_t what, void *ctx);

/* The timer of the looks in between runs only while somebody needs it. */
static void want_fast(struct watch *w) {
    if (w->fast > 0 && !w->has_fast && w->o.fastest_us < w->o.interval_us)
        w->has_fast = loop_add_timer(w->o.loop, w->o.fastest_us, w->o.fastest_us, on_fast, w,
                                     &w->fast_id) == 0;
    if (w->fast == 0 && w->has_fast) {
        loop_remove(w->o.loop, w->fast_id);
        w->has_fast = false;
    }
}

static void tell_round(struct watch *w, unsigned flags, int64_t now_us) {
    uint32_t slots = targets_slots(w->targets);
    int64_t at_ms = clock_wall_ms();
    bool all = flags & WIRE_TICK_KEY;
    struct telling t;

    if (!w->host_told)
        tell_host(w);
    for (uint32_t slot = 0; slot < slots; slot++)
        if (w->at[slot].target && (all || !is_quiet(w, slot)))
            (void)ready(w, slot);
    w->fast = 0;
    hostsample_read(&w->host, at_ms, &w->host_now);
    begin(&t, w, flags, at_ms);
    tell_change(&t, WIRE_UID_HOST, &w->host_sent, &w->host_now, false);
    for (uint32_t slot = 0; slot < slots; slot++) {
        struct watched *x = &w->at[slot];
        const struct sample *s;

        if (x->target && !all && is_quiet(w, slot)) {
            w->figures.samples++;
            continue;
        }
        s = x->target && x->told ? ticker_sample(w->ticker, slot) : NULL;
        if (!s)
            continue;
        note(w, x, s, now_us);
        tell_change(&t, x->uid, &x->sent, with_runtimes(w, x, s), false);
        x->version = ticker_version(w->ticker, slot);
    }
    w->round_before_us = now_us;
    end(&t);
    want_fast(w);
}

/* Reads these slots now and tells them. */
static void tell_some(struct watch *w, uint32_t n, int64_t now_us) {
    struct telling t;

    if (n == 0 || ticker_run_some(w->ticker, w->some, n) < 0)
        return;
    for (uint32_t i = 0; i < n; i++)
        (void)ready(w, w->some[i]);
    begin(&t, w, 0, clock_wall_ms());
    for (uint32_t i = 0; i < n; i++) {
        struct watched *x = &w->at[w->some[i]];
        const struct sample *s = x->told ? ticker_sample(w->ticker, w->some[i]) : NULL;

        if (!s)
            continue;
        note(w, x, s, now_us);
        tell_change(&t, x->uid, &x->sent, with_runtimes(w, x, s), true);
    }
    if (t.any)
        end(&t);
    want_fast(w);
}

/* --- what comes and goes ---------------------------------------------------------------------- */

static int reserve(struct watch *w, uint32_t slot) {
    uint32_t slots = w->slots ? w->slots : 64;
    struct watched *at;
    uint32_t *some;

    if (slot < w->slots)
        return 0;
    while (slots <= slot)
        slots *= 2;
    at = reallocarray(w->at, slots, sizeof(*at));
    if (!at)
        return -ENOMEM;
    memset(at + w->slots, 0, (slots - w->slots) * sizeof(*at));
    w->at = at;
    some = reallocarray(w->some, slots, sizeof(*some));
    if (!some)
        return -ENOMEM;
    w->some = some;
    w->slots = slots;
    return 0;
}

static bool is_top(const struct target *t) {
    return t->path.n == 1;
}

/* What it is called may have been told before with another run. */
static void see_run(struct watch *w, const struct target *t) {
    struct watched *x = t->slot < w->slots ? &w->at[t->slot] : NULL;
    uint64_t run;

    if (!x || x->target != t)
        return;
    run = instance_run(w->o.fs, w->boot, t);
    if (run == 0 || run == x->run)
        return;
    x->run_ms = x->run == 0 ? 0 : clock_wall_ms();
    x->run = run;
    if (x->run_ms > 0)
        tell_target(w, x); /* at once: the next start may come before the next round */
    else
        x->told = false;
}

static void on_group_came(void *ctx, const struct target *t) {
    struct watch *w = ctx;

    if (target_is_run_work(t))
        see_run(w, t->inside);
    if (oomtally_group_add(w->oom, t->path, w->round_due_us > 0) < 0)
        w->failed = true;
}

static void on_group_went(void *ctx, const struct target *t) {
    oomtally_group_remove(((struct watch *)ctx)->oom, t->path);
}

/* A target has come: its runtime is not waited for as long as usual. */
static void hurry_runtimes(struct watch *w, int64_t now_us) {
    int64_t due = w->runtimes_begun_us + RUNTIMES_REST_US;

    if (due < now_us + RUNTIMES_NEW_US)
        due = now_us + RUNTIMES_NEW_US;
    if (w->runtimes_due_us > due)
        w->runtimes_due_us = due;
}

static void on_added(void *ctx, const struct target *t) {
    struct watch *w = ctx;
    struct watched *x;
    int64_t now_ms = clock_wall_ms(), now_us = clock_mono_us();

    if (is_top(t))
        return; /* the machine itself stands for it */
    if (reserve(w, t->slot) < 0 || ticker_add(w->ticker, t) < 0) {
        w->failed = true;
        return;
    }
    x = &w->at[t->slot];
    *x = (struct watched){.target = t,
                          .uid = ++*w->o.next_uid,
                          .fresh = true,
                          .born_ms = now_ms,
                          .instance = instance_of(w->o.fs, w->boot, t->path),
                          .run = instance_run(w->o.fs, w->boot, t),
                          .due_us = INT64_MAX,
                          .look_due_us = now_us + PROCS_SOON_US};
    w->figures.targets++;
    hurry_runtimes(w, now_us);
    (void)oomtally_add(w->oom, x->uid, t->path, oomtally_kind_of(t),
                       w->round_due_us > 0 && instance_is_new(t));
}

static void tell_gone(struct watch *w, uint32_t uid) {
    struct wire_out out;

    link_begin(w->o.link, &out, WIRE_GONE);
    (void)wire_add_gone(&out, &(struct wire_gone){uid, clock_wall_ms()});
    link_put(w->o.link, &out);
}

static void on_removed(void *ctx, const struct target *t) {
    struct watch *w = ctx;
    struct watched *x = t->slot < w->slots ? &w->at[t->slot] : NULL;

    if (!x || x->target != t)
        return;
    if (!x->told)
        tell_target(w, x); /* it came and went before it was sampled: told all the same */
    oomtally_remove(w->oom, x->uid);
    tell_gone(w, x->uid);
    guardfeed_gone(w->o.guard, t->slot, x->uid);
    ticker_remove(w->ticker, t);
    w->figures.targets--;
    x->target = NULL;
}

static void on_renamed(void *ctx, const struct target *t) {
    struct watch *w = ctx;

    if (t->slot >= w->slots || w->at[t->slot].target != t)
        return;
    w->at[t->slot].told = false;
    if (t->runtime != RUNTIME_PLIMSOLL) /* of those on_group_came sees it */
        see_run(w, t);
}

/* A target that was never seen alive. Its number; 0: it would have been none. */
static uint32_t tell_stray(struct watch *w, const struct oomtally_kill *k, bool *outside) {
    struct wire_target told = {
        .version = w->o.fs->ctl[CG_MEMORY].version == CG_V1 ? WIRE_CG_V1 : WIRE_CG_V2,
        .born_ms = (uint64_t)k->at_ms,
    };
    struct stray stray;
    struct wire_out out;

    if (!stray_of(k->group, w->o.targets, &stray))
        return 0;
    told.uid = ++*w->o.next_uid;
    told.kind = stray.kind;
    told.runtime = stray.runtime;
    told.path = stray.path;
    told.name = (struct str){stray.name, stray.name_n};
    told.id = stray.id;
    link_begin(w->o.link, &out, WIRE_TARGET);
    (void)wire_add_target(&out, &told);
    link_put(w->o.link, &out);
    if (k->limit_path.n > 0) /* seen from the whole, not from the group inside of it */
        *outside = !str_starts(k->limit_path, told.path) ||
                   (k->limit_path.n > told.path.n && k->limit_path.p[told.path.n] != '/');
    return told.uid;
}

static void on_kill(void *ctx, const struct oomtally_kill *k) {
    struct watch *w = ctx;
    bool outside = k->outside;
    uint32_t stray = k->group.n > 0 ? tell_stray(w, k, &outside) : 0;
    const struct wire_oom told = {
        .uid = stray ? stray : k->uid,
        .at_ms = k->at_ms,
        .kills = k->kills,
        .sure = k->sure,
        .outside = outside,
        .victim_pid = k->victim_pid,
        .anon = k->anon,
        .file = k->file,
        .shmem = k->shmem,
        .comm = k->comm,
        .limit_path = k->limit_path,
    };
    struct wire_out out;

    for (uint32_t slot = 0; slot < w->slots; slot++) /* its count is read in the next round */
        if (w->at[slot].target && w->at[slot].uid == k->uid)
            ticker_hurry(w->ticker, slot);
    if (k->group.n > 0 && told.uid == 0)
        return; /* in nobody's group */
    for (uint32_t slot = 0; slot < w->slots; slot++)
        if (w->at[slot].target && w->at[slot].uid == told.uid && !w->at[slot].told)
            tell_target(w, &w->at[slot]);
    link_begin(w->o.link, &out, WIRE_OOM);
    (void)wire_add_oom(&out, &told);
    link_put(w->o.link, &out);
    if (stray)
        tell_gone(w, stray);
    (void)link_send(w->o.link);
}

static int on_soon(struct loop *loop, uint32_t what, void *ctx);

/* Takes in what came and went, and samples at once what is new. */
static void update(struct watch *w, int64_t now_us) {
    uint32_t n = 0;
    int64_t due;

    if (targets_update(w->targets, now_us) < 0)
        w->failed = true;
    for (uint32_t slot = 0; slot < targets_slots(w->targets) && slot < w->slots; slot++)
        if (w->at[slot].target && w->at[slot].fresh) {
            w->at[slot].fresh = false;
            w->some[n++] = slot;
        }
    tell_some(w, n, now_us);
    due = targets_due_us(w->targets);
    if (!w->has_soon && due < w->round_due_us)
        w->has_soon = loop_add_timer(w->o.loop, due - now_us > SOON_US ? due - now_us : SOON_US, 0,
                                     on_soon, w, &w->soon_id) == 0;
}

/* --- processes -------------------------------------------------------------------------------- */

/* A pod's and a slice's processes are those of the groups below them, which are targets too. */
static bool has_own_processes(const struct target *t) {
    return t->kind != TARGET_POD && t->kind != TARGET_SLICE;
}

static bool wants_look(const struct watch *w, const struct watched *x, int64_t now_us) {
    uint64_t used = x->sent.value[METRIC_USED], then = x->looked_used;

    if (!x->target || !x->told || !has_own_processes(x->target))
        return false;
    if (now_us >= x->look_due_us)
        return true;
    return now_us - x->looked_us >= PROCS_SOON_US && sample_has(&x->sent, METRIC_USED) &&
           (used > then ? used - then : then - used) >= PROCS_STEP + w->figures.targets * 4096;
}

static void look(struct watch *w, struct watched *x, int64_t now_us) {
    struct wire_out out;

    x->looked_us = now_us;
    x->look_due_us = now_us + procwatch_rest_us((uint32_t)w->figures.targets);
    x->looked_used = x->sent.value[METRIC_USED];
    link_begin(w->o.link, &out, WIRE_PROCS);
    if (procwatch_look(&w->procs, x->uid, x->target->path, clock_wall_ms(), &out) == 0)
        link_put(w->o.link, &out);
}

/* Targets take turns, so that none is forgotten when there are more than the budget allows. */
static void look_around(struct watch *w, int64_t now_us) {
    uint32_t slots = targets_slots(w->targets), looks = 0;
    int64_t until_us = clock_mono_us() + LOOKS_US;

    if (slots > w->slots)
        slots = w->slots;
    for (uint32_t i = 0; i < slots && looks < LOOKS_PER_ROUND && w->o.processes > 0; i++) {
        struct watched *x = &w->at[w->look_from++ % slots];

        if (!wants_look(w, x, now_us))
            continue;
        look(w, x, now_us);
        looks++;
        if (clock_mono_us() > until_us)
            break;
    }
}

/* --- runtimes --------------------------------------------------------------------------------- */

static bool same_figures(const struct rt_figures *a, const struct rt_figures *b) {
    if (a->have != b->have)
        return false;
    for (enum rt_figure f = 0; f < RT_FIGURES; f++)
        if (a->have & 1U << f && a->value[f] != b->value[f])
            return false;
    return true;
}

static void set_runtime(struct telling *t, struct watched *x, const struct rt_figures *now) {
    bool same = same_figures(&x->runtime, now);

    x->runtime = *now;
    if (same || !x->told || x->sent.have == 0)
        return; /* else it goes with its first sample */
    t->w->merged = x->sent;
    tell_change(t, x->uid, &x->sent, with_runtimes(t->w, x, &t->w->merged), false);
}

/* What a look says now, and counters as they have added up. */
static void take_answer(struct telling *t, struct watched *x, const struct rtanswer *a) {
    struct rt_figures now = a->now;

    for (enum rt_figure f = 0; f < RT_FIGURES; f++) {
        if (f != RT_GC_COUNT && f != RT_GC_US)
            continue;
        x->counted[f] += a->added[f];
        now.value[f] = x->counted[f];
    }
    x->runtime_us = clock_mono_us();
    set_runtime(t, x, &now);
}

static int by_uid(const void *left, const void *right) {
    const struct rtanswer *a = left, *b = right;

    return (a->uid > b->uid) - (a->uid < b->uid);
}

/* What came of a look: told at once, beside the rounds. What was not heard of for long is not known
 * any more. */
static void take_runtimes(struct watch *w, const struct rtanswer *answer, size_t n) {
    auto_free struct rtanswer *sorted = calloc(n ? n : 1, sizeof(*sorted));
    int64_t stale_us = clock_mono_us() - RUNTIMES_STALE_US;
    const struct rt_figures nothing = {0};
    struct telling t;

    if (!sorted)
        return;
    if (n > 0)
        memcpy(sorted, answer, n * sizeof(*sorted));
    qsort(sorted, n, sizeof(*sorted), by_uid);
    for (int pass = 0; pass < 2; pass++) { /* names first: a tick is one message after the other */
        if (pass == 1)
            begin(&t, w, 0, clock_wall_ms());
        for (uint32_t slot = 0; slot < w->slots; slot++) {
            struct watched *x = &w->at[slot];
            const struct rtanswer key = {.uid = x->uid}, *a;

            if (!x->target)
                continue;
            a = n ? bsearch(&key, sorted, n, sizeof(*sorted), by_uid) : NULL;
            if (pass == 1 && a)
                take_answer(&t, x, a);
            else if (pass == 1 && x->runtime.have && x->runtime_us < stale_us)
                set_runtime(&t, x, &nothing);
            if (pass == 1 || !a || strcmp(x->lang, a->lang) == 0)
                continue;
            memcpy(x->lang, a->lang, sizeof(x->lang));
            if (x->told)
                tell_target(w, x);
        }
    }
    if (t.any)
        end(&t);
}

static int on_runtimes(struct loop *loop, uint32_t what, void *ctx) {
    const struct rtanswer *answer = NULL;
    struct watch *w = ctx;
    enum job_state state;
    int32_t hung = 0;
    size_t n = 0;

    (void)what;
    state = rtwatch_poll(w->runtimes, &answer, &n, &hung);
    if (state == JOB_RUNNING)
        return 0;
    if (w->has_runtimes)
        loop_remove(loop, w->runtimes_id);
    w->has_runtimes = false;
    if (hung > 0)
        log_line(LOG_WARN, "process %d cannot be looked into: its runtime stays unknown", hung);
    take_runtimes(w, answer, n);
    (void)link_send(w->o.link);
    return 0;
}

static void look_at_runtimes(struct watch *w, int64_t now_us) {
    uint32_t slots = targets_slots(w->targets), n = 0;
    auto_free struct rtwatch_target *list = NULL;

    if (w->has_runtimes)
        (void)on_runtimes(w->o.loop, 0, w); /* it may be over its time */
    if (w->has_runtimes || !w->o.host->live || now_us < w->runtimes_due_us)
        return;
    w->runtimes_due_us = now_us + RUNTIMES_US;
    w->runtimes_begun_us = now_us;
    list = calloc(slots ? slots : 1, sizeof(*list));
    if (!list)
        return;
    for (uint32_t slot = 0; slot < slots && slot < w->slots; slot++) {
        const struct watched *x = &w->at[slot];

        if (x->target && has_own_processes(x->target))
            list[n++] = (struct rtwatch_target){x->uid, x->target->path};
    }
    if (n == 0 || rtwatch_begin(w->runtimes, list, n) < 0)
        return;
    w->has_runtimes = loop_add_fd(w->o.loop, rtwatch_fd(w->runtimes), EPOLLIN, on_runtimes, w,
                                  &w->runtimes_id) == 0;
}

/* --- the loop --------------------------------------------------------------------------------- */

static int on_round(struct loop *loop, uint32_t what, void *ctx) {
    struct watch *w = ctx;
    int64_t now_us = loop_now_us(loop), began_us = clock_mono_us();

    w->figures.late += now_us - w->round_due_us > w->o.interval_us / 2 || what > 1;
    w->round_due_us = now_us + w->o.interval_us;
    update(w, now_us);
    ticker_events_told(w->ticker, oomtally_unwatched(w->oom) == 0);
    if (ticker_run(w->ticker) < 0)
        w->failed = true;
    tell_round(w, WIRE_TICK_ROUND, now_us);
    w->figures.rounds++;
    w->figures.round_us = (uint64_t)(clock_mono_us() - began_us);
    w->figures.fast = w->fast;
    look_around(w, now_us);
    look_at_runtimes(w, now_us);
    (void)link_send(w->o.link); /* a broken socket is seen by whoever reads it */
    return w->failed ? -ENOMEM : 0;
}

static int on_fast(struct loop *loop, uint32_t what, void *ctx) {
    struct watch *w = ctx;
    int64_t now_us = loop_now_us(loop);
    uint32_t n = 0, fast = w->fast;

    (void)what;
    for (uint32_t slot = 0; slot < targets_slots(w->targets) && slot < w->slots; slot++)
        if (w->at[slot].target && w->at[slot].due_us <= now_us + w->o.fastest_us / 4)
            w->some[n++] = slot;
    tell_some(w, n, now_us);
    w->fast = fast; /* counted anew by rounds only */
    (void)link_send(w->o.link);
    return 0;
}

static int on_soon(struct loop *loop, uint32_t what, void *ctx) {
    struct watch *w = ctx;

    (void)what;
    w->has_soon = false;
    update(w, loop_now_us(loop));
    (void)link_send(w->o.link);
    return 0;
}

static int on_groups(struct loop *loop, uint32_t what, void *ctx) {
    (void)what;
    update(ctx, loop_now_us(loop));
    (void)link_send(((struct watch *)ctx)->o.link);
    return 0;
}

static int open_parts(struct watch *w, struct err *err) {
    static const enum targets_scope scope[] = {
        [WIRE_TARGETS_CONTAINERS] = TARGETS_CONTAINERS,
        [WIRE_TARGETS_SERVICES] = TARGETS_SERVICES,
        [WIRE_TARGETS_ALL] = TARGETS_ALL,
    };
    const struct tick_options tick = {
        .want = TICK_ALL,
        .all_groups = w->o.targets == WIRE_TARGETS_ALL,
        .spread = true,
        .adaptive = w->o.adaptive,
    };
    const struct targets_options table = {
        .scope = scope[w->o.targets],
        .watch = w->o.host->live,
        .ask = w->o.host->live,
        .added = on_added,
        .removed = on_removed,
        .renamed = on_renamed,
        .group_came = on_group_came,
        .group_went = on_group_went,
        .ctx = w,
    };
    int r = ticker_new(w->o.host, w->o.fs, &tick, &w->ticker, err);

    if (r == 0)
        r = oomtally_new(w->o.loop, w->o.host, w->o.fs, on_kill, w, &w->oom, err);
    if (r == 0 && procwatch_init(&w->procs, w->o.host, w->o.fs, w->o.processes) < 0)
        r = err_set(err, -ENOMEM, "cannot read processes:");
    if (r == 0 && rtwatch_new(w->o.host, w->o.fs, &w->runtimes) < 0)
        r = err_set(err, -ENOMEM, "cannot look at runtimes:");
    if (r == 0)
        r = targets_new(w->o.host, w->o.fs, &table, &w->targets, err);
    return r;
}

static int join_loop(struct watch *w) {
    int r = loop_add_timer(w->o.loop, 0, w->o.interval_us, on_round, w, &w->round_id);

    if (r == 0 && targets_fd(w->targets) >= 0)
        r = loop_add_fd(w->o.loop, targets_fd(w->targets), EPOLLIN, on_groups, w, &w->watch_id);
    w->round_due_us = clock_mono_us();
    w->runtimes_due_us = w->round_due_us + RUNTIMES_FIRST_US;
    w->runtimes_begun_us = w->round_due_us - RUNTIMES_REST_US;
    return r;
}

int watch_new(const struct watch_options *options, struct watch **out, struct err *err) {
    struct watch *w = calloc(1, sizeof(*w));
    int r;

    if (!w)
        return err_set(err, -ENOMEM, "cannot begin to watch:");
    w->o = *options;
    w->round_id = w->watch_id = UINT32_MAX;
    w->boot = instance_boot(options->host);
    hostsample_init(&w->host, options->host);
    r = reserve(w, 0) < 0 ? err_set(err, -ENOMEM, "cannot begin to watch:") : open_parts(w, err);
    if (r == 0 && join_loop(w) < 0)
        r = err_set(err, -ENOMEM, "cannot begin to watch:");
    if (r < 0) {
        watch_free(w);
        return r;
    }
    *out = w;
    return 0;
}

void watch_free(struct watch *w) {
    if (!w)
        return;
    if (w->round_id != UINT32_MAX)
        loop_remove(w->o.loop, w->round_id);
    if (w->watch_id != UINT32_MAX)
        loop_remove(w->o.loop, w->watch_id);
    if (w->has_fast)
        loop_remove(w->o.loop, w->fast_id);
    if (w->has_soon)
        loop_remove(w->o.loop, w->soon_id);
    if (w->has_runtimes)
        loop_remove(w->o.loop, w->runtimes_id);
    rtwatch_free(w->runtimes);
    targets_free(w->targets);
    oomtally_free(w->oom);
    ticker_free(w->ticker);
    procwatch_done(&w->procs);
    hostsample_done(&w->host);
    free(w->at);
    free(w->some);
    free(w);
}

void watch_tell_all(struct watch *w) {
    size_t room = RING_LEAST + w->figures.targets * RING_PER_TARGET;

    if (w->o.link->limit < room)
        w->o.link->limit = room < LINK_RING ? room : LINK_RING;
    link_key(w->o.link);
    w->host_told = false;
    for (uint32_t slot = 0; slot < w->slots; slot++) {
        w->at[slot].told = false;
        w->at[slot].look_due_us = 0;
    }
    tell_round(w, WIRE_TICK_KEY | WIRE_TICK_ROUND, loop_now_us(w->o.loop));
}

void watch_figures(const struct watch *w, struct watch_figures *out) {
    struct targets_health health = targets_health(w->targets);

    *out = w->figures;
    out->no_watches = health.no_watches;
    out->denied = ticker_denied(w->ticker);
    out->short_of_fds = ticker_short_of_fds(w->ticker);
}

/* --- for the guard ---------------------------------------------------------------------------- */

uint32_t watch_slots(const struct watch *w) {
    return w->slots;
}

bool watch_target(const struct watch *w, uint32_t slot, struct wire_target *out) {
    if (!w->at[slot].target)
        return false;
    describe(w, &w->at[slot], out);
    out->limit_from = (struct str){"", 0}; /* the ticker's, of the last round */
    return true;
}

uint32_t watch_subject(struct watch *w, uint32_t uid, struct str path) {
    for (uint32_t slot = 0; slot < w->slots; slot++) {
        struct watched *x = &w->at[slot];

        if (!x->target || !(uid != WIRE_UID_HOST ? x->uid == uid : str_eq(x->target->path, path)))
            continue;
        if (!x->told)
            tell_target(w, x);
        return x->uid;
    }
    return uid; /* it has gone: the front was told that too */
}
