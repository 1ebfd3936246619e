/* naming.h - what each group is and what it is called: a small state machine per container.
 *
 *   FILES -> (nothing found) -> SOCKET -> INSIDE -> SETTLED, and from there back when something
 * changed. A group is classified by its path when it is born; whether a plain one is a container
 * all the same is seen by its first process. Private to discover/.
 */
#pragma once
#include "base/job.h"
#include "discover/node.h"

enum { NAMING_JOBS = 4 }; /* the first asks sockets, the others look inside of containers */

struct naming_job {
    struct job job;
    char *path; /* of the group it is for; the first job is for many */
};

struct namer {
    const struct host *h;
    const struct cgfs *fs;
    struct tree *tree;
    struct names *names;
    struct naming_job job[NAMING_JOBS];
    struct pidlist room;
    char *full; /* scratch for a path with the mount's root before it; NULL if that is "/" */
    size_t root_len;
    int64_t boot_s, epoch_us;
    uint32_t asked_ms; /* when sockets may be asked next; 0: at once */
    bool waiting;      /* some container waits for the engines to be asked */
    bool ask;          /* jobs are allowed */
    bool initial;      /* what is born now was there before us */

    void (*changed)(void *ctx, struct node *n); /* a text or the kind */
    void *ctx;
};

/* ask: may use child processes. 0; -ENOMEM. */
int namer_init(struct namer *m, const struct host *h, const struct cgfs *fs, struct tree *tree,
               bool ask);
void namer_done(struct namer *m);

/* Milliseconds since the start; never 0, and it wraps: compare by namer_is_due. */
uint32_t namer_clock(const struct namer *m, int64_t now_us);
static inline bool namer_is_due(uint32_t due_ms, uint32_t now_ms) {
    return due_ms != 0 && (int32_t)(now_ms - due_ms) >= 0;
}

/* By the path alone. The node becomes due at once if there is more to find out. */
int namer_born(struct namer *m, struct node *n, uint32_t now_ms);
void namer_gone(struct node *n);

/* What is due for this node. Calls changed(). */
void namer_step(struct namer *m, struct node *n, uint32_t now_ms);

/* Whether a container of a pod is still too young to tell if it is a sandbox. */
bool namer_undecided(const struct node *n);

/* Takes in answers, and starts jobs for those that wait for one. Whether an answer came: then some
 * due_ms is new. */
bool namer_jobs(struct namer *m, int64_t now_us);
