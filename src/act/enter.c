#include "act/enter.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/mount.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include "act/enterwho.h"
#include "act/relay.h"
#include "act/sealed.h"
#include "base/file.h"
#include "base/mem.h"
#include "kern/procfile.h"
#include "kern/procstat.h"
#include "kern/procstatus.h"
#include "runtime/rtproc.h"

extern char **environ;

enum {
    FAILED = 125,
    NOT_EXECUTABLE = 126,
    NOT_FOUND = 127,
    ENV_MAX = 1 << 20,
    ENV_MOST = 4096, /* variables */
    MAP_SIZE = 16384,
    CAP_ADMIN = 21, /* CAP_SYS_ADMIN */
    DEVPTS = 0x1cd1,
};

#ifndef CLONE_NEWTIME
#define CLONE_NEWTIME 0x80
#endif

/* In the order in which they are joined; `user` is tried when nothing else goes on. */
static const struct {
    const char *file;
    int type;
} kinds[] = {
    {"ns/cgroup", CLONE_NEWCGROUP}, {"ns/ipc", CLONE_NEWIPC},   {"ns/uts", CLONE_NEWUTS},
    {"ns/net", CLONE_NEWNET},       {"ns/pid", CLONE_NEWPID},   {"ns/time", CLONE_NEWTIME},
    {"ns/mnt", CLONE_NEWNS},        {"ns/user", CLONE_NEWUSER},
};
enum { KINDS = ARRAY_N(kinds) };

static const char *const devices[] = {"/dev/null",   "/dev/zero",    "/dev/full",
                                      "/dev/random", "/dev/urandom", "/dev/tty"};

struct entrance {
    const struct enter_plan *plan;
    struct rtproc process;
    int ns[KINDS]; /* -1: the same as ours */
    int root;      /* its root directory */
    int shell;     /* a sealed copy of a shell of this machine; -1 */
    int device[ARRAY_N(devices)];
    bool mnt, user; /* those namespaces differ */
    char cwd[4096];
    struct enter_who who;
    char *env_text, *env[ENV_MOST + 2];
    struct relay relay;
};

/* --- which process ---------------------------------------------------------------------------- */

/* The less, the rather is it the one: pids 1 of namespaces first, the outermost of them; then what
 * was started from outside. */
static unsigned rank(const struct host *h, const struct pidlist *group,
                     const struct procstat *stat) {
    struct procstatus s;

    if (procstatus_read(h->proc, stat->pid, &s) == 0 && s.have >> PROCSTATUS_NS_PID & 1 &&
        s.value[PROCSTATUS_NS_PID] == 1 && s.value[PROCSTATUS_NS_DEPTH] > 1)
        return (unsigned)s.value[PROCSTATUS_NS_DEPTH];
    for (size_t i = 0; i < group->n; i++)
        if (group->pid[i] == stat->ppid)
            return UINT_MAX;
    return UINT_MAX - 1;
}

int32_t enter_main_process(const struct host *h, const struct pidlist *group) {
    uint64_t oldest = UINT64_MAX;
    unsigned least = UINT_MAX;
    int32_t best = 0;

    for (size_t i = 0; i < group->n; i++) {
        struct procstat stat;
        unsigned its;

        if (procstat_read(h->proc, group->pid[i], &stat) < 0 || stat.exiting || stat.kernel_thread)
            continue;
        its = rank(h, group, &stat);
        if (its > least || (its == least && stat.start_ticks >= oldest))
            continue;
        best = stat.pid;
        least = its;
        oldest = stat.start_ticks;
    }
    return best;
}

/* --- before: all that is needed is opened ----------------------------------------------------- */

static int open_ns(struct entrance *e, struct err *err) {
    unsigned differ = 0;

    for (unsigned i = 0; i < KINDS; i++) {
        char own[PROCFILE_PATH];
        struct stat its, ours;
        int fd = openat(e->process.dir, kinds[i].file, O_RDONLY | O_CLOEXEC);

        if (fd < 0 && errno == ENOENT)
            continue; /* this kernel has no such kind */
        if (fd < 0)
            return err_set(err, -errno,
                           errno == EACCES || errno == EPERM
                               ? "not permitted to look at '%s' of process %d: run it as root, "
                                 "with CAP_SYS_PTRACE"
                               : "cannot open '%s' of process %d:",
                           kinds[i].file, e->process.pid);
        e->ns[i] = fd;
        if (fstat(fd, &its) < 0 ||
            fstatat(e->process.host->proc, procfile_path(own, (int32_t)getpid(), kinds[i].file),
                    &ours, 0) < 0)
            return err_set(err, -errno, "cannot compare namespaces:");
        if (its.st_ino == ours.st_ino && its.st_dev == ours.st_dev) {
            close(fd);
            e->ns[i] = -1;
            continue;
        }
        differ++;
        e->mnt |= kinds[i].type == CLONE_NEWNS;
        e->user |= kinds[i].type == CLONE_NEWUSER;
    }
    if (differ == 0)
        return err_set(err, -EINVAL,
                       "process %d (%.32s) lives in no namespaces of its own: a shell of this "
                       "machine sees all that it sees",
                       e->process.pid, e->process.comm);
    return 0;
}

