/* nodeinspect.h - a session with a Node program's inspector.
 *
 * One that listens is used and left open as it was. Else it is opened with SIGUSR1, when all of
 * this holds: the signal has a handler, and that is Node's own (nodesignal.h); the process is not
 * stopped, traced or stuck; its loopback is up and its port free in its network namespace. What
 * then listens is this very process's socket, speaks as Node's inspector does, and says the pid
 * that it must say.
 *
 * An open inspector lets everybody on that loopback run code, so it is closed again thrice over:
 * by us; by a timer set in the program before anything else; by a process that outlives us
 * (nodeguard.h). What stays: two lines that Node writes to the program's stderr.
 */
#pragma once
#include "runtime/cdp.h"
#include "runtime/nodeguard.h"
#include "runtime/rt.h"

struct node_inspector {
    const struct rtproc *p;
    struct cdp cdp;
    struct node_guard guard;
    struct node_ports before;
    uint16_t port;
    bool six;
    bool ours;        /* opened by us */
    char closer[128]; /* V8's name for the object that closes it */
};

/* 0: open. 1: refused or failed, and *why filled. -ESRCH, -ENOMEM. */
int node_inspector_open(const struct rtproc *p, int64_t deadline_us, struct node_inspector *out,
                        struct rt_result *why);

/* Ends the session; when it was us who opened it, closes it and looks that nobody listens any more.
 * 0; -ETIMEDOUT: it still does, and the guard stays. To be called exactly once after a 0. */
int node_inspector_close(struct node_inspector *i, int64_t deadline_us);

/* For the guard: closes what listens now and did not `before`. 0: done; -ENOENT: nothing listens;
 * -errno. */
int node_inspector_end(const struct rtproc *p, const struct node_ports *before,
                       int64_t deadline_us);
