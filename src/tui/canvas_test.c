#include "tui/canvas.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "base/basetest.h"

static const char *row(const struct canvas *c, int y) {
    static char text[512];
    struct buf out;

    buf_init(&out, sizeof(text) - 1);
    canvas_row(c, y, &out);
    assert_int_equal(buf_error(&out), 0);
    assert_int_equal(str_copy(buf_str(&out), text, sizeof(text)), 0);
    buf_done(&out);
    return text;
}

static struct canvas made(bool ascii) {
    struct canvas c;

    canvas_init(&c, ascii);
    assert_int_equal(canvas_resize(&c, 3, 10), 0);
    return c;
}

static void text_is_cut_where_it_does_not_fit(void **state) {
    struct canvas c = made(false);

    (void)state;
    assert_int_equal(canvas_text(&c, 0, 1, 4, STR("abcdef"), 0), 4);
    assert_string_equal(row(&c, 0), " abc+");
    assert_int_equal(canvas_text(&c, 1, 8, 50, STR("xyz"), 0), 2);
    assert_string_equal(row(&c, 1), "        x+");
    canvas_right(&c, 2, 2, 6, STR("12"), 0);
    assert_string_equal(row(&c, 2), "      12");
    canvas_done(&c);
}

static void wide_characters_keep_the_columns(void **state) {
    struct canvas c = made(false);

    (void)state;
    assert_int_equal(canvas_name(&c, 0, 0, 5, STR("\u5185\u5b58\u6c60"), 0), 5);
    canvas_text(&c, 0, 5, 1, STR("|"), 0);
    assert_string_equal(row(&c, 0), "\u5185\u5b58+|");
    canvas_put(&c, 0, 1, 'x', 'x', 0); /* on the right half: the left one goes too */
    assert_string_equal(row(&c, 0), " x\u5b58+|");
    assert_int_equal(canvas_name(&c, 1, 0, 5, STR("e\u0301x"), 0), 2);
    assert_string_equal(row(&c, 1), "e\u0301x");
    canvas_done(&c);
}

static void names_are_escaped(void **state) {
    struct canvas c = made(false), plain = made(true);

    (void)state;
    canvas_name(&c, 0, 0, 10, STR("a\033[1m\u202e"), 0);
    assert_string_equal(row(&c, 0), "a\\x1b[1m\\+");
    canvas_name(&plain, 0, 0, 10, STR("\u5185"), 0);
    assert_string_equal(row(&plain, 0), "\\u{5185}");
    canvas_done(&c);
    canvas_done(&plain);
}

static void what_lies_outside_is_not_drawn(void **state) {
    struct canvas c = made(false);

    (void)state;
    canvas_put(&c, -1, 0, 'x', 'x', 0);
    canvas_put(&c, 0, 10, 'x', 'x', 0);
    canvas_text(&c, 7, 0, 5, STR("x"), 0);
    canvas_text(&c, 0, 9, 5, STR("\u5185"), 0);
    canvas_select(&c, 9, 3);
    for (int y = 0; y < 3; y++)
        assert_true(row(&c, y)[0] == 0 || y == 0);
    canvas_done(&c);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(text_is_cut_where_it_does_not_fit),
        cmocka_unit_test(wide_characters_keep_the_columns),
        cmocka_unit_test(names_are_escaped),
        cmocka_unit_test(what_lies_outside_is_not_drawn),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
