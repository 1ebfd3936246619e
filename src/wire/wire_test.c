#include "wire/wire.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <string.h>

static uint8_t memory[WIRE_MESSAGE];

static struct wire_in body_of(const struct wire_out *w, enum wire_kind kind, uint64_t seq) {
    struct wire_in in = {w->p, w->n};
    struct wire_head head;

    assert_int_equal(wire_read_head(&in, &head), 0);
    assert_int_equal(head.kind, kind);
    assert_true(head.seq == seq);
    return in;
}

static const struct wire_target target = {
    .uid = 300,
    .kind = TARGET_CONTAINER,
    .runtime = RUNTIME_DOCKER,
    .qos = QOS_BURSTABLE,
    .limit_certain = true,
    .version = WIRE_CG_V2,
    .start_ms = 1700000000123,
    .init_pid = 4711,
    .born_ms = 1700000000999,
    .instance = UINT64_MAX,
    .run = 9000,
    .run_ms = 1,
    .path = {"/docker/abc", 11},
    .name = {"we\0b", 4}, /* any byte */
    .id = {"abc", 3},
    .image = {"busybox:latest", 14},
    .limit_from = {"/docker/abc", 11},
    .labels = {"a=b\nc=d\n", 8},
    .lang = {"go 1.19.8", 9},
};

static void a_target_comes_back_as_it_was(void **state) {
    struct wire_target back;
    struct wire_out w;
    struct wire_in in;

    (void)state;
    wire_begin(&w, memory, sizeof(memory), WIRE_TARGET, 1ull << 40);
    assert_true(wire_add_target(&w, &target));
    in = body_of(&w, WIRE_TARGET, 1ull << 40);
    assert_int_equal(wire_read_target(&in, &back), 0);
    assert_int_equal(back.uid, 300);
    assert_int_equal(back.kind, TARGET_CONTAINER);
    assert_int_equal(back.runtime, RUNTIME_DOCKER);
    assert_int_equal(back.qos, QOS_BURSTABLE);
    assert_true(back.limit_certain);
    assert_int_equal(back.version, WIRE_CG_V2);
    assert_true(back.start_ms == target.start_ms && back.born_ms == target.born_ms);
    assert_true(back.instance == UINT64_MAX && back.run == 9000 && back.run_ms == 1);
    assert_int_equal(back.init_pid, 4711);
    assert_true(str_eq(back.path, target.path) && str_eq(back.name, target.name));
    assert_true(str_eq(back.image, target.image) && back.pod.n == 0 && back.inside.n == 0);
    assert_true(str_eq(back.labels, target.labels) && str_eq(back.lang, target.lang));
    /* Whatever is cut off, it is no target any more; but without runs and labels it is what was
     * written before there were any. */
    for (size_t n = 0; n < w.n; n++) {
        size_t before_lang = w.n - 1 - target.lang.n, before_runs = before_lang - 3,
               before_labels = before_runs - 1 - target.labels.n;

        struct wire_head head;

        in = (struct wire_in){w.p, n};
        if (n == before_lang || n == before_runs || n == before_labels) {
            assert_int_equal(wire_read_head(&in, &head), 0);
            assert_int_equal(wire_read_target(&in, &back), 0);
            assert_true(str_eq(back.limit_from, target.limit_from));
            assert_true((back.labels.n == 0) == (n == before_labels) && back.lang.n == 0);
            assert_true((back.run == 0) == (n != before_lang));
            continue;
        }
        assert_true(wire_read_head(&in, &head) < 0 || wire_read_target(&in, &back) == -EBADMSG);
    }
}

static struct sample sample_of(uint64_t usage, uint64_t kills) {
    struct sample s = {0};

    sample_set(&s, METRIC_USAGE, usage);
    sample_set(&s, METRIC_OOM_KILLS, kills);
    return s;
}

