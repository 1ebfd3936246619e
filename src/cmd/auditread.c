#include "cmd/auditread.h"

#include <errno.h>
#include <string.h>

static struct str text_at(const json_t *o, const char *key) {
    const json_t *v = json_object_get(o, key);

    return json_is_string(v) ? (struct str){json_string_value(v), json_string_length(v)} : STR("");
}

static void copy(struct str s, char *to, size_t size) {
    size_t n = s.n < size ? s.n : size - 1;

    if (n > 0)
        memcpy(to, s.p, n);
    to[n] = '\0';
}
#define COPY_AT(o, key, array) copy(text_at(o, key), array, sizeof(array))

static bool integer_at(const json_t *o, const char *key, int64_t *out) {
    const json_t *v = json_object_get(o, key);

    if (!json_is_integer(v))
        return false;
    *out = json_integer_value(v);
    return true;
}

/* A count: what is negative is not one. */
static bool count_at(const json_t *o, const char *key, uint64_t most, uint64_t *out) {
    int64_t value;

    if (!integer_at(o, key, &value) || value < 0 || (uint64_t)value > most)
        return false;
    *out = (uint64_t)value;
    return true;
}

/* A number with two decimals as hundredths. */
static bool centi_at(const json_t *o, const char *key, uint64_t *out) {
    const json_t *v = json_object_get(o, key);
    double value = json_is_number(v) ? json_number_value(v) : -1;

    if (!(value >= 0 && value < 1e13))
        return false;
    *out = (uint64_t)(value * 100 + 0.5);
    return true;
}

static bool flag_at(const json_t *o, const char *key) {
    return json_is_true(json_object_get(o, key));
}

/* --- parts ------------------------------------------------------------------------------------ */

static void read_facts(const json_t *o, struct facts *f) {
    (void)integer_at(o, "at_us", &f->at_us);
    for (unsigned i = 0; i < FACT_N; i++) {
        bool centi;
        const char *key = audit_fact_key((enum fact)i, &centi);

        if (centi ? centi_at(o, key, &f->value[i]) : count_at(o, key, INT64_MAX, &f->value[i]))
            f->have |= 1u << i;
    }
}

static int read_hang(const json_t *o, struct audit *a) {
    struct str word = text_at(o, "hang");
    unsigned kind = HANG_NONE;
    uint64_t ms;

    while (kind < HANG_N && !str_eq(word, str_of(hang_name((enum hang_kind)kind))))
        kind++;
    if (kind == HANG_N)
        return word.n > 0 ? -EBADMSG : 0;
    a->hang.kind = (enum hang_kind)kind;
    if (count_at(o, "hang_for_ms", INT64_MAX / 1000, &ms) && a->facts.at_us > (int64_t)ms * 1000)
        a->hang.since_us = a->facts.at_us - (int64_t)ms * 1000;
    return 0;
}

static int read_end(const json_t *o, struct audit *a) {
    struct action_report *r = &a->report;
    uint64_t n;

    if (outcome_parse(text_at(o, "outcome"), &r->outcome) < 0)
        return -EBADMSG;
    COPY_AT(o, "next", r->next);
    COPY_AT(o, "file", r->file);
    if (count_at(o, "pid", INT32_MAX, &n))
        r->pid = (int32_t)n;
    a->have_after = count_at(o, "after", INT64_MAX, &a->after);
    if (centi_at(o, "took_ms", &n))
        a->took_us = (int64_t)n * 10;
    return 0;
}

static int read_action(const json_t *o, struct audit *a) {
    if (action_parse(text_at(o, "action"), &a->action) < 0 || read_hang(o, a) < 0)
        return -EBADMSG;
    a->have_before = count_at(o, "before", INT64_MAX, &a->before);
    return a->kind == AUDIT_END ? read_end(o, a) : 0;
}

/* --- the policy ------------------------------------------------------------------------------- */

static int read_marks(const json_t *list, struct policy *p) {
    size_t n = json_array_size(list);

    if (n > POLICY_MARKS)
        return -EBADMSG;
    for (size_t i = 0; i < n; i++) {
        const json_t *mark = json_array_get(list, i);

        p->mark[i].bytes = count_at(mark, "bytes", INT64_MAX, &p->mark[i].value);
        if (!p->mark[i].bytes && !centi_at(mark, "pct", &p->mark[i].value))
            return -EBADMSG;
    }
    p->marks = (unsigned)n;
    return 0;
}

