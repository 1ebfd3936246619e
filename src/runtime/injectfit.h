/* injectfit.h - whether calls may be made in a process at all, whatever its threads do.
 */
#pragma once
#include "base/err.h"
#include "runtime/rtproc.h"
#include "runtime/sigframe.h"

/* What of its code a call needs. */
struct injectcode {
    uint64_t trampoline; /* instructions that call rt_sigreturn */
    struct sigframe_store store;
};

/* 0; -EOPNOTSUPP: 32-bit, static, under a sanitizer or valgrind, with a shadow stack, frozen;
 * -ENOMEM: its control group, or one above, is at its limit, and the call may need memory; -EPERM;
 * -ESRCH. */
int injectfit_look(const struct rtproc *p, struct injectcode *out, struct err *why);

/* Whether a group that holds `used` bytes which cannot be reclaimed is too near to its limit. */
bool injectfit_is_full(uint64_t used, uint64_t limit);
