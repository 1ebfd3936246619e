#include "kern/procfd.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <sys/stat.h>

#include "base/mem.h"
#include "kern/procfile.h"

static int count_one(void *ctx, const char *name) {
    uint64_t *count = ctx;

    (void)name;
    ++*count;
    return 0;
}

/* Before 6.2 the size of any /proc directory is 0. Ours has at least one entry now, `fd` itself
 * when nothing else is open. Asked once; of other file systems (a captured tree) the size means
 * something else, so the answer is the device number of our /proc. */
static bool size_is_count(dev_t dev) {
    static _Atomic uint64_t known; /* 0 not asked, 1 no, else the device + 2 */
    uint64_t state = atomic_load_explicit(&known, memory_order_relaxed);

    if (state == 0) {
        auto_close int fd = open("/proc/self/fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        struct stat st;

        state = fd >= 0 && fstat(fd, &st) == 0 && st.st_size > 0 ? (uint64_t)st.st_dev + 2 : 1;
        atomic_store_explicit(&known, state, memory_order_relaxed);
    }
    return state == (uint64_t)dev + 2;
}

int procfd_count(int proc, int32_t pid, uint64_t *out) {
    char path[PROCFILE_PATH];
    uint64_t count = 0;
    struct stat st;
    int r;

    if (fstatat(proc, procfile_path(path, pid, "fd"), &st, 0) < 0)
        return -errno;
    if (size_is_count(st.st_dev)) {
        *out = (uint64_t)st.st_size;
        return 0;
    }
    auto_close int fd = openat(proc, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (fd < 0)
        return -errno;
    r = procfile_names(fd, count_one, &count);
    if (r < 0)
        return r;
    *out = count;
    return 0;
}
