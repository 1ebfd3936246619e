#include "cmd/topwatch.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "cmd/session.h"
#include "cmd/topevents.h"
#include "engine/instance.h"
#include "model/labellist.h"
#include "model/targetkey.h"

enum {
    SETTLE_MS = 300,    /* at the start, for names that have to be asked for */
    SETTLED_MS = 10000, /* an engine makes a group and then sets its limit */
    KEY_MAX = 16384,
};

static struct str name_of(const struct target *t) {
    return session_name(t);
}

/* --- identity --------------------------------------------------------------------------------- */

static void add_pod(struct buf *out, const struct target *t) {
    buf_add(out, str_of(t->namespace));
    buf_add_char(out, '/');
    buf_add(out, str_of(t->pod));
}

static void add_key(struct buf *out, const struct target *t) {
    targetkey_add(out, &(struct targetkey){.runtime = t->runtime,
                                           .kind = t->kind,
                                           .name = str_of(t->name),
                                           .path = t->path,
                                           .unit = str_of(t->unit),
                                           .inside = t->inside ? t->inside->path : STR(""),
                                           .namespace = str_of(t->namespace),
                                           .pod = str_of(t->pod),
                                           .container = str_of(t->container)});
}

static char *text_or_null(struct buf *text) {
    char *copy = buf_error(text) == 0 && text->n > 0 ? strndup(text->p, text->n) : NULL;

    buf_clear(text);
    return copy;
}

/* Its texts, after it came or was renamed. */
static void identify(struct topwatch *w, struct seen *x) {
    const struct target *t = x->target;
    struct labelwalk walk;
    struct buf text;
    char *key;

    buf_init(&text, KEY_MAX);
    add_key(&text, t);
    key = text_or_null(&text);
    if (t->pod && t->namespace && *t->namespace)
        add_pod(&text, t);
    else
        buf_add(&text, str_of(t->pod));
    free(x->pod);
    x->pod = text_or_null(&text);
    if (labellist_compose(str_of(t->labels), &walk))
        buf_add(&text, walk.label.value);
    free(x->compose);
    x->compose = text_or_null(&text);
    if (key && (!x->key || strcmp(key, x->key) != 0)) {
        x->restarts = toplog_came(&w->log, str_of(key), &x->kills_before);
        x->killed_ms = toplog_killed_ms(&w->log, str_of(key));
        free(x->key);
        x->key = take_ptr(&key);
    }
    free(key);
    if (x->restarts > 0)
        topevents_add_restart(&text, x->restarts);
    toplog_rename(&w->log, x->id, str_of(x->key), name_of(t), buf_str(&text));
    buf_done(&text);
}

/* --- what comes and goes ---------------------------------------------------------------------- */

static void tell(struct topwatch *w, struct seen *x, enum tui_event_kind kind) {
    const struct tui_event event = {
        .at_ms = clock_wall_ms(), .kind = kind, .name = name_of(x->target)};

    if (w->begun)
        toplog_add(&w->log, x->id, &event, str_of(x->key));
}

/* The group stayed, and what runs in it was started again: what was learned of how it grows is of
 * another process. */
static void begin_again(struct topwatch *w, struct seen *x) {
    struct tui_event event = {
        .at_ms = clock_wall_ms(), .kind = TUI_EVENT_RESTART, .name = name_of(x->target)};
    struct buf detail;
    uint64_t kills;

    x->restarts = toplog_came(&w->log, str_of(x->key), &kills);
    x->trend = (struct trend){.n = 0};
    x->view = (struct trend_view){.word = TREND_UNKNOWN};
    x->viewed_ms = 0;
    x->came_ms = event.at_ms; /* whoever starts it again may set its limit again */
    buf_init(&detail, KEY_MAX);
    topevents_add_restart(&detail, x->restarts);
    event.detail = buf_str(&detail);
    toplog_add(&w->log, x->id, &event, str_of(x->key));
    buf_done(&detail);
}

