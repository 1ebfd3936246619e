#include "act/brake.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "act/stopped.h"
#include "base/clock.h"
#include "base/file.h"
#include "kern/cgmake.h"
#include "kern/cgtest.h"
#include "kern/procstat.h"

/* --- a group of ours in the memory, cpu and unified trees --- */

enum { LIMIT = 64 << 20, LOADS = 4 };

static struct {
    struct cgtest_real real;
    char cpu[128], unified[128]; /* "": none */
    struct grip grip;
    struct warden *warden;
    struct brakes *room;
    volatile uint64_t *count; /* of each load; shared with them */
    pid_t load[LOADS];
} t;

static void write_to(const char *dir, const char *file, const char *text) {
    char path[256];
    auto_close int fd = -1;

    snprintf(path, sizeof(path), "%s/%s", dir, file);
    fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0 || write(fd, text, strlen(text)) < 0)
        fail_msg("%s <- %s: %s", path, text, strerror(errno));
}

static void expect(const char *dir, const char *file, const char *text) {
    char buf[256];
    struct str got;
    char path[256];

    snprintf(path, sizeof(path), "%s/%s", dir, file);
    assert_int_equal(file_read_at(AT_FDCWD, path, buf, sizeof(buf), &got), 0);
    got = str_trim(got);
    if (!str_eq(got, str_of(text)))
        fail_msg("%s is '%.*s', want '%s'", path, STR_ARG(got), text);
}

static void join(const char *dir) {
    if (dir[0])
        write_to(dir, "cgroup.procs", "0");
}

/* Counts for ever, in all three trees, but not longer than a test may take. */
static void start_load(unsigned i) {
    pid_t pid = fork();

    assert_true(pid >= 0);
    t.load[i] = pid;
    if (pid > 0) {
        while (t.count[i] == 0)
            usleep(1000);
        return;
    }
    alarm(100);
    join(t.real.top);
    join(t.cpu);
    join(t.unified);
    for (;;)
        t.count[i]++;
}

/* Within 20 s: far sooner than whatever holds it would end by itself. */
static bool counts(unsigned i) {
    uint64_t before = t.count[i];

    for (unsigned round = 0; round < 2000; round++) {
        usleep(10000);
        if (t.count[i] != before)
            return true;
    }
    return false;
}

/* Nobody moves for a while; what is being stopped may take a moment. */
static bool stands(unsigned i) {
    for (unsigned round = 0; round < 200; round++) {
        uint64_t before = t.count[i];

        usleep(50000);
        if (t.count[i] == before)
            return true;
    }
    return false;
}

enum { NEED_CPU = 1, NEED_UNIFIED = 2, NO_UNIFIED = 4 };

static void set_up(unsigned needs, unsigned loads) {
    struct err err = {0};

    memset(&t, 0, sizeof(t));
    t.grip = (struct grip)GRIP_NONE;
    cgtest_real_init(&t.real);
    t.count = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_ptr_not_equal(t.count, MAP_FAILED);
    assert_int_equal(cgtest_real_write(&t.real, "/memory.limit_in_bytes", "67108864"), 0);
    if (!(needs & NO_UNIFIED))
        (void)cgtest_real_beside(&t.real, "unified", t.unified);
    (void)cgtest_real_beside(&t.real, "cpu", t.cpu);
    assert_int_equal(warden_start(&t.warden, &err), 0);
    for (unsigned i = 0; i < loads; i++)
        start_load(i);
    assert_int_equal(grip_open(&t.real.host, &t.real.fs, str_of(t.real.group), &t.grip, &err), 0);
    assert_int_equal(brakes_new(&t.room), 0);
}

static void take_down(void) {
    for (unsigned i = 0; i < LOADS; i++)
        if (t.load[i] > 0) {
            kill(t.load[i], SIGKILL);
            waitpid(t.load[i], NULL, 0);
        }
    grip_done(&t.grip);
    warden_end(t.warden);
    brakes_free(t.room);
    cgtest_remove(t.cpu);
    cgtest_remove(t.unified);
    munmap((void *)(uintptr_t)t.count, 4096);
    cgtest_real_done(&t.real);
}

