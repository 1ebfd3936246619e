#include "tui/app.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "base/basetest.h"
#include "base/text.h"
#include "tui/fake.h"

static struct fake fake;
static struct app app;
static struct buf shown;

static void size(int rows, int cols) {
    assert_int_equal(canvas_resize(&app.canvas, rows, cols), 0);
}

static void open_app(bool ascii, const struct top_options *more) {
    struct top_options options = more ? *more : (struct top_options){.sort = TOP_SORT_USED};
    struct err err = {0};

    options.interval_ms = 1000;
    options.ascii = ascii;
    fake_init(&fake);
    assert_int_equal(app_init(&app, &fake.source, &options, FAKE_NOW * INT64_C(1000)), 0);
    assert_int_equal(app_refresh(&app, FAKE_NOW * INT64_C(1000), &err), 0);
    size(24, 80);
    buf_init(&shown, 1 << 20);
}

static void close_app(void) {
    app_done(&app);
    buf_done(&shown);
}

/* The whole screen as text; no row is wider than the terminal. */
static const char *draw(void) {
    app_draw(&app);
    buf_clear(&shown);
    for (int y = 0; y < app.canvas.rows; y++) {
        size_t start = shown.n;

        canvas_row(&app.canvas, y, &shown);
        assert_true(text_columns(str_from(buf_str(&shown), start)) <= (size_t)app.canvas.cols);
        buf_add_char(&shown, '\n');
    }
    buf_add_char(&shown, 0);
    assert_int_equal(buf_error(&shown), 0);
    return shown.p;
}

static void has(const char *text) {
    if (!strstr(draw(), text))
        fail_msg("no '%s' on the screen:\n%s", text, shown.p);
}

static void lacks(const char *text) {
    if (strstr(draw(), text))
        fail_msg("'%s' is on the screen:\n%s", text, shown.p);
}

static void keys(const char *text) {
    struct err err = {0};

    for (; *text; text++)
        if (app_key(&app, *text == '\n' ? (uint32_t)KEYS_ENTER : (unsigned char)*text))
            (void)app_refresh(&app, app.now_ms, &err);
}

static void rows_tell_what_is_known(void **state) {
    (void)state;
    open_app(true, NULL);
    has("climber");
    has("  510M/  512M");
    has("at-limit");
    has("+41.0M");
    has("70m"); /* time to limit */
    has("used 2.93G of 7.81G");
    has("avail 4.88G");
    has("6 containers  1 at-limit");
    has("[###::");
    has("! load line, 90 %");
    close_app();
}

static void names_are_harmless_and_aligned(void **state) {
    const char *line;

    (void)state;
    open_app(false, NULL);
    has("evil\\x1b[2J\\u");
    lacks("\033");
    lacks("\xe2\x80\xae");
    line = strstr(draw(), "\u5185\u5b58\u6c60");
    assert_non_null(line);
    for (int y = 4; y < 10; y++) { /* each row's state begins in the same column */
        const struct cell *row = &app.canvas.cell[y * app.canvas.cols];

        assert_int_equal(row[80 - 12].code[0], ' ');
        assert_int_not_equal(row[80 - 11].code[0], ' ');
    }
    close_app();
}

static const char *const odd_names[] = {
    "\u65e5\u672c\u8a9e\u306e\u540d\u524d",
    "e\u0301\u0301\u0301\u0301\u0301\u0301\u0301\u0301",
    "\U0001f6a2\U0001f469\u200d\U0001f680",
    "\uff46\uff55\uff4c\uff4c ",
    "a\u5185",
    "\ud55c\uad6d\uc5b4-",
};

/* Also those of 200 characters, in any width: what is right of a name begins where it does in all
 * rows, and no character is cut in half. */
static void names_of_any_script_keep_the_columns(void **state) {
    char name[FAKE_ROWS][200 * 4];

    (void)state;
    open_app(false, NULL);
    for (size_t i = 0; i < FAKE_ROWS; i++) {
        struct str odd = str_of(odd_names[i]);
        size_t n = 0;

        for (; n + odd.n <= sizeof(name[i]); n += odd.n)
            memcpy(name[i] + n, odd.p, odd.n);
        fake.row[i].name = (struct str){name[i], n};
    }
    for (int long_ones = 1; long_ones >= 0; long_ones--) {
        for (int cols = 40; cols <= 200; cols += 1) {
            size(24, cols);
            (void)draw(); /* no row is wider than the terminal */
            for (int y = 4; y < 4 + FAKE_ROWS; y++) {
                const struct cell *row = &app.canvas.cell[y * app.canvas.cols];

                assert_int_equal(row[cols - 12].code[0], ' ');
                assert_int_not_equal(row[cols - 11].code[0], ' ');
            }
        }
        for (size_t i = 0; i < FAKE_ROWS; i++)
            fake.row[i].name = str_of(odd_names[i]);
    }
    close_app();
}

