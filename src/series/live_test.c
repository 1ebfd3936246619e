#include "series/live.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "base/basetest.h"
#include "model/state.h"

static struct wire_target container(uint32_t uid, const char *name) {
    return (struct wire_target){.uid = uid,
                                .kind = TARGET_CONTAINER,
                                .runtime = RUNTIME_DOCKER,
                                .path = STR("/docker/4f2a9c"),
                                .name = str_of(name),
                                .id = STR("4f2a9c")};
}

static struct live_row *put(struct live *l, uint32_t uid, const char *name) {
    struct wire_target t = container(uid, name);
    struct live_row *row = live_put(l, &t);

    assert_non_null(row);
    return row;
}

/* A tick of one target with these values; count of pairs, ended by METRIC_N. */
static void tick(struct live *l, int64_t at_ms, unsigned flags, uint32_t uid, uint64_t lost, ...) {
    uint8_t memory[4096];
    struct sample now = {0}, before = {0};
    struct wire_head head;
    struct wire_out w;
    struct wire_in in;
    va_list list;

    va_start(list, lost);
    for (int m; (m = va_arg(list, int)) != METRIC_N;)
        sample_set(&now, (enum metric)m, va_arg(list, uint64_t));
    va_end(list);
    before.have = lost;
    wire_begin(&w, memory, sizeof(memory), WIRE_TICK, 1);
    assert_true(wire_add_tick(&w, &(struct wire_tick){at_ms, flags}));
    assert_true(wire_add_change(&w, uid, lost ? &before : NULL, &now, true));
    in = (struct wire_in){w.p, w.n};
    assert_int_equal(wire_read_head(&in, &head), 0);
    assert_int_equal(live_tick(l, in), 0);
}

#define V(x) ((uint64_t)(x))

static void rows_are_in_the_order_of_uid(void **state) {
    static const uint32_t order[] = {7, 3, 9, 1, 5};
    struct live l;
    int64_t uid = -1;
    size_t n = 0;

    (void)state;
    live_init(&l);
    for (unsigned i = 0; i < 5; i++)
        put(&l, order[i], "x");
    for (struct live_row *row; (row = live_after(&l, uid)); n++) {
        assert_true(row->uid > uid);
        uid = row->uid;
    }
    assert_int_equal(n, 5);
    live_remove(&l, 5, 1000);
    assert_null(live_find(&l, 5));
    assert_int_equal(live_after(&l, 4)->uid, 7);
    assert_null(live_after(&l, 9));
    assert_null(live_after(&l, UINT32_MAX));
    assert_int_equal(l.gones, 1);
    assert_int_equal(l.gone[0].uid, 5);
    live_done(&l);
}

static void texts_are_copied_and_end_in_nul(void **state) {
    char name[] = "web";
    struct wire_target t = container(1, "");
    struct live_row *row;
    struct live l;

    (void)state;
    live_init(&l);
    t.name = (struct str){name, 3};
    t.image = (struct str){NULL, 0};
    row = live_put(&l, &t);
    name[0] = 'X';
    assert_string_equal(row->t.name.p, "web");
    assert_string_equal(row->t.image.p, "");
    assert_string_equal(row->t.path.p, "/docker/4f2a9c");
    live_done(&l);
}

static unsigned freed;

static void free_labels(void *labels) {
    freed++;
    free(labels);
}

static void told_again_keeps_labels_until_something_changes(void **state) {
    struct live_row *row;
    struct live l;
    int64_t told;

    (void)state;
    live_init(&l);
    l.labels_free = free_labels;
    freed = 0;
    row = put(&l, 1, "a");
    row->labels = malloc(1);
    told = row->told_ms;
    tick(&l, 5000, WIRE_TICK_ROUND, 1, 0, METRIC_USAGE, V(4096), METRIC_N);
    assert_ptr_equal(put(&l, 1, "a"), row);
    assert_non_null(row->labels);
    assert_int_equal(row->told_ms, told);
    assert_ptr_equal(put(&l, 1, "b"), row);
    assert_null(row->labels);
    assert_int_equal(freed, 1);
    assert_int_equal(row->told_ms, 5001);
    assert_int_equal(row->sample.value[METRIC_USAGE], 4096);
    live_done(&l);
}

