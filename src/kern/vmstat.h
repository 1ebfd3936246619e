/* vmstat.h - the machine's event counters, from /proc/vmstat. */
#pragma once
#include "base/str.h"

enum vmstat_field {
    VMSTAT_OOM_KILL, /* processes killed for memory since boot, in whatever group (Linux 4.13) */
    VMSTAT_MAJOR_FAULTS,
    VMSTAT_SWAP_IN, /* pages */
    VMSTAT_SWAP_OUT,
    VMSTAT_REFAULT_FILE, /* pages */
    VMSTAT_N,
};

struct vmstat {
    uint64_t value[VMSTAT_N];
    uint32_t have; /* bit (1u << field) */
};

/* 0; -EBADMSG, -ERANGE, and then *out is untouched. Unknown keys are skipped. */
int vmstat_parse(struct str text, struct vmstat *out);
int vmstat_read(int proc, struct vmstat *out);
