#include "kern/kmsg.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <poll.h>
#include <stdio.h>

#include "base/mem.h"
#include "kern/proctest.h"

static void assert_text(struct str s, const char *wanted) {
    if (!str_eq(s, str_of(wanted)))
        fail_msg("it is '%.*s', not '%s'", STR_ARG(s), wanted);
}

static void a_record_is_its_fields(void **state) {
    struct kmsg_record r;

    (void)state;
    assert_int_equal(kmsg_parse(STR("6,1837,2576503951,-;[  pid  ]\n"), &r), 0);
    assert_int_equal(r.seq, 1837);
    assert_int_equal(r.at_us, 2576503951);
    assert_text(r.text, "[  pid  ]");
    assert_true(r.from_kernel && !r.more);

    assert_int_equal(kmsg_parse(STR("4,1250,2519832549,c;/plk;/b,c\n"), &r), 0);
    assert_true(r.from_kernel && r.more);
    assert_text(r.text, "/plk;/b,c");

    assert_int_equal(kmsg_parse(STR("7,18446744073709551615,0,-,caller=T12;\n"), &r), 0);
    assert_true(r.seq == UINT64_MAX);
    assert_int_equal(r.text.n, 0);
}

static void what_belongs_to_the_text_ends_at_the_newline(void **state) {
    struct kmsg_record r;

    (void)state;
    assert_int_equal(
        kmsg_parse(STR("6,339,5140900,-;eth0: up\n SUBSYSTEM=pci\n DEVICE=+pci:0\n"), &r), 0);
    assert_text(r.text, "eth0: up");
}

static void only_facility_0_is_the_kernel(void **state) {
    struct str file = proctest_load("tests/fixtures/v1/oom-forged/kmsg.raw");
    struct str rest = file, line;
    unsigned n = 0;

    (void)state;
    for (; rest.n > 0; n++) {
        ptrdiff_t end = str_find(rest, '\n');
        struct kmsg_record r;

        assert_true(end >= 0);
        line = str_head(rest, (size_t)end + 1);
        rest = str_from(rest, (size_t)end + 1);
        assert_int_equal(kmsg_parse(line, &r), 0);
        assert_false(r.from_kernel);
    }
    assert_int_equal(n, 3);
    proctest_free(file);
}

static void what_is_no_record_changes_nothing(void **state) {
    static const char *const bad[] = {
        "",
        "\n",
        "6",
        "6,1,2,-;no newline",
        "6,1,2,-\n",
        "6,1,2;x\n",
        "6,1,2,;x\n",
        "6,1,2,--;x\n",
        "6,1,2,caller=T1;x\n",
        ",1,2,-;x\n",
        "6,,2,-;x\n",
        "6,1,,-;x\n",
        "-6,1,2,-;x\n",
        " 6,1,2,-;x\n",
        "6,18446744073709551616,2,-;x\n",
        "6,1,9223372036854775808,-;x\n",
        "6,1,2,-;a\tb\n",
        "6,1,2,-;a\x7f\n",
        "6,1,2,-;\xc3\xa4\n",
    };
    struct kmsg_record before, r;

    (void)state;
    memset(&before, 0x5a, sizeof(before));
    r = before;
    for (size_t i = 0; i < ARRAY_N(bad); i++) {
        if (kmsg_parse(str_of(bad[i]), &r) == 0)
            fail_msg("'%s' was taken", bad[i]);
        assert_memory_equal(&r, &before, sizeof(r));
    }
}

static void escapes_are_resolved_and_what_is_none_stays(void **state) {
    static const struct {
        const char *escaped;
        struct str plain;
    } t[] = {
        {"", STR("")},
        {"plain", STR("plain")},
        {"\\x1b]0;pwn\\x07\\x1b[2J", STR("\x1b]0;pwn\x07\x1b[2J")},
        {"\\x0a\\x5cx41\\xff\\x00", STR("\n\\x41\xff\0")},
        {"\\x4", STR("\\x4")},
        {"\\xzz\\X41\\x4g", STR("\\xzz\\X41\\x4g")},
        {"\\", STR("\\")},
        {"\\x", STR("\\x")},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_N(t); i++) {
        char out[64];
        size_t n = kmsg_unescape(str_of(t[i].escaped), out);

        assert_int_equal(n, t[i].plain.n);
        assert_memory_equal(out, t[i].plain.p, n);
        memcpy(out, t[i].escaped, strlen(t[i].escaped)); /* in place */
        assert_int_equal(kmsg_unescape((struct str){out, strlen(t[i].escaped)}, out), n);
        assert_memory_equal(out, t[i].plain.p, n);
    }
}

static void a_log_that_is_withheld_says_why(void **state) {
    (void)state;
    assert_int_equal(kmsg_open("/nowhere/kmsg"), -ENOENT);
}

/* The next record that is ours; false when none came for a second. */
static bool find_ours(int fd, char *buf, size_t size, struct kmsg_record *out) {
    for (unsigned i = 0; i < 100000; i++) {
        struct pollfd p = {fd, POLLIN, 0};
        int got = kmsg_next(fd, buf, size, out);

        assert_true(got >= 0 || got == -EPIPE);
        if (got == 1 && str_starts(out->text, STR("plimsoll-unit: ")))
            return true;
        if (got == 0 && poll(&p, 1, 1000) == 0)
            return false;
    }
    return false;
}

/* The real log: what we write into it comes back, and is not the kernel's. */
static void reads_this_machines_log_from_its_end(void **state) {
    static const char text[] = "plimsoll-unit: \\x41\n\"\n"; /* unfinished without the last */
    auto_close int fd = kmsg_open("/dev/kmsg");
    auto_close int out = open("/dev/kmsg", O_WRONLY | O_CLOEXEC);
    char buf[KMSG_RECORD];
    struct kmsg_record r;

    (void)state;
    if (fd < 0 || out < 0 || write(out, text, sizeof(text) - 1) != sizeof(text) - 1) {
        print_message("# skipped: the kernel's log may not be read or written here\n");
        skip();
    }
    if (!find_ours(fd, buf, sizeof(buf), &r)) {
        print_message("# skipped: this kernel drops what users write into its log\n");
        skip();
    }
    assert_text(r.text, "plimsoll-unit: \\x5cx41\\x0a\"");
    assert_false(r.from_kernel);
    assert_true(r.at_us > 0 && r.seq > 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_record_is_its_fields),
        cmocka_unit_test(what_belongs_to_the_text_ends_at_the_newline),
        cmocka_unit_test(only_facility_0_is_the_kernel),
        cmocka_unit_test(what_is_no_record_changes_nothing),
        cmocka_unit_test(escapes_are_resolved_and_what_is_none_stays),
        cmocka_unit_test(a_log_that_is_withheld_says_why),
        cmocka_unit_test(reads_this_machines_log_from_its_end),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
