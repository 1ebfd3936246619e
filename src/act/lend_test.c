#include "act/lend.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include "base/clock.h"
#include "base/file.h"
#include "kern/cgtest.h"

#define MIB (UINT64_C(1) << 20)

/* --- v1, the real kernel --- */

struct scene {
    struct cgtest_real real;
    struct warden *warden;
    struct grip grip;
    struct lend lend;
};

static uint64_t value_at(const char *top, const char *file) {
    char path[600], buf[64];
    struct str text;
    uint64_t value;

    snprintf(path, sizeof(path), "%s%s", top, file);
    if (file_read_at(AT_FDCWD, path, buf, sizeof(buf), &text) < 0)
        return 0;
    assert_int_equal(cgroup_parse_number(str_trim(text), &value), 0);
    return value;
}

static uint64_t limit_now(const struct scene *s) {
    return value_at(s->real.top, "/g/memory.limit_in_bytes");
}

static uint64_t memsw_now(const struct scene *s) {
    return value_at(s->real.top, "/g/memory.memsw.limit_in_bytes");
}

static bool has_memsw(const struct scene *s) {
    return s->grip.memsw >= 0;
}

static void begin(struct scene *s, const char *limit, const char *memsw) {
    struct err err = {0};
    char group[128];

    memset(s, 0, sizeof(*s));
    cgtest_real_init(&s->real);
    cgtest_real_mkdir(&s->real, "/g");
    assert_int_equal(cgtest_real_write(&s->real, "/g/memory.limit_in_bytes", limit), 0);
    if (memsw)
        (void)cgtest_real_write(&s->real, "/g/memory.memsw.limit_in_bytes", memsw);
    snprintf(group, sizeof(group), "%s/g", s->real.group);
    if (warden_start(&s->warden, &err) < 0 ||
        grip_open(&s->real.host, &s->real.fs, str_of(group), &s->grip, &err) < 0)
        fail_msg("%s", err.text);
    lend_init(&s->lend, &s->grip, s->warden, 0, 0);
}

static void end(struct scene *s) {
    lend_done(&s->lend);
    warden_end(s->warden);
    grip_done(&s->grip);
    cgtest_real_rmdir(&s->real, "/g");
    cgtest_real_done(&s->real);
}

/* A process in the group that has touched so much, and stays until it is killed. */
static pid_t fill(const struct scene *s, uint64_t bytes) {
    char byte, number[16];
    int pipes[2];
    pid_t pid;

    assert_int_equal(pipe(pipes), 0);
    pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        char *p;

        prctl(PR_SET_PDEATHSIG, SIGKILL);
        alarm(30);
        snprintf(number, sizeof(number), "%d", (int)getpid());
        if (cgtest_real_write(&s->real, "/g/cgroup.procs", number) != 0)
            _exit(1);
        p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (p == MAP_FAILED)
            _exit(1);
        memset(p, 1, bytes);
        if (write(pipes[1], ".", 1) != 1)
            _exit(1);
        for (;;)
            pause();
    }
    close(pipes[1]);
    assert_int_equal(read(pipes[0], &byte, 1), 1);
    close(pipes[0]);
    return pid;
}

static void stop(pid_t pid) {
    assert_int_equal(kill(pid, SIGKILL), 0);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
}

static void both_limits_are_lent_and_taken_back(void **state) {
    struct err err = {0};
    struct scene s;

    (void)state;
    begin(&s, "33554432", "33554432");
    if (lend_to(&s.lend, 4 * MIB + 1, &err) < 0)
        fail_msg("%s", err.text);
    assert_int_equal(s.lend.lent, 4 * MIB + 4096);
    assert_int_equal(limit_now(&s), 36 * MIB + 4096);
    if (has_memsw(&s))
        assert_int_equal(memsw_now(&s), 36 * MIB + 4096);
    assert_int_equal(lend_to(&s.lend, 16 * MIB, &err), 0);
    assert_int_equal(limit_now(&s), 48 * MIB);
    assert_int_equal(lend_to(&s.lend, 8 * MIB, &err), -EINVAL);
    assert_int_equal(lend_back(&s.lend, 0, &err), 0);
    assert_int_equal(limit_now(&s), 32 * MIB);
    if (has_memsw(&s))
        assert_int_equal(memsw_now(&s), 32 * MIB);
    assert_int_equal(s.lend.hold, -1);
    assert_int_equal(lend_back(&s.lend, 0, &err), 0);
    end(&s);
}

