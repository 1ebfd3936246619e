#include "profile/flametree.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "profile/profiletest.h"

static const struct flamenode *child(const struct flametree *t, const struct profile *p,
                                     const struct flamenode *of, const char *name) {
    for (uint32_t at = of->child; at != FLAMETREE_NONE; at = t->node[at].next)
        if (str_eq(profile_text(p, t->node[at].name), str_of(name)))
            return &t->node[at];
    fail_msg("no child %s", name);
    return NULL;
}

static void stacks_share_their_beginnings_and_the_widest_comes_first(void **state) {
    struct profile *p = two_types();
    struct flametree t;
    const struct flamenode *main_node;

    (void)state;
    add_stack_text(p, "x;main", 5, 0);
    add_stack_text(p, "y;main", -20, 0);
    add_stack_text(p, "z;y;main", 1, 0);
    add_stack_text(p, "alone", 2, 0);
    add_stack_text(p, "nothing;main", 0, 9);
    assert_int_equal(flametree_make(p, 0, &t), 0);
    assert_int_equal(t.n, 6);
    assert_int_equal(t.node[0].width, 28);
    assert_int_equal(t.node[0].change, -12);
    main_node = child(&t, p, &t.node[0], "main");
    assert_int_equal(main_node->width, 26);
    assert_int_equal(main_node->change, -14);
    assert_true(str_eq(profile_text(p, t.node[main_node->child].name), STR("y")));
    assert_int_equal(child(&t, p, child(&t, p, main_node, "y"), "z")->width, 1);
    assert_int_equal(child(&t, p, &t.node[0], "alone")->width, 2);
    flametree_done(&t);
    profile_free(p);
}

static void the_widest_are_drawn_and_what_they_stand_on(void **state) {
    struct profile *p = two_types();
    struct flametree t;
    bool *drawn;
    size_t n = 0;

    (void)state;
    for (int i = 0; i < 1000; i++) {
        char name[16];

        snprintf(name, sizeof(name), "f%d", i);
        add_stack_text(p, name, i + 1, 0);
    }
    assert_int_equal(flametree_make(p, 0, &t), 0);
    assert_int_equal(flametree_widest(&t, 2000, &drawn), 0);
    for (uint32_t i = 0; i < t.n; i++)
        assert_true(drawn[i]);
    free(drawn);
    assert_int_equal(flametree_widest(&t, 100, &drawn), 0);
    for (uint32_t i = 0; i < t.n; i++) {
        n += drawn[i];
        assert_true(!drawn[i] || t.node[i].width > 900);
    }
    assert_int_equal(n, 100);
    free(drawn);
    flametree_done(&t);
    profile_free(p);
}

/* As many stacks as there are, none wider than another. */
static void of_an_even_profile_the_lower_levels_are_drawn(void **state) {
    struct profile *p = two_types();
    struct flame_options o = {.title = "even", .type = 0};
    struct flametree t;
    struct buf out;
    bool *drawn;
    size_t n = 0, lowest = 0;

    (void)state;
    for (int i = 0; i < 20000; i++) {
        char name[64];

        snprintf(name, sizeof(name), "c%d;b%d;a%d", i, i, i);
        add_stack_text(p, name, 1, 0);
    }
    assert_int_equal(flametree_make(p, 0, &t), 0);
    assert_int_equal(flametree_widest(&t, 30000, &drawn), 0);
    for (uint32_t i = 1; i < t.n; i++) {
        n += drawn[i];
        lowest += drawn[i] && t.node[i].parent == 0;
        assert_true(!drawn[i] || drawn[t.node[i].parent]);
    }
    assert_int_equal(n, 29999);
    assert_int_equal(lowest, 20000);
    free(drawn);
    flametree_done(&t);
    buf_init(&out, 1 << 24);
    assert_int_equal(profile_add_flame(&out, p, &o), 0);
    buf_add_char(&out, '\0');
    assert_non_null(strstr(out.p, "\"left\":30001"));
    buf_done(&out);
    profile_free(p);
}

static void names_cannot_leave_the_page_s_data(void **state) {
    struct profile *p = two_types();
    struct flame_options o = {.title = "</title><b>", .type = 0};
    struct buf out;
    size_t scripts = 0;

    (void)state;
    add_stack_text(p, "</script><script>alert(1)</script>;<!--;]]>\n", 1, 0);
    buf_init(&out, 1 << 20);
    assert_int_equal(profile_add_flame(&out, p, &o), 0);
    buf_add_char(&out, '\0');
    for (const char *at = out.p; (at = strstr(at, "<script")) != NULL; at++)
        scripts++;
    assert_int_equal(scripts, 2);
    assert_null(strstr(out.p, "<!--"));
    assert_null(strstr(out.p, "</title><b>"));
    assert_non_null(strstr(out.p, "\\u003c/script>"));
    buf_done(&out);
    profile_free(p);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(stacks_share_their_beginnings_and_the_widest_comes_first),
        cmocka_unit_test(the_widest_are_drawn_and_what_they_stand_on),
        cmocka_unit_test(of_an_even_profile_the_lower_levels_are_drawn),
        cmocka_unit_test(names_cannot_leave_the_page_s_data),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
