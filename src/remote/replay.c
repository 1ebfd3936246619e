#include "remote/replay.h"

#include <errno.h>

#include "base/hash.h"
#include "base/mem.h"
#include "export/prompage.h"

enum { LABEL_BYTES = 1 << 20 };

/* A set of labels under which samples were given at the last step. */
struct told {
    struct told *next; /* of its bucket */
    struct prw_labels *labels;
    uint64_t hash;
    uint64_t metrics; /* given */
    uint32_t uid;     /* whose they are now: of two targets alike, the newer */
    bool seen;
};

struct table {
    struct told **bucket;
    size_t buckets, n; /* a power of two */
    struct hash_key key;
};

struct replay {
    struct replay_options options;
    struct cursor cursor;
    struct live memory[2], *now, *coming;
    bool beginning;     /* `coming` is being filled: its first tick makes it `now` */
    bool synced;        /* what comes can be understood */
    int64_t row;        /* the last that was taken */
    int64_t key_row;    /* the last KEY, */
    int64_t coming_key; /* and the one in `coming` */
    int64_t done_ms;    /* the last step that was gone through */
    int64_t last_ms;    /* of the last tick since the log was followed without a gap */
    uint64_t boot;
    struct table told;
    struct prw *request;
    char name[METRIC_N][64];
    struct replay_counts counts;
};

/* --- which series were given ------------------------------------------------------------------ */

static int table_grow(struct table *t) {
    size_t buckets = t->buckets ? 2 * t->buckets : 256;
    struct told **bucket = calloc(buckets, sizeof(struct told *));

    if (!bucket)
        return -ENOMEM;
    for (size_t i = 0; i < t->buckets; i++) {
        struct told *e = t->bucket[i];

        while (e) {
            struct told *next = e->next, **head = &bucket[e->hash & (buckets - 1)];

            e->next = *head;
            *head = e;
            e = next;
        }
    }
    free(t->bucket);
    t->bucket = bucket;
    t->buckets = buckets;
    return 0;
}

/* Finds it, or adds it. NULL: -ENOMEM. */
static struct told *table_get(struct table *t, struct prw_labels *labels) {
    struct str text = prw_labels_text(labels);
    uint64_t hash = hash_str(&t->key, text);
    struct told *e;

    if (t->n >= t->buckets && table_grow(t) < 0)
        return NULL;
    for (e = t->bucket[hash & (t->buckets - 1)]; e; e = e->next)
        if (e->hash == hash && str_eq(prw_labels_text(e->labels), text))
            return e;
    e = malloc(sizeof(*e));
    if (!e)
        return NULL;
    *e = (struct told){.next = t->bucket[hash & (t->buckets - 1)],
                       .labels = prw_labels_keep(labels),
                       .hash = hash};
    t->bucket[hash & (t->buckets - 1)] = e;
    t->n++;
    return e;
}

static void told_free(struct told *e) {
    prw_labels_drop(e->labels);
    free(e);
}

static void table_done(struct table *t) {
    for (size_t i = 0; i < t->buckets; i++)
        while (t->bucket[i]) {
            struct told *e = t->bucket[i];

            t->bucket[i] = e->next;
            told_free(e);
        }
    free(t->bucket);
}

/* --- its own life ----------------------------------------------------------------------------- */

static void drop_labels(void *labels) {
    prw_labels_drop(labels);
}

static int64_t step_before(const struct replay *r, int64_t at_ms) {
    return (at_ms - 1) / r->options.interval_ms * r->options.interval_ms;
}

static int make_names(struct replay *r) {
    struct buf b;
    int error = 0;

    buf_init(&b, sizeof(r->name[0]));
    for (unsigned m = 0; m < METRIC_N && error == 0; m++) {
        buf_clear(&b);
        metric_add_exported(&b, (enum metric)m);
        error = str_copy(buf_str(&b), r->name[m], sizeof(r->name[m]));
    }
    buf_done(&b);
    return error;
}

