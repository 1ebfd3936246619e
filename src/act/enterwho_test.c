#include "act/enterwho.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>

#include "base/mem.h"

#define STATUS                                                                                     \
    "Name:\tnginx\nUid:\t1\t101\t3\t4\nGid:\t5\t102\t7\t8\nGroups:\t101 4294967295 7 \n"           \
    "CapInh:\t0000000000000000\nCapBnd:\t00000000a80425fb\nNoNewPrivs:\t1\n"

static void the_effective_ids_and_the_bounding_set_are_taken(void **state) {
    struct enter_who w;

    (void)state;
    assert_int_equal(enterwho_parse(STR(STATUS), &w), 0);
    assert_int_equal(w.uid, 101);
    assert_int_equal(w.gid, 102);
    assert_int_equal(w.group_n, 3);
    assert_int_equal(w.groups[1], UINT32_MAX);
    assert_int_equal(w.bound, 0xa80425fb);
    assert_true(w.no_new_privs);
    assert_int_equal(enterwho_parse(STR("Uid:\t0\t0\nGid:\t0\t0\nCapBnd:\t0\n"), &w), 0);
    assert_int_equal(w.group_n, 0);
    assert_false(w.no_new_privs);
}

/* Unknown rights are no rights to be had: every prefix is whole in what matters, or refused. */
static void what_is_cut_or_malformed_is_refused(void **state) {
    static const char *const bad[] = {"",
                                      "Uid:\t0\n",
                                      "Uid:\t0\t0\nGid:\t0\t0\n",
                                      "Uid:\t0\t0\nGid:\t0\t0\nCapBnd:\tg\n",
                                      "Uid:\t0\t-1\nGid:\t0\t0\nCapBnd:\t0\n",
                                      "Uid:\t0\t0\nGid:\t0\t4294967296\nCapBnd:\t0\n",
                                      "Uid:\t0\t0\nGid:\t0\t0\nGroups:\tx\nCapBnd:\t0\n",
                                      "Uid:\t0\t0\nGid:\t0\t0\nCapBnd:\t11112222333344445\n"};
    struct enter_who w = {.uid = 7};

    (void)state;
    for (size_t i = 0; i < ARRAY_N(bad); i++)
        assert_int_equal(enterwho_parse(str_of(bad[i]), &w), -EBADMSG);
    assert_int_equal(w.uid, 7);
    for (size_t n = 0; n < sizeof(STATUS); n++)
        if (enterwho_parse((struct str){STATUS, n}, &w) == 0)
            assert_int_equal(w.bound, 0xa80425fb);
}

static void more_groups_than_there_is_room_for_are_left_out(void **state) {
    char text[2048] = "Uid:\t0\t0\nGid:\t0\t0\nCapBnd:\t0\nGroups:\t";
    struct str status = str_of(text);
    struct enter_who w;

    (void)state;
    for (unsigned i = 0; i < 2 * ENTER_GROUPS; i++) {
        text[status.n++] = '9';
        text[status.n++] = ' ';
    }
    text[status.n++] = '\n';
    assert_int_equal(enterwho_parse(status, &w), 0);
    assert_int_equal(w.group_n, ENTER_GROUPS);
}

static void ids_become_what_they_are_called_inside(void **state) {
    static const struct {
        const char *map;
        uint32_t id, want;
        int result;
    } rows[] = {
        {"         0          0 4294967295\n", 1234, 1234, 0},
        {"0 100000 65536\n", 100000, 0, 0},
        {"0 100000 65536\n", 165535, 65535, 0},
        {"0 100000 65536\n", 165536, 0, -ENOENT},
        {"0 100000 65536\n", 99999, 0, -ENOENT},
        {"0 1000 1\n1 100000 65536\n", 100004, 5, 0},
        {"", 0, 0, -ENOENT},
        {"0 1000\n", 1000, 0, -EBADMSG},
        {"0 -1 1\n", 1000, 0, -EBADMSG},
        {"0 4294967296 1\n", 1000, 0, -EBADMSG},
        {"4294967295 0 4294967295\n", 1000, 0, -EBADMSG},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_N(rows); i++) {
        uint32_t id = rows[i].id;

        assert_int_equal(enterwho_map(str_of(rows[i].map), &id), rows[i].result);
        assert_int_equal(id, rows[i].result == 0 ? rows[i].want : rows[i].id);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_effective_ids_and_the_bounding_set_are_taken),
        cmocka_unit_test(what_is_cut_or_malformed_is_refused),
        cmocka_unit_test(more_groups_than_there_is_room_for_are_left_out),
        cmocka_unit_test(ids_become_what_they_are_called_inside),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
