/* native.c - a program of the C library alone, to be called into from outside.
 *
 *   native WAY MIB
 * takes MIB of blocks, gives most of them back (every hundredth stays, so that the heap cannot
 * shrink by itself), says "ready", and then does what WAY says until its standard input ends or
 * SIGTERM comes:
 *   read, nanosleep, poll, epoll, pause   waits so, in its only thread
 *   busy    threads that wait in these ways and check what they get, threads that take, check and
 *           free blocks, signals that are queued and counted
 *   regs    a system call made with a pattern in every register, vector ones too, looked at after
 *           it
 *   handler, nodefer, unblocked, altstack
 *           waits in a signal handler: one with SA_NODEFER, that has unblocked its signal, that is
 *           on a stack of its own
 *   scattered waits in poll, with every other block kept
 *   waitall waits for the rest of a message of which it has a part
 *   handled waits in poll, after handlers that came and went
 *   blocked waits with all signals blocked
 *   spin    never waits
 * At the end it prints one line: "eintr N bad N signals SENT TAKEN rounds N".
 */
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { BLOCK = 4000, MIB_MAX = 400, SECONDS_MAX = 600 };

static atomic_uint_fast64_t eintr, bad, sent, taken, rounds;
static atomic_bool over;
static char **kept;
static size_t kept_n, keep_each = 100;

/* --- garbage ---------------------------------------------------------------------------------- */

static void fill(char *p, size_t n, uint64_t seed) {
    for (size_t i = 0; i + 8 <= n; i += 8) {
        seed = seed * 6364136223846793005u + 1442695040888963407u;
        memcpy(p + i, &seed, 8);
    }
}

static bool is_filled(const char *p, size_t n, uint64_t seed) {
    for (size_t i = 0; i + 8 <= n; i += 8) {
        seed = seed * 6364136223846793005u + 1442695040888963407u;
        if (memcmp(p + i, &seed, 8) != 0)
            return false;
    }
    return true;
}

