#include "tui/bar.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "base/basetest.h"

static const char *drawn(const struct sample *s, bool ascii, int width) {
    static char text[256];
    struct canvas c;
    struct buf out;

    canvas_init(&c, ascii);
    assert_int_equal(canvas_resize(&c, 1, width), 0);
    bar_draw(&c, 0, 0, width, s);
    buf_init(&out, sizeof(text) - 1);
    canvas_row(&c, 0, &out);
    assert_int_equal(str_copy(buf_str(&out), text, sizeof(text)), 0);
    buf_done(&out);
    canvas_done(&c);
    return text;
}

static struct sample sample(uint64_t used, uint64_t usage, uint64_t limit) {
    struct sample s = {.have = 0};

    sample_set(&s, METRIC_USED, used);
    sample_set(&s, METRIC_USAGE, usage);
    sample_set(&s, METRIC_LIMIT, limit);
    return s;
}

static void the_length_is_the_limit(void **state) {
    struct sample s = sample(40, 60, 100);

    (void)state;
    assert_string_equal(drawn(&s, true, 22), "[########::::      ! ]");
    sample_set(&s, METRIC_HIGH, 75);
    assert_string_equal(drawn(&s, true, 22), "[########::::   |  ! ]");
    assert_string_equal(drawn(&s, false, 12),
                        "\u2595\u2588\u2588\u2588\u2588\u2591\u2591  \u250a\u2503\u258f");
    sample_set(&s, METRIC_HIGH, SAMPLE_NONE);
    assert_string_equal(drawn(&s, true, 12), "[####::   !]");
}

static void parts_of_a_cell_are_drawn_where_there_are_blocks(void **state) {
    struct sample s = sample(45, 45, 100);

    (void)state;
    assert_string_equal(drawn(&s, false, 12),
                        "\u2595\u2588\u2588\u2588\u2588\u258c    \u2503\u258f");
}

static void the_load_line_is_seen_above_what_is_used(void **state) {
    struct sample s = sample(100, 100, 100);

    (void)state;
    assert_string_equal(drawn(&s, true, 12), "[#########!]");
    s = sample(500, 900, 100); /* read at different moments */
    assert_string_equal(drawn(&s, true, 12), "[#########!]");
}

static void nothing_is_drawn_of_what_is_not_known(void **state) {
    struct sample s = {.have = 0};

    (void)state;
    assert_string_equal(drawn(&s, true, 12), "");
    assert_string_equal(drawn(NULL, true, 12), "");
    sample_set(&s, METRIC_USED, 4);
    assert_string_equal(drawn(&s, true, 12), "");
    s = sample(0, 0, 0);
    assert_string_equal(drawn(&s, true, 2), "");
    assert_string_equal(drawn(&s, true, 4), "[ !]");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_length_is_the_limit),
        cmocka_unit_test(parts_of_a_cell_are_drawn_where_there_are_blocks),
        cmocka_unit_test(the_load_line_is_seen_above_what_is_used),
        cmocka_unit_test(nothing_is_drawn_of_what_is_not_known),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
