/* /api/v1/events: what happened to targets, OOM kills among it, newest first. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "web/past.h"
#include "web/web.h"

enum {
    EVENTS_MAX = 1000,
    EVENTS_USUAL = 200,
    EVENTS_TEXT = 16 << 20,
    EVENTS_SEEN = 20000, /* looked at for one answer: some 20 ms */
};

/* --- as the store keeps them ------------------------------------------------------------------ */

void web_add_event(struct buf *out, const struct web_event *e, const struct wire_target *t) {
    struct buf key;
    struct json j;

    buf_init(&key, WIRE_MESSAGE);
    live_add_key(&key, t);
    json_start(&j, out);
    json_begin_object(&j);
    json_key_str(&j, "kind", str_of(e->kind));
    json_key(&j, "at_ms");
    json_i64(&j, e->at_ms);
    json_key(&j, "ts");
    json_time_ms(&j, e->at_ms);
    json_key_str(&j, "key", buf_str(&key));
    json_key_str(&j, "name", row_name(t));
    json_key_maybe_str(&j, "target", t->path);
    if (e->restarts > 0)
        json_key_u64(&j, "restarts", e->restarts);
    if (e->from != e->to) {
        json_key_maybe(&j, "from", e->from != SAMPLE_NONE, e->from);
        json_key_maybe(&j, "to", e->to != SAMPLE_NONE, e->to);
    }
    json_end(&j);
    buf_done(&key);
}

/* --- collected -------------------------------------------------------------------------------- */

/* What is dropped first when there is too much: what comes and goes all the time, and OOM kills
 * last. */
enum rank { RANK_LIFE, RANK_OTHER, RANK_OOM, RANK_N };

struct found {
    int64_t at_ms, series, id; /* id > 0: of an OOM kill */
    size_t text, length;
    size_t number; /* in the order they were given: newest first */
    enum rank rank;
};

struct events {
    const struct request *rq;
    struct found *found;
    size_t n, limit, seen;
    size_t ranked[RANK_N]; /* of each, at most `limit` are in `found`, and counted one more */
    int64_t from_ms;       /* all that happened since is in the list */
    bool cut;
    struct buf text;
};

/* Steps between: the list of incidents has them, an event is what came of them. */
static bool is_step(const struct request *rq, struct str kind) {
    struct str asked;

    return !request_arg(rq, "kind", &asked) &&
           (str_eq(kind, STR("begin")) || str_eq(kind, STR("mark")) ||
            str_eq(kind, STR("guarded")));
}

static enum rank rank_of(struct str kind) {
    return str_eq(kind, STR("start")) || str_eq(kind, STR("end")) ? RANK_LIFE : RANK_OTHER;
}

static void leave_out(struct events *e, int64_t at_ms) {
    e->cut = true;
    if (at_ms >= e->from_ms)
        e->from_ms = at_ms + 1;
}

/* The text is an object that web_add_event or web_add_oom wrote. */
static void add(struct events *e, enum rank rank, int64_t at_ms, int64_t series, int64_t id,
                struct str json) {
    if (json.n < 2 || json.p[0] != '{' || json.p[json.n - 1] != '}' || e->ranked[rank] > e->limit)
        return;
    if (e->ranked[rank]++ == e->limit) {
        leave_out(e, at_ms);
        return;
    }
    e->found[e->n] = (struct found){
        .at_ms = at_ms,
        .series = series,
        .id = id,
        .text = e->text.n,
        .length = json.n,
        .number = e->n,
        .rank = rank,
    };
    buf_add(&e->text, json);
    e->n++;
}

static int take_oom(void *ctx, int64_t id, int64_t series, int64_t at_ms, uint64_t kills,
                    struct str json) {
    struct events *e = ctx;

    (void)kills;
    add(e, RANK_OOM, at_ms, series, id, json);
    return buf_error(&e->text);
}

static int take_event(void *ctx, const struct store_event *event) {
    struct events *e = ctx;

    if (++e->seen > EVENTS_SEEN) {
        leave_out(e, event->at_ms);
        return 1;
    }
    if (request_wants(e->rq, "kind", event->kind) && !is_step(e->rq, event->kind))
        add(e, rank_of(event->kind), event->at_ms, event->series, 0, event->json);
    if (buf_error(&e->text) < 0)
        return buf_error(&e->text);
    return e->ranked[RANK_LIFE] > e->limit && e->ranked[RANK_OTHER] > e->limit;
}

static int newest_first(const void *a, const void *b) {
    const struct found *x = a, *y = b;

    if (x->at_ms != y->at_ms)
        return x->at_ms < y->at_ms ? 1 : -1;
    return (x->number > y->number) - (x->number < y->number);
}

