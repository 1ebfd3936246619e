/* /api/v1/incidents: what the kernel killed for memory, newest first. */
#include <errno.h>
#include <string.h>

#include "web/past.h"

enum { INCIDENTS_MAX = 1000, INCIDENTS_USUAL = 100 };

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
    if (request_arg(rq, "target", &word) && !past_series(site, word, from_ms, to_ms, &series, a))
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