static bool lacks(const char *dir, const char *what) {
    if (dir[0])
        return false;
    print_message("# skipped: no group in the %s hierarchy\n", what);
    take_down();
    skip();
    return true;
}

static int64_t in_ms(int64_t ms) {
    return clock_mono_us() + ms * 1000;
}

static struct action_report report;

static int pause_it(struct brake *b, int64_t until_us) {
    return brake_pause(t.room, b, &t.grip, t.warden, until_us, &report);
}

static int throttle_it(struct brake *b, int64_t until_us) {
    return brake_throttle(t.room, b, &t.grip, t.warden, until_us, &report);
}

static void expect_outcome(enum outcome want, const char *text) {
    if (report.outcome != want || !strstr(report.text, text))
        fail_msg("%s: %s", outcome_name(report.outcome), report.text);
}

/* Who has a processor to wait for comes to a stand later than a pause looks: that is told, and then
 * it is tried again. */
static void pause_until(struct brake *b, int64_t ms, enum outcome want, const char *text) {
    for (unsigned i = 0; i < 100; i++) {
        assert_int_equal(pause_it(b, in_ms(ms)), 0);
        if (report.outcome == want && strstr(report.text, text))
            break;
        if (report.outcome != OUTCOME_PARTLY || !strstr(report.text, " had not come to a stand "))
            break;
        assert_int_equal(brake_release(t.room, b, &t.grip, t.warden), 0);
        usleep(10000);
    }
    expect_outcome(want, text);
}

/* --- throttle --- */

static void a_quota_is_set_and_taken_back(void **state) {
    struct brake b = {.kind = BRAKE_NONE};
    struct brake again;

    (void)state;
    set_up(NEED_CPU, 1);
    if (lacks(t.cpu, "cpu"))
        return;
    assert_int_equal(throttle_it(&b, in_ms(60000)), 0);
    expect_outcome(OUTCOME_DONE, "no quota before");
    /* 64 MiB less a little: 0.26 % of a processor */
    expect(t.cpu, "cpu.cfs_quota_us", "1000");
    again = b;
    assert_int_equal(throttle_it(&b, in_ms(60000)), 0);
    expect_outcome(OUTCOME_REFUSED, "already");
    assert_memory_equal(&again, &b, sizeof(b));
    assert_int_equal(brake_release(t.room, &b, &t.grip, t.warden), 0);
    expect(t.cpu, "cpu.cfs_quota_us", "-1");
    expect(t.cpu, "cpu.cfs_period_us", "100000");
    assert_int_equal(b.kind, BRAKE_NONE);
    assert_int_equal(brake_release(t.room, &b, &t.grip, t.warden), 0);
    assert_true(counts(0));
    take_down();
}

/* CPU time as the kernel has counted it. */
static void a_throttled_group_hardly_runs(void **state) {
    struct brake b = {.kind = BRAKE_NONE};
    uint64_t before;
    struct procstat first, second;
    int64_t start, took;

    (void)state;
    set_up(NEED_CPU, 1);
    if (lacks(t.cpu, "cpu"))
        return;
    assert_int_equal(throttle_it(&b, in_ms(60000)), 0);
    expect_outcome(OUTCOME_DONE, "CPU held");
    usleep(100000);
    before = t.count[0];
    start = clock_mono_us();
    assert_int_equal(procstat_read(t.real.host.proc, t.load[0], &first), 0);
    usleep(1000000);
    assert_int_equal(procstat_read(t.real.host.proc, t.load[0], &second), 0);
    took = clock_mono_us() - start;
    print_message(
        "# %llu turns and %llu ticks in %lld ms\n", (unsigned long long)(t.count[0] - before),
        (unsigned long long)(second.user_ticks - first.user_ticks), (long long)(took / 1000));
    assert_true((second.user_ticks - first.user_ticks) * 200 <= (uint64_t)took / 1000); /* 5 % */
    assert_int_equal(brake_release(t.room, &b, &t.grip, t.warden), 0);
    take_down();
}

