#include "runtime/injectrun.h"
#include "runtime/seccomp.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"

/* What the kernel leaves in rax when a call was interrupted (include/linux/errno.h). */
enum {
    ERESTARTSYS_ = 512,
    ERESTARTNOINTR_ = 513,
    ERESTARTNOHAND_ = 514,
    ERESTART_RESTARTBLOCK_ = 516,
};

enum {
    WAIT_SLICE_US = 20 * 1000,
    STOP_SYSCALL = SIGTRAP | 0x80,
    CODE_64 = 0x33,    /* cs of 64-bit programs */
    DIRECTION = 0x400, /* flags */
    TRAP = 0x100,
    FRAME_HEAD = 8 + 304, /* bytes of our frame that make it one */
};

struct run {
    const struct rtproc *p;
    const struct injectcode *code;
    pid_t tid;
    uint64_t nr;
    bool has_handler;
    struct user_regs_struct was; /* when it was stopped */
    uint64_t mask;
    size_t xstate_n;
    int64_t deadline_us;
    struct err *why;
    struct sigframe frame;
    _Alignas(64) char xstate[SIGFRAME_XSTATE_MAX];
};

/* --- ptrace ----------------------------------------------------------------------------------- */

static long trace(int request, pid_t tid, uintptr_t address, uintptr_t data) {
    long r = syscall(SYS_ptrace, request, tid, address, data);

    return r < 0 ? -errno : r;
}

static int get_set(const struct run *x, int request, uintptr_t set, void *data, size_t *n) {
    struct iovec v = {data, *n};
    long r = trace(request, x->tid, set, (uintptr_t)&v);

    *n = v.iov_len;
    return (int)r;
}

static int get_regs(const struct run *x, struct user_regs_struct *out) {
    size_t n = sizeof(*out);
    int r = get_set(x, PTRACE_GETREGSET, NT_PRSTATUS, out, &n);

    return r == 0 && n != sizeof(*out) ? -EOPNOTSUPP : r;
}

static int set_regs(const struct run *x, struct user_regs_struct *regs) {
    size_t n = sizeof(*regs);

    return get_set(x, PTRACE_SETREGSET, NT_PRSTATUS, regs, &n);
}

static int set_mask(const struct run *x, uint64_t mask) {
    return (int)trace(PTRACE_SETSIGMASK, x->tid, sizeof(mask), (uintptr_t)&mask);
}

static int write_mem(const struct run *x, uint64_t address, const void *from, size_t n) {
    struct iovec here = {(void *)(uintptr_t)from, n};
    struct iovec there = {(void *)(uintptr_t)address, n};
    ssize_t r = process_vm_writev(x->p->pid, &here, 1, &there, 1, 0);

    return r == (ssize_t)n ? 0 : r < 0 ? -errno : -EFAULT;
}

/* The next stop. SIGCHLD is blocked, and tells of it. 0 and *status; -ETIMEDOUT at the deadline
 * (INT64_MAX: none); -ESRCH when the thread has ended. */
static int wait_stop(const struct run *x, int64_t deadline_us, int *status) {
    const struct timespec slice = {.tv_nsec = WAIT_SLICE_US * 1000L};
    sigset_t child;

    sigemptyset(&child);
    sigaddset(&child, SIGCHLD);
    for (;;) {
        pid_t r = waitpid(x->tid, status, __WALL | WNOHANG);

        if (r == x->tid)
            return WIFSTOPPED(*status) ? 0 : -ESRCH;
        if (r < 0 && errno != EINTR)
            return -ESRCH;
        if (deadline_us != INT64_MAX && clock_mono_us() >= deadline_us)
            return -ETIMEDOUT;
        (void)sigtimedwait(&child, NULL, &slice);
    }
}

/* --- stopping --------------------------------------------------------------------------------- */

