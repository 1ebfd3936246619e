#include "lib/preconf.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>

#include "base/mem.h"

static struct preconf parse(const char *text) {
    struct preconf c = {0};
    struct str bad = {0};

    if (preconf_parse(text, &c, &bad) != 0)
        fail_msg("'%s' was refused for '%.*s'", text, STR_ARG(bad));
    return c;
}

static void nothing_said_is_the_defaults(void **state) {
    static const char *const empty[] = {NULL, "", ",", ",,"};

    (void)state;
    for (size_t i = 0; i < ARRAY_N(empty); i++) {
        struct preconf c = parse(empty[i]);

        assert_true(c.at == 80 && c.gate == 87 && c.wait == 100 && c.limit == 0);
        assert_true(!c.off && !c.refuse);
    }
}

static void each_word_is_taken(void **state) {
    struct preconf c = parse("at=70%,gate=85,wait=1.5s,mode=refuse,limit=100M");

    (void)state;
    assert_true(c.at == 70 && c.gate == 85 && c.wait == 1500 && c.limit == 100 << 20 && c.refuse);
    assert_true(parse("strict").refuse);
    assert_false(parse("mode=refuse,mode=delay").refuse);
    assert_true(parse("off").off);
    assert_true(parse("wait=0,at=87").wait == 0);
}

static void what_is_wrong_is_named_and_changes_nothing(void **state) {
    static const struct {
        const char *text, *bad;
    } cases[] = {
        {"at=80,gat=88", "gat=88"}, {"at=", "at="},
        {"at=0", "at=0"},           {"gate=101", "gate=101"},
        {"wait=x", "wait=x"},       {"wait=11s", "wait=11s"},
        {"mode=kill", "mode=kill"}, {"limit=0", "limit=0"},
        {"limit=-1", "limit=-1"},   {"on", "on"},
        {"at=-5", "at=-5"},         {"at=90,gate=80", "at=90,gate=80"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_N(cases); i++) {
        struct preconf c = {.at = 1};
        struct str bad = {0};

        assert_int_equal(preconf_parse(cases[i].text, &c, &bad), -EINVAL);
        if (!str_eq(bad, str_of(cases[i].bad)))
            fail_msg("'%s': names '%.*s'", cases[i].text, STR_ARG(bad));
        assert_true(c.at == 1);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_said_is_the_defaults),
        cmocka_unit_test(each_word_is_taken),
        cmocka_unit_test(what_is_wrong_is_named_and_changes_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
