#include "runtime/pygc.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "base/clock.h"
#include "runtime/pygctest.h"

static struct fake fake;

struct counted {
    struct tally *tally;
    struct pygc_walk walk;
    int r;
};

static struct counted count_for(int64_t us) {
    struct counted c = {0};
    struct pygctypes *types;
    struct pygcread read;

    assert_int_equal(pygcread_init(&read, fake_read, &fake), 0);
    assert_int_equal(pygctypes_new(&read, pylayout_find(FAKE_VERSION), &types), 0);
    assert_int_equal(tally_new(&c.tally), 0);
    c.r = pygc_walk(&read, fake_gc(), types, clock_mono_us() + us, &c.walk);
    if (c.r == 0)
        assert_int_equal(pygctypes_tally(types, c.tally), 0);
    pygctypes_free(types);
    pygcread_done(&read);
    return c;
}

static struct counted count(void) {
    return count_for(5000 * 1000);
}

static const struct tally_row *row(const struct counted *c, struct str name) {
    for (size_t i = 0; i < tally_n(c->tally); i++)
        if (str_eq(tally_row(c->tally, i)->name, name))
            return tally_row(c->tally, i);
    return NULL;
}

static void assert_row(const struct counted *c, struct str name, uint64_t n, uint64_t bytes) {
    const struct tally_row *r = row(c, name);

    assert_non_null(r);
    assert_int_equal(r->count, n);
    assert_int_equal(r->bytes, bytes);
}

static void objects_are_counted_by_type_in_every_list(void **state) {
    uint64_t cell, item;
    struct counted c;

    (void)state;
    fake_init(&fake);
    cell = fake_type(&fake, "cell", 24, 0, 0);
    item = fake_type(&fake, "collections.deque", 232, 0, 0);
    for (unsigned list = 0; list < PYGC_LISTS; list++)
        for (unsigned i = 0; i <= list; i++)
            fake_object(&fake, list, i % 2 ? item : cell, 32);
    c = count();
    assert_int_equal(c.r, 0);
    assert_int_equal(c.walk.missed, 0);
    assert_int_equal(c.walk.unread, 0);
    for (unsigned list = 0; list < PYGC_LISTS; list++)
        assert_int_equal(c.walk.objects[list], list + 1);
    assert_row(&c, STR("cell"), 6, 6 * (24 + 16));
    assert_row(&c, STR("collections.deque"), 4, 4 * (232 + 16));
    assert_int_equal(tally_n(c.tally), 2);
    tally_free(c.tally);
}

static void sizes_are_those_of_the_tables_too(void **state) {
    uint64_t list, dict, set, own, tuple, frame, keys;
    struct counted c;

    (void)state;
    fake_init(&fake);
    list = fake_object(&fake, 2, fake_type(&fake, "list", 40, 0, 1 << 25), 40);
    fake_put(&fake, list + PY_LIST_ALLOCATED, 12);
    dict = fake_object(&fake, 2, fake_type(&fake, "dict", 48, 0, 1 << 29), 48);
    keys = fake_room(&fake, 32);
    fake_put(&fake, dict + PY_DICT_KEYS, keys);
    fake.memory[keys - FAKE_BASE + PY_KEYS_LOG2_SIZE] = 4;
    fake.memory[keys - FAKE_BASE + PY_KEYS_LOG2_INDEX] = 4;
    set = fake_object(&fake, 2, fake_type(&fake, "set", 200, 0, 0), 200);
    fake_put(&fake, set + PY_SET_MASK, 31);
    fake_put(&fake, set + PY_SET_TABLE, 0x7f0000000000);
    own = fake_type(&fake, "Own", 208, 0, 1 << 9);
    fake_put(&fake, own + PY_TYPE_BASE, fake_get(&fake, set + PY_OB_TYPE));
    set = fake_object(&fake, 2, own, 208);
    fake_put(&fake, set + PY_SET_MASK, 7);
    fake_put(&fake, set + PY_SET_TABLE, set + PY_SET_SMALL); /* it lies within */
    tuple = fake_object(&fake, 2, fake_type(&fake, "tuple", 24, 8, 1 << 26), 48);
    fake_put(&fake, tuple + PY_OB_SIZE, 3);
    frame = fake_object(&fake, 2, fake_type(&fake, "frame", 56, 8, 0), 56);
    fake_put(&fake, frame + PY_OB_SIZE, 0x1a3c5d0); /* a pointer there, no size */
    c = count();
    assert_row(&c, STR("list"), 1, 16 + 40 + 12 * 8);
    assert_row(&c, STR("dict"), 1, 16 + 48 + 32 + 16 + 10 * 24);
    assert_row(&c, STR("set"), 1, 16 + 200 + 32 * 16);
    assert_row(&c, STR("Own"), 1, 16 + 208);
    assert_row(&c, STR("tuple"), 1, 16 + 24 + 3 * 8);
    assert_row(&c, STR("frame"), 1, 16 + 56);
    tally_free(c.tally);
}

