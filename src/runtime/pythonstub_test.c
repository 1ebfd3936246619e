#include "runtime/pythonstub.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <string.h>
#include <sys/mman.h>

#include <cmocka.h>

/* What was called, in order; and what it was given. */
static char calls[16];
static size_t n_calls;
static int holds, ready, was_enabled, released_with;

static int called(char name, int result) {
    /* As every function may expect: 16 bytes aligned before the call. */
    assert_int_equal((uintptr_t)__builtin_frame_address(0) % 16, 0);
    assert_true(n_calls + 1 < sizeof(calls));
    calls[n_calls++] = name;
    calls[n_calls] = '\0';
    return result;
}

static int gil_check(void) {
    return called('g', holds);
}
static int initialized(void) {
    return called('i', ready);
}
static int ensure(void) {
    return called('e', 1);
}
static int enable(void) {
    return called('n', was_enabled);
}
static long collect(void) {
    return called('c', 0) + 0x123456789aL;
}
static int disable(void) {
    return called('d', 1);
}
static void release(int state) {
    released_with = state;
    (void)called('r', 0);
}

static long run(int holding, int is_ready, int enabled) {
    struct pythonstub to = {.gil_check = (uintptr_t)gil_check,
                            .initialized = (uintptr_t)initialized,
                            .ensure = (uintptr_t)ensure,
                            .enable = (uintptr_t)enable,
                            .collect = (uintptr_t)collect,
                            .disable = (uintptr_t)disable,
                            .release = (uintptr_t)release};
    unsigned char code[PYTHONSTUB_MAX];
    size_t n = pythonstub_build(&to, code);
    void *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    long (*stub)(void);
    long r;

    assert_true(page != MAP_FAILED);
    memcpy(page, code, n);
    assert_int_equal(mprotect(page, 4096, PROT_READ | PROT_EXEC), 0);
    memcpy(&stub, &page, sizeof(stub));
    holds = holding;
    ready = is_ready;
    was_enabled = enabled;
    n_calls = 0;
    released_with = -1;
    r = stub();
    assert_int_equal(munmap(page, 4096), 0);
    return r;
}

static void lock_is_given_back(void **state) {
    (void)state;
    assert_int_equal(run(0, 1, 1), 0x123456789aL);
    assert_string_equal(calls, "gienc"
                               "r");
    assert_int_equal(released_with, 1);
}

static void collector_that_was_off_is_off_again(void **state) {
    (void)state;
    assert_int_equal(run(0, 1, 0), 0x123456789aL);
    assert_string_equal(calls, "giencdr");
}

static void nothing_is_done_in_a_thread_that_runs_python(void **state) {
    (void)state;
    assert_int_equal(run(1, 1, 1), PYTHONSTUB_HOLDS_GIL);
    assert_string_equal(calls, "g");
    assert_int_equal(run(0, 0, 1), PYTHONSTUB_NOT_READY);
    assert_string_equal(calls, "gi");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lock_is_given_back),
        cmocka_unit_test(collector_that_was_off_is_off_again),
        cmocka_unit_test(nothing_is_done_in_a_thread_that_runs_python),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
