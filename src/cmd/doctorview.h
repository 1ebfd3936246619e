/* doctorview.h - what `plimsoll doctor` found, and how it is printed: processes by container, which
 * memory size each believes in, and the flag that mends it.
 */
#pragma once
#include "cmd/cmd.h"
#include "runtime/aware.h"
#include "runtime/heaps.h"

struct doctor_process {
    int32_t pid;
    char comm[64];
    struct rt_id id;
    struct aware aware;
    bool have_rss;
    uint64_t rss;
    bool have_held;
    uint64_t marked; /* Go: bytes in use as of its last collection; 0: not known */
    uint64_t held;   /* bytes: free, or (Go) not in use by its last collection */
    bool holds_much; /* enough of RSS to be mistaken for a leak */
    bool no_port;    /* Go: listens nowhere, so it has no pprof that gc could ask */
};

struct doctor_target {
    struct str name, path;
    const char *engine;             /* "docker"; "" */
    uint64_t limit;                 /* 0: none */
    uint64_t machine;               /* 0: not known */
    struct doctor_process *process; /* owned; the largest first */
    size_t n, size;
    size_t unread; /* processes that may not be looked into */
};

struct doctor {
    struct doctor_target *target;
    size_t n;
    size_t bad, unread; /* processes */
};

/* What a runtime holds and does not use; false when that cannot be told from these. What it has
 * committed need not be resident: more than RSS tells nothing. */
bool doctor_held(const struct rt_figures *f, uint64_t rss, uint64_t *out);

/* "held by the runtime, not leaked": whether so much explains a large part of RSS. */
bool doctor_holds_much(uint64_t held, uint64_t rss);

/* What the heaps of a container may take together; false when fewer than two have a bound. */
bool doctor_sum(const struct doctor_target *t, uint64_t *out);

/* Whether that is more than its limit: each of them may fit, and all of them not. */
bool doctor_exceeds(const struct doctor_target *t);

void doctor_done(struct doctor *d);

/* 0 or -ENOMEM. */
int doctor_print_text(const struct doctor *d, const struct cmd_context *context, size_t width,
                      struct buf *out);
int doctor_print_plain(const struct doctor *d, struct buf *out);
int doctor_print_json(const struct doctor *d, int64_t at_ms, struct buf *out);
