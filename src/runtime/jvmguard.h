/* jvmguard.h - what we change in somebody else's house is put back even if we are killed: a process
 * that waits for our end and then undoes it.
 *
 * It dies only by a signal that is meant for itself; nobody is left then to undo anything.
 */
#pragma once
#include <stddef.h>
#include <sys/types.h>

struct jvmguard {
    pid_t pid; /* 0: none */
    int fd;
};

/* undo(arg) runs in that process, within `seconds`, if we end before jvmguard_end. It keeps these
 * descriptors and closes all others. 0 or -errno. */
int jvmguard_start(struct jvmguard *g, void (*undo)(void *arg), void *arg, const int *keep,
                   size_t keeps, unsigned seconds);

/* All has been put back. Legal on a zeroed one. */
void jvmguard_end(struct jvmguard *g);