static void make_garbage(size_t mib) {
    size_t n = mib * ((1u << 20) / BLOCK);
    char **all = mmap(NULL, n * sizeof(*all) + 4096, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    for (size_t i = 0; i < n; i++) {
        all[i] = malloc(BLOCK);
        fill(all[i], BLOCK, i);
    }
    for (size_t i = 0; i < n; i++)
        if (i % keep_each != 0)
            free(all[i]);
    for (size_t i = 0; i < n; i += keep_each)
        all[kept_n++] = all[i];
    kept = all;
}

static void check_kept(void) {
    for (size_t i = 0; i < kept_n; i++)
        if (!is_filled(kept[i], BLOCK, i * keep_each))
            bad++;
}

/* --- what the tests call ---------------------------------------------------------------------- */

long native_sum(long a, long b, long c, long d, long e, long f);
long native_slow(long ms);
long native_fault(void);
long native_lock(void);
long native_reverse(char *text);

__attribute__((visibility("default"), used)) long native_sum(long a, long b, long c, long d, long e,
                                                             long f) {
    return a + 10 * b + 100 * c + 1000 * d + 10000 * e + 100000 * f;
}

/* Uses every vector register there is, and takes some ms. */
__attribute__((visibility("default"), used)) long native_slow(long ms) {
    struct timespec end, now;
    static _Thread_local volatile double x = 1.5;

    clock_gettime(CLOCK_MONOTONIC, &end);
    end.tv_nsec += ms * 1000000;
    end.tv_sec += end.tv_nsec / 1000000000;
    end.tv_nsec %= 1000000000;
    do {
        for (int i = 0; i < 100; i++)
            x = x * 1.0000001 + 0.5;
        __asm__ volatile("vpxor %%ymm0,%%ymm0,%%ymm0\n vpxor %%ymm1,%%ymm1,%%ymm1\n"
                         "vpxor %%ymm7,%%ymm7,%%ymm7\n vpxor %%ymm15,%%ymm15,%%ymm15\n" ::
                             : "xmm0", "xmm1", "xmm7", "xmm15");
        /* Not the vdso: so that there are system calls within it. */
        syscall(SYS_clock_gettime, CLOCK_MONOTONIC, &now);
    } while (now.tv_sec < end.tv_sec || (now.tv_sec == end.tv_sec && now.tv_nsec < end.tv_nsec));
    return ms;
}

__attribute__((visibility("default"), used)) long native_fault(void) {
    volatile int *nowhere = (volatile int *)8;

    return *nowhere;
}

static pthread_mutex_t never = PTHREAD_MUTEX_INITIALIZER;

__attribute__((visibility("default"), used)) long native_lock(void) {
    return pthread_mutex_lock(&never);
}

__attribute__((visibility("default"), used)) long native_reverse(char *text) {
    size_t n = strlen(text);

    for (size_t i = 0; i < n / 2; i++) {
        char c = text[i];

        text[i] = text[n - 1 - i];
        text[n - 1 - i] = c;
    }
    return (long)n;
}

/* --- waiting ---------------------------------------------------------------------------------- */

static int wake[2]; /* a pipe in which nothing comes */

static void note_result(long r) {
    if (r < 0 && errno == EINTR)
        eintr++;
    else if (r < 0)
        bad++;
}

static void wait_once(int way) {
    struct timespec t = {.tv_nsec = 3000000}, rest = {0};
    struct pollfd p = {.fd = wake[0], .events = POLLIN};
    static _Thread_local int set = -1;
    struct epoll_event event = {.events = EPOLLIN};

    switch (way) {
    case 0:
        note_result(nanosleep(&t, &rest));
        return;
    case 1:
        note_result(poll(&p, 1, 3));
        return;
    case 2:
        if (set < 0) {
            set = epoll_create1(EPOLL_CLOEXEC);
            epoll_ctl(set, EPOLL_CTL_ADD, wake[0], &event);
        }
        note_result(epoll_wait(set, &event, 1, 3));
        return;
    case 3:
        note_result(ppoll(&p, 1, &t, NULL));
        return;
    default:
        note_result(select(0, NULL, NULL, NULL, &(struct timeval){.tv_usec = 3000}));
    }
}

static void *waiter(void *arg) {
    while (!over) {
        wait_once((int)(intptr_t)arg);
        rounds++;
    }
    return NULL;
}

/* Two threads hand numbered messages to each other. */
static int pair[2];

static void *reader(void *arg) {
    uint32_t got, next = 0;

    (void)arg;
    for (;;) {
        ssize_t n = read(pair[0], &got, sizeof(got));

        if (n == 0)
            return NULL;
        if (n < 0)
            note_result(n);
        else if (n != sizeof(got) || got != next++)
            bad++;
    }
}

static void *writer(void *arg) {
    struct timespec t = {.tv_nsec = 2000000};

    (void)arg;
    for (uint32_t next = 0; !over; next++) {
        if (write(pair[1], &next, sizeof(next)) != sizeof(next))
            bad++;
        note_result(nanosleep(&t, NULL));
    }
    close(pair[1]);
    return NULL;
}

static void *allocator(void *arg) {
    uint64_t seed = (uint64_t)(intptr_t)arg;
    struct {
        char *p;
        size_t n;
        uint64_t seed;
    } held[64] = {0};

    while (!over) {
        size_t i;

        seed = seed * 6364136223846793005u + 1442695040888963407u;
        i = seed >> 58;
        if (held[i].p && !is_filled(held[i].p, held[i].n, held[i].seed))
            bad++;
        free(held[i].p);
        held[i].n = seed >> 40 & (seed & 1 << 20 ? 0x3ffff : 0xfff);
        held[i].p = malloc(held[i].n);
        held[i].seed = seed;
        if (held[i].p)
            fill(held[i].p, held[i].n, seed);
        rounds++;
        if ((seed >> 30 & 63) == 0)
            wait_once(0);
    }
    for (size_t i = 0; i < 64; i++)
        free(held[i].p);
    return NULL;
}

/* --- signals ---------------------------------------------------------------------------------- */

static void take_signal(int signal) {
    (void)signal;
    taken++;
}

/* Takes the signals, and counts no interruptions: they are its own. */
static void *signalled(void *arg) {
    sigset_t set;

    (void)arg;
    sigemptyset(&set);
    sigaddset(&set, SIGRTMIN);
    pthread_sigmask(SIG_UNBLOCK, &set, NULL);
    while (!over) {
        struct timespec t = {.tv_nsec = 50000000};

        nanosleep(&t, NULL);
    }
    return NULL;
}

static void *sender(void *arg) {
    (void)arg;
    while (!over) {
        struct timespec t = {.tv_nsec = 1000000};

        if (sigqueue(getpid(), SIGRTMIN, (union sigval){0}) == 0)
            sent++;
        note_result(nanosleep(&t, NULL));
    }
    return NULL;
}

/* --- registers -------------------------------------------------------------------------------- */

struct registers {
    uint64_t general[16];
    _Alignas(64) char vector[32][64];
};

static bool have_avx512;

/* nanosleep(t, 0) with every register set from *in, and all of them put into *out. */
void sleep_with(const struct registers *in, struct registers *out, const struct timespec *t,
                long wide);
__asm__(".text\n.type sleep_with, @function\nsleep_with:\n"
        "push %rbx\n push %rbp\n push %r12\n push %r13\n push %r14\n push %r15\n"
        "push %rsi\n" /* out */
        "push %rcx\n" /* wide */
        "push %rdx\n"
        "test %rcx, %rcx\n je 1f\n"
        ".irp "
        "n,0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31\n"
        "vmovdqu64 128+64*\\n(%rdi), %zmm\\n\n .endr\n jmp 2f\n"
        "1:\n .irp n,0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15\n"
        "movdqu 128+64*\\n(%rdi), %xmm\\n\n .endr\n"
        "2:\n"
        "mov 24(%rdi), %rbx\n mov 40(%rdi), %rbp\n mov 64(%rdi), %r8\n mov 72(%rdi), %r9\n"
        "mov 80(%rdi), %r10\n mov 96(%rdi), %r12\n mov 104(%rdi), %r13\n"
        "mov 112(%rdi), %r14\n mov 120(%rdi), %r15\n mov 16(%rdi), %rdx\n"
        "pop %rdi\n xor %esi, %esi\n"
        "mov $35, %eax\n syscall\n"
        "push %rdi\n"
        "mov 16(%rsp), %rdi\n" /* out */
        "mov %rax, 0(%rdi)\n mov %rdx, 16(%rdi)\n mov %rbx, 24(%rdi)\n mov %rsi, 32(%rdi)\n"
        "mov %rbp, 40(%rdi)\n mov %r8, 64(%rdi)\n mov %r9, 72(%rdi)\n mov %r10, 80(%rdi)\n"
        "mov %r12, 96(%rdi)\n mov %r13, 104(%rdi)\n mov %r14, 112(%rdi)\n mov %r15, 120(%rdi)\n"
        "pop %rax\n mov %rax, 48(%rdi)\n" /* rdi after it */
        "pop %rcx\n"
        "test %rcx, %rcx\n je 3f\n"
        ".irp "
        "n,0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31\n"
        "vmovdqu64 %zmm\\n, 128+64*\\n(%rdi)\n .endr\n vzeroupper\n jmp 4f\n"
        "3:\n .irp n,0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15\n"
        "movdqu %xmm\\n, 128+64*\\n(%rdi)\n .endr\n"
        "4:\n pop %rsi\n pop %r15\n pop %r14\n pop %r13\n pop %r12\n pop %rbp\n pop %rbx\n ret\n"
        ".size sleep_with, .-sleep_with\n");

static void check_registers(uint64_t round) {
    static struct registers in, out;
    struct timespec t = {.tv_nsec = 2000000};
    size_t vectors = have_avx512 ? 32 : 16, width = have_avx512 ? 64 : 16;
    static const int same[] = {2, 3, 5, 8, 9, 10, 12, 13, 14, 15};

    fill((char *)&in, sizeof(in), round);
    memset(&out, 0, sizeof(out));
    sleep_with(&in, &out, &t, have_avx512);
    if (out.general[0] == (uint64_t)-EINTR)
        eintr++;
    else if (out.general[0] != 0)
        bad++;
    for (size_t i = 0; i < sizeof(same) / sizeof(same[0]); i++)
        if (in.general[same[i]] != out.general[same[i]])
            bad++;
    if (out.general[6] != (uint64_t)(uintptr_t)&t || out.general[4] != 0)
        bad++;
    for (size_t i = 0; i < vectors; i++)
        if (memcmp(in.vector[i], out.vector[i], width) != 0)
            bad++;
}

/* --- ways ------------------------------------------------------------------------------------- */

static void *until_input_ends(void *arg) {
    char c;

    while (read(0, &c, 1) > 0 || errno == EINTR)
        errno = 0;
    if (arg) /* the rest of what all_of_it waits for */
        (void)!write(pair[1], (char[95]){0}, 95);
    over = true;
    return NULL;
}

static void end(int signal) {
    (void)signal;
    over = true;
}

static void stay(int signal) {
    struct timespec t = {.tv_sec = SECONDS_MAX};

    (void)signal;
    nanosleep(&t, NULL);
}

static void stay_unblocked(int signal) {
    sigset_t none;

    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    stay(signal);
}

static bool is_handler(const char *way) {
    return strcmp(way, "handler") == 0 || strcmp(way, "nodefer") == 0 ||
           strcmp(way, "unblocked") == 0 || strcmp(way, "altstack") == 0;
}

static void handle(const char *way) {
    static char stack[256 << 10];
    const stack_t other = {.ss_sp = stack, .ss_size = sizeof(stack)};
    struct sigaction action = {.sa_handler = strcmp(way, "unblocked") == 0 ? stay_unblocked : stay};

    if (strcmp(way, "handler") != 0)
        action.sa_flags = strcmp(way, "altstack") == 0 ? SA_ONSTACK | SA_NODEFER : SA_NODEFER;
    if (strcmp(way, "unblocked") == 0)
        action.sa_flags = 0;
    if (sigaltstack(&other, NULL) < 0 || sigaction(SIGUSR2, &action, NULL) < 0)
        exit(1);
}

static void start(void *(*body)(void *), intptr_t arg) {
    pthread_t t;

    if (pthread_create(&t, NULL, body, (void *)arg) != 0)
        exit(1);
    pthread_detach(t);
}

static void busy(void) {
    sigset_t set;

    sigemptyset(&set);
    sigaddset(&set, SIGRTMIN);
    sigprocmask(SIG_BLOCK, &set, NULL);
    if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair) < 0)
        exit(1);
    for (intptr_t way = 0; way < 5; way++)
        start(waiter, way);
    start(reader, 0);
    start(writer, 0);
    start(allocator, 1);
    start(allocator, 2);
    start(signalled, 0);
    start(sender, 0);
    start(until_input_ends, 0);
    while (!over)
        wait_once(0);
    for (int i = 0; i < 200 && sent != taken; i++)
        usleep(5000);
    usleep(20000);
}

