#include "base/table.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>

#include "base/basetest.h"
#include "base/text.h"

static const struct table_column three[] = {{"NAME", TABLE_LEFT, 0, TABLE_CUT_PATH},
                                            {"SIZE", TABLE_RIGHT, 1, TABLE_WHOLE},
                                            {"NOTE", TABLE_LEFT, 2, TABLE_WHOLE}};

static void row(struct table *t, const char *const *cells) {
    for (size_t c = 0; c < t->columns; c++) {
        buf_add(table_cell(t), str_of(cells[c]));
        table_next(t);
    }
}

static void prints(struct table *t, struct table_layout layout, const char *wanted) {
    struct buf b;

    buf_init(&b, 1 << 20);
    assert_int_equal(table_print(t, &layout, &b), 0);
    basetest_holds(&b, wanted);
    buf_done(&b);
}

static void columns_line_up_and_lines_have_no_tail(void **state) {
    struct table t;

    (void)state;
    table_init(&t, three, 3, 4096);
    prints(&t, (struct table_layout){.head = true}, "NAME  SIZE  NOTE\n");
    prints(&t, (struct table_layout){.head = false}, "");
    row(&t, (const char *[]){"a", "1.5G", "x"});
    row(&t, (const char *[]){"longer", "7", "yy"});
    prints(&t, (struct table_layout){.head = true},
           "NAME    SIZE  NOTE\n"
           "a       1.5G  x\n"
           "longer     7  yy\n");
    prints(&t, (struct table_layout){.gap = 1}, "a      1.5G x\nlonger    7 yy\n");
    table_clear(&t);
    row(&t, (const char *[]){"b", "2", "z"});
    prints(&t, (struct table_layout){.gap = 3, .minimum = 10, .head = true},
           "NAME         SIZE   NOTE\nb               2   z\n");
    table_done(&t);
}

static void plain_has_all_columns_between_tabs(void **state) {
    struct table t;

    (void)state;
    table_init(&t, three, 3, 4096);
    row(&t, (const char *[]){"a name that is very long", "1.5G", ""});
    buf_add(table_cell(&t), STR("b"));
    table_next(&t);
    table_unknown(&t);
    table_unknown(&t);
    prints(&t, (struct table_layout){.plain = true, .head = true, .width = 10},
           "NAME\tSIZE\tNOTE\na name that is very long\t1.5G\t\nb\t-\t-\n");
    table_done(&t);
}

static void wide_characters_keep_the_columns_in_line(void **state) {
    struct table t;

    (void)state;
    table_init(&t, three, 3, 4096);
    row(&t, (const char *[]){"\xe6\xbc\xa2\xe5\xad\x97", "1", "x"});
    row(&t, (const char *[]){"e\xcc\x81", "1", "x"});
    row(&t, (const char *[]){"abcd", "1", "x"});
    prints(&t, (struct table_layout){0},
           "\xe6\xbc\xa2\xe5\xad\x97  1  x\n"
           "e\xcc\x81     1  x\n"
           "abcd  1  x\n");
    table_done(&t);
}

/* First long names are cut, then the columns of the highest weight go, then names are cut more. */
static void a_narrow_terminal_loses_the_least_first(void **state) {
    static const struct table_column only[] = {{"NAME", TABLE_LEFT, 0, TABLE_CUT_PATH},
                                               {"SIZE", TABLE_RIGHT, 0, TABLE_WHOLE}};
    struct table t;

    (void)state;
    table_init(&t, three, 3, 4096);
    row(&t, (const char *[]){"abcdefghijklmnopqrst", "1.5G", "note"});
    prints(&t, (struct table_layout){.width = 32}, "abcdefghijklmnopqrst  1.5G  note\n");
    prints(&t, (struct table_layout){.width = 31}, "abcdefghijklmnopqr+  1.5G  note\n");
    prints(&t, (struct table_layout){.width = 28}, "abcdefghijklmno+  1.5G  note\n");
    /* the name has back what the note had */
    prints(&t, (struct table_layout){.width = 27}, "abcdefghijklmnopqrst  1.5G\n");
    prints(&t, (struct table_layout){.width = 22}, "abcdefghijklmno+  1.5G\n");
    prints(&t, (struct table_layout){.width = 21}, "abcdefghijklmnopqrst\n");
    prints(&t, (struct table_layout){.width = 6}, "abcde+\n");
    prints(&t, (struct table_layout){.width = 0}, "abcdefghijklmnopqrst  1.5G  note\n");
    table_done(&t);

    table_init(&t, only, 2, 4096);
    row(&t, (const char *[]){"abcdefghijklmnopqrst", "1.5G"});
    prints(&t, (struct table_layout){.width = 14}, "abcdefg+  1.5G\n");
    table_done(&t);
}

static void a_path_is_cut_at_its_front(void **state) {
    static const struct table_column command[] = {{"COMMAND", TABLE_LEFT, 0, TABLE_CUT_END}};
    struct table t;

    (void)state;
    table_init(&t, three, 3, 4096);
    row(&t, (const char *[]){"/system.slice/docker-4f2a.scope", "1.5G", "note"});
    prints(&t, (struct table_layout){.width = 28}, "+cker-4f2a.scope  1.5G  note\n");
    table_done(&t);

    table_init(&t, command, 1, 4096);
    row(&t, (const char *[]){"/usr/bin/tail -f /var/log/messages"});
    prints(&t, (struct table_layout){.width = 16}, "/usr/bin/tail -+\n");
    table_done(&t);
}

static void no_line_is_wider_than_the_terminal(void **state) {
    struct basetest_random random = {1618};
    struct table t;
    struct buf b;
    char raw[40];

    (void)state;
    buf_init(&b, 1 << 20);
    table_init(&t, three, 3, 1 << 20);
    for (unsigned round = 0; round < 2000; round++) {
        struct table_layout layout = {.head = round % 2, .width = 4 + round % 60};
        struct str rest, line;

        table_clear(&t);
        for (unsigned c = 0; c < 9; c++) {
            text_add_visible(table_cell(&t),
                             (struct str){raw, basetest_bytes(&random, raw, c % 3 ? 6 : 40)},
                             false);
            table_next(&t);
        }
        buf_clear(&b);
        assert_int_equal(table_print(&t, &layout, &b), 0);
        for (rest = buf_str(&b); str_cut(&rest, '\n', &line);)
            assert_true(text_columns(line) <= layout.width);
        assert_int_equal(rest.n, 0);
    }
    table_done(&t);
    buf_done(&b);
}

static void a_cell_that_was_lost_is_an_error(void **state) {
    struct table_layout layout = {.head = true};
    struct table t;
    struct buf b;

    (void)state;
    buf_init(&b, 4096);
    table_init(&t, three, 3, 8);
    row(&t, (const char *[]){"12345678", "9", "x"});
    assert_int_equal(table_print(&t, &layout, &b), -EFBIG);
    assert_int_equal(buf_str(&b).n, 0);
    table_clear(&t);
    row(&t, (const char *[]){"", "", ""});
    assert_int_equal(table_print(&t, &layout, &b), 0);
    table_done(&t);
    buf_done(&b);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(columns_line_up_and_lines_have_no_tail),
        cmocka_unit_test(plain_has_all_columns_between_tabs),
        cmocka_unit_test(wide_characters_keep_the_columns_in_line),
        cmocka_unit_test(a_narrow_terminal_loses_the_least_first),
        cmocka_unit_test(a_path_is_cut_at_its_front),
        cmocka_unit_test(no_line_is_wider_than_the_terminal),
        cmocka_unit_test(a_cell_that_was_lost_is_an_error),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
