#include "act/candidate.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/beside.h"
#include "base/file.h"
#include "base/mem.h"
#include "kern/proccmdline.h"
#include "kern/procfile.h"
#include "kern/procstatus.h"
#include "kern/proctask.h"

enum {
    PARENTS = 32,      /* levels that are climbed to see whether we started it */
    EXEC_THREADS = 64, /* of a container engine's exec */
    STATUS_SIZE = 8192,
    NS_PER_S = 1000000000,
};

static void add_own(struct candidate_own *own, const char *path) {
    struct stat st;

    if (own->exes == CANDIDATE_OWN || stat(path, &st) < 0)
        return;
    own->exe[own->exes].dev = st.st_dev;
    own->exe[own->exes++].ino = st.st_ino;
}

void candidate_own_init(struct candidate_own *own) {
    static const char *const others[] = {"plimsoll", "plimsoll-front", "plimsoll-remote",
                                         "plimsoll-inspect"};
    char path[4096];

    *own = (struct candidate_own){.ticks_a_second = sysconf(_SC_CLK_TCK)};
    add_own(own, "/proc/self/exe");
    for (size_t i = 0; i < ARRAY_N(others); i++)
        if (beside_find(others[i], path, sizeof(path), NULL) == 0)
            add_own(own, path);
}

int candidate_check_proc(const struct host *h) {
    char text[32];
    struct str self;
    uint64_t pid;

    if (!h->live || file_link_at(h->proc, "self", text, sizeof(text), &self) < 0 ||
        str_to_u64(self, &pid) < 0)
        return -EXDEV;
    return pid == (uint64_t)getpid() ? 0 : -EXDEV;
}

static bool has_our_exe(const struct host *h, const struct candidate_own *own, int32_t pid) {
    char path[PROCFILE_PATH];
    struct stat st;

    if (fstatat(h->proc, procfile_path(path, pid, "exe"), &st, 0) < 0)
        return false;
    for (unsigned i = 0; i < own->exes; i++)
        if (own->exe[i].dev == st.st_dev && own->exe[i].ino == st.st_ino)
            return true;
    return false;
}

static bool in_our_pid_ns(const struct host *h, int32_t pid) {
    char path[PROCFILE_PATH];
    struct stat ours, its;

    return fstatat(h->proc, procfile_path(path, (int32_t)getpid(), "ns/pid"), &ours, 0) == 0 &&
           fstatat(h->proc, procfile_path(path, pid, "ns/pid"), &its, 0) == 0 &&
           ours.st_dev == its.st_dev && ours.st_ino == its.st_ino;
}

static bool is_trusted_id(struct str *rest) {
    struct str word;
    uint64_t id;

    return str_word(rest, &word) && str_to_u64(word, &id) == 0 && (id == 0 || id == geteuid());
}

/* Real and effective: root, or who we are. */
static bool has_trusted_user(const struct host *h, int32_t pid) {
    char buf[STATUS_SIZE];
    struct str text, line;

    if (procfile_read(h->proc, pid, "status", buf, sizeof(buf), &text) < 0)
        return false;
    while (str_cut(&text, '\n', &line))
        if (str_skip(&line, STR("Uid:")))
            return is_trusted_id(&line) && is_trusted_id(&line);
    return false;
}

static bool is_below_us(const struct host *h, int32_t parent) {
    struct procstat stat;

    for (unsigned i = 0; i < PARENTS && parent > 1; i++) {
        if (parent == (int32_t)getpid())
            return true;
        if (procstat_read(h->proc, parent, &stat) < 0)
            return false;
        parent = stat.ppid;
    }
    return false;
}

/* Anybody may run our executable, with whatever loaded into it: it tells nothing of another user,
 * nor inside of a container. */
static bool is_ours(const struct host *h, const struct candidate_own *own, int32_t pid,
                    int32_t parent) {
    return pid == (int32_t)getpid() || is_below_us(h, parent) ||
           (has_our_exe(h, own, pid) && in_our_pid_ns(h, pid) && has_trusted_user(h, pid));
}

bool candidate_is_ours(const struct host *h, const struct candidate_own *own, int32_t pid) {
    struct procstat stat;

    if (pid <= 1 || pid == (int32_t)getpid())
        return true;
    return procstat_read(h->proc, pid, &stat) == 0 && is_ours(h, own, pid, stat.ppid);
}

static int take_living(void *ctx, const struct proctask *t) {
    int32_t *tid = ctx;

    if (t->state == 'Z' || t->state == 'X')
        return 0;
    *tid = t->tid;
    return 1;
}

int32_t candidate_thread(const struct host *h, const struct procstat *stat) {
    int32_t tid = 0;

    if (!stat->exiting)
        return stat->pid;
    if (stat->threads > 1)
        (void)proctask_each(h->proc, stat->pid, UINT_MAX, false, take_living, &tid);
    return tid;
}

bool candidate_is_same(const struct host *h, int32_t pid, uint64_t start_ticks) {
    struct procstat stat;

    return start_ticks != 0 && procstat_read(h->proc, pid, &stat) == 0 &&
           stat.start_ticks == start_ticks && candidate_thread(h, &stat) != 0;
}

