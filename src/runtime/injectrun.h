/* injectrun.h - one thread held by ptrace, made to call functions, and let go as it was.
 *
 * At every moment the thread would come back by itself if we died: until its registers are set it
 * is as it was; from then on the call it makes returns into rt_sigreturn, with a frame that holds
 * everything. Orders of writes here keep it so: vector registers and signal mask before the general
 * registers when we restore, after them when we begin.
 */
#pragma once
#include "runtime/inject.h"
#include "runtime/injectfit.h"
#include "runtime/safepoint.h"

/* 0; -EAGAIN: it was not at a safe point any more, and goes on; -EOPNOTSUPP, -EPERM; -ESRCH: gone;
 * -EFAULT: the call failed with a fault, and the thread was taken back; -ETIMEDOUT: it could not be
 * stopped (then it is still seized, until we end), or waited for a lock and was taken back. */
int injectrun_calls(const struct rtproc *p, const struct safepoint *at,
                    const struct injectcode *code, struct inject_call *call, unsigned n,
                    int64_t deadline_us, struct err *why);