static int map_id(const struct entrance *e, const char *file, uint32_t *id) {
    char buf[MAP_SIZE];
    struct str map;
    int r = file_read_at(e->process.dir, file, buf, sizeof(buf), &map);

    return r < 0 ? r : enterwho_map(map, id);
}

/* Who it is there: ids as its user namespace has them. */
static int find_who(struct entrance *e, struct err *err) {
    struct enter_who *w = &e->who;
    char buf[MAP_SIZE];
    struct str status;
    int r = file_read_at(e->process.dir, "status", buf, sizeof(buf), &status);

    if (r == 0)
        r = enterwho_parse(status, w);
    if (r < 0)
        return err_set(err, r, "cannot read who process %d is:", e->process.pid);
    if (!e->plan->as_user) {
        w->uid = w->gid = w->group_n = 0;
        return 0;
    }
    if (!e->user)
        return 0;
    r = map_id(e, "uid_map", &w->uid);
    if (r == 0)
        r = map_id(e, "gid_map", &w->gid);
    for (unsigned i = 0; i < w->group_n && r == 0; i++)
        if (map_id(e, "gid_map", &w->groups[i]) == -ENOENT)
            w->group_n = i--; /* nobody's there: this one and those behind it are left out */
    return r < 0 ? err_set(err, r, "user %u has no id in the container's user namespace", w->uid)
                 : 0;
}

static const char *wanted_variable(const char *line, bool all) {
    static const char *const names[] = {"PATH=", "HOME=", "LANG="};

    if (all)
        return strncmp(line, "TERM=", 5) != 0 ? line : NULL;
    for (size_t i = 0; i < ARRAY_N(names); i++)
        if (strncmp(line, names[i], strlen(names[i])) == 0)
            return line;
    return NULL;
}

static bool has_variable(const struct entrance *e, const char *name) {
    for (size_t i = 0; e->env[i]; i++)
        if (strncmp(e->env[i], name, strlen(name)) == 0)
            return true;
    return false;
}

static void add_default(struct entrance *e, size_t *n, const char *name, char *line) {
    if (!has_variable(e, name) && *n < ENV_MOST)
        e->env[(*n)++] = line;
}

/* The variables of a hostile process are harmless in there: they are its own. */
static int make_env(struct entrance *e, struct err *err) {
    static char path[] = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
    static char root[] = "HOME=/root", top[] = "HOME=/", term[256];
    auto_close int fd = openat(e->process.dir, "environ", O_RDONLY | O_CLOEXEC);
    const char *ours = getenv("TERM");
    size_t size = 0, n = 0;
    int r = fd < 0 ? -errno : file_load_unsized(fd, ENV_MAX, &e->env_text, &size);

    if (r < 0 && e->plan->env)
        return err_set(err, r, "cannot read the environment of process %d:", e->process.pid);
    for (size_t at = 0; r == 0 && at < size && n < ENV_MOST; at += strlen(e->env_text + at) + 1)
        if (wanted_variable(e->env_text + at, e->plan->env) && strchr(e->env_text + at, '='))
            e->env[n++] = e->env_text + at;
    if (ours && (size_t)snprintf(term, sizeof(term), "TERM=%s", ours) < sizeof(term) &&
        n < ENV_MOST)
        e->env[n++] = term;
    add_default(e, &n, "PATH=", path);
    add_default(e, &n, "HOME=", e->who.uid == 0 ? root : top);
    return 0;
}

