#include "act/wardenproc.h"

#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <poll.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "act/wardenholds.h"
#include "base/clock.h"
#include "base/hurry.h"
#include "base/mem.h"

enum { FDS_MOST = 8192 };

struct owner {
    bool used;
    int socket, pidfd; /* -1: none (any more) */
    bool by_mail;      /* where its last ask came from, and the answer goes to */
    bool leaving;      /* an answer is due once all of it is undone */
    uint32_t leave_seq;
};

enum { POLLS = 2 + 2 * WARDEN_OWNERS + WARDEN_HOLDS };

struct warden_room {
    struct wardenproc_ends ends;
    struct owner owner[WARDEN_OWNERS];
    struct wardenholds holds;
    struct pollfd poll[POLLS];
    int poll_of[POLLS]; /* index of owner or slot */
};

/* --- answers --- */

static void answer(struct warden_room *room, const struct owner *o, uint32_t seq, int result) {
    struct warden_answer a = {seq, result};
    uint64_t one = 1;

    if (o->by_mail) {
        room->ends.mail->answer = a;
        (void)!write(room->ends.answered, &one, sizeof(one));
    } else if (o->socket >= 0) /* one ask, one answer: there is always room */
        (void)send(o->socket, &a, sizeof(a), MSG_NOSIGNAL | MSG_DONTWAIT);
}