static int seize(struct run *x) {
    int status = 0;
    long r = trace(PTRACE_SEIZE, x->tid, 0, PTRACE_O_TRACESYSGOOD);
    struct procstatus now;

    if (r == -EPERM && procstatus_read(x->p->host->proc, x->tid, &now) == 0 &&
        now.have & 1U << PROCSTATUS_TRACER && now.value[PROCSTATUS_TRACER] != 0)
        return err_set(x->why, -EAGAIN, "thread %d is being traced by process %d", x->tid,
                       (int)now.value[PROCSTATUS_TRACER]);
    if (r == -EPERM)
        return err_set(x->why, -EPERM,
                       "process %d may not be traced by us: it takes root, or its user where "
                       "kernel.yama.ptrace_scope is 0, and nobody else may trace it",
                       x->p->pid);
    if (r < 0)
        return err_set(x->why, (int)r, "cannot trace thread %d:", x->tid);
    r = trace(PTRACE_INTERRUPT, x->tid, 0, 0);
    if (r == 0)
        r = wait_stop(x, x->deadline_us, &status);
    if (r == -ETIMEDOUT)
        return err_set(x->why, -ETIMEDOUT, "thread %d did not stop in time", x->tid);
    if (r < 0)
        return err_set(x->why, -ESRCH, "process %d has ended", x->p->pid);
    if (status >> 16 != PTRACE_EVENT_STOP || WSTOPSIG(status) != SIGTRAP) {
        /* A signal came first: it takes it, as if we had not been. */
        int signal = status >> 16 == PTRACE_EVENT_STOP ? 0 : WSTOPSIG(status);

        trace(PTRACE_DETACH, x->tid, 0, (uintptr_t)signal);
        return err_set(x->why, -EAGAIN, "thread %d was given a signal", x->tid);
    }
    return 0;
}

/* How its call has to go on: the kernel's own rules, from what it left in rax. A call that says
 * EINTR of itself (epoll_wait, a socket with a timeout) goes on too, unless a handler comes. */
static struct user_regs_struct as_it_goes_on(const struct run *x) {
    struct user_regs_struct r = x->was;

    if ((int64_t)r.rax == -EINTR)
        r.rax = (uint64_t)-ERESTARTNOHAND_;
    return r;
}

/* Whether the call may be made anew by the thread itself, should we die: as the kernel does when
 * there is no handler. Where a program has handlers, it must expect EINTR of calls that never go on
 * after one, and may wait for just that; a sleep made anew would be too long. */
static bool begins_by_itself(const struct run *x) {
    switch ((int64_t)x->was.rax) {
    case -ERESTARTSYS_:
    case -ERESTARTNOINTR_:
        return true;
    case -ERESTARTNOHAND_:
    case -EINTR:
        return x->nr != SYS_rt_sigsuspend && !x->has_handler;
    case -ERESTART_RESTARTBLOCK_:
        return x->nr == SYS_poll && (int32_t)x->was.rdx < 0;
    default:
        return false;
    }
}

/* What the thread finds when its frame is taken back without us. */
static struct user_regs_struct as_by_itself(const struct run *x) {
    struct user_regs_struct r = x->was;
    int64_t result = (int64_t)r.rax;

    if (begins_by_itself(x)) {
        r.rax = x->nr;
        r.rip -= 2;
    } else if (result == -ERESTARTNOHAND_ || result == -ERESTART_RESTARTBLOCK_) {
        r.rax = (uint64_t)-EINTR;
    }
    r.orig_rax = UINT64_MAX;
    return r;
}

/* From a stop within signal delivery, where the kernel looks at what is to be restarted. */
static void let_go(const struct run *x) {
    static const char nothing[FRAME_HEAD];
    struct user_regs_struct r = as_it_goes_on(x);

    (void)set_regs(x, &r);
    /* It must not be taken for that of a handler another time. */
    if (x->frame.n > 0)
        (void)write_mem(x, x->frame.ucontext - 8, nothing, sizeof(nothing));
    (void)trace(PTRACE_DETACH, x->tid, 0, 0);
}

/* Whether it stands where it was seen waiting. */
static int check_stop(struct run *x, const struct safepoint *at) {
    char task[32];
    uint64_t nr;
    int r = get_regs(x, &x->was);

    /* What is stopped cannot become another's; before that it could. */
    (void)snprintf(task, sizeof(task), "task/%d", x->tid);
    if (faccessat(x->p->dir, task, F_OK, 0) < 0)
        return err_set(x->why, -ESRCH, "thread %d is gone", x->tid);
    if (r == -EOPNOTSUPP || (r == 0 && x->was.cs != CODE_64))
        return err_set(x->why, -EOPNOTSUPP, "thread %d runs 32-bit code", x->tid);
    if (r < 0)
        return err_set(x->why, r, "cannot read the registers of thread %d:", x->tid);
    nr = x->was.orig_rax;
    if (nr == SYS_restart_syscall)
        nr = safepoint_restarted(x->p, x->was.rip);
    if ((int64_t)x->was.orig_rax < 0 || nr != at->nr || x->was.rip != at->pc ||
        x->was.rsp != at->sp)
        return err_set(x->why, -EAGAIN, "thread %d went on meanwhile", x->tid);
    return safepoint_look_stack(x->p, at, x->code->trampoline, x->was.fs_base ? x->was.fs_base : 1,
                                x->why);
}

