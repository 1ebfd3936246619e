/* nodeready.h - whether a Node program has started and its event loop comes round.
 *
 * Node's inspector runs what it is asked between any two instructions of JavaScript, and Node 18
 * was seen to crash when that is amid its own start. So either the program has used far more CPU
 * time than any start takes, or it has rested in its event loop (epoll) for a while. JavaScript
 * that runs can be interrupted; what sleeps elsewhere for long (Atomics.wait, a synchronous call)
 * cannot.
 */
#pragma once
#include "runtime/rtproc.h"

enum node_ready {
    NODE_READY,
    NODE_STARTING, /* still, at the deadline; or never at rest */
    NODE_STUCK,    /* its main thread sleeps outside of its event loop: `where` */
    NODE_GONE,
};

/* Blocks until that is known, at most until the deadline. `where`: what the kernel calls the place
 * that it sleeps in. */
enum node_ready node_wait_ready(const struct rtproc *p, int64_t deadline_us, char *where,
                                size_t size);
