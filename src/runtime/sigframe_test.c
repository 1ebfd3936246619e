#include "runtime/sigframe.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <ucontext.h>

enum { SW = 464, BIG = 8192 };

/* What the kernel put on the stack for a signal, as the handler found it. */
static struct {
    ucontext_t uc;
    char fp[BIG];
    uint32_t xstate_size;
} kernels;

static void take(int number, siginfo_t *info, void *context) {
    const ucontext_t *uc = context;
    uint32_t sw[5];

    (void)number;
    (void)info;
    memcpy(&kernels.uc, uc, sizeof(kernels.uc));
    memcpy(sw, (const char *)uc->uc_mcontext.fpregs + SW, sizeof(sw));
    kernels.xstate_size = sw[4];
    if (kernels.xstate_size + 4 <= BIG)
        memcpy(kernels.fp, uc->uc_mcontext.fpregs, kernels.xstate_size + 4);
}

static struct user_regs_struct registers_of(const ucontext_t *uc) {
    const greg_t *g = uc->uc_mcontext.gregs;

    return (struct user_regs_struct){
        .r8 = (uint64_t)g[REG_R8],
        .r9 = (uint64_t)g[REG_R9],
        .r10 = (uint64_t)g[REG_R10],
        .r11 = (uint64_t)g[REG_R11],
        .r12 = (uint64_t)g[REG_R12],
        .r13 = (uint64_t)g[REG_R13],
        .r14 = (uint64_t)g[REG_R14],
        .r15 = (uint64_t)g[REG_R15],
        .rdi = (uint64_t)g[REG_RDI],
        .rsi = (uint64_t)g[REG_RSI],
        .rbp = (uint64_t)g[REG_RBP],
        .rbx = (uint64_t)g[REG_RBX],
        .rdx = (uint64_t)g[REG_RDX],
        .rax = (uint64_t)g[REG_RAX],
        .rcx = (uint64_t)g[REG_RCX],
        .rsp = (uint64_t)g[REG_RSP],
        .rip = (uint64_t)g[REG_RIP],
        .eflags = (uint64_t)g[REG_EFL],
        .cs = (uint64_t)g[REG_CSGSFS] & 0xffff,
        .ss = (uint64_t)g[REG_CSGSFS] >> 48,
    };
}

/* The vector registers as ptrace would give them: the features stand where the frame has its own
 * words. */
static size_t regset_of(char *out) {
    uint64_t features;

    memcpy(out, kernels.fp, kernels.xstate_size);
    memcpy(&features, kernels.fp + SW + 8, sizeof(features));
    memset(out + SW, 0, 48);
    memcpy(out + SW, &features, sizeof(features));
    return kernels.xstate_size;
}

static void frame_is_what_the_kernel_makes(void **state) {
    struct sigaction action = {.sa_sigaction = take, .sa_flags = SA_SIGINFO};
    static char xstate[BIG];
    static struct sigframe f;
    struct user_regs_struct regs;
    uint64_t mask = 0x1234, at, sigmask, kernels_flags, our_flags;
    struct sigframe_in in = {.regs = &regs,
                             .xstate = xstate,
                             .mask = mask,
                             .trampoline = 0x1111,
                             .store = {.address = 0x2222, .popped = 24}};
    uint32_t sw[5], magic2;
    const char *uc;

    (void)state;
    assert_int_equal(sigaction(SIGUSR1, &action, NULL), 0);
    assert_int_equal(raise(SIGUSR1), 0);
    assert_in_range(kernels.xstate_size, 576, BIG - 4);
    regs = registers_of(&kernels.uc);
    in.xstate_n = regset_of(xstate);
    assert_int_equal(sigframe_build(&in, &f), 0);

    uc = f.bytes + (f.ucontext - f.low);
    /* All general registers and segments, at the kernel's places. */
    assert_memory_equal(uc + 40, (const char *)&kernels.uc + 40, 18 * 8);
    assert_memory_equal(uc + 40 + 144, (const char *)&kernels.uc + 40 + 144, 2);
    memcpy(&kernels_flags, &kernels.uc, 8);
    memcpy(&our_flags, uc, 8);
    assert_int_equal(our_flags, kernels_flags);
    memcpy(&sigmask, uc + 296, 8);
    assert_int_equal(sigmask, mask);
    /* The vector registers, with the words that say so. */
    memcpy(&at, uc + 40 + 184, 8);
    assert_int_equal(at % 64, 0);
    memcpy(sw, f.bytes + (at - f.low) + SW, sizeof(sw));
    assert_memory_equal(sw, kernels.fp + SW, sizeof(sw));
    memcpy(&magic2, f.bytes + (at - f.low) + sw[4], 4);
    assert_memory_equal(&magic2, kernels.fp + kernels.xstate_size, 4);
    assert_memory_equal(f.bytes + (at - f.low), kernels.fp, SW);
    assert_memory_equal(f.bytes + (at - f.low) + 512, kernels.fp + 512, kernels.xstate_size - 512);
}