static void ticks_change_what_they_tell_and_no_more(void **state) {
    struct live_row *row;
    struct live l;

    (void)state;
    live_init(&l);
    row = put(&l, 1, "a");
    assert_int_equal(row->sample.at_ms, 0);
    tick(&l, 1000, WIRE_TICK_KEY, 1, 0, METRIC_USAGE, V(8192), METRIC_ANON, V(1), METRIC_N);
    tick(&l, 2000, 0, 1, 1ull << METRIC_ANON, METRIC_FILE, V(3), METRIC_N);
    assert_int_equal(row->sample.have, 1ull << METRIC_USAGE | 1ull << METRIC_FILE);
    assert_int_equal(row->sample.value[METRIC_USAGE], 8192);
    assert_int_equal(row->changed_ms[METRIC_USAGE], 1000);
    assert_int_equal(row->changed_ms[METRIC_ANON], 2000);
    assert_int_equal(row->changed_ms[METRIC_FILE], 2000);
    assert_int_equal(row->sample.at_ms, 2000);
    assert_int_equal(l.at_ms, 2000);

    /* a KEY tells all: what it leaves out is not known any more, what is as before did not change
     */
    tick(&l, 3000, WIRE_TICK_KEY, 1, 0, METRIC_USAGE, V(8192), METRIC_N);
    assert_int_equal(row->sample.have, 1ull << METRIC_USAGE);
    assert_int_equal(row->changed_ms[METRIC_USAGE], 1000);
    assert_int_equal(row->changed_ms[METRIC_FILE], 3000);

    /* unknown targets are passed over */
    tick(&l, 4000, 0, 77, 0, METRIC_USAGE, V(1), METRIC_N);
    assert_int_equal(row->sample.at_ms, 3000);
    live_done(&l);
}

static void a_round_looks_at_all(void **state) {
    struct live_row *a, *b, *c;
    struct live l;

    (void)state;
    live_init(&l);
    a = put(&l, 1, "a");
    b = put(&l, 2, "b");
    c = put(&l, 3, "c");
    tick(&l, 1000, WIRE_TICK_KEY, 1, 0, METRIC_USAGE, V(1), METRIC_N);
    tick(&l, 1000, WIRE_TICK_KEY, 2, 0, METRIC_USAGE, V(1), METRIC_N);
    tick(&l, 2000, WIRE_TICK_ROUND, 1, 0, METRIC_USAGE, V(2), METRIC_N);
    assert_int_equal(a->sample.at_ms, 2000);
    assert_int_equal(b->sample.at_ms, 2000);
    assert_int_equal(c->sample.at_ms, 0); /* nothing was ever told of it */
    assert_int_equal(l.round_ms, 2000);
    tick(&l, 2100, 0, 1, 0, METRIC_USAGE, V(3), METRIC_N);
    assert_int_equal(b->sample.at_ms, 2000);
    assert_int_equal(l.round_ms, 2000);
    live_done(&l);
}

