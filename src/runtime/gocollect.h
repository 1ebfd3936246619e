/* gocollect.h - a Go program made to collect: by its pprof page, or by the words of its memory
 * (goword.h), which a guardian puts back (goguard.h).
 */
#pragma once
#include "runtime/goword.h"

/* As go_collect (heaps.h), by one means alone. */
int go_collect_pprof(const struct rtproc *p, const struct rt_ask *ask, struct rt_result *out);
int go_collect_words(const struct rtproc *p, const struct rt_id *id, const struct rt_ask *ask,
                     struct rt_result *out);