static void classes_have_their_module(void **state) {
    static const uint16_t wide[] = {0x4e16, 'x', 0xdc80};
    static const uint32_t wider[] = {0x1f600, 0x7fffffff};
    char longer[700];
    struct counted c;

    (void)state;
    fake_init(&fake);
    memset(longer, 'L', sizeof(longer));
    fake_object(&fake, 1,
                fake_class(&fake, fake_text(&fake, 1, "app.models", 10),
                           fake_text(&fake, 1, "User.Meta", 9), 48),
                48);
    fake_object(&fake, 1,
                fake_class(&fake, fake_text(&fake, 1, "builtins", 8),
                           fake_text(&fake, 1, "a\nb\x1b[", 5), 16),
                16);
    fake_object(&fake, 1,
                fake_class(&fake, fake_text(&fake, 1, "m", 1), fake_text(&fake, 2, wide, 3), 16),
                16);
    fake_object(&fake, 1,
                fake_class(&fake, fake_text(&fake, 1, "m", 1), fake_text(&fake, 4, wider, 2), 16),
                16);
    fake_object(&fake, 1, fake_class(&fake, 0x7f0000000000, fake_text(&fake, 1, longer, 700), 16),
                16);
    fake_object(&fake, 1, fake_class(&fake, 0, 0, 16), 16);
    c = count();
    assert_row(&c, STR("app.models.User.Meta"), 1, 16 + 48);
    assert_row(&c, STR("a\nb\x1b["), 1, 32);
    assert_row(&c, STR("m.\xe4\xb8\x96x\xed\xb2\x80"), 1, 32);
    assert_row(&c, STR("m.\xf0\x9f\x98\x80\xef\xbf\xbd"), 1, 32);
    assert_row(&c, (struct str){longer, TALLY_NAME - 3}, 1, 32);
    assert_row(&c, STR("C"), 1, 32);
    tally_free(c.tally);
}

static void list_that_contradicts_itself_is_missed_and_said(void **state) {
    uint64_t type, middle;
    struct counted c;

    (void)state;
    fake_init(&fake);
    type = fake_type(&fake, "cell", 24, 0, 0);
    fake_object(&fake, 1, type, 24);
    fake_object(&fake, 2, type, 24);
    middle = fake_object(&fake, 2, type, 24);
    fake_object(&fake, 2, type, 24);
    fake_put(&fake, middle - PY_HEAD + 8, FAKE_BASE + 0x80); /* points back to something else */
    c = count();
    assert_int_equal(c.r, 0);
    assert_int_equal(c.walk.missed, 1 << 2);
    assert_int_equal(c.walk.objects[2], 0);
    assert_row(&c, STR("cell"), 1, 40);
    tally_free(c.tally);
    /* A ring that never comes to the list's head again. */
    fake_put(&fake, middle - PY_HEAD, middle - PY_HEAD);
    fake_put(&fake, middle - PY_HEAD + 8, middle - PY_HEAD);
    c = count();
    assert_int_equal(c.walk.missed, 1 << 2);
    tally_free(c.tally);
}

static void object_without_a_type_is_counted_and_said(void **state) {
    uint64_t type;
    struct counted c;

    (void)state;
    fake_init(&fake);
    type = fake_type(&fake, "cell", 24, 0, 0);
    fake_object(&fake, 2, type, 24);
    fake_object(&fake, 2, 0, 24);
    fake_object(&fake, 2, FAKE_BASE + 8, 24);
    fake_object(&fake, 2, 0x7fff00000000, 24);
    c = count();
    assert_int_equal(c.r, 0);
    assert_int_equal(c.walk.objects[2], 4);
    assert_int_equal(c.walk.unread, 3);
    assert_int_equal(tally_n(c.tally), 1);
    tally_free(c.tally);
}

/* --- while it changes ------------------------------------------------------------------------- */

static uint64_t victim;
static unsigned at_read;

/* Takes an object out of its list and makes something else of its memory. */
static void unlink_victim(struct fake *f) {
    uint64_t head = victim - PY_HEAD, next, prev;

    if (f->reads != at_read || !victim)
        return;
    next = fake_get(f, head);
    prev = fake_get(f, head + 8);
    fake_put(f, prev, next);
    fake_put(f, next + 8, prev);
    fake_put(f, head, 0x4141414141414141);
    fake_put(f, head + 8, 0x4242424242424242);
    victim = 0;
}

