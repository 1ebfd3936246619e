#include "kern/procstatus.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <signal.h>

#include "base/mem.h"
#include "kern/proctest.h"

static uint64_t must(const struct procstatus *s, enum procstatus_field field) {
    assert_true(s->have & 1U << field);
    return s->value[field];
}

static void sizes_are_bytes(void **state) {
    auto_close int v1 = proctest_open(PROCTEST_V1);
    struct procstatus s;

    (void)state;
    assert_int_equal(procstatus_read(v1, 10569, &s), 0);
    assert_int_equal(must(&s, PROCSTATUS_ANON), 88824 * 1024);
    assert_int_equal(must(&s, PROCSTATUS_FILE), 27152 * 1024);
    assert_int_equal(must(&s, PROCSTATUS_SHMEM), 0);
    assert_int_equal(must(&s, PROCSTATUS_SWAP), 0);
    assert_int_equal(must(&s, PROCSTATUS_PEAK), 115976 * 1024);
    assert_int_equal(must(&s, PROCSTATUS_RES), 115976 * 1024);
    assert_int_equal(must(&s, PROCSTATUS_THREADS), 1);
    assert_int_equal(must(&s, PROCSTATUS_EUID), 0);
    assert_int_equal(must(&s, PROCSTATUS_TGID), 10569);
    assert_int_equal(must(&s, PROCSTATUS_NS_PID), 10569);
    assert_int_equal(must(&s, PROCSTATUS_NS_DEPTH), 1);
}

static void signals_and_watchers_are_told(void **state) {
    struct procstatus s;

    (void)state;
    assert_int_equal(
        procstatus_parse(STR("TracerPid:\t77\nGid:\t5\t6\t7\t8\nSigBlk:\t0000000000000001\n"
                             "SigIgn:\t0000000000001000\nSigCgt:\t0000000180000204\n"
                             "Seccomp:\t2\n"),
                         &s),
        0);
    assert_int_equal(must(&s, PROCSTATUS_TRACER), 77);
    assert_int_equal(must(&s, PROCSTATUS_EGID), 6);
    assert_int_equal(must(&s, PROCSTATUS_BLOCKED), 1ull << (SIGHUP - 1));
    assert_int_equal(must(&s, PROCSTATUS_IGNORED), 1ull << (SIGPIPE - 1));
    assert_true(must(&s, PROCSTATUS_CAUGHT) >> (SIGUSR1 - 1) & 1);
    assert_false(must(&s, PROCSTATUS_CAUGHT) >> (SIGUSR2 - 1) & 1);
    assert_int_equal(must(&s, PROCSTATUS_SECCOMP), 2);
}

/* The name says "VmRSS:" behind a newline, which the kernel escapes here. */
static void a_name_cannot_forge_lines(void **state) {
    auto_close int v1 = proctest_open(PROCTEST_V1);
    char buf[16384];
    struct procstatus s;
    struct str text;

    (void)state;
    assert_int_equal(file_read_at(v1, "7596/status", buf, sizeof(buf), &text), 0);
    /* The captured file is cut inside its last line. */
    assert_int_equal(procstatus_parse(text, &s), text.p[text.n - 1] == '\n' ? 0 : -EBADMSG);
    text.n = (size_t)str_rfind(text, '\n') + 1;
    assert_int_equal(procstatus_parse(text, &s), 0);
    assert_int_equal(must(&s, PROCSTATUS_RES), 1712 * 1024);
}

static void kernel_threads_have_no_sizes(void **state) {
    struct procstatus s;

    (void)state;
    assert_int_equal(procstatus_parse(STR("Name:\tkthreadd\nTgid:\t2\nUid:\t0\t0\t0\t0\n"
                                          "NSpid:\t2\nThreads:\t1\nFuture:\tthing\nodd line\n"),
                                      &s),
                     0);
    assert_int_equal(must(&s, PROCSTATUS_THREADS), 1);
    assert_false(s.have & 1U << PROCSTATUS_ANON);
    assert_false(s.have & 1U << PROCSTATUS_SWAP);
}

