#include "inspect/logprefix.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "base/mem.h"

static void what_readers_of_logs_write_is_known(void **state) {
    static const char *const prefixes[] = {
        "web_1  | ",
        "\033[36mweb-1  |\033[0m ",
        "12:00:00 web.1   | ",
        "svc.1.abc0@node-7    | ",
        "[pod/web-5f/app] ",
        "[pod/web-5f/app] 2026-11-21T12:00:00.123456789Z ",
        "2026-11-21T12:00:00Z ",
        "2026-11-21T12:00:00.5+01:00 stderr F ",
        "Nov 21 12:00:00 host web[17]: ",
        "Nov  1 12:00:00 host web[17]: ",
        "2026-11-21T12:00:00+00:00 host web[17]: ",
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_N(prefixes); i++)
        if (!logprefix_is(str_of(prefixes[i])))
            fail_msg("'%s' is none", prefixes[i]);
}

static void what_a_program_writes_before_a_quote_is_none(void **state) {
    static const char *const others[] = {
        "",
        " ",
        "| ",
        "web | so | ",
        "web_1  |",
        "web_1  | x ",
        "loading... ",
        "log: the last was: ",
        "the last | ",
        "[INFO] ",
        "[a b/c] ",
        "12:00:00 ",
        "2026/11/21 12:00:00 ",
        "2026-11-21T12:00:00Z INFO ",
        "2026-11-21T12:00:00 ",
        "Nov 21 12:00:00 ",
        "host web[17]: ",
        "2026-11-21T12:00:00Z host web[x]: ",
        "\033[2Jweb-1  | ",
        "\tweb-1  | ",
        "2026-11-21T12:00:00Z\"",
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_N(others); i++)
        if (logprefix_is(str_of(others[i])))
            fail_msg("'%s' is taken for one", others[i]);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_readers_of_logs_write_is_known),
        cmocka_unit_test(what_a_program_writes_before_a_quote_is_none),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