static void strict(void) {
    char c;

    if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT) < 0)
        exit(1);
    (void)!write(1, "ready\n", 6);
    while (read(0, &c, 1) > 0)
        continue;
    syscall(SYS_exit, 0);
}

/* Kills for what malloc_trim would call. */
static void filter(void) {
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_madvise, 3, 0),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_munmap, 2, 0),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_brk, 1, 0),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
    };
    struct sock_fprog program = {.len = sizeof(code) / sizeof(code[0]), .filter = code};
    char c;

    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
        prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) < 0)
        exit(1);
    (void)!write(1, "ready\n", 6);
    while (read(0, &c, 1) > 0)
        continue;
    _exit(0);
}

/* Kills for all but what a collection may call, and itself does: read, write, exit. */
static void allowed(void) {
    static const int calls[] = {
        SYS_read,         SYS_write,          SYS_exit_group,     SYS_brk,     SYS_mmap,
        SYS_munmap,       SYS_mprotect,       SYS_mremap,         SYS_madvise, SYS_futex,
        SYS_rt_sigreturn, SYS_rt_sigprocmask, SYS_restart_syscall};
    enum { N = sizeof(calls) / sizeof(calls[0]) };
    struct sock_filter code[N + 3] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        [N + 1] = BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
        [N + 2] = BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {.len = N + 3, .filter = code};
    char c;

    for (unsigned i = 0; i < N; i++)
        code[i + 1] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)calls[i],
                                                   (uint8_t)(N - i), 0);
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
        prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) < 0)
        exit(1);
    (void)!write(1, "ready\n", 6);
    while (read(0, &c, 1) > 0)
        continue;
    check_kept();
    _exit(bad != 0);
}

