/* procstatm.h - the sizes of a process that cost nothing to read: /proc/PID/statm, in bytes.
 *
 * The kernel keeps these in counters (per CPU since 6.2): RES may be off by some pages per thread.
 * A kernel thread has zeroes.
 */
#pragma once
#include "base/str.h"

struct procstatm {
    uint64_t virt; /* address space */
    uint64_t res;  /* resident: anonymous, file and shared memory pages */
    uint64_t shr;  /* the part of res that is of files and shared memory */
    uint64_t code; /* text of the executable */
    uint64_t data; /* private writable mappings and stack, touched or not */
};

/* 0; -EBADMSG, -ERANGE, and then *out is untouched. */
int procstatm_parse(struct str text, uint64_t page_size, struct procstatm *out);

/* PROC/PID/statm with this machine's page size; also -errno (see procfile.h). */
int procstatm_read(int proc, int32_t pid, struct procstatm *out);
