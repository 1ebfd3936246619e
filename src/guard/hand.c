#include "guard/hand.h"

#include <assert.h>
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "act/gc.h"
#include "act/hook.h"
#include "act/reclaim.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "guard/locked.h"

enum {
    AGAIN_US = 500000,       /* after a fork that failed */
    STALE_US = 100000,       /* groups often come many at a time: each puts it off again, */
    STALE_MOST_US = 2000000, /* but not for longer than that */
    LATE_US = 500000,        /* beyond the deadline of a job, for its last word */
    WATCH_US = 10 * 1000000, /* after a rescue */
    LOOK_US = 100000,        /* for what is late, while a job runs */
    DEAD_MOST = 64,
    URGENT = -10,      /* nice */
    PATIENCE_S = 3600, /* past its time, a hand whose guard is stopped does not stay for ever */
};

enum state { FREE, READY, RUNNING };

struct hand {
    enum state state;
    pid_t pid;
    int socket;
    uint32_t id; /* of its watch */
    unsigned group;
    enum action action;
    uint64_t generation; /* READY: the newest that it knows; RUNNING: that it works on */
    int64_t began_us, deadline_us;
    struct hands *hands;
};

struct hands {
    struct hands_options o;
    unsigned n;       /* of `hand`: one more than may run at once */
    int64_t again_us; /* a hand is to be made ready then; 0: one is */
    bool stale;
    int64_t stale_us;      /* since then */
    uint64_t newest;       /* generation that there is */
    pid_t dead[DEAD_MOST]; /* killed, not yet reaped: they wait in the kernel */
    struct hand_job job;   /* room for the one that is sent */
    struct hand hand[];
};

/* --- in the hand ------------------------------------------------------------------------------ */

static int rescue(const struct hands *h, struct warden *w, struct grip *g,
                  const struct hand_job *job, struct action_report *report) {
    const struct rescue_terms terms = {
        .policy = &job->policy,
        .warden = w,
        .dump_dir = h->o.dump_dir,
        .agent_socket = h->o.agent_socket,
        .why = &job->why,
        .hung = job->why.hang.kind != HANG_NONE,
        .seen = job->why.hang,
        .deadline_us = job->deadline_us,
        .watch_us = job->policy.deadline_us < WATCH_US ? job->policy.deadline_us : WATCH_US,
    };
    struct rescue_result result;

    return rescue_run(g, &terms, &result, report);
}

static int dump(const struct hands *h, struct grip *g, const struct hand_job *job,
                struct action_report *report) {
    const struct dump_terms terms = {
        .dir = h->o.dump_dir,
        .why = &job->why,
        .socket = h->o.agent_socket,
        .deadline_us = job->deadline_us,
        .hung = job->why.hang.kind != HANG_NONE && job->why.hang.kind != HANG_THROTTLED,
    };

    if (!terms.dir)
        return report_refused(report, "", "there is no folder for dumps");
    return dump_write(g, &terms, report);
}

static int work(const struct hands *h, struct warden *w, struct grip *g, const struct hand_job *job,
                struct action_report *report) {
    switch (job->action) {
    case ACTION_NOTIFY:
        return hook_run(&job->policy, &job->why, job->deadline_us, report);
    case ACTION_GC:
        return gc_run(g, &job->policy, job->deadline_us, report);
    case ACTION_RECLAIM:
        return reclaim_run(g, job->bytes, job->deadline_us, report);
    case ACTION_DUMP:
        return dump(h, g, job, report);
    case ACTION_RESCUE:
        return rescue(h, w, g, job, report);
    case ACTION_THROTTLE:
    case ACTION_PAUSE:
    case ACTION_TERM:
    case ACTION_KILL:
    case ACTION_N:
        break;
    }
    return report_failed(report, "", "not done in a process of its own");
}

/* Signals as a program finds them, a session of its own, and no more than our parent's life. */
static void become_hand(pid_t parent) {
    sigset_t none;

    (void)setsid();
    for (int s = 1; s < NSIG; s++)
        signal(s, SIG_DFL);
    signal(SIGPIPE, SIG_IGN);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    prctl(PR_SET_NAME, "plimsoll-hand");
    if (getppid() != parent)
        _exit(1);
}

static unsigned seconds_to(int64_t at_us) {
    int64_t left_us = at_us - clock_mono_us();

    return left_us > 0 ? (unsigned)(left_us / 1000000) : 0;
}

