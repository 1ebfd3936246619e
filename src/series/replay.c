#include <errno.h>

#include "series/storeint.h"

/* A KEY's tick has had its number: it is what the targets were like after it. */
static int feed(struct store *s, const struct log_row *row, bool base, struct str messages,
                int (*take)(void *ctx, struct str message), void *ctx) {
    bool key = row->number[5] & LOG_KEY;
    uint64_t tick = (uint64_t)row->number[6];
    struct str message;
    int r = head_ticks_skip(&s->ticks, key && tick > 0 ? tick - 1 : tick, row->number[4]);

    if (r == 0 && key && head_tick_now(&s->ticks) < tick)
        r = head_ticks_add(&s->ticks, row->number[4], false);
    s->pinned = key;
    s->key_base = key && base;
    while (r == 0 && (r = store_log_message(&messages, &message)) > 0)
        r = take(ctx, message);
    if (key && !base)
        store_gone_but_key(s);
    s->pinned = s->key_base = false;
    s->key_number++;
    if (r == 0)
        r = head_ticks_skip(&s->ticks, (uint64_t)row->number[7], row->number[4]);
    return r;
}

struct replay {
    bool begun, lost; /* something was given already; what follows needs a KEY */
    int64_t row;      /* the last one */
};

/* One row; negative ends the replay. */
static int replay_row(struct store *s, struct replay *p, sqlite3_stmt *st, struct buf *text,
                      int (*take)(void *ctx, struct str message), void *ctx) {
    struct log *l = &s->log;
    struct log_row row;
    int r = log_read_row(s, st, &row, text);

    if (r == -EBADMSG || (p->begun && row.number[0] != p->row + 1) || (row.number[5] & LOG_RESYNC))
        p->lost = true;
    p->row = sqlite3_column_int64(st, 0);
    if (r < 0)
        return r == -EBADMSG ? 0 : r;
    l->boot = l->last_boot = (uint64_t)row.number[1];
    l->seq_to = l->last_seq = l->acked = (uint64_t)row.number[3];
    if (row.number[5] & LOG_KEY) {
        l->have_key = true;
        l->key_ms = row.number[4];
    }
    if ((p->lost || !p->begun) && row.number[5] == 0)
        return 0;
    if (p->begun && !p->lost && row.number[5] & LOG_KEY)
        return 0;
    /* A KEY after a loss is the first that the log knows of its tick, which is a round. */
    r = feed(s, &row, !p->begun && !(row.number[5] & LOG_RESYNC), buf_str(text), take, ctx);
    p->lost = false;
    p->begun = true;
    if (r == -EBADMSG) { /* it fits its sum, and yet it is none of ours */
        s->damaged++;
        p->lost = true;
        r = 0;
    }
    return r;
}

/* Heads of what is alive and stood still since its last chunk. */
static int open_the_rest(struct store *s) {
    for (size_t i = 0; i < s->n_series; i++) {
        struct series *e = s->series[i];
        uint64_t first = e->closed_tick + 1 > s->ticks.first ? e->closed_tick + 1 : s->ticks.first;
        int r = e->head.alive && !e->head.open ? head_open(&e->head, first) : 0;

        if (r < 0)
            return r;
    }
    return 0;
}

/* Where ticks go on when the log does not tell. */
static void go_on(struct store *s) {
    int64_t tick = s->log.state == LOG_GOOD ? -1 : db_number(&s->db, DB_LAST_TICK);
    int64_t at_ms = s->ticks.n > 0 ? head_tick_at(&s->ticks, head_tick_now(&s->ticks)) : 0;

    if (tick >= 0 && (uint64_t)tick > head_tick_now(&s->ticks) &&
        head_ticks_skip(&s->ticks, (uint64_t)tick, at_ms) < 0) {
        s->ticks.n = 0;
        s->ticks.first = (uint64_t)tick + 1;
    }
}

int store_replay(struct store *s, int (*take)(void *ctx, struct str message), void *ctx) {
    struct log *l = &s->log;
    struct replay p = {.begun = false};
    struct buf text;
    ptrdiff_t base;
    sqlite3_stmt *st;
    int r;

    if (!s->db.h)
        return 0;
    base = l->keys ? log_base(l, l->key[l->keys - 1].need, INT64_MAX) : -1;
    st = db_stmt(&s->db, DB_LOG_AFTER);
    if (!st)
        return 0;
    sqlite3_bind_int64(st, 1, base >= 0 ? l->key[base].row : 0);
    buf_init(&text, (size_t)STORE_PENDING_MAX * 2);
    while ((r = db_step(&s->db, st)) > 0) {
        r = replay_row(s, &p, st, &text, take, ctx);
        if (r < 0)
            break;
    }
    buf_done(&text);
    sqlite3_reset(st);
    if (p.row > 0) {
        l->next_row = p.row + 1;
        l->state = p.begun && !p.lost && r == 0 ? LOG_GOOD : LOG_LOST;
    }
    if (l->state == LOG_LOST)
        l->last_boot = l->last_seq = 0;
    go_on(s);
    l->tick_to = head_tick_now(&s->ticks);
    if (r == 0 || s->db.corrupt)
        r = open_the_rest(s);
    return r;
}

void store_last(const struct store *s, uint64_t *boot_out, uint64_t *seq_out) {
    *boot_out = s->log.last_boot;
    *seq_out = s->log.last_seq;
}