static int read_actions(const json_t *list, struct policy *p) {
    size_t n = json_array_size(list);

    if (n > POLICY_ACTIONS)
        return -EBADMSG;
    for (size_t i = 0; i < n; i++) {
        const char *word = json_string_value(json_array_get(list, i));

        if (!word || action_parse(str_of(word), &p->action[i]) < 0)
            return -EBADMSG;
    }
    p->actions = (unsigned)n;
    return 0;
}

static int read_texts(const json_t *list, char to[POLICY_TEXT]) {
    struct err err;

    for (size_t i = 0; i < json_array_size(list); i++) {
        const char *text = json_string_value(json_array_get(list, i));

        if (!text || policy_add_text(to, str_of(text), &err) < 0)
            return -EBADMSG;
    }
    return 0;
}

static int read_policy(const json_t *o, struct policy *p) {
    uint64_t n;

    if (read_marks(json_object_get(o, "marks"), p) < 0 ||
        read_actions(json_object_get(o, "actions"), p) < 0 ||
        read_texts(json_object_get(o, "hook"), p->hook) < 0 ||
        read_texts(json_object_get(o, "protect"), p->protect) < 0 ||
        read_texts(json_object_get(o, "prefer"), p->prefer) < 0)
        return -EBADMSG;
    COPY_AT(o, "name", p->name);
    p->inject = flag_at(o, "inject");
    p->dry_run = flag_at(o, "dry_run");
    p->oom_hold = flag_at(o, "oom_hold");
    p->kill_init = flag_at(o, "kill_init");
    p->leave_high = flag_at(o, "leave_high");
    if (!count_at(o, "per_hour", UINT32_MAX, &n) ||
        !integer_at(o, "cooldown_us", &p->cooldown_us) ||
        !integer_at(o, "grace_us", &p->grace_us) ||
        !integer_at(o, "deadline_us", &p->deadline_us) ||
        !count_at(o, "lend", INT64_MAX, &p->lend) || !centi_at(o, "rt_limit_pct", &p->rt_limit))
        return -EBADMSG;
    p->per_hour = (uint32_t)n;
    if (!count_at(o, "kills_per_hour", UINT32_MAX, &n))
        return -EBADMSG;
    p->kills_per_hour = (uint32_t)n;
    return 0;
}

/* --- all -------------------------------------------------------------------------------------- */

static int read_kind(const json_t *o, struct auditread *out) {
    const json_t *policy = json_object_get(o, "policy");
    struct audit *a = &out->audit;

    switch (a->kind) {
    case AUDIT_GUARD:
        out->have_policy = json_is_object(policy);
        return out->have_policy ? read_policy(policy, &out->policy) : 0;
    case AUDIT_MARK:
        return a->mark > 0 ? 0 : -EBADMSG;
    case AUDIT_HANG:
        return read_hang(o, a);
    case AUDIT_BEGIN:
    case AUDIT_END:
        return read_action(o, a);
    case AUDIT_UNDO:
        return action_parse(text_at(o, "action"), &a->action) < 0 ? -EBADMSG : 0;
    case AUDIT_OVER:
    case AUDIT_N:
        break;
    }
    return 0;
}

int auditread_object(const json_t *object, const char *kind_key, struct auditread *out) {
    struct auditread r = {.have_policy = false};
    struct audit *a = &r.audit;
    uint64_t mark;

    if (audit_kind_parse(text_at(object, kind_key), &a->kind) < 0 || text_at(object, "id").n == 0 ||
        !integer_at(object, "at_ms", &a->at_ms))
        return -EBADMSG;
    COPY_AT(object, "id", a->id);
    COPY_AT(object, "by", a->by);
    COPY_AT(object, "name", a->name);
    COPY_AT(object, "target", a->path);
    COPY_AT(object, "guard", a->guard);
    copy(text_at(object, a->kind == AUDIT_BEGIN ? "why" : "text"), a->report.text,
         sizeof(a->report.text));
    a->dry_run = flag_at(object, "dry_run");
    a->up = flag_at(object, "up");
    if (count_at(object, "mark", POLICY_MARKS, &mark))
        a->mark = (unsigned)mark;
    read_facts(json_object_get(object, "facts"), &a->facts);
    if (read_kind(object, &r) < 0)
        return -EBADMSG;
    *out = r;
    return 0;
}

int auditread_line(struct str line, struct auditread *out) {
    json_t *object = json_loadb(line.p, line.n, JSON_REJECT_DUPLICATES, NULL);
    int r = json_is_object(object) ? auditread_object(object, "kind", out) : -EBADMSG;

    json_decref(object);
    return r;
}

bool auditread_next(struct auditread_lines *l, struct str *line_out) {
    struct str line;

    while (str_cut(&l->rest, '\n', &line))
        if (str_trim(line).n > 0) {
            *line_out = line;
            return true;
        }
    return false;
}
