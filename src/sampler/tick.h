/* tick.h - one tick: targets in, samples out.
 *
 * The only place that turns what the kernel's files say into samples. Files of a group stay open
 * from tick to tick while descriptors last; nothing is allocated in a tick except when targets came
 * since the last one.
 */
#pragma once
#include "base/err.h"
#include "kern/cgroup.h"
#include "kern/limit.h"
#include "model/sample.h"
#include "model/target.h"

/* What a tick reads beyond usage, stat, events and limits, which it always does. */
enum {
    TICK_CPU = 1 << 0,
    TICK_PIDS = 1 << 1,
    TICK_IO = 1 << 2,
    TICK_NET = 1 << 3,
    TICK_PSI = 1 << 4,
    TICK_SWAP = 1 << 5,
    TICK_KERNEL = 1 << 6,
    TICK_PEAK = 1 << 7,   /* peak and failcnt */
    TICK_BOUNDS = 1 << 8, /* swap limit, high, low, min, soft limit, limit of pids */
    TICK_ALL = (1 << 9) - 1,
};

struct tick_options {
    unsigned want;   /* TICK_ bits */
    bool spread;     /* with many targets, what is read now and then is read of a part of them at
                        each tick, and at once of those that have moved */
    bool adaptive;   /* memory.stat only when usage has moved, and every few seconds */
    bool all_groups; /* every group is a target: kills of children are summed from their samples */
};

/* What is known of a target's limit beside the sample. */
struct tick_limit {
    enum limit_from from;
    struct str
        path;     /* of the group whose limit it is, for LIMIT_LEVEL; lives until the next tick */
    bool certain; /* false: a limit that cannot be seen from here may be tighter */
};

/* The machine, once a tick. */
struct tick_host {
    uint64_t mem_total, mem_available, swap_total, swap_free; /* bytes */
    bool have_mem, have_swap;
};

struct ticker;

/* h and fs are borrowed until ticker_free. 0 or -errno with a text. */
int ticker_new(const struct host *h, const struct cgfs *fs, const struct tick_options *options,
               struct ticker **out, struct err *err);
void ticker_free(struct ticker *t);

/* From now on this target is read, in the place of its slot; the target is borrowed until it is
 * removed. 0 or -ENOMEM. */
int ticker_add(struct ticker *t, const struct target *target);
void ticker_remove(struct ticker *t, const struct target *target);

/* Reads everything once. 0 or -ENOMEM. Groups that vanish meanwhile have no sample. */
int ticker_run(struct ticker *t);

/* The same at a time of the caller's on the clock of clock_mono_us, which must not go back: for
 * tests that do not want to wait. */
int ticker_run_at(struct ticker *t, int64_t now_us);

/* The same for these slots only, between two rounds: usage, stat, events and the room under the
 * limits of the chain; the rest of their samples, and all others, stay as they are. 0. */
int ticker_run_some(struct ticker *t, const uint32_t *slot, size_t n);

/* Whether the caller is told of OOM kills by the kernel (v1: an eventfd for each target) and
 * hurries the target then: with it v1's events are read in turns, too. Not so at first. */
void ticker_events_told(struct ticker *t, bool told);

/* The next round reads all of this target. */
void ticker_hurry(struct ticker *t, uint32_t slot);

/* The newest sample of a slot, NULL when there is none (not read yet, gone).
 *
 * How old what is in it may be, when there are more than 64 targets: without `spread` limits 5 s
 * (v1: 30 s, unless they moved). With it 10 s whatever is not usage and memory.stat (v2: events
 * too), but limits of v1 as above; peak, limit hits and kernel memory are not read as long as
 * neither usage nor a letter of memory.stat has moved. Room below the machine's memory: 10 s, or
 * until that has moved by a 64th. With `adaptive` memory.stat 5 s, or until usage has moved. */
const struct sample *ticker_sample(const struct ticker *t, uint32_t slot);

/* Another number whenever the sample of the slot may have changed in more than its time; 0: there
 * is none. Who remembers it need not compare. */
uint32_t ticker_version(const struct ticker *t, uint32_t slot);
void ticker_limit(const struct ticker *t, uint32_t slot, struct tick_limit *out);
const struct tick_host *ticker_host(const struct ticker *t);

/* CPU use between the last two ticks, hundredths of a percent of one CPU: the group's CPU time over
 * wall time. That is what Docker means by its time over the time of all CPUs, times their number,
 * without the grain of a clock tick. False before the second tick. */
bool ticker_cpu(const struct ticker *t, uint32_t slot, uint64_t *centi_out);

/* Whether a container has no network of its own but the machine's: then it has no figures either.
 */
bool ticker_shares_network(const struct ticker *t, uint32_t slot);

/* Whether some groups' files had to be opened at each tick since descriptors ran out, and how many
 * targets could not be read for lack of permission in the last tick. */
bool ticker_short_of_fds(const struct ticker *t);

/* How many targets have no memory controller (v2): what they use is charged to a group above. */
unsigned ticker_uncounted(const struct ticker *t);
unsigned ticker_denied(const struct ticker *t);
