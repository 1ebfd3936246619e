#include "act/oomhold.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include "base/clock.h"
#include "base/file.h"
#include "kern/cgmake.h"
#include "kern/cgtest.h"

struct scene {
    struct cgtest_real real;
    struct warden *warden;
    struct grip grip;
    struct oomhold hold;
    pid_t watchdog;
};

/* Whatever becomes of the test, nobody waits for memory for good. */
static pid_t start_watchdog(const struct scene *s) {
    pid_t pid = fork();

    assert_true(pid >= 0);
    if (pid == 0) {
        char path[300];
        int dir;

        sleep(90);
        (void)cgtest_real_write(&s->real, "/g/memory.oom_control", "0");
        (void)cgtest_real_write(&s->real, "/g/below/memory.oom_control", "0");
        snprintf(path, sizeof(path), "%s/g", s->real.top);
        dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (dir >= 0)
            (void)cgmake_signal(dir, SIGKILL, NULL);
        _exit(0);
    }
    return pid;
}

static void begin(struct scene *s) {
    struct err err = {0};
    char group[128];

    memset(s, 0, sizeof(*s));
    s->hold = (struct oomhold)OOMHOLD_NONE;
    cgtest_real_init(&s->real);
    cgtest_real_mkdir(&s->real, "/g");
    assert_int_equal(cgtest_real_write(&s->real, "/g/memory.limit_in_bytes", "16M"), 0);
    (void)cgtest_real_write(&s->real, "/g/memory.memsw.limit_in_bytes", "16M");
    s->watchdog = start_watchdog(s);
    snprintf(group, sizeof(group), "%s/g", s->real.group);
    if (warden_start(&s->warden, &err) < 0 ||
        grip_open(&s->real.host, &s->real.fs, str_of(group), &s->grip, &err) < 0)
        fail_msg("%s", err.text);
}

static void end(struct scene *s) {
    oomhold_done(&s->hold);
    warden_end(s->warden);
    grip_done(&s->grip);
    cgtest_real_rmdir(&s->real, "/g");
    cgtest_real_done(&s->real);
    kill(s->watchdog, SIGKILL);
    waitpid(s->watchdog, NULL, 0);
}

/* 1: disabled; 0: enabled. */
static int disabled(const struct scene *s, const char *group) {
    char path[400], buf[512];
    struct str text;

    snprintf(path, sizeof(path), "%s%s/memory.oom_control", s->real.top, group);
    assert_int_equal(file_read_at(AT_FDCWD, path, buf, sizeof(buf), &text), 0);
    return str_starts(text, STR("oom_kill_disable 1\n"));
}

static bool comes_to(const struct scene *s, int want, int64_t most_ms) {
    int64_t until_us = clock_mono_us() + most_ms * 1000;

    while (disabled(s, "/g") != want) {
        if (clock_mono_us() > until_us)
            return false;
        usleep(1000);
    }
    return true;
}

/* A process that wants twice what its group may have. */
static pid_t start_eater(const struct scene *s, const char *group) {
    pid_t pid = fork();

    assert_true(pid >= 0);
    if (pid == 0) {
        size_t size = 32 << 20;
        char number[16], path[64], *p;

        prctl(PR_SET_PDEATHSIG, SIGKILL);
        snprintf(number, sizeof(number), "%d", (int)getpid());
        snprintf(path, sizeof(path), "%s/cgroup.procs", group);
        if (cgtest_real_write(&s->real, path, number) != 0)
            _exit(1);
        p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (p == MAP_FAILED)
            _exit(1);
        memset(p, 1, size);
        _exit(2);
    }
    return pid;
}

static void arm(struct scene *s) {
    struct err err = {0};

    if (oomhold_arm(&s->hold, &s->grip, s->warden, &err) < 0)
        fail_msg("%s", err.text);
    assert_int_equal(disabled(s, "/g"), 1);
    assert_true(s->hold.armed);
}

static void await_oom(struct scene *s) {
    struct pollfd fd = {.fd = s->hold.watch.fd, .events = POLLIN};

    assert_int_equal(poll(&fd, 1, 10000), 1);
    assert_true(cgwatch_take(&s->hold.watch) > 0);
}

