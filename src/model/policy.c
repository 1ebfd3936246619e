#include "model/policy.h"

#include <errno.h>
#include <string.h>

#include "base/num.h"

enum { SECOND = 1000000, MOST_CENTI = 9999 };

void policy_defaults(struct policy *p) {
    *p = (struct policy){
        .mark = {{false, 8000}, {false, 9000}, {false, 9500}},
        .marks = 3,
        .action = {ACTION_NOTIFY, ACTION_GC, ACTION_RECLAIM},
        .actions = 3,
        .per_hour = 1200,
        .kills_per_hour = 20,
        .cooldown_us = SECOND,
        .grace_us = 10 * SECOND,
        .deadline_us = 10 * SECOND,
    };
}

/* --- marks ------------------------------------------------------------------------------------ */

/* "80", "87.5": hundredths. */
static int parse_centi(struct str s, uint64_t *out) {
    struct str whole = s, fraction = {"", 0};
    uint64_t a, b = 0;
    int r;

    if (str_cut(&s, '.', &whole))
        fraction = s;
    r = str_to_u64(whole, &a);
    if (r < 0 || a > 100 || fraction.n > 2)
        return -EINVAL;
    if (fraction.n > 0 && str_to_u64(fraction, &b) < 0)
        return -EINVAL;
    *out = a * 100 + (fraction.n == 1 ? b * 10 : b);
    return 0;
}

int policy_parse_mark(struct str word, struct policy_mark *out, struct err *err) {
    struct str number = word;

    out->bytes = !str_drop(&number, STR("%"));
    if (out->bytes) {
        if (num_parse_size(number, &out->value) < 0 || out->value < 1 << 16)
            return err_set(err, -EINVAL,
                           "'%.*s' is no mark: a share of the limit (80%%) or a size from 64K "
                           "(400M)",
                           STR_ARG(word));
        return 0;
    }
    if (parse_centi(number, &out->value) < 0 || out->value < 1 || out->value > MOST_CENTI)
        return err_set(err, -EINVAL, "'%.*s' is no mark: from 0.01%% to 99.99%%", STR_ARG(word));
    return 0;
}

static int rises(const struct policy *p, struct err *err) {
    for (unsigned i = 1; i < p->marks; i++) {
        if (p->mark[i].bytes != p->mark[0].bytes)
            return err_set(err, -EINVAL, "marks are either all in percent or all sizes");
        if (p->mark[i].value <= p->mark[i - 1].value)
            return err_set(err, -EINVAL, "marks must rise: mark %u is not above mark %u", i + 1, i);
    }
    return 0;
}

int policy_parse_marks(struct str text, struct policy *p, struct err *err) {
    struct str rest = text, word;

    p->marks = 0;
    for (bool more = true; more;) {
        more = str_cut(&rest, ',', &word);
        if (!more)
            word = rest;
        if (p->marks == POLICY_MARKS)
            return err_set(err, -E2BIG, "more than %u marks", (unsigned)POLICY_MARKS);
        if (policy_parse_mark(str_trim(word), &p->mark[p->marks], err) < 0)
            return -EINVAL;
        p->marks++;
    }
    return rises(p, err);
}

/* --- actions ---------------------------------------------------------------------------------- */

static const char *nearest(struct str word) {
    unsigned best = word.n < 3 ? (unsigned)word.n : 3; /* something of it is right */
    const char *found = NULL;

    for (unsigned i = 0; i < ACTION_N; i++) {
        unsigned far = str_distance(word, str_of(action_name((enum action)i)));

        if (far < best) {
            best = far;
            found = action_name((enum action)i);
        }
    }
    return found;
}

int policy_parse_actions(struct str text, struct policy *p, struct err *err) {
    struct str rest = text, word;

    p->actions = 0;
    for (bool more = true; more;) {
        more = str_cut(&rest, ',', &word);
        if (!more)
            word = rest;
        word = str_trim(word);
        if (p->actions == POLICY_ACTIONS)
            return err_set(err, -E2BIG, "more than %u actions", (unsigned)POLICY_ACTIONS);
        if (action_parse(word, &p->action[p->actions]) < 0) {
            const char *near = nearest(word);

            if (near)
                return err_set(err, -EINVAL, "unknown action '%.*s', did you mean '%s'?",
                               STR_ARG(word), near);
            return err_set(err, -EINVAL,
                           "unknown action '%.*s': notify, gc, reclaim, throttle, pause, dump, "
                           "rescue, term or kill",
                           STR_ARG(word));
        }
        p->actions++;
    }
    return 0;
}

