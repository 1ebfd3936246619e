#include "web/past.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "web/rowtrend.h"

enum { PAST_TEXT = 64 << 20, PAST_BEFORE_MS = 5000, PAST_MATCHES = 8 };

bool past_matches(const struct wire_target *t, struct str key, struct str word) {
    struct str unit = t->unit, rest = word, part;

    if (str_eq(word, t->name) || str_eq(word, t->path) || str_eq(word, key) ||
        (t->unit.n > 0 && str_eq(word, t->unit)))
        return true;
    if (t->uid == WIRE_UID_HOST && str_eq(word, STR("host")))
        return true;
    if (word.n >= 4 && str_starts(t->id, word))
        return true;
    if (str_drop(&unit, STR(".service")) && str_eq(word, unit))
        return true;
    if (t->pod.n == 0 || !str_cut(&rest, '/', &part))
        return false;
    if (str_eq(part, t->pod) && str_eq(rest, t->container))
        return true;
    if (!str_eq(part, t->namespace) || !str_cut(&rest, '/', &part))
        return false;
    return str_eq(part, t->pod) && str_eq(rest, t->container);
}

struct gathering {
    struct past *p;
    const struct str *word;
    int error;
};

static int keep(struct past *p, const struct store_target *t) {
    if (p->n == p->room) {
        size_t room = p->room ? 2 * p->room : 64;
        struct past_target *grown = realloc(p->target, room * sizeof(*grown));

        if (!grown)
            return -ENOMEM;
        p->target = grown;
        p->room = room;
    }
    /* The text may still move: lengths for now, fixed when all is there. */
    p->target[p->n++] = (struct past_target){
        .series = t->series,
        .key = {NULL, t->key.n},
        .identity = {NULL, t->identity.n},
        .oom_kills = t->oom_kills,
        .instances = t->instances,
    };
    buf_add(&p->text, t->key);
    buf_add(&p->text, t->identity);
    return buf_error(&p->text);
}

static int gather(void *ctx, const struct store_target *t) {
    struct gathering *g = ctx;
    struct identity i;
    bool wanted;

    if (g->p->n == PAST_MAX) {
        g->p->cut = true;
        return 1;
    }
    if (g->word) {
        if (identity_parse(t->identity, &i) < 0)
            return 0;
        wanted = past_matches(&i.t, t->key, *g->word);
        identity_done(&i);
        if (!wanted)
            return 0;
    }
    g->error = keep(g->p, t);
    return g->error < 0 ? 1 : 0;
}

bool past_list(struct past *p, struct site *site, int64_t from_ms, int64_t to_ms,
               const struct str *word, struct answer *a) {
    struct gathering g = {p, word, 0};
    const char *at;
    int r;

    if (!site->store) {
        answer_error(a, 404, "there is no history here");
        return false;
    }
    buf_init(&p->text, PAST_TEXT);
    r = store_targets(site->store, from_ms, to_ms, gather, &g);
    if (g.error < 0 || r < 0) {
        answer_error(a, 503, "cannot read the history: %s", strerror(g.error < 0 ? -g.error : -r));
        return false;
    }
    at = p->text.p;
    for (size_t i = 0; i < p->n; i++) {
        p->target[i].key.p = at;
        p->target[i].identity.p = at + p->target[i].key.n;
        at += p->target[i].key.n + p->target[i].identity.n;
    }
    if (word && p->n == 0) {
        answer_error(a, 404, "no target was called '%.*s' then", STR_ARG(str_head(*word, 200)));
        return false;
    }
    return true;
}

void past_done(struct past *p) {
    free(p->target);
    buf_done(&p->text);
    *p = (struct past){0};
}

