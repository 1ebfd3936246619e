#include "cmd/topevents.h"

#include <errno.h>

enum { DETAIL_MAX = 4 << 20 };

static struct str text_at(const json_t *row, const char *key) {
    const json_t *value = json_object_get(row, key);

    return json_is_string(value) ? (struct str){json_string_value(value), json_string_length(value)}
                                 : STR("");
}

static bool kind_of(struct str word, enum tui_event_kind *out) {
    static const char *const kinds[TUI_EVENT_N] = {
        [TUI_EVENT_OOM] = "oom",
        [TUI_EVENT_START] = "start",
        [TUI_EVENT_END] = "end",
        [TUI_EVENT_RESTART] = "restart",
    };

    for (unsigned i = 0; i < TUI_EVENT_N; i++)
        if (str_eq(word, str_of(kinds[i]))) {
            *out = (enum tui_event_kind)i;
            return true;
        }
    return false;
}

/* Who was killed, and whose limit it was when not its own. */
static void add_detail(struct buf *out, const json_t *row) {
    struct str comm = text_at(json_object_get(row, "victim"), "comm");
    struct str limit = text_at(row, "limit_path");

    buf_add(out, comm);
    if (!json_is_true(json_object_get(row, "outside")) || limit.n == 0)
        return;
    buf_add(out, comm.n > 0 ? STR(", limit of ") : STR("limit of "));
    buf_add(out, limit);
}

int topevents_load(struct topevents *t, json_t *answer) {
    const json_t *list = json_object_get(answer, "events");
    size_t ends[TOPEVENTS_MAX], begin = 0;

    topevents_done(t);
    if (!json_is_array(list))
        return -EBADMSG;
    buf_init(&t->detail, DETAIL_MAX);
    t->answer = json_incref(answer);
    for (size_t i = 0; i < json_array_size(list) && t->n < TOPEVENTS_MAX; i++) {
        const json_t *row = json_array_get(list, i);
        json_int_t kills = json_integer_value(json_object_get(row, "kills"));
        struct tui_event *e = &t->event[t->n];

        *e = (struct tui_event){.at_ms = json_integer_value(json_object_get(row, "at_ms")),
                                .name = text_at(row, "name"),
                                .kills = kills > 0 ? (uint64_t)kills : 0};
        if (!kind_of(text_at(row, "kind"), &e->kind))
            continue;
        if (e->name.n == 0)
            e->name = text_at(row, "key");
        if (e->kind == TUI_EVENT_OOM)
            add_detail(&t->detail, row);
        ends[t->n++] = t->detail.n;
    }
    for (size_t i = 0; i < t->n && buf_error(&t->detail) == 0; begin = ends[i++])
        t->event[i].detail = (struct str){t->detail.p + begin, ends[i] - begin};
    return 0;
}

void topevents_done(struct topevents *t) {
    json_decref(t->answer);
    buf_done(&t->detail);
    t->answer = NULL;
    t->n = 0;
}
