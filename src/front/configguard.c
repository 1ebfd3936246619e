#include "front/configguard.h"

#include <errno.h>
#include <string.h>

/* The text as it stands in a fixed place. False, and an error told, when it does not fit. */
static bool keep(struct yamldoc *d, const yaml_node_t *value, const char *what, char *into,
                 size_t size) {
    struct str s;

    if (!yamldoc_text(d, value, what, size - 1, &s))
        return false;
    (void)str_copy(s, into, size); /* fits, and has no NUL */
    return true;
}

/* --- whom ---------------------------------------------------------------------------------------
 */

static bool keep_glob(struct yamldoc *d, const yaml_node_t *value, const char *what, char *into) {
    if (!keep(d, value, what, into, GUARDMATCH_TEXT))
        return false;
    if (guardmatch_glob_is_good(into))
        return true;
    yamldoc_error(d, value, "'%s' has a '[' that is not closed", into);
    return false;
}

void config_set_guard_glob(struct yamldoc *d, const struct key *k, const yaml_node_t *value,
                           void *into) {
    struct guardmatch *m = &((struct config_guard *)into)->match;
    char *glob = m->glob[k->least];

    if (!keep_glob(d, value, k->public.name, glob) || k->least != GUARDMATCH_CGROUP)
        return;
    if (glob[0] != '/' && glob[0] != '*')
        yamldoc_error(d, value,
                      "cgroup is a pattern for a path below the mount, as '/docker/*' or "
                      "'**/web-*', not '%s'",
                      glob);
    else if (strcmp(glob, "/") == 0)
        yamldoc_error(d, value, "the top of all groups cannot be guarded");
}

void config_set_guard_labels(struct yamldoc *d, const struct key *k, const yaml_node_t *value,
                             void *into) {
    struct guardmatch *m = &((struct config_guard *)into)->match;
    yaml_node_t *name, *glob;

    if (!config_is_map(d, k->public.name, value))
        return;
    for (size_t i = 0; yamldoc_pair(d, value, i, &name, &glob); i++) {
        struct guardmatch_label *l = &m->label[m->labels];

        if (m->labels == GUARDMATCH_LABELS) {
            yamldoc_error(d, name, "more than %d labels", GUARDMATCH_LABELS);
            return;
        }
        if (!keep(d, name, "a label's name", l->key, sizeof(l->key)) ||
            !keep_glob(d, glob, "a label", l->glob))
            continue;
        for (unsigned j = 0; j < m->labels; j++)
            if (strcmp(m->label[j].key, l->key) == 0)
                yamldoc_error(d, name, "label \"%s\" stands here twice", l->key);
        m->labels++;
    }
}

/* --- what ---------------------------------------------------------------------------------------
 */

void config_set_guard_name(struct yamldoc *d, const struct key *k, const yaml_node_t *value,
                           void *into) {
    struct policy *p = &((struct config_guard *)into)->policy;
    const struct config *c = d->user;

    if (!keep(d, value, k->public.name, p->name, sizeof(p->name)))
        return;
    for (unsigned i = 0; i < c->guards; i++)
        if (c->guard[i] != into && strcmp(c->guard[i]->policy.name, p->name) == 0)
            yamldoc_error(d, value, "there is another guard \"%s\"", p->name);
}

/* Words of a list, or of one text with commas, one after the other; *place is where the word
 * stands. */
struct words {
    struct yamldoc *d;
    const struct key *k;
    const yaml_node_t *value, *place;
    size_t i;
    struct str rest;
};

static bool next_word(struct words *w, struct str *out) {
    if (w->rest.n > 0) {
        if (!str_cut(&w->rest, ',', out)) {
            *out = w->rest;
            w->rest.n = 0;
        }
        *out = str_trim(*out);
        return true;
    }
    if (w->value->type == YAML_SEQUENCE_NODE) {
        w->place = yamldoc_item(w->d, w->value, w->i++);
        return w->place && yamldoc_text(w->d, w->place, w->k->public.name, CONFIG_TEXT, out);
    }
    w->place = w->value;
    return w->i++ == 0 && yamldoc_text(w->d, w->value, w->k->public.name, CONFIG_TEXT, &w->rest) &&
           next_word(w, out);
}

void config_set_guard_marks(struct yamldoc *d, const struct key *k, const yaml_node_t *value,
                            void *into) {
    struct policy *p = &((struct config_guard *)into)->policy;
    struct words w = {.d = d, .k = k, .value = value};
    struct err err;
    struct str word;

    p->marks = 0;
    while (next_word(&w, &word)) {
        if (p->marks == POLICY_MARKS) {
            yamldoc_error(d, w.place, "more than %d marks", POLICY_MARKS);
            return;
        }
        if (policy_parse_mark(word, &p->mark[p->marks], &err) < 0)
            yamldoc_error(d, w.place, "%s", err.text);
        else
            p->marks++;
    }
}

static void unknown_action(struct yamldoc *d, const yaml_node_t *at, struct str word) {
    const char *known[ACTION_N], *near;

    for (unsigned i = 0; i < ACTION_N; i++)
        known[i] = action_name((enum action)i);
    near = config_nearest(word, known, ACTION_N);
    if (near)
        yamldoc_error(d, at, "unknown action \"%.*s\", did you mean \"%s\"?", STR_ARG(word), near);
    else
        yamldoc_error(d, at,
                      "unknown action \"%.*s\": notify, gc, reclaim, throttle, pause, dump, "
                      "rescue, term or kill",
                      STR_ARG(word));
}

