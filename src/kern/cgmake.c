#include "kern/cgmake.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "kern/cgtree.h"
#include "kern/pidlist.h"

int cgmake_open(int parent, const char *name) {
    int dir = openat(parent, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);

    return dir < 0 ? -errno : dir;
}

int cgmake_new(int parent, const char *name) {
    int dir;

    if (mkdirat(parent, name, 0755) < 0)
        return -errno;
    dir = cgmake_open(parent, name);
    if (dir == -ENOENT)
        return -ESTALE;
    if (dir < 0)
        unlinkat(parent, name, AT_REMOVEDIR);
    return dir;
}

int cgmake_write(int dir, const char *file, struct str value) {
    auto_close int fd = openat(dir, file, O_WRONLY | O_CLOEXEC | O_NOFOLLOW);
    ssize_t n;

    if (fd < 0)
        return -errno;
    do /* a limit that needs reclaim is given up for a signal */
        n = write(fd, value.p, value.n);
    while (n < 0 && errno == EINTR);
    if (n < 0)
        return -errno;
    return (size_t)n == value.n ? 0 : -EIO;
}

/* v1's `tasks` moves a single thread, for which the kernel need not hold up every fork of the
 * machine: 30 us instead of 15 ms of waiting for an RCU grace period (Linux 6.18). */
int cgmake_join(int dir) {
    int r = cgmake_write(dir, "tasks", STR("0"));

    return r == -ENOENT ? cgmake_write(dir, "cgroup.procs", STR("0")) : r;
}

int cgmake_kill(int dir) {
    return cgmake_write(dir, "cgroup.kill", STR("1"));
}

/* --- signals by hand --- */

enum { BATCH = 64 };

struct signalling {
    int signal;
    unsigned sent;
    bool denied;
};

static void count(struct signalling *s, bool sent) {
    if (sent)
        s->sent++;
    else if (errno == EPERM)
        s->denied = true;
}

/* A pid that was read may have died and been given again. So each is held by a pidfd first, and
 * whoever is still listed after that is the one that is held, or the held one is dead and gets
 * nothing. */
static int signal_batch(struct signalling *s, int dir, const int32_t *pid, size_t n) {
    struct pidlist again = {0};
    int held[BATCH] = {-1}, r;

    for (size_t i = 0; i < n; i++)
        held[i] = (int)syscall(SYS_pidfd_open, pid[i], 0);
    if (held[0] < 0 && errno == ENOSYS) { /* before Linux 5.3 */
        for (size_t i = 0; i < n; i++)
            count(s, kill(pid[i], s->signal) == 0);
        return 0;
    }
    r = pidlist_add_file_at(&again, dir, "cgroup.procs");
    pidlist_sort(&again);
    for (size_t i = 0; i < n; i++) {
        if (held[i] < 0)
            continue;
        if (r == 0 && pidlist_has(&again, pid[i]))
            count(s, syscall(SYS_pidfd_send_signal, held[i], s->signal, NULL, 0) == 0);
        close(held[i]);
    }
    pidlist_done(&again);
    return r;
}

/* Gone meanwhile, or v2's threaded groups: their processes are listed above. */
static int forgive(int r) {
    return r == -ENODEV || r == -ENOENT || r == -EOPNOTSUPP ? 0 : r;
}

static int signal_group(void *ctx, int dir) {
    struct signalling *s = ctx;
    struct pidlist list = {0};
    int r = pidlist_add_file_at(&list, dir, "cgroup.procs");
    size_t n = 0;

    pidlist_sort(&list);
    for (size_t i = 0; i < list.n; i++)
        if (list.pid[i] != getpid())
            list.pid[n++] = list.pid[i];
    for (size_t at = 0; r == 0 && at < n; at += BATCH)
        r = signal_batch(s, dir, list.pid + at, n - at < BATCH ? n - at : BATCH);
    pidlist_done(&list);
    return forgive(r);
}

int cgmake_signal(int dir, int signal, unsigned *sent_out) {
    struct signalling s = {.signal = signal};
    int r = cgtree_each(dir, signal_group, &s);

    if (sent_out)
        *sent_out = s.sent;
    return r == 0 && s.denied ? -EPERM : r;
}

/* --- whether something runs in it --- */

static int has_process(void *ctx, int dir) {
    char buf[1];
    auto_close int fd = openat(dir, "cgroup.procs", O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : read(fd, buf, sizeof(buf));

    (void)ctx;
    return n < 0 ? -errno : n > 0;
}

static int has_process_below(void *ctx, int dir) {
    return forgive(has_process(ctx, dir));
}

static int parse_populated(struct str text) {
    struct str line;

    while (str_cut(&text, '\n', &line))
        if (str_skip(&line, STR("populated ")))
            return !str_eq(line, STR("0"));
    return -EBADMSG;
}

int cgmake_busy(int dir) {
    char buf[256];
    struct str text;
    int r = file_read_at(dir, "cgroup.events", buf, sizeof(buf), &text);

    if (r == 0)
        return parse_populated(text);
    if (r != -ENOENT)
        return r;
    r = has_process(NULL, dir); /* v1 has no such file, and the root of v2 */
    if (r != 0)
        return r == -ENOENT ? -ENODEV : r;
    return cgtree_each(dir, has_process_below, NULL);
}

/* --- removal --- */

static int remove_name(void *ctx, int parent, const char *name) {
    unsigned *depth = ctx;
    auto_close int dir = -1;
    int r;

    if (unlinkat(parent, name, AT_REMOVEDIR) == 0 || errno == ENOENT)
        return 0;
    if (errno != EBUSY && errno != ENOTEMPTY)
        return -errno;
    if (*depth >= CGTREE_DEPTH)
        return -ELOOP;
    dir = cgmake_open(parent, name);
    if (dir < 0)
        return dir == -ENOENT ? 0 : dir;
    ++*depth;
    r = cgtree_names(dir, remove_name, depth);
    --*depth;
    if (r < 0 && r != -ENODEV)
        return r;
    return unlinkat(parent, name, AT_REMOVEDIR) == 0 || errno == ENOENT ? 0 : -errno;
}

int cgmake_remove(int parent, const char *name) {
    unsigned depth = 0;

    return remove_name(&depth, parent, name);
}