static void traced(void) {
    pid_t child = fork();
    int status;

    if (child == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        for (;;)
            pause();
    }
    if (child < 0 || ptrace(PTRACE_SEIZE, child, 0, 0) < 0)
        exit(1);
    printf("ready %d\n", child);
    fflush(stdout);
    until_input_ends(NULL);
    kill(child, SIGKILL);
    waitpid(child, &status, 0);
    exit(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL ? 0 : 1);
}

/* Waits for a hundred bytes of which it has five. */
static void all_of_it(void) {
    char bytes[100];

    if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair) < 0 || write(pair[1], "first", 5) != 5)
        exit(1);
    start(until_input_ends, 1);
    if (recv(pair[0], bytes, sizeof(bytes), MSG_WAITALL) != sizeof(bytes))
        bad++;
    over = true;
}

static void once(const char *way) {
    struct timespec t = {.tv_sec = 1};
    struct epoll_event event = {.events = EPOLLIN};
    struct pollfd p = {.fd = 0, .events = POLLIN};
    int set;
    char c;

    if (strcmp(way, "read") == 0) {
        ssize_t n = read(0, &c, 1);

        note_result(n);
        over = n == 0;
    } else if (strcmp(way, "nanosleep") == 0 || strcmp(way, "blocked") == 0) {
        note_result(nanosleep(&t, NULL));
        over = over || (poll(&p, 1, 0) == 1);
    } else if (strcmp(way, "poll") == 0 || strcmp(way, "scattered") == 0) {
        note_result(poll(&p, 1, -1));
        over = true;
    } else if (strcmp(way, "epoll") == 0) {
        set = epoll_create1(EPOLL_CLOEXEC);
        epoll_ctl(set, EPOLL_CTL_ADD, 0, &event);
        note_result(epoll_wait(set, &event, 1, -1));
        over = true;
    } else if (strcmp(way, "waitall") == 0) {
        all_of_it();
    } else if (strcmp(way, "spin") == 0) {
        over = over || (rounds++ % 4096 == 0 && poll(&p, 1, 0) == 1);
    } else if (strcmp(way, "regs") == 0) {
        check_registers(rounds++);
        over = over || poll(&p, 1, 0) == 1;
    } else if (is_handler(way)) {
        raise(SIGUSR2);
    } else if (strcmp(way, "handled") == 0) {
        for (int i = 0; i < 100; i++)
            raise(SIGRTMIN);
        note_result(poll(&p, 1, -1));
        over = true;
    } else {
        pause();
    }
}

