#include "sampler/tick.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include "base/clock.h"
#include "base/mem.h"
#include "kern/cgtest.h"

#define MIB (1ull << 20)
#define MEM_TOTAL (8388608ull << 10)

enum { TARGETS = 100 };

struct machine {
    struct cgtest t;
    struct ticker *ticker;
    struct target target[TARGETS];
    char path[TARGETS][64];
    const char *mount; /* of the memory hierarchy */
    bool v1;
};

static void machine_init(struct machine *m, bool v1) {
    memset(m, 0, sizeof(*m));
    cgtest_init(&m->t);
    m->v1 = v1;
    m->mount = v1 ? "/sys/fs/cgroup/memory" : "/sys/fs/cgroup";
    if (v1)
        cgtest_make_v1(&m->t);
    else
        cgtest_make_v2(&m->t);
}

static void machine_start_with(struct machine *m, const struct tick_options *options) {
    struct err err = {0};

    cgtest_open(&m->t, false);
    if (ticker_new(&m->t.host, &m->t.fs, options, &m->ticker, &err) < 0)
        fail_msg("%s", err.text);
}

static void machine_start(struct machine *m, unsigned want, bool all_groups) {
    machine_start_with(m, &(struct tick_options){.want = want, .all_groups = all_groups});
}

static void machine_done(struct machine *m) {
    ticker_free(m->ticker);
    cgtest_done(&m->t);
}

static void put(const struct machine *m, const char *group, const char *file, const char *text) {
    char path[512];

    snprintf(path, sizeof(path), "%s%s/%s", m->mount, group, file);
    cgtest_write(&m->t, path, text);
}

static void put_number(const struct machine *m, const char *group, const char *file, uint64_t n) {
    char text[32];

    snprintf(text, sizeof(text), "%llu\n", (unsigned long long)n);
    put(m, group, file, text);
}

/* A group with its usage, of which `cache` can be dropped. hier: v1's tightest limit up to the
 * top. */
static void group(const struct machine *m, const char *path, uint64_t usage, uint64_t cache,
                  uint64_t limit, uint64_t hier) {
    char stat[512];
    const char *total = m->v1 ? "total_" : "";

    snprintf(stat, sizeof(stat),
             "%s %llu\n%sinactive_file %llu\n%sactive_file 0\n"
             "%s %llu\n",
             m->v1 ? "total_rss" : "anon", (unsigned long long)(usage - cache), total,
             (unsigned long long)cache, total,
             m->v1 ? "hierarchical_memory_limit" : "slab_reclaimable",
             m->v1 ? (unsigned long long)hier : 0);
    put(m, path, "memory.stat", stat);
    put_number(m, path, m->v1 ? "memory.usage_in_bytes" : "memory.current", usage);
    if (limit == CGROUP_NO_LIMIT)
        put(m, path, m->v1 ? "memory.limit_in_bytes" : "memory.max",
            m->v1 ? "9223372036854771712\n" : "max\n");
    else
        put_number(m, path, m->v1 ? "memory.limit_in_bytes" : "memory.max", limit);
    put(m, path, m->v1 ? "memory.oom_control" : "memory.events",
        m->v1 ? "oom_kill_disable 0\nunder_oom 0\noom_kill 0\n" : "max 0\noom 0\noom_kill 0\n");
}

static const struct target *add(struct machine *m, uint32_t slot, const char *path) {
    struct target *target = &m->target[slot];

    snprintf(m->path[slot], sizeof(m->path[slot]), "%s", path);
    *target = (struct target){.path = str_of(m->path[slot]),
                              .name = m->path[slot],
                              .slot = slot,
                              .kind = TARGET_CONTAINER};
    assert_int_equal(ticker_add(m->ticker, target), 0);
    return target;
}

static const struct sample *tick(struct machine *m, uint32_t slot) {
    assert_int_equal(ticker_run(m->ticker), 0);
    return ticker_sample(m->ticker, slot);
}

static void holds(const struct sample *s, enum metric metric, uint64_t value) {
    assert_non_null(s);
    if (!sample_has(s, metric))
        fail_msg("%s is missing", metric_info(metric)->key);
    if (s->value[metric] != value)
        fail_msg("%s is %llu, not %llu", metric_info(metric)->key,
                 (unsigned long long)s->value[metric], (unsigned long long)value);
}

static void lacks(const struct sample *s, enum metric metric) {
    assert_non_null(s);
    if (sample_has(s, metric))
        fail_msg("%s is there", metric_info(metric)->key);
}

static void limit_is(const struct machine *m, uint32_t slot, uint64_t bytes, enum limit_from from,
                     const char *path, uint64_t headroom) {
    const struct sample *s = ticker_sample(m->ticker, slot);
    struct tick_limit limit;

    holds(s, METRIC_LIMIT, bytes);
    holds(s, METRIC_HEADROOM, headroom);
    ticker_limit(m->ticker, slot, &limit);
    assert_int_equal(limit.from, from);
    if (path)
        assert_true(str_eq(limit.path, str_of(path)));
}

