#include "cmd/incidentlist.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/num.h"
#include "base/text.h"
#include "cmd/auditread.h"

void incidentlist_done(struct incidentlist *l) {
    free(l->record);
    l->record = NULL;
    l->n = l->room = 0;
}

/* --- filled ----------------------------------------------------------------------------------- */

static int in_order(const void *a, const void *b) {
    const struct incident_record *x = a, *y = b;
    int r;

    if (x->a.at_ms != y->a.at_ms)
        return x->a.at_ms < y->a.at_ms ? -1 : 1;
    if (x->oom != y->oom)
        return x->oom - y->oom;
    r = strcmp(x->a.id, y->a.id);
    return r != 0 ? r : (int)x->a.kind - (int)y->a.kind;
}

/* A kill has no number before the agent has written it down. */
bool incident_same(const struct incident_record *x, const struct incident_record *y) {
    return x->oom == y->oom && x->a.kind == y->a.kind && x->a.at_ms == y->a.at_ms &&
           (x->oom || strcmp(x->a.id, y->a.id) == 0) && strcmp(x->a.path, y->a.path) == 0;
}

void incidentlist_settle(struct incidentlist *l) {
    size_t n = 0;

    if (l->n > 1)
        qsort(l->record, l->n, sizeof(*l->record), in_order);
    for (size_t i = 0; i < l->n; i++)
        if (n == 0 || !incident_same(&l->record[n - 1], &l->record[i])) {
            if (n != i)
                l->record[n] = l->record[i];
            n++;
        }
    l->n = n;
    if (n <= INCIDENTS_MOST)
        return;
    l->cut = true;
    l->n = INCIDENTS_MOST;
    memmove(l->record, l->record + n - l->n, l->n * sizeof(*l->record));
}

int incidentlist_add(struct incidentlist *l, const struct incident_record *r) {
    if ((l->since_ms > 0 && r->a.at_ms < l->since_ms) ||
        (l->until_ms > 0 && r->a.at_ms > l->until_ms))
        return 0;
    if (l->n >= (size_t)2 * INCIDENTS_MOST)
        incidentlist_settle(l);
    if (l->n == l->room) {
        size_t room = l->room ? 2 * l->room : 64;
        struct incident_record *grown = reallocarray(l->record, room, sizeof(*grown));

        if (!grown)
            return -ENOMEM;
        l->record = grown;
        l->room = room;
    }
    l->record[l->n++] = *r;
    return 0;
}

int incidentlist_add_lines(struct incidentlist *l, struct str text, bool whole) {
    struct auditread_lines lines = {text};
    struct auditread read;
    struct str line;
    int r = 0;

    while (r == 0 && auditread_next(&lines, &line)) {
        if (auditread_line(line, &read) < 0)
            l->damaged++;
        else
            r = incidentlist_add(l, &(struct incident_record){.a = read.audit});
    }
    if (whole && str_trim(lines.rest).n > 0)
        l->damaged++;
    return r;
}

static void copy_text(const json_t *row, const char *key, char *to, size_t size) {
    const json_t *v = json_object_get(row, key);

    snprintf(to, size, "%s", json_is_string(v) ? json_string_value(v) : "");
}

static void read_victim(const json_t *row, struct audit *a) {
    const json_t *victim = json_object_get(row, "victim");
    const char *limit = json_string_value(json_object_get(row, "limit_path"));
    char comm[64];
    json_int_t pid = json_integer_value(json_object_get(victim, "pid"));

    copy_text(victim, "comm", comm, sizeof(comm));
    if (pid > 0 && pid <= INT32_MAX)
        a->report.pid = (int32_t)pid;
    a->have_before = json_is_object(victim);
    a->before = (uint64_t)json_integer_value(json_object_get(victim, "anon")) +
                (uint64_t)json_integer_value(json_object_get(victim, "shmem"));
    snprintf(a->report.text, sizeof(a->report.text), "%s%s%s", comm,
             json_is_true(json_object_get(row, "outside")) && limit ? ", by the limit of " : "",
             json_is_true(json_object_get(row, "outside")) && limit ? limit : "");
}

