/* The agent's first process: a small parent that does nothing but keep the others running.
 *
 * It holds both ends of the socket between them, so either can be started again while the other
 * goes on; and the writing end of a pipe that tells them when it is gone itself.
 */
#include "engine/agent.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "act/hook.h"
#include "base/beside.h"
#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "engine/child.h"
#include "engine/collector.h"
#include "engine/guardpolicies.h"
#include "engine/guardproc.h"
#include "engine/notify.h"
#include "net/loop.h"

enum {
    CODE_CONFIG = 2,       /* of the front: the configuration is wrong */
    CODE_START = 3,        /* of the front: what it needs cannot be had */
    PATIENCE_US = 5000000, /* from TERM to KILL */
    SOCKET_BYTES = 1 << 20,
    PATH = 4096,
};

enum which { COLLECTOR, FRONT, REMOTE, GUARD, CHECK, CHILDREN };

struct agent {
    const struct agent_options *options;
    struct loop *loop;
    struct child child[CHILDREN];
    char front[PATH], remote[PATH];
    int pair[2], life[2];
    int feed[2];                    /* collector and guard */
    int policies;                   /* a memory file: what the guard was told last */
    const char *guards[CHILD_ARGS]; /* argv of the front's executable that tells them */
    uint32_t again_id;
    bool has_again, ending, only_check;
    struct err *err;
    int result;
};

#define NO_CHANNELS .pair = {-1, -1}, .life = {-1, -1}, .feed = {-1, -1}, .policies = -1

static void add_arg(struct child *c, const char *arg) {
    unsigned n = 0;

    while (c->argv[n])
        n++;
    assert(n + 1 < CHILD_ARGS);
    c->argv[n] = arg;
}

static void set_args(const struct agent *a, struct child *c, const char *path) {
    const struct agent_options *o = a->options;
    const char *const given[][2] = {{"--config", o->config},
                                    {"--state", o->state},
                                    {"--listen", o->listen},
                                    {"--socket", o->socket}};

    c->path = path;
    add_arg(c, path);
    for (size_t i = 0; i < ARRAY_N(given); i++)
        if (given[i][1]) {
            add_arg(c, given[i][0]);
            add_arg(c, given[i][1]);
        }
    if (o->foreground)
        add_arg(c, "--foreground");
}

static int find_executables(struct agent *a) {
    int r = 0;

    if (a->options->front)
        r = str_copy(str_of(a->options->front), a->front, sizeof(a->front));
    else
        r = beside_find("plimsoll-front", a->front, sizeof(a->front), a->err);
    if (r < 0)
        return r;
    if (a->only_check)
        return 0;
    if (a->options->remote)
        return str_copy(str_of(a->options->remote), a->remote, sizeof(a->remote));
    return beside_find("plimsoll-remote", a->remote, sizeof(a->remote), a->err);
}

static int run_collector(void *ctx) {
    struct agent *a = ctx;
    struct err err = {0};
    int r;

    log_open("collector", !a->options->foreground);
    r = collector_run(
        &(struct collector_options){
            .front = 3, .life = 4, .guard = 5, .first = a->child[COLLECTOR].starts == 0},
        &err);
    if (r < 0)
        log_line(LOG_BAD, "%s", err.text);
    return r < 0 ? CODE_START : 0;
}

static int run_guard(void *ctx) {
    struct agent *a = ctx;
    struct err err = {0};
    int r;

    log_open("guard", !a->options->foreground);
    r = guardproc_run(&(struct guardproc_options){.collector = 3,
                                                  .life = 4,
                                                  .memory = 5,
                                                  .front = a->guards,
                                                  .audit = a->options->audit,
                                                  .starts = a->child[GUARD].starts + 1},
                      &err);
    if (r < 0)
        log_line(LOG_BAD, "%s", err.text);
    return r == -EINVAL ? CODE_CONFIG : r < 0 ? CODE_START : 0;
}

/* The front's executable says what is wrong, but for what is to be run: it knows nothing of what
 * guards do. file_out: the one that was read, "": none. An exit code. */
