#include "series/symbols.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { MANY = 5000 };

static uint64_t number[MANY], back[MANY];

static uint64_t noise(uint64_t i) {
    i = (i + 1) * 0x9e3779b97f4a7c15;
    i = (i ^ i >> 29) * 0xbf58476d1ce4e5b9;
    return i ^ i >> 32;
}

static size_t survives(size_t n) {
    struct symbols plan;
    struct buf code;
    size_t bytes;
    char *exact;

    buf_init(&code, 1 << 20);
    symbols_plan(&plan, number, n);
    assert_int_equal(symbols_encode(&code, &plan, number, n), 0);
    bytes = code.n;
    exact = malloc(bytes + 1); /* nothing behind it is read */
    assert_non_null(exact);
    memcpy(exact + 1, code.p, bytes);
    assert_int_equal(symbols_decode((struct str){exact + 1, bytes}, n, back), 0);
    assert_memory_equal(number, back, n * sizeof(*back));
    assert_int_equal(symbols_decode((struct str){exact + 1, bytes - 1}, n, back), -EBADMSG);
    free(exact);
    buf_done(&code);
    return bytes;
}

static void numbers_of_every_size_survive(void **state) {
    (void)state;
    for (unsigned bits = 0; bits <= 64; bits++) {
        for (size_t i = 0; i < MANY; i++)
            number[i] = bits > 0 ? noise(i) >> (64 - bits) : 0;
        number[MANY / 2] = UINT64_MAX;
        survives(MANY);
        survives(1);
        survives(2);
        survives(255);
        survives(256);
        survives(257);
    }
}

/* Numbers of all magnitudes at once: more symbols than a code may have, unless parted coarsely. */
static void all_magnitudes_at_once_survive(void **state) {
    (void)state;
    for (size_t i = 0; i < MANY; i++)
        number[i] = noise(i) >> i % 64;
    survives(MANY);
}

/* Where the shares are known, so is the least that a coder can do: here 1.5 bits a number. */
static void cost_is_near_the_entropy(void **state) {
    size_t bytes;

    (void)state;
    for (size_t i = 0; i < MANY; i++)
        number[i] = noise(i) % 4 > 1 ? noise(i) % 4 - 1 : 0;
    bytes = survives(MANY);
    assert_in_range(bytes, MANY * 15 / 80, MANY * 15 / 80 * 103 / 100 + 20);
}

static void a_changed_code_never_reads_outside(void **state) {
    struct symbols plan;
    struct buf code;

    (void)state;
    buf_init(&code, 1 << 20);
    for (size_t i = 0; i < 600; i++)
        number[i] = noise(i) % 1000;
    symbols_plan(&plan, number, 600);
    assert_int_equal(symbols_encode(&code, &plan, number, 600), 0);
    for (size_t i = 0; i < code.n; i++)
        for (unsigned bit = 0; bit < 8; bit++) {
            code.p[i] = (char)(code.p[i] ^ 1 << bit);
            (void)symbols_decode(buf_str(&code), 600, back);
            code.p[i] = (char)(code.p[i] ^ 1 << bit);
        }
    assert_int_equal(symbols_decode(buf_str(&code), 600, back), 0);
    assert_int_equal(symbols_decode(buf_str(&code), 599, back), -EBADMSG);
    assert_int_equal(symbols_decode(buf_str(&code), 601, back), -EBADMSG);
    assert_int_equal(symbols_decode(STR(""), 1, back), -EBADMSG);
    buf_done(&code);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers_of_every_size_survive),
        cmocka_unit_test(all_magnitudes_at_once_survive),
        cmocka_unit_test(cost_is_near_the_entropy),
        cmocka_unit_test(a_changed_code_never_reads_outside),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
