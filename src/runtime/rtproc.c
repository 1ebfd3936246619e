#include "runtime/rtproc.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/un.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/mem.h"
#include "kern/procfile.h"
#include "kern/procline.h"
#include "kern/procns.h"
#include "kern/procstat.h"
#include "net/http1.h"

static uint64_t status_value(const struct procstatus *s, enum procstatus_field f) {
    return s->have & 1U << f ? s->value[f] : 0;
}

/* Whether it lives in another namespace than we; unknown counts as another. */
static bool is_elsewhere(const struct host *h, int32_t pid, enum procns_kind kind) {
    uint64_t its, ours;

    if (procns_read(h->proc, pid, kind, &its) < 0 ||
        procns_read(h->proc, (int32_t)getpid(), kind, &ours) < 0)
        return true;
    return its != ours;
}

static int open_all(struct rtproc *p, struct err *err) {
    struct procstat stat;
    char name[16];
    int r;

    (void)snprintf(name, sizeof(name), "%d", p->pid);
    p->dir = openat(p->host->proc, name, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (p->dir < 0)
        return errno == ENOENT ? err_set(err, -ESRCH, "there is no process %d", p->pid)
                               : err_set(err, -errno, "cannot open process %d:", p->pid);
    if (p->host->live) {
        p->pidfd = (int)syscall(SYS_pidfd_open, p->pid, 0);
        if (p->pidfd < 0 && (errno == EINVAL || errno == ENOENT))
            return err_set(err, -EINVAL, "%d is a thread, not a process", p->pid);
        if (p->pidfd < 0)
            return err_set(err, errno == ESRCH ? -ESRCH : -errno,
                           "cannot hold process %d:", p->pid);
    }
    r = procstat_read(p->host->proc, p->pid, &stat);
    if (r == 0)
        r = procstatus_read(p->host->proc, p->pid, &p->status);
    if (procfile_gone(r))
        return err_set(err, -ESRCH, "process %d is gone", p->pid);
    if (r < 0)
        return err_set(err, r, "cannot read process %d:", p->pid);
    if (stat.kernel_thread)
        return err_set(err, -ENODATA, "%d is a thread of the kernel", p->pid);
    if (stat.state == 'Z' || stat.state == 'X')
        return err_set(err, -ENODATA, "%d has ended: a zombie that its parent has not waited for",
                       p->pid);
    p->start_ticks = stat.start_ticks;
    str_copy(procstat_comm(&stat), p->comm, sizeof(p->comm));
    return 0;
}

int rtproc_open(const struct host *h, int32_t pid, struct rtproc *out, struct err *err) {
    struct rtproc p = {.host = h, .pid = pid, .dir = -1, .pidfd = -1};
    int r = open_all(&p, err);

    if (r < 0) {
        rtproc_done(&p);
        return r;
    }
    p.uid = (uint32_t)status_value(&p.status, PROCSTATUS_EUID);
    p.gid = (uint32_t)status_value(&p.status, PROCSTATUS_EGID);
    p.ns_pid = (int32_t)status_value(&p.status, PROCSTATUS_NS_PID);
    if (p.ns_pid == 0)
        p.ns_pid = pid;
    if (h->live) {
        p.other_pid_ns = is_elsewhere(h, pid, PROCNS_PID);
        p.other_mnt_ns = is_elsewhere(h, pid, PROCNS_MNT);
        p.other_net_ns = is_elsewhere(h, pid, PROCNS_NET);
    }
    *out = p;
    return 0;
}

void rtproc_done(struct rtproc *p) {
    if (!p->host)
        return;
    if (p->dir >= 0)
        close(p->dir);
    if (p->pidfd >= 0)
        close(p->pidfd);
    *p = (struct rtproc){.dir = -1, .pidfd = -1};
}

int rtproc_same(const struct rtproc *p) {
    struct procstat stat;
    int r = procstat_read(p->host->proc, p->pid, &stat);

    if (r < 0)
        return procfile_gone(r) ? -ESRCH : r;
    if (stat.start_ticks != p->start_ticks || stat.state == 'Z' || stat.state == 'X')
        return -ESRCH;
    return 0;
}

/* --- files ------------------------------------------------------------------------------------ */

/* Its root; file_open_in does not follow the magic link itself. */
static int open_root(const struct rtproc *p) {
    int fd = openat(p->dir, "root", O_PATH | O_DIRECTORY | O_CLOEXEC);

    return fd < 0 ? -errno : fd;
}

int rtproc_load(const struct rtproc *p, const char *path, size_t max, char **out, size_t *len_out) {
    auto_close int root = open_root(p);

    return root < 0 ? root : file_load_in(root, path, max, out, len_out);
}

static int only_regular(int fd) {
    struct stat st;

    if (fd < 0 || (fstat(fd, &st) == 0 && S_ISREG(st.st_mode)))
        return fd;
    close(fd);
    return -EINVAL;
}

int rtproc_open_file(const struct rtproc *p, const char *path, bool any_type) {
    auto_close int root = open_root(p);
    int fd = root < 0 ? root : file_open_in(root, path);

    return any_type ? fd : only_regular(fd);
}

int rtproc_open_exe(const struct rtproc *p) {
    int fd = openat(p->dir, "exe", O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);

    return fd < 0 ? -errno : only_regular(fd);
}

int rtproc_open_mapped(const struct rtproc *p, uint64_t start, uint64_t end, const char *path) {
    char name[64];
    int fd;

    (void)snprintf(name, sizeof(name), "map_files/%lx-%lx", start, end);
    fd = openat(p->dir, name, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    if (fd >= 0)
        return only_regular(fd);
    return rtproc_open_file(p, path, false);
}

/* --- signals ---------------------------------------------------------------------------------- */

enum rtproc_signal rtproc_signal_action(const struct rtproc *p, int signal) {
    uint64_t bit = 1ull << (signal - 1);
    struct procstatus s;

    if (procstatus_read(p->host->proc, p->pid, &s) < 0)
        return RTPROC_DEFAULT;
    if (status_value(&s, PROCSTATUS_IGNORED) & bit)
        return RTPROC_IGNORED;
    if (!(status_value(&s, PROCSTATUS_CAUGHT) & bit))
        return RTPROC_DEFAULT;
    /* Blocked in the first thread alone: others may take it. Only a program of one thread is sure
     * to wait. */
    if (status_value(&s, PROCSTATUS_BLOCKED) & bit && status_value(&s, PROCSTATUS_THREADS) == 1)
        return RTPROC_BLOCKED;
    return RTPROC_HANDLED;
}

int rtproc_send(const struct rtproc *p, int signal) {
    int r = rtproc_same(p);

    if (r < 0)
        return r;
    if (p->pidfd < 0)
        return -EOPNOTSUPP;
    return syscall(SYS_pidfd_send_signal, p->pidfd, signal, NULL, 0) < 0 ? -errno : 0;
}

/* --- memory ----------------------------------------------------------------------------------- */

int rtproc_read(const struct rtproc *p, uint64_t address, void *out, size_t n) {
    size_t done = 0;

    while (done < n) {
        struct iovec here = {(char *)out + done, n - done};
        struct iovec there = {(void *)(uintptr_t)(address + done), n - done};
        ssize_t r = process_vm_readv(p->pid, &here, 1, &there, 1, 0);

        if (r < 0)
            return -errno;
        if (r == 0)
            return -EFAULT;
        done += (size_t)r;
    }
    return 0;
}

int rtproc_open_mem(const struct rtproc *p) {
    int fd = openat(p->dir, "mem", O_RDWR | O_CLOEXEC);

    return fd < 0 ? -errno : fd;
}

/* --- sockets ---------------------------------------------------------------------------------- */

/* A socket that belongs to the process's network namespace; ours again afterwards. */
static int socket_within(const struct rtproc *p, int family, int type) {
    auto_close int own = -1, its = -1, fd = -1;

    type |= SOCK_NONBLOCK | SOCK_CLOEXEC;
    if (!p->other_net_ns) {
        int plain = socket(family, type, 0);

        return plain < 0 ? -errno : plain;
    }
    own = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
    if (own < 0)
        return -errno;
    its = openat(p->dir, "ns/net", O_RDONLY | O_CLOEXEC);
    if (its < 0)
        return -errno;
    if (rtproc_same(p) < 0)
        return -ESRCH;
    if (setns(its, CLONE_NEWNET) < 0)
        return -errno;
    fd = socket(family, type, 0);
    if (fd < 0)
        fd = -errno;
    if (setns(own, CLONE_NEWNET) < 0)
        _exit(1); /* never go on in a namespace that is not ours */
    return fd < 0 ? fd : take_fd(&fd);
}

/* A connect that was begun. */
static int finish_connect(int fd, int64_t deadline_us) {
    int error = 0;
    socklen_t n = sizeof(error);
    int r = http1_wait(fd, POLLOUT, deadline_us);

    if (r < 0)
        return r;
    if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &n) < 0)
        return -errno;
    return -error;
}