static void what_others_have_written_since_stays(void **state) {
    struct brake b = {.kind = BRAKE_NONE};

    (void)state;
    set_up(NEED_CPU, 1);
    if (lacks(t.cpu, "cpu"))
        return;
    write_to(t.cpu, "cpu.cfs_quota_us", "50000");
    assert_int_equal(throttle_it(&b, in_ms(60000)), 0);
    expect_outcome(OUTCOME_DONE, "was 50000");
    write_to(t.cpu, "cpu.cfs_quota_us", "70000");
    assert_int_equal(brake_release(t.room, &b, &t.grip, t.warden), 0);
    expect(t.cpu, "cpu.cfs_quota_us", "70000");
    write_to(t.cpu, "cpu.cfs_period_us", "1000000");
    write_to(t.cpu, "cpu.cfs_quota_us", "1000");
    assert_int_equal(throttle_it(&b, in_ms(60000)), 0);
    expect_outcome(OUTCOME_REFUSED, "1000 us of 1000000 us already");
    expect(t.cpu, "cpu.cfs_quota_us", "1000");
    take_down();
}

/* The second would give back what the first has written. */
static void of_two_guards_one_slows_it_down(void **state) {
    struct brake first = {.kind = BRAKE_NONE}, second = {.kind = BRAKE_NONE};
    struct grip other = GRIP_NONE;
    struct err err = {0};

    (void)state;
    set_up(NEED_CPU, 1);
    if (lacks(t.cpu, "cpu"))
        return;
    write_to(t.real.top, "memory.limit_in_bytes", "4294967296");
    assert_int_equal(grip_refresh(&t.grip), 1);
    assert_int_equal(throttle_it(&first, in_ms(60000)), 0);
    expect_outcome(OUTCOME_DONE, "no quota before");
    write_to(t.real.top, "memory.limit_in_bytes", "1073741824"); /* less room: a smaller quota */
    assert_int_equal(grip_open(&t.real.host, &t.real.fs, str_of(t.real.group), &other, &err), 0);
    assert_int_equal(brake_throttle(t.room, &second, &other, t.warden, in_ms(60000), &report), 0);
    expect_outcome(OUTCOME_REFUSED, "another guard slows it down already");
    assert_int_equal(second.kind, BRAKE_NONE);
    assert_int_equal(brake_release(t.room, &first, &t.grip, t.warden), 0);
    expect(t.cpu, "cpu.cfs_quota_us", "-1");
    assert_int_equal(brake_throttle(t.room, &second, &other, t.warden, in_ms(60000), &report), 0);
    expect_outcome(OUTCOME_DONE, "no quota before");
    assert_int_equal(brake_release(t.room, &second, &other, t.warden), 0);
    expect(t.cpu, "cpu.cfs_quota_us", "-1");
    grip_done(&other);
    take_down();
}

/* What the warden was asked to undo at once is nobody's any more: its files may be closed. */
static void what_the_warden_undoes_is_forgotten(void **state) {
    struct brake b = {.kind = BRAKE_NONE};
    struct err err = {0};
    char path[256];
    int quota;

    (void)state;
    set_up(NEED_CPU, 1);
    if (lacks(t.cpu, "cpu"))
        return;
    assert_int_equal(throttle_it(&b, in_ms(60000)), 0);
    expect_outcome(OUTCOME_DONE, "no quota before");
    snprintf(path, sizeof(path), "%s/cpu.cfs_quota_us", t.cpu);
    quota = open(path, O_RDONLY | O_CLOEXEC); /* cannot be written to */
    assert_true(quota >= 0);
    assert_int_equal(dup3(quota, t.grip.quota, O_CLOEXEC), t.grip.quota);
    close(quota);
    assert_true(brake_release(t.room, &b, &t.grip, t.warden) < 0);
    for (unsigned i = 0; i < 100 && counts(0); i++)
        usleep(10000);
    expect(t.cpu, "cpu.cfs_quota_us", "-1");
    grip_done(&t.grip);
    if (warden_again(t.warden, &err) < 0)
        fail_msg("%s", err.text);
    take_down();
}