/* Whenever it happens, every object that stays is counted once. */
static void object_freed_under_us_costs_nothing(void **state) {
    (void)state;
    for (at_read = 1; at_read < 60; at_read++) {
        uint64_t type;
        struct counted c;
        const struct tally_row *r;

        fake_init(&fake);
        type = fake_type(&fake, "cell", 24, 0, 0);
        /* Each on another page than its neighbours. */
        for (unsigned i = 0; i < 10; i++) {
            uint64_t object;

            fake.used = (size_t)FAKE_HEAP + 0x1000 + (i % 2 ? 0x1000 : 0x3000) + i * 0x100;
            object = fake_object(&fake, 2, type, 24);
            if (i == 5)
                victim = object;
        }
        fake.on_read = unlink_victim;
        c = count();
        assert_int_equal(c.r, 0);
        assert_int_equal(c.walk.missed, 0);
        r = row(&c, STR("cell"));
        assert_non_null(r);
        assert_true(r->count == 9 || r->count == 10);
        tally_free(c.tally);
    }
}

static void collect_always(struct fake *f) {
    uint64_t runs = fake_gc() + PY_GC_STATS + 2 * PY_GC_STATS_SIZE;

    fake_put(f, runs, fake_get(f, runs) + 1);
}

static void list_that_is_collected_all_the_time_is_said(void **state) {
    struct counted c;

    (void)state;
    fake_init(&fake);
    fake_object(&fake, 2, fake_type(&fake, "cell", 24, 0, 0), 24);
    fake.on_read = collect_always;
    c = count();
    assert_int_equal(c.r, 0);
    assert_int_equal(c.walk.missed & 1 << 2, 1 << 2);
    assert_true(c.walk.again > 0);
    assert_int_equal(tally_n(c.tally), 0);
    tally_free(c.tally);
}

static void collection_without_an_end_is_not_waited_for(void **state) {
    struct counted c;

    (void)state;
    fake_init(&fake);
    fake_put_int(&fake, fake_gc() + PY_GC_COLLECTING, 1);
    c = count_for(20 * 1000);
    assert_int_equal(c.r, -ETIMEDOUT);
    tally_free(c.tally);
}

/* --- what must hold --------------------------------------------------------------------------- */

static int check(uint64_t version, struct python *out, struct err *err) {
    struct pygcread read = {.fn = fake_read, .ctx = &fake};

    *out = (struct python){.version = version, .runtime = FAKE_BASE};
    return python_check(&read, out, err);
}

static void versions_that_are_not_known_are_refused(void **state) {
    struct python py;
    struct err err;

    (void)state;
    fake_init(&fake);
    assert_int_equal(check(FAKE_VERSION, &py, &err), 0);
    assert_int_equal(py.n, 1);
    assert_int_equal(check(0x030e00f0, &py, &err), -EOPNOTSUPP);
    assert_string_equal(err.text,
                        "python is 3.14.0; the layouts known here are of 3.11, 3.12 and 3.13");
    assert_int_equal(check(0x030b00a1, &py, &err), -EOPNOTSUPP); /* an alpha of 3.11 */
    assert_int_equal(check(0, &py, &err), -EOPNOTSUPP);
    assert_int_equal(check(UINT64_MAX, &py, &err), -EOPNOTSUPP);
}

static void layout_is_not_believed_but_checked(void **state) {
    const uint64_t interp = FAKE_BASE + FAKE_INTERP;
    const uint64_t place[] = {FAKE_BASE + 40, interp + 40, FAKE_BASE + FAKE_THREAD + 16,
                              fake_gc() + PY_GC_GENERATION0, fake_list(1)};
    struct python py;
    struct err err;

    (void)state;
    for (size_t i = 0; i < sizeof(place) / sizeof(place[0]); i++) {
        fake_init(&fake);
        fake_put(&fake, place[i], fake_get(&fake, place[i]) + 4);
        assert_int_equal(check(FAKE_VERSION, &py, &err), -ENODATA);
    }
    fake_init(&fake);
    fake_put_int(&fake, FAKE_BASE + 16, 0);
    assert_int_equal(check(FAKE_VERSION, &py, &err), -EAGAIN);
    fake_init(&fake);
    fake_put(&fake, FAKE_BASE + 24, 0x1234);
    assert_int_equal(check(FAKE_VERSION, &py, &err), 0);
    assert_true(py.finalizing);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(objects_are_counted_by_type_in_every_list),
        cmocka_unit_test(sizes_are_those_of_the_tables_too),
        cmocka_unit_test(classes_have_their_module),
        cmocka_unit_test(list_that_contradicts_itself_is_missed_and_said),
        cmocka_unit_test(object_without_a_type_is_counted_and_said),
        cmocka_unit_test(object_freed_under_us_costs_nothing),
        cmocka_unit_test(list_that_is_collected_all_the_time_is_said),
        cmocka_unit_test(collection_without_an_end_is_not_waited_for),
        cmocka_unit_test(versions_that_are_not_known_are_refused),
        cmocka_unit_test(layout_is_not_believed_but_checked),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
