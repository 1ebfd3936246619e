#include "engine/collector.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "engine/guardfeed.h"
#include "engine/notify.h"
#include "engine/watch.h"
#include "kern/procstatm.h"

enum {
    RING_LEAST = 4 << 20,
    SELF_US = 5 * 1000000,
    NICE = -10,                /* where we may */
    SILENCE_US = 30 * 1000000, /* the front says something every few seconds */
    ALONE_US = 10 * 1000000,   /* so long without a HELLO: watches as the defaults have it */
};

static const char OOM_SCORE[] = "-900"; /* where we may */

struct collector {
    struct collector_options o;
    struct loop *loop;
    struct host host;
    struct cgfs fs;
    struct link *link;
    struct watch *watch;
    struct guardfeed *guard;
    struct wire_hello settings;
    uint64_t boot, hellos;
    int64_t start_ms;
    uint32_t next_uid;
    bool ready;
    int64_t heard_us; /* from the front, last */
    struct err *err;
};

static const struct wire_hello defaults = {
    .interval_ms = 1000, .fastest_ms = 100, .targets = WIRE_TARGETS_SERVICES, .processes = 10};

/* --- settings --------------------------------------------------------------------------------- */

static int64_t within(uint64_t ms, uint64_t least, uint64_t most) {
    return (int64_t)(ms < least ? least : ms > most ? most : ms) * 1000;
}

static int begin_watch(struct collector *c, const struct wire_hello *h) {
    const struct watch_options options = {
        .host = &c->host,
        .fs = &c->fs,
        .loop = c->loop,
        .link = c->link,
        .interval_us = within(h->interval_ms, 100, 3600 * 1000),
        .fastest_us = within(h->fastest_ms, 20, 3600 * 1000),
        .adaptive = h->adaptive,
        .targets = h->targets,
        .processes = h->processes < 100 ? h->processes : 100,
        .next_uid = &c->next_uid,
        .guard = c->guard,
    };
    int r;

    guardfeed_stop(c->guard);
    watch_free(c->watch);
    c->watch = NULL;
    c->settings = *h;
    r = watch_new(&options, &c->watch, c->err);
    if (r == 0)
        guardfeed_begin(c->guard, h != &defaults);
    return r;
}

static bool same_settings(const struct wire_hello *a, const struct wire_hello *b) {
    return a->interval_ms == b->interval_ms && a->fastest_ms == b->fastest_ms &&
           a->adaptive == b->adaptive && a->targets == b->targets && a->processes == b->processes;
}

/* --- the front -------------------------------------------------------------------------------- */

