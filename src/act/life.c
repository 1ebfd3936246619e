#include "act/life.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "act/signals.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/mem.h"
#include "kern/cgroup.h"
#include "kern/procstat.h"

#define KILL_US 5000000LL /* how long SIGKILL may take before we call it stuck */
#define POLL_US 5000LL    /* first look whether the groups are empty; doubles up to the other */
#define POLL_MAX_US 160000LL
#define RETRY_MAX_US 60000000LL
#define START_BYTES                                                                                \
    ((uint64_t)1 << 20) /* with less a program of Debian's is killed while it loads */
#define START_US 1000000LL

/* --- small things --------------------------------------------------------------------------- */

static bool has_limit(const struct life *life) {
    return life->options->limits.limit != RUNGROUP_UNSET;
}

static void over(struct life *life) {
    life->phase = PHASE_OVER;
    loop_stop(life->loop);
}

static void stop_timer(struct life *life) {
    if (life->has_timer)
        loop_remove(life->loop, life->timer);
    life->has_timer = false;
}

static int on_timer(struct loop *loop, uint32_t what, void *ctx);

static void set_timer(struct life *life, int64_t after_us) {
    stop_timer(life);
    /* Without a timer nothing would ever end: then it ends now. */
    if (loop_add_timer(life->loop, after_us, 0, on_timer, life, &life->timer) < 0)
        over(life);
    else
        life->has_timer = true;
}

static void signal_child(struct life *life, int number) {
    if (life->child.pid == 0)
        return;
    /* It is our child and not waited for yet, so its pid is still its own. */
    if (life->child.pidfd < 0 ||
        syscall(SYS_pidfd_send_signal, life->child.pidfd, number, NULL, 0) < 0)
        (void)kill(life->child.pid, number);
}

/* --- start ----------------------------------------------------------------------------------- */

static int on_child(struct loop *loop, uint32_t what, void *ctx);

static void watch_child(struct life *life) {
    life->watching_child = life->child.pidfd >= 0 &&
                           loop_add_fd(life->loop, life->child.pidfd, EPOLLIN, on_child, life,
                                       &life->child_id) == 0; /* else SIGCHLD has to do */
}

static void forget_child(struct life *life) {
    if (life->watching_child)
        loop_remove(life->loop, life->child_id);
    life->watching_child = false;
    mem_close_fd(&life->child.pidfd);
    mem_close_fd(&life->child.report);
    life->child = (struct launched){0, -1, -1};
}

/* The supervisor outlives what it supervises: it is small, and locked in memory as far as it is
 * used at all. What is refused here is done without. After the first start, while the program
 * loads. */
static void protect_self(struct life *life) {
    auto_close int fd = -1;
    struct str was;

    if (life->is_protected)
        return;
    life->is_protected = true;
    if (geteuid() == 0)
        (void)mlockall(MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT);
    fd = open("/proc/self/oom_score_adj", O_RDWR | O_CLOEXEC);
    if (fd < 0 || file_pread(fd, life->oom_adj, sizeof(life->oom_adj), &was) < 0)
        was.n = 0;
    life->oom_adj[was.n < sizeof(life->oom_adj) ? was.n : 0] = '\0';
    if (life->oom_adj[0] && pwrite(fd, "-900", 4, 0) < 0) /* needs CAP_SYS_RESOURCE */
        life->oom_adj[0] = '\0';
}

static int start(struct life *life) {
    struct launch what = {
        .group = life->group,
        .argv = life->options->argv,
        .env = life->env,
        .mask = life->inherited,
        .ignore_pipe = life->options->ignore_pipe,
        .own_group = !life->terminal,
        .oom_adj = life->oom_adj[0] ? life->oom_adj : NULL,
    };
    struct runlog_start told = {
        .cgroup = life->cgroup,
        .limit = has_limit(life) ? life->options->limits.limit : 0,
        .restarts = life->restart.done,
        .argv = life->options->argv,
    };
    int r;

    oomwatch_begin(life->oom);
    life->killing = false;
    life->sent = 0;
    life->started_us = clock_mono_us();
    r = launch(&what, &life->child, life->err);
    if (r < 0)
        return r;
    oomwatch_main(life->oom, life->child.pid);
    watch_child(life);
    life->phase = PHASE_RUNNING;
    told.pid = life->child.pid;
    runlog_started(life->log, &told);
    protect_self(life);
    return 0;
}

