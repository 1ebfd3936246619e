#include "model/action.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

#include "base/mem.h"

static const char *const actions[ACTION_N] = {
    [ACTION_NOTIFY] = "notify",     [ACTION_GC] = "gc",       [ACTION_RECLAIM] = "reclaim",
    [ACTION_THROTTLE] = "throttle", [ACTION_PAUSE] = "pause", [ACTION_DUMP] = "dump",
    [ACTION_RESCUE] = "rescue",     [ACTION_TERM] = "term",   [ACTION_KILL] = "kill",
};

static const char *const outcomes[OUTCOME_N] = {
    [OUTCOME_NONE] = "none",       [OUTCOME_DONE] = "done",     [OUTCOME_PARTLY] = "partly",
    [OUTCOME_REFUSED] = "refused", [OUTCOME_FAILED] = "failed", [OUTCOME_DRY] = "dry-run",
};

const char *action_name(enum action a) {
    return a < ACTION_N ? actions[a] : "";
}

int action_parse(struct str word, enum action *out) {
    for (unsigned i = 0; i < ACTION_N; i++)
        if (str_eq(word, str_of(actions[i]))) {
            *out = (enum action)i;
            return 0;
        }
    return -EINVAL;
}

const char *outcome_name(enum outcome o) {
    return o < OUTCOME_N ? outcomes[o] : "";
}

int outcome_parse(struct str word, enum outcome *out) {
    for (unsigned i = 0; i < OUTCOME_N; i++)
        if (str_eq(word, str_of(outcomes[i]))) {
            *out = (enum outcome)i;
            return 0;
        }
    return -EINVAL;
}

static int __attribute__((format(printf, 4, 0)))
say(struct action_report *r, enum outcome outcome, const char *next, const char *format,
    va_list arguments) {
    r->outcome = outcome;
    (void)snprintf(r->next, sizeof(r->next), "%s", next);
    (void)vsnprintf(r->text, sizeof(r->text), format, arguments);
    return 0;
}

int report_done(struct action_report *r, const char *format, ...) {
    va_list arguments;

    va_start(arguments, format);
    say(r, OUTCOME_DONE, "", format, arguments);
    va_end(arguments);
    return 0;
}

int report_partly(struct action_report *r, const char *format, ...) {
    va_list arguments;

    va_start(arguments, format);
    say(r, OUTCOME_PARTLY, "", format, arguments);
    va_end(arguments);
    return 0;
}

int report_refused(struct action_report *r, const char *next, const char *format, ...) {
    va_list arguments;

    va_start(arguments, format);
    say(r, OUTCOME_REFUSED, next, format, arguments);
    va_end(arguments);
    return 0;
}

int report_failed(struct action_report *r, const char *next, const char *format, ...) {
    va_list arguments;

    va_start(arguments, format);
    say(r, OUTCOME_FAILED, next, format, arguments);
    va_end(arguments);
    return 0;
}
