#include "remote/cursor.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/mem.h"

static void what_is_saved_is_loaded(void **state) {
    static const struct cursor cursors[] = {
        {0},
        {.key_row = 7, .sent_ms = 1763734800000, .part_ms = 1763734805000, .part_uid = UINT32_MAX},
        {.key_row = INT64_MAX, .sent_ms = INT64_MAX, .part_ms = INT64_MAX},
        {.sent_ms = 5000},
    };
    char folder[] = "/tmp/plimsoll-cursor-XXXXXX";
    auto_close int dir = -1;
    struct cursor got;

    (void)state;
    assert_non_null(mkdtemp(folder));
    dir = open(folder, O_RDONLY | O_DIRECTORY);
    assert_int_equal(cursor_load(dir, "c", &got), -ENOENT);
    for (size_t i = 0; i < ARRAY_N(cursors); i++) {
        assert_int_equal(cursor_save(dir, "c", &cursors[i]), 0);
        assert_int_equal(cursor_load(dir, "c", &got), 0);
        assert_int_equal(got.key_row, cursors[i].key_row);
        assert_int_equal(got.sent_ms, cursors[i].sent_ms);
        assert_int_equal(got.part_ms, cursors[i].part_ms);
        assert_int_equal(got.part_uid, cursors[i].part_uid);
    }
    assert_int_equal(unlinkat(dir, "c", 0), 0);
    assert_int_equal(rmdir(folder), 0); /* and nothing else lies there */
}

static void a_failed_save_leaves_the_old_one(void **state) {
    char folder[] = "/tmp/plimsoll-cursor-XXXXXX";
    auto_close int dir = -1;
    struct cursor got;

    (void)state;
    assert_non_null(mkdtemp(folder));
    dir = open(folder, O_RDONLY | O_DIRECTORY);
    assert_int_equal(cursor_save(dir, "c", &(struct cursor){.sent_ms = 1}), 0);
    assert_int_equal(mkdirat(dir, "c.new", 0700), 0);
    assert_int_equal(cursor_save(dir, "c", &(struct cursor){.sent_ms = 2}), -EISDIR);
    assert_int_equal(cursor_load(dir, "c", &got), 0);
    assert_int_equal(got.sent_ms, 1);
    assert_int_equal(unlinkat(dir, "c.new", AT_REMOVEDIR), 0);
    assert_int_equal(unlinkat(dir, "c", 0), 0);
    assert_int_equal(rmdir(folder), 0);
}

static void anything_else_is_refused(void **state) {
    static const char *const bad[] = {
        "",
        "plimsoll remote 1\n",
        "plimsoll remote 2\nkey_row 1\nsent_ms 2\npart_ms 3\npart_uid 4\n",
        "plimsoll remote 1\nkey_row 1\nsent_ms 2\npart_ms 3\npart_uid 4",
        "plimsoll remote 1\nkey_row 1\nsent_ms 2\npart_ms 3\npart_uid 4\n\n",
        "plimsoll remote 1\nkey_row 1\nsent_ms 2\npart_ms 3\npart_uid 4294967296\n",
        "plimsoll remote 1\nkey_row -1\nsent_ms 2\npart_ms 3\npart_uid 4\n",
        "plimsoll remote 1\nkey_row 1\nsent_ms 99999999999999999999\npart_ms 3\npart_uid 4\n",
        "plimsoll remote 1\nsent_ms 1\nkey_row 2\npart_ms 3\npart_uid 4\n",
        "plimsoll remote 1\nkey_row\nsent_ms 2\npart_ms 3\npart_uid 4\n",
        "plimsoll remote 1\nkey_row x\nsent_ms 2\npart_ms 3\npart_uid 4\n",
    };
    struct cursor got = {.sent_ms = 77};

    (void)state;
    for (size_t i = 0; i < ARRAY_N(bad); i++)
        if (cursor_parse(str_of(bad[i]), &got) != -EBADMSG)
            fail_msg("taken: '%s'", bad[i]);
    assert_int_equal(got.sent_ms, 77);
    assert_int_equal(
        cursor_parse(STR("plimsoll remote 1\nkey_row 1\nsent_ms 2\npart_ms 3\npart_uid 4\n"), &got),
        0);
    assert_int_equal(got.part_uid, 4);
}

static void each_remote_has_a_file(void **state) {
    char one[CURSOR_NAME], two[CURSOR_NAME], three[CURSOR_NAME], again[CURSOR_NAME];

    (void)state;
    cursor_name(STR("http://a/write"), 0, one);
    cursor_name(STR("http://a/write"), 1, two);
    cursor_name(STR("http://b/write"), 0, three);
    cursor_name(STR("http://a/write"), 0, again);
    assert_string_equal(one, again);
    assert_string_not_equal(one, two);
    assert_string_not_equal(one, three);
    assert_null(strchr(one, '/'));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_saved_is_loaded),
        cmocka_unit_test(a_failed_save_leaves_the_old_one),
        cmocka_unit_test(anything_else_is_refused),
        cmocka_unit_test(each_remote_has_a_file),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