bool past_series(struct site *site, struct str word, int64_t from_ms, int64_t to_ms, int64_t *out,
                 struct answer *a) {
    struct live_row *row[PAST_MATCHES];
    size_t n = live_resolve(site->live, word, row, PAST_MATCHES);
    struct past past = {0};
    bool found;

    /* Instances of one logical target are one. */
    for (size_t i = 1; i < n && i < PAST_MATCHES; i++)
        if (row[i]->series != row[0]->series) {
            answer_error(a, 400, "%zu targets are called '%.*s': name one by its id or path", n,
                         STR_ARG(str_head(word, 200)));
            return false;
        }
    if (n > 0) {
        *out = row[0]->series;
        return true;
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

/* CPU use since the sample before. */
static bool cpu_since(const struct sample *before, const struct sample *now, uint64_t *centi_out) {
    uint64_t us, ms;

    if (!sample_has(now, METRIC_CPU_US) || !sample_has(before, METRIC_CPU_US) ||
        before->at_ms >= now->at_ms || before->value[METRIC_CPU_US] > now->value[METRIC_CPU_US])
        return false;
    us = now->value[METRIC_CPU_US] - before->value[METRIC_CPU_US];
    ms = (uint64_t)(now->at_ms - before->at_ms);
    *centi_out = us * 10 / ms; /* us in ms*1000 us, in hundredths of a percent */
    return true;
}

static int take_start(void *ctx, const struct store_event *event) {
    int64_t *start_ms = ctx;

    if (!str_eq(event->kind, STR("start")) && !str_eq(event->kind, STR("restart")))
        return 0;
    *start_ms = event->at_ms;
    return 1;
}

static int take_kill(void *ctx, int64_t id, int64_t series, int64_t at_ms, uint64_t kills,
                     struct str json) {
    int64_t *killed_ms = ctx;

    (void)id;
    (void)series;
    (void)kills;
    (void)json;
    *killed_ms = at_ms;
    return 1;
}

/* Names are kept as they were last: of an instance that began later only what all have in common
 * held then. */
static void be_the_one_of_then(struct site *site, int64_t series, int64_t at_ms,
                               struct wire_target *t) {
    int64_t begun_ms = t->start_ms > 0 ? t->start_ms : (int64_t)t->born_ms;

    if (begun_ms <= at_ms)
        return;
    t->init_pid = 0;
    t->born_ms = 0;
    t->start_ms = 0;
    (void)store_events(site->store, series, 0, at_ms, take_start, &t->start_ms);
}

/* Whose limit it was, where the one that was last cannot have been it: a limit may be set just
 * after a target has begun. */
static void find_limit_of_then(const struct site *site, const struct sample *s,
                               struct wire_target *t) {
    const struct live_row *host = live_find(site->live, WIRE_UID_HOST);
    bool is_own =
        sample_has(s, METRIC_OWN_LIMIT) && s->value[METRIC_OWN_LIMIT] == s->value[METRIC_LIMIT];

    if (!sample_has(s, METRIC_LIMIT) || t->uid == WIRE_UID_HOST || !host ||
        !sample_has(&host->sample, METRIC_LIMIT))
        return;
    if (!is_own && s->value[METRIC_LIMIT] == host->sample.value[METRIC_LIMIT])
        t->limit_from = STR("host");
    else if (is_own && str_eq(t->limit_from, STR("host")))
        t->limit_from = t->path;
    else if (!is_own && (str_eq(t->limit_from, t->path) || str_eq(t->limit_from, STR("host"))))
        t->limit_from = STR("");
}

bool past_add_row(struct past *p, struct site *site, int64_t at_ms, struct json *j) {
    while (p->next < p->n) {
        const struct past_target *target = &p->target[p->next++];
        struct identity i;
        struct sample sample, before = {0};
        struct trend_view moves;
        int64_t killed_ms = 0;

        if (store_at(site->store, target->series, at_ms, &sample) < 0 ||
            identity_parse(target->identity, &i) < 0)
            continue;
        if (store_at(site->store, target->series, sample.at_ms - PAST_BEFORE_MS, &before) < 0)
            before.at_ms = 0;
        be_the_one_of_then(site, target->series, sample.at_ms, &i.t);
        find_limit_of_then(site, &sample, &i.t);
        if (target->oom_kills > 0)
            (void)store_ooms(site->store, target->series, 0, at_ms, 1, take_kill, &killed_ms);
        moves = rowtrend_then(site->store, target->series, rowtrend_start(site, &i.t), &before,
                              &sample);
        struct row row = {
            .t = &i.t,
            .sample = &sample,
            .moves = &moves,
            .key = target->key,
            .series = target->series,
            .at_ms = at_ms,
            .have_totals = false,
            .killed_ms = killed_ms,
        };

        row.have_cpu = before.at_ms > 0 && cpu_since(&before, &sample, &row.cpu_centi);
        row_add_json(j, site, &row);
        identity_done(&i);
        return true;
    }
    return false;
}
