#include "base/buf.h"

#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void buf_init(struct buf *b, size_t max) {
    *b = (struct buf){.max = max};
}

void buf_fixed(struct buf *b, char *memory, size_t size) {
    *b = (struct buf){.p = memory, .size = size, .max = size};
}

void buf_done(struct buf *b) {
    free(b->p);
    *b = (struct buf){.max = b->max};
}

void buf_clear(struct buf *b) {
    b->n = 0;
    b->error = 0;
}

int buf_error(const struct buf *b) {
    return b->error;
}

struct str buf_str(const struct buf *b) {
    return (struct str){b->p ? b->p : "", b->n};
}

static void fail(struct buf *b, int error) {
    if (!b->error)
        b->error = error;
}

char *buf_room(struct buf *b, size_t n) {
    size_t size = b->size ? b->size : 256;
    char *p;

    if (b->error)
        return NULL;
    if (n <= b->size - b->n)
        return b->p + b->n;
    if (n > b->max - b->n) {
        fail(b, -EFBIG);
        return NULL;
    }
    while (size - b->n < n)
        size *= 2;
    if (size > b->max)
        size = b->max;
    p = realloc(b->p, size);
    if (!p) {
        fail(b, -ENOMEM);
        return NULL;
    }
    b->p = p;
    b->size = size;
    return b->p + b->n;
}

void buf_grow(struct buf *b, size_t written) {
    b->n += written;
}

void buf_add(struct buf *b, struct str s) {
    char *room = s.n ? buf_room(b, s.n) : NULL;

    if (!room)
        return;
    memcpy(room, s.p, s.n);
    b->n += s.n;
}

void buf_add_char(struct buf *b, char c) {
    char *room = buf_room(b, 1);

    if (!room)
        return;
    *room = c;
    b->n++;
}

void buf_add_fill(struct buf *b, char c, size_t times) {
    char *room = times ? buf_room(b, times) : NULL;

    if (!room)
        return;
    memset(room, c, times);
    b->n += times;
}

void buf_add_u64(struct buf *b, uint64_t value) {
    char digits[20];
    size_t n = 0;

    do
        digits[sizeof(digits) - ++n] = (char)('0' + value % 10);
    while ((value /= 10) > 0);
    buf_add(b, (struct str){digits + sizeof(digits) - n, n});
}

void buf_add_format(struct buf *b, const char *format, ...) {
    char text[512];
    va_list args;
    int n;

    va_start(args, format);
    n = vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    if (n < 0 || (size_t)n >= sizeof(text)) {
        fail(b, -EFBIG); /* formats are for short texts; names go through buf_add */
        return;
    }
    buf_add(b, (struct str){text, (size_t)n});
}

/* A pipe that polls writable takes this much without blocking (PIPE_BUF). */
enum { CHUNK = 4096 };

/* Waits until fd takes a chunk. -ECANCELED when `stop` (-1: none) is readable first. */
static int wait_writable(int fd, int stop) {
    struct pollfd wait[] = {{.fd = fd, .events = POLLOUT}, {.fd = stop, .events = POLLIN}};

    while (poll(wait, 2, -1) < 0)
        if (errno != EINTR)
            return -errno;
    return wait[0].revents == 0 && wait[1].revents != 0 ? -ECANCELED : 0;
}

static int flush(struct buf *b, int fd, int stop) {
    size_t done = 0;

    if (b->error)
        return b->error;
    while (done < b->n) {
        size_t left = b->n - done;
        int r = stop >= 0 ? wait_writable(fd, stop) : 0;
        ssize_t n;

        if (r < 0)
            return r;
        n = write(fd, b->p + done, stop >= 0 && left > CHUNK ? CHUNK : left);
        if (n < 0 && errno == EAGAIN)
            r = wait_writable(fd, stop);
        else if (n < 0 && errno != EINTR)
            r = -errno;
        if (r < 0)
            return r;
        done += n > 0 ? (size_t)n : 0;
    }
    buf_clear(b);
    return 0;
}

int buf_flush(struct buf *b, int fd) {
    return flush(b, fd, -1);
}

int buf_flush_until(struct buf *b, int fd, int stop) {
    return flush(b, fd, stop);
}
