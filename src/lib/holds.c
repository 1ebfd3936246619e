#include "lib/holds.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"

enum { HIGH = 100 };

static int raise_fd(int fd) {
    auto_close int low = fd;
    int high;

    if (fd < 0)
        return -errno;
    if (fd >= HIGH)
        return take_fd(&low);
    high = fcntl(fd, F_DUPFD_CLOEXEC, HIGH);
    if (high < 0) /* few descriptors are allowed: but never 0, 1 or 2 */
        high = fd > 2 ? take_fd(&low) : fcntl(fd, F_DUPFD_CLOEXEC, 3);
    return high < 0 ? -errno : high;
}

static bool has_inode(const struct held *h) {
    struct stat st;

    return h->fd >= 0 && fstat(h->fd, &st) == 0 && st.st_dev == h->dev && st.st_ino == h->ino;
}

static int change(const struct holds *s, int how, const struct held *h) {
    struct epoll_event event = {.events = h->events, .data.fd = h->fd};

    /* NOLINTNEXTLINE(clang-analyzer-core.CallAndMessage): holds_open has set it */
    return epoll_ctl(s->epoll, how, h->fd, &event) < 0 ? -errno : 0;
}

int holds_open(struct holds *s) {
    struct holds made = {.epoll = -1, .kick = -1, .token = HELD_NONE};
    int ends[2], r;

    made.epoll = raise_fd(epoll_create1(EPOLL_CLOEXEC));
    if (made.epoll < 0)
        return made.epoll;
    if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) < 0) {
        r = -errno;
        close(made.epoll);
        return r;
    }
    made.kick = raise_fd(ends[1]);
    r = holds_watch(&made, ends[0], EPOLLIN | EPOLLET, &made.token);
    if (r == 0 && made.kick < 0)
        r = made.kick;
    if (r < 0)
        holds_close(&made, false);
    else
        *s = made;
    return r;
}

int holds_check(const struct holds *s) {
    return has_inode(&s->token) && change(s, EPOLL_CTL_MOD, &s->token) == 0 ? 0 : -EBADF;
}

static int keep(struct holds *s, int fd, struct held *out, bool named) {
    struct held h = {.fd = fd < 0 ? fd : raise_fd(fd), .named = named};
    struct stat st;

    (void)s;
    if (h.fd < 0)
        return h.fd;
    if (fstat(h.fd, &st) < 0) {
        int r = -errno;

        close(h.fd);
        return r;
    }
    h.dev = st.st_dev;
    h.ino = st.st_ino;
    *out = h;
    return 0;
}

int holds_keep(struct holds *s, int fd, struct held *out) {
    return keep(s, fd, out, true);
}

int holds_watch(struct holds *s, int fd, uint32_t events, struct held *out) {
    struct held h;
    int r = keep(s, fd, &h, false);

    if (r < 0)
        return r;
    h.events = events;
    r = change(s, EPOLL_CTL_ADD, &h);
    if (r < 0) {
        close(h.fd);
        return r;
    }
    h.watched = true;
    *out = h;
    return 0;
}

bool holds_is_ours(const struct holds *s, const struct held *h) {
    if (h->fd < 0)
        return false;
    if (h->watched)
        return holds_check(s) == 0 && change(s, EPOLL_CTL_MOD, h) == 0;
    return has_inode(h);
}

void holds_drop(struct holds *s, struct held *h, bool child) {
    if (holds_is_ours(s, h)) {
        if (h->watched && !child)
            (void)change(s, EPOLL_CTL_DEL, h);
        close(h->fd);
    }
    *h = HELD_NONE;
}

/* The token goes last: it proves the rest. The other end of its pipe has the same inode. */
void holds_close(struct holds *s, bool child) {
    bool ours = holds_check(s) == 0;
    struct held kick = s->token;

    kick.fd = s->kick;
    if (has_inode(&kick))
        close(s->kick);
    s->kick = -1;
    holds_drop(s, &s->token, child);
    if (ours)
        close(s->epoll);
    s->epoll = -1;
}

int held_read(const struct held *h, char *buf, size_t size, struct str *out) {
    return has_inode(h) ? file_pread(h->fd, buf, size, out) : -EBADF;
}