static int check(struct agent *a, char file_out[WIRE_TEXT + 1]) {
    struct guardpolicies policies = {.at = NULL};
    int bad = 0;
    struct job job;
    struct err err;

    job_init(&job, GUARDPOLICIES_BYTES);
    if (guardpolicies_ask(&job, a->guards, &policies) < 0)
        bad = CODE_CONFIG;
    job_done(&job);
    for (unsigned i = 0; i < policies.n; i++) {
        const struct wire_policy *p = &policies.at[i];

        if (hook_check(&p->policy, &err) == 0)
            continue;
        fprintf(stderr, "%s:%u:%u: hook: %s\n", policies.file, p->line, p->column, err.text);
        bad = CODE_CONFIG;
    }
    memcpy(file_out, policies.file, sizeof(policies.file));
    guardpolicies_done(&policies);
    return bad;
}

static int run_check(void *ctx) {
    char file[WIRE_TEXT + 1];

    return check(ctx, file);
}

static void describe(struct agent *a) {
    struct child *c = a->child, asks = {.name = "guards"};

    for (unsigned i = 0; i < CHILDREN; i++)
        c[i] = (struct child){.fd = {-1, -1, -1}};
    c[COLLECTOR].name = "collector";
    c[COLLECTOR].run = run_collector;
    c[COLLECTOR].ctx = a;
    c[COLLECTOR].fd[0] = a->pair[0];
    c[COLLECTOR].fd[1] = a->life[0];
    c[COLLECTOR].fd[2] = a->feed[0];
    c[FRONT].name = "front";
    set_args(a, &c[FRONT], a->front);
    c[FRONT].fd[0] = a->pair[1];
    c[FRONT].fd[1] = a->life[0];
    c[REMOTE].name = "remote writer";
    set_args(a, &c[REMOTE], a->remote);
    c[REMOTE].fd[0] = a->life[0];
    c[GUARD].name = "guard";
    c[GUARD].run = run_guard;
    c[GUARD].ctx = a;
    c[GUARD].fd[0] = a->feed[1];
    c[GUARD].fd[1] = a->life[0];
    c[GUARD].fd[2] = a->policies;
    c[CHECK].name = "check of the configuration";
    c[CHECK].run = run_check;
    c[CHECK].ctx = a;
    set_args(a, &asks, a->front);
    add_arg(&asks, "--guards");
    memcpy(a->guards, asks.argv, sizeof(a->guards));
}

/* --- their lives ------------------------------------------------------------------------------ */

static int on_again(struct loop *loop, uint32_t what, void *ctx);

static void stop_all(struct agent *a, int signal) {
    for (unsigned i = 0; i < CHILDREN; i++)
        child_signal(&a->child[i], signal);
}

static int on_patience(struct loop *loop, uint32_t what, void *ctx) {
    (void)loop, (void)what;
    stop_all(ctx, SIGKILL);
    return 0;
}

/* One after the other, so that what each has told last is still written: the guard, which undoes
 * what it holds, the collector, the rest. */
static void end_next(struct agent *a) {
    if (a->child[GUARD].pid > 0)
        child_signal(&a->child[GUARD], SIGTERM);
    else if (a->child[COLLECTOR].pid > 0)
        child_signal(&a->child[COLLECTOR], SIGTERM);
    else
        stop_all(a, SIGTERM);
}

static void begin_end(struct agent *a) {
    if (a->ending)
        return;
    a->ending = true;
    notify_say("STOPPING=1");
    end_next(a);
    (void)loop_add_timer(a->loop, PATIENCE_US, 0, on_patience, a, NULL);
}

static bool all_ended(const struct agent *a) {
    for (unsigned i = 0; i < CHILDREN; i++)
        if (a->child[i].pid > 0)
            return false;
    return true;
}