static _Noreturn void be_hand(struct hands *h, int socket, struct warden *w, pid_t parent) {
    struct action_report report = {.pid = 0};
    struct hand_job *job = &h->job;
    struct grip *g;
    ssize_t n;

    become_hand(parent);
    for (unsigned i = 0; i < h->n; i++)
        if (h->hand[i].state != FREE && h->hand[i].socket != socket)
            close(h->hand[i].socket);
    do
        n = recv(socket, job, sizeof(*job), 0);
    while (n < 0 && errno == EINTR);
    if (n != sizeof(*job))
        _exit(n != 0);
    alarm(PATIENCE_S + seconds_to(job->deadline_us));
    if (job->action == ACTION_NOTIFY) /* who is to be told is told */
        (void)prctl(PR_SET_PDEATHSIG, 0);
    if (job->action == ACTION_GC || job->action == ACTION_RESCUE) /* memory does not wait */
        (void)setpriority(PRIO_PROCESS, 0, URGENT);
    /* An index that was given again means another group here. */
    g = job->generation > 0 && h->o.generation(h->o.ctx, job->group) == job->generation
            ? h->o.group(h->o.ctx, job->group)
            : NULL;
    if (!g)
        report_failed(&report, "", "the group is not known here");
    else if (work(h, w, g, job, &report) < 0 && report.outcome == OUTCOME_NONE)
        report_failed(&report, "", "it failed without a reason");
    _exit(send(socket, &report, sizeof(report), MSG_NOSIGNAL) != sizeof(report));
}

/* --- in the guard ----------------------------------------------------------------------------- */

static void again(struct hands *h, int64_t at_us) {
    if (h->again_us == 0 || at_us < h->again_us)
        h->again_us = at_us;
}

static bool reaped(pid_t pid) {
    pid_t r = waitpid(pid, NULL, WNOHANG);

    return r == pid || (r < 0 && errno == ECHILD);
}

static void reap_dead(struct hands *h) {
    for (unsigned i = 0; i < DEAD_MOST; i++)
        if (h->dead[i] > 0 && reaped(h->dead[i]))
            h->dead[i] = 0;
}

static void let_go(struct hands *h, struct hand *x, bool end) {
    if (x->state != FREE) {
        loop_remove(h->o.loop, x->id);
        close(x->socket);
    }
    if (x->pid > 0 && end)
        kill(-x->pid, SIGKILL); /* its session: our own child, not reaped: the id is its own */
    if (x->pid > 0 && end)
        kill(x->pid, SIGKILL);
    if (x->pid > 0 && !reaped(x->pid))
        for (unsigned i = 0; i < DEAD_MOST; i++) {
            if (h->dead[i] > 0)
                continue;
            h->dead[i] = x->pid;
            break;
        }
    *x = (struct hand){.state = FREE, .socket = -1, .hands = h};
}

static struct hand *with_state(struct hands *h, enum state state) {
    for (unsigned i = 0; i < h->n; i++)
        if (h->hand[i].state == state)
            return &h->hand[i];
    return NULL;
}

static int on_hand(struct loop *loop, uint32_t what, void *ctx);

static int fork_one(struct hands *h, struct hand *x) {
    struct warden *own = NULL;
    pid_t parent = getpid(), pid;
    struct err err;
    int pair[2], r = h->o.may_fork(h->o.ctx) ? 0 : -ENOMEM;

    if (r == 0 && h->o.warden)
        r = warden_of(h->o.warden, &own, &err);
    if (r < 0)
        return r;
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0) {
        r = -errno;
        warden_end(own);
        return r;
    }
    pid = fork();
    if (pid == 0) {
        close(pair[0]);
        be_hand(h, pair[1], own, parent);
    }
    r = pid < 0 ? -errno : 0;
    locked_again();
    close(pair[1]);
    warden_end(own); /* closes our copy alone */
    if (r < 0) {
        close(pair[0]);
        return r;
    }
    *x = (struct hand){
        .state = READY, .pid = pid, .socket = pair[0], .generation = h->newest, .hands = h};
    r = loop_add_fd(h->o.loop, pair[0], EPOLLIN, on_hand, x, &x->id);
    if (r < 0) {
        close(pair[0]);
        kill(pid, SIGKILL);
        (void)waitpid(pid, NULL, 0); /* it has not begun */
        *x = (struct hand){.state = FREE, .socket = -1, .hands = h};
    }
    return r;
}

static void make_ready(struct hands *h, int64_t now_us) {
    struct hand *ready = with_state(h, READY), *x;
    int r;

    h->again_us = 0;
    if (ready && h->stale)
        let_go(h, ready, true);
    else if (ready)
        return;
    h->stale = false;
    x = with_state(h, FREE);
    if (!x)
        return; /* all run: one that ends makes room */
    r = fork_one(h, x);
    if (r < 0) {
        log_line(LOG_WARN, "no process can be made that acts on groups: %s; it is tried again",
                 strerror(-r));
        again(h, now_us + AGAIN_US);
    }
}

static void finish(struct hand *x, const struct action_report *report, bool end, int64_t now_us) {
    struct hands *h = x->hands;
    unsigned group = x->group;
    enum action action = x->action;
    uint64_t generation = x->generation;
    int64_t took_us = now_us - x->began_us;

    let_go(h, x, end);
    if (!with_state(h, READY))
        again(h, now_us);
    h->o.ended(h->o.ctx, group, generation, action, report, took_us);
}

static void end_texts(struct action_report *r) {
    r->text[REPORT_TEXT - 1] = r->next[REPORT_NEXT - 1] = r->file[REPORT_FILE - 1] = '\0';
    if (r->outcome >= OUTCOME_N)
        r->outcome = OUTCOME_FAILED;
}

