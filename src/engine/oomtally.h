/* oomtally.h - no OOM kill is lost: watches every target, and counts also those whose group is
 * gone.
 *
 * v1: an eventfd on the group of each target and on those below, and its kills read at once, since
 * the count dies with the group. v2: memory.events of the target; what a group counted and no
 * living child of it did, happened in one that is gone. The kernel's log, where it may be read,
 * names the victim and whose limit it was. Its reports are rate-limited: then the victim is
 * unknown and the kill is counted all the same. A kill is told once, for the innermost target
 * around the victim that is no mere part of another. Nothing is allocated but when groups come.
 */
#pragma once
#include "kern/cgfs.h"
#include "kern/host.h"
#include "model/target.h"
#include "net/loop.h"

struct oomtally;

/* What was found. Texts live during the call. */
struct oomtally_kill {
    uint32_t uid;     /* 0: the machine ran out of memory, and the victim was in no target */
    struct str group; /* not empty: the kill was in this group, which came and went before it was
                         told as a target; uid: of the target around it, 0: none */
    int64_t at_ms;
    uint64_t kills;
    bool sure;    /* by the group's own count, or the kernel's log names the group; false: concluded
                     from events, when the group was gone and the report rate-limited away */
    bool outside; /* by the log: the limit was that of a group around it, or the machine's */
    bool gone;    /* the target was removed already */
    int32_t victim_pid; /* 0: not known, and then all that follows */
    uint64_t anon, file, shmem;
    struct str comm, limit_path;
};

typedef void oomtally_fn(void *ctx, const struct oomtally_kill *kill);

/* Watches through the loop. The callback may come from any turn of it, and from the calls below. */
int oomtally_new(struct loop *loop, const struct host *h, const struct cgfs *fs, oomtally_fn *fn,
                 void *ctx, struct oomtally **out, struct err *err);
void oomtally_free(struct oomtally *t);

/* Every group that comes, target or not, parents first, before oomtally_add of it: so are kills
 * below a target known as its own. born_now: its counts begin at nothing, else where they are. What
 * is not told here is seen as far as a target's own counts go. 0; -ENOMEM. */
int oomtally_group_add(struct oomtally *t, struct str path, bool born_now);
void oomtally_group_remove(struct oomtally *t, struct str path);

/* Who a kill is told for, when targets lie in each other. */
enum oomtally_kind {
    OOMTALLY_WHOLE,  /* a container, a service, a run: what is below it is part of it */
    OOMTALLY_PART,   /* a plain group: for the whole that it lies in, if there is one */
    OOMTALLY_AROUND, /* a slice, a pod: only for what lies in no other target */
};

enum oomtally_kind oomtally_kind_of(const struct target *t);

/* A target came: its kills so far are where counting begins, unless it was born now: then they are
 * new. It may be gone already, and what is told of it later is its own. 0; -ENOMEM; other failures
 * are only worse evidence. */
int oomtally_add(struct oomtally *t, uint32_t uid, struct str path, enum oomtally_kind kind,
                 bool born_now);

/* It is gone, or is no target any more: what is not clear yet is settled within 200 ms. The uid
 * stays valid in callbacks until 3 s later: a slow console may hold up the log, and then a kill of
 * which only the log knows is told as soon as the line comes. */
void oomtally_remove(struct oomtally *t, uint32_t uid);

/* Whoever samples saw a count of the target that is another than before: it is looked at at once,
 * with those below. Finds what no event told. */
void oomtally_seen(struct oomtally *t, uint32_t uid, uint64_t kills);

/* Whether anything waits to be settled, and targets without a watch of their own. */
bool oomtally_busy(const struct oomtally *t);
uint64_t oomtally_unwatched(const struct oomtally *t);

/* For tests: records come from this descriptor, one a read, instead of the kernel's log. Taken. */
int oomtally_use_log(struct oomtally *t, int fd);
