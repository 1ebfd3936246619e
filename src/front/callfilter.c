#include "front/callfilter.h"

#include <errno.h>
#include <linux/netlink.h>
#include <sched.h>
#include <seccomp.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/mem.h"

#define CALL(name) SCMP_SYS(name)

/* SQLite's files, our loop, libmicrohttpd on sockets that are open already, memory, time. */
static const int allowed[] = {
    /* files: what may be opened is landlock's and the chroot's part */
    CALL(read), CALL(write), CALL(readv), CALL(writev), CALL(pread64), CALL(pwrite64), CALL(preadv),
    CALL(pwritev), CALL(lseek), CALL(close), CALL(close_range), CALL(openat), CALL(open),
    CALL(openat2), CALL(fstat), CALL(stat), CALL(lstat), CALL(newfstatat), CALL(statx),
    CALL(statfs), CALL(fstatfs), CALL(access), CALL(faccessat), CALL(faccessat2), CALL(readlink),
    CALL(readlinkat), CALL(getdents64), CALL(getcwd), CALL(fsync), CALL(fdatasync), CALL(ftruncate),
    CALL(fallocate), CALL(fadvise64), CALL(unlink), CALL(unlinkat), CALL(rename), CALL(renameat),
    CALL(renameat2), CALL(mkdir), CALL(mkdirat), CALL(rmdir), CALL(fchmod), CALL(utimensat),
    CALL(umask), CALL(fcntl), CALL(flock), CALL(sendfile), CALL(pipe), CALL(pipe2), CALL(dup),
    CALL(dup2), CALL(dup3),
    /* memory */
    CALL(munmap), CALL(mremap), CALL(madvise), CALL(brk), CALL(msync), CALL(mlock), CALL(munlock),
    CALL(futex), CALL(rseq), CALL(set_robust_list), CALL(get_robust_list), CALL(set_tid_address),
    CALL(membarrier),
    /* who and when */
    CALL(getpid), CALL(gettid), CALL(getppid), CALL(getuid), CALL(geteuid), CALL(getgid),
    CALL(getegid), CALL(getresuid), CALL(getresgid), CALL(getrusage), CALL(times), CALL(getrlimit),
    CALL(sysinfo), CALL(uname), CALL(getcpu), CALL(sched_yield), CALL(sched_getaffinity),
    CALL(clock_gettime), CALL(clock_getres), CALL(clock_nanosleep), CALL(nanosleep),
    CALL(gettimeofday), CALL(time), CALL(getrandom),
    /* waiting */
    CALL(epoll_create1), CALL(epoll_ctl), CALL(epoll_wait), CALL(epoll_pwait), CALL(epoll_pwait2),
    CALL(poll), CALL(ppoll), CALL(select), CALL(pselect6), CALL(timerfd_create),
    CALL(timerfd_settime), CALL(timerfd_gettime), CALL(eventfd2), CALL(signalfd4),
    CALL(rt_sigaction), CALL(rt_sigprocmask), CALL(rt_sigreturn), CALL(rt_sigtimedwait),
    CALL(rt_sigpending), CALL(rt_sigsuspend), CALL(sigaltstack), CALL(restart_syscall), CALL(pause),
    CALL(exit), CALL(exit_group),
    /* sockets that were made before */
    CALL(accept), CALL(accept4), CALL(recvfrom), CALL(recvmsg), CALL(recvmmsg), CALL(sendto),
    CALL(sendmsg), CALL(sendmmsg), CALL(shutdown), CALL(getsockopt), CALL(setsockopt),
    CALL(getsockname), CALL(getpeername)};

/* Nothing of ours ever does this: whoever tries it has taken the process over. */
static const int deadly[] = {CALL(execve),
                             CALL(execveat),
                             CALL(ptrace),
                             CALL(process_vm_readv),
                             CALL(process_vm_writev),
                             CALL(kcmp),
                             CALL(pidfd_getfd),
                             CALL(bpf),
                             CALL(perf_event_open),
                             CALL(userfaultfd),
                             CALL(init_module),
                             CALL(finit_module),
                             CALL(delete_module),
                             CALL(kexec_load),
                             CALL(kexec_file_load),
                             CALL(reboot),
                             CALL(mount),
                             CALL(umount2),
                             CALL(pivot_root),
                             CALL(move_mount),
                             CALL(open_tree),
                             CALL(fsopen),
                             CALL(fsmount),
                             CALL(fsconfig),
                             CALL(fspick),
                             CALL(mount_setattr),
                             CALL(chroot),
                             CALL(setns),
                             CALL(unshare),
                             CALL(open_by_handle_at),
                             CALL(swapon),
                             CALL(swapoff),
                             CALL(settimeofday),
                             CALL(clock_settime),
                             CALL(clock_adjtime),
                             CALL(adjtimex),
                             CALL(sethostname),
                             CALL(setdomainname),
                             CALL(iopl),
                             CALL(ioperm),
                             CALL(acct),
                             CALL(quotactl),
                             CALL(add_key),
                             CALL(request_key),
                             CALL(keyctl),
                             CALL(io_uring_setup),
                             CALL(io_uring_enter),
                             CALL(io_uring_register),
                             CALL(syslog),
                             CALL(personality),
                             CALL(vhangup)};