static void samples_hold_what_the_files_say(void **state) {
    static const char *const captured[] = {"tests/fixtures/v2/app", "tests/fixtures/v1/app"};
    const struct sample *s;
    struct machine m;

    (void)state;
    for (unsigned v1 = 0; v1 <= 1; v1++) {
        char to[128];

        machine_init(&m, v1);
        snprintf(to, sizeof(to), "%s/app", m.mount);
        cgtest_copy(&m.t, captured[v1], to);
        if (v1)
            cgtest_write(&m.t, "/sys/fs/cgroup/pids/app/pids.current", "2\n");
        machine_start(&m, TICK_ALL, false);
        add(&m, 3, "/app");
        assert_null(ticker_sample(m.ticker, 3)); /* not read yet */
        s = tick(&m, 3);
        holds(s, METRIC_USAGE, v1 ? 150601728 : 85544960);
        holds(s, METRIC_ANON, v1 ? 90955776 : 67276800);
        holds(s, METRIC_SHMEM, 16777216);
        holds(s, METRIC_USED,
              v1 ? 150601728 - 42037248 - 135168 : 85544960 - 892928 - 4096 - 45904);
        holds(s, METRIC_WORKING_SET, v1 ? 150601728 - 42037248 : 85544960 - 892928);
        holds(s, METRIC_KERNEL, v1 ? 430080 : 311296);
        holds(s, METRIC_OWN_LIMIT, 256 * MIB);
        holds(s, METRIC_PEAK, v1 ? 150601728 : 85544960);
        holds(s, METRIC_OOM_KILLS, 0);
        holds(s, METRIC_PIDS, 2);
        holds(s, METRIC_SWAP, 0);
        assert_true(s->at_ms > 1700000000000);
        if (v1) {
            holds(s, METRIC_SOFT_LIMIT, 200 * MIB);
            holds(s, METRIC_UNDER_OOM, 0);
            lacks(s, METRIC_HIGH);
            lacks(s, METRIC_SLAB_RECLAIMABLE);
            lacks(s, METRIC_CPU_US);
        } else {
            holds(s, METRIC_HIGH, 200 * MIB);
            holds(s, METRIC_CPU_US, 886134);
            holds(s, METRIC_PSI_SOME, 0);
            lacks(s, METRIC_UNDER_OOM);
            lacks(s, METRIC_BLK_READ);
        }
        lacks(s, METRIC_NET_RX);
        limit_is(&m, 3, 256 * MIB, LIMIT_LEVEL, "/app", 256 * MIB - s->value[METRIC_USED]);
        assert_true(ticker_host(m.ticker)->have_mem);
        assert_int_equal(ticker_host(m.ticker)->mem_total, MEM_TOTAL);
        assert_null(ticker_sample(m.ticker, 2));
        assert_null(ticker_sample(m.ticker, 5000));
        machine_done(&m);
    }
}

/* /pod 200M with a neighbour in it; /pod/a 500M; /pod/b none; /free none; /tight 50M. */
static void make_pods(const struct machine *m) {
    uint64_t none = m->v1 ? 9223372036854771712ull : 0;

    group(m, "/pod", 150 * MIB, 10 * MIB, 200 * MIB, 200 * MIB);
    group(m, "/pod/a", 100 * MIB, 10 * MIB, 500 * MIB, 200 * MIB);
    group(m, "/pod/b", 50 * MIB, 0, CGROUP_NO_LIMIT, 200 * MIB);
    group(m, "/free", 30 * MIB, 10 * MIB, CGROUP_NO_LIMIT, none);
    group(m, "/tight", 48 * MIB, 8 * MIB, 50 * MIB, 50 * MIB);
    group(m, "/huge", 1 * MIB, 0, 2 * MEM_TOTAL, none);
}

static void the_limit_is_the_tightest_of_the_chain_and_its_owner_is_named(void **state) {
    (void)state;
    for (unsigned v1 = 0; v1 <= 1; v1++) {
        struct machine m;

        machine_init(&m, v1);
        make_pods(&m);
        machine_start(&m, 0, false);
        add(&m, 0, "/pod/a");
        add(&m, 1, "/pod/b");
        add(&m, 2, "/free");
        add(&m, 3, "/tight");
        add(&m, 4, "/huge");
        for (unsigned again = 0; again < 3; again++) {
            (void)tick(&m, 0);
            /* the pod uses 140 of its 200: that its neighbour uses 50 leaves /pod/a only 60 */
            limit_is(&m, 0, 200 * MIB, LIMIT_LEVEL, "/pod", 60 * MIB);
            limit_is(&m, 1, 200 * MIB, LIMIT_LEVEL, "/pod", 60 * MIB);
            limit_is(&m, 2, MEM_TOTAL, LIMIT_HOST, NULL, MEM_TOTAL - 20 * MIB);
            limit_is(&m, 3, 50 * MIB, LIMIT_LEVEL, "/tight", 10 * MIB);
            limit_is(&m, 4, MEM_TOTAL, LIMIT_HOST, NULL, MEM_TOTAL - 1 * MIB);
        }
        assert_null(ticker_sample(m.ticker, 5)); /* /pod itself is no target */
        machine_done(&m);
    }
}

static void a_limit_that_is_changed_counts_at_the_next_tick(void **state) {
    (void)state;
    for (unsigned v1 = 0; v1 <= 1; v1++) {
        struct machine m;

        machine_init(&m, v1);
        make_pods(&m);
        machine_start(&m, 0, false);
        add(&m, 0, "/pod/a");
        (void)tick(&m, 0);
        limit_is(&m, 0, 200 * MIB, LIMIT_LEVEL, "/pod", 60 * MIB);
        group(&m, "/pod", 170 * MIB, 10 * MIB, 180 * MIB, 180 * MIB);
        group(&m, "/pod/a", 100 * MIB, 10 * MIB, 500 * MIB, 180 * MIB);
        (void)tick(&m, 0);
        limit_is(&m, 0, 180 * MIB, LIMIT_LEVEL, "/pod", 20 * MIB);
        group(&m, "/pod", 170 * MIB, 10 * MIB, CGROUP_NO_LIMIT, 1ull << 62);
        group(&m, "/pod/a", 100 * MIB, 10 * MIB, 500 * MIB, 500 * MIB);
        (void)tick(&m, 0);
        limit_is(&m, 0, 500 * MIB, LIMIT_LEVEL, "/pod/a", 410 * MIB);
        machine_done(&m);
    }
}

