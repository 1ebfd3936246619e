#include "model/audit.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "base/num.h"
#include "base/text.h"

static const char *const kind_names[AUDIT_N] = {
    [AUDIT_GUARD] = "guard", [AUDIT_MARK] = "mark", [AUDIT_HANG] = "hang", [AUDIT_BEGIN] = "begin",
    [AUDIT_END] = "end",     [AUDIT_UNDO] = "undo", [AUDIT_OVER] = "over",
};

/* What a fact is called in JSON; percentages are told as such. */
static const struct {
    const char *key;
    bool centi;
} fact_keys[FACT_N] = {
    [FACT_USAGE] = {"usage", false},
    [FACT_USED] = {"used", false},
    [FACT_LIMIT] = {"limit", false},
    [FACT_FILE] = {"file", false},
    [FACT_REFAULTS] = {"refaults", false},
    [FACT_ANON] = {"anon", false},
    [FACT_UNDER_OOM] = {"under_oom", false},
    [FACT_KILL_DISABLED] = {"kill_disabled", false},
    [FACT_OOMS] = {"ooms", false},
    [FACT_OOM_KILLS] = {"oom_kills", false},
    [FACT_SOME_AVG10] = {"psi_some_avg10", true},
    [FACT_FULL_AVG10] = {"psi_full_avg10", true},
    [FACT_PGMAJFAULTS] = {"pgmajfaults", false},
    [FACT_LEVEL] = {"level", false},
    [FACT_OWN_USED] = {"own_used", false},
};

const char *audit_kind_name(enum audit_kind kind) {
    return (unsigned)kind < AUDIT_N ? kind_names[kind] : "";
}

int audit_kind_parse(struct str word, enum audit_kind *out) {
    for (unsigned i = 0; i < AUDIT_N; i++)
        if (str_eq(word, str_of(kind_names[i]))) {
            *out = (enum audit_kind)i;
            return 0;
        }
    return -EINVAL;
}

const char *audit_fact_key(enum fact fact, bool *centi_out) {
    *centi_out = fact_keys[fact].centi;
    return fact_keys[fact].key;
}

const char *audit_event_word(const struct audit *a) {
    if (a->kind == AUDIT_HANG)
        return "hang";
    return (a->kind == AUDIT_BEGIN || a->kind == AUDIT_END) && a->action == ACTION_GC ? "gc"
                                                                                      : "guard";
}

static struct str text_of(const char *text, size_t size) {
    return (struct str){text, strnlen(text, size)};
}
#define TEXT_OF(array) text_of(array, sizeof(array))

static void add_facts(struct json *j, const struct facts *f) {
    json_key(j, "facts");
    json_begin_object(j);
    json_key(j, "at_us");
    json_i64(j, f->at_us);
    for (unsigned i = 0; i < FACT_N; i++) {
        bool have = facts_has(f, (enum fact)i);
        if (fact_keys[i].centi)
            json_key_centi(j, fact_keys[i].key, have, f->value[i]);
        else
            json_key_maybe(j, fact_keys[i].key, have, f->value[i]);
    }
    json_end(j);
}

static void add_texts(struct json *j, const char *key, const char list[POLICY_TEXT]) {
    json_key(j, key);
    json_begin_array(j);
    for (const char *at = NULL; policy_next_text(list, &at);)
        json_str(j, str_of(at));
    json_end(j);
}

/* Whole: whoever replays the records decides by the same one. */
static void add_policy(struct json *j, const struct policy *p) {
    json_key(j, "policy");
    json_begin_object(j);
    json_key_str(j, "name", TEXT_OF(p->name));
    json_key(j, "marks");
    json_begin_array(j);
    for (unsigned i = 0; i < p->marks && i < POLICY_MARKS; i++) {
        json_begin_object(j);
        if (p->mark[i].bytes)
            json_key_u64(j, "bytes", p->mark[i].value);
        else
            json_key_centi(j, "pct", true, p->mark[i].value);
        json_end(j);
    }
    json_end(j);
    json_key(j, "actions");
    json_begin_array(j);
    for (unsigned i = 0; i < p->actions && i < POLICY_ACTIONS; i++)
        json_str(j, str_of(action_name(p->action[i])));
    json_end(j);
    const struct {
        const char *key;
        bool value;
    } flags[] = {{"inject", p->inject},
                 {"dry_run", p->dry_run},
                 {"oom_hold", p->oom_hold},
                 {"kill_init", p->kill_init},
                 {"leave_high", p->leave_high}};
    for (size_t i = 0; i < sizeof flags / sizeof *flags; i++) {
        json_key(j, flags[i].key);
        json_bool(j, flags[i].value);
    }
    json_key_u64(j, "per_hour", p->per_hour);
    json_key_u64(j, "kills_per_hour", p->kills_per_hour);
    const struct {
        const char *key;
        int64_t us;
    } times[] = {{"cooldown_us", p->cooldown_us},
                 {"grace_us", p->grace_us},
                 {"deadline_us", p->deadline_us}};
    for (size_t i = 0; i < sizeof times / sizeof *times; i++) {
        json_key(j, times[i].key);
        json_i64(j, times[i].us);
    }
    json_key_u64(j, "lend", p->lend);
    json_key_centi(j, "rt_limit_pct", true, p->rt_limit);
    add_texts(j, "hook", p->hook);
    add_texts(j, "protect", p->protect);
    add_texts(j, "prefer", p->prefer);
    json_end(j);
}

