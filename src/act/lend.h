/* lend.h - memory lent to a group: its limit raised for a while, and taken back.
 *
 * v1: memory+swap first, then memory when raising; the other way round when lowering; below usage
 * the kernel says EBUSY and nobody is harmed. v2: memory.max, and memory.high where that would keep
 * the group from using it; writing memory.max below usage kills, so it is lowered only while usage
 * is LEND_ROOM less, with memory.high just below it and reclaim before. A warden holds the way
 * back. Never more than the machine and the groups above can give. What somebody else has written
 * meanwhile (docker update) is left alone: there is nothing to take back then. A loan
 * that is not taken back yet, of another rescue or of a guard, is not somebody else's limit: who
 * lends on top of it goes back to what the limits were before it (loanmark.h), and its own warden
 * leaves that alone.
 */
#pragma once
#include "act/grip.h"
#include "act/warden.h"

enum { LEND_FIRST = 16 << 20, LEND_MOST = 64 << 20, LEND_ROOM = WARDEN_ROOM };

struct lend {
    struct grip *grip;
    struct warden *warden;
    unsigned level;              /* of grip: whose limit is lent to */
    uint64_t limit, memsw, lent; /* what it was; bytes on top now */
    int hold;                    /* of the warden; -1: nothing is lent */
    int64_t deadline_us;
    /* its own: */
    uint64_t high;             /* v2: what it was; CGROUP_NO_LIMIT */
    uint64_t high_now, narrow; /* v2: while it is lent; while it is taken back; 0: not touched */
    int memsw_fd, high_fd, reclaim_fd;
    bool opened; /* those three are ours to close: of a group above the grip's own */
};

/* How much could be lent at most now, in all: what another has lent is a part of it. The smallest
 * of `budget` (0: LEND_MOST or a quarter of the limit, whichever is less), half of what the machine
 * has available, and half the room under the limits of the groups above. 0: nothing, or not known.
 */
uint64_t lend_room(const struct grip *g, unsigned level, uint64_t budget);

/* Bytes that are lent to this level by another and not taken back yet; *limit_was: its limit
 * without them. 0: none that is known of. */
uint64_t lend_found(const struct grip *g, unsigned level, uint64_t *limit_was);

/* Nothing is written yet. deadline_us: the warden takes it back then. */
void lend_init(struct lend *l, struct grip *g, struct warden *w, unsigned level,
               int64_t deadline_us);
/* Closes what it has opened; what is lent stays with the warden. */
void lend_done(struct lend *l);

/* What another has lent and not taken back yet is ours from now on: l->lent; 0 of it where there is
 * none. 0 or -errno with a text. */
int lend_adopt(struct lend *l, struct err *err);
/* So many bytes on top of what the limit was, in all; more than is lent already, by another too. 0;
 * -errno with a text, and the limits are what they were before the call; where that is not known
 * the warden has been told to undo all. -ENODATA: it has no limit; -EDEADLK: we run in it
 * ourselves; -ESTALE: somebody else has changed the limit since; -ETIME: too late. */
int lend_to(struct lend *l, uint64_t bytes, struct err *err);

/* Takes it back, as often as needed until deadline_us. 0: the limits are what they were, or what
 * somebody else made of them. -EBUSY with a text: l->lent bytes are still lent, the warden goes on
 * trying (warden.h says for how long); this may be called again. -errno. */
int lend_back(struct lend *l, int64_t deadline_us, struct err *err);
