/* oomunit.h - the tree of groups that the tally of OOM kills watches: counts, events, who is whose.
 *
 * A unit is one group. It stays in the tree after its group is gone, until its owner frees it: what
 * happened in it may be learned later. Private to oomtally.
 */
#pragma once
#include "base/hash.h"
#include "kern/cgfs.h"
#include "kern/cgwatch.h"

struct oomunit {
    struct oomunit *hash_next, *parent, *first, *next, *prev;
    struct oomunit *busy_next;
    uint64_t hash;

    bool listed;      /* told by whoever knows the groups */
    bool target;      /* told as a target: `uid` */
    bool part, whole; /* see enum oomtally_kind */
    bool leaving;     /* the target was removed, and is not settled yet */
    bool removed;     /* out of the table */
    bool dead;        /* its group is gone */
    bool busy;        /* in the list of those that something is due for */
    bool late;        /* settled, and kept for lines of the log that come late */
    bool have;        /* it has a count */
    bool stray;       /* it came and went before it could be told as a target */
    bool doubt;       /* what it has `untold` was concluded */
    bool fresh;       /* v2: its counts begin in this call */
    bool unwatched;
    uint32_t uid;
    int64_t born_us; /* 0: it was there before us */

    /* v1: kills in it alone. v2: with those below, since the kernel made it. */
    uint64_t count;
    uint64_t base;    /* where counting began */
    uint64_t counted; /* v2: kills accounted for, in it and below, since `base` */

    struct cgwatch watch; /* fd -1: none */
    int counter;          /* v1: memory.oom_control, kept open; -1: it is opened when needed */

    uint64_t fires;   /* v1: signals that no kill has explained yet */
    uint64_t orphans; /* kills in it that were nobody's */
    int64_t fired_us, look_us, dead_us, missed_us, miss_due_us, left_us, kill_us;
    int64_t conclude_us, late_us, held_us; /* held: `orphans` are its owner's from then on */

    /* Of a target: kills that are counted and not told yet; told without a victim. */
    uint64_t untold, blank;
    int64_t untold_us, blank_us;

    size_t path_n;
    char path[];
};

struct oomunits {
    const struct cgfs *fs;
    enum cg_version version;
    struct hash_key key;
    struct oomunit **bucket, *top;
    size_t buckets, n;
    int fds_left; /* descriptors that may still be taken */
};

int oomunits_init(struct oomunits *all, const struct cgfs *fs); /* 0 or -ENOMEM */
void oomunits_done(struct oomunits *all);                       /* frees all units */

static inline struct str oomunit_path(const struct oomunit *u) {
    return (struct str){u->path, u->path_n};
}

/* A group that is in the table; and it, or the nearest one around it that is. */
struct oomunit *oomunits_find(const struct oomunits *all, struct str path);
struct oomunit *oomunits_around(const struct oomunits *all, struct str path);

/* Makes the unit of a path; *out may be there already (0), else it is new (1). What is around it is
 * made first. -ENOMEM. */
int oomunits_make(struct oomunits *all, struct str path, struct oomunit **out);

/* Out of the table; it stays in the tree. Then, once nothing is below it, out of the world. */
void oomunits_unlist(struct oomunits *all, struct oomunit *u);
void oomunits_free(struct oomunits *all, struct oomunit *u);

/* Parents first, from `top` downwards; NULL at the end. Parents last: begins with oomunit_deepest.
 */
struct oomunit *oomunit_next(const struct oomunit *u, const struct oomunit *top);
struct oomunit *oomunit_deepest(struct oomunit *u);
struct oomunit *oomunit_next_up(struct oomunit *u, const struct oomunit *top);

/* The target that its kills are told for, which may be removed already; NULL. */
struct oomunit *oomunit_owner(struct oomunit *u);
bool oomunit_is_below(const struct oomunit *u, const struct oomunit *top); /* or is it */

/* Watches the group: its events, and on v1 its count kept open. 0; -errno: without. */
int oomunit_watch(struct oomunits *all, struct oomunit *u);
void oomunit_unwatch(struct oomunits *all, struct oomunit *u);

/* Its count now. 0; -ENODEV: the group is gone; -ENODATA: it has none; -errno. */
int oomunit_read(const struct oomunits *all, const struct oomunit *u, uint64_t *out);
