/* sigframe.h - the signal frame that the kernel would have put on a stack (x86-64), made by us: all
 * registers, the vector ones too, and the signal mask, for rt_sigreturn to restore.
 *
 * Pure. On the stack, from above: the red zone, what a call is given to read and write, a slot for
 * its result, the vector registers, the ucontext, and where the called function returns to: first
 * a few instructions of the libc that store its result in the slot, then those that call
 * rt_sigreturn.
 */
#pragma once
#include <sys/user.h>

#include "base/str.h"

enum {
    SIGFRAME_RED_ZONE = 128,
    SIGFRAME_DATA = 1024,        /* bytes for what calls are given */
    SIGFRAME_XSTATE_MAX = 12288, /* of all vector registers: 2.7 KiB with AVX-512, 11 with AMX */
    SIGFRAME_MAX = 512 + SIGFRAME_DATA + SIGFRAME_XSTATE_MAX + 1024,
};

/* Instructions that store rax at [reg + disp], take `popped` bytes off the stack and return. */
enum sigframe_reg { SIGFRAME_RBX, SIGFRAME_RBP, SIGFRAME_R12, SIGFRAME_R13 };
struct sigframe_store {
    uint64_t address;
    enum sigframe_reg reg;
    int8_t disp;
    uint16_t popped;
};

struct sigframe_in {
    const struct user_regs_struct *regs; /* to be restored */
    const void *xstate;                  /* as PTRACE_GETREGSET NT_X86_XSTATE gives it */
    size_t xstate_n;
    uint64_t mask; /* blocked signals */
    uint64_t trampoline;
    struct sigframe_store store;
};

struct sigframe {
    uint64_t low;      /* the address of bytes[0] */
    uint64_t entry;    /* stack pointer when the function starts: its return address is there */
    uint64_t ucontext; /* stack pointer when rt_sigreturn is called */
    uint64_t slot;     /* for the result */
    uint64_t data;     /* SIGFRAME_DATA bytes */
    size_t n;
    char bytes[SIGFRAME_MAX];
};

/* 0; -EINVAL when the vector registers are not as they should be. */
int sigframe_build(const struct sigframe_in *in, struct sigframe *out);

/* Instructions that call rt_sigreturn, and those that store a result, in code. Offsets, or -1. */
ptrdiff_t sigframe_find_trampoline(struct str code);
ptrdiff_t sigframe_find_store(struct str code, struct sigframe_store *out); /* sets no address */

enum { SIGFRAME_TRAMPOLINE_N = 9 }; /* its length: the stop inside rt_sigreturn is behind it */
