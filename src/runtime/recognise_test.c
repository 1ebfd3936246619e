#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/basetest.h"
#include "runtime/recognise.h"

static void java_versions_are_said_as_people_say_them(void **state) {
    static const char *const said[][2] = {
        {"1.8.0_121-b13", "8u121"},
        {"1.8.0_372", "8u372"},
        {"1.8.0", "8"},
        {"1.7.0_80-b15", "7u80"},
        {"9", "9"},
        {"11.0.16.1+1", "11.0.16.1+1"},
        {"17.0.15+6-Debian-1deb12u1", "17.0.15+6"},
        {"21-ea+3", "21"},
        {"25.0.1+8-LTS", "25.0.1+8"},
    };
    char out[40];

    (void)state;
    for (size_t i = 0; i < sizeof(said) / sizeof(said[0]); i++) {
        assert_int_equal(rt_java_version(str_of(said[i][0]), out, sizeof(out)), 0);
        assert_string_equal(out, said[i][1]);
    }
    assert_int_equal(rt_java_version(STR(""), out, sizeof(out)), -EBADMSG);
    assert_int_equal(rt_java_version(STR("abc"), out, sizeof(out)), -EBADMSG);
    assert_int_equal(rt_java_version(STR("1."), out, sizeof(out)), -EBADMSG);
    assert_int_equal(rt_java_version(STR("17.0.15+6"), out, 4), 0);
    assert_string_equal(out, "17.");
}

static void a_release_file_tells_the_most_precise(void **state) {
    char out[40];

    (void)state;
    assert_int_equal(
        rt_java_release(STR("IMPLEMENTOR=\"x\"\nJAVA_VERSION=\"1.8.0_121\"\n"), out, sizeof(out)),
        0);
    assert_string_equal(out, "8u121");
    assert_int_equal(rt_java_release(STR("JAVA_RUNTIME_VERSION=\"17.0.15+6-Debian\"\n"
                                         "JAVA_VERSION=\"17.0.15\"\nJAVA_VERSION_DATE=\"2025\""),
                                     out, sizeof(out)),
                     0);
    assert_string_equal(out, "17.0.15+6");
    assert_int_equal(
        rt_java_release(STR("JAVA_RUNTIME_VERSION=\"?\"\nJAVA_VERSION=\"17\""), out, sizeof(out)),
        0);
    assert_string_equal(out, "17");
    assert_int_equal(rt_java_release(STR("JAVA_VERSION=\"\"\n=\n\"\n"), out, sizeof(out)),
                     -ENODATA);
    assert_int_equal(rt_java_release(STR(""), out, sizeof(out)), -ENODATA);
}

/* The second time comes from memory and says the same. */
static void we_are_native(void **state) {
    struct rt_cache *cache = NULL;
    struct rt_id id, again;
    struct host host;
    struct err err;
    struct buf b;

    (void)state;
    assert_int_equal(host_open(NULL, &host, &err), 0);
    assert_int_equal(rt_cache_new(&host, &cache), 0);
    if (rt_cache_recognise(cache, (int32_t)getpid(), &id) == -EACCES) {
        rt_cache_free(cache);
        host_done(&host);
        skip();
    }
    assert_int_equal(rt_cache_recognise(cache, (int32_t)getpid(), &again), 0);
    assert_memory_equal(&id, &again, sizeof(id));
    buf_init(&b, 100);
    rt_add_id(&b, &id);
    assert_int_equal(id.kind, RT_NATIVE);
    assert_true(str_starts(buf_str(&b), STR("glibc 2.")) || str_starts(buf_str(&b), STR("musl")));
    assert_true(rt_cache_recognise(cache, 0x3fffffff, &id) < 0);
    assert_int_equal(id.kind, RT_UNKNOWN);
    buf_done(&b);
    rt_cache_free(cache);
    host_done(&host);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(java_versions_are_said_as_people_say_them),
        cmocka_unit_test(a_release_file_tells_the_most_precise),
        cmocka_unit_test(we_are_native),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
