#include "series/codec.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { MANY = 4000, PAGE = 4096 };

static uint64_t random_state = 1;

/* xorshift64*: the same numbers in every run. */
static uint64_t random_u64(void) {
    random_state ^= random_state >> 12;
    random_state ^= random_state << 25;
    random_state ^= random_state >> 27;
    return random_state * 0x2545f4914f6cdd1d;
}

/* Codes and decodes n values, compares, and tells how many bytes the code has. The code is read
 * from a block of exactly its size, behind which a sanitizer watches. */
static size_t survives(const uint64_t *value, const bool *known, size_t n) {
    uint64_t *back = malloc(n * sizeof(*back)), last = 0;
    bool *is_known = malloc(n * sizeof(*is_known));
    struct buf code;
    size_t bytes;
    char *exact;

    assert_non_null(back);
    assert_non_null(is_known);
    buf_init(&code, 1 << 22);
    assert_int_equal(codec_encode(&code, value, known, n), 0);
    bytes = code.n;
    exact = malloc(bytes + 1);
    assert_non_null(exact);
    if (bytes > 0)
        memcpy(exact + 1, code.p, bytes);
    assert_int_equal(codec_decode((struct str){exact + 1, bytes}, n, back, is_known), 0);
    for (size_t i = 0; i < n; i++) {
        assert_int_equal(is_known[i], !known || known[i]);
        last = is_known[i] ? value[i] : last;
        assert_true(back[i] == last);
    }
    if (!known)
        assert_int_equal(codec_decode((struct str){exact + 1, bytes}, n, back, NULL), 0);
    /* cut short it may say something else, but nothing is read behind the cut */
    for (size_t cut = 1; cut <= bytes; cut += 1 + bytes / 64) {
        (void)codec_decode((struct str){exact + 1, bytes - cut}, n, back, is_known);
    }
    free(exact);
    free(back);
    free(is_known);
    buf_done(&code);
    return bytes;
}

static void flat_columns_cost_a_few_bytes(void **state) {
    static uint64_t value[MANY];

    (void)state;
    assert_int_equal(survives(value, NULL, MANY), 0);
    for (size_t i = 0; i < MANY; i++)
        value[i] = 200000ull * PAGE;
    assert_in_range(survives(value, NULL, MANY), 1, 5);
    for (size_t i = 0; i < MANY; i++)
        value[i] = UINT64_MAX;
    assert_in_range(survives(value, NULL, MANY), 1, 3);
    for (size_t i = 0; i < MANY; i++)
        value[i] = 1700000000000 + 1000 * i;
    assert_in_range(survives(value, NULL, MANY), 1, 8);
}

static void few_changes_cost_a_few_bytes(void **state) {
    static uint64_t value[MANY];

    (void)state;
    for (size_t i = 0; i < MANY; i++)
        value[i] = (i > 2000 ? 5004ull : i > 100 ? 5001 : 5000) * PAGE;
    assert_in_range(survives(value, NULL, MANY), 1, 12);
}

static void any_number_survives(void **state) {
    static const uint64_t edge[] = {
        0, 1, INT64_MAX, 1ull << 63, UINT64_MAX, UINT64_MAX - 1, (1ull << 63) + 1, 4095, 4096};
    static uint64_t value[MANY];

    (void)state;
    for (unsigned bits = 1; bits <= 64; bits++) {
        for (size_t i = 0; i < MANY; i++)
            value[i] = random_u64() >> (64 - bits);
        survives(value, NULL, MANY);
        for (size_t i = 0; i < MANY; i++)
            value[i] <<= 64 - bits;
        survives(value, NULL, MANY);
    }
    for (size_t i = 0; i < MANY; i++)
        value[i] = edge[random_u64() % (sizeof(edge) / sizeof(edge[0]))];
    survives(value, NULL, MANY);
    for (size_t i = 0; i < MANY; i++)
        value[i] = i % 2 ? 1ull << 63 : 0;
    survives(value, NULL, MANY);
}

static void any_length_survives(void **state) {
    static uint64_t value[CODEC_MAX];

    (void)state;
    for (size_t i = 0; i < CODEC_MAX; i++)
        value[i] = (100000 + random_u64() % 500) * PAGE;
    for (size_t n = 1; n <= 300; n++)
        survives(value, NULL, n);
    survives(value, NULL, CODEC_MAX);
}