static void values_of_every_size_survive(void **state) {
    static const uint64_t values[] = {0,
                                      1,
                                      4095,
                                      4096,
                                      4097,
                                      1ull << 40,
                                      (1ull << 40) + 1,
                                      UINT64_MAX / 2 - 1,
                                      UINT64_MAX / 2,
                                      UINT64_MAX / 2 + 1,
                                      UINT64_MAX - 4095,
                                      UINT64_MAX - 1,
                                      SAMPLE_NONE};

    (void)state;
    for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
        const struct wire_tick tick = {-5, WIRE_TICK_ROUND};
        struct sample now = sample_of(values[i], 7);
        struct wire_change change;
        struct wire_tick back;
        struct wire_out w;
        struct wire_in in;

        wire_begin(&w, memory, sizeof(memory), WIRE_TICK, 1);
        assert_true(wire_add_tick(&w, &tick));
        assert_true(wire_add_change(&w, 9, NULL, &now, false));
        in = body_of(&w, WIRE_TICK, 1);
        assert_int_equal(wire_read_tick(&in, &back), 0);
        assert_true(back.at_ms == -5 && back.flags == WIRE_TICK_ROUND);
        assert_int_equal(wire_read_change(&in, &change), 1);
        assert_true(change.set == now.have && change.lost == 0 && change.uid == 9);
        assert_true(change.value[METRIC_USAGE] == values[i]);
        assert_true(change.value[METRIC_OOM_KILLS] == 7);
        assert_int_equal(wire_read_change(&in, &change), 0);
    }
}

static void a_tick_tells_what_changed_and_nothing_else(void **state) {
    struct sample before = sample_of(8192, 1), now = sample_of(8192, 2);
    struct wire_change change;
    struct wire_tick tick;
    struct wire_out w;
    struct wire_in in;
    size_t empty;

    (void)state;
    sample_set(&before, METRIC_SWAP, 5);
    wire_begin(&w, memory, sizeof(memory), WIRE_TICK, 1);
    assert_true(wire_add_tick(&w, &(struct wire_tick){1, 0}));
    empty = w.n;
    assert_true(wire_add_change(&w, 1, &now, &now, false));
    assert_int_equal(w.n, empty); /* nothing has */
    assert_true(wire_add_change(&w, 1, &now, &now, true));
    assert_true(wire_add_change(&w, 2, &before, &now, false));
    wire_set_more(&w);
    in = body_of(&w, WIRE_TICK, 1);
    assert_int_equal(wire_read_tick(&in, &tick), 0);
    assert_int_equal(tick.flags, WIRE_TICK_MORE);
    assert_int_equal(wire_read_change(&in, &change), 1);
    assert_true(change.uid == 1 && change.set == 0 && change.lost == 0);
    assert_int_equal(wire_read_change(&in, &change), 1);
    assert_true(change.uid == 2 && change.set == 1ull << METRIC_OOM_KILLS);
    assert_true(change.lost == 1ull << METRIC_SWAP);
    assert_true(change.value[METRIC_OOM_KILLS] == 2);
}

static void what_does_not_fit_is_not_half_there(void **state) {
    struct sample now = sample_of(4096, 1);
    struct wire_out w;
    size_t n;

    (void)state;
    wire_begin(&w, memory, 64, WIRE_TICK, 1);
    assert_true(wire_add_tick(&w, &(struct wire_tick){1, 0}));
    do
        n = w.n;
    while (wire_add_change(&w, 1, NULL, &now, false));
    assert_int_equal(w.n, n);
    assert_true(w.full);
}

