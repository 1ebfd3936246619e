#include "net/waiters.h"

#include <errno.h>
#include <linux/sockios.h>
#include <poll.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "base/mem.h"

enum { SECOND_US = 1000000, AT_ONCE = 16, TAKEN_AT_ONCE = 8 };

struct waiter {
    int fd;     /* -1: free */
    bool muted; /* it has written within this second */
};

struct waiters {
    struct waiters_options o;
    int epoll, timer; /* epoll: all of them, `most` is the listener and `most` + 1 the timer */
    uint32_t id;
    bool accepting, joined;
    unsigned n;
    unsigned taken;   /* from the kernel's queue within the second that began at since_us; */
    unsigned asked;   /* of which so many were there yet */
    int64_t since_us; /* 0: not yet */
    bool waits;       /* for the next second */
    struct waiter at[];
};

static int watch(struct waiters *w, int fd, uint32_t number) {
    struct epoll_event event = {.events = EPOLLIN | EPOLLRDHUP, .data = {.u32 = number}};

    return epoll_ctl(w->epoll, EPOLL_CTL_ADD, fd, &event) < 0 ? -errno : 0;
}

static bool listen_to(const struct waiters *w, int fd, uint32_t number, bool wanted) {
    struct epoll_event event = {.events = EPOLLRDHUP | (wanted ? EPOLLIN : 0),
                                .data = {.u32 = number}};

    return epoll_ctl(w->epoll, EPOLL_CTL_MOD, fd, &event) == 0;
}

static void set_accepting(struct waiters *w, bool wanted) {
    if (wanted != w->accepting && listen_to(w, w->o.listener, w->o.most, wanted))
        w->accepting = wanted;
}

/* --- no more than so much a second --- */

static void wait_second(struct waiters *w) {
    const struct itimerspec second = {.it_value = {.tv_sec = 1}};

    if (!w->waits)
        w->waits = timerfd_settime(w->timer, 0, &second, NULL) == 0;
}

static void renew(struct waiters *w) {
    int64_t now_us = loop_now_us(w->o.loop);

    if (w->since_us > 0 && now_us - w->since_us < SECOND_US)
        return;
    w->since_us = now_us;
    w->taken = 0;
    w->asked = 0;
}

static void pause_accepting(struct waiters *w) {
    set_accepting(w, false);
    wait_second(w);
}

static void on_second(struct waiters *w) {
    uint64_t times;

    (void)!read(w->timer, &times, sizeof(times));
    w->waits = false;
    set_accepting(w, w->n < w->o.most);
    for (unsigned i = 0; i < w->o.most; i++)
        if (w->at[i].fd >= 0 && w->at[i].muted)
            w->at[i].muted = !listen_to(w, w->at[i].fd, i, true);
}

/* --- one after the other --- */

/* A child of ours may have a copy: it would keep the connection up, and in epoll. */
static void hang_up(struct waiters *w, unsigned number) {
    int fd = w->at[number].fd;

    (void)epoll_ctl(w->epoll, EPOLL_CTL_DEL, fd, NULL);
    (void)shutdown(fd, SHUT_RDWR);
    close(fd);
    w->at[number] = (struct waiter){.fd = -1};
}

static void drop(struct waiters *w, unsigned number) {
    bool was_full = w->n == w->o.most;

    hang_up(w, number);
    w->n--;
    if (was_full)
        set_accepting(w, true);
    if (w->o.left)
        w->o.left(w->o.ctx);
}

/* One read a second, whatever it writes: a wake-up for each byte would cost us more than it. */
static void on_waiter(struct waiters *w, unsigned number, uint32_t what) {
    struct waiter *x = &w->at[number];
    char ignored[4096];
    ssize_t n;

    if (x->fd < 0)
        return;
    if (what & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) {
        drop(w, number);
        return;
    }
    n = recv(x->fd, ignored, sizeof(ignored), MSG_DONTWAIT);
    if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR)) {
        drop(w, number);
    } else if (n > 0 && !x->muted) {
        x->muted = listen_to(w, x->fd, number, false);
        wait_second(w);
    }
}

static bool has_left(int fd) {
    struct pollfd p = {.fd = fd, .events = POLLRDHUP};

    return poll(&p, 1, 0) != 0;
}

