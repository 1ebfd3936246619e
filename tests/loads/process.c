/* Process trees and what a process listing has to cope with. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "load.h"

#define MAX_PROCESSES 4000
#define PAGE 4096
#define SHARED_BYTES LOAD_MIB

/* Each sleeper differs in size from its neighbours, in private and in shared memory. */
static void vary(unsigned index, void *data) {
    size_t private_bytes = (size_t)(index % 50 + 1) * 4 * PAGE;

    if (load_anon(private_bytes) == NULL)
        _exit(1);
    load_scan(data, (size_t)(index % 16) * SHARED_BYTES / 16);
}

static int run_sleepers(const struct load_args *args) {
    char *shared;

    if (args->amount > MAX_PROCESSES)
        return -E2BIG;
    shared = mmap(NULL, SHARED_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (shared == MAP_FAILED)
        return -errno;
    load_touch(shared, SHARED_BYTES);
    return load_children((unsigned)args->amount, vary, shared);
}

static int run_zombies(const struct load_args *args) {
    if (args->amount > MAX_PROCESSES)
        return -E2BIG;
    for (uint64_t i = 0; i < args->amount; i++) {
        pid_t pid = fork();

        if (pid < 0)
            return -errno;
        if (pid == 0)
            _exit(0);
        printf("pid %d\n", (int)pid);
        fflush(stdout);
    }
    return 0;
}

static void *sleep_forever(void *unused) {
    for (;;)
        pause();
    return unused;
}

static int run_threads(const struct load_args *args) {
    pthread_attr_t attr;
    int r = 0;

    if (args->amount > MAX_PROCESSES)
        return -E2BIG;
    pthread_attr_init(&attr);
    pthread_attr_setstacksize(&attr, 1 << 16);
    for (uint64_t i = 0; i < args->amount && r == 0; i++) {
        pthread_t thread;

        r = -pthread_create(&thread, &attr, sleep_forever, NULL);
    }
    pthread_attr_destroy(&attr);
    return r;
}

static int run_fds(const struct load_args *args) {
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
        return -errno;
    limit.rlim_cur = limit.rlim_max;
    if (setrlimit(RLIMIT_NOFILE, &limit) < 0)
        return -errno;
    for (uint64_t i = 0; i < args->amount; i++) {
        if (open("/dev/null", O_RDONLY) < 0)
            return -errno;
    }
    return 0;
}

static int run_comm(const struct load_args *args) {
    if (args->word == NULL)
        return -EINVAL;
    if (prctl(PR_SET_NAME, args->word) < 0)
        return -errno;
    return load_anon((size_t)args->amount * LOAD_MIB) == NULL ? -ENOMEM : 0;
}

const struct load load_process[] = {
    {"sleepers", "children of varied size, asleep", LOAD_UNIT_COUNT, false, run_sleepers},
    {"zombies", "children that ended and were not waited for", LOAD_UNIT_COUNT, false, run_zombies},
    {"threads", "threads, asleep", LOAD_UNIT_COUNT, false, run_threads},
    {"fds", "open file descriptors", LOAD_UNIT_COUNT, false, run_fds},
    {"comm", "private memory, in a process that calls itself WORD", LOAD_UNIT_MIB, false, run_comm},
    {NULL, NULL, LOAD_UNIT_COUNT, false, NULL},
};
