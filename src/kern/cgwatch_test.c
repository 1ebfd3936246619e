#include "kern/cgwatch.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <poll.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include "kern/cgmake.h"
#include "kern/cgtest.h"
#include "kern/oomcount.h"

static void a_kernel_that_cannot_is_told_apart(void **state) {
    struct cgwatch w = {.fd = -1};
    struct cgtest t;
    auto_close int top = -1;

    (void)state;
    cgtest_init(&t);
    top = open(t.top, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_int_equal(cgwatch_oom(top, CG_V1, &w), -EOPNOTSUPP);
    assert_int_equal(cgwatch_oom(top, CG_V2, &w), -EOPNOTSUPP);
    assert_int_equal(cgwatch_usage(top, CG_V1, 4096, &w), -EOPNOTSUPP);
    assert_int_equal(cgwatch_usage(top, CG_V2, 4096, &w), -EOPNOTSUPP);
    cgtest_write(&t, "/memory.oom_control", "oom_kill 0\n"); /* without cgroup.event_control */
    assert_int_equal(cgwatch_oom(top, CG_V1, &w), -EOPNOTSUPP);
    assert_int_equal(w.fd, -1);
    assert_int_equal(cgwatch_take(&w), 0);
    cgwatch_close(&w);
    cgtest_done(&t);
}

static void a_file_that_has_not_moved_signals_nothing(void **state) {
    struct cgwatch w = {.fd = -1};
    struct cgtest t;
    auto_close int top = -1;

    (void)state;
    cgtest_init(&t);
    cgtest_write(&t, "/memory.events", "low 0\nhigh 0\nmax 0\noom 0\noom_kill 0\n");
    top = open(t.top, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_int_equal(cgwatch_oom(top, CG_V2, &w), 0);
    assert_int_equal(cgwatch_poll_events(&w), EPOLLPRI);
    assert_int_equal(cgwatch_take(&w), 0);
    cgwatch_close(&w);
    assert_int_equal(w.fd, -1);
    cgtest_done(&t);
}

/* A child in the group touches so many bytes; its wait status. */
static int touch(int group, size_t bytes) {
    pid_t pid = fork();
    int status;

    assert_true(pid >= 0);
    if (pid == 0) {
        char *p = MAP_FAILED;

        if (cgmake_join(group) == 0)
            p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (p == MAP_FAILED)
            _exit(1);
        for (size_t at = 0; at < bytes; at += 4096)
            p[at] = 1;
        _exit(0);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return status;
}

static bool is_ready(const struct cgwatch *w) {
    struct pollfd wait = {.fd = w->fd, .events = (short)cgwatch_poll_events(w)};

    return poll(&wait, 1, 10000) == 1;
}

static void an_oom_kill_is_signalled_and_counted(void **state) {
    struct oomcount before, after, below;
    struct cgwatch oom, usage;
    struct cgtest_real r;
    int top, sub, status;

    (void)state;
    cgtest_real_init(&r);
    cgtest_real_mkdir(&r, "/sub");
    assert_int_equal(cgtest_real_write(&r, "/memory.limit_in_bytes", "16M"), 0);
    (void)cgtest_real_write(&r, "/memory.memsw.limit_in_bytes", "17M"); /* where there is swap */
    top = open(r.top, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    sub = cgmake_open(top, "sub");
    assert_true(sub >= 0);
    assert_int_equal(cgwatch_oom(top, CG_V1, &oom), 0);
    assert_int_equal(cgwatch_usage(top, CG_V1, 8 << 20, &usage), 0);
    assert_int_equal(cgwatch_poll_events(&oom), EPOLLIN);
    assert_int_equal(oomcount_read(top, CG_V1, &before), 0);
    assert_true(before.have_kills);

    status = touch(sub, 2 << 20); /* below both marks */
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    assert_int_equal(cgwatch_take(&oom), 0);
    assert_int_equal(cgwatch_take(&usage), 0);

    status = touch(sub, 12 << 20);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    assert_true(is_ready(&usage)); /* up, and down again */
    assert_true(cgwatch_take(&usage) >= 1);
    assert_int_equal(cgwatch_take(&oom), 0);

    status = touch(sub, 32 << 20);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == 9);
    assert_true(is_ready(&oom));
    assert_true(cgwatch_take(&oom) >= 1);
    assert_int_equal(cgwatch_take(&oom), 0);
    assert_int_equal(oomcount_read(top, CG_V1, &after), 0);
    assert_int_equal(after.kills, before.kills + 1); /* counted in sub, told for the tree */
    assert_false(after.have_ooms);
    assert_int_equal(oomcount_read(sub, CG_V1, &below), 0);
    assert_int_equal(below.kills, 1);

    cgtest_real_rmdir(&r, "/sub");
    assert_int_equal(oomcount_read(sub, CG_V1, &below), -ENODEV);
    close(sub);
    cgwatch_close(&oom);
    cgwatch_close(&usage);
    close(top);
    cgtest_real_done(&r);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_kernel_that_cannot_is_told_apart),
        cmocka_unit_test(a_file_that_has_not_moved_signals_nothing),
        cmocka_unit_test(an_oom_kill_is_signalled_and_counted),
    };

    return cmocka_run_group_tests(tests, NULL, cgtest_real_sweep);
}
