#include "runtime/nodesignal.h"

enum node_handler node_handler_of(const struct rtproc *p, int signal) {
    (void)p;
    (void)signal;
    return NODE_HANDLER_UNKNOWN;
}
