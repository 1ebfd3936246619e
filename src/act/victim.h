/* victim.h - which process of a group is to be ended. Pure: candidates in, a choice out.
 *
 * The largest by anon + swap + shmem, of those that may be: never ourselves or our children, never
 * what a rule protects, never oom_score_adj -1000, never a kernel thread, never one outside of the
 * group; a container's pid 1 only when it is the largest by far (to blame) or asked for. Rules that
 * prefer come first.
 */
#pragma once
#include "model/policy.h"

struct candidate {
    int32_t pid;
    uint64_t start_ticks;
    uint64_t anon, swap, shmem; /* bytes */
    int32_t oom_score_adj;
    bool init;         /* pid 1 of its pid namespace, which is not ours */
    bool machine_init; /* pid 1 here */
    bool ours;         /* ourselves, the warden, a child of ours */
    bool kernel;
    bool stuck_exec; /* "runc:[2:INIT]" and such, from outside, waiting for memory */
    char comm[64];
    char program[64]; /* last part of argv[0]; "" */
};

struct verdict_victim {
    bool any;
    size_t at;     /* of the candidates */
    char why[160]; /* "largest: 480 MiB anon of 3 processes"; without one: why nobody */
};

void victim_choose(const struct candidate *c, size_t n, const struct policy *p,
                   struct verdict_victim *out);
bool victim_is_protected(const struct candidate *c, const struct policy *p);
/* Why, of one that is. */
const char *victim_why_protected(const struct candidate *c, const struct policy *p);
/* Shell-style: '*', '?', '[a-z]'; no escapes. */
bool victim_glob(const char *pattern, struct str text);
