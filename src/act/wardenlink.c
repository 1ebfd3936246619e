#include "act/wardenlink.h"

#include <errno.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"

void wardenlink_hang_up(struct wardenlink *w) {
    if (w->socket >= 0)
        (void)shutdown(w->socket, SHUT_RDWR);
    w->gone = true;
}

void wardenlink_close(struct wardenlink *w) {
    wardenlink_hang_up(w);
    mem_close_fd(&w->socket);
}

static int say(struct wardenlink *w, const struct warden_ask *ask, const int *fd, unsigned fds) {
    union {
        struct cmsghdr head;
        char room[CMSG_SPACE(WARDEN_FDS * sizeof(int))];
    } control = {0};
    struct warden_ask copy = *ask;
    struct iovec part = {&copy, sizeof(copy)};
    struct msghdr m = {.msg_iov = &part, .msg_iovlen = 1};
    ssize_t n;

    if (fds > 0) {
        m.msg_control = &control;
        m.msg_controllen = CMSG_SPACE(fds * sizeof(int));
        control.head.cmsg_level = SOL_SOCKET;
        control.head.cmsg_type = SCM_RIGHTS;
        control.head.cmsg_len = CMSG_LEN(fds * sizeof(int));
        memcpy(CMSG_DATA(&control.head), fd, fds * sizeof(int));
    }
    do
        n = sendmsg(w->socket, &m, MSG_NOSIGNAL | MSG_DONTWAIT);
    while (n < 0 && errno == EINTR);
    return n < 0 ? -errno : 0;
}

/* The answer to `seq`; -ETIMEDOUT; -EPIPE: none will come. */
static int hear_socket(const struct wardenlink *w, uint32_t seq, int64_t patience_us) {
    int64_t until_us = clock_mono_us() + patience_us;
    struct warden_answer a;

    for (;;) {
        struct pollfd fd = {.fd = w->socket, .events = POLLIN};
        int64_t left_us = until_us - clock_mono_us();
        int n = poll(&fd, 1, left_us > 0 ? (int)(left_us / 1000 + 1) : 0);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return n == 0 ? -ETIMEDOUT : -EPIPE;
        if (recv(w->socket, &a, sizeof(a), MSG_DONTWAIT) != sizeof(a))
            return -EPIPE;
        if (a.seq == seq)
            return a.result;
    }
}

int wardenlink_hear(const struct wardenlink *w, uint32_t seq, int64_t patience_us) {
    int r = hear_socket(w, seq, patience_us);

    return r == -ETIMEDOUT ? -EPIPE : r;
}

/* The same through the mailbox. An answer that has come counts though the warden has ended since.
 */
static int hear_mail(const struct wardenlink *w, uint32_t seq, int64_t patience_us) {
    int64_t until_us = clock_mono_us() + patience_us;

    for (;;) {
        struct pollfd fd[] = {{.fd = w->answered, .events = POLLIN},
                              {.fd = w->socket, .events = POLLIN}};
        int64_t left_us = until_us - clock_mono_us();
        int n = poll(fd, ARRAY_N(fd), left_us > 0 ? (int)(left_us / 1000 + 1) : 0);
        uint64_t times;

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0 || fd[0].revents == 0)
            return n == 0 ? -ETIMEDOUT : -EPIPE;
        if (read(w->answered, &times, sizeof(times)) == sizeof(times) && w->mail->answer.seq == seq)
            return w->mail->answer.result;
    }
}

/* The mailbox has room for one ask: the one before must have been heard. */
static int post(struct wardenlink *w, const struct warden_ask *ask, const int *fd, unsigned fds,
                int64_t until_us) {
    uint64_t one = 1;
    int r;

    if (w->unheard != 0) {
        r = hear_mail(w, w->unheard, until_us - clock_mono_us());
        if (r == -ETIMEDOUT || r == -EPIPE)
            return -EPIPE; /* this one was not even told */
    }
    w->mail->ask = *ask;
    w->mail->fds = fds;
    for (unsigned i = 0; i < fds; i++)
        w->mail->fd[i] = fd[i];
    w->unheard = ask->seq;
    if (write(w->rung, &one, sizeof(one)) != sizeof(one))
        return -EPIPE;
    r = hear_mail(w, ask->seq, until_us - clock_mono_us());
    if (r != -ETIMEDOUT)
        w->unheard = 0;
    return r;
}

static int send_and_hear(struct wardenlink *w, const struct warden_ask *ask, const int *fd,
                         unsigned fds, int64_t until_us) {
    int r = say(w, ask, fd, fds);

    if (r == 0)
        return hear_socket(w, ask->seq, until_us - clock_mono_us());
    return r == -EAGAIN || r == -ECONNRESET || r == -ENOTCONN ? -EPIPE : r;
}

/* -ETIMEDOUT, or the answer; -EPIPE: there is nobody. */
static int ask_within(struct wardenlink *w, struct warden_ask *ask, const int *fd, unsigned fds,
                      int64_t patience_us) {
    int64_t until_us = clock_mono_us() + patience_us;
    int r;

    if (w->socket < 0 || w->gone)
        return -EPIPE;
    ask->seq = ++w->seq ? w->seq : ++w->seq; /* 0 is what it says unasked */
    r = w->has_mail ? post(w, ask, fd, fds, until_us) : -EPERM;
    if (r != -EPERM && r != -EACCES)
        return r;
    w->has_mail = false; /* it may not take what is ours (any more) */
    return send_and_hear(w, ask, fd, fds, until_us);
}

int wardenlink_ask(struct wardenlink *w, struct warden_ask *ask, const int *fd, unsigned fds,
                   int64_t patience_us) {
    int r = ask_within(w, ask, fd, fds, patience_us);

    if (r != -EPIPE && r != -ETIMEDOUT)
        return r;
    wardenlink_hang_up(w); /* that it may have understood it is undone by its losing us */
    return -EPIPE;
}

int wardenlink_tell(struct wardenlink *w, struct warden_ask *ask, int64_t patience_us) {
    int r = ask_within(w, ask, NULL, 0, patience_us);

    if (r == -EPIPE)
        wardenlink_hang_up(w);
    return r == -ETIMEDOUT ? -EINPROGRESS : r;
}

/* Kept from one warden to the next; an eventfd's old count is taken out. */
int wardenlink_mailbox(struct wardenlink *w) {
    uint64_t times;

    if (!w->mail) {
        void *page =
            mmap(NULL, sizeof(*w->mail), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

        if (page == MAP_FAILED)
            return -errno;
        w->mail = page;
        /* In a full group touching it would be SIGBUS. EINVAL: before Linux 5.14 */
        if (madvise(page, sizeof(*w->mail), MADV_POPULATE_WRITE) < 0 && errno != EINVAL)
            return -ENOMEM;
        w->rung = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        w->answered = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    }
    if (w->rung < 0 || w->answered < 0)
        return -EMFILE;
    (void)!read(w->rung, &times, sizeof(times));
    (void)!read(w->answered, &times, sizeof(times));
    w->mail->answer.seq = 0;
    w->unheard = 0;
    return 0;
}

void wardenlink_done(struct wardenlink *w) {
    mem_close_fd(&w->socket);
    mem_close_fd(&w->rung);
    mem_close_fd(&w->answered);
    if (w->mail)
        munmap(w->mail, sizeof(*w->mail));
    *w = (struct wardenlink)WARDENLINK_NONE;
}
