/* libprobe - a program that uses libplimsoll, as the tests need one. Linked with the shared library
 * alone. Counts each allocation of the process: malloc and its family are its own.
 *
 *   libprobe info                     limit, used, usage
 *   libprobe mark PCT MB              grows by MB, tells when the mark is passed, gives it back
 *   libprobe count                    allocations while events are dispatched, and of each call
 *   libprobe pressure SECONDS         counts events of pressure
 *   libprobe gate MB THREADS          threads that allocate until the gate says no
 *   libprobe fork MB                  a child that has memory where its parent has a reserve of MB
 */
#include <dlfcn.h>
#include <errno.h>
#include <plimsoll.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define MB (1 << 20)

/* --- malloc, counted --- */

extern void *__libc_malloc(size_t size);
extern void *__libc_calloc(size_t n, size_t size);
extern void *__libc_realloc(void *p, size_t size);
extern void __libc_free(void *p);

static unsigned long allocations;

void *malloc(size_t size) {
    __atomic_fetch_add(&allocations, 1, __ATOMIC_RELAXED);
    return __libc_malloc(size);
}

void *calloc(size_t n, size_t size) {
    __atomic_fetch_add(&allocations, 1, __ATOMIC_RELAXED);
    return __libc_calloc(n, size);
}

void *realloc(void *p, size_t size) {
    __atomic_fetch_add(&allocations, 1, __ATOMIC_RELAXED);
    return __libc_realloc(p, size);
}

void free(void *p) {
    __libc_free(p);
}

/* --- --- */

static int fail(const char *what, int r) {
    printf("%s: %s\n", what, strerror(-r));
    return 1;
}

