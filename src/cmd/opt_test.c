#include "cmd/opt.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdio.h>

#include "base/basetest.h"
#include "base/mem.h"

struct options {
    uint64_t size;
    int64_t interval_us;
    unsigned all;
};

static int set_all(void *into, struct str value, struct err *err) {
    (void)value, (void)err;
    ((struct options *)into)->all++;
    return 0;
}

static int set_size(void *into, struct str value, struct err *err) {
    return opt_size(value, &((struct options *)into)->size, err);
}

static int set_interval(void *into, struct str value, struct err *err) {
    return opt_interval_us(value, &((struct options *)into)->interval_us, err);
}

static const struct opt opts[] = {
    {"all", 'a', NULL, "every group", set_all},
    {"size", 's', "SIZE", "how much", set_size},
    {"interval", 'i', "TIME", "how often", set_interval},
    {"no-trunc", 0, NULL, "whole ids", set_all},
    {NULL, 0, NULL, NULL, NULL},
};

static const struct cmd cmd = {.name = "stats",
                               .brief = "what uses memory",
                               .synopsis = "[OPTIONS] [NAME...]",
                               .opts = opts,
                               .output_opts = true,
                               .options_size = sizeof(struct options)};

enum { MOST = 12 };

struct line {
    struct options options;
    struct cmd_context context;
    struct err err;
    char text[MOST][64];
    char *argv[MOST + 1];
    int result;
};

/* Parses "stats" and these words, up to the first NULL. */
static struct line *given(struct line *l, const struct cmd *c, const char *const *words) {
    int argc = 1;

    memset(l, 0, sizeof(*l));
    snprintf(l->text[0], sizeof(l->text[0]), "stats");
    l->argv[0] = l->text[0];
    for (; words[argc - 1]; argc++) {
        snprintf(l->text[argc], sizeof(l->text[argc]), "%s", words[argc - 1]);
        l->argv[argc] = l->text[argc];
    }
    l->result = opt_parse(c, argc, l->argv, &l->options, &l->context, &l->err);
    return l;
}

#define GIVEN(line, ...) given(line, &cmd, (const char *const[]){__VA_ARGS__, NULL})

static void options_may_stand_anywhere_in_all_their_forms(void **state) {
    struct line l;

    (void)state;
    GIVEN(&l, "web", "-a", "--size=1.5G", "db", "--interval", "200ms", "-s", "60M", "--no-trunc",
          "last");
    assert_int_equal(l.result, 0);
    assert_int_equal(l.options.all, 2);
    assert_int_equal(l.options.size, 62914560);
    assert_int_equal(l.options.interval_us, 200000);
    assert_int_equal(l.context.nargs, 3);
    assert_string_equal(l.context.args[0], "web");
    assert_string_equal(l.context.args[1], "db");
    assert_string_equal(l.context.args[2], "last");
    GIVEN(&l, "-as64k", "-i2");
    assert_int_equal(l.result, 0);
    assert_int_equal(l.options.all, 1);
    assert_int_equal(l.options.size, 65536);
    assert_int_equal(l.options.interval_us, 2000000);
    GIVEN(&l, "--json", "--plain", "--root", "/captured");
    assert_int_equal(l.result, 0);
    assert_true(l.context.json && l.context.plain);
    assert_string_equal(l.context.root, "/captured");
}

static void what_looks_like_a_negative_number_is_an_argument(void **state) {
    struct line l;

    (void)state;
    GIVEN(&l, "-1", "-a", "-99999999999999999999");
    assert_int_equal(l.result, 0);
    assert_int_equal(l.options.all, 1);
    assert_int_equal(l.context.nargs, 2);
    assert_string_equal(l.context.args[0], "-1");
    GIVEN(&l, "-1x");
    assert_int_equal(l.result, -EINVAL);
}

static void two_dashes_end_the_options(void **state) {
    struct line l;

    (void)state;
    GIVEN(&l, "-a", "--", "-a", "--nonsense", "--", "-");
    assert_int_equal(l.result, 0);
    assert_int_equal(l.options.all, 1);
    assert_int_equal(l.context.nargs, 4);
    assert_string_equal(l.context.args[0], "-a");
    assert_string_equal(l.context.args[1], "--nonsense");
    assert_string_equal(l.context.args[2], "--");
    assert_string_equal(l.context.args[3], "-");
    GIVEN(&l, "-", "");
    assert_int_equal(l.result, 0);
    assert_int_equal(l.context.nargs, 2);
}