static void start_again(struct life *life) {
    int r = rungroup_renew(life->group, life->err);

    if (r == 0) {
        pressurewatch_begin(life->pressure);
        r = start(life);
    }
    if (r == -EAGAIN || r == -ENOMEM) {
        /* Of processes or memory there may be enough again later. */
        runlog_say(life->log, "%s; tried again", life->err->text);
        *life->err = (struct err){.code = 0};
        life->phase = PHASE_WAITING;
        life->delay_us = life->delay_us * 2 < RETRY_MAX_US ? life->delay_us * 2 : RETRY_MAX_US;
        set_timer(life, life->delay_us);
    } else if (r < 0) {
        life->exit_code = 125;
        over(life);
    }
}

/* --- the end of the tree --------------------------------------------------------------------- */

/* Nothing of it is left, or nothing can be done about what is left. */
static void cleared(struct life *life) {
    stop_timer(life);
    if (life->again) {
        life->phase = PHASE_WAITING;
        set_timer(life, life->delay_us);
    } else {
        over(life);
    }
}

static void tell_stuck(struct life *life) {
    int32_t pids[8];
    size_t n = rungroup_pids(life->group, pids, ARRAY_N(pids));
    char list[128] = "";
    size_t at = 0;

    for (size_t i = 0; i < n && i < ARRAY_N(pids); i++)
        at += (size_t)snprintf(list + at, sizeof(list) - at, "%s%d", i ? ", " : "", (int)pids[i]);
    runlog_say(life->log,
               "cannot be killed: process %s hangs in the kernel; its group stays, limit and all",
               list);
}

/* Looks whether the tree is gone, and goes on to the next means when its time is over. */
static void clear_tree(struct life *life) {
    int64_t now = clock_mono_us();

    if (life->killing)
        rungroup_kill(life->group); /* again: some may have been forked meanwhile */
    if (!rungroup_busy(life->group)) {
        cleared(life);
        return;
    }
    if (now >= life->deadline_us) {
        if (life->killing) {
            tell_stuck(life);
            life->again = false;
            cleared(life);
            return;
        }
        runlog_detail(life->log, "what it left behind did not end on SIGTERM: killed");
        life->killing = true;
        life->deadline_us = now + KILL_US;
        life->poll_us = POLL_US;
        rungroup_kill(life->group);
    }
    set_timer(life, life->poll_us);
    life->poll_us = life->poll_us * 2 < POLL_MAX_US ? life->poll_us * 2 : POLL_MAX_US;
}

/* The main process is gone. `left`: others of its tree are not. With `gently` they get TERM and the
 * grace period first. */
static void begin_clearing(struct life *life, bool left, bool gently) {
    life->phase = PHASE_CLEARING;
    life->poll_us = POLL_US;
    life->killing = !gently;
    if (!gently)
        life->deadline_us = clock_mono_us() + KILL_US;
    else if (!life->stopping) /* else the grace period has begun with SIGTERM */
        life->deadline_us = clock_mono_us() + life->options->grace_us;
    if (!left) {
        cleared(life);
        return;
    }
    if (gently) {
        (void)rungroup_signal(life->group, SIGTERM);
        (void)rungroup_signal(life->group, SIGCONT);
    }
    clear_tree(life);
}

/* --- the end of the main process ------------------------------------------------------------- */

static bool asked_lately(const struct life *life) {
    return life->stopping ||
           (life->asked && clock_mono_us() - life->asked_us <= life->options->grace_us);
}

static void read_peak(const struct life *life, struct runlog_exit *e) {
    struct cgroup_numbers numbers = {.have = 0};
    struct cgroup_fds fds = {0};
    char path[4096 + 8];
    struct cgroup cg;
    int n = snprintf(path, sizeof(path), "%s/" RUNGROUP_WORK, life->cgroup);

    if (n < 0 || (size_t)n >= sizeof(path))
        return;
    cgroup_init(&cg, life->fs, &fds, str_of(path));
    if (cgroup_read(&cg, CGROUP_READ_PEAK, NULL, NULL, &numbers) == 0 &&
        cgroup_has(&numbers, CGROUP_PEAK)) {
        e->have_peak = true;
        e->peak = numbers.value[CGROUP_PEAK];
    }
    cgroup_done(&cg);
}

