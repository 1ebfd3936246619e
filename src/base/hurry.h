/* hurry.h - a process that is nearly always asleep, and must not wait for its turn when it wakes.
 *
 * Among others that want the processor, an event waits for some 10 ms: enough for a fast allocator
 * to come from 95 % of its limit to the limit. A nice value did not help, the lowest real-time
 * priority did (load average 12 on two processors: 0 or 3 of 15 in time without, 15 of 15 with it).
 */
#pragma once

/* Before all that is not real-time; what is forked later is as ever. Without permission (a user's
 * RLIMIT_RTPRIO, a group without real-time share) nothing changes. */
void hurry(void);
