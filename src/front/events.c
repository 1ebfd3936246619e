#include "front/events.h"

#include <stdlib.h>

#include "base/log.h"
#include "web/web.h"

enum {
    /* An engine makes a group and then sets its limit; limits are looked at every few seconds. */
    SETTLED_MS = 10 * 1000,
    /* Seen to come: the start of a process is known to a second only, and would lie before the end
     * of what was there before it. */
    YOUNG_MS = 3 * 1000,
    LISTING_MS = 5 * 1000, /* a collector that begins finds all in its first rounds */
    TEXT_MAX = 64 << 10,
    KEPT_MAX = 16 << 20,
};

/* So many at once, and then one in a while: of services, which may be made by a timer every few
 * seconds, fewer than of containers. */
struct allowance {
    int64_t most, each_ms;
};
static const struct allowance rates[2] = {{2000, 2000}, {300, 30 * 1000}};
static const struct allowance guards = {4000, 500};
static const struct allowance restarts_of_one = {30, 30 * 1000};

/* Who was there before. */
struct events_before {
    int64_t series, end_ms;
    uint64_t instance;
    uint32_t uid; /* of the new collector, once it was told again */
    bool again, have_limit;
    uint64_t limit;
    size_t at, length; /* the event of its end, in `kept` */
    bool service;
};

void events_init(struct events *e, struct store *store) {
    *e = (struct events){.store = store};
    buf_init(&e->text, TEXT_MAX);
    buf_init(&e->kept, KEPT_MAX);
}

static void forget(struct events *e) {
    free(e->before);
    e->before = NULL;
    e->n = 0;
    buf_done(&e->kept);
    buf_init(&e->kept, KEPT_MAX);
}

void events_done(struct events *e) {
    forget(e);
    buf_done(&e->text);
}

static bool is_told(const struct live_row *row) {
    return row->series > 0 && row->t.instance != 0 &&
           (row->t.kind == TARGET_CONTAINER || row->t.kind == TARGET_VM ||
            row->t.kind == TARGET_POD || row->t.kind == TARGET_SERVICE);
}

/* Whether there is room for one more. */
static bool take_one(struct live_rate *rate, const struct allowance *of, int64_t now_ms) {
    int64_t passed = (now_ms - rate->at_ms) / of->each_ms;

    if (rate->at_ms == 0) {
        *rate = (struct live_rate){now_ms, of->most};
    } else if (passed < 0) { /* the clock was set back */
        rate->at_ms = now_ms;
    } else if (passed > 0) {
        rate->left = passed > of->most - rate->left ? of->most : rate->left + passed;
        rate->at_ms += passed * of->each_ms;
    }
    if (rate->left <= 0)
        return false;
    rate->left--;
    return true;
}

static bool may_tell(struct events *e, bool service) {
    if (take_one(&e->rate[service], &rates[service], e->now_ms))
        return true;
    if (!e->told_flood)
        log_line(LOG_NOTE, "targets come and go faster than events are kept: some are left out");
    e->told_flood = true;
    return false;
}

static void put(struct events *e, int64_t series, bool service, int64_t at_ms, const char *kind,
                struct str json) {
    if (e->store && !e->replaying && may_tell(e, service))
        (void)store_event(e->store, series, at_ms, str_of(kind), json);
}

static void tell(struct events *e, const struct live_row *row, const struct web_event *event) {
    if (!e->store || e->replaying)
        return;
    buf_clear(&e->text);
    web_add_event(&e->text, event, &row->t);
    put(e, row->series, row->t.kind == TARGET_SERVICE, event->at_ms, event->kind,
        buf_str(&e->text));
}

/* --- all anew --------------------------------------------------------------------------------- */

/* `text` is the event of its end. */
static void add_before(struct events *e, const struct events_before *before, struct str text) {
    struct events_before *b = &e->before[e->n++];

    *b = *before;
    b->at = e->kept.n;
    buf_add(&e->kept, text);
    b->length = e->kept.n - b->at; /* 0: there was no room, and its end is not told */
}

/* By its group: what it is called may be known only later. */
static struct events_before *find_before(const struct events *e, uint64_t instance) {
    for (size_t i = 0; i < e->n; i++)
        if (e->before[i].instance == instance)
            return &e->before[i];
    return NULL;
}

static void add_row(struct events *e, const struct live_row *row, int64_t at_ms,
                    const struct events *old) {
    const struct web_event end = {.kind = "end", .at_ms = at_ms};
    const struct events_before *last = find_before(old, row->t.instance);
    struct events_before b = {
        .series = row->series,
        .end_ms = at_ms,
        .instance = row->t.instance,
        .have_limit = sample_has(&row->sample, METRIC_OWN_LIMIT),
        .limit = row->sample.value[METRIC_OWN_LIMIT],
        .service = row->t.kind == TARGET_SERVICE,
    };

    if (last && !b.have_limit) { /* it was told again, but not read yet */
        b.have_limit = last->have_limit;
        b.limit = last->limit;
    }
    buf_clear(&e->text);
    web_add_event(&e->text, &end, &row->t);
    add_before(e, &b, buf_str(&e->text));
}

