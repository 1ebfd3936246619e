#include "engine/link.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include "base/mem.h"

enum {
    KEPT_PAGES = 256 << 10, /* of an empty ring stay in memory */
    DONTNEED_LOCKED = 24,   /* MADV_DONTNEED_LOCKED, of newer headers */
};

int link_new(size_t limit, struct link **out) {
    auto_free struct link *l = calloc(1, sizeof(*l));

    if (!l)
        return -ENOMEM;
    l->ring = mmap(NULL, LINK_RING, PROT_READ | PROT_WRITE,
                   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (l->ring == MAP_FAILED)
        return -ENOMEM;
    l->limit = limit < LINK_RING ? limit : LINK_RING;
    l->fd = -1;
    l->first_seq = l->sent_seq = l->next_seq = 1;
    *out = take_ptr(&l);
    return 0;
}

void link_free(struct link *l) {
    if (!l)
        return;
    munmap(l->ring, LINK_RING);
    free(l);
}

static uint32_t length_at(const struct link *l, size_t at) {
    uint32_t n;

    memcpy(&n, l->ring + at, sizeof(n));
    return n;
}

static void forget_all(struct link *l) {
    /* A KEY or a long absence needed more room than a tick does: it goes back. Locked pages since
     * Linux 5.18. */
    if (l->end > KEPT_PAGES && madvise(l->ring, l->end, MADV_DONTNEED) < 0)
        (void)madvise(l->ring, l->end, DONTNEED_LOCKED);
    l->first = l->sent = l->end = 0;
    l->first_seq = l->sent_seq = l->next_seq;
}

static void drop_first(struct link *l) {
    bool unsent = l->sent == l->first;

    l->first += sizeof(uint32_t) + length_at(l, l->first);
    l->first_seq++;
    if (!unsent)
        return;
    l->sent = l->first;
    l->sent_seq = l->first_seq;
    l->dropped++;
    l->lost = true;
}

/* Moves what is kept to the front of the ring, and gives up the oldest until n bytes fit. */
static void make_room(struct link *l, size_t n) {
    while (l->first < l->end && l->end - l->first + n > l->limit)
        drop_first(l);
    if (l->first == l->end)
        forget_all(l);
    if (l->first > 0) {
        memmove(l->ring, l->ring + l->first, l->end - l->first);
        l->end -= l->first;
        l->sent -= l->first;
        l->first = 0;
    }
}

void link_begin(struct link *l, struct wire_out *w, enum wire_kind kind) {
    wire_begin(w, l->scratch, sizeof(l->scratch), kind, l->next_seq);
}

void link_put(struct link *l, const struct wire_out *w) {
    uint32_t n = (uint32_t)w->n;

    if (l->limit - l->end < sizeof(n) + n)
        make_room(l, sizeof(n) + n);
    memcpy(l->ring + l->end, &n, sizeof(n));
    memcpy(l->ring + l->end + sizeof(n), w->p, n);
    l->end += sizeof(n) + n;
    l->next_seq++;
}

int link_send(struct link *l) {
    while (l->fd >= 0 && l->open && l->sent < l->end) {
        uint32_t n = length_at(l, l->sent);
        ssize_t r = send(l->fd, l->ring + l->sent + sizeof(n), n, MSG_DONTWAIT | MSG_NOSIGNAL);

        if (r < 0 && errno == EINTR)
            continue;
        if (r < 0 && (errno == EAGAIN || errno == ENOBUFS))
            return 0;
        if (r < 0)
            return -errno;
        l->sent += sizeof(n) + n;
        l->sent_seq++;
    }
    return 0;
}

void link_acked(struct link *l, uint64_t seq) {
    while (l->first < l->sent && l->first_seq <= seq) {
        l->first += sizeof(uint32_t) + length_at(l, l->first);
        l->first_seq++;
    }
    if (l->first == l->end)
        forget_all(l);
}

bool link_resume(struct link *l, uint64_t last_seq) {
    if (l->lost || last_seq + 1 < l->first_seq || last_seq >= l->next_seq) {
        forget_all(l);
        l->lost = false;
        return false;
    }
    l->sent = l->first;
    l->sent_seq = l->first_seq;
    while (l->sent < l->end && l->sent_seq <= last_seq) {
        l->sent += sizeof(uint32_t) + length_at(l, l->sent);
        l->sent_seq++;
    }
    return true;
}

void link_key(struct link *l) {
    l->key_seq = l->next_seq;
}

bool link_rewind(struct link *l) {
    if (l->lost || l->key_seq == 0 || l->first_seq > l->key_seq || l->first == l->end)
        return false;
    return link_resume(l, l->key_seq - 1);
}