static void an_argument_is_taken_as_it_stands(void **state) {
    struct line l;

    (void)state;
    GIVEN(&l, "--root", "--json");
    assert_int_equal(l.result, 0);
    assert_string_equal(l.context.root, "--json");
    assert_false(l.context.json);
    GIVEN(&l, "--root=a=b");
    assert_string_equal(l.context.root, "a=b");
}

static void help_wins_over_what_follows(void **state) {
    struct line l;

    (void)state;
    GIVEN(&l, "-a", "--help", "--nonsense");
    assert_int_equal(l.result, 1);
    GIVEN(&l, "-ah");
    assert_int_equal(l.result, 1);
}

static void mistakes_are_named(void **state) {
    static const struct {
        const char *word, *says;
    } bad[] = {
        {"--intervall=2", "unknown option '--intervall', did you mean '--interval'?"},
        {"--sise", "unknown option '--sise', did you mean '--size'?"},
        {"--no-trucn", "unknown option '--no-trucn', did you mean '--no-trunc'?"},
        {"--jsno", "unknown option '--jsno', did you mean '--json'?"},
        {"--completely-else", "unknown option '--completely-else'"},
        {"--", NULL},
        {"-z", "unknown option '-z'"},
        {"-az", "unknown option '-z'"},
        {"--all=1", "option '--all' takes no argument"},
        {"--size", "option '--size' needs an argument: SIZE"},
        {"-s", "option '-s' needs an argument: SIZE"},
        {"--size=", "'' is not a size; write it as 60M, 1.5G or 512MiB"},
        {"--size=12x", "'12x' is not a size; write it as 60M, 1.5G or 512MiB"},
        {"--interval=soon", "'soon' is not an interval; write it as 1, 0.5, 200ms or 1m"},
        {"--interval=49ms", "an interval of '49ms' is out of range (50ms to 1d)"},
        {"--interval=25h", "an interval of '25h' is out of range (50ms to 1d)"},
        {"--interval=99999999999999999999",
         "an interval of '99999999999999999999' is out of range (50ms to 1d)"},
        {"--root=", "--root needs a directory"},
    };
    struct line l;

    (void)state;
    for (size_t i = 0; i < ARRAY_N(bad); i++) {
        GIVEN(&l, bad[i].word);
        if (!bad[i].says) {
            assert_int_equal(l.result, 0);
            continue;
        }
        assert_int_equal(l.result, -EINVAL);
        assert_string_equal(l.err.text, bad[i].says);
        assert_int_equal(l.options.size, 0);
        assert_int_equal(l.options.interval_us, 0);
    }
}

static void a_timeout_has_bounds_that_are_told(void **state) {
    static const struct {
        const char *value, *says;
        unsigned least_ms;
    } bad[] = {
        {"499ms", "'499ms' is not a time from 500ms to 10m", 500},
        {"999ms", "'999ms' is not a time from 1s to 10m", 1000},
        {"601", "'601' is not a time from 0s to 10m", 0},
        {"soon", "'soon' is not a time from 1500ms to 10m", 1500},
    };
    uint64_t ms = 7;
    struct err err;

    (void)state;
    for (size_t i = 0; i < ARRAY_N(bad); i++) {
        assert_int_equal(opt_timeout_ms(str_of(bad[i].value), bad[i].least_ms, &ms, &err), -EINVAL);
        assert_string_equal(err.text, bad[i].says);
        assert_int_equal(ms, 7);
    }
    assert_int_equal(opt_timeout_ms(STR("500ms"), 500, &ms, &err), 0);
    assert_int_equal(ms, 500);
    assert_int_equal(opt_timeout_ms(STR("10m"), 0, &ms, &err), 0);
    assert_int_equal(ms, 600000);
}

