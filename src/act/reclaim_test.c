#include "act/reclaim.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <sys/mman.h>
#include <sys/wait.h>

#include "base/clock.h"
#include "base/file.h"
#include "kern/cgtest.h"

enum { CACHED = 16 << 20, ANON = 8 << 20 };

/* A child of the group that has read a file and has memory of its own. */
static pid_t start_user(const struct cgtest_real *real) {
    int ready[2];
    char byte;
    pid_t pid;

    assert_int_equal(pipe2(ready, O_CLOEXEC), 0);
    pid = fork();
    if (pid == 0) {
        char path[] = "/var/tmp/plimsoll-unit-XXXXXX";
        char *anon = mmap(NULL, ANON, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        int fd;

        alarm(60);
        if (cgtest_real_write(real, "/cgroup.procs", "0") != 0 || anon == MAP_FAILED)
            _exit(1);
        fd = mkstemp(path);
        unlink(path);
        memset(anon, 1, ANON);
        for (size_t at = 0; at < CACHED; at += ANON)
            if (write(fd, anon, ANON) != ANON)
                _exit(1);
        if (fdatasync(fd) < 0 || write(ready[1], "r", 1) != 1)
            _exit(1);
        for (;;)
            pause();
    }
    close(ready[1]);
    assert_int_equal(read(ready[0], &byte, 1), 1);
    close(ready[0]);
    return pid;
}

/* Whatever else takes page cache on this machine has not taken this yet. */
static pid_t start_cached(const struct cgtest_real *real, struct grip *g, struct facts *before) {
    for (unsigned i = 0;; i++) {
        pid_t pid = start_user(real);
        struct err err = {0};

        assert_int_equal(grip_open(&real->host, &real->fs, str_of(real->group), g, &err), 0);
        assert_int_equal(grip_read(g, GRIP_STAT, before), 0);
        if (before->value[FACT_FILE] >= CACHED || i == 20)
            return pid;
        grip_done(g);
        kill(pid, SIGKILL);
        waitpid(pid, NULL, 0);
    }
}

static void cache_is_given_back_and_the_rest_is_told(void **state) {
    struct cgtest_real real;
    struct action_report report;
    struct grip g;
    struct facts before, after;
    pid_t pid;

    (void)state;
    cgtest_real_init(&real);
    assert_int_equal(cgtest_real_write(&real, "/memory.limit_in_bytes", "67108864"), 0);
    pid = start_cached(&real, &g, &before);
    assert_int_equal(reclaim_run(&g, 1 << 20, clock_mono_us() + 10000000, &report), 0);
    assert_int_equal(grip_read(&g, GRIP_STAT, &after), 0);
    print_message("# %s\n", report.text);
    assert_int_equal(report.outcome, OUTCOME_DONE);
    assert_non_null(strstr(report.text, " reclaimed"));
    assert_true(before.value[FACT_FILE] >= CACHED);
    assert_true(after.value[FACT_FILE] < CACHED / 8);
    assert_true(after.value[FACT_ANON] >= ANON);
    assert_non_null(strstr(report.text, "anonymous memory stay"));
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    assert_int_equal(reclaim_run(&g, 0, clock_mono_us() + 10000000, &report), 0);
    assert_int_equal(report.outcome, OUTCOME_DONE);
    cgtest_real_done(&real);
    assert_int_equal(reclaim_run(&g, 0, clock_mono_us() + 10000000, &report), 0);
    assert_int_equal(report.outcome, OUTCOME_FAILED);
    assert_non_null(strstr(report.text, "removed"));
    grip_done(&g);
}

/* It spins from before this returns on: on a processor of its own, not on that of who reclaims. */
static pid_t kill_soon(pid_t pid, int64_t us) {
    int ready[2];
    char byte = 0;
    pid_t killer;

    assert_int_equal(pipe2(ready, O_CLOEXEC), 0);
    killer = fork();
    if (killer == 0) {
        int64_t start_us = clock_mono_us();

        if (write(ready[1], &byte, 1) != 1)
            _exit(1);
        while (clock_mono_us() - start_us < us)
            continue;
        _exit(kill(pid, SIGKILL));
    }
    close(ready[1]);
    assert_int_equal(read(ready[0], &byte, 1), 1);
    close(ready[0]);
    return killer;
}

/* The process ends in the middle of the work: its memory is not said to be reclaimed. */
static void what_a_process_gave_back_is_told_apart(void **state) {
    struct cgtest_real real;
    struct action_report report;
    struct err err = {0};
    pid_t pid, killer;
    struct grip g;
    bool ended = false;

    (void)state;
    cgtest_real_init(&real);
    for (unsigned i = 0; i < 300 && !ended; i++) {
        pid = start_user(&real);
        assert_int_equal(grip_open(&real.host, &real.fs, str_of(real.group), &g, &err), 0);
        killer = kill_soon(pid, 40 * (i % 40));
        assert_int_equal(reclaim_run(&g, 0, clock_mono_us() + 10000000, &report), 0);
        ended = strstr(report.text, "partly because a process ended");
        waitpid(killer, NULL, 0);
        waitpid(pid, NULL, 0);
        grip_done(&g);
    }
    print_message("# %s\n", report.text);
    assert_true(ended);
    assert_non_null(strstr(report.text, " of page cache reclaimed; the group shrank by "));
    cgtest_real_done(&real);
}

/* Files in place of the kernel's, which give nothing back: what was written tells. */
static void on_v2_so_much_is_asked_for_and_not_for_ever(void **state) {
    struct cgtest fake;
    struct action_report report;
    struct err err = {0};
    struct grip g;
    char buf[64];
    struct str text;

    (void)state;
    cgtest_init(&fake);
    cgtest_make_v2(&fake);
    cgtest_copy(&fake, "tests/fixtures/v2/root", "/sys/fs/cgroup/a");
    cgtest_write(&fake, "/sys/fs/cgroup/a/memory.current", "104857600\n");
    cgtest_write(&fake, "/sys/fs/cgroup/a/memory.reclaim", "");
    cgtest_write(&fake, "/sys/fs/cgroup/a/cgroup.procs", "");
    cgtest_open(&fake, false);
    assert_int_equal(grip_open(&fake.host, &fake.fs, STR("/a"), &g, &err), 0);
    assert_int_equal(reclaim_run(&g, 5000000, clock_mono_us() + 10000000, &report), 0);
    assert_int_equal(report.outcome, OUTCOME_DONE);
    assert_non_null(strstr(report.text, "0B reclaimed of 4.77M"));
    assert_int_equal(file_read_at(g.level[0].dir, "memory.reclaim", buf, sizeof(buf), &text), 0);
    assert_true(str_eq(text, STR("5000000")));
    assert_int_equal(reclaim_run(&g, 5000000, clock_mono_us() - 1, &report), 0);
    assert_int_equal(report.outcome, OUTCOME_PARTLY);
    mem_close_fd(&g.reclaim);
    g.reclaim = -1;
    assert_int_equal(reclaim_run(&g, 1, clock_mono_us() + 1000000, &report), 0);
    assert_int_equal(report.outcome, OUTCOME_REFUSED);
    assert_non_null(strstr(report.text, "Linux 5.19"));
    grip_done(&g);
    cgtest_done(&fake);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cache_is_given_back_and_the_rest_is_told),
        cmocka_unit_test(what_a_process_gave_back_is_told_apart),
        cmocka_unit_test(on_v2_so_much_is_asked_for_and_not_for_ever),
    };

    return cmocka_run_group_tests(tests, NULL, cgtest_real_sweep);
}