static void narrow_terminals_drop_columns_in_order(void **state) {
    (void)state;
    open_app(true, NULL);
    size(24, 80);
    has("FULL IN");
    lacks("RUNTIME");
    lacks("PSI%");
    size(60, 200);
    has("RUNTIME");
    has("PSI%");
    has("CPU%");
    has("USED%");
    size(10, 40);
    has("climber");
    has("growing");
    lacks("TREND");
    size(9, 40);
    has("too small");
    size(1, 1);
    draw();
    size(10, 39);
    has("too small");
    close_app();
}

static void a_filter_is_typed_and_taken_back(void **state) {
    (void)state;
    open_app(true, NULL);
    keys("/cl");
    has("/cl");
    has("1 match /cl");
    lacks("510M");
    keys("\n");
    has("climber");
    assert_false(app.editing);
    keys("\033"); /* back: the filter goes */
    assert_int_equal(app.view.rows, FAKE_ROWS);
    keys("/web");
    assert_int_equal(app.view.rows, 1);
    keys("\033");
    assert_int_equal(app.view.rows, FAKE_ROWS);
    keys("/web");
    assert_false(app_key(&app, KEYS_OTHER)); /* F5, Delete, Ctrl-Space, 0x9b of an old terminal */
    assert_false(app_key(&app, KEYS_LEFT));
    assert_false(app_key(&app, 0x9b));
    assert_int_equal(app.view.filter.n, 3);
    assert_false(app_key(&app, 0x5185));
    assert_int_equal(app.view.filter.n, 6);
    keys("\033");
    keys("/label:tier=front\n");
    has("1 match /label:tier=front");
    keys("/\025kind:a,sleepy\n");
    has("kinds are any, container");
    keys("/\025none\n");
    has("nothing matches the filter");
    keys("\n"); /* nothing to open */
    assert_int_equal(app.screen, APP_OVERVIEW);
    close_app();
}

static void sorting_and_grouping_say_what_they_do(void **state) {
    (void)state;
    open_app(true, NULL);
    keys("s");
    has("sorted by limit");
    keys("S");
    has("the other way round");
    keys("<");
    has("sorted by used,");
    keys("p");
    has("grouped by pod");
    has("shop/front  2 rows, used 550M");
    has("in no pod  4 rows");
    keys("j");
    lacks("grouped by");
    close_app();
}

static void a_container_is_opened_and_left(void **state) {
    (void)state;
    open_app(true, NULL);
    keys("j\n"); /* climber */
    assert_int_equal(app.screen, APP_DETAIL);
    has("climber");
    has("state growing");
    has("used 80.0M of 128M (62.5%)");
    has("full in 70m");
    has("anon");
    has("80.0M 100%");
    has("= usage");
    has("refaults");
    has("worker");
    has("`-server \\x1b]0;x");
    has("COMMAND (3)");
    has("minflt");
    has("majflt");
    keys("j");
    assert_int_equal(app.detail.pid, 12);
    keys("G");
    assert_int_equal(app.detail.pid, 11);
    keys("J"); /* the next one of the list, and back */
    has("state steady");
    keys("K");
    has("state growing");
    keys("q");
    assert_int_equal(app.screen, APP_OVERVIEW);
    assert_false(app.quit);
    keys("\nh"); /* h goes back too */
    assert_int_equal(app.screen, APP_OVERVIEW);
    keys("q");
    assert_true(app.quit);
    close_app();
}

static void opens(const struct top_target *t, int code, const char *says) {
    struct err err = {0};

    assert_int_equal(app_open(&app, t, &err), code);
    if (code < 0 && !strstr(err.text, says))
        fail_msg("no '%s' in '%s'", says, err.text);
    if (code == 0)
        has(says);
}

static void a_target_is_what_other_commands_mean(void **state) {
    const struct err several = {-ENOTUNIQ, "'web' may mean a, b"}, none = {-ESRCH, "no process 7"};
    struct top_target pid = {STR("18971"), "/docker/77/sub", true, NULL};

    (void)state;
    open_app(true, NULL);
    fake.row[1].path = STR("/docker/77");
    opens(&pid, 0, "climber");
    pid.path = "/user.slice/x";
    opens(&pid, -ENOENT, "'18971' is in the group '/user.slice/x', which is not listed here");
    opens(&(struct top_target){STR("web"), "/docker/77", false, NULL}, 0, "climber");
    opens(&(struct top_target){STR("web"), NULL, false, &several}, -ENOTUNIQ, "a, b");
    opens(&(struct top_target){STR("7"), NULL, false, &none}, -ENOENT, "no process 7");
    opens(&(struct top_target){STR("cache"), NULL, false, &none}, 0, "cache");
    app.moment.at_ms = (FAKE_NOW - 60) * INT64_C(1000); /* then it was another */
    opens(&(struct top_target){STR("web"), "/docker/77", false, NULL}, 0, "state steady");
    opens(&(struct top_target){STR("5"), "/docker/77", false, NULL}, 0, "climber");
    close_app();
}

