/* nodeguard.h - a process that closes an inspector which we opened, when we cannot.
 *
 * SIGUSR1 cannot be taken back. When the program is busy, its inspector opens whenever it comes to
 * that, perhaps long after our deadline, and an open inspector lets everybody on that loopback run
 * code in it. So before the signal a process of its own session is started, which does nothing
 * while we live and is sent away when all is well; else it waits for the inspector and closes it.
 */
#pragma once
#include "runtime/rtproc.h"

enum { NODE_GUARD_SECONDS = 600, NODE_PORTS = 64 };

struct node_guard {
    int fd; /* of the pipe; -1: none */
};

/* Ports that the process listened on before the signal. */
struct node_ports {
    struct rtproc_port port[NODE_PORTS];
    int n;
};

int node_guard_start(struct node_guard *g, const struct rtproc *p, const struct node_ports *before);
void node_guard_dismiss(struct node_guard *g); /* all is well: it ends */
void node_guard_leave(struct node_guard *g);   /* it goes on by itself; also when we are killed */
