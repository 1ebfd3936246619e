#include "inspect/gcout.h"

#include <errno.h>
#include <poll.h>
#include <unistd.h>

#include "base/clock.h"

/* A pipe that is said to be writable takes so much without waiting; a terminal takes less. */
enum { CHUNK = 4096, TERMINAL_CHUNK = 512, MAX = 16 << 20 };

void gcout_init(struct gcout *o, int fd) {
    *o = (struct gcout){.fd = fd};
    buf_init(&o->buf, MAX);
}

void gcout_done(struct gcout *o) {
    buf_done(&o->buf);
}

static void give_up(struct gcout *o, int error) {
    o->gone = true;
    o->error = error;
    o->sent = 0;
    buf_clear(&o->buf);
}

void gcout_add(struct gcout *o, struct str s) {
    if (o->gone)
        return;
    buf_add(&o->buf, s);
    if (buf_error(&o->buf) < 0)
        give_up(o, buf_error(&o->buf));
}

bool gcout_push(struct gcout *o) {
    size_t chunk = isatty(o->fd) ? TERMINAL_CHUNK : CHUNK;

    while (!o->gone && o->sent < o->buf.n) {
        struct pollfd p = {.fd = o->fd, .events = POLLOUT};
        size_t n = o->buf.n - o->sent;
        ssize_t wrote;

        if (poll(&p, 1, 0) == 0)
            return false;
        wrote = write(o->fd, o->buf.p + o->sent, n < chunk ? n : chunk);
        if (wrote >= 0)
            o->sent += (size_t)wrote;
        else if (errno == EAGAIN)
            return false;
        else if (errno != EINTR)
            give_up(o, -errno);
    }
    o->sent = 0;
    buf_clear(&o->buf);
    return true;
}

void gcout_end(struct gcout *o, int64_t patience_us) {
    int64_t end_us = clock_mono_us() + patience_us;

    while (!gcout_push(o)) {
        struct pollfd p = {.fd = o->fd, .events = POLLOUT};
        int64_t left_us = end_us - clock_mono_us();

        if (left_us <= 0) {
            give_up(o, -ETIMEDOUT);
            return;
        }
        (void)poll(&p, 1, (int)(left_us / 1000 + 1));
    }
}