/* A shell that needs nothing of the container's: busybox, static. */
static int open_host_shell(struct entrance *e, struct err *err) {
    static const char *const places[] = {"/bin/busybox", "/usr/bin/busybox", "/sbin/busybox",
                                         "/usr/local/bin/busybox"};
    auto_close int fd = -1;

    for (size_t i = 0; i < ARRAY_N(places) && fd < 0; i++)
        fd = open(places[i], O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return err_set(err, -ENOENT,
                       "this machine has no busybox to bring along: install a static one "
                       "(package busybox-static)");
    e->shell = sealed_copy(fd, "busybox");
    return e->shell < 0 ? err_set(err, e->shell, "cannot copy the shell of this machine:") : 0;
}

/* Copies of harmless devices, to be put where the container's are barred. A container that may do
 * everything anyway keeps its own; another user namespace has no devices of its own. */
static bool bars_devices(const struct entrance *e) {
    return e->mnt && !e->user && !(e->who.bound >> CAP_ADMIN & 1);
}

static void open_devices(struct entrance *e) {
    for (size_t i = 0; i < ARRAY_N(devices) && bars_devices(e); i++)
        e->device[i] =
            (int)syscall(SYS_open_tree, AT_FDCWD, devices[i], OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
}

static int prepare(struct entrance *e, const struct host *h, struct err *err) {
    struct str cwd;
    int r = rtproc_open(h, e->plan->pid, &e->process, err);

    if (r == 0)
        r = open_ns(e, err);
    if (r == 0)
        r = find_who(e, err);
    if (r == 0)
        r = make_env(e, err);
    if (r == 0 && e->plan->host_shell)
        r = open_host_shell(e, err);
    if (r < 0)
        return r;
    e->root = openat(e->process.dir, "root", O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (e->root < 0)
        return err_set(err, -errno, "cannot open the root of process %d:", e->process.pid);
    if (file_link_at(e->process.dir, "cwd", e->cwd, sizeof(e->cwd) - 1, &cwd) == 0)
        e->cwd[cwd.n] = '\0';
    open_devices(e);
    if (rtproc_same(&e->process) < 0) /* all that was opened was its own */
        return err_set(err, -ESRCH, "process %d has ended", e->plan->pid);
    return relay_open(&e->relay, err);
}

static void forget(struct entrance *e) {
    relay_close(&e->relay);
    for (unsigned i = 0; i < KINDS; i++)
        mem_close_fd(&e->ns[i]);
    for (size_t i = 0; i < ARRAY_N(devices); i++)
        mem_close_fd(&e->device[i]);
    mem_close_fd(&e->root);
    mem_close_fd(&e->shell);
    rtproc_done(&e->process);
    free(e->env_text);
}

/* --- in --------------------------------------------------------------------------------------- */

/* Root of the machine may join any; others have the rights for the rest only once they are in the
 * user namespace: what is refused is tried again then. */
static int join(struct entrance *e, struct err *err) {
    for (unsigned round = 0; round < 2; round++)
        for (unsigned i = 0; i < KINDS; i++) {
            if (e->ns[i] < 0)
                continue;
            if (setns(e->ns[i], kinds[i].type) == 0) {
                close(e->ns[i]);
                e->ns[i] = -1;
            } else if (round == 1 || errno != EPERM) {
                return err_set(err, -errno,
                               errno == EPERM ? "not permitted to join '%s' of process %d: run "
                                                "it as root"
                                              : "cannot join '%s' of process %d:",
                               kinds[i].file, e->plan->pid);
            }
        }
    return 0;
}

/* Its root can lie below that of its namespace (chroot). */
static int change_root(const struct entrance *e, struct err *err) {
    if (fchdir(e->root) < 0 || chroot(".") < 0)
        return err_set(err, -errno, "cannot take the root of process %d:", e->plan->pid);
    return 0;
}

/* A view of its mounts that is ours alone, without devices: one that the container made itself, of
 * a disk of this machine, opens for nobody whose cgroup does not forbid it, and ours does not. The
 * working directory is the top of the namespace, and is carried over into the new one. */
static void bar_devices(const struct entrance *e) {
    struct mount_attr none = {.attr_set = MOUNT_ATTR_NODEV, .propagation = MS_SLAVE},
                      terminals = {.attr_clr = MOUNT_ATTR_NODEV};
    auto_close int pts = -1;
    struct statfs fs;

    if (!bars_devices(e) || unshare(CLONE_NEWNS) < 0)
        return;
    if (syscall(SYS_mount_setattr, AT_FDCWD, ".", AT_RECURSIVE, &none, sizeof(none)) < 0)
        return; /* before Linux 5.12 */
    if (chdir("/") < 0)
        return;
    for (size_t i = 0; i < ARRAY_N(devices); i++)
        if (e->device[i] >= 0)
            (void)syscall(SYS_move_mount, e->device[i], "", AT_FDCWD, devices[i],
                          MOVE_MOUNT_F_EMPTY_PATH);
    pts = open("/dev/pts", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (pts >= 0 && fstatfs(pts, &fs) == 0 && fs.f_type == DEVPTS)
        (void)syscall(SYS_mount_setattr, pts, "", AT_EMPTY_PATH, &terminals, sizeof(terminals));
}

static int go_in(struct entrance *e, struct err *err) {
    auto_close int top = -1;
    int r = join(e, err);

    if (r < 0)
        return r;
    top = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
    r = change_root(e, err);
    if (r < 0)
        return r;
    if (top >= 0 && fchdir(top) == 0)
        bar_devices(e);
    if (chdir("/") < 0)
        return err_set(err, -errno, "cannot enter the root of process %d:", e->plan->pid);
    if (e->cwd[0] == '/' && chdir(e->cwd) < 0)
        e->cwd[0] = '\0'; /* then the top it is */
    return enterwho_become(&e->who, err);
}

/* --- the program ------------------------------------------------------------------------------ */

struct end {
    int stage; /* 125: could not be prepared; 126: the program */
    int error;
};

/* Everything but the standard streams is closed by exec. */
static void hide_descriptors(void) {
    if (close_range(3, ~0U, CLOSE_RANGE_CLOEXEC) == 0)
        return;
    for (int fd = 3; fd < 65536; fd++) /* before Linux 5.11 */
        (void)fcntl(fd, F_SETFD, FD_CLOEXEC);
}

static int exec_shell(const struct entrance *e) {
    static const char *const shells[] = {"/bin/bash",   "/usr/bin/bash", "/bin/sh",
                                         "/usr/bin/sh", "/bin/ash",      "/bin/dash",
                                         "/busybox/sh", "/system/bin/sh"};
    static char sh[] = "sh", busybox[] = "busybox";
    char *argv[] = {sh, NULL}, *applet[] = {busybox, sh, NULL};
    int error = ENOENT;

    if (e->shell >= 0) {
        fexecve(e->shell, argv, environ);
        return errno;
    }
    for (size_t i = 0; i < ARRAY_N(shells); i++) {
        execve(shells[i], argv, environ);
        if (errno != ENOENT && errno != ENOTDIR)
            error = errno;
    }
    execve("/bin/busybox", applet, environ);
    return error;
}

static void be_program(struct entrance *e, int report) {
    struct end end = {FAILED, 0};
    int r = relay_child(&e->relay);

    if (r < 0) {
        end.error = -r;
    } else {
        (void)prctl(PR_SET_PDEATHSIG, SIGHUP);
        hide_descriptors();
        environ = e->env;
        end.stage = NOT_EXECUTABLE;
        if (e->plan->argv)
            execvp(e->plan->argv[0], e->plan->argv);
        end.error = e->plan->argv ? errno : exec_shell(e);
    }
    if (write(report, &end, sizeof(end)) < 0)
        _exit(FAILED);
    _exit(end.stage);
}

static int tell_end(const struct entrance *e, const struct end *end, struct err *err) {
    bool missing = end->error == ENOENT || end->error == ENOTDIR;

    if (end->stage == FAILED)
        err_set(err, -end->error, "cannot prepare the terminal of the program:");
    else if (e->plan->argv)
        err_set(err, -end->error, "cannot execute '%s' in there:", e->plan->argv[0]);
    else if (missing)
        err_set(err, -end->error,
                "there is no shell in it; try --host-shell, a program of its own (-- PROGRAM), or "
                "look at its files from here: /proc/%d/root",
                e->plan->pid);
    else
        err_set(err, -end->error, "cannot execute its shell:");
    return end->stage == FAILED ? FAILED : missing ? NOT_FOUND : NOT_EXECUTABLE;
}

static int run_program(struct entrance *e, struct err *err) {
    auto_close int reading = -1, writing = -1, pidfd = -1;
    struct end end;
    int ends[2], status = 0, r;
    pid_t pid;

    if (pipe2(ends, O_CLOEXEC) < 0)
        return err_set(err, -errno, "cannot start a program: no pipe:"), FAILED;
    reading = ends[0];
    writing = ends[1];
    pid = fork();
    if (pid < 0)
        return err_set(err, -errno, "cannot start a program in there:"), FAILED;
    if (pid == 0)
        be_program(e, writing);
    close(take_fd(&writing));
    pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
    if (pidfd < 0)
        return err_set(err, -errno, "cannot watch the program:"), FAILED;
    r = relay_run(&e->relay, pid, pidfd, &status);
    if (r < 0)
        return err_set(err, r, "cannot wait for the program:"), FAILED;
    if (read(reading, &end, sizeof(end)) == sizeof(end))
        return tell_end(e, &end, err);
    return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

int enter_run(const struct host *h, const struct enter_plan *plan, struct err *err) {
    static struct entrance e;
    int status = FAILED;

    e = (struct entrance){.plan = plan, .root = -1, .shell = -1};
    e.relay = (struct relay){.master = -1, .slave = -1, .signals = -1};
    for (unsigned i = 0; i < KINDS; i++)
        e.ns[i] = -1;
    for (size_t i = 0; i < ARRAY_N(devices); i++)
        e.device[i] = -1;
    err->text[0] = '\0';
    /* Nobody in there may look into us while we still have our rights. */
    if (!sealed_are_we() || prctl(PR_SET_DUMPABLE, 0) < 0)
        err_set(err, -EPERM, "not run from a copy that nobody can change");
    else if (prepare(&e, h, err) == 0 && go_in(&e, err) == 0)
        status = run_program(&e, err);
    forget(&e);
    return status;
}
