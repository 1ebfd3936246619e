#include "act/stopped.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/syscall.h>

#include "base/mem.h"
#include "kern/procstat.h"

/* The pidfd comes first: what is read after it is about the process that it holds, or the signal
 * finds nobody. */
int stopped_continue_one(int proc, const struct stopped *one) {
    auto_close int held = (int)syscall(SYS_pidfd_open, one->pid, 0);
    struct procstat stat;
    int r;

    if (held < 0)
        return errno == ESRCH ? 0 : -errno;
    r = procstat_read(proc, one->pid, &stat);
    if (r == -ENOENT || r == -ESRCH || (r == 0 && stat.start_ticks != one->start_ticks))
        return 0;
    if (r < 0)
        return r;
    return syscall(SYS_pidfd_send_signal, held, SIGCONT, NULL, 0) == 0 || errno == ESRCH ? 0
                                                                                         : -errno;
}

int stopped_continue(int list, uint64_t offset) {
    auto_close int proc = open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC);
    struct stopped one;
    int first = 0;

    if (proc < 0)
        return -errno;
    for (unsigned i = 0; i < STOPPED_MOST; i++) {
        ssize_t n = pread(list, &one, sizeof(one), (off_t)(offset + i * sizeof(one)));
        int r = n < 0 ? -errno : 0;

        if (n != sizeof(one) || one.pid <= 0)
            return first < 0 ? first : r;
        r = stopped_continue_one(proc, &one);
        first = first < 0 ? first : r;
    }
    return first;
}