static void cpu_is_use_between_changes(void **state) {
    struct live_row *row;
    struct live l;

    (void)state;
    live_init(&l);
    row = put(&l, 1, "a");
    tick(&l, 1000, WIRE_TICK_ROUND, 1, 0, METRIC_CPU_US, V(5000000), METRIC_N);
    assert_false(row->have_cpu);
    tick(&l, 3000, WIRE_TICK_ROUND, 1, 0, METRIC_CPU_US, V(6000000), METRIC_N);
    assert_true(row->have_cpu);
    assert_int_equal(row->cpu_centi, 5000); /* a second of two */
    tick(&l, 8000, WIRE_TICK_ROUND, 1, 0, METRIC_USAGE, V(1), METRIC_N);
    assert_int_equal(row->cpu_centi, 5000);
    tick(&l, 13000, WIRE_TICK_ROUND, 1, 0, METRIC_USAGE, V(2), METRIC_N);
    assert_int_equal(row->cpu_centi, 0);
    tick(&l, 14000, WIRE_TICK_ROUND, 1, 0, METRIC_CPU_US, V(8000000), METRIC_N);
    assert_int_equal(row->cpu_centi, 20000); /* two CPUs since it was last seen standing */
    tick(&l, 15000, WIRE_TICK_ROUND, 1, 1ull << METRIC_CPU_US, METRIC_USAGE, V(3), METRIC_N);
    assert_false(row->have_cpu);
    live_done(&l);
}

static void a_bad_tick_is_told_and_harms_nothing(void **state) {
    static const uint8_t bad[] = {0, 0, 1, 0xff, 0xff, 0xff};
    struct live l;

    (void)state;
    live_init(&l);
    put(&l, 1, "a");
    assert_int_equal(live_tick(&l, (struct wire_in){bad, 0}), -EBADMSG);
    assert_int_equal(live_tick(&l, (struct wire_in){bad, sizeof(bad)}), -EBADMSG);
    assert_int_equal(live_procs(&l, (struct wire_in){bad, 1}), -EBADMSG);
    assert_null(live_find(&l, 1)->procs);
    live_done(&l);
}

static void processes_are_kept_as_told(void **state) {
    struct wire_procs head = {.uid = 1, .at_ms = 1000, .total = 3};
    struct wire_proc p = {.pid = 42, .have = PROC_BIT(PROC_RES)}, read;
    uint8_t memory[1000];
    struct wire_head kind;
    struct wire_procs told;
    struct live_row *row;
    struct wire_out w;
    struct wire_in in;
    struct live l;

    (void)state;
    live_init(&l);
    p.value[PROC_RES] = 65536;
    wire_begin(&w, memory, sizeof(memory), WIRE_PROCS, 1);
    assert_true(wire_add_procs(&w, &head));
    assert_true(wire_add_proc(&w, &p));
    in = (struct wire_in){w.p, w.n};
    assert_int_equal(wire_read_head(&in, &kind), 0);
    assert_int_equal(live_procs(&l, in), 0); /* of nobody we know */
    row = put(&l, 1, "a");
    assert_int_equal(live_procs(&l, in), 0);
    assert_int_equal(live_procs(&l, in), 0);
    in = (struct wire_in){row->procs, row->procs_n};
    assert_int_equal(wire_read_procs(&in, &told), 0);
    assert_int_equal(told.total, 3);
    assert_int_equal(wire_read_proc(&in, &read), 1);
    assert_int_equal(read.value[PROC_RES], 65536);
    live_done(&l);
}

static void the_lost_are_remembered_those_with_kills_longest(void **state) {
    struct live_lost *x;
    struct live l;
    char name[20];

    (void)state;
    live_init(&l);
    put(&l, 1, "killed")->oom_kills = 2;
    live_remove(&l, 1, 1);
    for (uint32_t uid = 2; uid < 2000; uid++) {
        assert_true(snprintf(name, sizeof(name), "c%u", uid) > 0);
        put(&l, uid, name);
        live_remove(&l, uid, uid);
    }
    assert_int_equal(l.losts, LIVE_LOST);
    x = live_lost(&l, 1);
    assert_non_null(x);
    assert_string_equal(x->t.name.p, "killed");
    assert_int_equal(x->oom_kills, 2);
    assert_string_equal(live_lost(&l, 1999)->t.name.p, "c1999");
    assert_null(live_lost(&l, 100));
    put(&l, 1, "again");
    assert_null(live_lost(&l, 1)); /* the number is somebody's */
    live_done(&l);
}

