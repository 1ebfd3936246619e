#include "series/db.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/file.h"
#include "base/mem.h"
#include "series/crc32c.h"
#include "series/storetest.h"

static char dir[256], path[300];

static int set_up(void **state) {
    (void)state;
    feed_dir(dir, sizeof(dir));
    snprintf(path, sizeof(path), "%s/plimsoll.db", dir);
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    feed_remove(dir);
    return 0;
}

static void execute(const char *sql) {
    sqlite3 *h;

    assert_int_equal(sqlite3_open(path, &h), SQLITE_OK);
    assert_int_equal(sqlite3_exec(h, sql, NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(h);
}

static int64_t number(const char *sql) {
    sqlite3_stmt *st;
    sqlite3 *h;
    int64_t n;

    assert_int_equal(sqlite3_open(path, &h), SQLITE_OK);
    assert_int_equal(sqlite3_prepare_v2(h, sql, -1, &st, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_step(st), SQLITE_ROW);
    n = sqlite3_column_int64(st, 0);
    sqlite3_finalize(st);
    sqlite3_close(h);
    return n;
}

static unsigned set_aside(void) {
    auto_closedir DIR *all = opendir(dir);
    struct dirent *e;
    unsigned n = 0;

    assert_non_null(all);
    while ((e = readdir(all)))
        n += strstr(e->d_name, ".damaged-") && !strstr(e->d_name, "-wal");
    return n;
}

static int open_store(struct store **out, struct buf *told) {
    struct store_options options;
    struct err err;

    store_defaults(&options);
    options.dir = dir;
    return store_open(&options, out, told, &err);
}

static void a_new_file_has_our_number_and_schema(void **state) {
    struct store *s;

    (void)state;
    assert_int_equal(open_store(&s, NULL), 0);
    store_close(s);
    assert_int_equal(number("PRAGMA application_id"), DB_APPLICATION);
    assert_int_equal(number("PRAGMA user_version"), STORE_SCHEMA);
    assert_int_equal(number("PRAGMA auto_vacuum"), 2);
    assert_int_equal(number("SELECT value FROM meta WHERE name='version'"), STORE_SCHEMA);
}

static void a_second_process_is_refused(void **state) {
    struct store *s, *other;

    (void)state;
    assert_int_equal(open_store(&s, NULL), 0);
    assert_int_equal(open_store(&other, NULL), -EBUSY);
    store_close(s);
    assert_int_equal(open_store(&s, NULL), 0);
    store_close(s);
}

static void version_0_becomes_the_newest(void **state) {
    struct store *s;

    (void)state;
    /* A file that was begun and has no tables yet: its head alone is ours. */
    execute("PRAGMA application_id=1347177811; PRAGMA user_version=0;"
            "CREATE TABLE meta_of_old(x); DROP TABLE meta_of_old;");
    assert_int_equal(number("PRAGMA application_id"), DB_APPLICATION);
    assert_int_equal(open_store(&s, NULL), 0);
    store_close(s);
    assert_int_equal(number("PRAGMA user_version"), STORE_SCHEMA);
    assert_int_equal(number("SELECT count(*) FROM series"), 0);
    assert_int_equal(number("SELECT count(*) FROM event"), 0);
}

static int count_event(void *ctx, const struct store_event *e) {
    assert_true(str_eq(e->kind, STR("start")));
    ++*(unsigned *)ctx;
    return 0;
}

static int take_oom(void *ctx, int64_t id, int64_t series, int64_t at_ms, uint64_t kills,
                    struct str json) {
    assert_true(id == 1 && series == 1 && at_ms == 1700000050000 && kills == 2);
    assert_true(str_starts(json, STR("{\"kind\":\"oom\"")));
    ++*(unsigned *)ctx;
    return 0;
}

/* The file was made by the program of that schema. */
static void schema_1_is_brought_up_with_all_that_is_in_it(void **state) {
    auto_close int fd = open("tests/fixtures/store/schema1.sql", O_RDONLY);
    struct store_points points = {0};
    auto_free char *text = NULL;
    unsigned events = 0, ooms = 0;
    uint64_t acked, restarts;
    struct store *s;
    int64_t id;
    size_t n;

    (void)state;
    assert_int_equal(file_load_fd(fd, 1 << 20, &text, &n), 0);
    execute(text);
    assert_int_equal(number("PRAGMA user_version"), 1);
    assert_int_equal(open_store(&s, NULL), 0);
    assert_int_equal(store_series(s, STR("docker:web"), STR("{}"), 1700000000000, &id), 0);
    assert_int_equal(id, 1);
    assert_int_equal(store_life(s, id, &(struct store_life){STR("abc"), 77, 0}, true, &restarts),
                     0); /* known */
    assert_int_equal(store_life(s, id, &(struct store_life){STR("abc"), 77, 5}, true, &restarts),
                     0); /* before runs were told apart */
    assert_int_equal(store_life(s, id, &(struct store_life){STR("abc"), 77, 6}, true, &restarts),
                     1);
    assert_int_equal(
        store_range(s, id, METRIC_USED, 1700000000000, 1700000099000, 0, 1000, &points), 0);
    assert_true(points.n >= 95 && points.p[10].value == 4096 * 100);
    store_points_done(&points);
    assert_int_equal(store_ooms(s, 0, 0, INT64_MAX, 10, take_oom, &ooms), 0);
    assert_int_equal(ooms, 1);
    assert_int_equal(store_events(s, 0, 0, INT64_MAX, count_event, &events), 0);
    assert_int_equal(events, 0);
    assert_int_equal(store_event(s, id, 1700000060000, STR("start"), STR("{}")), 0);
    /* Its own time: what is in it is not old yet. */
    store_commit(s, 1700000200000, true, &acked);
    store_close(s);
    assert_int_equal(set_aside(), 0);
    assert_int_equal(number("PRAGMA user_version"), STORE_SCHEMA);
    assert_int_equal(number("SELECT count(*) FROM event"), 1);
    assert_int_equal(number("SELECT count(*) FROM raw"), 4);
    assert_int_equal(open_store(&s, NULL), 0);
    assert_int_equal(store_events(s, id, 0, INT64_MAX, count_event, &events), 0);
    assert_int_equal(events, 1);
    store_close(s);
}

static void steps_are_made_one_after_the_other_or_not_at_all(void **state) {
    static const struct db_step step[] = {
        {"CREATE TABLE meta(name TEXT PRIMARY KEY, value, sum INTEGER) WITHOUT ROWID;"
         "CREATE TABLE a(x); INSERT INTO a VALUES(1)"},
        {"ALTER TABLE a ADD COLUMN y DEFAULT 7; UPDATE a SET x=x+1"},
        {"CREATE TABLE b(z); INSERT INTO a VALUES(5,5); SELECT no_such_function()"},
    };
    struct db d;

    (void)state;
    assert_int_equal(db_init(&d, dir, 0), 0);
    assert_int_equal(sqlite3_open(d.path, &d.h), SQLITE_OK);
    assert_int_equal(db_migrate(&d, step, 2), 0);
    assert_int_equal(db_migrate(&d, step, 2), 0); /* nothing more to do */
    assert_int_equal(db_migrate(&d, step, 3), -EUCLEAN);
    db_close(&d);
    assert_int_equal(number("PRAGMA user_version"), 2);
    assert_int_equal(number("SELECT x*10+y FROM a"), 27);
    assert_int_equal(number("SELECT count(*) FROM a"), 1);
    assert_int_equal(number("SELECT count(*) FROM sqlite_schema WHERE name='b'"), 0);
    /* Older than what is there: newer than we are. */
    assert_int_equal(sqlite3_open(d.path, &d.h), SQLITE_OK);
    assert_int_equal(db_migrate(&d, step, 1), -EPROTONOSUPPORT);
    db_close(&d);
}

static void a_newer_schema_is_refused_and_left_alone(void **state) {
    struct store *s;
    char sql[200];
    uint32_t sum;
    int64_t version = STORE_SCHEMA + 1;

    (void)state;
    assert_int_equal(open_store(&s, NULL), 0);
    store_close(s);
    /* The number in the file's head alone may be damage: it is put right. */
    snprintf(sql, sizeof(sql), "PRAGMA user_version=%d", STORE_SCHEMA + 1);
    execute(sql);
    assert_int_equal(open_store(&s, NULL), 0);
    store_close(s);
    assert_int_equal(number("PRAGMA user_version"), STORE_SCHEMA);
    assert_int_equal(set_aside(), 0);
    sum = crc32c(0, (struct str){(const char *)&version, sizeof(version)});
    snprintf(sql, sizeof(sql), "PRAGMA user_version=%d; UPDATE meta SET value=%d, sum=%u",
             STORE_SCHEMA + 1, STORE_SCHEMA + 1, sum);
    execute(sql);
    assert_int_equal(open_store(&s, NULL), -EPROTONOSUPPORT);
    assert_int_equal(number("PRAGMA user_version"), STORE_SCHEMA + 1);
    assert_int_equal(set_aside(), 0);
}

static void what_is_not_ours_is_set_aside_and_two_are_kept(void **state) {
    struct buf told;
    struct store *s;

    (void)state;
    buf_init(&told, 10000);
    for (unsigned i = 0; i < 5; i++) {
        int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);

        assert_int_equal(
            write(fd, "this is no database, but a text that is long enough to be one", 60), 60);
        close(fd);
        buf_clear(&told);
        assert_int_equal(open_store(&s, &told), 0);
        assert_true(told.n > 0);
        store_close(s);
    }
    assert_int_equal(set_aside(), 2);
    /* Another program's database. */
    unlink(path);
    execute("CREATE TABLE accounts(x)");
    buf_clear(&told);
    assert_int_equal(open_store(&s, &told), 0);
    assert_true(told.n > 0);
    store_close(s);
    buf_done(&told);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_new_file_has_our_number_and_schema, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_second_process_is_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(version_0_becomes_the_newest, set_up, tear_down),
        cmocka_unit_test_setup_teardown(schema_1_is_brought_up_with_all_that_is_in_it, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(steps_are_made_one_after_the_other_or_not_at_all, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_newer_schema_is_refused_and_left_alone, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(what_is_not_ours_is_set_aside_and_two_are_kept, set_up,
                                        tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
