#include "runtime/seccomp.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <linux/audit.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/mem.h"

#define FIELD(name) ((uint32_t)offsetof(struct seccomp_data, name))
#define LOAD(k) BPF_STMT(BPF_LD | BPF_W | BPF_ABS, (k))
#define IF_IS(k, yes, no) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (k), (yes), (no))
#define SAY(k) BPF_STMT(BPF_RET | BPF_K, (k))

static void actions_are_told_apart(void **state) {
    static const struct {
        uint32_t action;
        enum seccomp_word word;
    } of[] = {
        {SECCOMP_RET_ALLOW, SECCOMP_ALLOWS},         {SECCOMP_RET_LOG, SECCOMP_ALLOWS},
        {SECCOMP_RET_KILL_PROCESS, SECCOMP_FORBIDS}, {SECCOMP_RET_KILL_THREAD, SECCOMP_FORBIDS},
        {SECCOMP_RET_TRAP, SECCOMP_FORBIDS},         {SECCOMP_RET_ERRNO | 1, SECCOMP_FORBIDS},
        {SECCOMP_RET_TRACE, SECCOMP_FORBIDS},        {SECCOMP_RET_USER_NOTIF, SECCOMP_FORBIDS},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_N(of); i++) {
        struct sock_filter f[] = {SAY(of[i].action)};

        assert_int_equal(seccomp_run(f, 1, SYS_brk), of[i].word);
    }
}

static void numbers_architecture_and_arguments(void **state) {
    /* As engines write it: another architecture dies, a list is allowed, one by its argument. */
    struct sock_filter f[] = {
        LOAD(FIELD(arch)),
        IF_IS(AUDIT_ARCH_X86_64, 1, 0),
        SAY(SECCOMP_RET_KILL_PROCESS),
        LOAD(FIELD(nr)),
        IF_IS(SYS_brk, 4, 0),
        IF_IS(SYS_clone, 0, 2),
        LOAD(FIELD(args)),
        BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, 1, 0, 1),
        SAY(SECCOMP_RET_ERRNO | EPERM),
        SAY(SECCOMP_RET_ALLOW),
    };

    (void)state;
    assert_int_equal(seccomp_run(f, ARRAY_N(f), SYS_brk), SECCOMP_ALLOWS);
    assert_int_equal(seccomp_run(f, ARRAY_N(f), SYS_madvise), SECCOMP_FORBIDS);
    assert_int_equal(seccomp_run(f, ARRAY_N(f), SYS_clone), SECCOMP_DEPENDS);
}

static void arithmetic_is_the_kernels(void **state) {
    struct sock_filter f[] = {
        BPF_STMT(BPF_LD | BPF_IMM, 6),
        BPF_STMT(BPF_ST, 3),
        BPF_STMT(BPF_LDX | BPF_MEM, 3),
        BPF_STMT(BPF_ALU | BPF_MUL | BPF_X, 0),
        BPF_STMT(BPF_ALU | BPF_SUB | BPF_K, 1),
        BPF_STMT(BPF_ALU | BPF_RSH | BPF_K, 2),
        BPF_STMT(BPF_ALU | BPF_NEG, 0),
        BPF_STMT(BPF_MISC | BPF_TAX, 0),
        BPF_STMT(BPF_MISC | BPF_TXA, 0),
        IF_IS((uint32_t)-8, 0, 1),
        SAY(SECCOMP_RET_ALLOW),
        SAY(SECCOMP_RET_KILL_THREAD),
    };

    (void)state;
    assert_int_equal(seccomp_run(f, ARRAY_N(f), 1), SECCOMP_ALLOWS);
}

static void what_cannot_be_followed_is_not_allowed(void **state) {
    struct sock_filter endless[] = {LOAD(FIELD(nr))};
    struct sock_filter far[] = {BPF_STMT(BPF_JMP | BPF_JA, 100), SAY(SECCOMP_RET_ALLOW)};
    struct sock_filter where[] = {LOAD(FIELD(instruction_pointer)), IF_IS(7, 0, 1),
                                  SAY(SECCOMP_RET_KILL_THREAD), SAY(SECCOMP_RET_ALLOW)};
    struct sock_filter memory[] = {BPF_STMT(BPF_ST, 99), SAY(SECCOMP_RET_ALLOW)};
    struct sock_filter zero[] = {BPF_STMT(BPF_ALU | BPF_DIV | BPF_K, 0),
                                 BPF_STMT(BPF_RET | BPF_A, 0)};

    (void)state;
    assert_int_equal(seccomp_run(endless, 1, 1), SECCOMP_DEPENDS);
    assert_int_equal(seccomp_run(far, 2, 1), SECCOMP_DEPENDS);
    assert_int_equal(seccomp_run(where, 4, 1), SECCOMP_DEPENDS);
    assert_int_equal(seccomp_run(memory, 2, 1), SECCOMP_DEPENDS);
    assert_int_equal(seccomp_run(zero, 2, 1), SECCOMP_DEPENDS);
    assert_int_equal(seccomp_run(NULL, 0, 1), SECCOMP_DEPENDS);
}

/* A child with two filters: one that allows all, one that forbids mkdir. */
static pid_t filtered_child(void) {
    struct sock_filter all[] = {SAY(SECCOMP_RET_ALLOW)};
    struct sock_filter some[] = {LOAD(FIELD(nr)), IF_IS(SYS_mkdir, 0, 1),
                                 SAY(SECCOMP_RET_ERRNO | EPERM), SAY(SECCOMP_RET_ALLOW)};
    struct sock_fprog first = {ARRAY_N(all), all}, second = {ARRAY_N(some), some};
    pid_t pid = fork();

    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
        prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &first);
        prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &second);
        raise(SIGSTOP);
        pause();
        _exit(0);
    }
    return pid;
}

static void a_real_process_is_asked(void **state) {
    static const int fine[] = {SYS_brk, SYS_madvise, SYS_rt_sigreturn};
    static const int not_fine[] = {SYS_brk, SYS_mkdir};
    pid_t pid = filtered_child();
    struct err err = {0};
    int status, r;

    (void)state;
    assert_true(pid > 0);
    assert_int_equal(waitpid(pid, &status, WUNTRACED), pid);
    if (ptrace(PTRACE_SEIZE, pid, NULL, NULL) < 0) {
        kill(pid, SIGKILL);
        waitpid(pid, &status, 0);
        skip(); /* a sandbox without ptrace */
    }
    ptrace(PTRACE_INTERRUPT, pid, NULL, NULL);
    assert_int_equal(waitpid(pid, &status, __WALL), pid);
    r = seccomp_allows(pid, fine, ARRAY_N(fine), &err);
    if (r < 0 && strstr(err.text, "cannot be read") && geteuid() != 0)
        r = 0; /* needs root */
    assert_int_equal(r, 0);
    assert_int_equal(seccomp_allows(pid, not_fine, ARRAY_N(not_fine), &err), -EPERM);
    kill(pid, SIGKILL);
    waitpid(pid, &status, __WALL);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(actions_are_told_apart),
        cmocka_unit_test(numbers_architecture_and_arguments),
        cmocka_unit_test(arithmetic_is_the_kernels),
        cmocka_unit_test(what_cannot_be_followed_is_not_allowed),
        cmocka_unit_test(a_real_process_is_asked),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
