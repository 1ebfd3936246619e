#include "act/standstill.h"

#include "act/ctlfile.h"
#include "base/clock.h"
#include "base/str.h"

static const int64_t longest_us = 1000000;

static bool freeze(const struct grip *g, struct warden *w, struct standstill *s) {
    struct warden_hold hold = {.steps = 1, .event = -1};
    char now[WARDEN_VALUE];

    if (ctlfile_text(g->freeze, now) < 0 || !str_eq(str_of(now), STR("0")))
        return false;
    hold.deadline_us = clock_mono_us() + longest_us;
    hold.step[0] = (struct warden_step){.fd = g->freeze, .value = "0", .only_if = "1"};
    s->hold = warden_hold(w, &hold);
    if (s->hold < 0)
        return false;
    s->freeze = g->freeze;
    s->warden = w;
    if (ctlfile_write(g->freeze, "1") == 0)
        return true;
    standstill_end(s);
    return false;
}

/* Not base/hurry.h: what that sets cannot be taken back without CAP_SYS_NICE. */
static void hurry_on(struct standstill *s) {
    struct sched_param first = {.sched_priority = sched_get_priority_min(SCHED_FIFO)};

    s->policy = sched_getscheduler(0);
    s->hurried = s->policy >= 0 && sched_getparam(0, &s->param) == 0 &&
                 sched_setscheduler(0, SCHED_FIFO, &first) == 0;
}

void standstill_begin(const struct grip *g, struct warden *w, struct standstill *out) {
    *out = (struct standstill)STANDSTILL_NONE;
    if (!freeze(g, w, out))
        hurry_on(out);
}

void standstill_end(struct standstill *s) {
    if (s->freeze >= 0) {
        if (ctlfile_restore(s->freeze, "1", "0") == 0)
            (void)warden_drop(s->warden, s->hold);
        else
            (void)warden_undo(s->warden, s->hold);
    }
    if (s->hurried)
        (void)sched_setscheduler(0, s->policy, &s->param);
    *s = (struct standstill)STANDSTILL_NONE;
}
