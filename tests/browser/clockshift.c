/* clockshift.so - a wall clock that is PLIMSOLL_CLOCK_SHIFT_S seconds behind, for a program that is
 * started with LD_PRELOAD: an agent that recorded with it has a history that is older than itself.
 */
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#define SHOWN __attribute__((visibility("default")))

static time_t shift_s;

__attribute__((constructor)) static void read_shift(void) {
    const char *text = getenv("PLIMSOLL_CLOCK_SHIFT_S");

    shift_s = text ? (time_t)strtol(text, NULL, 10) : 0;
}

static int real_time(clockid_t which, struct timespec *out) {
    return (int)syscall(SYS_clock_gettime, which, out);
}

SHOWN int clock_gettime(clockid_t which, struct timespec *out) {
    int r = real_time(which, out);

    if (r == 0 && (which == CLOCK_REALTIME || which == CLOCK_REALTIME_COARSE))
        out->tv_sec -= shift_s;
    return r;
}

SHOWN int gettimeofday(struct timeval *restrict out, void *restrict zone) {
    struct timespec now;

    (void)zone;
    if (real_time(CLOCK_REALTIME, &now) < 0)
        return -1;
    out->tv_sec = now.tv_sec - shift_s;
    out->tv_usec = now.tv_nsec / 1000;
    return 0;
}

SHOWN time_t time(time_t *out) {
    struct timespec now;

    if (real_time(CLOCK_REALTIME, &now) < 0)
        return (time_t)-1;
    now.tv_sec -= shift_s;
    if (out)
        *out = now.tv_sec;
    return now.tv_sec;
}
