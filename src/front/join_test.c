#include "front/join.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "wire/wireact.h"

struct setting {
    char dir[64];
    struct live live;
    struct store *store;
    struct join join;
    uint64_t seq;
    int64_t now_ms;
    uint8_t memory[WIRE_MESSAGE];
    struct wire_out w;
    unsigned kills;
};

static void open_all(struct setting *s) {
    struct store_options options;
    struct err err = {0};

    store_defaults(&options);
    options.dir = s->dir;
    live_init(&s->live);
    if (store_open(&options, &s->store, NULL, &err) < 0)
        fail_msg("%s", err.text);
    join_init(&s->join, &s->live, s->store);
    assert_int_equal(join_replay(&s->join), 0);
}

static void close_all(struct setting *s) {
    join_done(&s->join);
    store_close(s->store);
    live_done(&s->live);
}

static void begin(struct setting *s) {
    memset(s, 0, sizeof(*s));
    snprintf(s->dir, sizeof(s->dir), "/tmp/plimsoll-unit-XXXXXX");
    assert_non_null(mkdtemp(s->dir));
    s->now_ms = clock_wall_ms() - 60000;
    open_all(s);
}

static int remove_one(const char *path, const struct stat *st, int kind, struct FTW *at) {
    (void)st, (void)kind, (void)at;
    return remove(path);
}

