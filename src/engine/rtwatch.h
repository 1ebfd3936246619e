/* rtwatch.h - which language runtimes the targets have, and what they say of their heaps, now and
 * then.
 *
 * A look runs in a child process with a deadline, since it reads executables and files that belong
 * to the containers; it stops nothing and changes nothing. It works within a budget of CPU time:
 * what it does not get to is looked at next time, beginning there. Runtimes that were recognised
 * once are remembered by pid and start.
 */
#pragma once
#include "base/job.h"
#include "kern/cgfs.h"
#include "kern/host.h"
#include "model/sample.h"
#include "runtime/heaps.h"

enum { RTWATCH_LANG = 64 };

/* A target to look at. */
struct rtwatch_target {
    uint32_t uid;
    struct str path; /* borrowed until rtwatch_begin returns */
};

/* What is known of one after a look. */
struct rtwatch_answer {
    uint32_t uid;
    char lang[RTWATCH_LANG]; /* of its largest process: "go 1.19.8"; "": not known */
    struct rt_figures sum;   /* a figure is there when all its runtimes that have such told it */
};

struct rtwatch;

int rtwatch_new(const struct host *h, const struct cgfs *fs, struct rtwatch **out);
void rtwatch_free(struct rtwatch *w);

/* Begins a look in the background. 0; -EBUSY while one is going on; -errno. */
int rtwatch_begin(struct rtwatch *w, const struct rtwatch_target *target, size_t n);

/* Readable when the look has something to say; -1 when none is going on. */
int rtwatch_fd(const struct rtwatch *w);

/* Takes the look's end. JOB_RUNNING; JOB_DONE: *out points to the answers of the targets that it
 * got to, until the next look; JOB_FAILED; JOB_NONE. */
enum job_state rtwatch_poll(struct rtwatch *w, const struct rtwatch_answer **out, size_t *n_out);
