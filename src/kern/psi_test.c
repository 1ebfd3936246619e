#include "kern/psi.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>

#include "base/mem.h"
#include "kern/proctest.h"

static void shares_are_hundredths_of_a_percent(void **state) {
    struct psi psi;

    (void)state;
    assert_int_equal(
        psi_parse(STR("some avg10=38.07 avg60=12.00 avg300=0.05 total=18446744073709551615\n"
                      "full avg10=7.50 avg60=100.00 avg300=0.00 total=42\n"),
                  &psi),
        0);
    assert_true(psi.have_some && psi.have_full);
    assert_int_equal(psi.some.avg10, 3807);
    assert_int_equal(psi.some.avg60, 1200);
    assert_int_equal(psi.some.avg300, 5);
    assert_true(psi.some.total_us == UINT64_MAX);
    assert_int_equal(psi.full.avg10, 750);
    assert_int_equal(psi.full.avg60, 10000);
    assert_int_equal(psi.full.total_us, 42);
}

static void a_missing_full_line_is_not_zero_pressure(void **state) {
    struct psi psi;

    (void)state;
    assert_int_equal(psi_parse(STR("some avg10=1.00 avg60=0.00 avg300=0.00 total=5\n"), &psi), 0);
    assert_true(psi.have_some);
    assert_false(psi.have_full);
}

static void lines_and_words_from_the_future_are_skipped(void **state) {
    struct psi psi;

    (void)state;
    assert_int_equal(psi_parse(STR("most avg10=x\n"
                                   "some avg10=1.00 avg30=2.0 avg60=3.00 avg300=4.00 total=5 n=\n"),
                               &psi),
                     0);
    assert_int_equal(psi.some.avg10, 100);
    assert_int_equal(psi.some.avg300, 400);
    assert_int_equal(psi.some.total_us, 5);
}

static void bad_text_changes_nothing(void **state) {
    static const char *const bad[] = {
        "",
        "some\n",
        "some avg10=1.00 avg60=0.00 avg300=0.00\n",
        "some avg10=1.00 avg60=0.00 avg300=0.00 total=5",
        "some avg10=1 avg60=0.00 avg300=0.00 total=5\n",
        "some avg10=1.0 avg60=0.00 avg300=0.00 total=5\n",
        "some avg10=1.000 avg60=0.00 avg300=0.00 total=5\n",
        "some avg10=-1.00 avg60=0.00 avg300=0.00 total=5\n",
        "some avg10=1.-0 avg60=0.00 avg300=0.00 total=5\n",
        "some avg10 avg60=0.00 avg300=0.00 total=5\n",
        "full avg10=1.00 avg60=0.00 avg300=0.00 total=5\n",
        "some avg10=1.00 avg60=0.00 avg300=0.00 total=5\nfull x\n",
        "some avg10=1.00 avg60=0.00 avg300=0.00 total=99999999999999999999\n",
        "some avg10=99999999999.00 avg60=0.00 avg300=0.00 total=5\n",
    };
    struct psi before, psi;

    (void)state;
    memset(&before, 0x5a, sizeof(before));
    psi = before;
    for (size_t i = 0; i < ARRAY_N(bad); i++) {
        if (psi_parse(str_of(bad[i]), &psi) == 0)
            fail_msg("'%s' was taken", bad[i]);
        assert_memory_equal(&psi, &before, sizeof(psi));
    }
}

static int try(struct str text) {
    struct psi before, psi;
    int r;

    memset(&before, 0x5a, sizeof(before));
    psi = before;
    r = psi_parse(text, &psi);
    if (r < 0)
        assert_memory_equal(&psi, &before, sizeof(psi));
    return r;
}

static void prefixes_are_whole_lines_or_errors(void **state) {
    (void)state; /* the only good one is the line "some" */
    assert_int_equal(proctest_prefixes("tests/fixtures/v1/proc/pressure/memory", try), 1);
    assert_int_equal(proctest_prefixes("tests/fixtures/v2/app/memory.pressure", try), 1);
}

static void files_are_found_by_their_folder(void **state) {
    auto_close int v1 = proctest_open("tests/fixtures/v1/proc");
    struct psi psi;

    (void)state;
    assert_int_equal(psi_read_at(v1, "pressure/memory", &psi), 0);
    assert_true(psi.some.total_us >= psi.full.total_us && psi.full.total_us > 0);
    assert_int_equal(psi_read_at(v1, "pressure/none", &psi), -ENOENT);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(shares_are_hundredths_of_a_percent),
        cmocka_unit_test(a_missing_full_line_is_not_zero_pressure),
        cmocka_unit_test(lines_and_words_from_the_future_are_skipped),
        cmocka_unit_test(bad_text_changes_nothing),
        cmocka_unit_test(prefixes_are_whole_lines_or_errors),
        cmocka_unit_test(files_are_found_by_their_folder),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
