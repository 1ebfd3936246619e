#include "base/str.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <limits.h>
#include <string.h>

#include "base/basetest.h"

static void cutting_leaves_all_as_it_was_when_the_byte_is_missing(void **state) {
    struct str rest = STR("a:b:"), head = STR("untouched");

    (void)state;
    assert_false(str_cut(&rest, ';', &head));
    assert_true(str_eq(rest, STR("a:b:")) && str_eq(head, STR("untouched")));
    assert_true(str_cut(&rest, ':', &head));
    assert_true(str_eq(head, STR("a")) && str_eq(rest, STR("b:")));
    assert_true(str_cut(&rest, ':', &head));
    assert_true(str_eq(head, STR("b")) && rest.n == 0);
    assert_false(str_cut(&rest, ':', &head));
    rest = (struct str){NULL, 0};
    assert_false(str_cut(&rest, ':', &head));
}

static void words_are_parted_by_blanks_and_tabs_alone(void **state) {
    struct str rest = STR("  one\ttwo\nthree "), word;

    (void)state;
    assert_true(str_word(&rest, &word));
    assert_true(str_eq(word, STR("one")));
    assert_true(str_word(&rest, &word));
    assert_true(str_eq(word, STR("two\nthree")));
    assert_false(str_word(&rest, &word));
    assert_true(str_eq(word, STR("two\nthree")));
    assert_true(str_eq(str_trim(STR(" \t\n a b \n")), STR("a b")));
    assert_int_equal(str_trim(STR(" \n\t")).n, 0);
}

static void positions_beyond_the_end_are_the_end(void **state) {
    struct str s = STR("abc");

    (void)state;
    assert_int_equal(str_from(s, 99).n, 0);
    assert_int_equal(str_head(s, 99).n, 3);
    assert_int_equal(str_find(s, 'c'), 2);
    assert_int_equal(str_find(s, '\0'), -1);
    assert_int_equal(str_rfind(STR("a/b/c"), '/'), 3);
    assert_int_equal(str_find((struct str){NULL, 0}, 'a'), -1);
    assert_int_equal(str_rfind((struct str){NULL, 0}, 'a'), -1);
    assert_int_equal(str_of(NULL).n, 0);
}

static void ends_are_whole_or_not_there(void **state) {
    struct str s = STR("docker-abc.scope");

    (void)state;
    assert_false(str_skip(&s, STR("docker-abc.scope!")));
    assert_false(str_drop(&s, STR("xdocker-abc.scope")));
    assert_true(str_skip(&s, STR("docker-")) && str_drop(&s, STR(".scope")));
    assert_true(str_eq(s, STR("abc")));
    assert_true(str_starts(s, STR("")) && str_ends(s, STR("")));
    assert_false(str_eq(STR("ab"), STR("abc")));
    assert_true(str_eq((struct str){NULL, 0}, STR("")));
}

static void numbers_are_digits_and_nothing_else(void **state) {
    static const char *const bad[] = {"", "-1", "+1", " 1", "1 ", "0x1", "1.0", "1e3", "/", ":"};
    uint64_t value = 7;

    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_int_equal(str_to_u64(str_of(bad[i]), &value), -EBADMSG);
        assert_int_equal(value, 7);
    }
    assert_int_equal(str_to_u64(STR("\0"), &value), -EBADMSG);
    assert_int_equal(str_to_u64(STR("0"), &value), 0);
    assert_int_equal(value, 0);
    assert_int_equal(str_to_u64(STR("00012"), &value), 0);
    assert_int_equal(value, 12);
}

static void a_number_that_does_not_fit_is_refused(void **state) {
    uint64_t u = 7;
    int64_t i = 7;

    (void)state;
    assert_int_equal(str_to_u64(STR("18446744073709551615"), &u), 0);
    assert_true(u == UINT64_MAX);
    u = 7;
    assert_int_equal(str_to_u64(STR("18446744073709551616"), &u), -ERANGE);
    assert_int_equal(str_to_u64(STR("99999999999999999999999"), &u), -ERANGE);
    assert_int_equal(u, 7);
    assert_int_equal(str_to_i64(STR("9223372036854775808"), &i), -ERANGE);
    assert_int_equal(str_to_i64(STR("-9223372036854775809"), &i), -ERANGE);
    assert_int_equal(str_to_i64(STR("--1"), &i), -EBADMSG);
    assert_int_equal(str_to_i64(STR("-"), &i), -EBADMSG);
    assert_int_equal(i, 7);
    assert_int_equal(str_to_i64(STR("-9223372036854775808"), &i), 0);
    assert_true(i == INT64_MIN);
    assert_int_equal(str_to_i64(STR("9223372036854775807"), &i), 0);
    assert_true(i == INT64_MAX);
}

