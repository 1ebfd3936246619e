#include "engine/guardproc.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "act/dump.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "engine/guardbox.h"
#include "engine/guardlog.h"
#include "engine/guardtable.h"
#include "guard/auditlog.h"
#include "guard/guards.h"
#include "kern/procstatm.h"

enum {
    SELF_US = 5 * 1000000,
    RETRY_EVERY = 6,     /* looks at ourselves: groups that could not be guarded are tried again */
    AT_ONCE = 8,         /* messages in a turn: opening groups must not delay what is urgent */
    GROUP_FDS = 8,       /* descriptors of a group at least, */
    GROUP_FDS_MOST = 40, /* and at most, with limits above it */
    SPARE_FDS = 64,      /* left for the rest: pipes of those who do what takes long */
    GROUPS_LEAST = 16,
    GROUPS_MOST = 4096,
    NICE = -15,
    PATH = 4096,
};

static const char OOM_SCORE[] = "-950"; /* where we may */

struct guardproc {
    struct guardproc_options o;
    struct loop *loop;
    struct host host;
    struct cgfs fs;
    struct guards *guards;
    struct guardtable *table;
    struct guardbox *box;
    struct guardlog log;
    struct guardpolicies policies;
    struct job asking;
    uint32_t asking_id;
    bool is_asking, ask_again;
    int audit;
    unsigned most, looks;
    int fds;              /* descriptors that we may have */
    uint64_t nonce, boot; /* of our question; of the collector that answered, 0: none has yet */
    char dumps[PATH];
    struct buf line;
    uint8_t memory[WIRE_MESSAGE];
    char listens[WIRE_TEXT + 1]; /* where programs are told; "": nowhere */
    bool lost;                   /* what was there was removed, and cannot be made anew */
    struct err *err;
};

/* --- records ------------------------------------------------------------------------------------
 */

static void on_record(void *ctx, const struct audit *a) {
    static struct wire_audit told;
    struct guardproc *g = ctx;
    struct wire_out out;

    told.audit = *a;
    told.uid = guardtable_uid(g->table, str_of(a->path));
    wire_begin(&out, g->memory, sizeof(g->memory), WIRE_AUDIT, g->boot);
    (void)wire_add_audit(&out, &told); /* fits */
    guardbox_put(g->box, &out);
    guardbox_flush(g->box);
    guardlog_tell(&g->log, a, clock_mono_us() / 1000);
}

static void copy(struct str s, char *out, size_t size) {
    (void)str_copy(str_head(s, s.n < size ? s.n : size - 1), out, size);
}

/* What the configuration asks for and cannot be had must not be found out when it is too late. */
static void on_failed(void *ctx, struct str path, struct str name, const struct policy *p,
                      const char *why) {
    static struct audit a;
    struct guardproc *g = ctx;

    log_line(LOG_BAD, "'%.*s' cannot be guarded by %s: %s", STR_ARG(name), p->name, why);
    a = (struct audit){.kind = AUDIT_OVER, .at_ms = clock_wall_ms(), .by = "agent"};
    auditlog_id(a.id, a.at_ms);
    copy(name, a.name, sizeof(a.name));
    copy(path, a.path, sizeof(a.path));
    copy(str_of(p->name), a.guard, sizeof(a.guard));
    a.dry_run = p->dry_run;
    (void)report_failed(&a.report, "", "cannot be guarded: %s", why);
    (void)auditlog_write(g->audit, &a, NULL, &g->line);
    on_record(g, &a);
}

/* --- guarding -----------------------------------------------------------------------------------
 */

/* The lowest that is free tells how many there are: none is left out below. */
static bool has_descriptors(const struct guardproc *g) {
    int lowest = fcntl(g->o.collector, F_DUPFD_CLOEXEC, 0);

    if (lowest >= 0)
        close(lowest);
    return lowest >= 0 && lowest < g->fds - SPARE_FDS - GROUP_FDS_MOST;
}

