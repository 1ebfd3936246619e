/* /api/v1/targets: every target now, or as of a moment of the past. */
#include <errno.h>
#include <string.h>

#include "base/mem.h"
#include "web/past.h"
#include "web/row.h"

enum { TARGETS_MATCHES = 64 };

struct listing {
    struct site *site;
    struct json j;
    bool begun;
    int64_t at_ms;
    /* now: */
    bool all;
    uint32_t uid[TARGETS_MATCHES]; /* when not all */
    size_t uids, next;
    uint64_t era;
    int64_t after; /* when all */
    /* then: */
    struct past past;
    bool from_past;
};

static void listing_done(void *ctx) {
    struct listing *l = ctx;

    past_done(&l->past);
    free(l);
}

/* The next row that is to be listed; NULL at the end. */
static struct live_row *next_live(struct listing *l) {
    struct live_row *row = NULL;

    if (l->era != l->site->era)
        return NULL;
    if (l->all) {
        row = live_after(l->site->live, l->after);
        if (row)
            l->after = row->uid;
        return row;
    }
    while (!row && l->next < l->uids)
        row = live_find(l->site->live, l->uid[l->next++]);
    return row;
}

static bool add_next(struct listing *l) {
    if (l->from_past)
        return past_add_row(&l->past, l->site, l->at_ms, &l->j);
    struct live_row *live = next_live(l);

    if (!live)
        return false;
    struct row row = row_of_live(l->site, live);

    row.at_ms = l->at_ms;
    row_add_json(&l->j, l->site, &row);
    return true;
}

static int more(struct answer *a, struct buf *out) {
    struct listing *l = a->ctx;

    if (!l->begun) {
        json_start(&l->j, out);
        json_begin_object(&l->j);
        json_key(&l->j, "at_ms");
        json_i64(&l->j, l->at_ms);
        json_key(&l->j, "targets");
        json_begin_array(&l->j);
        l->begun = true;
    }
    while (out->n < ANSWER_PIECE)
        if (!add_next(l)) {
            json_end(&l->j);
            json_end(&l->j);
            buf_add_char(out, '\n');
            return ANSWER_END;
        }
    return ANSWER_MORE;
}

static void choose(struct listing *l, struct str word) {
    struct live_row *row[TARGETS_MATCHES];
    size_t n = live_resolve(l->site->live, word, row, TARGETS_MATCHES);

    for (size_t i = 0; i < n && i < TARGETS_MATCHES; i++)
        l->uid[l->uids++] = row[i]->uid;
    l->all = false;
}

void api_targets(struct site *site, const struct request *rq, struct answer *a) {
    struct listing *l = calloc(1, sizeof(*l));
    struct str word;
    bool have_word = request_arg(rq, "target", &word), have_at;
    struct str at;

    if (!l) {
        answer_error(a, 503, "no memory");
        return;
    }
    *l = (struct listing){.site = site, .all = true, .after = -1, .era = site->era};
    a->ctx = l;
    a->done = listing_done;
    a->more = more;
    l->at_ms = site->told_ms ? site->told_ms : rq->now_ms;
    have_at = request_arg(rq, "at", &at);
    if (!request_time(rq, "at", &l->at_ms, a))
        return;
    if (have_at) {
        l->from_past = true;
        past_list(&l->past, site, l->at_ms - PAST_SLACK_MS, l->at_ms, have_word ? &word : NULL, a);
    } else if (have_word) {
        choose(l, word);
        if (l->uids == 0)
            answer_error(a, 404, "no target is called '%.*s'", STR_ARG(str_head(word, 200)));
    }
}