static void frame_lies_below_the_red_zone_and_returns_twice(void **state) {
    static char xstate[BIG];
    static struct sigframe f;
    struct user_regs_struct regs = {0};
    struct sigframe_in in = {.regs = &regs, .xstate = xstate, .xstate_n = 2688, .trampoline = 0x99};
    uint64_t word;

    (void)state;
    for (unsigned popped = 0; popped <= 64; popped += 8)
        for (unsigned shift = 0; shift < 128; shift += 8) {
            regs.rsp = 0x7ffc00010000 + shift;
            in.store = (struct sigframe_store){.address = 0x77, .popped = (uint16_t)popped};
            assert_int_equal(sigframe_build(&in, &f), 0);
            assert_true(f.data + SIGFRAME_DATA <= regs.rsp - SIGFRAME_RED_ZONE);
            assert_true(f.slot + 8 <= f.data);
            assert_int_equal(f.low + f.n, f.data + SIGFRAME_DATA);
            assert_int_equal(f.entry % 16, 8);
            memcpy(&word, f.bytes + (f.entry - f.low), 8);
            assert_int_equal(word, 0x77);
            memcpy(&word, f.bytes + (f.entry - f.low) + 8 + popped, 8);
            assert_int_equal(word, 0x99);
            assert_int_equal(f.ucontext, f.entry + 16 + popped);
        }
    in.xstate_n = 100;
    assert_int_equal(sigframe_build(&in, &f), -EINVAL);
}

static struct str code(const char *bytes, size_t n) {
    static char all[256];

    memset(all, 0x90, sizeof(all));
    memcpy(all + 8, bytes, n);
    return (struct str){all, sizeof(all)};
}

static void instructions_are_found_in_code(void **state) {
    struct sigframe_store s = {0};

    (void)state;
    assert_int_equal(sigframe_find_trampoline(code("\x48\xc7\xc0\x0f\0\0\0\x0f\x05", 9)), 8);
    assert_int_equal(sigframe_find_trampoline(code("\x48\xc7\xc0\x0e\0\0\0\x0f\x05", 9)), -1);
    /* mov %rax,(%rbx); pop %rbx; ret */
    assert_int_equal(sigframe_find_store(code("\x48\x89\x03\x5b\xc3", 5), &s), 8);
    assert_int_equal(s.reg, SIGFRAME_RBX);
    assert_int_equal(s.popped, 8);
    assert_int_equal(s.disp, 0);
    /* mov %rax,-8(%rbp); xor %eax,%eax; add $8,%rsp; pop %rbx; pop %r12; ret */
    assert_int_equal(sigframe_find_store(
                         code("\x48\x89\x45\xf8\x31\xc0\x48\x83\xc4\x08\x5b\x41\x5c\xc3", 14), &s),
                     8);
    assert_int_equal(s.reg, SIGFRAME_RBP);
    assert_int_equal(s.disp, -8);
    assert_int_equal(s.popped, 24);
    /* mov %rax,(%r12); ret; a call between is none; nor a store of another register */
    assert_int_equal(sigframe_find_store(code("\x49\x89\x04\x24\xc3", 5), &s), 8);
    assert_int_equal(s.reg, SIGFRAME_R12);
    assert_int_equal(sigframe_find_store(code("\x48\x89\x03\xe8\0\0\0\0\xc3", 9), &s), -1);
    assert_int_equal(sigframe_find_store(code("\x48\x89\x13\x5b\xc3", 5), &s), -1);
    assert_int_equal(sigframe_find_store(code("\x48\x89\x03\x48\x83\xc4\x07\xc3", 8), &s), -1);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(frame_is_what_the_kernel_makes),
        cmocka_unit_test(frame_lies_below_the_red_zone_and_returns_twice),
        cmocka_unit_test(instructions_are_found_in_code),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
