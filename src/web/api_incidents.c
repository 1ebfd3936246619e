/* /api/v1/incidents: what the kernel killed for memory, newest first. */
#include <errno.h>
#include <string.h>

#include "web/past.h"

enum { INCIDENTS_MAX = 1000, INCIDENTS_USUAL = 100, INCIDENTS_MATCHES = 8 };

struct writing {
    struct json j;
    struct buf *out;
};

/* The text is an object that web_add_oom wrote: the id goes in front. */
static int take(void *ctx, int64_t id, int64_t series, int64_t at_ms, uint64_t kills,
                struct str json) {
    struct writing *w = ctx;

    (void)at_ms, (void)kills;
    if (json.n < 2 || json.p[0] != '{' || json.p[json.n - 1] != '}')
        return 0;
    json_begin_object(&w->j);
    json_key_maybe(&w->j, "id", id > 0, (uint64_t)id); /* 0: not on disk yet */
    json_key(&w->j, "series");
    json_i64(&w->j, series);
    if (json.n > 2) {
        buf_add_char(w->out, ',');
        buf_add(w->out, (struct str){json.p + 1, json.n - 2});
    }
    json_end(&w->j);
    return 0;
}

/* The series of a target that lives or lived in the span. False: the answer is an error. */
static bool series_of(struct site *site, struct str word, int64_t from_ms, int64_t to_ms,
                      int64_t *out, struct answer *a) {
    struct live_row *row[INCIDENTS_MATCHES];
    size_t n = live_resolve(site->live, word, row, INCIDENTS_MATCHES);
    struct past past = {0};
    bool found;

    if (n == 1) {
        *out = row[0]->series;
        return true;
    }
    if (n > 1) {
        answer_error(a, 400, "%zu targets are called '%.*s': name one by its id or path", n,
                     STR_ARG(str_head(word, 200)));
        return false;
    }
    found = past_list(&past, site, from_ms, to_ms, &word, a);
    if (found && past.n > 1) {
        answer_error(a, 400, "%zu targets were called '%.*s' then: name one by its key", past.n,
                     STR_ARG(str_head(word, 200)));
        found = false;
    }
    if (found)
        *out = past.target[0].series;
    past_done(&past);
    return found;
}

void api_incidents(struct site *site, const struct request *rq, struct answer *a) {
    int64_t from_ms = 0, to_ms = INT64_MAX, series = 0;
    uint64_t limit = INCIDENTS_USUAL;
    struct writing w = {.out = &a->piece};
    struct str word;
    int r;

    if (!request_time(rq, "from", &from_ms, a) || !request_time(rq, "to", &to_ms, a) ||
        !request_number(rq, "limit", INCIDENTS_MAX, &limit, a))
        return;
    if (!site->store) {
        answer_error(a, 404, "there is no history here");
        return;
    }
    if (request_arg(rq, "target", &word) && !series_of(site, word, from_ms, to_ms, &series, a))
        return;
    json_start(&w.j, &a->piece);
    json_begin_object(&w.j);
    json_key(&w.j, "incidents");
    json_begin_array(&w.j);
    r = store_ooms(site->store, series, from_ms, to_ms, (size_t)limit, take, &w);
    if (r < 0) {
        answer_error(a, 503, "cannot read the history: %s", strerror(-r));
        return;
    }
    json_end(&w.j);
    json_end(&w.j);
    buf_add_char(&a->piece, '\n');
}
