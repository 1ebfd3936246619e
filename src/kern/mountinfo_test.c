#include "kern/mountinfo.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>

#include "base/mem.h"
#include "kern/proctest.h"

static void optional_fields_may_be_none_or_many(void **state) {
    static const char *const lines[] = {
        "41 31 0:38 /docker/4f /sys/fs/cgroup/memory ro,relatime - cgroup cgroup rw,memory",
        "41 31 0:38 /docker/4f /sys/fs/cgroup/memory ro shared:1 - cgroup cgroup rw,memory",
        ("41 31 0:38 /docker/4f /sys/fs/cgroup/memory ro shared:1 master:2 unbindable future:x=- - "
         "cgroup cgroup rw,memory"),
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_N(lines); i++) {
        struct mount_line m;

        assert_int_equal(mountinfo_parse_line(str_of(lines[i]), &m), 0);
        assert_true(str_eq(m.root, STR("/docker/4f")));
        assert_true(str_eq(m.point, STR("/sys/fs/cgroup/memory")));
        assert_true(str_eq(m.type, STR("cgroup")));
        assert_true(mountinfo_has_option(m.options, STR("memory")));
    }
}

static void options_are_whole_words(void **state) {
    (void)state;
    assert_true(mountinfo_has_option(STR("rw,cpu,cpuacct"), STR("cpu")));
    assert_true(mountinfo_has_option(STR("rw,cpu,cpuacct"), STR("cpuacct")));
    assert_true(mountinfo_has_option(STR("rw"), STR("rw")));
    assert_false(mountinfo_has_option(STR("rw,cpuacct"), STR("cpu")));
    assert_false(mountinfo_has_option(STR("rw,name=memory"), STR("memory")));
    assert_false(mountinfo_has_option(STR(""), STR("memory")));
}

static void escapes_are_three_octal_digits(void **state) {
    char out[32];

    (void)state;
    assert_int_equal(mountinfo_unescape(STR("/a\\040b\\011c\\012d\\134e"), out, sizeof(out)), 0);
    assert_string_equal(out, "/a b\tc\nd\\e");
    assert_int_equal(mountinfo_unescape(STR("/a\\04"), out, sizeof(out)), 0);
    assert_string_equal(out, "/a\\04");
    assert_int_equal(mountinfo_unescape(STR("\\089\\"), out, sizeof(out)), 0);
    assert_string_equal(out, "\\089\\");
    assert_int_equal(mountinfo_unescape(STR("1234"), out, 4), -ENAMETOOLONG);
    assert_int_equal(mountinfo_unescape(STR("123"), out, 4), 0);
    assert_int_equal(mountinfo_unescape(STR(""), out, 0), -ENAMETOOLONG);
}

static void a_line_that_lacks_fields_changes_nothing(void **state) {
    static const char *const bad[] = {
        "",
        "41",
        "41 31 0:38 /",
        "41 31 0:38 / /sys rw",
        "41 31 0:38 / /sys rw shared:1",
        "41 31 0:38 / /sys rw -",
        "41 31 0:38 / /sys rw - cgroup",
        "41 31 0:38 / /sys rw -cgroup cgroup rw",
    };
    struct mount_line m = {{"r", 1}, {"p", 1}, {"t", 1}, {"o", 1}};

    (void)state;
    for (size_t i = 0; i < ARRAY_N(bad); i++)
        assert_int_equal(mountinfo_parse_line(str_of(bad[i]), &m), -EBADMSG);
    assert_true(str_eq(m.root, STR("r")) && str_eq(m.options, STR("o")));
}

static unsigned cgroups_in(const char *path) {
    struct str text = proctest_load(path), rest = text, line;
    unsigned found = 0;

    while (str_cut(&rest, '\n', &line)) {
        struct mount_line m;

        assert_int_equal(mountinfo_parse_line(line, &m), 0);
        assert_true(str_starts(m.point, STR("/")));
        found += str_starts(m.type, STR("cgroup"));
    }
    assert_int_equal(rest.n, 0);
    proctest_free(text);
    return found;
}

static void every_captured_line_is_understood(void **state) {
    (void)state;
    assert_int_equal(cgroups_in("tests/fixtures/v1/proc/10569/mountinfo"), 10);
    assert_int_equal(cgroups_in("tests/fixtures/v2/proc/mountinfo"), 1);
}

static int try(struct str text) {
    struct mount_line m = {{"r", 1}, {"p", 1}, {"t", 1}, {"o", 1}};
    struct str line;
    char out[64];
    int r = 0;

    while (r == 0 && text.n > 0) {
        if (!str_cut(&text, '\n', &line)) {
            line = text;
            text.n = 0;
        }
        r = mountinfo_parse_line(line, &m);
        if (r == 0) {
            int u = mountinfo_unescape(m.point, out, sizeof(out));

            assert_true(u == 0 || u == -ENAMETOOLONG);
        }
    }
    return r;
}

static void prefixes_never_read_past_their_end(void **state) {
    (void)state;
    assert_true(proctest_prefixes("tests/fixtures/v1/proc/10569/mountinfo", try) > 10);
    assert_true(proctest_prefixes("tests/fixtures/v2/proc/mountinfo", try) > 10);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(optional_fields_may_be_none_or_many),
        cmocka_unit_test(options_are_whole_words),
        cmocka_unit_test(escapes_are_three_octal_digits),
        cmocka_unit_test(a_line_that_lacks_fields_changes_nothing),
        cmocka_unit_test(every_captured_line_is_understood),
        cmocka_unit_test(prefixes_never_read_past_their_end),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