void config_set_guard_actions(struct yamldoc *d, const struct key *k, const yaml_node_t *value,
                              void *into) {
    struct policy *p = &((struct config_guard *)into)->policy;
    struct words w = {.d = d, .k = k, .value = value};
    struct str word;

    p->actions = 0;
    while (next_word(&w, &word)) {
        if (p->actions == POLICY_ACTIONS) {
            yamldoc_error(d, w.place, "more than %d actions", POLICY_ACTIONS);
            return;
        }
        if (action_parse(word, &p->action[p->actions]) < 0)
            unknown_action(d, w.place, word);
        else
            p->actions++;
    }
}

void config_set_guard_duration(struct yamldoc *d, const struct key *k, const yaml_node_t *value,
                               void *into) {
    int64_t ms;

    if (config_duration(d, k, value, &ms))
        *(int64_t *)(void *)((char *)into + k->offset) = ms * 1000;
}

void config_set_guard_go_limit(struct yamldoc *d, const struct key *k, const yaml_node_t *value,
                               void *into) {
    struct policy *p = &((struct config_guard *)into)->policy;
    struct policy_mark share;
    struct str s;

    if (!yamldoc_text(d, value, k->public.name, CONFIG_TEXT, &s))
        return;
    if (policy_parse_mark(s, &share, NULL) < 0 || share.bytes || share.value < 1000)
        yamldoc_error(d, value,
                      "go_limit is a share of the limit from 10%% on, as 90%%, not '%.*s'",
                      STR_ARG(s));
    else
        p->rt_limit = share.value;
}

void config_set_guard_texts(struct yamldoc *d, const struct key *k, const yaml_node_t *value,
                            void *into) {
    char *list = (char *)into + k->offset;
    const yaml_node_t *item;
    struct err err;
    struct str s;

    if (!config_is_list(d, k->public.name, value))
        return;
    memset(list, 0, POLICY_TEXT);
    for (size_t i = 0; (item = yamldoc_item(d, value, i)); i++) {
        if (!yamldoc_text(d, item, k->public.name, POLICY_TEXT, &s))
            continue;
        if (policy_add_text(list, s, &err) < 0) {
            yamldoc_error(d, item, "%s: %s", k->public.name, err.text);
            return;
        }
    }
}

void config_set_guard_hook(struct yamldoc *d, const struct key *k, const yaml_node_t *value,
                           void *into) {
    struct config_guard *g = into;
    struct key texts = *k;

    texts.offset = offsetof(struct config_guard, policy.hook);
    config_set_guard_texts(d, &texts, value, into);
    g->hook_place = (struct config_place){.line = (unsigned)value->start_mark.line + 1,
                                          .column = (unsigned)value->start_mark.column + 1};
    if (g->policy.hook[0] && g->policy.hook[0] != '/')
        yamldoc_error(d, value,
                      "hook is a list whose first word is the program's whole path, "
                      "['/usr/local/bin/tell', 'web'], not '%s': no shell, no PATH",
                      g->policy.hook);
}

/* --- all of them --------------------------------------------------------------------------------
 */

/* What does not go together. */
static void check(struct yamldoc *d, const yaml_node_t *item, const struct config_guard *g) {
    const struct policy *p = &g->policy;
    struct err err;

    if (guardmatch_is_empty(&g->match))
        yamldoc_error(d, item,
                      "a guard needs match: with name, image, label, cgroup, unit, namespace or "
                      "pod");
    if (policy_check(p, &err) < 0)
        yamldoc_error(d, item, "%s", err.text);
    if (p->hook[0] && !policy_has(p, ACTION_NOTIFY))
        yamldoc_error(d, item, "a hook is run by notify, which do: does not have");
    if (p->rt_limit > 0 && !p->inject)
        yamldoc_error(d, item, "go_limit writes into a runtime's memory: add inject: true");
}

static struct config_guard *add(struct yamldoc *d, struct config *c) {
    struct config_guard *g = calloc(1, sizeof(*g));

    d->no_memory |= !g;
    if (!g)
        return NULL;
    policy_defaults(&g->policy);
    g->policy.marks = g->policy.actions = 0; /* both are to be said: no default acts */
    c->guard[c->guards++] = g;
    return g;
}

void config_set_guards(struct yamldoc *d, const struct key *k, const yaml_node_t *value,
                       void *into) {
    struct config *c = into;
    const yaml_node_t *item;

    if (!config_is_list(d, k->public.name, value))
        return;
    for (size_t i = 0; (item = yamldoc_item(d, value, i)); i++) {
        unsigned before = d->errors;
        struct config_guard *g;

        if (i == CONFIG_GUARDS) {
            yamldoc_error(d, item, "more than %d guards", CONFIG_GUARDS);
            return;
        }
        if (!config_is_map(d, "a guard", item))
            continue;
        g = add(d, c);
        if (!g)
            return;
        config_read_map(d, k->public.name, item, g);
        if (!g->policy.name[0])
            (void)snprintf(g->policy.name, sizeof(g->policy.name), "guards[%zu]", i + 1);
        if (d->errors == before)
            check(d, item, g);
    }
}