static void without_a_quota_throttling_is_refused(void **state) {
    struct brake b = {.kind = BRAKE_NONE};

    (void)state;
    set_up(0, 1);
    mem_close_fd(&t.grip.quota);
    t.grip.quota = -1;
    assert_int_equal(throttle_it(&b, in_ms(60000)), 0);
    expect_outcome(OUTCOME_REFUSED, "it has no CPU quota");
    assert_int_equal(b.kind, BRAKE_NONE);
    assert_int_equal(brake_throttle(t.room, &b, &t.grip, NULL, in_ms(60000), &report), 0);
    expect_outcome(OUTCOME_REFUSED, "no warden");
    take_down();
}

/* --- pause --- */

static void expect_paused(bool signalled) {
    struct brake b = {.kind = BRAKE_NONE};

    for (unsigned round = 0; round < 3; round++) {
        int64_t start = clock_mono_us();

        pause_until(&b, 60000, OUTCOME_DONE, "2 processes");
        print_message("# paused in %lld us\n", (long long)(clock_mono_us() - start));
        assert_int_equal(b.signalled, signalled);
        assert_true(stands(0) && stands(1));
        assert_int_equal(brake_release(t.room, &b, &t.grip, t.warden), 0);
        assert_true(counts(0) && counts(1));
    }
}

static void a_pause_freezes_in_the_unified_tree(void **state) {
    (void)state;
    set_up(NEED_UNIFIED, 2);
    if (lacks(t.unified, "unified"))
        return;
    expect_paused(false);
    expect(t.unified, "cgroup.freeze", "0");
    take_down();
}

static void without_one_every_process_is_stopped(void **state) {
    (void)state;
    set_up(NO_UNIFIED, 2);
    expect_paused(true);
    take_down();
}

static char state_of(pid_t pid) {
    struct procstat s;

    assert_int_equal(procstat_read(t.real.host.proc, pid, &s), 0);
    return s.state;
}

static void who_was_stopped_before_stays_stopped(void **state) {
    struct brake b = {.kind = BRAKE_NONE};

    (void)state;
    set_up(NO_UNIFIED, 3);
    kill(t.load[1], SIGSTOP);
    for (unsigned i = 0; i < 10000 && state_of(t.load[1]) != 'T'; i++)
        usleep(1000);
    assert_int_equal(state_of(t.load[1]), 'T');
    pause_until(&b, 60000, OUTCOME_DONE, "2 processes");
    assert_true(stands(0) && stands(2));
    assert_int_equal(brake_release(t.room, &b, &t.grip, t.warden), 0);
    assert_true(counts(0) && counts(2));
    assert_int_equal(state_of(t.load[1]), 'T');
    take_down();
}

/* A child every 200 us, each of which counts. Its 24 MiB of pages make each fork() take long: a
 * signal that comes meanwhile does not keep the child from being born. */
_Noreturn static void fork_many(void) {
    enum { BALLAST = 24 << 20 };

    if (mmap(NULL, BALLAST, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1,
             0) == MAP_FAILED)
        _exit(1);
    for (unsigned i = 0; i < 150; i++) { /* more would not fit below the limit */
        if (fork() == 0) {
            alarm(20);
            for (;;) {
                t.count[0]++;
                usleep(2000);
            }
        }
        usleep(200);
    }
    alarm(20);
    for (;;)
        pause();
}

/* Each lives for a moment and leaves one behind: who is listed is gone when it is looked at. */
_Noreturn static void fork_chain(void) {
    int64_t until = in_ms(2000);

    while (clock_mono_us() < until) {
        pid_t pid = fork();

        if (pid > 0)
            _exit(0);
        t.count[0]++;
    }
    _exit(0);
}

static pid_t start_forking(void (*what)(void)) {
    pid_t first = fork();

    if (first == 0) {
        join(t.real.top);
        what();
    }
    while (t.count[0] < 10)
        usleep(1000);
    return first;
}

static void end_all(void) {
    while (cgmake_busy(t.grip.level[0].dir) > 0) {
        (void)cgmake_signal(t.grip.level[0].dir, SIGKILL, NULL);
        usleep(1000);
    }
}

