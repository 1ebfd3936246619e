#include "runtime/inject.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>

#include "base/basetest.h"
#include "base/clock.h"
#include "base/mem.h"
#include "kern/procstatus.h"
#include "runtime/injectfit.h"

/* A program to call into: not sanitized, as we may be. */
struct target {
    struct host host;
    struct rtproc proc;
    pid_t pid;
    int in, out;
};

static bool find_program(char *out, size_t size) {
    char self[PATH_MAX];
    ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
    struct str path = {self, n > 0 ? (size_t)n : 0};

    for (unsigned up = 0; up < 2; up++)
        path = str_head(path, (size_t)(str_rfind(path, '/') < 0 ? 0 : str_rfind(path, '/')));
    (void)snprintf(out, size, "%.*s/tests/loads/rt/native", STR_ARG(path));
    return access(out, X_OK) == 0;
}

static void start(struct target *t, const char *way) {
    char program[PATH_MAX + 64], said[64];
    int in[2], out[2];
    struct err err;

    if (!find_program(program, sizeof(program)) || geteuid() != 0)
        skip();
    assert_int_equal(pipe2(in, O_CLOEXEC), 0);
    assert_int_equal(pipe2(out, O_CLOEXEC), 0);
    t->pid = fork();
    assert_true(t->pid >= 0);
    if (t->pid == 0) {
        dup2(in[0], 0);
        dup2(out[1], 1);
        execl(program, program, way, "4", (char *)NULL);
        _exit(127);
    }
    close(in[0]);
    close(out[1]);
    t->in = in[1];
    t->out = out[0];
    assert_int_equal(read(t->out, said, 6), 6);
    assert_memory_equal(said, "ready\n", 6);
    assert_int_equal(host_open(NULL, &t->host, &err), 0);
    assert_int_equal(rtproc_open(&t->host, t->pid, &t->proc, &err), 0);
}

/* What it counted; its end. */
static void finish(struct target *t, unsigned long *eintr, unsigned long *bad) {
    struct str rest, words[8] = {{0}};
    char said[256];
    uint64_t value;
    ssize_t n;
    int status;

    close(t->in);
    n = read(t->out, said, sizeof(said));
    assert_true(n > 0);
    rest = str_trim((struct str){said, (size_t)n});
    for (unsigned i = 0; i < 8 && str_word(&rest, &words[i]); i++)
        continue;
    assert_true(str_eq(words[0], STR("eintr")) && str_eq(words[2], STR("bad")));
    assert_int_equal(str_to_u64(words[1], &value), 0);
    *eintr = value;
    assert_int_equal(str_to_u64(words[3], &value), 0);
    *bad = value;
    assert_int_equal(waitpid(t->pid, &status, 0), t->pid);
    assert_int_equal(status, 0);
    close(t->out);
    rtproc_done(&t->proc);
    host_done(&t->host);
}

static void unharmed(struct target *t) {
    unsigned long eintr, bad;

    finish(t, &eintr, &bad);
    assert_int_equal(eintr, 0);
    assert_int_equal(bad, 0);
}

static uint64_t function(const struct target *t, const char *name) {
    uint64_t at = 0;

    assert_int_equal(inject_symbol(&t->proc, "", name, &at), 0);
    return at;
}

static int call(const struct target *t, struct inject_call *c, unsigned n, int64_t ms,
                struct err *why) {
    return inject_calls(&t->proc, c, n, clock_mono_us() + ms * 1000, why);
}

static void arguments_and_results_go_through(void **state) {
    struct target t;
    char text[] = "stressed";
    struct err why = {0};

    (void)state;
    start(&t, "nanosleep");
    struct inject_call c[] = {
        {.function = function(&t, "native_sum"), .arg = {1, 2, 3, 4, 5, 6}},
        /* The result of the first, as second argument. */
        {.function = function(&t, "native_sum"), .arg = {7}, .arg_from = {0, 1}},
        {.function = function(&t, "native_reverse"),
         .data = text,
         .data_n = sizeof(text),
         .data_arg = 1},
    };

    assert_int_equal(call(&t, c, 3, 20000, &why), 0);
    assert_int_equal(c[0].result, 654321);
    assert_int_equal(c[1].result, 7 + 10 * 654321);
    assert_int_equal(c[2].result, 8);
    assert_string_equal(text, "desserts");
    unharmed(&t);
}

static void symbols_are_found_or_not(void **state) {
    struct target t;
    uint64_t at;

    (void)state;
    start(&t, "read");
    assert_int_equal(inject_symbol(&t.proc, "libc.so.6", "malloc_trim", &at), 0);
    assert_int_equal(inject_symbol(&t.proc, "libc.so.6", "malloc_grow", &at), -ENOENT);
    assert_int_equal(inject_symbol(&t.proc, "libnone.so", "malloc_trim", &at), -ENOENT);
    assert_int_equal(inject_symbol(&t.proc, "", "native_none", &at), -ENOENT);
    unharmed(&t);
}

static void faults_and_locks_are_survived(void **state) {
    struct target t;
    struct err why = {0};

    (void)state;
    start(&t, "nanosleep");
    struct inject_call fault = {.function = function(&t, "native_fault")};
    struct inject_call lock = {.function = function(&t, "native_lock"), .may_leave_lock = true};
    struct inject_call sum = {.function = function(&t, "native_sum"), .arg = {5}};

    assert_int_equal(call(&t, &fault, 1, 20000, &why), -EFAULT);
    why = (struct err){0};
    for (int64_t ms = 300; ms < 30000 && !strstr(why.text, " lock"); ms *= 4)
        assert_int_equal(call(&t, &lock, 1, ms, &why), -EBUSY); /* or it was not come upon */
    assert_non_null(strstr(why.text, " lock"));
    assert_int_equal(call(&t, &sum, 1, 20000, &why), 0);
    assert_int_equal(sum.result, 5);
    unharmed(&t);
}

