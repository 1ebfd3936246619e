#include "model/hang.h"

#include <inttypes.h>

enum {
    RATE_LEAST_US = 100000, /* closer looks tell no rates */
    RATE_MOST_US = 5000000, /* what moved in so long does not tell of now */
    GAP_US = 600000,        /* B, A2, T: a sign may be missing for so long */
    DYING_US = 1000000,     /* who is killed may need so long to give back */
    HELD_CENTI = 7500,      /* B: what reclaim cannot take, of the limit: the cache is small */
    TURNS = 10,             /* B: the file cache is read again so many times a second */
    FAULTS = 10,            /* B: page faults that had to read, a second */
    STALLED_CENTI = 4000,   /* B: PSI some */
    THROTTLED_CENTI = 3000, /* T: PSI full */
    PAGE = 4096,            /* for a ratio of ten or more: near enough where pages are larger */
};

static uint64_t value(const struct facts *f, enum fact fact, uint64_t otherwise) {
    return facts_has(f, fact) ? f->value[fact] : otherwise;
}

/* Whether a is at least so many hundredths of a percent of b. */
static bool is_part(uint64_t a, uint64_t b, uint64_t centi) {
    return (unsigned __int128)a * 10000 >= (unsigned __int128)b * centi;
}

/* At the limit. */
static bool is_near(const struct facts *f) {
    return facts_has(f, FACT_USAGE) && facts_has(f, FACT_LIMIT) &&
           is_part(f->value[FACT_USAGE], f->value[FACT_LIMIT], HANG_NEAR_CENTI);
}

/* By how much a counter has risen, a second; 0 when not known. */
static uint64_t rate(const struct facts *from, const struct facts *to, enum fact fact) {
    uint64_t us = (uint64_t)(to->at_us - from->at_us);

    if (!facts_has(from, fact) || !facts_has(to, fact) || to->value[fact] < from->value[fact])
        return 0;
    return (uint64_t)((unsigned __int128)(to->value[fact] - from->value[fact]) * 1000000 / us);
}

/* The file cache turns over, and it is faults that read it. On slow disks it turns slowly, but then
 * PSI rises in the end; where it cannot be counted, PSI has to do. */
static bool refaults(const struct facts *from, const struct facts *to) {
    uint64_t pages = value(to, FACT_FILE, 0) / PAGE;
    bool stalled = value(to, FACT_SOME_AVG10, 0) >= STALLED_CENTI;
    bool counted = facts_has(to, FACT_REFAULTS) && facts_has(to, FACT_FILE);
    uint64_t refaulted;

    if (!is_near(to) ||
        !is_part(value(to, FACT_USED, 0), value(to, FACT_LIMIT, UINT64_MAX), HELD_CENTI))
        return false;
    if (!counted || !facts_has(to, FACT_PGMAJFAULTS))
        return stalled;
    refaulted = rate(from, to, FACT_REFAULTS);
    if (stalled && refaulted > pages)
        return true;
    return rate(from, to, FACT_PGMAJFAULTS) >= FAULTS && refaulted >= TURNS * (pages + 1);
}

/* `oom` is of v2 alone. */
static bool is_unkillable(const struct facts *from, const struct facts *to) {
    return rate(from, to, FACT_OOMS) > 0 &&
           value(from, FACT_OOM_KILLS, 0) == value(to, FACT_OOM_KILLS, 0);
}

static bool is_throttled(const struct facts *f) {
    return facts_has(f, FACT_OOMS) && !is_near(f) &&
           value(f, FACT_FULL_AVG10, 0) >= THROTTLED_CENTI;
}

/* What moved between two looks. */
static enum hang_kind moving(const struct facts *from, const struct facts *to) {
    if (is_unkillable(from, to))
        return HANG_UNKILLABLE;
    if (refaults(from, to))
        return HANG_REFAULT;
    return is_throttled(to) ? HANG_THROTTLED : HANG_NONE;
}

static void see_rates(struct hang *h, const struct facts *f) {
    int64_t us = f->at_us - h->last.at_us;

    if (h->any && us < RATE_LEAST_US)
        return;
    if (h->any && value(f, FACT_OOM_KILLS, 0) > value(&h->last, FACT_OOM_KILLS, UINT64_MAX))
        h->killed_us = f->at_us;
    h->moving = h->any && us <= RATE_MOST_US ? moving(&h->last, f) : HANG_NONE;
    h->last = *f;
    h->any = true;
}

