#include "series/live.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"
#include "base/num.h"
#include "model/state.h"
#include "model/targetkey.h"

enum { ID_MIN = 4 }; /* digits of an id that are enough */

void live_init(struct live *l) {
    *l = (struct live){0};
}

static void drop_labels(const struct live *l, void *labels) {
    if (labels && l->labels_free)
        l->labels_free(labels);
}

static void free_row(const struct live *l, struct live_row *row) {
    drop_labels(l, row->labels);
    free(row->procs);
    free(row->texts);
    free(row->guard);
    free(row);
}

static void free_lost(const struct live *l, struct live_lost *x) {
    drop_labels(l, x->labels);
    free(x->guard);
    free(x->texts);
}

void live_done(struct live *l) {
    for (size_t i = 0; i < l->n; i++)
        free_row(l, l->row[i]);
    for (size_t i = 0; i < l->losts; i++)
        free_lost(l, &l->lost[i]);
    free(l->row);
    *l = (struct live){0};
}

/* --- rows ------------------------------------------------------------------------------------- */

/* Where the first row with at least this uid is. */
static size_t place_of(const struct live *l, uint32_t uid) {
    size_t low = 0, high = l->n;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (l->row[middle]->uid < uid)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

struct live_row *live_find(const struct live *l, uint32_t uid) {
    size_t i = place_of(l, uid);

    return i < l->n && l->row[i]->uid == uid ? l->row[i] : NULL;
}

struct live_row *live_after(const struct live *l, int64_t uid) {
    size_t i = uid < 0 ? 0 : uid >= UINT32_MAX ? l->n : place_of(l, (uint32_t)uid + 1);

    return i < l->n ? l->row[i] : NULL;
}

bool live_has_series(const struct live *l, int64_t series) {
    for (size_t i = 0; series != 0 && i < l->n; i++)
        if (l->row[i]->series == series)
            return true;
    return false;
}

void live_set_kills(struct live *l, int64_t series, uint64_t total, int64_t killed_ms) {
    for (size_t i = 0; i < l->n; i++) {
        struct live_row *row = l->row[i];

        if (row->series != series)
            continue;
        row->oom_kills = total;
        row->killed_ms = killed_ms > row->killed_ms ? killed_ms : row->killed_ms;
        row->told_ms = l->at_ms + 1;
    }
    for (size_t i = 0; i < l->losts; i++) {
        struct live_lost *lost = &l->lost[i];

        if (lost->series != series)
            continue;
        lost->oom_kills = total;
        lost->killed_ms = killed_ms > lost->killed_ms ? killed_ms : lost->killed_ms;
    }
}

/* The texts of a target, for loops over all of them. */
enum { TEXTS = 12 };

static void list_texts(struct wire_target *t, struct str *text[TEXTS]) {
    struct str *all[TEXTS] = {&t->path,   &t->name,       &t->id,        &t->image,
                              &t->pod,    &t->namespace,  &t->container, &t->unit,
                              &t->inside, &t->limit_from, &t->labels,    &t->lang};

    memcpy(text, all, sizeof(all));
}

/* One allocation for all of them, a NUL behind each. NULL: -ENOMEM. */
static char *own_texts(struct wire_target *t) {
    struct str *text[TEXTS];
    size_t size = 0;
    char *texts, *p;

    list_texts(t, text);
    for (unsigned i = 0; i < TEXTS; i++)
        size += text[i]->n + 1;
    texts = p = malloc(size);
    if (!texts)
        return NULL;
    for (unsigned i = 0; i < TEXTS; i++) {
        if (text[i]->n > 0)
            memcpy(p, text[i]->p, text[i]->n);
        p[text[i]->n] = '\0';
        text[i]->p = p;
        p += text[i]->n + 1;
    }
    return texts;
}

static bool same_target(const struct wire_target *a, const struct wire_target *b) {
    struct wire_target x = *a, y = *b;
    struct str *left[TEXTS], *right[TEXTS];

    list_texts(&x, left);
    list_texts(&y, right);
    for (unsigned i = 0; i < TEXTS; i++)
        if (!str_eq(*left[i], *right[i]))
            return false;
    return x.kind == y.kind && x.runtime == y.runtime && x.qos == y.qos &&
           x.limit_certain == y.limit_certain && x.version == y.version &&
           x.start_ms == y.start_ms && x.init_pid == y.init_pid && x.born_ms == y.born_ms &&
           x.instance == y.instance && x.run == y.run && x.run_ms == y.run_ms;
}

static int make_room(struct live *l) {
    size_t room = l->room ? 2 * l->room : 64;
    struct live_row **row;

    if (l->n < l->room)
        return 0;
    row = realloc(l->row, room * sizeof(*row));
    if (!row)
        return -ENOMEM;
    l->row = row;
    l->room = room;
    return 0;
}

static struct live_row *insert(struct live *l, uint32_t uid) {
    size_t i = place_of(l, uid);
    struct live_row *row;

    if (make_room(l) < 0)
        return NULL;
    row = calloc(1, sizeof(*row));
    if (!row)
        return NULL;
    row->uid = uid;
    memmove(&l->row[i + 1], &l->row[i], (l->n - i) * sizeof(l->row[0]));
    l->row[i] = row;
    l->n++;
    return row;
}

struct live_row *live_put(struct live *l, const struct wire_target *t) {
    struct live_row *row = live_find(l, t->uid);
    struct wire_target own = *t;
    auto_free char *texts = NULL;

    if (row && same_target(&row->t, t))
        return row;
    texts = own_texts(&own);
    if (!texts)
        return NULL;
    if (!row)
        row = insert(l, t->uid);
    if (!row)
        return NULL;
    drop_labels(l, row->labels);
    row->labels = NULL;
    free(row->texts);
    row->texts = take_ptr(&texts);
    row->t = own;
    row->told_ms = l->at_ms + 1; /* a reader who knows all up to the last tick does not know it */
    return row;
}

void live_set_series(struct live *l, struct live_row *row, int64_t series) {
    row->series = series;
    live_guard_inherit(l, row);
}

void live_restart(struct live_row *row) {
    row->trend = (struct trend){0};
    row->trend_begun = false;
    row->moves_block_ms = -1; /* it is looked at at once */
}

/* --- what is gone ----------------------------------------------------------------------------- */

/* What is counted of it is told although it is gone. */
static bool has_counters(const struct live_lost *x) {
    return x->oom_kills > 0 || live_guard_counted(x->guard);
}

/* Who goes first when there is no room: the oldest without counters, else the oldest. */
static size_t least_wanted(const struct live *l) {
    size_t worst = 0;

    for (size_t i = 1; i < l->losts; i++) {
        bool counts = has_counters(&l->lost[i]), worst_counts = has_counters(&l->lost[worst]);

        if (counts != worst_counts ? !counts : l->lost[i].at_ms < l->lost[worst].at_ms)
            worst = i;
    }
    return worst;
}

/* Takes over what of the row tells who it was. */
static void remember(struct live *l, struct live_row *row, uint32_t uid, int64_t at_ms) {
    size_t i = l->losts < LIVE_LOST ? l->losts : least_wanted(l);

    if (i < l->losts)
        free_lost(l, &l->lost[i]);
    else
        l->losts++;
    l->lost[i] = (struct live_lost){.uid = uid,
                                    .at_ms = at_ms,
                                    .series = row->series,
                                    .oom_kills = row->oom_kills,
                                    .killed_ms = row->killed_ms,
                                    .guard = row->guard,
                                    .t = row->t,
                                    .texts = row->texts,
                                    .labels = row->labels};
    row->texts = NULL;
    row->labels = NULL;
    row->guard = NULL;
}

void live_remove(struct live *l, uint32_t uid, int64_t at_ms) {
    size_t i = place_of(l, uid);
    struct live_row *row;

    if (i == l->n || l->row[i]->uid != uid)
        return;
    row = l->row[i];
    l->gone[l->gones++ % LIVE_GONE] = (struct live_gone){uid, at_ms};
    remember(l, row, uid, at_ms);
    l->n--;
    memmove(&l->row[i], &l->row[i + 1], (l->n - i) * sizeof(l->row[0]));
    free_row(l, row);
}

void live_clear(struct live *l) {
    size_t kept = 0;

    for (size_t i = 0; i < l->losts; i++) {
        if (!has_counters(&l->lost[i])) {
            free_lost(l, &l->lost[i]);
            continue;
        }
        l->lost[i].uid = LIVE_NO_UID;
        l->lost[kept++] = l->lost[i];
    }
    l->losts = kept;
    for (size_t i = 0; i < l->n; i++) {
        if (l->row[i]->oom_kills > 0 || live_guard_counted(l->row[i]->guard))
            remember(l, l->row[i], LIVE_NO_UID, l->at_ms);
        free_row(l, l->row[i]);
    }
    l->n = 0;
    l->gones = 0;
    l->clears++;
}

struct live_lost *live_lost(struct live *l, uint32_t uid) {
    if (uid == LIVE_NO_UID || live_find(l, uid))
        return NULL;
    for (size_t i = 0; i < l->losts; i++)
        if (l->lost[i].uid == uid)
            return &l->lost[i];
    return NULL;
}

struct live_lost *live_lost_at(struct live *l, struct str path) {
    struct live_lost *newest = NULL;

    for (size_t i = 0; i < l->losts; i++)
        if (str_eq(l->lost[i].t.path, path) && (!newest || l->lost[i].at_ms >= newest->at_ms))
            newest = &l->lost[i];
    return newest;
}

/* --- ticks ------------------------------------------------------------------------------------ */

/* A CPU time that moved: its use since it last moved, or since it was last seen standing. */
static void take_cpu(struct live_row *row, int64_t at_ms) {
    uint64_t now = row->sample.value[METRIC_CPU_US];
    int64_t span_ms = at_ms - row->cpu_at_ms;

    if (row->cpu_at_ms > 0 && span_ms <= 0)
        return; /* of the same tick, or the clock was set back: the next one tells */
    row->have_cpu = row->cpu_at_ms > 0 && now >= row->cpu_us;
    if (row->have_cpu)
        row->cpu_centi = (now - row->cpu_us) * 10 / (uint64_t)span_ms;
    row->cpu_us = now;
    row->cpu_at_ms = at_ms;
}

static void lose_cpu(struct live_row *row) {
    row->have_cpu = false;
    row->cpu_at_ms = 0;
}

static void apply(struct live_row *row, const struct wire_change *c, const struct wire_tick *tick) {
    uint64_t lost = tick->flags & WIRE_TICK_KEY ? row->sample.have & ~c->set : c->lost;

    for (uint64_t set = c->set; set; set &= set - 1) {
        unsigned m = (unsigned)__builtin_ctzll(set);

        if (sample_has(&row->sample, m) && row->sample.value[m] == c->value[m])
            continue;
        sample_set(&row->sample, m, c->value[m]);
        row->changed_ms[m] = tick->at_ms;
        if (m == METRIC_CPU_US)
            take_cpu(row, tick->at_ms);
    }
    for (lost &= row->sample.have; lost; lost &= lost - 1) {
        unsigned m = (unsigned)__builtin_ctzll(lost);

        row->sample.have &= ~(1ull << m);
        row->changed_ms[m] = tick->at_ms;
        if (m == METRIC_CPU_US)
            lose_cpu(row);
    }
    row->sample.at_ms = tick->at_ms;
}

/* All were looked at: what did not change is known to be the same now. */
static void end_round(struct live *l, int64_t at_ms) {
    l->round_ms = at_ms;
    for (size_t i = 0; i < l->n; i++) {
        struct live_row *row = l->row[i];

        if (row->sample.at_ms == 0)
            continue;
        row->sample.at_ms = at_ms;
        trend_add(&row->trend, &row->sample);
        if (row->cpu_at_ms > 0 &&
            (at_ms - row->cpu_at_ms >= LIVE_CPU_STILL_MS || at_ms < row->cpu_at_ms)) {
            row->have_cpu = true;
            row->cpu_centi = 0;
            row->cpu_at_ms = at_ms;
        }
    }
}

int live_tick(struct live *l, struct wire_in body) {
    struct wire_tick tick;
    struct wire_change change;
    size_t at = 0;
    int r = wire_read_tick(&body, &tick);

    if (r < 0)
        return r;
    while ((r = wire_read_change(&body, &change)) > 0) {
        /* told in the order of their uid: mostly it is the next row */
        if (at >= l->n || l->row[at]->uid != change.uid)
            at = place_of(l, change.uid);
        if (at < l->n && l->row[at]->uid == change.uid)
            apply(l->row[at++], &change, &tick);
    }
    if (r < 0)
        return r;
    l->at_ms = tick.at_ms;
    if (tick.flags & WIRE_TICK_ROUND && !(tick.flags & WIRE_TICK_MORE))
        end_round(l, tick.at_ms);
    return 0;
}

/* By more than a twentieth. */
static bool differs(int64_t a, int64_t b) {
    double more = (double)a - (double)b, size = (double)(a < 0 ? -a : a);

    return (more < 0 ? -more : more) > size / 20;
}

/* A window that grows is told whenever it is a quarter longer. */
static bool is_news(const struct trend_view *old, const struct trend_view *now) {
    if (old->word != now->word || old->have_refaults != now->have_refaults ||
        differs((int64_t)old->refaults_per_s, (int64_t)now->refaults_per_s) ||
        differs(old->bytes_per_h, now->bytes_per_h))
        return true;
    return now->word != TREND_UNKNOWN &&
           (now->window_s / 5 * 4 > old->window_s || now->window_s < old->window_s / 5 * 4);
}

const struct trend_view *live_moves(const struct live *l, struct live_row *row) {
    int64_t block_ms = trend_newest_ms(&row->trend);
    bool killed = state_is_killed(row->killed_ms, row->sample.at_ms);
    struct trend_view now = row->moves;

    if (block_ms != row->moves_block_ms) {
        now = trend_look(&row->trend);
        row->moves_block_ms = block_ms;
    }
    trend_refaults(&row->trend, &now);
    if (is_news(&row->moves, &now) || killed != row->killed) {
        row->moves = now;
        row->killed = killed;
        row->moved_ms = l->at_ms;
    }
    return &row->moves;
}

int live_procs(struct live *l, struct wire_in body) {
    struct wire_in rest = body;
    struct wire_procs head;
    struct wire_proc one;
    struct live_row *row;
    uint8_t *copy;
    int r = wire_read_procs(&rest, &head);

    if (r < 0)
        return r;
    while ((r = wire_read_proc(&rest, &one)) > 0)
        ;
    row = r < 0 ? NULL : live_find(l, head.uid);
    if (!row)
        return r;
    copy = malloc(body.n);
    if (!copy)
        return -ENOMEM;
    memcpy(copy, body.p, body.n);
    free(row->procs);
    row->procs = copy;
    row->procs_n = body.n;
    return 0;
}

/* --- names ------------------------------------------------------------------------------------ */

static bool is_container(const struct wire_target *t) {
    return t->kind == TARGET_CONTAINER || t->kind == TARGET_VM;
}

void live_add_key(struct buf *out, const struct wire_target *t) {
    if (t->uid == WIRE_UID_HOST) {
        buf_add(out, STR("host"));
        return;
    }
    targetkey_add(out, &(struct targetkey){.runtime = t->runtime,
                                           .kind = t->kind,
                                           .name = t->name,
                                           .path = t->path,
                                           .unit = t->unit,
                                           .inside = t->inside,
                                           .namespace = t->namespace,
                                           .pod = t->pod,
                                           .container = t->container});
}

/* One way to be called so; the first way that fits anything decides. */
typedef bool is_called(const struct live *l, const struct wire_target *t, struct str word);

static bool called(struct str name, struct str word) {
    return name.n > 0 && str_eq(name, word);
}

static bool by_path(const struct live *l, const struct wire_target *t, struct str word) {
    (void)l;
    while (word.n > 1 && word.p[word.n - 1] == '/')
        word.n--;
    return t->uid != WIRE_UID_HOST && str_eq(t->path, word);
}

static bool by_name(const struct live *l, const struct wire_target *t, struct str word) {
    (void)l;
    return t->uid != WIRE_UID_HOST && is_container(t) && called(t->name, word);
}

static bool by_host(const struct live *l, const struct wire_target *t, struct str word) {
    (void)l;
    return t->uid == WIRE_UID_HOST && (str_eq(word, STR("host")) || str_eq(word, STR("/")));
}

static bool is_hex(struct str s) {
    for (size_t i = 0; i < s.n; i++)
        if (!((s.p[i] >= '0' && s.p[i] <= '9') || (s.p[i] >= 'a' && s.p[i] <= 'f')))
            return false;
    return true;
}

static bool by_id(const struct live *l, const struct wire_target *t, struct str word) {
    (void)l;
    if (!is_container(t) && t->kind != TARGET_SANDBOX)
        return false;
    return called(t->id, word) || (word.n >= ID_MIN && is_hex(word) && str_starts(t->id, word));
}

/* POD/CONTAINER and NAMESPACE/POD/CONTAINER */
static bool by_pod(const struct live *l, const struct wire_target *t, struct str word) {
    struct str first, second;

    (void)l;
    if (!is_container(t) || t->pod.n == 0 || !str_cut(&word, '/', &first))
        return false;
    if (str_cut(&word, '/', &second)) {
        if (!called(t->namespace, first))
            return false;
        first = second;
    }
    return called(t->pod, first) && (called(t->container, word) || called(t->name, word));
}

static bool by_pod_name(const struct live *l, const struct wire_target *t, struct str word) {
    (void)l;
    return t->kind == TARGET_POD && (called(t->name, word) || called(t->pod, word));
}

static bool by_unit(const struct live *l, const struct wire_target *t, struct str word) {
    struct str unit = t->unit;

    (void)l;
    return called(t->unit, word) || (str_drop(&unit, STR(".service")) && called(unit, word));
}

static bool by_system_unit(const struct live *l, const struct wire_target *t, struct str word) {
    return by_unit(l, t, word) && targetkey_is_of_system(t->path);
}

/* OUTER/INNER for a container inside a container. */
static bool by_nesting(const struct live *l, const struct wire_target *t, struct str word) {
    ptrdiff_t slash = str_rfind(word, '/');
    struct str outer, inner;

    if (slash <= 0 || t->inside.n == 0)
        return false;
    outer = str_head(word, (size_t)slash);
    inner = str_from(word, (size_t)slash + 1);
    if (!by_name(l, t, inner) && !by_id(l, t, inner))
        return false;
    for (size_t i = 0; i < l->n; i++) {
        const struct wire_target *o = &l->row[i]->t;

        if (str_eq(o->path, t->inside) &&
            (by_name(l, o, outer) || by_id(l, o, outer) || by_pod(l, o, outer)))
            return true;
    }
    return false;
}

static bool by_pid(const struct live *l, const struct wire_target *t, struct str word) {
    uint64_t pid;

    (void)l;
    return t->init_pid > 0 && str_to_u64(word, &pid) == 0 && pid == (uint64_t)t->init_pid;
}

static size_t find_all(const struct live *l, is_called *is, bool nested, struct str word,
                       struct live_row **out, size_t max) {
    size_t n = 0;

    for (size_t i = 0; i < l->n; i++) {
        if ((l->row[i]->t.inside.n > 0) != nested || !is(l, &l->row[i]->t, word))
            continue;
        if (n < max)
            out[n] = l->row[i];
        n++;
    }
    return n;
}

/* The whole key of the logical target: goes before all names, so that none can pose as it. */
static size_t find_key(const struct live *l, struct str word, struct live_row **out, size_t max) {
    struct buf key;
    size_t n = 0;

    if (str_find(word, ':') <= 0)
        return 0;
    buf_init(&key, WIRE_MESSAGE);
    for (size_t i = 0; i < l->n; i++) {
        buf_clear(&key);
        live_add_key(&key, &l->row[i]->t);
        if (!str_eq(buf_str(&key), word))
            continue;
        if (n < max)
            out[n] = l->row[i];
        n++;
    }
    buf_done(&key);
    return n;
}

size_t live_resolve(const struct live *l, struct str word, struct live_row **out, size_t max) {
    static is_called *const ways[] = {by_host, by_path,     by_name, by_pod, by_system_unit,
                                      by_unit, by_pod_name, by_id,   by_pid};
    size_t n = 0;

    if (word.n == 0)
        return 0;
    n = find_key(l, word, out, max);
    for (unsigned nested = 0; nested < 2; nested++)
        for (size_t i = 0; i < ARRAY_N(ways) && n == 0; i++)
            n = find_all(l, ways[i], nested > 0, word, out, max);
    return n > 0 ? n : find_all(l, by_nesting, true, word, out, max);
}

bool live_used_pct(const struct live_row *row, uint64_t *centi_out) {
    const struct sample *s = &row->sample;

    if (!sample_has(s, METRIC_USED) || !sample_has(s, METRIC_LIMIT) || s->value[METRIC_LIMIT] == 0)
        return false;
    *centi_out = num_centi_pct(s->value[METRIC_USED], s->value[METRIC_LIMIT]);
    return true;
}
