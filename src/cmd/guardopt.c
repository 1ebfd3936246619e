#include "cmd/guardopt.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>

#include "base/mem.h"
#include "base/num.h"
#include "cmd/cmd.h"

void guardopt_defaults(void *options) {
    struct guardopt *o = options;

    policy_defaults(&o->policy);
}

static int set_at(void *into, struct str value, struct err *err) {
    struct guardopt *o = into;

    o->given_at = true;
    return policy_parse_marks(value, &o->policy, err);
}

static int set_do(void *into, struct str value, struct err *err) {
    struct guardopt *o = into;

    o->given_do = true;
    return policy_parse_actions(value, &o->policy, err);
}

void guardopt_settle(struct guardopt *o) {
    struct policy *p = &o->policy;
    unsigned fewer = p->marks > p->actions ? p->marks - p->actions : 0;

    if (o->given_at || !o->given_do)
        return;
    for (unsigned i = 0; i < p->actions && i + fewer < p->marks; i++)
        p->mark[i] = p->mark[i + fewer];
    p->marks -= fewer;
}

int guardopt_check(const struct guardopt *o, struct err *err) {
    if (o->policy.rt_limit > 0 && !o->policy.inject)
        return err_set(err, -EINVAL, "--go-limit writes into a runtime's memory: add --inject");
    if (o->hook_args > 0 && !policy_has(&o->policy, ACTION_NOTIFY))
        return err_set(err, -EINVAL,
                       "--hook is run by notify, which --do does not have: it would never be run");
    if (o->pressure_socket && !policy_has(&o->policy, ACTION_NOTIFY))
        return err_set(err, -EINVAL,
                       "--pressure-socket is for notify, which --do does not have: nobody would be "
                       "told");
    return policy_check(&o->policy, err);
}

/* --- what does nothing ------------------------------------------------------------------------ */

/* Options that only these actions heed. */
enum {
    GCS = 1 << ACTION_GC | 1 << ACTION_RESCUE,
    ENDS = 1 << ACTION_TERM | 1 << ACTION_KILL,
};
#define FIELD(name) offsetof(struct policy, name), sizeof(((struct policy *)0)->name)
static const struct {
    const char *option;
    size_t at, size;
    unsigned actions;
} heeded[] = {
    {"--inject", FIELD(inject), GCS},
    {"--go-limit", FIELD(rt_limit), GCS},
    {"--lend", FIELD(lend), 1 << ACTION_RESCUE},
    {"--grace", FIELD(grace_us), 1 << ACTION_TERM},
    {"--kill-init", FIELD(kill_init), ENDS},
    {"--protect", FIELD(protect), ENDS},
    {"--prefer", FIELD(prefer), ENDS},
    {"--max-kills-per-hour", FIELD(kills_per_hour), ENDS},
};

static void warn_unheeded(const char *option, unsigned actions) {
    char text[64];
    struct buf names;

    buf_fixed(&names, text, sizeof(text));
    for (unsigned i = 0; i < ACTION_N; i++)
        if (actions & 1u << i) {
            buf_add(&names, names.n > 0 ? STR(" or ") : STR(""));
            buf_add(&names, str_of(action_name((enum action)i)));
        }
    cmd_warn("%s does nothing without %.*s in --do", option, (int)names.n, text);
}

void guardopt_warn(const struct guardopt *o) {
    unsigned does = 0;
    struct policy usual;

    policy_defaults(&usual);
    for (unsigned i = 0; i < o->policy.actions; i++)
        does |= 1u << o->policy.action[i];
    for (size_t i = 0; i < ARRAY_N(heeded); i++)
        if (!(does & heeded[i].actions) &&
            memcmp((const char *)&o->policy + heeded[i].at, (const char *)&usual + heeded[i].at,
                   heeded[i].size) != 0)
            warn_unheeded(heeded[i].option, heeded[i].actions);
}

/* --- the options ------------------------------------------------------------------------------ */

