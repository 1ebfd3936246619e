/* guardtable.h - which targets are guarded, and how that follows what the collector tells. No I/O:
 * what is to be begun and ended is asked of the caller.
 *
 * A target is known by the path of its group and by which making of it that is (its instance): the
 * numbers that a collector gives end with it, and guarding does not. A new collector tells all
 * anew; what it has not told by the end of that is not guarded any more.
 */
#pragma once
#include "engine/guardpolicies.h"

struct guardtable_caller {
    /* Begins; `id` is below `most`. 0 or -errno with a text: -ENOENT, the group is gone already. */
    int (*begin)(void *ctx, unsigned id, struct str path, struct str name, const struct policy *p,
                 struct err *err);
    void (*end)(void *ctx, unsigned id, const char *why);
    /* It matches a guard and cannot be guarded; told once for each making of it. */
    void (*failed)(void *ctx, struct str path, struct str name, const struct policy *p,
                   const char *why);
    void *ctx;
};

struct guardtable;

/* own: the path of the group that we run in, copied: it and what is around it are never guarded. */
int guardtable_new(const struct guardtable_caller *caller, unsigned most, struct str own,
                   struct guardtable **out); /* 0 or -ENOMEM */
void guardtable_free(struct guardtable *t);  /* ends nothing */

/* All will be told (again). */
void guardtable_anew(struct guardtable *t);
/* That was all. */
void guardtable_told(struct guardtable *t);

void guardtable_see(struct guardtable *t, const struct guardpolicies *policies,
                    const struct wire_target *target);
void guardtable_gone(struct guardtable *t, uint32_t uid); /* as the collector says */
void guardtable_lost(struct guardtable *t, unsigned id);  /* its guard is over already */

/* The configuration was read again. What is guarded goes on as it is until it is told anew; then
 * guards whose policy is the same go on, the others end or begin. */
void guardtable_policies(struct guardtable *t, const struct guardpolicies *before,
                         const struct guardpolicies *now);

/* Those that could not be guarded are tried again. */
void guardtable_retry(struct guardtable *t, const struct guardpolicies *policies);

/* The collector's number of a group, WIRE_UID_HOST: not known. The id of a number, -1: none. */
uint32_t guardtable_uid(const struct guardtable *t, struct str path);
int guardtable_id(const struct guardtable *t, uint32_t uid);

struct guardtable_figures {
    unsigned guarded, failed;
};
void guardtable_figures(const struct guardtable *t, struct guardtable_figures *out);
