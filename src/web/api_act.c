#include "web/api_act.h"

#include <errno.h>
#include <jansson.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "web/row.h"

enum { CANDIDATES = 8 };

static struct str text_at(const json_t *body, const char *key) {
    const json_t *v = json_object_get(body, key);

    return json_is_string(v) ? (struct str){json_string_value(v), json_string_length(v)} : STR("");
}

static bool read_action(struct str word, enum action *out, struct answer *a) {
    struct buf known;

    if (action_parse(word, out) == 0)
        return true;
    buf_init(&known, 1024);
    for (unsigned i = 0; i < ACTION_N; i++)
        buf_add_format(&known, "%s%s", i ? ", " : "", action_name((enum action)i));
    answer_error(a, 400, "'action' is one of %.*s", STR_ARG(buf_str(&known)));
    buf_done(&known);
    return false;
}

/* As strict as the configuration: what is not known would be asked for in vain. */
static bool keys_are_known(json_t *body, struct answer *a) {
    const char *key;
    json_t *value;

    json_object_foreach(body, key, value) {
        if (strcmp(key, "target") == 0 || strcmp(key, "action") == 0)
            continue;
        answer_error(a, 400, "unknown key '%.200s': the body has 'target' and 'action'", key);
        return false;
    }
    return true;
}

static const struct live_row *find(struct site *site, struct str word, struct answer *a) {
    struct live_row *row[CANDIDATES];
    size_t n = word.n > 0 ? live_resolve(site->live, word, row, CANDIDATES) : 0;
    struct buf list;

    if (word.n == 0)
        answer_error(a, 400, "'target' is missing");
    else if (n == 0)
        answer_error(a, 404, "there is no target '%.*s' now", STR_ARG(str_head(word, 200)));
    if (n == 1 && row[0]->uid == WIRE_UID_HOST) {
        answer_error(a, 400,
                     "the whole machine is not acted on: 'target' is one of its containers, "
                     "services or groups");
        return NULL;
    }
    if (n < 2)
        return n == 1 ? row[0] : NULL;
    buf_init(&list, 64 << 10);
    for (size_t i = 0; i < n && i < CANDIDATES; i++) {
        buf_add(&list, i ? STR(", ") : STR(""));
        buf_add(&list, row[i]->t.path);
    }
    answer_error(a, 409, "'%.*s' means several: %.*s", STR_ARG(str_head(word, 200)),
                 STR_ARG(buf_str(&list)));
    buf_done(&list);
    return NULL;
}

static bool ask(struct site *site, const struct live_row *row, struct act *act, struct answer *a) {
    struct str name = row_name(&row->t);
    int r;

    *act = (struct act){.request = ++site->acts,
                        .deadline_us = clock_mono_us() + ACT_WAIT_US,
                        .action = act->action};
    memcpy(act->name, name.p, name.n < sizeof(act->name) ? name.n : sizeof(act->name) - 1);
    if (row->guard)
        memcpy(act->guard, row->guard->name, sizeof(act->guard));
    r = site->act ? site->act(site->act_ctx, row->uid, act->action, act->request) : -ENOSYS;
    if (r < 0)
        answer_error(a, 503, "the collector cannot be asked: %s", strerror(-r));
    return r == 0;
}

bool act_begin(struct site *site, struct str text, struct act *act, struct answer *a) {
    json_error_t where;
    json_t *body = json_loadb(text.p ? text.p : "", text.n, JSON_REJECT_DUPLICATES, &where);
    const struct live_row *row = NULL;
    bool r = false;

    if (!json_is_object(body))
        answer_error(a, 400, "the body is {\"target\": NAME, \"action\": \"gc\"}");
    else if (keys_are_known(body, a) && read_action(text_at(body, "action"), &act->action, a))
        row = find(site, text_at(body, "target"), a);
    if (row)
        r = ask(site, row, act, a);
    json_decref(body);
    return r;
}

static void add_begun(const struct act *act, struct answer *a) {
    struct json j;

    a->status = 202;
    json_start(&j, &a->piece);
    json_begin_object(&j);
    json_key_maybe_str(&j, "id", (struct str){act->said.id, strnlen(act->said.id, AUDIT_ID)});
    json_key_str(&j, "name", str_of(act->name));
    json_key_str(&j, "action", str_of(action_name(act->action)));
    json_end(&j);
    buf_add_char(&a->piece, '\n');
}

void act_answer(const struct act *act, struct answer *a) {
    const char *action = action_name(act->action);

    if (!act->answered) {
        answer_error(a, 504, "the guard has not answered within %d s; whether it will is not known",
                     ACT_WAIT_US / 1000000);
        return;
    }
    switch (act->said.word) {
    case WIRE_ACTED_BEGUN:
        add_begun(act, a);
        break;
    case WIRE_ACTED_REFUSED:
        answer_error(a, 403, "the guard%s%s%s of '%s' does not allow it: put %s into its `do`",
                     act->guard[0] ? " '" : "", act->guard, act->guard[0] ? "'" : "", act->name,
                     action);
        break;
    case WIRE_ACTED_UNGUARDED:
        answer_error(a, 403,
                     "no guard matches '%s': one of `guards` in plimsoll.yaml must, with %s in its "
                     "`do`",
                     act->name, action);
        break;
    case WIRE_ACTED_BUSY:
        answer_error(a, 409,
                     "another action goes on in '%s', it has begun a moment ago, or the guard's "
                     "bound per hour is reached: ask again later",
                     act->name);
        break;
    case WIRE_ACTED_UNKNOWN:
        answer_error(a, 404, "'%s' has just gone", act->name);
        break;
    case WIRE_ACTED_NO_GUARD:
        answer_error(a, 503,
                     "nothing guards: `guards` of plimsoll.yaml is empty, or the guard is being "
                     "started again");
        break;
    case WIRE_ACTED_FAILED:
    case WIRE_ACTED_N:
        answer_error(a, 503, "the guard cannot begin it; its log says why");
        break;
    }
}