static int add_oom(struct incidentlist *l, const json_t *row) {
    struct incident_record r = {.oom = true, .a = {.kind = AUDIT_N}};
    json_int_t kills = json_integer_value(json_object_get(row, "kills")), id;

    r.a.at_ms = json_integer_value(json_object_get(row, "at_ms"));
    if (r.a.at_ms <= 0)
        return -EBADMSG;
    id = json_integer_value(json_object_get(row, "id"));
    snprintf(r.a.id, sizeof(r.a.id), "oom-%lld", (long long)(id > 0 ? id : r.a.at_ms));
    copy_text(row, "name", r.a.name, sizeof(r.a.name));
    copy_text(row, "target", r.a.path, sizeof(r.a.path));
    snprintf(r.a.by, sizeof(r.a.by), "kernel");
    r.kills = kills > 0 ? (uint64_t)kills : 0;
    read_victim(row, &r.a);
    return incidentlist_add(l, &r);
}

int incidentlist_add_answer(struct incidentlist *l, const json_t *answer) {
    const json_t *list = json_object_get(answer, "incidents");
    struct auditread read;
    int r = json_is_array(list) ? 0 : -EBADMSG;

    for (size_t i = 0; r == 0 && i < json_array_size(list); i++) {
        const json_t *row = json_array_get(list, i);
        const char *kind = json_string_value(json_object_get(row, "kind"));

        if (kind && strcmp(kind, "oom") == 0)
            r = add_oom(l, row);
        else if (auditread_object(row, "record", &read) == 0)
            r = incidentlist_add(l, &(struct incident_record){.a = read.audit});
    }
    return r;
}

/* --- what belongs together -------------------------------------------------------------------- */

static bool same_target(const struct audit *a, const struct audit *b) {
    return strcmp(a->path, b->path) == 0;
}

/* The end of what began at i: of a hang until its guard ends or begins anew. */
static const struct incident_record *end_of(const struct incidentlist *l, size_t i) {
    const struct audit *a = &l->record[i].a;

    for (size_t k = i + 1; k < l->n; k++) {
        const struct audit *b = &l->record[k].a;

        if (l->record[k].oom || !same_target(a, b) || strcmp(a->by, b->by) != 0)
            continue;
        if (a->kind == AUDIT_BEGIN && b->kind == AUDIT_END && strcmp(a->id, b->id) == 0)
            return &l->record[k];
        if (a->kind == AUDIT_HANG && b->kind == AUDIT_HANG && !b->up)
            return &l->record[k];
        if (a->kind == AUDIT_HANG && (b->kind == AUDIT_GUARD || b->kind == AUDIT_OVER))
            return NULL;
    }
    return NULL;
}

/* Whether this END or end of a hang has its beginning in the list. */
static bool has_beginning(const struct incidentlist *l, size_t i) {
    const struct audit *a = &l->record[i].a;

    while (i-- > 0) {
        const struct incident_record *r = &l->record[i];

        if (r->oom || !same_target(a, &r->a) || strcmp(a->by, r->a.by) != 0)
            continue;
        if (a->kind == AUDIT_END && r->a.kind == AUDIT_BEGIN && strcmp(a->id, r->a.id) == 0)
            return true;
        if (a->kind == AUDIT_HANG && r->a.kind == AUDIT_HANG)
            return r->a.up;
    }
    return false;
}

static bool make_incident(const struct incidentlist *l, size_t i, struct incident *out) {
    const struct incident_record *r = &l->record[i];

    *out = (struct incident){r, NULL};
    if (r->oom || r->a.kind == AUDIT_MARK) {
        out->last = r;
        return r->oom || r->a.up;
    }
    if (r->a.kind == AUDIT_BEGIN || (r->a.kind == AUDIT_HANG && r->a.up)) {
        out->last = end_of(l, i);
        return true;
    }
    if (r->a.kind != AUDIT_END && r->a.kind != AUDIT_HANG)
        return false;
    out->last = r;
    return !has_beginning(l, i);
}

