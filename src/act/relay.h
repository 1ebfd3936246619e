/* relay.h - between a person's terminal and a program that runs in a session of its own: bytes,
 * window size, signals, until it ends.
 *
 * With a terminal on both standard input and output the program gets a pseudo-terminal of its own,
 * so that it has job control, and cannot push bytes into ours (TIOCSTI). Otherwise it has our
 * descriptors as they are.
 */
#pragma once
#include <signal.h>
#include <stdbool.h>
#include <sys/types.h>
#include <termios.h>

#include "base/err.h"

struct relay {
    int master, slave; /* of the pseudo-terminal; -1: none */
    int signals;       /* signalfd */
    sigset_t mask;     /* for the program: as we were started */
    bool raw;
    struct termios before;
};

/* Before the program is forked: opens all it needs. 0 or -errno with a text. */
int relay_open(struct relay *out, struct err *err);

/* In the child: makes itself a session, takes the pseudo-terminal as standard streams, restores
 * signals. 0 or -errno. */
int relay_child(const struct relay *r);

/* In the parent: until `pid` (pidfd) ends. The status as wait gives it, in *status. 0 or -errno. */
int relay_run(struct relay *r, pid_t pid, int pidfd, int *status);
void relay_close(struct relay *r); /* the terminal is as it was before */