/* What malloc, a collector and the way back may call: a filter that forbids one of them may kill,
 * should we die and leave the thread to itself. While we live, filters do not look: the call that
 * we skip at the end has no number, which many kill for. */
static int check_filters(const struct run *x) {
    static const int needed[] = {
        SYS_brk,     SYS_mmap,  SYS_munmap,       SYS_mprotect,       SYS_mremap,
        SYS_madvise, SYS_futex, SYS_rt_sigreturn, SYS_rt_sigprocmask, SYS_restart_syscall,
    };
    int r = seccomp_allows(x->tid, needed, ARRAY_N(needed), x->why);

    if (r < 0)
        return r;
    r = (int)trace(PTRACE_SETOPTIONS, x->tid, 0, PTRACE_O_TRACESYSGOOD | PTRACE_O_SUSPEND_SECCOMP);
    return r < 0 ? err_set(x->why, -EPERM,
                           "the seccomp filters of process %d cannot be suspended:", x->p->pid)
                 : 0;
}

static int save(struct run *x) {
    int r;

    x->xstate_n = sizeof(x->xstate);
    r = get_set(x, PTRACE_GETREGSET, NT_X86_XSTATE, x->xstate, &x->xstate_n);
    if (r == 0)
        r = (int)trace(PTRACE_GETSIGMASK, x->tid, sizeof(x->mask), (uintptr_t)&x->mask);
    return r < 0 ? err_set(x->why, r, "cannot read the registers of thread %d:", x->tid) : 0;
}

/* --- the calls -------------------------------------------------------------------------------- */

static int put_frame(struct run *x) {
    struct user_regs_struct back = as_by_itself(x);
    struct sigframe_in in = {.regs = &back,
                             .xstate = x->xstate,
                             .xstate_n = x->xstate_n,
                             .mask = x->mask,
                             .trampoline = x->code->trampoline,
                             .store = x->code->store};
    int r = sigframe_build(&in, &x->frame);

    if (r == 0)
        r = write_mem(x, x->frame.low, x->frame.bytes, x->frame.n);
    return r < 0 ? err_set(x->why, r, "cannot write a frame on the stack of thread %d:", x->tid)
                 : 0;
}

static void point_store(const struct run *x, struct user_regs_struct *r) {
    uint64_t base = x->frame.slot - (uint64_t)(int64_t)x->code->store.disp;

    switch (x->code->store.reg) {
    case SIGFRAME_RBX:
        r->rbx = base;
        break;
    case SIGFRAME_RBP:
        r->rbp = base;
        break;
    case SIGFRAME_R12:
        r->r12 = base;
        break;
    case SIGFRAME_R13:
        r->r13 = base;
        break;
    }
}

/* The registers with which call `i` begins; what it is given is written first. */
static int prepare(const struct run *x, const struct inject_call *call, unsigned i,
                   struct user_regs_struct *out) {
    const struct inject_call *c = &call[i];
    struct user_regs_struct r = x->was;
    unsigned long long *const place[INJECT_ARGS] = {&r.rdi, &r.rsi, &r.rdx, &r.rcx, &r.r8, &r.r9};
    int e = 0;

    for (unsigned a = 0; a < INJECT_ARGS; a++)
        *place[a] = c->arg_from[a] ? (uint64_t)call[c->arg_from[a] - 1].result : c->arg[a];
    if (c->data_n > 0) {
        *place[c->data_arg - 1] = x->frame.data;
        e = write_mem(x, x->frame.data, c->data, c->data_n);
    }
    r.rip = c->function;
    r.rsp = x->frame.entry;
    r.rax = 0;
    r.orig_rax = UINT64_MAX;
    r.eflags &= ~(uint64_t)(DIRECTION | TRAP);
    point_store(x, &r);
    /* The way back may have been used already. */
    if (e == 0)
        e = write_mem(x, x->frame.entry, x->frame.bytes, x->frame.ucontext - x->frame.entry);
    *out = r;
    return e;
}

/* Signals wait until the call is over; those that a fault makes cannot, the kernel would end the
 * process instead. */
static uint64_t mask_while_calling(void) {
    static const int faults[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGTRAP, SIGSYS};
    uint64_t mask = UINT64_MAX;

    for (size_t i = 0; i < ARRAY_N(faults); i++)
        mask &= ~(1ull << (faults[i] - 1));
    return mask;
}

enum reached { REACHED_RETURN, REACHED_FAULT, REACHED_LOCK };

struct held {
    siginfo_t info[8];
    unsigned n;
};

