/* Our own names: the metrics of metric.def, what is kept over restarts, and what the agent costs.
 */
#include <string.h>

#include "base/mem.h"
#include "export/family.h"
#include "export/prompage.h"

bool family_metric(const struct live *l, const struct live_row *row, unsigned m, uint64_t *out) {
    (void)l;
    *out = row->sample.value[m];
    return sample_has(&row->sample, m) && *out != SAMPLE_NONE;
}

bool family_oom_kills(const struct live *l, const struct live_row *row, unsigned which,
                      uint64_t *out) {
    (void)l;
    (void)which;
    *out = row->oom_kills;
    return true;
}

static bool restarts(const struct live *l, const struct live_row *row, unsigned which,
                     uint64_t *out) {
    (void)l;
    (void)which;
    *out = row->restarts;
    return true;
}

static bool one(const struct live *l, const struct live_row *row, unsigned which, uint64_t *out) {
    (void)l;
    (void)row;
    (void)which;
    *out = 1;
    return true;
}

static bool started(const struct live *l, const struct live_row *row, unsigned which,
                    uint64_t *out) {
    (void)row;
    (void)which;
    *out = (uint64_t)l->started_ms;
    return l->started_ms > 0;
}

/* Fields of the collector are numbers of WIRE_SELF, of the front those of LIVE_SELF above that. */
enum { FRONT = 1000 };

static bool self(const struct live *l, const struct live_row *row, unsigned which, uint64_t *out) {
    bool of_front = which >= FRONT, of_guard = !of_front && which > WIRE_SELF_GUARDS;

    (void)row;
    *out = of_front ? l->self[which - FRONT] : l->wire_self[which];
    return of_front || (l->have_wire_self && (!of_guard || l->wire_self[WIRE_SELF_GUARDS] > 0));
}

#define COLLECTOR_LINE(field)                                                                      \
    { (field), "process=\"collector\"" }
#define FRONT_LINE(field)                                                                          \
    { FRONT + (field), "process=\"front\"" }
#define GUARDPROC_LINE(field)                                                                      \
    { (field), "process=\"guard\"" }
#define SELF(NAME, COUNTER, FIELD, HELP)                                                           \
    {                                                                                              \
        .name = (NAME), .help = (HELP), .counter = (COUNTER), .over = OVER_ONCE, .get = self,      \
        .lines = 1, .line = {                                                                      \
            {(FIELD), NULL}                                                                        \
        }                                                                                          \
    }

/* --- guards ----------------------------------------------------------------------------------- */

#define GUARD_LINE(a, o, action, outcome)                                                          \
    { (a) * OUTCOME_N + (o), "action=\"" action "\",outcome=\"" outcome "\"" }
#define GUARD_LINES(a, action)                                                                     \
    GUARD_LINE(a, OUTCOME_NONE, action, "none"), GUARD_LINE(a, OUTCOME_DONE, action, "done"),      \
        GUARD_LINE(a, OUTCOME_PARTLY, action, "partly"),                                           \
        GUARD_LINE(a, OUTCOME_REFUSED, action, "refused"),                                         \
        GUARD_LINE(a, OUTCOME_FAILED, action, "failed"),                                           \
        GUARD_LINE(a, OUTCOME_DRY, action, "dry-run")

static const struct family_line guard_lines[] = {
    GUARD_LINES(ACTION_NOTIFY, "notify"),   GUARD_LINES(ACTION_GC, "gc"),
    GUARD_LINES(ACTION_RECLAIM, "reclaim"), GUARD_LINES(ACTION_THROTTLE, "throttle"),
    GUARD_LINES(ACTION_PAUSE, "pause"),     GUARD_LINES(ACTION_DUMP, "dump"),
    GUARD_LINES(ACTION_RESCUE, "rescue"),   GUARD_LINES(ACTION_TERM, "term"),
    GUARD_LINES(ACTION_KILL, "kill"),
};
_Static_assert(ARRAY_N(guard_lines) == ACTION_N * OUTCOME_N, "an action is missing");

/* What has never happened is no line: there are many that could. */
static bool guard_actions(const struct live *l, const struct live_row *row, unsigned which,
                          uint64_t *out) {
    (void)l;
    *out = row->guard ? row->guard->ended[which / OUTCOME_N][which % OUTCOME_N] : 0;
    return *out > 0;
}

