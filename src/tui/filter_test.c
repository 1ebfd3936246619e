#include "tui/filter.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static const struct tui_row row = {
    .name = {"shop-web", 8},
    .runtime = {"docker", 6},
    .image = {"nginx:1.25", 10},
    .pod = {"default/shop", 12},
    .kind = {"container", 9},
    .state = STATE_GROWING,
    .labels = {"com.example/x=a b\nempty=\ntier=front\n", 36},
};

static bool matches(const char *text) {
    struct filter f;

    filter_parse(&f, str_of(text));
    return filter_match(&f, &row);
}

static void all_words_must_hold(void **state) {
    (void)state;
    assert_true(matches("") && matches("web") && matches("  WEB  shop ") && matches("name:web"));
    assert_false(matches("web db"));
    assert_true(matches("state:growing runtime:docker image:nginx pod:default/"));
    assert_false(matches("state:steady"));
    assert_false(matches("docker")); /* a plain word is of the name */
}

static void a_minus_excludes(void **state) {
    (void)state;
    assert_true(matches("-db") && matches("web -state:ok"));
    assert_false(matches("-web"));
    assert_false(matches("web -runtime:dock"));
}

static void quotes_commas_and_stars_are_as_on_the_page(void **state) {
    (void)state;
    assert_true(matches("\"shop-web\"") && matches("shop\"-\"web"));
    assert_false(matches("\"shop web\""));
    assert_true(matches("state:high,growing") && matches("-state:high,at-limit"));
    assert_false(matches("-state:high,growing"));
    assert_true(matches("kind:container") && matches("kind:any") && !matches("kind:vm"));
    assert_true(matches("shop*") && matches("*web") && matches("s*p*b") && matches("*"));
    assert_false(matches("shop*x") || matches("web*") || matches("-*"));
    assert_true(matches("IMAGE:NGINX*") && !matches("image:ngin*x"));
    assert_true(matches("image:nginx:1") && matches("image:\"nginx:1\""));
}

static void a_label_is_there_or_is_exactly_this(void **state) {
    (void)state;
    assert_true(matches("label:tier") && matches("LABEL:Tier") && matches("label:tier=FRONT"));
    assert_false(matches("label:tie") || matches("label:tier=fron") || matches("label:front"));
    assert_true(matches("label:tier=fr*") && matches("label:tier=*"));
    assert_false(matches("label:tier=fr*x"));
    assert_true(matches("label:com.example/x=\"a b\""));
    assert_false(matches("label:com.example/x=a"));
    assert_true(matches("label:empty=") && !matches("label:tier="));
    assert_true(matches("-label:owner") && !matches("-label:tier"));
    assert_false(matches("label:constructor") || matches("label:=front"));
}

static void kinds_may_be_named(void **state) {
    struct filter f;

    (void)state;
    filter_parse(&f, STR("web kind:vm"));
    assert_true(filter_names_kinds(&f));
    filter_parse(&f, STR("-kind:vm web"));
    assert_false(filter_names_kinds(&f));
    filter_parse(&f, STR("kind:"));
    assert_false(filter_names_kinds(&f));
}

static void any_kind_is_a_whole_word(void **state) {
    (void)state;
    assert_true(matches("kind:any") && matches("kind:ANY"));
    assert_true(matches("kind:con") && matches("kind:vm,container"));
    assert_false(matches("kind:an") || matches("kind:y") || matches("kind:service"));
}

static void what_is_being_typed_hides_nothing(void **state) {
    (void)state;
    assert_true(matches("-") && matches("\"") && matches("state:high,growing,") && matches("-\""));
    assert_true(matches("state:") && matches("web image:") && matches("label:"));
    assert_true(matches("kind:,") && matches("state:,,") && matches("-state:"));
}

static void what_cannot_be_done_is_said(void **state) {
    struct filter f;
    char text[2 * FILTER_TEXT_MAX];

    (void)state;
    filter_parse(&f, STR("kind:container,sleepy"));
    assert_non_null(f.complaint);
    assert_true(filter_match(&f, &row));
    filter_parse(&f, STR("state:\"purple\""));
    assert_non_null(f.complaint);
    assert_true(filter_match(&f, &row));
    filter_parse(&f, STR(":x"));
    assert_non_null(f.complaint);
    filter_parse(&f, STR("\"shop-w"));
    assert_non_null(f.complaint);
    assert_true(filter_match(&f, &row));
    filter_parse(&f, STR("db:main state:growing"));
    assert_non_null(f.complaint);
    assert_true(filter_match(&f, &row));
    filter_parse(&f, STR("\"db:main\""));
    assert_null(f.complaint);
    assert_false(filter_match(&f, &row));
    for (size_t i = 0; i < sizeof(text); i++)
        text[i] = i % 2 ? ' ' : 'w';
    filter_parse(&f, (struct str){text, sizeof(text)});
    assert_non_null(f.complaint);
    assert_int_equal(f.terms, FILTER_TERMS_MAX);
    assert_int_equal(f.n, FILTER_TEXT_MAX);
    filter_parse(&f, STR("nothing:web"));
    assert_non_null(f.complaint);
    assert_true(filter_match(&f, &row));
    filter_parse(&f, STR("state:growing,purple"));
    assert_non_null(f.complaint);
    filter_parse(&f, STR("web"));
    assert_null(f.complaint);
}

static void events_are_matched_by_name(void **state) {
    struct filter f;

    (void)state;
    filter_parse(&f, STR("web state:ok -db"));
    assert_true(filter_match_name(&f, STR("web1")));
    assert_false(filter_match_name(&f, STR("web-db")));
    assert_true(filter_has_more_than_names(&f));
    filter_parse(&f, STR("web -db name:x"));
    assert_false(filter_has_more_than_names(&f));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_words_must_hold),
        cmocka_unit_test(a_minus_excludes),
        cmocka_unit_test(quotes_commas_and_stars_are_as_on_the_page),
        cmocka_unit_test(a_label_is_there_or_is_exactly_this),
        cmocka_unit_test(kinds_may_be_named),
        cmocka_unit_test(any_kind_is_a_whole_word),
        cmocka_unit_test(what_is_being_typed_hides_nothing),
        cmocka_unit_test(what_cannot_be_done_is_said),
        cmocka_unit_test(events_are_matched_by_name),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
