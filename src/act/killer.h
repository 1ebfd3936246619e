/* killer.h - ends processes of a group: the right ones, or nobody.
 *
 * Who is chosen is held by pidfd, then looked at again (start time, group, namespace), then
 * signalled through the pidfd: a pid that was given again in between is never hit. Afterwards its
 * memory is reaped (process_mrelease) in the time of the caller, unless that would take long.
 */
#pragma once
#include "act/grip.h"
#include "act/victim.h"
#include "model/action.h"

struct killer; /* room for candidates, taken beforehand */
int killer_new(struct killer **out);
void killer_free(struct killer *k);

/* Reads the candidates of the group. 0 or -errno. They stay valid until the next call. */
int killer_look(struct killer *k, struct grip *g, const struct candidate **out, size_t *n_out);

/* Chooses by the policy and sends SIGKILL. dry: all but the signal. 0 and *report. */
int killer_kill(struct killer *k, struct grip *g, const struct policy *p, bool dry,
                struct action_report *report);

/* SIGTERM to the group's main processes (the container's pid 1, else those whose parent is outside
 * of the group). What still runs after the grace is the caller's to end with killer_all. */
int killer_term(struct killer *k, struct grip *g, const struct policy *p, bool dry,
                struct action_report *report);

/* Everything in the group, by cgroup.kill or one by one; refused when anything in it is protected,
 * ours, or the machine's pid 1. */
int killer_all(struct killer *k, struct grip *g, const struct policy *p, bool dry,
               struct action_report *report);

/* Sends `signal` to (pid, start_ticks) if it still is that one and in the group. 0; -ESRCH: it is
 * another now, or gone, or start_ticks is 0 (a candidate that was too young to be told from another
 * one); -EPERM: refused, ours or the machine's pid 1. For tests and for rescue. */
int killer_send(const struct grip *g, int32_t pid, uint64_t start_ticks, int signal);

/* For tests: is called in killer_kill at these points, where others could come between. */
enum killer_point { KILLER_CHOSEN, KILLER_HELD };
typedef void killer_pause(void *ctx, enum killer_point at, int32_t pid);
void killer_on_pause(struct killer *k, killer_pause *pause, void *ctx);
