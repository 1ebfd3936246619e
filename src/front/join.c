#include "front/join.h"

#include <errno.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "web/web.h"
#include "wire/wireact.h"

enum { TEXT_MAX = 1 << 20, KEY_MAX = 64 << 20 };

static const uint64_t all_metrics = METRIC_N == 64 ? UINT64_MAX : (1ull << METRIC_N) - 1;

void join_init(struct join *j, struct live *live, struct store *store) {
    *j = (struct join){.live = live, .store = store};
    buf_init(&j->text, TEXT_MAX);
    buf_init(&j->identity, TEXT_MAX);
    events_init(&j->events, store);
}

void join_done(struct join *j) {
    buf_done(&j->text);
    buf_done(&j->identity);
    events_done(&j->events);
}

/* --- START: another collector, or another beginning ------------------------------------------- */

static void end_all(struct join *j) {
    struct live_row *row;

    events_anew(&j->events, j->live, j->at_ms);
    for (int64_t uid = -1; (row = live_after(j->live, uid)); uid = row->uid)
        if (j->store && row->series > 0)
            (void)store_gone(j->store, row->series, j->at_ms);
    live_clear(j->live);
}

static int take_start(struct join *j, struct wire_in in) {
    struct wire_start s;

    if (wire_read_start(&in, &s) < 0)
        return -EBADMSG;
    if (s.ask)
        return 1;
    j->started = true;
    if (s.resumed && s.boot == j->boot)
        return 0;
    end_all(j);
    j->boot = s.boot;
    j->seq = 0;
    j->live->started_ms = s.start_ms;
    return 0;
}

/* --- targets ---------------------------------------------------------------------------------- */

static bool in_use(const struct join *j, int64_t series, uint32_t uid) {
    struct live_row *row;

    for (int64_t at = -1; (row = live_after(j->live, at)); at = row->uid)
        if (row->series == series && row->uid != uid)
            return true;
    return false;
}

/* The logical target of a row. Two that live under one key at the same time are two: the second is
 * told apart by its path. */
static int find_series(struct join *j, struct live_row *row, int64_t *out) {
    int64_t now_ms = j->at_ms ? j->at_ms : clock_wall_ms();
    struct str identity;
    int r;

    if (!j->store) {
        *out = -(int64_t)row->uid - 1;
        return 0;
    }
    buf_clear(&j->identity);
    web_add_identity(&j->identity, &row->t);
    identity = buf_str(&j->identity);
    buf_clear(&j->text);
    live_add_key(&j->text, &row->t);
    r = store_series(j->store, buf_str(&j->text), identity, now_ms, out);
    if (r < 0 || *out == row->series || !in_use(j, *out, row->uid))
        return r;
    buf_add_char(&j->text, '#');
    buf_add(&j->text, row->t.path);
    return store_series(j->store, buf_str(&j->text), identity, now_ms, out);
}

/* Whether this life of it was never seen. By its group and its first process, not by when it was
 * seen: another collector sees it anew. */
static bool is_new_life(struct join *j, struct live_row *row) {
    const struct store_life life = {.id = row->t.id.n > 0 ? row->t.id : row->t.path,
                                    .group = row->t.instance,
                                    .run = row->t.run};

    return j->store && row->series > 0 && row->t.instance != 0 &&
           store_life(j->store, row->series, &life, !j->replaying, &row->restarts) == 1;
}

static int take_newest(void *ctx, int64_t id, int64_t series, int64_t at_ms, uint64_t kills,
                       struct str json) {
    int64_t *newest_ms = ctx;

    (void)id;
    (void)series;
    (void)kills;
    (void)json;
    *newest_ms = at_ms;
    return 1;
}

static void begin_instance(struct join *j, struct live_row *row) {
    bool fresh = is_new_life(j, row);

    if (!j->store)
        return;
    row->oom_kills = store_oom_total(j->store, row->series);
    row->killed_ms = 0;
    if (row->oom_kills > 0)
        (void)store_ooms(j->store, row->series, 0, INT64_MAX, 1, take_newest, &row->killed_ms);
    events_instance(&j->events, row, fresh);
}

/* Its first process is another one, or is known now. */
static void take_run(struct join *j, struct live_row *row, uint64_t before) {
    bool fresh = is_new_life(j, row);

    if (before != 0) {
        row->restarts += !j->store;
        live_restart(row);
    }
    if (fresh)
        events_restart(&j->events, row);
}

