#include "engine/stray.h"

#include <string.h>

#include "discover/pathrule.h"

enum { SHORT_ID = 12 };

static bool is_container(const struct pathrule *rule) {
    return rule->kind == TARGET_CONTAINER || rule->kind == TARGET_VM;
}

static bool is_started(const struct pathrule *rule) {
    return is_container(rule) || rule->kind == TARGET_POD || rule->kind == TARGET_SERVICE ||
           rule->kind == TARGET_SESSION || rule->runtime == RUNTIME_PLIMSOLL;
}

static void set_name(struct stray *out, const struct pathrule *rule) {
    struct str last = str_from(out->path, (size_t)(str_rfind(out->path, '/') + 1)), name = last;

    if (rule->name.n > 0)
        name = rule->name;
    else if (is_container(rule) && rule->id.n > 0)
        name = str_head(rule->id, rule->id.n < SHORT_ID ? rule->id.n : SHORT_ID);
    name = str_head(name, name.n < STRAY_NAME ? name.n : STRAY_NAME);
    if (rule->name.n > 0) {
        out->name_n = pathrule_unescape(name, out->name);
    } else {
        memcpy(out->name, name.p, name.n);
        out->name_n = name.n;
    }
}

bool stray_of(struct str path, enum wire_targets scope, struct stray *out) {
    struct pathrule rule, own;
    struct str at = path;

    pathrule_match(path, 0, &own);
    rule = own;
    while (!is_started(&rule) && at.n > 1) {
        ptrdiff_t slash = str_rfind(at, '/');

        at = str_head(at, slash > 0 ? (size_t)slash : 0);
        if (at.n > 0)
            pathrule_match(at, 0, &rule);
    }
    if (!is_started(&rule) || rule.kind == TARGET_POD) {
        at = path;
        rule = own;
    }
    if (scope == WIRE_TARGETS_CONTAINERS ? !is_container(&rule)
                                         : scope == WIRE_TARGETS_SERVICES && !is_started(&rule))
        return false;
    *out = (struct stray){.kind = rule.kind, .runtime = rule.runtime, .path = at, .id = rule.id};
    set_name(out, &rule);
    return true;
}
