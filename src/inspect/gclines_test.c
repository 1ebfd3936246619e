#include "inspect/gclines.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "base/basetest.h"
#include "base/mem.h"

#define GC1                                                                                        \
    "gc 1 @0.008s 3%: 0.050+0.90+0.028 ms clock, 0.10+0.43/0.021/0+0.056 ms cpu, 4->4->0 MB, "     \
    "4 MB goal, 0 MB stacks, 0 MB globals, 2 P"
#define GC2                                                                                        \
    "gc 2 @0.016s 2%: 0.009+0.44+0.030 ms clock, 0.018+0.20/0.082/0.21+0.061 ms cpu, "             \
    "5->5->1 MB, 5 MB goal, 2 P (forced)"
#define SCVG "scvg0: inuse: 3, idle: 59, sys: 63, released: 57, consumed: 6 (MB)"

struct sink {
    struct gclines lines;
    struct buf text, order;
};

static void take_text(void *ctx, struct str s) {
    buf_add(&((struct sink *)ctx)->text, s);
}

static void take_line(void *ctx, const struct gctrace *g, struct str line) {
    struct sink *sink = ctx;
    struct gctrace again;

    if (line.n > 0) {
        gctrace_parse(line, &again);
        assert_memory_equal(g, &again, sizeof(again));
    }
    buf_add_format(&sink->order, "%u:%llu@%zu ", (unsigned)g->kind,
                   (unsigned long long)g->value[GCTRACE_NUMBER], sink->text.n);
}

static void open_sink(struct sink *s) {
    gclines_init(&s->lines, take_text, take_line, s);
    buf_init(&s->text, 1 << 24);
    buf_init(&s->order, 1 << 16);
}

static void close_sink(struct sink *s) {
    buf_done(&s->text);
    buf_done(&s->order);
}

/* Fed in pieces of every length, the same comes out each time. */
static void expect(const char *in, const char *text, const char *order) {
    for (size_t piece = 1; piece <= strlen(in); piece++) {
        struct sink s;
        struct str rest = str_of(in);

        open_sink(&s);
        for (; rest.n > 0; rest = str_from(rest, piece))
            gclines_feed(&s.lines, str_head(rest, piece < rest.n ? piece : rest.n));
        gclines_flush(&s.lines, true);
        if (!str_eq(buf_str(&s.text), str_of(text)))
            fail_msg("pieces of %zu: '%.*s', not '%s'", piece, STR_ARG(buf_str(&s.text)), text);
        if (!str_eq(buf_str(&s.order), str_of(order)))
            fail_msg("pieces of %zu: '%.*s', not '%s'", piece, STR_ARG(buf_str(&s.order)), order);
        close_sink(&s);
    }
}

static void lines_are_told_apart(void **state) {
    (void)state;
    expect("", "", "");
    expect("hello\nworld", "hello\nworld", "");
    expect(GC1 "\n", "", "1:1@0 ");
    expect(GC1, "", "1:1@0 ");
    expect("a\n" GC1 "\nb\n" SCVG "\n" GC2 "\nGC forced\nc\n", "a\nb\nc\n",
           "1:1@2 2:0@4 1:2@4 3:0@4 ");
    expect("gc 12 foo\ngcc: error\nscavenger hunt\ng\ns\nG",
           "gc 12 foo\ngcc: error\nscavenger hunt\ng\ns\nG", "");
}

static void a_line_behind_other_text_is_the_programs(void **state) {
    (void)state;
    expect("loading... " GC1 "\n50%\n", "loading... " GC1 "\n50%\n", "");
    expect("log: the last was: " GC1 "\nnext\n", "log: the last was: " GC1 "\nnext\n", "");
    expect("loggc" GC1 "\n" GC2 "\nx", "loggc" GC1 "\nx", "1:2@135 ");
    expect("gc 7 @ " GC1 "\nx\n", "gc 7 @ " GC1 "\nx\n", "");
    expect("it was " GC1, "it was " GC1, "");
    expect("10%\r" GC1 "\n20%\n", "10%\r20%\n", "1:1@4 ");
    expect("x gc 7 @\r" GC1 "\n20%\n", "x gc 7 @\r20%\n", "1:1@9 ");
}

static void a_line_behind_a_logs_prefix_counts_and_goes_on(void **state) {
    (void)state;
    expect("web_1  | " GC1 "\nweb_1  | hello\n", "web_1  | " GC1 "\nweb_1  | hello\n", "1:1@139 ");
    expect("web_1  | " GC1 "\r\nweb_1  | " GC2, "web_1  | " GC1 "\r\nweb_1  | " GC2,
           "1:1@140 1:2@264 ");
    expect("web_1  | gc 1 @\nx\n", "web_1  | gc 1 @\nx\n", "");
}