/* With many targets limits are not read every time; v1 tells in memory.stat that one has moved. */
static void with_many_targets_v1_still_notices_a_new_limit(void **state) {
    struct machine m;
    char path[32];

    (void)state;
    machine_init(&m, true);
    for (uint32_t i = 0; i < TARGETS; i++) {
        snprintf(path, sizeof(path), "/g%u", i);
        group(&m, path, 10 * MIB, 0, 100 * MIB, 100 * MIB);
    }
    machine_start(&m, 0, false);
    for (uint32_t i = 0; i < TARGETS; i++) {
        snprintf(path, sizeof(path), "/g%u", i);
        add(&m, i, path);
    }
    (void)tick(&m, 0);
    limit_is(&m, 99, 100 * MIB, LIMIT_LEVEL, "/g99", 90 * MIB);
    group(&m, "/g99", 10 * MIB, 0, 40 * MIB, 40 * MIB);
    (void)tick(&m, 0); /* at once lower, but whose it is may be told a tick later */
    holds(ticker_sample(m.ticker, 99), METRIC_LIMIT, 40 * MIB);
    (void)tick(&m, 0);
    limit_is(&m, 99, 40 * MIB, LIMIT_LEVEL, "/g99", 30 * MIB);
    for (uint32_t i = 0; i < TARGETS; i += 2)
        ticker_remove(m.ticker, &m.target[i]);
    (void)tick(&m, 0);
    for (uint32_t i = 0; i < TARGETS; i++)
        assert_int_equal(ticker_sample(m.ticker, i) != NULL, i % 2);
    machine_done(&m);
}

static void a_slot_can_be_given_to_another_target(void **state) {
    struct machine m;

    (void)state;
    machine_init(&m, false);
    make_pods(&m);
    machine_start(&m, 0, false);
    for (unsigned again = 0; again < 5; again++) {
        const struct target *target = add(&m, 7, "/pod/a");

        assert_null(ticker_sample(m.ticker, 7)); /* nothing of the last one is left */
        holds(tick(&m, 7), METRIC_USAGE, 100 * MIB);
        ticker_remove(m.ticker, target);
        assert_null(ticker_sample(m.ticker, 7));
        ticker_remove(m.ticker, target); /* once too often does no harm */
        target = add(&m, 7, "/tight");
        holds(tick(&m, 7), METRIC_USAGE, 48 * MIB);
        limit_is(&m, 7, 50 * MIB, LIMIT_LEVEL, "/tight", 10 * MIB);
        ticker_remove(m.ticker, target);
    }
    machine_done(&m);
}

static void a_target_may_be_the_ancestor_of_another(void **state) {
    const struct target *pod, *a;
    struct machine m;

    (void)state;
    machine_init(&m, false);
    make_pods(&m);
    machine_start(&m, 0, false);
    a = add(&m, 0, "/pod/a");
    pod = add(&m, 1, "/pod");
    (void)tick(&m, 0);
    limit_is(&m, 0, 200 * MIB, LIMIT_LEVEL, "/pod", 60 * MIB);
    limit_is(&m, 1, 200 * MIB, LIMIT_LEVEL, "/pod", 60 * MIB);
    ticker_remove(m.ticker, pod); /* still needed for its child */
    (void)tick(&m, 0);
    limit_is(&m, 0, 200 * MIB, LIMIT_LEVEL, "/pod", 60 * MIB);
    pod = add(&m, 1, "/pod");
    ticker_remove(m.ticker, a);
    holds(tick(&m, 1), METRIC_USAGE, 150 * MIB);
    assert_null(ticker_sample(m.ticker, 0));
    ticker_remove(m.ticker, pod);
    (void)tick(&m, 0);
    machine_done(&m);
}

static void nothing_stays_open_behind_removed_targets(void **state) {
    struct machine m;
    int before;

    (void)state;
    machine_init(&m, false);
    make_pods(&m);
    machine_start(&m, TICK_ALL, false);
    before = cgtest_open_fds();
    for (unsigned again = 0; again < 20; again++) {
        const struct target *a = add(&m, 0, "/pod/a"), *b = add(&m, 1, "/pod/b");

        (void)tick(&m, 0);
        assert_true(cgtest_open_fds() > before);
        ticker_remove(m.ticker, a);
        ticker_remove(m.ticker, b);
        assert_int_equal(cgtest_open_fds(), before);
    }
    assert_false(ticker_short_of_fds(m.ticker));
    machine_done(&m);
}

static void a_group_has_no_sample_until_it_is_made(void **state) {
    struct machine m;

    (void)state;
    machine_init(&m, false);
    make_pods(&m);
    machine_start(&m, 0, false);
    add(&m, 0, "/tight");
    add(&m, 1, "/not-made-yet");
    assert_non_null(tick(&m, 0));
    assert_null(ticker_sample(m.ticker, 1));
    group(&m, "/not-made-yet", 2 * MIB, 0, CGROUP_NO_LIMIT, 0);
    holds(tick(&m, 1), METRIC_USAGE, 2 * MIB);
    machine_done(&m);
}

static void kills(const struct machine *m, const char *path, unsigned n) {
    char text[64];

    snprintf(text, sizeof(text), "oom_kill_disable 0\nunder_oom 0\noom_kill %u\n", n);
    put(m, path, "memory.oom_control", text);
}

static void make_kills(const struct machine *m) {
    make_pods(m);
    group(m, "/pod/a/x", 1 * MIB, 0, CGROUP_NO_LIMIT, 200 * MIB);
    kills(m, "/pod", 1);
    kills(m, "/pod/a", 20);
    kills(m, "/pod/a/x", 300);
    kills(m, "/pod/b", 4000);
}

