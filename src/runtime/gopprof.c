#include "runtime/gopprof.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "base/mem.h"
#include "net/http1.h"

enum {
    PORTS_MAX = 32,
    INDEX_MAX = 128 << 10,
    DRAIN_MAX = 64 << 20,
    CONNECT_US = 300000,
};

bool gopprof_is_index(struct str body) {
    static const char *const words[] = {"/debug/pprof/", "goroutine", "heap", "threadcreate"};

    for (size_t i = 0; i < ARRAY_N(words); i++)
        if (!memmem(body.p, body.n, words[i], strlen(words[i])))
            return false;
    return true;
}

int gopprof_memstat(struct str text, const char *name, uint64_t *out) {
    struct str line, word, key = str_of(name);

    while (text.n > 0) {
        if (!str_cut(&text, '\n', &line)) {
            line = text;
            text.n = 0;
        }
        if (!str_skip(&line, STR("# ")) || !str_skip(&line, key) || !str_skip(&line, STR(" = ")))
            continue;
        if (!str_word(&line, &word))
            return -EBADMSG;
        return str_to_u64(word, out);
    }
    return -ENOENT;
}

static int64_t sooner(int64_t deadline_us, int64_t within_us) {
    int64_t then_us = clock_mono_us() + within_us;

    return then_us < deadline_us ? then_us : deadline_us;
}

static int connected(const struct rtproc *p, const struct gopprof *at, int64_t deadline_us,
                     char host[32]) {
    (void)snprintf(host, 32, at->six ? "[::1]:%u" : "127.0.0.1:%u", (unsigned)at->port);
    return rtproc_connect(p, at->port, at->six, sooner(deadline_us, CONNECT_US));
}

int gopprof_get(const struct rtproc *p, const struct gopprof *at, const char *page,
                int64_t deadline_us, struct buf *answer, struct unixhttp *out) {
    char host[32], target[128];
    auto_close int fd = connected(p, at, deadline_us, host);
    int r;

    if (fd < 0)
        return fd;
    (void)snprintf(target, sizeof(target), "/debug/pprof/%s", page);
    r = http1_get(fd, host, target, deadline_us, answer, out);
    return r < 0 ? r : out->status == 200 ? 0 : -EPROTO;
}

/* The status line: " 200 " behind the version. */
static bool is_ok(struct str head) {
    return (str_starts(head, STR("HTTP/1.0 200 ")) || str_starts(head, STR("HTTP/1.1 200 ")));
}

static int drain(int fd, int64_t deadline_us) {
    enum { PIECE = 32768 };
    auto_free char *piece = malloc(PIECE);
    size_t total = 0;

    if (!piece)
        return -ENOMEM;
    for (;;) {
        /* The status line in one piece: it is much shorter than what a server sends at once. */
        ssize_t n = recv(fd, piece, PIECE, 0);
        int r;

        if (n == 0)
            return total > 0 ? 0 : -EBADMSG;
        if (n > 0) {
            if (total == 0 && !is_ok((struct str){piece, (size_t)n}))
                return -EPROTO;
            total += (size_t)n;
            if (total > DRAIN_MAX)
                return -EFBIG;
            if (clock_mono_us() >= deadline_us)
                return -ETIMEDOUT;
            continue;
        }
        if (errno == EINTR)
            continue;
        if (errno != EAGAIN)
            return -errno;
        r = http1_wait(fd, POLLIN, deadline_us);
        if (r < 0)
            return r;
    }
}

int gopprof_drain(const struct rtproc *p, const struct gopprof *at, const char *page,
                  int64_t deadline_us) {
    char host[32], target[128];
    auto_close int fd = connected(p, at, deadline_us, host);
    int r;

    if (fd < 0)
        return fd;
    (void)snprintf(target, sizeof(target), "/debug/pprof/%s", page);
    r = http1_ask(fd, host, target, deadline_us);
    return r < 0 ? r : drain(fd, deadline_us);
}

/* 0: as pprof does; -ENOENT: as something else, or not at all; -ETIMEDOUT. */
static int answers(const struct rtproc *p, const struct gopprof *at, int64_t deadline_us) {
    struct unixhttp page;
    struct buf answer;
    int r;

    buf_init(&answer, INDEX_MAX);
    r = gopprof_get(p, at, "", deadline_us, &answer, &page);
    if (r != -ETIMEDOUT)
        r = r == 0 && gopprof_is_index(page.body) ? 0 : -ENOENT;
    buf_done(&answer);
    return r;
}

int gopprof_find(const struct rtproc *p, uint16_t wanted, int64_t deadline_us, struct gopprof *out,
                 unsigned *tried_out) {
    struct rtproc_port port[PORTS_MAX];
    int n, none = -ENOENT;

    *tried_out = 0;
    if (!p->host->live)
        return -ENOENT;
    n = rtproc_ports(p, port, PORTS_MAX);
    if (n < 0 && wanted == 0)
        return n;
    if (wanted) {
        port[0] = (struct rtproc_port){.port = wanted};
        port[1] = (struct rtproc_port){.port = wanted, .six = true};
        n = 2;
    }
    for (int i = 0; i < n && clock_mono_us() < deadline_us; i++) {
        struct gopprof at = {port[i].port, port[i].six};
        /* A share of the time for each that is left, and one for what is asked then. */
        int64_t share_us = (deadline_us - clock_mono_us()) / (n - i + 1);
        int r = answers(p, &at, clock_mono_us() + share_us);

        ++*tried_out;
        if (r == 0) {
            *out = at;
            return 0;
        }
        none = r == -ETIMEDOUT ? r : none;
    }
    return none;
}
