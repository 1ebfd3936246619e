#include "kern/maps.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "base/mem.h"
#include "kern/proctest.h"

struct seen {
    size_t n;
    uint64_t size;
    bool heap, stack, deleted;
};

static int note(void *ctx, const struct mapping *m) {
    struct seen *s = ctx;

    s->n++;
    s->size += m->end - m->start;
    s->heap |= str_eq(m->path, STR("[heap]"));
    s->stack |= str_eq(m->path, STR("[stack]"));
    s->deleted |= m->deleted;
    assert_int_equal(m->smaps.have, 0);
    return 0;
}

static void captured_file_is_read_whole(void **state) {
    auto_close int v2 = proctest_open(PROCTEST_V2);
    struct seen s = {0};

    (void)state;
    assert_int_equal(maps_each(v2, 134, note, &s), 0);
    assert_int_equal(s.n, 11);
    assert_true(s.heap && s.stack && !s.deleted);
    assert_int_equal(s.size, 68153344); /* what stat says of its address space */
    assert_int_equal(maps_each(v2, 4711, note, &s), -ENOENT);
}

static void lines_have_their_fields(void **state) {
    struct mapping m;

    (void)state;
    assert_int_equal(
        maps_parse_line(STR("7f00a000-7f00c000 rw-s 00003000 fe:1f 18446744073709551615"
                            "                 /a b\\012 (deleted) (deleted)"),
                        &m),
        0);
    assert_int_equal(m.start, 0x7f00a000);
    assert_int_equal(m.end, 0x7f00c000);
    assert_string_equal(m.perms, "rw-s");
    assert_int_equal(m.offset, 0x3000);
    assert_int_equal(m.dev_major, 0xfe);
    assert_int_equal(m.dev_minor, 0x1f);
    assert_int_equal(m.inode, UINT64_MAX);
    assert_true(m.deleted);
    assert_true(str_eq(m.path, STR("/a b\\012 (deleted)")));
    assert_int_equal(
        maps_parse_line(STR("ffffffffff600000-ffffffffff601000 --xp 00000000 00:00 0"), &m), 0);
    assert_int_equal(m.path.n, 0);
    assert_false(m.deleted);
    assert_int_equal(maps_parse_line(STR("1-2 r--p 0 00:00 0 "), &m), 0);
    assert_int_equal(m.path.n, 0);
}

static void bad_lines_change_nothing(void **state) {
    static const char *const bad[] = {
        "",
        " ",
        "1-2",
        "1-2 r--p",
        "1-2 r--p 0",
        "1-2 r--p 0 00:00",
        "1-2 r--p 0 00:00 ",
        "2-1 r--p 0 00:00 0 ",
        "1+2 r--p 0 00:00 0 ",
        "1-G r--p 0 00:00 0 ",
        "-2 r--p 0 00:00 0 ",
        "1-2 r--pp 0 00:00 0 ",
        "1-2 r--q 0 00:00 0 ",
        "1-2 r--p -1 00:00 0 ",
        "1-2 r--p 0 0000 0 ",
        "1-2 r--p 0 00:00 x ",
        "1-2 r--p 0 100000000:00 0 ",
        "1-10000000000000000 r--p 0 00:00 0 ",
        "1-2 r--p 0 00:00 18446744073709551616 ",
        "Rss:                   4 kB",
    };
    struct mapping m = {.start = 5, .end = 6, .inode = 7};

    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_true(maps_parse_line(str_of(bad[i]), &m) < 0);
        assert_true(m.start == 5 && m.end == 6 && m.inode == 7);
    }
}

static int parse_all(struct str text) {
    struct mapping m;
    struct str line;
    int r = 0;

    while (r == 0 && str_cut(&text, '\n', &line))
        r = maps_parse_line(line, &m);
    return r < 0 ? r : maps_parse_line(text, &m);
}

static void prefixes_stay_inside(void **state) {
    (void)state;
    /* A line cut in its path or inode is a line: that the newline is missing is the reader's to
     * see (see the next test). */
    assert_true(proctest_prefixes(PROCTEST_V2 "/134/maps", parse_all) < 866);
}

