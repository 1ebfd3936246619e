#include "net/http1.h"

#include <errno.h>
#include <poll.h>
#include <sys/socket.h>

#include "base/clock.h"

int http1_wait(int fd, short events, int64_t deadline_us) {
    for (;;) {
        struct pollfd p = {.fd = fd, .events = events};
        int64_t left_ms = (deadline_us - clock_mono_us() + 999) / 1000;
        int n;

        if (left_ms <= 0)
            return -ETIMEDOUT;
        n = poll(&p, 1, left_ms > 60000 ? 60000 : (int)left_ms);
        if (n > 0)
            return 0;
        if (n < 0 && errno != EINTR)
            return -errno;
    }
}

int http1_send(int fd, struct str text, int64_t deadline_us) {
    while (text.n > 0) {
        ssize_t n = send(fd, text.p, text.n, MSG_NOSIGNAL);
        int r;

        if (n >= 0) {
            text = str_from(text, (size_t)n);
            continue;
        }
        if (errno == EINTR)
            continue;
        if (errno != EAGAIN)
            return -errno;
        r = http1_wait(fd, POLLOUT, deadline_us);
        if (r < 0)
            return r;
    }
    return 0;
}

static int receive_all(int fd, struct buf *answer, int64_t deadline_us) {
    for (;;) {
        char *room = buf_room(answer, 16384);
        ssize_t n;
        int r;

        if (!room)
            return buf_error(answer);
        n = recv(fd, room, 16384, 0);
        if (n == 0)
            return 0;
        if (n > 0) {
            buf_grow(answer, (size_t)n);
            if (clock_mono_us() >= deadline_us)
                return -ETIMEDOUT; /* a server that never ends */
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

bool http1_is_target(const char *target) {
    for (const char *c = target; *c; c++)
        if ((unsigned char)*c <= ' ' || (unsigned char)*c >= 0x7f)
            return false;
    return true;
}

int http1_ask(int fd, const char *host, const char *target, int64_t deadline_us) {
    struct buf request;
    int r;

    if (!http1_is_target(target))
        return -EINVAL;
    buf_init(&request, 4096);
    buf_add_format(&request, "GET %s HTTP/1.0\r\nHost: %s\r\nConnection: close\r\n\r\n", target,
                   host);
    r = buf_error(&request);
    if (r == 0)
        r = http1_send(fd, buf_str(&request), deadline_us);
    buf_done(&request);
    return r;
}

int http1_get(int fd, const char *host, const char *target, int64_t deadline_us, struct buf *answer,
              struct unixhttp *out) {
    int r = http1_ask(fd, host, target, deadline_us);

    if (r < 0)
        return r;
    buf_clear(answer);
    r = receive_all(fd, answer, deadline_us);
    if (r < 0)
        return r;
    return unixhttp_parse(buf_str(answer), out);
}
