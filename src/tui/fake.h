/* fake.h - for unit tests: a source of a few rows that stand still. */
#pragma once
#include <string.h>

#include "tui/source.h"

enum { FAKE_ROWS = 6 };

struct fake {
    struct tui_source source;
    struct tui_row row[FAKE_ROWS];
    struct sample sample[FAKE_ROWS], machine;
    struct tui_host host;
    struct tui_process process[3];
    struct tui_event event[4];
    size_t rows;
    unsigned histories; /* how often it was asked */
};

enum { FAKE_NOW = 1763733600 }; /* 2025-11-21 14:00 UTC, in seconds */

#define FAKE_MIB(n) ((uint64_t)(n) << 20)

static inline int fake_refresh(void *ctx, int64_t at_ms, struct err *err) {
    struct fake *f = ctx;

    (void)err;
    f->host.at_ms = at_ms ? at_ms : FAKE_NOW * INT64_C(1000);
    return 0;
}

static inline size_t fake_rows(void *ctx) {
    return ((struct fake *)ctx)->rows;
}

static inline const struct tui_row *fake_row(void *ctx, size_t i) {
    return &((struct fake *)ctx)->row[i];
}

static inline const struct tui_host *fake_host(void *ctx) {
    return &((struct fake *)ctx)->host;
}

/* Rises from a half to what it is now; unknown in the first tenth. */
static inline int fake_history(void *ctx, const struct tui_row *row, enum metric m, int64_t from_ms,
                               int64_t to_ms, size_t n, uint64_t *out) {
    const struct sample *s = row->sample;

    (void)from_ms, (void)to_ms;
    ((struct fake *)ctx)->histories++;
    for (size_t i = 0; i < n; i++) {
        bool known = s && sample_has(s, m) && i >= n / 10;

        out[i] = !known              ? TUI_UNKNOWN
                 : m == METRIC_LIMIT ? s->value[m]
                                     : s->value[m] * (n + i + 1) / (2 * n);
    }
    return 0;
}

static inline int fake_processes(void *ctx, const struct tui_row *row,
                                 const struct tui_process **out, size_t *n_out, struct err *err) {
    (void)row, (void)err;
    *out = ((struct fake *)ctx)->process;
    *n_out = 3;
    return 0;
}

static inline int fake_events(void *ctx, const struct tui_row *row, const struct tui_event **out,
                              size_t *n_out, struct err *err) {
    (void)row, (void)err;
    *out = ((struct fake *)ctx)->event;
    *n_out = 4;
    return 0;
}

static inline void fake_fill(struct fake *f, size_t i, const char *name, enum state state,
                             uint64_t used, uint64_t usage, uint64_t limit) {
    struct sample *s = &f->sample[i];

    f->row[i] = (struct tui_row){.id = 100 + i,
                                 .name = str_of(name),
                                 .key = str_of(name),
                                 .runtime = STR("docker"),
                                 .kind = STR("container"),
                                 .image = STR("demo:1"),
                                 .path = STR("/docker/4f2a81"),
                                 .state = state,
                                 .sample = s};
    sample_set(s, METRIC_USED, used);
    sample_set(s, METRIC_USAGE, usage);
    sample_set(s, METRIC_ANON, used);
    sample_set(s, METRIC_INACTIVE_FILE, usage - used);
    sample_set(s, METRIC_LIMIT, limit);
    sample_set(s, METRIC_PSI_SOME, 25 * i);
}

static inline void fake_process(struct fake *f, size_t i, int32_t pid, int32_t ppid, uint64_t res,
                                struct str command) {
    f->process[i] = (struct tui_process){.pid = pid,
                                         .ppid = ppid,
                                         .have = PROC_BIT(PROC_RES) | PROC_BIT(PROC_THREADS),
                                         .comm = command,
                                         .command = command};
    f->process[i].value[PROC_RES] = res;
    f->process[i].value[PROC_THREADS] = i + 1;
}

static inline void fake_init(struct fake *f) {
    memset(f, 0, sizeof(*f));
    f->rows = FAKE_ROWS;
    f->source = (struct tui_source){f,         fake_refresh, fake_rows,      fake_row,
                                    fake_host, fake_history, fake_processes, fake_events,
                                    -1};
    fake_fill(f, 0, "web", STATE_STEADY, FAKE_MIB(40), FAKE_MIB(60), FAKE_MIB(100));
    fake_fill(f, 1, "climber", STATE_GROWING, FAKE_MIB(80), FAKE_MIB(80), FAKE_MIB(128));
    fake_fill(f, 2, "cache", STATE_CACHE, FAKE_MIB(10), FAKE_MIB(95), FAKE_MIB(100));
    fake_fill(f, 3, "db", STATE_FULL, FAKE_MIB(510), FAKE_MIB(512), FAKE_MIB(512));
    fake_fill(f, 4, "\xe5\x86\x85\xe5\xad\x98\xe6\xb1\xa0", STATE_OK, FAKE_MIB(1), FAKE_MIB(1),
              FAKE_MIB(64));
    fake_fill(f, 5, "evil\033[2J\xe2\x80\xae", STATE_OK, FAKE_MIB(2), FAKE_MIB(2), FAKE_MIB(64));
    f->row[0].labels = STR("com.example/x=a b\ntier=front\n");
    f->row[1].labels = STR("tier=frontier\n");
    f->row[0].pod = f->row[3].pod = STR("shop/front");
    f->row[1].trend = (struct trend_view){.word = TREND_GROWING, .bytes_per_h = FAKE_MIB(41)};
    f->row[1].have_time_to_limit = true;
    f->row[1].time_to_limit_s = 4200;
    f->row[3].have_kills = f->row[3].have_restarts = true;
    f->row[3].kills = 3;
    f->row[3].restarts = 2;
    sample_set(&f->machine, METRIC_USED, FAKE_MIB(3000));
    sample_set(&f->machine, METRIC_USAGE, FAKE_MIB(5000));
    sample_set(&f->machine, METRIC_LIMIT, FAKE_MIB(8000));
    f->host = (struct tui_host){.sample = &f->machine,
                                .name = STR("box"),
                                .agent = true,
                                .at_ms = FAKE_NOW * INT64_C(1000)};
    fake_process(f, 0, 10, 1, FAKE_MIB(5), STR("sh"));
    fake_process(f, 1, 11, 10, FAKE_MIB(50), STR("server \033]0;x"));
    fake_process(f, 2, 12, 10, FAKE_MIB(60), STR("worker"));
    f->event[0] = (struct tui_event){FAKE_NOW * INT64_C(1000) - 60000, TUI_EVENT_OOM, STR("db"), 1,
                                     STR("worker, own limit"),         {NULL, 0}};
    f->event[1] = (struct tui_event){FAKE_NOW * INT64_C(1000) - 90000,
                                     TUI_EVENT_START,
                                     STR("web\033[1m"),
                                     0,
                                     STR(""),
                                     {NULL, 0}};
    f->event[2] = (struct tui_event){.at_ms = FAKE_NOW * INT64_C(1000) - 95000,
                                     .kind = TUI_EVENT_LIMIT,
                                     .name = STR("db"),
                                     .detail = STR("from 256M to 512M")};
    f->event[3] = (struct tui_event){.at_ms = FAKE_NOW * INT64_C(1000) - 99000,
                                     .kind = TUI_EVENT_OTHER,
                                     .name = STR("db"),
                                     .word = STR("guard\033[1m")};
}
