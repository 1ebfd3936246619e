#include "runtime/safepoint.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>

static void what_a_thread_waits_for_is_parsed(void **state) {
    struct safepoint s = {.tid = 7};

    (void)state;
    assert_int_equal(
        safepoint_parse(STR("232 0x5 0x7fffc48eed44 0x1 0xffffffff 0x564c129227c0 0x564c115fc240 "
                            "0x7fffc48eed18 0x7fbc94f62ef3\n"),
                        &s),
        0);
    assert_int_equal(s.tid, 7);
    assert_int_equal(s.nr, SYS_epoll_wait);
    assert_int_equal(s.sp, 0x7fffc48eed18);
    assert_int_equal(s.pc, 0x7fbc94f62ef3);
    assert_int_equal(safepoint_parse(STR("running\n"), &s), -EAGAIN);
    assert_int_equal(safepoint_parse(STR("-1 0x7fffc48eed18 0x7fbc94f62ef3\n"), &s), -EAGAIN);
    assert_int_equal(safepoint_parse(STR(""), &s), -EBADMSG);
    assert_int_equal(safepoint_parse(STR("232 0x5 0x1 0x1\n"), &s), -EBADMSG);
    assert_int_equal(safepoint_parse(STR("232 5 0x1 0x1 0x1 0x1 0x1 0x1 0x1\n"), &s), -EBADMSG);
    assert_int_equal(
        safepoint_parse(STR("0 0x1 0x1 0x1 0x1 0x1 0x1 0x1 0x11112222333344445\n"), &s), -EBADMSG);
}

/* These are made by allocators, or with their locks held. */
static void calls_of_allocators_are_no_safe_points(void **state) {
    static const long unsafe[] = {SYS_futex,   SYS_mmap,     SYS_munmap,         SYS_brk,
                                  SYS_madvise, SYS_mprotect, SYS_mremap,         SYS_rt_sigreturn,
                                  SYS_clone,   SYS_vfork,    SYS_restart_syscall};
    static const long safe[] = {SYS_read,        SYS_poll,    SYS_epoll_wait, SYS_nanosleep,
                                SYS_accept,      SYS_recvmsg, SYS_ppoll,      SYS_clock_nanosleep,
                                SYS_epoll_pwait, SYS_wait4,   SYS_pause};

    (void)state;
    for (size_t i = 0; i < sizeof(unsafe) / sizeof(unsafe[0]); i++)
        assert_false(safepoint_allows((uint64_t)unsafe[i]));
    for (size_t i = 0; i < sizeof(safe) / sizeof(safe[0]); i++)
        assert_true(safepoint_allows((uint64_t)safe[i]));
    assert_false(safepoint_allows(UINT64_MAX));
}

static void what_would_show_is_no_safe_point(void **state) {
    struct safepoint s = {.nr = SYS_recvfrom, .arg = {3, 0, 100, MSG_WAITALL}};

    (void)state;
    assert_true(safepoint_shows(&s));
    s.arg[3] = 0;
    assert_false(safepoint_shows(&s));
    s = (struct safepoint){.nr = SYS_recvmsg, .arg = {3, 0, MSG_WAITALL | MSG_NOSIGNAL}};
    assert_true(safepoint_shows(&s));
    s.nr = SYS_read;
    assert_false(safepoint_shows(&s));
    s = (struct safepoint){.nr = SYS_epoll_wait, .arg = {3, 0, 1, 0xffffffff}};
    assert_false(safepoint_begins_anew(&s));
    s.arg[3] = 1000;
    assert_true(safepoint_begins_anew(&s));
    s.nr = SYS_poll; /* goes on with what is left */
    assert_false(safepoint_begins_anew(&s));
}

/* What the kernel made for this handler, found by its address on the stack. */
static volatile bool found;
static char other_stack[1 << 16] __attribute__((aligned(16)));

static void look_up(int signal, siginfo_t *info, void *context) {
    const char *at = (const char *)context - 8;
    uint64_t restorer = 0, word;

    (void)signal;
    (void)info;
    found = safepoint_is_frame(at, 8192, (uint64_t)(uintptr_t)at, &restorer);
    memcpy(&word, at, sizeof(word));
    found = found && restorer == word;
}

static void a_signal_frame_is_known(void **state) {
    const stack_t other = {.ss_sp = other_stack, .ss_size = sizeof(other_stack)};
    struct sigaction action = {.sa_sigaction = look_up,
                               .sa_flags = SA_SIGINFO | SA_NODEFER | SA_ONSTACK};
    char none[1024] = {0};
    uint64_t restorer;

    (void)state;
    assert_int_equal(sigaltstack(&other, NULL), 0);
    assert_int_equal(sigaction(SIGUSR2, &action, NULL), 0);
    assert_int_equal(raise(SIGUSR2), 0);
    assert_true(found);
    assert_false(safepoint_is_frame(none, sizeof(none), 0x7000, &restorer));
    none[192 + 8 - 8] = 0x33;
    assert_true(safepoint_is_frame(none, sizeof(none), 0x7000, &restorer));
    assert_false(safepoint_is_frame(none, 100, 0x7000, &restorer));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_a_thread_waits_for_is_parsed),
        cmocka_unit_test(calls_of_allocators_are_no_safe_points),
        cmocka_unit_test(what_would_show_is_no_safe_point),
        cmocka_unit_test(a_signal_frame_is_known),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