static void close_place(int *fd) {
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

/* --- what is asked --- */

static void close_all(int *fd, unsigned n) {
    for (unsigned i = 0; i < n; i++)
        close_place(&fd[i]);
}

static int connect_one(struct warden_room *room, int *fd, unsigned n) {
    if (n != 1)
        return -EINVAL;
    for (unsigned i = 1; i < WARDEN_OWNERS; i++) { /* the first ends the warden */
        struct owner *o = &room->owner[i];

        if (o->used)
            continue;
        *o = (struct owner){.used = true, .socket = take_fd(fd), .pidfd = -1};
        return 0;
    }
    return -ENOSPC;
}

static int attach(struct owner *o, int *fd, unsigned n) {
    if (n != 1)
        return -EINVAL;
    close_place(&o->pidfd);
    o->pidfd = take_fd(fd);
    return 0;
}

static void serve(struct warden_room *room, int owner, const struct warden_ask *ask, int *fd,
                  unsigned n) {
    struct owner *o = &room->owner[owner];
    int result = -EINVAL;

    switch (ask->op) {
    case WARDEN_ATTACH:
        result = attach(o, fd, n);
        break;
    case WARDEN_CONNECT:
        result = connect_one(room, fd, n);
        break;
    case WARDEN_HOLD:
        result = wardenholds_add(&room->holds, owner, ask, fd, n);
        break;
    case WARDEN_DROP:
        if (!wardenholds_drop(&room->holds, owner, ask, &result))
            return;
        break;
    case WARDEN_EXTEND:
        result = wardenholds_extend(&room->holds, owner, ask->id, ask->deadline_us);
        break;
    case WARDEN_STATE:
        result = wardenholds_state(&room->holds, owner, ask->id);
        break;
    case WARDEN_LEAVE:
        wardenholds_undo(&room->holds, owner, clock_mono_us());
        o->leaving = true;
        o->leave_seq = ask->seq;
        return;
    default:
        break;
    }
    answer(room, o, ask->seq, result);
}

/* --- owners --- */

static void owner_gone(struct warden_room *room, int owner, int64_t now_us) {
    struct owner *o = &room->owner[owner];

    wardenholds_undo(&room->holds, owner, now_us);
    wardenholds_orphan(&room->holds, owner);
    close_place(&o->socket);
    close_place(&o->pidfd);
    o->used = o->leaving = false;
}

static unsigned take_fds(struct msghdr *m, int *fd) {
    unsigned n = 0;

    for (struct cmsghdr *c = CMSG_FIRSTHDR(m); c; c = CMSG_NXTHDR(m, c)) {
        if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
            continue;
        n = (unsigned)((c->cmsg_len - CMSG_LEN(0)) / sizeof(int));
        memcpy(fd, CMSG_DATA(c), n * sizeof(int));
    }
    return n;
}

static void hear(struct warden_room *room, int owner, int64_t now_us) {
    union {
        struct cmsghdr head;
        char room[CMSG_SPACE(WARDEN_FDS * sizeof(int))];
    } control;
    struct warden_ask ask;
    struct iovec part = {&ask, sizeof(ask)};
    struct msghdr m = {.msg_iov = &part,
                       .msg_iovlen = 1,
                       .msg_control = &control,
                       .msg_controllen = sizeof(control)};
    struct owner *o = &room->owner[owner];
    ssize_t n = recvmsg(o->socket, &m, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    int fd[WARDEN_FDS];
    unsigned fds;

    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n <= 0) {
        owner_gone(room, owner, now_us);
        return;
    }
    fds = take_fds(&m, fd);
    o->by_mail = false;
    if (n != sizeof(ask))
        answer(room, o, 0, -EINVAL);
    else if (m.msg_flags & MSG_CTRUNC)
        answer(room, o, ask.seq, -EMFILE);
    else
        serve(room, owner, &ask, fd, fds);
    close_all(fd, fds);
}

static int fetch(const struct warden_room *room, int fd) {
    int got = (int)syscall(SYS_pidfd_getfd, room->owner[0].pidfd, fd, 0);

    return got < 0 ? -errno : got;
}

static void hear_mail(struct warden_room *room) {
    struct owner *o = &room->owner[0];
    struct warden_mail mail;
    uint64_t times;
    int fd[WARDEN_FDS], r = 0;
    unsigned n = 0;

    if (read(room->ends.rung, &times, sizeof(times)) != sizeof(times))
        return;
    mail = *room->ends.mail;
    o->by_mail = true;
    while (r == 0 && n < mail.fds && n < WARDEN_FDS) {
        fd[n] = fetch(room, mail.fd[n]);
        if (fd[n] < 0)
            r = fd[n];
        else
            n++;
    }
    if (r < 0)
        answer(room, o, mail.ask.seq, r);
    else
        serve(room, 0, &mail.ask, fd, n);
    close_all(fd, n);
}

/* Answers who leaves once nothing of theirs is being undone; what is lost does not keep them. */
static void part(struct warden_room *room, int64_t now_us) {
    for (int i = 0; i < WARDEN_OWNERS; i++) {
        struct owner *o = &room->owner[i];

        if (!o->leaving || wardenholds_busy(&room->holds, i))
            continue;
        answer(room, o, o->leave_seq, 0);
        owner_gone(room, i, now_us);
    }
}

/* --- the loop --- */

static void poll_add(struct warden_room *room, unsigned *n, int fd, int of) {
    room->poll[*n] = (struct pollfd){.fd = fd, .events = POLLIN};
    room->poll_of[(*n)++] = of;
}

/* First the worker, then owners' ends, then events, and what is asked last: it gives slots away. */
struct sections {
    unsigned ends, events, asks, n;
};

static struct sections gather(struct warden_room *room) {
    struct sections at = {0};

    poll_add(room, &at.n, room->holds.work.done, 0);
    at.ends = at.n;
    for (int i = 0; i < WARDEN_OWNERS; i++)
        if (room->owner[i].used && room->owner[i].pidfd >= 0)
            poll_add(room, &at.n, room->owner[i].pidfd, i);
    at.events = at.n;
    for (int i = 0; i < (int)room->holds.top; i++) {
        const struct wardenslot *s = &room->holds.slot[i];

        if (s->state == SLOT_HELD && s->event >= 0)
            poll_add(room, &at.n, s->event, i);
    }
    at.asks = at.n;
    for (int i = 0; i < WARDEN_OWNERS; i++)
        if (room->owner[i].used && !room->owner[i].leaving)
            poll_add(room, &at.n, room->owner[i].socket, i);
    if (room->owner[0].used && !room->owner[0].leaving && room->owner[0].pidfd >= 0)
        poll_add(room, &at.n, room->ends.rung, 0);
    return at;
}

static void worked(struct warden_room *room, int64_t now_us) {
    uint32_t seq;
    int owner;

    if (wardenholds_worked(&room->holds, now_us, &owner, &seq))
        answer(room, &room->owner[owner], seq, -EALREADY);
}

static void take_in(struct warden_room *room, const struct sections *at, int64_t now_us) {
    for (unsigned i = 0; i < at->n; i++) {
        int of = room->poll_of[i];

        if (room->poll[i].revents == 0)
            continue;
        if (i < at->ends)
            worked(room, now_us);
        else if (i < at->events)
            owner_gone(room, of, now_us);
        else if (i < at->asks)
            wardenholds_event(&room->holds.slot[of], now_us);
        else if (room->poll[i].fd == room->ends.rung)
            hear_mail(room);
        else if (room->owner[of].used)
            hear(room, of, now_us);
    }
}

static void wait_for(struct warden_room *room, unsigned n) {
    int64_t next_us = wardenholds_due(&room->holds), left_us = next_us - clock_mono_us();
    struct timespec left = {0};

    if (left_us > 0)
        left = (struct timespec){left_us / 1000000, left_us % 1000000 * 1000};
    if (ppoll(room->poll, n, next_us == 0 ? NULL : &left, NULL) < 0)
        for (unsigned i = 0; i < n; i++)
            room->poll[i].revents = 0;
}

static _Noreturn void loop(struct warden_room *room) {
    for (;;) {
        struct sections at = gather(room);
        int64_t now_us;

        wait_for(room, at.n);
        now_us = clock_mono_us();
        take_in(room, &at, now_us);
        wardenholds_go_on(&room->holds, now_us);
        part(room, now_us);
        if (!room->owner[0].used && wardenholds_empty(&room->holds))
            _exit(0);
    }
}

/* --- its start --- */

/* What it runs on, and no more: the heap of whom it was forked from stays shared with that. */
static int lock_object(struct dl_phdr_info *info, size_t size, void *context) {
    (void)size, (void)context;
    for (unsigned i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *p = &info->dlpi_phdr[i];

        if (p->p_type == PT_LOAD && p->p_memsz < 64 << 20)
            (void)syscall(SYS_mlock, info->dlpi_addr + p->p_vaddr, p->p_memsz);
    }
    return 0;
}

static void lock_memory(struct warden_room *room) {
    char here[16384];

    memset(here, 0, sizeof(here)); /* of the stack, as deep as the loop goes */
    __asm__ volatile("" : : "r"(here) : "memory");
    (void)syscall(SYS_mlock, here, sizeof(here));
    (void)syscall(SYS_mlock, room, sizeof(*room));
    (void)syscall(SYS_mlock, room->ends.mail, sizeof(*room->ends.mail));
    (void)dl_iterate_phdr(lock_object, NULL);
}

static int raised(int fd) {
    return fcntl(fd, F_DUPFD_CLOEXEC, 10);
}

static int grow_table(int fd) {
    struct rlimit most;

    if (getrlimit(RLIMIT_NOFILE, &most) < 0)
        return -errno;
    most.rlim_cur = most.rlim_max;
    (void)setrlimit(RLIMIT_NOFILE, &most);
    return dup2(fd, (int)(most.rlim_cur < FDS_MOST ? most.rlim_cur : FDS_MOST) - 1);
}

/* 3, 4 and 5 are the socket and the mailbox's; 0, 1 and 2 are the pidfd, to which nothing can be
 * written: what an abort has to say must not get into a control file. The table of descriptors is
 * made as large as it will be. */
static int keep_only(struct wardenproc_ends *ends) {
    int harmless = ends->pidfd >= 0 ? ends->pidfd : ends->socket;
    int keep[] = {harmless, harmless, harmless, ends->socket, ends->rung, ends->answered};

    for (unsigned i = 0; i < ARRAY_N(keep); i++)
        if ((keep[i] = raised(keep[i])) < 0)
            return -errno;
    (void)grow_table(keep[0]);
    for (int i = 0; i < (int)ARRAY_N(keep); i++)
        if (dup2(keep[i], i) < 0)
            return -errno;
    if (syscall(SYS_close_range, (unsigned)ARRAY_N(keep), ~0U, 0U) < 0) /* before Linux 5.9 */
        for (int fd = (int)ARRAY_N(keep); fd < 65536; fd++)
            close(fd);
    ends->pidfd = ends->pidfd < 0 ? -1 : 0;
    ends->socket = 3;
    ends->rung = 4;
    ends->answered = 5;
    return 0;
}

static void spare_us(void) {
    int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);

    if (fd >= 0) {
        (void)!write(fd, "-1000", 5);
        close(fd);
    }
}

