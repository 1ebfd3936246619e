#include "runtime/seccomp.h"

#include <errno.h>
#include <linux/audit.h>
#include <linux/seccomp.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/ptrace.h>

#include "base/mem.h"

enum { FILTERS_MAX = 64, GET_FILTER = 0x420c }; /* PTRACE_SECCOMP_GET_FILTER, which glibc lacks */

/* The machine that runs a filter, with what is known beforehand of its input. A value that is not
 * known stays so through all that is computed from it. */
struct machine {
    uint32_t a, x, memory[BPF_MEMWORDS];
    bool know_a, know_x, know_memory[BPF_MEMWORDS];
    int call;
};

static void load(struct machine *m, const struct sock_filter *f) {
    m->know_a = true;
    switch (BPF_MODE(f->code)) {
    case BPF_ABS:
        if (f->k == offsetof(struct seccomp_data, nr))
            m->a = (uint32_t)m->call;
        else if (f->k == offsetof(struct seccomp_data, arch))
            m->a = AUDIT_ARCH_X86_64;
        else
            m->know_a = false; /* arguments, and where the call comes from */
        break;
    case BPF_IMM:
        m->a = f->k;
        break;
    case BPF_LEN:
        m->a = sizeof(struct seccomp_data);
        break;
    case BPF_MEM:
        m->know_a = f->k < BPF_MEMWORDS && m->know_memory[f->k];
        m->a = m->know_a ? m->memory[f->k] : 0;
        break;
    default:
        m->know_a = false;
    }
}

static void load_x(struct machine *m, const struct sock_filter *f) {
    m->know_x = true;
    switch (BPF_MODE(f->code)) {
    case BPF_IMM:
        m->x = f->k;
        break;
    case BPF_LEN:
        m->x = sizeof(struct seccomp_data);
        break;
    case BPF_MEM:
        m->know_x = f->k < BPF_MEMWORDS && m->know_memory[f->k];
        m->x = m->know_x ? m->memory[f->k] : 0;
        break;
    default:
        m->know_x = false;
    }
}

static void compute(struct machine *m, const struct sock_filter *f) {
    bool from_x = BPF_SRC(f->code) == BPF_X;
    uint32_t b = from_x ? m->x : f->k;

    if (BPF_OP(f->code) == BPF_NEG) {
        m->a = 0 - m->a;
        return;
    }
    m->know_a = m->know_a && (!from_x || m->know_x);
    switch (BPF_OP(f->code)) {
    case BPF_ADD:
        m->a += b;
        break;
    case BPF_SUB:
        m->a -= b;
        break;
    case BPF_MUL:
        m->a *= b;
        break;
    case BPF_DIV:
        m->know_a = m->know_a && b != 0;
        m->a = b ? m->a / b : 0;
        break;
    case BPF_MOD:
        m->know_a = m->know_a && b != 0;
        m->a = b ? m->a % b : 0;
        break;
    case BPF_OR:
        m->a |= b;
        break;
    case BPF_AND:
        m->a &= b;
        break;
    case BPF_XOR:
        m->a ^= b;
        break;
    case BPF_LSH:
        m->a = b < 32 ? m->a << b : 0;
        break;
    case BPF_RSH:
        m->a = b < 32 ? m->a >> b : 0;
        break;
    default:
        m->know_a = false;
    }
}

/* How many instructions are skipped; -1: it depends. */
static int64_t jump(const struct machine *m, const struct sock_filter *f) {
    bool from_x = BPF_SRC(f->code) == BPF_X, is_so;
    uint32_t b = from_x ? m->x : f->k;

    if (BPF_OP(f->code) == BPF_JA)
        return f->k;
    if (f->jt == f->jf)
        return f->jt;
    if (!m->know_a || (from_x && !m->know_x))
        return -1;
    switch (BPF_OP(f->code)) {
    case BPF_JEQ:
        is_so = m->a == b;
        break;
    case BPF_JGT:
        is_so = m->a > b;
        break;
    case BPF_JGE:
        is_so = m->a >= b;
        break;
    case BPF_JSET:
        is_so = (m->a & b) != 0;
        break;
    default:
        return -1;
    }
    return is_so ? f->jt : f->jf;
}