static void kills_of_groups_below_are_summed_on_v1(void **state) {
    struct machine m;

    (void)state;
    machine_init(&m, true);
    make_kills(&m);
    machine_start(&m, 0, false);
    add(&m, 0, "/pod/a");
    add(&m, 1, "/pod");
    for (unsigned again = 0; again < 3; again++) {
        holds(tick(&m, 0), METRIC_OOM_KILLS, 320);
        holds(ticker_sample(m.ticker, 1), METRIC_OOM_KILLS, 4321);
    }
    machine_done(&m);
}

static void with_every_group_a_target_the_sums_are_the_same(void **state) {
    struct machine m;

    (void)state;
    machine_init(&m, true);
    make_kills(&m);
    machine_start(&m, 0, true);
    add(&m, 0, "/pod/a/x"); /* children first and parents first */
    add(&m, 1, "/pod");
    add(&m, 2, "/pod/a");
    add(&m, 3, "/pod/b");
    add(&m, 4, "/free");
    for (unsigned again = 0; again < 3; again++) {
        holds(tick(&m, 0), METRIC_OOM_KILLS, 300);
        holds(ticker_sample(m.ticker, 1), METRIC_OOM_KILLS, 4321);
        holds(ticker_sample(m.ticker, 2), METRIC_OOM_KILLS, 320);
        holds(ticker_sample(m.ticker, 3), METRIC_OOM_KILLS, 4000);
        holds(ticker_sample(m.ticker, 4), METRIC_OOM_KILLS, 0);
    }
    machine_done(&m);
}

static void v2_counts_the_groups_below_itself(void **state) {
    struct machine m;

    (void)state;
    machine_init(&m, false);
    make_pods(&m);
    put(&m, "/pod", "memory.events", "oom_kill 5\n");
    put(&m, "/pod/a", "memory.events", "oom_kill 3\n");
    machine_start(&m, 0, true);
    add(&m, 0, "/pod");
    add(&m, 1, "/pod/a");
    holds(tick(&m, 0), METRIC_OOM_KILLS, 5);
    holds(ticker_sample(m.ticker, 1), METRIC_OOM_KILLS, 3);
    machine_done(&m);
}

static void cpu_needs_two_ticks(void **state) {
    struct machine m;
    uint64_t centi = 77;

    (void)state;
    machine_init(&m, false);
    make_pods(&m);
    put(&m, "/free", "cpu.stat", "usage_usec 1000000\n");
    machine_start(&m, TICK_CPU, false);
    add(&m, 0, "/free");
    (void)tick(&m, 0);
    assert_false(ticker_cpu(m.ticker, 0, &centi));
    assert_false(ticker_cpu(m.ticker, 9, &centi));
    usleep(2000);
    (void)tick(&m, 0);
    assert_true(ticker_cpu(m.ticker, 0, &centi));
    assert_int_equal(centi, 0);
    put(&m, "/free", "cpu.stat", "usage_usec 1000500\n");
    usleep(2000);
    (void)tick(&m, 0);
    assert_true(ticker_cpu(m.ticker, 0, &centi));
    assert_true(centi > 0 && centi <= 2500);        /* 500 us in at least 2000 */
    put(&m, "/free", "cpu.stat", "usage_usec 5\n"); /* a new group of that name */
    usleep(1000);
    (void)tick(&m, 0);
    assert_false(ticker_cpu(m.ticker, 0, &centi));
    machine_done(&m);
}

static void network_is_that_of_the_first_process(void **state) {
    struct machine m;

    (void)state;
    machine_init(&m, false);
    make_pods(&m);
    cgtest_write(&m.t, "/proc/42/net/dev",
                 "Inter-|   Receive  |  Transmit\n face |bytes |bytes\n"
                 "    lo: 9 0 0 0 0 0 0 0 9\n  eth0: 1000 0 0 0 0 0 0 0 2000\n");
    machine_start(&m, TICK_NET, false);
    add(&m, 0, "/free");
    m.target[0].init_pid = 42;
    add(&m, 1, "/tight"); /* nobody knows its process */
    holds(tick(&m, 0), METRIC_NET_RX, 1000);
    holds(ticker_sample(m.ticker, 0), METRIC_NET_TX, 2000);
    lacks(ticker_sample(m.ticker, 1), METRIC_NET_RX);
    m.target[0].init_pid = 43;
    lacks(tick(&m, 0), METRIC_NET_RX);
    machine_done(&m);
}

/* --- many targets, in turns --- */

/* 100 groups, and time that passes as we say. */
struct many {
    struct machine m;
    int64_t now_us;
};

static void many_init(struct many *x, bool v1, const struct tick_options *options) {
    char path[32];

    machine_init(&x->m, v1);
    for (uint32_t i = 0; i < TARGETS; i++) {
        snprintf(path, sizeof(path), "/g%u", i);
        group(&x->m, path, 10 * MIB, 2 * MIB, 100 * MIB, 100 * MIB);
    }
    machine_start_with(&x->m, options);
    for (uint32_t i = 0; i < TARGETS; i++) {
        snprintf(path, sizeof(path), "/g%u", i);
        add(&x->m, i, path);
    }
    x->now_us = clock_mono_us();
}

static void second(struct many *x) {
    x->now_us += 1000000;
    assert_int_equal(ticker_run_at(x->m.ticker, x->now_us), 0);
}

static void seconds(struct many *x, unsigned n) {
    while (n-- > 0)
        second(x);
}

static void put_pids(const struct many *x, uint32_t i, uint64_t n) {
    char path[96], text[32];

    snprintf(path, sizeof(path), "%s/g%u/pids.current",
             x->m.v1 ? "/sys/fs/cgroup/pids" : x->m.mount, i);
    snprintf(text, sizeof(text), "%llu\n", (unsigned long long)n);
    cgtest_write(&x->m.t, path, text);
}

