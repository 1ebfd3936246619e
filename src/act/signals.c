#include "act/signals.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

/* Not taken in: faults of our own, those that nobody can catch, and PIPE, which we ignore. Those
 * for writing on a terminal and beyond limits are: blocked, they come back as an error of the call.
 */
static const int taken[] = {SIGHUP,  SIGINT,    SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2, SIGWINCH,
                            SIGALRM, SIGVTALRM, SIGPROF, SIGIO,   SIGPWR,  SIGURG,  SIGSTKFLT,
                            SIGXCPU, SIGXFSZ,   SIGTSTP, SIGTTIN, SIGTTOU, SIGCONT, SIGCHLD};

/* Ignored since before we were. */
static bool is_ignored(int number) {
    struct sigaction now;

    return sigaction(number, NULL, &now) == 0 && now.sa_handler == SIG_IGN;
}

static void add(sigset_t *set, int number) {
    if (number == SIGCHLD || !is_ignored(number))
        sigaddset(set, number);
}

int signals_open(sigset_t *inherited_out) {
    struct sigaction plain = {.sa_handler = SIG_DFL};
    sigset_t set, inherited;
    int fd;

    sigemptyset(&set);
    for (size_t i = 0; i < sizeof(taken) / sizeof(taken[0]); i++)
        add(&set, taken[i]);
    for (int n = SIGRTMIN; n <= SIGRTMAX; n++)
        add(&set, n);
    if (sigaction(SIGCHLD, &plain, NULL) < 0 || sigprocmask(SIG_BLOCK, &set, &inherited) < 0)
        return -errno;
    fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    if (fd < 0) {
        int r = -errno;

        (void)sigprocmask(SIG_SETMASK, &inherited, NULL);
        return r;
    }
    *inherited_out = inherited;
    return fd;
}

int signals_next(int fd, struct signal_got *out) {
    struct signalfd_siginfo info;

    if (read(fd, &info, sizeof(info)) != sizeof(info))
        return 0;
    *out = (struct signal_got){
        .number = (int)info.ssi_signo,
        .from_terminal = info.ssi_code == SI_KERNEL,
        .from_self = info.ssi_code == SI_USER && info.ssi_pid == (uint32_t)getpid(),
    };
    return 1;
}

bool signals_ends(int number) {
    return number == SIGTERM || number == SIGINT || number == SIGQUIT || number == SIGHUP;
}

const char *signals_name(int number, char buf[16]) {
    const char *name = number == SIGRTMIN ? "RTMIN" : sigabbrev_np(number);

    if (name)
        return name;
    if (number > SIGRTMIN && number <= SIGRTMAX)
        snprintf(buf, 16, "RTMIN+%d", number - SIGRTMIN);
    else
        snprintf(buf, 16, "signal %d", number);
    return buf;
}
