#include "engine/guardfeed.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "base/log.h"

enum {
    ASKED = 32,               /* requests that are not answered yet, at most */
    SILENT_US = 12 * 1000000, /* the guard says something every five seconds */
};

struct guardfeed {
    struct guardfeed_caller caller;
    struct loop *loop;
    int fd;
    uint32_t id;
    uint64_t boot;
    bool ready, settled; /* there are targets to tell */
    bool asked;          /* a guard is there and wants to know */
    bool started;        /* ... and was told that it begins */
    bool ended;          /* ... and that it was all */
    uint32_t from;       /* slots below are told */
    int64_t nonce;       /* of its question */
    uint64_t pending[ASKED];
    unsigned n_pending;
    uint64_t self[WIRE_SELF_N];
    int64_t heard_us; /* of its costs; 0: never */
    uint8_t memory[WIRE_MESSAGE];
};

/* --- telling ------------------------------------------------------------------------------------
 */

static bool send_out(struct guardfeed *f, const struct wire_out *w) {
    ssize_t n;

    do
        n = send(f->fd, w->p, w->n, MSG_DONTWAIT | MSG_NOSIGNAL);
    while (n < 0 && errno == EINTR);
    return n >= 0;
}

static bool send_start(struct guardfeed *f, bool ask) {
    const struct wire_start start = {
        .boot = f->boot, .ask = ask, .resumed = f->settled, .start_ms = f->nonce};
    struct wire_out out;

    wire_begin(&out, f->memory, sizeof(f->memory), WIRE_START, 0);
    (void)wire_add_start(&out, &start);
    return send_out(f, &out);
}

static bool send_target(struct guardfeed *f, const struct wire_target *t) {
    struct wire_out out;

    wire_begin(&out, f->memory, sizeof(f->memory), WIRE_TARGET, 0);
    (void)wire_add_target(&out, t); /* fits: texts are cut */
    return send_out(f, &out);
}

static bool send_end(struct guardfeed *f) {
    const struct wire_tick end = {0, WIRE_TICK_KEY | WIRE_TICK_ROUND};
    struct wire_out out;

    wire_begin(&out, f->memory, sizeof(f->memory), WIRE_TICK, 0);
    (void)wire_add_tick(&out, &end);
    return send_out(f, &out);
}

/* As much as the socket takes; goes on when it takes more. */
static void pump(struct guardfeed *f) {
    struct wire_target t;

    if (!f->ready || !f->asked)
        return;
    if (!f->started)
        f->started = send_start(f, false);
    for (; f->started && f->from < f->caller.slots(f->caller.ctx); f->from++)
        if (f->caller.target(f->caller.ctx, f->from, &t) && !send_target(f, &t))
            return;
    if (f->started && !f->ended)
        f->ended = send_end(f);
}

static void again(struct guardfeed *f) {
    f->started = f->ended = false;
    f->from = 0;
}

void guardfeed_begin(struct guardfeed *f, bool settled) {
    if (!f)
        return;
    f->ready = true;
    f->settled = settled;
    again(f);
    pump(f);
}

void guardfeed_stop(struct guardfeed *f) {
    if (f)
        f->ready = false;
}

/* Those that are not told yet will be, as they are then. */
void guardfeed_target(struct guardfeed *f, uint32_t slot, const struct wire_target *t) {
    if (!f || !f->ready || !f->asked || !f->started || slot >= f->from)
        return;
    if (!send_target(f, t))
        again(f);
}

void guardfeed_gone(struct guardfeed *f, uint32_t slot, uint32_t uid) {
    struct wire_out out;

    if (!f || !f->ready || !f->asked || !f->started || slot >= f->from)
        return;
    wire_begin(&out, f->memory, sizeof(f->memory), WIRE_GONE, 0);
    (void)wire_add_gone(&out, &(struct wire_gone){uid, 0});
    if (!send_out(f, &out))
        again(f);
}

/* --- requests -----------------------------------------------------------------------------------
 */

static void answer(struct guardfeed *f, uint64_t request, enum wire_acted_word word) {
    f->caller.acted(f->caller.ctx, &(struct wire_acted){.request = request, .word = word});
}

void guardfeed_act(struct guardfeed *f, const struct wire_act *a) {
    struct wire_out out;

    if (!f->ready || !f->asked || !f->started) {
        answer(f, a->request, WIRE_ACTED_NO_GUARD);
        return;
    }
    wire_begin(&out, f->memory, sizeof(f->memory), WIRE_ACT, 0);
    (void)wire_add_act(&out, a);
    if (f->n_pending == ASKED || !send_out(f, &out))
        answer(f, a->request, WIRE_ACTED_BUSY);
    else
        f->pending[f->n_pending++] = a->request;
}

