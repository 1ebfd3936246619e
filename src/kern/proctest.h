/* proctest.h - for the unit tests of parsers: captured files, and every prefix of them.
 *
 * tests/fixtures/v1/proc and v2/proc are captured trees: 10569 is a Python program with file, tmpfs
 * and heap pages; 7596 calls itself "a) R 1 1\nVmRSS: 9"; 134 is a static program on Linux 6.1.
 */
#pragma once
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"

#define PROCTEST_V1 "tests/fixtures/v1/proc"
#define PROCTEST_V2 "tests/fixtures/v2/proc"

static inline int proctest_open(const char *path) {
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    assert_true(fd >= 0);
    return fd;
}

/* The file in a block of exactly its size, so that a sanitizer sees a read past its end. */
static inline struct str proctest_load(const char *path) {
    static char buf[1 << 20];
    struct str text;
    char *exact;

    assert_int_equal(file_read_at(AT_FDCWD, path, buf, sizeof(buf), &text), 0);
    assert_true(text.n > 0);
    exact = malloc(text.n ? text.n : 1);
    assert_non_null(exact);
    memcpy(exact, text.p, text.n);
    return (struct str){exact, text.n};
}

static inline void proctest_free(struct str text) {
    free((void *)(uintptr_t)text.p);
}

/* Calls try() with each prefix of the file, in a block of exactly its size; of files above 4 KiB
 * only with those that end at a newline, one byte before and one after it. Returns for how many
 * try() said success (0). */
static inline size_t proctest_prefixes(const char *path, int (*try)(struct str text)) {
    struct str whole = proctest_load(path);
    size_t good = 0;

    for (size_t n = 0; n < whole.n; n++) {
        bool near_newline = whole.p[n] == '\n' || (n > 0 && whole.p[n - 1] == '\n') ||
                            (n > 1 && whole.p[n - 2] == '\n');
        char *exact;

        if (whole.n > 4096 && !near_newline)
            continue;
        exact = malloc(n ? n : 1);
        assert_non_null(exact);
        memcpy(exact, whole.p, n);
        good += try((struct str){exact, n}) == 0;
        free(exact);
    }
    proctest_free(whole);
    return good;
}