static void swap_of_its_own_keeps_its_size(void **state) {
    struct err err = {0};
    struct scene s;

    (void)state;
    begin(&s, "33554432", "50331648");
    assert_int_equal(lend_to(&s.lend, 16 * MIB, &err), 0);
    assert_int_equal(limit_now(&s), 48 * MIB);
    if (has_memsw(&s))
        assert_int_equal(memsw_now(&s), 64 * MIB);
    assert_int_equal(lend_back(&s.lend, 0, &err), 0);
    if (has_memsw(&s))
        assert_int_equal(memsw_now(&s), 48 * MIB);
    end(&s);
    begin(&s, "33554432", NULL); /* memory+swap without a limit stays so */
    assert_int_equal(lend_to(&s.lend, 16 * MIB, &err), 0);
    if (has_memsw(&s))
        assert_int_equal(memsw_now(&s), CGROUP_NO_LIMIT);
    assert_int_equal(lend_back(&s.lend, 0, &err), 0);
    assert_int_equal(limit_now(&s), 32 * MIB);
    end(&s);
}

static void our_end_and_the_deadline_take_it_back(void **state) {
    struct err err = {0};
    struct scene s;

    (void)state;
    begin(&s, "33554432", "33554432");
    assert_int_equal(lend_to(&s.lend, 8 * MIB, &err), 0);
    assert_int_equal(lend_to(&s.lend, 16 * MIB, &err), 0);
    warden_end(s.warden); /* as when we end */
    assert_int_equal(limit_now(&s), 32 * MIB);
    if (has_memsw(&s))
        assert_int_equal(memsw_now(&s), 32 * MIB);
    assert_int_equal(warden_start(&s.warden, &err), 0);
    lend_init(&s.lend, &s.grip, s.warden, 0, clock_mono_us() + 1000000);
    assert_int_equal(lend_to(&s.lend, 16 * MIB, &err), 0);
    for (int i = 0; limit_now(&s) != 32 * MIB && i < 20000; i++)
        usleep(1000);
    assert_int_equal(limit_now(&s), 32 * MIB);
    assert_true(lend_to(&s.lend, 24 * MIB, &err) < 0);
    assert_int_equal(lend_back(&s.lend, 0, &err), 0);
    end(&s);
}

static void what_is_used_stays_lent_until_it_is_not(void **state) {
    struct err err = {0};
    struct scene s;
    pid_t pid;

    (void)state;
    begin(&s, "33554432", "33554432");
    assert_int_equal(lend_to(&s.lend, 16 * MIB, &err), 0);
    pid = fill(&s, 40 * MIB);
    assert_int_equal(lend_back(&s.lend, clock_mono_us() + 120000, &err), -EBUSY);
    print_message("# %s\n", err.text);
    assert_int_equal(s.lend.lent, 16 * MIB);
    assert_int_equal(limit_now(&s), 48 * MIB);
    assert_int_equal(kill(pid, 0), 0); /* nobody was harmed */
    stop(pid);
    for (int i = 0; limit_now(&s) != 32 * MIB && i < 20000; i++)
        usleep(1000);
    assert_int_equal(limit_now(&s), 32 * MIB); /* by the warden */
    assert_int_equal(lend_back(&s.lend, clock_mono_us() + 10000000, &err), 0);
    assert_int_equal(s.lend.lent, 0);
    end(&s);
}

static void what_somebody_else_wrote_is_left_alone(void **state) {
    struct err err = {0};
    struct scene s;

    (void)state;
    begin(&s, "33554432", "33554432");
    assert_int_equal(lend_to(&s.lend, 16 * MIB, &err), 0);
    if (has_memsw(&s))
        assert_int_equal(cgtest_real_write(&s.real, "/g/memory.memsw.limit_in_bytes", "100M"), 0);
    assert_int_equal(cgtest_real_write(&s.real, "/g/memory.limit_in_bytes", "100M"), 0);
    assert_int_equal(lend_to(&s.lend, 24 * MIB, &err), -ESTALE);
    print_message("# %s\n", err.text);
    assert_int_equal(lend_back(&s.lend, 0, &err), 0);
    assert_int_equal(limit_now(&s), 100 * MIB);
    assert_int_equal(s.lend.lent, 0);
    /* And by the warden: */
    assert_int_equal(lend_to(&s.lend, 16 * MIB, &err), 0);
    assert_int_equal(cgtest_real_write(&s.real, "/g/memory.limit_in_bytes", "90M"), 0);
    warden_end(s.warden);
    s.warden = NULL;
    assert_int_equal(limit_now(&s), 90 * MIB);
    if (has_memsw(&s))
        assert_int_equal(memsw_now(&s), 100 * MIB);
    end(&s);
}

