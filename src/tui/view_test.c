#include "tui/view.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <errno.h>

#include "base/basetest.h"
#include "tui/fake.h"

static struct fake fake;
static struct view view;

static int set_up(void **state) {
    (void)state;
    fake_init(&fake);
    view_init(&view, TOP_SORT_USED);
    return view_update(&view, &fake.source);
}

static int tear_down(void **state) {
    (void)state;
    view_done(&view);
    return 0;
}

/* "db climber web": names in order, heads as [group]. */
static void lists(const char *wanted, size_t most) {
    struct buf out;

    buf_init(&out, 4096);
    assert_int_equal(view_update(&view, &fake.source), 0);
    for (size_t i = 0; i < view.n && i < most; i++) {
        const struct tui_row *row = &fake.row[view.line[i].row];

        buf_add(&out, i ? STR(" ") : STR(""));
        if (view.line[i].head)
            buf_add_format(&out, "[%.*s %u]", STR_ARG(view_group_of(row, view.group)),
                           view.line[i].count);
        else
            buf_add(&out, row->name);
    }
    basetest_holds(&out, wanted);
    buf_done(&out);
}

static void rows_are_sorted_the_largest_first(void **state) {
    (void)state;
    lists("db climber web", 3);
    view.reverse = true;
    lists("\u5185\u5b58\u6c60", 1);
    view.reverse = false;
    view.sort = TOP_SORT_NAME;
    lists("cache climber db", 3);
    view.sort = TOP_SORT_STATE;
    lists("db cache climber web", 4);
    fake.row[2].state = STATE_GROWING; /* of one state: the fuller first */
    lists("db climber cache web", 4);
    fake.row[2].state = STATE_CACHE;
    view.sort = TOP_SORT_TIME;
    lists("climber cache", 2); /* the others have none, and are by name */
    view.sort = TOP_SORT_PCT;
    lists("db climber web cache", 4);
}

static void what_is_not_known_is_last_either_way(void **state) {
    (void)state;
    view.sort = TOP_SORT_TIME;
    fake.row[0].have_time_to_limit = true;
    fake.row[0].time_to_limit_s = 60;
    lists("web climber cache", 3);
    view.reverse = true;
    lists("climber web cache", 3);
}

static void names_are_in_the_order_people_count(void **state) {
    (void)state;
    view.sort = TOP_SORT_NAME;
    fake.rows = 5;
    fake.row[0].name = STR("web-10");
    fake.row[1].name = STR("Web-2");
    fake.row[2].name = STR("web-02b");
    fake.row[3].name = STR("web");
    fake.row[4].name = STR("apple");
    lists("apple web Web-2 web-02b web-10", 5);
    view.reverse = true;
    lists("web-10 web-02b Web-2 web apple", 5);
}

static void make(size_t i, struct str kind, struct str path, struct str slice) {
    fake.row[i].kind = kind;
    fake.row[i].path = path;
    fake.row[i].slice = slice;
}

/* As on the page. */
static void containers_are_listed_else_services_else_groups(void **state) {
    (void)state;
    make(0, STR("group"), STR("/jobs"), STR("/"));
    make(1, STR("group"), STR("/jobs/1"), STR("/jobs"));
    make(2, STR("service"), STR("/system.slice/ssh"), STR("/system.slice"));
    make(3, STR("slice"), STR("/system.slice"), STR("/"));
    make(4, STR("container"), STR("/docker/1"), STR("/docker"));
    make(5, STR("service"), STR("/docker/1/x"), STR("/docker/1"));
    fake.row[5].is_inside = true;
    lists("\u5185\u5b58\u6c60", 9);
    assert_int_equal(view.of, LISTING_WORKLOADS);
    filter_parse(&view.filter, STR("kind:service"));
    lists("cache evil\033[2J\xe2\x80\xae", 9);
    filter_parse(&view.filter, STR("kind:any"));
    assert_int_equal(view_update(&view, &fake.source), 0);
    assert_true(view.all == 6 && view.rows == 6 && view.of == LISTING_ASKED);
    filter_parse(&view.filter, STR(""));
    fake.row[4].kind = STR("helper");
    lists("cache", 9);
    assert_int_equal(view.of, LISTING_SERVICES);
    fake.row[2].kind = STR("pod");
    lists("climber", 9);
    assert_true(view.of == LISTING_GROUPS && view.all == 1);
    fake.row[0].kind = fake.row[1].kind = STR("slice");
    lists("", 9);
    assert_int_equal(view.of, LISTING_NOTHING);
}

static void the_selection_stays_with_its_target(void **state) {
    (void)state;
    view_move(&view, &fake.source, 2);
    assert_string_equal(view_selected(&view, &fake.source)->name.p, "web");
    fake.sample[0].value[METRIC_USED] = FAKE_MIB(90);
    assert_int_equal(view_update(&view, &fake.source), 0);
    assert_int_equal(view.cursor, 1);
    assert_string_equal(view_selected(&view, &fake.source)->name.p, "web");
    fake.row[0].id = 999; /* gone: what is there now */
    assert_int_equal(view_update(&view, &fake.source), 0);
    assert_int_equal(view.cursor, 1);
    view_move(&view, &fake.source, -100);
    assert_int_equal(view.cursor, 0);
    view_move(&view, &fake.source, 100);
    assert_int_equal(view.cursor, FAKE_ROWS - 1);
}

static void a_filter_may_leave_nothing(void **state) {
    (void)state;
    filter_parse(&view.filter, STR("nothing"));
    lists("", 9);
    assert_null(view_selected(&view, &fake.source));
    view_move(&view, &fake.source, 1);
    view_scroll(&view, 5);
    filter_parse(&view.filter, STR("web"));
    lists("web", 9);
    assert_non_null(view_selected(&view, &fake.source));
}

static void groups_have_heads_that_are_passed_over(void **state) {
    (void)state;
    view.group = VIEW_POD;
    lists("[shop/front 2] db web [ 4] climber", 5);
    assert_int_equal(view.line[0].used, FAKE_MIB(550));
    view_move(&view, &fake.source, -9);
    assert_int_equal(view.cursor, 1);
    view_move(&view, &fake.source, 2);
    assert_int_equal(view.cursor, 4);
    view_scroll(&view, 2);
    assert_int_equal(view.top, 3);
    view_move(&view, &fake.source, -1);
    view_move(&view, &fake.source, -1);
    view_scroll(&view, 2);
    assert_int_equal(view.top, 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(rows_are_sorted_the_largest_first, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_is_not_known_is_last_either_way, set_up, tear_down),
        cmocka_unit_test_setup_teardown(names_are_in_the_order_people_count, set_up, tear_down),
        cmocka_unit_test_setup_teardown(containers_are_listed_else_services_else_groups, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(the_selection_stays_with_its_target, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_filter_may_leave_nothing, set_up, tear_down),
        cmocka_unit_test_setup_teardown(groups_have_heads_that_are_passed_over, set_up, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
