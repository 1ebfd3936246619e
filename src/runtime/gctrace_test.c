#include "runtime/gctrace.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <fcntl.h>

#include "base/basetest.h"
#include "base/file.h"
#include "base/mem.h"

static const char *const names[GCTRACE_FIELDS] = {
    "number", "at_us",   "share", "clock", "stw",  "cpu", "start",    "end",      "live", "goal",
    "stacks", "globals", "procs", "inuse", "idle", "sys", "released", "consumed", "work", "util"};

static void say(const struct gctrace *g, struct buf *out) {
    static const char *const kinds[] = {"other", "gc", "scvg", "periodic"};

    buf_add_format(out, "%s", kinds[g->kind]);
    for (unsigned f = 0; f < GCTRACE_FIELDS; f++)
        if (gctrace_has(g, f))
            buf_add_format(out, " %s=%llu", names[f], (unsigned long long)g->value[f]);
    if (g->forced)
        buf_add(out, STR(" forced"));
}

static void every_published_format_says_what_it_says(void **state) {
    char text[65536];
    struct str rest, line, last = {"", 0};
    struct gctrace g;
    struct buf said;
    unsigned n = 0;

    (void)state;
    buf_init(&said, 4096);
    assert_int_equal(
        file_read_at(AT_FDCWD, "tests/fixtures/gctrace/formats.txt", text, sizeof(text), &rest), 0);
    while (str_cut(&rest, '\n', &line)) {
        if (str_skip(&line, STR("< "))) {
            last = line;
            gctrace_parse(line, &g);
            assert_int_equal(gctrace_head(line), g.kind == GCTRACE_OTHER ? 0 : GCTRACE_BEGUN);
        } else if (str_skip(&line, STR("> "))) {
            say(&g, &said);
            if (!str_eq(buf_str(&said), line))
                fail_msg("'%.*s' says\n'%.*s', not\n'%.*s'", STR_ARG(last), STR_ARG(buf_str(&said)),
                         STR_ARG(line));
            buf_clear(&said);
            n++;
        }
    }
    assert_true(n >= 22);
    buf_done(&said);
}

static enum gctrace_kind kind_of(const char *text) {
    struct gctrace g;

    gctrace_parse(str_of(text), &g);
    if (g.kind == GCTRACE_OTHER)
        assert_int_equal(g.have, 0);
    return g.kind;
}

#define WHOLE                                                                                      \
    "gc 1 @0.008s 3%: 0.050+0.90+0.028 ms clock, 0.10+0.43/0.021/0+0.056 ms cpu, 4->4->0 MB, "     \
    "4 MB goal, 0 MB stacks, 0 MB globals, 2 P"

static void a_line_of_the_program_is_not_the_collectors(void **state) {
    static const char *const others[] = {
        "",
        "gc",
        "gc 12 foo",
        "gc 1",
        "gc 1 @0.008s 3%: done",
        "gcc: error: no input files",
        "gc1(1): hello",
        "scvg: nothing",
        "scvg-: 4 MB released",
        "scvg0: 4 MB kept",
        "scvg0: inuse: 3, idle: 60, released: 60, consumed: 3 (MB)",
        "scav 1 KiB work",
        "scav 1 KiB work, 2 KiB total, 99% utilisation",
        "GC forced by hand",
        "scvg0: GC forced by hand",
        "scvg-1: GC forced",
        WHOLE "\r\r",
        "the gc 1 @0.008s",
        " " WHOLE,
        "gc 1 @99999999999999999999s 3%: 1+2+3 ms clock, 4+5+6 ms cpu, 4->4->0 MB, 4 MB goal, 2 P",
        "gc 1 @1s 3%: 0.0+0.9+0.0 ms clock, 1+2+3 ms cpu, 99999999999999->4->0 MB, 4 MB goal, 2 P",
        "gc 1 @1s 3%: -1+0.9+0.0 ms clock, 1+2+3 ms cpu, 4->4->0 MB, 4 MB goal, 2 P",
        "gc 1 @1s 3%: 1e3+0.9+0.0 ms clock, 1+2+3 ms cpu, 4->4->0 MB, 4 MB goal, 2 P",
        "gc 1 @1s 3%: 0.0+0.9+0.0 ms clock,  1+2+3 ms cpu, 4->4->0 MB, 4 MB goal, 2 P",
        "gc 1 @1s 3%: 0.0+0.9+0.0 ms clock, 1+2+3 ms cpu, 4->4->0 MB, 2 P",
        "gc 1 @1s 3%: 0.9+0.0 ms clock, 1+2+3 ms cpu, 4->4->0 MB, 4 MB goal, 2 P",
        "gc 1 @1s 3%: 1+2+3 ms clock, 1+3/4+5 ms cpu, 4->4->0 MB, 4 MB goal, 2 P",
        "gc 1 @1s 3%: 1+2+3 ms clock, 1+2+3 ms cpu, 4->0 MB, 4 MB goal, 2 P",
    };

    (void)state;
    assert_int_equal(kind_of(WHOLE), GCTRACE_GC);
    assert_int_equal(kind_of(WHOLE "\r"), GCTRACE_GC);
    assert_int_equal(kind_of("scvg0: GC forced"), GCTRACE_PERIODIC);
    assert_int_equal(kind_of("GC forced\r"), GCTRACE_PERIODIC);
    for (size_t i = 0; i < ARRAY_N(others); i++)
        if (kind_of(others[i]) != GCTRACE_OTHER)
            fail_msg("'%s' is taken for a line of the collector", others[i]);
}