int main(int argc, char **argv) {
    struct sigaction counted = {.sa_handler = take_signal}, last = {.sa_handler = end};
    size_t mib = argc > 2 ? (size_t)strtoul(argv[2], NULL, 10) : 0;
    sigset_t all;

    if (argc < 2 || mib > MIB_MAX || pipe(wake) < 0)
        return 2;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    alarm(SECONDS_MAX);
    have_avx512 = __builtin_cpu_supports("avx512f");
    sigaction(SIGRTMIN, &counted, NULL);
    sigaction(SIGTERM, &last, NULL);
    handle(argv[1]);
    sigfillset(&all);
    if (strcmp(argv[1], "blocked") == 0)
        sigprocmask(SIG_BLOCK, &all, NULL);
    pthread_mutex_lock(&never);
    if (strcmp(argv[1], "scattered") == 0)
        keep_each = 2;
    make_garbage(mib);
    if (strcmp(argv[1], "strict") == 0)
        strict();
    if (strcmp(argv[1], "filter") == 0)
        filter();
    if (strcmp(argv[1], "allowed") == 0)
        allowed();
    if (strcmp(argv[1], "traced") == 0)
        traced();
    printf("ready\n");
    fflush(stdout);
    if (strcmp(argv[1], "busy") == 0)
        busy();
    while (!over)
        once(argv[1]);
    check_kept();
    printf("eintr %lu bad %lu signals %lu %lu rounds %lu\n", (unsigned long)eintr,
           (unsigned long)bad, (unsigned long)sent, (unsigned long)taken, (unsigned long)rounds);
    return 0;
}
