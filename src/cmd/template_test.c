#include "cmd/template.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>

#include "base/basetest.h"
#include "base/mem.h"
#include "cmd/statsview.h"

static const char *const names[] = {"Name", "ID", "MemUsage"};
static const struct str row[] = {{"web\x1b[31m", 8}, {"4f2aBC", 6}, {"5.629MiB / 32MiB", 16}};

static void parsed(const char *source, struct template *out) {
    struct err err = {0};

    if (template_parse(str_of(source), names, ARRAY_N(names), out, &err) < 0)
        fail_msg("'%s': %s", source, err.text);
}

static void prints(const char *source, const char *wanted) {
    struct template t;
    struct buf b;

    parsed(source, &t);
    assert_false(t.whole);
    buf_init(&b, 4096);
    for (size_t i = 0; i < t.parts; i++)
        if (t.part[i].field < 0)
            buf_add(&b, t.part[i].text);
        else
            template_add_field(&b, t.part[i].function, row[t.part[i].field], false);
    basetest_holds(&b, wanted);
    buf_done(&b);
    template_done(&t);
    template_done(&t); /* twice is legal */
}

static void templates_print_as_docker_does(void **state) {
    (void)state;
    prints("{{.ID}}: {{.MemUsage}}", "4f2aBC: 5.629MiB / 32MiB");
    prints("{{ .ID }}", "4f2aBC");
    prints("{{\t.ID\t}}|{{.ID}}", "4f2aBC|4f2aBC");
    prints("{{json .ID}},{{ json .MemUsage }}", "\"4f2aBC\",\"5.629MiB / 32MiB\"");
    prints("{{upper .ID}} {{lower .ID}}", "4F2ABC 4f2abc");
    prints("no fields at all", "no fields at all");
    prints("", "");
    prints("{.ID} }} { {{.ID}}", "{.ID} }} { 4f2aBC");
    prints("a\\tb\\n\\x{{.ID}}\\", "a\tb\n\\x4f2aBC\\");
}

static void marks_eat_the_white_space_beside_them(void **state) {
    (void)state;
    prints("a \\n{{- .ID -}}\\t b", "a4f2aBCb");
    prints("a {{- .ID }} b", "a4f2aBC b");
    prints("a {{ .ID -}} b", "a 4f2aBCb");
    prints("{{.ID -}} \\n {{- .ID}}", "4f2aBC4f2aBC");
    prints(" {{- upper .ID -}} ", "4F2ABC");
    prints("a b {{- .ID}}", "a b4f2aBC");
}

static void a_function_may_stand_behind_its_field(void **state) {
    (void)state;
    prints("{{.ID | upper}} {{ .ID|lower }} {{.ID |json}}", "4F2ABC 4f2abc \"4f2aBC\"");
    prints("{{- .ID | upper -}} ", "4F2ABC");
}

static void what_is_not_supported_is_named(void **state) {
    static const struct {
        const char *source, *named;
    } bad[] = {{"{{if .ID}}x{{end}}", "'{{if ...}}' is not supported"},
               {"{{- range .ID}}", "'{{range ...}}' is not supported"},
               {"{{printf \"%s\" .ID}}", "'{{printf ...}}' is not supported"},
               {"{{.ID | title}}", "cannot understand '{{.ID | title}}'"}};
    struct template t;
    struct err err;

    (void)state;
    for (size_t i = 0; i < ARRAY_N(bad); i++) {
        assert_int_equal(template_parse(str_of(bad[i].source), names, ARRAY_N(names), &t, &err),
                         -EINVAL);
        if (!strstr(err.text, bad[i].named) || !strstr(err.text, "{{.Field}}"))
            fail_msg("'%s' gives '%s'", bad[i].source, err.text);
    }
}

static void names_are_made_fit_for_where_they_go(void **state) {
    (void)state;
    prints("{{.Name}}", "web\\x1b[31m");
    prints("{{json .Name}}", "\"web\\u001b[31m\"");
}

static void a_table_is_announced_by_its_first_word(void **state) {
    struct template t;

    (void)state;
    parsed("table {{.ID}}\\t{{.MemUsage}}", &t);
    assert_true(t.table && !t.whole);
    assert_int_equal(t.parts, 3);
    assert_int_equal(t.part[0].field, 1);
    assert_true(str_eq(t.part[1].text, STR("\t")));
    assert_int_equal(t.part[2].field, 2);
    template_done(&t);
    parsed("tables {{.ID}}", &t);
    assert_false(t.table);
    template_done(&t);
}