int rtproc_connect(const struct rtproc *p, uint16_t port, bool six, int64_t deadline_us) {
    struct sockaddr_in v4 = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct sockaddr_in6 v6 = {
        .sin6_family = AF_INET6, .sin6_port = htons(port), .sin6_addr = IN6ADDR_LOOPBACK_INIT};
    auto_close int fd = socket_within(p, six ? AF_INET6 : AF_INET, SOCK_STREAM);
    int r;

    if (fd < 0)
        return fd;
    r = six ? connect(fd, (const struct sockaddr *)&v6, sizeof(v6))
            : connect(fd, (const struct sockaddr *)&v4, sizeof(v4));
    if (r < 0 && errno != EINPROGRESS)
        return -errno;
    if (r < 0)
        r = finish_connect(fd, deadline_us);
    return r < 0 ? r : take_fd(&fd);
}

#define OF_THE_SERVICE                                                                             \
    "; the agent's service gets that by guards.conf, which is in share/doc/plimsoll"

const char rtproc_net_hint[] = "run it as root with CAP_SYS_ADMIN" OF_THE_SERVICE;
const char rtproc_mem_hint[] = "run it as the process's user, or as root with CAP_DAC_OVERRIDE and "
                               "CAP_SYS_PTRACE" OF_THE_SERVICE;

