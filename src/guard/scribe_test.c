#include "guard/scribe.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/mem.h"
#include "guard/auditlog.h"

enum { LINE = 1000, LINES = 600, WAIT_US = 10000000 }; /* twice the ring */

static int temporary(char *name) {
    int fd = mkstemp(name);

    assert_true(fd >= 0);
    assert_int_equal(fcntl(fd, F_SETFL, O_APPEND), 0);
    return fd;
}

static struct scribe *start(int file, const char *path) {
    struct scribe *s = NULL;
    struct err err;

    if (scribe_start(file, path, &s, &err) < 0)
        fail_msg("%s", err.text);
    return s;
}

static struct str line(char *room, unsigned number) {
    (void)snprintf(room, LINE + 1, "%0*u", LINE - 1, number);
    room[LINE - 1] = '\n';
    room[LINE] = '\0';
    return (struct str){room, LINE};
}

static void all_is_written_in_order(void **state) {
    char name[] = "/var/tmp/plimsoll-unit-XXXXXX", want[LINE + 1], got[LINE];
    auto_close int file = temporary(name);
    struct scribe *s = start(file, NULL);

    (void)state;
    for (unsigned i = 0; i < LINES; i++) {
        if (scribe_room(s) < LINE)
            assert_true(scribe_wait(s, WAIT_US));
        assert_int_equal(scribe_write(s, line(want, i)), 0);
    }
    scribe_end(s);
    for (unsigned i = 0; i < LINES; i++) {
        assert_int_equal(pread(file, got, LINE, (off_t)i * LINE), LINE);
        assert_memory_equal(got, line(want, i).p, LINE);
    }
    assert_int_equal(pread(file, got, LINE, (off_t)LINES * LINE), 0);
    assert_int_equal(unlink(name), 0);
}

/* Others append to the file as well: no line of theirs may come into one of ours. */
static void a_line_is_written_at_once(void **state) {
    enum { FAR = 3 * 256 * 1024 / LINE };
    char want[LINE + 1], got[4 * LINE];
    int ends[2];
    struct scribe *s;

    (void)state;
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends), 0);
    s = start(ends[0], NULL);
    for (unsigned i = 0; i < FAR; i++) { /* each write is a message */
        assert_int_equal(scribe_write(s, line(want, i)), 0);
        assert_int_equal(recv(ends[1], got, sizeof(got), 0), LINE);
        assert_memory_equal(got, want, LINE);
    }
    scribe_end(s);
    close(ends[0]);
    close(ends[1]);
}

/* A disk that takes nothing: refused when there is no room, and printed at the end. */
static void what_cannot_be_written_is_printed(void **state) {
    char name[] = "/var/tmp/plimsoll-unit-XXXXXX", text[LINE + 1], *printed;
    auto_close int file = open("/dev/full", O_WRONLY | O_CLOEXEC), out = temporary(name);
    int own = dup(STDERR_FILENO);
    struct scribe *s;
    unsigned taken = 0;
    struct stat st;

    (void)state;
    assert_true(file >= 0 && own >= 0);
    assert_int_equal(dup2(out, STDERR_FILENO), STDERR_FILENO);
    s = start(file, NULL);
    while (taken < LINES && scribe_write(s, line(text, taken)) == 0)
        taken++;
    assert_true(taken > 200 && taken < LINES);
    assert_int_equal(scribe_write(s, line(text, taken)), -ENOSPC);
    assert_true(scribe_room(s) < LINE);
    assert_false(scribe_wait(s, 1000));
    scribe_end(s);
    assert_int_equal(dup2(own, STDERR_FILENO), STDERR_FILENO);
    close(own);
    assert_int_equal(fstat(out, &st), 0);
    printed = calloc(1, (size_t)st.st_size + 1);
    assert_non_null(printed);
    assert_int_equal(pread(out, printed, (size_t)st.st_size, 0), st.st_size);
    (void)snprintf(text, sizeof(text), "%u bytes of the audit could not be written", taken * LINE);
    assert_non_null(strstr(printed, text));
    for (unsigned i = 0; i < 65; i++) {
        (void)line(text, i);
        assert_non_null(strstr(printed, text));
    }
    assert_true(st.st_size < 70000);
    free(printed);
    assert_int_equal(unlink(name), 0);
}

