/* link.h - messages to the front: kept until the front has them on disk.
 *
 * A ring of messages in memory. What was sent and not acknowledged is sent again to a front that
 * was started anew; what does not fit any more, because no front takes it, is given up and counted,
 * and the next front begins with a KEY. Sending never blocks. Allocates nothing after link_new but
 * pages of the ring.
 */
#pragma once
#include "wire/wire.h"

struct link {
    uint8_t *ring; /* a mapping of LINK_RING bytes, of which the first `limit` are used */
    size_t limit;
    size_t first, sent, end; /* offsets: oldest kept, next to send, where the next is written */
    uint64_t first_seq, sent_seq, next_seq; /* of those messages */
    uint64_t key_seq; /* of the first message of the last KEY; 0: there was none */
    int fd;           /* the socket, -1: none */
    bool open;        /* a front has said HELLO and has been answered */
    bool lost;        /* some were given up that this front should have had: it needs a KEY */
    uint64_t dropped; /* messages that no front has taken */
    uint8_t scratch[WIRE_MESSAGE];
};

enum { LINK_RING = 64 << 20 };

int link_new(size_t limit, struct link **out); /* 0 or -ENOMEM */
void link_free(struct link *l);

/* Begins a message of the next number in a buffer of the link's own; link_put queues it. */
void link_begin(struct link *l, struct wire_out *w, enum wire_kind kind);
void link_put(struct link *l, const struct wire_out *w);

/* Sends as much as the socket takes. 0; -errno when the socket is broken. */
int link_send(struct link *l);

/* All up to that number are on disk. */
void link_acked(struct link *l, uint64_t seq);

/* The front has all up to last_seq: goes on after it if that can be had (true), else forgets all
 * that is queued (false: a KEY is due). */
bool link_resume(struct link *l, uint64_t last_seq);

/* What follows is a KEY: all targets, then all that is known of them. */
void link_key(struct link *l);

/* The front has nothing of this collector's, but all since the last KEY is still here: goes on from
 * there. False: a KEY is due. */
bool link_rewind(struct link *l);
