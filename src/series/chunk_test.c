#include "series/chunk.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { TICKS = 1800 };

static int64_t at_ms[TICKS];
static uint64_t value[METRIC_N][TICKS];
static bool known[METRIC_N][TICKS];

/* A target as they are: one metric moves, two follow it, the rest stands still or is not known. */
static void fill(void) {
    uint64_t moving = 30000;

    for (size_t i = 0; i < TICKS; i++) {
        at_ms[i] = 1700000000123 + 1000 * (int64_t)i;
        moving += i * i % 7;
        for (size_t m = 0; m < METRIC_N; m++) {
            known[m][i] = m < 45;
            value[m][i] = 4096 * (m < 3 ? moving + m : m * 10);
        }
        known[44][i] = i >= 60;
    }
}

static void make(struct buf *out) {
    buf_init(out, 1 << 20);
    assert_int_equal(chunk_begin(out, at_ms, TICKS), 0);
    for (unsigned m = 0; m < 45; m++)
        assert_int_equal(
            chunk_add(out, (enum metric)m, CHUNK_LAST, value[m], m < 44 ? NULL : known[m]), 0);
    assert_int_equal(chunk_end(out), 0);
}

static void columns_come_back(void **state) {
    static uint64_t back[TICKS];
    static int64_t times[TICKS];
    static bool is_known[TICKS];
    struct buf bytes;
    struct chunk c;

    (void)state;
    fill();
    make(&bytes);
    assert_int_equal(chunk_open(buf_str(&bytes), &c), 0);
    assert_int_equal(c.n, TICKS);
    assert_int_equal(c.from_ms, at_ms[0]);
    assert_int_equal(c.to_ms, at_ms[TICKS - 1]);
    assert_int_equal(chunk_times(&c, times), 0);
    assert_memory_equal(times, at_ms, sizeof(times));
    assert_true(chunk_metrics(&c, CHUNK_LAST) == (1ull << 45) - 1);
    assert_true(chunk_metrics(&c, CHUNK_MIN) == 0);
    for (unsigned m = 0; m < 45; m++) {
        assert_int_equal(chunk_column(&c, (enum metric)m, CHUNK_LAST, back, is_known), 0);
        assert_memory_equal(is_known, known[m], sizeof(is_known));
        for (size_t i = 0; i < TICKS; i++)
            if (is_known[i])
                assert_int_equal(back[i], value[m][i]);
    }
    assert_int_equal(chunk_column(&c, METRIC_USAGE, CHUNK_MAX, back, is_known), -ENODATA);
    assert_int_equal(chunk_column(&c, (enum metric)50, CHUNK_LAST, back, is_known), -ENODATA);
    buf_done(&bytes);
}

static void kinds_are_told_apart(void **state) {
    static uint64_t back[TICKS];
    static bool is_known[TICKS];
    struct buf bytes;
    struct chunk c;

    (void)state;
    fill();
    buf_init(&bytes, 1 << 20);
    assert_int_equal(chunk_begin(&bytes, at_ms, TICKS), 0);
    for (unsigned kind = 0; kind < CHUNK_COLUMNS; kind++)
        assert_int_equal(
            chunk_add(&bytes, METRIC_ANON, (enum chunk_column)kind, value[kind + 5], NULL), 0);
    assert_int_equal(chunk_end(&bytes), 0);
    assert_int_equal(chunk_open(buf_str(&bytes), &c), 0);
    for (unsigned kind = 0; kind < CHUNK_COLUMNS; kind++) {
        assert_true(chunk_metrics(&c, (enum chunk_column)kind) == 1ull << METRIC_ANON);
        assert_int_equal(chunk_column(&c, METRIC_ANON, (enum chunk_column)kind, back, is_known), 0);
        assert_memory_equal(back, value[kind + 5], sizeof(back));
    }
    buf_done(&bytes);
}

static void what_moves_alike_is_kept_once(void **state) {
    static uint64_t back[TICKS];
    static bool is_known[TICKS];
    struct buf bytes;
    struct chunk c;
    size_t first;

    (void)state;
    fill();
    buf_init(&bytes, 1 << 20);
    assert_int_equal(chunk_begin(&bytes, at_ms, TICKS), 0);
    assert_int_equal(chunk_add(&bytes, METRIC_LIMIT, CHUNK_LAST, value[9], NULL), 0);
    assert_int_equal(chunk_add(&bytes, METRIC_USAGE, CHUNK_LAST, value[0], NULL), 0);
    first = bytes.n;
    assert_int_equal(chunk_add(&bytes, METRIC_USED, CHUNK_LAST, value[1], NULL), 0);
    for (size_t i = 0; i < TICKS; i++)
        value[3][i] = (1ull << 33) - value[1][i];
    assert_int_equal(chunk_add(&bytes, METRIC_HEADROOM, CHUNK_LAST, value[3], NULL), 0);
    assert_in_range(bytes.n - first, 1, 20);
    assert_in_range(first, 200, 2000);
    assert_int_equal(chunk_end(&bytes), 0);
    assert_int_equal(chunk_open(buf_str(&bytes), &c), 0);
    assert_int_equal(chunk_column(&c, METRIC_HEADROOM, CHUNK_LAST, back, is_known), 0);
    assert_memory_equal(back, value[3], sizeof(back));
    assert_int_equal(chunk_column(&c, METRIC_USED, CHUNK_LAST, back, NULL), 0);
    assert_memory_equal(back, value[1], sizeof(back));
    assert_int_equal(chunk_column(&c, METRIC_USAGE, CHUNK_LAST, back, is_known), 0);
    assert_memory_equal(back, value[0], sizeof(back));
    buf_done(&bytes);
}