/* Starts what is due, and sets the timer for what will be. */
static void start_due(struct agent *a, int64_t now_us) {
    int64_t next = 0;

    for (unsigned i = 0; i < CHILDREN && !a->ending; i++) {
        struct child *c = &a->child[i];

        if (c->pid > 0 || c->done || c->again_us == 0)
            continue;
        if (c->again_us <= now_us) {
            int r = child_start(c, now_us);

            if (r < 0) {
                log_line(LOG_BAD, "cannot start the %s: %s", c->name, strerror(-r));
                c->again_us = now_us + 1000000;
            }
        }
        if (c->pid == 0 && (next == 0 || c->again_us < next))
            next = c->again_us;
    }
    if (a->has_again)
        loop_remove(a->loop, a->again_id);
    a->has_again = next > 0 && !a->ending &&
                   loop_add_timer(a->loop, next - now_us, 0, on_again, a, &a->again_id) == 0;
}

static int on_again(struct loop *loop, uint32_t what, void *ctx) {
    struct agent *a = ctx;

    (void)what;
    a->has_again = false;
    start_due(a, loop_now_us(loop));
    return 0;
}

static void fail(struct agent *a, int code, const char *text) {
    a->result = err_set(a->err, code, "%s", text);
    begin_end(a);
}

static void say_ended(const struct child *c, int status) {
    if (WIFSIGNALED(status))
        log_line(LOG_WARN, "the %s was ended by signal %d; starting it again", c->name,
                 WTERMSIG(status));
    else
        log_line(LOG_WARN, "the %s ended with code %d; starting it again", c->name,
                 WEXITSTATUS(status));
}

/* It reads them itself, and guards on meanwhile. */
static void reload_guard(struct agent *a) {
    struct child *c = &a->child[GUARD];

    (void)!ftruncate(a->policies, 0); /* of one that is started meanwhile: it reads the file */
    c->done = false;
    c->failures = 0;
    if (c->pid > 0)
        kill(c->pid, SIGHUP);
    else
        c->again_us = 1;
}

static void check_ended(struct agent *a, bool good) {
    if (!good) {
        log_line(LOG_BAD, "the configuration is not taken over: it goes on as before");
        return;
    }
    log_line(LOG_NOTE, "the configuration is read again");
    a->child[REMOTE].done = false;
    for (unsigned i = FRONT; i <= REMOTE; i++) {
        a->child[i].failures = 0;
        child_signal(&a->child[i], SIGTERM);
        if (a->child[i].pid == 0)
            a->child[i].again_us = 1;
    }
    reload_guard(a);
}

/* Of the first start: what would fail again each time. */
static bool cannot_begin(struct agent *a, enum which which, int code) {
    static const char *const text[CHILDREN] = {
        [COLLECTOR] = "the collector cannot start",
        [FRONT] = "the front cannot start",
        [GUARD] = "the guard cannot start",
    };
    const struct child *c = &a->child[which];

    if (c->starts != 1 || (which == GUARD && c->failures == 0))
        return false;
    if (which == FRONT && code == CODE_CONFIG)
        fail(a, -EINVAL, "the configuration is wrong");
    else if (text[which] && code == CODE_START)
        fail(a, -EIO, text[which]);
    else
        return false;
    return true;
}

static void ended(struct agent *a, enum which which, int status, int64_t now_us) {
    struct child *c = &a->child[which];
    bool good = WIFEXITED(status) && WEXITSTATUS(status) == 0;
    int code = WIFEXITED(status) ? WEXITSTATUS(status) : 0;

    child_ended(c, WIFSIGNALED(status), now_us);
    if (which == CHECK) {
        c->again_us = 0;
        check_ended(a, good);
        return;
    }
    if (a->ending) {
        c->again_us = 0;
        if (which == GUARD || which == COLLECTOR)
            end_next(a);
        return;
    }
    if ((which == REMOTE || which == GUARD) && good && !c->stopped)
        c->done = true; /* nothing to write to, or to guard */
    else if (!cannot_begin(a, which, code) && !good)
        say_ended(c, status);
}

static int on_child(struct loop *loop, uint32_t what, void *ctx) {
    struct agent *a = ctx;
    int status;
    pid_t pid;

    (void)what;
    while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
        for (unsigned i = 0; i < CHILDREN; i++)
            if (a->child[i].pid == pid)
                ended(a, i, status, loop_now_us(loop));
    if (a->ending && all_ended(a))
        loop_stop(loop);
    start_due(a, loop_now_us(loop));
    return 0;
}