static void put_peak(const struct many *x, uint32_t i, uint64_t n) {
    char path[32];

    snprintf(path, sizeof(path), "/g%u", i);
    put_number(&x->m, path, x->m.v1 ? "memory.max_usage_in_bytes" : "memory.peak", n);
}

static void put_group(const struct many *x, uint32_t i, uint64_t usage, uint64_t cache,
                      uint64_t limit) {
    char path[32];

    snprintf(path, sizeof(path), "/g%u", i);
    group(&x->m, path, usage, cache, limit, limit);
}

static const struct tick_options spread = {.want = TICK_ALL, .spread = true};

static void in_turns_nothing_is_older_than_ten_seconds(void **state) {
    (void)state;
    for (unsigned v1 = 0; v1 <= 1; v1++) {
        uint64_t last[TARGETS] = {0};
        struct many x;

        many_init(&x, v1, &spread);
        for (uint64_t tick = 1; tick <= 60; tick++) {
            unsigned taken = 0;

            for (uint32_t i = 0; i < TARGETS; i++)
                put_pids(&x, i, tick);
            second(&x);
            for (uint32_t i = 0; i < TARGETS; i++) {
                const struct sample *s = ticker_sample(x.m.ticker, i);

                assert_true(s && sample_has(s, METRIC_PIDS));
                assert_true(s->value[METRIC_PIDS] + 10 >= tick);
                taken += s->value[METRIC_PIDS] != last[i];
                last[i] = s->value[METRIC_PIDS];
            }
            if (tick > 20) /* their first seconds are over */
                assert_true(taken >= TARGETS / 20 && taken <= TARGETS / 4);
        }
        machine_done(&x.m);
    }
}

static void what_has_moved_is_read_whole(void **state) {
    (void)state;
    for (unsigned v1 = 0; v1 <= 1; v1++) {
        unsigned fresh = 0;
        struct many x;

        many_init(&x, v1, &spread);
        for (uint32_t i = 0; i < TARGETS; i++) {
            put_pids(&x, i, 1);
            put_peak(&x, i, 10 * MIB);
        }
        seconds(&x, 20);
        for (uint32_t i = 0; i < TARGETS; i++)
            put_pids(&x, i, 2);
        for (uint32_t i = 10; i < 20; i++) { /* of some usage moves, of others what it is */
            put_group(&x, i, 20 * MIB, 2 * MIB, 100 * MIB);
            put_group(&x, i + 50, 10 * MIB, 3 * MIB, 100 * MIB);
        }
        second(&x);
        for (uint32_t i = 10; i < 20; i++) {
            holds(ticker_sample(x.m.ticker, i), METRIC_PIDS, 2);
            holds(ticker_sample(x.m.ticker, i + 50), METRIC_PIDS, 2);
        }
        for (uint32_t i = 0; i < TARGETS; i++) { /* all at once: they share a budget */
            put_pids(&x, i, 3);
            put_peak(&x, i, 40 * MIB);
            put_group(&x, i, 30 * MIB, 2 * MIB, 100 * MIB);
        }
        second(&x);
        for (uint32_t i = 0; i < TARGETS; i++)
            fresh += ticker_sample(x.m.ticker, i)->value[METRIC_PIDS] == 3;
        assert_true(fresh >= 64 && fresh <= 64 + TARGETS / 4);
        second(&x);
        for (uint32_t i = 0; i < TARGETS; i++) {
            holds(ticker_sample(x.m.ticker, i), METRIC_PIDS, 3);
            holds(ticker_sample(x.m.ticker, i), METRIC_PEAK, 40 * MIB);
        }
        machine_done(&x.m);
    }
}

static void quick_values_agree(const struct ticker *a, const struct ticker *b, uint32_t slot) {
    static const enum metric quick[] = {
        METRIC_USAGE, METRIC_USED,     METRIC_WORKING_SET,   METRIC_ANON,
        METRIC_LIMIT, METRIC_HEADROOM, METRIC_INACTIVE_FILE,
    };
    const struct sample *s = ticker_sample(a, slot), *other = ticker_sample(b, slot);

    assert_true(s && other);
    for (size_t i = 0; i < ARRAY_N(quick); i++) {
        assert_true(sample_has(s, quick[i]));
        holds(other, quick[i], s->value[quick[i]]);
    }
}

/* Whatever changes: usage, memory.stat and what follows from them are as if all were read. */
static void in_turns_the_quick_values_are_as_without(void **state) {
    unsigned dice = 1;

    (void)state;
    for (unsigned v1 = 0; v1 <= 1; v1++) {
        struct tick_options plain = {.want = TICK_ALL};
        struct ticker *other;
        struct many x;
        struct err err;

        many_init(&x, v1, &spread);
        group(&x.m, "/g7/below", 5 * MIB, 0, CGROUP_NO_LIMIT, 100 * MIB);
        add(&x.m, 7, "/g7/below"); /* its room is that of /g7, which is not a target then */
        assert_int_equal(ticker_new(&x.m.t.host, &x.m.t.fs, &plain, &other, &err), 0);
        for (uint32_t i = 0; i < TARGETS; i++)
            assert_int_equal(ticker_add(other, &x.m.target[i]), 0);
        for (unsigned tick = 0; tick < 100; tick++) {
            for (unsigned n = dice % 5; n > 0; n--) {
                uint64_t usage, cache;

                dice = dice * 1103515245 + 12345;
                usage = (dice >> 8) % 16 * MIB + 4 * MIB;
                cache = (dice >> 16) % 4 * MIB;
                put_group(&x, (dice >> 12) % TARGETS, usage, cache, 100 * MIB);
            }
            second(&x);
            assert_int_equal(ticker_run_at(other, x.now_us), 0);
            for (uint32_t i = 0; i < TARGETS; i++)
                quick_values_agree(x.m.ticker, other, i);
        }
        ticker_free(other);
        machine_done(&x.m);
    }
}