static void those_that_are_forked_meanwhile_are_stopped_too(void **state) {
    struct brake b = {.kind = BRAKE_NONE};
    pid_t first;

    (void)state;
    set_up(NO_UNIFIED, 0);
    first = start_forking(fork_many);
    pause_until(&b, 60000, OUTCOME_DONE, "stopped (SIGSTOP)");
    assert_true(stands(0));
    print_message("# %s\n", report.text);
    assert_int_equal(brake_release(t.room, &b, &t.grip, t.warden), 0);
    assert_true(counts(0));
    end_all();
    waitpid(first, NULL, 0);
    take_down();
}

static void it_is_told_when_not_all_could_be_stopped(void **state) {
    struct brake b = {.kind = BRAKE_NONE};
    pid_t first;

    (void)state;
    set_up(NO_UNIFIED, 0);
    first = start_forking(fork_chain);
    waitpid(first, NULL, 0);
    assert_int_equal(pause_it(&b, in_ms(60000)), 0);
    if (report.outcome == OUTCOME_DONE) /* it was caught */
        assert_true(stands(0));
    else
        assert_in_range(report.outcome, OUTCOME_PARTLY, OUTCOME_REFUSED);
    print_message("# %s: %s\n", outcome_name(report.outcome), report.text);
    assert_int_equal(brake_release(t.room, &b, &t.grip, t.warden), 0);
    end_all();
    take_down();
}

/* Its maker waits in the kernel for the child's exec, which no signal ends. */
_Noreturn static void wait_for_exec(void) {
    alarm(20);
    if (syscall(SYS_clone, CLONE_VFORK | SIGCHLD, 0, 0, 0, 0) == 0)
        for (;;) {
            t.count[0]++;
            usleep(2000);
        }
    _exit(0);
}

static void it_is_told_who_has_not_come_to_a_stand(void **state) {
    struct brake b = {.kind = BRAKE_NONE};
    pid_t first;

    (void)state;
    set_up(NO_UNIFIED, 0);
    first = start_forking(wait_for_exec);
    pause_until(&b, 60000, OUTCOME_PARTLY,
                "2 stopped (SIGSTOP), of which 1 had not come to a stand");
    assert_true(stands(0));
    assert_int_equal(brake_release(t.room, &b, &t.grip, t.warden), 0);
    assert_true(counts(0));
    end_all();
    waitpid(first, NULL, 0);
    take_down();
}

static void a_pause_ends_at_its_time(void **state) {
    struct brake b = {.kind = BRAKE_NONE}, c = {.kind = BRAKE_NONE};

    (void)state;
    set_up(NO_UNIFIED, 1);
    pause_until(&b, 3000, OUTCOME_DONE, "1 process ");
    assert_int_equal(state_of(t.load[0]), 'T');
    assert_true(counts(0)); /* by the warden */
    assert_int_equal(brake_release(t.room, &b, &t.grip, t.warden), 0);
    pause_until(&c, 60000, OUTCOME_DONE, "1 process ");
    assert_true(stands(0));
    assert_int_equal(brake_release(t.room, &c, &t.grip, t.warden), 0);
    take_down();
}

/* So few descriptors that nothing can be opened. */
static int release_without_files(struct brake *b) {
    struct rlimit was, none;
    int r;

    assert_int_equal(getrlimit(RLIMIT_NOFILE, &was), 0);
    none = was;
    none.rlim_cur = 3; /* also what poll() takes */
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    r = brake_release(t.room, b, &t.grip, t.warden);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &was), 0);
    return r;
}

static void a_failed_release_is_made_good(void **state) {
    (void)state;
    set_up(NO_UNIFIED, 1);
    for (unsigned i = 0; i <= 2 * BRAKE_SIGNALLED; i++) {
        struct brake b = {.kind = BRAKE_NONE};

        pause_until(&b, 60000, OUTCOME_DONE, "1 process ");
        assert_true(release_without_files(&b) < 0);
        assert_true(counts(0)); /* by the warden */
    }
    take_down();
}

static bool reads(const char *dir, const char *file, const char *text) {
    char buf[256], path[256];
    struct str got;

    snprintf(path, sizeof(path), "%s/%s", dir, file);
    return file_read_at(AT_FDCWD, path, buf, sizeof(buf), &got) == 0 &&
           str_eq(str_trim(got), str_of(text));
}