static void one_time_is_a_chunk(void **state) {
    struct buf bytes;
    uint64_t back;
    struct chunk c;
    int64_t time = -5;

    (void)state;
    buf_init(&bytes, 1000);
    assert_int_equal(chunk_begin(&bytes, &time, 1), 0);
    assert_int_equal(chunk_add(&bytes, METRIC_USAGE, CHUNK_LAST, &(uint64_t){77}, NULL), 0);
    assert_int_equal(chunk_end(&bytes), 0);
    assert_int_equal(chunk_open(buf_str(&bytes), &c), 0);
    time = 0;
    assert_int_equal(chunk_times(&c, &time), 0);
    assert_int_equal(time, -5);
    assert_int_equal(chunk_column(&c, METRIC_USAGE, CHUNK_LAST, &back, NULL), 0);
    assert_int_equal(back, 77);
    buf_done(&bytes);
}

static void every_damaged_bit_is_noticed(void **state) {
    struct buf bytes;
    struct chunk c;

    (void)state;
    fill();
    make(&bytes);
    for (size_t i = 0; i < bytes.n; i++)
        for (unsigned bit = 0; bit<8; bit += i> 200 ? 4 : 1) {
            bytes.p[i] = (char)(bytes.p[i] ^ 1 << bit);
            assert_int_equal(chunk_open(buf_str(&bytes), &c), -EBADMSG);
            bytes.p[i] = (char)(bytes.p[i] ^ 1 << bit);
        }
    for (size_t n = 0; n < bytes.n; n++)
        assert_int_equal(chunk_open((struct str){bytes.p, n}, &c), -EBADMSG);
    assert_int_equal(chunk_open(buf_str(&bytes), &c), 0);
    buf_done(&bytes);
}

static void what_stands_still_is_small(void **state) {
    struct buf bytes;

    (void)state;
    fill();
    buf_init(&bytes, 1 << 20);
    assert_int_equal(chunk_begin(&bytes, at_ms, TICKS), 0);
    for (unsigned m = 3; m < 45; m++)
        assert_int_equal(chunk_add(&bytes, (enum metric)m, CHUNK_LAST, value[m], NULL), 0);
    assert_int_equal(chunk_end(&bytes), 0);
    assert_in_range(bytes.n, 1, 300); /* 75,600 samples */
    buf_done(&bytes);
}

/* What is on disk has the metrics' numbers: a row of metric.def may be added behind the last, none
 * may move. */
static void metrics_keep_their_numbers(void **state) {
    static const char *const key[] = {
        "usage",
        "used",
        "working_set",
        "anon",
        "file",
        "active_file",
        "inactive_file",
        "shmem",
        "mapped_file",
        "dirty",
        "writeback",
        "inactive_anon",
        "active_anon",
        "unevictable",
        "anon_thp",
        "kernel",
        "slab_reclaimable",
        "slab_unreclaimable",
        "kernel_stack",
        "pagetables",
        "percpu",
        "vmalloc",
        "sock",
        "zswap",
        "swap",
        "swapcached",
        "limit",
        "headroom",
        "own_limit",
        "high",
        "low",
        "min",
        "soft_limit",
        "swap_limit",
        "peak",
        "failcnt",
        "high_events",
        "oom_kills",
        "under_oom",
        "oom_kill_disabled",
        "pgfault",
        "pgmajfault",
        "refault_file",
        "refault_anon",
        "psi_some_avg10",
        "psi_full_avg10",
        "psi_some_us",
        "psi_full_us",
        "pids",
        "pids_limit",
        "cpu_us",
        "net_rx",
        "net_tx",
        "blk_read",
        "blk_write",
    };

    (void)state;
    assert_true(METRIC_N >= sizeof(key) / sizeof(key[0]));
    for (unsigned m = 0; m < sizeof(key) / sizeof(key[0]); m++)
        assert_string_equal(metric_info((enum metric)m)->key, key[m]);
}

static void a_full_buffer_is_an_error(void **state) {
    struct buf bytes;

    (void)state;
    fill();
    for (size_t max = 0; max < 100; max++) {
        int r;

        buf_init(&bytes, max);
        r = chunk_begin(&bytes, at_ms, TICKS);
        if (r == 0)
            r = chunk_add(&bytes, METRIC_USAGE, CHUNK_LAST, value[0], NULL);
        if (r == 0)
            r = chunk_end(&bytes);
        assert_int_equal(r, -EFBIG);
        buf_done(&bytes);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(columns_come_back),
        cmocka_unit_test(kinds_are_told_apart),
        cmocka_unit_test(what_moves_alike_is_kept_once),
        cmocka_unit_test(one_time_is_a_chunk),
        cmocka_unit_test(every_damaged_bit_is_noticed),
        cmocka_unit_test(what_stands_still_is_small),
        cmocka_unit_test(metrics_keep_their_numbers),
        cmocka_unit_test(a_full_buffer_is_an_error),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