static bool hang_time_us(const struct audit *a, int64_t *out) {
    if (a->hang.since_us <= 0 || a->facts.at_us < a->hang.since_us)
        return false;
    *out = a->facts.at_us - a->hang.since_us;
    return true;
}

static void add_mark(struct json *j, const struct audit *a) {
    json_key_maybe(j, "mark", a->mark > 0, a->mark);
}

static void add_up(struct json *j, const struct audit *a) {
    json_key(j, "up");
    json_bool(j, a->up);
}

static void add_hang(struct json *j, const struct audit *a) {
    int64_t us = 0;
    bool known = hang_time_us(a, &us);
    json_key_str(j, "hang", str_of(hang_name(a->hang.kind)));
    json_key_maybe(j, "hang_for_ms", known, (uint64_t)us / 1000);
}

static void add_end(struct json *j, const struct audit *a) {
    const struct action_report *r = &a->report;
    json_key_str(j, "outcome", str_of(outcome_name(r->outcome)));
    json_key_maybe_str(j, "text", TEXT_OF(r->text));
    json_key_maybe_str(j, "next", TEXT_OF(r->next));
    json_key_maybe_str(j, "file", TEXT_OF(r->file));
    json_key_maybe(j, "pid", r->pid > 0, (uint64_t)r->pid);
    json_key_maybe(j, "before", a->have_before, a->before);
    json_key_maybe(j, "after", a->have_after, a->after);
    json_key(j, "freed");
    if (a->have_before && a->have_after)
        json_i64(j, (int64_t)(a->before - a->after));
    else
        json_unknown(j);
    json_key_centi(j, "took_ms", a->took_us >= 0, (uint64_t)a->took_us / 10);
}

static void add_kind(struct json *j, const struct audit *a, const struct policy *policy) {
    switch (a->kind) {
    case AUDIT_GUARD:
        json_key_maybe_str(j, "text", TEXT_OF(a->report.text));
        if (policy)
            add_policy(j, policy);
        break;
    case AUDIT_OVER:
        json_key_maybe_str(j, "text", TEXT_OF(a->report.text));
        break;
    case AUDIT_UNDO:
        json_key_str(j, "action", str_of(action_name(a->action)));
        json_key_maybe_str(j, "text", TEXT_OF(a->report.text));
        break;
    case AUDIT_MARK:
        add_mark(j, a);
        add_up(j, a);
        json_key_maybe_str(j, "text", TEXT_OF(a->report.text));
        break;
    case AUDIT_HANG:
        add_up(j, a);
        add_hang(j, a);
        break;
    case AUDIT_BEGIN:
    case AUDIT_END:
        json_key_str(j, "action", str_of(action_name(a->action)));
        add_mark(j, a);
        add_hang(j, a);
        if (a->kind == AUDIT_END) {
            add_end(j, a);
            break;
        }
        json_key_maybe_str(j, "why", TEXT_OF(a->report.text));
        json_key_maybe(j, "before", a->have_before, a->before);
        break;
    case AUDIT_N:
        break;
    }
}

void audit_add_members(struct json *j, const struct audit *a, const struct policy *policy) {
    json_key_str(j, "id", TEXT_OF(a->id));
    json_key(j, "at_ms");
    json_i64(j, a->at_ms);
    json_key(j, "ts");
    json_time_ms(j, a->at_ms);
    json_key_str(j, "by", TEXT_OF(a->by));
    json_key_str(j, "name", TEXT_OF(a->name));
    json_key_str(j, "target", TEXT_OF(a->path));
    json_key_maybe_str(j, "guard", TEXT_OF(a->guard));
    json_key(j, "dry_run");
    json_bool(j, a->dry_run);
    add_kind(j, a, policy);
    add_facts(j, &a->facts);
}

void audit_add_json(struct buf *out, const struct audit *a, const struct policy *policy) {
    struct json j;

    json_start(&j, out);
    json_begin_object(&j);
    json_key_str(&j, "kind", str_of(audit_kind_name(a->kind)));
    audit_add_members(&j, a, policy);
    json_end(&j);
}

/* -- one line ------------------------------------------------------------------------------- */

static void say(struct buf *out, const char *before, struct str text) {
    if (!text.n)
        return;
    buf_add(out, str_of(before));
    text_add_visible(out, text, false);
}