static void in_turns_a_new_limit_is_seen(void **state) {
    (void)state;
    for (unsigned v1 = 0; v1 <= 1; v1++) {
        unsigned waited = 0;
        struct many x;

        many_init(&x, v1, &spread);
        seconds(&x, 20);
        put_group(&x, 42, 10 * MIB, 2 * MIB, 50 * MIB);
        do {
            second(&x);
            waited++;
        } while (ticker_sample(x.m.ticker, 42)->value[METRIC_OWN_LIMIT] != 50 * MIB && waited < 99);
        assert_true(waited <= (v1 ? 2 : 10)); /* v1's memory.stat tells */
        limit_is(&x.m, 42, 50 * MIB, LIMIT_LEVEL, "/g42", 42 * MIB);
        machine_done(&x.m);
    }
}

/* An engine makes a group, and then sets its limit. */
static void in_turns_the_limit_of_what_is_new_is_seen_at_once(void **state) {
    (void)state;
    for (unsigned v1 = 0; v1 <= 1; v1++) {
        struct many x;

        many_init(&x, v1, &spread);
        second(&x);
        put_group(&x, 42, 10 * MIB, 2 * MIB, 50 * MIB);
        second(&x);
        holds(ticker_sample(x.m.ticker, 42), METRIC_OWN_LIMIT, 50 * MIB);
        limit_is(&x.m, 42, 50 * MIB, LIMIT_LEVEL, "/g42", 42 * MIB);
        machine_done(&x.m);
    }
}

static void what_is_made_again_is_read_from_the_beginning(void **state) {
    struct many x;

    (void)state;
    many_init(&x, true, &spread);
    put_pids(&x, 5, 1);
    seconds(&x, 20);
    holds(ticker_sample(x.m.ticker, 5), METRIC_PIDS, 1);
    cgtest_delete(&x.m.t, "/sys/fs/cgroup/memory/g5");
    cgtest_delete(&x.m.t, "/sys/fs/cgroup/pids/g5");
    ticker_remove(x.m.ticker, &x.m.target[5]);
    add(&x.m, 5, "/g5");
    second(&x);
    assert_null(ticker_sample(x.m.ticker, 5));
    assert_int_equal(ticker_version(x.m.ticker, 5), 0);
    put_group(&x, 5, 33 * MIB, 0, 60 * MIB);
    put_pids(&x, 5, 9);
    second(&x);
    holds(ticker_sample(x.m.ticker, 5), METRIC_USAGE, 33 * MIB);
    holds(ticker_sample(x.m.ticker, 5), METRIC_PIDS, 9);
    limit_is(&x.m, 5, 60 * MIB, LIMIT_LEVEL, "/g5", 27 * MIB);
    machine_done(&x.m);
}

static void adaptive_reads_the_stat_when_usage_moves_and_every_five_seconds(void **state) {
    const struct tick_options adaptive = {.want = TICK_ALL, .spread = true, .adaptive = true};

    (void)state;
    for (unsigned v1 = 0; v1 <= 1; v1++) {
        unsigned taken = 0, before;
        struct many x;

        many_init(&x, v1, &adaptive);
        seconds(&x, 20);
        for (uint32_t i = 0; i < TARGETS; i++)
            put_group(&x, i, 10 * MIB, 3 * MIB, 100 * MIB);
        for (unsigned waited = 1; waited <= 5; waited++) {
            before = taken;
            second(&x);
            taken = 0;
            for (uint32_t i = 0; i < TARGETS; i++)
                taken += ticker_sample(x.m.ticker, i)->value[METRIC_USED] == 7 * MIB;
            assert_true(taken > before && taken < before + TARGETS / 2);
        }
        assert_int_equal(taken, TARGETS);
        put_group(&x, 3, 11 * MIB, 4 * MIB, 100 * MIB);
        second(&x);
        holds(ticker_sample(x.m.ticker, 3), METRIC_USED, 7 * MIB);
        holds(ticker_sample(x.m.ticker, 3), METRIC_INACTIVE_FILE, 4 * MIB);
        machine_done(&x.m);
    }
}

/* v1 has an eventfd for it, v2's file is watched by nobody. */
static void told_events_are_read_when_asked_for(void **state) {
    const uint32_t slot = 8;
    unsigned waited = 0;
    struct many x;

    (void)state;
    many_init(&x, false, &spread);
    ticker_events_told(x.m.ticker, true);
    seconds(&x, 20);
    put(&x.m, "/g8", "memory.events", "max 0\noom 0\noom_kill 1\n");
    second(&x);
    holds(ticker_sample(x.m.ticker, slot), METRIC_OOM_KILLS, 1);
    machine_done(&x.m);
    many_init(&x, true, &spread);
    ticker_events_told(x.m.ticker, true);
    seconds(&x, 20);
    kills(&x.m, "/g8", 1);
    assert_int_equal(ticker_run_some(x.m.ticker, &slot, 1), 0);
    holds(ticker_sample(x.m.ticker, slot), METRIC_OOM_KILLS, 1);
    put(&x.m, "/g8", "memory.oom_control", "oom_kill_disable 1\nunder_oom 1\noom_kill 2\n");
    do {
        second(&x);
        waited++;
    } while (ticker_sample(x.m.ticker, slot)->value[METRIC_OOM_KILLS] != 2 && waited < 99);
    assert_true(waited <= 10);
    holds(ticker_sample(x.m.ticker, slot), METRIC_UNDER_OOM, 1);
    kills(&x.m, "/g9", 7);
    ticker_hurry(x.m.ticker, 9);
    ticker_hurry(x.m.ticker, 5000);
    second(&x);
    holds(ticker_sample(x.m.ticker, 9), METRIC_OOM_KILLS, 7);
    kills(&x.m, "/g8", 2); /* nobody tells that tasks do not hang any more */
    second(&x);
    holds(ticker_sample(x.m.ticker, slot), METRIC_UNDER_OOM, 0);
    machine_done(&x.m);
}

