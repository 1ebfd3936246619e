#include "cmd/topevents.h"

#include <errno.h>

#include "base/num.h"

enum { DETAIL_MAX = 4 << 20 };

static struct str text_at(const json_t *row, const char *key) {
    const json_t *value = json_object_get(row, key);

    return json_is_string(value) ? (struct str){json_string_value(value), json_string_length(value)}
                                 : STR("");
}

static enum tui_event_kind kind_of(struct str word) {
    static const char *const kinds[TUI_EVENT_OTHER] = {
        [TUI_EVENT_OOM] = "oom",         [TUI_EVENT_START] = "start", [TUI_EVENT_END] = "end",
        [TUI_EVENT_RESTART] = "restart", [TUI_EVENT_LIMIT] = "limit",
    };
    unsigned i = 0;

    while (i < TUI_EVENT_OTHER && !str_eq(word, str_of(kinds[i])))
        i++;
    return (enum tui_event_kind)i;
}

/* Who was killed, and whose limit it was when not its own. */
static void add_kill(struct buf *out, const json_t *row) {
    struct str comm = text_at(json_object_get(row, "victim"), "comm");
    struct str limit = text_at(row, "limit_path");

    buf_add(out, comm);
    if (!json_is_true(json_object_get(row, "outside")) || limit.n == 0)
        return;
    buf_add(out, comm.n > 0 ? STR(", limit of ") : STR("limit of "));
    buf_add(out, limit);
}

static void add_bytes(struct buf *out, uint64_t bytes) {
    if (bytes == SAMPLE_NONE)
        buf_add(out, STR("none"));
    else
        num_add_iec(out, bytes);
}

void topevents_add_restart(struct buf *out, uint64_t restarts) {
    buf_add_format(out, "restart %llu", (unsigned long long)restarts);
}

void topevents_add_limit(struct buf *out, uint64_t from, uint64_t to) {
    buf_add(out, STR("from "));
    add_bytes(out, from);
    buf_add(out, STR(" to "));
    add_bytes(out, to);
}

static uint64_t bytes_at(const json_t *row, const char *key) {
    const json_t *value = json_object_get(row, key);

    return json_is_integer(value) && json_integer_value(value) >= 0
               ? (uint64_t)json_integer_value(value)
               : SAMPLE_NONE;
}

/* "kill: done, 243M -> 12.0M, java": what a guard did, and what came of it. */
static void add_action(struct buf *out, const json_t *row) {
    struct str outcome = text_at(row, "outcome"), text = text_at(row, "text");
    uint64_t before = bytes_at(row, "before"), after = bytes_at(row, "after");

    buf_add(out, text_at(row, "action"));
    if (str_eq(text_at(row, "record"), STR("undo")))
        buf_add(out, STR(" let go"));
    if (outcome.n > 0) {
        buf_add(out, STR(": "));
        buf_add(out, outcome);
    }
    if (before != SAMPLE_NONE && after != SAMPLE_NONE &&
        (str_eq(outcome, STR("done")) || str_eq(outcome, STR("partly")))) {
        buf_add(out, STR(", "));
        num_add_iec(out, before);
        buf_add(out, STR(" -> "));
        num_add_iec(out, after);
    }
    if (text.n > 0) {
        buf_add(out, STR(", "));
        buf_add(out, text);
    }
}

static void add_hang(struct buf *out, const json_t *row) {
    buf_add(out, text_at(row, "hang"));
    if (json_is_false(json_object_get(row, "up")))
        buf_add(out, STR(": over"));
}

static void add_other(struct buf *out, const json_t *row) {
    if (text_at(row, "action").n > 0)
        add_action(out, row);
    else if (text_at(row, "hang").n > 0)
        add_hang(out, row);
    else
        buf_add(out, text_at(row, "text"));
}

static void add_detail(struct buf *out, const json_t *row, const struct tui_event *e) {
    json_int_t restarts = json_integer_value(json_object_get(row, "restarts"));

    if (e->kind == TUI_EVENT_OOM)
        add_kill(out, row);
    else if (e->kind == TUI_EVENT_LIMIT)
        topevents_add_limit(out, bytes_at(row, "from"), bytes_at(row, "to"));
    else if (e->kind == TUI_EVENT_RESTART && restarts > 0)
        topevents_add_restart(out, (uint64_t)restarts);
    else if (e->kind == TUI_EVENT_OTHER)
        add_other(out, row);
}

static void take(struct topevents *t, const json_t *row) {
    json_int_t kills = json_integer_value(json_object_get(row, "kills"));
    struct tui_event *e = &t->event[t->n];
    struct str word = text_at(row, "kind");

    if (word.n == 0)
        return;
    *e = (struct tui_event){.at_ms = json_integer_value(json_object_get(row, "at_ms")),
                            .kind = kind_of(word),
                            .name = text_at(row, "name"),
                            .kills = kills > 0 ? (uint64_t)kills : 0};
    if (e->kind == TUI_EVENT_OTHER)
        e->word = word;
    if (e->name.n == 0)
        e->name = text_at(row, "key");
    t->begin[t->n++] = t->detail.n;
    add_detail(&t->detail, row, e);
}

/* The buffer has moved while it grew. */
static void point_at_details(struct topevents *t) {
    for (size_t i = 0; i < t->n && buf_error(&t->detail) == 0; i++) {
        size_t end = i + 1 < t->n ? t->begin[i + 1] : t->detail.n;

        t->event[i].detail = (struct str){t->detail.p + t->begin[i], end - t->begin[i]};
    }
}

int topevents_load(struct topevents *t, json_t *answer) {
    const json_t *list = json_object_get(answer, "events");

    topevents_done(t);
    if (!json_is_array(list))
        return -EBADMSG;
    buf_init(&t->detail, DETAIL_MAX);
    t->answer = json_incref(answer);
    for (size_t i = 0; i < json_array_size(list) && i < TOPEVENTS_ASKED; i++)
        take(t, json_array_get(list, i));
    point_at_details(t);
    return 0;
}

bool topevents_are_cut(const struct topevents *t) {
    return json_array_size(json_object_get(t->answer, "events")) >= TOPEVENTS_ASKED;
}

/* Among the first n: newer than the oldest of them, or of its moment. */
static bool is_there(const struct topevents *t, size_t n, const json_t *row) {
    json_int_t at_ms = json_integer_value(json_object_get(row, "at_ms"));
    struct str name = text_at(row, "name");

    if (n == 0 || at_ms != t->event[n - 1].at_ms)
        return n > 0 && at_ms > t->event[n - 1].at_ms;
    while (n > 0 && t->event[n - 1].at_ms == at_ms) {
        n--;
        if (t->event[n].kind == TUI_EVENT_OOM && str_eq(t->event[n].name, name))
            return true;
    }
    return false;
}

int topevents_add_kills(struct topevents *t, json_t *answer) {
    const json_t *list = json_object_get(answer, "events");
    size_t there = t->n;

    if (!json_is_array(list) || !t->answer || t->kills)
        return -EBADMSG;
    t->kills = json_incref(answer);
    for (size_t i = 0; i < json_array_size(list) && t->n < TOPEVENTS_MAX; i++) {
        const json_t *row = json_array_get(list, i);

        if (!is_there(t, there, row))
            take(t, row);
    }
    point_at_details(t);
    return 0;
}

void topevents_done(struct topevents *t) {
    json_decref(t->answer);
    json_decref(t->kills);
    buf_done(&t->detail);
    t->answer = t->kills = NULL;
    t->n = 0;
}
