/* inject.h - calls functions in a process that was not made for it, by ptrace, so that it cannot
 * be harmed by our death.
 *
 * One thread, and only one that waits in a blocking system call which holds no lock of the
 * allocator (poll, epoll_wait, nanosleep, accept, read ...; never futex, mmap, brk, munmap,
 * madvise), in no signal handler. The call is made as the kernel would deliver a signal: a signal
 * frame with all registers, vector ones too, is put on its stack below the red zone, and the
 * function returns into rt_sigreturn. While we live we take the thread back before that and restore
 * it so that its system call goes on as if nothing had been. What traces is a process of its own,
 * which finishes that though its parent has been killed or has given up; if it is killed itself,
 * the thread restores itself and begins its system call anew, or sees EINTR where it would of a
 * signal.
 *
 * Refused: x32 and 32-bit processes, a thread that is traced already, a user shadow stack, a
 * sanitizer, seccomp whose filters forbid what the call needs, a group at its limit (the call may
 * need memory: it would hang).
 */
#pragma once
#include "runtime/rt.h"
#include "runtime/rtproc.h"

enum { INJECT_ARGS = 6, INJECT_CALLS = 4, INJECT_DATA = 1024 };

struct inject_call {
    uint64_t function; /* address in the process */
    uint64_t arg[INJECT_ARGS];
    int64_t result; /* what it returned (rax) */
    /* Takes the result of an earlier call as an argument: index + 1; 0: none. */
    uint8_t arg_from[INJECT_ARGS];
    /* Copied to its stack before the call and back after it: at most INJECT_DATA bytes, NULL: none.
     * Their address there is argument data_arg (1: the first). */
    void *data;
    uint16_t data_n;
    uint8_t data_arg;
    /* While the function waits for a lock it holds no other, as malloc_trim: if the lock is not
     * had by the deadline the thread is taken out of it. Else it is waited for. */
    bool may_leave_lock;
};

/* 0: all were made. Else the process is as it was, and *why says it: -EBUSY: no thread came to a
 * safe point in time, or a lock was not had; -EPERM; -EOPNOTSUPP: refused; -ENOMEM: its group is at
 * its limit; -EFAULT: the call ended in a fault, and what it had begun may be half done; -ESRCH.
 * Blocks until the deadline; a call that has begun is always waited for. Only in a process of one
 * thread: it forks. Traces nobody when it returns. */
int inject_calls(const struct rtproc *p, struct inject_call *call, unsigned n, int64_t deadline_us,
                 struct err *why);

/* Whether a call goes on in it that somebody of us made, who may have ended. */
bool inject_goes_on(const struct rtproc *p);

/* The address of a symbol that a mapped file exports (dynamic symbols, then .symtab), e.g.
 * "malloc_trim" of the libc. The name of the file must begin so ("libc.so.6"); "" the executable.
 * -ENOENT, -errno. */
int inject_symbol(const struct rtproc *p, const char *file, const char *symbol, uint64_t *out);
