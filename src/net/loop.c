#include "net/loop.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"

enum source_kind { SOURCE_FREE, SOURCE_FD, SOURCE_TIMER, SOURCE_SIGNAL };

struct source {
    enum source_kind kind;
    int fd; /* the caller's, or our timerfd or signalfd */
    int signal;
    bool once;           /* a timer that is removed when it has fired */
    uint32_t generation; /* events of a source that was removed in the same turn are dropped */
    loop_handler *handler;
    void *ctx;
};

struct loop {
    int epoll;
    struct source *source;
    uint32_t sources;
    sigset_t blocked; /* by us */
    int64_t now_us;
    bool stop;
};

int loop_new(struct loop **out) {
    auto_free struct loop *loop = calloc(1, sizeof(*loop));

    if (!loop)
        return -ENOMEM;
    loop->epoll = epoll_create1(EPOLL_CLOEXEC);
    if (loop->epoll < 0)
        return -errno;
    sigemptyset(&loop->blocked);
    loop->now_us = clock_mono_us();
    *out = take_ptr(&loop);
    return 0;
}

void loop_free(struct loop *loop) {
    if (!loop)
        return;
    for (uint32_t i = 0; i < loop->sources; i++)
        loop_remove(loop, i);
    sigprocmask(SIG_UNBLOCK, &loop->blocked, NULL);
    close(loop->epoll);
    free(loop->source);
    free(loop);
}

static int free_source(struct loop *loop, uint32_t *out) {
    struct source *source;

    for (uint32_t i = 0; i < loop->sources; i++)
        if (loop->source[i].kind == SOURCE_FREE) {
            *out = i;
            return 0;
        }
    source = realloc(loop->source, (loop->sources + 1) * sizeof(*source));
    if (!source)
        return -ENOMEM;
    loop->source = source;
    source[loop->sources] = (struct source){0};
    *out = loop->sources++;
    return 0;
}

static int add(struct loop *loop, struct source made, uint32_t events, uint32_t *id_out) {
    struct epoll_event event = {.events = events};
    uint32_t id;
    int r = free_source(loop, &id);

    if (r < 0)
        return r;
    made.generation = loop->source[id].generation;
    event.data.u64 = (uint64_t)made.generation << 32 | id;
    if (epoll_ctl(loop->epoll, EPOLL_CTL_ADD, made.fd, &event) < 0)
        return -errno;
    loop->source[id] = made;
    if (id_out)
        *id_out = id;
    return 0;
}

int loop_add_fd(struct loop *loop, int fd, uint32_t events, loop_handler *handler, void *ctx,
                uint32_t *id_out) {
    return add(loop, (struct source){SOURCE_FD, fd, 0, false, 0, handler, ctx}, events, id_out);
}

static struct timespec timespec_of(int64_t us) {
    return (struct timespec){us / 1000000, us % 1000000 * 1000};
}

int loop_add_timer(struct loop *loop, int64_t first_us, int64_t every_us, loop_handler *handler,
                   void *ctx, uint32_t *id_out) {
    auto_close int fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
    struct itimerspec when = {timespec_of(every_us), timespec_of(first_us > 0 ? first_us : 1)};
    int r;

    if (fd < 0 || timerfd_settime(fd, 0, &when, NULL) < 0)
        return -errno;
    r = add(loop, (struct source){SOURCE_TIMER, fd, 0, every_us == 0, 0, handler, ctx}, EPOLLIN,
            id_out);
    if (r == 0)
        (void)take_fd(&fd);
    return r;
}

int loop_add_signal(struct loop *loop, int signal, loop_handler *handler, void *ctx,
                    uint32_t *id_out) {
    auto_close int fd = -1;
    sigset_t set;
    int r;

    sigemptyset(&set);
    sigaddset(&set, signal);
    if (sigprocmask(SIG_BLOCK, &set, NULL) < 0)
        return -errno;
    sigaddset(&loop->blocked, signal);
    fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    if (fd < 0)
        return -errno;
    r = add(loop, (struct source){SOURCE_SIGNAL, fd, signal, false, 0, handler, ctx}, EPOLLIN,
            id_out);
    if (r == 0)
        (void)take_fd(&fd);
    return r;
}

void loop_remove(struct loop *loop, uint32_t id) {
    struct source *s = &loop->source[id];

    if (s->kind == SOURCE_FREE)
        return;
    (void)epoll_ctl(loop->epoll, EPOLL_CTL_DEL, s->fd, NULL); /* fails if the caller closed it */
    if (s->kind != SOURCE_FD)
        close(s->fd);
    *s = (struct source){.generation = s->generation + 1};
}

int64_t loop_now_us(const struct loop *loop) {
    return loop->now_us;
}

void loop_stop(struct loop *loop) {
    loop->stop = true;
}

/* What a source's own descriptor has to say: expirations, or which signal. 0: nothing after all. */
static uint32_t read_own(const struct source *s) {
    struct signalfd_siginfo info;
    uint64_t expirations;

    if (s->kind == SOURCE_TIMER)
        return read(s->fd, &expirations, sizeof(expirations)) == sizeof(expirations)
                   ? (uint32_t)(expirations < UINT32_MAX ? expirations : UINT32_MAX)
                   : 0;
    return read(s->fd, &info, sizeof(info)) == sizeof(info) ? info.ssi_signo : 0;
}

static int dispatch(struct loop *loop, const struct epoll_event *event) {
    uint32_t id = (uint32_t)event->data.u64, what = event->events;
    const struct source s = loop->source[id];

    if (s.kind == SOURCE_FREE || s.generation != (uint32_t)(event->data.u64 >> 32))
        return 0;
    if (s.kind != SOURCE_FD) {
        what = read_own(&s);
        if (what == 0)
            return 0;
    }
    if (s.once)
        loop_remove(loop, id);
    return s.handler(loop, what, s.ctx);
}

static int turn(struct loop *loop, int wait_ms) {
    struct epoll_event events[16];
    int n = epoll_wait(loop->epoll, events, ARRAY_N(events), wait_ms);

    if (n < 0 && errno != EINTR)
        return -errno;
    loop->now_us = clock_mono_us();
    for (int i = 0; i < n && !loop->stop; i++) {
        int r = dispatch(loop, &events[i]);

        if (r < 0)
            return r;
    }
    return 0;
}

int loop_fd(const struct loop *loop) {
    return loop->epoll;
}

int loop_turn(struct loop *loop) {
    loop->stop = false;
    return turn(loop, 0);
}

int loop_run(struct loop *loop) {
    loop->stop = false;
    while (!loop->stop) {
        int r = turn(loop, -1);

        if (r < 0)
            return r;
    }
    return 0;
}