static void let_in(struct waiters *w, int fd) {
    unsigned number = 0;

    while (w->at[number].fd >= 0)
        number++;
    if ((w->o.admit && !w->o.admit(w->o.ctx, number, fd)) || watch(w, fd, number) < 0) {
        close(fd);
        return;
    }
    w->at[number] = (struct waiter){.fd = fd};
    if (++w->n == w->o.most)
        set_accepting(w, false);
    if (w->o.came)
        w->o.came(w->o.ctx, number);
}

/* Whether another one may follow at once. */
static bool take_one(struct waiters *w) {
    int fd;

    if (w->taken == WAITERS_TAKEN || w->asked == WAITERS_ASKED) {
        pause_accepting(w);
        return false;
    }
    fd = accept4(w->o.listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0) {
        /* Out of descriptors, say: not to be asked again at once. */
        if (errno != EAGAIN && errno != EINTR && errno != ECONNABORTED)
            pause_accepting(w);
        return false;
    }
    w->taken++;
    if (has_left(fd)) {
        close(fd);
        return true;
    }
    w->asked++;
    let_in(w, fd);
    return true;
}

static void on_connect(struct waiters *w) {
    renew(w);
    for (unsigned i = 0; i < TAKEN_AT_ONCE && w->n < w->o.most && w->accepting; i++)
        if (!take_one(w))
            return;
}

static int on_any(struct loop *loop, uint32_t what, void *ctx) {
    struct waiters *w = ctx;
    struct epoll_event events[AT_ONCE];
    int n = epoll_wait(w->epoll, events, ARRAY_N(events), 0);
    bool connects = false;

    (void)loop, (void)what;
    for (int i = 0; i < n; i++) {
        uint32_t number = events[i].data.u32;

        if (number < w->o.most)
            on_waiter(w, number, events[i].events);
        else if (number == w->o.most)
            connects = true;
        else
            on_second(w);
    }
    if (connects)
        on_connect(w); /* last: what was said of a place is not of who gets it */
    return 0;
}

static int open_all(struct waiters *w) {
    int r;

    w->epoll = epoll_create1(EPOLL_CLOEXEC);
    if (w->epoll < 0)
        return -errno;
    w->timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
    if (w->timer < 0)
        return -errno;
    r = watch(w, w->o.listener, w->o.most);
    w->accepting = r == 0;
    if (r == 0)
        r = watch(w, w->timer, w->o.most + 1);
    if (r == 0)
        r = loop_add_fd(w->o.loop, w->epoll, EPOLLIN, on_any, w, &w->id);
    w->joined = r == 0;
    return r;
}

int waiters_new(const struct waiters_options *o, struct waiters **out) {
    struct waiters *w = calloc(1, sizeof(*w) + o->most * sizeof(w->at[0]));
    int r;

    if (!w)
        return -ENOMEM;
    w->o = *o;
    w->epoll = w->timer = -1;
    for (unsigned i = 0; i < o->most; i++)
        w->at[i].fd = -1;
    r = open_all(w);
    if (r < 0)
        waiters_free(w);
    else
        *out = w;
    return r;
}

void waiters_free(struct waiters *w) {
    if (!w)
        return;
    if (w->joined)
        loop_remove(w->o.loop, w->id);
    for (unsigned i = 0; i < w->o.most; i++)
        if (w->at[i].fd >= 0)
            hang_up(w, i);
    mem_close_fd(&w->timer);
    mem_close_fd(&w->epoll);
    free(w);
}

unsigned waiters_count(const struct waiters *w) {
    return w->n;
}

bool waiters_has(const struct waiters *w, unsigned number) {
    return w->at[number].fd >= 0;
}

bool waiters_tell(struct waiters *w, unsigned number) {
    int unread = 0;

    if (w->at[number].fd < 0)
        return false;
    if (ioctl(w->at[number].fd, SIOCOUTQ, &unread) == 0 && unread > 0)
        return true; /* that makes it readable; more of it would be memory of our group */
    if (send(w->at[number].fd, "!", 1, MSG_DONTWAIT | MSG_NOSIGNAL) == 1 || errno == EAGAIN)
        return true;
    if (errno != EINTR)
        drop(w, number);
    return false;
}