static void armed_and_disarmed(void **state) {
    struct err err = {0};
    struct scene s;

    (void)state;
    begin(&s);
    arm(&s);
    assert_int_equal(oomhold_again(&s.hold), 0);
    oomhold_done(&s.hold);
    assert_int_equal(disabled(&s, "/g"), 0);
    oomhold_done(&s.hold);
    assert_int_equal(cgtest_real_write(&s.real, "/g/memory.oom_control", "1"), 0);
    assert_int_equal(oomhold_arm(&s.hold, &s.grip, s.warden, &err), -EALREADY);
    print_message("# %s\n", err.text);
    oomhold_done(&s.hold);
    assert_int_equal(disabled(&s, "/g"), 1); /* somebody else's */
    assert_int_equal(cgtest_real_write(&s.real, "/g/memory.oom_control", "0"), 0);
    end(&s);
}

static void groups_below_never_keep_it(void **state) {
    struct err err = {0};
    struct scene s;

    (void)state;
    begin(&s);
    cgtest_real_mkdir(&s.real, "/g/below");
    assert_int_equal(oomhold_arm(&s.hold, &s.grip, s.warden, &err), -ENOTEMPTY);
    print_message("# %s\n", err.text);
    cgtest_real_rmdir(&s.real, "/g/below");
    arm(&s);
    cgtest_real_mkdir(&s.real, "/g/below");
    cgtest_real_mkdir(&s.real, "/g/below/more");
    assert_int_equal(disabled(&s, "/g/below/more"), 1); /* inherited */
    oomhold_done(&s.hold);
    warden_end(s.warden);
    s.warden = NULL;
    assert_int_equal(disabled(&s, "/g/below"), 0);
    assert_int_equal(disabled(&s, "/g/below/more"), 0);
    cgtest_real_rmdir(&s.real, "/g/below/more");
    cgtest_real_rmdir(&s.real, "/g/below");
    end(&s);
}

/* What is made below inherits it, and nobody is told of an OOM there. */
static void a_group_below_ends_it_for_good(void **state) {
    struct scene s;
    int status;
    pid_t pid;

    (void)state;
    begin(&s);
    arm(&s);
    assert_int_equal(oomhold_check(&s.hold), 0);
    assert_int_equal(disabled(&s, "/g"), 1);
    cgtest_real_mkdir(&s.real, "/g/below");
    assert_int_equal(disabled(&s, "/g/below"), 1);
    assert_int_equal(cgtest_real_write(&s.real, "/g/below/memory.limit_in_bytes", "4M"), 0);
    (void)cgtest_real_write(&s.real, "/g/below/memory.memsw.limit_in_bytes", "4M");
    pid = start_eater(&s, "/g/below");
    usleep(100000);
    assert_int_equal(waitpid(pid, &status, WNOHANG), 0); /* it hangs */
    assert_int_equal(oomhold_check(&s.hold), -ENOTEMPTY);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    assert_int_equal(disabled(&s, "/g"), 0);
    assert_int_equal(disabled(&s, "/g/below"), 0);
    assert_false(s.hold.armed);
    assert_int_equal(oomhold_check(&s.hold), 0);
    assert_int_equal(oomhold_again(&s.hold), -ENOTEMPTY);
    cgtest_real_rmdir(&s.real, "/g/below");
    assert_int_equal(oomhold_again(&s.hold), -ENOTEMPTY);
    assert_int_equal(disabled(&s, "/g"), 0);
    end(&s);
}

/* We are alive, and do not look: stopped, say. */
static void unlooked_at_it_ends(void **state) {
    struct scene s;
    int64_t until_us;

    (void)state;
    begin(&s);
    arm(&s);
    until_us = clock_mono_us() + OOMHOLD_ALONE_US * 9 / 10;
    while (clock_mono_us() < until_us) {
        usleep(100000);
        assert_int_equal(oomhold_check(&s.hold), 0);
    }
    cgtest_real_mkdir(&s.real, "/g/below");
    assert_true(comes_to(&s, 0, 4 * OOMHOLD_ALONE_US / 1000));
    assert_true(clock_mono_us() > until_us + OOMHOLD_ALONE_US / 2);
    assert_int_equal(disabled(&s, "/g/below"), 0);
    cgtest_real_rmdir(&s.real, "/g/below");
    assert_int_equal(oomhold_check(&s.hold), 0);
    assert_false(s.hold.armed);
    assert_int_equal(oomhold_again(&s.hold), 0); /* it may be held again */
    assert_true(s.hold.armed);
    assert_int_equal(disabled(&s, "/g"), 1);
    end(&s);
}

