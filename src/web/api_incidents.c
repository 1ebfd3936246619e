/* /api/v1/incidents: what the kernel killed for memory, and what guards saw, decided and did,
 * newest first. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "web/past.h"
#include "web/web.h"

enum { INCIDENTS_MAX = 1000, INCIDENTS_USUAL = 100, INCIDENTS_TEXT = 16 << 20 };

/* The kinds of guards' records, as the store keeps them; "oom" is the kernel's. */
static const char *const kinds[] = {"hang", "gc", "guard", "begin", "mark", "guarded"};

/* --- as the store keeps them ------------------------------------------------------------------ */

const char *web_audit_word(const struct audit *a) {
    switch (a->kind) {
    case AUDIT_BEGIN:
        return "begin";
    case AUDIT_MARK:
        return "mark";
    case AUDIT_GUARD:
    case AUDIT_OVER:
        return "guarded";
    case AUDIT_HANG:
    case AUDIT_END:
    case AUDIT_UNDO:
    case AUDIT_N:
        break;
    }
    return audit_event_word(a);
}

void web_add_audit(struct buf *out, const struct audit *a, const struct wire_target *t) {
    struct buf key;
    struct json j;

    buf_init(&key, WIRE_MESSAGE);
    live_add_key(&key, t);
    json_start(&j, out);
    json_begin_object(&j);
    json_key_str(&j, "kind", str_of(web_audit_word(a)));
    json_key_str(&j, "record", str_of(audit_kind_name(a->kind)));
    json_key_str(&j, "key", buf_str(&key));
    audit_add_members(&j, a, NULL);
    json_end(&j);
    buf_done(&key);
}

/* --- the list --------------------------------------------------------------------------------- */

struct found {
    int64_t at_ms, series, id; /* id: of a kill; 0: not on disk yet, or none */
    size_t text, length, number;
};

struct incidents {
    const struct request *rq;
    struct found *found;
    size_t n, ooms, limit;
    struct buf text;
};

/* The text is an object that web_add_oom or web_add_audit wrote. */
static int add(struct incidents *l, int64_t id, int64_t series, int64_t at_ms, struct str json) {
    if (json.n < 2 || json.p[0] != '{' || json.p[json.n - 1] != '}')
        return 0;
    l->found[l->n] = (struct found){at_ms, series, id, l->text.n, json.n, l->n};
    l->n++;
    buf_add(&l->text, json);
    return buf_error(&l->text);
}

static int take_oom(void *ctx, int64_t id, int64_t series, int64_t at_ms, uint64_t kills,
                    struct str json) {
    (void)kills;
    return add(ctx, id, series, at_ms, json);
}

static bool is_audit(struct str kind) {
    for (size_t i = 0; i < ARRAY_N(kinds); i++)
        if (str_eq(kind, str_of(kinds[i])))
            return true;
    return false;
}

static int take_event(void *ctx, const struct store_event *event) {
    struct incidents *l = ctx;
    int r;

    if (!is_audit(event->kind) || !request_wants(l->rq, "kind", event->kind))
        return 0;
    r = add(l, 0, event->series, event->at_ms, event->json);
    return r < 0 ? r : l->n - l->ooms >= l->limit;
}

/* Of records of one moment, the one that was told later is the newer. */
static int newest_first(const void *a, const void *b) {
    const struct found *x = a, *y = b;

    if (x->at_ms != y->at_ms)
        return x->at_ms < y->at_ms ? 1 : -1;
    return (x->number > y->number) - (x->number < y->number);
}

static int collect(struct incidents *l, struct site *site, int64_t series, int64_t from_ms,
                   int64_t to_ms) {
    int r = 0;

    if (request_wants(l->rq, "kind", STR("oom")))
        r = store_ooms(site->store, series, from_ms, to_ms, l->limit, take_oom, l);
    l->ooms = l->n;
    if (r >= 0)
        r = store_events(site->store, series, from_ms, to_ms, take_event, l);
    if (r >= 0 && l->n > 1)
        qsort(l->found, l->n, sizeof(*l->found), newest_first);
    return r;
}

static void add_all(const struct incidents *l, struct buf *out) {
    struct json j;

    json_start(&j, out);
    json_begin_object(&j);
    json_key(&j, "incidents");
    json_begin_array(&j);
    for (size_t i = 0; i < l->n && i < l->limit; i++) {
        const struct found *f = &l->found[i];
        struct str json = {l->text.p + f->text, f->length};

        json_begin_object(&j);
        if (!str_starts(json, STR("{\"kind\":\"oom\"")))
            json_key_u64(&j, "series", (uint64_t)f->series); /* it has an id of its own */
        else {
            json_key_maybe(&j, "id", f->id > 0, (uint64_t)f->id);
            json_key(&j, "series");
            json_i64(&j, f->series);
        }
        if (json.n > 2) {
            buf_add_char(out, ',');
            buf_add(out, (struct str){json.p + 1, json.n - 2});
        }
        json_end(&j);
    }
    json_end(&j);
    json_end(&j);
    buf_add_char(out, '\n');
}

static bool kinds_are_known(const struct request *rq, struct answer *a) {
    for (size_t i = 0; i < rq->args; i++) {
        struct str value = rq->arg[i].value;

        if (!str_eq(rq->arg[i].key, STR("kind")) || str_eq(value, STR("oom")) || is_audit(value))
            continue;
        answer_error(a, 400,
                     "there are no incidents of kind '%.*s': oom, hang, gc, guard, begin, mark, "
                     "guarded",
                     STR_ARG(str_head(value, 60)));
        return false;
    }
    return true;
}

void api_incidents(struct site *site, const struct request *rq, struct answer *a) {
    int64_t from_ms = 0, to_ms = INT64_MAX, series = 0;
    struct incidents l = {.rq = rq};
    uint64_t limit = INCIDENTS_USUAL;
    struct str word;
    int r;

    if (!request_time(rq, "from", &from_ms, a) || !request_time(rq, "to", &to_ms, a) ||
        !kinds_are_known(rq, a) || !request_number(rq, "limit", INCIDENTS_MAX, &limit, a))
        return;
    if (!site->store) {
        answer_error(a, 404, "there is no history here");
        return;
    }
    if (request_arg(rq, "target", &word) && !past_series(site, word, from_ms, to_ms, &series, a))
        return;
    l.limit = (size_t)limit;
    l.found = calloc(2 * l.limit + 1, sizeof(*l.found));
    buf_init(&l.text, INCIDENTS_TEXT);
    r = l.found ? collect(&l, site, series, from_ms, to_ms) : -ENOMEM;
    if (r < 0)
        answer_error(a, 503, "cannot read the history: %s", strerror(-r));
    else
        add_all(&l, &a->piece);
    buf_done(&l.text);
    free(l.found);
}
