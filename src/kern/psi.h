/* psi.h - pressure stall information: the share of time in which tasks waited for memory.
 *
 * /proc/pressure/memory and memory.pressure of groups (Documentation/accounting/psi.rst).
 */
#pragma once
#include "base/str.h"

struct psi_line {
    uint64_t avg10, avg60, avg300; /* hundredths of a percent */
    uint64_t total_us;
};

struct psi {
    struct psi_line some, full;
    bool have_some, have_full; /* CPU pressure of the root has no "full" before Linux 5.13 */
};

/* 0; -EBADMSG, -ERANGE, and then *out is untouched. Unknown lines and words are skipped. */
int psi_parse(struct str text, struct psi *out);

/* DIR/name. -EOPNOTSUPP where PSI is switched off (psi=0, cgroup.pressure). */
int psi_read_at(int dir, const char *name, struct psi *out);

/* A descriptor that polls EPOLLPRI at most once a window when tasks of the group have waited for
 * memory for a tenth of it: half a second where that is allowed, else two (without CAP_SYS_RESOURCE
 * only multiples of 2 s are). EPOLLERR: the group is gone. -EOPNOTSUPP: no PSI here; -errno. */
int psi_watch_at(int dir, const char *name);
