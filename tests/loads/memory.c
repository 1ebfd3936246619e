/* Anonymous and shared memory. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdint.h>
#include <sys/mman.h>
#include <unistd.h>

#include "load.h"

#define HUGE_PAGE (2 * LOAD_MIB)

static size_t size_of(const struct load_args *args) {
    return (size_t)args->amount * LOAD_MIB;
}

static int run_anon(const struct load_args *args) {
    return load_anon(size_of(args)) == NULL ? -ENOMEM : 0;
}

struct region {
    char *at;
    size_t size;
};

static void scan_region(unsigned index, void *data) {
    const struct region *region = data;

    (void)index;
    load_scan(region->at, region->size);
}

static int run_shared_anon(const struct load_args *args) {
    struct region r = {.size = size_of(args)};

    r.at = mmap(NULL, r.size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (r.at == MAP_FAILED)
        return -errno;
    load_touch(r.at, r.size);
    return load_children(3, scan_region, &r);
}

static int run_forks(const struct load_args *args) {
    struct region r = {.size = size_of(args)};

    r.at = load_anon(r.size);
    if (r.at == NULL)
        return -ENOMEM;
    return load_children(3, scan_region, &r);
}

static int run_tmpfs(const struct load_args *args) {
    int fd = open("/dev/shm", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    static char block[1 << 16];

    if (fd < 0)
        return -errno;
    for (size_t done = 0; done < size_of(args); done += sizeof(block)) {
        if (write(fd, block, sizeof(block)) != (ssize_t)sizeof(block))
            return -errno;
    }
    return 0;
}

/* What Go since 1.12 and jemalloc do with memory they give back: still resident, free to take. */
static int run_madv_free(const struct load_args *args) {
    char *at = load_anon(size_of(args));

    if (at == NULL)
        return -ENOMEM;
    return madvise(at, size_of(args), MADV_FREE) < 0 ? -errno : 0;
}

static int run_sparse_thp(const struct load_args *args) {
    size_t size = size_of(args);
    char *at =
        mmap(NULL, size + HUGE_PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (at == MAP_FAILED)
        return -errno;
    at = (char *)(((uintptr_t)at + HUGE_PAGE - 1) & ~(uintptr_t)(HUGE_PAGE - 1));
    if (madvise(at, size, MADV_HUGEPAGE) < 0)
        return -errno;
    for (size_t i = 0; i < size; i += HUGE_PAGE)
        ((volatile char *)at)[i] = 1;
    return 0;
}

static void *grow(void *data) {
    const struct region *region = data;

    for (size_t done = 0; done < region->size; done += LOAD_MIB) {
        load_touch(region->at + done, LOAD_MIB);
        usleep(100000);
    }
    return NULL;
}

static int run_grow(const struct load_args *args) {
    static struct region region;
    pthread_t thread;

    region.size = size_of(args);
    region.at = mmap(NULL, region.size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (region.at == MAP_FAILED)
        return -errno;
    if (madvise(region.at, region.size, MADV_NOHUGEPAGE) < 0)
        return -errno;
    return -pthread_create(&thread, NULL, grow, &region);
}

const struct load load_memory[] = {
    {"anon", "private memory, every page written", LOAD_UNIT_MIB, false, run_anon},
    {"shared-anon", "one shared mapping used by 4 processes", LOAD_UNIT_MIB, false,
     run_shared_anon},
    {"forks", "private memory and 3 forks that read it", LOAD_UNIT_MIB, false, run_forks},
    {"tmpfs", "an unlinked file in /dev/shm", LOAD_UNIT_MIB, false, run_tmpfs},
    {"madv-free", "written, then given back lazily", LOAD_UNIT_MIB, false, run_madv_free},
    {"sparse-thp", "huge pages with one byte touched in each", LOAD_UNIT_MIB, false,
     run_sparse_thp},
    {"grow", "grows by 1 MiB every 100 ms while it stands", LOAD_UNIT_MIB, false, run_grow},
    {NULL, NULL, LOAD_UNIT_MIB, false, NULL},
};
