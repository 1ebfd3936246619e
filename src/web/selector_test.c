#include "web/selector.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>

#include "base/basetest.h"
#include "base/mem.h"

static bool matches(const char *pattern, const char *text) {
    struct regex *r = NULL;
    struct err err = {.text = ""};
    bool is;

    if (regex_new(str_of(pattern), &r, &err) < 0)
        fail_msg("%s", err.text);
    is = regex_matches(r, str_of(text));
    assert_true(regex_matches(r, str_of(text)) == is);
    regex_free(r);
    return is;
}

static void expressions_match_whole_texts(void **state) {
    static const struct {
        const char *pattern, *text;
        bool is;
    } tries[] = {
        {"", "", true},
        {"", "a", false},
        {"web", "web", true},
        {"web", "web1", false},
        {"web", "xweb", false},
        {"^web$", "web", true},
        {"web.*", "web-1", true},
        {".+", "", false},
        {".*", "", true},
        {"a|b|c", "b", true},
        {"a|b|c", "ab", false},
        {"(a|bc)+d", "abcbcad", true},
        {"(?:a|bc)*?d", "d", true},
        {"a?b", "b", true},
        {"a{2,3}", "a", false},
        {"a{2,3}", "aaa", true},
        {"a{2,3}", "aaaa", false},
        {"a{2,}", "aaaaaaa", true},
        {"a{3}", "aaa", true},
        {"[a-c]+", "abc", true},
        {"[^a-c]+", "abc", false},
        {"[]a]+", "]a", true},
        {"[a-]+", "a-", true},
        {"[\\d_]+", "1_2", true},
        {"\\w+\\.\\w+", "web.1", true},
        {"\\w+\\.\\w+", "webx1", false},
        {"\\D\\S\\W", "ab-", true},
        {"\\/docker\\/.+", "/docker/x", true},
        {".", "\xc3\xa4", true},
        {"..", "\xc3\xa4", false},
        {"\xc3\xa4+", "\xc3\xa4\xc3\xa4", true},
        {".", "\xff", true},
        {".", "\n", false},
        {"[^x]", "\n", true},
        {"(a*)*", "aaaa", true},
        {"(a*)*b", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaac", false},
        {"(|a)+", "aa", true},
        {"a||b", "", true},
        {"()", "", true},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_N(tries); i++)
        if (matches(tries[i].pattern, tries[i].text) != tries[i].is)
            fail_msg("'%s' with '%s'", tries[i].pattern, tries[i].text);
}

static void what_is_not_known_is_an_error(void **state) {
    static const char *const bad[] = {
        "(",
        ")",
        "a)",
        "(a",
        "[",
        "[a",
        "*",
        "+a",
        "?",
        "a**",
        "a{",
        "a{,2}",
        "a{3,2}",
        "a{1001}",
        "\\",
        "\\q",
        "(?i)a",
        "(?=a)",
        "a^b",
        "a$b",
        "[[:d:]]",
        "[b-a]",
        "\xff",
        "\\1",
        "{1}",
        "a{2",
        "(?P<n>a)",
        "[\\q]",
        "a{1}{1}",
        "\\bweb\\b",
        "((a{900}){900})",
        "(((){1000}){1000}){1000}",
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_N(bad); i++) {
        struct regex *r = NULL;
        struct err err = {.text = ""};
        int code = regex_new(str_of(bad[i]), &r, &err);

        if ((code != -EBADMSG && code != -E2BIG) || r || err.text[0] == '\0')
            fail_msg("'%s' gives %d", bad[i], code);
    }
}

static void selectors_are_read(void **state) {
    struct selector s;
    struct err err = {.text = ""};

    (void)state;
    assert_int_equal(selector_parse(STR(" plimsoll_memory_used_bytes "), &s, &err), 0);
    assert_int_equal(s.n, 1);
    assert_true(selector_allows(&s, STR("__name__"), STR("plimsoll_memory_used_bytes")));
    assert_false(selector_allows(&s, STR("__name__"), STR("plimsoll_memory_used_byte")));
    assert_true(selector_allows(&s, STR("name"), STR("x")));
    selector_done(&s);
    assert_int_equal(
        selector_parse(STR("x{a=\"1\", b != '2' ,c=~`d\\.+`,d!~\"x\\n\\x41|y\",}"), &s, &err), 0);
    assert_int_equal(s.n, 5);
    assert_true(selector_allows(&s, STR("a"), STR("1")));
    assert_false(selector_allows(&s, STR("a"), STR("")));
    assert_true(selector_allows(&s, STR("b"), STR("")));
    assert_false(selector_allows(&s, STR("b"), STR("2")));
    assert_true(selector_allows(&s, STR("c"), STR("d...")));
    assert_false(selector_allows(&s, STR("d"), STR("x\nA")));
    assert_true(selector_allows(&s, STR("d"), STR("z")));
    selector_done(&s);
    assert_int_equal(selector_parse(STR("{name=\"web\"}"), &s, &err), 0);
    selector_done(&s);
    assert_int_equal(selector_parse(STR("x{}"), &s, &err), 0);
    selector_done(&s);
}

static void other_expressions_are_told_with_their_place(void **state) {
    static const char *const bad[] = {
        "",
        "{}",
        "{a=\"\"}",
        "{a=~\".*\"}",
        "x{",
        "x{a}",
        "x{a=1}",
        "x{a=\"1}",
        "x{a=\"1\"",
        "x{=\"1\"}",
        "x{a=\"1\" b=\"2\"}",
        "x[5m]",
        "rate(x[5m])",
        "x + 1",
        "x offset 5m",
        "x{a==\"1\"}",
        "1",
        "x{a=~\"(\"}",
        "x{a=\"\\q\"}",
        "x{,}",
        "x y",
        "x{a=\"1\n\"}",
        "\xff",
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_N(bad); i++) {
        struct selector s = {.n = 77};
        struct err err = {.text = ""};

        if (selector_parse(str_of(bad[i]), &s, &err) >= 0 || s.n != 77 || err.text[0] == '\0')
            fail_msg("'%s' is taken", bad[i]);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(expressions_match_whole_texts),
        cmocka_unit_test(what_is_not_known_is_an_error),
        cmocka_unit_test(selectors_are_read),
        cmocka_unit_test(other_expressions_are_told_with_their_place),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
