/* signals.h - the signals of a supervisor: which it takes in, which it sends on.
 *
 * Everything a person or a service manager may send is sent on to the main process. What a terminal
 * sent reached the whole foreground process group, the child too: it is not sent twice.
 */
#pragma once
#include <signal.h>
#include <stdbool.h>

/* Blocks them all and opens a signalfd for them, so that from here on none is lost or deadly. What
 * was ignored when we were started (nohup, background jobs) stays ignored, by us and by the
 * program; but for SIGCHLD, which is set to its default: "ignore" would take the exit status away.
 * *inherited_out: the mask as it was, for the child. Descriptor or -errno. */
int signals_open(sigset_t *inherited_out);

struct signal_got {
    int number;
    bool from_terminal; /* by the terminal's driver: the child has it as well */
    bool from_self; /* the kernel's answer to something we did (a file size limit): ours alone */
};

/* The next one. 1; 0 when there is none. Never blocks. */
int signals_next(int fd, struct signal_got *out);

/* Whether it is one that asks a program to end: TERM, INT, QUIT, HUP. */
bool signals_ends(int number);

/* "TERM", "USR1", "RTMIN", "RTMIN+3"; "signal 77" for what has no name. In `buf`, at least 16
 * bytes. */
const char *signals_name(int number, char buf[16]);