const char *incident_kind(const struct incident *i) {
    if (i->first->oom)
        return "oom";
    if (i->first->a.kind == AUDIT_HANG)
        return "hang";
    return i->first->a.kind == AUDIT_MARK ? "mark" : action_name(i->first->a.action);
}

static bool is_action(struct str word) {
    enum action action;

    return action_parse(word, &action) == 0;
}

int incident_check_kinds(struct str kinds, struct err *err) {
    while (kinds.n > 0) {
        struct str word = kinds;

        if (!str_cut(&kinds, ',', &word))
            kinds.n = 0;
        if (!str_eq(word, STR("oom")) && !str_eq(word, STR("hang")) && !str_eq(word, STR("mark")) &&
            !str_eq(word, STR("guard")) && !is_action(word))
            return err_set(err, -EINVAL,
                           "there is no kind '%.*s': oom, hang, mark, guard (every action), or an "
                           "action: gc, reclaim, kill ...",
                           STR_ARG(word));
    }
    return 0;
}

static bool wants_kind(struct str kinds, const char *kind) {
    if (kinds.n == 0)
        return strcmp(kind, "mark") != 0;
    while (kinds.n > 0) {
        struct str word = kinds;

        if (!str_cut(&kinds, ',', &word))
            kinds.n = 0;
        if (str_eq(word, str_of(kind)) || (str_eq(word, STR("guard")) && is_action(str_of(kind))))
            return true;
    }
    return false;
}

bool incident_is_of(const struct incident_record *r, struct str target) {
    const struct audit *a = &r->a;
    const char *slash = strrchr(a->path, '/');

    return target.n == 0 || str_eq(target, str_of(a->name)) || str_eq(target, str_of(a->path)) ||
           (target.n >= 4 && slash && str_starts(str_of(slash + 1), target));
}

size_t incidentlist_incidents(const struct incidentlist *l, const struct incident_filter *filter,
                              struct incident *out) {
    size_t n = 0;

    for (size_t i = 0; i < l->n; i++)
        if (incident_is_of(&l->record[i], filter->target) && make_incident(l, i, &out[n]) &&
            wants_kind(filter->kinds, incident_kind(&out[n])))
            n++;
    return n;
}

/* --- words ------------------------------------------------------------------------------------ */

static void add_text(struct buf *out, const char *text) {
    text_add_visible(out, str_of(text), false);
}

static void add_kill(struct buf *out, const struct incident_record *r) {
    buf_add_format(out, "OOM kill%s", r->kills > 1 ? "s" : "");
    if (r->kills > 1)
        buf_add_format(out, " (%llu)", (unsigned long long)r->kills);
    if (r->a.report.text[0] != '\0') {
        buf_add(out, STR(" of "));
        add_text(out, r->a.report.text);
    }
}

void incident_add_line(struct buf *out, const struct incident_record *r) {
    if (r->oom)
        add_kill(out, r);
    else
        audit_add_line(out, &r->a);
}

void incident_add_what(struct buf *out, const struct incident *i) {
    const struct audit *a = &i->first->a;
    bool begun = a->kind == AUDIT_BEGIN && a->report.text[0] != '\0';
    bool by_mark = a->kind != AUDIT_HANG && a->mark > 0;

    if (i->first->oom)
        add_kill(out, i->first);
    else if (a->kind == AUDIT_MARK)
        audit_add_line(out, a);
    else if (begun)
        add_text(out, a->report.text);
    else if (by_mark)
        buf_add_format(out, "mark %u passed", a->mark);
    else if (a->kind == AUDIT_HANG || a->hang.kind != HANG_NONE)
        buf_add_format(out, "hangs at its limit: %s", hang_name(a->hang.kind));
    else
        buf_add(out, STR("asked for"));
}

