/* bare - the least that sampling can cost: a paced loop of pread over files that stay open.
 *
 *   bare INTERVAL_MS <LIST-OF-PATHS
 *
 * Once an interval it reads every file and takes each number in it, which is what any sampler has
 * to do before it does anything else. It prints "ready" when all files are open, and runs until
 * it is killed: what it has cost, the one who started it reads from /proc.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#define MAX_FILES 65536

static uint64_t sum; /* keeps the compiler from dropping the parser */

static void take_numbers(const char *text, size_t n) {
    uint64_t value = 0;
    int inside = 0;

    for (size_t i = 0; i < n; i++) {
        unsigned digit = (unsigned)(unsigned char)text[i] - '0';

        if (digit < 10) {
            value = value * 10 + digit;
            inside = 1;
        } else if (inside) {
            sum += value;
            value = 0;
            inside = 0;
        }
    }
}

static void read_all(const int *fds, size_t n) {
    static char text[1 << 16];

    for (size_t i = 0; i < n; i++) {
        ssize_t got = pread(fds[i], text, sizeof(text), 0);

        if (got > 0)
            take_numbers(text, (size_t)got);
    }
}

static void raise_fd_limit(void) {
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
        return;
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
}

static void add_ms(struct timespec *at, long ms) {
    at->tv_sec += ms / 1000;
    at->tv_nsec += ms % 1000 * 1000000;
    if (at->tv_nsec >= 1000000000) {
        at->tv_nsec -= 1000000000;
        at->tv_sec++;
    }
}

static size_t open_all(int *fds) {
    char path[4096];
    size_t n = 0;

    while (n < MAX_FILES && fgets(path, sizeof(path), stdin) != NULL) {
        path[strcspn(path, "\n")] = '\0';
        fds[n] = open(path, O_RDONLY | O_CLOEXEC);
        /* Other people's cgroups may have gone since they were listed. */
        if (fds[n] < 0 && errno != ENOENT) {
            fprintf(stderr, "bare: cannot open '%s': %s\n", path, strerror(errno));
            exit(1);
        }
        n += fds[n] >= 0;
    }
    return n;
}

int main(int argc, char **argv) {
    static int fds[MAX_FILES];
    struct timespec next;
    long interval_ms = 0;
    size_t n;

    for (const char *c = argc == 2 ? argv[1] : ""; *c >= '0' && *c <= '9' && interval_ms < 100000;
         c++)
        interval_ms = interval_ms * 10 + (*c - '0');
    if (interval_ms == 0) {
        fprintf(stderr, "usage: bare INTERVAL_MS <LIST-OF-PATHS\n");
        return 2;
    }
    prctl(PR_SET_PDEATHSIG, SIGKILL); /* a benchmark that dies leaves nothing running */
    raise_fd_limit();
    n = open_all(fds);
    printf("ready\n");
    fflush(stdout);
    clock_gettime(CLOCK_MONOTONIC, &next);
    while (sum != UINT64_MAX) {
        read_all(fds, n);
        add_ms(&next, interval_ms);
        while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &next, NULL) == EINTR)
            continue;
    }
    return 0;
}
