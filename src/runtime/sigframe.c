#include "runtime/sigframe.h"

#include <cpuid.h>
#include <errno.h>
#include <string.h>

/* What <asm/sigcontext.h> and <asm/ucontext.h> say, which cannot be included beside glibc's. */
struct kernel_sigcontext {
    uint64_t r8, r9, r10, r11, r12, r13, r14, r15, rdi, rsi, rbp, rbx, rdx, rax, rcx, rsp, rip;
    uint64_t eflags;
    uint16_t cs, gs, fs, ss;
    uint64_t err, trapno, oldmask, cr2, fpstate;
    uint64_t reserved[8];
};

struct kernel_ucontext {
    uint64_t flags, link;
    struct {
        uint64_t sp;
        int32_t flags, pad;
        uint64_t size;
    } stack;
    struct kernel_sigcontext mcontext;
    uint64_t sigmask;
};

/* In the last bytes of the FXSAVE area. */
struct kernel_sw_bytes {
    uint32_t magic1, extended_size;
    uint64_t xfeatures;
    uint32_t xstate_size, padding[7];
};

enum {
    UC_FP_XSTATE = 1,
    UC_SIGCONTEXT_SS = 2,
    UC_STRICT_RESTORE_SS = 4,
    STACK_INVALID = 0x7f,
    XSAVE_SW = 464, /* where the kernel's own bytes are, and in a regset the features */
    XSAVE_HEADER_END = 576,
};
static const uint32_t magic1 = 0x46505853, magic2 = 0x46505845;

/* How many bytes these features take in the standard format. */
static size_t xstate_size(uint64_t features) {
    size_t size = XSAVE_HEADER_END;

    for (unsigned i = 2; i < 63; i++) {
        unsigned eax, ebx, ecx, edx;

        if (!(features >> i & 1))
            continue;
        if (!__get_cpuid_count(0xD, i, &eax, &ebx, &ecx, &edx))
            return 0;
        if ((size_t)eax + ebx > size)
            size = (size_t)eax + ebx;
    }
    return size;
}

static void put(struct sigframe *f, uint64_t address, const void *from, size_t n) {
    memcpy(f->bytes + (address - f->low), from, n);
}

static int put_xstate(struct sigframe *f, uint64_t address, const struct sigframe_in *in) {
    struct kernel_sw_bytes sw = {.magic1 = magic1};

    memcpy(&sw.xfeatures, (const char *)in->xstate + XSAVE_SW, sizeof(sw.xfeatures));
    sw.xstate_size = (uint32_t)xstate_size(sw.xfeatures);
    if (sw.xstate_size < XSAVE_HEADER_END || sw.xstate_size > in->xstate_n)
        return -EINVAL;
    sw.extended_size = sw.xstate_size + (uint32_t)sizeof(magic2);
    put(f, address, in->xstate, sw.xstate_size);
    put(f, address + XSAVE_SW, &sw, sizeof(sw));
    put(f, address + sw.xstate_size, &magic2, sizeof(magic2));
    return 0;
}

static void put_ucontext(struct sigframe *f, uint64_t xstate, const struct sigframe_in *in) {
    const struct user_regs_struct *r = in->regs;
    struct kernel_ucontext uc = {
        .flags = UC_FP_XSTATE | UC_SIGCONTEXT_SS | UC_STRICT_RESTORE_SS,
        /* Which alternate stack the thread has cannot be known. rt_sigreturn sets it from here and
         * does not mind failing, so what cannot be set leaves it as it is. */
        .stack.flags = STACK_INVALID,
        .mcontext =
            {
                .r8 = r->r8,
                .r9 = r->r9,
                .r10 = r->r10,
                .r11 = r->r11,
                .r12 = r->r12,
                .r13 = r->r13,
                .r14 = r->r14,
                .r15 = r->r15,
                .rdi = r->rdi,
                .rsi = r->rsi,
                .rbp = r->rbp,
                .rbx = r->rbx,
                .rdx = r->rdx,
                .rax = r->rax,
                .rcx = r->rcx,
                .rsp = r->rsp,
                .rip = r->rip,
                .eflags = r->eflags,
                .cs = (uint16_t)r->cs,
                .ss = (uint16_t)r->ss,
                .fpstate = xstate,
            },
        .sigmask = in->mask,
    };

    put(f, f->ucontext, &uc, sizeof(uc));
}