static void a_command_that_prints_no_data_has_no_output_options(void **state) {
    static const struct cmd quiet = {.name = "quiet", .brief = "b", .synopsis = ""};
    struct line l;
    struct buf b;

    (void)state;
    given(&l, &quiet, (const char *const[]){"--json", NULL});
    assert_int_equal(l.result, -EINVAL);
    given(&l, &quiet, (const char *const[]){"--root", "/x", NULL});
    assert_int_equal(l.result, 0);
    buf_init(&b, 4096);
    opt_add_help(&quiet, &b);
    buf_add_char(&b, '\0');
    assert_null(strstr(b.p, "--json"));
    assert_non_null(strstr(b.p, "--root DIR"));
    buf_done(&b);
}

static void another_programs_command_line_is_left_alone(void **state) {
    static const struct cmd run = {.name = "run",
                                   .brief = "b",
                                   .synopsis = "",
                                   .opts = opts,
                                   .acts = true,
                                   .takes_command = true,
                                   .options_size = sizeof(struct options)};
    struct line l;

    (void)state;
    given(&l, &run, (const char *const[]){"-a", "ls", "-a", "--", "--size", NULL});
    assert_int_equal(l.result, 0);
    assert_int_equal(l.options.all, 1);
    assert_int_equal(l.context.nargs, 4);
    assert_string_equal(l.context.args[1], "-a");
    assert_string_equal(l.context.args[2], "--");
    assert_string_equal(l.context.args[3], "--size");
    assert_null(l.context.args[4]);
    given(&l, &run, (const char *const[]){"-a", "--", "-x", "-a", NULL});
    assert_int_equal(l.result, 0);
    assert_int_equal(l.context.nargs, 2);
    assert_string_equal(l.context.args[0], "-x");
    assert_null(l.context.args[2]);
    given(&l, &run, (const char *const[]){"--root", "/x", NULL});
    assert_int_equal(l.result, -EINVAL); /* what acts, acts on this machine */
}

static void suggestions_are_near_or_none(void **state) {
    static const char *const words[] = {"stats", "ps", "free", "map"};

    (void)state;
    assert_string_equal(opt_suggest(STR("stast"), words, 4), "stats");
    assert_string_equal(opt_suggest(STR("state"), words, 4), "stats");
    assert_string_equal(opt_suggest(STR("fre"), words, 4), "free");
    assert_string_equal(opt_suggest(STR("pss"), words, 4), "ps");
    assert_null(opt_suggest(STR("xy"), words, 4)); /* all of it would have to change */
    assert_null(opt_suggest(STR("docker"), words, 4));
    assert_null(opt_suggest(STR(""), words, 4));
    assert_null(opt_suggest(STR("stats"), words, 0));
}

static void help_lists_every_option_with_its_words(void **state) {
    struct buf b;

    (void)state;
    buf_init(&b, 1 << 16);
    opt_add_help(&cmd, &b);
    buf_add_char(&b, '\0');
    assert_int_equal(buf_error(&b), 0);
    assert_true(str_starts(buf_str(&b), STR("usage: plimsoll stats [OPTIONS] [NAME...]\n")));
    for (const struct opt *o = opts; o->name; o++) {
        char form[64];

        snprintf(form, sizeof(form), "--%s%s%s", o->name, o->arg ? " " : "", o->arg ? o->arg : "");
        assert_non_null(strstr(b.p, form));
        assert_non_null(strstr(b.p, o->help));
    }
    assert_non_null(strstr(b.p, "  -a, --all"));
    assert_non_null(strstr(b.p, "--json"));
    assert_non_null(strstr(b.p, "  -h, --help"));
    buf_done(&b);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(options_may_stand_anywhere_in_all_their_forms),
        cmocka_unit_test(what_looks_like_a_negative_number_is_an_argument),
        cmocka_unit_test(two_dashes_end_the_options),
        cmocka_unit_test(an_argument_is_taken_as_it_stands),
        cmocka_unit_test(help_wins_over_what_follows),
        cmocka_unit_test(mistakes_are_named),
        cmocka_unit_test(a_timeout_has_bounds_that_are_told),
        cmocka_unit_test(a_command_that_prints_no_data_has_no_output_options),
        cmocka_unit_test(another_programs_command_line_is_left_alone),
        cmocka_unit_test(suggestions_are_near_or_none),
        cmocka_unit_test(help_lists_every_option_with_its_words),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
