#include "kern/host.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "kern/cgtest.h"

static void a_captured_machine_is_not_the_live_one(void **state) {
    struct err err = {0};
    struct cgtest t;
    struct host h;
    char path[128];
    uint64_t bytes = 77;

    (void)state;
    cgtest_init(&t);
    snprintf(path, sizeof(path), "%s//", t.top);
    assert_int_equal(host_open(path, &h, &err), 0);
    assert_false(h.live);
    assert_string_equal(h.prefix, t.top);
    assert_int_equal(host_mem_total(&h, &bytes), -ENOENT);
    cgtest_write(&t, "/proc/meminfo", "MemFree: 1 kB\n");
    assert_int_equal(host_mem_total(&h, &bytes), -ENODATA);
    assert_int_equal(bytes, 77);
    cgtest_write(&t, "/proc/meminfo", "MemTotal: 2 kB\n");
    assert_int_equal(host_mem_total(&h, &bytes), 0);
    assert_int_equal(bytes, 2048);
    host_done(&h);
    host_done(&h); /* twice is legal */
    cgtest_done(&t);
}

static void this_machine_has_no_prefix(void **state) {
    static const char *const names[] = {NULL, "/"};
    struct err err;
    struct host h;

    (void)state;
    for (size_t i = 0; i < ARRAY_N(names); i++) {
        assert_int_equal(host_open(names[i], &h, &err), 0);
        assert_true(h.live);
        assert_string_equal(h.prefix, "");
        host_done(&h);
    }
}

static void a_folder_that_is_no_machine_is_refused_by_name(void **state) {
    struct host h = {.root = -7};
    struct err err = {0};
    char longer[5000];
    struct cgtest t;

    (void)state;
    cgtest_init(&t);
    cgtest_delete(&t, "/proc");
    assert_int_equal(host_open(t.top, &h, &err), -ENOENT);
    assert_non_null(strstr(err.text, t.top));
    assert_non_null(strstr(err.text, "/proc"));
    assert_int_equal(host_open("/nonexistent-plimsoll", &h, &err), -ENOENT);
    assert_non_null(strstr(err.text, "'/nonexistent-plimsoll'"));
    memset(longer, '/', sizeof(longer) - 1);
    longer[sizeof(longer) - 1] = '\0';
    assert_true(host_open(longer, &h, &err) < 0);
    assert_int_equal(h.root, -7);
    cgtest_done(&t);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_captured_machine_is_not_the_live_one),
        cmocka_unit_test(this_machine_has_no_prefix),
        cmocka_unit_test(a_folder_that_is_no_machine_is_refused_by_name),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