static void end(struct setting *s) {
    close_all(s);
    nftw(s->dir, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

static int take(struct setting *s) {
    return join_take(&s->join, (struct str){(const char *)s->w.p, s->w.n});
}

static void make(struct setting *s, enum wire_kind kind) {
    wire_begin(&s->w, s->memory, sizeof(s->memory), kind, ++s->seq);
}

static void start(struct setting *s, uint64_t boot, bool resumed) {
    wire_begin(&s->w, s->memory, sizeof(s->memory), WIRE_START, 0);
    assert_true(wire_add_start(
        &s->w, &(struct wire_start){.boot = boot, .resumed = resumed, .start_ms = s->now_ms}));
    assert_int_equal(take(s), 0);
    if (!resumed)
        s->seq = 0;
}

static void run_target(struct setting *s, uint32_t uid, const char *name, const char *path,
                       uint64_t run) {
    const struct wire_target t = {.uid = uid,
                                  .kind = TARGET_CONTAINER,
                                  .runtime = RUNTIME_DOCKER,
                                  .path = str_of(path),
                                  .id = str_of(path),
                                  .name = str_of(name),
                                  .born_ms = (uint64_t)s->now_ms,
                                  .instance = (uint64_t)path[8],
                                  .run = run,
                                  .run_ms = run > 0 ? s->now_ms : 0,
                                  .limit_from = STR("host")};

    make(s, WIRE_TARGET);
    assert_true(wire_add_target(&s->w, &t));
    assert_int_equal(take(s), 0);
}

static void target(struct setting *s, uint32_t uid, const char *name, const char *path) {
    run_target(s, uid, name, path, 0);
}

static void gone(struct setting *s, uint32_t uid) {
    make(s, WIRE_GONE);
    assert_true(wire_add_gone(&s->w, &(struct wire_gone){uid, s->now_ms}));
    assert_int_equal(take(s), 0);
}

static void tick(struct setting *s, uint32_t uid, uint64_t usage, unsigned flags) {
    struct sample now = {0};

    s->now_ms += 1000;
    sample_set(&now, METRIC_USAGE, usage);
    make(s, WIRE_TICK);
    assert_true(wire_add_tick(&s->w, &(struct wire_tick){s->now_ms, flags}));
    assert_true(wire_add_change(&s->w, uid, NULL, &now, false));
    assert_int_equal(take(s), 0);
    assert_int_equal(s->join.end_of_tick, !(flags & WIRE_TICK_MORE));
}

static void kill_in(struct setting *s, uint32_t uid) {
    make(s, WIRE_OOM);
    assert_true(wire_add_oom(
        &s->w, &(struct wire_oom){.uid = uid, .at_ms = s->now_ms, .kills = 1, .sure = true}));
    assert_int_equal(take(s), 0);
}

static void count_kill(void *ctx, struct str json) {
    (void)json;
    ++*(unsigned *)ctx;
}

static uint64_t points(struct setting *s, int64_t series) {
    struct store_points p = {0};
    uint64_t n;

    assert_int_equal(store_range(s->store, series, METRIC_USAGE, 0, INT64_MAX, 0, 1000, &p), 0);
    n = p.n;
    store_points_done(&p);
    return n;
}

static void a_replay_leads_to_the_same_state(void **state) {
    struct setting s;
    struct live_row *row;
    uint64_t acked;
    int64_t series;

    (void)state;
    begin(&s);
    start(&s, 77, false);
    target(&s, 5, "web", "/docker/one");
    tick(&s, 5, 4096, WIRE_TICK_ROUND | WIRE_TICK_KEY);
    for (unsigned i = 1; i < 10; i++) {
        tick(&s, 5, i * 8192, WIRE_TICK_ROUND);
        join_key(&s.join, s.now_ms);
        store_commit(s.store, s.now_ms, false, &acked);
    }
    kill_in(&s, 5);
    row = live_find(&s.live, 5);
    assert_non_null(row);
    assert_true(row->oom_kills == 1);
    series = row->series;
    assert_true(points(&s, series) == 10);
    store_commit(s.store, s.now_ms, true, &acked);
    assert_true(acked == s.seq);
    close_all(&s);

    open_all(&s);
    assert_true(s.join.boot == 77 && s.join.seq == s.seq);
    row = live_find(&s.live, 5);
    assert_non_null(row);
    assert_true(row->series == series && str_eq(row->t.name, STR("web")));
    assert_true(row->sample.value[METRIC_USAGE] == 9 * 8192);
    assert_true(row->oom_kills == 1); /* not once more */
    assert_true(row->killed_ms == s.now_ms);
    assert_true(points(&s, series) == 10);
    /* And goes on where it was: what is sent again is not taken twice. */
    start(&s, 77, true);
    tick(&s, 5, 11 * 8192, WIRE_TICK_ROUND);
    assert_int_equal(take(&s), 0);
    assert_true(points(&s, series) == 11);
    end(&s);
}

static void a_container_that_is_made_again_is_one_target(void **state) {
    struct setting s;
    int64_t series;

    (void)state;
    begin(&s);
    s.join.oom = count_kill;
    s.join.ctx = &s.kills;
    start(&s, 1, false);
    target(&s, 1, "web", "/docker/one");
    tick(&s, 1, 4096, WIRE_TICK_ROUND);
    series = live_find(&s.live, 1)->series;
    gone(&s, 1);
    kill_in(&s, 1); /* told when the group was gone already */
    assert_int_equal(s.kills, 1);
    target(&s, 2, "web", "/docker/two");
    assert_true(live_find(&s.live, 2)->series == series);
    assert_true(live_find(&s.live, 2)->restarts == 1);
    assert_true(live_find(&s.live, 2)->oom_kills == 1);
    assert_true(live_find(&s.live, 2)->killed_ms == s.now_ms);
    /* Two at the same time under one name are two. */
    target(&s, 3, "web", "/docker/three");
    assert_true(live_find(&s.live, 3)->series != series);
    tick(&s, 2, 8192, WIRE_TICK_ROUND);
    assert_true(points(&s, series) == 2);
    end(&s);
}

static void another_name_is_another_target(void **state) {
    struct setting s;
    int64_t series;

    (void)state;
    begin(&s);
    start(&s, 1, false);
    target(&s, 1, "0123456789ab", "/docker/one");
    tick(&s, 1, 4096, WIRE_TICK_ROUND);
    series = live_find(&s.live, 1)->series;
    target(&s, 1, "web", "/docker/one");
    assert_true(live_find(&s.live, 1)->series != series);
    tick(&s, 1, 8192, WIRE_TICK_ROUND);
    assert_true(points(&s, series) == 1);
    assert_true(points(&s, live_find(&s.live, 1)->series) >= 1);
    end(&s);
}

/* --- events ----------------------------------------------------------------------------------- */

/* The kinds and names, the newest first: "end web, start web". */
struct told {
    char text[2000];
    unsigned n;
};

static int add_told(void *ctx, const struct store_event *e) {
    struct told *t = ctx;
    size_t n = strlen(t->text);
    const char *name = memmem(e->json.p, e->json.n, "\"name\":\"", 8);
    const char *end = name ? memchr(name + 8, '"', 80) : NULL;

    assert_non_null(end);
    snprintf(t->text + n, sizeof(t->text) - n, "%s%.*s %.*s", t->n ? ", " : "", STR_ARG(e->kind),
             (int)(end - name - 8), name + 8);
    t->n++;
    return 0;
}

static struct told events_of(struct setting *s) {
    struct told t = {.n = 0};

    assert_int_equal(store_events(s->store, 0, 0, INT64_MAX, add_told, &t), 0);
    return t;
}

#define check_events(s, want)                                                                      \
    do {                                                                                           \
        struct told told_ = events_of(s);                                                          \
                                                                                                   \
        assert_string_equal(told_.text, want);                                                     \
    } while (0)

static void limit_tick(struct setting *s, uint32_t uid, uint64_t limit, unsigned flags) {
    struct sample now = {0};

    s->now_ms += 1000;
    sample_set(&now, METRIC_OWN_LIMIT, limit);
    make(s, WIRE_TICK);
    assert_true(wire_add_tick(&s->w, &(struct wire_tick){s->now_ms, flags}));
    assert_true(wire_add_change(&s->w, uid, NULL, &now, false));
    assert_int_equal(take(s), 0);
}

/* The collector has told what it found. */
static void listed(struct setting *s, uint32_t uid) {
    tick(s, uid, 4096, WIRE_TICK_ROUND | WIRE_TICK_KEY);
    for (unsigned i = 0; i < 6; i++)
        tick(s, uid, 4096, WIRE_TICK_ROUND);
}

static int last_json(void *ctx, const struct store_event *e) {
    struct buf *b = ctx;

    buf_clear(b);
    buf_add(b, e->json);
    buf_add_char(b, '\0');
    return 1;
}

static bool last_has(struct setting *s, const char *text) {
    struct buf b;
    bool has;

    buf_init(&b, 10000);
    assert_int_equal(store_events(s->store, 0, 0, INT64_MAX, last_json, &b), 0);
    has = b.n > 0 && strstr(b.p, text);
    buf_done(&b);
    return has;
}

static void what_begins_and_ends_is_told_once(void **state) {
    struct setting s;
    uint64_t acked;

    (void)state;
    begin(&s);
    start(&s, 1, false);
    target(&s, 1, "old", "/docker/0ld"); /* was there before, nobody knows since when */
    listed(&s, 1);
    check_events(&s, "");
    target(&s, 2, "web", "/docker/1st");
    tick(&s, 2, 4096, WIRE_TICK_ROUND);
    target(&s, 2, "web", "/docker/1st"); /* the same again */
    check_events(&s, "start web");
    gone(&s, 2);
    tick(&s, 1, 8192, WIRE_TICK_ROUND);
    target(&s, 3, "web", "/docker/2nd");
    check_events(&s, "restart web, end web, start web");
    assert_true(last_has(&s, "\"key\":\"docker:web\""));
    assert_true(last_has(&s, "\"restarts\":1"));
    assert_false(last_has(&s, "\"from\""));

    /* A front that starts again knows them, and does not tell them again. */
    join_key(&s.join, s.now_ms);
    store_commit(s.store, s.now_ms, true, &acked);
    close_all(&s);
    open_all(&s);
    check_events(&s, "restart web, end web, start web");
    start(&s, 1, true);
    tick(&s, 3, 8192, WIRE_TICK_ROUND);
    gone(&s, 3);
    check_events(&s, "end web, restart web, end web, start web");
    end(&s);
}

static uint64_t restarts_of(struct setting *s, uint32_t uid) {
    const struct live_row *row = live_find(&s->live, uid);

    assert_non_null(row);
    return row->restarts;
}

static void a_start_in_the_same_group_is_a_restart(void **state) {
    struct setting s;
    uint64_t acked;

    (void)state;
    begin(&s);
    start(&s, 1, false);
    listed(&s, 0);
    target(&s, 1, "web", "/docker/1st");
    for (unsigned i = 0; i < 30; i++)
        tick(&s, 1, 4096, WIRE_TICK_ROUND);
    assert_true(live_find(&s.live, 1)->trend.first_ms < s.now_ms - 20000);
    run_target(&s, 1, "web", "/docker/1st", 5); /* it is known late */
    assert_true(live_find(&s.live, 1)->trend.first_ms < s.now_ms - 20000);
    target(&s, 1, "web", "/docker/1st"); /* it has ended: which is next is not known yet */
    assert_int_equal(restarts_of(&s, 1), 0);
    check_events(&s, "start web");
    run_target(&s, 1, "web", "/docker/1st", 6);
    assert_int_equal(restarts_of(&s, 1), 1);
    check_events(&s, "restart web, start web");
    assert_true(last_has(&s, "\"restarts\":1"));
    assert_int_equal(live_find(&s.live, 1)->trend.n, 0);
    tick(&s, 1, 4096, WIRE_TICK_ROUND);
    run_target(&s, 1, "web", "/docker/1st", 6); /* the same again, with another time */
    run_target(&s, 1, "web", "/docker/1st", 7);
    assert_int_equal(restarts_of(&s, 1), 2);

    /* Another front, another collector: it may not find the first process at once. */
    join_key(&s.join, s.now_ms);
    store_commit(s.store, s.now_ms, true, &acked);
    close_all(&s);
    open_all(&s);
    assert_int_equal(restarts_of(&s, 1), 2);
    start(&s, 2, false);
    target(&s, 11, "web", "/docker/1st");
    assert_int_equal(restarts_of(&s, 11), 2);
    run_target(&s, 11, "web", "/docker/1st", 7);
    listed(&s, 11);
    assert_int_equal(restarts_of(&s, 11), 2);
    check_events(&s, "restart web, restart web, start web");
    /* One that was not there when it was started again. */
    start(&s, 3, false);
    run_target(&s, 21, "web", "/docker/1st", 8);
    listed(&s, 21);
    assert_int_equal(restarts_of(&s, 21), 3);
    check_events(&s, "restart web, restart web, restart web, start web");
    end(&s);
}

static void what_is_started_all_the_time_is_counted_and_not_all_told(void **state) {
    struct setting s;
    uint64_t acked;

    (void)state;
    begin(&s);
    start(&s, 1, false);
    listed(&s, 0);
    for (uint64_t i = 0; i <= 600; i++) { /* ten a second for a minute */
        run_target(&s, 1, "web", "/docker/1st", 100 + i);
        if (i % 10 == 0)
            tick(&s, 1, 4096, WIRE_TICK_ROUND);
        if (i == 300)
            store_commit(s.store, s.now_ms, true, &acked);
    }
    assert_int_equal(restarts_of(&s, 1), 600);
    assert_int_equal(events_of(&s).n, 1 + 30 + 1);
    target(&s, 2, "other", "/docker/2nd");
    assert_int_equal(events_of(&s).n, 1 + 30 + 1 + 1);
    store_commit(s.store, s.now_ms, true, &acked);
    close_all(&s);
    open_all(&s); /* the log tells all of them once more */
    assert_int_equal(restarts_of(&s, 1), 600);
    assert_int_equal(events_of(&s).n, 1 + 30 + 1 + 1);
    end(&s);
}

static void another_collector_tells_nothing_twice(void **state) {
    struct setting s;

    (void)state;
    begin(&s);
    start(&s, 1, false);
    listed(&s, 0);
    target(&s, 1, "stays", "/docker/1st");
    target(&s, 2, "goes", "/docker/2nd");
    target(&s, 3, "again", "/docker/3rd");
    for (unsigned i = 0; i < 15; i++)
        limit_tick(&s, 1, 1 << 20, WIRE_TICK_ROUND);
    check_events(&s, "start again, start goes, start stays");
    s.now_ms += 5000;

    for (unsigned boot = 2; boot < 4; boot++) { /* the first of them ends before it has told all */
        start(&s, boot, false);
        target(&s, 11, "stays", "/docker/1st");
        if (boot == 2)
            target(&s, 12, "again", "/docker/4th");
    }
    tick(&s, 0, 4096, WIRE_TICK_ROUND | WIRE_TICK_KEY);
    target(&s, 12, "again", "/docker/4th"); /* it finds one after the other */
    limit_tick(&s, 11, 2 << 20, WIRE_TICK_ROUND | WIRE_TICK_MORE);
    listed(&s, 12);
    check_events(&s, "limit stays, restart again, end again, end goes, start again, start goes, "
                     "start stays");
    assert_true(last_has(&s, "\"from\":1048576,\"to\":2097152"));
    gone(&s, 11);
    assert_true(last_has(&s, "\"kind\":\"end\""));
    assert_int_equal(events_of(&s).n, 8);
    end(&s);
}

static void another_limit_is_told_but_not_the_first(void **state) {
    struct setting s;

    (void)state;
    begin(&s);
    start(&s, 1, false);
    listed(&s, 0);
    target(&s, 1, "web", "/docker/1st");
    limit_tick(&s, 1, SAMPLE_NONE, WIRE_TICK_ROUND);
    limit_tick(&s, 1, 64 << 20, WIRE_TICK_ROUND); /* the engine has not had the time before */
    check_events(&s, "start web");
    for (unsigned i = 0; i < 15; i++)
        limit_tick(&s, 1, 64 << 20, WIRE_TICK_ROUND);
    check_events(&s, "start web");
    limit_tick(&s, 1, SAMPLE_NONE, WIRE_TICK_ROUND);
    check_events(&s, "limit web, start web");
    assert_true(last_has(&s, "\"from\":67108864,\"to\":null"));
    end(&s);
}

/* Whoever starts it again in its group may take its limit away and set it anew. */
static void the_limit_of_what_is_started_again_settles_first(void **state) {
    struct setting s;

    (void)state;
    begin(&s);
    start(&s, 1, false);
    listed(&s, 0);
    run_target(&s, 1, "web", "/docker/1st", 7);
    for (unsigned i = 0; i < 15; i++)
        limit_tick(&s, 1, 64 << 20, WIRE_TICK_ROUND);
    run_target(&s, 1, "web", "/docker/1st", 8);
    limit_tick(&s, 1, SAMPLE_NONE, WIRE_TICK_ROUND);
    limit_tick(&s, 1, 64 << 20, WIRE_TICK_ROUND);
    check_events(&s, "restart web, start web");
    for (unsigned i = 0; i < 10; i++)
        limit_tick(&s, 1, 64 << 20, WIRE_TICK_ROUND);
    limit_tick(&s, 1, 32 << 20, WIRE_TICK_ROUND);
    check_events(&s, "limit web, restart web, start web");
    end(&s);
}

/* `kind` of a target that is told now. */
static void other_target(struct setting *s, uint32_t uid, enum target_kind kind, int64_t start_ms) {
    char path[40];
    const struct wire_target t = {.uid = uid,
                                  .kind = kind,
                                  .runtime = RUNTIME_SYSTEMD,
                                  .path = {path, (size_t)snprintf(path, sizeof(path), "/%u", uid)},
                                  .name = {path, (size_t)snprintf(path, sizeof(path), "/%u", uid)},
                                  .born_ms = (uint64_t)s->now_ms,
                                  .start_ms = start_ms,
                                  .instance = uid,
                                  .limit_from = STR("host")};

    make(s, WIRE_TARGET);
    assert_true(wire_add_target(&s->w, &t));
    assert_int_equal(take(s), 0);
}

static void what_comes_at_once_after_an_end_is_told_after_it(void **state) {
    struct told both = {.n = 0};
    struct setting s;

    (void)state;
    begin(&s);
    start(&s, 1, false);
    listed(&s, 0);
    other_target(&s, 1, TARGET_CONTAINER, 0);
    s.now_ms += 10000;
    gone(&s, 1);
    other_target(&s, 2, TARGET_CONTAINER, s.now_ms - 900); /* its start is known to a second */
    assert_int_equal(store_events(s.store, 0, s.now_ms, s.now_ms, add_told, &both), 0);
    assert_string_equal(both.text, "start /2, end /1");
    end(&s);
}

static void a_flood_of_groups_or_services_is_not_kept(void **state) {
    struct told then = {.n = 0};
    struct setting s;
    int64_t old_ms;

    (void)state;
    begin(&s);
    old_ms = s.now_ms - 3600 * 1000;
    start(&s, 1, false);
    other_target(&s, 1, TARGET_CONTAINER, old_ms); /* there before us, and known since when */
    listed(&s, 0);
    check_events(&s, "start /1");
    assert_int_equal(store_events(s.store, 0, old_ms, old_ms, add_told, &then), 0);
    assert_string_equal(then.text, "start /1");
    other_target(&s, 2, TARGET_GROUP, 0);
    other_target(&s, 3, TARGET_SLICE, 0);
    other_target(&s, 4, TARGET_HELPER, 0);
    other_target(&s, 5, TARGET_SANDBOX, 0);
    gone(&s, 2);
    check_events(&s, "start /1");
    other_target(&s, 6, TARGET_POD, 0);
    other_target(&s, 7, TARGET_VM, 0);
    assert_int_equal(events_of(&s).n, 3);
    for (unsigned i = 0; i < 1000; i++) {
        other_target(&s, 100 + i, TARGET_SERVICE, 0);
        gone(&s, 100 + i);
    }
    assert_int_equal(events_of(&s).n, 3 + 300);
    other_target(&s, 8, TARGET_CONTAINER, 0); /* they leave room for others */
    assert_int_equal(events_of(&s).n, 3 + 300 + 1);
    for (unsigned i = 0; i < 61; i++)
        tick(&s, 0, 4096, WIRE_TICK_ROUND);
    for (unsigned i = 0; i < 10; i++)
        other_target(&s, 3000 + i, TARGET_SERVICE, 0);
    assert_int_equal(events_of(&s).n, 3 + 300 + 1 + 2); /* two half minutes later */
    end(&s);
}

static void audit(struct setting *s, uint32_t uid, enum audit_kind kind, bool up) {
    struct wire_audit a = {.uid = uid,
                           .audit = {.kind = kind,
                                     .id = "one",
                                     .at_ms = s->now_ms,
                                     .name = "web",
                                     .path = "/docker/a",
                                     .guard = "guards[0]",
                                     .up = up,
                                     .mark = 2,
                                     .action = ACTION_GC,
                                     .have_before = true,
                                     .have_after = true,
                                     .before = 100,
                                     .after = 30,
                                     .facts = {.at_us = 9000000}}};

    a.audit.hang.kind = kind == AUDIT_HANG ? HANG_OOM_WAIT : HANG_NONE;
    a.audit.hang.since_us = 7000000;
    a.audit.report.outcome = OUTCOME_DONE;
    make(s, WIRE_AUDIT);
    assert_true(wire_add_audit(&s->w, &a));
    assert_int_equal(take(s), 0);
}

static void what_guards_tell_is_kept_and_outlives_a_front(void **state) {
    struct setting s;
    struct live_row *row;
    unsigned told = 0;

    (void)state;
    begin(&s);
    s.join.audit = count_kill;
    s.join.ctx = &told;
    start(&s, 5, false);
    target(&s, 1, "web", "/docker/a");
    listed(&s, 1);
    audit(&s, 1, AUDIT_GUARD, false);
    audit(&s, 1, AUDIT_MARK, true);
    audit(&s, 1, AUDIT_BEGIN, false);
    audit(&s, 1, AUDIT_END, false);
    audit(&s, WIRE_UID_HOST, AUDIT_HANG, true); /* found by its path */
    assert_int_equal(told, 5);
    row = live_find(&s.live, 1);
    assert_int_equal(row->guard->ended[ACTION_GC][OUTCOME_DONE], 1);
    assert_int_equal(row->guard->freed, 70);
    assert_int_equal(row->guard->hang_ms, s.now_ms - 2000);
    assert_true(live_guard_hangs(row->guard));
    check_events(&s, "hang web, gc web, begin web, mark web, guarded web");
    /* The log goes on, with a KEY of its own, until the records are in none of its rows. */
    for (unsigned i = 0; i < 700; i++) {
        tick(&s, 1, 4096 + i, WIRE_TICK_ROUND);
        join_key(&s.join, s.now_ms);
        store_commit(s.store, s.now_ms, true, &(uint64_t){0});
    }
    close_all(&s);
    open_all(&s);
    row = live_find(&s.live, 1);
    assert_non_null(row);
    assert_non_null(row->guard);
    assert_true(row->guard->guarded && live_guard_hangs(row->guard));
    assert_int_equal(row->guard->above, 2);
    assert_string_equal(row->guard->name, "guards[0]");
    assert_int_equal(row->guard->ended[ACTION_GC][OUTCOME_DONE], 0); /* counted by one front */
    check_events(&s, "hang web, gc web, begin web, mark web, guarded web");
    start(&s, 5, true);
    audit(&s, 1, AUDIT_HANG, false);
    assert_false(live_guard_hangs(row->guard));
    end(&s);
}

/* What a kill has ended is gone when that is told: it is that target's all the same, never the
 * machine's, and so is what was counted before another collector numbered all anew. */
static void what_guards_did_is_counted_by_name(void **state) {
    const struct live_guard *g;
    struct setting s;

    (void)state;
    begin(&s);
    start(&s, 5, false);
    target(&s, WIRE_UID_HOST, "", "/machine.slice");
    target(&s, 1, "web", "/docker/a");
    audit(&s, 1, AUDIT_GUARD, false);
    audit(&s, 1, AUDIT_END, false);
    gone(&s, 1);
    audit(&s, 1, AUDIT_END, false);
    audit(&s, WIRE_UID_HOST, AUDIT_END, false); /* the guard knows it no more */
    audit(&s, WIRE_UID_HOST, AUDIT_OVER, false);
    g = live_lost(&s.live, 1)->guard;
    assert_int_equal(g->ended[ACTION_GC][OUTCOME_DONE], 3);
    assert_false(g->guarded);
    assert_null(live_find(&s.live, WIRE_UID_HOST)->guard);
    target(&s, 2, "web", "/docker/b");
    g = live_find(&s.live, 2)->guard;
    assert_int_equal(g->ended[ACTION_GC][OUTCOME_DONE], 3);
    audit(&s, 2, AUDIT_GUARD, false);
    start(&s, 6, false);
    target(&s, WIRE_UID_HOST, "", "/machine.slice");
    target(&s, 1, "other", "/docker/c");
    target(&s, 3, "web", "/docker/b");
    assert_null(live_find(&s.live, 1)->guard);
    g = live_find(&s.live, 3)->guard;
    assert_int_equal(g->ended[ACTION_GC][OUTCOME_DONE], 3);
    assert_true(g->guarded); /* the same group: its guard has not begun anew */
    end(&s);
}

static void what_is_out_of_order_is_refused(void **state) {
    struct setting s;

    (void)state;
    begin(&s);
    make(&s, WIRE_GONE);
    assert_true(wire_add_gone(&s.w, &(struct wire_gone){1, 1}));
    assert_int_equal(take(&s), 0); /* before a START: for the front before us */
    assert_true(s.join.seq == 0);
    start(&s, 9, false);
    target(&s, 1, "a", "/docker/a");
    s.seq += 3;
    make(&s, WIRE_GONE);
    assert_true(wire_add_gone(&s.w, &(struct wire_gone){1, 1}));
    assert_int_equal(take(&s), -EBADMSG); /* some are missing */
    assert_non_null(live_find(&s.live, 1));
    assert_int_equal(join_take(&s.join, STR("\x00")), -EBADMSG);
    assert_int_equal(join_take(&s.join, STR("")), -EBADMSG);
    wire_begin(&s.w, s.memory, sizeof(s.memory), WIRE_START, 0);
    assert_true(wire_add_start(&s.w, &(struct wire_start){.boot = 9, .ask = true}));
    assert_int_equal(take(&s), 1);
    end(&s);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_replay_leads_to_the_same_state),
        cmocka_unit_test(a_container_that_is_made_again_is_one_target),
        cmocka_unit_test(another_name_is_another_target),
        cmocka_unit_test(what_begins_and_ends_is_told_once),
        cmocka_unit_test(a_start_in_the_same_group_is_a_restart),
        cmocka_unit_test(what_is_started_all_the_time_is_counted_and_not_all_told),
        cmocka_unit_test(another_collector_tells_nothing_twice),
        cmocka_unit_test(another_limit_is_told_but_not_the_first),
        cmocka_unit_test(the_limit_of_what_is_started_again_settles_first),
        cmocka_unit_test(what_comes_at_once_after_an_end_is_told_after_it),
        cmocka_unit_test(a_flood_of_groups_or_services_is_not_kept),
        cmocka_unit_test(what_guards_tell_is_kept_and_outlives_a_front),
        cmocka_unit_test(what_guards_did_is_counted_by_name),
        cmocka_unit_test(what_is_out_of_order_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