static int on_hand(struct loop *loop, uint32_t what, void *ctx) {
    struct hand *x = ctx;
    struct action_report report = {.pid = 0};
    ssize_t n = recv(x->socket, &report, sizeof(report), MSG_DONTWAIT);

    (void)what;
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return 0;
    if (x->state == READY) { /* somebody has ended it */
        let_go(x->hands, x, true);
        again(x->hands, loop_now_us(loop) + AGAIN_US);
        return 0;
    }
    if (n != sizeof(report))
        report_failed(&report, "", "the process that did it ended without an answer");
    end_texts(&report);
    finish(x, &report, false, loop_now_us(loop));
    return 0;
}

int64_t hands_tick(struct hands *h, int64_t now_us) {
    int64_t next;

    reap_dead(h);
    if (h->again_us > 0 && h->again_us <= now_us)
        make_ready(h, now_us);
    next = h->again_us;
    for (unsigned i = 0; i < h->n; i++) {
        struct hand *x = &h->hand[i];
        struct action_report late = {.pid = 0};

        if (x->state != RUNNING)
            continue;
        if (now_us >= x->deadline_us + LATE_US) {
            report_failed(&late, "a longer deadline, if the machine is only slow",
                          "it was not done in time, and was ended");
            finish(x, &late, true, now_us);
        } else if (next == 0 || x->deadline_us + LATE_US < next) {
            next = x->deadline_us + LATE_US;
        }
    }
    return next;
}

int hands_new(const struct hands_options *o, unsigned most, struct hands **out, struct err *err) {
    struct hands *h = calloc(1, sizeof(*h) + (most + 1) * sizeof(h->hand[0]));

    if (!h)
        return err_set(err, -ENOMEM, "no memory");
    h->o = *o;
    h->n = most + 1;
    for (unsigned i = 0; i < h->n; i++)
        h->hand[i] = (struct hand){.state = FREE, .socket = -1, .hands = h};
    *out = h;
    return 0;
}

void hands_free(struct hands *h) {
    if (!h)
        return;
    for (unsigned i = 0; i < h->n; i++)
        if (h->hand[i].state != FREE)
            let_go(h, &h->hand[i], true);
    for (unsigned i = 0; i < DEAD_MOST; i++)
        if (h->dead[i] > 0)
            (void)waitpid(h->dead[i], NULL, WNOHANG);
    free(h);
}

void hands_stale(struct hands *h, uint64_t newest) {
    int64_t now_us = clock_mono_us();

    h->newest = newest;
    if (!h->stale)
        h->stale_us = now_us;
    h->stale = true;
    h->again_us = now_us - h->stale_us < STALE_MOST_US ? now_us + STALE_US : now_us;
}

/* One that was made after the group was opened, if need be now. */
static int ready_for(struct hands *h, uint64_t generation, struct hand **out) {
    struct hand *x = with_state(h, READY);

    *out = x;
    if (x && x->generation >= generation)
        return 0;
    if (x)
        let_go(h, x, true);
    *out = x = with_state(h, FREE);
    return x ? fork_one(h, x) : -EBUSY;
}

static int send_job(const struct hand *x, const struct hand_job *job) {
    ssize_t n = send(x->socket, job, sizeof(*job), MSG_NOSIGNAL | MSG_DONTWAIT);

    return n == sizeof(*job) ? 0 : n < 0 ? -errno : -EIO;
}

int hands_give(struct hands *h, const struct hand_job *job) {
    struct hand *x;
    int64_t now_us = clock_mono_us();
    unsigned running = 0, kept = job->action == ACTION_NOTIFY ? 1 : 0;
    int r = -EIO;

    for (unsigned i = 0; i < h->n; i++)
        running += h->hand[i].state == RUNNING;
    if (running + 1 + kept >= h->n)
        return -EBUSY;
    h->job = *job;
    h->job.generation = h->o.generation(h->o.ctx, job->group);
    for (unsigned tries = 0; tries < 2 && r < 0; tries++) { /* the first may have been ended */
        r = ready_for(h, h->job.generation, &x);
        if (r < 0)
            break;
        r = send_job(x, &h->job);
        if (r < 0)
            let_go(h, x, true);
    }
    if (r < 0) {
        again(h, now_us + AGAIN_US);
        return r;
    }
    x->state = RUNNING;
    x->group = job->group;
    x->action = job->action;
    x->generation = h->job.generation;
    x->began_us = now_us;
    x->deadline_us = job->deadline_us;
    again(h, now_us); /* the next */
    return 0;
}

void hands_end(struct hands *h, uint64_t generation) {
    for (unsigned i = 0; i < h->n; i++)
        if (h->hand[i].state == RUNNING && h->hand[i].generation == generation)
            let_go(h, &h->hand[i], h->hand[i].action != ACTION_NOTIFY);
    if (!with_state(h, READY))
        again(h, clock_mono_us());
}