static void any_gaps_survive(void **state) {
    static uint64_t value[MANY];
    static bool known[MANY];

    (void)state;
    for (size_t i = 0; i < MANY; i++)
        value[i] = random_u64() % 1000;
    assert_in_range(survives(value, known, MANY), 1, 5); /* none is known */
    for (unsigned one_of = 1; one_of < 50; one_of += 3) {
        for (size_t i = 0; i < MANY; i++)
            known[i] = random_u64() % one_of == 0;
        survives(value, known, MANY);
        for (size_t i = 0; i < MANY; i++)
            known[i] = !known[i];
        survives(value, known, MANY);
    }
    memset(known, 0, sizeof(known));
    known[MANY - 1] = true;
    survives(value, known, MANY);
    known[0] = true;
    survives(value, known, MANY);
}

static void columns_that_move_alike_share_their_rest(void **state) {
    static uint64_t value[3][MANY], back[MANY];
    struct buf code[3];

    (void)state;
    for (size_t i = 1; i < MANY; i++)
        value[0][i] = value[0][i - 1] + random_u64() % 100 * PAGE;
    for (size_t i = 0; i < MANY; i++) {
        value[1][i] = value[0][i] + 12345678ull * PAGE;
        value[2][i] = (1ull << 40) - value[0][i];
    }
    for (size_t k = 0; k < 3; k++) {
        buf_init(&code[k], 1 << 20);
        assert_int_equal(codec_encode(&code[k], value[k], NULL, MANY), 0);
    }
    for (size_t k = 0; k < 3; k++) {
        struct str mine = buf_str(&code[k]), other = buf_str(&code[(k + 1) % 3]);

        assert_true(codec_alike(mine, other));
        assert_in_range(codec_front(mine), 1, 8);
        assert_int_equal(codec_decode_parts(str_head(mine, codec_front(mine)),
                                            str_from(other, codec_front(other)), MANY, back, NULL),
                         0);
        assert_memory_equal(back, value[k], sizeof(back));
    }
    value[0][MANY / 2] += PAGE;
    buf_clear(&code[0]);
    assert_int_equal(codec_encode(&code[0], value[0], NULL, MANY), 0);
    assert_false(codec_alike(buf_str(&code[0]), buf_str(&code[1])));
    assert_false(codec_alike(STR(""), STR("")));
    for (size_t k = 0; k < 3; k++)
        buf_done(&code[k]);
}

static void what_it_did_not_write_is_refused(void **state) {
    uint64_t value[11] = {1, 2, 30, 4, 5, 6, 7, 8, 9, 10};
    bool known[11] = {true, true};
    struct buf code;

    (void)state;
    buf_init(&code, 1000);
    assert_int_equal(codec_encode(&code, value, NULL, 0), -EINVAL);
    assert_int_equal(codec_encode(&code, value, NULL, CODEC_MAX + 1), -EINVAL);
    assert_int_equal(codec_encode(&code, value, known, 10), 0);
    assert_int_equal(codec_decode(buf_str(&code), 10, value, NULL), -EBADMSG);
    assert_int_equal(codec_decode(buf_str(&code), 9, value, known), -EBADMSG);
    assert_int_equal(codec_decode(buf_str(&code), 11, value, known), -EBADMSG);
    buf_add_char(&code, 0);
    assert_int_equal(codec_decode(buf_str(&code), 10, value, known), -EBADMSG);
    buf_done(&code);
}

static void times_ascend(void **state) {
    static int64_t at_ms[MANY], back[MANY];
    uint64_t falling[3] = {5, 4, 6};
    struct buf code;

    (void)state;
    buf_init(&code, 1 << 16);
    for (size_t i = 0; i < MANY; i++)
        at_ms[i] = 1700000000000 + (int64_t)(1000 * i + random_u64() % 3);
    assert_int_equal(codec_encode_times(&code, at_ms, MANY), 0);
    assert_int_equal(codec_decode_times(buf_str(&code), MANY, back), 0);
    assert_memory_equal(at_ms, back, sizeof(at_ms));
    assert_in_range(code.n, 1, MANY * 3 / 8);
    at_ms[7] = at_ms[6] - 1;
    assert_int_equal(codec_encode_times(&code, at_ms, MANY), -EINVAL);
    buf_clear(&code);
    assert_int_equal(codec_encode(&code, falling, NULL, 3), 0);
    assert_int_equal(codec_decode_times(buf_str(&code), 3, back), -EBADMSG);
    buf_done(&code);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(flat_columns_cost_a_few_bytes),
        cmocka_unit_test(few_changes_cost_a_few_bytes),
        cmocka_unit_test(any_number_survives),
        cmocka_unit_test(any_length_survives),
        cmocka_unit_test(any_gaps_survive),
        cmocka_unit_test(columns_that_move_alike_share_their_rest),
        cmocka_unit_test(what_it_did_not_write_is_refused),
        cmocka_unit_test(times_ascend),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
