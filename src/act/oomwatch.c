#include "act/oomwatch.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/wait.h>
#include <unistd.h>

#include "act/oomlog.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/mem.h"
#include "kern/cgroup.h"
#include "kern/cgwatch.h"
#include "kern/kmsg.h"
#include "kern/oomcount.h"
#include "kern/procstat.h"
#include "kern/procstatus.h"

enum {
    LEVELS = 24,     /* our group and those around it that are watched */
    LOG_A_TURN = 64, /* records of the log that are read in a turn of the loop */
    LOG_AT_END = 65536,
    LOOKS = 10, /* at numbers that do not settle */
};
#define LOOK_US 100000LL /* between two looks */
#define SETTLE_US 200000LL

/* Our own group or one around it. */
struct level {
    int dir;
    size_t path_n;        /* its path is that much of `path` */
    struct cgwatch watch; /* v1 */
    uint64_t fired;       /* v1: OOMs at its limit, or at that of a group around it */
    uint64_t local, now;  /* v2: OOMs at its limit, when counting began and when it was read last */
};

/* What the counters say since counting began. */
struct counts {
    bool have_kills, have_limits;
    uint64_t kills;
    uint64_t own, inside;    /* OOMs at a limit of ours, below; inside: v2 */
    uint64_t around[LEVELS]; /* at the limit of a level: [0] is not used */
};

struct oomwatch {
    struct loop *loop;
    const struct host *host;
    const struct rungroup *group;
    oomwatch_handler *handler;
    void *ctx;
    enum cg_version version;
    int32_t main; /* 0: none runs */

    struct buf path; /* of our group, below the mount */
    unsigned levels;
    bool complete; /* all of them that can be seen are watched */
    bool at_top;   /* and none is there that cannot be seen */
    struct level level[LEVELS];

    struct cgwatch work; /* of the group that the program runs in: polled */
    uint64_t work_fired;
    struct oomcount work_base, work_now;
    bool have_work, polls_work;
    uint32_t work_id;

    struct oomlog *log;
    bool polls_log;
    uint32_t log_id;

    bool has_timer;
    uint32_t timer;
    unsigned looks;
    uint64_t seen_kills, seen_lines;

    struct oom_evidence evidence; /* that was told last */
    uint64_t told_kills;          /* since the program was started */
};

/* --- groups ---------------------------------------------------------------------------------- */

static int work_dir(const struct oomwatch *w) {
    return w->group->work[PLAN_MEMORY];
}

static struct str level_path(const struct oomwatch *w, const struct level *level) {
    return level->path_n > 0 ? str_head(buf_str(&w->path), level->path_n) : STR("/");
}

static bool add_level(struct oomwatch *w, const struct cgfs *fs, size_t path_n) {
    struct level *level = &w->level[w->levels];

    if (w->levels == LEVELS)
        return false;
    *level = (struct level){.dir = -1, .path_n = path_n, .watch = {-1, w->version}};
    level->dir = cgfs_open_dir(fs, CG_MEMORY, level_path(w, level));
    w->levels++;
    return level->dir >= 0 &&
           (w->version == CG_V2 || cgwatch_oom(level->dir, w->version, &level->watch) == 0);
}

/* Our group and those around it, but the true root, which has no limit. */
static void add_levels(struct oomwatch *w, const struct cgfs *fs) {
    struct str path = buf_str(&w->path);

    w->complete = true;
    w->at_top = fs->at_top;
    for (size_t n = path.n; n > 0; n--)
        if (n == path.n || path.p[n] == '/')
            w->complete = add_level(w, fs, n) && w->complete;
    if (!fs->at_top)
        w->complete = add_level(w, fs, 0) && w->complete;
}

static uint64_t since(uint64_t now, uint64_t base) {
    return now > base ? now - base : 0;
}

static void read_numbers(struct oomwatch *w) {
    struct oomcount now;

    w->have_work = work_dir(w) >= 0 && oomcount_read(work_dir(w), w->version, &now) == 0;
    if (w->have_work)
        w->work_now = now;
    w->work_fired += cgwatch_take(&w->work);
    for (unsigned i = 0; i < w->levels; i++) {
        struct level *level = &w->level[i];

        level->fired += cgwatch_take(&level->watch);
        if (w->version == CG_V2 && level->dir >= 0 &&
            oomcount_read(level->dir, w->version, &now) == 0 && now.have_local)
            level->now = now.local;
    }
}