static int take_target(struct join *j, struct wire_in in) {
    struct wire_target t;
    struct live_row *row;
    uint64_t run;
    int64_t series;
    int r;

    if (wire_read_target(&in, &t) < 0)
        return -EBADMSG;
    row = live_find(j->live, t.uid);
    run = row ? row->t.run : 0;
    if (row && t.run == 0) { /* what it was is the newest that is known */
        t.run = row->t.run;
        t.run_ms = row->t.run_ms;
    }
    row = live_put(j->live, &t);
    if (!row)
        return -ENOMEM;
    r = find_series(j, row, &series);
    if (r < 0) {
        log_line(LOG_WARN, "a target has no place in history: %s", strerror(-r));
        series = row->series;
    }
    if (series == row->series) {
        if (t.run != run)
            take_run(j, row, run);
        return 0;
    }
    if (row->series > 0 && j->store)
        (void)store_gone(j->store, row->series, j->at_ms); /* it has another name from now on */
    live_set_series(j->live, row, series);
    if (series > 0) {
        begin_instance(j, row);
        if (j->store && row->sample.have)
            (void)store_put(j->store, series, row->sample.have, 0, row->sample.value);
    }
    return 0;
}

static int take_gone(struct join *j, struct wire_in in) {
    struct wire_gone g;
    struct live_row *row;

    if (wire_read_gone(&in, &g) < 0)
        return -EBADMSG;
    row = live_find(j->live, g.uid);
    if (!row)
        return 0;
    if (row->series > 0 && j->store)
        (void)store_gone(j->store, row->series, g.at_ms);
    events_gone(&j->events, row, g.at_ms);
    live_remove(j->live, g.uid, g.at_ms);
    return 0;
}

/* --- ticks ------------------------------------------------------------------------------------ */

static int store_changes(struct join *j, const struct wire_tick *tick, struct wire_in in) {
    struct wire_change change;
    int r;

    if (tick->at_ms != j->at_ms)
        (void)store_tick(j->store, tick->at_ms, tick->flags & WIRE_TICK_ROUND);
    while ((r = wire_read_change(&in, &change)) > 0) {
        const struct live_row *row = live_find(j->live, change.uid);

        if (!row || row->series <= 0)
            continue;
        if (tick->flags & WIRE_TICK_KEY)
            change.lost = ~change.set & all_metrics;
        events_change(&j->events, row, &change, tick->at_ms);
        (void)store_put(j->store, row->series, change.set, change.lost, change.value);
    }
    return r;
}

static int take_tick(struct join *j, struct wire_in in) {
    struct wire_in body = in;
    struct wire_tick tick;
    int r;

    if (wire_read_tick(&in, &tick) < 0)
        return -EBADMSG;
    /* A KEY of the log itself repeats what is known. */
    if (j->store && !(j->replaying && tick.flags & WIRE_TICK_KEY && tick.at_ms <= j->at_ms)) {
        r = store_changes(j, &tick, in);
        if (r < 0)
            return r;
    }
    r = live_tick(j->live, body);
    if (r < 0)
        return r;
    j->at_ms = tick.at_ms;
    j->end_of_tick = !(tick.flags & WIRE_TICK_MORE);
    if (tick.flags & WIRE_TICK_ROUND && j->end_of_tick)
        events_round(&j->events, tick.at_ms);
    return 0;
}

static int take_procs(struct join *j, struct wire_in in) {
    struct wire_in body = in;
    const struct live_row *row;
    struct wire_procs p;

    if (wire_read_procs(&in, &p) < 0)
        return -EBADMSG;
    row = live_find(j->live, p.uid);
    if (row && row->series > 0 && j->store && !j->replaying)
        (void)store_procs(j->store, row->series, p.at_ms,
                          (struct str){(const char *)body.p, body.n});
    return live_procs(j->live, body);
}

/* --- OOM kills -------------------------------------------------------------------------------- */

static int take_oom(struct join *j, struct wire_in in) {
    struct live_lost *lost;
    struct live_row *row;
    struct wire_oom o;
    int64_t series;
    uint64_t *total, now;

    if (wire_read_oom(&in, &o) < 0)
        return -EBADMSG;
    row = live_find(j->live, o.uid);
    lost = live_lost(j->live, o.uid); /* a kill is told late when its group went at once */
    if (!row && !lost) {
        if (!j->replaying)
            log_line(LOG_NOTE,
                     "an OOM kill in a target that nobody knows any more is the machine's");
        row = live_find(j->live, WIRE_UID_HOST);
        if (!row)
            return 0;
    }
    series = row ? row->series : lost->series;
    total = row ? &row->oom_kills : &lost->oom_kills;
    now = *total + o.kills;
    buf_clear(&j->text);
    web_add_oom(&j->text, &o, row ? &row->t : &lost->t);
    if (j->store && series > 0)
        (void)store_oom(j->store, series, o.at_ms, o.kills, buf_str(&j->text), !j->replaying, &now);
    if (series != 0)
        live_set_kills(j->live, series, now, o.at_ms);
    else
        *total = now;
    if (!j->replaying && j->oom)
        j->oom(j->ctx, buf_str(&j->text));
    return 0;
}

