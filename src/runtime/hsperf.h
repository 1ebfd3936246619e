/* hsperf.h - the counters that HotSpot keeps in a file for jstat: /tmp/hsperfdata_USER/PID.
 *
 * Pure. The file is mapped and written by the JVM while we read it, and may be anybody's: every
 * offset is checked, at most HSPERF_ENTRIES are looked at.
 */
#pragma once
#include "base/str.h"

enum { HSPERF_MAX = 1 << 20, HSPERF_ENTRIES = 8192 };

enum hsperf_value {
    HSPERF_COMMITTED, /* bytes: capacity of all generations */
    HSPERF_HEAP_MAX,  /* bytes: what the heap may become */
    HSPERF_USED,     /* bytes: of all their spaces, as of the last collection for some collectors */
    HSPERF_GC_COUNT, /* of all collectors */
    HSPERF_GC_US,
    HSPERF_THREADS,
    HSPERF_META_COMMITTED,
    HSPERF_META_USED,
    HSPERF_VALUES,
};

struct hsperf {
    uint64_t value[HSPERF_VALUES];
    uint32_t have; /* bit (1u << value) */
    char attach;   /* sun.rt.jvmCapabilities: '1' it can be attached to, '0' not, 0 not said */
};

/* 0; -EBADMSG: no such file, or it contradicts itself; -EAGAIN: the JVM is still filling it.
 * -EOPNOTSUPP: a version or byte order that is not ours. */
int hsperf_parse(struct str file, struct hsperf *out);
