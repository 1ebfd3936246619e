/* tiny32.c - a 32-bit program without a libc: says "ready" and waits until its input ends. */

static long call(long nr, long a, const void *b, long c) {
    long r;

    __asm__ volatile("int $0x80" : "=a"(r) : "a"(nr), "b"(a), "c"(b), "d"(c) : "memory");
    return r;
}

__attribute__((noreturn)) void _start(void);
void _start(void) {
    char c;

    call(4, 1, "ready\n", 6);
    while (call(3, 0, &c, 1) > 0)
        continue;
    for (;;)
        call(1, 0, 0, 0);
}
