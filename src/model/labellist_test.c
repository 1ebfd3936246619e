#include "model/labellist.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"

static char text_room[2 * LABELS_BYTES];

static struct str written(const struct labellist *l) {
    struct buf b;
    struct str s;

    buf_init(&b, sizeof(text_room));
    labellist_write(l, &b);
    assert_int_equal(buf_error(&b), 0);
    s = buf_str(&b);
    if (s.n > 0)
        memcpy(text_room, s.p, s.n);
    s.p = text_room;
    buf_done(&b);
    return s;
}

static void assert_str(struct str got, struct str want) {
    if (!str_eq(got, want))
        fail_msg("'%.*s', not '%.*s'", STR_ARG(got), STR_ARG(want));
}

static void equal_labels_make_equal_texts(void **state) {
    struct labellist a = {.n = 0}, b = {.n = 0}, none = {.n = 0};

    (void)state;
    labellist_add(&a, STR("b"), STR("2"));
    labellist_add(&a, STR("a"), STR("1"));
    labellist_add(&a, STR("com.docker.compose.project"), STR("shop"));
    labellist_add(&b, STR("com.docker.compose.project"), STR("other"));
    labellist_add(&b, STR("a"), STR("1"));
    labellist_add(&b, STR("com.docker.compose.project"), STR("shop")); /* the last counts */
    labellist_add(&b, STR("b"), STR("2"));
    assert_str(written(&a), STR("a=1\nb=2\ncom.docker.compose.project=shop\n"));
    assert_str(written(&b), STR("a=1\nb=2\ncom.docker.compose.project=shop\n"));
    assert_str(written(&none), STR(""));
}

static void any_bytes_come_back_as_they_were(void **state) {
    static const struct label labels[] = {
        {STR("\0"), STR("\0\0\n")}, {STR("\n=\\"), STR("=\\n=\n\\")},
        {STR("a=b"), STR("c=d")},   {STR("a\\"), STR("")},
        {STR("a\\n"), STR("\\")},   {STR("a\xe2\x80\xae"), STR("\xff\xfe\x1b[31m")},
    };
    struct labellist l = {.n = 0};
    struct labelwalk w;
    struct str text;

    (void)state;
    for (size_t i = ARRAY_N(labels); i-- > 0;)
        labellist_add(&l, labels[i].key, labels[i].value);
    text = written(&l);
    w.rest = text;
    for (size_t i = 0; i < ARRAY_N(labels); i++) {
        assert_true(labellist_next(&w));
        assert_str(w.label.key, labels[i].key);
        assert_str(w.label.value, labels[i].value);
    }
    assert_false(labellist_next(&w));
    assert_int_equal(str_find(text, '\0'), -1);
    assert_true(labellist_find(text, STR("a=b"), &w));
    assert_str(w.label.value, STR("c=d"));
    assert_false(labellist_find(text, STR("a"), &w));
}

static void what_no_program_could_be_told_is_left_out(void **state) {
    static char many[LABELS_BYTES];
    struct labellist l = {.n = 0};

    (void)state;
    memset(many, '\n', sizeof(many));
    labellist_add(&l, STR(""), STR("no key"));
    labellist_add(&l, STR("\xff"), STR("no UTF-8"));
    labellist_add(&l, STR("\xe2\x82"), STR("cut off"));
    labellist_add(&l, STR("large"), (struct str){many, sizeof(many)});
    labellist_add(&l, STR("large when escaped"), (struct str){many, sizeof(many) / 2});
    labellist_add(&l, (struct str){many, sizeof(many)}, STR(""));
    labellist_add(&l, STR("kept"), STR(""));
    assert_str(written(&l), STR("kept=\n"));
    memset(many, 'x', sizeof(many));
    labellist_add(&l, STR("kept"), (struct str){many, sizeof(many) - strlen("kept=\n")});
    assert_int_equal(written(&l).n, LABELS_BYTES);
}

static size_t count(struct str text) {
    struct labelwalk w = {.rest = text};
    size_t n = 0;

    while (labellist_next(&w))
        n++;
    return n;
}

