/* The last ten minutes, as the agent has them. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "act/dumpint.h"
#include "base/clock.h"
#include "base/num.h"
#include "net/unixhttp.h"

enum {
    WAIT_US = 2000000,
    ANSWER_MAX = DUMP_FILE_MAX + UNIXHTTP_HEAD_MAX,
    MOMENTS = 6, /* in the line of the summary */
};

/* Whatever is no letter or digit: a path may hold any byte. */
static void add_encoded(struct buf *out, struct str text) {
    for (size_t i = 0; i < text.n; i++) {
        unsigned char c = (unsigned char)text.p[i];

        if ((c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
            c == '/' || c == '-' || c == '_' || c == '.')
            buf_add_char(out, (char)c);
        else
            buf_add_format(out, "%%%02X", c);
    }
}

/* --- how it came to this ---------------------------------------------------------------------- */

struct point {
    uint64_t at_ms, value;
};

/* "[1763711296123,253755392]," and what follows of the same shape; numbers with a fraction, nulls
 * and more values behind are skipped. */
static bool next_point(struct str *rest, struct point *out) {
    struct str point, at;

    while (str_skip(rest, STR("[")) && str_cut(rest, ']', &point)) {
        struct point p;
        bool good = str_cut(&point, ',', &at) && str_to_u64(at, &p.at_ms) == 0 &&
                    str_to_u64(point, &p.value) == 0;

        (void)str_skip(rest, STR(","));
        if (!good)
            continue;
        *out = p;
        return true;
    }
    return false;
}

/* The first metric's points: used. */
static void tell_history(struct dump *d, struct str json) {
    static const char key[] = "\"points\":[";
    const char *found = memmem(json.p, json.n, key, sizeof(key) - 1);
    struct point p, first = {0}, last = {0};
    uint64_t most = 0, next_ms = 0, most_at = 0;
    struct str rest;

    if (!found)
        return;
    rest = str_from(json, (size_t)(found - json.p) + sizeof(key) - 1);
    while (next_point(&rest, &p)) {
        if (first.at_ms == 0)
            first = p, next_ms = p.at_ms;
        if (p.value > most)
            most = p.value, most_at = p.at_ms;
        if (p.at_ms >= next_ms) { /* one now and then, from the first on */
            buf_add_format(&d->history, "%s%lu s ago ", d->history.n > 0 ? ", " : "",
                           ((uint64_t)d->at_ms > p.at_ms ? (uint64_t)d->at_ms - p.at_ms : 0) /
                               1000);
            num_add_iec(&d->history, p.value);
            next_ms = p.at_ms + DUMP_SERIES_S * (uint64_t)1000 / MOMENTS;
        }
        last = p;
    }
    if (first.at_ms == 0)
        return;
    buf_add(&d->history, STR("; last "));
    num_add_iec(&d->history, last.value);
    buf_add(&d->history, STR("; highest "));
    num_add_iec(&d->history, most);
    buf_add_format(&d->history, " %lu s ago",
                   ((uint64_t)d->at_ms > most_at ? (uint64_t)d->at_ms - most_at : 0) / 1000);
}

/* --- asking ----------------------------------------------------------------------------------- */

static int64_t deadline_of(const struct dump *d) {
    int64_t us = clock_mono_us() + WAIT_US;

    return us < d->end_us ? us : d->end_us;
}

/* 0, and the answer's body; else it is missed. */
static int ask(struct dump *d, const char *part, struct buf *request, struct buf *answer,
               struct str *body_out) {
    struct unixhttp http = {0};
    int r;

    buf_add_char(request, '\0');
    r = buf_error(request);
    if (r == 0)
        r = unixhttp_get(d->terms->socket, request->p, deadline_of(d), answer, &http);
    if (r == -ENOENT || r == -ECONNREFUSED) {
        dump_lacks(d, 0, part, "no agent answers at %.120s", d->terms->socket);
    } else if (r < 0) {
        dump_missed(d, 0, part, r);
    } else if (http.status != 200) {
        dump_lacks(d, 0, part, "the agent has no history of it (status %u)", http.status);
        r = -ENODATA;
    } else {
        *body_out = http.body;
    }
    return r;
}

static int save(struct dump *d, const char *part, struct buf *request, bool used_first) {
    struct buf answer;
    struct str body;
    int r;

    buf_init(&answer, ANSWER_MAX);
    r = ask(d, part, request, &answer, &body);
    if (r == 0) {
        int w = dumpstore_write(&d->store, d->store.dir, part, body, NULL);

        if (w < 0)
            dump_missed(d, 0, part, w);
        if (used_first)
            tell_history(d, body);
    }
    buf_done(&answer);
    return r;
}

void dump_series(struct dump *d) {
    static const char *const metrics[] = {
        "used",      "usage",     "anon",         "file",      "shmem",          "kernel",
        "swap",      "limit",     "pids",         "failcnt",   "psi_some_avg10", "psi_full_avg10",
        "oom_kills", "under_oom", "refault_file", "pgmajfault"};
    struct buf request;
    int r;

    if (!d->terms->socket)
        return;
    buf_init(&request, 32768);
    buf_add_format(&request, "/api/v1/series?from=-%ds&target=", DUMP_SERIES_S);
    add_encoded(&request, str_of(d->g->path));
    for (size_t i = 0; i < sizeof(metrics) / sizeof(metrics[0]); i++)
        buf_add_format(&request, "&metric=%s", metrics[i]);
    r = save(d, "series.json", &request, true);
    buf_clear(&request);
    if (r == 0) {
        buf_add_format(&request, "/api/v1/events?from=-%ds&target=", DUMP_SERIES_S);
        add_encoded(&request, str_of(d->g->path));
        (void)save(d, "events.json", &request, false);
    }
    buf_done(&request);
}
