/* rtwatch.h - which language runtimes the targets have, and what they say of their heaps, now and
 * then.
 *
 * A look runs in a child process with a deadline, since it reads executables and files that belong
 * to the containers; it stops nothing and changes nothing. It works within a budget of CPU time:
 * what it does not get to is looked at next time, beginning there. What hangs it is passed over
 * from then on, and what was found before is not lost.
 */
#pragma once
#include "base/job.h"
#include "engine/rtsum.h"
#include "kern/cgfs.h"
#include "kern/host.h"

enum { RTWATCH_MEMBERS = 1000 }; /* a target with more processes is not looked into */

/* A target to look at. */
struct rtwatch_target {
    uint32_t uid;
    struct str path; /* borrowed until rtwatch_begin returns */
};

struct rtwatch;

int rtwatch_new(const struct host *h, const struct cgfs *fs, struct rtwatch **out);
void rtwatch_free(struct rtwatch *w);

/* Begins a look in the background. 0; -EBUSY while one is going on; -errno. */
int rtwatch_begin(struct rtwatch *w, const struct rtwatch_target *target, size_t n);

/* Readable when the look has something to say; -1 when none is going on. */
int rtwatch_fd(const struct rtwatch *w);

/* Takes the look's end. JOB_RUNNING; JOB_DONE, and after a look that had to be ended JOB_FAILED:
 * *out points to the answers of the targets that it got to, until the next look, and *hung_out is
 * the process that it hung at (0: none); JOB_NONE. */
enum job_state rtwatch_poll(struct rtwatch *w, const struct rtanswer **out, size_t *n_out,
                            int32_t *hung_out);
