/* plimsoll.h - for programs that hold themselves below their memory limit.
 *
 *     struct plim *p;
 *     int r = plim_open(NULL, &p);                    // the limit of our own control group
 *     plim_on(p, 80, 5, drop_caches, cache);          // called by plim_dispatch
 *     ... poll plim_fd(p) beside your own descriptors; when it is readable: plim_dispatch(p);
 *     if (plim_gate(p, bytes, 0) == -EAGAIN) ...      // no room below the gate: free something
 *
 * Every function returns 0 (or a count) or a negative errno, and sets errno to nothing in
 * particular. Memory is allocated by plim_open, plim_on for PLIM_PRESSURE, plim_reserve,
 * plim_thread (which alone starts a thread) and plim_trim without a handle; by nothing else. A
 * handle may be used by many threads; not by a signal handler.
 *
 * After fork the child may ask (plim_limit, plim_usage, plim_gate, plim_trim) and must close what
 * it does not need; events belong to the parent: the rest is -ECHILD, open a handle of your own.
 * A program that closed our descriptors behind our back gets -EBADF and nothing of its own is
 * touched. All calls: -EINVAL without a handle. Details: plimsoll(3).
 */
#ifndef PLIMSOLL_H
#define PLIMSOLL_H
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define PLIM_API __attribute__((visibility("default")))
#else
#define PLIM_API
#endif

struct plim;

/* Zero means the default. Set `size` to sizeof(struct plim_options): later versions add members at
 * the end. */
struct plim_options {
    size_t size;
    uint64_t limit;    /* bytes; 0: the tightest limit of our group and those around it, or the
                          machine's memory where none has one */
    uint32_t gate;     /* percent of the limit above which plim_gate refuses: 88 */
    uint32_t critical; /* percent from which the reserve is given back: 95 */
    uint32_t poll_ms;  /* longest time between looks where the kernel signals nothing: 1000 */
    uint32_t flags;    /* PLIM_SELF */
};
#define PLIM_SELF 1u /* with a limit: what this process alone uses is measured, not its group */

/* Finds our control group and its limits. -ENOENT: there is nothing to measure; -EACCES, -EMFILE
 * ... */
PLIM_API int plim_open(const struct plim_options *options, struct plim **out);

/* Ends its thread, closes its descriptors, frees it. NULL is fine. -EBUSY: not from a callback. */
PLIM_API int plim_close(struct plim *p);

/* The limit that counts now, in bytes; limits may be changed while we run (looked for each
 * second). */
PLIM_API int plim_limit(struct plim *p, uint64_t *bytes_out);

/* All of the same moment and the same group: the one of our group and those around it that is
 * nearest to its limit. Set `size`. */
struct plim_usage {
    size_t size;
    uint64_t limit; /* bytes */
    uint64_t used;  /* what stays when the kernel has taken back all that it can */
    uint64_t usage; /* what is charged, page cache included: the kernel compares this */
    uint64_t room;  /* limit - used, or 0 */
};
PLIM_API int plim_usage(struct plim *p, struct plim_usage *out);

struct plim_event {
    uint32_t percent; /* the mark, as given to plim_on; PLIM_PRESSURE */
    uint32_t above; /* 1: used has reached the mark; 0: it has fallen below it by the hysteresis */
    uint64_t limit, used, usage;
};
typedef void plim_fn(void *ctx, const struct plim_event *event);

/* fn is called by plim_dispatch when used reaches `percent` (1 to 100) of the limit, and again when
 * it has fallen `hysteresis` percent points below. Where it is above already, at the next dispatch.
 * PLIM_PRESSURE instead of a percentage: when tasks wait for memory, as the kernel (PSI) or
 * $MEMORY_PRESSURE_WATCH says. fn NULL takes those of that percentage away. At most 16 at a time:
 * -ENOSPC. -EOPNOTSUPP: nobody tells of pressure here. */
#define PLIM_PRESSURE 0u
PLIM_API int plim_on(struct plim *p, uint32_t percent, uint32_t hysteresis, plim_fn *fn, void *ctx);

/* The one descriptor to poll for reading; it stays the same as long as the handle lives. It is
 * ours: poll it, and do nothing else with it. */
PLIM_API int plim_fd(struct plim *p);

/* Looks, and calls what is due in this thread. How many were called. Never blocks, never allocates.
 * -ENODEV: the group has been removed, or we were moved out of it: open again. */
PLIM_API int plim_dispatch(struct plim *p);

/* Makes malloc give free memory back to the kernel: glibc's, jemalloc's, tcmalloc's, whichever is
 * there. By how much the group's usage fell, in *freed_out (may be NULL). p may be NULL, then it
 * is 0. */
PLIM_API int plim_trim(struct plim *p, uint64_t *freed_out);

/* Holds `bytes` of touched (and, where allowed, locked) memory, given back at the critical mark and
 * taken again when there is room for it below: for what must still be done then. Both happen in
 * plim_dispatch and plim_gate. 0 bytes gives it up. -EAGAIN: no room below the mark now. */
PLIM_API int plim_reserve(struct plim *p, uint64_t bytes);

/* Asks for room before `bytes` are allocated. 0: they fit below the gate; allocate and use them
 * before this thread asks again, they are counted until then. Otherwise malloc is trimmed and
 * others are waited for, up to timeout_ms (-1: as long as it takes). -EAGAIN: still no room.
 * -E2BIG: they would not even fit if nothing else were there. */
PLIM_API int plim_gate(struct plim *p, uint64_t bytes, int timeout_ms);

/* on: starts a thread that dispatches by itself; callbacks are then called there. 0: ends it. It
 * blocks all signals. */
PLIM_API int plim_thread(struct plim *p, int on);

#ifdef __cplusplus
}
#endif
#endif
