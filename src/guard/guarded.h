/* guarded.h - one guarded group: what is held of it, what it is watched by, when it is looked at.
 *
 * v1: an eventfd that all thresholds and the OOM event are registered with; v2: memory.events,
 * which tell of memory.high too, laid at the next mark. Where they cannot tell (v2 without that
 * wire, page cache between used and usage) a look comes after headroom / (4 x growth), between
 * GUARDED_SOONEST_US and GUARDED_LATEST_US.
 */
#pragma once
#include "act/brake.h"
#include "act/oomhold.h"
#include "act/tripwire.h"
#include "guard/ladder.h"
#include "net/loop.h"

enum {
    GUARDED_SOONEST_US = 1000,
    GUARDED_LATEST_US = 1000000,
    GUARDED_ABOVE_US = 50000,     /* while a mark is passed: its effect is awaited */
    GUARDED_REFRESH_US = 2000000, /* limits are read again */
    GUARDED_ASKED = 64,
    GUARDED_HELD_US = 500000,    /* so often an OOM that is held is looked after */
    GUARDED_HOLD_US = 100000,    /* between two tries to hold the next OOM */
    GUARDED_WATCHED_US = 500000, /* until all thresholds are registered for sure */
};

/* An action that goes on: in a hand, or in the group. */
struct guarded_doing {
    bool any;
    enum action action;
    unsigned mark;
    char id[AUDIT_ID], by[16];
    bool have_before;
    uint64_t before;
    int64_t began_us, until_us; /* until: look then whether it has had its effect */
    int64_t settle_us;          /* who was ended: until its effect is told; 0: is not ended */
    uint64_t used;              /* ... at the look before */
    unsigned told;              /* of notify: programs, by their sockets */
    struct action_report report;
};

/* A process that was there when TERM was sent. */
struct guarded_asked {
    int32_t pid;
    uint64_t start_ticks;
};

struct guarded {
    void *owner;
    unsigned id;
    uint64_t generation;         /* never used twice, as `id` is; grows */
    const struct policy *policy; /* shared */
    struct grip grip;
    struct ladder ladder;
    struct hang hang;
    struct brake throttle, pause;
    unsigned throttle_mark, pause_mark; /* 0: asked for */
    int64_t throttle_until_us, pause_until_us;
    struct oomhold hold;
    struct tripwire wire;
    int wire_said; /* what was told of it last */
    bool holds;    /* the moment of OOM was armed to be held, and is armed again after each */
    bool holding;  /* a dump is written in it */
    bool told_bound;
    struct cgwatch watch;
    uint32_t watch_id, pressure_id;
    bool has_watch;
    int pressure;    /* a trigger of memory PSI: what hangs or is slowed down stalls; -1 */
    uint64_t limits; /* sum of what the thresholds were made for */
    struct facts last;
    uint64_t rate; /* of growth, bytes a second */
    int64_t look_us, refresh_us, watched_us, hold_again_us;
    struct guarded_doing slow;                 /* in a hand */
    struct guarded_doing hook;                 /* of a notify, in another: nothing waits for it */
    struct guarded_doing term, ending;         /* a TERM's grace; a kill whose effect is awaited */
    struct guarded_asked asked[GUARDED_ASKED]; /* those that are to heed the TERM */
    struct guarded_asked killed;               /* whose end `ending` awaits */
    unsigned asked_n;
    bool asked_more; /* there were others */
    bool knows_kills;
    uint64_t kills;        /* by the kernel, in the group itself */
    unsigned failed_looks; /* since one succeeded */
};

/* Opens the group. 0 or -errno with a text. guarded_close takes one that was zeroed before. */
int guarded_open(struct guarded *x, const struct host *h, const struct cgfs *fs, struct str path,
                 struct str name, const struct policy *p, struct err *err);
void guarded_close(struct guarded *x, struct loop *loop);

/* Registers what it is watched by, anew when limits have moved. On v1 each mark takes the kernel
 * some 12 ms: `wait` for that, where nobody else is to be guarded meanwhile; else it is looked at
 * by time until then. 0; -errno: it is looked at by time alone. */
int guarded_watch(struct guarded *x, bool wait, struct loop *loop, loop_handler *handler);

/* Beside: told when its tasks wait for memory. Nothing where the kernel cannot, or descriptors are
 * short. */
void guarded_watch_pressure(struct guarded *x, struct loop *loop, loop_handler *handler);
void guarded_unwatch_pressure(struct guarded *x, struct loop *loop);

/* Reads what is needed to decide; usage alone while that is far from the next mark: then *enough is
 * false and nothing can have changed. 0; -ENODEV. Allocates nothing. */
int guarded_look(struct guarded *x, int64_t now_us, struct facts *out, bool *enough);

/* When the next look is due, after one. */
void guarded_plan(struct guarded *x, const struct facts *f, int64_t now_us);
