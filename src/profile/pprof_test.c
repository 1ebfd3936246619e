#include "profile/pprof.h"

#include <errno.h>
#include <string.h>

#include "profile/gzip.h"
#include "profile/profiletest.h"

#define FIXTURES "tests/fixtures/profile/"

/* --- what `go tool pprof -top -nodefraction=0 -unit=B` said of the same file -------------------
 */

static int64_t bytes_of(struct str word) {
    int64_t value = 0;

    (void)str_drop(&word, STR("B"));
    assert_int_equal(str_to_i64(word, &value), 0);
    return value;
}

static const struct profile_top *find(const struct profile_top *top, size_t n, struct str name) {
    for (size_t i = 0; i < n; i++)
        if (str_eq(top[i].function, name))
            return &top[i];
    fail_msg("no function %.*s", STR_ARG(name));
    return NULL;
}

/* "     4144B 0.024%   100%      4144B 0.024%  main.wait (inline)" */
static void compare_line(struct str line, const struct profile_top *top, size_t n) {
    struct str flat, cum, word;
    const struct profile_top *t;

    assert_true(str_word(&line, &flat) && str_word(&line, &word) && str_word(&line, &word));
    assert_true(str_word(&line, &cum) && str_word(&line, &word));
    line = str_trim(line);
    (void)str_drop(&line, STR(" (inline)"));
    t = find(top, n, line);
    assert_int_equal(t->flat, bytes_of(flat));
    assert_int_equal(t->cum, bytes_of(cum));
}

static void compare_top(const struct profile *p, const char *type, const char *path) {
    struct loaded said = load(path);
    struct str rest = {said.p, said.n}, line;
    struct profile_top *top;
    size_t n, lines = 0;
    bool rows = false;

    assert_int_equal(profile_top(p, (unsigned)profile_type_of(p, str_of(type)), &top, &n), 0);
    while (str_cut(&rest, '\n', &line)) {
        if (rows) {
            compare_line(line, top, n);
            lines++;
        }
        rows = rows || str_starts(str_trim(line), STR("flat "));
    }
    assert_int_equal(lines, n);
    free(top);
    free(said.p);
}

static void top_is_that_of_go_tool_pprof(void **state) {
    struct profile *p = read_fixture(FIXTURES "go-heap.pb.gz");

    (void)state;
    assert_int_equal(profile_types(p), 4);
    assert_true(str_eq(profile_type(p, profile_default(p)).type, STR("inuse_space")));
    assert_true(profile_at_ms(p) > 1700000000000);
    compare_top(p, "inuse_space", FIXTURES "go-heap.top.txt");
    compare_top(p, "alloc_space", FIXTURES "go-heap.alloc.top.txt");
    profile_free(p);
}

static void a_diff_is_that_of_go_tool_pprof(void **state) {
    struct profile *before = read_fixture(FIXTURES "go-heap.pb.gz");
    struct profile *after = read_fixture(FIXTURES "go-heap-grown.pb.gz"), *diff = NULL;

    (void)state;
    assert_int_equal(profile_diff(before, after, &diff), 0);
    compare_top(diff, "inuse_space", FIXTURES "go-heap.diff.top.txt");
    profile_free(before);
    profile_free(after);
    profile_free(diff);
}