static void lines_of_a_terminal_are_read(void **state) {
    (void)state;
    expect("a\r\n" GC1 "\r\nb\r\n" GC2 "\r\n", "a\r\nb\r\n", "1:1@3 1:2@6 ");
    expect("gc 2 @hello world\r\n0.016s 2%: 0.009+0.44+0.030 ms clock, 1+2/3/4+5 ms cpu, "
           "5->5->1 MB, 5 MB goal, 2 P\r\nx\r\n",
           "hello world\r\nx\r\n", "1:2@13 ");
}

/* The runtime writes its line in pieces. */
static void a_line_that_another_came_into_is_found(void **state) {
    (void)state;
    expect("gc 1 @hello\n" GC2 "\n", "gc 1 @hello\n", "1:2@12 ");
    expect("gc 2 @hello world\n0.016s 2%: 0.009+0.44+0.030 ms clock, 1+2/3/4+5 ms cpu, 5->5->1 MB, "
           "5 MB "
           "goal, 2 P\nx\n",
           "hello world\nx\n", "1:2@12 ");
    expect(
        "gc 2 @2023/01/02 a log\nand more\n0.016s 2%: 0.009+0.44+0.030 ms clock, 1+2/3/4+5 ms cpu, "
        "5->5->1 MB, 5 MB goal, 2 P\nx\n",
        "2023/01/02 a log\nand more\nx\n", "1:2@26 ");
    expect(
        "gc 2 @0.016s 2%: 1+1+1 ms  clock\n clock, 1+2/3/4+5 ms cpu, 5->5->1 MB, 5 MB goal, 2 P\n",
        "  clock\n", "1:2@8 ");
}

/* Each write by itself, as from a pipe of packets. */
static void expect_writes(const char *const *writes, size_t n, const char *text,
                          const char *order) {
    struct sink s;

    open_sink(&s);
    for (size_t i = 0; i < n; i++)
        gclines_write(&s.lines, str_of(writes[i]));
    gclines_flush(&s.lines, true);
    basetest_holds(&s.text, text);
    basetest_holds(&s.order, order);
    close_sink(&s);
}

static void pieces_are_told_from_lines_between_any_of_them(void **state) {
    static const char *const mixed[] = {"a\n",         "gc ",
                                        "1",           "12 files\n",
                                        " @",          "0.008",
                                        "b.\n",        "s ",
                                        "3",           "2026/11/21 x\n",
                                        "%: ",         "1",
                                        "+",           "2",
                                        "+",           "3",
                                        " ms clock, ", "1",
                                        "+",           "2",
                                        "/",           "0",
                                        "/",           "3",
                                        "+",           "5",
                                        " ms cpu, ",   "4",
                                        "->",          "4",
                                        "c\n",         "->",
                                        "0",           " MB, ",
                                        "4",           " MB goal, ",
                                        "2",           " P",
                                        " (forced)",   "d\n",
                                        "\n",          "e\n",
                                        "scav ",       "12",
                                        " KiB work, ", "f\n",
                                        "44",          " KiB total, ",
                                        "9",           "% util",
                                        "\n",          "GC forced",
                                        "\n",          GC2 "\n"};
    static const char *const behind[] = {"loading... ", "GC forced", "\n", "50%\n"};
    static const char *const none[] = {"gc ", "1", "no\n", " @", "x", "\n", "gc ", "mm\n", "7"};

    (void)state;
    expect_writes(mixed, ARRAY_N(mixed), "a\n12 files\nb.\n2026/11/21 x\nc\nd\ne\nf\n",
                  "1:1@31 2:0@35 3:0@35 1:2@35 ");
    expect_writes(behind, ARRAY_N(behind), "loading... 50%\n", "3:0@11 ");
    expect_writes(none, ARRAY_N(none), "gc 1no\n @x\ngc mm\n7", "");
}

static void what_is_not_certain_is_the_programs(void **state) {
    (void)state;
    expect("gc 2 @0.016s 2%: 1+1+1 ms\nclock\n", "gc 2 @0.016s 2%: 1+1+1 ms\nclock\n", "");
    expect("gc 2 @\n\n\n\n\n\n0.016s\n", "gc 2 @\n\n\n\n\n\n0.016s\n", "");
    expect("gc 2 @a\nb", "gc 2 @a\nb", "");
    expect("gc 2 @a\ngc 3 @b\n" GC1 "\n", "gc 2 @a\ngc 3 @b\n", "1:1@16 ");
}

