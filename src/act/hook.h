/* hook.h - people and programs told that a group runs short.
 *
 * A hook program is an argv array: no shell, no PATH (it begins with '/'), nothing of the target in
 * its arguments; facts come in the environment (PLIMSOLL_*) and as a JSON object, the audit's
 * record, on its standard input. It runs in a session of its own, with a deadline, and dies with
 * us. What it prints goes to our standard error, made visible and cut to HOOK_OUTPUT.
 *
 * Programs that listen at a socket are told elsewhere: at the guard's (guard/pressuresock.h) before
 * the hook is run; under `plimsoll run` by their own supervisor, at 90 % of their cap
 * (act/pressurewatch.h), or by the kernel's PSI.
 */
#pragma once
#include "act/grip.h"
#include "model/audit.h"

enum { HOOK_OUTPUT = 4096, HOOK_ARGS = 64 };

/* Runs the policy's hook, if it has one. Blocks until it has ended, or the deadline, at which its
 * process group is killed. 0 and *report: DONE when it ended with 0, and without a hook (the record
 * itself tells); FAILED with how it ended; REFUSED when it may not be executed. */
int hook_run(const struct policy *p, const struct audit *why, int64_t deadline_us,
             struct action_report *report);

/* The hook of a policy can be executed (trusted.h). 0, also without one; -errno with a text. */
int hook_check(const struct policy *p, struct err *err);