/* Counting begins with the numbers that were read last. */
static void set_base(struct oomwatch *w) {
    w->work_base = w->work_now;
    w->work_fired = 0;
    for (unsigned i = 0; i < w->levels; i++) {
        w->level[i].fired = 0;
        w->level[i].local = w->level[i].now;
    }
}

/* Who is told of an OOM: the group at fault and all below it. */
static void count_v1(const struct oomwatch *w, struct counts *out) {
    for (unsigned i = 1; i < w->levels; i++)
        out->around[i] = since(w->level[i].fired, i + 1 < w->levels ? w->level[i + 1].fired : 0);
    out->own = since(w->work_fired, w->levels > 1 ? w->level[1].fired : 0);
    out->have_limits = w->work.fd >= 0;
}

static void count_v2(const struct oomwatch *w, struct counts *out) {
    uint64_t local = since(w->work_now.local, w->work_base.local);

    for (unsigned i = 1; i < w->levels; i++)
        out->around[i] = since(w->level[i].now, w->level[i].local);
    out->own = local;
    if (w->levels > 0)
        out->own += since(w->level[0].now, w->level[0].local);
    out->inside = since(since(w->work_now.ooms, w->work_base.ooms), local);
    out->have_limits = w->work_now.have_local && w->work_now.have_ooms;
}

static void count(struct oomwatch *w, struct counts *out) {
    read_numbers(w);
    memset(out, 0, sizeof(*out));
    if (w->have_work) {
        out->have_kills = w->work_now.have_kills;
        out->kills = since(w->work_now.kills, w->work_base.kills);
    }
    if (w->version == CG_V1)
        count_v1(w, out);
    else if (w->have_work)
        count_v2(w, out);
}

/* --- evidence -------------------------------------------------------------------------------- */

/* Whether the log, as far as it goes, tells if the main process was killed. */
static bool log_tells_main(const struct oomwatch *w) {
    return oomlog_fd(w->log) >= 0 && oomlog_knows_pids(w->log);
}

/* Whether the log has said all that the counter knows of. */
static bool is_told(const struct oomwatch *w, const struct counts *counts) {
    const struct oomlog_told *told = oomlog_told(w->log);

    return told->main || (counts->have_kills && told->ours >= counts->kills);
}

/* v1: who was killed in w itself was not killed at a limit below it. */
static bool killed_in_work(const struct oomwatch *w) {
    char buf[256];
    struct str text;
    struct cgroup_numbers n = {.have = 0};

    return file_read_at(work_dir(w), "memory.oom_control", buf, sizeof(buf), &text) == 0 &&
           cgroup_parse_events(text, CG_V1, &n) == 0 && cgroup_has(&n, CGROUP_OOM_KILLS) &&
           n.value[CGROUP_OOM_KILLS] > 0;
}

/* Nobody's limit that we see was met. memcg: yet some group's was. */
static void judge_none(const struct oomwatch *w, bool memcg, struct oom_evidence *out) {
    bool below = w->version == CG_V1 && !killed_in_work(w); /* v2 has counted those */

    if (!w->complete)
        return;
    if (below)
        out->whose = WHOSE_INSIDE;
    else if (w->at_top && !memcg)
        out->whose = WHOSE_HOST;
    /* v1 tells nobody of an OOM while another above or below it is being handled. */
    out->sure_whose = w->version == CG_V2 && out->whose != WHOSE_UNKNOWN;
}

/* Fills whose, sure_whose; *level_out: whose limit, of WHOSE_ANCESTOR. */
static void judge_by_counts(const struct oomwatch *w, const struct counts *counts, bool memcg,
                            struct oom_evidence *out, unsigned *level_out) {
    unsigned places = 0;

    if (!counts->have_limits)
        return;
    if (counts->inside > 0) {
        out->whose = WHOSE_INSIDE;
        places++;
    }
    for (unsigned i = w->levels; i > 1; i--)
        if (counts->around[i - 1] > 0) {
            out->whose = WHOSE_ANCESTOR;
            *level_out = i - 1;
            places++;
        }
    if (counts->own > 0) {
        out->whose = WHOSE_OWN;
        places++;
    }
    out->sure_whose = places == 1 && w->complete;
    if (places == 0)
        judge_none(w, memcg, out);
}

static void set_text(char *dst, size_t size, struct str s) {
    if (str_copy(s, dst, size) < 0)
        dst[0] = '\0';
}

