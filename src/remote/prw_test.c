#include "remote/prw.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/basetest.h"
#include "base/mem.h"
#include "base/text.h"
#include "remote/prwtest.h"

static struct prw_labels *labels_of(const char *const *pair, size_t n) {
    struct prw_label label[PRW_LABELS];
    struct prw_labels *out;

    for (size_t i = 0; i < n; i++)
        label[i] = (struct prw_label){str_of(pair[2 * i]), str_of(pair[2 * i + 1])};
    assert_int_equal(prw_labels_new(label, n, &out), 0);
    return out;
}

/* --- tests ------------------------------------------------------------------------------------ */

static void labels_are_sorted_with_the_name_among_them(void **state) {
    static const char *const pairs[] = {"name", "web", "id",   "/a",   "A",  "upper",
                                        "zone", "",    "name", "late", "_x", "y"};
    struct prw_labels *l = labels_of(pairs, 6);
    struct buf packed, text;
    struct prw *p;

    (void)state;
    assert_int_equal(prw_new(&p), 0);
    buf_init(&packed, 1 << 20);
    buf_init(&text, 1 << 20);
    prw_add(p, "m_bytes", l, 1500, 42);
    prw_add(p, "n_total", l, 1500, 0);
    prw_add(p, "o", l, 1500, prw_stale());
    prw_add(p, "p", l, 0, -0.5);
    assert_int_equal(prw_samples(p), 4);
    assert_int_equal(prw_pack(p, &packed), 0);
    prwtest_read(buf_str(&packed), &text);
    basetest_holds(&text, "A=upper,__name__=m_bytes,_x=y,id=/a,name=web, 42@1500\n"
                          "A=upper,__name__=n_total,_x=y,id=/a,name=web, 0@1500\n"
                          "A=upper,__name__=o,_x=y,id=/a,name=web, stale@1500\n"
                          "A=upper,__name__=p,_x=y,id=/a,name=web, -0.5@0\n");
    prw_clear(p);
    assert_int_equal(prw_pack(p, &packed), 0);
    prwtest_read(buf_str(&packed), &text);
    basetest_holds(&text, "");
    prw_labels_drop(l);
    prw_free(p);
    buf_done(&packed);
    buf_done(&text);
}

static void hostile_values_are_utf8_and_bounded(void **state) {
    struct basetest_random random = {4711};
    static char value[PRW_VALUE * 2];

    (void)state;
    for (unsigned round = 0; round < 200; round++) {
        size_t n = basetest_bytes(&random, value, round < 190 ? 300 : sizeof(value));
        struct prw_label label = {STR("name"), {value, n}};
        struct prw_labels *l;
        struct str text;

        value[n / 2] = '\0';
        assert_int_equal(prw_labels_new(&label, 1, &l), 0);
        text = prw_labels_text(l);
        assert_true(text.n <= PRW_VALUE + sizeof("name") + 1);
        if (n > 0) {
            assert_true(str_skip(&text, STR("name\0")));
            text.n--;
        }
        while (text.n > 0) {
            uint32_t c;
            size_t length = text_decode(text, &c);

            assert_true(length > 0 && c != 0);
            text = str_from(text, length);
        }
        prw_labels_drop(l);
    }
}

static void labels_differ_when_they_do(void **state) {
    static const char *const one[] = {"a", "x", "b", "y"}, *const two[] = {"b", "y", "a", "x"};
    static const char *const three[] = {"a", "xb", "c", "y"}, *const four[] = {"a", "x", "bc", "y"};
    struct prw_labels *l[] = {labels_of(one, 2), labels_of(two, 2), labels_of(three, 2),
                              labels_of(four, 2)};

    (void)state;
    assert_true(str_eq(prw_labels_text(l[0]), prw_labels_text(l[1])));
    for (unsigned i = 1; i < 4; i++)
        for (unsigned k = i + 1; k < 4; k++)
            assert_false(str_eq(prw_labels_text(l[i]), prw_labels_text(l[k])));
    assert_ptr_equal(prw_labels_keep(l[0]), l[0]);
    prw_labels_drop(l[0]);
    for (unsigned i = 0; i < 4; i++)
        prw_labels_drop(l[i]);
    prw_labels_drop(NULL);
}

static void too_many_labels_are_refused(void **state) {
    struct prw_label label[PRW_LABELS + 4];
    static char name[PRW_LABELS + 4][8];
    struct prw_labels *l;

    (void)state;
    for (unsigned i = 0; i < PRW_LABELS + 4; i++) {
        snprintf(name[i], sizeof(name[i]), "l%u", i);
        label[i] = (struct prw_label){str_of(name[i]), STR("v")};
    }
    assert_int_equal(prw_labels_new(label, PRW_LABELS, &l), -E2BIG);
    assert_int_equal(prw_labels_new(label, PRW_LABELS + 4, &l), -E2BIG);
    assert_int_equal(prw_labels_new(label, PRW_LABELS - 1, &l), 0);
    prw_labels_drop(l);
    assert_int_equal(prw_labels_new(label, 0, &l), 0);
    prw_labels_drop(l);
}

static void a_full_request_has_no_room_and_is_whole(void **state) {
    static const char *const pairs[] = {"id", "/x"};
    struct prw_labels *l = labels_of(pairs, 1);
    struct buf packed, text;
    struct str rest, line;
    size_t lines = 0;
    struct prw *p;

    (void)state;
    assert_int_equal(prw_new(&p), 0);
    while (prw_has_room(p, l, 50))
        for (unsigned i = 0; i < 50; i++)
            prw_add(p, "m", l, (int64_t)prw_samples(p), (double)prw_samples(p));
    assert_int_equal(prw_samples(p), PRW_SAMPLES);
    buf_init(&packed, 2 * PRW_BYTES);
    buf_init(&text, 1 << 20);
    assert_int_equal(prw_pack(p, &packed), 0);
    assert_true(packed.n < PRW_SAMPLES * 40);
    prwtest_read(buf_str(&packed), &text);
    for (rest = buf_str(&text); str_cut(&rest, '\n', &line); lines++) {
        char wanted[80];

        snprintf(wanted, sizeof(wanted), "__name__=m,id=/x, %zu@%zu", lines, lines);
        assert_true(str_eq(line, str_of(wanted)));
    }
    assert_int_equal(lines, PRW_SAMPLES);
    prw_labels_drop(l);
    prw_free(p);
    buf_done(&packed);
    buf_done(&text);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(labels_are_sorted_with_the_name_among_them),
        cmocka_unit_test(hostile_values_are_utf8_and_bounded),
        cmocka_unit_test(labels_differ_when_they_do),
        cmocka_unit_test(too_many_labels_are_refused),
        cmocka_unit_test(a_full_request_has_no_room_and_is_whole),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