static void processes_come_back(void **state) {
    struct wire_proc p = {.pid = 12, .pss_estimated = true, .comm = STR("a b"), .command = STR("")};
    struct wire_procs procs, head = {.uid = 3, .at_ms = 77, .total = 1000};
    struct wire_proc back;
    struct wire_out w;
    struct wire_in in;

    (void)state;
    p.have = PROC_BIT(PROC_COMM) | PROC_BIT(PROC_COMMAND) | PROC_BIT(PROC_ANON) |
             PROC_BIT(PROC_STATE) | PROC_BIT(PROC_CGROUP);
    p.value[PROC_ANON] = 4096;
    p.value[PROC_STATE] = 'S';
    wire_begin(&w, memory, sizeof(memory), WIRE_PROCS, 1);
    assert_true(wire_add_procs(&w, &head) && wire_add_proc(&w, &p) && wire_add_proc(&w, &p));
    in = body_of(&w, WIRE_PROCS, 1);
    assert_int_equal(wire_read_procs(&in, &procs), 0);
    assert_true(procs.uid == 3 && procs.total == 1000);
    assert_int_equal(wire_read_proc(&in, &back), 1);
    assert_true(back.pid == 12 && back.pss_estimated && back.value[PROC_ANON] == 4096);
    assert_true(back.have == (p.have & ~PROC_BIT(PROC_CGROUP)) && str_eq(back.comm, p.comm));
    assert_int_equal(wire_read_proc(&in, &back), 1);
    assert_int_equal(wire_read_proc(&in, &back), 0);
}

static void the_rest_comes_back(void **state) {
    const struct wire_oom oom = {.uid = 1,
                                 .at_ms = 2,
                                 .kills = 3,
                                 .outside = true,
                                 .victim_pid = 4,
                                 .anon = 4096,
                                 .comm = STR("x"),
                                 .limit_path = STR("/y")};
    const struct wire_hello hello = {1, 2, 1000, 100, true, WIRE_TARGETS_ALL, 10};
    const struct wire_start start = {.boot = UINT64_MAX, .resumed = true, .start_ms = 5};
    struct wire_hello hello_back;
    struct wire_start start_back;
    struct wire_oom oom_back;
    struct wire_gone gone;
    struct wire_ack ack;
    struct wire_out w;
    struct wire_in in;

    (void)state;
    wire_begin(&w, memory, sizeof(memory), WIRE_OOM, 1);
    assert_true(wire_add_oom(&w, &oom));
    in = body_of(&w, WIRE_OOM, 1);
    assert_int_equal(wire_read_oom(&in, &oom_back), 0);
    assert_true(oom_back.outside && !oom_back.sure && oom_back.kills == 3 && oom_back.anon == 4096);
    assert_true(str_eq(oom_back.limit_path, STR("/y")));
    wire_begin(&w, memory, sizeof(memory), WIRE_HELLO, 0);
    assert_true(wire_add_hello(&w, &hello));
    in = body_of(&w, WIRE_HELLO, 0);
    assert_int_equal(wire_read_hello(&in, &hello_back), 0);
    assert_true(hello_back.boot == 1 && hello_back.last_seq == 2 && hello_back.adaptive);
    assert_true(hello_back.interval_ms == 1000 && hello_back.fastest_ms == 100);
    assert_true(hello_back.targets == WIRE_TARGETS_ALL && hello_back.processes == 10);
    wire_begin(&w, memory, sizeof(memory), WIRE_START, 0);
    assert_true(wire_add_start(&w, &start));
    in = body_of(&w, WIRE_START, 0);
    assert_int_equal(wire_read_start(&in, &start_back), 0);
    assert_true(start_back.boot == UINT64_MAX && start_back.resumed && !start_back.ask);
    wire_begin(&w, memory, sizeof(memory), WIRE_GONE, 1);
    assert_true(wire_add_gone(&w, &(struct wire_gone){UINT32_MAX, 5}));
    in = body_of(&w, WIRE_GONE, 1);
    assert_int_equal(wire_read_gone(&in, &gone), 0);
    assert_true(gone.uid == UINT32_MAX);
    wire_begin(&w, memory, sizeof(memory), WIRE_ACK, 0);
    assert_true(wire_add_ack(&w, &(struct wire_ack){7}));
    in = body_of(&w, WIRE_ACK, 0);
    assert_int_equal(wire_read_ack(&in, &ack), 0);
    assert_true(ack.seq == 7);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_target_comes_back_as_it_was),
        cmocka_unit_test(values_of_every_size_survive),
        cmocka_unit_test(a_tick_tells_what_changed_and_nothing_else),
        cmocka_unit_test(what_does_not_fit_is_not_half_there),
        cmocka_unit_test(processes_come_back),
        cmocka_unit_test(the_rest_comes_back),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
