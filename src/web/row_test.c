#include "web/row.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <jansson.h>
#include <string.h>

#include "model/labellist.h"
#include "web/web.h"

static char labels[] = "a\\e=\\n\\\\\"<b>\ncom.docker.compose.project=sh\xc3\xb6p\nempty=\n";

static struct wire_target target(struct str text) {
    return (struct wire_target){.uid = 7,
                                .kind = TARGET_CONTAINER,
                                .runtime = RUNTIME_DOCKER,
                                .path = STR("/docker/4f2a"),
                                .name = STR("web"),
                                .limit_from = STR("host"),
                                .labels = text};
}

static json_t *row_of(const struct live *l, const struct row *r) {
    struct site site = {.live = (struct live *)(uintptr_t)l};
    json_t *tree;
    struct json j;
    struct buf b;

    buf_init(&b, 1 << 16);
    json_start(&j, &b);
    row_add_json(&j, &site, r);
    assert_int_equal(buf_error(&b), 0);
    tree = json_loadb(b.p, b.n, JSON_REJECT_DUPLICATES, NULL);
    assert_non_null(tree);
    buf_done(&b);
    return tree;
}

static void has_text(const json_t *object, const char *key, const char *value) {
    const json_t *found = json_object_get(object, key);

    if (!value)
        assert_true(json_is_null(found));
    else
        assert_string_equal(json_string_value(found), value);
}

static void is_labelled(const struct live *l, const struct row *r) {
    json_t *row = row_of(l, r);
    const json_t *found = json_object_get(row, "labels");

    assert_int_equal(json_object_size(found), 3);
    has_text(found, "a=", "\n\\\"<b>");
    has_text(found, "com.docker.compose.project", "sh\xc3\xb6p");
    has_text(found, "empty", "");
    has_text(row, "compose", "sh\xc3\xb6p");
    json_decref(row);
}

static void labels_are_told_of_what_is_and_of_what_was(void **state) {
    struct wire_target t = target((struct str){labels, sizeof(labels) - 1});
    struct identity was;
    struct live_row *now;
    struct row row;
    struct live l;
    struct site site = {.live = &l};
    struct buf b;

    (void)state;
    live_init(&l);
    now = live_put(&l, &t);
    assert_non_null(now);
    memset(labels, '?', sizeof(labels) - 1); /* as messages go */
    row = row_of_live(&site, now);
    is_labelled(&l, &row);

    buf_init(&b, 1 << 16);
    web_add_identity(&b, &now->t);
    assert_int_equal(identity_parse(buf_str(&b), &was), 0);
    assert_true(str_eq(was.t.labels, now->t.labels));
    row = (struct row){.t = &was.t};
    is_labelled(&l, &row);
    identity_done(&was);
    buf_done(&b);
    live_done(&l);
}

static void without_labels_there_is_no_project(void **state) {
    struct wire_target t = target(STR(""));
    struct row row = {.t = &t};
    struct identity old;
    struct live l;
    json_t *tree;

    (void)state;
    live_init(&l);
    tree = row_of(&l, &row);
    assert_true(json_is_object(json_object_get(tree, "labels")));
    assert_int_equal(json_object_size(json_object_get(tree, "labels")), 0);
    has_text(tree, "compose", NULL);
    json_decref(tree);

    /* what was kept before there were labels */
    assert_int_equal(identity_parse(STR("{\"kind\":\"container\",\"name\":\"web\"}"), &old), 0);
    assert_int_equal(old.t.labels.n, 0);
    row.t = &old.t;
    tree = row_of(&l, &row);
    has_text(tree, "compose", NULL);
    json_decref(tree);
    identity_done(&old);
    live_done(&l);
}

static void a_changed_label_tells_the_row_again(void **state) {
    struct wire_target t = target(STR("a=1\n"));
    struct live_row *row;
    struct live l;

    (void)state;
    live_init(&l);
    row = live_put(&l, &t);
    row->told_ms = 0;
    assert_ptr_equal(live_put(&l, &t), row);
    assert_true(str_eq(row->t.labels, STR("a=1\n")));
    t.labels = STR("a=2\n");
    row = live_put(&l, &t);
    assert_true(str_eq(row->t.labels, STR("a=2\n")));
    live_done(&l);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(labels_are_told_of_what_is_and_of_what_was),
        cmocka_unit_test(without_labels_there_is_no_project),
        cmocka_unit_test(a_changed_label_tells_the_row_again),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
