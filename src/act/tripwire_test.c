#include "act/tripwire.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "act/ctlfile.h"
#include "kern/cgtest.h"
#include "model/highmark.h"

/* A tree of files: what is written and read is the same as of the kernel's. */

#define MIB (UINT64_C(1) << 20)
#define LIMIT (300 * MIB)
#define MARK (240 * MIB)
#define HIGH "/sys/fs/cgroup/a/memory.high"

static struct {
    struct cgtest tree;
    struct grip grip;
    struct warden *warden;
    struct tripwire wire;
    uint64_t page;
    int beat;
} t;

static void begin_with(const char *high) {
    struct err err = {0};

    memset(&t, 0, sizeof(t));
    t.page = (uint64_t)sysconf(_SC_PAGESIZE);
    t.beat = eventfd(0, EFD_CLOEXEC);
    assert_true(t.beat >= 0);
    cgtest_init(&t.tree);
    cgtest_make_v2(&t.tree);
    cgtest_write(&t.tree, "/sys/fs/cgroup/a/memory.max", "314572800");
    cgtest_write(&t.tree, HIGH, high);
    cgtest_write(&t.tree, "/sys/fs/cgroup/a/memory.current", "1");
    cgtest_write(&t.tree, "/sys/fs/cgroup/a/memory.stat", "anon 1\n");
    cgtest_write(&t.tree, "/sys/fs/cgroup/a/cgroup.procs", "");
    cgtest_open(&t.tree, false);
    if (grip_open(&t.tree.host, &t.tree.fs, STR("/a"), &t.grip, &err) < 0 ||
        warden_start(&t.warden, &err) < 0)
        fail_msg("%s", err.text);
}

static void end(void) {
    warden_end(t.warden);
    close(t.beat);
    grip_done(&t.grip);
    cgtest_done(&t.tree);
}

static uint64_t high_now(void) {
    uint64_t high;

    assert_int_equal(ctlfile_number(t.grip.high, &high), 0);
    return high;
}

static int lay(uint64_t usage, uint64_t used, uint64_t mark) {
    struct facts f = {.at_us = 1};
    char now[WARDEN_VALUE];

    f.have = 1U << FACT_USAGE | 1U << FACT_USED | 1U << FACT_LIMIT | 1U << FACT_LEVEL;
    f.value[FACT_USAGE] = usage;
    f.value[FACT_USED] = used;
    f.value[FACT_LIMIT] = LIMIT;
    ctlfile_spell(usage, now);
    cgtest_write(&t.tree, "/sys/fs/cgroup/a/memory.current", now);
    return tripwire_lay(&t.wire, &t.grip, t.warden, t.beat, &f, mark);
}

/* --- where it lies ---------------------------------------------------------------------------- */

static void it_lies_at_the_mark_and_what_was_comes_back(void **state) {
    (void)state;
    begin_with("310000000");
    assert_true(tripwire_may(&t.grip));
    assert_int_equal(lay(100 * MIB, 100 * MIB, MARK), 0);
    assert_int_equal(high_now(), highmark_from(MARK, t.page));
    assert_int_equal(t.wire.at, high_now());
    assert_true(tripwire_tells(&t.wire, 100 * MIB, MARK));
    assert_false(tripwire_tells(&t.wire, t.wire.at, MARK));
    assert_int_equal(tripwire_take(&t.wire, &t.grip, t.warden), 0);
    assert_int_equal(high_now(), 310000000);
    assert_false(tripwire_tells(&t.wire, 100 * MIB, MARK));
    assert_int_equal(tripwire_take(&t.wire, &t.grip, t.warden), 0);
    end();
}

static void cache_lifts_it_and_at_the_limit_there_is_none(void **state) {
    uint64_t at;

    (void)state;
    begin_with("310000000");
    assert_int_equal(lay(130 * MIB, 100 * MIB, MARK), 0);
    assert_int_equal(t.wire.at, highmark_from(270 * MIB, t.page));
    assert_false(tripwire_tells(&t.wire, 130 * MIB, MARK)); /* cache may go, and used come */
    at = t.wire.at;
    assert_int_equal(lay(131 * MIB, 100 * MIB, MARK), 0);
    assert_int_equal(t.wire.at, at); /* so little is let be */
    assert_int_equal(lay(100 * MIB, 100 * MIB, MARK), 0);
    assert_int_equal(t.wire.at, highmark_from(MARK, t.page));
    assert_int_equal(lay(240 * MIB, 180 * MIB, MARK), -ENOENT);
    assert_int_equal(high_now(), 310000000);
    assert_int_equal(lay(100 * MIB, 100 * MIB, 0), -ENOENT); /* all marks are passed */
    end();
}

