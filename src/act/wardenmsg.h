/* wardenmsg.h - what goes over the socket between a warden and those it serves: one ask, one
 * answer, both whole packets. Descriptors travel beside an ask, in the order of its steps: each
 * step's file, behind it its usage file if it is guarded, and the one to reclaim by; the event
 * last.
 */
#pragma once
#include <stdint.h>

#include "act/warden.h"

enum warden_op {
    WARDEN_ATTACH,  /* with a pidfd of the asker: its end ends this connection */
    WARDEN_CONNECT, /* with a socket: a connection more */
    WARDEN_HOLD,
    WARDEN_DROP,
    WARDEN_EXTEND,
    WARDEN_STATE, /* 0: held; -ENOENT; -EALREADY */
    WARDEN_LEAVE, /* undo all of this connection, then answer */
};

enum { WARDEN_FDS = WARDEN_STEPS * 3 + 1 };

struct warden_ask {
    uint32_t op, seq;
    int32_t id;
    uint32_t steps;
    int64_t deadline_us, after_us;
    uint32_t has_event;
    struct {
        char value[WARDEN_VALUE], only_if[WARDEN_VALUE];
        uint32_t kind, guarded, reclaims, slow;
    } step[WARDEN_STEPS];
};

struct warden_answer {
    uint32_t seq;
    int32_t result;
};

struct warden_mail {
    struct warden_ask ask;
    uint32_t fds;
    int32_t fd[WARDEN_FDS]; /* numbers in the owner */
    struct warden_answer answer;
};