enum guard_number { GUARD_ON, GUARD_HUNG, GUARD_MARKS, GUARD_FREED };

static bool guard_number(const struct live *l, const struct live_row *row, unsigned which,
                         uint64_t *out) {
    const struct live_guard *g = row->guard;

    (void)l;
    if (!g)
        return false;
    switch ((enum guard_number)which) {
    case GUARD_ON:
        *out = g->guarded;
        break;
    case GUARD_HUNG:
        *out = live_guard_hangs(g);
        return g->guarded;
    case GUARD_MARKS:
        *out = g->marks;
        break;
    case GUARD_FREED:
        *out = g->freed;
        break;
    }
    return true;
}

#define GUARD(NAME, COUNTER, OVER, WHICH, HELP)                                                    \
    {                                                                                              \
        .name = (NAME), .help = (HELP), .counter = (COUNTER), .with_lost = (COUNTER),              \
        .over = (OVER), .get = guard_number, .lines = 1, .line = {                                 \
            {(WHICH), NULL}                                                                        \
        }                                                                                          \
    }
#define GUARD_COUNTER(NAME, WHICH, HELP) GUARD(NAME, true, OVER_KEPT, WHICH, HELP)
#define GUARD_STATE(NAME, WHICH, HELP) GUARD(NAME, false, OVER_ROWS, WHICH, HELP)

