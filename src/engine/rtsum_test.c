#include "engine/rtsum.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "base/mem.h"

enum { SECOND = 1000000 };

static struct rtsum *sum;
static struct rtfound found[64];
static size_t n;
static const struct rtanswer *answer;
static size_t answers;

static int begin(void **state) {
    (void)state;
    n = 0;
    return rtsum_new(&sum);
}

static int end(void **state) {
    (void)state;
    rtsum_free(sum);
    return 0;
}

static struct rtfound *process(uint32_t uid, int32_t pid, enum rt_kind kind) {
    struct rtfound *f = &found[n++];

    *f = (struct rtfound){.kind = RTFOUND_PROCESS,
                          .uid = uid,
                          .pid = pid,
                          .start_ticks = 100 + (uint64_t)pid,
                          .dev = 8,
                          .inode = (uint64_t)kind,
                          .res_pages = 10,
                          .id.kind = kind};
    return f;
}

static void tells(struct rtfound *f, uint64_t heap, uint64_t collections) {
    f->figures.have |= 1U << RT_HEAP_USED | 1U << RT_GC_COUNT;
    f->figures.value[RT_HEAP_USED] = heap;
    f->figures.value[RT_GC_COUNT] = collections;
}

static void mark(enum rtfound_kind kind, uint32_t uid) {
    found[n++] = (struct rtfound){.kind = kind, .uid = uid};
}

static void take(size_t targets, int64_t at_us) {
    assert_int_equal(rtsum_take(sum, found, n, targets, at_us, &answer, &answers), 0);
    n = 0;
}

static bool has(const struct rtanswer *a, enum rt_figure f) {
    return a->now.have & 1U << f;
}

static void the_largest_collecting_runtime_gives_the_name(void **state) {
    struct rtfound *f;

    (void)state;
    process(1, 10, RT_NATIVE)->res_pages = 9999;
    f = process(1, 11, RT_NODE);
    (void)snprintf(f->id.version, sizeof(f->id.version), "20.1.0");
    process(1, 12, RT_UNKNOWN)->res_pages = 99999;
    mark(RTFOUND_DONE, 1);
    process(2, 13, RT_NATIVE)->id.libc = RT_LIBC_MUSL;
    mark(RTFOUND_DONE, 2);
    mark(RTFOUND_SKIPPED, 3);
    take(3, 0);
    assert_int_equal(answers, 3);
    assert_string_equal(answer[0].lang, "node 20.1.0");
    assert_string_equal(answer[1].lang, "musl");
    assert_string_equal(answer[2].lang, "");
    assert_int_equal(answer[0].now.have, 0);
}

static void gauges_add_up_and_one_that_is_missing_makes_them_unknown(void **state) {
    (void)state;
    tells(process(1, 10, RT_GO), 100, 5);
    tells(process(1, 11, RT_JVM), 50, 7);
    process(1, 12, RT_NATIVE);
    process(1, 13, RT_PYTHON)->figures = (struct rt_figures){
        .have = 1U << RT_GC_COUNT | 1U << RT_GC_US | 1U << RT_TASKS, .value[RT_GC_COUNT] = 3};
    mark(RTFOUND_DONE, 1);
    tells(process(2, 20, RT_GO), 100, 5);
    process(2, 21, RT_JVM);
    mark(RTFOUND_DONE, 2);
    take(2, 0);
    assert_true(has(&answer[0], RT_HEAP_USED)); /* Python has none to tell of */
    assert_int_equal(answer[0].now.value[RT_HEAP_USED], 150);
    assert_int_equal(answer[0].added[RT_GC_COUNT], 15);
    assert_false(has(&answer[1], RT_HEAP_USED));
    assert_false(has(&answer[1], RT_GC_COUNT));
}

/* One process, its count of collections told or not; what was added. */
static uint64_t added(uint64_t count, bool told) {
    struct rtfound *f = process(1, 10, RT_GO);

    if (told)
        tells(f, 1, count);
    mark(RTFOUND_DONE, 1);
    take(1, 0);
    return answer[0].added[RT_GC_COUNT];
}

static void counters_grow_by_what_was_added(void **state) {
    (void)state;
    assert_int_equal(added(40, true), 40); /* since its start */
    assert_int_equal(added(45, true), 5);
    assert_int_equal(added(0, false), 0); /* it told nothing for once */
    assert_int_equal(added(47, true), 2);
    mark(RTFOUND_SKIPPED, 1); /* the group had too many processes */
    take(1, 0);
    assert_int_equal(answers, 1);
    assert_int_equal(added(50, true), 3);
    take(1, 0); /* a look that came to nothing */
    assert_int_equal(answers, 0);
    assert_int_equal(added(51, true), 1);
    assert_int_equal(added(3, true), 0); /* nobody counts backwards */
}