int replay_new(const struct replay_options *options, const struct cursor *from,
               struct replay **out) {
    struct replay *r = calloc(1, sizeof(*r));

    if (!r)
        return -ENOMEM;
    r->options = *options;
    r->cursor = *from;
    r->row = from->key_row > 0 ? from->key_row - 1 : 0;
    r->now = &r->memory[0];
    r->coming = &r->memory[1];
    for (unsigned i = 0; i < 2; i++) {
        live_init(&r->memory[i]);
        r->memory[i].labels_free = drop_labels;
    }
    /* The last step that was sent is gone through again, for the series that it had. */
    r->done_ms = step_before(r, from->sent_ms);
    hash_key_init(&r->told.key);
    if (table_grow(&r->told) < 0 || prw_new(&r->request) < 0 || make_names(r) < 0) {
        replay_free(r);
        return -ENOMEM;
    }
    *out = r;
    return 0;
}

void replay_free(struct replay *r) {
    if (!r)
        return;
    for (unsigned i = 0; i < 2; i++)
        live_done(&r->memory[i]);
    table_done(&r->told);
    prw_free(r->request);
    free(r);
}

int64_t replay_after(const struct replay *r) {
    return r->row;
}

void replay_lose(struct replay *r) {
    r->row = 0;
    r->synced = false;
}

const struct replay_counts *replay_counts(const struct replay *r) {
    return &r->counts;
}

size_t replay_targets(const struct replay *r) {
    return r->now->n;
}

int64_t replay_at_ms(const struct replay *r) {
    return r->now->at_ms;
}

/* --- labels ----------------------------------------------------------------------------------- */

/* Values are lent for the call only: their texts are put one behind the other. */
struct gathering {
    struct prw_label label[PRW_LABELS];
    unsigned n;
    struct buf text;
};

static int gather(void *ctx, const char *name, struct str value) {
    struct gathering *g = ctx;

    if (g->n == PRW_LABELS)
        return -E2BIG;
    g->label[g->n++] = (struct prw_label){str_of(name), {NULL, value.n}};
    buf_add(&g->text, value);
    return buf_error(&g->text);
}

static void point_to_texts(struct gathering *g) {
    const char *p = g->text.p;

    for (unsigned i = 0; i < g->n; i++) {
        g->label[i].value.p = p;
        p += g->label[i].value.n;
    }
}

/* The labels of a row, made when they are wanted first. NULL: -ENOMEM. */
static struct prw_labels *labels_of(const struct replay *r, struct live_row *row) {
    struct gathering g = {.n = 0};
    struct prw_labels *labels = NULL;
    int result;

    if (row->labels)
        return row->labels;
    buf_init(&g.text, LABEL_BYTES);
    result = prom_labels(&row->t, gather, &g);
    point_to_texts(&g);
    for (unsigned i = 0; i < r->options.labels && g.n < PRW_LABELS; i++)
        g.label[g.n++] = r->options.label[i];
    if (result == 0 && prw_labels_new(g.label, g.n, &labels) == 0)
        row->labels = labels;
    buf_done(&g.text);
    return labels;
}

/* What is known and a number. */
static uint64_t metrics_of(const struct sample *sample) {
    uint64_t metrics = sample->have;

    for (unsigned m = 0; m < METRIC_N; m++)
        if (metrics >> m & 1 && sample->value[m] == SAMPLE_NONE)
            metrics &= ~(1ull << m);
    return metrics;
}

/* --- a step ----------------------------------------------------------------------------------- */

/* A step that is being given: the request that is open, and whom it holds by now. */
struct step {
    struct replay *r;
    int64_t at_ms;
    bool silent; /* was given before: only the table is brought up to date */
    uint32_t uid;
};

static int hand_over(struct step *s, bool last) {
    struct replay *r = s->r;
    struct cursor c = r->cursor;
    int result = 0;

    if (last) {
        c = (struct cursor){.key_row = r->key_row, .sent_ms = s->at_ms};
    } else {
        c.part_ms = s->at_ms;
        c.part_uid = s->uid;
    }
    if (prw_samples(r->request) > 0)
        result = r->options.give(r->options.ctx, r->request, &c);
    prw_clear(r->request);
    if (result == 0)
        r->cursor = c;
    return result;
}

static int make_room(struct step *s, const struct prw_labels *labels, uint64_t metrics) {
    if (prw_has_room(s->r->request, labels, (size_t)__builtin_popcountll(metrics)))
        return 0;
    return hand_over(s, false);
}

