/* jvmattach.h - HotSpot's attach protocol: asks a JVM what jcmd asks, across namespaces and users.
 *
 * A JVM that listens has a socket, /tmp/.java_pidN below its root (N: its pid in its own
 * namespace). One that does not yet is woken by a file .attach_pidN in its folder or its /tmp and
 * SIGQUIT, which without a handler would end it. All that is touched there is touched as the JVM's
 * user, by descriptor, and never followed through a link. Blocks, up to its deadlines; changes the
 * caller's user for moments: processes of one thread only.
 */
#pragma once
#include "base/buf.h"
#include "runtime/rt.h"
#include "runtime/rtproc.h"

enum { JVMATTACH_ANSWER_MAX = 64 << 20 };

struct jvmattach {
    const struct rtproc *p;
    int tmp;   /* the JVM's /tmp, O_PATH */
    bool woke; /* we had to wake its listener */
};

/* 0: it listens, and it is that JVM. -errno: *why is a refusal (nothing was done to it) or a
 * failure. */
int jvmattach_open(const struct rtproc *p, int64_t deadline_us, struct jvmattach *out,
                   struct rt_result *why);
void jvmattach_done(struct jvmattach *a);

/* One command, e.g. {"jcmd", "GC.run", ""} or {"setflag", "MinHeapFreeRatio", "5"}, and its whole
 * answer (without the line of the code) in `answer`, which is emptied first. What it says in that
 * line: 0 is success. -ETIMEDOUT; -EFBIG; -EBADMSG; -errno of connecting. */
struct jvm_command {
    const char *name, *arg[2];
};
int jvmattach_ask(const struct jvmattach *a, const struct jvm_command *command, int64_t deadline_us,
                  struct buf *answer, int *code);

/* A jcmd command with its options, "GC.class_histogram -all". What it says in its first line (0:
 * done; else the answer is its complaint, an unknown command's for instance), or -errno. */
int jvmattach_jcmd(const struct jvmattach *a, const char *command, int64_t deadline_us,
                   struct buf *answer);