static enum seccomp_word verdict(const struct machine *m, const struct sock_filter *f) {
    uint32_t action = (BPF_RVAL(f->code) == BPF_A ? m->a : f->k) & SECCOMP_RET_ACTION_FULL;

    if (BPF_RVAL(f->code) == BPF_A && !m->know_a)
        return SECCOMP_DEPENDS;
    return action == SECCOMP_RET_ALLOW || action == SECCOMP_RET_LOG ? SECCOMP_ALLOWS
                                                                    : SECCOMP_FORBIDS;
}

/* Jumps go forward only, as in the kernel: it ends. */
enum seccomp_word seccomp_run(const struct sock_filter *filter, size_t n, int call) {
    struct machine m = {.know_a = true, .know_x = true, .call = call};
    int64_t skip;

    for (size_t at = 0; at < n; at++) {
        const struct sock_filter *f = &filter[at];

        switch (BPF_CLASS(f->code)) {
        case BPF_LD:
            load(&m, f);
            break;
        case BPF_LDX:
            load_x(&m, f);
            break;
        case BPF_ST:
        case BPF_STX:
            if (f->k >= BPF_MEMWORDS)
                return SECCOMP_DEPENDS;
            m.memory[f->k] = BPF_CLASS(f->code) == BPF_ST ? m.a : m.x;
            m.know_memory[f->k] = BPF_CLASS(f->code) == BPF_ST ? m.know_a : m.know_x;
            break;
        case BPF_ALU:
            compute(&m, f);
            break;
        case BPF_JMP:
            skip = jump(&m, f);
            if (skip < 0 || (uint64_t)skip > n)
                return SECCOMP_DEPENDS;
            at += (size_t)skip;
            break;
        case BPF_RET:
            return verdict(&m, f);
        default: /* BPF_MISC */
            if (BPF_MISCOP(f->code) == BPF_TAX) {
                m.x = m.a;
                m.know_x = m.know_a;
            } else {
                m.a = m.x;
                m.know_a = m.know_x;
            }
        }
    }
    return SECCOMP_DEPENDS; /* it has no end: the kernel would not have taken it */
}

static int check_filter(const struct sock_filter *filter, size_t n, const int *call, size_t calls,
                        struct err *err) {
    for (size_t i = 0; i < calls; i++) {
        enum seccomp_word word = seccomp_run(filter, n, call[i]);

        if (word == SECCOMP_ALLOWS)
            continue;
        return err_set(err, -EPERM, "its seccomp filter %s system call %d, which the call needs",
                       word == SECCOMP_FORBIDS ? "forbids" : "may forbid", call[i]);
    }
    return 0;
}

int seccomp_allows(pid_t thread, const int *call, size_t calls, struct err *err) {
    auto_free struct sock_filter *filter = calloc(BPF_MAXINSNS, sizeof(*filter));

    if (!filter)
        return err_set(err, -ENOMEM, "out of memory");
    for (uintptr_t i = 0; i < FILTERS_MAX; i++) {
        /* Without a place to put them it tells how many instructions there are. */
        long n = ptrace((enum __ptrace_request)GET_FILTER, thread, (void *)i, NULL);
        int r;

        if (n < 0 && errno == ENOENT && i > 0)
            return 0;
        if (n < 0 || n > BPF_MAXINSNS ||
            ptrace((enum __ptrace_request)GET_FILTER, thread, (void *)i, filter) != n)
            return err_set(err, -EPERM,
                           "seccomp restricts its system calls, and its filters cannot be read");
        r = check_filter(filter, (size_t)n, call, calls, err);
        if (r < 0)
            return r;
    }
    return err_set(err, -EPERM, "it has more than %d seccomp filters", FILTERS_MAX);
}
