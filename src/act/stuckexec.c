#include "act/stuckexec.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>

#include "act/killer.h"
#include "base/mem.h"
#include "kern/procstat.h"

enum { GONE_TRIES = 100, GONE_MS = 5 };

static int collect(const struct candidate *c, size_t n, const struct policy *p,
                   struct stuckexec *out) {
    int found = 0;

    for (size_t i = 0; i < n && found < STUCKEXEC_MOST; i++) {
        if (!c[i].stuck_exec || c[i].init || victim_is_protected(&c[i], p))
            continue;
        out[found] = (struct stuckexec){.pid = c[i].pid, .start_ticks = c[i].start_ticks};
        (void)str_copy(str_of(c[i].comm), out[found].comm, sizeof(out[found].comm));
        found++;
    }
    return found;
}

int stuckexec_find(struct grip *g, const struct policy *p, struct stuckexec out[STUCKEXEC_MOST]) {
    const struct candidate *c;
    struct killer *k;
    size_t n;
    int r = killer_new(&k);

    if (r < 0)
        return r;
    r = killer_look(k, g, &c, &n);
    if (r == 0)
        r = collect(c, n, p, out);
    killer_free(k);
    return r;
}

int stuckexec_end(const struct grip *g, const struct stuckexec *e) {
    int r = killer_send(g, e->pid, e->start_ticks, SIGKILL);
    struct procstat stat;

    if (r < 0)
        return r;
    for (int i = 0; i < GONE_TRIES; i++) {
        if (procstat_read(g->host->proc, e->pid, &stat) < 0 || stat.start_ticks != e->start_ticks ||
            stat.exiting)
            return 0;
        (void)poll(NULL, 0, GONE_MS);
    }
    return -EBUSY;
}
