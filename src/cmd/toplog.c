#include "cmd/toplog.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

static char *copy_of(struct str s) {
    return strndup(s.p ? s.p : "", s.n);
}

static void entry_done(struct toplog_entry *e) {
    free(e->key);
    free(e->name);
    free(e->detail);
    *e = (struct toplog_entry){.who = 0};
}

void toplog_done(struct toplog *log) {
    for (size_t i = 0; i < log->entries; i++)
        entry_done(&log->entry[i]);
    log->entries = 0;
    for (size_t i = 0; i < log->n; i++)
        free(log->known[i].key);
    free(log->known);
    log->known = NULL;
    log->n = log->room = 0;
}

/* The oldest that is no kill: what is started again all the time must not push those out. */
static void drop_one(struct toplog *log) {
    size_t i = 0;

    while (i < log->entries && log->entry[i].kind == TUI_EVENT_OOM)
        i++;
    if (i == log->entries)
        i = 0;
    entry_done(&log->entry[i]);
    log->entries--;
    memmove(&log->entry[i], &log->entry[i + 1], (log->entries - i) * sizeof(log->entry[0]));
}

void toplog_add(struct toplog *log, uint64_t who, const struct tui_event *event, struct str key) {
    struct toplog_entry made = {
        .who = who,
        .at_ms = event->at_ms,
        .kind = event->kind,
        .kills = event->kills,
        .key = copy_of(key),
        .name = copy_of(event->name),
        .detail = copy_of(event->detail),
    };

    if (!made.key || !made.name || !made.detail) {
        entry_done(&made);
        return;
    }
    if (log->entries == TOPLOG_MAX)
        drop_one(log);
    log->entry[log->entries++] = made;
}

static struct toplog_known *find(struct toplog *log, struct str key) {
    for (size_t i = 0; i < log->n; i++)
        if (str_eq(str_of(log->known[i].key), key))
            return &log->known[i];
    return NULL;
}

static struct toplog_known *find_or_add(struct toplog *log, struct str key) {
    struct toplog_known *known = find(log, key);

    if (known) { /* to the end: it is the newest now */
        struct toplog_known moved = *known;
        size_t after = (size_t)(&log->known[log->n] - known) - 1;

        memmove(known, known + 1, after * sizeof(*known));
        log->known[log->n - 1] = moved;
        return &log->known[log->n - 1];
    }
    if (log->n == TOPLOG_KEYS) {
        free(log->known[0].key);
        memmove(&log->known[0], &log->known[1], --log->n * sizeof(*known));
    }
    if (log->n == log->room) {
        size_t room = log->room ? 2 * log->room : 64;

        known = reallocarray(log->known, room, sizeof(*known));
        if (!known)
            return NULL;
        log->known = known;
        log->room = room;
    }
    known = &log->known[log->n];
    *known = (struct toplog_known){.key = copy_of(key)};
    if (!known->key)
        return NULL;
    log->n++;
    return known;
}

uint64_t toplog_came(struct toplog *log, struct str key, uint64_t *kills_out) {
    struct toplog_known *known = find_or_add(log, key);

    *kills_out = known ? known->kills : 0;
    return known ? known->instances++ : 0;
}

void toplog_kills(struct toplog *log, struct str key, uint64_t kills, int64_t at_ms) {
    struct toplog_known *known = find(log, key);

    if (!known)
        return;
    known->kills += kills;
    known->killed_ms = at_ms > known->killed_ms ? at_ms : known->killed_ms;
}

int64_t toplog_killed_ms(struct toplog *log, struct str key) {
    const struct toplog_known *known = find(log, key);

    return known ? known->killed_ms : 0;
}

static void replace(char **place, struct str s) {
    char *copy = copy_of(s);

    if (!copy)
        return;
    free(*place);
    *place = copy;
}

void toplog_rename(struct toplog *log, uint64_t who, struct str key, struct str name,
                   struct str restart) {
    for (size_t i = 0; i < log->entries; i++) {
        struct toplog_entry *e = &log->entry[i];

        if (e->who != who)
            continue;
        replace(&e->key, key);
        replace(&e->name, name);
        if (restart.n == 0 || e->kind != TUI_EVENT_START)
            continue;
        e->kind = TUI_EVENT_RESTART;
        replace(&e->detail, restart);
    }
}

size_t toplog_read(struct toplog *log, struct str key, const struct tui_event **out) {
    size_t n = 0;

    for (size_t i = log->entries; i-- > 0;) {
        const struct toplog_entry *e = &log->entry[i];

        if (key.n > 0 && !str_eq(str_of(e->key), key))
            continue;
        log->out[n++] = (struct tui_event){.at_ms = e->at_ms,
                                           .kind = e->kind,
                                           .name = str_of(e->name),
                                           .kills = e->kills,
                                           .detail = str_of(e->detail)};
    }
    *out = log->out;
    return n;
}
