#include "inspect/gcchild.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/wait.h>

#include "act/launch.h"
#include "base/mem.h"
#include "cmd/cmd.h"

extern char **environ;

/* Later settings win, in every version of Go; names that it does not know are nothing to it. */
#define WANTED "gctrace=1,scavtrace=1"

enum { PIPE_BYTES = 1 << 20 };

/* Our environment with GODEBUG; the text of that one is in `own`. The caller frees the array. */
static char **make_env(struct buf *own) {
    size_t n = 0, at = 0;
    char **env;

    while (environ[n])
        n++;
    env = calloc(n + 2, sizeof(*env));
    buf_add(own, STR("GODEBUG="));
    for (size_t i = 0; i < n && env; i++) {
        struct str s = str_of(environ[i]);

        if (!str_skip(&s, STR("GODEBUG="))) {
            env[at++] = environ[i];
        } else if (s.n > 0) {
            buf_add(own, s);
            buf_add_char(own, ',');
        }
    }
    buf_add(own, STR(WANTED));
    buf_add_char(own, '\0');
    if (env && buf_error(own) == 0)
        env[at] = own->p;
    return env;
}

/* Waits until it has become the program, or could not. 0 or the exit code. */
static int await_exec(const struct launched *child, const char *name, struct err *err) {
    struct pollfd p = {.fd = child->report, .events = POLLIN};
    struct launch_failure failure;
    int r;

    while ((r = launch_report(child->report, &failure)) == -EAGAIN)
        (void)poll(&p, 1, -1);
    if (r <= 0)
        return 0;
    (void)waitpid(child->pid, NULL, 0);
    return launch_explain(&failure, name, err);
}

/* The program inherits descriptors 1 and 2 from us: they are its own for that moment. */
static int launch_with(const struct launch *l, int err_end, bool stdout_to_err,
                       struct launched *child, struct err *err) {
    auto_close int old_err = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3);
    auto_close int old_out = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3);
    int r = 0;

    if (old_err < 0 || dup2(err_end, STDERR_FILENO) < 0 ||
        (stdout_to_err && dup2(old_err, STDOUT_FILENO) < 0))
        r = err_set(err, -errno, "cannot prepare the program's stderr:");
    if (r == 0)
        r = launch(l, child, err);
    if (old_err >= 0)
        (void)dup2(old_err, STDERR_FILENO);
    if (stdout_to_err && old_out >= 0)
        (void)dup2(old_out, STDOUT_FILENO);
    else if (stdout_to_err)
        close(STDOUT_FILENO);
    return r;
}

int gcchild_start(const struct gcchild_options *o, struct gcchild *out, struct err *err) {
    static const struct place nowhere;
    static const struct rungroup no_group = {
        .place = &nowhere, .outer = {-1, -1}, .work = {-1, -1}, .parent = {-1, -1}};
    auto_close int reading = -1, writing = -1;
    auto_free char **env = NULL;
    struct launched child = {0, -1, -1};
    struct buf own;
    int ends[2], r;

    /* Packets: each write of the program's is read by itself, as far as it is no longer than a
     * page.
     */
    if (pipe2(ends, O_CLOEXEC | O_DIRECT) < 0 && pipe2(ends, O_CLOEXEC) < 0) {
        err_set(err, -errno, "cannot make a pipe:");
        return EXIT_RUN_FAILED;
    }
    reading = ends[0];
    writing = ends[1];
    /* The program waits less for us; not allowed to have more, it is as large as they are. */
    (void)fcntl(reading, F_SETPIPE_SZ, PIPE_BYTES);
    if (fcntl(reading, F_SETFL, O_NONBLOCK) < 0) {
        err_set(err, -errno, "cannot make a pipe:");
        return EXIT_RUN_FAILED;
    }
    buf_init(&own, 1 << 20);
    env = make_env(&own);
    if (!env || buf_error(&own) < 0) {
        buf_done(&own);
        err_set(err, -ENOMEM, "the environment is too large");
        return EXIT_RUN_FAILED;
    }
    struct launch l = {
        .group = &no_group,
        .argv = o->argv,
        .env = env,
        .mask = o->mask,
        .ignore_pipe = o->ignores_pipe,
    };
    r = launch_with(&l, writing, o->stdout_to_err, &child, err);
    buf_done(&own);
    if (r < 0)
        return EXIT_RUN_FAILED;
    r = await_exec(&child, o->argv[0], err);
    mem_close_fd(&child.report);
    if (child.pidfd >= 0)
        close(child.pidfd);
    if (r != 0)
        return r;
    *out = (struct gcchild){child.pid, take_fd(&reading)};
    return 0;
}