static void a_copy_fits_with_its_nul_or_is_not_made(void **state) {
    char dst[4] = "old";

    (void)state;
    assert_int_equal(str_copy(STR("abcd"), dst, sizeof(dst)), -ENAMETOOLONG);
    assert_int_equal(str_copy(STR("a\0b"), dst, sizeof(dst)), -EILSEQ);
    assert_string_equal(dst, "old");
    assert_int_equal(str_copy(STR(""), dst, 0), -ENAMETOOLONG);
    assert_int_equal(str_copy(STR("abc"), dst, sizeof(dst)), 0);
    assert_string_equal(dst, "abc");
    assert_int_equal(str_copy((struct str){NULL, 0}, dst, sizeof(dst)), 0);
    assert_string_equal(dst, "");
}

static void distance_counts_edits_and_swaps_once(void **state) {
    static const struct {
        const char *a, *b;
        unsigned far;
    } cases[] = {
        {"", "", 0},           {"", "abc", 3},           {"abc", "", 3},
        {"stats", "stats", 0}, {"stast", "stats", 1},    {"state", "stats", 1},
        {"ca", "abc", 3},      {"kitten", "sitting", 3}, {"ineterval", "interval", 1},
    };
    struct basetest_random random = {88172645463325252ull};
    char a[64], b[64];

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        assert_int_equal(str_distance(str_of(cases[i].a), str_of(cases[i].b)), cases[i].far);
        assert_int_equal(str_distance(str_of(cases[i].b), str_of(cases[i].a)), cases[i].far);
    }
    memset(a, 'a', sizeof(a));
    assert_int_equal(str_distance((struct str){a, 63}, STR("")), 63);
    assert_int_equal(str_distance((struct str){a, 64}, STR("")), UINT_MAX);
    assert_int_equal(str_distance(STR(""), (struct str){a, 64}), UINT_MAX);
    for (unsigned i = 0; i < 500; i++) {
        struct str x = {a, basetest_bytes(&random, a, 63)}, y = {b, basetest_bytes(&random, b, 63)};
        unsigned far = str_distance(x, y);

        assert_int_equal(far, str_distance(y, x));
        assert_int_equal(far == 0, str_eq(x, y));
        assert_true(far <= (x.n > y.n ? x.n : y.n));
        assert_true(far >= (x.n > y.n ? x.n - y.n : y.n - x.n));
    }
}

static void hexadecimal_is_digits_of_either_case_and_nothing_else(void **state) {
    static const char *const not_hex[] = {"",   "0x1", "-1", "+1",
                                          " 1", "1 ",  "g",  "12345678901234567"};
    uint64_t value = 7;

    (void)state;
    for (size_t i = 0; i < sizeof(not_hex) / sizeof(not_hex[0]); i++)
        assert_int_equal(str_to_hex(str_of(not_hex[i]), &value), -EBADMSG);
    assert_int_equal(value, 7);
    assert_int_equal(str_to_hex(STR("00fFe1"), &value), 0);
    assert_true(value == 0xffe1);
    assert_int_equal(str_to_hex(STR("ffffffffffffffff"), &value), 0);
    assert_true(value == UINT64_MAX);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cutting_leaves_all_as_it_was_when_the_byte_is_missing),
        cmocka_unit_test(words_are_parted_by_blanks_and_tabs_alone),
        cmocka_unit_test(positions_beyond_the_end_are_the_end),
        cmocka_unit_test(ends_are_whole_or_not_there),
        cmocka_unit_test(numbers_are_digits_and_nothing_else),
        cmocka_unit_test(a_number_that_does_not_fit_is_refused),
        cmocka_unit_test(hexadecimal_is_digits_of_either_case_and_nothing_else),
        cmocka_unit_test(a_copy_fits_with_its_nul_or_is_not_made),
        cmocka_unit_test(distance_counts_edits_and_swaps_once),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