static void take_acted(struct guardfeed *f, const struct wire_acted *a) {
    for (unsigned i = 0; i < f->n_pending; i++) {
        if (f->pending[i] != a->request)
            continue;
        f->pending[i] = f->pending[--f->n_pending];
        f->caller.acted(f->caller.ctx, a);
        return;
    }
}

/* Another guard than the one that was asked, or none: whether it was done, the records tell. */
static void give_up_requests(struct guardfeed *f) {
    while (f->n_pending > 0)
        answer(f, f->pending[--f->n_pending], WIRE_ACTED_NO_GUARD);
}

/* --- hearing ------------------------------------------------------------------------------------
 */

static void take_hello(struct guardfeed *f, const struct wire_hello *h) {
    give_up_requests(f);
    f->asked = true;
    f->nonce = (int64_t)h->last_seq;
    again(f);
    pump(f);
}

static void take_self(struct guardfeed *f, const uint64_t value[WIRE_SELF_N]) {
    memcpy(f->self, value, sizeof(f->self));
    f->heard_us = loop_now_us(f->loop);
    if (value[WIRE_SELF_GUARDS] > 0)
        return;
    f->asked = false; /* it has nothing to guard, and ends */
    give_up_requests(f);
}

static int take(struct guardfeed *f, struct wire_in in) {
    static struct wire_audit audit;
    uint64_t self[WIRE_SELF_N];
    struct wire_acted acted;
    struct wire_hello hello;
    struct wire_head head;

    if (wire_read_head(&in, &head) < 0)
        return -EBADMSG;
    if (head.kind == WIRE_HELLO && wire_read_hello(&in, &hello) == 0) {
        take_hello(f, &hello);
        return 0;
    }
    if (head.kind == WIRE_AUDIT && wire_read_audit(&in, &audit) == 0) {
        if (head.seq != f->boot)
            audit.uid = WIRE_UID_HOST; /* another collector's number */
        f->caller.audit(f->caller.ctx, &audit);
        return 0;
    }
    if (head.kind == WIRE_ACTED && wire_read_acted(&in, &acted) == 0) {
        take_acted(f, &acted);
        return 0;
    }
    if (head.kind == WIRE_SELF && wire_read_self(&in, self) == 0) {
        take_self(f, self);
        return 0;
    }
    return -EBADMSG;
}

static int on_guard(struct loop *loop, uint32_t what, void *ctx) {
    uint8_t memory[WIRE_AUDIT_MOST];
    struct guardfeed *f = ctx;

    (void)loop, (void)what;
    for (;;) {
        ssize_t n = recv(f->fd, memory, sizeof(memory), MSG_DONTWAIT);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            break;
        if (take(f, (struct wire_in){memory, (size_t)n}) < 0)
            log_line(LOG_WARN, "the guard said something that is no message");
    }
    pump(f);
    return 0;
}

void guardfeed_self(const struct guardfeed *f, int64_t now_us, uint64_t value[WIRE_SELF_N]) {
    for (unsigned i = WIRE_SELF_GUARDS; i < WIRE_SELF_N; i++)
        value[i] = f->self[i];
    if (f->heard_us == 0 || now_us - f->heard_us > SILENT_US) /* it does not run, or hangs */
        value[WIRE_SELF_GUARDED] = value[WIRE_SELF_GUARD_RSS] = 0;
}

int guardfeed_new(struct loop *loop, int fd, uint64_t boot, const struct guardfeed_caller *caller,
                  struct guardfeed **out) {
    struct guardfeed *f = calloc(1, sizeof(*f));
    int r;

    if (!f)
        return -ENOMEM;
    *f = (struct guardfeed){.caller = *caller, .loop = loop, .fd = fd, .boot = boot};
    r = loop_add_fd(loop, fd, EPOLLIN | EPOLLOUT | EPOLLET, on_guard, f, &f->id);
    if (r < 0) {
        free(f);
        return r;
    }
    (void)send_start(f, true); /* a guard of before: ask again */
    *out = f;
    return 0;
}

void guardfeed_free(struct guardfeed *f) {
    if (!f)
        return;
    loop_remove(f->loop, f->id);
    free(f);
}