/* --- guards ----------------------------------------------------------------------------------- */

/* Whom a record is about, by number, else by path: the collector may not have known it. What a
 * guard has ended may be gone before that is told. */
static struct live_row *row_of_audit(struct join *j, const struct wire_audit *w,
                                     struct live_lost **lost_out) {
    struct str path = str_of(w->audit.path);
    bool numbered = w->uid != WIRE_UID_HOST;
    struct live_row *row = numbered ? live_find(j->live, w->uid) : NULL;

    *lost_out = numbered ? live_lost(j->live, w->uid) : NULL;
    for (int64_t at = -1; !row && !*lost_out && (row = live_after(j->live, at));) {
        at = row->uid;
        if (!str_eq(row->t.path, path))
            row = NULL;
    }
    if (!row && !*lost_out)
        *lost_out = live_lost_at(j->live, path);
    return row;
}

static int take_audit(struct join *j, struct wire_in in) {
    struct live_lost *lost;
    struct live_row *row;
    struct wire_audit w;
    int64_t series;
    int r = 0;

    if (wire_read_audit(&in, &w) < 0)
        return -EBADMSG;
    row = row_of_audit(j, &w, &lost);
    if (row)
        r = live_guard_take(j->live, row, &w.audit, !j->replaying);
    else if (lost)
        r = live_guard_take_lost(lost, &w.audit, !j->replaying);
    else /* nobody's that is known: told with the machine's, and not counted as its own */
        row = live_find(j->live, WIRE_UID_HOST);
    if (r < 0 || j->replaying || (!row && !lost))
        return r;
    series = row ? row->series : lost->series;
    buf_clear(&j->text);
    web_add_audit(&j->text, &w.audit, row ? &row->t : &lost->t);
    if (buf_error(&j->text) < 0)
        return 0;
    if (series > 0)
        events_audit(&j->events, series, w.audit.at_ms, web_audit_word(&w.audit),
                     buf_str(&j->text));
    if (j->audit)
        j->audit(j->ctx, buf_str(&j->text));
    return 0;
}

/* --- all -------------------------------------------------------------------------------------- */

static int dispatch(struct join *j, const struct wire_head *head, struct wire_in in) {
    switch (head->kind) {
    case WIRE_TARGET:
        return take_target(j, in);
    case WIRE_GONE:
        return take_gone(j, in);
    case WIRE_TICK:
        return take_tick(j, in);
    case WIRE_PROCS:
        return take_procs(j, in);
    case WIRE_OOM:
        return take_oom(j, in);
    case WIRE_SELF:
        j->live->have_wire_self = true;
        return wire_read_self(&in, j->live->wire_self);
    case WIRE_AUDIT:
        return take_audit(j, in);
    case WIRE_ACTED: /* whoever asked takes it (front.c) */
        return 0;
    case WIRE_START:
    case WIRE_POLICY:
    case WIRE_POLICIES:
    case WIRE_HELLO:
    case WIRE_ACK:
    case WIRE_ACT:
    case WIRE_KIND_END:
        break;
    }
    return -EBADMSG;
}

int join_take(struct join *j, struct str message) {
    struct wire_in in = {(const uint8_t *)message.p, message.n};
    struct wire_head head;
    int r;

    j->end_of_tick = false;
    if (wire_read_head(&in, &head) < 0)
        return -EBADMSG;
    if (head.kind == WIRE_START) {
        r = take_start(j, in);
        if (r == 0 && j->seq == 0 && !j->replaying && j->store)
            (void)store_log(j->store, j->boot, 0, j->at_ms, message);
        return r;
    }
    if (!j->started && !j->replaying)
        return 0; /* meant for the front before us */
    if (head.seq <= j->seq && !j->replaying)
        return 0; /* had already */
    if (head.seq > j->seq + 1 && j->seq != 0 && !j->replaying)
        return -EBADMSG;
    r = dispatch(j, &head, in);
    if (head.seq > j->seq)
        j->seq = head.seq;
    if (!j->replaying && j->store && r != -EBADMSG && head.kind != WIRE_ACTED)
        (void)store_log(j->store, j->boot, head.seq, j->at_ms, message);
    return r;
}