/* What a guard does to the load, and what the kernel says when it is done and when it is undone. */
enum hold { FROZEN, THROTTLED, STOPPED };

static bool is_held(enum hold how) {
    if (how == FROZEN)
        return reads(t.unified, "cgroup.freeze", "1");
    if (how == THROTTLED)
        return !reads(t.cpu, "cpu.cfs_quota_us", "-1");
    return state_of(t.load[0]) == 'T';
}

static bool becomes(enum hold how, bool held) {
    for (unsigned i = 0; i < 10000; i++) {
        if (is_held(how) == held)
            return true;
        usleep(1000);
    }
    return false;
}

/* A guard that has paused or throttled and dies: all goes on. */
static void expect_let_go(enum hold how) {
    struct err err = {0};
    pid_t guard;

    assert_false(is_held(how));
    guard = fork();
    if (guard == 0) {
        struct brake b = {.kind = BRAKE_NONE};
        struct warden *own;

        if (warden_start(&own, &err) == 0)
            (void)(how == THROTTLED ? brake_throttle : brake_pause)(t.room, &b, &t.grip, own,
                                                                    in_ms(60000), &report);
        for (;;)
            pause();
    }
    assert_true(becomes(how, true));
    kill(guard, SIGKILL);
    waitpid(guard, NULL, 0);
    assert_true(becomes(how, false));
    assert_true(counts(0));
}

static void everything_goes_on_when_we_die(void **state) {
    (void)state;
    set_up(0, 1);
    if (t.unified[0])
        expect_let_go(FROZEN);
    if (t.cpu[0])
        expect_let_go(THROTTLED);
    take_down();
    set_up(NO_UNIFIED, 1);
    expect_let_go(STOPPED);
    take_down();
}

/* --- what is refused --- */

static void a_group_that_we_are_in_is_refused(void **state) {
    pid_t pid;
    int status;

    (void)state;
    set_up(0, 1);
    pid = fork();
    if (pid == 0) {
        struct brake b = {.kind = BRAKE_NONE};
        bool good;

        join(t.real.top);
        good = pause_it(&b, in_ms(1000)) == 0 && report.outcome == OUTCOME_REFUSED &&
               strstr(report.text, "in this group ourselves") && b.kind == BRAKE_NONE;
        good = good && throttle_it(&b, in_ms(1000)) == 0 && report.outcome == OUTCOME_REFUSED;
        _exit(good ? 0 : 1);
    }
    waitpid(pid, &status, 0);
    assert_int_equal(status, 0);
    take_down();
}

/* In a pid namespace of its own, whose /proc is the one around it: a process of the group, pid 1 or
 * another, and a guard beside it. */
static bool is_refused_there(bool init, const char *text) {
    int status = 0;
    pid_t pid = fork();

    assert_true(pid >= 0);
    if (pid == 0) {
        struct brake b = {.kind = BRAKE_NONE};
        struct warden *own;
        struct err err;
        bool good;
        pid_t in[2];

        if (unshare(CLONE_NEWPID) < 0)
            _exit(2);
        for (unsigned i = 0; i < 2; i++) {
            in[i] = fork();
            if (in[i] != 0)
                continue;
            alarm(20);
            prctl(PR_SET_PDEATHSIG, SIGKILL);
            if (i == !init) {
                join(t.real.top);
                join(t.unified);
            }
            for (;;)
                usleep(1000);
        }
        pid = fork();
        if (pid != 0) {
            waitpid(pid, &status, 0);
            kill(in[0], SIGKILL); /* pid 1, and all of them with it */
            _exit(WIFEXITED(status) ? WEXITSTATUS(status) : 3);
        }
        usleep(100000); /* they have joined */
        good = warden_start(&own, &err) == 0 &&
               brake_pause(t.room, &b, &t.grip, own, in_ms(2000), &report) == 0 &&
               report.outcome == OUTCOME_REFUSED && strstr(report.text, text);
        if (!good)
            fprintf(stderr, "%s: %s\n", outcome_name(report.outcome), report.text);
        _exit(!good);
    }
    waitpid(pid, &status, 0);
    assert_true(WIFEXITED(status));
    if (WEXITSTATUS(status) == 2)
        skip();
    return WEXITSTATUS(status) == 0;
}

