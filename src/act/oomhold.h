/* oomhold.h - v1: the moment of OOM held, so that it can be looked at before somebody dies.
 *
 * The killer is disabled while we watch, and enabled again by the warden OOMHOLD_US after the
 * event, whatever we do, or at once when we end. Between the two a dump is written. After the kill
 * it is disabled again (oomhold_again). Groups where it was disabled by others are left alone, and
 * those that have groups below: a group that is made below one where the killer is disabled
 * inherits that, and what waits for memory there nobody is told of. Should one be made all the
 * same, oomhold_check finds it: the killer is enabled in all of them, and not disabled again. The
 * warden does the same when it was not called for OOMHOLD_ALONE_US.
 */
#pragma once
#include "act/grip.h"
#include "act/warden.h"
#include "kern/cgwatch.h"

enum {
    OOMHOLD_US = 2000000,
    OOMHOLD_ALONE_US = 5000000, /* without a look of ours */
};

struct oomhold {
    struct grip *grip;
    struct warden *warden;
    struct cgwatch watch; /* oom; cgwatch_take it when it is readable */
    struct cgwatch late;  /* the same for the warden, who polls it: ours only to be drained */
    int hold;
    bool armed; /* by us, and not let go since */
    /* its own: */
    int64_t renewed_us; /* the warden was told then that we look */
    int64_t parted_us;  /* groups came below: given up then; 0 */
};

/* Nothing armed: oomhold_done may be called. */
#define OOMHOLD_NONE                                                                               \
    { .watch.fd = -1, .late.fd = -1, .hold = -1 }

/* Whether it could be armed now: 0; with a text: -EOPNOTSUPP (v2), -EALREADY (disabled by somebody
 * else), -ENOTEMPTY (there are groups below), -EDEADLK (we are in it); -errno. */
int oomhold_may(struct grip *g, struct err *err);

/* Arms it. 0; as oomhold_may. */
int oomhold_arm(struct oomhold *o, struct grip *g, struct warden *w, struct err *err);

/* At each look, at least every second, also when nothing is armed. 0: go on (the warden may have
 * let it go since: `armed`, oomhold_again); -ENOTEMPTY, once:
 * groups came below, the killer is enabled in all of them and here, and it is not armed again.
 * Allocates nothing. */
int oomhold_check(struct oomhold *o);

/* Lets the killer have its way now. 0 or -errno (the warden does it then). */
int oomhold_let_go(struct oomhold *o);

/* After the killer had its way, by us or by the warden: arms again. 0, also when it still is armed;
 * -EAGAIN: somebody is being killed yet, try again some 100 ms later; -EALREADY, -ENOTEMPTY (there
 * are groups below), -errno: not armed. Allocates nothing. */
int oomhold_again(struct oomhold *o);

/* Disarms: the killer is enabled, the warden forgets, descriptors are closed. Legal when not armed.
 */
void oomhold_done(struct oomhold *o);
