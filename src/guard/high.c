#include <errno.h>
#include <string.h>

#include "base/log.h"
#include "guard/guardsint.h"

bool high_may(const struct guarded *x) {
    return !x->policy->dry_run && !x->policy->leave_high && tripwire_may(&x->grip);
}

void high_take(struct guarded *x) {
    struct guards *g = x->owner;

    if (x->wire.at > 0)
        g->wires--;
    if (tripwire_take(&x->wire, &x->grip, g->warden) < 0)
        log_line(LOG_BAD, "memory.high of '%s' cannot be written back: the warden goes on trying",
                 x->grip.name);
}

/* What slows it down, or may lend it memory, has memory.high to itself. */
static bool is_taken(const struct guarded *x) {
    return x->throttle.kind != BRAKE_NONE || x->pause.kind != BRAKE_NONE ||
           x->hang.kind != HANG_NONE || (x->slow.any && x->slow.action == ACTION_RESCUE);
}

/* Once for each group and reason. */
static void tell(struct guarded *x, int r) {
    if (r == x->wire_said || r == 0 || r == -ENOENT || r == -ENODEV)
        return;
    x->wire_said = r;
    if (r == 1)
        log_line(LOG_WARN,
                 "memory.high of '%s' was the mark of a guard that was killed: it will be max "
                 "again after this one",
                 x->grip.name);
    else
        log_line(LOG_NOTE, "memory.high of '%s' cannot be its mark (%s): it is looked at by time",
                 x->grip.name, r == -EWOULDBLOCK ? "another guard has set it" : strerror(-r));
}

void high_lay(struct guarded *x, const struct facts *f) {
    struct guards *g = x->owner;
    uint64_t mark = ladder_next_mark(&x->ladder, f);
    bool had = x->wire.at > 0;

    if (!high_may(x))
        return;
    if (mark == 0 || is_taken(x) || (!had && g->wires >= TRIPWIRES_MOST)) {
        high_take(x);
        return;
    }
    tell(x, tripwire_lay(&x->wire, &x->grip, g->warden, g->beat, f, mark));
    if (had)
        g->wires--;
    if (x->wire.at > 0)
        g->wires++;
}
