/* warden.h - a process of its own that undoes what we have changed, whatever happens to us.
 *
 * Whoever changes a limit, stops a group or disables the OOM killer tells the warden first what to
 * write back and by when, and hands it the open file. When we end, by whatever signal, or when the
 * time of one is up, the warden undoes it at once: within WARDEN_LATE_US. It lives in a session of
 * its own, holds nothing but those files, is locked in memory, and allocates nothing after its
 * start. Nothing of ours is changed before it has answered that it stands. What is held when we end
 * is undone in the reverse order: a later hold may have changed what an earlier one had written.
 *
 * What it cannot do. It stays in the cgroups and the pid namespace that it was started in: what
 * kills all of a cgroup at once (cgroup.kill, memory.oom.group, `systemctl kill -s KILL`) or the
 * end of a container's pid 1 ends both of us, and what was changed then stays changed. It takes no
 * notice of TERM, INT and HUP, so a unit with KillMode=control-group leaves it TimeoutStopSec to
 * finish after a crash of its owner; KillMode=mixed kills it at once: do not use that. When the
 * warden alone is killed its owner sees that (warden_fd) and starts it again (warden_again): what
 * is held is unprotected in between, and for good where both are killed. A group that has the owner
 * in it must not be held: it could stop its own warden (warden_outside).
 */
#pragma once
#include "base/err.h"
#include "kern/cgfs.h"

enum { WARDEN_HOLDS = 1024, WARDEN_VALUE = 64, WARDEN_LATE_US = 2000000 };
enum { WARDEN_OWNERS = 64 }; /* of one warden: the first and those by warden_of */

struct warden;

/* Forks it; as it keeps what our memory holds at that moment, start it early. 0 or -errno with a
 * text: then nothing that needs it may be done. */
int warden_start(struct warden **out, struct err *err);

/* Undoes what is still held through `w`, waits for that; the files that stay busy are waited for as
 * long as they are tried (30 s). In another process than the one that uses `w` it only closes and
 * frees: a hand so lets go of what it inherited, its parent of what it made for the hand. NULL is
 * fine. */
void warden_end(struct warden *w);

/* A child's own connection to the same warden: made before the fork, used after; its owner is the
 * process that uses it first. What it holds is undone when that process ends, or at its deadline.
 * Parent and child each warden_end() their copies of both. 0; -errno with a text. */
int warden_of(struct warden *parent, struct warden **out, struct err *err);

/* One thing to be undone: up to WARDEN_STEPS writes, in this order. A step with `only_if` is done
 * only when the file, or its first line, still reads so (as a number, "max", or the same text):
 * what somebody else has written is left alone. A hold of which a step had nothing to undo is
 * looked at again every 250 ms until it is dropped or its owner ends, since that may have been held
 * up between asking and writing: so drop what you need no more. EBUSY, EINVAL (v1: memory+swap
 * below memory) and want of memory are tried again every 50 ms for 30 s; then the step is lost: the
 * others are done, and all is tried again every 5 s for an hour. A file that is gone is nothing to
 * undo. */
enum { WARDEN_STEPS = 3, WARDEN_ROOM = 256 << 10 };
enum warden_kind {
    WARDEN_WRITE,
    WARDEN_KILLER_BELOW, /* fd: a v1 memory directory: enables the OOM killer in all groups below,
                            which inherit its state when they are made */
    WARDEN_CONTINUE,     /* fd: a list of those that were stopped, `value`: where in it (stopped.h):
                            each is sent SIGCONT */
};
struct warden_step {
    int fd; /* a control file, open for reading and writing */
    char value[WARDEN_VALUE];
    char only_if[WARDEN_VALUE]; /* "": always */
    enum warden_kind kind;
    bool guarded; /* v2 memory.max: tried only while `usage` (memory.current) reads WARDEN_ROOM less
                     than the value: a limit below usage would kill. Until then the step before it
                     is put back: what runs on a loan is to get to its end. */
    int usage;
    bool reclaims; /* guarded, and what is too much is asked of `reclaim` (memory.reclaim): the step
                      before waits as well then */
    int reclaim;
    bool slow; /* it lowers a limit and may wait for reclaim: such are done one at a time, beside
                  all others */
};
struct warden_hold {
    struct warden_step step[WARDEN_STEPS];
    unsigned steps;
    int64_t deadline_us; /* monotonic; 0: none but our own end */
    int event;           /* an eventfd: the deadline begins `after_us` after it was signalled; -1.
                            The warden polls it and never reads it: it is signalled already when it
                            was not drained before. */
    int64_t after_us;
};

/* The id (>= 0) once the warden has it, or -errno: -EPIPE: it is gone, or has not answered within
 * 200 ms and is taken for gone (it undoes all then, if it can: see warden_again); -ENOSPC; -ENOMEM,
 * -ENOBUFS: our own group is full. Blocks for the answer, some 50 us. Allocates nothing. The files
 * stay open here as long as it is held: warden_again hands them on once more. */
int warden_hold(struct warden *w, const struct warden_hold *hold);
/* We have undone it ourselves, or it is to stay: the warden forgets. 0 or -errno: -ENOENT: it was
 * undone already; -EALREADY: it had begun to, and stops; -EINPROGRESS: it has not answered within
 * 50 ms, and forgets when it gets to it. A hold with a slow step is waited for, up to 32 s. */
int warden_drop(struct warden *w, int id);
/* Another deadline; one that has passed: now. Once its event was signalled none that is later is
 * taken. 0 or -errno (-ENOENT: it was undone already;
 * -EALREADY: it is being undone). */
int warden_extend(struct warden *w, int id, int64_t deadline_us);
/* It undoes it now, and the id is forgotten. 0 or -errno, as above. */
int warden_undo(struct warden *w, int id);

/* To poll for: readable, or hung up, means that the warden is gone or taken for gone, and stays so
 * until warden_again. -1: that has failed. */
int warden_fd(const struct warden *w);
bool warden_stands(struct warden *w);
/* It is gone, or taken for gone, and killed then: forks another, which gets all that is held
 * through `w`, under the same ids (what was undone and not dropped too: it is undone once more).
 * Not for connections by warden_of: those of the old one stay without a warden, and must undo what
 * they have changed. 0; -errno with a text: undo what you have changed. */
int warden_again(struct warden *w, struct err *err);

int32_t warden_pid(const struct warden *w); /* for tests and for telling */

/* Whether a group (path below the memory mount) may be held: 0; -EDEADLK with a text when this
 * process is in it or below. */
int warden_outside(const struct host *h, const struct cgfs *fs, struct str path, struct err *err);
