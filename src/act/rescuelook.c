#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "act/rescuego.h"
#include "act/rescueint.h"
#include "base/clock.h"
#include "base/num.h"
#include "kern/procstatus.h"

enum {
    STEP_MS = 5,     /* between two looks after a loan */
    CALM_MS = 50,    /* at leisure */
    FAR_US = 300000, /* far from its limit: so long, and it does not hang */
    FAR_CENTI = 9000,
    LEAST_US = 1600000, /* near it: a livelock takes a second and more to be told */
    MOST_US = 4000000,
    RUN_US = 250000,  /* so long without waiting for memory: it runs */
    AGAIN_US = 60000, /* so long waiting: it hangs again */
    REFAULT_RUN_US = 1300000,
    REFAULT_AGAIN_US = 600000, /* what it needs is read back first */
    COLLECT_US = 3000000,      /* for Go's collection */
    SMALL = 4 << 20,
    ROOM = 1 << 20, /* for taking back */
    REFAULT_ROOM = 16 << 20,
};

static int look(struct rescue_run *r, struct hang *h, struct facts *now) {
    int s = grip_read(r->g, GRIP_STAT | GRIP_EVENTS | GRIP_PSI, now);

    if (s == 0)
        (void)hang_see(h, now);
    r->out->gone |= s == -ENODEV;
    return s;
}

static bool is_at_limit(enum hang_kind kind) {
    return kind == HANG_OOM_WAIT || kind == HANG_REFAULT || kind == HANG_UNKILLABLE;
}

static bool is_far(const struct facts *f) {
    return !facts_has(f, FACT_USAGE) || !facts_has(f, FACT_LIMIT) ||
           f->value[FACT_USAGE] < f->value[FACT_LIMIT] / 10000 * FAR_CENTI;
}

int rescue_observe(struct rescue_run *r) {
    struct hang h = {.kind = HANG_NONE};
    struct facts now;

    if (r->terms->hung) {
        r->out->hang = r->terms->seen;
        return is_at_limit(r->terms->seen.kind);
    }
    for (;;) {
        int s = look(r, &h, &now);
        int64_t us = clock_mono_us() - r->began_us;

        if (s < 0)
            return s;
        if (is_at_limit(h.kind) || us >= MOST_US)
            break;
        if (!hang_suspects(&h) && us >= (is_far(&now) ? FAR_US : LEAST_US))
            break;
        (void)poll(NULL, 0, CALM_MS);
    }
    r->out->hang = h;
    if (h.kind != HANG_NONE) {
        char room[800];
        struct buf text;

        buf_fixed(&text, room, sizeof(room));
        hang_add_text(&text, &h, clock_mono_us());
        rescue_tell(r, "hang", "%s: %.*s", hang_name(h.kind), (int)text.n, text.p);
    } else {
        rescue_tell(r, "hang", "it does not hang at its limit");
    }
    return is_at_limit(h.kind);
}

static bool is_below(const struct rescue_run *r, const struct facts *now) {
    return facts_has(now, FACT_USAGE) && now->value[FACT_USAGE] < r->out->limit;
}

/* Since when it has been waiting, in this watch; 0: it is not. */
static int64_t waits_us(const struct hang *h, const struct facts *now) {
    if (!is_at_limit(h->suspect) && !is_at_limit(h->kind))
        return 0;
    return now->at_us - h->suspect_us + 1;
}

