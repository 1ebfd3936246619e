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

/* 0 and *out, RT_UNKNOWN when nothing is known of it; -EACCES, -EPERM; -ESRCH. About 0.3 ms; the
 * first look at a Node that is not in the page cache reads up to 64 MB of it. */
int rt_recognise(const struct rtproc *p, struct rt_id *out);

/* For lists of processes: remembers executables (device, inode, size, mtime), so that the hundredth
 * process of one program costs a stat and a look at its environment (an allocator may be
 * preloaded into one process of a program alone). Not for hostile counts: holds at most
 * RT_CACHE_MAX. */
enum { RT_CACHE_MAX = 1024 };
struct rt_cache;
int rt_cache_new(const struct host *h, struct rt_cache **out);
void rt_cache_free(struct rt_cache *c);
/* As rt_recognise; *out is "unknown" after a failure. */
int rt_cache_recognise(struct rt_cache *c, int32_t pid, struct rt_id *out);

/* The parsers, pure. "1.8.0_121-b13" -> "8u121", "17.0.15+6-Debian-1" -> "17.0.15+6". -EBADMSG when
 * it is no version. */
int rt_java_version(struct str text, char *out, size_t size);
/* The version of a JDK's release file (JAVA_RUNTIME_VERSION, else JAVA_VERSION); -ENODATA. */
int rt_java_release(struct str text, char *out, size_t size);