/* Whether it may take a descriptor of its owner's. */
static bool can_fetch(const struct warden_room *room) {
    int fd = room->ends.pidfd < 0 ? -1 : fetch(room, room->ends.known);

    if (fd >= 0)
        close(fd);
    return fd >= 0;
}

_Noreturn void wardenproc_run(const struct wardenproc_ends *given) {
    struct warden_answer stands = {0, (int32_t)getpid()};
    struct wardenproc_ends ends = *given;
    struct warden_room *room;

    prctl(PR_SET_NAME, "plimsoll-warden");
    spare_us();
    hurry(); /* who asks waits for the answer before it acts */
    if (chdir("/") < 0 || keep_only(&ends) < 0)
        _exit(1);
    room = mmap(NULL, sizeof(*room), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (room == MAP_FAILED)
        _exit(1);
    memset(room, 0, sizeof(*room)); /* there is memory for all of it now, or we end here */
    room->ends = ends;
    room->owner[0] = (struct owner){.used = true, .socket = ends.socket, .pidfd = ends.pidfd};
    if (wardenholds_init(&room->holds) < 0)
        _exit(1);
    lock_memory(room);
    ends.mail->answer.seq = can_fetch(room);
    if (send(ends.socket, &stands, sizeof(stands), MSG_NOSIGNAL) != sizeof(stands))
        _exit(1);
    loop(room);
}