/* False: when we looked its time was over. */
static bool is_held_for_a_moment(struct scene *s) {
    int64_t before_us = clock_mono_us(), start_us, took_us;
    pid_t pid = start_eater(s, "/g"), gone;
    int status, check, again;
    bool in_time;

    await_oom(s);
    start_us = clock_mono_us();
    usleep(OOMHOLD_US / 4);
    s->hold.renewed_us = 0;
    check = oomhold_check(&s->hold); /* does not make it longer */
    gone = waitpid(pid, &status, WNOHANG);
    again = oomhold_again(&s->hold);
    in_time = clock_mono_us() - before_us < OOMHOLD_US;
    if (in_time) {
        assert_int_equal(check, 0);
        assert_int_equal(gone, 0); /* it waits, and can be looked at */
        assert_int_equal(again, 0);
    }
    if (gone == 0)
        assert_int_equal(waitpid(pid, &status, 0), pid); /* the warden, not we */
    took_us = clock_mono_us() - start_us;
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    print_message("# killed %.3f s after the event\n", (double)took_us / 1e6);
    if (in_time)
        assert_true(took_us < OOMHOLD_ALONE_US);
    for (int i = 0; oomhold_again(&s->hold) == -EAGAIN && i < 2000; i++)
        usleep(10000);
    assert_int_equal(disabled(s, "/g"), 1);
    return in_time;
}

static void the_moment_is_held_and_ends_by_itself(void **state) {
    int64_t start_us, took_us;
    bool told = false;
    struct scene s;
    int status;
    pid_t pid;

    (void)state;
    begin(&s);
    arm(&s);
    for (unsigned i = 0; i < 5 && !told; i++)
        told = is_held_for_a_moment(&s);
    assert_true(told);

    pid = start_eater(&s, "/g");
    await_oom(&s);
    start_us = clock_mono_us();
    assert_int_equal(oomhold_let_go(&s.hold), 0);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    took_us = clock_mono_us() - start_us;
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    print_message("# let go: killed after %.3f ms\n", (double)took_us / 1e3);
    assert_int_equal(disabled(&s, "/g"), 0);
    end(&s);
}

static void our_end_enables_it(void **state) {
    struct scene s;
    pid_t pid;

    (void)state;
    begin(&s);
    for (int i = 0; i < 3; i++) {
        pid = fork();
        assert_true(pid >= 0);
        if (pid == 0) {
            struct warden *w;
            struct oomhold hold;

            if (warden_start(&w, NULL) < 0 || oomhold_arm(&hold, &s.grip, w, NULL) < 0)
                _exit(1);
            for (;;)
                pause();
        }
        assert_true(comes_to(&s, 1, 20000));
        assert_int_equal(kill(pid, SIGKILL), 0);
        assert_int_equal(waitpid(pid, NULL, 0), pid);
        assert_true(comes_to(&s, 0, OOMHOLD_ALONE_US * 4 / 5 / 1000)); /* by nothing else */
    }
    end(&s);
}

static void v2_has_no_such_thing(void **state) {
    struct oomhold hold = OOMHOLD_NONE;
    struct grip grip = GRIP_NONE;
    struct err err = {0};

    (void)state;
    grip.version = CG_V2;
    assert_int_equal(oomhold_arm(&hold, &grip, NULL, &err), -EOPNOTSUPP);
    oomhold_done(&hold);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(armed_and_disarmed),
        cmocka_unit_test(groups_below_never_keep_it),
        cmocka_unit_test(a_group_below_ends_it_for_good),
        cmocka_unit_test(unlooked_at_it_ends),
        cmocka_unit_test(the_moment_is_held_and_ends_by_itself),
        cmocka_unit_test(our_end_enables_it),
        cmocka_unit_test(v2_has_no_such_thing),
    };

    return cmocka_run_group_tests(tests, NULL, cgtest_real_sweep);
}
