/* preconf.h - the words of $PLIMSOLL_PRELOAD. Pure. */
#pragma once
#include "base/str.h"

struct preconf {
    bool off;
    bool refuse;    /* else allocations are let through when they have waited long enough */
    uint32_t at;    /* percent from which malloc is trimmed */
    uint32_t gate;  /* percent above which allocations wait */
    uint32_t wait;  /* milliseconds */
    uint64_t limit; /* bytes; 0: the group's */
};

/* "at=80,gate=88,wait=100ms,mode=delay,limit=SIZE"; "strict" is mode=refuse; "off". Percentages
 * from 1 to 100, `at` at most `gate`; waits up to 10 s. NULL and "" are the defaults. 0, or -EINVAL
 * and *bad_out is the word that is wrong; *out is then untouched. */
int preconf_parse(const char *text, struct preconf *out, struct str *bad_out);