static int64_t confirm_us(const struct hang *h, const struct facts *f) {
    switch (h->suspect) {
    case HANG_OOM_WAIT:
        return value(f, FACT_KILL_DISABLED, 0) ? HANG_CONFIRM_US : HANG_REFAULT_US;
    case HANG_UNKILLABLE:
        return HANG_CONFIRM_US;
    case HANG_REFAULT:
    case HANG_THROTTLED:
    case HANG_NONE:
    case HANG_N:
        break;
    }
    return HANG_REFAULT_US;
}

static void suspect(struct hang *h, enum hang_kind sign, int64_t now_us) {
    if (sign == h->suspect) {
        h->seen_us = now_us;
    } else if (sign != HANG_NONE || h->suspect == HANG_OOM_WAIT || now_us - h->seen_us > GAP_US) {
        h->suspect = sign;
        h->suspect_us = now_us;
        h->seen_us = now_us;
    }
}

/* Somebody who was killed a moment ago is making room. */
static bool may_be_dying(const struct hang *h, int64_t now_us) {
    return h->killed_us != 0 && now_us - h->killed_us < DYING_US;
}

bool hang_see(struct hang *h, const struct facts *f) {
    enum hang_kind before = h->kind, sign;

    see_rates(h, f);
    sign = value(f, FACT_UNDER_OOM, 0) ? HANG_OOM_WAIT : h->moving;
    if (sign == HANG_OOM_WAIT && !value(f, FACT_KILL_DISABLED, 0) && h->killed_us == f->at_us)
        sign = HANG_NONE;
    suspect(h, sign, f->at_us);
    if (sign != HANG_NONE && sign == h->suspect && f->at_us - h->suspect_us >= confirm_us(h, f) &&
        !(sign == HANG_UNKILLABLE && may_be_dying(h, f->at_us))) {
        if (h->kind != sign)
            h->since_us = h->suspect_us;
        h->kind = sign;
    }
    if (h->kind != HANG_NONE && sign == h->kind)
        h->kind_us = f->at_us;
    else if (h->kind != HANG_NONE && f->at_us - h->kind_us >= HANG_CLEAR_US)
        h->kind = HANG_NONE;
    return h->kind != before;
}

bool hang_suspects(const struct hang *h) {
    return h->suspect != HANG_NONE || h->kind != HANG_NONE;
}

const char *hang_name(enum hang_kind kind) {
    static const char *const names[HANG_N] = {
        [HANG_NONE] = "none",
        [HANG_OOM_WAIT] = "oom-wait",
        [HANG_REFAULT] = "refault-livelock",
        [HANG_UNKILLABLE] = "unkillable",
        [HANG_THROTTLED] = "throttled",
    };

    return (unsigned)kind < HANG_N ? names[kind] : "";
}

void hang_add_text(struct buf *out, const struct hang *h, int64_t now_us) {
    static const struct {
        const char *what, *advice;
    } texts[HANG_N] = {
        [HANG_NONE] = {"does not hang", ""},
        [HANG_OOM_WAIT] =
            {"its tasks sleep at the memory limit, waiting for memory, and the kernel kills nobody",
             "SIGTERM, docker exec, pause, a debugger and asking for a garbage collection do not "
             "help: whoever comes in waits too. More memory does (plimsoll rescue lends it), or "
             "SIGKILL"},
        [HANG_REFAULT] =
            {"at its memory limit nothing but the pages of its own programs and mapped files is "
             "left to take, and they are read back all the time: it runs, and gets nowhere",
             "Waiting does not help, nor does dropping caches. More memory does (plimsoll rescue "
             "lends it), a garbage collection that frees some, or a kill"},
        [HANG_UNKILLABLE] =
            {"it is at its memory limit, and the kernel finds nobody whom it may kill "
             "(oom_score_adj -1000): it tries again for ever, and fills the kernel's log",
             "SIGTERM does not help. More memory does (plimsoll rescue lends it), another "
             "oom_score_adj, or SIGKILL"},
        [HANG_THROTTLED] =
            {"it stands still below its limit: memory.high slows it down, or the machine itself is "
             "short of memory",
             "No rescue from the limit is needed: raise memory.high, or let it give memory back"},
    };
    double s = (double)(now_us - h->since_us) / 1e6;

    if ((unsigned)h->kind >= HANG_N)
        return;
    buf_add(out, str_of(texts[h->kind].what));
    if (h->kind == HANG_NONE)
        return;
    if (s >= 0)
        buf_add_format(out, " (for %.*f s)", s < 9.95, s);
    buf_add_format(out, ". %s", texts[h->kind].advice);
}
