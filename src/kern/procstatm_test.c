#include "kern/procstatm.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>

#include "base/mem.h"
#include "kern/proctest.h"

static void pages_become_bytes(void **state) {
    auto_close int v1 = proctest_open(PROCTEST_V1);
    struct procstatm m;

    (void)state;
    assert_int_equal(procstatm_parse(STR("34887 28994 6788 1 0 22517 0\n"), 4096, &m), 0);
    assert_int_equal(m.virt, 34887 * 4096);
    assert_int_equal(m.res, 28994 * 4096);
    assert_int_equal(m.shr, 6788 * 4096);
    assert_int_equal(m.code, 4096);
    assert_int_equal(m.data, 22517 * 4096);
    m.res = 0;
    assert_int_equal(procstatm_read(v1, 10569, &m), 0);
    assert_int_equal(m.res, 28994 * (uint64_t)sysconf(_SC_PAGESIZE));
}

static void bad_text_changes_nothing(void **state) {
    static const char *const bad[] = {
        "",
        "\n",
        "1 2 3 4 5 6\n",
        "1 2 3 4 5 6 7",
        "1 2 3 -4 5 6 7\n",
        "a 2 3 4 5 6 7\n",
        "18446744073709551616 2 3 4 5 6 7\n",
        "18446744073709551615 2 3 4 5 6 7\n",
    };
    struct procstatm m = {.virt = 5, .data = 6};

    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_true(procstatm_parse(str_of(bad[i]), 4096, &m) < 0);
        assert_true(m.virt == 5 && m.data == 6);
    }
}

static int try(struct str text) {
    struct procstatm m;

    return procstatm_parse(text, 4096, &m);
}

static void no_prefix_is_whole(void **state) {
    (void)state;
    assert_int_equal(proctest_prefixes(PROCTEST_V1 "/10569/statm", try), 0);
    assert_int_equal(proctest_prefixes(PROCTEST_V2 "/134/statm", try), 0);
}

static void reads_this_process(void **state) {
    auto_close int proc = proctest_open("/proc");
    struct procstatm m;

    (void)state;
    assert_int_equal(procstatm_read(proc, getpid(), &m), 0);
    assert_true(m.virt >= m.res && m.res >= m.shr && m.code > 0 && m.data > 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pages_become_bytes),
        cmocka_unit_test(bad_text_changes_nothing),
        cmocka_unit_test(no_prefix_is_whole),
        cmocka_unit_test(reads_this_process),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
