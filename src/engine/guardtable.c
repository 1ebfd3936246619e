#include "engine/guardtable.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

enum { NO_ID = -1, STALE = -1 };

/* A target that matches a guard. */
struct entry {
    char *path, *name; /* NULL: nobody has this place */
    size_t path_n, name_n;
    uint64_t instance;
    uint32_t uid; /* of this collector; WIRE_UID_HOST: it has not told it yet */
    int policy;   /* number in the policies of now; STALE: it is none of them */
    int id;       /* NO_ID: could not be guarded */
    bool told_failure;
};

struct guardtable {
    struct guardtable_caller caller;
    struct entry *at;
    unsigned n, room, most;
    unsigned *free_id, n_free;
    char *own;
};

int guardtable_new(const struct guardtable_caller *caller, unsigned most, struct str own,
                   struct guardtable **out) {
    struct guardtable *t = calloc(1, sizeof(*t));

    if (!t)
        return -ENOMEM;
    t->caller = *caller;
    t->most = most;
    t->free_id = calloc(most ? most : 1, sizeof(*t->free_id));
    t->own = strndup(own.p, own.n);
    if (!t->free_id || !t->own) {
        guardtable_free(t);
        return -ENOMEM;
    }
    for (unsigned i = 0; i < most; i++)
        t->free_id[t->n_free++] = most - 1 - i; /* the lowest is taken first */
    *out = t;
    return 0;
}

static void forget(struct guardtable *t, struct entry *e) {
    if (e->id != NO_ID)
        t->free_id[t->n_free++] = (unsigned)e->id; /* NOLINT(clang-analyzer-core.NullDereference) */
    free(e->path);
    free(e->name);
    *e = (struct entry){.id = NO_ID};
}

void guardtable_free(struct guardtable *t) {
    if (!t)
        return;
    for (unsigned i = 0; i < t->n; i++)
        if (t->at[i].path)
            forget(t, &t->at[i]);
    free(t->at);
    free(t->free_id);
    free(t->own);
    free(t);
}

/* --- finding ------------------------------------------------------------------------------------
 */

static struct entry *by_path(const struct guardtable *t, struct str path) {
    for (unsigned i = 0; i < t->n; i++)
        if (t->at[i].path && t->at[i].path_n == path.n &&
            memcmp(t->at[i].path, path.p, path.n) == 0)
            return &t->at[i];
    return NULL;
}

static struct entry *by_uid(const struct guardtable *t, uint32_t uid) {
    for (unsigned i = 0; i < t->n && uid != WIRE_UID_HOST; i++)
        if (t->at[i].path && t->at[i].uid == uid)
            return &t->at[i];
    return NULL;
}

static struct entry *free_entry(struct guardtable *t) {
    struct entry *at;
    unsigned room;

    for (unsigned i = 0; i < t->n; i++)
        if (!t->at[i].path)
            return &t->at[i];
    if (t->n == t->room) {
        room = t->room ? 2 * t->room : 64;
        at = reallocarray(t->at, room, sizeof(*at));
        if (!at)
            return NULL;
        t->at = at;
        t->room = room;
    }
    t->at[t->n] = (struct entry){.id = NO_ID};
    return &t->at[t->n++];
}

/* The top, and whatever we are in: stopping it would stop us. */
static bool is_ours(const struct guardtable *t, struct str path) {
    struct str own = str_of(t->own);

    return path.n <= 1 || (str_starts(own, path) && (own.n == path.n || own.p[path.n] == '/'));
}

/* --- beginning and ending ------------------------------------------------------------------------
 */

static void end(struct guardtable *t, struct entry *e, const char *why) {
    if (e->id != NO_ID)
        t->caller.end(t->caller.ctx, (unsigned)e->id, why);
    forget(t, e);
}

/* Begins what is in the entry. One whose group is gone is forgotten: the collector says so too. */
static void begin(struct guardtable *t, struct entry *e, const struct policy *p) {
    struct str path = {e->path, e->path_n}, name = {e->name, e->name_n};
    struct err err = {0};
    int r;

    if (t->n_free == 0)
        r = err_set(&err, -ENOSPC, "%u groups are guarded, more are not", t->most);
    else {
        e->id = (int)t->free_id[t->n_free - 1];
        r = t->caller.begin(t->caller.ctx, (unsigned)e->id, path, name, p, &err);
    }
    if (r == 0) {
        t->n_free--;
        e->told_failure = false;
        return;
    }
    e->id = NO_ID;
    if (r == -ENOENT || r == -ENODEV) {
        forget(t, e);
        return;
    }
    if (!e->told_failure)
        t->caller.failed(t->caller.ctx, path, name, p, err.text);
    e->told_failure = true;
}

