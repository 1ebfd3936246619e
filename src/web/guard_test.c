#include "web/guard.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/mem.h"

static const char *const names[] = {"mon.example", "[fd00::1]:444"};

static unsigned check(const char *address, uint16_t port, const char *host) {
    const struct guard g = {names, ARRAY_N(names), NULL};
    const struct guard_head h = {
        .hosts = 1,
        .method = STR("GET"),
        .host = str_of(host),
        .address = str_of(address),
        .port = port,
    };
    const char *text = NULL;

    return guard_check(&g, &h, &text);
}

static void an_address_is_ours_however_it_is_spelt(void **state) {
    (void)state;
    assert_int_equal(check("::1", 7533, "[::1]:7533"), 0);
    assert_int_equal(check("::1", 7533, "[::1]"), 0);
    assert_int_equal(check("::1", 7533, "[0:0::0:1]:7533"), 0);
    assert_int_equal(check("::1", 7533, "::1"), 421);
    assert_int_equal(check("::1", 7533, "[::1]:80"), 421);
    assert_int_equal(check("::1", 7533, "[::2]"), 421);
    assert_int_equal(check("::ffff:10.1.2.3", 7533, "10.1.2.3:7533"), 0);
    assert_int_equal(check("10.1.2.3", 7533, "10.1.2.3"), 0);
    assert_int_equal(check("10.1.2.3", 7533, "10.1.2.4"), 421);
    assert_int_equal(check("10.1.2.3", 7533, "10.1.2.3.nip.example"), 421);
    assert_int_equal(check("10.1.2.3", 7533, "010.1.2.3"), 421);
    assert_int_equal(check("fd00::1", 7533, "[FD00::1]:444"), 0);
    assert_int_equal(check("10.1.2.3", 7533, "MON.example:80"), 0);
    assert_int_equal(check("10.1.2.3", 7533, "mon.example."), 421);
    assert_int_equal(check("10.1.2.3", 7533, "xmon.example"), 421);
    assert_int_equal(check("", 7533, ""), 421);
    assert_int_equal(check("", 7533, "x"), 421);
}

static void a_token_must_be_the_whole_token(void **state) {
    (void)state;
    assert_true(guard_token("secret", STR("Bearer secret")));
    assert_true(guard_token("secret", STR("bearer   secret ")));
    assert_false(guard_token("secret", STR("Bearer secretsecret")));
    assert_false(guard_token("secret", STR("Bearer secre")));
    assert_false(guard_token("secret", STR("Bearer ")));
    assert_false(guard_token("secret", STR("Bearer")));
    assert_false(guard_token("secret", STR("")));
    assert_false(guard_token("secret", STR("Bearersecret")));
    assert_false(guard_token("aa", STR("Bearer a")));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_address_is_ours_however_it_is_spelt),
        cmocka_unit_test(a_token_must_be_the_whole_token),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
