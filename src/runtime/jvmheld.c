#include "runtime/jvmheld.h"

#include <errno.h>
#include <fcntl.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/num.h"
#include "kern/proccgroup.h"
#include "kern/procfile.h"
#include "kern/procstat.h"
#include "runtime/jvmroom.h"

enum {
    THREADS_MAX = 256,    /* looked at */
    ROOM_LEAST = 1 << 20, /* a listener thread with its stack, arenas, the answer */
};

struct threads {
    int dir;
    unsigned seen, stuck;
};

static int look_at_thread(void *ctx, const char *name) {
    struct threads *t = ctx;
    struct procstat stat;
    uint64_t tid;

    if (str_to_u64(str_of(name), &tid) < 0 || tid > INT32_MAX ||
        procstat_read(t->dir, (int32_t)tid, &stat) < 0)
        return 0;
    t->seen++;
    t->stuck += stat.state == 'D';
    return t->seen == THREADS_MAX;
}

/* Most of its threads in a wait that no signal ends: v1's freezer, a hang at a limit, a dead disk.
 */
static bool is_stuck(const struct rtproc *p) {
    auto_close int dir = openat(p->dir, "task", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    struct threads t = {.dir = dir};

    return dir >= 0 && procfile_names(dir, look_at_thread, &t) >= 0 && t.stuck * 2 > t.seen;
}

/* Whether a small file of its group holds this line. */
static bool group_says(const struct cgfs *fs, enum cg_ctl ctl, struct str path, const char *file,
                       struct str line) {
    auto_close int fd = cgfs_open_file(fs, ctl, path, file);
    char buf[512];
    struct str text, next;

    if (fd < 0 || file_pread(fd, buf, sizeof(buf), &text) < 0)
        return false;
    while (str_cut(&text, '\n', &next))
        if (str_eq(next, line))
            return true;
    return false;
}

static bool is_held_by_group(const struct rtproc *p, const struct cgfs *fs, struct rt_result *out) {
    char buf[PROCCGROUP_SIZE];
    struct proccgroup group;
    struct str text;
    bool v1 = fs->ctl[CG_MEMORY].version == CG_V1;
    struct jvmroom room;

    if (proccgroup_read(p->host->proc, p->pid, buf, sizeof(buf), &text) < 0)
        return false;
    if (proccgroup_parse(text, STR(""), &group) == 0 &&
        group_says(fs, CG_UNIFIED, group.path, "cgroup.events", STR("frozen 1")))
        return rt_refuse(out, "thaw its group first", "its group is frozen: it cannot answer") == 0;
    if (proccgroup_parse(text, v1 ? STR("memory") : STR(""), &group) < 0 || group.path.n == 0 ||
        group.path.p[0] != '/')
        return false;
    if (v1 && group_says(fs, CG_MEMORY, group.path, "memory.oom_control", STR("under_oom 1")))
        return rt_refuse(out, "raise the limit of its group first, by some 16 MiB",
                         "its group is out of memory and hangs: it cannot answer") == 0;
    jvmroom_of_groups(fs, group.path, &room);
    if (room.bytes < ROOM_LEAST)
        return rt_refuse(out, "raise the limit of its group first, by some 16 MiB",
                         "less than 1 MiB is left below its group's limit, and to answer takes "
                         "memory: it would hang or be killed") == 0;
    return false;
}

bool jvmheld(const struct rtproc *p, struct rt_result *out) {
    struct procstat stat;
    struct cgfs fs;
    bool held;

    if (procstat_read(p->host->proc, p->pid, &stat) == 0 &&
        (stat.state == 'T' || stat.state == 't'))
        return rt_refuse(out, "continue it (SIGCONT) first",
                         stat.state == 'T' ? "it is stopped: it cannot answer"
                                           : "a debugger holds it: it cannot answer") == 0;
    if (cgfs_open(p->host, &fs, NULL) == 0) {
        held = is_held_by_group(p, &fs, out);
        cgfs_done(&fs);
        if (held)
            return true;
    }
    if (is_stuck(p))
        return rt_refuse(out, "find out what it waits for: a frozen group, a limit, a disk",
                         "most of its threads wait in the kernel (state D): it cannot answer") == 0;
    return false;
}