static void the_last_pid_is_the_innermost(void **state) {
    struct procstatus s;

    (void)state;
    assert_int_equal(
        procstatus_parse(STR("Uid:\t1\t1000\t3\t4\nNStgid:\t4 5 6\nNSpid:\t4711\t12\t1\n"), &s), 0);
    assert_int_equal(must(&s, PROCSTATUS_EUID), 1000);
    assert_int_equal(must(&s, PROCSTATUS_NS_PID), 1);
    assert_int_equal(must(&s, PROCSTATUS_NS_DEPTH), 3);
}

static void pending_is_what_the_thread_or_the_process_has_not_taken(void **state) {
    struct procstatus s;

    (void)state;
    assert_int_equal(
        procstatus_parse(STR("SigPnd:\t0000000000000100\nShdPnd:\t8000000000004000\n"), &s), 0);
    assert_true(must(&s, PROCSTATUS_PENDING) == 0x8000000000004100);
    assert_int_equal(procstatus_parse(STR("SigPnd:\t0000000000000000\nSigBlk:\tffff\n"), &s), 0);
    assert_true(must(&s, PROCSTATUS_PENDING) == 0);
    assert_int_equal(procstatus_parse(STR("Threads:\t1\n"), &s), 0);
    assert_false(s.have & 1U << PROCSTATUS_PENDING);
}

static void bad_text_changes_nothing(void **state) {
    static const char *const bad[] = {
        "VmSwap:\t 12 MB\n",
        "VmSwap:\t\n",
        "VmSwap:\t kB\n",
        "VmSwap:\t-1 kB\n",
        "Uid:\t1\n",
        "NSpid:\t\n",
        "NSpid:\tx\n",
        "Threads:\t1 2\n",
        "SigPnd:\t\n",
        "ShdPnd:\t0x10\n",
        "ShdPnd:\t00000000000000100\n",
        "SigPnd:\t10 20\n",
        "Threads:\t1\nTgid:\t",
        "VmHWM:\t 18014398509481984 kB\n",
    };
    struct procstatus s = {.have = 5};

    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_true(procstatus_parse(str_of(bad[i]), &s) < 0);
        assert_int_equal(s.have, 5);
    }
}

static int try(struct str text) {
    struct procstatus s;

    return procstatus_parse(text, &s);
}

static void prefixes_end_at_lines(void **state) {
    (void)state;
    assert_int_equal(proctest_prefixes(PROCTEST_V1 "/10569/status", try), 59); /* its lines */
    assert_int_equal(proctest_prefixes(PROCTEST_V2 "/134/status", try), 57);
}

static void reads_this_process(void **state) {
    auto_close int proc = proctest_open("/proc");
    struct procstatus s;
    sigset_t usr1;

    (void)state;
    assert_int_equal(procstatus_read(proc, getpid(), &s), 0);
    assert_int_equal(must(&s, PROCSTATUS_EUID), geteuid());
    assert_int_equal(must(&s, PROCSTATUS_TGID), getpid());
    assert_int_equal(must(&s, PROCSTATUS_RES), must(&s, PROCSTATUS_ANON) +
                                                   must(&s, PROCSTATUS_FILE) +
                                                   must(&s, PROCSTATUS_SHMEM));
    sigemptyset(&usr1);
    sigaddset(&usr1, SIGUSR1);
    assert_int_equal(sigprocmask(SIG_BLOCK, &usr1, NULL), 0);
    assert_int_equal(kill(getpid(), SIGUSR1), 0);
    assert_int_equal(procstatus_read(proc, getpid(), &s), 0);
    assert_true(must(&s, PROCSTATUS_PENDING) & UINT64_C(1) << (SIGUSR1 - 1));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sizes_are_bytes),
        cmocka_unit_test(signals_and_watchers_are_told),
        cmocka_unit_test(a_name_cannot_forge_lines),
        cmocka_unit_test(kernel_threads_have_no_sizes),
        cmocka_unit_test(the_last_pid_is_the_innermost),
        cmocka_unit_test(pending_is_what_the_thread_or_the_process_has_not_taken),
        cmocka_unit_test(bad_text_changes_nothing),
        cmocka_unit_test(prefixes_end_at_lines),
        cmocka_unit_test(reads_this_process),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