static void cleared_rows_leave_their_kills_only(void **state) {
    struct live l;

    (void)state;
    live_init(&l);
    put(&l, 1, "a")->oom_kills = 1;
    put(&l, 2, "b");
    put(&l, 3, "c");
    live_remove(&l, 3, 5);
    live_clear(&l);
    assert_int_equal(l.n, 0);
    assert_int_equal(l.gones, 0);
    assert_int_equal(l.clears, 1);
    assert_int_equal(l.losts, 1);
    assert_string_equal(l.lost[0].t.name.p, "a");
    assert_null(live_lost(&l, 1));
    live_done(&l);
}

static void series_are_found(void **state) {
    struct live l;

    (void)state;
    live_init(&l);
    put(&l, 1, "a")->series = 5;
    put(&l, 2, "b");
    assert_true(live_has_series(&l, 5));
    assert_false(live_has_series(&l, 6));
    assert_false(live_has_series(&l, 0));
    live_done(&l);
}

static void a_late_kill_counts_for_the_next_instance_too(void **state) {
    struct live l;

    (void)state;
    live_init(&l);
    put(&l, 1, "a")->series = 5;
    live_remove(&l, 1, 1000);
    put(&l, 2, "a")->series = 5;
    put(&l, 3, "b")->series = 6;
    live_set_kills(&l, 5, 3, 7000);
    assert_int_equal(live_lost(&l, 1)->oom_kills, 3);
    assert_int_equal(live_find(&l, 2)->oom_kills, 3);
    assert_int_equal(live_find(&l, 2)->killed_ms, 7000);
    assert_int_equal(live_find(&l, 3)->oom_kills, 0);
    assert_int_equal(live_find(&l, 3)->killed_ms, 0);
    live_set_kills(&l, 5, 4, 6000); /* told late */
    assert_int_equal(live_find(&l, 2)->oom_kills, 4);
    assert_int_equal(live_find(&l, 2)->killed_ms, 7000);
    live_remove(&l, 2, 8000);
    assert_int_equal(live_lost(&l, 2)->killed_ms, 7000);
    live_done(&l);
}

static void keys_outlive_an_instance(void **state) {
    static const struct {
        struct wire_target t;
        const char *key;
    } cases[] = {
        {{.uid = WIRE_UID_HOST, .path = {"/", 1}, .name = {"host", 4}}, "host"},
        {{.uid = 1,
          .kind = TARGET_CONTAINER,
          .runtime = RUNTIME_DOCKER,
          .path = {"/docker/4f", 10},
          .name = {"web", 3}},
         "docker:web"},
        {{.uid = 1,
          .kind = TARGET_CONTAINER,
          .runtime = RUNTIME_DOCKER,
          .inside = {"/docker/aa", 10},
          .path = {"/docker/aa/docker/4f", 20},
          .name = {"web", 3}},
         "docker:/docker/aa:web"},
        {{.uid = 1,
          .kind = TARGET_CONTAINER,
          .runtime = RUNTIME_CONTAINERD,
          .namespace = {"shop", 4},
          .pod = {"cart-0", 6},
          .container = {"app", 3},
          .name = {"k8s_app", 7}},
         "containerd:shop/cart-0/app"},
        {{.uid = 1,
          .kind = TARGET_SANDBOX,
          .runtime = RUNTIME_CONTAINERD,
          .namespace = {"shop", 4},
          .pod = {"cart-0", 6}},
         "containerd:shop/cart-0/POD"},
        {{.uid = 1,
          .kind = TARGET_POD,
          .runtime = RUNTIME_KUBERNETES,
          .namespace = {"shop", 4},
          .pod = {"cart-0", 6}},
         "kubernetes:shop/cart-0"},
        {{.uid = 1,
          .kind = TARGET_SERVICE,
          .runtime = RUNTIME_SYSTEMD,
          .path = {"/system.slice/ssh.service", 25},
          .unit = {"ssh.service", 11}},
         "systemd:ssh.service"},
        {{.uid = 1,
          .kind = TARGET_SERVICE,
          .runtime = RUNTIME_SYSTEMD,
          .path = {"/user@1000.service/a.service", 28},
          .unit = {"a.service", 9}},
         "systemd:/user@1000.service/a.service"},
        {{.uid = 1, .kind = TARGET_GROUP, .path = {"/batch/a", 8}, .name = {"a", 1}},
         "cgroup:/batch/a"},
        {{.uid = 1,
          .kind = TARGET_HELPER,
          .runtime = RUNTIME_PODMAN,
          .path = {"/conmon-1", 9},
          .name = {"web", 3}},
         "podman:/conmon-1"},
    };
    struct buf b;

    (void)state;
    buf_init(&b, 1000);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        live_add_key(&b, &cases[i].t);
        basetest_holds(&b, cases[i].key);
    }
    buf_done(&b);
}