/* "243M of 256M used (94.9 %)" */
static void add_used(struct buf *out, const struct facts *f) {
    if (!facts_has(f, FACT_USED))
        return buf_add(out, str_of("used is not known"));
    num_add_iec(out, f->value[FACT_USED]);
    if (!facts_has(f, FACT_LIMIT) || !f->value[FACT_LIMIT])
        return buf_add(out, str_of(" used"));
    buf_add(out, str_of(" of "));
    num_add_iec(out, f->value[FACT_LIMIT]);
    buf_add(out, str_of(" used ("));
    num_add_centi(out, num_centi_pct(f->value[FACT_USED], f->value[FACT_LIMIT]), 1);
    buf_add(out, str_of(" %)"));
}

static void add_time(struct buf *out, int64_t us) {
    if (us < 10000)
        return buf_add_format(out, "%" PRId64 ".%02" PRId64 " ms", us / 1000, us % 1000 / 10);
    if (us < 10000000)
        return buf_add_format(out, "%" PRId64 " ms", us / 1000);
    buf_add_format(out, "%" PRId64 " s", us / 1000000);
}

static void add_hang_line(struct buf *out, const struct audit *a) {
    int64_t us = 0;
    bool known = hang_time_us(a, &us);
    if (a->up) {
        buf_add(out, str_of("hangs: "));
        hang_add_text(out, &a->hang, a->facts.at_us);
        return;
    }
    buf_add(out, str_of("hangs no more"));
    if (a->hang.kind == HANG_NONE && !known)
        return;
    buf_add_format(out, " (%s", hang_name(a->hang.kind));
    if (known) {
        buf_add(out, str_of(", "));
        add_time(out, us);
    }
    buf_add_char(out, ')');
}

/* Why it was done: "mark 3: kill", "hang: rescue", "gc" when somebody asked. */
static void add_action(struct buf *out, const struct audit *a) {
    if (a->mark)
        buf_add_format(out, "mark %u: ", a->mark);
    else if (a->hang.kind != HANG_NONE)
        buf_add_format(out, "hang (%s): ", hang_name(a->hang.kind));
    buf_add(out, str_of(action_name(a->action)));
}

static void add_end_line(struct buf *out, const struct audit *a) {
    static const char *const words[OUTCOME_N] = {
        [OUTCOME_NONE] = "how it ended is not known",
        [OUTCOME_DONE] = "done",
        [OUTCOME_PARTLY] = "partly done",
        [OUTCOME_REFUSED] = "refused",
        [OUTCOME_FAILED] = "failed",
        [OUTCOME_DRY] = "would be done (dry run)",
    };
    const struct action_report *r = &a->report;
    add_action(out, a);
    if (r->pid > 0)
        buf_add_format(out, " %d", r->pid);
    buf_add_format(out, ": %s", (unsigned)r->outcome < OUTCOME_N ? words[r->outcome] : "?");
    bool tried =
        r->outcome == OUTCOME_DONE || r->outcome == OUTCOME_PARTLY || r->outcome == OUTCOME_FAILED;
    if (tried) {
        buf_add(out, str_of(" in "));
        add_time(out, a->took_us);
    }
    if (tried && a->have_before && a->have_after) {
        buf_add(out, str_of(", "));
        num_add_iec(out, a->before);
        buf_add(out, str_of(" -> "));
        num_add_iec(out, a->after);
    }
    say(out, ": ", TEXT_OF(r->text));
    say(out, "; next: ", TEXT_OF(r->next));
    say(out, "; written: ", TEXT_OF(r->file));
}

void audit_add_line(struct buf *out, const struct audit *a) {
    switch (a->kind) {
    case AUDIT_GUARD:
        buf_add(out, str_of(a->dry_run ? "guarded (dry run)" : "guarded"));
        say(out, ": ", TEXT_OF(a->report.text));
        break;
    case AUDIT_MARK:
        buf_add_format(out, a->up ? "mark %u passed: " : "below mark %u again: ", a->mark);
        add_used(out, &a->facts);
        break;
    case AUDIT_HANG:
        add_hang_line(out, a);
        break;
    case AUDIT_BEGIN:
        add_action(out, a);
        buf_add(out, str_of(a->dry_run ? " would begin" : " begins"));
        say(out, ": ", TEXT_OF(a->report.text));
        break;
    case AUDIT_END:
        add_end_line(out, a);
        break;
    case AUDIT_UNDO:
        buf_add_format(out, "%s let go", action_name(a->action));
        say(out, ": ", TEXT_OF(a->report.text));
        break;
    case AUDIT_OVER:
        buf_add(out, str_of("no longer guarded"));
        say(out, ": ", TEXT_OF(a->report.text));
        break;
    case AUDIT_N:
        break;
    }
}
