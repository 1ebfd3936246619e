#include "act/standstill.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <poll.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include "act/ctlfile.h"
#include "base/clock.h"
#include "kern/cgtest.h"

/* --- somebody who hangs at his limit, and has a signal to take when he wakes --- */

enum { LIMIT = 32 << 20, MORE = 48 << 20, WANTED = 40 << 20, STACK = 64 << 10 };
enum { LASTS_US = 900000 }; /* a standstill, surely */

static struct {
    struct cgtest_real real;
    char unified[128]; /* "": none */
    struct grip grip;
    struct warden *warden;
    int killer; /* what the warden holds of memory.oom_control */
} t;

static void set_up(bool unified) {
    struct err err = {0};
    struct warden_hold hold = {.steps = 1, .event = -1};

    memset(&t, 0, sizeof(t));
    t.grip = (struct grip)GRIP_NONE;
    cgtest_real_init(&t.real);
    if (unified)
        (void)cgtest_real_beside(&t.real, "unified", t.unified);
    assert_int_equal(cgtest_real_write(&t.real, "/memory.limit_in_bytes", "33554432"), 0);
    (void)cgtest_real_write(&t.real, "/memory.memsw.limit_in_bytes", "33554432");
    assert_int_equal(warden_start(&t.warden, &err), 0);
    assert_int_equal(grip_open(&t.real.host, &t.real.fs, str_of(t.real.group), &t.grip, &err), 0);
    hold.deadline_us = clock_mono_us() + 30000000;
    hold.step[0] = (struct warden_step){.fd = t.grip.events, .value = "0"};
    t.killer = warden_hold(t.warden, &hold);
    assert_true(t.killer >= 0);
    assert_int_equal(ctlfile_write(t.grip.events, "1"), 0);
}

static void take_down(void) {
    assert_int_equal(warden_undo(t.warden, t.killer), 0);
    grip_done(&t.grip);
    warden_end(t.warden);
    cgtest_remove(t.unified);
    cgtest_real_done(&t.real);
}

static bool lacks(bool it, const char *what) {
    if (!it)
        return false;
    print_message("# skipped: %s\n", what);
    take_down();
    skip();
    return true;
}

static void on_signal(int signal) {
    (void)signal;
}

static void *pages(size_t bytes) {
    void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (p == MAP_FAILED || madvise(p, bytes, MADV_NOHUGEPAGE) < 0)
        _exit(1);
    return p;
}

static void join(const char *top) {
    char path[256];
    int fd;

    snprintf(path, sizeof(path), "%s/cgroup.procs", top);
    fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0 || write(fd, "0", 1) != 1)
        _exit(1);
    close(fd);
}

/* The stack for its signals has no page yet. */
_Noreturn static void want_more(int through) {
    struct sigaction take = {.sa_handler = on_signal, .sa_flags = SA_ONSTACK | SA_RESTART};
    stack_t stack = {.ss_size = STACK};
    char *p;

    prctl(PR_SET_PDEATHSIG, SIGKILL);
    alarm(30);
    signal(SIGSEGV, SIG_DFL); /* a sanitizer would take it */
    join(t.real.top);
    if (t.unified[0])
        join(t.unified);
    stack.ss_sp = pages(STACK);
    p = pages(WANTED);
    if (sigaltstack(&stack, NULL) < 0 || sigaction(SIGURG, &take, NULL) < 0)
        _exit(1);
    for (size_t i = 0; i < WANTED; i += 4096)
        p[i] = 1;
    if (write(through, ".", 1) != 1)
        _exit(1);
    for (;;)
        pause();
}

static bool hangs(void) {
    struct facts now;

    for (unsigned i = 0; i < 5; i++) {
        if (grip_read(&t.grip, GRIP_EVENTS, &now) < 0 || now.value[FACT_UNDER_OOM] == 0)
            return false;
        usleep(20000);
    }
    return true;
}

static void write_file(int fd, uint64_t value) {
    char text[WARDEN_VALUE];

    ctlfile_spell(value, text);
    assert_int_equal(ctlfile_write(fd, text), 0);
}

/* Both limits are raised, with much time in between: so much that who waits was run in it. 0: who
 * waited goes on; or the signal that has ended him. -EAGAIN: it was more than a standstill lasts.
 */