/* exec never succeeded: what the shell would say, and no second try. */
static void never_started(struct life *life, const struct launch_failure *why) {
    life->exit_code = launch_explain(why, life->options->argv[0], life->err);
    /* The text is the command's own last word. */
    runlog_not_executed(life->log, life->child.pid, NULL, life->exit_code);
    forget_child(life);
    life->again = life->gave_up = false; /* of the start before */
    begin_clearing(life, true, false);
}

/* It was told to end, and that is why it did: after SIGTERM in any case; after the others, which
 * many programs take for something else, unless memory or a fault of its own ended it. */
static bool ends_as_asked(const struct life *life, const struct exit_cause *cause) {
    if (life->stopping)
        return true;
    return asked_lately(life) && cause->kind != EXIT_CAUSE_OOM &&
           cause->kind != EXIT_CAUSE_OOM_CHILD && cause->kind != EXIT_CAUSE_CRASHED;
}

static void decide(struct life *life, const struct exit_facts *facts) {
    bool left = rungroup_busy(life->group);
    struct exit_cause cause;
    struct runlog_exit told = {
        .pid = life->child.pid,
        .cause = &cause,
        .oom = &facts->oom,
        .ran_us = clock_mono_us() - life->started_us,
        .limit = has_limit(life) ? life->options->limits.limit : 0,
        .restarts = life->restart.done,
        .left = left ? (unsigned)rungroup_pids(life->group, NULL, 0) : 0,
    };

    exitcause_decide(facts, &cause);
    told.stopping = ends_as_asked(life, &cause);
    read_peak(life, &told);
    told.then = told.stopping ? RESTART_END
                              : restart_decide(&life->restart, &cause, clock_mono_us(), told.ran_us,
                                               &told.delay_us);
    runlog_exited(life->log, &told);
    life->again = told.then == RESTART_AGAIN;
    life->delay_us = told.delay_us;
    life->gave_up = told.then == RESTART_GIVE_UP;
    life->exit_code = life->gave_up ? 137 : cause.exit_code;
    forget_child(life);
    begin_clearing(life, left, !life->again && life->sent != SIGKILL);
}

/* Killed before exec was through: a zombie's flags still tell. Or by a limit in which not even the
 * loader of a program gets to its end. */
static bool has_begun(const struct life *life, int32_t pid) {
    struct procstat stat;

    if (has_limit(life) && life->options->limits.limit < START_BYTES &&
        clock_mono_us() - life->started_us < START_US)
        return false;
    return procstat_read(life->host->proc, pid, &stat) < 0 || !stat.forked;
}

static void main_ended(struct life *life, const siginfo_t *info, bool begun) {
    struct exit_facts facts = {
        .code = info->si_code,
        .status = info->si_status,
        .began = begun,
        .stop_signal = asked_lately(life) ? life->sent : 0,
    };
    struct launch_failure failure;

    stop_timer(life);
    if (launch_report(life->child.report, &failure) > 0) {
        never_started(life, &failure);
        return;
    }
    oomwatch_settle(life->oom, &facts.oom);
    decide(life, &facts);
}

/* Takes in who ended: the main process, and orphans whose parent we became. */
static void reap(struct life *life) {
    for (;;) {
        siginfo_t info = {.si_pid = 0};
        bool is_main, begun = true;

        if (waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) < 0 || info.si_pid == 0)
            return;
        is_main = info.si_pid == life->child.pid;
        if (is_main && info.si_code == CLD_KILLED)
            begun = has_begun(life, info.si_pid);
        (void)waitid(P_PID, (id_t)info.si_pid, &info, WEXITED | WNOHANG);
        if (is_main)
            main_ended(life, &info, begun);
    }
}

static int on_child(struct loop *loop, uint32_t what, void *ctx) {
    (void)loop, (void)what;
    reap(ctx);
    return 0;
}

/* --- signals --------------------------------------------------------------------------------- */

/* With a terminal the program usually is in our process group and has what the terminal sent; if it
 * moved to another, it has not. */
static bool child_has_it(const struct life *life, const struct signal_got *got) {
    return got->from_terminal && getpgid(life->child.pid) == getpgrp();
}

static void stop_running(struct life *life, const struct signal_got *got) {
    if (got->number == SIGTERM && !life->stopping) {
        life->stopping = true;
        runlog_stopping(life->log, got->number, life->options->grace_us);
        life->deadline_us = clock_mono_us() + life->options->grace_us;
        set_timer(life, life->options->grace_us);
    }
    life->sent = got->number;
    if (!child_has_it(life, got))
        signal_child(life, got->number);
    if (got->number == SIGTERM)
        signal_child(life, SIGCONT); /* or it would stay pending while it is stopped */
}