static void add(struct guardtable *t, const struct guardpolicies *policies, int policy,
                const struct wire_target *target) {
    struct entry *e = free_entry(t);

    if (!e)
        return; /* no memory: it comes again when all is told anew */
    *e = (struct entry){
        .path = strndup(target->path.p, target->path.n),
        .name = strndup(target->name.p, target->name.n),
        .path_n = target->path.n,
        .name_n = target->name.n,
        .instance = target->instance,
        .uid = target->uid,
        .policy = policy,
        .id = NO_ID,
    };
    if (!e->path || !e->name)
        forget(t, e);
    else
        begin(t, e, &policies->at[policy].policy);
}

/* --- what the collector tells --------------------------------------------------------------------
 */

void guardtable_anew(struct guardtable *t) {
    for (unsigned i = 0; i < t->n; i++)
        t->at[i].uid = WIRE_UID_HOST;
}

void guardtable_told(struct guardtable *t) {
    for (unsigned i = 0; i < t->n; i++)
        if (t->at[i].path && t->at[i].uid == WIRE_UID_HOST)
            end(t, &t->at[i], "the group is no target any more");
}

static bool same_group(const struct entry *e, const struct wire_target *target) {
    return e->instance == target->instance || e->instance == 0 || target->instance == 0;
}

void guardtable_see(struct guardtable *t, const struct guardpolicies *policies,
                    const struct wire_target *target) {
    struct entry *e = by_path(t, target->path);
    int policy;

    if (target->uid == WIRE_UID_HOST || is_ours(t, target->path))
        return;
    policy = guardpolicies_find(policies, target);
    if (e && policy >= 0 && e->policy == policy && same_group(e, target) &&
        str_eq((struct str){e->name, e->name_n}, target->name)) {
        e->uid = target->uid;
        if (target->instance != 0)
            e->instance = target->instance;
        return;
    }
    if (e)
        end(t, e,
            !same_group(e, target) ? "the group was made again"
            : policy < 0           ? "no guard of the configuration is for it"
            : e->policy != policy  ? "the configuration has another guard for it"
                                   : "it has another name");
    if (policy >= 0)
        add(t, policies, policy, target);
}

void guardtable_gone(struct guardtable *t, uint32_t uid) {
    struct entry *e = by_uid(t, uid);

    if (e)
        end(t, e, "the group was removed");
}

void guardtable_lost(struct guardtable *t, unsigned id) {
    for (unsigned i = 0; i < t->n; i++)
        if (t->at[i].path && t->at[i].id == (int)id)
            forget(t, &t->at[i]);
}

/* --- policies ------------------------------------------------------------------------------------
 */

void guardtable_policies(struct guardtable *t, const struct guardpolicies *before,
                         const struct guardpolicies *now) {
    for (unsigned i = 0; i < t->n; i++) {
        struct entry *e = &t->at[i];
        int was = e->policy;

        if (!e->path || was == STALE)
            continue;
        e->policy = STALE;
        for (unsigned k = 0; k < now->n && e->policy == STALE; k++)
            if (policy_same(&now->at[k].policy, &before->at[was].policy))
                e->policy = (int)k;
    }
}

void guardtable_retry(struct guardtable *t, const struct guardpolicies *policies) {
    for (unsigned i = 0; i < t->n; i++)
        if (t->at[i].path && t->at[i].id == NO_ID && t->at[i].policy != STALE)
            begin(t, &t->at[i], &policies->at[t->at[i].policy].policy);
}

/* --- looking -------------------------------------------------------------------------------------
 */

uint32_t guardtable_uid(const struct guardtable *t, struct str path) {
    const struct entry *e = by_path(t, path);

    return e ? e->uid : WIRE_UID_HOST;
}

int guardtable_id(const struct guardtable *t, uint32_t uid) {
    const struct entry *e = by_uid(t, uid);

    return e ? e->id : NO_ID;
}

void guardtable_figures(const struct guardtable *t, struct guardtable_figures *out) {
    *out = (struct guardtable_figures){0};
    for (unsigned i = 0; i < t->n; i++) {
        out->guarded += t->at[i].path && t->at[i].id != NO_ID;
        out->failed += t->at[i].path && t->at[i].id == NO_ID;
    }
}
