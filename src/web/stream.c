/* /api/v1/stream: server-sent events, made out of the live table when the reader has room.
 *
 * There are no queues. An event tells what changed since the last one that this reader was told,
 * whatever happened in between: a slow reader gets fewer and larger events, and a reader that comes
 * back with its Last-Event-ID is one that was slow. Where that is not enough (the table began
 * anew, removals are forgotten, the clock went back) a snapshot is sent.
 */
#include <errno.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "web/row.h"

enum {
    HEARTBEAT_US = 15 * 1000000,
    LATE_MS = 1000, /* a kill may be told so long after its moment; told twice is not told never */
};

enum part { PART_IDLE, PART_ROWS };

struct stream {
    struct site *site;
    struct json j;
    bool begun, local, snapshot;
    enum part part;
    uint64_t era;
    int64_t since_ms; /* what the reader knows; -1: nothing */
    int64_t upto_ms;  /* of the event that is being sent */
    int64_t after;    /* uid of the last row that was looked at */
    uint64_t gones;   /* of live->gones: told so far */
    uint64_t ooms;    /* of site->ooms: told so far */
    int64_t sent_us;  /* when something was last sent */
};

static void stream_done(void *ctx) {
    struct stream *s = ctx;

    s->site->streams--;
    if (s->local)
        s->site->local_streams--;
    s->site->live->self[LIVE_SELF_STREAMS] = s->site->streams;
    free(s);
}

/* Whether removals that the reader was not told were overwritten in the ring. */
static bool removals_forgotten(const struct stream *s) {
    const struct live *l = s->site->live;

    return l->gones > LIVE_GONE && s->gones < l->gones - LIVE_GONE;
}

static bool needs_snapshot(const struct stream *s) {
    const struct site *site = s->site;

    return s->since_ms < site->era_ms || s->era != site->era || site->told_ms < s->since_ms ||
           removals_forgotten(s);
}

static void begin_event(struct stream *s, struct buf *out) {
    s->snapshot = needs_snapshot(s);
    s->era = s->site->era;
    if (s->snapshot)
        s->gones = s->site->live->gones;
    s->upto_ms = s->site->told_ms;
    s->after = -1;
    s->part = PART_ROWS;
    buf_add_format(out, "id: %lld\nevent: %s\ndata: ", (long long)s->upto_ms,
                   s->snapshot ? "snapshot" : "tick");
    json_start(&s->j, out);
    json_begin_object(&s->j);
    json_key(&s->j, "at_ms");
    json_i64(&s->j, s->upto_ms);
    json_key(&s->j, "targets");
    json_begin_array(&s->j);
}

static void add_gone(struct stream *s) {
    const struct live *l = s->site->live;

    if (s->era != s->site->era)
        return;
    json_key(&s->j, "gone");
    json_begin_array(&s->j);
    for (; s->gones < l->gones; s->gones++)
        if (!s->snapshot)
            json_u64(&s->j, l->gone[s->gones % LIVE_GONE].uid);
    json_end(&s->j);
}

static void end_event(struct stream *s, struct buf *out) {
    json_end(&s->j);
    add_gone(s);
    json_end(&s->j);
    buf_add(out, STR("\n\n"));
    s->since_ms = s->upto_ms;
    s->part = PART_IDLE;
}

/* Rows until the piece is full. True: that was the last one. */
static bool add_rows(struct stream *s, struct buf *out) {
    while (out->n < ANSWER_PIECE) {
        struct live_row *r = s->era == s->site->era ? live_after(s->site->live, s->after) : NULL;

        if (!r)
            return true;
        s->after = r->uid;
        if (s->snapshot) {
            struct row row = row_of_live(s->site, r);

            row.at_ms = s->upto_ms;
            row_add_json(&s->j, s->site, &row);
        } else {
            row_add_changes(&s->j, s->site, r, s->since_ms);
        }
    }
    return false;
}

static void add_ooms(struct stream *s, struct buf *out) {
    struct site *site = s->site;

    if (site->ooms > SITE_OOMS && s->ooms < site->ooms - SITE_OOMS)
        s->ooms = site->ooms - SITE_OOMS; /* the list of incidents has them all */
    for (; s->ooms < site->ooms; s->ooms++) {
        const struct site_oom *told = &site->oom[s->ooms % SITE_OOMS];

        if (told->json)
            buf_add_format(out, "event: %s\ndata: %s\n\n", told->event, told->json);
    }
}

static int more(struct answer *a, struct buf *out) {
    struct stream *s = a->ctx;
    int64_t now_us = clock_mono_us();

    if (!s->begun) {
        buf_add(out, STR("retry: 2000\n\n"));
        s->begun = true;
    }
    if (s->part == PART_IDLE)
        add_ooms(s, out);
    if (s->part == PART_IDLE && s->site->told_ms != 0 &&
        (s->site->told_ms != s->since_ms || s->era != s->site->era))
        begin_event(s, out);
    if (s->part == PART_ROWS && add_rows(s, out))
        end_event(s, out);
    if (out->n == 0 && now_us - s->sent_us >= HEARTBEAT_US)
        buf_add(out, STR(":\n\n"));
    if (out->n == 0)
        return ANSWER_WAIT;
    s->sent_us = now_us;
    return ANSWER_MORE;
}

/* The first removal that a reader who knows all up to then may not know. */
static uint64_t gones_before(const struct live *l, int64_t since_ms) {
    uint64_t i = l->gones;

    while (i > 0 && l->gones - i < LIVE_GONE && l->gone[(i - 1) % LIVE_GONE].at_ms >= since_ms)
        i--;
    /* All that are remembered came later: perhaps so did what is not. */
    return i > 0 && l->gones - i == LIVE_GONE ? i - 1 : i;
}

/* Kills that came after what the reader has seen. */
static uint64_t ooms_before(const struct site *site, int64_t since_ms) {
    uint64_t i = site->ooms;

    while (i > 0 && site->ooms - i < SITE_OOMS &&
           site->oom[(i - 1) % SITE_OOMS].at_ms > since_ms - LATE_MS)
        i--;
    return i;
}

void stream_open(struct site *site, const struct request *rq, struct answer *a) {
    struct stream *s;
    int64_t since_ms;

    if (site->streams >= SITE_STREAMS || (rq->local && site->local_streams >= SITE_LOCAL_STREAMS)) {
        answer_error(a, 503, "too many streams are open");
        return;
    }
    s = calloc(1, sizeof(*s));
    if (!s) {
        answer_error(a, 503, "no memory");
        return;
    }
    *s = (struct stream){
        .site = site,
        .local = rq->local,
        .since_ms = -1,
        .era = site->era,
        .gones = site->live->gones,
        .ooms = site->ooms,
        .sent_us = clock_mono_us(),
    };
    if (str_to_i64(rq->last_event, &since_ms) == 0 && since_ms >= 0 && since_ms <= site->told_ms) {
        s->since_ms = since_ms;
        s->ooms = ooms_before(site, since_ms);
        s->gones = gones_before(site->live, since_ms);
    }
    site->streams++;
    if (s->local)
        site->local_streams++;
    site->live->self[LIVE_SELF_STREAMS] = site->streams;
    a->type = "text/event-stream";
    a->stream = true;
    a->ctx = s;
    a->done = stream_done;
    a->more = more;
}
