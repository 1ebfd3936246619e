#include "tui/rowfind.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "tui/fake.h"

static struct fake fake;

static int set_up(void **state) {
    (void)state;
    fake_init(&fake);
    fake.row[1].path = STR("/docker/77aa00");
    fake.row[2].path = STR("/machine.slice/libpod-99bb11.scope");
    fake.row[3].kind = STR("service");
    fake.row[3].name = fake.row[3].path = STR("/system.slice/ssh.service");
    fake.row[4].key = STR("containerd:shop/front/app");
    fake.row[4].name = STR("app");
    fake.row[4].pod = STR("shop/front");
    fake.row[4].path = STR("/kubepods/pod1/c0ffee");
    fake.row[5].path = STR("/docker/77aa00/docker/123");
    fake.row[5].is_inside = true;
    return 0;
}

static void means(const char *word, size_t i) {
    const struct tui_row *row = NULL;
    struct err err = {0};

    if (rowfind_word(&fake.source, str_of(word), &row, &err) < 0)
        fail_msg("'%s': %s", word, err.text);
    assert_ptr_equal(row, &fake.row[i]);
}

static const char *refusal(const char *word, int code) {
    static struct err err;
    const struct tui_row *row = NULL;

    assert_int_equal(rowfind_word(&fake.source, str_of(word), &row, &err), code);
    assert_null(row);
    return err.text;
}

static void a_word_means_what_it_means_elsewhere(void **state) {
    (void)state;
    means("web", 0);
    means("containerd:shop/front/app", 4);
    means("shop/front/app", 4);
    means("front/app", 4);
    means("/docker/77aa00", 1);
    means("/docker/77aa00//", 1);
    means("77a", 1);
    means("99bb11", 2);
    means("ssh", 3);
    means("ssh.service", 3);
    refusal("77", -ENOENT);   /* too short for an id */
    refusal("clim", -ENOENT); /* the head of a name is none */
    refusal("ont/app", -ENOENT);
    refusal("", -ENOENT);
    assert_string_equal(refusal("18971", -ENOENT), "there is no '18971' among those listed");
}

static void whom_it_may_mean_is_told(void **state) {
    (void)state;
    fake.row[1].name = STR("web");
    assert_string_equal(refusal("web", -ENOTUNIQ),
                        "'web' may mean web (/docker/4f2a81), web (/docker/77aa00)");
    fake.row[1].name = STR("\033[2J\xe2\x80\xae");
    fake.row[1].path = STR("/docker/4f2b");
    assert_string_equal(refusal("4f2", -ENOTUNIQ), "'4f2' may mean web (/docker/4f2a81), "
                                                   "\\x1b[2J\\u{202e} (/docker/4f2b)");
}

static void what_is_inside_takes_no_name_away(void **state) {
    (void)state;
    fake.row[5].name = STR("web");
    means("web", 0);
    fake.row[0].name = STR("other");
    means("web", 5);
}

static void a_path_or_the_nearest_above(void **state) {
    (void)state;
    assert_ptr_equal(rowfind_path(&fake.source, STR("/docker/77aa00"), false), &fake.row[1]);
    assert_null(rowfind_path(&fake.source, STR("/docker/77aa00/x/y"), false));
    assert_ptr_equal(rowfind_path(&fake.source, STR("/docker/77aa00/x/y"), true), &fake.row[1]);
    assert_null(rowfind_path(&fake.source, STR("/user.slice/x"), true));
    assert_ptr_equal(rowfind_name(&fake.source, STR("climber")), &fake.row[1]);
    assert_null(rowfind_name(&fake.source, STR("clim")));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(a_word_means_what_it_means_elsewhere, set_up),
        cmocka_unit_test_setup(whom_it_may_mean_is_told, set_up),
        cmocka_unit_test_setup(what_is_inside_takes_no_name_away, set_up),
        cmocka_unit_test_setup(a_path_or_the_nearest_above, set_up),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