static void check_word(const struct live *l, const char *word, uint32_t uid) {
    struct live_row *found[4];
    size_t n = live_resolve(l, str_of(word), found, 4);

    if (uid == LIVE_NO_UID ? n != 0 : n != 1 || found[0]->uid != uid)
        fail_msg("'%s' means %zu targets, the first %u", word, n, n ? found[0]->uid : 0);
}

static void words_mean_targets(void **state) {
    static const struct wire_target all[] = {
        {.uid = WIRE_UID_HOST, .path = {"/", 1}, .name = {"host", 4}},
        {.uid = 1,
         .kind = TARGET_CONTAINER,
         .runtime = RUNTIME_DOCKER,
         .path = {"/docker/4f2a9c", 14},
         .id = {"4f2a9c", 6},
         .name = {"web", 3},
         .init_pid = 4242},
        {.uid = 2,
         .kind = TARGET_CONTAINER,
         .runtime = RUNTIME_DOCKER,
         .inside = {"/docker/4f2a9c", 14},
         .path = {"/docker/4f2a9c/docker/77aa00", 28},
         .id = {"77aa00", 6},
         .name = {"web", 3}},
        {.uid = 3,
         .kind = TARGET_CONTAINER,
         .runtime = RUNTIME_CONTAINERD,
         .namespace = {"shop", 4},
         .pod = {"cart-0", 6},
         .container = {"app", 3},
         .name = {"app", 3}},
        {.uid = 4,
         .kind = TARGET_SERVICE,
         .runtime = RUNTIME_SYSTEMD,
         .path = {"/system.slice/ssh.service", 25},
         .unit = {"ssh.service", 11},
         .name = {"ssh.service", 11}},
    };
    struct live_row *found[1];
    struct live l;

    (void)state;
    live_init(&l);
    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
        assert_non_null(live_put(&l, &all[i]));
    check_word(&l, "host", 0);
    check_word(&l, "/", 0);
    check_word(&l, "web", 1); /* not the one inside of it */
    check_word(&l, "4f2a", 1);
    check_word(&l, "4f2", LIVE_NO_UID);
    check_word(&l, "/docker/4f2a9c/", 1);
    check_word(&l, "web/web", 2);
    check_word(&l, "77aa", 2);
    check_word(&l, "cart-0/app", 3);
    check_word(&l, "shop/cart-0/app", 3);
    check_word(&l, "other/cart-0/app", LIVE_NO_UID);
    check_word(&l, "ssh", 4);
    check_word(&l, "ssh.service", 4);
    check_word(&l, "/system.slice/ssh.service", 4);
    check_word(&l, "4242", 1);
    check_word(&l, "docker:web", 1);
    check_word(&l, "docker:/docker/4f2a9c:web", 2);
    check_word(&l, "containerd:shop/cart-0/app", 3);
    check_word(&l, "systemd:ssh.service", 4);
    check_word(&l, "podman:web", LIVE_NO_UID);
    check_word(&l, "", LIVE_NO_UID);
    check_word(&l, "nobody", LIVE_NO_UID);
    put(&l, 8, "docker:web"); /* nobody takes another's key for a name */
    check_word(&l, "docker:web", 1);
    check_word(&l, "docker:docker:web", 8);
    put(&l, 9, "web");
    assert_int_equal(live_resolve(&l, STR("web"), found, 1), 2);
    live_done(&l);
}