static int no_processes(void *ctx, const struct tui_row *row, const struct tui_process **out,
                        size_t *n_out, struct err *err) {
    (void)ctx, (void)row, (void)out, (void)n_out;
    return err_set(err, -ENOENT, "the group is gone");
}

static void what_stands_still_is_one_moment(void **state) {
    (void)state;
    open_app(true, NULL);
    keys(" \n");
    has("PAUSED");
    has("paused; Space goes on");
    lacks("worker");
    keys(" ");
    has("worker");
    keys(" ");
    fake.source.processes = no_processes;
    keys("-");
    has("worker"); /* as of when it stopped */
    close_app();
}

static void what_is_gone_is_told(void **state) {
    struct err err = {0};

    (void)state;
    open_app(true, NULL);
    assert_int_equal(app_open(&app, &(struct top_target){.word = STR("cache")}, &err), 0);
    fake.row[2].id = 777; /* made again under its name */
    assert_int_equal(app_refresh(&app, app.now_ms, &err), 0);
    has("state cache-bound");
    fake.rows = 2;
    assert_int_equal(app_refresh(&app, app.now_ms, &err), 0);
    has("cache is not there at this moment");
    fake.rows = 0;
    keys("q");
    assert_int_equal(app_refresh(&app, app.now_ms, &err), 0);
    has("no containers here");
    close_app();
}

static void the_past_is_shown_as_such(void **state) {
    (void)state;
    open_app(true, NULL);
    fake.host.oldest_ms = (FAKE_NOW - 86400) * INT64_C(1000);
    has("live 14:00:00Z");
    keys("["); /* an eighth of two hours */
    has("PAST 2025-11-21 13:45:00Z, 15m ago");
    keys("{");
    has("PAST 2025-11-21 11:45:00Z");
    keys("]");
    has("12:00:00Z");
    keys(" ");
    has("REPLAY ");
    keys("0");
    has("live 14:00:00Z");
    keys(" ");
    has("PAUSED");
    keys("n");
    has("live");
    keys("+");
    has("window 60m");
    fake.host.oldest_ms = (FAKE_NOW - 290) * INT64_C(1000); /* the window shown is of 5 minutes */
    keys("+");
    has("window 2m");
    keys("-");
    has("window 5m");
    keys("-");
    has("window 10m, of which less is known yet");
    keys("[");
    has("13:59:22Z"); /* an eighth of what is shown */
    keys("0");
    fake.host.agent = false;
    keys("[");
    has("there is no past without the agent");
    close_app();
}

static void events_lead_to_their_moment(void **state) {
    (void)state;
    open_app(true, NULL);
    keys("t");
    has("X OOM kill");
    has("worker, own limit");
    has("web\\x1b[1m");
    has("13:59:00");
    has("L limit ");
    has("from 256M to 512M");
    has("* guard\\x");
    keys("\n");
    has("PAST 2025-11-21 13:59:00Z");
    has("state at-limit");
    keys("q");
    assert_int_equal(app.screen, APP_EVENTS);
    keys("j\n"); /* nothing has this name now */
    has("is not there at this moment");
    keys("qq");
    assert_int_equal(app.screen, APP_OVERVIEW);
    keys("t\no"); /* o goes home from anywhere */
    assert_int_equal(app.screen, APP_OVERVIEW);
    close_app();
}

static int refuse(void *ctx, int64_t at_ms, struct err *err) {
    (void)at_ms;
    ((struct fake *)ctx)->rows = 0;
    return err_set(err, -EAGAIN, "nothing heard since noon");
}

static void a_failure_is_not_hidden_by_what_a_key_says(void **state) {
    (void)state;
    open_app(true, NULL);
    fake.source.refresh = refuse;
    keys("["); /* this is as far back as is known */
    has("nothing heard since noon");
    keys("s");
    has("sorted by limit");
    has("nothing heard since noon");
    close_app();
}

