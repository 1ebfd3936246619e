#include "runtime/pythonstub.h"

#include <assert.h>
#include <string.h>

struct code {
    unsigned char *p;
    size_t n;
};

static void add(struct code *c, const void *bytes, size_t n) {
    assert(c->n + n <= PYTHONSTUB_MAX);
    memcpy(c->p + c->n, bytes, n);
    c->n += n;
}

#define ADD(c, literal) add(c, literal, sizeof(literal) - 1)

static void add_call(struct code *c, uint64_t function) {
    ADD(c, "\x48\xb8"); /* mov $function, %rax */
    add(c, &function, sizeof(function));
    ADD(c, "\xff\xd0"); /* call *%rax */
}

/* A jump forward whose target comes later: where its distance is to be written. */
static size_t add_jump(struct code *c, const char *opcode) {
    add(c, opcode, 2);
    ADD(c, "\0\0\0\0");
    return c->n - 4;
}

static void land(struct code *c, size_t jump) {
    uint32_t distance = (uint32_t)(c->n - jump - 4);

    memcpy(c->p + jump, &distance, sizeof(distance));
}

size_t pythonstub_build(const struct pythonstub *to, unsigned char out[PYTHONSTUB_MAX]) {
    static const char jz[] = "\x0f\x84", jnz[] = "\x0f\x85";
    struct code c = {.p = out};
    size_t holds, not_ready, enabled;

    ADD(&c, "\x53\x41\x54\x41\x55");         /* push %rbx, %r12, %r13: the stack is aligned */
    ADD(&c, "\x49\xc7\xc4\xff\xff\xff\xff"); /* mov $-1, %r12: PYTHONSTUB_HOLDS_GIL */
    add_call(&c, to->gil_check);
    ADD(&c, "\x85\xc0"); /* test %eax, %eax */
    holds = add_jump(&c, jnz);
    ADD(&c, "\x49\xc7\xc4\xfe\xff\xff\xff"); /* mov $-2, %r12: PYTHONSTUB_NOT_READY */
    add_call(&c, to->initialized);
    ADD(&c, "\x85\xc0");
    not_ready = add_jump(&c, jz);
    add_call(&c, to->ensure);
    ADD(&c, "\x89\xc3"); /* mov %eax, %ebx: what release is given */
    add_call(&c, to->enable);
    ADD(&c, "\x41\x89\xc5"); /* mov %eax, %r13d: whether it was on */
    add_call(&c, to->collect);
    ADD(&c, "\x49\x89\xc4"); /* mov %rax, %r12 */
    ADD(&c, "\x45\x85\xed"); /* test %r13d, %r13d */
    enabled = add_jump(&c, jnz);
    add_call(&c, to->disable);
    land(&c, enabled);
    ADD(&c, "\x89\xdf"); /* mov %ebx, %edi */
    add_call(&c, to->release);
    land(&c, holds);
    land(&c, not_ready);
    ADD(&c, "\x4c\x89\xe0\x41\x5d\x41\x5c\x5b\xc3"); /* mov %r12, %rax; pop; ret */
    return c.n;
}