static void used_of_the_limit(void **state) {
    struct live_row row = {0};
    uint64_t centi = 0;

    (void)state;
    assert_false(live_used_pct(&row, &centi));
    sample_set(&row.sample, METRIC_USED, 50);
    sample_set(&row.sample, METRIC_LIMIT, 200);
    assert_true(live_used_pct(&row, &centi));
    assert_int_equal(centi, 2500);
}

enum { MINUTE = 60 };

/* Ticks of a second in which used is that, or is not told again. */
static void pass(struct live *l, int64_t *at_ms, unsigned seconds, uint64_t used, int64_t step) {
    for (unsigned i = 0; i < seconds; i++) {
        used += (uint64_t)step;
        *at_ms += 1000;
        if (step == 0 && i > 0)
            tick(l, *at_ms, WIRE_TICK_ROUND, 99, 0, METRIC_USED, V(1), METRIC_N);
        else
            tick(l, *at_ms, WIRE_TICK_ROUND, 1, 0, METRIC_USED, used, METRIC_N);
    }
}

static void a_row_that_does_not_change_is_seen_to_be_steady(void **state) {
    struct live_row *row;
    int64_t at_ms = 1000000;
    struct live l;

    (void)state;
    live_init(&l);
    row = put(&l, 1, "a");
    pass(&l, &at_ms, 15, 5 << 20, 0);
    assert_int_equal(live_moves(&l, row)->word, TREND_UNKNOWN);
    assert_int_equal(row->moved_ms, 0);
    pass(&l, &at_ms, 15, 5 << 20, 0);
    assert_int_equal(live_moves(&l, row)->word, TREND_STEADY);
    assert_int_equal(row->moved_ms, at_ms);
    live_done(&l);
}

static void how_it_moves_is_news_only_when_it_changed(void **state) {
    int64_t at_ms = 1000000, moved_ms, per_h;
    const struct trend_view *v;
    struct live_row *row;
    unsigned news = 0;
    struct live l;

    (void)state;
    live_init(&l);
    row = put(&l, 1, "a");
    for (unsigned i = 0; i < 10 * MINUTE; i++) {
        moved_ms = row->moved_ms;
        pass(&l, &at_ms, 1, (100 << 20) + V(i) * 100000, 1);
        v = live_moves(&l, row);
        news += row->moved_ms != moved_ms;
        assert_true(row->moved_ms == moved_ms || row->moved_ms == at_ms);
    }
    assert_int_equal(v->word, TREND_GROWING);
    per_h = v->bytes_per_h;
    assert_true(per_h > 355000000 && per_h < 365000000);
    assert_in_range(news, 10, 25); /* the window: each time it is a quarter longer */
    assert_true(v->window_s > 450);

    pass(&l, &at_ms, 20 * MINUTE, 160 << 20, 0);
    assert_int_equal(live_moves(&l, row)->word, TREND_STEADY);
    assert_int_equal(row->moved_ms, at_ms);
    live_done(&l);
}