static void who_never_waits_is_not_called(void **state) {
    struct target t;
    struct err why = {0};

    (void)state;
    start(&t, "spin");
    struct inject_call sum = {.function = function(&t, "native_sum")};

    assert_int_equal(call(&t, &sum, 1, 100, &why), -EBUSY);
    unharmed(&t);
}

static bool is_traced(const struct target *t) {
    struct procstatus s;

    assert_int_equal(procstatus_read(t->host.proc, t->pid, &s), 0);
    return s.value[PROCSTATUS_TRACER] != 0;
}

static pid_t tracer_of(const struct target *t) {
    struct procstatus s;

    assert_int_equal(procstatus_read(t->host.proc, t->pid, &s), 0);
    return (pid_t)s.value[PROCSTATUS_TRACER];
}

/* 0: the caller has ended, and we were not run in between. */
static pid_t await_tracer(const struct target *t, pid_t caller) {
    pid_t tracer = 0;

    for (siginfo_t end = {0}; tracer == 0 && end.si_pid == 0; tracer = tracer_of(t)) {
        assert_int_equal(waitid(P_PID, (id_t)caller, &end, WEXITED | WNOHANG | WNOWAIT), 0);
        usleep(2000);
    }
    return tracer;
}

/* Who asked is killed, or who traces too: the program has no handler for what it waits in, and sees
 * nothing of either. */
static void its_read_is_not_interrupted(void **state) {
    unsigned within = 0;
    struct target t;
    int status;

    (void)state;
    start(&t, "read");
    struct inject_call slow = {.function = function(&t, "native_slow"), .arg = {100}};

    for (unsigned tries = 0; within < 6 && tries < 30; tries++) {
        pid_t caller = fork(), tracer;

        if (caller == 0)
            _exit(call(&t, &slow, 1, 20000, NULL) == 0 ? 0 : 1);
        assert_true(caller > 0);
        tracer = await_tracer(&t, caller);
        usleep(20000);
        if (tracer > 0 && inject_goes_on(&t.proc)) {
            if (within++ % 2 == 0)
                kill(tracer, SIGKILL);
        } else if (slow.arg[0] < 3000) {
            slow.arg[0] *= 2; /* it was over when we looked */
        }
        kill(caller, SIGKILL);
        assert_int_equal(waitpid(caller, &status, 0), caller);
        for (unsigned wait = 0; wait < 10000 && tracer_of(&t) != 0; wait++)
            usleep(2000);
        assert_int_equal(tracer_of(&t), 0);
        for (unsigned wait = 0; wait < 10000 && within % 2 == 1 && inject_goes_on(&t.proc); wait++)
            usleep(2000); /* it comes back by itself */
    }
    assert_int_equal(within, 6);
    unharmed(&t);
}

/* Killed within a call that takes 20 ms; the program has a pattern in every register. */
static void death_of_the_caller_is_survived(void **state) {
    struct basetest_random random = {.state = 42};
    unsigned long eintr, bad;
    uint64_t deaths = 20;
    unsigned within = 0;
    struct target t;
    int status;

    (void)state;
    (void)str_to_u64(str_of(getenv("PLIMSOLL_TRIES")), &deaths);
    start(&t, "regs");
    struct inject_call slow = {.function = function(&t, "native_slow"), .arg = {20}};

    for (unsigned i = 0; i < deaths; i++) {
        struct timespec wait = {.tv_nsec = (long)(basetest_next(&random) % 24000000)};
        pid_t caller = fork(), tracer;

        if (caller == 0)
            _exit(call(&t, &slow, 1, 20000, NULL) == 0 ? 0 : 1);
        assert_true(caller > 0);
        nanosleep(&wait, NULL);
        within += is_traced(&t);
        tracer = tracer_of(&t);
        if (tracer > 0 && i % 2 == 0)
            kill(tracer, SIGKILL);
        kill(caller, SIGKILL);
        assert_int_equal(waitpid(caller, &status, 0), caller);
        assert_int_equal(kill(t.pid, 0), 0);
    }
    print_message("%u of %u deaths while it was traced\n", within, (unsigned)deaths);
    assert_int_equal(call(&t, &slow, 1, 20000, NULL), 0);
    finish(&t, &eintr, &bad);
    assert_int_equal(bad, 0);
    assert_in_range(eintr, 0, deaths);
}

static void groups_are_full_near_their_limit(void **state) {
    const uint64_t limit = 100 << 20;

    (void)state;
    assert_false(injectfit_is_full(limit / 2, limit));
    assert_false(injectfit_is_full(limit / 100 * 97, limit));
    assert_true(injectfit_is_full(limit / 100 * 99, limit));
    assert_true(injectfit_is_full(limit + 1, limit));
    assert_true(injectfit_is_full(1, 0));
    assert_false(injectfit_is_full(UINT64_MAX / 2, UINT64_MAX)); /* no limit */
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(arguments_and_results_go_through),
        cmocka_unit_test(symbols_are_found_or_not),
        cmocka_unit_test(faults_and_locks_are_survived),
        cmocka_unit_test(who_never_waits_is_not_called),
        cmocka_unit_test(its_read_is_not_interrupted),
        cmocka_unit_test(death_of_the_caller_is_survived),
        cmocka_unit_test(groups_are_full_near_their_limit),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