static void see_run(struct topwatch *w, const struct target *t) {
    struct seen *x = t->slot < w->slots ? &w->seen[t->slot] : NULL;
    uint64_t run, before;

    if (!x || x->target != t)
        return;
    run = instance_run(w->fs, w->boot, t);
    before = x->run;
    if (run == 0 || run == before)
        return;
    x->run = run;
    if (before != 0)
        begin_again(w, x);
}

void topwatch_limit(struct topwatch *w, struct seen *x, const struct sample *now) {
    struct tui_event event = {.at_ms = now->at_ms, .kind = TUI_EVENT_LIMIT};
    uint64_t limit = now->value[METRIC_OWN_LIMIT];
    struct buf detail;

    if (!sample_has(now, METRIC_OWN_LIMIT))
        return;
    if (x->have_limit && x->own_limit != limit && now->at_ms - x->came_ms >= SETTLED_MS) {
        event.name = name_of(x->target);
        buf_init(&detail, KEY_MAX);
        topevents_add_limit(&detail, x->own_limit, limit);
        event.detail = buf_str(&detail);
        toplog_add(&w->log, x->id, &event, str_of(x->key));
        buf_done(&detail);
    }
    x->have_limit = true;
    x->own_limit = limit;
}

static int reserve(struct topwatch *w, uint32_t slot) {
    uint32_t slots = w->slots ? w->slots : 64;
    struct seen *seen;

    if (slot < w->slots)
        return 0;
    while (slots <= slot)
        slots *= 2;
    seen = reallocarray(w->seen, slots, sizeof(*seen));
    if (!seen)
        return -ENOMEM;
    w->seen = seen;
    memset(seen + w->slots, 0, (slots - w->slots) * sizeof(*seen));
    w->slots = slots;
    return 0;
}

static void on_group_came(void *ctx, const struct target *t) {
    struct topwatch *w = ctx;

    if (target_is_run_work(t))
        see_run(w, t->inside);
    if (oomtally_group_add(w->oom, t->path, w->begun) < 0)
        w->failed = true;
}

static void on_group_went(void *ctx, const struct target *t) {
    oomtally_group_remove(((struct topwatch *)ctx)->oom, t->path);
}

static void on_added(void *ctx, const struct target *t) {
    struct topwatch *w = ctx;
    struct seen *x;

    if (t->path.n == 1)
        return; /* the machine itself */
    if (reserve(w, t->slot) < 0 || ticker_add(w->ticker, t) < 0) {
        w->failed = true;
        return;
    }
    x = &w->seen[t->slot];
    *x = (struct seen){.target = t,
                       .id = ++w->next_id,
                       .fresh = true,
                       .came_ms = w->begun ? clock_wall_ms() : 0,
                       .run = instance_run(w->fs, w->boot, t)};
    tophistory_init(&x->history, w->step_ms);
    tell(w, x, TUI_EVENT_START);
    identify(w, x); /* which makes it a RESTART where it is one */
    (void)oomtally_add(w->oom, (uint32_t)x->id, t->path, oomtally_kind_of(t),
                       w->begun && instance_is_new(t));
}

static void seen_done(struct seen *x) {
    free(x->key);
    free(x->pod);
    free(x->compose);
    tophistory_done(&x->history);
    *x = (struct seen){.target = NULL};
}

static void on_removed(void *ctx, const struct target *t) {
    struct topwatch *w = ctx;
    struct seen *x = t->slot < w->slots ? &w->seen[t->slot] : NULL;

    if (!x || x->target != t)
        return;
    tell(w, x, TUI_EVENT_END);
    oomtally_remove(w->oom, (uint32_t)x->id);
    ticker_remove(w->ticker, t);
    seen_done(x);
}

static void on_renamed(void *ctx, const struct target *t) {
    struct topwatch *w = ctx;

    if (t->slot >= w->slots || w->seen[t->slot].target != t)
        return;
    identify(w, &w->seen[t->slot]);
    if (t->runtime != RUNTIME_PLIMSOLL) /* of those on_group_came sees it */
        see_run(w, t);
}

