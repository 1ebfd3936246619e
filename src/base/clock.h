/* clock.h - the two clocks: wall time for people, monotonic time for differences. */
#pragma once
#include "base/buf.h"

int64_t clock_wall_ms(void);         /* since 1970, UTC */
int64_t clock_mono_us(void);         /* since some start, never backwards */
int64_t clock_cpu_us(void);          /* CPU time of this process, user and system */
int64_t clock_children_cpu_us(void); /* of its children that have ended and were waited for */

/* UTC, RFC 3339 with milliseconds. */
void clock_add_rfc3339(struct buf *b, int64_t ms_since_1970);
