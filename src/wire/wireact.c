#include "wire/wireact.h"

#include "wire/wireint.h"

/* --- texts of a fixed size ---------------------------------------------------------------------
 */

static void put_chars(struct wire_out *w, const char *p, size_t size) {
    put_text(w, (struct str){p, strnlen(p, size - 1)});
}

static void get_chars(struct reader *r, char *out, size_t size) {
    struct str s = get_text(r);

    if (!r->bad && str_copy(s, out, size) < 0)
        r->bad = true;
}

/* Texts that follow each other, each with its NUL, up to an empty one. */
static size_t list_bytes(const char list[POLICY_TEXT]) {
    size_t n = 0;

    while (n < POLICY_TEXT && list[n]) {
        size_t one = strnlen(list + n, POLICY_TEXT - n);

        if (n + one + 1 >= POLICY_TEXT)
            return n; /* not ended: what was whole */
        n += one + 1;
    }
    return n;
}

static void put_list(struct wire_out *w, const char list[POLICY_TEXT]) {
    put_text(w, (struct str){list, list_bytes(list)});
}

static void get_list(struct reader *r, char out[POLICY_TEXT]) {
    struct str s = get_text(r);

    if (r->bad || s.n >= POLICY_TEXT || (s.n > 0 && s.p[s.n - 1] != '\0')) {
        r->bad = true;
        return;
    }
    memset(out, 0, POLICY_TEXT);
    if (s.n > 0)
        memcpy(out, s.p, s.n);
    r->bad = list_bytes(out) != s.n; /* an empty one in the middle */
}

/* --- records ------------------------------------------------------------------------------------
 */

enum { FLAG_DRY = 1, FLAG_UP = 2, FLAG_BEFORE = 4, FLAG_AFTER = 8, FLAGS = 15 };

static void put_facts(struct wire_out *w, const struct facts *f) {
    uint32_t have = f->have & ((1u << FACT_N) - 1);

    put_signed(w, f->at_us);
    put(w, have);
    for (uint32_t set = have; set; set &= set - 1)
        put_value(w, f->value[__builtin_ctz(set)]);
}

static void get_facts(struct reader *r, struct facts *out) {
    out->at_us = get_signed(r);
    out->have = (uint32_t)get_at_most(r, (1u << FACT_N) - 1);
    for (uint32_t set = out->have; set && !r->bad; set &= set - 1)
        out->value[__builtin_ctz(set)] = get_value(r);
}

static void put_report(struct wire_out *w, const struct action_report *p) {
    put(w, p->outcome);
    put_signed(w, p->pid);
    put_chars(w, p->text, sizeof(p->text));
    put_chars(w, p->next, sizeof(p->next));
    put_chars(w, p->file, sizeof(p->file));
}

static void get_report(struct reader *r, struct action_report *out) {
    out->outcome = (enum outcome)get_at_most(r, OUTCOME_N - 1);
    out->pid = get_pid(r);
    get_chars(r, out->text, sizeof(out->text));
    get_chars(r, out->next, sizeof(out->next));
    get_chars(r, out->file, sizeof(out->file));
}

bool wire_add_audit(struct wire_out *w, const struct wire_audit *message) {
    const struct audit *a = &message->audit;
    size_t from = w->n;

    put(w, message->uid);
    put(w, a->kind);
    put_chars(w, a->id, sizeof(a->id));
    put_signed(w, a->at_ms);
    put_chars(w, a->by, sizeof(a->by));
    put_chars(w, a->name, sizeof(a->name));
    put_chars(w, a->path, sizeof(a->path));
    put_chars(w, a->guard, sizeof(a->guard));
    put(w, (a->dry_run ? FLAG_DRY : 0u) | (a->up ? FLAG_UP : 0u) |
               (a->have_before ? FLAG_BEFORE : 0u) | (a->have_after ? FLAG_AFTER : 0u));
    put_facts(w, &a->facts);
    put(w, a->mark);
    put(w, a->hang.kind);
    put_signed(w, a->hang.since_us);
    put(w, a->action);
    put_report(w, &a->report);
    put_value(w, a->before);
    put_value(w, a->after);
    put_signed(w, a->took_us);
    return settle(w, from);
}

