#include "cmd/topsource_agent.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "cmd/agentclient.h"
#include "cmd/agentstream.h"
#include "cmd/pspast.h"
#include "cmd/topevents.h"
#include "cmd/topproc.h"
#include "cmd/toprows.h"
#include "cmd/topsparks.h"

enum {
    FIRST_US = 3000000,  /* for the first answer of all */
    DRAW_US = 400000,    /* for all that is asked at once, since keys wait for it; */
    ANSWER_US = 2000000, /* more, up to this, of an agent that is alive and slow */
    PAUSE_US = 20000,    /* what is asked so much later is not at once */
    AGAIN_US = 500000, /* after an answer that did not come in time, nothing is asked for so long */
    QUIET_US = 4000000,   /* or so, when no ticks come either */
    SILENT_MS = 2000,     /* and so many intervals without a tick: */
    SILENT_INTERVALS = 3, /* nothing is heard from the agent */
    HEALTH_US = 5000000,
    EVENTS_US = 2000000,
    PROCESSES_US = 1000000,
    POLL_US = 800000, /* between two lists, where the stream is refused */
    REQUEST_MAX = 65536,
};

/* An answer about one target, or about all (id 0), as of a moment; 0: now. */
struct kept {
    bool have;
    uint64_t id;
    int64_t at_ms, asked_us;
};

struct topsource_agent {
    const char *socket;
    struct agentstream stream;
    struct toprows now, past;
    struct toprows *shown; /* one of the two, or NULL: there are no rows */
    int64_t shown_at_ms;   /* what it shows; 0: now */
    bool have_now;
    int64_t heard_ms, heard_us; /* when the last tick came */
    int64_t looked_us;          /* at the stream */
    int64_t interval_ms, polled_us, quiet_us;
    int64_t begun_us, answered_us; /* what was asked last at once */
    int64_t patience_us;
    struct tui_host host;
    char name[256];
    uint64_t cpu_us;
    int64_t health_us, cpu_at_us;
    struct topsparks sparks;
    struct kept events_of, processes_of;
    struct topevents events;
    struct pspast procs;
    struct tui_process *process;
    size_t processes;
};

/* --- asking ----------------------------------------------------------------------------------- */

/* The collector is, whatever the front answers. Judged when the stream was last looked at: a screen
 * that pauses looks at nothing. */
static bool is_silent(const struct topsource_agent *s) {
    return s->looked_us - s->heard_us > (SILENT_MS + SILENT_INTERVALS * s->interval_ms) * 1000;
}

static int say_silence(const struct topsource_agent *s, struct err *err) {
    struct buf since;
    int r;

    buf_init(&since, 64);
    clock_add_rfc3339(&since, s->heard_ms);
    r = err_set(err, -EAGAIN, "nothing heard from the agent since %.*s UTC; trying again",
                since.n > 19 ? 8 : 0, since.p + 11);
    buf_done(&since);
    return r;
}

static bool ticks_come(const struct topsource_agent *s) {
    return s->looked_us - s->heard_us < (2 * s->interval_ms + 500) * 1000;
}

/* An agent that is slow is given more time the next time; one that is stuck is not. */
static void take_timeout(struct topsource_agent *s) {
    bool alive = ticks_come(s);

    s->quiet_us = clock_mono_us() + (alive ? AGAIN_US : QUIET_US);
    s->patience_us = !alive                           ? DRAW_US
                     : s->patience_us < ANSWER_US / 2 ? 2 * s->patience_us
                                                      : ANSWER_US;
}

/* -EAGAIN while an agent that does not answer is left alone, and when there is no time left. */
static int ask(struct topsource_agent *s, struct buf *request, json_t **out, struct err *err) {
    int64_t now_us = clock_mono_us(), left_us;
    int r;

    if (now_us < s->quiet_us)
        return say_silence(s, err);
    if (now_us - s->answered_us > PAUSE_US)
        s->begun_us = now_us;
    left_us = s->begun_us + (s->have_now ? s->patience_us : ANSWER_US) - now_us;
    if (left_us <= 0)
        return err_set(err, -EAGAIN, "the agent is slow to answer; trying again");
    r = agentclient_ask(s->socket, request, left_us, out, err);
    s->answered_us = clock_mono_us();
    if (r == -ETIMEDOUT)
        take_timeout(s);
    return r;
}