static void what_cannot_be_one_is_not_held_back(void **state) {
    struct sink s;

    (void)state;
    open_sink(&s);
    gclines_feed(&s.lines, STR("name: "));
    basetest_holds(&s.text, "name: ");
    assert_int_equal(gclines_patience_us(&s.lines), 0);
    gclines_feed(&s.lines, STR("message"));
    basetest_holds(&s.text, "message");
    gclines_feed(&s.lines, STR(" gc"));
    basetest_holds(&s.text, " ");
    assert_in_range(gclines_patience_us(&s.lines), 1, 200000);
    gclines_feed(&s.lines, STR(" 1 @"));
    assert_true(gclines_patience_us(&s.lines) > 200000);
    gclines_flush(&s.lines, false);
    basetest_holds(&s.text, "gc 1 @");
    close_sink(&s);
}

static void a_huge_line_takes_no_memory(void **state) {
    enum { SIZE = 1 << 20 };
    static const char *const fills[] = {"x", "gc 1 @", "gc ", "s", "scvg0: ", "g"};
    char *big = malloc(SIZE);

    (void)state;
    assert_non_null(big);
    for (size_t f = 0; f < ARRAY_N(fills); f++) {
        struct sink s;
        size_t n = strlen(fills[f]);

        for (size_t i = 0; i < SIZE; i++)
            big[i] = fills[f][i % n];
        open_sink(&s);
        for (size_t at = 0; at < SIZE; at += 65536)
            gclines_feed(&s.lines, (struct str){big + at, 65536});
        gclines_feed(&s.lines, STR("\n" GC1 "\n"));
        gclines_flush(&s.lines, true);
        assert_int_equal(s.text.n, SIZE + 1);
        assert_memory_equal(s.text.p, big, SIZE);
        assert_true(s.order.n > 0);
        close_sink(&s);
    }
    free(big);
}

/* Random texts with collector's lines between: without newline, with NUL, cut anywhere. */
static void no_byte_of_the_program_is_lost(void **state) {
    struct basetest_random random = {7};
    static const char *const own[] = {GC1 "\n", GC2 "\n", SCVG "\n", "GC forced\n"};

    (void)state;
    for (unsigned round = 0; round < 2000; round++) {
        struct buf in, wanted;
        struct sink s;
        unsigned lines = 0, got = 0;
        struct str rest;

        open_sink(&s);
        buf_init(&in, 1 << 20);
        buf_init(&wanted, 1 << 20);
        for (unsigned i = 0; i < 12; i++) {
            char bytes[100];
            const char *line;
            bool is_own;
            size_t n = basetest_bytes(&random, bytes, sizeof(bytes));

            buf_add(&in, (struct str){bytes, n});
            buf_add(&wanted, (struct str){bytes, n});
            if (round % 2) {
                buf_add_char(&in, '\n');
                buf_add_char(&wanted, '\n');
            }
            line = own[basetest_next(&random) % 4];
            is_own = in.n == 0 || in.p[in.n - 1] == '\n' || in.p[in.n - 1] == '\r';
            buf_add(&in, str_of(line));
            if (!is_own)
                buf_add(&wanted, str_of(line));
            lines += is_own;
        }
        for (rest = buf_str(&in); rest.n > 0;) {
            size_t n = basetest_next(&random) % 70 + 1;

            n = n < rest.n ? n : rest.n;
            gclines_feed(&s.lines, str_head(rest, n));
            rest = str_from(rest, n);
        }
        gclines_flush(&s.lines, true);
        for (size_t i = 0; i < s.order.n; i++)
            got += s.order.p[i] == ' ';
        assert_int_equal(got, lines);
        assert_int_equal(s.text.n, wanted.n);
        assert_memory_equal(s.text.p, wanted.p, wanted.n);
        buf_done(&in);
        buf_done(&wanted);
        close_sink(&s);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines_are_told_apart),
        cmocka_unit_test(a_line_behind_other_text_is_the_programs),
        cmocka_unit_test(a_line_behind_a_logs_prefix_counts_and_goes_on),
        cmocka_unit_test(lines_of_a_terminal_are_read),
        cmocka_unit_test(a_line_that_another_came_into_is_found),
        cmocka_unit_test(pieces_are_told_from_lines_between_any_of_them),
        cmocka_unit_test(what_is_not_certain_is_the_programs),
        cmocka_unit_test(what_cannot_be_one_is_not_held_back),
        cmocka_unit_test(a_huge_line_takes_no_memory),
        cmocka_unit_test(no_byte_of_the_program_is_lost),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