/* A stop with a signal: of a fault in the call, or one that somebody sent and cannot be held back.
 */
static bool is_fault(const siginfo_t *info) {
    return info->si_code > 0 && info->si_signo != SIGSTOP;
}

/* Signals that came within the call though it blocks all it can: sent again at its end, as they
 * were. SIGSTOP and SIGCONT are for the whole process, and do not keep this thread from going on.
 */
static int pass_on(const siginfo_t *info, struct held *held) {
    if (info->si_signo == SIGSTOP)
        return SIGSTOP;
    if (held->n < ARRAY_N(held->info))
        held->info[held->n++] = *info;
    return 0;
}

/* At a stop of a system call: has the function come back? */
static bool is_back(const struct run *x) {
    struct user_regs_struct r;

    return get_regs(x, &r) == 0 && r.rip == x->code->trampoline + SIGFRAME_TRAMPOLINE_N &&
           r.orig_rax == SYS_rt_sigreturn && r.rsp == x->frame.ucontext;
}

/* Whether it stands in futex(2), with this in rax: -ENOSYS when it enters, what it returns when it
 * leaves. */
static bool is_at_futex(const struct run *x, int64_t rax) {
    struct user_regs_struct r;

    return get_regs(x, &r) == 0 && r.orig_rax == SYS_futex && (int64_t)r.rax == rax;
}

/* At the deadline: takes it out of the futex it waits at. 1: it stands within signal delivery and
 * has not been woken; 0: it goes on, *status is its next stop. Woken already, it would have to take
 * the lock: others may wait behind it. */
static int leave_lock(const struct run *x, int *status) {
    int r = (int)trace(PTRACE_INTERRUPT, x->tid, 0, 0);

    if (r == 0)
        r = wait_stop(x, INT64_MAX, status);
    /* It stops where the call ends, which takes the interruption's place. */
    if (r == 0 && WSTOPSIG(*status) == STOP_SYSCALL && is_at_futex(x, -ERESTARTSYS_)) {
        r = (int)trace(PTRACE_INTERRUPT, x->tid, 0, 0);
        if (r == 0)
            r = (int)trace(PTRACE_CONT, x->tid, 0, 0);
        if (r == 0)
            r = wait_stop(x, INT64_MAX, status);
    }
    if (r < 0)
        return -ESRCH;
    return *status >> 16 == PTRACE_EVENT_STOP && is_at_futex(x, -ERESTARTSYS_);
}

/* Runs until the function has returned, with it standing before rt_sigreturn. */
static int run_call(struct run *x, const struct inject_call *c, struct held *held,
                    enum reached *out) {
    bool in_futex = false;
    int pass = 0;

    for (;;) {
        int64_t until = c->may_leave_lock && in_futex ? x->deadline_us : INT64_MAX;
        int status = 0;
        int r = (int)trace(PTRACE_SYSCALL, x->tid, 0, (uintptr_t)pass);

        pass = 0;
        if (r == 0)
            r = wait_stop(x, until, &status);
        if (r == -ETIMEDOUT)
            r = leave_lock(x, &status);
        if (r < 0)
            return -ESRCH;
        if (r == 1) {
            *out = REACHED_LOCK;
            return 0;
        }
        if (WSTOPSIG(status) == STOP_SYSCALL) {
            if (is_back(x)) {
                *out = REACHED_RETURN;
                return 0;
            }
            in_futex = is_at_futex(x, -ENOSYS);
        } else if (status >> 16 != PTRACE_EVENT_STOP) {
            siginfo_t info = {.si_signo = WSTOPSIG(status), .si_code = SI_USER};

            (void)trace(PTRACE_GETSIGINFO, x->tid, 0, (uintptr_t)&info);
            if (is_fault(&info)) {
                *out = REACHED_FAULT;
                return 0;
            }
            pass = pass_on(&info, held);
        }
    }
}

/* --- the way back ----------------------------------------------------------------------------- */

/* At any stop: everything but the general registers. If we die behind this, the call goes on with
 * what it will have in the end, which harms nothing. */
static void restore_rest(struct run *x) {
    size_t n = x->xstate_n;

    (void)get_set(x, PTRACE_SETREGSET, NT_X86_XSTATE, x->xstate, &n);
    (void)set_mask(x, x->mask);
}

/* It stands before rt_sigreturn, which is not called: that would make an interrupted nanosleep say
 * EINTR. It must stop once more within signal delivery, where restarting is decided. */