/* Writes `text` as process 7 of a tree and reads it. */
static int read_text(const char *text, size_t n, struct seen *s) {
    char top[] = "/tmp/plimsoll-maps-XXXXXX";
    int r;

    assert_non_null(mkdtemp(top));
    auto_close int dir = proctest_open(top);

    assert_int_equal(mkdirat(dir, "7", 0700), 0);
    auto_close int fd = openat(dir, "7/maps", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

    assert_int_equal(write(fd, text, n), n);
    r = maps_each(dir, 7, note, s);
    assert_int_equal(unlinkat(dir, "7/maps", 0), 0);
    assert_int_equal(unlinkat(dir, "7", AT_REMOVEDIR), 0);
    assert_int_equal(rmdir(top), 0);
    return r;
}

static int stop(void *ctx, const struct mapping *m) {
    int *calls = ctx;

    (void)m;
    return ++*calls == 2 ? -ECANCELED : 0;
}

static void reading_ends_as_told_or_with_the_file(void **state) {
    auto_close int v2 = proctest_open(PROCTEST_V2);
    struct seen s = {0};
    int calls = 0;

    (void)state;
    assert_int_equal(maps_each(v2, 134, stop, &calls), -ECANCELED);
    assert_int_equal(calls, 2);
    assert_int_equal(read_text("", 0, &s), 0);
    assert_int_equal(s.n, 0);
    assert_int_equal(read_text("1-2 r--p 0 00:00 0 \n1-2 r--p 0 00:00 0", 38, &s), -EBADMSG);
    assert_int_equal(s.n, 1);
}

static int cut_then_whole(void *ctx, const struct mapping *m) {
    size_t *n = ctx;

    if (++*n == 1)
        assert_true(m->path_cut && m->path.n > 4096);
    else
        assert_true(!m->path_cut && str_eq(m->path, STR("/next")));
    return 0;
}

static void a_path_beyond_every_bound_is_cut(void **state) {
    char top[] = "/tmp/plimsoll-maps-XXXXXX";
    char *text = malloc(200000);
    size_t n = 0;

    (void)state;
    assert_non_null(text);
    strcpy(text, "1000-2000 r--p 00000000 00:00 5 /");
    memset(text + 33, 'd', 150000);
    strcpy(text + 150033, "\n2000-3000 r--p 00000000 00:00 5 /next\n");
    assert_non_null(mkdtemp(top));
    auto_close int dir = proctest_open(top);

    assert_int_equal(mkdirat(dir, "7", 0700), 0);
    auto_close int fd = openat(dir, "7/maps", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    assert_int_equal(maps_each(dir, 7, cut_then_whole, &n), 0);
    assert_int_equal(n, 2);
    assert_int_equal(unlinkat(dir, "7/maps", 0), 0);
    assert_int_equal(unlinkat(dir, "7", AT_REMOVEDIR), 0);
    assert_int_equal(rmdir(top), 0);
    free(text);
}

struct search {
    uint64_t start;
    struct mapping found;
    char path[256];
};

static int find(void *ctx, const struct mapping *m) {
    struct search *s = ctx;

    if (m->start != s->start)
        return 0;
    s->found = *m;
    assert_int_equal(str_copy(m->path, s->path, sizeof(s->path)), 0);
    return 1;
}

/* A file with a newline in its name, mapped shared and then removed. */
static void finds_this_process_mappings(void **state) {
    auto_close int proc = proctest_open("/proc");
    char name[] = "/tmp/plimsoll-maps-\nx-XXXXXX", shown[256];
    auto_close int fd = mkstemp(name);
    struct search s = {0};
    void *p;

    (void)state;
    assert_true(fd >= 0);
    assert_int_equal(ftruncate(fd, 3 * 4096), 0);
    p = mmap(NULL, 2 * 4096, PROT_READ, MAP_SHARED, fd, 4096);
    assert_true(p != MAP_FAILED);
    assert_int_equal(unlink(name), 0);
    s.start = (uintptr_t)p;
    assert_int_equal(maps_each(proc, getpid(), find, &s), 1);
    snprintf(shown, sizeof(shown), "/tmp/plimsoll-maps-\\012x-%s", name + strlen(name) - 6);
    assert_string_equal(s.path, shown);
    assert_true(s.found.deleted);
    assert_int_equal(s.found.end - s.found.start, 2 * 4096);
    assert_int_equal(s.found.offset, 4096);
    assert_string_equal(s.found.perms, "r--s");
    assert_true(s.found.inode > 0);
    munmap(p, 2 * 4096);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(captured_file_is_read_whole),
        cmocka_unit_test(lines_have_their_fields),
        cmocka_unit_test(bad_lines_change_nothing),
        cmocka_unit_test(prefixes_stay_inside),
        cmocka_unit_test(reading_ends_as_told_or_with_the_file),
        cmocka_unit_test(a_path_beyond_every_bound_is_cut),
        cmocka_unit_test(finds_this_process_mappings),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