static void a_list_that_shrinks_leaves_no_gap(void **state) {
    struct err err = {0};

    (void)state;
    open_app(true, NULL);
    size(12, 80);
    app.detail.top = 2;
    keys("j\n");
    app.detail.top = 2;
    (void)draw();
    assert_true(app.detail.top + 2 <= 3);
    keys("qt");
    app.events.top = app.events.cursor = 3;
    keys("/db\n");
    assert_int_equal(app_refresh(&app, app.now_ms, &err), 0);
    has("OOM kill");
    assert_int_equal(app.events.top, 0);
    close_app();
}

static void what_a_filter_cannot_do_is_told(void **state) {
    (void)state;
    open_app(true, NULL);
    keys("t/db state:ok\n");
    has("words of names count here");
    keys("/\025db\n");
    lacks("words of names");
    keys("o/\025kind:slice\n");
    has("nothing matches the filter; Esc");
    fake.host.agent = false;
    has("groups and slices are listed with an agent");
    close_app();
}

static void labels_of_lanes_are_apart(void **state) {
    (void)state;
    open_app(true, NULL);
    for (int cols = 72; cols <= 120; cols += 4) {
        size(24, cols);
        for (size_t i = 0; i < FAKE_ROWS; i++)
            sample_set(&fake.sample[i], METRIC_REFAULT_FILE, 123456789123);
        app.screen = APP_OVERVIEW;
        keys("\n");
        (void)draw();
        lacks("%psi");
        lacks("%refaults");
        has("refaults ");
        app.detail.fetched_ms = 0;
    }
    close_app();
}

static void help_lists_every_key(void **state) {
    (void)state;
    open_app(true, NULL);
    size(60, 200);
    keys("?");
    for (size_t i = 0; i < keys_n; i++)
        has(keys_table[i].help);
    size(80, 80);
    lacks("+\n"); /* nothing is cut at 80 columns */
    size(60, 200);
    has("reclaimable");
    size(24, 80);
    keys("G");
    has("in this order");
    keys("q");
    assert_false(app.help || app.quit);
    close_app();
}

static void sparklines_are_asked_for_rarely(void **state) {
    struct err err = {0};
    unsigned before;

    (void)state;
    open_app(true, NULL);
    draw();
    before = fake.histories;
    assert_int_equal(before, FAKE_ROWS);
    for (int i = 1; i < 5; i++) {
        assert_int_equal(app_refresh(&app, FAKE_NOW * INT64_C(1000) + i * 900, &err), 0);
        draw();
    }
    assert_int_equal(fake.histories, before);
    assert_int_equal(app_refresh(&app, FAKE_NOW * INT64_C(1000) + 6000, &err), 0);
    draw();
    assert_int_equal(fake.histories, 2 * before);
    close_app();
}

static void any_keys_at_any_size_are_survived(void **state) {
    static const char some[] = "jkgGlhtosSpJK<>[]{}+-  0n?/ab:-\"*,\n\033q\025\n\n";
    struct basetest_random random = {4711};
    struct err err = {0};

    (void)state;
    open_app(false, NULL);
    for (int i = 0; i < 4000; i++) {
        uint64_t dice = basetest_next(&random);

        if (dice % 16 == 0)
            size((int)(dice >> 8 & 63) + 1, (int)(dice >> 20 & 255) + 1);
        if (dice % 16 == 1)
            fake.rows = (dice >> 8) % (FAKE_ROWS + 1);
        if (app_key(&app, (unsigned char)some[(dice >> 32) % (sizeof(some) - 1)]) || dice % 16 == 1)
            (void)app_refresh(&app, app.now_ms + (int64_t)(dice >> 40) % 3000, &err);
        draw();
    }
    close_app();
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_tell_what_is_known),
        cmocka_unit_test(names_are_harmless_and_aligned),
        cmocka_unit_test(names_of_any_script_keep_the_columns),
        cmocka_unit_test(narrow_terminals_drop_columns_in_order),
        cmocka_unit_test(a_filter_is_typed_and_taken_back),
        cmocka_unit_test(sorting_and_grouping_say_what_they_do),
        cmocka_unit_test(a_container_is_opened_and_left),
        cmocka_unit_test(a_target_is_what_other_commands_mean),
        cmocka_unit_test(what_stands_still_is_one_moment),
        cmocka_unit_test(what_is_gone_is_told),
        cmocka_unit_test(the_past_is_shown_as_such),
        cmocka_unit_test(events_lead_to_their_moment),
        cmocka_unit_test(a_failure_is_not_hidden_by_what_a_key_says),
        cmocka_unit_test(a_list_that_shrinks_leaves_no_gap),
        cmocka_unit_test(what_a_filter_cannot_do_is_told),
        cmocka_unit_test(labels_of_lanes_are_apart),
        cmocka_unit_test(help_lists_every_key),
        cmocka_unit_test(sparklines_are_asked_for_rarely),
        cmocka_unit_test(any_keys_at_any_size_are_survived),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