static void a_process_that_ends_takes_nothing_away(void **state) {
    (void)state;
    tells(process(1, 10, RT_GO), 5, 40);
    tells(process(1, 11, RT_GO), 5, 30);
    mark(RTFOUND_DONE, 1);
    take(1, 0);
    assert_int_equal(answer[0].added[RT_GC_COUNT], 70);
    tells(process(1, 11, RT_GO), 5, 31);
    mark(RTFOUND_DONE, 1);
    take(1, 0);
    assert_int_equal(answer[0].added[RT_GC_COUNT], 1);
    tells(process(1, 10, RT_GO), 5, 2); /* the pid again, another process */
    found[0].start_ticks = 77777;
    mark(RTFOUND_DONE, 1);
    take(1, 0);
    assert_int_equal(answer[0].added[RT_GC_COUNT], 2);
}

static void another_program_in_the_same_process_is_seen(void **state) {
    const struct rt_id *id;

    (void)state;
    process(1, 10, RT_NATIVE);
    mark(RTFOUND_DONE, 1);
    take(1, 0);
    id = rtsum_recall(sum, 10, 110, 8, RT_NATIVE);
    assert_non_null(id);
    assert_int_equal(id->kind, RT_NATIVE);
    assert_null(rtsum_recall(sum, 10, 110, 8, RT_JVM)); /* exec: another file */
    assert_null(rtsum_recall(sum, 10, 111, 8, RT_NATIVE));
    assert_null(rtsum_recall(sum, 11, 110, 8, RT_NATIVE));
}

static void what_was_not_reached_is_remembered_for_a_while(void **state) {
    (void)state;
    process(1, 10, RT_GO);
    mark(RTFOUND_DONE, 1);
    process(2, 20, RT_GO);
    mark(RTFOUND_DONE, 2);
    take(2, 0);
    process(1, 10, RT_GO); /* cut off before the end of the first */
    take(2, 60ll * SECOND);
    assert_int_equal(answers, 0);
    assert_non_null(rtsum_recall(sum, 10, 110, 8, RT_GO));
    assert_non_null(rtsum_recall(sum, 20, 120, 8, RT_GO));
    process(1, 10, RT_GO);
    take(2, 700ll * SECOND);
    assert_null(rtsum_recall(sum, 20, 120, 8, RT_GO));
    mark(RTFOUND_DONE, 1); /* a whole look forgets what is no more */
    mark(RTFOUND_DONE, 2);
    take(2, 701ll * SECOND);
    assert_null(rtsum_recall(sum, 10, 110, 8, RT_GO));
}

static void what_hung_a_look_is_passed_over(void **state) {
    int32_t pid;

    (void)state;
    process(1, 10, RT_GO);
    mark(RTFOUND_DONE, 1);
    assert_false(rtsum_blame(found, n, &pid));
    process(2, 20, RT_GO)->kind = RTFOUND_BEGIN;
    assert_true(rtsum_blame(found, n, &pid));
    assert_int_equal(pid, 20);
    take(3, 0);
    assert_int_equal(answers, 1);
    assert_true(rtsum_is_bad(sum, 20, 120));
    assert_false(rtsum_is_bad(sum, 20, 121));
    assert_null(rtsum_recall(sum, 20, 120, 8, RT_GO));
    mark(RTFOUND_DONE, 1);
    mark(RTFOUND_DONE, 2);
    mark(RTFOUND_DONE, 3);
    take(3, 1);
    assert_true(rtsum_is_bad(sum, 20, 120)); /* though it was not listed */
    mark(RTFOUND_DONE, 1);
    mark(RTFOUND_DONE, 2);
    mark(RTFOUND_DONE, 3);
    take(3, 900ll * SECOND);
    assert_false(rtsum_is_bad(sum, 20, 120));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(the_largest_collecting_runtime_gives_the_name, begin, end),
        cmocka_unit_test_setup_teardown(gauges_add_up_and_one_that_is_missing_makes_them_unknown,
                                        begin, end),
        cmocka_unit_test_setup_teardown(counters_grow_by_what_was_added, begin, end),
        cmocka_unit_test_setup_teardown(a_process_that_ends_takes_nothing_away, begin, end),
        cmocka_unit_test_setup_teardown(another_program_in_the_same_process_is_seen, begin, end),
        cmocka_unit_test_setup_teardown(what_was_not_reached_is_remembered_for_a_while, begin, end),
        cmocka_unit_test_setup_teardown(what_hung_a_look_is_passed_over, begin, end),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
