/* tripwire.h - v2 has no thresholds of usage: memory.high is set where a guard wants to be woken.
 *
 * The kernel tells of it in memory.events at the very page that passes it, takes page cache of the
 * group first, and slows down who allocates until the wire is moved: so it is moved to the next
 * mark, or taken away, as soon as what follows from this one has begun. A mark is about `used`,
 * memory.high about usage, page cache included: the wire lies as far above usage as the mark lies
 * above used, so that cache passes it never or seldom, and there is none where that is at the
 * limit.
 *
 * A warden holds the way back, at our end and when we no longer turn round: who is slowed down at a
 * wire waits for us. What somebody else writes stays, and a bound of theirs below the wire is left
 * alone; when they write back a wire that they had found, it is ours again. The file is locked
 * (flock) while it has a wire: a second guard does without, and a wire without a lock is one that
 * was left by a guard that was killed together with its warden.
 */
#pragma once
#include "act/grip.h"
#include "act/warden.h"

enum { TRIPWIRES_MOST = WARDEN_HOLDS - 256 }; /* in one guard: the rest is for what acts */

/* Zeroed: none, and none tried. */
struct tripwire {
    uint64_t at;            /* bytes of usage; 0: none is laid */
    int hold;               /* of the warden */
    char was[WARDEN_VALUE]; /* what memory.high held before, and is to hold again */
    uint64_t lost;          /* one that others have written over, with its `was`; 0 */
    char lost_was[WARDEN_VALUE];
    bool locked;
    uint64_t page, ahead; /* bytes: of a page, and that may be charged in advance; 0: not known */
};

/* Whether this group has a memory.high that we may write. */
bool tripwire_may(const struct grip *g);

/* f: usage, used and limit of the group itself. Lays it for a mark (bytes of used), moves one that
 * lies wrongly, takes it away where there is nothing to gain. beat: readable when we have not
 * turned round for too long: the warden undoes it then. 0; 1: laid, and one of a guard that was
 * killed was found, which is taken for "max"; -ENOENT: there is none now; -EWOULDBLOCK: another
 * guard has one; other -errno: tried in vain. Blocks for the warden's answer when something
 * changes, some 50 us. Allocates nothing. */
int tripwire_lay(struct tripwire *t, const struct grip *g, struct warden *w, int beat,
                 const struct facts *f, uint64_t mark);

/* memory.high is what it was before. 0, also for none, and when the group is gone; -errno: the
 * warden goes on trying. */
int tripwire_take(struct tripwire *t, const struct grip *g, struct warden *w);

/* Whether it is laid, and memory.high is as we left it. */
bool tripwire_stands(const struct tripwire *t, const struct grip *g);

/* Whether `used` cannot pass the mark, beyond half a percent of it, without an event. */
bool tripwire_tells(const struct tripwire *t, uint64_t usage, uint64_t mark);