static void add_outcome(struct buf *out, const struct incident *i) {
    const struct audit *a = &i->last->a;

    buf_add_format(out, ": %s", outcome_name(a->report.outcome));
    if (a->report.text[0] != '\0') {
        buf_add(out, STR(", "));
        add_text(out, a->report.text);
    }
}

void incident_add_done(struct buf *out, const struct incident *i) {
    const struct audit *a = &i->first->a;

    if (i->first->oom) {
        buf_add(out, STR("killed by the kernel"));
    } else if (a->kind == AUDIT_MARK) {
        buf_add_char(out, '-');
    } else if (a->kind == AUDIT_HANG) {
        buf_add(out, i->last ? STR("over") : STR("not over, as far as is known"));
    } else {
        add_text(out, action_name(a->action));
        if (i->last && i->last->a.report.pid > 0)
            buf_add_format(out, " %d", i->last->a.report.pid);
        if (i->last)
            add_outcome(out, i);
        else
            buf_add(out, STR(": its end is not known"));
    }
}

bool incident_took_us(const struct incident *i, int64_t *out) {
    const struct audit *a = &i->first->a, *b = i->last ? &i->last->a : NULL;

    if (!b || i->first->oom || a->kind == AUDIT_MARK)
        return false;
    if (b->kind == AUDIT_END && b->took_us > 0)
        *out = b->took_us;
    else if (b->kind == AUDIT_HANG && b->hang.since_us > 0)
        *out = b->facts.at_us - b->hang.since_us;
    else if (a != b)
        *out = (b->at_ms - a->at_ms) * 1000;
    else
        return false;
    return *out >= 0;
}

/* --- stories ---------------------------------------------------------------------------------- */

struct calm {
    unsigned passed; /* marks, a bit each: of those that were told to be */
    unsigned open;
    bool hung;
};

static bool is_calm(const struct calm *c) {
    return c->passed == 0 && c->open == 0 && !c->hung;
}

static void pass(struct calm *c, const struct incident_record *r) {
    const struct audit *a = &r->a;

    if (r->oom)
        return;
    switch (a->kind) {
    case AUDIT_GUARD:
    case AUDIT_OVER:
        *c = (struct calm){.open = 0};
        break;
    case AUDIT_MARK:
        if (a->up)
            c->passed |= 1u << a->mark;
        else
            c->passed &= (1u << a->mark) - 1;
        break;
    case AUDIT_HANG:
        c->hung = a->up;
        break;
    case AUDIT_BEGIN:
        c->open++;
        break;
    case AUDIT_END:
        c->open -= c->open > 0;
        break;
    case AUDIT_UNDO:
    case AUDIT_N:
        break;
    }
}

/* What a kill was called before it had a number is its name for good. */
static bool is_called(const struct incident_record *r, struct str id) {
    char early[AUDIT_ID];

    if (str_eq(id, str_of(r->a.id)))
        return true;
    snprintf(early, sizeof(early), "oom-%lld", (long long)r->a.at_ms);
    return r->oom && str_eq(id, str_of(early));
}

size_t incidentlist_story(const struct incidentlist *l, struct str id, bool *in, bool *over) {
    size_t found = 0, first = 0, last, n = 0;
    struct calm calm = {.open = 0};

    while (found < l->n && !is_called(&l->record[found], id))
        found++;
    if (found == l->n)
        return 0;
    for (size_t i = 0; i <= found; i++) {
        if (!same_target(&l->record[i].a, &l->record[found].a))
            continue;
        if (is_calm(&calm))
            first = i;
        pass(&calm, &l->record[i]);
    }
    for (last = found; last + 1 < l->n && !is_calm(&calm);) {
        last++;
        if (same_target(&l->record[last].a, &l->record[found].a))
            pass(&calm, &l->record[last]);
    }
    *over = is_calm(&calm);
    for (size_t i = 0; i < l->n; i++) {
        in[i] = i >= first && i <= last && same_target(&l->record[i].a, &l->record[found].a);
        n += in[i];
    }
    return n;
}