static int set_inject(void *into, struct str value, struct err *err) {
    (void)value, (void)err;
    ((struct guardopt *)into)->policy.inject = true;
    return 0;
}

static int set_dry_run(void *into, struct str value, struct err *err) {
    (void)value, (void)err;
    ((struct guardopt *)into)->policy.dry_run = true;
    return 0;
}

static int set_oom_hold(void *into, struct str value, struct err *err) {
    (void)value, (void)err;
    ((struct guardopt *)into)->policy.oom_hold = true;
    return 0;
}

static int set_kill_init(void *into, struct str value, struct err *err) {
    (void)value, (void)err;
    ((struct guardopt *)into)->policy.kill_init = true;
    return 0;
}

static int set_leave_high(void *into, struct str value, struct err *err) {
    (void)value, (void)err;
    ((struct guardopt *)into)->policy.leave_high = true;
    return 0;
}

static int parse_time(struct str value, uint64_t least_ms, int64_t *out_us, struct err *err) {
    uint64_t ms;

    if (num_parse_ms(value, &ms) < 0 || ms < least_ms || ms > POLICY_TIME_MOST_MS)
        return err_set(err, -EINVAL, "'%.*s' is not a time from %ums to 1h", STR_ARG(value),
                       (unsigned)least_ms);
    *out_us = (int64_t)ms * 1000;
    return 0;
}

static int set_cooldown(void *into, struct str value, struct err *err) {
    return parse_time(value, 0, &((struct guardopt *)into)->policy.cooldown_us, err);
}

static int set_grace(void *into, struct str value, struct err *err) {
    return parse_time(value, 0, &((struct guardopt *)into)->policy.grace_us, err);
}

static int set_deadline(void *into, struct str value, struct err *err) {
    return parse_time(value, POLICY_DEADLINE_LEAST_MS,
                      &((struct guardopt *)into)->policy.deadline_us, err);
}

static int parse_count(struct str value, uint32_t *out, struct err *err) {
    uint64_t n;

    if (str_to_u64(value, &n) < 0 || n == 0 || n > POLICY_COUNT_MOST)
        return err_set(err, -EINVAL, "'%.*s' is not a number from 1 to %u", STR_ARG(value),
                       (unsigned)POLICY_COUNT_MOST);
    *out = (uint32_t)n;
    return 0;
}

static int set_per_hour(void *into, struct str value, struct err *err) {
    return parse_count(value, &((struct guardopt *)into)->policy.per_hour, err);
}

static int set_kills(void *into, struct str value, struct err *err) {
    return parse_count(value, &((struct guardopt *)into)->policy.kills_per_hour, err);
}

static int set_lend(void *into, struct str value, struct err *err) {
    uint64_t *lend = &((struct guardopt *)into)->policy.lend;

    if (opt_size(value, lend, err) < 0)
        return err->code;
    if (*lend < POLICY_LEND_LEAST)
        return err_set(err, -EINVAL, "'%.*s': a loan is 1M at least", STR_ARG(value));
    return 0;
}

static int set_go_limit(void *into, struct str value, struct err *err) {
    struct policy_mark mark;

    if (policy_parse_mark(value, &mark, err) < 0 || mark.bytes)
        return err_set(err, -EINVAL, "'%.*s' is no share of the limit: 90%%, say", STR_ARG(value));
    ((struct guardopt *)into)->policy.rt_limit = mark.value;
    return 0;
}

static int add_text(const char *option, char list[POLICY_TEXT], struct str value, struct err *err) {
    struct err why;
    int r = policy_add_text(list, value, &why);

    return r < 0 ? err_set(err, r, "%s: %s", option, why.text) : 0;
}

static int set_protect(void *into, struct str value, struct err *err) {
    return add_text("--protect", ((struct guardopt *)into)->policy.protect, value, err);
}

static int set_prefer(void *into, struct str value, struct err *err) {
    return add_text("--prefer", ((struct guardopt *)into)->policy.prefer, value, err);
}