static void some_are_read_and_the_others_left_alone(void **state) {
    (void)state;
    for (unsigned v1 = 0; v1 <= 1; v1++) {
        const uint32_t some[] = {0, 3, 77, 900000};
        int64_t at_ms;
        struct machine m;

        machine_init(&m, v1);
        make_pods(&m);
        machine_start(&m, TICK_ALL, false);
        add(&m, 0, "/pod/a");
        add(&m, 1, "/pod/b");
        add(&m, 3, "/tight");
        (void)tick(&m, 0);
        at_ms = ticker_sample(m.ticker, 1)->at_ms;
        usleep(5000);
        group(&m, "/pod", 180 * MIB, 10 * MIB, 200 * MIB, 200 * MIB);
        group(&m, "/pod/a", 120 * MIB, 10 * MIB, 500 * MIB, 200 * MIB);
        group(&m, "/pod/b", 60 * MIB, 0, CGROUP_NO_LIMIT, 200 * MIB);
        group(&m, "/tight", 49 * MIB, 8 * MIB, 50 * MIB, 50 * MIB);
        assert_int_equal(ticker_run_some(m.ticker, some, 4), 0);
        holds(ticker_sample(m.ticker, 0), METRIC_USAGE, 120 * MIB);
        limit_is(&m, 0, 200 * MIB, LIMIT_LEVEL, "/pod", 30 * MIB);
        limit_is(&m, 3, 50 * MIB, LIMIT_LEVEL, "/tight", 9 * MIB);
        assert_true(ticker_sample(m.ticker, 0)->at_ms > at_ms);
        holds(ticker_sample(m.ticker, 1), METRIC_USAGE, 50 * MIB);
        assert_int_equal(ticker_sample(m.ticker, 1)->at_ms, at_ms);
        (void)tick(&m, 0);
        holds(ticker_sample(m.ticker, 1), METRIC_USAGE, 60 * MIB);
        limit_is(&m, 1, 200 * MIB, LIMIT_LEVEL, "/pod", 30 * MIB);
        machine_done(&m);
    }
}

static void versions_tell_what_has_changed(void **state) {
    uint32_t version[TARGETS], first;
    struct many x;

    (void)state;
    many_init(&x, true, &spread);
    assert_int_equal(ticker_version(x.m.ticker, 0), 0);
    seconds(&x, 20);
    for (uint32_t i = 0; i < TARGETS; i++) {
        version[i] = ticker_version(x.m.ticker, i);
        assert_true(version[i] != 0);
    }
    seconds(&x, 40);
    for (uint32_t i = 0; i < TARGETS; i++)
        assert_int_equal(ticker_version(x.m.ticker, i), version[i]);
    put_group(&x, 50, 11 * MIB, 2 * MIB, 100 * MIB);
    put_group(&x, 51, 10 * MIB, 3 * MIB, 100 * MIB);
    second(&x);
    for (uint32_t i = 0; i < TARGETS; i++)
        assert_int_equal(ticker_version(x.m.ticker, i) != version[i], i == 50 || i == 51);
    first = ticker_version(x.m.ticker, 50);
    ticker_remove(x.m.ticker, &x.m.target[50]);
    add(&x.m, 50, "/g50");
    second(&x);
    assert_true(ticker_version(x.m.ticker, 50) != first); /* another target in its slot */
    machine_done(&x.m);
}

/* --- the real kernel --- */

