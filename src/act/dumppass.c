#include "act/dumppass.h"

#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/job.h"

enum { ANSWER_MAX = 32 << 20, LOOK_MS = 20 };

enum record_kind { RECORD_PART, RECORD_ROW, RECORD_TASK, RECORD_MISS };

struct record {
    enum record_kind kind;
    uint32_t row; /* index */
    union {
        char part[48];
        struct dump_row row;
        struct dump_task task;
        struct dump_miss miss;
    } u;
};

/* Of the child: where its records go. NULL: it is no child, everything is kept in place. */
static struct {
    struct buf *out;
    uint32_t row;
} child;

static void send(const struct record *r) {
    buf_add(child.out, (struct str){(const char *)r, sizeof(*r)});
    (void)job_flush(child.out);
}

void dump_pass_part(const char *part) {
    struct record r;

    if (!child.out)
        return;
    memset(&r, 0, sizeof(r));
    r.kind = RECORD_PART;
    r.row = child.row;
    (void)snprintf(r.u.part, sizeof(r.u.part), "%s", part);
    send(&r);
}

static void keep_task(struct dump *d, const struct dump_task *task) {
    if (d->tasks < DUMP_TASKS)
        d->task[d->tasks++] = *task;
    else
        d->more_tasks++;
}

void dump_pass_task(struct dump *d, const struct dump_task *task) {
    struct record r;

    if (!child.out) {
        keep_task(d, task);
        return;
    }
    memset(&r, 0, sizeof(r));
    r.kind = RECORD_TASK;
    r.row = child.row;
    r.u.task = *task;
    send(&r);
}

static void keep_miss(struct dump *d, const struct dump_miss *miss) {
    for (unsigned i = 0; i < d->misses; i++)
        if (strcmp(d->miss[i].part, miss->part) == 0 && strcmp(d->miss[i].why, miss->why) == 0) {
            d->miss[i].count += miss->pid > 0;
            return;
        }
    if (d->misses == DUMP_MISSES) {
        d->more_misses++;
        return;
    }
    d->miss[d->misses] = *miss;
    d->miss[d->misses++].count = miss->pid > 0;
}

static void miss(struct dump *d, int32_t pid, const char *part, bool lacking, const char *format,
                 va_list args) __attribute__((format(printf, 5, 0)));

static void miss(struct dump *d, int32_t pid, const char *part, bool lacking, const char *format,
                 va_list args) {
    struct record r;

    memset(&r, 0, sizeof(r));
    r.kind = RECORD_MISS;
    r.row = child.row;
    r.u.miss.pid = pid;
    r.u.miss.lacking = lacking;
    (void)snprintf(r.u.miss.part, sizeof(r.u.miss.part), "%s", part);
    (void)vsnprintf(r.u.miss.why, sizeof(r.u.miss.why), format, args);
    if (child.out)
        send(&r);
    else
        keep_miss(d, &r.u.miss);
}

void dump_missed_why(struct dump *d, int32_t pid, const char *part, const char *format, ...) {
    va_list args;

    va_start(args, format);
    miss(d, pid, part, false, format, args);
    va_end(args);
}

void dump_lacks(struct dump *d, int32_t pid, const char *part, const char *format, ...) {
    va_list args;

    va_start(args, format);
    miss(d, pid, part, true, format, args);
    va_end(args);
}

static const char disk_full[] = "no space is left on the disk for some of them";

/* A disk is full for all files at once: told once. */
void dump_missed(struct dump *d, int32_t pid, const char *part, int code) {
    if (code == -ENOSPC) {
        d->store.full = true;
        dump_missed_why(d, 0, "files", "%s", disk_full);
        return;
    }
    dump_missed_why(d, pid, part, "%s",
                    code == -EFBIG ? "it is too large, or the dump has become as large as it may"
                                   : strerror(-code));
}

/* --- in the child ----------------------------------------------------------------------------- */

struct work {
    struct dump *d;
    const struct dump_pass *pass;
    size_t from;
};

static bool is_over(const struct dump *d) {
    return clock_mono_us() >= d->end_us;
}

static int look_at_all(void *arg, struct buf *out) {
    const struct work *w = arg;
    static struct record r; /* too large for a stack that one forgets about */

    child.out = out;
    for (size_t i = w->from; i < w->pass->rows && i < w->d->rows; i++) {
        struct dump_row *row = &w->d->row[i];

        if (row->gone)
            continue;
        child.row = (uint32_t)i;
        dump_pass_part(w->pass->part);
        w->pass->look(w->d, row);
        memset(&r, 0, sizeof(r));
        r.kind = RECORD_ROW;
        r.row = (uint32_t)i;
        r.u.row = *row;
        send(&r);
    }
    return buf_error(out);
}