static void ask_to_end(struct life *life, const struct signal_got *got) {
    life->asked = got->number;
    life->asked_us = clock_mono_us();
    switch (life->phase) {
    case PHASE_RUNNING:
        stop_running(life, got);
        break;
    case PHASE_CLEARING: /* asked again: no more patience; and no restart */
        if (life->again)
            life->exit_code = 128 + got->number;
        life->again = false;
        if (!life->killing)
            life->deadline_us = 0;
        break;
    case PHASE_WAITING:
        life->exit_code = 128 + got->number;
        over(life);
        break;
    case PHASE_OVER:
        break;
    }
}

/* Whether the program, or our group, is what the terminal is talking to. */
static bool in_foreground(const struct life *life) {
    auto_close int fd = open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY);
    pid_t front = fd < 0 ? -1 : tcgetpgrp(fd);

    return front > 0 && (front == getpgrp() || front == getpgid(life->child.pid));
}

/* The shell waits for us, not for the program: when that was stopped from its terminal, or stopped
 * itself before it, we stop too, and `fg` wakes both. It has put the terminal in order by then. */
static void stop_with_child(const struct life *life) {
    siginfo_t info = {.si_pid = 0};
    bool by_terminal;

    if (life->child.pid == 0 ||
        waitid(P_PID, (id_t)life->child.pid, &info, WSTOPPED | WNOHANG) < 0 || info.si_pid == 0)
        return;
    by_terminal =
        info.si_status == SIGTSTP || info.si_status == SIGTTIN || info.si_status == SIGTTOU;
    if (life->terminal && (by_terminal || in_foreground(life)))
        (void)kill(getpid(), SIGSTOP);
}

static void take_signal(struct life *life, const struct signal_got *got) {
    if (got->number == SIGCHLD) {
        reap(life);
        stop_with_child(life);
    } else if (signals_ends(got->number)) {
        ask_to_end(life, got);
    } else if (life->phase == PHASE_RUNNING && !got->from_self && !child_has_it(life, got)) {
        signal_child(life, got->number);
    }
}

static int on_signal(struct loop *loop, uint32_t what, void *ctx) {
    struct life *life = ctx;
    struct signal_got got;

    (void)loop, (void)what;
    while (signals_next(life->signals, &got))
        take_signal(life, &got);
    return 0;
}

/* --- the whole ------------------------------------------------------------------------------- */

/* TERM was not enough: the whole tree, now. */
static void end_of_grace(struct life *life) {
    if (!life->killing) {
        life->killing = true;
        life->sent = SIGKILL;
        life->deadline_us = clock_mono_us() + KILL_US;
    } else if (clock_mono_us() >= life->deadline_us) {
        tell_stuck(life);
        life->exit_code = 128 + SIGKILL;
        over(life);
        return;
    }
    rungroup_kill(life->group);
    set_timer(life, POLL_MAX_US);
}

static int on_timer(struct loop *loop, uint32_t what, void *ctx) {
    struct life *life = ctx;

    (void)loop, (void)what;
    life->has_timer = false; /* it was for once */
    switch (life->phase) {
    case PHASE_RUNNING:
        end_of_grace(life);
        break;
    case PHASE_CLEARING:
        clear_tree(life);
        break;
    case PHASE_WAITING:
        start_again(life);
        break;
    case PHASE_OVER:
        break;
    }
    return 0;
}

void life_child_oom(const struct oom_evidence *evidence, void *ctx) {
    struct life *life = ctx;

    runlog_child_oom(life->log, life->child.pid, evidence);
}

void life_run(struct life *life) {
    uint32_t id;
    int r = loop_add_fd(life->loop, life->signals, EPOLLIN, on_signal, life, &id);

    life->child = (struct launched){0, -1, -1};
    if (r < 0)
        err_set(life->err, r, "cannot wait for signals:");
    if (r < 0 || start(life) < 0) {
        life->exit_code = 125;
        return;
    }
    r = loop_run(life->loop);
    if (r < 0) {
        err_set(life->err, r, "cannot go on:");
        life->exit_code = 125;
    }
    if (life->child.pid > 0) /* the loop or a timer failed: nothing is left running unwatched */
        rungroup_kill(life->group);
    stop_timer(life);
    forget_child(life);
    loop_remove(life->loop, id);
}