static void a_kill_is_news_when_it_comes_and_when_it_is_long_ago(void **state) {
    int64_t at_ms = 1000000, killed_ms;
    struct live_row *row;
    struct live l;

    (void)state;
    live_init(&l);
    row = put(&l, 1, "a");
    row->series = 5;
    pass(&l, &at_ms, 60, 5 << 20, 0);
    (void)live_moves(&l, row);
    killed_ms = at_ms;
    live_set_kills(&l, 5, 1, killed_ms);
    assert_int_equal(row->told_ms, at_ms + 1);
    pass(&l, &at_ms, 1, 5 << 20, 0);
    (void)live_moves(&l, row);
    assert_int_equal(row->moved_ms, at_ms);
    assert_true(row->killed);
    while (row->killed && at_ms < killed_ms + 2 * STATE_KILLED_MS) {
        pass(&l, &at_ms, 1, 5 << 20, 0);
        (void)live_moves(&l, row);
    }
    assert_int_equal(row->moved_ms, at_ms);
    assert_int_equal(at_ms, killed_ms + STATE_KILLED_MS);
    live_done(&l);
}

static void what_is_started_again_moves_anew(void **state) {
    int64_t at_ms = 1000000;
    struct live_row *row;
    struct live l;

    (void)state;
    live_init(&l);
    row = put(&l, 1, "a");
    pass(&l, &at_ms, 60, 5 << 20, 0);
    assert_int_equal(live_moves(&l, row)->word, TREND_STEADY);
    row->trend_begun = true;
    live_restart(row);
    assert_false(row->trend_begun);
    assert_int_equal(live_moves(&l, row)->word, TREND_UNKNOWN); /* before the next look too */
    assert_int_equal(row->moved_ms, at_ms);
    pass(&l, &at_ms, 30, 5 << 20, 0);
    assert_int_equal(live_moves(&l, row)->word, TREND_STEADY);
    assert_in_range(live_moves(&l, row)->window_s, 20, 30);
    live_done(&l);
}

static void reading_back_is_news_when_it_begins_and_when_it_ends(void **state) {
    int64_t at_ms = 1000000;
    struct live_row *row;
    struct live l;

    (void)state;
    live_init(&l);
    row = put(&l, 1, "a");
    for (uint64_t i = 0; i < 80; i++)
        tick(&l, at_ms += 1000, WIRE_TICK_ROUND, 1, 0, METRIC_USED, V(5), METRIC_REFAULT_FILE,
             V(i < 60 ? 0 : (i - 59) * 300), METRIC_N);
    assert_int_equal(live_moves(&l, row)->refaults_per_s, 300);
    assert_int_equal(row->moved_ms, at_ms);
    for (unsigned i = 0; i < 12; i++)
        tick(&l, at_ms += 1000, WIRE_TICK_ROUND, 99, 0, METRIC_USED, V(1), METRIC_N);
    assert_int_equal(live_moves(&l, row)->refaults_per_s, 0);
    assert_int_equal(row->moved_ms, at_ms);
    live_done(&l);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_are_in_the_order_of_uid),
        cmocka_unit_test(texts_are_copied_and_end_in_nul),
        cmocka_unit_test(told_again_keeps_labels_until_something_changes),
        cmocka_unit_test(ticks_change_what_they_tell_and_no_more),
        cmocka_unit_test(a_round_looks_at_all),
        cmocka_unit_test(cpu_is_use_between_changes),
        cmocka_unit_test(a_bad_tick_is_told_and_harms_nothing),
        cmocka_unit_test(processes_are_kept_as_told),
        cmocka_unit_test(the_lost_are_remembered_those_with_kills_longest),
        cmocka_unit_test(cleared_rows_leave_their_kills_only),
        cmocka_unit_test(series_are_found),
        cmocka_unit_test(a_late_kill_counts_for_the_next_instance_too),
        cmocka_unit_test(keys_outlive_an_instance),
        cmocka_unit_test(words_mean_targets),
        cmocka_unit_test(used_of_the_limit),
        cmocka_unit_test(a_row_that_does_not_change_is_seen_to_be_steady),
        cmocka_unit_test(how_it_moves_is_news_only_when_it_changed),
        cmocka_unit_test(a_kill_is_news_when_it_comes_and_when_it_is_long_ago),
        cmocka_unit_test(what_is_started_again_moves_anew),
        cmocka_unit_test(reading_back_is_news_when_it_begins_and_when_it_ends),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
