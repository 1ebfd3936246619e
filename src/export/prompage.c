#include "export/prompage.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#include "base/mem.h"
#include "export/family.h"
#include "export/labels.h"

enum { PIECE_MIN = 4096 };

/* Label texts that have been written in this family, where they need not differ from row to row. */
struct seen {
    uint64_t hash;
    int64_t series, who; /* the row's uid; below 0: of those that are gone */
    bool used;
};

struct prompage {
    struct live *live;
    unsigned what;
    uint64_t clears;
    int64_t last_uid; /* rows that came later are not in this page: they may bear labels of one that
                         was in it and is gone */
    unsigned next;    /* the family behind the current one: its number among those of ... */
    bool cadvisor;    /* ... cAdvisor or of ours */
    struct family family;
    char name[PROM_NAME];
    bool in_family, headed;
    int64_t uid; /* the last row that is done */
    unsigned line;
    size_t lost;
    struct seen *seen; /* a hash table */
    size_t seen_size;  /* a power of two */
    struct buf over;   /* a line that was too long for a piece: what is left of it, from over_at */
    size_t over_at;
};

/* A piece that is being written. */
struct piece {
    char *p;
    size_t n, size;
    size_t need; /* of the line that did not fit */
};

int prompage_new(struct live *l, unsigned what, struct prompage **out) {
    auto_free struct prompage *p = calloc(1, sizeof(*p));

    if (!p)
        return -ENOMEM;
    p->live = l;
    p->what = what;
    p->clears = l->clears;
    p->last_uid = l->n > 0 ? (int64_t)l->row[l->n - 1]->uid : -1;
    p->cadvisor = !(what & PROMPAGE_PLIMSOLL);
    p->seen_size = 64;
    while (p->seen_size < 2 * (l->n + LIVE_LOST))
        p->seen_size *= 2;
    p->seen = calloc(p->seen_size, sizeof(p->seen[0]));
    if (!p->seen)
        return -ENOMEM;
    buf_init(&p->over, 1 << 21);
    l->labels_free = free;
    *out = take_ptr(&p);
    return 0;
}

void prompage_free(struct prompage *p) {
    if (!p)
        return;
    buf_done(&p->over);
    free(p->seen);
    free(p);
}

/* --- lines ------------------------------------------------------------------------------------ */

static void put(struct piece *o, const char *p, size_t n) {
    memcpy(o->p + o->n, p, n);
    o->n += n;
}

static void put_head(struct prompage *p, struct piece *o) {
    const struct family *f = &p->family;
    const char *type = f->counter ? " counter\n" : " gauge\n";

    put(o, "# HELP ", 7);
    put(o, f->name, strlen(f->name));
    put(o, " ", 1);
    put(o, f->help, strlen(f->help));
    put(o, "\n# TYPE ", 8);
    put(o, f->name, strlen(f->name));
    put(o, type, strlen(type));
    p->headed = true;
}

/* The whole line or nothing; the head of the family before its first one. */
static bool put_line(struct prompage *p, struct piece *o, struct str labels, const char *more,
                     uint64_t value) {
    const struct family *f = &p->family;
    size_t name_n = strlen(f->name), more_n = more ? strlen(more) : 0;
    size_t need = name_n + labels.n + more_n + PROM_NUMBER + 5;

    if (!p->headed)
        need += 2 * name_n + strlen(f->help) + 40;
    if (o->size - o->n < need) {
        o->need = need;
        return false;
    }
    if (!p->headed)
        put_head(p, o);
    put(o, f->name, name_n);
    if (labels.n + more_n > 0) {
        put(o, "{", 1);
        put(o, labels.p, labels.n);
        if (labels.n > 0 && more_n > 0)
            put(o, ",", 1);
        if (more_n > 0)
            put(o, more, more_n);
        put(o, "}", 1);
    }
    put(o, " ", 1);
    o->n += promtext_number(o->p + o->n, value, f->decimals);
    put(o, "\n", 1);
    return true;
}

/* --- families --------------------------------------------------------------------------------- */

static struct seen *seen_at(struct prompage *p, uint64_t hash) {
    size_t i = hash & (p->seen_size - 1);

    while (p->seen[i].used && p->seen[i].hash != hash)
        i = (i + 1) & (p->seen_size - 1);
    return &p->seen[i];
}

/* Two that bear the same labels: of the same logical target they have the same counters; of two,
 * the second is told by its id too. */
static bool put_kept(struct prompage *p, struct piece *o, const struct labels *labels,
                     const struct live_row *row, int64_t who, uint64_t value) {
    const char *more = family_line_at(&p->family, p->line)->labels;
    struct seen *seen = seen_at(p, labels->kept_hash);
    bool others = seen->used && seen->who != who;

    if (others && row->series != 0 && seen->series == row->series)
        return true;
    if (!put_line(p, o, others ? labels_full(labels) : labels_kept(labels), more, value))
        return false;
    if (!seen->used)
        *seen = (struct seen){labels->kept_hash, row->series, who, true};
    return true;
}