/* Straight to the socket: it is no part of what is numbered and kept. */
static void say_start(struct collector *c, bool ask, bool resumed) {
    const struct wire_start start = {
        .boot = c->boot, .ask = ask, .resumed = resumed, .start_ms = c->start_ms};
    uint8_t memory[64];
    struct wire_out out;

    wire_begin(&out, memory, sizeof(memory), WIRE_START, 0);
    (void)wire_add_start(&out, &start);
    if (send(c->o.front, out.p, out.n, MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
        log_line(LOG_WARN, "cannot talk to the front: %s", strerror(errno));
}

static int on_hello(struct collector *c, const struct wire_hello *h) {
    bool same = c->watch && same_settings(h, &c->settings), resumed, anew;
    int r = same ? 0 : begin_watch(c, h);

    if (r < 0)
        return r;
    c->hellos++;
    resumed = same && h->boot == c->boot && link_resume(c->link, h->last_seq);
    anew = !resumed && !(same && link_rewind(c->link));
    if (anew) {
        c->link->lost = true;
        (void)link_resume(c->link, 0);
    }
    c->link->fd = c->o.front;
    c->link->open = true;
    say_start(c, false, resumed);
    if (anew)
        watch_tell_all(c->watch);
    (void)link_send(c->link);
    if (!c->ready)
        notify_say("READY=1\nSTATUS=watching");
    c->ready = true;
    return 0;
}

/* --- the guard -------------------------------------------------------------------------------- */

static uint32_t guard_slots(void *ctx) {
    const struct collector *c = ctx;

    return c->watch ? watch_slots(c->watch) : 0;
}

static bool guard_target(void *ctx, uint32_t slot, struct wire_target *out) {
    return watch_target(((const struct collector *)ctx)->watch, slot, out);
}

static void on_audit(void *ctx, struct wire_audit *a) {
    struct collector *c = ctx;
    struct wire_out out;

    if (c->watch)
        a->uid = watch_subject(c->watch, a->uid, str_of(a->audit.path));
    link_begin(c->link, &out, WIRE_AUDIT);
    (void)wire_add_audit(&out, a); /* fits */
    link_put(c->link, &out);
    (void)link_send(c->link);
}

/* Straight to the socket: an answer that no front waits for any more is not kept. */
static void on_acted(void *ctx, const struct wire_acted *a) {
    struct collector *c = ctx;
    uint8_t memory[256];
    struct wire_out out;

    wire_begin(&out, memory, sizeof(memory), WIRE_ACTED, 0);
    (void)wire_add_acted(&out, a);
    if (send(c->o.front, out.p, out.n, MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
        log_line(LOG_WARN, "cannot talk to the front: %s", strerror(errno));
}

static void take_act(struct collector *c, const struct wire_act *a) {
    struct wire_target t;

    for (uint32_t slot = 0; slot < guard_slots(c); slot++)
        if (guard_target(c, slot, &t) && t.uid == a->uid) {
            guardfeed_act(c->guard, a);
            return;
        }
    on_acted(c, &(struct wire_acted){.request = a->request, .word = WIRE_ACTED_UNKNOWN});
}

static int begin_guard(struct collector *c) {
    const struct guardfeed_caller caller = {.slots = guard_slots,
                                            .target = guard_target,
                                            .audit = on_audit,
                                            .acted = on_acted,
                                            .ctx = c};

    return guardfeed_new(c->loop, c->o.guard, c->boot, &caller, &c->guard);
}

static int take(struct collector *c, struct wire_in in) {
    struct wire_head head;
    struct wire_hello hello;
    struct wire_act act;
    struct wire_ack ack;

    if (wire_read_head(&in, &head) < 0)
        return -EBADMSG;
    c->heard_us = loop_now_us(c->loop);
    if (head.kind == WIRE_HELLO && wire_read_hello(&in, &hello) == 0)
        return on_hello(c, &hello);
    if (head.kind == WIRE_ACT && wire_read_act(&in, &act) == 0) {
        take_act(c, &act);
        return 0;
    }
    if (head.kind == WIRE_ACK && wire_read_ack(&in, &ack) == 0) {
        if (c->link->open)
            link_acked(c->link, ack.seq);
        return 0;
    }
    return -EBADMSG;
}

static int on_front(struct loop *loop, uint32_t what, void *ctx) {
    struct collector *c = ctx;
    uint8_t memory[256]; /* the front's messages are short; longer ones are cut, and then wrong */

    (void)loop, (void)what;
    for (;;) {
        ssize_t n = recv(c->o.front, memory, sizeof(memory), MSG_DONTWAIT);
        int r;

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            break;
        r = take(c, (struct wire_in){memory, (size_t)n});
        if (r == -EBADMSG)
            log_line(LOG_WARN, "the front said something that is no message");
        else if (r < 0)
            return r;
    }
    (void)link_send(c->link);
    if (c->link->lost && c->link->open) { /* it was too slow: from the beginning again */
        (void)link_resume(c->link, 0);
        say_start(c, false, false);
        watch_tell_all(c->watch);
        (void)link_send(c->link);
    }
    return 0;
}

/* --- ourselves -------------------------------------------------------------------------------- */

static uint64_t own_rss(const struct collector *c) {
    struct procstatm m;

    return procstatm_read(c->host.proc, (int32_t)getpid(), &m) == 0 ? m.res : 0;
}

static int on_self(struct loop *loop, uint32_t what, void *ctx) {
    struct collector *c = ctx;
    struct watch_figures f;
    struct wire_out out;

    (void)loop, (void)what;
    if (!c->watch)
        return 0;
    watch_figures(c->watch, &f);
    uint64_t value[WIRE_SELF_N] = {
        [WIRE_SELF_CPU_US] = (uint64_t)(clock_cpu_us() + clock_children_cpu_us()),
        [WIRE_SELF_RSS] = own_rss(c),
        [WIRE_SELF_TICKS] = f.rounds,
        [WIRE_SELF_TICK_US] = f.round_us,
        [WIRE_SELF_TICKS_LATE] = f.late,
        [WIRE_SELF_SAMPLES] = f.samples,
        [WIRE_SELF_TARGETS] = f.targets,
        [WIRE_SELF_FAST] = f.fast,
        [WIRE_SELF_DROPPED] = c->link->dropped,
        [WIRE_SELF_FRONT_STARTS] = c->hellos,
        [WIRE_SELF_NO_WATCHES] = f.no_watches,
        [WIRE_SELF_DENIED] = f.denied,
        [WIRE_SELF_SHORT_OF_FDS] = f.short_of_fds,
    };
    guardfeed_self(c->guard, loop_now_us(c->loop), value);
    link_begin(c->link, &out, WIRE_SELF);
    (void)wire_add_self(&out, value);
    link_put(c->link, &out);
    return 0;
}

/* A front that hangs is ended by whoever can: our parent, who starts another. */
static int on_silence(struct loop *loop, uint32_t what, void *ctx) {
    struct collector *c = ctx;

    (void)what;
    if (!c->link->open || loop_now_us(loop) - c->heard_us < SILENCE_US)
        return 0;
    log_line(LOG_WARN, "the front has said nothing for %d s", SILENCE_US / 1000000);
    c->heard_us = loop_now_us(loop);
    kill(getppid(), SIGUSR1);
    return 0;
}

static int on_watchdog(struct loop *loop, uint32_t what, void *ctx) {
    (void)loop, (void)what, (void)ctx;
    notify_say("WATCHDOG=1");
    return 0;
}

static int on_alone(struct loop *loop, uint32_t what, void *ctx) {
    struct collector *c = ctx;

    (void)loop, (void)what;
    if (c->watch)
        return 0;
    log_line(LOG_WARN, "no front has answered yet; watching meanwhile, with the defaults");
    return begin_watch(c, &defaults);
}

static int on_end(struct loop *loop, uint32_t what, void *ctx) {
    (void)what, (void)ctx;
    loop_stop(loop);
    return 0;
}

/* Pages are locked as they are touched: a page of ours that was dropped is read from disk again
 * when memory is short, which is when we are needed. */
static void lock_memory(void) {
    if (mlockall(MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT) < 0)
        log_line(LOG_NOTE, "cannot lock its memory: %s", strerror(errno));
}

static void lower_oom_score(bool tell) {
    int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);

    if (fd < 0)
        return;
    /* CAP_SYS_RESOURCE is not everybody's. */
    if (write(fd, OOM_SCORE, strlen(OOM_SCORE)) < 0 && tell)
        log_line(LOG_INFO,
                 "the kernel's OOM killer may choose it: oom_score_adj cannot be lowered");
    close(fd);
}

static int join(struct collector *c) {
    static const int ends[] = {SIGTERM, SIGINT};
    int r = loop_add_fd(c->loop, c->o.front, EPOLLIN | EPOLLOUT | EPOLLET, on_front, c, NULL);

    if (r == 0)
        r = loop_add_fd(c->loop, c->o.life, EPOLLIN, on_end, c, NULL);
    if (r == 0)
        r = loop_add_timer(c->loop, SELF_US / 5, SELF_US, on_self, c, NULL);
    if (r == 0)
        r = loop_add_timer(c->loop, SELF_US, SELF_US, on_silence, c, NULL);
    if (r == 0)
        r = loop_add_timer(c->loop, ALONE_US, 0, on_alone, c, NULL);
    if (r == 0 && notify_watchdog_us() > 0)
        r = loop_add_timer(c->loop, 0, notify_watchdog_us(), on_watchdog, c, NULL);
    for (unsigned i = 0; i < ARRAY_N(ends) && r == 0; i++)
        r = loop_add_signal(c->loop, ends[i], on_end, c, NULL);
    return r;
}

static void done(struct collector *c) {
    guardfeed_stop(c->guard);
    watch_free(c->watch);
    guardfeed_free(c->guard);
    link_free(c->link);
    loop_free(c->loop);
    cgfs_done(&c->fs);
    host_done(&c->host);
}

static int prepare(struct collector *c) {
    int r = host_open(NULL, &c->host, c->err);

    if (r == 0)
        r = cgfs_open(&c->host, &c->fs, c->err);
    if (r < 0)
        return r;
    r = loop_new(&c->loop);
    if (r == 0)
        r = link_new(RING_LEAST, &c->link);
    if (r == 0)
        r = join(c);
    if (r == 0)
        r = begin_guard(c);
    return r < 0 ? err_set(c->err, r, "cannot start the collector:") : 0;
}

int collector_run(const struct collector_options *options, struct err *err) {
    struct collector c = {.o = *options, .host = {.root = -1, .proc = -1}, .err = err};
    int r;

    for (unsigned i = 0; i < CG_CTL_N; i++)
        c.fs.ctl[i].dir = -1;
    prctl(PR_SET_NAME, "plimsoll-coll");
    c.start_ms = clock_wall_ms();
    if (getrandom(&c.boot, sizeof(c.boot), GRND_NONBLOCK) != sizeof(c.boot) || c.boot == 0)
        c.boot = (uint64_t)c.start_ms << 20 | (uint64_t)getpid();
    err_set(err, 0, "the collector ended");
    r = prepare(&c);
    if (r == 0) {
        lower_oom_score(options->first);
        /* A kill in a group that is removed at once can be counted by who looks at once. */
        (void)setpriority(PRIO_PROCESS, 0, NICE);
        lock_memory();
        say_start(&c, true, false);
        r = loop_run(c.loop);
    }
    done(&c);
    return r;
}
