#include "base/file.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"

/* A folder that plays a container's root, and beside it a secret that must not be reached. */
static char top[] = "/tmp/plimsoll-file-XXXXXX";

static void write_file(int dir, const char *name, const char *text, size_t n) {
    auto_close int fd = openat(dir, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, n), (ssize_t)n);
}

static int open_top(const char *below) {
    char path[128];
    int fd;

    snprintf(path, sizeof(path), "%s/%s", top, below);
    fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_true(fd >= 0);
    return fd;
}

static int set_up(void **state) {
    static const struct {
        const char *name, *to;
    } farm[] = {
        {"root/up", ".."},
        {"root/secret-relative", "../secret"},
        {"root/secret-deep", "etc/../../../secret"},
        {"root/secret-chain", "up/secret"},
        {"root/loop", "loop"},
        {"root/etc/absolute", "/etc/hostname"},
        {"root/proc-magic", "/proc/self/root"},
        {"root/inside", "etc/hostname"},
    };
    char absolute[128];

    (void)state;
    if (!mkdtemp(top) || chdir(top) < 0 || mkdir("root", 0755) < 0 || mkdir("root/etc", 0755) < 0 ||
        mkfifo("root/fifo", 0644) < 0)
        return -1;
    write_file(AT_FDCWD, "secret", "secret\n", 7);
    write_file(AT_FDCWD, "root/etc/hostname", "guest\n", 6);
    for (size_t i = 0; i < ARRAY_N(farm); i++)
        if (symlink(farm[i].to, farm[i].name) < 0)
            return -1;
    snprintf(absolute, sizeof(absolute), "%s/secret", top);
    return symlink(absolute, "root/secret-absolute");
}

static int remove_one(const char *path, const struct stat *st, int kind, struct FTW *at) {
    (void)st, (void)kind, (void)at;
    return remove(path);
}

