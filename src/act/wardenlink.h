/* wardenlink.h - an owner's end of what connects it with a warden: asking, and waiting for the
 * answer. Nothing here allocates but wardenlink_mailbox.
 */
#pragma once
#include "act/wardenmsg.h"

struct wardenlink {
    int socket;               /* -1: there never was a warden */
    bool gone;                /* the warden is; the socket is kept, hung up, for who polls it */
    int rung, answered;       /* eventfds of the mailbox */
    struct warden_mail *mail; /* NULL: a connection without one */
    bool has_mail;            /* the warden can use it */
    uint32_t seq;
    uint32_t unheard; /* an ask in the mailbox whose answer has not come yet; 0 */
};

#define WARDENLINK_NONE                                                                            \
    { .socket = -1, .rung = -1, .answered = -1 }

void wardenlink_done(struct wardenlink *w); /* closes, in this process alone */

/* Kept from one warden to the next; an eventfd's old count is taken out. 0 or -errno. */
int wardenlink_mailbox(struct wardenlink *w);

/* Also for those who inherited a copy: the warden takes us for gone. */
void wardenlink_hang_up(struct wardenlink *w);
/* The same, and it is closed. */
void wardenlink_close(struct wardenlink *w);

/* The answer to `seq` over the socket (0: what it says unasked); -EPIPE when there is none. */
int wardenlink_hear(const struct wardenlink *w, uint32_t seq, int64_t patience_us);

/* Asks and waits. The answer; -EPIPE, and it is hung up, when there is none. Fills ask->seq. What
 * was told before and not heard yet is waited for within the same time. */
int wardenlink_ask(struct wardenlink *w, struct warden_ask *ask, const int *fd, unsigned fds,
                   int64_t patience_us);
/* The same for what need not be answered: -EINPROGRESS after that time, and nothing is hung up. */
int wardenlink_tell(struct wardenlink *w, struct warden_ask *ask, int64_t patience_us);