/* --- kills ------------------------------------------------------------------------------------ */

struct seen *topwatch_find(struct topwatch *w, uint64_t id) {
    for (uint32_t slot = 0; slot < w->slots; slot++)
        if (w->seen[slot].target && w->seen[slot].id == id)
            return &w->seen[slot];
    return NULL;
}

static void on_kill(void *ctx, const struct oomtally_kill *k) {
    struct topwatch *w = ctx;
    struct seen *x = k->uid ? topwatch_find(w, k->uid) : NULL;
    struct tui_event event = {.at_ms = k->at_ms, .kind = TUI_EVENT_OOM, .kills = k->kills};
    struct buf detail;

    buf_init(&detail, KEY_MAX);
    if (k->victim_pid > 0)
        buf_add(&detail, k->comm);
    if (k->outside && k->limit_path.n > 0) {
        buf_add(&detail, detail.n > 0 ? STR(", limit of ") : STR("limit of "));
        buf_add(&detail, k->limit_path);
    }
    event.detail = buf_str(&detail);
    event.name = x ? name_of(x->target) : k->group.n > 0 ? k->group : STR("host");
    toplog_add(&w->log, k->uid, &event, x ? str_of(x->key) : event.name);
    if (x) {
        x->kills_told += k->kills;
        x->killed_ms = k->at_ms;
        toplog_kills(&w->log, str_of(x->key), k->kills, k->at_ms);
        ticker_hurry(w->ticker, x->target->slot);
    }
    buf_done(&detail);
}

/* --- begin and end ---------------------------------------------------------------------------- */

static int on_groups(struct loop *loop, uint32_t what, void *ctx) {
    struct topwatch *w = ctx;

    (void)what;
    return targets_update(w->targets, loop_now_us(loop));
}

int topwatch_open(struct topwatch *w, const struct host *host, const struct cgfs *fs,
                  struct ticker *ticker, int64_t step_ms, struct err *err) {
    const struct targets_options table = {
        .scope = TARGETS_SERVICES,
        .watch = host->live,
        .ask = host->live,
        .added = on_added,
        .removed = on_removed,
        .renamed = on_renamed,
        .group_came = on_group_came,
        .group_went = on_group_went,
        .ctx = w,
    };
    int r;

    *w = (struct topwatch){.host = host, .fs = fs, .ticker = ticker, .step_ms = step_ms};
    w->boot = instance_boot(host);
    if (loop_new(&w->loop) < 0 || reserve(w, 0) < 0)
        return err_set(err, -ENOMEM, "cannot begin to watch:");
    r = oomtally_new(w->loop, host, fs, on_kill, w, &w->oom, err);
    if (r == 0 && !host->live) /* whose kills are not in this machine's log: one that is silent */
        r = oomtally_use_log(w->oom, eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
    if (r == 0)
        r = targets_new(host, fs, &table, &w->targets, err);
    if (r < 0)
        return r;
    if (targets_fd(w->targets) >= 0)
        r = loop_add_fd(w->loop, targets_fd(w->targets), EPOLLIN, on_groups, w, NULL);
    if (r < 0)
        return err_set(err, r, "cannot begin to watch:");
    targets_settle(w->targets, SETTLE_MS);
    w->begun = true;
    return 0;
}

void topwatch_close(struct topwatch *w) {
    targets_free(w->targets); /* calls nobody */
    oomtally_free(w->oom);
    loop_free(w->loop);
    for (uint32_t slot = 0; slot < w->slots; slot++)
        seen_done(&w->seen[slot]);
    toplog_done(&w->log);
    free(w->seen);
    w->seen = NULL;
    w->slots = 0;
}

int topwatch_update(struct topwatch *w, int64_t now_us) {
    int r = targets_update(w->targets, now_us);

    if (r == 0)
        r = loop_turn(w->loop);
    return r == 0 && w->failed ? -ENOMEM : r;
}
