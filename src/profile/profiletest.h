/* profiletest.h - what tests of this folder share. */
#pragma once
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <stdlib.h>

#include "base/file.h"
#include "profile/pprof.h"

struct loaded {
    char *p;
    size_t n;
};

static inline struct loaded load(const char *path) {
    struct loaded l;

    assert_int_equal(file_load_in(AT_FDCWD, path, 4 << 20, &l.p, &l.n), 0);
    return l;
}

static inline struct profile *read_fixture(const char *path) {
    struct loaded l = load(path);
    struct profile *p = NULL;
    struct err err;

    if (pprof_read((struct str){l.p, l.n}, path, &p, &err) < 0)
        fail_msg("%s", err.text);
    free(l.p);
    return p;
}

/* A profile of types a/count and b/bytes. Stacks are "leaf;...;root". */
static inline void add_stack_text(struct profile *p, const char *stack, int64_t a, int64_t b) {
    struct profile_frame frame[16] = {{.function = {0}}};
    const int64_t value[PROFILE_TYPES] = {a, b};
    struct str rest = str_of(stack), head;
    size_t n = 0;

    while (str_cut(&rest, ';', &head))
        frame[n++].function = head;
    frame[n++].function = rest;
    assert_int_equal(profile_add(p, frame, n, value), 0);
}

static inline struct profile *two_types(void) {
    struct profile *p = NULL;

    assert_int_equal(profile_new(&p), 0);
    assert_int_equal(profile_add_type(p, STR("a"), STR("count")), 0);
    assert_int_equal(profile_add_type(p, STR("b"), STR("bytes")), 1);
    return p;
}
