#include "base/clock.h"

#include <sys/resource.h>
#include <time.h>

static int64_t read_us(clockid_t which) {
    struct timespec t;

    if (clock_gettime(which, &t) < 0)
        return 0;
    return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

int64_t clock_wall_ms(void) {
    return read_us(CLOCK_REALTIME) / 1000;
}

int64_t clock_mono_us(void) {
    return read_us(CLOCK_MONOTONIC);
}

int64_t clock_cpu_us(void) {
    return read_us(CLOCK_PROCESS_CPUTIME_ID);
}

int64_t clock_children_cpu_us(void) {
    struct rusage r;

    if (getrusage(RUSAGE_CHILDREN, &r) < 0)
        return 0;
    return (r.ru_utime.tv_sec + r.ru_stime.tv_sec) * INT64_C(1000000) + r.ru_utime.tv_usec +
           r.ru_stime.tv_usec;
}

void clock_add_rfc3339(struct buf *b, int64_t ms_since_1970) {
    int64_t ms = ms_since_1970 % 1000;
    time_t seconds = (time_t)(ms_since_1970 / 1000 - (ms < 0));
    struct tm t = {0};

    if (ms < 0)
        ms += 1000;
    gmtime_r(&seconds, &t);
    buf_add_format(b, "%04d-%02d-%02dT%02d:%02d:%02d.%03dZ", t.tm_year + 1900, t.tm_mon + 1,
                   t.tm_mday, t.tm_hour, t.tm_min, t.tm_sec, (int)ms);
}