int policy_check(const struct policy *p, struct err *err) {
    int r = rises(p, err);

    if (r < 0)
        return r;
    if (p->marks == 0)
        return err_set(err, -EINVAL, "a guard needs a mark: at 90%%, say");
    if (p->actions == 0)
        return err_set(err, -EINVAL, "a guard needs an action: notify, gc ...");
    if (p->marks > p->actions)
        return err_set(err, -EINVAL,
                       "%u marks and %u action%s: each mark starts one, the last all that follow",
                       p->marks, p->actions, p->actions == 1 ? "" : "s");
    for (unsigned i = 1; i < p->actions; i++)
        for (unsigned j = 0; j < i; j++)
            if (p->action[i] == p->action[j] && p->action[i] >= ACTION_TERM)
                return err_set(err, -EINVAL, "'%s' stands in the list twice",
                               action_name(p->action[i]));
    for (unsigned i = 0; i < p->actions; i++)
        if (p->action[i] == ACTION_KILL && i + 1 < p->actions)
            return err_set(err, -EINVAL, "nothing can follow 'kill': '%s' would never come",
                           action_name(p->action[i + 1]));
    return 0;
}

/* --- lists of texts --------------------------------------------------------------------------- */

int policy_add_text(char list[POLICY_TEXT], struct str text, struct err *err) {
    size_t n = 0;

    while (list[n])
        n += strlen(list + n) + 1;
    if (text.n == 0)
        return err_set(err, -EINVAL, "an empty text");
    if (memchr(text.p, 0, text.n))
        return err_set(err, -EILSEQ, "a text with a NUL in it");
    if (n + text.n + 2 > POLICY_TEXT)
        return err_set(err, -ENOSPC, "longer than %u bytes in all", (unsigned)POLICY_TEXT);
    memcpy(list + n, text.p, text.n);
    list[n + text.n] = 0;
    list[n + text.n + 1] = 0;
    return 0;
}

bool policy_next_text(const char list[POLICY_TEXT], const char **at) {
    *at = *at ? *at + strlen(*at) + 1 : list;
    return **at != 0;
}

static bool same_marks(const struct policy *a, const struct policy *b) {
    for (unsigned i = 0; i < a->marks; i++)
        if (a->mark[i].bytes != b->mark[i].bytes || a->mark[i].value != b->mark[i].value)
            return false;
    for (unsigned i = 0; i < a->actions; i++)
        if (a->action[i] != b->action[i])
            return false;
    return true;
}

static bool same_list(const char a[POLICY_TEXT], const char b[POLICY_TEXT]) {
    const char *x = NULL, *y = NULL;
    bool more = true;

    while (more) {
        more = policy_next_text(a, &x);
        if (more != policy_next_text(b, &y) || strcmp(x, y) != 0)
            return false;
    }
    return true;
}

bool policy_same(const struct policy *a, const struct policy *b) {
    return a->marks == b->marks && a->actions == b->actions && same_marks(a, b) &&
           strcmp(a->name, b->name) == 0 && a->inject == b->inject && a->dry_run == b->dry_run &&
           a->oom_hold == b->oom_hold && a->kill_init == b->kill_init &&
           a->leave_high == b->leave_high && a->per_hour == b->per_hour &&
           a->kills_per_hour == b->kills_per_hour && a->cooldown_us == b->cooldown_us &&
           a->grace_us == b->grace_us && a->deadline_us == b->deadline_us && a->lend == b->lend &&
           a->rt_limit == b->rt_limit && same_list(a->hook, b->hook) &&
           same_list(a->protect, b->protect) && same_list(a->prefer, b->prefer);
}

bool policy_has(const struct policy *p, enum action action) {
    for (unsigned i = 0; i < p->actions; i++)
        if (p->action[i] == action)
            return true;
    return false;
}

unsigned policy_list_end(const struct policy *p, unsigned mark) {
    return mark + 1 < p->marks ? mark + 1 : p->actions;
}

/* --- what it comes to ------------------------------------------------------------------------- */

uint64_t policy_mark_bytes(const struct policy_mark *m, uint64_t limit) {
    if (m->bytes)
        return m->value;
    if (limit == 0 || limit == UINT64_MAX)
        return 0;
    return (uint64_t)((unsigned __int128)limit * m->value / 10000);
}

static void add_mark(struct buf *out, const struct policy_mark *m) {
    if (m->bytes) {
        num_add_iec(out, m->value);
        return;
    }
    num_add_centi(out, m->value, m->value % 100 ? (m->value % 10 ? 2 : 1) : 0);
    buf_add_char(out, '%');
}

void policy_add_words(struct buf *out, const struct policy *p) {
    for (unsigned i = 0; i < p->marks; i++) {
        unsigned last = i + 1 < p->marks ? i + 1 : p->actions;

        if (i > 0)
            buf_add(out, STR(", "));
        add_mark(out, &p->mark[i]);
        for (unsigned k = i; k < last; k++) {
            buf_add(out, k == i ? STR(" ") : STR(" then "));
            buf_add(out, str_of(action_name(p->action[k])));
        }
    }
    if (p->inject)
        buf_add(out, STR("; may write into runtimes"));
    if (p->oom_hold)
        buf_add(out, p->dry_run ? STR("; would hold an OOM for a dump")
                                : STR("; holds an OOM for a dump"));
    if (p->dry_run)
        buf_add(out, STR("; dry run"));
}
