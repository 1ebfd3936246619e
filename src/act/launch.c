#include "act/launch.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "kern/cgmake.h"

/* What the child needs to know, decided before it exists. */
struct birth {
    const struct launch *launch;
    int report;            /* the writing end */
    bool born[PLAN_TREES]; /* it is in this tree's group already */
};

/* clone3 itself: glibc 2.36 has no function for it that forks. The child does nothing before exec
 * that would mind the missing atfork handlers. Group -1: not into one. */
static pid_t clone_into(int group, int *pidfd) {
    struct clone_args args = {
        .flags = CLONE_PIDFD,
        .pidfd = (uint64_t)(uintptr_t)pidfd,
        .exit_signal = SIGCHLD,
    };

    if (group >= 0) {
        args.flags |= CLONE_INTO_CGROUP;
        args.cgroup = (unsigned)group;
    }
    return (pid_t)syscall(SYS_clone3, &args, sizeof(args));
}

static void report_failure(const struct birth *b, enum launch_stage stage, int error) {
    struct launch_failure failure = {(int)stage, error};

    if (write(b->report, &failure, sizeof(failure)) < 0)
        _exit(126); /* nobody listens any more */
    _exit(stage == LAUNCH_JOIN ? 125 : 126);
}

/* All that happens between fork and exec: system calls only. */
static void be_child(const struct birth *b) {
    const struct launch *l = b->launch;
    struct sigaction plain = {.sa_handler = SIG_DFL};

    for (unsigned tree = 0; tree < PLAN_TREES; tree++) {
        int r = b->born[tree] || l->group->work[tree] < 0 ? 0 : cgmake_join(l->group->work[tree]);

        /* The unified tree beside v1 is for convenience: the limit does not depend on it. */
        if (r < 0 && tree == PLAN_MEMORY)
            report_failure(b, LAUNCH_JOIN, -r);
    }
    if (l->oom_adj) {
        int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);

        if (fd >= 0 && write(fd, l->oom_adj, strlen(l->oom_adj)) < 0)
            (void)fd; /* it then keeps ours, which no limit of its own minds */
    }
    if (l->own_group)
        (void)setpgid(0, 0);
    if (!l->ignore_pipe)
        (void)sigaction(SIGPIPE, &plain, NULL);
    (void)sigprocmask(SIG_SETMASK, &l->mask, NULL);
    execvpe(l->argv[0], l->argv, l->env);
    report_failure(b, LAUNCH_EXEC, errno);
}

/* v2 trees can have children born into them: the memory controller's on v2, the unified tree beside
 * v1. Whatever the reason for a refusal (kernel before 5.7, seccomp), the child can still join by
 * itself. */
static pid_t give_birth(struct birth *b, int *pidfd) {
    const struct rungroup *g = b->launch->group;
    enum plan_tree tree = g->place->version == CG_V2 ? PLAN_MEMORY : PLAN_UNIFIED;
    pid_t pid = -1;

    *pidfd = -1;
    if (g->work[tree] >= 0) {
        b->born[tree] = true;
        pid = clone_into(g->work[tree], pidfd);
        if (pid >= 0)
            return pid;
        b->born[tree] = false;
    }
    pid = clone_into(-1, pidfd);
    if (pid >= 0)
        return pid;
    *pidfd = -1;
    pid = fork();
    if (pid > 0)
        *pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
    return pid;
}

int launch(const struct launch *l, struct launched *out, struct err *err) {
    struct birth b = {.launch = l};
    auto_close int reading = -1, writing = -1;
    int ends[2], pidfd;
    pid_t pid;

    if (pipe2(ends, O_CLOEXEC) < 0)
        return err_set(err, -errno, "cannot start '%s': no pipe:", l->argv[0]);
    reading = ends[0];
    writing = ends[1];
    b.report = writing;
    if (fcntl(reading, F_SETFL, O_NONBLOCK) < 0)
        return err_set(err, -errno, "cannot start '%s':", l->argv[0]);
    pid = give_birth(&b, &pidfd);
    if (pid < 0)
        return err_set(err, -errno, "cannot start '%s': no process:", l->argv[0]);
    if (pid == 0)
        be_child(&b);
    *out = (struct launched){pid, pidfd, take_fd(&reading)};
    return 0;
}

int launch_report(int report, struct launch_failure *out) {
    struct launch_failure failure;
    ssize_t n;

    do
        n = read(report, &failure, sizeof(failure));
    while (n < 0 && errno == EINTR);
    if (n < 0)
        return -errno;
    if (n != sizeof(failure)) /* at most PIPE_BUF: whole or not at all */
        return 0;
    *out = failure;
    return 1;
}

/* "not found" of a file that is there: the interpreter that its first line or its ELF header names
 * is not. */
static int explain_missing(const char *program, struct err *err) {
    char buf[128];
    struct str head, line, word;
    struct stat st;

    if (str_find(str_of(program), '/') < 0) {
        err_set(err, -ENOENT, "'%s' was not found in PATH", program);
        return 127;
    }
    if (stat(program, &st) < 0) {
        err_set(err, -ENOENT, "'%s' was not found", program);
        return 127;
    }
    if (file_head_at(AT_FDCWD, program, buf, sizeof(buf), &head) == 0 &&
        str_skip(&head, STR("#!"))) {
        if (!str_cut(&head, '\n', &line))
            line = head;
        line = str_trim(line);
        if (!str_word(&line, &word)) /* what follows it are its arguments */
            word = line;
        err_set(err, -ENOENT, "'%s' cannot be executed: its interpreter '%.*s' was not found",
                program, STR_ARG(word));
    } else {
        err_set(err, -ENOENT,
                "'%s' cannot be executed: the dynamic loader that it names was not found", program);
    }
    return 126;
}

static int explain_denied(const char *program, struct err *err) {
    struct stat st;
    bool found = stat(program, &st) == 0;

    if (found && S_ISDIR(st.st_mode))
        err_set(err, -EISDIR, "'%s' is a directory, not a program", program);
    else if (found && S_ISREG(st.st_mode) && !(st.st_mode & 0111))
        err_set(err, -EACCES, "'%s' is not executable (try: chmod +x)", program);
    else
        err_set(err, -EACCES, "'%s' cannot be executed:", program);
    return 126;
}

int launch_explain(const struct launch_failure *f, const char *program, struct err *err) {
    if (f->stage == LAUNCH_JOIN) {
        err_set(err, -f->error, "the program's process could not join its control group:");
        return 125;
    }
    switch (f->error) {
    case ENOENT:
        return explain_missing(program, err);
    case EACCES:
        return explain_denied(program, err);
    case ENOEXEC:
        err_set(err, -ENOEXEC, "'%s' is no program for this machine", program);
        return 126;
    case E2BIG:
        err_set(err, -E2BIG, "'%s' cannot be executed: its arguments and environment are too long",
                program);
        return 126;
    case ENOMEM:
        err_set(err, -ENOMEM, "'%s' cannot be executed within this limit:", program);
        return 126;
    default:
        err_set(err, -f->error, "'%s' cannot be executed:", program);
        return 126;
    }
}