static int on_begin(void *ctx, unsigned id, struct str path, struct str name,
                    const struct policy *p, struct err *err) {
    struct guardproc *g = ctx;
    int r = has_descriptors(g) ? guards_add(g->guards, id, path, name, p, err) : -EMFILE;

    if (r == -EMFILE)
        return err_set(err, r, "%d descriptors do not suffice (LimitNOFILE=, ulimit -n)", g->fds);
    return r;
}

static void on_end(void *ctx, unsigned id, const char *why) {
    guards_remove(((struct guardproc *)ctx)->guards, id, why);
}

static void on_gone(void *ctx, unsigned id) {
    guardtable_lost(((struct guardproc *)ctx)->table, id);
}

/* --- the collector ------------------------------------------------------------------------------
 */

static void say(struct guardproc *g, struct wire_out *out) {
    guardbox_put(g->box, out);
    guardbox_flush(g->box);
}

static void ask_for_all(struct guardproc *g) {
    struct wire_hello hello = {.boot = 0};
    struct wire_out out;

    if (getrandom(&g->nonce, sizeof(g->nonce), GRND_NONBLOCK) != sizeof(g->nonce))
        g->nonce = (uint64_t)clock_wall_ms() << 20 ^ (uint64_t)clock_mono_us();
    g->boot = 0;
    hello.last_seq = g->nonce;
    wire_begin(&out, g->memory, sizeof(g->memory), WIRE_HELLO, 0);
    (void)wire_add_hello(&out, &hello);
    say(g, &out);
}

static void take_start(struct guardproc *g, const struct wire_start *s) {
    if (s->ask) {
        ask_for_all(g);
        return;
    }
    if ((uint64_t)s->start_ms != g->nonce)
        return; /* an answer to somebody before us */
    g->boot = s->boot;
    guardtable_anew(g->table);
}

static enum wire_acted_word do_what_is_asked(struct guardproc *g, const struct wire_act *a,
                                             char id[AUDIT_ID]) {
    int group = guardtable_id(g->table, a->uid), r;

    if (group < 0)
        return WIRE_ACTED_UNGUARDED;
    r = guards_ask(g->guards, (unsigned)group, a->action, "api", id);
    return r == 0         ? WIRE_ACTED_BEGUN
           : r == -EACCES ? WIRE_ACTED_REFUSED
           : r == -EBUSY  ? WIRE_ACTED_BUSY
                          : WIRE_ACTED_FAILED;
}

static void take_act(struct guardproc *g, const struct wire_act *a) {
    struct wire_acted acted = {.request = a->request};
    struct wire_out out;

    acted.word = do_what_is_asked(g, a, acted.id);
    wire_begin(&out, g->memory, sizeof(g->memory), WIRE_ACTED, 0);
    (void)wire_add_acted(&out, &acted);
    say(g, &out);
}

static void tell_self(struct guardproc *g, bool ends) {
    uint64_t value[WIRE_SELF_N] = {[WIRE_SELF_GUARD_STARTS] = g->o.starts};
    struct guardtable_figures f;
    struct procstatm m;
    struct wire_out out;

    guardtable_figures(g->table, &f);
    if (!ends) {
        value[WIRE_SELF_GUARDS] = g->policies.n;
        value[WIRE_SELF_GUARDED] = f.guarded;
        value[WIRE_SELF_GUARD_FAILED] = f.failed;
        if (procstatm_read(g->host.proc, (int32_t)getpid(), &m) == 0)
            value[WIRE_SELF_GUARD_RSS] = m.res;
    }
    value[WIRE_SELF_GUARD_CPU_US] = (uint64_t)(clock_cpu_us() + clock_children_cpu_us());
    wire_begin(&out, g->memory, sizeof(g->memory), WIRE_SELF, 0);
    (void)wire_add_self(&out, value);
    say(g, &out);
}