/* As a second rescue finds it, whose first could not take back what is used. */
static void a_loan_of_another_is_gone_back_from_too(void **state) {
    struct err err = {0};
    struct scene s;
    struct lend other;
    struct warden *warden;
    uint64_t was = 0;

    (void)state;
    begin(&s, "33554432", "33554432");
    assert_int_equal(lend_found(&s.grip, 0, &was), 0);
    assert_int_equal(lend_to(&s.lend, 16 * MIB, &err), 0);
    assert_int_equal(lend_found(&s.grip, 0, &was), 16 * MIB);
    assert_int_equal(was, 32 * MIB);
    assert_int_equal(warden_start(&warden, &err), 0);
    lend_init(&other, &s.grip, warden, 0, 0);
    assert_int_equal(lend_to(&other, 8 * MIB, &err), -EINVAL);
    assert_int_equal(lend_to(&other, 24 * MIB, &err), 0);
    assert_int_equal(limit_now(&s), 56 * MIB);
    assert_int_equal(lend_back(&s.lend, 0, &err), 0); /* no longer its own */
    assert_int_equal(limit_now(&s), 56 * MIB);
    assert_int_equal(lend_found(&s.grip, 0, &was), 24 * MIB);
    assert_int_equal(lend_back(&other, 0, &err), 0);
    assert_int_equal(limit_now(&s), 32 * MIB);
    if (has_memsw(&s))
        assert_int_equal(memsw_now(&s), 32 * MIB);
    assert_int_equal(lend_found(&s.grip, 0, &was), 0);
    lend_done(&other);
    warden_end(warden);
    end(&s);
}

/* Also one whose warden is gone. */
static void a_loan_that_nobody_takes_back_is_adopted(void **state) {
    struct err err = {0};
    struct scene s;
    struct lend other;
    struct warden *warden;

    (void)state;
    begin(&s, "33554432", "33554432");
    assert_int_equal(warden_start(&warden, &err), 0);
    lend_init(&other, &s.grip, warden, 0, 0);
    assert_int_equal(lend_to(&other, 16 * MIB, &err), 0);
    assert_int_equal(kill(warden_pid(warden), SIGKILL), 0);
    warden_end(warden);
    lend_done(&other);
    assert_int_equal(limit_now(&s), 48 * MIB);
    assert_int_equal(lend_adopt(&s.lend, &err), 0);
    assert_int_equal(s.lend.lent, 16 * MIB);
    assert_int_equal(lend_back(&s.lend, 0, &err), 0);
    assert_int_equal(limit_now(&s), 32 * MIB);
    assert_int_equal(lend_adopt(&s.lend, &err), 0);
    assert_int_equal(s.lend.lent, 0);
    end(&s);
}

/* docker update after a loan: the mark is of another time. */
static void a_mark_that_the_limits_do_not_bear_out_is_none(void **state) {
    struct err err = {0};
    struct scene s;
    uint64_t was = 0;

    (void)state;
    begin(&s, "33554432", NULL);
    assert_int_equal(lend_to(&s.lend, 16 * MIB, &err), 0);
    assert_int_equal(cgtest_real_write(&s.real, "/g/memory.limit_in_bytes", "41943040"), 0);
    assert_int_equal(lend_found(&s.grip, 0, &was), 0);
    assert_int_equal(was, 40 * MIB);
    assert_int_equal(lend_back(&s.lend, 0, &err), 0);
    assert_int_equal(limit_now(&s), 40 * MIB);
    end(&s);
}

