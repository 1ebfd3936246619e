#include "act/hook.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "act/trusted.h"
#include "base/clock.h"
#include "base/mem.h"
#include "base/text.h"

enum { ENVIRONMENT = 16 << 10, JSON_MOST = 64 << 10, SHOWN_MOST = 2 << 20 };

static unsigned arguments(const struct policy *p, const char *out[HOOK_ARGS + 1]) {
    const char *at = NULL;
    unsigned n = 0;

    while (n <= HOOK_ARGS && policy_next_text(p->hook, &at))
        out[n++] = at;
    return n;
}

int hook_check(const struct policy *p, struct err *err) {
    const char *argv[HOOK_ARGS + 1];
    unsigned n = arguments(p, argv);
    int fd;

    if (n == 0)
        return 0;
    if (n > HOOK_ARGS)
        return err_set(err, -E2BIG, "the hook '%s' has more than %d arguments", argv[0], HOOK_ARGS);
    fd = trusted_open(argv[0], err);
    if (fd < 0)
        return fd;
    close(fd);
    return 0;
}

/* --- what it is told -------------------------------------------------------------------------- */

/* NUL-separated, as exec wants them one after the other. */
static void add_name(struct buf *b, const char *name) {
    buf_add(b, STR("PLIMSOLL_"));
    buf_add(b, str_of(name));
    buf_add_char(b, '=');
}

static void add_text(struct buf *b, const char *name, const char *text) {
    add_name(b, name);
    text_add_visible(b, str_of(text), false);
    buf_add_char(b, '\0');
}

static void add_number(struct buf *b, const char *name, bool have, uint64_t value) {
    add_name(b, name);
    if (have)
        buf_add_u64(b, value);
    buf_add_char(b, '\0');
}

static void add_environment(struct buf *b, const struct audit *a) {
    const struct facts *f = &a->facts;

    buf_add(b, STR("PATH=/usr/bin:/bin"));
    buf_add_char(b, '\0');
    add_text(b, "ACTION", action_name(a->action));
    add_text(b, "ID", a->id);
    add_text(b, "NAME", a->name);
    add_text(b, "TARGET", a->path);
    add_text(b, "GUARD", a->guard);
    add_text(b, "WHY", a->report.text);
    add_text(b, "HANG", a->hang.kind == HANG_NONE ? "" : hang_name(a->hang.kind));
    add_number(b, "MARK", a->mark > 0, a->mark);
    add_number(b, "USED", facts_has(f, FACT_USED), f->value[FACT_USED]);
    add_number(b, "USAGE", facts_has(f, FACT_USAGE), f->value[FACT_USAGE]);
    add_number(b, "LIMIT", facts_has(f, FACT_LIMIT), f->value[FACT_LIMIT]);
}

static int json_file(const struct audit *a) {
    auto_close int fd = memfd_create("plimsoll-hook", MFD_CLOEXEC);
    struct buf json;
    int r;

    if (fd < 0)
        return -errno;
    buf_init(&json, JSON_MOST);
    audit_add_json(&json, a, NULL);
    buf_add_char(&json, '\n');
    r = buf_flush(&json, fd);
    buf_done(&json);
    if (r == 0 && lseek(fd, 0, SEEK_SET) < 0)
        r = -errno;
    return r < 0 ? r : take_fd(&fd);
}

/* --- its process ------------------------------------------------------------------------------ */

struct start {
    int program, input, output, failed; /* failed: gets the errno of what kept it from running */
    char *const *argv, *const *envp;
    pid_t parent;
};

/* A guard is spared by the kernel's OOM killer, and goes first: neither is for what it runs. */
static void become_ordinary(void) {
    auto_close int fd = open("/proc/self/oom_score_adj", O_RDWR | O_CLOEXEC);
    char sign;

    if (fd >= 0 && pread(fd, &sign, 1, 0) == 1 && sign == '-')
        (void)!pwrite(fd, "0", 1, 0);
    if (getpriority(PRIO_PROCESS, 0) < 0)
        (void)setpriority(PRIO_PROCESS, 0, 0);
}

