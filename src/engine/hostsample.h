/* hostsample.h - the machine itself as a sample, so that it is a target like the others.
 *
 * usage = MemTotal - MemFree, used = MemTotal - MemAvailable, limit = MemTotal, headroom =
 * MemAvailable (/proc/meminfo); PSI of /proc/pressure/memory; OOM kills and faults of /proc/vmstat;
 * CPU time of /proc/stat. Files stay open.
 */
#pragma once
#include "kern/host.h"
#include "model/sample.h"

struct hostsample {
    int proc;
    int meminfo, vmstat, pressure, stat; /* descriptors, -1: not there */
    int64_t tick_us;                     /* of a clock tick of /proc/stat */
};

void hostsample_init(struct hostsample *s, const struct host *h);
void hostsample_done(struct hostsample *s);

/* Reads everything once; what cannot be read is unknown. */
void hostsample_read(struct hostsample *s, int64_t at_ms, struct sample *out);