/* The hard limit of dir/rel, with rel "" or "a/b/". */
static uint64_t limit_of(const struct oomwatch *w, int dir, const char *rel) {
    char name[sizeof(((struct oom_evidence *)0)->path) + 64], buf[64];
    const char *file = w->version == CG_V1 ? "memory.limit_in_bytes" : "memory.max";
    struct str text;
    uint64_t limit;

    snprintf(name, sizeof(name), "%s%s%s", rel, rel[0] ? "/" : "", file);
    if (dir < 0 || file_read_at(dir, name, buf, sizeof(buf), &text) < 0 ||
        cgroup_parse_number(text, &limit) < 0 || limit == CGROUP_NO_LIMIT)
        return 0;
    return limit;
}

static void name_own(const struct oomwatch *w, struct oom_evidence *out) {
    uint64_t limit = w->group->limits.limit;

    out->limit = limit != RUNGROUP_UNSET ? limit : limit_of(w, work_dir(w), "");
    set_text(out->path, sizeof(out->path), buf_str(&w->path));
}

static void name_level(const struct oomwatch *w, const struct level *level,
                       struct oom_evidence *out) {
    if (w->version == CG_V1 && level == &w->level[w->levels - 1] && !w->at_top)
        return; /* it, or one around it that we do not see */
    out->limit = limit_of(w, level->dir, "");
    set_text(out->path, sizeof(out->path), level_path(w, level));
}

/* below: "/w/sub" */
static void name_inside(const struct oomwatch *w, const char *below, struct oom_evidence *out) {
    struct str ours = buf_str(&w->path), rest = str_of(below);

    if (rest.n < 2 || ours.n + rest.n >= sizeof(out->path))
        return;
    memcpy(out->path, ours.p, ours.n);
    memcpy(out->path + ours.n, below, rest.n + 1);
    if (w->levels > 0)
        out->limit = limit_of(w, w->level[0].dir, below + 1);
}

static const struct level *find_level(const struct oomwatch *w, size_t up) {
    for (unsigned i = 1; i < w->levels; i++)
        if (w->level[i].path_n > 0 && w->level[0].path_n - w->level[i].path_n == up)
            return &w->level[i];
    return NULL;
}

static void judge_by_log(const struct oomwatch *w, const struct oomlog_kill *kill,
                         struct oom_evidence *out) {
    const struct level *level;

    out->whose = kill->whose;
    out->sure_whose = kill->sure;
    switch (kill->whose) {
    case WHOSE_OWN:
        name_own(w, out);
        break;
    case WHOSE_ANCESTOR:
        level = find_level(w, kill->up);
        if (level)
            name_level(w, level, out);
        if (!out->path[0])
            set_text(out->path, sizeof(out->path), str_of(kill->path));
        break;
    case WHOSE_INSIDE:
        name_inside(w, kill->path, out);
        break;
    case WHOSE_UNKNOWN:
    case WHOSE_HOST:
    case WHOSE_N:
        break;
    }
}

/* Whether the main process was among those killed, with what the log has told by now. */
static enum maybe was_main_killed(const struct oomwatch *w, const struct counts *counts) {
    const struct oomlog_told *told = oomlog_told(w->log);

    if (told->main)
        return MAYBE_YES;
    if (counts->have_kills && counts->kills == 0 && told->ours == 0)
        return MAYBE_NO;
    if (!log_tells_main(w))
        return MAYBE_UNKNOWN;
    if (counts->have_kills && told->ours >= counts->kills)
        return MAYBE_NO;
    return !told->lost && told->ours + told->maybe >= counts->kills ? MAYBE_NO : MAYBE_UNKNOWN;
}

/* The kill to tell of: of the main process, else the last. NULL when the log has none. */
static const struct oomlog_kill *told_kill(const struct oomwatch *w, const struct counts *counts) {
    const struct oomlog_told *told = oomlog_told(w->log);

    if (told->main)
        return &told->of_main;
    if (told->ours > 0)
        return &told->last;
    /* As many unknown victims as ours that were killed: then they are ours. */
    return told->maybe > 0 && told->maybe == counts->kills ? &told->last_maybe : NULL;
}