/* Between fork and exec. `program` stays open without CLOEXEC: a script's interpreter reads it as
 * /dev/fd/N. */
_Noreturn static void be_hook(const struct start *s) {
    const unsigned long plain[8] = {0}; /* the kernel's sigaction: the default, no flags, no mask */
    int fds[] = {s->input, s->output, s->output, s->program, s->failed};
    int error;

    (void)setsid();
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != s->parent)
        _exit(127);
    /* libc's sigaction keeps two for itself, which can be ignored all the same. */
    for (int i = 1; i < NSIG; i++)
        (void)syscall(SYS_rt_sigaction, i, plain, NULL, sizeof(unsigned long));
    (void)sigprocmask(SIG_SETMASK, &(sigset_t){0}, NULL);
    become_ordinary();
    for (size_t i = 0; i < ARRAY_N(fds); i++) /* out of the way of 0 to 4 */
        fds[i] = fcntl(fds[i], F_DUPFD, 16);
    for (int i = 0; i < (int)ARRAY_N(fds); i++)
        if (fds[i] < 0 || dup2(fds[i], i) < 0)
            _exit(127);
    (void)close_range(ARRAY_N(fds), ~0U, 0);
    if (fcntl(4, F_SETFD, FD_CLOEXEC) < 0 || chdir("/") < 0)
        _exit(127);
    (void)umask(022);
    (void)syscall(SYS_execveat, 3, "", s->argv, s->envp, AT_EMPTY_PATH);
    error = errno;
    if (write(4, &error, sizeof(error)) < 0)
        _exit(126);
    _exit(127);
}

/* What it has printed, until there is no more or so much. */
struct output {
    char text[HOOK_OUTPUT];
    size_t n;
    bool cut;
};

/* False: there will be no more. */
static bool take_output(int fd, struct output *o) {
    char spare[1024];
    bool full = o->n == sizeof(o->text);
    ssize_t n = read(fd, full ? spare : o->text + o->n, full ? sizeof(spare) : HOOK_OUTPUT - o->n);

    if (n > 0 && !full)
        o->n += (size_t)n;
    o->cut |= n > 0 && full;
    return n > 0 || (n < 0 && (errno == EAGAIN || errno == EINTR));
}

/* Until it ends or its time is up. What it left running may hold its output open: not awaited. */
static bool wait_for_end(int pidfd, int output, int64_t deadline_us, struct output *o) {
    struct pollfd fds[] = {{.fd = pidfd, .events = POLLIN}, {.fd = output, .events = POLLIN}};

    for (;;) {
        int64_t left = deadline_us - clock_mono_us();

        if (left <= 0)
            return false;
        if (poll(fds, 2, (int)(left / 1000 < 1000 ? left / 1000 + 1 : 1000)) <= 0)
            continue;
        if (fds[1].revents && !take_output(output, o))
            fds[1].fd = -1;
        if (fds[0].revents && (o->cut || fds[1].fd < 0 || !(fds[1].revents & POLLIN)))
            return true;
    }
}

static void show_output(const struct output *o, const char *path) {
    const char *program = strrchr(path, '/') + 1;
    struct str rest = {o->text, o->n}, line;
    struct buf out;

    buf_init(&out, SHOWN_MOST);
    while (rest.n > 0) {
        if (!str_cut(&rest, '\n', &line)) {
            line = rest;
            rest.n = 0;
        }
        buf_add(&out, str_of(program));
        buf_add(&out, STR(": "));
        text_add_visible(&out, line, false);
        buf_add_char(&out, '\n');
    }
    if (o->cut)
        buf_add_format(&out, "%s: (more was printed)\n", program);
    (void)buf_flush(&out, STDERR_FILENO);
    buf_done(&out);
}