static int on_end(struct loop *loop, uint32_t what, void *ctx) {
    struct agent *a = ctx;

    (void)what;
    begin_end(a);
    if (all_ended(a))
        loop_stop(loop);
    return 0;
}

/* The collector says that the front hangs. */
static int on_hang(struct loop *loop, uint32_t what, void *ctx) {
    struct agent *a = ctx;

    (void)loop, (void)what;
    child_signal(&a->child[FRONT], SIGKILL);
    return 0;
}

static int on_reload(struct loop *loop, uint32_t what, void *ctx) {
    struct agent *a = ctx;

    (void)what;
    if (a->child[CHECK].pid == 0 && child_start(&a->child[CHECK], loop_now_us(loop)) < 0)
        log_line(LOG_BAD, "the configuration cannot be checked");
    return 0;
}

static int open_channels(struct agent *a) {
    int bytes = SOCKET_BYTES;

    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, a->pair) < 0 ||
        socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, a->feed) < 0 ||
        pipe2(a->life, O_CLOEXEC) < 0)
        return -errno;
    a->policies = memfd_create("plimsoll-guards", MFD_CLOEXEC);
    for (unsigned i = 0; i < 4; i++) {
        int fd = i < 2 ? a->pair[i] : a->feed[i - 2];

        if (setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &bytes, sizeof(bytes)) < 0)
            (void)setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &bytes, sizeof(bytes));
    }
    return a->policies < 0 ? -errno : 0;
}

static int join(struct agent *a) {
    int r = loop_add_signal(a->loop, SIGCHLD, on_child, a, NULL);

    if (r == 0)
        r = loop_add_signal(a->loop, SIGTERM, on_end, a, NULL);
    if (r == 0)
        r = loop_add_signal(a->loop, SIGINT, on_end, a, NULL);
    if (r == 0)
        r = loop_add_signal(a->loop, SIGHUP, on_reload, a, NULL);
    if (r == 0)
        r = loop_add_signal(a->loop, SIGUSR1, on_hang, a, NULL);
    return r;
}

static void close_channels(struct agent *a) {
    int fd[] = {a->pair[0], a->pair[1], a->feed[0], a->feed[1],
                a->life[0], a->life[1], a->policies};

    for (size_t i = 0; i < ARRAY_N(fd); i++)
        if (fd[i] >= 0)
            close(fd[i]);
}

static int run_all(struct agent *a) {
    char file[WIRE_TEXT + 1];
    int r = open_channels(a);

    if (r < 0)
        return err_set(a->err, r, "cannot make the agent's channels:");
    r = loop_new(&a->loop);
    if (r == 0)
        r = join(a);
    if (r < 0)
        return err_set(a->err, r, "cannot start the agent:");
    describe(a);
    if (check(a, file) != 0)
        return err_set(a->err, -EINVAL, "the configuration is wrong");
    for (unsigned i = COLLECTOR; i <= GUARD; i++)
        a->child[i].again_us = 1;
    start_due(a, loop_now_us(a->loop));
    r = loop_run(a->loop);
    return r < 0 ? err_set(a->err, r, "the agent failed:") : a->result;
}

int agent_run(const struct agent_options *options, struct err *err) {
    struct agent a = {.options = options, .err = err, NO_CHANNELS};
    int r;

    log_open("agent", !options->foreground);
    notify_open();
    r = find_executables(&a);
    if (r == 0)
        r = run_all(&a);
    loop_free(a.loop);
    close_channels(&a);
    return r;
}

int agent_check(const struct agent_options *options, struct err *err) {
    struct agent a = {.options = options, .err = err, NO_CHANNELS, .only_check = true};
    char file[WIRE_TEXT + 1] = "";
    int r = find_executables(&a);

    if (r < 0)
        return r;
    describe(&a);
    r = check(&a, file);
    if (r == 0 &&
        (printf("%s: good\n", file[0] ? file : "the defaults") < 0 || fflush(stdout) != 0))
        r = CODE_START;
    return r;
}
