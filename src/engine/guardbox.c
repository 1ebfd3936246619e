#include "engine/guardbox.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

enum { LENGTH = sizeof(uint32_t) };

struct guardbox {
    int fd;
    unsigned n;        /* messages */
    size_t first, end; /* offsets: the oldest, behind the last */
    uint64_t dropped;
    uint8_t memory[GUARDBOX_BYTES];
};

int guardbox_new(int fd, struct guardbox **out) {
    struct guardbox *b = malloc(sizeof(*b));

    if (!b)
        return -ENOMEM;
    memset(b, 0, sizeof(*b));
    b->fd = fd;
    *out = b;
    return 0;
}

void guardbox_free(struct guardbox *b) {
    free(b);
}

static uint32_t length_at(const struct guardbox *b, size_t at) {
    uint32_t n;

    memcpy(&n, b->memory + at, LENGTH);
    return n;
}

static void drop_first(struct guardbox *b) {
    b->first += LENGTH + length_at(b, b->first);
    b->n--;
    if (b->n == 0)
        b->first = b->end = 0;
}

static void make_room(struct guardbox *b, size_t n) {
    size_t keep = GUARDBOX_BYTES / 4 * 3; /* some at once: what stays is moved */

    while (b->n >= GUARDBOX_MOST) {
        drop_first(b);
        b->dropped++;
    }
    if (b->end + n <= GUARDBOX_BYTES)
        return;
    while (b->n > 0 && b->end - b->first + n > keep) {
        drop_first(b);
        b->dropped++;
    }
    memmove(b->memory, b->memory + b->first, b->end - b->first);
    b->end -= b->first;
    b->first = 0;
}

void guardbox_put(struct guardbox *b, const struct wire_out *w) {
    uint32_t n = (uint32_t)w->n;

    if (w->full || w->n > WIRE_MESSAGE)
        return;
    make_room(b, LENGTH + w->n);
    memcpy(b->memory + b->end, &n, LENGTH);
    memcpy(b->memory + b->end + LENGTH, w->p, w->n);
    b->end += LENGTH + w->n;
    b->n++;
}

void guardbox_flush(struct guardbox *b) {
    while (b->n > 0) {
        const uint8_t *p = b->memory + b->first + LENGTH;
        ssize_t r = send(b->fd, p, length_at(b, b->first), MSG_DONTWAIT | MSG_NOSIGNAL);

        if (r < 0 && errno == EINTR)
            continue;
        if (r < 0)
            return;
        drop_first(b);
    }
}

unsigned guardbox_waiting(const struct guardbox *b) {
    return b->n;
}

uint64_t guardbox_dropped(const struct guardbox *b) {
    return b->dropped;
}