static bool put_pod(struct prompage *p, struct piece *o, const struct labels *labels,
                    uint64_t value) {
    const char *more = p->family.line[0].labels;
    struct seen *seen = seen_at(p, labels->pod_hash);

    if (labels->pod_n == 0)
        return put_line(p, o, labels_full(labels), more, value);
    if (seen->used)
        return true;
    if (!put_line(p, o, labels_pod(labels), more, value))
        return false;
    *seen = (struct seen){labels->pod_hash, 0, 0, true};
    return true;
}

/* All lines of a row; of one that is gone (who below 0) those that are not 0. */
static bool put_lines(struct prompage *p, struct piece *o, const struct live_row *row,
                      const struct labels *labels, int64_t who) {
    const struct family *f = &p->family;
    uint64_t value = 0;

    for (; labels && p->line < f->lines; p->line++) {
        const struct family_line *line = family_line_at(f, p->line);
        bool fits = true;

        if (!f->get(p->live, row, line->which, &value) || (who < 0 && value == 0))
            continue;
        if (f->over == OVER_ROWS)
            fits = put_line(p, o, labels_full(labels), line->labels, value);
        else if (f->over == OVER_KEPT)
            fits = put_kept(p, o, labels, row, who, value);
        else
            fits = put_pod(p, o, labels, value);
        if (!fits)
            return false;
    }
    p->line = 0;
    return true;
}

static bool put_row(struct prompage *p, struct piece *o, struct live_row *row) {
    if (!put_lines(p, o, row, labels_get(&row->t, &row->labels), row->uid))
        return false;
    p->uid = row->uid;
    return true;
}

static size_t first_after(const struct live *l, int64_t uid) {
    size_t low = 0, high = l->n;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if ((int64_t)l->row[middle]->uid <= uid)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* False: the piece is full. */
static bool put_rows(struct prompage *p, struct piece *o) {
    const struct live *l = p->live;

    if (l->clears != p->clears)
        return true; /* other rows under the same numbers: the page ends without them */
    for (size_t i = first_after(l, p->uid); i < l->n && (int64_t)l->row[i]->uid <= p->last_uid; i++)
        if (!put_row(p, o, l->row[i]))
            return false;
    return true;
}

/* Those that are gone and have not come back. */
static bool put_lost(struct prompage *p, struct piece *o) {
    struct live *l = p->live;

    for (; p->family.with_lost && p->lost < l->losts; p->lost++) {
        struct live_lost *x = &l->lost[p->lost];
        const struct live_row row = {
            .t = x->t, .series = x->series, .oom_kills = x->oom_kills, .guard = x->guard};

        if (l->at_ms - x->at_ms > LIVE_LOST_MS || live_has_series(l, x->series))
            p->line = 0;
        else if (!put_lines(p, o, &row, labels_get(&x->t, &x->labels), -1 - (int64_t)p->lost))
            return false;
    }
    return true;
}

static bool put_once(struct prompage *p, struct piece *o) {
    const struct family *f = &p->family;
    uint64_t value = 0;

    for (; p->line < f->lines; p->line++)
        if (f->get(p->live, NULL, f->line[p->line].which, &value) &&
            !put_line(p, o, (struct str){"", 0}, f->line[p->line].labels, value))
            return false;
    return true;
}

static bool next_family(struct prompage *p) {
    bool have = false;

    if (!p->cadvisor) {
        have = family_own(p->next, p->name, &p->family);
        if (!have) {
            p->cadvisor = true;
            p->next = 0;
        }
    }
    if (!have && p->what & PROMPAGE_CADVISOR)
        have = family_cadvisor(p->next, p->what & PROMPAGE_FAILCNT, &p->family);
    if (!have)
        return false;
    if (p->family.over == OVER_KEPT || p->family.over == OVER_PODS)
        memset(p->seen, 0, p->seen_size * sizeof(p->seen[0]));
    p->next++;
    p->in_family = true;
    p->headed = false;
    p->uid = -1;
    p->line = 0;
    p->lost = 0;
    return true;
}

/* Goes on where it was until the piece is full (false) or the page is at its end. */
static bool put_families(struct prompage *p, struct piece *o) {
    while (p->in_family || next_family(p)) {
        bool fits = p->family.over == OVER_ONCE ? put_once(p, o) : put_rows(p, o) && put_lost(p, o);

        if (!fits)
            return false;
        p->in_family = false;
    }
    return true;
}

static size_t drain(struct prompage *p, char *buf, size_t size) {
    size_t left = p->over.n - p->over_at, n = left < size ? left : size;

    if (n > 0)
        memcpy(buf, p->over.p + p->over_at, n);
    p->over_at += n;
    return n;
}

/* A line longer than a piece: hostile names may be that long. It is written aside, and what comes
 * behind it there too, up to a piece. */
static bool put_aside(struct prompage *p, size_t need) {
    struct piece o = {.size = need};

    buf_clear(&p->over);
    p->over_at = 0;
    o.p = buf_room(&p->over, need);
    if (!o.p)
        return false;
    (void)put_families(p, &o);
    buf_grow(&p->over, o.n);
    return true;
}

size_t prompage_read(struct prompage *p, char *buf, size_t size) {
    struct piece o = {.p = buf, .size = size};

    assert(size >= PIECE_MIN);
    o.n = drain(p, buf, size);
    if (o.n > 0 || put_families(p, &o) || o.n > 0)
        return o.n;
    return put_aside(p, o.need) ? drain(p, buf, size) : 0;
}
