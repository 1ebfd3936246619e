/* jvmprobe.h - what can be known of a JVM without asking it: whether it is one, whether it can be
 * attached to, and the counters it keeps in a file.
 */
#pragma once
#include "runtime/hsperf.h"
#include "runtime/rt.h"
#include "runtime/rtproc.h"

/* Whether libjvm is mapped as code: anybody can be called java. */
bool jvmprobe_is_jvm(const struct rtproc *p);

/* True, and *why says it, when it is not to be asked: no JVM, or attaching is switched off. */
bool jvmprobe_refuses(const struct rtproc *p, struct rt_result *why);

/* Whether the last flag of this name among arguments (NUL between them) is -XX:+NAME. Those after
 * "-jar FILE" are the program's own. Pure. */
bool jvmprobe_flag_in(struct str args, struct str name);

/* Its counters: /tmp/hsperfdata_USER/N, a regular file of its user, below its root. About 0.1 ms.
 * -ENODATA: it keeps none, or none that is its own. */
int jvmprobe_counters(const struct rtproc *p, struct hsperf *out);