bool rescue_await(struct rescue_run *r) {
    bool slow = r->out->hang.kind == HANG_REFAULT;
    int64_t run_us = slow ? REFAULT_RUN_US : RUN_US, again_us = slow ? REFAULT_AGAIN_US : AGAIN_US;
    int64_t began = clock_mono_us();
    struct hang h = {.kind = HANG_NONE};
    struct facts now;

    for (;;) {
        int64_t us, waits;
        bool collected;

        (void)poll(NULL, 0, STEP_MS);
        (void)rescuego_write(r->go);
        (void)rescuego_poll(r->go);
        collected = rescuego_is_done(r->go);
        if (look(r, &h, &now) < 0)
            return false;
        us = now.at_us - began;
        waits = waits_us(&h, &now);
        if (waits >= (h.suspect == HANG_REFAULT ? REFAULT_AGAIN_US : again_us))
            return false;
        if (waits > 0 || us < run_us / 5)
            continue;
        if (collected && (us >= run_us || (r->go && is_below(r, &now))))
            return true;
        if (us >= run_us + COLLECT_US)
            return true;
    }
}

bool rescue_fits(struct rescue_run *r) {
    /* What livelocks needs room for the pages that it reads, too. */
    uint64_t room = r->out->hang.kind == HANG_REFAULT ? r->out->limit / 4 : ROOM;
    struct facts now;

    if (room > REFAULT_ROOM)
        room = REFAULT_ROOM;
    return grip_read(r->g, GRIP_STAT, &now) == 0 && facts_has(&now, FACT_USED) &&
           now.value[FACT_USED] + room < r->out->limit;
}

bool rescue_hangs_now(struct rescue_run *r) {
    struct hang h = {.kind = HANG_NONE};
    struct facts now;

    for (int i = 0; i < 20; i++) {
        if (look(r, &h, &now) < 0 || waits_us(&h, &now) >= AGAIN_US)
            return true;
        if (waits_us(&h, &now) == 0 && i >= 3)
            return false;
        (void)poll(NULL, 0, STEP_MS);
    }
    return waits_us(&h, &now) >= AGAIN_US;
}

bool rescue_stays(struct rescue_run *r) {
    int64_t until = clock_mono_us() + r->terms->watch_us;
    struct hang h = {.kind = HANG_NONE};
    struct facts now;

    if (until > r->terms->deadline_us)
        until = r->terms->deadline_us;
    while (clock_mono_us() < until) {
        if (look(r, &h, &now) < 0 || is_at_limit(h.kind)) {
            rescue_tell(r, "watch", "%s", r->out->gone ? "the group is gone" : hang_name(h.kind));
            return false;
        }
        (void)poll(NULL, 0, CALM_MS);
    }
    rescue_tell(r, "watch", "no hang in %.1f s", (double)r->terms->watch_us / 1e6);
    return true;
}

bool rescue_has_others(struct rescue_run *r) {
    struct pidlist pids = {0};
    unsigned large = 0;

    if (r->go == NULL)
        return true;
    if (grip_pids(r->g, &pids) < 0)
        return false;
    for (size_t i = 0; i < pids.n; i++) {
        struct procstatus status;

        large += procstatus_read(r->g->host->proc, pids.pid[i], &status) == 0 &&
                 (status.have & 1U << PROCSTATUS_ANON) && status.value[PROCSTATUS_ANON] >= SMALL;
    }
    pidlist_done(&pids);
    return large > rescuego_count(r->go);
}

void rescue_tell(const struct rescue_run *r, const char *step, const char *format, ...) {
    char text[1024];
    va_list args;

    if (!r->terms->tell)
        return;
    va_start(args, format);
    (void)vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    r->terms->tell(r->terms->ctx, step, text);
}

bool rescue_begins(struct rescue_run *r, enum action action, int32_t pid, const char *why) {
    if (!r->terms->acts || r->terms->acts(r->terms->ctx, action, pid, why, NULL) == 0)
        return true;
    r->unrecorded = true;
    return false;
}

void rescue_ended(const struct rescue_run *r, enum action action,
                  const struct action_report *report) {
    if (r->terms->acts)
        (void)r->terms->acts(r->terms->ctx, action, report->pid, "", report);
}

void rescue_size(uint64_t bytes, char *out, size_t size) {
    struct buf b;

    buf_fixed(&b, out, size - 1);
    num_add_iec(&b, bytes);
    out[b.n] = '\0';
}