static int tear_down(void **state) {
    (void)state;
    return chdir("/") + nftw(top, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

static void a_file_that_does_not_fit_is_an_error_never_a_half(void **state) {
    auto_close int dir = open_top(""), fd = -1;
    struct str text = STR("untouched");
    char buf[16];

    (void)state;
    write_file(dir, "fifteen", "123456789012345", 15);
    write_file(dir, "sixteen", "1234567890123456", 16);
    write_file(dir, "long", "123456789012345678901234567890", 30);
    assert_int_equal(file_read_at(dir, "long", buf, sizeof(buf), &text), -EFBIG);
    assert_int_equal(file_read_at(dir, "sixteen", buf, sizeof(buf), &text), -EFBIG);
    assert_true(str_eq(text, STR("untouched")));
    assert_int_equal(file_read_at(dir, "fifteen", buf, sizeof(buf), &text), 0);
    assert_true(str_eq(text, STR("123456789012345")));
    fd = openat(dir, "long", O_RDONLY | O_CLOEXEC);
    text = STR("untouched");
    assert_int_equal(file_pread(fd, buf, sizeof(buf), &text), -EFBIG);
    assert_true(str_eq(text, STR("untouched")));
    assert_int_equal(file_head_at(dir, "long", buf, sizeof(buf), &text), 0);
    assert_true(str_eq(text, STR("1234567890123456")));
}

static void a_kept_descriptor_is_read_from_its_start_each_time(void **state) {
    auto_close int dir = open_top(""), fd = -1;
    struct str text;
    char buf[64];

    (void)state;
    write_file(dir, "kept", "one\n", 4);
    fd = openat(dir, "kept", O_RDONLY | O_CLOEXEC);
    assert_int_equal(file_pread(fd, buf, sizeof(buf), &text), 0);
    assert_true(str_eq(text, STR("one\n")));
    write_file(dir, "kept", "three\n", 6);
    assert_int_equal(file_pread(fd, buf, sizeof(buf), &text), 0);
    assert_true(str_eq(text, STR("three\n")));
    assert_int_equal(file_pread(-1, buf, sizeof(buf), &text), -EBADF);
}

static void failures_say_what_the_kernel_said(void **state) {
    auto_close int dir = open_top("");
    struct str text = STR("untouched");
    char buf[64];

    (void)state;
    assert_int_equal(file_read_at(dir, "missing", buf, sizeof(buf), &text), -ENOENT);
    assert_int_equal(file_read_at(-5, "x", buf, sizeof(buf), &text), -EBADF);
    assert_int_equal(file_read_at(dir, "root", buf, sizeof(buf), &text), -EISDIR);
    assert_int_equal(file_head_at(dir, "missing", buf, sizeof(buf), &text), -ENOENT);
    assert_int_equal(file_link_at(dir, "secret", buf, sizeof(buf), &text), -EINVAL);
    assert_true(str_eq(text, STR("untouched")));
}

static void a_link_that_fills_the_buffer_may_be_cut_and_is_refused(void **state) {
    auto_close int dir = open_top("root");
    struct str text;
    char buf[12]; /* "etc/hostname" has twelve */

    (void)state;
    assert_int_equal(file_link_at(dir, "inside", buf, sizeof(buf), &text), -ENAMETOOLONG);
    assert_int_equal(file_link_at(dir, "up", buf, sizeof(buf), &text), 0);
    assert_true(str_eq(text, STR("..")));
}

static void no_link_leads_out_of_the_root(void **state) {
    static const char *const ways[] = {
        "secret-relative", "secret-deep",    "secret-chain",     "secret-absolute",
        "up/secret",       "../secret",      "etc/../../secret", "/../secret",
        "up/up/up/secret", "proc-magic/tmp", "up/../secret",
    };
    auto_close int root = open_top("root");

    (void)state;
    for (size_t i = 0; i < ARRAY_N(ways); i++) {
        auto_free char *text = NULL;
        size_t n = 0;
        int r = file_load_in(root, ways[i], 4096, &text, &n);

        if (r == 0)
            fail_msg("'%s' led to '%s'", ways[i], text);
        assert_int_equal(r, -ENOENT);
    }
    assert_int_equal(file_open_in(root, "loop"), -ELOOP);
}

static void links_inside_are_followed_as_the_container_would(void **state) {
    static const char *const ways[] = {"etc/hostname", "/etc/hostname",   "inside",
                                       "etc/absolute", "up/etc/hostname", "../../etc/hostname"};
    auto_close int root = open_top("root");

    (void)state;
    for (size_t i = 0; i < ARRAY_N(ways); i++) {
        auto_free char *text = NULL;
        size_t n = 0;

        assert_int_equal(file_load_in(root, ways[i], 4096, &text, &n), 0);
        assert_int_equal(n, 6);
        assert_string_equal(text, "guest\n");
    }
}

static void only_regular_files_are_loaded_and_none_is_waited_for(void **state) {
    auto_close int root = open_top("root");
    auto_close int fifo = -1;
    char *text = NULL;
    struct str head = STR("untouched");
    char buf[16];
    size_t n = 77;

    (void)state;
    alarm(20); /* a FIFO without a writer would hang for ever */
    assert_int_equal(file_load_in(root, "fifo", 4096, &text, &n), -EINVAL);
    assert_int_equal(file_load_in(root, "etc", 4096, &text, &n), -EINVAL);
    fifo = file_open_in(root, "fifo");
    assert_true(fifo >= 0);
    assert_int_equal(file_read_at(root, "fifo", buf, sizeof(buf), &head), 0);
    assert_int_equal(head.n, 0);
    alarm(0);
    assert_null(text);
    assert_int_equal(n, 77);
}

static void a_file_is_loaded_up_to_its_bound(void **state) {
    auto_close int root = open_top("root");
    char *text = NULL;
    size_t n = 77;

    (void)state;
    assert_int_equal(file_load_in(root, "etc/hostname", 5, &text, &n), -EFBIG);
    assert_null(text);
    assert_int_equal(n, 77);
    assert_int_equal(file_load_in(root, "etc/hostname", 6, &text, &n), 0);
    assert_int_equal(n, 6);
    assert_int_equal(text[6], '\0');
    free(text);
    write_file(root, "empty", "", 0);
    assert_int_equal(file_load_in(root, "empty", 0, &text, &n), 0);
    assert_int_equal(n, 0);
    free(text);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_file_that_does_not_fit_is_an_error_never_a_half),
        cmocka_unit_test(a_kept_descriptor_is_read_from_its_start_each_time),
        cmocka_unit_test(failures_say_what_the_kernel_said),
        cmocka_unit_test(a_link_that_fills_the_buffer_may_be_cut_and_is_refused),
        cmocka_unit_test(no_link_leads_out_of_the_root),
        cmocka_unit_test(links_inside_are_followed_as_the_container_would),
        cmocka_unit_test(only_regular_files_are_loaded_and_none_is_waited_for),
        cmocka_unit_test(a_file_is_loaded_up_to_its_bound),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
