#include "lib/pressure.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/mem.h"
#include "kern/psi.h"
#include "lib/plim.h"

/* What tasks may lose before it is pressure. The second is allowed without CAP_SYS_RESOURCE. */
static const char *const triggers[] = {"some 50000 500000", "some 200000 2000000"};
static const uint64_t stalled_least_us = 20000;

/* --- the two variables --- */

static int value_of(char c) {
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const char *found = c ? strchr(digits, c) : NULL;

    return found ? (int)(found - digits) : -1;
}

static int decode(struct str text, char *out, size_t size, size_t *n_out) {
    uint32_t bits = 0;
    unsigned have = 0;
    size_t n = 0, padding = 0;

    if (text.n % 4 != 0)
        return -EINVAL;
    while (text.n > 0 && padding < 2 && text.p[text.n - 1] == '=') {
        padding++;
        text.n--;
    }
    for (size_t i = 0; i < text.n; i++) {
        int value = value_of(text.p[i]);

        if (value < 0)
            return -EINVAL;
        bits = (bits << 6 | (uint32_t)value) & 0xffffff;
        have += 6;
        if (have < 8)
            continue;
        if (n == size)
            return -E2BIG;
        have -= 8;
        out[n++] = (char)(bits >> have & 0xff);
    }
    *n_out = n;
    return 0;
}

int pressure_words(const char *watch, const char *write, struct pressure_words *out) {
    out->set = watch && watch[0];
    out->write_n = 0;
    if (!out->set)
        return 0;
    if (str_eq(str_of(watch), STR("/dev/null")))
        return -EOPNOTSUPP;
    if (watch[0] != '/' || str_copy(str_of(watch), out->path, sizeof(out->path)) < 0)
        return -EINVAL;
    return write ? decode(str_of(write), out->write, sizeof(out->write), &out->write_n) : 0;
}

/* --- what they name --- */

static int connect_to(const char *path) {
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    auto_close int fd = -1;

    if (str_copy(str_of(path), to.sun_path, sizeof(to.sun_path)) < 0)
        return -ENAMETOOLONG;
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0 || connect(fd, (struct sockaddr *)&to, sizeof(to)) < 0)
        return -errno;
    return take_fd(&fd);
}

static int open_named(const char *path, bool *psi_out) {
    struct stat st;
    int fd;

    if (stat(path, &st) < 0)
        return -errno;
    *psi_out = S_ISREG(st.st_mode);
    if (S_ISSOCK(st.st_mode))
        return connect_to(path);
    if (!S_ISREG(st.st_mode) && !S_ISFIFO(st.st_mode))
        return -EINVAL;
    fd = open(path, O_RDWR | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    return fd < 0 ? -errno : fd;
}

static int write_words(int fd, const char *words, size_t n) {
    ssize_t sent = n == 0 ? 0 : send(fd, words, n, MSG_NOSIGNAL);

    if (sent < 0 && errno == ENOTSOCK)
        sent = write(fd, words, n);
    return sent < 0 ? -errno : (size_t)sent == n ? 0 : -EIO;
}

static bool is_socket(int fd) {
    struct stat st;

    return fstat(fd, &st) == 0 && S_ISSOCK(st.st_mode);
}

static int watch_named(struct plim *p, const struct pressure_words *w) {
    auto_close int fd = -1;
    bool psi = false;
    int r;

    fd = open_named(w->path, &psi);
    if (fd < 0)
        return fd;
    r = write_words(fd, w->write, w->write_n);
    if (r < 0)
        return r;
    p->own_bytes = psi || w->write_n == 0 || is_socket(fd) ? 0 : w->write_n;
    r = holds_watch(&p->holds, take_fd(&fd), (psi ? EPOLLPRI : EPOLLIN) | EPOLLET, &p->pressure);
    if (r < 0)
        return r;
    p->pressure_is_psi = psi;
    if (psi) {
        int again = open(w->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);

        (void)holds_keep(&p->holds, again < 0 ? -errno : again, &p->psi);
    }
    return 0;
}

static int watch_kernel(struct plim *p) {
    int r = -EOPNOTSUPP;

    if (!holds_is_ours(&p->holds, &p->psi_dir))
        return r;
    for (size_t i = 0; r < 0 && i < ARRAY_N(triggers); i++) {
        auto_close int fd =
            openat(p->psi_dir.fd, "memory.pressure", O_RDWR | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);

        if (fd < 0)
            return -EOPNOTSUPP;
        if (write(fd, triggers[i], strlen(triggers[i]) + 1) >= 0)
            r = holds_watch(&p->holds, take_fd(&fd), EPOLLPRI | EPOLLET, &p->pressure);
    }
    if (r == 0) {
        int again = openat(p->psi_dir.fd, "memory.pressure", O_RDONLY | O_CLOEXEC | O_NOCTTY);

        p->pressure_is_psi = true;
        (void)holds_keep(&p->holds, again < 0 ? -errno : again, &p->psi);
    }
    return r;
}

static bool read_stalled(struct plim *p, uint64_t *out) {
    struct str text;
    struct psi psi;
    char buf[512];

    if (held_read(&p->psi, buf, sizeof(buf), &text) < 0 || psi_parse(text, &psi) < 0 ||
        !psi.have_some)
        return false;
    *out = psi.some.total_us;
    return true;
}

int pressure_open(struct plim *p) {
    auto_free struct pressure_words *w = NULL;
    int r;

    if (p->pressure.fd >= 0)
        return 0;
    w = malloc(sizeof(*w));
    if (!w)
        return -ENOMEM;
    r = pressure_words(getenv("MEMORY_PRESSURE_WATCH"), getenv("MEMORY_PRESSURE_WRITE"), w);
    if (r == 0)
        r = w->set ? watch_named(p, w) : watch_kernel(p);
    if (r == 0)
        (void)read_stalled(p, &p->stalled_us);
    return r;
}

/* What is written into a FIFO comes back to us when nobody else takes it: that is no pressure. */
static bool discard(struct plim *p) {
    char dropped[512];
    size_t all = 0;

    for (int i = 0; i < 64; i++) {
        ssize_t n = read(p->pressure.fd, dropped, sizeof(dropped));

        if (n <= 0)
            break;
        all += (size_t)n;
    }
    if (all == 0 || all > p->own_bytes) {
        p->own_bytes = 0;
        return all > 0;
    }
    p->own_bytes -= all;
    return false;
}

/* A trigger of PSI is taken in by whoever polls: by a poll of the epoll descriptor, too, and then
 * there is nothing left for us. So where that was woken by nothing, what was lost is looked at. */
bool pressure_seen(struct plim *p, bool fired, bool nothing) {
    uint64_t stalled;

    if (p->pressure.fd < 0)
        return false;
    if (!p->pressure_is_psi)
        return fired && holds_is_ours(&p->holds, &p->pressure) && discard(p);
    if (read_stalled(p, &stalled)) {
        fired |= nothing && stalled - p->stalled_us >= stalled_least_us;
        if (fired)
            p->stalled_us = stalled;
    }
    return fired;
}
