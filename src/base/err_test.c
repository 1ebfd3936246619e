#include "base/err.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <string.h>

static void a_colon_at_the_end_asks_for_the_reason(void **state) {
    struct err err = {0};

    (void)state;
    assert_int_equal(err_set(&err, -ENOENT, "cannot open '%s':", "x"), -ENOENT);
    assert_string_equal(err.text, "cannot open 'x': No such file or directory");
    assert_int_equal(err.code, -ENOENT);
    assert_int_equal(err_set(&err, -EINVAL, "no reason"), -EINVAL);
    assert_string_equal(err.text, "no reason");
    assert_int_equal(err_set(NULL, -EIO, "nobody asked:"), -EIO);
}

static void what_a_stranger_wrote_cannot_control_the_terminal(void **state) {
    struct err err;
    char bytes[32];

    (void)state;
    for (int i = 1; i < 32; i++)
        bytes[i - 1] = (char)i;
    bytes[30] = 0x7f;
    bytes[31] = '\0';
    err_set(&err, -EINVAL, "%s", bytes);
    assert_int_equal(strlen(err.text), 31);
    assert_int_equal(strspn(err.text, "?"), 31);
}

static void a_long_text_is_cut_and_the_code_survives(void **state) {
    char bytes[2000];
    struct err err;

    (void)state;
    memset(bytes, 'x', sizeof(bytes));
    bytes[sizeof(bytes) - 1] = '\0';
    assert_int_equal(err_set(&err, -EACCES, "%s:", bytes), -EACCES);
    assert_int_equal(strlen(err.text), sizeof(err.text) - 1);
    assert_int_equal(err.code, -EACCES);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_colon_at_the_end_asks_for_the_reason),
        cmocka_unit_test(what_a_stranger_wrote_cannot_control_the_terminal),
        cmocka_unit_test(a_long_text_is_cut_and_the_code_survives),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
