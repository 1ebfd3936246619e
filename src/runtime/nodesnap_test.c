#include "runtime/nodesnap.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/basetest.h"
#include "base/mem.h"

/* Two Apples of 16 and 24 bytes, a string, a closure, a native thing, a type of tomorrow. */
#define HEAD                                                                                       \
    "{\"snapshot\":{\"meta\":{\"node_fields\":[\"type\",\"name\",\"id\",\"self_size\"],"           \
    "\"node_types\":[[\"object\",\"string\",\"closure\",\"native\",\"synthetic\",\"new kind\"],"   \
    "\"string\",\"number\",\"number\"],\"edge_fields\":[\"}\"]},\"node_count\":"
#define REST                                                                                       \
    ",\"edge_count\":1},\n\"nodes\":[4,0,1,0\n,0,2,3,16\n,0,2,5,24\n,1,3,7,8\n,2,0,9,32\n,"        \
    "3,1,11,100\n,5,0,13,1],\n\"edges\":[1,2,3],\"trace_tree\":[],\n\"strings\":[\"\","            \
    "\n\"n\\u00e4\","                                                                              \
    "\n\"App\\\"le\",\n\"not a class ]}\"]}"

static int read_in_pieces(const char *text, size_t piece, struct tally *into) {
    struct nodesnap *s;
    struct str rest = str_of(text);
    int r = 0;

    assert_int_equal(nodesnap_new(&s), 0);
    while (rest.n > 0 && r == 0) {
        size_t n = rest.n < piece ? rest.n : piece;

        r = nodesnap_feed(s, str_head(rest, n));
        rest = str_from(rest, n);
    }
    if (r == 0)
        r = nodesnap_finish(s, into);
    nodesnap_free(s);
    return r;
}

static const struct tally_row *row_of(const struct tally *t, const char *name) {
    for (size_t i = 0; i < tally_n(t); i++)
        if (str_eq(tally_row(t, i)->name, str_of(name)))
            return tally_row(t, i);
    fail_msg("there is no '%s'", name);
    return NULL;
}

static void objects_by_constructor_in_any_pieces(void **state) {
    (void)state;
    for (size_t piece = 1; piece < 600; piece += piece < 20 ? 1 : 57) {
        struct tally *t;
        const struct tally_row *apple;

        assert_int_equal(tally_new(&t), 0);
        assert_int_equal(read_in_pieces(HEAD "7" REST, piece, t), 0);
        assert_int_equal(tally_n(t), 5);
        apple = row_of(t, "App\"le");
        assert_int_equal(apple->count, 2);
        assert_int_equal(apple->bytes, 40);
        assert_int_equal(row_of(t, "(string)")->count, 1);
        assert_int_equal(row_of(t, "Function")->bytes, 32);
        assert_int_equal(row_of(t, "n\xc3\xa4")->bytes, 100);
        assert_int_equal(row_of(t, "(new kind)")->bytes, 1);
        tally_free(t);
    }
}

static void what_is_no_snapshot(void **state) {
    static const char *const bad[] = {
        "",
        "[]",
        "{}",
        "{\"strings\":[\"a\"]}",
        "{\"nodes\":[1,2,3,4]}",
        HEAD "6" REST,     /* not as many as it said */
        HEAD "7" REST "x", /* more behind it */
        HEAD "-1" REST,
        HEAD "7,\"edge_count\":0},\"nodes\":[9,0,0,0]}", /* no such type */
        HEAD "7,\"edge_count\":0},\"nodes\":[0,0,0]}",   /* half a node */
        HEAD "7,\"edge_count\":0},\"nodes\":[0,0,0,-5]}",
        HEAD "7,\"edge_count\":0},\"nodes\":[[0,0,0,5]]}",
        HEAD "7,\"edge_count\":0},\"nodes\":[\"a\"]}",
        HEAD "7,\"edge_count\":0},\"nodes\":[99999999999999999999,1,1,1]}",
        HEAD "7,\"edge_count\":0},\"strings\":[\"\\x\"]}",
        "{\"snapshot\":{\"meta\":{\"node_fields\":[],\"node_types\":[]},\"node_count\":0}}",
        "{\"a\":[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[",
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_N(bad); i++) {
        struct tally *t;
        int r;

        assert_int_equal(tally_new(&t), 0);
        r = read_in_pieces(bad[i], 7, t);
        if (r != -EBADMSG && r != -ERANGE)
            fail_msg("%zu: %d", i, r);
        tally_free(t);
    }
}

static void more_names_than_there_is_room_for(void **state) {
    struct nodesnap *s;
    struct buf text;
    int r = 0;

    (void)state;
    assert_int_equal(nodesnap_new(&s), 0);
    assert_int_equal(nodesnap_feed(s, STR(HEAD "300000,\"x\":0},\"nodes\":[0,0,0,1")), 0);
    buf_init(&text, 1 << 20);
    for (unsigned i = 1; i < 300000 && r == 0; i++) {
        buf_clear(&text);
        buf_add_format(&text, ",0,%u,0,1", i);
        r = nodesnap_feed(s, buf_str(&text));
    }
    assert_int_equal(r, -E2BIG);
    assert_int_equal(nodesnap_feed(s, STR("1")), -E2BIG);
    buf_done(&text);
    nodesnap_free(s);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(objects_by_constructor_in_any_pieces),
        cmocka_unit_test(what_is_no_snapshot),
        cmocka_unit_test(more_names_than_there_is_room_for),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