static const struct family families[] = {
    {.name = "plimsoll_oom_kills_total",
     .help = "OOM kills in the target, counted on when it is made again under its name.",
     .counter = true,
     .with_lost = true,
     .over = OVER_KEPT,
     .get = family_oom_kills,
     .lines = 1},
    {.name = "plimsoll_target_restarts_total",
     .help = "Times the target was made again under its name since it is known.",
     .counter = true,
     .over = OVER_KEPT,
     .get = restarts,
     .lines = 1},
    {.name = "plimsoll_guard_actions_total",
     .help = "Actions of guards that have ended, by what came of them, since the agent started; "
             "counted on when the target is made again under its name.",
     .counter = true,
     .with_lost = true,
     .over = OVER_KEPT,
     .get = guard_actions,
     .lines = ARRAY_N(guard_lines),
     .more = guard_lines},
    GUARD_COUNTER("plimsoll_guard_freed_bytes_total", GUARD_FREED,
                  "Used memory that was less after actions of guards than before, added up."),
    GUARD_COUNTER("plimsoll_guard_marks_passed_total", GUARD_MARKS,
                  "Times that used memory passed a mark of a guard upwards."),
    GUARD_STATE("plimsoll_guard_active", GUARD_ON, "1 while a guard watches the target."),
    GUARD_STATE("plimsoll_guard_hung", GUARD_HUNG,
                "1 while the target hangs at its limit, as its guard sees it."),
    {.name = "plimsoll_build_info",
     .help = "Always 1; the version is its label.",
     .over = OVER_ONCE,
     .get = one,
     .lines = 1,
     .line = {{0, "version=\"" PLIMSOLL_VERSION "\""}}},
    {.name = "plimsoll_self_start_time_seconds",
     .help = "When the agent started, since 1970.",
     .decimals = PROM_MILLI,
     .over = OVER_ONCE,
     .get = started,
     .lines = 1},
    {.name = "plimsoll_self_cpu_seconds_total",
     .help = "CPU time used by the agent's processes.",
     .counter = true,
     .decimals = PROM_MICRO,
     .over = OVER_ONCE,
     .get = self,
     .lines = 3,
     .line = {COLLECTOR_LINE(WIRE_SELF_CPU_US), FRONT_LINE(LIVE_SELF_CPU_US),
              GUARDPROC_LINE(WIRE_SELF_GUARD_CPU_US)}},
    {.name = "plimsoll_self_resident_bytes",
     .help = "Memory of the agent's processes.",
     .over = OVER_ONCE,
     .get = self,
     .lines = 3,
     .line = {COLLECTOR_LINE(WIRE_SELF_RSS), FRONT_LINE(LIVE_SELF_RSS),
              GUARDPROC_LINE(WIRE_SELF_GUARD_RSS)}},
    {.name = "plimsoll_self_tick_seconds",
     .help = "How long the last round over all targets took.",
     .decimals = PROM_MICRO,
     .over = OVER_ONCE,
     .get = self,
     .lines = 1,
     .line = {{WIRE_SELF_TICK_US, NULL}}},
    SELF("plimsoll_self_ticks_total", true, WIRE_SELF_TICKS, "Rounds over all targets."),
    SELF("plimsoll_self_ticks_late_total", true, WIRE_SELF_TICKS_LATE,
         "Rounds that began more than half a period late."),
    SELF("plimsoll_self_samples_total", true, WIRE_SELF_SAMPLES,
         "Targets read, summed over all rounds."),
    SELF("plimsoll_self_targets", false, WIRE_SELF_TARGETS, "Targets that are watched."),
    SELF("plimsoll_self_targets_fast", false, WIRE_SELF_FAST,
         "Targets that are looked at more often, as they come near their limit."),
    SELF("plimsoll_self_targets_denied", false, WIRE_SELF_DENIED, "Targets that may not be read."),
    SELF("plimsoll_self_messages_dropped_total", true, WIRE_SELF_DROPPED,
         "Messages of the collector that no front ever took."),
    SELF("plimsoll_self_front_starts_total", true, WIRE_SELF_FRONT_STARTS,
         "Times the front was started."),
    SELF("plimsoll_self_guards", false, WIRE_SELF_GUARDS, "Guards in the configuration."),
    SELF("plimsoll_self_targets_guarded", false, WIRE_SELF_GUARDED, "Targets that are guarded."),
    SELF("plimsoll_self_targets_unguarded", false, WIRE_SELF_GUARD_FAILED,
         "Targets that match a guard and cannot be guarded; the log says why."),
    SELF("plimsoll_self_guard_starts_total", true, WIRE_SELF_GUARD_STARTS,
         "Times the guard's process was started."),
    SELF("plimsoll_self_watches_missing", false, WIRE_SELF_NO_WATCHES,
         "1 while groups are found by rescans, for want of inotify watches."),
    SELF("plimsoll_self_files_short", false, WIRE_SELF_SHORT_OF_FDS,
         "1 while files cannot be kept open, for want of descriptors."),
    SELF("plimsoll_self_store_bytes", false, FRONT + LIVE_SELF_STORE_BYTES,
         "Size of the history on disk."),
    SELF("plimsoll_self_store_pending_bytes", false, FRONT + LIVE_SELF_STORE_PENDING,
         "History that waits in memory for the disk."),
    SELF("plimsoll_self_store_dropped_total", true, FRONT + LIVE_SELF_STORE_DROPPED,
         "Messages that never got to the disk."),
    SELF("plimsoll_self_store_errors_total", true, FRONT + LIVE_SELF_STORE_ERRORS,
         "Commits to disk that failed."),
    SELF("plimsoll_self_store_broken", false, FRONT + LIVE_SELF_STORE_BROKEN,
         "1 while history cannot be written."),
    SELF("plimsoll_self_store_damaged_total", true, FRONT + LIVE_SELF_STORE_DAMAGED,
         "Chunks, rows and files that failed their checksum or were set aside."),
    SELF("plimsoll_self_http_requests_total", true, FRONT + LIVE_SELF_REQUESTS,
         "HTTP requests answered."),
    SELF("plimsoll_self_http_refused_total", true, FRONT + LIVE_SELF_REFUSED,
         "HTTP requests refused."),
    SELF("plimsoll_self_event_streams", false, FRONT + LIVE_SELF_STREAMS,
         "Event streams that are open."),
};

static void of_metric(enum metric m, char name_room[PROM_NAME], struct family *out) {
    const struct metric_info *info = metric_info(m);
    struct buf b;

    buf_init(&b, PROM_NAME - 1);
    metric_add_exported(&b, m);
    name_room[0] = '\0';
    (void)str_copy(buf_str(&b), name_room, PROM_NAME);
    buf_done(&b);
    *out = (struct family){.name = name_room,
                           .help = info->help,
                           .counter = info->kind == METRIC_COUNTER,
                           .decimals = promtext_decimals(m),
                           .get = family_metric,
                           .lines = 1,
                           .line = {{m, NULL}}};
}

bool family_own(unsigned i, char name_room[PROM_NAME], struct family *out) {
    if (i < METRIC_N)
        of_metric(i, name_room, out);
    else if (i - METRIC_N < ARRAY_N(families))
        *out = families[i - METRIC_N];
    else
        return false;
    return true;
}