int rtproc_try_net(const struct rtproc *p, struct err *err) {
    auto_close int fd = socket_within(p, AF_INET, SOCK_DGRAM);

    if (fd < 0)
        return err_set(err, fd, "the network namespace of process %d cannot be entered:", p->pid);
    return 0;
}

/* A datagram socket that is connected has found a route, and nothing is sent. An interface that is
 * down has none; where there is a default one, its flag tells. */
bool rtproc_has_loopback(const struct rtproc *p) {
    struct sockaddr_in to = {
        .sin_family = AF_INET, .sin_port = htons(9), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    auto_close int fd = socket_within(p, AF_INET, SOCK_DGRAM);
    struct ifreq lo = {.ifr_name = "lo"};

    if (fd < 0)
        return true;
    if (connect(fd, (const struct sockaddr *)&to, sizeof(to)) < 0 &&
        (errno == ENETUNREACH || errno == EINVAL || errno == EADDRNOTAVAIL))
        return false;
    return ioctl(fd, SIOCGIFFLAGS, &lo) < 0 || (lo.ifr_flags & IFF_UP);
}

int rtproc_connect_unix(const struct rtproc *p, const char *path, int64_t deadline_us) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    auto_close int root = open_root(p), place = -1, fd = -1;
    struct stat st;

    if (root < 0)
        return root;
    place = file_open_path_in(root, path);
    if (place < 0)
        return place;
    if (fstat(place, &st) < 0)
        return -errno;
    if (!S_ISSOCK(st.st_mode))
        return -ENOTSOCK;
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return -errno;
    /* By the descriptor: nobody can put something else in its place any more. */
    (void)snprintf(address.sun_path, sizeof(address.sun_path), "/proc/self/fd/%d", place);
    while (connect(fd, (const struct sockaddr *)&address, sizeof(address)) < 0) {
        if (errno == EAGAIN && clock_mono_us() < deadline_us)
            usleep(2000); /* its queue is full, and poll(2) does not help */
        else if (errno != EINTR)
            return errno == EAGAIN ? -ETIMEDOUT : -errno;
    }
    return take_fd(&fd);
}

/* --- listening ports -------------------------------------------------------------------------- */

enum { SOCKETS_MAX = 4096, STATE_LISTEN = 0x0A };

struct inodes {
    uint64_t inode[SOCKETS_MAX];
    size_t n;
};

static int hex_u32(struct str s, uint64_t *out) {
    return s.n <= 8 ? str_to_hex(s, out) : -EBADMSG;
}

