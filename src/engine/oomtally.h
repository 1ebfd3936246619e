/* oomtally.h - no OOM kill is lost: watches every target, and counts also those whose group is
 * gone.
 *
 * v1: an eventfd on each target's group, and its kills read at once, since the count dies with the
 * group. v2: memory.events of the target and of its parent; what the parent counted and no living
 * child did, happened in one that is gone. The kernel's log, where it may be read, names the victim
 * and whose limit it was; it is rate-limited and never counted alone where counters can be had.
 */
#pragma once
#include "kern/cgfs.h"
#include "kern/host.h"
#include "net/loop.h"

struct oomtally;

/* What was found. Texts live during the call. */
struct oomtally_kill {
    uint32_t uid;
    int64_t at_ms;
    uint64_t kills;
    bool sure, outside, gone; /* gone: the group was removed already */
    int32_t victim_pid;
    uint64_t anon, file, shmem;
    struct str comm, limit_path;
};

typedef void oomtally_fn(void *ctx, const struct oomtally_kill *kill);

/* Watches through the loop. The callback may come from any turn of it. */
int oomtally_new(struct loop *loop, const struct host *h, const struct cgfs *fs, oomtally_fn *fn,
                 void *ctx, struct oomtally **out, struct err *err);
void oomtally_free(struct oomtally *t);

/* A target came: its kills so far (of v1 its own count, of v2 its count) are where counting begins,
 * unless it is younger than a few seconds (`born_now`), when they are new. Watches it and, on v1,
 * the groups below it that come and go. 0; -ENOMEM; other failures are only worse evidence. */
int oomtally_add(struct oomtally *t, uint32_t uid, struct str path, bool born_now);

/* It is gone: what is not clear yet is settled (the log may be a moment late), within 200 ms. The
 * uid stays valid in callbacks until then. */
void oomtally_remove(struct oomtally *t, uint32_t uid);

/* Kills seen by whoever samples: the count of a target as of now (v1 with those below it). Finds
 * what no event told. */
void oomtally_seen(struct oomtally *t, uint32_t uid, uint64_t kills);

/* Whether anything waits to be settled, and targets without a watch of their own. */
bool oomtally_busy(const struct oomtally *t);
uint64_t oomtally_unwatched(const struct oomtally *t);