/* The first failure is remembered, so that a list of rules stays a list. */
struct rules {
    scmp_filter_ctx ctx;
    int error;
};

static void add(struct rules *r, uint32_t action, int call) {
    if (r->error == 0)
        r->error = seccomp_rule_add(r->ctx, action, call, 0);
}

/* Where the bits of `mask` of an argument are those of `value`. */
static void add_masked(struct rules *r, int call, unsigned argument, uint64_t mask,
                       uint64_t value) {
    struct scmp_arg_cmp compare = {argument, SCMP_CMP_MASKED_EQ, mask, value};

    if (r->error == 0)
        r->error = seccomp_rule_add_array(r->ctx, SCMP_ACT_ALLOW, call, 1, &compare);
}

/* An int: the upper half of the register means nothing. */
static void add_equal(struct rules *r, int call, unsigned argument, uint32_t value) {
    add_masked(r, call, argument, UINT32_MAX, value);
}

static void add_arguments(struct rules *r) {
    /* of stdio, libcurl and the resolver */
    add_equal(r, CALL(ioctl), 1, FIONREAD);
    add_equal(r, CALL(ioctl), 1, FIONBIO);
    add_equal(r, CALL(ioctl), 1, TCGETS);
    add_equal(r, CALL(prctl), 0, PR_SET_NAME);
    /* reading a limit, not setting it */
    add_masked(r, CALL(prlimit64), 2, UINT64_MAX, 0);
    /* abort() */
    add_equal(r, CALL(tgkill), 0, (uint32_t)getpid());
}

/* No memory that is written and then run: only libraries are mapped to be run, where any are
 * loaded. */
static void add_memory(struct rules *r, bool libraries) {
    add_masked(r, CALL(mmap), 2, PROT_EXEC, 0);
    add_masked(r, CALL(mprotect), 2, PROT_EXEC, 0);
    if (libraries)
        add_masked(r, CALL(mmap), 2, PROT_EXEC | PROT_WRITE, PROT_EXEC);
}

static void add_connecting(struct rules *r) {
    static const uint32_t families[] = {AF_INET, AF_INET6, AF_UNIX};
    static const struct scmp_arg_cmp netlink[] = {
        {0, SCMP_CMP_MASKED_EQ, UINT32_MAX, AF_NETLINK},
        {2, SCMP_CMP_MASKED_EQ, UINT32_MAX, NETLINK_ROUTE},
    };

    for (size_t i = 0; i < ARRAY_N(families); i++)
        add_equal(r, CALL(socket), 0, families[i]);
    /* getaddrinfo asks which addresses the machine has */
    if (r->error == 0)
        r->error = seccomp_rule_add_array(r->ctx, SCMP_ACT_ALLOW, CALL(socket), 2, netlink);
    add(r, SCMP_ACT_ALLOW, CALL(socketpair));
    add(r, SCMP_ACT_ALLOW, CALL(connect));
    add(r, SCMP_ACT_ALLOW, CALL(bind));
    /* threads, not processes; clone3's flags lie in memory, where a filter cannot look */
    add_masked(r, CALL(clone), 0, CLONE_THREAD, CLONE_THREAD);
    add(r, SCMP_ACT_ERRNO(ENOSYS), CALL(clone3));
}

int callfilter_apply(const struct callfilter_options *options, struct err *err) {
    struct rules r = {.ctx = seccomp_init(SCMP_ACT_ERRNO(EPERM))};

    if (!r.ctx)
        return err_set(err, -ENOMEM, "cannot make a filter of system calls");
    for (size_t i = 0; i < ARRAY_N(allowed); i++)
        add(&r, SCMP_ACT_ALLOW, allowed[i]);
    for (size_t i = 0; i < ARRAY_N(deadly); i++)
        add(&r, SCMP_ACT_KILL_PROCESS, deadly[i]);
    add_arguments(&r);
    add_memory(&r, options->connect);
    if (options->connect)
        add_connecting(&r);
    /* a tree of comparisons instead of a chain: the calls of each tick are many */
    if (r.error == 0)
        (void)seccomp_attr_set(r.ctx, SCMP_FLTATR_CTL_OPTIMIZE, 2);
    if (r.error == 0)
        r.error = seccomp_load(r.ctx);
    seccomp_release(r.ctx);
    return r.error < 0 ? err_set(err, r.error, "cannot load the filter of system calls:") : 0;
}