/* Whatever stands in the middle of a line, none of its bytes may be swallowed; nor may a line that
 * was cut short count. */
static void a_line_with_another_text_in_it_is_nobodys(void **state) {
    static const char *const texts[] = {"x", "hello", "Loading...", "10%\r", "\x1b[0m", " ", "a b"};
    struct str whole = STR(WHOLE);
    struct gctrace g;
    char line[400];

    (void)state;
    for (size_t i = 0; i < ARRAY_N(texts); i++)
        for (size_t at = 1; at <= whole.n; at++) {
            size_t n = strlen(texts[i]);

            memcpy(line, whole.p, at);
            memcpy(line + at, texts[i], n);
            memcpy(line + at + n, whole.p + at, whole.n - at);
            gctrace_parse((struct str){line, whole.n + n}, &g);
            if (g.kind != GCTRACE_OTHER)
                fail_msg("'%.*s' passes", (int)(whole.n + n), line);
        }
    for (size_t n = 0; n < whole.n; n++) {
        gctrace_parse(str_head(whole, n), &g);
        assert_int_equal(g.kind, GCTRACE_OTHER);
    }
}

static void a_beginning_is_known_at_every_length(void **state) {
    static const char *const never[] = {"x",    "gcc",       "gc x",   "gc 12 x",
                                        "scan", "GC force!", "scav x", "gc 1234567890123456789 @"};
    static const char *const begun[] = {
        "gc 1 @", "gc #1 @", "gc1(4): ", "scvg-1: ", "scvg: ", "scvg7: ", "scav 1 ", "GC forced"};

    (void)state;
    for (size_t i = 0; i < ARRAY_N(never); i++)
        assert_int_equal(gctrace_head(str_of(never[i])), GCTRACE_NEVER);
    for (size_t i = 0; i < ARRAY_N(begun); i++) {
        struct str s = str_of(begun[i]);

        assert_int_equal(gctrace_head(s), GCTRACE_BEGUN);
        for (size_t n = 0; n < s.n; n++)
            assert_int_equal(gctrace_head(str_head(s, n)), GCTRACE_MAYBE);
    }
}

static void any_bytes_are_harmless(void **state) {
    struct basetest_random random = {42};
    char line[600];
    struct gctrace g;

    (void)state;
    for (unsigned i = 0; i < 20000; i++) {
        size_t n;

        if (i % 2) {
            n = basetest_bytes(&random, line, sizeof(line));
        } else { /* a true line with some bytes changed */
            n = strlen(WHOLE);
            memcpy(line, WHOLE, n);
            for (unsigned k = 0; k < 3; k++)
                line[basetest_next(&random) % n] = (char)basetest_next(&random);
        }
        gctrace_parse((struct str){line, n}, &g);
        (void)gctrace_head((struct str){line, n});
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_published_format_says_what_it_says),
        cmocka_unit_test(a_line_of_the_program_is_not_the_collectors),
        cmocka_unit_test(a_line_with_another_text_in_it_is_nobodys),
        cmocka_unit_test(a_beginning_is_known_at_every_length),
        cmocka_unit_test(any_bytes_are_harmless),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
