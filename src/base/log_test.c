#include "base/log.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

enum { MOST = 4000 };

/* What is written on stderr for this text. */
static void said(const char *text, char out[MOST]) {
    int ends[2], before = dup(STDERR_FILENO);
    ssize_t n;

    assert_true(before >= 0 && pipe2(ends, O_CLOEXEC) == 0);
    assert_int_equal(dup2(ends[1], STDERR_FILENO), STDERR_FILENO);
    log_line(LOG_WARN, "it is '%s'", text);
    assert_int_equal(dup2(before, STDERR_FILENO), STDERR_FILENO);
    close(before);
    close(ends[1]);
    n = read(ends[0], out, MOST - 1);
    close(ends[0]);
    assert_true(n >= 0);
    out[n] = '\0';
}

/* Escapes of a terminal, in one byte or two, and what turns a line round. */
static void what_a_name_brings_is_made_visible(void **state) {
    char line[MOST];

    (void)state;
    log_open("guard", 0);
    said("a\nb\x1b[31m\xc2\x9b[31m\xe2\x80\xae\xff", line);
    assert_string_equal(line,
                        "plimsoll: guard: it is 'a\\nb\\x1b[31m\\u{009b}[31m\\u{202e}\\xff'\n");
    said("d\xc3\xa9j\xc3\xa0 \xe5\x86\x85", line);
    assert_string_equal(line, "plimsoll: guard: it is 'd\xc3\xa9j\xc3\xa0 \xe5\x86\x85'\n");
}

/* However long, and whatever is in it: one line, whole to its end. */
static void a_long_line_is_cut(void **state) {
    char text[2000], line[MOST];

    (void)state;
    log_open("guard", 3);
    memset(text, 0x1b, sizeof(text) - 1);
    text[sizeof(text) - 1] = '\0';
    said(text, line);
    assert_memory_equal(line, "<4>plimsoll: guard: it is '\\x1b\\x1b", 35);
    assert_string_equal(line + strlen(line) - 5, "\\x1b\n");
    assert_true(strlen(line) > 1500 && strlen(line) < 2400);
}

static void what_was_said_is_not_said_again(void **state) {
    char line[MOST];

    (void)state;
    log_open("guard", 0);
    said("twice", line);
    assert_true(line[0] != '\0');
    said("twice", line);
    assert_string_equal(line, "");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_a_name_brings_is_made_visible),
        cmocka_unit_test(a_long_line_is_cut),
        cmocka_unit_test(what_was_said_is_not_said_again),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
