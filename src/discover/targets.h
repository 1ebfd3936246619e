/* targets.h - which control groups exist, which of them are containers, and what they are called.
 *
 * The table follows the tree of the memory hierarchy by inotify, with a rescan now and then, and
 * more often where inotify cannot be had. Every group has an entry; those of the chosen scope are
 * shown: they have a slot, and the callbacks speak of them. Names come from files and command lines
 * at once; what can block (an engine's socket, a container's own files) is asked in a child
 * process. No descriptor is kept per group.
 */
#pragma once
#include "base/err.h"
#include "kern/cgfs.h"
#include "kern/host.h"
#include "model/target.h"

enum targets_scope {
    TARGETS_CONTAINERS, /* containers and virtual machines */
    TARGETS_SERVICES,   /* those, pods, systemd's units and sessions, and `plimsoll run` */
    TARGETS_ALL,        /* every group */
    TARGETS_CHOSEN,     /* what targets_choose names, and nothing else */
};

struct targets_options {
    enum targets_scope scope;
    bool watch; /* use inotify; without it targets_update rescans when told to (targets_rescan) */
    bool ask;   /* may ask engines' sockets and containers for names, in child processes */

    /* Called from targets_new, targets_update, targets_choose and targets_settle. The target is
     * valid until removed() returns. Any may be NULL. */
    void (*added)(void *ctx, const struct target *t);
    void (*removed)(void *ctx, const struct target *t);
    void (*renamed)(void *ctx, const struct target *t); /* any text of it, or its kind, changed */
    /* Any group, shown or not: told before added() and after removed(), parents come first and
     * go last. What it is may not be known yet. */
    void (*group_came)(void *ctx, const struct target *t);
    void (*group_went)(void *ctx, const struct target *t);
    void *ctx;
};

/* What went less than well: each is worth a line to the user, once. */
struct targets_health {
    bool no_watches; /* inotify's limit is reached (fs.inotify.max_user_watches), or no inotify */
    uint64_t overflows;    /* times the queue of events overflowed: answered by a rescan */
    uint64_t too_many;     /* groups left out: path too long, or too many inside one container */
    uint64_t unreadable;   /* groups whose directory cannot be listed: what is below is not seen */
    uint64_t denied;       /* containers whose name could not be read for lack of permission, */
    uint64_t denied_shown; /* and those of them that are shown */
};

struct targets;

/* Walks the tree and names what it finds. h and fs are borrowed until targets_free. 0; -errno with
 * a text when the top cannot be listed. */
int targets_new(const struct host *h, const struct cgfs *fs, const struct targets_options *options,
                struct targets **out, struct err *err);
void targets_free(struct targets *t); /* calls no callback */

/* A descriptor that polls readable when groups came or went or an answer arrived (an epoll
 * descriptor: level-triggered); -1 if there is none. Calling targets_update at every tick is
 * enough; polling only makes births seen sooner. */
int targets_fd(const struct targets *t);

/* Takes in what happened, tries again names that are due, rescans when that is due. now_us is
 * monotonic (clock_mono_us). Never blocks but for the kernel's own files. 0; -ENOMEM. */
int targets_update(struct targets *t, int64_t now_us);

/* When targets_update has something to do even if nothing happens, on the same clock. */
int64_t targets_due_us(const struct targets *t);

/* Waits until every shown target has been named as well as it can be, at most max_ms: for commands
 * that print once. */
void targets_settle(struct targets *t, int64_t max_ms);

/* The next update compares the whole tree with the table. */
void targets_rescan(struct targets *t);

/* Shows the group of that path whenever it exists (scope TARGETS_CHOSEN; harmless in others). */
int targets_choose(struct targets *t, struct str path);

/* Shown targets: slots 0 .. targets_slots()-1, NULL where a slot is free. A slot is given to
 * another target only after removed(). */
uint32_t targets_slots(const struct targets *t);
const struct target *targets_at(const struct targets *t, uint32_t slot);
uint32_t targets_shown(const struct targets *t);

/* Any group by its path, shown or not; NULL if unknown. */
const struct target *targets_find(const struct targets *t, struct str path);

/* All groups, parents before children: NULL starts, NULL ends. */
const struct target *targets_next(const struct targets *t, const struct target *last);
size_t targets_groups(const struct targets *t);

/* The target or the nearest container around it; NULL. */
const struct target *targets_container(const struct target *t);

struct targets_health targets_health(const struct targets *t);

/* What the table was made on, for those who have only the table. */
const struct host *targets_host(const struct targets *t);
const struct cgfs *targets_cgfs(const struct targets *t);
