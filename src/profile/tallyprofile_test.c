#include "profile/tallyprofile.h"

#include <string.h>

#include "profile/profiletest.h"

static struct tally *new_tally(void) {
    struct tally *t = NULL;

    assert_int_equal(tally_new(&t), 0);
    return t;
}

static void types_are_stacks_of_one_frame(void **state) {
    struct tally *t = new_tally();
    struct profile *p = NULL, *again = NULL;
    struct buf file;
    struct err err;
    size_t left;

    (void)state;
    assert_int_equal(tally_add(t, STR("int[]"), 3, 300, true), 0);
    assert_int_equal(tally_add(t, STR("Leaf"), UINT64_MAX, 0, false), 0);
    assert_int_equal(tallyprofile_make(t, &p, &left), 0);
    assert_int_equal(left, 0);
    assert_true(tallyprofile_is(p));
    assert_int_equal(profile_default(p), 1);
    assert_int_equal(profile_sample(p, 0).value[1], 300);
    assert_true(profile_sample(p, 1).value[0] == INT64_MAX);
    buf_init(&file, 1 << 20);
    assert_int_equal(pprof_write(p, &file), 0);
    assert_int_equal(pprof_read(buf_str(&file), "it", &again, &err), 0);
    assert_true(tallyprofile_is(again));
    buf_done(&file);
    profile_free(again);
    profile_free(p);
    tally_free(t);
}

static void counts_alone_have_no_bytes(void **state) {
    struct tally *t = new_tally();
    struct profile *p = NULL;
    size_t left;

    (void)state;
    assert_int_equal(tally_add(t, STR("Thing"), 3, 0, false), 0);
    assert_int_equal(tallyprofile_make(t, &p, &left), 0);
    assert_int_equal(profile_types(p), 1);
    assert_true(tallyprofile_is(p));
    profile_free(p);
    tally_free(t);
}

static void too_many_long_names_are_left_out_and_counted(void **state) {
    struct tally *t = new_tally();
    struct profile *p = NULL;
    char name[TALLY_NAME];
    size_t left = 0;

    (void)state;
    memset(name, 'x', sizeof(name));
    for (uint32_t i = 0; i < TALLY_ROWS; i++) {
        memcpy(name, &i, sizeof(i));
        assert_int_equal(tally_add(t, (struct str){name, sizeof(name)}, i, 1, true), 0);
    }
    tally_sort(t);
    assert_int_equal(tallyprofile_make(t, &p, &left), 0);
    assert_int_equal(profile_samples(p) + left, TALLY_ROWS);
    assert_true(left > 0);
    assert_int_equal(profile_sample(p, 0).value[0], TALLY_ROWS - 1);
    profile_free(p);
    tally_free(t);
}

static void other_profiles_are_none(void **state) {
    struct profile *p = two_types(), *go = read_fixture("tests/fixtures/profile/go-heap.pb.gz");

    (void)state;
    assert_false(tallyprofile_is(p));
    assert_false(tallyprofile_is(go));
    profile_free(go);
    profile_free(p);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(types_are_stacks_of_one_frame),
        cmocka_unit_test(counts_alone_have_no_bytes),
        cmocka_unit_test(too_many_long_names_are_left_out_and_counted),
        cmocka_unit_test(other_profiles_are_none),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
