#include "kern/procstat.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>

#include "base/mem.h"
#include "kern/proctest.h"

static void numbers_are_in_their_places(void **state) {
    auto_close int v1 = proctest_open(PROCTEST_V1);
    struct procstat s;

    (void)state;
    assert_int_equal(procstat_read(v1, 10569, &s), 0);
    assert_int_equal(s.pid, 10569);
    assert_int_equal(s.ppid, 10183);
    assert_true(str_eq(procstat_comm(&s), STR("python3")));
    assert_int_equal(s.state, 'S');
    assert_int_equal(s.threads, 1);
    assert_int_equal(s.start_ticks, 125281);
    assert_int_equal(s.minor_faults, 28822);
    assert_int_equal(s.major_faults, 2);
    assert_int_equal(s.user_ticks, 3);
    assert_int_equal(s.system_ticks, 7);
    assert_int_equal(s.virt, 142897152);
    assert_int_equal(s.res_pages, 28965);
    assert_false(s.kernel_thread);
}

/* comm is `a) R 1 1`, a newline, `VmRSS:`. */
static void a_name_cannot_forge_fields(void **state) {
    auto_close int v1 = proctest_open(PROCTEST_V1);
    struct procstat s;

    (void)state;
    assert_int_equal(procstat_read(v1, 7596, &s), 0);
    assert_int_equal(s.pid, 7596);
    assert_int_equal(s.ppid, 7408);
    assert_int_equal(s.state, 'S');
    assert_int_equal(s.start_ticks, 248699);
    assert_true(str_eq(procstat_comm(&s), STR("a) R 1 1\nVmRSS:")));
}

static void kernel_threads_are_known_by_their_flag(void **state) {
    struct procstat s;

    (void)state;
    assert_int_equal(procstat_parse(STR("2 (kthreadd) S 0 0 0 0 -1 2129984 0 0 0 0 0 0 0 0 20 0 1 "
                                        "0 9 0 0 18446744073709551615 0\n"),
                                    &s),
                     0);
    assert_true(s.kernel_thread);
    assert_int_equal(s.ppid, 0);
    assert_int_equal(s.start_ticks, 9);
}

static void whether_exec_was_called_is_a_flag(void **state) {
    struct procstat s;

    (void)state;
    assert_int_equal(
        procstat_parse(STR("9 (sh) Z 1 9 1 0 -1 4194368 0 0 0 0 0 0 0 0 20 0 1 0 9 0 0 1\n"), &s),
        0);
    assert_true(s.forked);
    assert_int_equal(
        procstat_parse(STR("9 (sh) Z 1 9 1 0 -1 4194304 0 0 0 0 0 0 0 0 20 0 1 0 9 0 0 1\n"), &s),
        0);
    assert_false(s.forked || s.exiting);
}

static void a_process_that_ends_says_so(void **state) {
    struct procstat s;

    (void)state;
    assert_int_equal(
        procstat_parse(STR("9 (sh) R 1 9 1 0 -1 4195332 0 0 0 0 0 0 0 0 20 0 1 0 9 0 0 1\n"), &s),
        0);
    assert_true(s.exiting);
}

static void bad_text_changes_nothing(void **state) {
    static const struct str bad[] = {
        {"", 0},
        {"\n", 1},
        {"1 (a", 4},
        {"1 a) S 0 0 0 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 9 0 0 1\n", 53},
        {"(a) S 0 0 0 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 9 0 0 1\n", 52},
        {"x (a) S 0 0 0 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 9 0 0 1\n", 54},
        {"1 (a) SS 0 0 0 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 9 0 0 1\n", 55},
        {"1 (a) S 0 0 0 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 9 0\n", 50},
        {"1 (a) S 0 0 0 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 9x 0 0 1\n", 55},
        {"1 (a) S 4294967296 0 0 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 9 0 0 1\n", 63},
        {"4294967297 (a) S 0 0 0 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 9 0 0 1\n", 63},
    };
    struct procstat s = {.pid = 77, .state = 'Q'};
    char name[200] = "1 (";

    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_true(procstat_parse(bad[i], &s) < 0);
        assert_int_equal(s.pid, 77);
    }
    memset(name + 3, 'n', 64); /* one more than any kernel writes */
    strncat(name, ") S 0 0 0 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 9 0 0 1\n", 100);
    assert_int_equal(procstat_parse(str_of(name), &s), -EBADMSG);
    assert_int_equal(s.state, 'Q');
    memmove(name + 3, name + 4, 150);
    assert_int_equal(procstat_parse(str_of(name), &s), 0);
    assert_int_equal(procstat_comm(&s).n, 63);
}

static int try(struct str text) {
    struct procstat s;

    return procstat_parse(text, &s);
}

static void prefixes_are_errors_or_whole(void **state) {
    (void)state;
    /* Only the numbers after those that are wanted may be missing. */
    assert_true(proctest_prefixes(PROCTEST_V1 "/10569/stat", try) < 260);
    assert_true(proctest_prefixes(PROCTEST_V1 "/7596/stat", try) < 260);
}

static void start_is_wall_time(void **state) {
    struct procstat s = {.start_ticks = 12345};
    long hertz = sysconf(_SC_CLK_TCK);
    int64_t boot = 0;

    (void)state;
    assert_int_equal(procstat_start_ms(&s, 1000), 1000000 + 12345 * 1000 / hertz);
    assert_int_equal(procstat_parse_boot(STR("cpu  1 2\nctxt 5\nbtime 1763712000\n"), &boot), 0);
    assert_int_equal(boot, 1763712000);
    assert_int_equal(procstat_parse_boot(STR("cpu 1\nxbtime 3\n"), &boot), -ENODATA);
    assert_int_equal(procstat_parse_boot(STR("btime 17637"), &boot), -ENODATA); /* cut off */
    assert_int_equal(procstat_parse_boot(STR("btime x\n"), &boot), -EBADMSG);
    assert_int_equal(boot, 1763712000);
}

static void reads_this_process(void **state) {
    auto_close int proc = proctest_open("/proc");
    struct procstat s;
    int64_t boot;

    (void)state;
    assert_int_equal(procstat_read(proc, getpid(), &s), 0);
    assert_int_equal(s.pid, getpid());
    assert_int_equal(s.ppid, getppid());
    assert_int_equal(s.state, 'R');
    assert_true(s.virt > 0 && s.res_pages > 0 && s.threads >= 1);
    assert_int_equal(procstat_read_boot(proc, &boot), 0);
    assert_true(boot > 0);
    assert_int_equal(procstat_read(proc, INT32_MAX, &s), -ENOENT);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers_are_in_their_places),
        cmocka_unit_test(a_name_cannot_forge_fields),
        cmocka_unit_test(kernel_threads_are_known_by_their_flag),
        cmocka_unit_test(whether_exec_was_called_is_a_flag),
        cmocka_unit_test(a_process_that_ends_says_so),
        cmocka_unit_test(bad_text_changes_nothing),
        cmocka_unit_test(prefixes_are_errors_or_whole),
        cmocka_unit_test(start_is_wall_time),
        cmocka_unit_test(reads_this_process),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