/* The oldest of the lowest rank go until `limit` are left. */
static void cut_to_limit(struct events *e) {
    size_t over = e->n > e->limit ? e->n - e->limit : 0, kept = 0;

    for (enum rank rank = 0; rank < RANK_N && over > 0; rank++)
        for (size_t i = e->n; i-- > 0 && over > 0;)
            if (e->found[i].rank == rank) {
                leave_out(e, e->found[i].at_ms);
                e->found[i].rank = RANK_N;
                over--;
            }
    for (size_t i = 0; i < e->n; i++)
        if (e->found[i].rank != RANK_N)
            e->found[kept++] = e->found[i];
    e->n = kept;
}

static void add_all(const struct events *e, struct buf *out) {
    struct json j;

    json_start(&j, out);
    json_begin_object(&j);
    json_key(&j, "events");
    json_begin_array(&j);
    for (size_t i = 0; i < e->n; i++) {
        const struct found *f = &e->found[i];

        json_begin_object(&j);
        if (f->id > 0)
            json_key_u64(&j, "id", (uint64_t)f->id);
        json_key(&j, "series");
        json_i64(&j, f->series);
        if (f->length > 2) {
            buf_add_char(out, ',');
            buf_add(out, (struct str){e->text.p + f->text + 1, f->length - 2});
        }
        json_end(&j);
    }
    json_end(&j);
    json_key(&j, "cut");
    json_bool(&j, e->cut);
    json_key(&j, "from_ms");
    if (e->cut)
        json_i64(&j, e->from_ms);
    else
        json_unknown(&j);
    json_end(&j);
    buf_add_char(out, '\n');
}

static int collect(struct events *e, struct site *site, int64_t series, int64_t from_ms,
                   int64_t to_ms) {
    int r = 0;

    if (request_wants(e->rq, "kind", STR("oom")))
        r = store_ooms(site->store, series, from_ms, to_ms, e->limit + 1, take_oom, e);
    if (r >= 0)
        r = store_events(site->store, series, from_ms, to_ms, take_event, e);
    if (r >= 0 && e->n > 1)
        qsort(e->found, e->n, sizeof(*e->found), newest_first);
    if (r >= 0)
        cut_to_limit(e);
    return r;
}

/* The last is a kind of later versions: asking for it is no mistake. */
static bool kinds_are_known(const struct request *rq, struct answer *a) {
    static const char *const known[] = {"oom", "start", "end",   "restart", "limit",   "hang",
                                        "gc",  "guard", "begin", "mark",    "guarded", "alert"};

    for (size_t i = 0; i < rq->args; i++) {
        bool is_known = !str_eq(rq->arg[i].key, STR("kind"));

        for (size_t k = 0; k < ARRAY_N(known) && !is_known; k++)
            is_known = str_eq(rq->arg[i].value, str_of(known[k]));
        if (is_known)
            continue;
        answer_error(a, 400,
                     "there are no events of kind '%.*s': oom, start, end, restart, limit, "
                     "hang, gc, guard, begin, mark, guarded",
                     STR_ARG(str_head(rq->arg[i].value, 60)));
        return false;
    }
    return true;
}

/* False: the answer is an error. */
static bool read_span(const struct request *rq, int64_t *from_ms, int64_t *to_ms,
                      struct answer *a) {
    if (!request_time(rq, "from", from_ms, a) || !request_time(rq, "to", to_ms, a))
        return false;
    if (*from_ms > *to_ms)
        answer_error(a, 400, "'from' is after 'to'");
    return *from_ms <= *to_ms;
}

void api_events(struct site *site, const struct request *rq, struct answer *a) {
    int64_t from_ms = 0, to_ms = INT64_MAX, series = 0;
    struct events e = {.rq = rq};
    uint64_t limit = EVENTS_USUAL;
    struct str word;
    int r;

    if (!read_span(rq, &from_ms, &to_ms, a) || !kinds_are_known(rq, a) ||
        !request_number(rq, "limit", EVENTS_MAX, &limit, a))
        return;
    if (!site->store) {
        answer_error(a, 404, "there is no history here");
        return;
    }
    if (request_arg(rq, "target", &word) && !past_series(site, word, from_ms, to_ms, &series, a))
        return;
    e.limit = (size_t)limit;
    e.found = calloc(RANK_N * e.limit + 1, sizeof(*e.found));
    buf_init(&e.text, EVENTS_TEXT);
    r = e.found ? collect(&e, site, series, from_ms, to_ms) : -ENOMEM;
    if (r < 0)
        answer_error(a, 503, "cannot read the history: %s", strerror(-r));
    else
        add_all(&e, &a->piece);
    buf_done(&e.text);
    free(e.found);
}