static void at_the_bound_what_people_group_by_stays(void **state) {
    static char key[200][200], value[100];
    struct labellist l = {.n = 0};
    struct labelwalk w;

    (void)state;
    for (size_t i = 0; i < 200; i++) { /* short ones: their number is what counts */
        snprintf(key[i], sizeof(key[i]), "a%03zu", 199 - i);
        labellist_add(&l, str_of(key[i]), STR("v"));
    }
    labellist_add(&l, STR("zone"), STR("left out"));
    labellist_add(&l, STR("io.kubernetes.pod.name"), STR("pod"));
    labellist_add(&l, STR("io.podman.compose.project"), STR("shop"));
    assert_int_equal(count(written(&l)), LABELS_MAX);
    assert_true(labellist_find(written(&l), STR("io.kubernetes.pod.name"), &w));
    assert_true(labellist_compose(written(&l), &w));
    assert_str(w.label.value, STR("shop"));
    assert_true(labellist_find(written(&l), STR("a061"), &w));
    assert_false(labellist_find(written(&l), STR("a062"), &w));

    l.n = 0;
    memset(value, 'v', sizeof(value));
    for (size_t i = 0; i < 60; i++) { /* long ones: 301 bytes each */
        memset(key[i], 'k', sizeof(key[i]));
        snprintf(key[i], 20, "com.docker.compose.");
        key[i][19] = 'k';
        key[i][198] = (char)('0' + i);
        key[i][199] = '\0';
        labellist_add(&l, str_of(key[i]), (struct str){value, sizeof(value)});
    }
    labellist_add(&l, STR("zone"), STR("fits"));
    labellist_add(&l, STR("com.docker.compose.project"), STR("shop"));
    assert_true(written(&l).n <= LABELS_BYTES);
    assert_int_equal(count(written(&l)), 10 + 2);
    assert_true(labellist_find(written(&l), STR("zone"), &w));
    assert_true(labellist_compose(written(&l), &w));
}

static void a_compose_project_is_that_of_either_tool(void **state) {
    struct labelwalk w;

    (void)state;
    assert_false(labellist_compose(STR(""), &w));
    assert_false(labellist_compose(STR("com.docker.compose.project=\n"), &w));
    assert_false(labellist_compose(STR("com.docker.compose.projects=x\n"), &w));
    assert_true(labellist_compose(
        STR("com.docker.compose.project=\nio.podman.compose.project=p\\\\\n"), &w));
    assert_str(w.label.value, STR("p\\"));
}

static void nonsense_is_walked_over(void **state) {
    static char longer[3 * LABELS_BYTES];
    struct labelwalk w = {.rest = STR("no sign\n=\n\\e\\x\\=\\\n\nlast=without an end")};
    struct str text = {longer, sizeof(longer)};

    (void)state;
    assert_true(labellist_next(&w));
    assert_int_equal(w.label.key.n + w.label.value.n, 0);
    assert_true(labellist_next(&w));
    assert_str(w.label.key, STR("=x\\"));
    assert_str(w.label.value, STR("\\"));
    assert_false(labellist_next(&w));

    memset(longer, '=', sizeof(longer));
    longer[sizeof(longer) - 1] = '\n';
    assert_int_equal(count(text), 0);
    longer[sizeof(longer) - 2 - LABELS_BYTES] = '\n';
    assert_int_equal(count(text), 1);
}

static void json_is_an_object_of_texts(void **state) {
    struct json j;
    struct buf b;

    (void)state;
    buf_init(&b, 4096);
    json_start(&j, &b);
    json_begin_array(&j);
    labellist_add_json(&j, STR(""));
    labellist_add_json(&j, STR("a=\\n\\0\"\nb\\e=\xff\n"));
    json_end(&j);
    assert_str(buf_str(&b), STR("[{},{\"a\":\"\\n\\u0000\\\"\",\"b=\":\"\xef\xbf\xbd\"}]"));
    buf_done(&b);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(equal_labels_make_equal_texts),
        cmocka_unit_test(any_bytes_come_back_as_they_were),
        cmocka_unit_test(what_no_program_could_be_told_is_left_out),
        cmocka_unit_test(at_the_bound_what_people_group_by_stays),
        cmocka_unit_test(a_compose_project_is_that_of_either_tool),
        cmocka_unit_test(nonsense_is_walked_over),
        cmocka_unit_test(json_is_an_object_of_texts),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