static void begin_request(struct buf *request, const char *path, const struct tui_row *row,
                          const char *when, int64_t at_ms) {
    buf_init(request, REQUEST_MAX);
    agentclient_path(request, path);
    if (row)
        /* now two may have one key for a moment, and in the past a path may have been another's */
        agentclient_param(request, "target", at_ms > 0 ? row->key : row->path);
    if (at_ms > 0)
        agentclient_param_ms(request, when, at_ms);
}

/* --- what is now ------------------------------------------------------------------------------ */

/* By when it was so: what has waited in the stream, or is told of a collector that is gone, is no
 * news. */
static void take_hearing(struct topsource_agent *s) {
    int64_t wall_ms = clock_wall_ms(), at_ms = s->now.at_ms;

    s->heard_ms = at_ms > 0 && at_ms < wall_ms ? at_ms : wall_ms;
    s->heard_us = clock_mono_us() - (wall_ms - s->heard_ms) * 1000;
}

static int take_now(struct topsource_agent *s, json_t *tree, bool whole) {
    int r = !tree ? -EBADMSG : whole ? toprows_load(&s->now, tree) : toprows_apply(&s->now, tree);

    json_decref(tree);
    if (r < 0) {
        s->have_now = s->have_now && !whole; /* a bad list has left nothing */
        return r;
    }
    s->have_now = true;
    take_hearing(s);
    return 0;
}

static int on_event(void *ctx, struct str event, struct str data) {
    struct topsource_agent *s = ctx;
    bool snapshot = str_eq(event, STR("snapshot"));

    if (str_eq(event, STR("oom"))) {
        s->events_of.have = false;
        return 0;
    }
    if (!snapshot && (!str_eq(event, STR("tick")) || !s->have_now))
        return 0;
    return take_now(s, json_loadb(data.p, data.n, 0, NULL), snapshot);
}

/* Where there are too many streams, or none. */
static int poll_list(struct topsource_agent *s, int64_t now_us, struct err *err) {
    struct buf request;
    json_t *answer = NULL;
    int r;

    if (s->have_now && now_us - s->polled_us < POLL_US)
        return 0;
    s->polled_us = now_us;
    begin_request(&request, "/api/v1/targets", NULL, NULL, 0);
    r = ask(s, &request, &answer, err);
    buf_done(&request);
    return r < 0 ? r : take_now(s, answer, true);
}

static int look_at_stream(struct topsource_agent *s) {
    s->looked_us = clock_mono_us();
    return agentstream_poll(&s->stream, on_event, s);
}

static int refresh_now(struct topsource_agent *s, struct err *err) {
    int r = look_at_stream(s);

    if (s->stream.status)
        r = poll_list(s, s->looked_us, err);
    s->shown = s->have_now ? &s->now : NULL;
    s->shown_at_ms = 0;
    s->host.at_ms = s->now.at_ms;
    if (!s->have_now)
        return r < 0 && r != -EAGAIN
                   ? agentclient_silence(s->socket, r, err)
                   : err_set(err, -ETIMEDOUT, "the agent at '%s' did not answer in time",
                             s->socket);
    return is_silent(s) ? say_silence(s, err) : 0;
}

/* --- what was --------------------------------------------------------------------------------- */

static int nothing_at(const struct topsource_agent *s, int64_t at_ms, struct err *err) {
    struct buf text;
    int r;

    buf_init(&text, 200);
    buf_add(&text, STR("nothing was recorded at "));
    clock_add_rfc3339(&text, at_ms);
    if (s->host.oldest_ms > 0) {
        buf_add(&text, STR("; the history begins at "));
        clock_add_rfc3339(&text, s->host.oldest_ms);
    }
    r = err_set(err, -ENODATA, "%.*s", STR_ARG(buf_str(&text)));
    buf_done(&text);
    return r;
}