static bool take_known(struct guardproc *g, enum wire_kind kind, struct wire_in in) {
    struct wire_target target;
    struct wire_gone gone;
    struct wire_tick tick;
    struct wire_act act;

    if (kind == WIRE_TARGET && wire_read_target(&in, &target) == 0)
        guardtable_see(g->table, &g->policies, &target);
    else if (kind == WIRE_GONE && wire_read_gone(&in, &gone) == 0)
        guardtable_gone(g->table, gone.uid);
    else if (kind == WIRE_TICK && wire_read_tick(&in, &tick) == 0) {
        guardtable_told(g->table);
        tell_self(g, false);
    } else if (kind == WIRE_ACT && wire_read_act(&in, &act) == 0)
        take_act(g, &act);
    else
        return false;
    return true;
}

static void take(struct guardproc *g, struct wire_in in) {
    struct wire_start start;
    struct wire_head head;
    bool known = wire_read_head(&in, &head) == 0;

    if (known && head.kind == WIRE_START && wire_read_start(&in, &start) == 0)
        take_start(g, &start);
    else if (known && g->boot != 0)
        known = take_known(g, head.kind, in);
    if (!known)
        log_line(LOG_WARN, "the collector said something that is no message");
}

static int on_collector(struct loop *loop, uint32_t what, void *ctx) {
    static uint8_t memory[WIRE_MESSAGE];
    struct guardproc *g = ctx;

    (void)loop, (void)what;
    for (unsigned i = 0; i < AT_ONCE; i++) {
        ssize_t n = recv(g->o.collector, memory, sizeof(memory), MSG_DONTWAIT);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            break;
        take(g, (struct wire_in){memory, (size_t)n});
    }
    guardbox_flush(g->box);
    return 0;
}

/* --- ourselves ----------------------------------------------------------------------------------
 */

/* It guards without it, too: what is at the place may be gone later. */
static void listen_again(struct guardproc *g, bool tells) {
    const char *path = g->policies.pressure;
    bool same = strcmp(path, g->listens) == 0;
    struct err err;

    if (same && (path[0] == '\0' || guards_listens(g->guards, path)))
        return;
    if (!same) {
        (void)guards_listen(g->guards, NULL, &err);
        g->listens[0] = '\0';
    }
    if (path[0] == '\0')
        return;
    if (guards_listen(g->guards, path, &err) == 0) {
        if (same)
            log_line(LOG_NOTE, "'%s' was gone: the socket is made anew", path);
        memcpy(g->listens, path, sizeof(g->listens));
        g->lost = false;
    } else if (tells || (same && !g->lost)) {
        g->lost = same;
        log_line(LOG_BAD, "%s: %s; it is tried again",
                 same ? "no more programs can be told" : "programs are told nothing", err.text);
    }
}

static int on_self(struct loop *loop, uint32_t what, void *ctx) {
    struct guardproc *g = ctx;

    (void)loop, (void)what;
    if (++g->looks % RETRY_EVERY == 0) {
        guardtable_retry(g->table, &g->policies);
        listen_again(g, false);
    } else if (g->listens[0] != '\0' && !g->lost) {
        listen_again(g, false); /* in case that others have removed it */
    }
    tell_self(g, false);
    return 0;
}

static int on_end_signal(struct loop *loop, uint32_t what, void *ctx) {
    (void)what, (void)ctx;
    loop_stop(loop);
    return 0;
}

/* --- the configuration --------------------------------------------------------------------------
 */

static int take_policies(struct guardproc *g, struct loop *loop) {
    struct guardpolicies now;

    if (guardpolicies_parse(buf_str(&g->asking.answer), &now) < 0) {
        log_line(LOG_BAD, "the front's executable said nothing that is guards: as before");
        return 0;
    }
    if (guardpolicies_keep(g->o.memory, buf_str(&g->asking.answer)) < 0)
        log_line(LOG_WARN, "cannot keep the guards' policies");
    guardtable_policies(g->table, &g->policies, &now);
    guardpolicies_done(&g->policies);
    g->policies = now;
    log_line(LOG_NOTE, "%u guards in the configuration", now.n);
    if (now.n == 0) {
        loop_stop(loop);
        return 0;
    }
    listen_again(g, true);
    ask_for_all(g);
    return 0;
}

