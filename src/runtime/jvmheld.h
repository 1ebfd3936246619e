/* jvmheld.h - whether a process can answer at all: one that is stopped, frozen, or waits for memory
 * would leave whoever asks it waiting, and act on the request much later.
 */
#pragma once
#include "runtime/rt.h"
#include "runtime/rtproc.h"

/* True, and *out is a refusal that says why. What cannot be looked at counts as fine. */
bool jvmheld(const struct rtproc *p, struct rt_result *out);
