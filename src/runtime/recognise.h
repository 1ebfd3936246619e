/* recognise.h - which runtime a process has, from its executable and its mappings. Never runs code
 * of it, never stops it.
 *
 * Go by the build info in the executable (.go.buildinfo) or the note of its build ID; HotSpot and
 * OpenJ9 by libjvm.so and the release file beside it; Node by its executable; CPython by libpython
 * or the symbols of the executable; the rest by its libc and allocator.
 */
#pragma once
#include "runtime/rt.h"
#include "runtime/rtproc.h"

/* 0 and *out, RT_UNKNOWN when nothing is known of it; -EACCES, -EPERM; -ESRCH. About 0.2 ms. */
int rt_recognise(const struct rtproc *p, struct rt_id *out);

/* For lists of processes: remembers executables (device, inode, size, mtime), so that the hundredth
 * process of one program costs a readlink. Not for hostile counts: holds at most RT_CACHE_MAX. */
enum { RT_CACHE_MAX = 1024 };
struct rt_cache;
int rt_cache_new(const struct host *h, struct rt_cache **out);
void rt_cache_free(struct rt_cache *c);
int rt_cache_recognise(struct rt_cache *c, int32_t pid, struct rt_id *out);
