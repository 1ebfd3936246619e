/* heaplook.h - looks at a process's heap, or into a saved file. To be called in a process of its
 * own: it reads what others wrote, and may hang.
 */
#pragma once
#include "inspect/heapreport.h"
#include "runtime/heaps.h"

/* Who is looked at, for both looks the same process. */
struct heapsubject {
    struct host host;
    struct rtproc proc;
    struct rt_id id;
};

/* Opens the process and fills pid, command and runtime of the report. 0 or -errno with a text. */
int heapsubject_open(struct heapsubject *s, int32_t pid, struct heapreport *report,
                     struct err *err);
void heapsubject_done(struct heapsubject *s);

int heaplook_process(struct heapsubject *s, const struct rt_heap_ask *ask, struct heaplook *out,
                     struct err *err);
/* A file: pprof's, a goroutine profile's text, a .heapprofile of V8. */
int heaplook_file(const char *path, struct heaplook *out, struct err *err);
