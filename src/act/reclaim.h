/* reclaim.h - the kernel asked to take from a group what it can take. May block for long (a write
 * waits for the disk): in a process with a deadline.
 */
#pragma once
#include "act/grip.h"
#include "model/action.h"

/* bytes: how much is wanted; 0: all that can be had. v2: memory.reclaim in pieces until the
 * deadline, or until three in a row brought nothing (EAGAIN: less could be had, which is normal).
 * v1: force_empty, which takes all page cache whatever is wanted; squeezing the limit instead
 * would take more where there is swap, but a program that grows meanwhile would hang or be killed
 * at it: not done. Without swap anonymous memory stays, and the report says so. 0 and *report:
 * DONE, PARTLY when the time was over. */
int reclaim_run(struct grip *g, uint64_t bytes, int64_t deadline_us, struct action_report *report);
