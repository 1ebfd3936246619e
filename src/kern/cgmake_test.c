#include "kern/cgmake.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <signal.h>
#include <sys/wait.h>

#include "base/file.h"
#include "kern/cgtest.h"

static int open_top(const struct cgtest *t) {
    int dir = open(t->top, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    assert_true(dir >= 0);
    return dir;
}

static void a_group_is_made_once_and_opened(void **state) {
    struct cgtest t;
    int top, a, b;

    (void)state;
    cgtest_init(&t);
    top = open_top(&t);
    a = cgmake_new(top, "a");
    assert_true(a >= 0);
    assert_int_equal(fcntl(a, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
    assert_int_equal(cgmake_new(top, "a"), -EEXIST);
    assert_int_equal(cgmake_open(top, "b"), -ENOENT);
    b = cgmake_new(a, "b");
    assert_true(b >= 0);
    assert_int_equal(symlinkat("a", top, "link"), 0);
    assert_true(cgmake_open(top, "link") < 0);
    assert_int_equal(cgmake_new(top, "none/c"), -ENOENT);
    close(b);
    close(a);
    assert_int_equal(cgmake_remove(top, "a"), 0);
    assert_int_equal(cgmake_open(top, "a"), -ENOENT);
    assert_int_equal(cgmake_remove(top, "a"), 0); /* there is none */
    close(top);
    cgtest_done(&t);
}

static void a_value_goes_into_a_file_that_is_there(void **state) {
    struct cgtest t;
    struct str text;
    char buf[64];
    int top;

    (void)state;
    cgtest_init(&t);
    cgtest_write(&t, "/memory.max", "");
    top = open_top(&t);
    assert_int_equal(cgmake_write(top, "memory.max", STR("1048576")), 0);
    assert_int_equal(file_read_at(top, "memory.max", buf, sizeof(buf), &text), 0);
    assert_true(str_eq(text, STR("1048576")));
    assert_int_equal(cgmake_write(top, "memory.high", STR("1")), -ENOENT);
    assert_int_equal(faccessat(top, "memory.high", F_OK, 0), -1); /* and is not made */
    assert_int_equal(cgmake_kill(top), -ENOENT);
    close(top);
    cgtest_done(&t);
}

static void v2_tells_by_itself_whether_it_is_busy(void **state) {
    struct cgtest t;
    int top;

    (void)state;
    cgtest_init(&t);
    top = open_top(&t);
    assert_int_equal(cgmake_busy(top), -ENODEV); /* neither file: no group */
    cgtest_write(&t, "/cgroup.events", "populated 1\nfrozen 0\n");
    assert_int_equal(cgmake_busy(top), 1);
    cgtest_write(&t, "/cgroup.events", "frozen 0\npopulated 0\n");
    assert_int_equal(cgmake_busy(top), 0);
    cgtest_write(&t, "/cgroup.events", "frozen 0\n");
    assert_int_equal(cgmake_busy(top), -EBADMSG);
    close(top);
    cgtest_done(&t);
}

static void v1_is_busy_when_a_group_below_is(void **state) {
    struct cgtest t;
    int top;

    (void)state;
    cgtest_init(&t);
    cgtest_write(&t, "/cgroup.procs", "");
    cgtest_write(&t, "/a/cgroup.procs", "");
    cgtest_write(&t, "/a/b/cgroup.procs", "");
    top = open_top(&t);
    assert_int_equal(cgmake_busy(top), 0);
    cgtest_write(&t, "/a/b/cgroup.procs", "0\n"); /* somebody of another pid namespace */
    assert_int_equal(cgmake_busy(top), 1);
    close(top);
    cgtest_done(&t);
}

/* --- the real kernel --- */

/* A child that joined `below` and sleeps. */
static pid_t sleeper(const struct cgtest_real *r, const char *below) {
    char path[512];
    int ready[2];
    char byte;
    pid_t pid;

    cgtest_real_path(r, below, path, sizeof(path));
    assert_int_equal(pipe2(ready, O_CLOEXEC), 0);
    pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        int dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

        if (cgmake_join(dir) < 0 || write(ready[1], "", 1) != 1)
            _exit(1);
        for (;;)
            pause();
    }
    close(ready[1]);
    assert_int_equal(read(ready[0], &byte, 1), 1);
    close(ready[0]);
    return pid;
}

static int open_real(const struct cgtest_real *r) {
    int dir = open(r->top, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    assert_true(dir >= 0);
    return dir;
}

static void a_signal_reaches_all_of_the_tree(void **state) {
    struct cgtest_real r;
    unsigned sent = 0;
    pid_t pid[3];
    int dir, status;

    (void)state;
    cgtest_real_init(&r);
    cgtest_real_mkdir(&r, "/a");
    cgtest_real_mkdir(&r, "/a/b");
    dir = open_real(&r);
    assert_int_equal(cgmake_busy(dir), 0);
    pid[0] = sleeper(&r, "");
    pid[1] = sleeper(&r, "/a");
    pid[2] = sleeper(&r, "/a/b");
    assert_int_equal(cgmake_busy(dir), 1);
    assert_int_equal(cgmake_signal(dir, SIGTERM, &sent), 0);
    assert_int_equal(sent, 3);
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(waitpid(pid[i], &status, 0), pid[i]);
        assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGTERM);
    }
    assert_int_equal(cgmake_busy(dir), 0);
    assert_int_equal(cgmake_signal(dir, SIGKILL, NULL), 0);
    assert_int_equal(cgmake_remove(dir, "a"), 0);
    close(dir);
    cgtest_real_done(&r);
}

static void nothing_is_removed_under_a_process(void **state) {
    struct cgtest_real r;
    int dir, status;
    pid_t pid;

    (void)state;
    cgtest_real_init(&r);
    cgtest_real_mkdir(&r, "/a");
    cgtest_real_mkdir(&r, "/a/b");
    dir = open_real(&r);
    pid = sleeper(&r, "/a/b");
    assert_int_equal(cgmake_remove(dir, "a"), -EBUSY);
    assert_int_equal(faccessat(dir, "a/b/cgroup.procs", F_OK, 0), 0);
    assert_int_equal(kill(pid, SIGKILL), 0);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    for (unsigned i = 0; cgmake_remove(dir, "a") == -EBUSY && i < 1000; i++)
        usleep(1000);
    assert_int_equal(faccessat(dir, "a", F_OK, 0), -1);
    close(dir);
    cgtest_real_done(&r);
}

static void who_signals_is_spared(void **state) {
    struct cgtest_real r;
    int dir, status;
    pid_t pid, other;

    (void)state;
    cgtest_real_init(&r);
    dir = open_real(&r);
    other = sleeper(&r, "");
    pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        unsigned sent = 0;

        if (cgmake_join(dir) < 0 || cgmake_signal(dir, SIGKILL, &sent) < 0)
            _exit(1);
        _exit(sent == 1 ? 0 : 2);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    assert_int_equal(waitpid(other, &status, 0), other);
    assert_true(WIFSIGNALED(status));
    close(dir);
    cgtest_real_done(&r);
}

/* A chain of processes, each of which forks the next and goes: at most 2000. */
static void run_away(int dir) {
    if (cgmake_join(dir) < 0)
        _exit(1);
    for (unsigned i = 0; i < 2000; i++) {
        pid_t pid = fork();

        if (pid != 0)
            _exit(pid < 0);
    }
    for (;;)
        pause();
}

static void those_that_fork_meanwhile_are_had_in_the_end(void **state) {
    struct cgtest_real r;
    unsigned passes = 0;
    int dir, status;
    pid_t pid;

    (void)state;
    cgtest_real_init(&r);
    dir = open_real(&r);
    pid = fork();
    assert_true(pid >= 0);
    if (pid == 0)
        run_away(dir);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    while (cgmake_busy(dir) > 0 && passes++ < 20000)
        assert_int_equal(cgmake_signal(dir, SIGKILL, NULL), 0);
    assert_int_equal(cgmake_busy(dir), 0);
    close(dir);
    cgtest_real_done(&r);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_group_is_made_once_and_opened),
        cmocka_unit_test(a_value_goes_into_a_file_that_is_there),
        cmocka_unit_test(v2_tells_by_itself_whether_it_is_busy),
        cmocka_unit_test(v1_is_busy_when_a_group_below_is),
        cmocka_unit_test(a_signal_reaches_all_of_the_tree),
        cmocka_unit_test(nothing_is_removed_under_a_process),
        cmocka_unit_test(who_signals_is_spared),
        cmocka_unit_test(those_that_fork_meanwhile_are_had_in_the_end),
    };

    return cmocka_run_group_tests(tests, NULL, cgtest_real_sweep);
}
