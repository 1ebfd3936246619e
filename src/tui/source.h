/* source.h - what the screen shows, wherever it comes from: the kernel's files or the agent.
 *
 * The screen knows nothing of kernels and sockets. It asks for a moment (refresh), then reads rows
 * that stay valid until the next refresh. A row's `id` is the same from refresh to refresh.
 */
#pragma once
#include "base/err.h"
#include "model/procfield.h"
#include "model/state.h"
#include "model/target.h"

/* One target. Texts are raw bytes (escape them when they are drawn). */
struct tui_row {
    uint64_t id;
    struct str key;  /* "docker:web": the same when it is made again */
    struct str name; /* as people know it */
    struct str runtime, kind, image, path;
    struct str pod;     /* "namespace/pod"; empty: none */
    struct str compose; /* a compose project; empty: none */
    struct str labels;  /* as model/labellist.h has them */
    struct str slice;   /* the group above it, for grouping */
    struct str limit_from;
    const struct sample *sample; /* NULL: not read yet */
    enum state state;
    struct trend_view trend;
    bool have_time_to_limit, have_cpu, have_restarts, have_kills;
    uint64_t time_to_limit_s, cpu_centi, restarts;
    uint64_t kills;     /* OOM kills that are known, those of earlier instances too */
    bool v1, is_inside; /* in a container that is a row itself */
};

struct tui_process {
    int32_t pid, ppid;
    uint32_t have; /* PROC_BITs */
    bool pss_estimated;
    uint64_t value[PROC_N];
    struct str comm, command;
};

enum tui_event_kind {
    TUI_EVENT_OOM,
    TUI_EVENT_START,
    TUI_EVENT_END,
    TUI_EVENT_RESTART,
    TUI_EVENT_LIMIT, /* its own limit is another */
    TUI_EVENT_OTHER, /* what only the agent knows by name */
    TUI_EVENT_N
};

struct tui_event {
    int64_t at_ms;
    enum tui_event_kind kind;
    struct str name; /* of the target */
    uint64_t kills;
    struct str detail; /* the victim's command, whose limit it was; what the limit was and is */
    struct str word;   /* of TUI_EVENT_OTHER: its name */
};

/* The machine and what watching it costs. */
struct tui_host {
    const struct sample *sample; /* usage = total less free, used = total less available; or NULL */
    struct str name;
    bool have_cost;
    uint64_t cost_cpu_centi, cost_rss; /* of the agent, or of this program */
    bool agent;                        /* an agent answers: there is a past */
    int64_t oldest_ms;                 /* since when there is history; 0: none */
    int64_t at_ms;                     /* the moment shown */
};

/* A value of history that is not known. */
#define TUI_UNKNOWN UINT64_MAX

struct tui_source {
    void *ctx;
    /* The state of things at the moment; 0: now. 0; -EAGAIN with a text when nothing new could be
     * had: the rows are as they were, or none if those are of another moment; it is tried again
     * at the next refresh, and the text says since when ("nothing heard from the agent since
     * 17:31:05, trying again"); -ENODATA with a text when nothing is known of that moment; another
     * -errno with a text. After these two there are no rows. */
    int (*refresh)(void *ctx, int64_t at_ms, struct err *err);
    size_t (*rows)(void *ctx);
    const struct tui_row *(*row)(void *ctx, size_t i);
    const struct tui_host *(*host)(void *ctx);
    /* The metric over [from, to] as n values at equal steps, the mean of each or TUI_UNKNOWN. For
     * sparklines (all rows each few seconds) and for one target's charts. 0 or -errno. */
    int (*history)(void *ctx, const struct tui_row *row, enum metric m, int64_t from_ms,
                   int64_t to_ms, size_t n, uint64_t *out);
    /* The processes of a target at the moment shown, as many as there are, in *out until the next
     * call. */
    int (*processes)(void *ctx, const struct tui_row *row, const struct tui_process **out,
                     size_t *n_out, struct err *err);
    /* Newest first, of one target or (NULL) of all, up to the moment shown; until the next call. */
    int (*events)(void *ctx, const struct tui_row *row, const struct tui_event **out, size_t *n_out,
                  struct err *err);
    /* A descriptor that polls readable when a refresh is worth it before its time; -1: none. */
    int fd;
};