static void a_whole_row_is_asked_for_as_json(void **state) {
    static const char *const whole[] = {"json", "{{json .}}", "{{ json . }}", "{{. | json}}",
                                        " {{- json . -}} \\n"};
    struct template t;

    (void)state;
    for (size_t i = 0; i < ARRAY_N(whole); i++) {
        parsed(whole[i], &t);
        assert_true(t.whole && !t.table);
        template_done(&t);
    }
    parsed("jsonx", &t);
    assert_false(t.whole);
    template_done(&t);
}

static void mistakes_are_refused_and_nothing_is_returned(void **state) {
    static const char *const bad[] = {
        "{{.ID",
        "{{",
        "{{}}",
        "{{ID}}",
        "{{.}}",
        "{{upper .}}",
        "{{.ID .ID}}",
        "{{json}}",
        "{{json ID}}",
        "{{nonsense .ID}}",
        "{{.ID | title}}",
        "{{.ID | upper | json}}",
        "{{upper .ID | json}}",
        "{{| json}}",
        "{{.ID |}}",
        "{{.ID ID | json}}",
        "{{. | upper}}",
        "{{-.ID}}",

        "{{-}}",
        "{{- -}}",
        "{{- json . -}} x",
        "x {{- json . -}}",
        "{{json .}}{{json .}}",
        "{{.ID}}{{.",
        "x{{json .}}",
        "{{json .}} tail",
        "{{json .}}{{.ID}}",
    };
    struct template t = {.parts = 77};
    struct err err;

    (void)state;
    for (size_t i = 0; i < ARRAY_N(bad); i++) {
        err.text[0] = '\0';
        if (template_parse(str_of(bad[i]), names, ARRAY_N(names), &t, &err) != -EINVAL)
            fail_msg("'%s' was taken", bad[i]);
        assert_non_null(strstr(err.text, "{{"));
        assert_int_equal(t.parts, 77);
    }
}

static void an_unknown_field_lists_the_known_ones(void **state) {
    struct template t;
    struct err err;

    (void)state;
    assert_int_equal(template_parse(STR("{{.Nmae}}"), names, ARRAY_N(names), &t, &err), -EINVAL);
    assert_string_equal(err.text,
                        "unknown field '.Nmae' in --format; known are .Name .ID .MemUsage");
    /* with the fields there really are, the list is not cut */
    assert_int_equal(template_parse(STR("{{.Memory}}"), stats_fields, stats_fields_n, &t, &err),
                     -EINVAL);
    for (size_t i = 0; i < stats_fields_n; i++)
        if (!strstr(err.text, stats_fields[i]))
            fail_msg("%s is not in '%s'", stats_fields[i], err.text);
    assert_true(str_ends(str_of(err.text), str_of(stats_fields[stats_fields_n - 1])));
}

static void every_field_of_docker_stats_is_known(void **state) {
    struct template t;
    struct err err;

    (void)state;
    assert_int_equal(template_parse(STR("table {{.Container}}\t{{.Name}}\t{{.ID}}\t{{.CPUPerc}}\t"
                                        "{{.MemUsage}}\t{{.NetIO}}\t{{.BlockIO}}\t{{.MemPerc}}\t"
                                        "{{.PIDs}}"),
                                    stats_fields, stats_fields_n, &t, &err),
                     0);
    assert_int_equal(t.parts, 17);
    template_done(&t);
}

static void parts_are_bounded(void **state) {
    char text[8 * TEMPLATE_PARTS + 1];
    struct template t;
    struct err err;

    (void)state;
    for (size_t i = 0; i < TEMPLATE_PARTS; i++)
        memcpy(text + 8 * i, " {{.ID}}", 9);
    assert_int_equal(template_parse(str_of(text), names, ARRAY_N(names), &t, &err), -E2BIG);
    assert_int_equal(template_parse((struct str){text, 8 * (TEMPLATE_PARTS / 2)}, names,
                                    ARRAY_N(names), &t, &err),
                     0);
    assert_int_equal(t.parts, TEMPLATE_PARTS);
    template_done(&t);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(templates_print_as_docker_does),
        cmocka_unit_test(marks_eat_the_white_space_beside_them),
        cmocka_unit_test(a_function_may_stand_behind_its_field),
        cmocka_unit_test(what_is_not_supported_is_named),
        cmocka_unit_test(names_are_made_fit_for_where_they_go),
        cmocka_unit_test(a_table_is_announced_by_its_first_word),
        cmocka_unit_test(a_whole_row_is_asked_for_as_json),
        cmocka_unit_test(mistakes_are_refused_and_nothing_is_returned),
        cmocka_unit_test(an_unknown_field_lists_the_known_ones),
        cmocka_unit_test(every_field_of_docker_stats_is_known),
        cmocka_unit_test(parts_are_bounded),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