static int raise_slowly(bool still) {
    struct standstill s = STANDSTILL_NONE;
    struct pollfd wait;
    int through[2], status = 0;
    int64_t start_us;
    bool late;
    pid_t pid;

    assert_int_equal(pipe(through), 0);
    pid = fork();
    assert_true(pid >= 0);
    if (pid == 0)
        want_more(through[1]);
    close(through[1]);
    while (!hangs())
        usleep(1000);
    assert_int_equal(kill(pid, SIGURG), 0);
    wait = (struct pollfd){.fd = through[0], .events = POLLIN};
    start_us = clock_mono_us();
    if (still)
        standstill_begin(&t.grip, t.warden, &s);
    write_file(t.grip.memsw, MORE);
    (void)poll(&wait, 1, still ? 100 : 3000);
    write_file(t.grip.level[0].limit, MORE);
    late = still && clock_mono_us() - start_us >= LASTS_US;
    standstill_end(&s);
    assert_int_equal(poll(&wait, 1, 20000), 1);
    if (wait.revents & POLLIN)
        (void)kill(pid, SIGKILL);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    close(through[0]);
    assert_true(WIFSIGNALED(status));
    return late ? -EAGAIN : wait.revents & POLLIN ? 0 : WTERMSIG(status);
}

static bool is_frozen(void) {
    char now[WARDEN_VALUE];

    assert_int_equal(ctlfile_text(t.grip.freeze, now), 0);
    assert_true(now[1] == '\0' && (now[0] == '0' || now[0] == '1'));
    return now[0] == '1';
}

static void who_wakes_in_between_takes_no_signal(void **state) {
    unsigned whole = 0;
    int without = 0;

    (void)state;
    for (unsigned i = 0; i < 5 && without == 0; i++) {
        set_up(true);
        if (lacks(!t.unified[0] || t.grip.freeze < 0, "no cgroup.freeze beside v1") ||
            lacks(t.grip.memsw < 0, "no memory+swap limit in this kernel"))
            return;
        without = raise_slowly(false);
        take_down();
    }
    assert_int_equal(without, SIGSEGV); /* or this proves nothing */
    for (unsigned i = 0; i < 20 && whole < 5; i++) {
        int with;

        set_up(true);
        with = raise_slowly(true);
        assert_true(with == 0 || with == -EAGAIN);
        whole += with == 0;
        assert_false(is_frozen());
        take_down();
    }
    assert_int_equal(whole, 5);
}

/* --- */

static void what_somebody_else_froze_stays_frozen(void **state) {
    struct standstill s;

    (void)state;
    set_up(true);
    if (lacks(t.grip.freeze < 0, "no cgroup.freeze beside v1"))
        return;
    assert_int_equal(ctlfile_write(t.grip.freeze, "1"), 0);
    standstill_begin(&t.grip, t.warden, &s);
    assert_int_equal(s.freeze, -1);
    standstill_end(&s);
    assert_true(is_frozen());
    take_down();
}

static void a_forgotten_one_ends_by_itself(void **state) {
    struct standstill s;

    (void)state;
    set_up(true);
    if (lacks(t.grip.freeze < 0, "no cgroup.freeze beside v1"))
        return;
    standstill_begin(&t.grip, t.warden, &s);
    assert_true(is_frozen());
    for (unsigned i = 0; i < 2000 && is_frozen(); i++)
        usleep(10000);
    assert_false(is_frozen());
    standstill_end(&s);
    take_down();
}

static void without_a_freezer_our_own_priority_is_as_before(void **state) {
    struct standstill s;
    int policy = sched_getscheduler(0);

    (void)state;
    set_up(false);
    t.grip.freeze = -1;
    standstill_begin(&t.grip, t.warden, &s);
    print_message("# %s\n", s.hurried ? "a realtime priority" : "no realtime priority to be had");
    assert_int_equal(sched_getscheduler(0), s.hurried ? SCHED_FIFO : policy);
    standstill_end(&s);
    assert_int_equal(sched_getscheduler(0), policy);
    standstill_end(&s);
    take_down();
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(who_wakes_in_between_takes_no_signal),
        cmocka_unit_test(what_somebody_else_froze_stays_frozen),
        cmocka_unit_test(a_forgotten_one_ends_by_itself),
        cmocka_unit_test(without_a_freezer_our_own_priority_is_as_before),
    };

    return cmocka_run_group_tests(tests, NULL, cgtest_real_sweep);
}