static void ask_configuration(struct guardproc *g);

static int on_answer(struct loop *loop, uint32_t what, void *ctx) {
    struct guardproc *g = ctx;
    enum job_state state = job_poll(&g->asking, loop_now_us(loop));

    (void)what;
    if (state == JOB_RUNNING)
        return 0;
    loop_remove(loop, g->asking_id);
    g->is_asking = false;
    if (state != JOB_DONE)
        log_line(LOG_BAD, "the configuration cannot be read: it guards as before");
    else
        (void)take_policies(g, loop);
    if (g->ask_again)
        ask_configuration(g);
    return 0;
}

static void ask_configuration(struct guardproc *g) {
    g->ask_again = g->is_asking; /* what is being read may be older than the signal */
    if (g->is_asking)
        return;
    if (guardpolicies_begin(&g->asking, g->o.front) < 0)
        log_line(LOG_BAD, "the configuration cannot be read: it guards as before");
    else
        g->is_asking =
            loop_add_fd(g->loop, g->asking.fd, EPOLLIN, on_answer, g, &g->asking_id) == 0;
}

static int on_reload(struct loop *loop, uint32_t what, void *ctx) {
    (void)loop, (void)what;
    ask_configuration(ctx);
    return 0;
}

/* --- start and end ------------------------------------------------------------------------------
 */

static unsigned raise_descriptors(struct guardproc *g) {
    struct rlimit limit;
    uint64_t groups;

    if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
        return GROUPS_LEAST;
    limit.rlim_cur = limit.rlim_max;
    (void)setrlimit(RLIMIT_NOFILE, &limit);
    g->fds = limit.rlim_cur < INT_MAX ? (int)limit.rlim_cur : INT_MAX;
    groups = limit.rlim_cur / GROUP_FDS;
    return groups < GROUPS_LEAST  ? GROUPS_LEAST
           : groups > GROUPS_MOST ? GROUPS_MOST
                                  : (unsigned)groups;
}

static void lower_oom_score(void) {
    auto_close int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);

    if (fd >= 0 && write(fd, OOM_SCORE, strlen(OOM_SCORE)) < 0)
        log_line(LOG_INFO,
                 "the kernel's OOM killer may choose it: oom_score_adj cannot be lowered");
}

static int open_table(struct guardproc *g) {
    const struct guardtable_caller caller = {
        .begin = on_begin, .end = on_end, .failed = on_failed, .ctx = g};
    char own[PATH];

    if (cgfs_own_path(&g->host, &g->fs, own, sizeof(own)) < 0)
        own[0] = '\0'; /* it lies outside of what we can see, and guard */
    return guardtable_new(&caller, g->most, str_of(own), &g->table);
}

static int open_guards(struct guardproc *g) {
    char where[PATH];
    const char *path = g->o.audit                                         ? g->o.audit
                       : auditlog_default_path(where, sizeof(where)) == 0 ? where
                                                                          : NULL;
    const struct guards_options options = {
        .host = &g->host,
        .fs = &g->fs,
        .loop = g->loop,
        .by = "agent",
        .audit = g->audit,
        .audit_path = path,
        .tell = on_record,
        .gone = on_gone,
        .ctx = g,
        .dump_dir = g->dumps[0] ? g->dumps : NULL,
        .agent_socket = g->policies.socket[0] ? g->policies.socket : NULL,
        .most = g->most,
    };

    return guards_new(&options, &g->guards, g->err);
}