bool candidate_is_over(const struct host *h, int32_t pid, uint64_t start_ticks) {
    struct procstat stat;

    if (procstat_read(h->proc, pid, &stat) < 0 || stat.start_ticks != start_ticks)
        return true;
    return (stat.state == 'Z' || stat.state == 'X') && stat.threads <= 1;
}

static int waits_for_memory(void *ctx, const struct proctask *t) {
    bool *waits = ctx;

    if (t->state == 'D' && (strstr(t->wchan, "mem_cgroup") || t->wchan[0] == '\0'))
        *waits = true;
    return *waits;
}

/* What an engine starts in the container before the program of an exec: it bears these names until
 * it becomes that program. */
static bool is_stuck_exec(const struct host *h, int32_t pid, struct str comm) {
    bool waits = false;

    if (!str_starts(comm, STR("runc:[")) && !str_eq(comm, STR("crun")) &&
        !str_starts(comm, STR("youki:[")))
        return false;
    (void)proctask_each(h->proc, pid, EXEC_THREADS, true, waits_for_memory, &waits);
    return waits;
}

static uint64_t ns_depth(const struct host *h, int32_t pid) {
    struct procstatus s;

    return procstatus_read(h->proc, pid, &s) == 0 && s.have >> PROCSTATUS_NS_DEPTH & 1
               ? s.value[PROCSTATUS_NS_DEPTH]
               : 0;
}

bool candidate_came_in(const struct host *h, const struct pidlist *inside, int32_t pid) {
    struct procstat stat;
    uint64_t own, above;

    if (procstat_read(h->proc, pid, &stat) < 0 || stat.ppid <= 1 || pidlist_has(inside, stat.ppid))
        return false;
    own = ns_depth(h, pid);
    above = ns_depth(h, stat.ppid);
    return own == 1 || (above > 0 && above < own);
}

/* Names longer than the field are cut: patterns of rules are shorter. */
static void copy_name(struct str name, char out[static 64]) {
    size_t n = name.n < 63 ? name.n : 63;

    memcpy(out, name.p, n);
    out[n] = '\0';
}

static void read_program(const struct host *h, int32_t pid, struct candidate *out) {
    char text[PROCCMDLINE_MAX];
    struct str line, first;

    if (proccmdline_read(h->proc, pid, text, sizeof(text), &line) < 0 ||
        !proccmdline_arg(&line, &first))
        return;
    copy_name(str_from(first, (size_t)(str_rfind(first, '/') + 1)), out->program);
}

/* A process that began in the tick of now may be followed by one that begins in it as well. */
static uint64_t tick_now(const struct candidate_own *own) {
    struct timespec now;

    if (own->ticks_a_second <= 0 || clock_gettime(CLOCK_BOOTTIME, &now) < 0)
        return 0;
    return (uint64_t)now.tv_sec * (uint64_t)own->ticks_a_second +
           (uint64_t)now.tv_nsec * (uint64_t)own->ticks_a_second / NS_PER_S;
}

static uint64_t value_of(const struct procstatus *s, enum procstatus_field field,
                         uint64_t without) {
    return s->have >> field & 1 ? s->value[field] : without;
}

int candidate_read(const struct host *h, const struct candidate_own *own, int32_t pid, bool program,
                   struct candidate *out) {
    struct candidate c = {.pid = pid, .machine_init = pid == 1};
    uint64_t tick = tick_now(own);
    struct procstatus status;
    struct procstat stat;
    int64_t adj;
    int32_t tid;

    if (procstat_read(h->proc, pid, &stat) < 0)
        return -ESRCH;
    tid = candidate_thread(h, &stat);
    if (tid == 0)
        return -ESRCH;
    c.kernel = stat.kernel_thread;
    c.start_ticks = stat.start_ticks < tick ? stat.start_ticks : 0;
    copy_name(procstat_comm(&stat), c.comm);
    if (procstatus_read(h->proc, pid, &status) < 0)
        return -ESRCH;
    c.init = value_of(&status, PROCSTATUS_NS_DEPTH, 1) > 1 &&
             value_of(&status, PROCSTATUS_NS_PID, 0) == 1;
    if (tid != pid && procstatus_read(h->proc, tid, &status) < 0)
        return -ESRCH;
    if (!c.kernel && !(status.have >> PROCSTATUS_ANON & 1))
        return -ENODATA;
    c.anon = value_of(&status, PROCSTATUS_ANON, 0);
    c.swap = value_of(&status, PROCSTATUS_SWAP, 0);
    c.shmem = value_of(&status, PROCSTATUS_SHMEM, 0);
    if (procfile_read_i64(h->proc, pid, "oom_score_adj", &adj) < 0)
        return -ENODATA;
    c.oom_score_adj = (int32_t)adj;
    c.ours = is_ours(h, own, pid, stat.ppid);
    c.stuck_exec = is_stuck_exec(h, pid, procstat_comm(&stat));
    if (program)
        read_program(h, tid, &c);
    *out = c;
    return 0;
}