void events_anew(struct events *e, const struct live *live, int64_t at_ms) {
    struct events old = *e;
    const struct live_row *row;

    if (!e->store)
        return;
    e->n = 0;
    e->before = calloc(old.n + live->n + 1, sizeof(*e->before));
    buf_init(&e->kept, KEPT_MAX);
    /* A collector that ended before it had found all: those before it are looked for still. */
    for (size_t i = 0; i < old.n && e->before; i++)
        if (!old.before[i].again && old.before[i].length > 0)
            add_before(e, &old.before[i],
                       (struct str){old.kept.p + old.before[i].at, old.before[i].length});
    for (int64_t uid = -1; e->before && (row = live_after(live, uid)); uid = row->uid)
        if (is_told(row))
            add_row(e, row, at_ms, &old);
    free(old.before);
    buf_done(&old.kept);
    e->listing = true;
    e->since_ms = 0;
}

void events_round(struct events *e, int64_t at_ms) {
    e->now_ms = at_ms;
    if (!e->listing)
        return;
    if (e->since_ms == 0 || at_ms < e->since_ms)
        e->since_ms = at_ms;
    if (at_ms - e->since_ms < LISTING_MS)
        return;
    e->listing = false;
    for (size_t i = 0; i < e->n; i++) {
        const struct events_before *b = &e->before[i];

        if (!b->again && b->length > 0)
            put(e, b->series, b->service, b->end_ms, "end",
                (struct str){e->kept.p + b->at, b->length});
    }
    forget(e);
}

/* --- what happens ----------------------------------------------------------------------------- */

void events_instance(struct events *e, const struct live_row *row, bool fresh) {
    int64_t born_ms = (int64_t)row->t.born_ms, start_ms = row->t.start_ms;
    struct web_event event = {.kind = "start", .at_ms = born_ms};
    struct events_before *b;
    bool at_first;

    if (!is_told(row))
        return;
    b = e->listing ? find_before(e, row->t.instance) : NULL;
    if (b) {
        b->again = true;
        b->uid = row->uid;
    }
    /* What is found at the first look and does not say since when has not begun now. */
    at_first = e->listing && (e->since_ms == 0 || born_ms <= e->since_ms);
    if (!fresh || (at_first && row->restarts == 0 && start_ms == 0))
        return;
    if (start_ms > 0 && start_ms < born_ms - YOUNG_MS)
        event.at_ms = start_ms;
    if (row->restarts > 0) {
        event.kind = "restart";
        event.restarts = row->restarts;
    }
    tell(e, row, &event);
}

void events_restart(struct events *e, struct live_row *row) {
    int64_t at_ms = row->t.run_ms > 0 ? row->t.run_ms : row->t.start_ms;
    const struct web_event event = {
        .kind = "restart", .at_ms = at_ms > 0 ? at_ms : e->now_ms, .restarts = row->restarts};

    if (is_told(row) && !e->replaying && take_one(&row->restart_rate, &restarts_of_one, e->now_ms))
        tell(e, row, &event);
}

void events_gone(struct events *e, const struct live_row *row, int64_t at_ms) {
    const struct web_event event = {.kind = "end", .at_ms = at_ms};

    if (is_told(row))
        tell(e, row, &event);
}

void events_audit(struct events *e, int64_t series, int64_t at_ms, const char *kind,
                  struct str json) {
    if (e->store && !e->replaying && take_one(&e->guards, &guards, at_ms))
        (void)store_event(e->store, series, at_ms, str_of(kind), json);
}

/* Whether it has begun just now, or what runs in it has: its limit may be about to be set. */
static bool is_young(const struct wire_target *t, int64_t at_ms) {
    int64_t begun_ms = (int64_t)t->born_ms > t->run_ms ? (int64_t)t->born_ms : t->run_ms;

    return at_ms - begun_ms < SETTLED_MS;
}

/* The limit before: what the row has, or had with the collector before. */
static bool limit_before(const struct events *e, const struct live_row *row, int64_t at_ms,
                         uint64_t *out) {
    if (sample_has(&row->sample, METRIC_OWN_LIMIT)) {
        *out = row->sample.value[METRIC_OWN_LIMIT];
        return !is_young(&row->t, at_ms);
    }
    for (size_t i = 0; e->listing && i < e->n; i++)
        if (e->before[i].again && e->before[i].uid == row->uid) {
            *out = e->before[i].limit;
            return e->before[i].have_limit;
        }
    return false;
}

void events_change(struct events *e, const struct live_row *row, const struct wire_change *change,
                   int64_t at_ms) {
    struct web_event event = {.kind = "limit", .at_ms = at_ms};

    if (!(change->set >> METRIC_OWN_LIMIT & 1) || !is_told(row))
        return;
    event.to = change->value[METRIC_OWN_LIMIT];
    if (limit_before(e, row, at_ms, &event.from) && event.from != event.to)
        tell(e, row, &event);
}