static int tell_end(const char *program, int status, int error, int64_t took_us,
                    struct action_report *report) {
    long long ms = took_us / 1000;

    if (error != 0)
        return report_failed(report, "", "hook '%s' could not be executed (%s)", program,
                             strerror(error));
    if (WIFSIGNALED(status))
        return report_failed(report, "", "hook '%s' was ended by signal %d", program,
                             WTERMSIG(status));
    if (WEXITSTATUS(status) != 0)
        return report_failed(report, "", "hook '%s' ended with %d after %lld ms", program,
                             WEXITSTATUS(status), ms);
    return report_done(report, "hook '%s' ended well after %lld ms", program, ms);
}

/* Its group is killed while it itself is not reaped: the number still is its own. */
static void end_group(pid_t pid) {
    (void)kill(-pid, SIGKILL);
    (void)kill(pid, SIGKILL);
}

static int attend(pid_t pid, int output, int failed, int64_t deadline_us, const char *program,
                  struct action_report *report) {
    auto_close int pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
    int64_t start = clock_mono_us();
    struct output o = {.n = 0};
    int status = 0, error = 0;
    bool ended = pidfd >= 0 && wait_for_end(pidfd, output, deadline_us, &o);

    if (!ended)
        end_group(pid);
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    if (read(failed, &error, sizeof(error)) != sizeof(error))
        error = 0;
    show_output(&o, program);
    if (!ended)
        return report_failed(report, "", "hook '%s' took more than %lld ms: killed", program,
                             (long long)((clock_mono_us() - start) / 1000));
    return tell_end(program, status, error, clock_mono_us() - start, report);
}

/* --- all of it -------------------------------------------------------------------------------- */

static unsigned environment_of(struct buf *text, char *envp[32]) {
    unsigned n = 0;

    for (size_t at = 0; at < text->n && n < 31; at += strlen(text->p + at) + 1)
        envp[n++] = text->p + at;
    envp[n] = NULL;
    return n;
}

static int run(const char *const *argv, int program, const struct audit *why, int64_t deadline_us,
               struct buf *text, struct action_report *report) {
    auto_close int input = json_file(why), out = -1, in = -1, failed = -1, failing = -1;
    int ends[2];
    char *envp[32];
    struct start s = {.program = program, .argv = (char *const *)(uintptr_t)argv, .envp = envp};
    pid_t pid;

    add_environment(text, why);
    if (input < 0 || buf_error(text) < 0 || pipe2(ends, O_CLOEXEC) < 0)
        return -ENOMEM;
    out = ends[0], in = ends[1];
    if (pipe2(ends, O_CLOEXEC) < 0)
        return -errno;
    failed = ends[0], failing = ends[1];
    environment_of(text, envp);
    s.input = input, s.output = in, s.failed = failing, s.parent = getpid();
    pid = fork();
    if (pid < 0)
        return -errno;
    if (pid == 0)
        be_hook(&s);
    close(take_fd(&in));
    close(take_fd(&failing));
    return attend(pid, out, failed, deadline_us, argv[0], report);
}

int hook_run(const struct policy *p, const struct audit *why, int64_t deadline_us,
             struct action_report *report) {
    const char *argv[HOOK_ARGS + 2] = {NULL};
    unsigned n = arguments(p, argv);
    auto_close int program = -1;
    struct err err = {.code = 0};
    struct buf text;
    int r;

    *report = (struct action_report){.outcome = OUTCOME_NONE};
    if (n == 0)
        return report_done(report, "told in the log and the audit (no hook)");
    if (n > HOOK_ARGS)
        return report_refused(report, "", "the hook has more than %d arguments", HOOK_ARGS);
    program = trusted_open(argv[0], &err);
    if (program < 0)
        return report_refused(report, "", "%s", err.text);
    if (why->dry_run) {
        r = report_done(report, "hook '%s' would be run", argv[0]);
        report->outcome = OUTCOME_DRY;
        return r;
    }
    argv[n] = NULL;
    buf_init(&text, ENVIRONMENT);
    r = run(argv, program, why, deadline_us, &text, report);
    buf_done(&text);
    return r < 0 ? report_failed(report, "", "hook '%s' could not be started (%s)", argv[0],
                                 strerror(-r))
                 : 0;
}