static void it_is_never_laid_into_what_is_charged(void **state) {
    (void)state;
    begin_with("310000000");
    assert_int_equal(lay(MARK - 1, MARK - 1, MARK), 0);
    assert_true(t.wire.at >= MARK - 1 + t.wire.ahead);
    assert_true(high_now() == t.wire.at && highmark_is(t.wire.at, t.page));
    end();
}

/* --- others ----------------------------------------------------------------------------------- */

static void what_has_grown_since_the_look_counts(void **state) {
    struct facts f = {.have = 1U << FACT_USAGE | 1U << FACT_USED};

    (void)state;
    begin_with("310000000");
    f.value[FACT_USAGE] = f.value[FACT_USED] = 100 * MIB;
    cgtest_write(&t.tree, "/sys/fs/cgroup/a/memory.current", "262144000"); /* 250 MiB */
    assert_int_equal(tripwire_lay(&t.wire, &t.grip, t.warden, t.beat, &f, MARK), 0);
    assert_true(t.wire.at >= 250 * MIB + t.wire.ahead);
    end();
}

static void a_bound_of_theirs_below_it_is_left_alone(void **state) {
    (void)state;
    begin_with("240000000"); /* MARK is a little more */
    assert_int_equal(lay(100 * MIB, 100 * MIB, MARK), -ENOENT);
    assert_int_equal(high_now(), 240000000);
    assert_int_equal(lay(100 * MIB, 100 * MIB, 200 * MIB), 0);
    assert_int_equal(tripwire_take(&t.wire, &t.grip, t.warden), 0);
    assert_int_equal(high_now(), 240000000);
    end();
}

static void what_they_write_meanwhile_counts(void **state) {
    (void)state;
    begin_with("310000000");
    assert_int_equal(lay(100 * MIB, 100 * MIB, MARK), 0);
    assert_int_equal(ctlfile_write(t.grip.high, "200000000"), 0);
    assert_int_equal(lay(100 * MIB, 100 * MIB, MARK), -ENOENT);
    assert_int_equal(high_now(), 200000000);
    assert_int_equal(ctlfile_write(t.grip.high, "309000000"), 0);
    assert_int_equal(lay(100 * MIB, 100 * MIB, MARK), 0);
    assert_int_equal(tripwire_take(&t.wire, &t.grip, t.warden), 0);
    assert_int_equal(high_now(), 309000000);
    assert_int_equal(lay(100 * MIB, 100 * MIB, MARK), 0);
    assert_int_equal(ctlfile_write(t.grip.high, "308000000"), 0);
    warden_end(t.warden); /* undoes what is ours alone */
    t.warden = NULL;
    assert_int_equal(high_now(), 308000000);
    end();
}

static void one_that_was_saved_and_is_written_back_is_ours_again(void **state) {
    char ours[WARDEN_VALUE];

    (void)state;
    begin_with("310000000");
    assert_int_equal(lay(100 * MIB, 100 * MIB, MARK), 0);
    ctlfile_spell(t.wire.at, ours);
    for (unsigned again = 0; again < 2; again++) {
        assert_int_equal(ctlfile_write(t.grip.high, "200000000"), 0);
        assert_int_equal(lay(100 * MIB, 100 * MIB, MARK), -ENOENT);
        assert_int_equal(ctlfile_write(t.grip.high, ours), 0);
        assert_int_equal(lay(100 * MIB, 100 * MIB, MARK), 0);
    }
    assert_int_equal(tripwire_take(&t.wire, &t.grip, t.warden), 0);
    assert_int_equal(high_now(), 310000000);

    assert_int_equal(lay(100 * MIB, 100 * MIB, MARK), 0);
    assert_int_equal(ctlfile_write(t.grip.high, "200000000"), 0);
    assert_int_equal(lay(100 * MIB, 100 * MIB, MARK), -ENOENT);
    assert_int_equal(ctlfile_write(t.grip.high, ours), 0);
    assert_int_equal(tripwire_take(&t.wire, &t.grip, t.warden), 0); /* without a look in between */
    assert_int_equal(high_now(), 310000000);
    end();
}

