#include "act/dumppass.h"

#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"

enum { ROWS = 6 };

static struct dump *dump_of(int64_t us) {
    struct dump *d = calloc(1, sizeof(*d));

    assert_non_null(d);
    d->store.dir = d->store.top = -1;
    d->processes = -1;
    d->began_us = clock_mono_us();
    d->end_us = d->began_us + us;
    d->row = calloc(ROWS, sizeof(*d->row));
    assert_non_null(d->row);
    d->rows = ROWS;
    for (int i = 0; i < ROWS; i++)
        d->row[i].pid = 100 + i;
    return d;
}

static void done(struct dump *d) {
    free(d->row);
    free(d);
}

static const struct dump_miss *miss_of(const struct dump *d, const char *part) {
    for (unsigned i = 0; i < d->misses; i++)
        if (strcmp(d->miss[i].part, part) == 0)
            return &d->miss[i];
    return NULL;
}

/* 102 never answers, what reads 104 dies. */
static void look(struct dump *d, struct dump_row *row) {
    struct dump_task task = {.pid = row->pid, .tid = 7};

    dump_put(row, DUMP_FDS, (uint64_t)row->pid * 2);
    dump_pass_task(d, &task);
    if (row->pid == 103)
        dump_missed(d, row->pid, "maps", -EACCES);
    dump_pass_part("smaps");
    while (row->pid == 102)
        pause();
    if (row->pid == 104)
        raise(SIGKILL);
    dump_put(row, DUMP_PSS, 5);
}

static void a_process_that_cannot_be_read_costs_the_others_nothing(void **state) {
    const struct dump_pass pass = {
        .look = look, .part = "whole", .rows = 5, .stall_us = 1500000, .stalls = 3};
    struct dump *d = dump_of(20000000);
    const struct dump_miss *m;

    (void)state;
    dump_pass_run(d, &pass);
    for (int i = 0; i < ROWS; i++) {
        bool whole = i != 2 && i != 4 && i != 5; /* the last is beyond `rows` */

        assert_int_equal(dump_has(&d->row[i], DUMP_PSS), whole);
        assert_int_equal(d->row[i].value[DUMP_FDS], whole ? (100 + i) * 2 : 0);
    }
    assert_int_equal(d->tasks, 5); /* what was told before it got stuck is not lost */
    m = miss_of(d, "maps");
    assert_non_null(m);
    assert_int_equal(m->pid, 103);
    assert_int_equal(d->misses, 3);
    for (unsigned i = 0; i < d->misses; i++)
        assert_true(d->miss[i].count == 1 && !d->miss[i].lacking);
    assert_non_null(miss_of(d, "smaps"));
    done(d);
}

static void after_so_many_it_is_given_up(void **state) {
    const struct dump_pass pass = {
        .look = look, .part = "whole", .rows = ROWS, .stall_us = 1500000, .stalls = 1};
    struct dump *d = dump_of(20000000);

    (void)state;
    dump_pass_run(d, &pass);
    assert_true(dump_has(&d->row[1], DUMP_PSS));
    assert_false(dump_has(&d->row[3], DUMP_PSS));
    assert_non_null(miss_of(d, "whole"));
    done(d);
}

static void time_that_is_up_ends_it(void **state) {
    const struct dump_pass pass = {
        .look = look, .part = "whole", .rows = ROWS, .stall_us = 10000000, .stalls = 3};
    struct dump *d = dump_of(1500000);
    int64_t took_us = clock_mono_us();

    (void)state;
    dump_pass_run(d, &pass);
    took_us = clock_mono_us() - took_us;
    assert_true(took_us < 9000000); /* not at the stall, not until it answers, which is never */
    assert_true(dump_has(&d->row[1], DUMP_PSS));
    assert_non_null(miss_of(d, "whole"));
    done(d);
}

static void look_quickly(struct dump *d, struct dump_row *row) {
    struct dump_task task = {.pid = row->pid};

    dump_pass_part("nothing");
    dump_pass_task(d, &task);
    dump_put(row, DUMP_FDS, 1);
}

/* Descriptors stand for memory: no pipe, no child. */
static void without_a_child_what_cannot_hang_is_done_here(void **state) {
    struct dump_pass pass = {
        .look = look_quickly, .part = "quick", .rows = ROWS, .stall_us = 1000000, .stalls = 3};
    struct dump *d = dump_of(20000000);
    struct rlimit before, none;

    (void)state;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    none = before;
    none.rlim_cur = 3;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    dump_pass_run(d, &pass);
    assert_false(dump_has(&d->row[0], DUMP_FDS));
    assert_non_null(miss_of(d, "quick"));
    pass.here = true;
    dump_pass_run(d, &pass);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    for (int i = 0; i < ROWS; i++)
        assert_true(dump_has(&d->row[i], DUMP_FDS));
    assert_int_equal(d->tasks, ROWS);
    done(d);
}

static void misses_that_are_alike_are_counted(void **state) {
    struct dump *d = dump_of(20000000);

    (void)state;
    for (int i = 0; i < 5; i++)
        dump_missed(d, 100 + i, "stack", -EPERM);
    dump_lacks(d, 0, "series.json", "no agent answers at %s", "/x");
    assert_int_equal(d->misses, 2);
    assert_int_equal(d->miss[0].count, 5);
    assert_int_equal(d->miss[0].pid, 100);
    assert_true(d->miss[1].lacking);
    assert_string_equal(d->miss[1].why, "no agent answers at /x");
    for (int i = 0; i < 100; i++)
        dump_missed_why(d, 1, "p", "%d", i);
    assert_int_equal(d->misses, DUMP_MISSES);
    assert_int_equal(d->more_misses, 102 - DUMP_MISSES);
    assert_false(d->store.full);
    dump_missed(d, 0, "group", -ENOSPC);
    assert_true(d->store.full);
    done(d);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_process_that_cannot_be_read_costs_the_others_nothing),
        cmocka_unit_test(after_so_many_it_is_given_up),
        cmocka_unit_test(time_that_is_up_ends_it),
        cmocka_unit_test(without_a_child_what_cannot_hang_is_done_here),
        cmocka_unit_test(misses_that_are_alike_are_counted),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