static void gather(const struct oomwatch *w, const struct counts *counts,
                   struct oom_evidence *out) {
    const struct oomlog_told *told = oomlog_told(w->log);
    const struct oomlog_kill *kill = told_kill(w, counts), *other;
    unsigned level = 0;

    memset(out, 0, sizeof(*out));
    out->have_kills = counts->have_kills;
    out->kills = (counts->kills > told->ours ? counts->kills : told->ours) - told->again;
    out->main = was_main_killed(w, counts);
    out->log_lost = told->lost || told->ours + told->maybe < counts->kills;
    if (out->kills == 0)
        return;
    if (kill)
        judge_by_log(w, kill, out);
    if (out->whose == WHOSE_UNKNOWN) {
        judge_by_counts(w, counts, kill && kill->memcg, out, &level);
        if (out->whose == WHOSE_OWN)
            name_own(w, out);
        else if (out->whose == WHOSE_ANCESTOR)
            name_level(w, &w->level[level], out);
    }
    other = told->last.pid > 0 ? &told->last : kill != &told->of_main ? kill : NULL;
    if (other) {
        out->pid = other->pid;
        set_text(out->comm, sizeof(out->comm), str_of(other->comm));
    }
}

/* --- while the program runs ------------------------------------------------------------------ */

static int on_look(struct loop *loop, uint32_t what, void *ctx);

static void look_soon(struct oomwatch *w) {
    if (!w->has_timer && w->main > 0)
        w->has_timer = loop_add_timer(w->loop, LOOK_US, 0, on_look, w, &w->timer) == 0;
}

static void stop_looking(struct oomwatch *w) {
    if (w->has_timer)
        loop_remove(w->loop, w->timer);
    w->has_timer = false;
    w->looks = 0;
    w->seen_kills = w->seen_lines = UINT64_MAX;
}

/* The main process ends or has ended: then its verdict will account for what was counted. If it is
 * not, it was none of those counted: the kernel sends SIGKILL right after it counts, and that stays
 * pending until the process is marked as exiting. (Not our child: /proc is another pid namespace's,
 * and tells nothing.) */
static bool main_is_ending(const struct oomwatch *w) {
    siginfo_t info = {.si_pid = 0};
    struct procstatus status;
    struct procstat stat;

    if (waitid(P_PID, (id_t)w->main, &info, WEXITED | WNOHANG | WNOWAIT) < 0 || info.si_pid != 0)
        return true;
    if (procstatus_read(w->host->proc, w->main, &status) < 0 ||
        !(status.have & 1U << PROCSTATUS_PENDING) ||
        status.value[PROCSTATUS_PENDING] & UINT64_C(1) << (SIGKILL - 1))
        return true;
    /* The flag comes after the signal is no longer pending: it has to be read last. */
    return procstat_read(w->host->proc, w->main, &stat) < 0 || stat.exiting ||
           stat.ppid != getpid();
}

/* Numbers still move, or the log and the counters do not agree yet. */
static bool want_another_look(struct oomwatch *w, const struct counts *counts) {
    const struct oomlog_told *told = oomlog_told(w->log);
    uint64_t lines = told->ours + told->maybe;
    bool moved = counts->kills != w->seen_kills || lines != w->seen_lines;
    bool differs = lines < counts->kills || told->ours > counts->kills;

    w->seen_kills = counts->kills;
    w->seen_lines = lines;
    w->looks++;
    return (moved || (differs && oomlog_fd(w->log) >= 0)) && w->looks < LOOKS;
}

static void tell(struct oomwatch *w, const struct counts *counts) {
    gather(w, counts, &w->evidence);
    w->evidence.main = MAYBE_NO;
    w->told_kills += w->evidence.kills;
    set_base(w);
    oomlog_clear(w->log);
    w->handler(&w->evidence, w->ctx);
}

static int on_look(struct loop *loop, uint32_t what, void *ctx) {
    struct oomwatch *w = ctx;
    struct counts counts;

    (void)loop, (void)what;
    w->has_timer = false;
    count(w, &counts);
    oomlog_read(w->log, LOG_A_TURN);
    if (counts.kills == 0 && oomlog_told(w->log)->ours == 0) {
        stop_looking(w);
    } else if (oomlog_told(w->log)->main || main_is_ending(w) || want_another_look(w, &counts)) {
        look_soon(w);
    } else {
        stop_looking(w);
        tell(w, &counts);
    }
    return 0;
}

static int on_event(struct loop *loop, uint32_t what, void *ctx) {
    struct oomwatch *w = ctx;

    (void)loop, (void)what;
    w->work_fired += cgwatch_take(&w->work);
    look_soon(w);
    return 0;
}

static void stop_polling_log(struct oomwatch *w) {
    if (w->polls_log)
        loop_remove(w->loop, w->log_id);
    w->polls_log = false;
}