/* --- in the parent ---------------------------------------------------------------------------- */

struct progress {
    size_t taken; /* bytes of the answer */
    size_t row;   /* it is at */
    bool any;
    char part[48];
    int64_t heard_us;
};

static void end_text(char *text, size_t size) {
    text[size - 1] = '\0';
}

/* Texts of what a child wrote always end: it has looked at what others made. */
static void take_record(struct dump *d, struct record *r, struct progress *p) {
    if (r->row >= d->rows)
        return;
    p->row = r->row;
    p->any = true;
    switch (r->kind) {
    case RECORD_PART:
        end_text(r->u.part, sizeof(r->u.part));
        memcpy(p->part, r->u.part, sizeof(p->part));
        break;
    case RECORD_ROW:
        if (r->u.row.pid == d->row[r->row].pid)
            d->row[r->row] = r->u.row;
        break;
    case RECORD_TASK:
        keep_task(d, &r->u.task);
        break;
    case RECORD_MISS:
        end_text(r->u.miss.part, sizeof(r->u.miss.part));
        end_text(r->u.miss.why, sizeof(r->u.miss.why));
        d->store.full = d->store.full || strcmp(r->u.miss.why, disk_full) == 0;
        keep_miss(d, &r->u.miss);
        break;
    }
}

static void take_in(struct dump *d, const struct buf *answer, struct progress *p) {
    static struct record r;

    while (answer->n - p->taken >= sizeof(r)) {
        memcpy(&r, answer->p + p->taken, sizeof(r));
        p->taken += sizeof(r);
        p->heard_us = clock_mono_us();
        take_record(d, &r, p);
    }
}

/* Until it is done, dead, silent for too long, or time is up. */
static enum job_state follow(struct dump *d, const struct dump_pass *pass, struct job *job,
                             struct progress *p) {
    for (;;) {
        struct pollfd f = {.fd = job->fd, .events = POLLIN};
        enum job_state state;

        (void)poll(&f, 1, LOOK_MS);
        state = job_poll(job, clock_mono_us());
        take_in(d, &job->answer, p);
        if (state != JOB_RUNNING)
            return state;
        if (clock_mono_us() - p->heard_us > pass->stall_us || is_over(d))
            return JOB_RUNNING;
    }
}

static void do_here(struct dump *d, const struct dump_pass *pass) {
    for (size_t i = 0; i < pass->rows && i < d->rows && !is_over(d); i++)
        if (!d->row[i].gone)
            pass->look(d, &d->row[i]);
}

/* It ended at a process: why, and whether to go on behind it. */
static bool tell_stuck(struct dump *d, const struct dump_pass *pass, enum job_state state,
                       const struct progress *p, unsigned stalls) {
    int32_t pid = d->row[p->row].pid;

    if (is_over(d)) {
        dump_missed_why(d, 0, pass->part, "time was up at process %d, %zu of %zu", pid, p->row + 1,
                        d->rows < pass->rows ? d->rows : pass->rows);
        return false;
    }
    dump_missed_why(d, pid, p->any ? p->part : pass->part,
                    state == JOB_RUNNING ? "reading it did not come to an end"
                                         : "what read it has died");
    if (stalls < pass->stalls)
        return true;
    dump_missed_why(d, 0, pass->part, "given up after %u processes whose files cannot be read",
                    stalls);
    return false;
}

void dump_pass_run(struct dump *d, const struct dump_pass *pass) {
    struct work w = {.d = d, .pass = pass};
    unsigned stalls = 0;
    bool again = true;

    while (again && w.from < d->rows && w.from < pass->rows) {
        struct progress p = {.row = w.from, .heard_us = clock_mono_us()};
        enum job_state state = JOB_FAILED;
        struct job job;
        int r;

        job_init(&job, ANSWER_MAX);
        r = job_start(&job, look_at_all, &w, d->end_us);
        if (r < 0) {
            if (pass->here)
                do_here(d, pass);
            else
                dump_missed_why(d, 0, pass->part, "no process could be started for it: %s",
                                strerror(-r));
        } else {
            state = follow(d, pass, &job, &p);
        }
        job_done(&job);
        (void)dumpstore_walk(&d->store, NULL, NULL); /* what the child has written */
        again = r == 0 && state != JOB_DONE && tell_stuck(d, pass, state, &p, ++stalls);
        w.from = p.row + 1;
    }
}
