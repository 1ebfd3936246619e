#include "runtime/jvmprobe.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/mem.h"

/* A process's folder with nothing in it but its root, and there its /tmp. */
struct scene {
    char top[64];
    int top_fd, tmp;
    struct rtproc p;
};

static char counters[65536];
static struct str real;

static int set_up(void **state) {
    static struct scene s;

    assert_int_equal(str_copy(STR("/dev/shm/plimsoll-jvm-XXXXXX"), s.top, sizeof(s.top)), 0);
    assert_non_null(mkdtemp(s.top));
    s.top_fd = open(s.top, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_int_equal(mkdirat(s.top_fd, "root", 0755), 0);
    assert_int_equal(mkdirat(s.top_fd, "root/tmp", 0755), 0);
    s.tmp = openat(s.top_fd, "root/tmp", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_true(s.tmp >= 0);
    s.p = (struct rtproc){.dir = s.top_fd, .pidfd = -1, .pid = 4711, .ns_pid = 7};
    s.p.uid = geteuid();
    assert_int_equal(
        file_read_at(AT_FDCWD, "fuzz/corpus/hsperf/g1-17", counters, sizeof(counters), &real), 0);
    *state = &s;
    return 0;
}

static int tear_down(void **state) {
    struct scene *s = *state;
    static const char *const names[] = {"root/tmp/hsperfdata_root/7", "root/tmp/hsperfdata_x/7",
                                        "root/tmp/away/7", "root/tmp/hsperfdata_x"};

    for (size_t i = 0; i < ARRAY_N(names); i++)
        (void)unlinkat(s->top_fd, names[i], 0);
    (void)unlinkat(s->top_fd, "root/tmp/hsperfdata_root", AT_REMOVEDIR);
    (void)unlinkat(s->top_fd, "root/tmp/hsperfdata_x", AT_REMOVEDIR);
    (void)unlinkat(s->top_fd, "root/tmp/away", AT_REMOVEDIR);
    (void)unlinkat(s->top_fd, "root/tmp", AT_REMOVEDIR);
    (void)unlinkat(s->top_fd, "root", AT_REMOVEDIR);
    close(s->tmp);
    close(s->top_fd);
    return rmdir(s->top);
}

static void write_counters(int dir, const char *name, size_t n) {
    auto_close int fd = openat(dir, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

    assert_true(fd >= 0);
    assert_int_equal(write(fd, real.p, real.n), real.n);
    assert_int_equal(ftruncate(fd, (off_t)n), 0);
}

static void counters_are_found_whatever_the_user_is_called(void **state) {
    struct scene *s = *state;
    struct hsperf h;
    int64_t began;

    assert_int_equal(jvmprobe_counters(&s->p, &h), -ENODATA);
    assert_int_equal(mkdirat(s->tmp, "hsperfdata_x", 0755), 0);
    assert_int_equal(jvmprobe_counters(&s->p, &h), -ENODATA);
    write_counters(s->tmp, "hsperfdata_x/7", real.n);
    began = clock_mono_us();
    assert_int_equal(jvmprobe_counters(&s->p, &h), 0);
    print_message("%ld us\n", clock_mono_us() - began);
    assert_int_equal(h.value[HSPERF_THREADS], 7);
}

static void only_a_plain_file_of_its_user_is_read(void **state) {
    struct scene *s = *state;
    struct hsperf h;

    assert_int_equal(mkdirat(s->tmp, "hsperfdata_x", 0755), 0);
    assert_int_equal(mkfifoat(s->tmp, "hsperfdata_x/7", 0600), 0);
    assert_int_equal(jvmprobe_counters(&s->p, &h), -ENODATA);
    assert_int_equal(unlinkat(s->tmp, "hsperfdata_x/7", 0), 0);
    assert_int_equal(mkdirat(s->tmp, "away", 0755), 0);
    write_counters(s->tmp, "away/7", real.n);
    assert_int_equal(symlinkat("../away/7", s->tmp, "hsperfdata_x/7"), 0);
    assert_int_equal(jvmprobe_counters(&s->p, &h), -ENODATA);
    assert_int_equal(unlinkat(s->tmp, "hsperfdata_x/7", 0), 0);
    assert_int_equal(unlinkat(s->tmp, "hsperfdata_x", AT_REMOVEDIR), 0);
    assert_int_equal(symlinkat("away", s->tmp, "hsperfdata_x"), 0);
    assert_int_equal(jvmprobe_counters(&s->p, &h), -ENODATA);
    assert_int_equal(unlinkat(s->tmp, "hsperfdata_x", 0), 0);
    assert_int_equal(mkdirat(s->tmp, "hsperfdata_x", 0755), 0);
    write_counters(s->tmp, "hsperfdata_x/7", 64 << 20); /* sparse */
    assert_int_equal(jvmprobe_counters(&s->p, &h), -ENODATA);
    write_counters(s->tmp, "hsperfdata_x/7", real.n);
    assert_int_equal(jvmprobe_counters(&s->p, &h), 0);
    s->p.uid += 1;
    assert_int_equal(jvmprobe_counters(&s->p, &h), -ENODATA);
}

#define FLAG STR("DisableAttachMechanism")
#define ARGS(text) ((struct str){text, sizeof(text) - 1})

static void the_last_word_of_a_flag_counts(void **state) {
    (void)state;
    assert_true(jvmprobe_flag_in(ARGS("java\0-XX:+DisableAttachMechanism\0-jar\0a.jar\0"), FLAG));
    assert_true(jvmprobe_flag_in(ARGS("java\0-XX:+DisableAttachMechanism"), FLAG));
    assert_false(jvmprobe_flag_in(ARGS("java\0-XX:+DisableAttachMechanism\0"
                                       "-XX:-DisableAttachMechanism\0Main\0"),
                                  FLAG));
    assert_false(jvmprobe_flag_in(ARGS("java\0-jar\0a\0-XX:+DisableAttachMechanism\0"), FLAG));
    assert_false(
        jvmprobe_flag_in(ARGS("java\0-XX:+DisableAttachMechanismX\0\0-XX:\0-XX:+\0"), FLAG));
    assert_false(jvmprobe_flag_in(ARGS(""), FLAG));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(counters_are_found_whatever_the_user_is_called, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(only_a_plain_file_of_its_user_is_read, set_up, tear_down),
        cmocka_unit_test(the_last_word_of_a_flag_counts),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
