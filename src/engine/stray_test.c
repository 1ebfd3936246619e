#include "engine/stray.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define ID "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

static void a_path_tells_what_it_was(void **state) {
    static const struct {
        const char *path;
        enum wire_targets scope;
        const char *name; /* NULL: it is no target there */
        const char *target;
    } t[] = {
        {"/docker/" ID, WIRE_TARGETS_CONTAINERS, "0123456789ab", "/docker/" ID},
        {"/docker/" ID "/init", WIRE_TARGETS_CONTAINERS, "0123456789ab", "/docker/" ID},
        {"/system.slice/web.service", WIRE_TARGETS_SERVICES, "web.service",
         "/system.slice/web.service"},
        {"/system.slice/web.service", WIRE_TARGETS_CONTAINERS, NULL, NULL},
        {"/a/plimsoll-run-web/w", WIRE_TARGETS_SERVICES, "web", "/a/plimsoll-run-web"},
        {"/a/plimsoll-run-web/w", WIRE_TARGETS_ALL, "web", "/a/plimsoll-run-web"},
        {"/a/plain", WIRE_TARGETS_ALL, "plain", "/a/plain"},
        {"/a/plain", WIRE_TARGETS_SERVICES, NULL, NULL},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
        struct stray s;
        bool is = stray_of(str_of(t[i].path), t[i].scope, &s);

        if (is != (t[i].name != NULL))
            fail_msg("%s: %d", t[i].path, is);
        if (!is)
            continue;
        if (!str_eq((struct str){s.name, s.name_n}, str_of(t[i].name)) ||
            !str_eq(s.path, str_of(t[i].target)))
            fail_msg("%s: '%.*s' at '%.*s'", t[i].path, (int)s.name_n, s.name, STR_ARG(s.path));
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_path_tells_what_it_was),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
