/* nodesignal.h - whose handler SIGUSR1 has in a Node program: Node's own, which opens the
 * inspector, or one of the program (process.on("SIGUSR1", ...)), which does whatever it does.
 *
 * The kernel does not tell handlers apart. libuv keeps the signals that a program listens to in a
 * tree, whose root is a variable: uv__signal_tree. Where its address is known, the tree is read
 * (process_vm_readv: nothing is stopped). Where not, it is looked for among the variables of libuv,
 * or of the executable that has libuv in it, as what it must look like. What cannot be told is for
 * the caller to refuse.
 */
#pragma once
#include "runtime/rtproc.h"

enum node_handler {
    NODE_HANDLER_OWN,     /* Node's: no libuv handle listens to it */
    NODE_HANDLER_PROGRAM, /* the program listens */
    NODE_HANDLER_UNKNOWN, /* cannot be told */
};

enum node_handler node_handler_of(const struct rtproc *p, int signal);
