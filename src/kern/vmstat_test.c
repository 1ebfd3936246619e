#include "kern/vmstat.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>

#include "base/mem.h"
#include "kern/proctest.h"

static void counters_are_those_of_the_file(void **state) {
    auto_close int v1 = proctest_open("tests/fixtures/v1/proc");
    auto_close int v2 = proctest_open("tests/fixtures/v2/proc");
    struct vmstat v;

    (void)state;
    assert_int_equal(vmstat_read(v1, &v), 0);
    assert_int_equal(v.have, (1u << VMSTAT_N) - 1);
    assert_int_equal(v.value[VMSTAT_MAJOR_FAULTS], 6261);
    assert_int_equal(v.value[VMSTAT_REFAULT_FILE], 1201612);
    assert_int_equal(v.value[VMSTAT_OOM_KILL], 0);
    assert_int_equal(vmstat_read(v2, &v), 0);
    assert_int_equal(v.have, (1u << VMSTAT_N) - 1);
    assert_int_equal(v.value[VMSTAT_MAJOR_FAULTS], 52);
}

static void a_missing_key_is_not_zero_and_an_unknown_one_is_skipped(void **state) {
    struct vmstat v;

    (void)state;
    assert_int_equal(
        vmstat_parse(STR("oom_killx 1\nxoom_kill 2\npswpin 18446744073709551615\n"), &v), 0);
    assert_int_equal(v.have, 1u << VMSTAT_SWAP_IN);
    assert_true(v.value[VMSTAT_SWAP_IN] == UINT64_MAX);
}

static void bad_text_changes_nothing(void **state) {
    static const char *const bad[] = {"oom_kill 1",
                                      "oom_kill\n",
                                      "oom_kill x\n",
                                      "oom_kill 1 2\n",
                                      "\n",
                                      "oom_kill -1\n",
                                      "oom_kill 18446744073709551616\n"};
    struct vmstat before, v;

    (void)state;
    memset(&before, 0x5a, sizeof(before));
    v = before;
    for (size_t i = 0; i < ARRAY_N(bad); i++) {
        if (vmstat_parse(str_of(bad[i]), &v) == 0)
            fail_msg("'%s' was taken", bad[i]);
        assert_memory_equal(&v, &before, sizeof(v));
    }
}

static int try(struct str text) {
    struct vmstat before, v;
    int r;

    memset(&before, 0x5a, sizeof(before));
    v = before;
    r = vmstat_parse(text, &v);
    if (r < 0)
        assert_memory_equal(&v, &before, sizeof(v));
    return r;
}

static void prefixes_are_whole_lines_or_errors(void **state) {
    (void)state; /* as many good ones as there are lines */
    assert_int_equal(proctest_prefixes("tests/fixtures/v1/proc/vmstat", try), 192);
    assert_int_equal(proctest_prefixes("tests/fixtures/v2/proc/vmstat", try), 173);
}

static void reads_this_machine(void **state) {
    auto_close int proc = proctest_open("/proc");
    struct vmstat v;

    (void)state;
    assert_int_equal(vmstat_read(proc, &v), 0);
    assert_true(v.have >> VMSTAT_OOM_KILL & 1 && v.have >> VMSTAT_MAJOR_FAULTS & 1);
    assert_int_equal(vmstat_read(-5, &v), -EBADF);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(counters_are_those_of_the_file),
        cmocka_unit_test(a_missing_key_is_not_zero_and_an_unknown_one_is_skipped),
        cmocka_unit_test(bad_text_changes_nothing),
        cmocka_unit_test(prefixes_are_whole_lines_or_errors),
        cmocka_unit_test(reads_this_machine),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