static int set_hook(void *into, struct str value, struct err *err) {
    struct guardopt *o = into;

    if (o->hook_args++ == 0 && (value.n == 0 || value.p[0] != '/'))
        return err_set(err, -EINVAL,
                       "'%.*s': a hook begins with the full path of a program; its arguments are "
                       "given by more --hook",
                       STR_ARG(value));
    return add_text("--hook", o->policy.hook, value, err);
}

static int set_audit(void *into, struct str value, struct err *err) {
    if (value.n == 0)
        return err_set(err, -EINVAL, "an empty name is no file");
    ((struct guardopt *)into)->audit = value.p;
    return 0;
}

static int set_dumps(void *into, struct str value, struct err *err) {
    if (value.n == 0 || value.p[0] != '/')
        return err_set(err, -EINVAL, "'%.*s' is not the full path of a folder", STR_ARG(value));
    ((struct guardopt *)into)->dump_dir = value.p;
    return 0;
}

static int set_pressure_socket(void *into, struct str value, struct err *err) {
    if (value.n == 0 || value.p[0] != '/')
        return err_set(err, -EINVAL, "'%.*s' is not the full path of a socket", STR_ARG(value));
    ((struct guardopt *)into)->pressure_socket = value.p;
    return 0;
}

static int set_replay(void *into, struct str value, struct err *err) {
    if (value.n == 0)
        return err_set(err, -EINVAL, "an empty name is no file");
    ((struct guardopt *)into)->replay = value.p;
    return 0;
}

const struct opt guardopt_table[] = {
    {"at", 'a', "MARKS", "where to act: shares of the limit or sizes (default 80%,90%,95%)",
     set_at},
    {"do", 'd', "ACTIONS", "what: the n-th at the n-th mark, the last mark all that follow",
     set_do},
    {"inject", 'i', NULL, "writes into a runtime's memory and calls in its name are allowed",
     set_inject},
    {"dry-run", 'n', NULL, "decide and record, do nothing", set_dry_run},
    {"grace", 0, "TIME", "between TERM and KILL (default 10s)", set_grace},
    {"deadline", 0, "TIME", "of gc, reclaim, dump and the hook; rescue has four (default 10s)",
     set_deadline},
    {"cooldown", 0, "TIME", "between two starts of the same action (default 1s)", set_cooldown},
    {"max-per-hour", 0, "N", "actions, notify and dump not counted (default 1200)", set_per_hour},
    {"max-kills-per-hour", 0, "N", "of which term and kill (default 20)", set_kills},
    {"lend", 0, "SIZE", "most that a rescue may lend (default a quarter of the limit, 64M at most)",
     set_lend},
    {"go-limit", 0, "SHARE", "with --inject: Go's own soft limit, for good: 90%, say",
     set_go_limit},
    {"protect", 0, "GLOB", "processes of such a name are never ended; may be repeated",
     set_protect},
    {"prefer", 0, "GLOB", "those are ended first; may be repeated", set_prefer},
    {"kill-init", 0, NULL, "a container's first process may be ended though others are larger",
     set_kill_init},
    {"oom-hold", 0, NULL, "v1: hold the moment of OOM for a dump, 2 s at most", set_oom_hold},
    {"leave-high", 0, NULL, "v2: memory.high is not moved to tell when a mark is passed",
     set_leave_high},
    {"hook", 0, "PROGRAM",
     "run by notify beside what follows, until --deadline; its arguments by more --hook", set_hook},
    {"pressure-socket", 0, "PATH",
     "$MEMORY_PRESSURE_WATCH for programs of the group: notify tells them", set_pressure_socket},
    {"dumps", 0, "DIR", "where dumps are written", set_dumps},
    {"audit", 0, "FILE", "where each decision is recorded", set_audit},
    {"replay", 0, "FILE", "decide again from such records, do nothing, compare", set_replay},
    {NULL, 0, NULL, NULL, NULL},
};
