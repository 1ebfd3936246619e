#include "runtime/hsperf.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "base/basetest.h"
#include "base/file.h"

enum { SIZE = 65536 };
static char room[SIZE];

static struct str load(const char *name) {
    struct str file;

    assert_int_equal(file_read_at(AT_FDCWD, name, room, sizeof(room), &file), 0);
    return file;
}

/* The figures are those that `jcmd PID PerfCounter.print` gave of the same JVM. */
static void counters_are_those_that_jcmd_prints(void **state) {
    struct hsperf h;

    (void)state;
    assert_int_equal(hsperf_parse(load("fuzz/corpus/hsperf/g1-17"), &h), 0);
    assert_int_equal(h.have, (1u << HSPERF_VALUES) - 1);
    assert_int_equal(h.value[HSPERF_USED], 1048576 + 2097152 + 45535232);
    assert_int_equal(h.value[HSPERF_COMMITTED], 17825816 + 191889416);
    assert_int_equal(h.value[HSPERF_HEAP_MAX], 200 << 20);
    assert_int_equal(h.value[HSPERF_GC_COUNT], 5);
    assert_int_equal(h.value[HSPERF_GC_US], 30848);
    assert_int_equal(h.value[HSPERF_THREADS], 7);
    assert_int_equal(h.value[HSPERF_META_COMMITTED], 327680);
    assert_int_equal(h.attach, '1');
    assert_int_equal(hsperf_parse(load("fuzz/corpus/hsperf/z-25"), &h), 0);
    assert_int_equal(h.value[HSPERF_USED], 37748736 + 18874368);
    assert_int_equal(h.value[HSPERF_COMMITTED], 190840832 + 18874368);
    assert_int_equal(h.value[HSPERF_GC_COUNT], 10);
}

static void other_machines_and_unfinished_files_are_told_apart(void **state) {
    struct str file = load("fuzz/corpus/hsperf/g1-17");
    struct hsperf h = {.attach = 7};

    (void)state;
    room[7] = 0;
    assert_int_equal(hsperf_parse(file, &h), -EAGAIN);
    room[7] = 1;
    room[4] = 0;
    assert_int_equal(hsperf_parse(file, &h), -EOPNOTSUPP);
    room[4] = 1;
    room[0] = 0;
    assert_int_equal(hsperf_parse(file, &h), -EBADMSG);
    assert_int_equal(hsperf_parse(STR(""), &h), -EBADMSG);
    assert_int_equal(h.attach, 7);
}

/* Shorter than all that is used, but longer than what is left of it. */
static void an_entry_that_runs_past_the_end_is_refused(void **state) {
    struct str file = load("fuzz/corpus/hsperf/g1-17");
    struct hsperf h = {.attach = 7};
    uint32_t first, length, used, two = 2, past;

    (void)state;
    memcpy(&used, room + 8, sizeof(used));
    memcpy(&first, room + 24, sizeof(first));
    memcpy(&length, room + first, sizeof(length));
    memcpy(room + 28, &two, sizeof(two));
    assert_int_equal(hsperf_parse(file, &h), 0);
    h = (struct hsperf){.attach = 7};
    past = used - (first + length);
    memcpy(room + first + length, &past, sizeof(past));
    assert_int_equal(hsperf_parse(file, &h), 0);
    h = (struct hsperf){.attach = 7};
    past++;
    assert_true(past < used);
    memcpy(room + first + length, &past, sizeof(past));
    assert_int_equal(hsperf_parse(file, &h), -EBADMSG);
    assert_int_equal(h.attach, 7);
}

/* Each in a block of its own, so that a sanitizer sees a byte too far. */
static void parse_copy(struct str file) {
    char *copy = malloc(file.n ? file.n : 1);
    struct hsperf h;

    assert_non_null(copy);
    memcpy(copy, file.p, file.n);
    (void)hsperf_parse((struct str){copy, file.n}, &h);
    free(copy);
}

static void no_byte_outside_is_read_whatever_it_says(void **state) {
    struct str file = load("fuzz/corpus/hsperf/g1-17");
    struct basetest_random random = {2025};

    (void)state;
    for (size_t n = 0; n < 2000; n++)
        parse_copy(str_head(file, n));
    file = str_head(file, 12000);
    for (unsigned i = 0; i < 3000; i++) {
        size_t at = basetest_next(&random) % (i % 3 ? 400 : file.n);
        char was = room[at];

        room[at] = (char)basetest_next(&random);
        if (i % 5 == 0)
            memset(room + (at & ~3ul), 0xff, 4);
        parse_copy(file);
        room[at] = was;
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(counters_are_those_that_jcmd_prints),
        cmocka_unit_test(other_machines_and_unfinished_files_are_told_apart),
        cmocka_unit_test(an_entry_that_runs_past_the_end_is_refused),
        cmocka_unit_test(no_byte_outside_is_read_whatever_it_says),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