static void add_stale(struct step *s, const struct prw_labels *labels, uint64_t metrics) {
    for (; metrics; metrics &= metrics - 1)
        prw_add(s->r->request, s->r->name[__builtin_ctzll(metrics)], labels, s->at_ms, prw_stale());
}

static void add_values(struct step *s, const struct prw_labels *labels, const struct sample *sample,
                       uint64_t metrics) {
    for (; metrics; metrics &= metrics - 1) {
        unsigned m = (unsigned)__builtin_ctzll(metrics);

        prw_add(s->r->request, s->r->name[m], labels, s->at_ms,
                prom_value((enum metric)m, sample->value[m]));
    }
}

static int give_row(struct step *s, struct live_row *row) {
    struct told *e = table_get(&s->r->told, row->labels);
    bool had = s->r->cursor.part_ms == s->at_ms && row->uid <= s->r->cursor.part_uid;
    uint64_t metrics = metrics_of(&row->sample), gone;
    int result;

    if (!e)
        return -ENOMEM;
    if (e->uid != row->uid)
        return 0;
    gone = e->metrics & ~metrics;
    e->metrics = metrics;
    if (s->silent || had)
        return 0;
    result = make_room(s, row->labels, metrics | gone);
    if (result != 0)
        return result;
    add_values(s, row->labels, &row->sample, metrics);
    add_stale(s, row->labels, gone);
    s->uid = row->uid;
    return 0;
}

static int give_rows(struct step *s) {
    const struct live *live = s->r->now;
    int result = 0;

    for (size_t i = 0; i < live->n; i++) {
        struct live_row *row = live->row[i];
        struct prw_labels *labels;
        struct told *e;

        if (row->sample.at_ms == 0)
            continue;
        labels = labels_of(s->r, row);
        e = labels ? table_get(&s->r->told, labels) : NULL;
        if (!e)
            return -ENOMEM;
        e->uid = row->uid;
        e->seen = true;
    }
    for (size_t i = 0; i < live->n && result == 0; i++)
        if (live->row[i]->sample.at_ms > 0)
            result = give_row(s, live->row[i]);
    return result;
}

/* What was given at the step before and is not there any more. */
static int give_ends(struct step *s) {
    struct table *t = &s->r->told;
    int result = 0;

    for (size_t i = 0; i < t->buckets && result == 0; i++)
        for (struct told **place = &t->bucket[i], *e; result == 0 && (e = *place);) {
            if (e->seen) {
                e->seen = false;
                place = &e->next;
                continue;
            }
            if (!s->silent && e->metrics) {
                result = make_room(s, e->labels, e->metrics);
                if (result == 0)
                    add_stale(s, e->labels, e->metrics);
                e->metrics = 0; /* kept until the next step: the request borrows the labels */
                place = &e->next;
                continue;
            }
            *place = e->next;
            t->n--;
            told_free(e);
        }
    return result;
}

static int give_step(struct replay *r, int64_t at_ms, bool known) {
    struct step s = {.r = r, .at_ms = at_ms, .silent = at_ms <= r->cursor.sent_ms};
    int result;

    if (r->cursor.part_ms == at_ms)
        s.uid = r->cursor.part_uid;
    result = known ? give_rows(&s) : 0;
    if (result == 0)
        result = give_ends(&s);
    if (result == 0 && !s.silent)
        result = hand_over(&s, true);
    r->done_ms = at_ms;
    return result;
}

/* What was told last is of about that time: a damaged row may be of another age altogether. */
static bool is_known_at(const struct replay *r, int64_t at_ms) {
    return r->now->at_ms > 0 && at_ms - r->now->at_ms <= REPLAY_FRESH_MS &&
           r->now->at_ms - at_ms <= REPLAY_BACK_MS;
}

/* Gives what is due before a message of that time is taken. */
static int advance(struct replay *r, int64_t at_ms) {
    int64_t last = step_before(r, at_ms);

    if (at_ms < r->done_ms - REPLAY_BACK_MS && at_ms < r->last_ms - REPLAY_BACK_MS) {
        r->counts.set_back++;
        r->done_ms = r->cursor.sent_ms = last;
        r->cursor.part_ms = 0;
        return 0;
    }
    while (r->done_ms < last) {
        int64_t next = r->done_ms + r->options.interval_ms;
        bool known = is_known_at(r, next);
        int result = known || r->told.n > 0 ? give_step(r, next, known) : 0;

        if (result != 0)
            return result;
        r->done_ms = known ? next : last; /* nor is anything known in the rest of a gap */
    }
    return 0;
}

