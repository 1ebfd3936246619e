/* proctask.h - the threads of a process: what each is called, its state, and where in the kernel it
 * waits. None of these files waits for the process itself: they can be read of one that hangs.
 *
 * Names of functions in the kernel need root (CAP_SYS_ADMIN for stacks): what is withheld is "".
 */
#pragma once
#include "base/buf.h"

enum { PROCTASK_NAME = 64, PROCTASK_STACK = 8192 };

struct proctask {
    int32_t tid;
    char state; /* R S D Z T t X I */
    uint8_t comm_n;
    char comm[64];             /* raw bytes, as in procstat.h */
    char wchan[PROCTASK_NAME]; /* the kernel's function it sleeps in; "": it runs, or withheld */
};

/* Calls each() with every thread, `most` at most, until it returns something else than 0; threads
 * that end meanwhile are left out. That; 1 when there are more; 0; -errno (see procfile.h). `wchan`
 * false: that is not read. */
typedef int proctask_fn(void *ctx, const struct proctask *t);
int proctask_each(int proc, int32_t pid, unsigned most, bool wchan, proctask_fn *each, void *ctx);

/* The kernel's stack of a thread, innermost first, appended as "do_wait < __se_sys_wait4 < ...".
 * 0, also when it runs in user space and there is none; -EACCES, -EPERM; -errno. */
int proctask_stack(int proc, int32_t pid, int32_t tid, struct buf *out);

/* The parsers, pure. A name of wchan: "0" is none. 0; -EBADMSG; -ENAMETOOLONG. */
int proctask_parse_wchan(struct str text, char out[static PROCTASK_NAME]);
/* Lines "[<0>] name+0x1a/0x30 [module]"; addresses without a name are left out. 0; -EBADMSG when a
 * line is none of these, and then nothing was appended. */
int proctask_parse_stack(struct str text, struct buf *out);