static off_t size_of(const char *path) {
    struct stat st;

    return stat(path, &st) < 0 ? -1 : st.st_size;
}

static void a_file_that_is_too_large_is_put_aside(void **state) {
    char folder[] = "/var/tmp/plimsoll-unit-XXXXXX", path[64], old[64], text[LINE + 1];
    struct scribe *s;
    struct err err;
    int file;

    (void)state;
    assert_non_null(mkdtemp(folder));
    (void)snprintf(path, sizeof(path), "%s/audit", folder);
    (void)snprintf(old, sizeof(old), "%s/audit.1", folder);
    file = auditlog_open(path, &err);
    assert_true(file >= 0);
    s = start(file, path);
    assert_int_equal(scribe_write(s, line(text, 1)), 0);
    assert_true(scribe_wait(s, WAIT_US));
    assert_int_equal(ftruncate(file, AUDITLOG_MOST), 0);
    assert_int_equal(scribe_write(s, line(text, 2)), 0);
    assert_int_equal(scribe_write(s, line(text, 3)), 0);
    assert_true(scribe_wait(s, WAIT_US));
    assert_int_equal(size_of(old), AUDITLOG_MOST);
    assert_int_equal(size_of(path), 2 * LINE);
    scribe_end(s);
    s = start(file, path); /* as one that follows one that was killed: the file is the old one's */
    assert_int_equal(scribe_write(s, line(text, 4)), 0);
    scribe_end(s);
    assert_int_equal(size_of(old), AUDITLOG_MOST);
    assert_int_equal(size_of(path), 3 * LINE);
    close(file);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(unlink(old), 0);
    assert_int_equal(rmdir(folder), 0);
}

/* Several find it too large at the same moment: what is put aside is the large one, once. */
static void who_finds_it_put_aside_leaves_the_next_one(void **state) {
    enum { ROUNDS = 200, OTHERS = 6 };
    char folder[] = "/var/tmp/plimsoll-unit-XXXXXX", path[64], old[64];

    (void)state;
    assert_non_null(mkdtemp(folder));
    (void)snprintf(path, sizeof(path), "%s/audit", folder);
    (void)snprintf(old, sizeof(old), "%s/audit.1", folder);
    for (unsigned i = 0; i < ROUNDS; i++) {
        int file = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600), go[2], status;

        assert_true(file >= 0 && ftruncate(file, AUDITLOG_MOST) == 0 && pipe2(go, O_CLOEXEC) == 0);
        for (unsigned k = 0; k < OTHERS; k++)
            if (fork() == 0) {
                struct err err;
                char byte;

                close(go[1]);
                (void)!read(go[0], &byte, 1);
                _exit(auditlog_open(path, &err) < 0);
            }
        close(go[0]);
        close(go[1]); /* all at once */
        for (unsigned k = 0; k < OTHERS; k++) {
            assert_true(wait(&status) > 0);
            assert_int_equal(status, 0);
        }
        assert_int_equal(size_of(old), AUDITLOG_MOST);
        close(file);
    }
    assert_int_equal(unlink(path), 0);
    assert_int_equal(unlink(old), 0);
    assert_int_equal(rmdir(folder), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_is_written_in_order),
        cmocka_unit_test(a_line_is_written_at_once),
        cmocka_unit_test(what_cannot_be_written_is_printed),
        cmocka_unit_test(a_file_that_is_too_large_is_put_aside),
        cmocka_unit_test(who_finds_it_put_aside_leaves_the_next_one),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
