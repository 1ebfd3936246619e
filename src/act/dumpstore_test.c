#include "act/dumpstore.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "act/dumptidy.h"

enum { AT_MS = 1795307513 };

struct place {
    char top[64];
    int fd;
};

static struct place place_open(void) {
    struct place p = {.top = "/tmp/plimsoll-dumpstore-XXXXXX"};

    assert_non_null(mkdtemp(p.top));
    p.fd = open(p.top, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_true(p.fd >= 0);
    return p;
}

/* Only what the tests make: two levels. */
static void place_done(struct place *p) {
    char command[128];

    close(p->fd);
    (void)snprintf(command, sizeof(command), "rm -rf '%s'", p->top);
    assert_int_equal(system(command), 0);
}

static void check_name(struct str name, const char *want) {
    struct str time;
    struct buf out;

    buf_init(&out, DUMP_FOLDER);
    dumpstore_add_name(&out, name, (int64_t)AT_MS * 1000);
    buf_add_char(&out, '\0');
    assert_string_equal(out.p, want);
    assert_true(dumpstore_is_name(str_of(out.p), &time));
    assert_string_equal(time.p, "20261122T003153Z");
    buf_done(&out);
}

static void names_are_plain_whatever_the_group_is_called(void **state) {
    char longest[600];

    (void)state;
    check_name(STR("web"), "web-20261122T003153Z");
    check_name(STR("/docker/4f2a"), "docker_4f2a-20261122T003153Z");
    check_name(STR("../../etc"), "etc-20261122T003153Z");
    check_name(STR("..\n\x1b[31m"), "___31m-20261122T003153Z");
    check_name(STR(""), "group-20261122T003153Z");
    check_name(STR("/"), "group-20261122T003153Z");
    check_name(STR("a b\xff"), "a_b_-20261122T003153Z");
    memset(longest, 'x', sizeof(longest));
    check_name((struct str){longest, sizeof(longest)},
               "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
               "-20261122T003153Z");
}

static void other_names_are_not_ours(void **state) {
    static const char *const no[] = {"web",
                                     "web-20261122",
                                     "-20261122T003153Z",
                                     "web-20261122T003153",
                                     "web-20261122T003153Zx",
                                     "web-20261122T003153Z.",
                                     "web-20261122T003153Z.x",
                                     "web-2026112xT003153Z",
                                     "web-20261122T00315xZ",
                                     ""};
    struct str time;

    (void)state;
    for (size_t i = 0; i < sizeof(no) / sizeof(no[0]); i++)
        assert_false(dumpstore_is_name(str_of(no[i]), &time));
    assert_true(dumpstore_is_name(STR("web-20261122T003153Z.12"), &time));
}

static void files_are_new_and_private_and_never_links(void **state) {
    struct place p = place_open();
    struct dumpstore s;
    struct stat st;
    bool cut = true;

    (void)state;
    assert_int_equal(dumpstore_open(&s, p.top, STR("web"), 1000, NULL), 0);
    assert_int_equal(fstat(s.dir, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0700);
    assert_int_equal(dumpstore_write(&s, s.dir, "a", STR("text"), &cut), 0);
    assert_false(cut);
    assert_int_equal(fstatat(s.dir, "a", &st, 0), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
    assert_int_equal(dumpstore_write(&s, s.dir, "a", STR("again"), NULL), -EEXIST);
    assert_int_equal(symlinkat("/tmp", s.dir, "link"), 0);
    assert_int_equal(dumpstore_write(&s, s.dir, "link", STR("x"), NULL), -EEXIST);
    assert_true(dumpstore_sub(&s, s.dir, "link") < 0);
    assert_int_equal(symlinkat("a", s.dir, "summary-link"), 0);
    assert_int_equal(dumpstore_copy(&s, AT_FDCWD, "/proc/self/no-such-file", s.dir, "b", NULL),
                     -ENOENT);
    assert_int_equal(faccessat(s.dir, "b", F_OK, 0), -1);
    assert_int_equal(dumpstore_copy(&s, AT_FDCWD, "/dev/null", s.dir, "b", NULL), -ENODATA);
    assert_int_equal(dumpstore_copy(&s, AT_FDCWD, "/proc/self/status", s.dir, "b", &cut), 0);
    assert_false(cut);
    dumpstore_done(&s);
    place_done(&p);
}

static void files_and_dumps_have_a_most(void **state) {
    struct place p = place_open();
    struct dumpstore s;
    struct stat st;
    bool cut = false;

    (void)state;
    assert_int_equal(dumpstore_open(&s, p.top, STR("web"), 1000, NULL), 0);
    assert_int_equal(dumpstore_copy(&s, AT_FDCWD, "/dev/zero", s.dir, "zero", &cut), 0);
    assert_true(cut);
    assert_int_equal(fstatat(s.dir, "zero", &st, 0), 0);
    assert_int_equal(st.st_size, DUMP_FILE_MAX);
    assert_int_equal(s.left, DUMP_TOTAL_MAX - DUMP_FILE_MAX);
    s.left = 3;
    cut = false;
    assert_int_equal(dumpstore_write(&s, s.dir, "four", STR("four"), &cut), 0);
    assert_true(cut);
    assert_int_equal(dumpstore_write(&s, s.dir, "more", STR("x"), NULL), -EFBIG);
    assert_int_equal(dumpstore_walk(&s, NULL, NULL), 0);
    assert_int_equal(s.left, DUMP_TOTAL_MAX - DUMP_FILE_MAX - 3);
    s.full = true;
    assert_int_equal(dumpstore_write(&s, s.dir, "full", STR("x"), NULL), -ENOSPC);
    dumpstore_done(&s);
    place_done(&p);
}

static void summaries_shrink_and_the_index_comes_last(void **state) {
    struct place p = place_open();
    struct dumpstore s;
    struct stat st;

    (void)state;
    assert_int_equal(dumpstore_open(&s, p.top, STR("web"), 1000, NULL), 0);
    assert_int_equal(dumpstore_summary(&s, STR("a long summary")), 0);
    assert_int_equal(dumpstore_summary(&s, STR("short")), 0);
    assert_int_equal(fstatat(s.dir, DUMP_SUMMARY, &st, 0), 0);
    assert_int_equal(st.st_size, 5);
    assert_int_equal(faccessat(s.dir, DUMP_INDEX, F_OK, 0), -1);
    assert_int_equal(dumpstore_index(&s, STR("{}\n")), 0);
    assert_int_equal(faccessat(s.dir, DUMP_INDEX, F_OK, 0), 0);
    assert_int_equal(faccessat(s.dir, DUMP_INDEX_NEW, F_OK, 0), -1);
    dumpstore_done(&s);
    place_done(&p);
}

static void odd_folders_are_refused(void **state) {
    struct place p = place_open();
    struct dumpstore s;
    struct err err;
    char open_to_all[96];

    (void)state;
    assert_int_equal(dumpstore_open(&s, "relative/path", STR("web"), 1000, &err), -EINVAL);
    dumpstore_done(&s);
    (void)snprintf(open_to_all, sizeof(open_to_all), "%s/none/dumps", p.top);
    assert_int_equal(dumpstore_open(&s, open_to_all, STR("web"), 1000, &err), -ENOENT);
    dumpstore_done(&s);
    assert_int_equal(faccessat(p.fd, "none", F_OK, 0), -1);
    dumpstore_make_above(open_to_all);
    assert_int_equal(dumpstore_open(&s, open_to_all, STR("web"), 1000, &err), 0);
    dumpstore_done(&s);
    (void)snprintf(open_to_all, sizeof(open_to_all), "%s/all", p.top);
    assert_int_equal(mkdir(open_to_all, 0777), 0);
    assert_int_equal(chmod(open_to_all, 0777), 0);
    assert_int_equal(dumpstore_open(&s, open_to_all, STR("web"), 1000, &err), -EPERM);
    dumpstore_done(&s);
    assert_int_equal(chmod(open_to_all, 01777), 0);
    assert_int_equal(dumpstore_open(&s, open_to_all, STR("web"), 1000, &err), 0);
    dumpstore_done(&s);
    place_done(&p);
}

/* --- which are kept --- */

static bool is_there(const struct place *p, const char *name) {
    return faccessat(p->fd, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

static void make(const struct place *p, const char *name, const char *file, const char *text) {
    char path[256];
    int fd;

    assert_int_equal(mkdirat(p->fd, name, 0700), 0);
    if (!file)
        return;
    (void)snprintf(path, sizeof(path), "%s/%s", name, file);
    fd = openat(p->fd, path, O_WRONLY | O_CREAT, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    close(fd);
}

static void the_oldest_go_and_strangers_stay(void **state) {
    struct place p = place_open();
    int locked;

    (void)state;
    make(&p, "a-20200101T000000Z", "index.json", "{}");        /* none of ours */
    make(&p, "a-20200101T000001Z", "summary.txt", "my notes"); /* neither */
    make(&p, "notes", "summary.txt", DUMP_MARK "x\n");
    make(&p, "b-20210101T000000Z", "summary.txt", DUMP_MARK "x\n");
    make(&p, "c-20220101T000000Z", "summary.txt", DUMP_MARK "x\n");
    make(&p, "a-20230101T000000Z", "summary.txt", DUMP_MARK "x\n");
    make(&p, "a-20230101T000000Z.2", NULL, NULL); /* it began on a full disk */
    make(&p, "a-20240101T000000Z", "summary.txt", DUMP_MARK "x\n");
    assert_int_equal(symlinkat("notes", p.fd, "a-20190101T000000Z"), 0);
    assert_int_equal(dumptidy_run(p.fd, "a-20240101T000000Z", 5, 1 << 30), 0);
    locked = openat(p.fd, "b-20210101T000000Z", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_int_equal(flock(locked, LOCK_EX), 0);
    assert_int_equal(dumptidy_run(p.fd, "a-20240101T000000Z", 4, 1 << 30), 1);
    assert_true(is_there(&p, "b-20210101T000000Z")); /* somebody writes it */
    assert_false(is_there(&p, "c-20220101T000000Z"));
    close(locked);
    assert_int_equal(dumptidy_run(p.fd, "b-20210101T000000Z", 1, 1 << 30), 3);
    assert_true(is_there(&p, "b-20210101T000000Z"));
    assert_false(is_there(&p, "a-20240101T000000Z"));
    assert_int_equal(dumptidy_run(p.fd, "", 0, 1 << 30), 1);
    assert_true(is_there(&p, "a-20200101T000000Z"));
    assert_true(is_there(&p, "a-20200101T000001Z/summary.txt"));
    assert_true(is_there(&p, "notes/summary.txt"));
    assert_true(is_there(&p, "a-20190101T000000Z"));
    place_done(&p);
}

static void too_many_bytes_go_too(void **state) {
    struct place p = place_open();

    (void)state;
    make(&p, "a-20200101T000000Z", "summary.txt", DUMP_MARK "x\n");
    make(&p, "a-20200101T000000Z/group", "file", "x");
    assert_int_equal(symlinkat("../..", p.fd, "a-20200101T000000Z/group/up"), 0);
    make(&p, "b-20210101T000000Z", "summary.txt", DUMP_MARK "x\n");
    make(&p, "kept", "file", "x");
    assert_int_equal(dumptidy_run(p.fd, "b-20210101T000000Z", 50, 1), 1);
    assert_false(is_there(&p, "a-20200101T000000Z"));
    assert_true(is_there(&p, "b-20210101T000000Z"));
    assert_true(is_there(&p, "kept/file"));
    place_done(&p);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_are_plain_whatever_the_group_is_called),
        cmocka_unit_test(other_names_are_not_ours),
        cmocka_unit_test(files_are_new_and_private_and_never_links),
        cmocka_unit_test(files_and_dumps_have_a_most),
        cmocka_unit_test(summaries_shrink_and_the_index_comes_last),
        cmocka_unit_test(odd_folders_are_refused),
        cmocka_unit_test(the_oldest_go_and_strangers_stay),
        cmocka_unit_test(too_many_bytes_go_too),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