int wire_read_audit(struct wire_in *in, struct wire_audit *out) {
    struct reader r = {.in = *in};
    struct audit *a = &out->audit;
    uint64_t flags;

    *out = (struct wire_audit){.uid = (uint32_t)get_at_most(&r, UINT32_MAX)};
    a->kind = (enum audit_kind)get_at_most(&r, AUDIT_N - 1);
    get_chars(&r, a->id, sizeof(a->id));
    a->at_ms = get_signed(&r);
    get_chars(&r, a->by, sizeof(a->by));
    get_chars(&r, a->name, sizeof(a->name));
    get_chars(&r, a->path, sizeof(a->path));
    get_chars(&r, a->guard, sizeof(a->guard));
    flags = get_at_most(&r, FLAGS);
    a->dry_run = flags & FLAG_DRY;
    a->up = flags & FLAG_UP;
    a->have_before = flags & FLAG_BEFORE;
    a->have_after = flags & FLAG_AFTER;
    get_facts(&r, &a->facts);
    a->mark = (unsigned)get_at_most(&r, POLICY_MARKS);
    a->hang.kind = (enum hang_kind)get_at_most(&r, HANG_N - 1);
    a->hang.since_us = get_signed(&r);
    a->action = (enum action)get_at_most(&r, ACTION_N - 1);
    get_report(&r, &a->report);
    a->before = get_value(&r);
    a->after = get_value(&r);
    a->took_us = get_signed(&r);
    return finish_whole(&r, in);
}

/* --- requests -----------------------------------------------------------------------------------
 */

bool wire_add_act(struct wire_out *w, const struct wire_act *a) {
    size_t from = w->n;

    put(w, a->request);
    put(w, a->uid);
    put(w, a->action);
    put_chars(w, a->by, sizeof(a->by));
    return settle(w, from);
}

int wire_read_act(struct wire_in *in, struct wire_act *out) {
    struct reader r = {.in = *in};
    struct wire_act a = {.request = get(&r)};
    int result;

    a.uid = (uint32_t)get_at_most(&r, UINT32_MAX);
    a.action = (enum action)get_at_most(&r, ACTION_N - 1);
    get_chars(&r, a.by, sizeof(a.by));
    result = finish_whole(&r, in);
    if (result == 0)
        *out = a;
    return result;
}

bool wire_add_acted(struct wire_out *w, const struct wire_acted *a) {
    size_t from = w->n;

    put(w, a->request);
    put(w, a->word);
    put_chars(w, a->id, sizeof(a->id));
    return settle(w, from);
}

int wire_read_acted(struct wire_in *in, struct wire_acted *out) {
    struct reader r = {.in = *in};
    struct wire_acted a = {.request = get(&r)};
    int result;

    a.word = (enum wire_acted_word)get_at_most(&r, WIRE_ACTED_N - 1);
    get_chars(&r, a.id, sizeof(a.id));
    result = finish_whole(&r, in);
    if (result == 0)
        *out = a;
    return result;
}

/* --- policies -----------------------------------------------------------------------------------
 */

static void put_match(struct wire_out *w, const struct guardmatch *m) {
    for (unsigned i = 0; i < GUARDMATCH_N; i++)
        put_chars(w, m->glob[i], sizeof(m->glob[i]));
    put(w, m->labels);
    for (unsigned i = 0; i < m->labels; i++) {
        put_chars(w, m->label[i].key, sizeof(m->label[i].key));
        put_chars(w, m->label[i].glob, sizeof(m->label[i].glob));
    }
}

static void get_match(struct reader *r, struct guardmatch *out) {
    for (unsigned i = 0; i < GUARDMATCH_N; i++)
        get_chars(r, out->glob[i], sizeof(out->glob[i]));
    out->labels = (unsigned)get_at_most(r, GUARDMATCH_LABELS);
    for (unsigned i = 0; i < out->labels && !r->bad; i++) {
        get_chars(r, out->label[i].key, sizeof(out->label[i].key));
        get_chars(r, out->label[i].glob, sizeof(out->label[i].glob));
    }
}