static int replay_one(void *ctx, struct str message) {
    int r = join_take(ctx, message);

    return r == -ENOMEM ? r : 0; /* what cannot be read was checked by a sum: of another version */
}

int join_replay(struct join *j) {
    struct store_health health;
    int r;

    if (!j->store)
        return 0;
    j->replaying = j->events.replaying = true;
    r = store_replay(j->store, replay_one, j);
    j->replaying = j->events.replaying = false;
    j->started = false;
    store_last(j->store, &j->boot, &j->seq);
    store_health(j->store, &health);
    if (health.damaged > 0)
        j->boot = j->seq = 0; /* a part of the log is lost: what came and went in it is told anew */
    return r;
}

/* --- the log's KEY ---------------------------------------------------------------------------- */

static void append(struct buf *out, const struct wire_out *w) {
    uint32_t n = (uint32_t)w->n;

    buf_add(out, (struct str){(const char *)&n, sizeof(n)});
    buf_add(out, (struct str){(const char *)w->p, w->n});
}

static void add_targets(struct join *j, struct buf *out, uint8_t *memory) {
    struct live_row *row;
    struct wire_out w;

    for (int64_t uid = -1; (row = live_after(j->live, uid)); uid = row->uid) {
        wire_begin(&w, memory, WIRE_MESSAGE, WIRE_TARGET, j->seq);
        (void)wire_add_target(&w, &row->t);
        append(out, &w);
    }
}

static void add_audit(struct join *j, struct buf *out, uint8_t *memory, uint32_t uid,
                      const struct audit *audit) {
    const struct wire_audit message = {uid, *audit};
    struct wire_out w;

    wire_begin(&w, memory, WIRE_MESSAGE, WIRE_AUDIT, j->seq);
    if (wire_add_audit(&w, &message))
        append(out, &w);
}

/* What guards saw that holds still: it may have begun long before this KEY. */
static void add_guards(struct join *j, struct buf *out, uint8_t *memory) {
    struct live_row *row;

    for (int64_t uid = -1; (row = live_after(j->live, uid)); uid = row->uid) {
        const struct live_guard *g = row->guard;
        struct audit a = {.kind = AUDIT_GUARD, .at_ms = j->at_ms, .up = true};

        if (!g || !g->guarded)
            continue;
        a.dry_run = g->dry_run;
        memcpy(a.guard, g->name, sizeof(a.guard));
        add_audit(j, out, memory, row->uid, &a);
        a.kind = AUDIT_MARK;
        a.mark = g->above;
        if (g->above > 0)
            add_audit(j, out, memory, row->uid, &a);
        a.kind = AUDIT_HANG;
        a.at_ms = g->hang_ms;
        a.hang.kind = g->hang;
        if (g->hang != HANG_NONE)
            add_audit(j, out, memory, row->uid, &a);
    }
}

static void add_samples(struct join *j, struct buf *out, uint8_t *memory) {
    const struct wire_tick tick = {j->at_ms, WIRE_TICK_KEY};
    struct live_row *row;
    struct wire_out w;

    wire_begin(&w, memory, WIRE_MESSAGE, WIRE_TICK, j->seq);
    (void)wire_add_tick(&w, &tick);
    for (int64_t uid = -1; (row = live_after(j->live, uid)); uid = row->uid) {
        if (wire_add_change(&w, row->uid, NULL, &row->sample, false))
            continue;
        wire_set_more(&w);
        append(out, &w);
        wire_begin(&w, memory, WIRE_MESSAGE, WIRE_TICK, j->seq);
        (void)wire_add_tick(&w, &tick);
        (void)wire_add_change(&w, row->uid, NULL, &row->sample, false);
    }
    append(out, &w);
}

void join_key(struct join *j, int64_t now_ms) {
    static uint8_t memory[WIRE_MESSAGE];
    struct buf out;

    if (!j->store || j->at_ms == 0 || !store_wants_key(j->store, now_ms))
        return;
    buf_init(&out, KEY_MAX);
    add_targets(j, &out, memory);
    add_guards(j, &out, memory);
    add_samples(j, &out, memory);
    if (buf_error(&out) == 0)
        (void)store_log_key(j->store, j->boot, j->seq, j->at_ms, buf_str(&out));
    buf_done(&out);
}