static int leave_return(struct run *x) {
    struct user_regs_struct r = as_by_itself(x);
    int status = 0;

    restore_rest(x);
    (void)trace(PTRACE_INTERRUPT, x->tid, 0, 0);
    if (set_regs(x, &r) < 0 || trace(PTRACE_CONT, x->tid, 0, 0) < 0)
        return -ESRCH;
    if (wait_stop(x, INT64_MAX, &status) < 0)
        return -ESRCH;
    let_go(x);
    return 0;
}

static void leave_delivery(struct run *x) {
    restore_rest(x);
    let_go(x);
}

static void send_held(const struct run *x, const struct held *held) {
    for (unsigned i = 0; i < held->n; i++) {
        const siginfo_t *info = &held->info[i];

        /* In another's name the kernel lets us queue only what sigqueue(3) makes. */
        if (syscall(SYS_rt_tgsigqueueinfo, x->p->pid, x->tid, info->si_signo, info) < 0)
            (void)syscall(SYS_tgkill, x->p->pid, x->tid, info->si_signo);
    }
}

static int take_result(const struct run *x, struct inject_call *c) {
    int r = rtproc_read(x->p, x->frame.slot, &c->result, sizeof(c->result));

    if (r == 0 && c->data_n > 0)
        r = rtproc_read(x->p, x->frame.data, c->data, c->data_n);
    return r;
}

static int gone(const struct run *x) {
    return err_set(x->why, -ESRCH, "process %d ended during the call", x->p->pid);
}

/* From the first stop to the last. */
static int make_calls(struct run *x, struct inject_call *call, unsigned n) {
    struct held held = {.n = 0};
    int r = 0;

    for (unsigned i = 0; i < n && r == 0; i++) {
        struct user_regs_struct regs;
        enum reached reached = REACHED_RETURN;

        r = prepare(x, call, i, &regs);
        if (r == 0)
            r = set_regs(x, &regs);
        if (r == 0 && i == 0)
            r = set_mask(x, mask_while_calling());
        if (r < 0) {
            (void)err_set(x->why, r, "cannot begin a call in thread %d:", x->tid);
            if (i == 0) {
                leave_delivery(x);
                return r;
            }
            break;
        }
        if (run_call(x, &call[i], &held, &reached) < 0)
            return gone(x);
        if (reached == REACHED_RETURN) {
            r = take_result(x, &call[i]);
            if (r < 0)
                (void)err_set(x->why, r, "cannot read what a call returned:");
            continue;
        }
        leave_delivery(x);
        send_held(x, &held);
        if (reached == REACHED_FAULT)
            return err_set(x->why, -EFAULT,
                           "the call ended in a fault; thread %d was taken back, but what the call "
                           "had begun may be half done",
                           x->tid);
        return err_set(
            x->why, -ETIMEDOUT,
            "a lock that the call needs was held until the deadline; thread %d was taken "
            "back",
            x->tid);
    }
    if (leave_return(x) < 0)
        return gone(x);
    send_held(x, &held);
    return r;
}

static int hold_and_call(struct run *x, const struct safepoint *at, struct inject_call *call,
                         unsigned n) {
    int r = seize(x);

    if (r < 0)
        return r;
    r = check_stop(x, at);
    if (r == 0 && at->filtered)
        r = check_filters(x);
    if (r == 0)
        r = save(x);
    if (r == 0)
        r = put_frame(x);
    if (r == 0)
        return make_calls(x, call, n);
    /* A call that was interrupted for nothing goes on, if it is one of those we know. */
    if (x->was.cs == CODE_64 && safepoint_allows(x->was.orig_rax))
        let_go(x);
    else
        (void)trace(PTRACE_DETACH, x->tid, 0, 0);
    return r;
}

int injectrun_calls(const struct rtproc *p, const struct safepoint *at,
                    const struct injectcode *code, struct inject_call *call, unsigned n,
                    int64_t deadline_us, struct err *why) {
    auto_free struct run *x = aligned_alloc(64, (sizeof(*x) + 63) & ~63ul);
    sigset_t child, before;
    int r;

    if (!x)
        return err_set(why, -ENOMEM, "no memory");
    memset(x, 0, sizeof(*x));
    x->p = p;
    x->code = code;
    x->tid = at->tid;
    x->nr = at->nr;
    x->has_handler = at->has_handler;
    x->deadline_us = deadline_us;
    x->why = why;
    sigemptyset(&child);
    sigaddset(&child, SIGCHLD);
    (void)sigprocmask(SIG_BLOCK, &child, &before);
    r = hold_and_call(x, at, call, n);
    (void)sigprocmask(SIG_SETMASK, &before, NULL);
    return r;
}