static void what_is_written_reads_the_same(void **state) {
    struct profile *p = read_fixture(FIXTURES "go-heap.pb.gz"), *again = NULL;
    struct buf one, two;
    struct err err;

    (void)state;
    profile_set_comment(p, STR("by hand"));
    buf_init(&one, 1 << 20);
    buf_init(&two, 1 << 20);
    assert_int_equal(pprof_write(p, &one), 0);
    assert_int_equal(pprof_write(p, &two), 0);
    assert_true(str_eq(buf_str(&one), buf_str(&two)));
    assert_int_equal(pprof_read(buf_str(&one), "again", &again, &err), 0);
    assert_int_equal(profile_samples(again), profile_samples(p));
    assert_int_equal(profile_default(again), profile_default(p));
    assert_int_equal(profile_at_ms(again), profile_at_ms(p));
    assert_true(str_eq(profile_comment(again), STR("by hand")));
    compare_top(again, "inuse_space", FIXTURES "go-heap.top.txt");
    compare_top(again, "alloc_space", FIXTURES "go-heap.alloc.top.txt");
    for (uint32_t i = 0; i < profile_frames(p); i++) {
        struct profile_frame a = profile_frame(p, i), b = profile_frame(again, i);

        assert_true(str_eq(a.function, b.function) && str_eq(a.file, b.file));
        assert_int_equal(a.line, b.line);
    }
    buf_clear(&two);
    assert_int_equal(pprof_write(again, &two), 0);
    assert_true(str_eq(buf_str(&one), buf_str(&two)));
    buf_done(&one);
    buf_done(&two);
    profile_free(again);
    profile_free(p);
}

static int read_bytes(struct str file, struct err *err) {
    struct profile *p = NULL;
    int r = pprof_read(file, "it", &p, err);

    if (r == 0)
        profile_free(p);
    return r;
}

static void a_file_cut_off_anywhere_is_refused(void **state) {
    struct loaded l = load(FIXTURES "go-heap.pb.gz");
    struct err err;

    (void)state;
    for (size_t n = 0; n < l.n; n += 7) {
        assert_int_equal(read_bytes((struct str){l.p, n}, &err), -EBADMSG);
        assert_non_null(strstr(err.text, "'it'"));
    }
    free(l.p);
}

static void members_follow_each_other_and_nothing_else_does(void **state) {
    struct loaded l = load(FIXTURES "go-heap.pb.gz");
    struct err err;
    struct buf b;

    (void)state;
    buf_init(&b, 1 << 20);
    buf_add(&b, (struct str){l.p, l.n});
    assert_int_equal(gzip_pack(STR(""), &b), 0); /* an empty member */
    assert_int_equal(read_bytes(buf_str(&b), &err), 0);
    buf_add_char(&b, 'x');
    assert_int_equal(read_bytes(buf_str(&b), &err), -EBADMSG);
    buf_done(&b);
    free(l.p);
}

static void a_gzip_bomb_is_refused(void **state) {
    size_t n = 96 << 20;
    char *zeros = calloc(1, n);
    struct err err;
    struct buf b;

    (void)state;
    assert_non_null(zeros);
    buf_init(&b, 1 << 20);
    assert_int_equal(gzip_pack((struct str){zeros, n}, &b), 0);
    assert_int_equal(read_bytes(buf_str(&b), &err), -E2BIG);
    free(zeros);
    buf_done(&b);
}

/* --- messages made by hand -------------------------------------------------------------------- */

/* sample_type a/count, and the texts "", "a", "count" */
static const char head[] = "\x0a\x04\x08\x01\x10\x02"
                           "\x32\x00\x32\x01"
                           "a\x32\x05"
                           "count";

static int read_with(struct str rest, struct profile **out) {
    struct err err;
    struct buf b;
    int r;

    buf_init(&b, 64 << 20);
    buf_add(&b, (struct str){head, sizeof(head) - 1});
    buf_add(&b, rest);
    r = pprof_read(buf_str(&b), "made", out, &err);
    buf_done(&b);
    return r;
}

static int refused(struct str rest) {
    struct profile *p = NULL;
    int r = read_with(rest, &p);

    if (r == 0)
        profile_free(p);
    return r;
}

