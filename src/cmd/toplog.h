/* toplog.h - what has happened since `plimsoll top` was started, without an agent: the newest
 * TOPLOG_MAX events, OOM kills longer than others, and who was here before under which key.
 */
#pragma once
#include "tui/source.h"

enum { TOPLOG_MAX = 500, TOPLOG_KEYS = 4096 };

struct toplog_entry {
    uint64_t who; /* a row's id */
    int64_t at_ms;
    enum tui_event_kind kind;
    uint64_t kills;
    char *key, *name, *detail; /* owned */
};

/* A key, and what came and went under it. */
struct toplog_known {
    char *key;
    uint64_t instances, kills;
    int64_t killed_ms; /* the newest of the kills; 0: none */
};

struct toplog {
    struct toplog_entry entry[TOPLOG_MAX]; /* the oldest first */
    size_t entries;
    struct toplog_known *known; /* who came last is last; of more than TOPLOG_KEYS the
                                   first is forgotten */
    size_t n, room;
    struct tui_event out[TOPLOG_MAX];
};

void toplog_done(struct toplog *log); /* legal on a zeroed struct */

/* Texts are copied; what does not fit into memory is not told. */
void toplog_add(struct toplog *log, uint64_t who, const struct tui_event *event, struct str key);

/* An instance under that key: how many there were before, and their kills in *kills_out. */
uint64_t toplog_came(struct toplog *log, struct str key, uint64_t *kills_out);
void toplog_kills(struct toplog *log, struct str key, uint64_t kills, int64_t at_ms);
int64_t toplog_killed_ms(struct toplog *log, struct str key); /* the newest; 0: none */

/* Who is called something else now: its events follow. With a detail of a restart its START is a
 * RESTART. */
void toplog_rename(struct toplog *log, uint64_t who, struct str key, struct str name,
                   struct str restart);

/* Newest first, those of a key; of all when it is empty. Valid until the next call. */
size_t toplog_read(struct toplog *log, struct str key, const struct tui_event **out);