/* "  0: 0100007F:1F90 00000000:0000 0A ..." inode is the tenth word. */
static int parse_listener(struct str line, struct rtproc_port *port, uint64_t *inode) {
    struct str word[10], address, number;
    uint64_t value, state;

    for (unsigned i = 0; i < ARRAY_N(word); i++)
        if (!str_word(&line, &word[i]))
            return -EBADMSG;
    number = word[1];
    if (!str_cut(&number, ':', &address) || hex_u32(number, &value) < 0 || value > 65535 ||
        hex_u32(word[3], &state) < 0 || state != STATE_LISTEN || str_to_u64(word[9], inode) < 0)
        return -EBADMSG;
    port->port = (uint16_t)value;
    port->six = address.n == 32;
    /* Words of four bytes in the machine's order: 127.x is the last byte of the first. */
    if (address.n == 8) {
        port->loopback = str_ends(address, STR("7F"));
        return port->loopback || str_eq(address, STR("00000000")) ? 0 : -EBADMSG;
    }
    port->loopback = str_eq(address, STR("00000000000000000000000001000000"));
    return port->loopback || str_eq(address, STR("00000000000000000000000000000000")) ? 0
                                                                                      : -EBADMSG;
}

struct listeners {
    const struct inodes *own;
    struct rtproc_port *out;
    size_t size, n;
};

static void take_listener(struct listeners *l, struct str line) {
    struct rtproc_port port;
    uint64_t inode;

    if (parse_listener(line, &port, &inode) < 0)
        return;
    for (size_t i = 0; i < l->own->n && l->n < l->size; i++) {
        if (l->own->inode[i] != inode)
            continue;
        l->out[l->n++] = port;
        break;
    }
}

static int read_listeners(const struct rtproc *p, const char *name, struct listeners *into) {
    auto_free struct procline *lines = malloc(sizeof(*lines));
    struct str line;
    bool cut;
    int r;

    if (!lines)
        return -ENOMEM;
    r = procline_open(lines, p->host->proc, p->pid, name);
    if (r < 0)
        return r;
    while ((r = procline_next(lines, &line, &cut)) > 0)
        if (!cut)
            take_listener(into, line);
    procline_close(lines);
    return r;
}

struct fd_dir {
    int dir;
    struct inodes *own;
};

static int take_socket(void *ctx, const char *name) {
    struct fd_dir *d = ctx;
    struct str link;
    uint64_t inode;
    char target[64];

    if (d->own->n == SOCKETS_MAX)
        return 0;
    if (file_link_at(d->dir, name, target, sizeof(target), &link) < 0 ||
        !str_skip(&link, STR("socket:[")) || !str_drop(&link, STR("]")) ||
        str_to_u64(link, &inode) < 0)
        return 0;
    d->own->inode[d->own->n++] = inode;
    return 0;
}

int rtproc_ports(const struct rtproc *p, struct rtproc_port *out, size_t size) {
    static const char *const tables[] = {"net/tcp", "net/tcp6"};
    auto_free struct inodes *own = malloc(sizeof(*own));
    auto_close int dir = openat(p->dir, "fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    struct fd_dir fds = {dir, own};
    struct listeners listeners = {own, out, size, 0};
    int r;

    if (!own)
        return -ENOMEM;
    if (dir < 0)
        return -errno;
    own->n = 0;
    r = procfile_names(dir, take_socket, &fds);
    for (unsigned i = 0; i < ARRAY_N(tables) && r >= 0; i++) {
        r = read_listeners(p, tables[i], &listeners);
        if (r == -ENOENT && i > 0)
            r = 0; /* a kernel without IPv6 */
    }
    return r < 0 ? r : (int)listeners.n;
}

/* --- sizes ------------------------------------------------------------------------------------ */

int rtproc_rss(const struct rtproc *p, uint64_t *rss_out, uint64_t *anon_out) {
    struct procstatus s;
    int r = procstatus_read(p->host->proc, p->pid, &s);

    if (r < 0)
        return procfile_gone(r) ? -ESRCH : r;
    if (!(s.have & 1U << PROCSTATUS_RES))
        return -ESRCH; /* its memory is gone: it is ending */
    *rss_out = s.value[PROCSTATUS_RES];
    *anon_out = status_value(&s, PROCSTATUS_ANON) + status_value(&s, PROCSTATUS_SWAP);
    return 0;
}