static void nothing_is_lent_without_a_warden(void **state) {
    struct err err = {0};
    struct scene s;

    (void)state;
    begin(&s, "33554432", "33554432");
    assert_int_equal(kill(warden_pid(s.warden), SIGKILL), 0);
    assert_int_equal(lend_to(&s.lend, 16 * MIB, &err), -EPIPE);
    print_message("# %s\n", err.text);
    assert_int_equal(limit_now(&s), 32 * MIB);
    end(&s);
}

/* In place of the limit a file that cannot be read back once it was written. */
static void what_may_have_been_raised_is_undone(void **state) {
    int file = memfd_create("limit", MFD_CLOEXEC), limit;
    struct err err = {0};
    char byte = 0;
    struct scene s;

    (void)state;
    begin(&s, "33554432", "67108864");
    limit = s.grip.level[0].limit;
    assert_int_equal(write(file, "        \n1048576", 16), 16);
    s.grip.level[0].limit = file;
    assert_true(lend_to(&s.lend, 16 * MIB, &err) < 0); /* "17825792\n1048576" is no number */
    print_message("# %s\n", err.text);
    assert_int_equal(s.lend.hold, -1);
    for (int i = 0; byte != '0' && i < 20000; i++) {
        usleep(1000);
        assert_int_equal(pread(file, &byte, 1, 1), 1);
    }
    assert_int_equal(byte, '0'); /* of 1048576 */
    if (has_memsw(&s))
        assert_int_equal(memsw_now(&s), 64 * MIB);
    s.grip.level[0].limit = limit;
    close(file);
    end(&s);
}