static int refresh_past(struct topsource_agent *s, int64_t at_ms, struct err *err) {
    struct buf request;
    json_t *answer = NULL;
    int r;

    (void)look_at_stream(s); /* or it would pile up */
    if (s->shown == &s->past && s->shown_at_ms == at_ms)
        return 0;    /* what was does not change */
    s->shown = NULL; /* whatever fails: rows of another moment are none of this one */
    s->shown_at_ms = s->host.at_ms = at_ms;
    begin_request(&request, "/api/v1/targets", NULL, "at", at_ms);
    r = ask(s, &request, &answer, err);
    buf_done(&request);
    if (r == -ETIMEDOUT && ticks_come(s))
        return err_set(err, -EAGAIN, "the agent is slow to answer; trying again");
    if (r == -ETIMEDOUT || r == -ECONNREFUSED)
        return say_silence(s, err);
    if (r == -EAGAIN)
        return r;
    if (r == 0) {
        r = toprows_load(&s->past, answer);
        if (r < 0)
            (void)err_set(err, r, "cannot read the agent's answer:");
    }
    json_decref(answer);
    if (r < 0)
        return r == -ENOENT ? err_set(err, -ENODATA, "%s", err->text) : r;
    if (toprows_count(&s->past) == 0)
        return nothing_at(s, at_ms, err);
    s->shown = &s->past;
    return 0;
}

/* --- the agent itself ------------------------------------------------------------------------- */

static uint64_t figure(const json_t *tree, const char *part, const char *key) {
    json_int_t value = json_integer_value(json_object_get(json_object_get(tree, part), key));

    return value > 0 ? (uint64_t)value : 0;
}

static void take_health(struct topsource_agent *s, const json_t *tree, int64_t now_us) {
    uint64_t cpu_us = figure(tree, "collector", "cpu_us") + figure(tree, "front", "cpu_us");
    struct tui_host *h = &s->host;

    h->oldest_ms = (int64_t)figure(tree, "store", "oldest_ms");
    h->cost_rss = figure(tree, "collector", "rss") + figure(tree, "front", "rss");
    h->have_cost = s->cpu_at_us > 0 && cpu_us >= s->cpu_us && now_us > s->cpu_at_us;
    if (h->have_cost)
        h->cost_cpu_centi = (cpu_us - s->cpu_us) * 10000 / (uint64_t)(now_us - s->cpu_at_us);
    s->cpu_us = cpu_us;
    s->cpu_at_us = now_us;
}

static void take_about(struct topsource_agent *s, const json_t *tree) {
    const char *host = json_string_value(json_object_get(tree, "host"));
    json_int_t interval = json_integer_value(json_object_get(tree, "interval_ms"));

    if (host && str_copy(str_of(host), s->name, sizeof(s->name)) == 0)
        s->host.name = str_of(s->name);
    if (interval > 0 && interval < 24 * 3600 * 1000)
        s->interval_ms = interval;
}

static json_t *get(struct topsource_agent *s, const char *path) {
    struct buf request;
    json_t *answer = NULL;
    struct err err;

    begin_request(&request, path, NULL, NULL, 0);
    (void)ask(s, &request, &answer, &err);
    buf_done(&request);
    return answer;
}

static void look_at_agent(struct topsource_agent *s) {
    int64_t now_us = clock_mono_us();
    json_t *tree;

    if (s->health_us > 0 && now_us - s->health_us < HEALTH_US)
        return;
    if (s->host.name.n == 0) {
        tree = get(s, "/api/v1/about");
        take_about(s, tree);
        json_decref(tree);
    }
    s->health_us = now_us;
    tree = get(s, "/healthz");
    if (tree)
        take_health(s, tree, now_us);
    json_decref(tree);
}