enum {
    FLAG_INJECT = 1,
    FLAG_DRY_RUN = 2,
    FLAG_HOLD = 4,
    FLAG_INIT = 8,
    FLAG_LEAVE_HIGH = 16,
    POLICY_FLAGS = 31,
};

static void put_policy(struct wire_out *w, const struct policy *p) {
    put_chars(w, p->name, sizeof(p->name));
    put(w, p->marks);
    for (unsigned i = 0; i < p->marks; i++) {
        put(w, p->mark[i].bytes);
        put_value(w, p->mark[i].value);
    }
    put(w, p->actions);
    for (unsigned i = 0; i < p->actions; i++)
        put(w, p->action[i]);
    put(w, (p->inject ? FLAG_INJECT : 0u) | (p->dry_run ? FLAG_DRY_RUN : 0u) |
               (p->oom_hold ? FLAG_HOLD : 0u) | (p->kill_init ? FLAG_INIT : 0u) |
               (p->leave_high ? FLAG_LEAVE_HIGH : 0u));
    put(w, p->per_hour);
    put(w, p->kills_per_hour);
    put_signed(w, p->cooldown_us);
    put_signed(w, p->grace_us);
    put_signed(w, p->deadline_us);
    put_value(w, p->lend);
    put(w, p->rt_limit);
    put_list(w, p->hook);
    put_list(w, p->protect);
    put_list(w, p->prefer);
}

static void get_policy(struct reader *r, struct policy *out) {
    uint64_t flags;

    get_chars(r, out->name, sizeof(out->name));
    out->marks = (unsigned)get_at_most(r, POLICY_MARKS);
    for (unsigned i = 0; i < out->marks && !r->bad; i++) {
        out->mark[i].bytes = get_at_most(r, 1);
        out->mark[i].value = get_value(r);
    }
    out->actions = (unsigned)get_at_most(r, POLICY_ACTIONS);
    for (unsigned i = 0; i < out->actions && !r->bad; i++)
        out->action[i] = (enum action)get_at_most(r, ACTION_N - 1);
    flags = get_at_most(r, POLICY_FLAGS);
    out->inject = flags & FLAG_INJECT;
    out->dry_run = flags & FLAG_DRY_RUN;
    out->oom_hold = flags & FLAG_HOLD;
    out->kill_init = flags & FLAG_INIT;
    out->leave_high = flags & FLAG_LEAVE_HIGH;
    out->per_hour = (uint32_t)get_at_most(r, UINT32_MAX);
    out->kills_per_hour = (uint32_t)get_at_most(r, UINT32_MAX);
    out->cooldown_us = get_signed(r);
    out->grace_us = get_signed(r);
    out->deadline_us = get_signed(r);
    out->lend = get_value(r);
    out->rt_limit = get(r);
    get_list(r, out->hook);
    get_list(r, out->protect);
    get_list(r, out->prefer);
}

bool wire_add_policy(struct wire_out *w, const struct wire_policy *p) {
    size_t from = w->n;

    put_match(w, &p->match);
    put_policy(w, &p->policy);
    put(w, p->line);
    put(w, p->column);
    return settle(w, from);
}

int wire_read_policy(struct wire_in *in, struct wire_policy *out) {
    struct reader r = {.in = *in};

    *out = (struct wire_policy){0};
    get_match(&r, &out->match);
    get_policy(&r, &out->policy);
    out->line = (uint32_t)get_at_most(&r, UINT32_MAX);
    out->column = (uint32_t)get_at_most(&r, UINT32_MAX);
    return finish_whole(&r, in);
}

bool wire_add_policies(struct wire_out *w, const struct wire_policies *p) {
    size_t from = w->n;

    put(w, p->n);
    put_text(w, p->file);
    put_text(w, p->socket);
    put_text(w, p->pressure);
    return settle(w, from);
}

int wire_read_policies(struct wire_in *in, struct wire_policies *out) {
    struct reader r = {.in = *in};
    struct wire_policies p = {.n = (uint32_t)get_at_most(&r, UINT32_MAX)};
    int result;

    p.file = get_text(&r);
    p.socket = get_text(&r);
    p.pressure = get_text(&r);
    result = finish_whole(&r, in);
    if (result == 0)
        *out = p;
    return result;
}
