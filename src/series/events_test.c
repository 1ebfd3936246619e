#include "series/store.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <sqlite3.h>

#include "series/storetest.h"

static char dir[256];
static struct store *store;

static void open_it(void) {
    struct store_options options;
    struct err err;

    store_defaults(&options);
    options.dir = dir;
    assert_int_equal(store_open(&options, &store, NULL, &err), 0);
}

static int set_up(void **state) {
    (void)state;
    feed_dir(dir, sizeof(dir));
    open_it();
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    store_close(store);
    feed_remove(dir);
    return 0;
}

struct told {
    char text[1000];
    size_t left;
};

static int take(void *ctx, const struct store_event *e) {
    struct told *t = ctx;
    size_t n = strlen(t->text);

    snprintf(t->text + n, sizeof(t->text) - n, "%lld/%lld/%.*s/%.*s ", (long long)e->series,
             (long long)e->at_ms, STR_ARG(e->kind), STR_ARG(e->json));
    return --t->left == 0;
}

static void check_told(int64_t series, int64_t from_ms, int64_t to_ms, size_t most,
                       const char *want) {
    struct told t = {.text = "", .left = most};

    assert_int_equal(store_events(store, series, from_ms, to_ms, take, &t), 0);
    assert_string_equal(t.text, want);
}

static void put(int64_t series, int64_t at_ms, const char *kind, const char *json) {
    assert_int_equal(store_event(store, series, at_ms, str_of(kind), str_of(json)), 0);
}

static void commit(int64_t now_ms) {
    uint64_t acked;

    store_commit(store, now_ms, true, &acked);
}

static void events_come_newest_first_committed_or_not(void **state) {
    (void)state;
    put(1, 1000, "start", "{a}");
    put(2, 3000, "start", "{b}");
    commit(3000);
    put(1, 2000, "limit", "{c}"); /* told late */
    put(1, 4000, "end", "{d}");
    check_told(0, 0, INT64_MAX, 10,
               "1/4000/end/{d} 2/3000/start/{b} 1/2000/limit/{c} 1/1000/start/{a} ");
    check_told(1, 0, INT64_MAX, 10, "1/4000/end/{d} 1/2000/limit/{c} 1/1000/start/{a} ");
    check_told(0, 2000, 3000, 10, "2/3000/start/{b} 1/2000/limit/{c} ");
    check_told(0, 0, INT64_MAX, 2, "1/4000/end/{d} 2/3000/start/{b} ");
    check_told(3, 0, INT64_MAX, 10, "");
    commit(4000);
    store_close(store);
    open_it();
    check_told(0, 0, INT64_MAX, 10,
               "1/4000/end/{d} 2/3000/start/{b} 1/2000/limit/{c} 1/1000/start/{a} ");
}

static void a_kind_is_a_word(void **state) {
    (void)state;
    assert_int_equal(store_event(store, 1, 1, STR(""), STR("{}")), -EINVAL);
    assert_int_equal(store_event(store, 1, 1, STR("a-word-that-is-much-longer-than-any"), STR("")),
                     -EINVAL);
    check_told(0, 0, INT64_MAX, 10, "");
}

static void execute(const char *sql) {
    char path[300];
    sqlite3 *h;

    snprintf(path, sizeof(path), "%s/plimsoll.db", dir);
    assert_int_equal(sqlite3_open(path, &h), SQLITE_OK);
    assert_int_equal(sqlite3_exec(h, sql, NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(h);
}

static void a_damaged_one_is_left_out_and_told(void **state) {
    struct store_health health;

    (void)state;
    put(1, 1000, "start", "{a}");
    put(1, 2000, "end", "{b}");
    put(1, 3000, "end", "{c}");
    commit(3000);
    store_close(store);
    execute("UPDATE event SET kind=CAST('ende' AS BLOB) WHERE id=1;"
            "UPDATE event SET json=CAST('{x}' AS BLOB) WHERE id=2");
    open_it();
    check_told(0, 0, INT64_MAX, 10, "1/3000/end/{c} ");
    store_health(store, &health);
    assert_true(health.damaged == 2);
}

/* As old as hours may be, and so many. */
static void old_ones_and_too_many_go(void **state) {
    const int64_t now_ms = INT64_C(1800000000000), year_ms = INT64_C(366) * 24 * 3600 * 1000;

    (void)state;
    commit(now_ms - 2 * 3600 * 1000);
    put(1, now_ms - year_ms, "start", "{old}");
    put(1, now_ms - 1000, "start", "{new}");
    commit(now_ms - 2 * 3600 * 1000 + 1000);
    commit(now_ms);
    check_told(0, 0, INT64_MAX, 10, "1/1799999999000/start/{new} ");
    for (unsigned i = 0; i < STORE_EVENTS; i++)
        put(2, now_ms + i, "end", "{}");
    commit(now_ms + 1000);
    commit(now_ms + 2 * 3600 * 1000);
    check_told(1, 0, INT64_MAX, 10, "");
    store_close(store);
    execute("CREATE TABLE test_of_count AS SELECT CASE count(*) WHEN 50000 THEN 1 ELSE"
            " json('not') END FROM event; DROP TABLE test_of_count");
    open_it();
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(events_come_newest_first_committed_or_not, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_kind_is_a_word, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_damaged_one_is_left_out_and_told, set_up, tear_down),
        cmocka_unit_test_setup_teardown(old_ones_and_too_many_go, set_up, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
