/* oddmalloc - memory asked for in odd places: before main, in threads, in children of fork and
 * vfork, in signal handlers; sizes that overflow. Run with and without libplimsoll-preload.so: it
 * prints the same line, "ok", or what was wrong.
 *
 *   oddmalloc churn MB KB TIMES   holds MB, then takes and gives back KB so often
 */
#include <errno.h>
#include <malloc.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

enum { KB = 1024 };

static void *before_main;

__attribute__((constructor)) static void begin(void) {
    before_main = calloc(1, 3000 * KB);
}

static int bad(const char *what) {
    printf("%s\n", what);
    return 1;
}

static void on_alarm(int number) {
    (void)number;
    /* Not allowed, and done all the same by programs that are lucky. Small: no lock is taken. */
    free(malloc(24));
}

/* Each byte is what was written, however it moves. */
static int is_whole(const unsigned char *p, size_t n, unsigned char value) {
    for (size_t i = 0; i < n; i++)
        if (p[i] != value)
            return 0;
    return 1;
}

static void *churn(void *ctx) {
    unsigned seed = (unsigned)(uintptr_t)ctx + 1;
    unsigned char *kept[16] = {0};
    size_t size[16] = {0};

    for (int i = 0; i < 300; i++) {
        unsigned at = (unsigned)rand_r(&seed) % 16, n = (unsigned)rand_r(&seed) % (64 * KB) + 1;

        if (kept[at] && !is_whole(kept[at], size[at], (unsigned char)at))
            return (void *)1;
        if (seed % 3 == 0) {
            unsigned char *moved = realloc(kept[at], n);

            if (!moved ||
                (kept[at] && !is_whole(moved, n < size[at] ? n : size[at], (unsigned char)at)))
                return (void *)1;
            kept[at] = moved;
        } else {
            free(kept[at]);
            kept[at] = seed % 3 == 1 ? calloc(1, n) : malloc(n);
        }
        if (!kept[at] || malloc_usable_size(kept[at]) < n)
            return (void *)1;
        memset(kept[at], (int)at, n);
        size[at] = n;
    }
    for (int i = 0; i < 16; i++)
        free(kept[i]);
    return NULL;
}

static int sizes(void) {
    volatile size_t huge = SIZE_MAX / 2 + 2; /* volatile: compilers know that these fail */
    void *p = NULL;

    p = calloc(huge, 2); /* tcmalloc sets no errno */
    if (p)
        return free(p), bad("calloc overflows");
    errno = 0;
    p = malloc(huge);
    if (p || errno != ENOMEM)
        return free(p), bad("malloc of half of everything");
    errno = EILSEQ;
    if (posix_memalign(&p, 3, 100) != EINVAL || errno != EILSEQ)
        return bad("posix_memalign takes 3");
    if (posix_memalign(&p, 65536, 5000000) != 0 || (uintptr_t)p % 65536 || errno != EILSEQ)
        return bad("posix_memalign");
    free(p);
    p = aligned_alloc(4096, 8192);
    if (!p || (uintptr_t)p % 4096)
        return bad("aligned_alloc");
    free(p);
    p = memalign(256, 1000);
    if (!p || (uintptr_t)p % 256)
        return bad("memalign");
    free(p);
    p = reallocarray(NULL, 1000, 1000);
    if (!p)
        return bad("reallocarray");
    free(p);
    free(malloc(0)); /* NOLINT(clang-analyzer-optin.portability.UnixAPI) */
    free(NULL);
    errno = EILSEQ;
    free(malloc(2000 * KB)); /* asked about: errno stays */
    return errno == EILSEQ ? 0 : bad("errno");
}

static int children(void) {
    int status;
    pid_t child = fork();

    if (child == 0)
        _exit(churn(NULL) == NULL ? 7 : 8);
    if (waitpid(child, &status, 0) != child || !WIFEXITED(status) || WEXITSTATUS(status) != 7)
        return bad("child of fork");
    child = vfork(); /* NOLINT(clang-analyzer-security.insecureAPI.vfork) */
    if (child == 0) {
        execl("/bin/true", "true", (char *)NULL);
        _exit(9);
    }
    if (waitpid(child, &status, 0) != child || status != 0)
        return bad("child of vfork");
    return 0;
}

/* In blocks of malloc's own heap, as a program has them that has run for a while. */
static int steady(size_t mb, size_t kb, unsigned long times) {
    for (size_t i = 0; i < mb * KB / 64; i++) {
        char *kept = malloc(64 * KB);

        if (!kept)
            return bad("no memory");
        memset(kept, 1, 64 * KB);
    }
    for (unsigned long i = 0; i < times; i++) {
        char *p = malloc(kb * KB);

        if (!p)
            return bad("no memory");
        for (size_t at = 0; at < kb * KB; at += 4096)
            ((volatile char *)p)[at] = 1;
        free(p);
    }
    puts("ok");
    return 0;
}

static int odd(void) {
    struct itimerval often = {{0, 500}, {0, 500}}, never = {0};
    struct sigaction action = {.sa_handler = on_alarm, .sa_flags = SA_RESTART};
    pthread_t thread[8];
    void *wrong, *any = NULL;

    if (!before_main)
        return bad("before main");
    any = realloc(before_main, 5000 * KB);
    if (!any)
        return free(before_main), bad("realloc of what is from before main");
    free(any);
    any = NULL;
    if (sizes() || children())
        return 1;
    sigaddset(&action.sa_mask, SIGALRM);
    sigaction(SIGALRM, &action, NULL);
    free(malloc(24)); /* from now on this thread has one that takes no lock */
    sigprocmask(SIG_BLOCK, &action.sa_mask, NULL); /* the others have none, and would hang */
    for (uintptr_t i = 0; i < 8; i++)
        pthread_create(&thread[i], NULL, churn, (void *)i);
    sigprocmask(SIG_UNBLOCK, &action.sa_mask, NULL);
    setitimer(ITIMER_REAL, &often, NULL);
    for (int i = 0; i < 4; i++) {
        pid_t child;
        int status;

        /* glibc holds its locks in fork: a handler that allocates there hangs by itself. */
        sigprocmask(SIG_BLOCK, &action.sa_mask, NULL);
        child = fork();
        sigprocmask(SIG_UNBLOCK, &action.sa_mask, NULL);

        if (child == 0)
            _exit(churn((void *)9) == NULL ? 0 : 1);
        if (waitpid(child, &status, 0) != child || status != 0)
            return bad("child beside threads");
    }
    for (int i = 0; i < 8; i++) {
        pthread_join(thread[i], &wrong);
        any = wrong ? wrong : any;
    }
    setitimer(ITIMER_REAL, &never, NULL);
    if (any)
        return bad("threads");
    puts("ok");
    return 0;
}

int main(int argc, char **argv) {
    if (argc == 5 && strcmp(argv[1], "churn") == 0)
        return steady(strtoul(argv[2], NULL, 10), strtoul(argv[3], NULL, 10),
                      strtoul(argv[4], NULL, 10));
    return odd();
}