static int join(struct guardproc *g) {
    int r = loop_add_fd(g->loop, g->o.collector, EPOLLIN, on_collector, g, NULL);

    if (r == 0)
        r = loop_add_fd(g->loop, g->o.life, EPOLLIN, on_end_signal, g, NULL);
    if (r == 0)
        r = loop_add_timer(g->loop, SELF_US / 5, SELF_US, on_self, g, NULL);
    if (r == 0)
        r = loop_add_signal(g->loop, SIGTERM, on_end_signal, g, NULL);
    if (r == 0)
        r = loop_add_signal(g->loop, SIGINT, on_end_signal, g, NULL);
    return r < 0 ? r : loop_add_signal(g->loop, SIGHUP, on_reload, g, NULL);
}

/* Dumps lie beside the records: by default /var/log/plimsoll/dumps as for the commands. */
static int name_dumps(struct guardproc *g) {
    ptrdiff_t slash = g->o.audit ? str_rfind(str_of(g->o.audit), '/') : -1;
    int n;

    if (slash < 0)
        return dump_default_dir(g->dumps, sizeof(g->dumps));
    n = snprintf(g->dumps, sizeof(g->dumps), "%.*s/dumps", (int)slash, g->o.audit);
    return n < 0 || (size_t)n >= sizeof(g->dumps) ? -ENAMETOOLONG : 0;
}

static int prepare(struct guardproc *g) {
    int r = host_open(NULL, &g->host, g->err);

    if (r == 0)
        r = cgfs_open(&g->host, &g->fs, g->err);
    if (r < 0)
        return r;
    g->audit = auditlog_open(g->o.audit, g->err);
    if (g->audit < 0)
        return g->audit; /* nothing is done that is not written down */
    if (name_dumps(g) < 0)
        g->dumps[0] = '\0';
    g->most = raise_descriptors(g);
    buf_init(&g->line, 2 * AUDITLOG_LINE);
    r = buf_room(&g->line, AUDITLOG_LINE) ? loop_new(&g->loop) : -ENOMEM;
    if (r == 0)
        r = guardbox_new(g->o.collector, &g->box);
    if (r == 0)
        r = open_table(g);
    if (r == 0)
        r = join(g);
    if (r < 0)
        return err_set(g->err, r, "cannot start the guard:");
    return open_guards(g);
}

static int load(struct guardproc *g) {
    int r = guardpolicies_kept(g->o.memory, &g->policies);

    if (r == 0)
        return 0;
    r = guardpolicies_ask(&g->asking, g->o.front, &g->policies);
    if (r == 0)
        r = guardpolicies_keep(g->o.memory, buf_str(&g->asking.answer));
    return r < 0 ? err_set(g->err, r, "the guards of the configuration cannot be read:") : 0;
}

static void done(struct guardproc *g) {
    guards_free(g->guards);
    if (g->box && g->table)
        tell_self(g, true);
    job_done(&g->asking);
    guardtable_free(g->table);
    guardbox_free(g->box);
    guardpolicies_done(&g->policies);
    buf_done(&g->line);
    loop_free(g->loop);
    if (g->audit >= 0)
        close(g->audit);
    cgfs_done(&g->fs);
    host_done(&g->host);
}

static int guard(struct guardproc *g) {
    int r = prepare(g);

    if (r < 0)
        return r;
    listen_again(g, true);
    lower_oom_score();
    (void)setpriority(PRIO_PROCESS, 0, NICE);
    if (guards_lock(g->err) < 0)
        log_line(LOG_NOTE, "%s", g->err->text);
    ask_for_all(g);
    return loop_run(g->loop);
}

int guardproc_run(const struct guardproc_options *options, struct err *err) {
    static struct guardproc g; /* with its rooms: locked as a whole */
    int r;

    g = (struct guardproc){
        .o = *options, .host = {.root = -1, .proc = -1}, .audit = -1, .err = err};
    for (unsigned i = 0; i < CG_CTL_N; i++)
        g.fs.ctl[i].dir = -1;
    job_init(&g.asking, GUARDPOLICIES_BYTES);
    prctl(PR_SET_NAME, "plimsoll-guard");
    err_set(err, 0, "the guard ended");
    r = load(&g);
    if (r == 0 && g.policies.n > 0)
        r = guard(&g);
    done(&g);
    return r;
}
