#include "runtime/safepoint.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
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

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_a_thread_waits_for_is_parsed),
        cmocka_unit_test(calls_of_allocators_are_no_safe_points),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