static double now(void) {
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static int info(struct plim *p) {
    struct plim_usage u = {.size = sizeof(u)};
    uint64_t limit;
    int r = plim_limit(p, &limit);

    if (r == 0)
        r = plim_usage(p, &u);
    if (r < 0)
        return fail("usage", r);
    printf("{\"effective\": %llu, \"limit\": %llu, \"used\": %llu, \"usage\": %llu}\n",
           (unsigned long long)limit, (unsigned long long)u.limit, (unsigned long long)u.used,
           (unsigned long long)u.usage);
    return 0;
}

struct told {
    unsigned above, below, pressure;
    uint64_t used, limit;
};

static void on_mark(void *ctx, const struct plim_event *event) {
    struct told *told = ctx;

    if (event->percent == PLIM_PRESSURE)
        told->pressure++;
    else if (event->above)
        told->above++;
    else
        told->below++;
    if (event->above) {
        told->used = event->used;
        told->limit = event->limit;
    }
}

/* Wakes up; how often, and what was told meanwhile, counts. */
static unsigned loop(struct plim *p, const unsigned *count, double seconds) {
    double end = now() + seconds;
    unsigned wakes = 0;

    while (now() < end && *count == 0) {
        struct pollfd wait = {.fd = plim_fd(p), .events = POLLIN};

        if (poll(&wait, 1, (int)((end - now()) * 1000) + 1) > 0)
            wakes++;
        if (plim_dispatch(p) < 0)
            break;
    }
    return wakes;
}

struct growth {
    char *memory;
    size_t size;
};

/* In steps, so that there is a way from below the mark to above. */
static void *grow(void *ctx) {
    struct growth *g = ctx;
    const struct timespec pause = {.tv_nsec = 10000000};

    for (size_t i = 0; i < g->size; i += MB) {
        memset(g->memory + i, 1, MB);
        nanosleep(&pause, NULL);
    }
    return NULL;
}

static int mark(struct plim *p, unsigned pct, size_t mb) {
    struct told told = {0};
    struct growth g = {.size = mb * MB};
    pthread_t thread;
    unsigned wakes;
    int r = plim_on(p, pct, 5, on_mark, &told);

    if (r < 0)
        return fail("mark", r);
    g.memory = mmap(NULL, g.size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    pthread_create(&thread, NULL, grow, &g);
    wakes = loop(p, &told.above, 10);
    pthread_join(thread, NULL);
    munmap(g.memory, g.size);
    (void)loop(p, &told.below, 10);
    printf("{\"above\": %u, \"below\": %u, \"wakes\": %u, \"pct\": %.2f}\n", told.above, told.below,
           wakes, told.limit ? 100.0 * (double)told.used / (double)told.limit : 0);
    return 0;
}

static int count(struct plim *p) {
    struct told told = {0};
    struct plim_usage u = {.size = sizeof(u)};
    unsigned long before, dispatched = 0, calls = 0;
    uint64_t limit;

    plim_on(p, 1, 0, on_mark, &told);
    plim_on(p, 50, 5, on_mark, &told);
    plim_reserve(p, MB);
    for (int i = 0; i < 200; i++) {
        char *more =
            mmap(NULL, 40 * MB, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

        if (i % 20 == 0)
            memset(more, 1, 40 * MB);
        before = __atomic_load_n(&allocations, __ATOMIC_RELAXED);
        plim_dispatch(p);
        dispatched += __atomic_load_n(&allocations, __ATOMIC_RELAXED) - before;
        munmap(more, 40 * MB);
        before = __atomic_load_n(&allocations, __ATOMIC_RELAXED);
        plim_dispatch(p);
        plim_limit(p, &limit);
        plim_usage(p, &u);
        plim_gate(p, MB, 0);
        plim_gate(p, 100 * MB, 1);
        plim_trim(p, &limit);
        if (i % 50 == 0) { /* the kernel takes some milliseconds for each threshold */
            plim_on(p, 60, 5, on_mark, &told);
            plim_on(p, 60, 5, NULL, NULL);
        }
        calls += __atomic_load_n(&allocations, __ATOMIC_RELAXED) - before;
    }
    before = __atomic_load_n(&allocations, __ATOMIC_RELAXED);
    free(malloc(10)); /* or the counter proves nothing */
    printf("{\"dispatch\": %lu, \"calls\": %lu, \"callbacks\": %u, \"counts\": %lu}\n", dispatched,
           calls, told.above + told.below,
           __atomic_load_n(&allocations, __ATOMIC_RELAXED) - before);
    return 0;
}

static int pressure(struct plim *p, double seconds) {
    struct told told = {0};
    double begin;
    int r = plim_on(p, PLIM_PRESSURE, 0, on_mark, &told);

    if (r < 0)
        return fail("pressure", r);
    printf("ready\n");
    fflush(stdout);
    begin = now();
    loop(p, &told.pressure, seconds);
    printf("{\"pressure\": %u, \"after\": %.3f}\n", told.pressure, now() - begin);
    return 0;
}

static struct {
    struct plim *p;
    unsigned long granted, refused;
} gate;

static void *allocate(void *ctx) {
    size_t size = *(size_t *)ctx;

    while (plim_gate(gate.p, size, 0) == 0) {
        char *more = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

        if (more == MAP_FAILED)
            break;
        memset(more, 1, size);
        __atomic_fetch_add(&gate.granted, 1, __ATOMIC_RELAXED);
    }
    __atomic_fetch_add(&gate.refused, 1, __ATOMIC_RELAXED);
    return NULL;
}

static int pass_gate(struct plim *p, size_t size, unsigned threads) {
    pthread_t thread[64];
    struct plim_usage u = {.size = sizeof(u)};

    gate.p = p;
    for (unsigned i = 0; i < threads && i < 64; i++)
        pthread_create(&thread[i], NULL, allocate, &size);
    for (unsigned i = 0; i < threads && i < 64; i++)
        pthread_join(thread[i], NULL);
    plim_usage(p, &u);
    printf("{\"granted\": %lu, \"refused\": %lu, \"pct\": %.2f}\n", gate.granted, gate.refused,
           100.0 * (double)u.used / (double)u.limit);
    return 0;
}

/* The kernel takes the highest hole that is large enough: here the one that the reserve left. */
static int in_child(struct plim *p, size_t size) {
    enum { PIECES = 4 };
    char *piece[PIECES];
    int i, wrong = 0;

    for (i = 0; i < PIECES; i++) {
        piece[i] =
            mmap(NULL, size / PIECES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (piece[i] == MAP_FAILED)
            return 2;
        memset(piece[i], i + 1, size / PIECES);
    }
    plim_close(p);
    for (i = 0; i < PIECES; i++)
        wrong |= piece[i][0] != i + 1 || piece[i][size / PIECES - 1] != i + 1;
    return wrong;
}

static int forked(struct plim *p, size_t size) {
    int r = plim_reserve(p, size), status;
    pid_t child;

    if (r < 0)
        return fail("reserve", r);
    child = fork();
    if (child == 0)
        _exit(in_child(p, size / 4 * 3));
    if (child < 0 || waitpid(child, &status, 0) != child)
        return fail("fork", -errno);
    printf("{\"signal\": %d, \"code\": %d}\n", WIFSIGNALED(status) ? WTERMSIG(status) : 0,
           WIFEXITED(status) ? WEXITSTATUS(status) : -1);
    return 0;
}

int main(int argc, char **argv) {
    const char *what = argc > 1 ? argv[1] : "";
    unsigned long first = argc > 2 ? strtoul(argv[2], NULL, 10) : 0;
    unsigned long second = argc > 3 ? strtoul(argv[3], NULL, 10) : 0;
    struct plim *p;
    int r = plim_open(NULL, &p);

    if (r < 0)
        return fail("open", r);
    if (strcmp(what, "info") == 0)
        r = info(p);
    else if (strcmp(what, "mark") == 0)
        r = mark(p, (unsigned)first, second);
    else if (strcmp(what, "count") == 0)
        r = count(p);
    else if (strcmp(what, "pressure") == 0)
        r = pressure(p, (double)first);
    else if (strcmp(what, "gate") == 0)
        r = pass_gate(p, first * MB, (unsigned)second);
    else if (strcmp(what, "fork") == 0)
        r = forked(p, first * MB);
    else
        r = 2;
    plim_close(p);
    return r;
}
