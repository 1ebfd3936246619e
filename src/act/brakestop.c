#include "act/brakestop.h"

#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <sys/syscall.h>

#include "base/clock.h"
#include "base/mem.h"
#include "kern/procfile.h"
#include "kern/procstat.h"
#include "kern/proctask.h"

enum { LOOK_US = 200 };

struct stopping {
    const struct grip *g;
    struct pidlist *pids;
    struct stopped *list;
    size_t n, sorted; /* in use; the first so many have rising pids */
    unsigned missed;
    bool stands[STOPPED_MOST]; /* all its threads; of the same place in the list */
};

enum { STANDS, STOPPED, VANISHED };

/* The pidfd is opened first: what is read after it is about the same process, or the signal finds
 * nobody. Who gets it is in the list before. A thread that a tracer holds says nothing of the
 * others. One of the above; -errno. */
static int stop_one(struct stopping *s, int32_t pid) {
    auto_close int held = (int)syscall(SYS_pidfd_open, pid, 0);
    struct procstat stat;

    if (held < 0)
        return errno == ESRCH ? VANISHED : -errno;
    if (procstat_read(s->g->host->proc, pid, &stat) < 0 || (stat.exiting && stat.threads <= 1))
        return VANISHED;
    if (stat.state == 'T')
        return STANDS;
    if (stat.kernel_thread || pid == 1)
        return -EPERM;
    if (s->n == STOPPED_MOST)
        return -ENOSPC;
    s->list[s->n] = (struct stopped){.pid = pid, .start_ticks = stat.start_ticks};
    s->n++;
    if (syscall(SYS_pidfd_send_signal, held, SIGSTOP, NULL, 0) == 0)
        return STOPPED;
    return errno == ESRCH ? VANISHED : -errno;
}

static int by_pid(const void *pid, const void *one) {
    int32_t a = *(const int32_t *)pid, b = ((const struct stopped *)one)->pid;

    return (a > b) - (a < b);
}

static bool is_listed(const struct stopping *s, int32_t pid) {
    for (size_t i = s->sorted; i < s->n; i++)
        if (s->list[i].pid == pid)
            return true;
    return s->sorted > 0 && bsearch(&pid, s->list, s->sorted, sizeof(s->list[0]), by_pid) != NULL;
}

/* Over the processes as they were listed. Whether nobody new was among them. */
static bool stop_pass(struct stopping *s) {
    bool nobody = true;

    s->missed = 0;
    for (size_t i = 0; i < s->pids->n; i++) {
        int r = is_listed(s, s->pids->pid[i]) ? STANDS : stop_one(s, s->pids->pid[i]);

        nobody = nobody && (r == STANDS || r < 0);
        s->missed += r < 0;
    }
    if (s->sorted == 0)
        s->sorted = s->n;
    return nobody;
}

static int runs(void *ctx, const struct proctask *t) {
    (void)ctx;
    return t->state != 'T' && t->state != 't' && t->state != 'Z' && t->state != 'X';
}

/* How many of those that were listed last and got a signal do not stand yet. */
static size_t count_running(struct stopping *s) {
    size_t n = 0;

    for (size_t i = 0; i < s->n; i++) {
        int r;

        if (s->stands[i] || !pidlist_has(s->pids, s->list[i].pid))
            continue;
        r = proctask_each(s->g->host->proc, s->list[i].pid, UINT_MAX, false, runs, NULL);
        s->stands[i] = r == 0 || procfile_gone(r);
        n += !s->stands[i];
    }
    return n;
}

static bool list_again(struct stopping *s) {
    pidlist_clear(s->pids);
    if (grip_pids(s->g, s->pids) < 0)
        return false;
    pidlist_sort(s->pids);
    return true;
}

/* A process that is not in the group any more has left it, or never was in it: its pid was given
 * again. */
static void let_strangers_go(const struct stopping *s) {
    for (size_t i = 0; i < s->n; i++)
        if (!pidlist_has(s->pids, s->list[i].pid))
            (void)stopped_continue_one(s->g->host->proc, &s->list[i]);
}

void brakestop(const struct grip *g, struct pidlist *pids, struct stopped *list,
               struct brakestop *out) {
    struct stopping s = {.g = g, .pids = pids, .list = list};
    int64_t until = clock_mono_us() + BRAKESTOP_US;
    size_t running = SIZE_MAX; /* before the last listing */
    bool all, late = false, listed = true;

    for (;;) {
        all = stop_pass(&s) && running == 0;
        if (all || late)
            break;
        late = clock_mono_us() >= until; /* then once more: they may have come to a stand */
        running = count_running(&s);
        if (running > 0 && !late)
            usleep(LOOK_US);
        listed = list_again(&s);
        if (!listed)
            break;
    }
    if (listed)
        let_strangers_go(&s);
    if (!all && running == 0) /* of those that came after the others stood */
        running = count_running(&s);
    *out = (struct brakestop){.stopped = s.n, .missed = s.missed, .running = running, .all = all};
}