static void a_second_guard_does_without_until_the_first_ends(void **state) {
    struct tripwire other = {.at = 0};
    struct facts f = {.have = 1U << FACT_USAGE | 1U << FACT_USED};
    struct grip again;
    struct err err;
    uint64_t high;

    (void)state;
    begin_with("310000000");
    f.value[FACT_USAGE] = f.value[FACT_USED] = 100 * MIB;
    assert_int_equal(grip_open(&t.tree.host, &t.tree.fs, STR("/a"), &again, &err), 0);
    assert_int_equal(lay(100 * MIB, 100 * MIB, MARK), 0);
    high = high_now();
    assert_int_equal(tripwire_lay(&other, &again, t.warden, t.beat, &f, 200 * MIB), -EWOULDBLOCK);
    assert_int_equal(high_now(), high);
    assert_int_equal(tripwire_take(&t.wire, &t.grip, t.warden), 0);
    assert_int_equal(tripwire_lay(&other, &again, t.warden, t.beat, &f, 200 * MIB), 0);
    assert_int_equal(lay(100 * MIB, 100 * MIB, MARK), -EWOULDBLOCK);
    assert_int_equal(tripwire_take(&other, &again, t.warden), 0);
    assert_int_equal(high_now(), 310000000);
    grip_done(&again);
    end();
}

static void the_wire_of_a_dead_guard_is_taken_for_max(void **state) {
    char mark[WARDEN_VALUE], now[WARDEN_VALUE];

    (void)state;
    ctlfile_spell(highmark_from(280 * MIB, (uint64_t)sysconf(_SC_PAGESIZE)), mark);
    begin_with(mark);
    assert_int_equal(lay(100 * MIB, 100 * MIB, MARK), 1);
    assert_int_equal(high_now(), highmark_from(MARK, t.page));
    assert_int_equal(tripwire_take(&t.wire, &t.grip, t.warden), 0);
    assert_int_equal(ctlfile_text(t.grip.high, now), 0);
    assert_int_equal(strncmp(now, "max", 3),
                     0); /* the rest of a longer text is this file's alone */
    end();
}

static void it_is_undone_when_we_no_longer_turn_round(void **state) {
    (void)state;
    begin_with("310000000");
    assert_int_equal(lay(100 * MIB, 100 * MIB, MARK), 0);
    assert_int_equal(eventfd_write(t.beat, 1), 0);
    for (unsigned i = 0; i < 20000 && high_now() != 310000000; i++)
        usleep(1000);
    assert_int_equal(high_now(), 310000000);
    assert_false(tripwire_stands(&t.wire, &t.grip));
    assert_int_equal(tripwire_take(&t.wire, &t.grip, t.warden), 0);
    assert_int_equal(high_now(), 310000000);
    end();
}

static void what_may_not_be_written_is_let_be(void **state) {
    int writable;

    (void)state;
    begin_with("310000000");
    writable = t.grip.high;
    t.grip.high = openat(t.grip.level[0].dir, "memory.high", O_RDONLY | O_CLOEXEC);
    assert_true(t.grip.high >= 0);
    assert_false(tripwire_may(&t.grip));
    assert_int_equal(lay(100 * MIB, 100 * MIB, MARK), -ENOENT);
    close(writable);
    end();
}

static void without_its_owner_the_warden_takes_it_away(void **state) {
    (void)state;
    begin_with("310000000");
    assert_int_equal(lay(100 * MIB, 100 * MIB, MARK), 0);
    assert_int_equal(lay(150 * MIB, 100 * MIB, MARK - 20 * MIB), 0);
    assert_int_not_equal(high_now(), 310000000);
    warden_end(t.warden); /* as when we are killed */
    t.warden = NULL;
    assert_int_equal(high_now(), 310000000);
    end();
}

static void without_a_warden_nothing_is_written(void **state) {
    (void)state;
    begin_with("310000000");
    assert_int_equal(kill(warden_pid(t.warden), SIGKILL), 0);
    for (unsigned i = 0; i < 10000 && warden_stands(t.warden); i++)
        usleep(1000);
    assert_true(lay(100 * MIB, 100 * MIB, MARK) < 0);
    assert_int_equal(high_now(), 310000000);
    end();
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_lies_at_the_mark_and_what_was_comes_back),
        cmocka_unit_test(cache_lifts_it_and_at_the_limit_there_is_none),
        cmocka_unit_test(it_is_never_laid_into_what_is_charged),
        cmocka_unit_test(what_has_grown_since_the_look_counts),
        cmocka_unit_test(a_bound_of_theirs_below_it_is_left_alone),
        cmocka_unit_test(what_they_write_meanwhile_counts),
        cmocka_unit_test(one_that_was_saved_and_is_written_back_is_ours_again),
        cmocka_unit_test(a_second_guard_does_without_until_the_first_ends),
        cmocka_unit_test(the_wire_of_a_dead_guard_is_taken_for_max),
        cmocka_unit_test(it_is_undone_when_we_no_longer_turn_round),
        cmocka_unit_test(what_may_not_be_written_is_let_be),
        cmocka_unit_test(without_its_owner_the_warden_takes_it_away),
        cmocka_unit_test(without_a_warden_nothing_is_written),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