static int refresh(void *ctx, int64_t at_ms, struct err *err) {
    struct topsource_agent *s = ctx;
    int r = at_ms > 0 ? refresh_past(s, at_ms, err) : refresh_now(s, err);

    if (r == 0)
        look_at_agent(s);
    if (s->shown && s->shown->machine && s->shown->machine->have_sample)
        s->host.sample = &s->shown->machine->sample;
    else
        s->host.sample = NULL;
    return r;
}

/* --- what the screen reads -------------------------------------------------------------------- */

static size_t count_rows(void *ctx) {
    const struct topsource_agent *s = ctx;

    return s->shown ? toprows_count(s->shown) : 0;
}

static const struct tui_row *row_at(void *ctx, size_t i) {
    return toprows_at(((struct topsource_agent *)ctx)->shown, i);
}

static const struct tui_host *host(void *ctx) {
    return &((struct topsource_agent *)ctx)->host;
}

static int ask_sparks(void *ctx, const struct topsparks_query *q, struct str key, json_t **out) {
    struct buf request;
    struct err err;
    int r;

    begin_request(&request, "/api/v1/sparks", NULL, NULL, 0);
    agentclient_param(&request, "metric", str_of(metric_info(q->metric)->key));
    agentclient_param_ms(&request, "from", q->from_ms);
    agentclient_param_ms(&request, "to", q->to_ms);
    agentclient_param_ms(&request, "points", (int64_t)q->n);
    if (key.n > 0)
        agentclient_param(&request, "target", key);
    r = ask(ctx, &request, out, &err);
    buf_done(&request);
    return r;
}

/* What the store does not know yet of the last seconds, the row does. */
static void complete(const struct tui_row *row, enum metric m, size_t n, uint64_t *out) {
    size_t known = n;

    if (!row->sample || !sample_has(row->sample, m) || row->sample->value[m] == SAMPLE_NONE)
        return;
    while (known > 0 && out[known - 1] == TUI_UNKNOWN)
        known--;
    for (size_t i = known; known > 0 && n - known <= n / 4 && i < n; i++)
        out[i] = row->sample->value[m];
}

static int history(void *ctx, const struct tui_row *row, enum metric m, int64_t from_ms,
                   int64_t to_ms, size_t n, uint64_t *out) {
    struct topsource_agent *s = ctx;
    uint64_t series = row->id & TOPROWS_SERIES;
    const struct topsparks_query q = {m, series, row->key, from_ms, to_ms, n, s->shown_at_ms == 0};
    int r = row->id & TOPROWS_NO_SERIES
                ? -ENODATA
                : topsparks_get(&s->sparks, &q, clock_mono_us(), ask_sparks, s, out);

    if (r == 0 && q.now)
        complete(row, m, n, out);
    return r;
}

static bool is_kept(const struct topsource_agent *s, const struct kept *k,
                    const struct tui_row *row, int64_t lasts_us) {
    return k->have && k->id == (row ? row->id : 0) && k->at_ms == s->shown_at_ms &&
           (s->shown_at_ms > 0 || clock_mono_us() - k->asked_us < lasts_us);
}

static void keep(const struct topsource_agent *s, struct kept *k, const struct tui_row *row) {
    *k = (struct kept){true, row ? row->id : 0, s->shown_at_ms, clock_mono_us()};
}

static int read_processes(struct topsource_agent *s, json_t *answer) {
    struct tui_process *p;
    int r;

    pspast_done(&s->procs);
    s->processes = 0;
    r = pspast_read(&s->procs, answer, NULL);
    if (r < 0)
        return r;
    p = reallocarray(s->process, s->procs.procs.n + 1, sizeof(*p));
    if (!p)
        return -ENOMEM;
    s->process = p;
    for (size_t i = 0; i < s->procs.procs.n; i++)
        topproc_take(&s->procs.procs, &s->procs.procs.row[i], &p[i]);
    s->processes = s->procs.procs.n;
    return 0;
}