static void what_contradicts_itself_is_refused(void **state) {
    (void)state;
    assert_int_equal(refused(STR("")), 0);
    /* a sample without values, with two, at a location that is not there */
    assert_int_equal(refused(STR("\x12\x00")), -EBADMSG);
    assert_int_equal(refused(STR("\x12\x04\x12\x02\x01\x02")), -EBADMSG);
    assert_int_equal(refused(STR("\x12\x06\x0a\x01\x07\x12\x01\x01")), -EBADMSG);
    /* locations 0, and twice 1 */
    assert_int_equal(refused(STR("\x22\x00")), -EBADMSG);
    assert_int_equal(refused(STR("\x22\x02\x08\x01\x22\x02\x08\x01")), -EBADMSG);
    /* a line of function 9; a function's name is text 77, or -1 */
    assert_int_equal(refused(STR("\x22\x06\x08\x01\x22\x02\x08\x09")), -EBADMSG);
    assert_int_equal(refused(STR("\x22\x06\x08\x01\x22\x02\x08\x01\x2a\x04\x08\x01\x10\x4d")),
                     -EBADMSG);
    assert_int_equal(refused(STR("\x22\x06\x08\x01\x22\x02\x08\x01\x2a\x0d\x08\x01\x10"
                                 "\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01")),
                     -EBADMSG);
    /* nine more kinds of values */
    assert_int_equal(refused(STR("\x0a\x00\x0a\x00\x0a\x00\x0a\x00\x0a\x00\x0a\x00\x0a\x00\x0a\x00"
                                 "\x0a\x00")),
                     -EBADMSG);
}

static void what_has_no_name_is_known_by_its_address(void **state) {
    struct profile *p = NULL;

    (void)state;
    assert_int_equal(read_with(STR("\x22\x05\x08\x01\x18\xef\x0b" /* location 1 at 0x5ef */
                                   "\x12\x06\x0a\x01\x01\x12\x01\x05"),
                               &p),
                     0);
    assert_int_equal(profile_samples(p), 1);
    assert_true(str_eq(profile_frame(p, profile_sample(p, 0).frame[0]).function, STR("0x5ef")));
    assert_int_equal(profile_sample(p, 0).value[0], 5);
    profile_free(p);
}

static void small_messages_that_become_large_are_bounded(void **state) {
    struct buf b;

    (void)state;
    buf_init(&b, 48 << 20);
    for (int i = 0; i < 8 << 20; i++)
        buf_add(&b, STR("\x12\x00")); /* a sample of two bytes */
    assert_int_equal(refused(buf_str(&b)), -E2BIG);
    buf_done(&b);
}

static void stacks_of_one_inlined_location_are_bounded(void **state) {
    struct profile *p = NULL;
    struct buf location, b;

    (void)state;
    buf_init(&location, 1 << 20);
    buf_init(&b, 32 << 20);
    buf_add(&location, STR("\x08\x01"));
    for (int i = 0; i < 5000; i++)
        buf_add(&location, STR("\x22\x02\x10\x07")); /* line 7 of nothing */
    /* its length, 20002, as a varint */
    buf_add(&b, STR("\x22\xa2\x9c\x01"));
    buf_add(&b, buf_str(&location));
    for (int i = 0; i < 1000; i++)
        buf_add(&b, STR("\x12\x0a\x0a\x05\x01\x01\x01\x01\x01\x12\x01\x01"));
    assert_int_equal(read_with(buf_str(&b), &p), 0);
    assert_int_equal(profile_samples(p), 1);
    assert_int_equal(profile_sample(p, 0).frames, PROFILE_DEPTH);
    assert_int_equal(profile_cut(p), 1000);
    profile_free(p);
    buf_done(&location);
    buf_done(&b);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(top_is_that_of_go_tool_pprof),
        cmocka_unit_test(a_diff_is_that_of_go_tool_pprof),
        cmocka_unit_test(what_is_written_reads_the_same),
        cmocka_unit_test(a_file_cut_off_anywhere_is_refused),
        cmocka_unit_test(members_follow_each_other_and_nothing_else_does),
        cmocka_unit_test(a_gzip_bomb_is_refused),
        cmocka_unit_test(what_contradicts_itself_is_refused),
        cmocka_unit_test(what_has_no_name_is_known_by_its_address),
        cmocka_unit_test(small_messages_that_become_large_are_bounded),
        cmocka_unit_test(stacks_of_one_inlined_location_are_bounded),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