static void no_limit_and_our_own_group_are_refused(void **state) {
    struct err err = {0};
    char number[16];
    struct scene s;
    int status;
    pid_t pid;

    (void)state;
    begin(&s, "-1", NULL);
    assert_int_equal(lend_to(&s.lend, 16 * MIB, &err), -ENODATA);
    print_message("# %s\n", err.text);
    assert_int_equal(lend_room(&s.grip, 0, 0), 0);
    assert_int_equal(cgtest_real_write(&s.real, "/g/memory.limit_in_bytes", "128M"), 0);
    pid = fork();
    if (pid == 0) {
        snprintf(number, sizeof(number), "%d", (int)getpid());
        if (cgtest_real_write(&s.real, "/g/cgroup.procs", number) != 0)
            _exit(9);
        _exit(lend_to(&s.lend, 16 * MIB, &err) == -EDEADLK ? 0 : 1);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    end(&s);
}

static void no_more_is_lent_than_the_groups_above_can_give(void **state) {
    struct err err = {0};
    struct scene s;

    (void)state;
    begin(&s, "33554432", NULL);
    assert_int_equal(lend_room(&s.grip, 0, 0), 8 * MIB);         /* a quarter */
    assert_int_equal(lend_room(&s.grip, 0, 20 * MIB), 20 * MIB); /* as was said */
    assert_int_equal(cgtest_real_write(&s.real, "/memory.limit_in_bytes", "12M"), 0);
    grip_done(&s.grip);
    snprintf(err.text, sizeof(err.text), "%s/g", s.real.group);
    assert_int_equal(grip_open(&s.real.host, &s.real.fs, str_of(err.text), &s.grip, &err), 0);
    assert_true(lend_room(&s.grip, 0, 0) <= 6 * MIB);
    assert_true(lend_room(&s.grip, 0, 0) > 5 * MIB);
    assert_int_equal(lend_room(&s.grip, 1, 0), 3 * MIB); /* of the group above itself */
    lend_init(&s.lend, &s.grip, s.warden, 1, 0);
    assert_int_equal(lend_to(&s.lend, 3 * MIB, &err), 0);
    assert_int_equal(value_at(s.real.top, "/memory.limit_in_bytes"), 15 * MIB);
    assert_int_equal(lend_back(&s.lend, 0, &err), 0);
    assert_int_equal(value_at(s.real.top, "/memory.limit_in_bytes"), 12 * MIB);
    end(&s);
}

/* --- v2, by files --- */

/* In place: a reader never finds it empty. */
static void set_usage(const char *dir, const char *digits) {
    char path[300];
    auto_close int fd = -1;

    snprintf(path, sizeof(path), "%s/memory.current", dir);
    fd = open(path, O_WRONLY | O_CLOEXEC);
    assert_int_equal(write(fd, digits, strlen(digits)), (ssize_t)strlen(digits));
}

static void v2_room_and_order(void **state) {
    struct warden *warden;
    struct err err = {0};
    struct cgtest t;
    struct grip grip;
    struct lend lend;
    char dir[256];

    (void)state;
    cgtest_init(&t);
    cgtest_make_v2(&t);
    cgtest_write(&t, "/sys/fs/cgroup/a/memory.max", "300000000");
    cgtest_write(&t, "/sys/fs/cgroup/a/memory.high", "290000000");
    cgtest_write(&t, "/sys/fs/cgroup/a/memory.current", "250000000");
    cgtest_write(&t, "/sys/fs/cgroup/a/memory.stat", "anon 1\n");
    cgtest_write(&t, "/sys/fs/cgroup/a/memory.reclaim", "0");
    cgtest_write(&t, "/sys/fs/cgroup/a/cgroup.procs", "");
    cgtest_open(&t, false);
    if (warden_start(&warden, &err) < 0 || grip_open(&t.host, &t.fs, STR("/a"), &grip, &err) < 0)
        fail_msg("%s", err.text);
    cgtest_full(&t, "/sys/fs/cgroup/a", dir, sizeof(dir));
    lend_init(&lend, &grip, warden, 0, 0);
    if (lend_to(&lend, 16 * MIB, &err) < 0)
        fail_msg("%s", err.text);
    assert_int_equal(value_at(dir, "/memory.max"), 300000000 + lend.lent);
    assert_int_equal(value_at(dir, "/memory.high"), 290000000 + lend.lent);

    set_usage(dir, "300000001"); /* a byte too many */
    assert_int_equal(lend_back(&lend, 0, &err), -EBUSY);
    assert_int_equal(value_at(dir, "/memory.max"), 300000000 + lend.lent);
    for (int i = 0; i < 120; i++) { /* who uses the loan is not slowed down */
        assert_int_equal(value_at(dir, "/memory.high"), 290000000 + lend.lent);
        usleep(1000);
    }
    for (int i = 0; value_at(dir, "/memory.reclaim") == 0 && i < 10000; i++)
        usleep(1000);
    assert_true(value_at(dir, "/memory.reclaim") >= 1);
    set_usage(dir, "250000000");
    for (int i = 0; value_at(dir, "/memory.max") != 300000000 && i < 20000; i++)
        usleep(1000);                                          /* memory.high comes first */
    assert_int_equal(value_at(dir, "/memory.max"), 300000000); /* by the warden */
    assert_int_equal(value_at(dir, "/memory.high"), 290000000);
    assert_int_equal(lend_back(&lend, 0, &err), 0);

    assert_int_equal(lend_to(&lend, 16 * MIB, &err), 0);
    assert_int_equal(lend_back(&lend, 0, &err), 0);
    assert_int_equal(value_at(dir, "/memory.max"), 300000000);
    assert_int_equal(value_at(dir, "/memory.high"), 290000000);
    assert_int_equal(lend_room(&grip, 0, 0), 0); /* another machine's memory is not known */
    warden_end(warden);
    grip_done(&grip);
    cgtest_done(&t);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(both_limits_are_lent_and_taken_back),
        cmocka_unit_test(swap_of_its_own_keeps_its_size),
        cmocka_unit_test(our_end_and_the_deadline_take_it_back),
        cmocka_unit_test(what_is_used_stays_lent_until_it_is_not),
        cmocka_unit_test(what_somebody_else_wrote_is_left_alone),
        cmocka_unit_test(a_loan_of_another_is_gone_back_from_too),
        cmocka_unit_test(a_loan_that_nobody_takes_back_is_adopted),
        cmocka_unit_test(a_mark_that_the_limits_do_not_bear_out_is_none),
        cmocka_unit_test(nothing_is_lent_without_a_warden),
        cmocka_unit_test(what_may_have_been_raised_is_undone),
        cmocka_unit_test(no_limit_and_our_own_group_are_refused),
        cmocka_unit_test(no_more_is_lent_than_the_groups_above_can_give),
        cmocka_unit_test(v2_room_and_order),
    };

    return cmocka_run_group_tests(tests, NULL, cgtest_real_sweep);
}
