/* wardenholds.h - in the warden's process: what is held, and its undoing, step by step.
 *
 * A slot goes from HELD to UNDOING when its time is up or its owner has gone, and is free again
 * once all its steps are done; a step that stays busy makes it LOST: tried again at leisure. When
 * there was nothing to undo, the owner may have been held up between its asking and its writing:
 * the slot is WATCHED until it drops it or ends. A step that may wait for the kernel's reclaim is
 * done by a second thread, one at a time. Nothing here allocates after wardenholds_init.
 */
#pragma once
#include <stdatomic.h>
#include <sys/stat.h>

#include "act/wardenmsg.h"

enum { WARDENHOLDS_NOBODY = -1, WARDENHOLDS_STACK = 128 << 10 };

enum wardenslot_state { SLOT_FREE, SLOT_HELD, SLOT_UNDOING, SLOT_LOST, SLOT_WATCHED };

struct wardenfile {
    dev_t device;
    ino_t inode; /* 0: not known */
};

struct wardenslot {
    enum wardenslot_state state;
    int owner;       /* the caller's; WARDENHOLDS_NOBODY: it has ended */
    uint32_t serial; /* of the id, so that an old one never means a new hold */
    uint64_t order;  /* the last comes first */
    struct warden_step step[WARDEN_STEPS];
    struct wardenfile file[WARDEN_STEPS];
    unsigned steps, at; /* at: the step that is due */
    bool lost, idle;    /* one of this round's steps was; had nothing to undo */
    int event;
    bool met;                      /* the event was signalled: no deadline later than this one */
    int64_t deadline_us, after_us; /* 0: none */
    int64_t since_us, next_us;     /* undoing: begun; the next try */
    bool dropping;                 /* an answer is due once the worker has ended with it */
    uint32_t drop_seq;
};

/* The step that the second thread does. */
struct wardenwork {
    int start, done; /* eventfds */
    int slot;        /* -1: none */
    struct warden_step step, next;
    bool is_before; /* `next` is guarded, and there */
    _Atomic int result;
};

struct wardenholds {
    struct wardenslot slot[WARDEN_HOLDS];
    unsigned top; /* slots from here on are free */
    uint64_t order;
    struct wardenwork work;
    _Alignas(4096) char stack[WARDENHOLDS_STACK];
};

/* Zeroed before. Starts the thread. 0 or -errno. */
int wardenholds_init(struct wardenholds *h);

/* Takes the descriptors that it has a use for out of fd[n]. The id, or -errno. */
int wardenholds_add(struct wardenholds *h, int owner, const struct warden_ask *ask, int *fd,
                    unsigned n);
/* 0: it is held; -ENOENT; -EALREADY: it is being undone. */
int wardenholds_state(struct wardenholds *h, int owner, int id);
int wardenholds_extend(struct wardenholds *h, int owner, int id, int64_t deadline_us);
/* True: *result is the answer; false: it comes when the thread is done with it. */
bool wardenholds_drop(struct wardenholds *h, int owner, const struct warden_ask *ask, int *result);

/* All of this owner is undone from now on. */
void wardenholds_undo(struct wardenholds *h, int owner, int64_t now_us);
/* Its holds are nobody's now: nobody can drop them. */
void wardenholds_orphan(struct wardenholds *h, int owner);
/* Whether something of it is being undone; what is lost does not count. */
bool wardenholds_busy(const struct wardenholds *h, int owner);
bool wardenholds_empty(const struct wardenholds *h);

/* The event of a hold was signalled. */
void wardenholds_event(struct wardenslot *s, int64_t now_us);
/* work.done is readable. True: owner_out waits for the answer to its drop, -EALREADY. */
bool wardenholds_worked(struct wardenholds *h, int64_t now_us, int *owner_out, uint32_t *seq_out);
/* Does all that is due and can be done now. */
void wardenholds_go_on(struct wardenholds *h, int64_t now_us);
/* When something is due next, monotonic; 0: never. */
int64_t wardenholds_due(const struct wardenholds *h);