static void real_groups_agree_with_their_own_files(void **state) {
    const struct tick_options options = {.want = TICK_ALL, .all_groups = false};
    struct target target = {.name = "eater", .kind = TARGET_GROUP, .slot = 0};
    struct ticker *ticker = NULL;
    const struct sample *s;
    struct tick_limit limit;
    struct cgtest_real r;
    struct err err;
    char path[128], parent[128], byte;
    pid_t child;
    int fd[2];

    (void)state;
    cgtest_real_init(&r);
    cgtest_real_mkdir(&r, "/pod");
    cgtest_real_mkdir(&r, "/pod/eater");
    assert_int_equal(cgtest_real_write(&r, "/pod/memory.limit_in_bytes", "64M"), 0);
    snprintf(parent, sizeof(parent), "%s/pod", r.group);
    snprintf(path, sizeof(path), "%s/pod/eater", r.group);
    target.path = str_of(path);
    assert_int_equal(pipe2(fd, O_CLOEXEC), 0);
    child = fork();
    if (child == 0) {
        char *p = mmap(NULL, 8 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

        alarm(60);
        if (p == MAP_FAILED || cgtest_real_write(&r, "/pod/eater/cgroup.procs", "0") != 0)
            _exit(1);
        memset(p, 1, 8 << 20);
        _exit(write(fd[1], "x", 1) == 1 ? pause() : 1);
    }
    assert_int_equal(read(fd[0], &byte, 1), 1);
    assert_int_equal(ticker_new(&r.host, &r.fs, &options, &ticker, &err), 0);
    assert_int_equal(ticker_add(ticker, &target), 0);
    assert_int_equal(ticker_run(ticker), 0);
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
    s = ticker_sample(ticker, 0);
    holds(s, METRIC_LIMIT, 64 * MIB);
    ticker_limit(ticker, 0, &limit);
    assert_int_equal(limit.from, LIMIT_LEVEL);
    assert_true(str_eq(limit.path, str_of(parent)));
    assert_true(limit.certain);
    assert_true(s->value[METRIC_OWN_LIMIT] == SAMPLE_NONE);
    assert_true(s->value[METRIC_ANON] >= 8 * MIB && s->value[METRIC_USED] >= 8 * MIB);
    assert_true(s->value[METRIC_USED] <= s->value[METRIC_USAGE]);
    assert_true(s->value[METRIC_HEADROOM] <= 56 * MIB);
    cgtest_real_rmdir(&r, "/pod/eater");
    assert_int_equal(ticker_run(ticker), 0);
    assert_null(ticker_sample(ticker, 0)); /* removed under our open descriptors */
    cgtest_real_mkdir(&r, "/pod/eater");
    assert_int_equal(ticker_run(ticker), 0);
    assert_true(ticker_sample(ticker, 0)->value[METRIC_USAGE] < 1 * MIB);
    ticker_free(ticker);
    close(fd[0]);
    close(fd[1]);
    cgtest_real_rmdir(&r, "/pod/eater");
    cgtest_real_rmdir(&r, "/pod");
    cgtest_real_done(&r);
}

/* A group that died with kills below it must not be counted again and again. */
static void kills_of_real_groups_that_are_gone_do_not_grow(void **state) {
    const struct tick_options options = {.want = 0, .all_groups = true};
    static const char *const below[] = {"/p", "/p/a", "/p/a/x"};
    struct target target[3];
    char path[3][128];
    struct ticker *ticker = NULL;
    struct cgtest_real r;
    struct err err;
    uint64_t first;
    pid_t child;
    int status = 0;

    (void)state;
    cgtest_real_init(&r);
    for (unsigned i = 0; i < 3; i++) {
        cgtest_real_mkdir(&r, below[i]);
        snprintf(path[i], sizeof(path[i]), "%s%s", r.group, below[i]);
        target[i] = (struct target){.path = str_of(path[i]), .name = path[i], .slot = i};
    }
    (void)cgtest_real_write(&r, "/p/a/x/memory.swappiness", "0");
    assert_int_equal(cgtest_real_write(&r, "/p/a/x/memory.limit_in_bytes", "8M"), 0);
    child = fork();
    if (child == 0) {
        char *p = mmap(NULL, 32 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

        if (p == MAP_FAILED || cgtest_real_write(&r, "/p/a/x/cgroup.procs", "0") != 0)
            _exit(1);
        memset(p, 1, 32 << 20);
        _exit(0);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    assert_int_equal(ticker_new(&r.host, &r.fs, &options, &ticker, &err), 0);
    for (unsigned i = 0; i < 3; i++)
        assert_int_equal(ticker_add(ticker, &target[i]), 0);
    assert_int_equal(ticker_run(ticker), 0);
    for (unsigned i = 0; i < 3; i++)
        holds(ticker_sample(ticker, i), METRIC_OOM_KILLS, 1);
    cgtest_real_rmdir(&r, "/p/a/x");
    cgtest_real_rmdir(&r, "/p/a");
    assert_int_equal(ticker_run(ticker), 0);
    first = ticker_sample(ticker, 0)->value[METRIC_OOM_KILLS];
    assert_true(first <= 1);
    for (unsigned again = 0; again < 5; again++) {
        assert_int_equal(ticker_run(ticker), 0);
        holds(ticker_sample(ticker, 0), METRIC_OOM_KILLS, first);
    }
    ticker_free(ticker);
    cgtest_real_rmdir(&r, "/p");
    cgtest_real_done(&r);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(samples_hold_what_the_files_say),
        cmocka_unit_test(the_limit_is_the_tightest_of_the_chain_and_its_owner_is_named),
        cmocka_unit_test(a_limit_that_is_changed_counts_at_the_next_tick),
        cmocka_unit_test(with_many_targets_v1_still_notices_a_new_limit),
        cmocka_unit_test(a_slot_can_be_given_to_another_target),
        cmocka_unit_test(a_target_may_be_the_ancestor_of_another),
        cmocka_unit_test(nothing_stays_open_behind_removed_targets),
        cmocka_unit_test(a_group_has_no_sample_until_it_is_made),
        cmocka_unit_test(kills_of_groups_below_are_summed_on_v1),
        cmocka_unit_test(with_every_group_a_target_the_sums_are_the_same),
        cmocka_unit_test(v2_counts_the_groups_below_itself),
        cmocka_unit_test(cpu_needs_two_ticks),
        cmocka_unit_test(network_is_that_of_the_first_process),
        cmocka_unit_test(in_turns_nothing_is_older_than_ten_seconds),
        cmocka_unit_test(what_has_moved_is_read_whole),
        cmocka_unit_test(in_turns_the_quick_values_are_as_without),
        cmocka_unit_test(in_turns_a_new_limit_is_seen),
        cmocka_unit_test(in_turns_the_limit_of_what_is_new_is_seen_at_once),
        cmocka_unit_test(what_is_made_again_is_read_from_the_beginning),
        cmocka_unit_test(adaptive_reads_the_stat_when_usage_moves_and_every_five_seconds),
        cmocka_unit_test(told_events_are_read_when_asked_for),
        cmocka_unit_test(some_are_read_and_the_others_left_alone),
        cmocka_unit_test(versions_tell_what_has_changed),
        cmocka_unit_test(real_groups_agree_with_their_own_files),
        cmocka_unit_test(kills_of_real_groups_that_are_gone_do_not_grow),
    };

    return cmocka_run_group_tests(tests, NULL, cgtest_real_sweep);
}