static int processes(void *ctx, const struct tui_row *row, const struct tui_process **out,
                     size_t *n_out, struct err *err) {
    struct topsource_agent *s = ctx;
    struct buf request;
    json_t *answer = NULL;
    int r = 0;

    if (!is_kept(s, &s->processes_of, row, PROCESSES_US)) {
        begin_request(&request, "/api/v1/processes", row, "at", s->shown_at_ms);
        r = ask(s, &request, &answer, err);
        buf_done(&request);
        if (r == 0 && read_processes(s, answer) < 0)
            r = err_set(err, -EBADMSG, "cannot read the agent's answer");
        json_decref(answer);
        keep(s, &s->processes_of, row);
        s->processes_of.have = r == 0;
    }
    *out = s->process;
    *n_out = r == 0 ? s->processes : 0;
    return r;
}

/* Of one target, or of all; of one kind, or all kinds. */
static int ask_events(struct topsource_agent *s, const struct tui_row *row, const char *kind,
                      int (*take)(struct topevents *t, json_t *answer), struct err *err) {
    struct buf request;
    json_t *answer = NULL;
    int r;

    begin_request(&request, "/api/v1/events", NULL, NULL, 0);
    if (row)
        agentclient_param(&request, "target", row->key);
    if (kind)
        agentclient_param(&request, "kind", str_of(kind));
    if (s->shown_at_ms > 0)
        agentclient_param_ms(&request, "to", s->shown_at_ms);
    agentclient_param_ms(&request, "limit", TOPEVENTS_ASKED);
    r = ask(s, &request, &answer, err);
    buf_done(&request);
    if (r == 0 && take(&s->events, answer) < 0)
        r = err_set(err, -EBADMSG, "cannot read the agent's answer");
    json_decref(answer);
    return r;
}

static int events(void *ctx, const struct tui_row *row, const struct tui_event **out, size_t *n_out,
                  struct err *err) {
    struct topsource_agent *s = ctx;
    int r = 0;

    if (!is_kept(s, &s->events_of, row, EVENTS_US)) {
        r = ask_events(s, row, NULL, topevents_load, err);
        if (r == 0 && topevents_are_cut(&s->events))
            r = ask_events(s, row, "oom", topevents_add_kills, err);
        keep(s, &s->events_of, row);
        s->events_of.have = r == 0;
    }
    *out = s->events.event;
    *n_out = r == 0 ? s->events.n : 0;
    return r;
}

/* --- begin and end ---------------------------------------------------------------------------- */

int topsource_agent_new(const char *socket, struct topsource_agent **out, struct err *err) {
    struct topsource_agent *s = calloc(1, sizeof(*s));
    int64_t until_us = clock_mono_us() + FIRST_US;
    int r;

    if (!s)
        return err_set(err, -ENOMEM, "out of memory");
    s->socket = socket;
    s->host.agent = true;
    s->interval_ms = 1000;
    s->patience_us = DRAW_US;
    agentstream_init(&s->stream, socket);
    do {
        r = refresh(s, 0, err);
        if (r == -ETIMEDOUT)
            agentstream_wait(&s->stream, until_us);
    } while (r == -ETIMEDOUT && clock_mono_us() < until_us);
    if (r < 0) {
        topsource_agent_free(s);
        return r;
    }
    *out = s;
    return 0;
}

void topsource_agent_free(struct topsource_agent *s) {
    if (!s)
        return;
    agentstream_done(&s->stream);
    toprows_done(&s->now);
    toprows_done(&s->past);
    topsparks_done(&s->sparks);
    topevents_done(&s->events);
    pspast_done(&s->procs);
    free(s->process);
    free(s);
}

struct tui_source topsource_agent_source(struct topsource_agent *s) {
    return (struct tui_source){
        .ctx = s,
        .refresh = refresh,
        .rows = count_rows,
        .row = row_at,
        .host = host,
        .history = history,
        .processes = processes,
        .events = events,
        .fd = -1, /* the stream tells of each tick: a refresh at its time is soon enough */
    };
}