static int on_log(struct loop *loop, uint32_t what, void *ctx) {
    struct oomwatch *w = ctx;

    (void)loop, (void)what;
    oomlog_read(w->log, LOG_A_TURN);
    if (oomlog_fd(w->log) < 0)
        stop_polling_log(w);
    if (oomlog_told(w->log)->ours > 0 || oomlog_told(w->log)->maybe > 0)
        look_soon(w);
    return 0;
}

/* --- one life -------------------------------------------------------------------------------- */

static void stop_watching_work(struct oomwatch *w) {
    if (w->polls_work)
        loop_remove(w->loop, w->work_id);
    w->polls_work = false;
    cgwatch_close(&w->work);
}

void oomwatch_begin(struct oomwatch *w) {
    stop_looking(w);
    stop_watching_work(w);
    w->main = 0;
    w->told_kills = 0;
    if (work_dir(w) >= 0 && cgwatch_oom(work_dir(w), w->version, &w->work) == 0)
        w->polls_work = loop_add_fd(w->loop, w->work.fd, cgwatch_poll_events(&w->work), on_event, w,
                                    &w->work_id) == 0;
    w->work_now = (struct oomcount){0};
    read_numbers(w);
    set_base(w);
    oomlog_begin(w->log);
}

void oomwatch_main(struct oomwatch *w, int32_t main) {
    w->main = main;
    oomlog_main(w->log, main);
}

/* A wrapper may take its time before it ends as its child did. */
static void add_earlier(const struct oomwatch *w, struct oom_evidence *out) {
    struct oom_evidence now = *out;

    if (w->told_kills > 0 && now.kills == 0) {
        *out = w->evidence;
        out->have_kills = now.have_kills;
        out->kills = 0;
        out->main = now.main;
        out->log_lost = now.log_lost;
    }
    out->earlier = w->told_kills;
}

void oomwatch_settle(struct oomwatch *w, struct oom_evidence *out) {
    int64_t until = clock_mono_us() + SETTLE_US;
    struct counts counts;

    stop_looking(w);
    for (;;) {
        struct pollfd p = {.fd = oomlog_fd(w->log), .events = POLLIN};

        count(w, &counts);
        oomlog_read(w->log, LOG_AT_END);
        if (is_told(w, &counts) || oomlog_fd(w->log) < 0 || clock_mono_us() >= until)
            break;
        (void)poll(&p, 1, 10); /* POLLERR stands while records are lost: never longer than until */
    }
    gather(w, &counts, out);
    add_earlier(w, out);
    w->main = 0;
}

/* --- its own life ---------------------------------------------------------------------------- */

static int open_log(const struct host *h) {
    char path[sizeof(h->prefix) + 16];

    snprintf(path, sizeof(path), "%s/dev/kmsg", h->prefix);
    return kmsg_open(path);
}

static int prepare(struct oomwatch *w, const struct host *h, const struct cgfs *fs) {
    int r;

    buf_init(&w->path, 2 * sizeof(w->group->place->path[0]));
    place_add_path(w->group->place, PLAN_MEMORY, w->group->rel, &w->path);
    r = buf_error(&w->path);
    if (r < 0)
        return r;
    r = oomlog_open(h, fs, buf_str(&w->path), open_log(h), &w->log);
    if (r < 0)
        return r;
    add_levels(w, fs);
    if (oomlog_fd(w->log) >= 0)
        w->polls_log = loop_add_fd(w->loop, oomlog_fd(w->log), EPOLLIN, on_log, w, &w->log_id) == 0;
    return 0;
}

int oomwatch_new(struct loop *loop, const struct host *h, const struct cgfs *fs,
                 const struct rungroup *group, oomwatch_handler *handler, void *ctx,
                 struct oomwatch **out) {
    struct oomwatch *w = calloc(1, sizeof(*w));
    int r;

    if (!w)
        return -ENOMEM;
    w->loop = loop;
    w->host = h;
    w->group = group;
    w->handler = handler;
    w->ctx = ctx;
    w->version = fs->ctl[CG_MEMORY].version;
    w->work = (struct cgwatch){-1, w->version};
    r = prepare(w, h, fs);
    if (r < 0) {
        oomwatch_free(w);
        return r;
    }
    *out = w;
    return 0;
}

void oomwatch_free(struct oomwatch *w) {
    if (!w)
        return;
    stop_looking(w);
    stop_watching_work(w);
    stop_polling_log(w);
    for (unsigned i = 0; i < w->levels; i++) {
        cgwatch_close(&w->level[i].watch);
        mem_close_fd(&w->level[i].dir);
    }
    oomlog_free(w->log);
    buf_done(&w->path);
    free(w);
}