/* --- messages --------------------------------------------------------------------------------- */

static void begin(struct replay *r, int64_t key_row) {
    live_clear(r->coming);
    r->beginning = true;
    r->coming_key = key_row;
}

static int take_start(struct replay *r, struct wire_in in) {
    struct wire_start s;

    if (wire_read_start(&in, &s) < 0)
        return -EBADMSG;
    if (s.ask || (s.resumed && (s.boot == r->boot || r->boot == 0)))
        return 0;
    r->boot = s.boot;
    begin(r, r->beginning ? r->coming_key : r->key_row);
    return 0;
}

static int take_tick(struct replay *r, struct wire_in in) {
    struct wire_in body = in;
    struct wire_tick tick;
    struct live *before = r->now;
    int result;

    if (wire_read_tick(&in, &tick) < 0 || tick.at_ms <= 0)
        return -EBADMSG;
    result = advance(r, tick.at_ms);
    if (result != 0)
        return result;
    r->last_ms = tick.at_ms;
    if (r->beginning) {
        r->now = r->coming;
        r->coming = before;
        r->beginning = false;
        r->key_row = r->coming_key;
    }
    return live_tick(r->now, body);
}

static int take_gone(struct replay *r, struct wire_in in) {
    struct wire_gone g;
    int result;

    if (wire_read_gone(&in, &g) < 0 || g.at_ms <= 0)
        return -EBADMSG;
    if (r->beginning) {
        live_remove(r->coming, g.uid, g.at_ms);
        return 0;
    }
    result = advance(r, g.at_ms);
    if (result == 0)
        live_remove(r->now, g.uid, g.at_ms);
    return result;
}

static int take_target(struct replay *r, struct wire_in in) {
    struct wire_target t;

    if (wire_read_target(&in, &t) < 0)
        return -EBADMSG;
    return live_put(r->beginning ? r->coming : r->now, &t) ? 0 : -ENOMEM;
}

static int take(struct replay *r, struct str message) {
    struct wire_in in = {(const uint8_t *)message.p, message.n};
    struct wire_head head;

    if (wire_read_head(&in, &head) < 0)
        return -EBADMSG;
    switch (head.kind) {
    case WIRE_START:
        return take_start(r, in);
    case WIRE_TARGET:
        return take_target(r, in);
    case WIRE_GONE:
        return take_gone(r, in);
    case WIRE_TICK:
        return take_tick(r, in);
    case WIRE_PROCS:
    case WIRE_OOM:
    case WIRE_SELF:
    case WIRE_AUDIT:
    case WIRE_ACTED:
        return 0;
    case WIRE_POLICY:
    case WIRE_POLICIES:
    case WIRE_HELLO:
    case WIRE_ACK:
    case WIRE_ACT:
    case WIRE_KIND_END:
        break;
    }
    return -EBADMSG;
}

/* Whether the row can be understood after what was taken by now. */
static bool follows(struct replay *r, const struct store_log_row *row) {
    bool next = r->synced && row->row == r->row + 1;

    if (r->synced && !next) {
        r->counts.gaps++;
        r->counts.gap_from_ms = r->now->at_ms;
        r->counts.gap_to_ms = row->at_ms;
        r->synced = false;
    }
    if (!row->key)
        return next;
    /* Also one that follows: what came before it may have been given up. */
    begin(r, row->row);
    if (!next) {
        r->boot = 0;
        r->last_ms = 0;
    }
    r->synced = true;
    return true;
}

int replay_row(struct replay *r, const struct store_log_row *row) {
    struct str messages = row->messages, message;
    bool good = follows(r, row);
    int result = 0, one;

    r->row = row->row;
    if (!good)
        return 0;
    while (result == 0 && (one = store_log_message(&messages, &message)) != 0) {
        result = one < 0 ? one : take(r, message);
        if (result == -EBADMSG) {
            r->counts.bad++;
            result = 0;
            if (one < 0)
                break;
        }
    }
    return result;
}
