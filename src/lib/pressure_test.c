#include "lib/pressure.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "base/mem.h"

static struct pressure_words words;

static void written(const char *base64, const char *bytes, size_t n) {
    if (pressure_words("/run/x", base64, &words) != 0)
        fail_msg("'%s' was refused", base64);
    assert_true(words.set && words.write_n == n && memcmp(words.write, bytes, n) == 0);
    assert_string_equal(words.path, "/run/x");
}

static void what_is_to_be_written_may_hold_any_byte(void **state) {
    (void)state;
    written("c29tZSAyMDAwMDAgMjAwMDAwMAA=", "some 200000 2000000", 20);
    written("", "", 0);
    written("AA==", "\0", 1);
    written("//79", "\xff\xfe\xfd", 3);
    written("/w==", "\xff", 1);
    assert_int_equal(pressure_words("/run/x", NULL, &words), 0);
    assert_true(words.write_n == 0);
}

static void dev_null_means_that_nobody_wants_it(void **state) {
    (void)state;
    assert_int_equal(pressure_words("/dev/null", NULL, &words), -EOPNOTSUPP);
    assert_int_equal(pressure_words(NULL, "AA==", &words), 0);
    assert_false(words.set);
    assert_int_equal(pressure_words("", NULL, &words), 0);
    assert_false(words.set);
}

static void what_is_malformed_is_refused(void **state) {
    static const char *const bad[] = {"A",
                                      "AA",
                                      "AAA",
                                      "A===",
                                      "AA=A",
                                      "====",
                                      "AA A",
                                      "AAA\n",
                                      "A\x80"
                                      "AA"};
    char path[5000], large[4 * 90 + 1];

    (void)state;
    for (size_t i = 0; i < ARRAY_N(bad); i++)
        if (pressure_words("/run/x", bad[i], &words) != -EINVAL)
            fail_msg("'%s' was accepted", bad[i]);
    memset(large, 'A', sizeof(large) - 1);
    large[sizeof(large) - 1] = '\0';
    assert_int_equal(pressure_words("/run/x", large, &words), -E2BIG);
    assert_int_equal(pressure_words("run/x", NULL, &words), -EINVAL);
    memset(path, '/', sizeof(path) - 1);
    path[sizeof(path) - 1] = '\0';
    assert_int_equal(pressure_words(path, NULL, &words), -EINVAL);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_to_be_written_may_hold_any_byte),
        cmocka_unit_test(dev_null_means_that_nobody_wants_it),
        cmocka_unit_test(what_is_malformed_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