static void pid_1_is_not_paused(void **state) {
    (void)state;
    set_up(0, 0);
    assert_true(is_refused_there(true, "pid 1 is in it"));
    take_down();
}

/* What /proc says of a pid would be somebody else's, and whoever is stopped is let go by that. */
static void nobody_is_stopped_by_another_namespaces_proc(void **state) {
    (void)state;
    set_up(NO_UNIFIED, 0);
    assert_true(is_refused_there(false, "another pid namespace"));
    take_down();
}

static void a_hang_is_refused(void **state) {
    struct brake b = {.kind = BRAKE_NONE};
    struct cgtest fake;
    struct grip grip;
    struct err err = {0};

    (void)state;
    set_up(0, 1);
    cgtest_init(&fake);
    cgtest_make_v1(&fake);
    cgtest_copy(&fake, "tests/fixtures/v1/root", "/sys/fs/cgroup/memory/hung");
    cgtest_write(&fake, "/sys/fs/cgroup/memory/hung/memory.oom_control",
                 "oom_kill_disable 1\nunder_oom 1\noom_kill 0\n");
    cgtest_write(&fake, "/sys/fs/cgroup/memory/hung/cgroup.procs", "");
    cgtest_open(&fake, false);
    assert_int_equal(grip_open(&fake.host, &fake.fs, STR("/hung"), &grip, &err), 0);
    assert_int_equal(brake_pause(t.room, &b, &grip, t.warden, in_ms(1000), &report), 0);
    expect_outcome(OUTCOME_REFUSED, "wait for memory");
    assert_string_equal(report.next, "rescue");
    assert_int_equal(brake_throttle(t.room, &b, &grip, t.warden, in_ms(1000), &report), 0);
    expect_outcome(OUTCOME_REFUSED, "wait for memory");
    grip_done(&grip);
    cgtest_done(&fake);
    take_down();
}

static void a_group_that_is_gone_is_no_trouble(void **state) {
    struct brake b = {.kind = BRAKE_NONE};

    (void)state;
    set_up(0, 1);
    pause_until(&b, 60000, OUTCOME_DONE, "1 process ");
    kill(t.load[0], SIGKILL);
    waitpid(t.load[0], NULL, 0);
    t.load[0] = 0;
    cgtest_remove(t.unified);
    cgtest_real_rmdir(&t.real, "");
    assert_int_equal(brake_release(t.room, &b, &t.grip, t.warden), 0);
    assert_int_equal(pause_it(&b, in_ms(60000)), 0);
    expect_outcome(OUTCOME_FAILED, "removed");
    take_down();
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_quota_is_set_and_taken_back),
        cmocka_unit_test(a_throttled_group_hardly_runs),
        cmocka_unit_test(what_others_have_written_since_stays),
        cmocka_unit_test(of_two_guards_one_slows_it_down),
        cmocka_unit_test(what_the_warden_undoes_is_forgotten),
        cmocka_unit_test(without_a_quota_throttling_is_refused),
        cmocka_unit_test(a_pause_freezes_in_the_unified_tree),
        cmocka_unit_test(without_one_every_process_is_stopped),
        cmocka_unit_test(who_was_stopped_before_stays_stopped),
        cmocka_unit_test(those_that_are_forked_meanwhile_are_stopped_too),
        cmocka_unit_test(it_is_told_when_not_all_could_be_stopped),
        cmocka_unit_test(it_is_told_who_has_not_come_to_a_stand),
        cmocka_unit_test(a_pause_ends_at_its_time),
        cmocka_unit_test(a_failed_release_is_made_good),
        cmocka_unit_test(everything_goes_on_when_we_die),
        cmocka_unit_test(a_group_that_we_are_in_is_refused),
        cmocka_unit_test(pid_1_is_not_paused),
        cmocka_unit_test(nobody_is_stopped_by_another_namespaces_proc),
        cmocka_unit_test(a_hang_is_refused),
        cmocka_unit_test(a_group_that_is_gone_is_no_trouble),
    };

    return cmocka_run_group_tests(tests, NULL, cgtest_real_sweep);
}
