#include "runtime/nodeready.h"

#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "kern/procstat.h"

enum {
    STARTED_CPU_MS = 2000, /* a start takes 40 to 300 */
    STARTED_AGE_MS = 1500,
    LOOK_US = 10 * 1000,
    CALM_LOOKS = 5,
    STUCK_LOOKS = 30,
};

static void pause_us(int64_t us) {
    const struct timespec t = {.tv_sec = us / 1000000, .tv_nsec = us % 1000000 * 1000};

    nanosleep(&t, NULL);
}

/* What the kernel says about its main thread; "" when it is not in a wait that is known. */
static void waits_in(const struct rtproc *p, char *out, size_t size) {
    struct str text;

    if (file_read_at(p->dir, "wchan", out, size - 1, &text) < 0)
        text = STR("");
    out[text.n] = '\0';
    if (text.n == 1 && out[0] == '0')
        out[0] = '\0';
}

/* Its age and the CPU time it has used, ms. */
static int64_t ms_of(uint64_t ticks) {
    return (int64_t)(ticks * 1000 / (uint64_t)sysconf(_SC_CLK_TCK));
}

static int64_t age_ms(const struct procstat *s) {
    struct timespec now;

    clock_gettime(CLOCK_BOOTTIME, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000 - ms_of(s->start_ticks);
}

enum node_ready node_wait_ready(const struct rtproc *p, int64_t deadline_us, char *where,
                                size_t size) {
    unsigned calm = 0, stuck = 0;
    uint64_t before = UINT64_MAX;

    for (;;) {
        struct procstat stat;
        uint64_t ticks;
        bool rests;

        if (rtproc_same(p) < 0 || procstat_read(p->host->proc, p->pid, &stat) < 0)
            return NODE_GONE;
        waits_in(p, where, size);
        ticks = stat.user_ticks + stat.system_ticks;
        rests = stat.state == 'S' &&
                (where[0] == '\0' || strstr(where, "ep_poll") || strstr(where, "epoll"));
        if (ms_of(ticks) >= STARTED_CPU_MS && (rests || stat.state == 'R'))
            return NODE_READY;
        calm = rests && ticks == before ? calm + 1 : 0;
        stuck = rests || stat.state == 'R' ? 0 : stuck + 1;
        before = ticks;
        if (age_ms(&stat) >= STARTED_AGE_MS && calm >= CALM_LOOKS)
            return NODE_READY;
        if (age_ms(&stat) >= STARTED_AGE_MS && stuck >= STUCK_LOOKS)
            return NODE_STUCK;
        if (clock_mono_us() >= deadline_us)
            return NODE_STARTING;
        pause_us(LOOK_US);
    }
}