int sigframe_build(const struct sigframe_in *in, struct sigframe *out) {
    uint64_t top = in->regs->rsp - SIGFRAME_RED_ZONE, xstate, back;
    uint64_t over = 8 + (uint64_t)in->store.popped;
    int r;

    if (in->xstate_n < XSAVE_HEADER_END || in->xstate_n > SIGFRAME_XSTATE_MAX || over > 256)
        return -EINVAL;
    out->data = (top - SIGFRAME_DATA) & ~63ull;
    out->slot = out->data - 64;
    xstate = (out->slot - in->xstate_n - sizeof(magic2)) & ~63ull;
    out->ucontext = (xstate - sizeof(struct kernel_ucontext)) & ~15ull;
    back = out->ucontext - 8;
    out->entry = back - over;
    /* As after a call instruction: 8 below a multiple of 16. */
    if (out->entry % 16 == 0) {
        out->ucontext -= 8;
        back -= 8;
        out->entry -= 8;
    }
    out->low = out->entry;
    out->n = out->data + SIGFRAME_DATA - out->low;
    memset(out->bytes, 0, out->n);
    r = put_xstate(out, xstate, in);
    if (r < 0)
        return r;
    put_ucontext(out, xstate, in);
    put(out, back, &in->trampoline, 8);
    put(out, out->entry, &in->store.address, 8);
    return 0;
}

ptrdiff_t sigframe_find_trampoline(struct str code) {
    /* mov $15, %rax; syscall: the same in glibc and musl, where debuggers look for it. */
    static const char wanted[] = "\x48\xc7\xc0\x0f\x00\x00\x00\x0f\x05";
    const char *at = memmem(code.p, code.n, wanted, SIGFRAME_TRAMPOLINE_N);

    return at ? at - code.p : -1;
}

/* What follows the store up to a return: xor eax, eax; add rsp, imm8; pops. Sets out->popped. */
static bool ends_soon(const unsigned char *p, const unsigned char *end, uint16_t *popped) {
    unsigned sum = 0;

    if (end - p > 2 && p[0] == 0x31 && p[1] == 0xc0)
        p += 2;
    if (end - p > 4 && p[0] == 0x48 && p[1] == 0x83 && p[2] == 0xc4 && p[3] < 0x80) {
        sum = p[3];
        p += 4;
    }
    for (; p < end; p++) {
        if (*p == 0xc3) {
            *popped = (uint16_t)sum;
            return sum % 8 == 0 && sum <= 128;
        }
        if (*p == 0x41 && end - p > 1 && p[1] >= 0x5c && p[1] <= 0x5f) /* r12 to r15 */
            p++;
        else if (*p != 0x5b && *p != 0x5d) /* rbx, rbp */
            return false;
        sum += 8;
    }
    return false;
}

/* mov %rax, disp(reg) at p: its length, or 0. */
static size_t is_store(const unsigned char *p, size_t n, struct sigframe_store *out) {
    if (n < 16 || p[1] != 0x89)
        return 0;
    if (p[0] == 0x48 && p[2] == 0x03) {
        *out = (struct sigframe_store){.reg = SIGFRAME_RBX};
        return 3;
    }
    if (p[0] == 0x48 && (p[2] == 0x43 || p[2] == 0x45)) {
        *out = (struct sigframe_store){.reg = p[2] == 0x43 ? SIGFRAME_RBX : SIGFRAME_RBP,
                                       .disp = (int8_t)p[3]};
        return 4;
    }
    if (p[0] == 0x49 && p[2] == 0x04 && p[3] == 0x24) {
        *out = (struct sigframe_store){.reg = SIGFRAME_R12};
        return 4;
    }
    if (p[0] == 0x49 && p[2] == 0x45) {
        *out = (struct sigframe_store){.reg = SIGFRAME_R13, .disp = (int8_t)p[3]};
        return 4;
    }
    return 0;
}

ptrdiff_t sigframe_find_store(struct str code, struct sigframe_store *out) {
    const unsigned char *p = (const unsigned char *)code.p;
    struct sigframe_store found;

    for (size_t i = 0; i + 32 < code.n; i++) {
        size_t n;

        if (p[i] != 0x48 && p[i] != 0x49)
            continue;
        n = is_store(p + i, code.n - i, &found);
        if (n > 0 && ends_soon(p + i + n, p + i + 32, &found.popped)) {
            *out = found;
            return (ptrdiff_t)i;
        }
    }
    return -1;
}
