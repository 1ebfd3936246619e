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

bool past_add_row(struct past *p, struct site *site, int64_t at_ms, struct json *j) {
    while (p->next < p->n) {
        const struct past_target *target = &p->target[p->next++];
        struct identity i;
        struct sample sample, before = {0};
        struct trend_view moves;

        if (store_at(site->store, target->series, at_ms, &sample) < 0 ||
            identity_parse(target->identity, &i) < 0)
            continue;
        if (store_at(site->store, target->series, sample.at_ms - PAST_BEFORE_MS, &before) < 0)
            before.at_ms = 0;
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
        };

        row.have_cpu = before.at_ms > 0 && cpu_since(&before, &sample, &row.cpu_centi);
        row_add_json(j, site, &row);
        identity_done(&i);
        return true;
    }
    return false;
}
