#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "series/storeint.h"

static uint64_t budget(const struct store *s, const struct series *e) {
    uint64_t each = s->options.memory / (s->n_series > 16 ? s->n_series : 16);

    if (each < 1024)
        each = 1024;
    if (each > 256 << 10)
        each = 256 << 10;
    /* Buffers grow by doubling, and not all heads should be full at once. */
    return each / 2 + each * ((uint64_t)e->id * 40503 % 64) / 128;
}

void closing_note(struct store *s, struct series *e) {
    if (e->full || e->head.record.n < budget(s, e))
        return;
    if (s->n_full == s->full_room) {
        size_t room = s->full_room ? s->full_room * 2 : 64;
        struct series **full = reallocarray(s->full, room, sizeof(struct series *));

        if (!full)
            return; /* its age will do */
        s->full = full;
        s->full_room = room;
    }
    s->full[s->n_full++] = e;
    e->full = true;
}

uint64_t store_need(const struct store *s) {
    uint64_t need = head_tick_now(&s->ticks) + 1;

    for (size_t i = 0; i < s->n_series; i++) {
        const struct series *e = s->series[i];

        if (e->head.open && e->head.first < need)
            need = e->head.first;
        else if (e->head.alive && !e->head.open && e->closed_tick + 1 < need)
            need = e->closed_tick + 1;
    }
    return need;
}

static int queue_chunk(struct store *s, struct series *e) {
    struct item *item = queue_add(&s->data_queue, ITEM_CHUNK, buf_str(&s->chunk));
    struct chunk c;

    if (!item)
        return -ENOMEM;
    if (chunk_open(buf_str(&s->chunk), &c) < 0)
        return -EBADMSG;
    item->series = e->id;
    item->from_ms = c.from_ms;
    item->to_ms = c.to_ms;
    item->number = e->chunks++;
    rollup_begin(s, e, c.from_ms);
    if (c.to_ms > e->raw_to)
        e->raw_to = c.to_ms;
    if (c.to_ms > e->last_ms)
        e->last_ms = c.to_ms;
    return 0;
}

/* Its samples become chunks, and it goes on after this tick. Without memory it stays as it is. */
static int close_head(struct store *s, struct series *e) {
    uint64_t tick = head_tick_now(&s->ticks);
    size_t skip = 0;
    int n;

    while ((n = head_chunk(&e->head, &s->ticks, skip, &s->chunk)) > 0) {
        int r = queue_chunk(s, e);

        if (r < 0) {
            n = r;
            break;
        }
        skip += (size_t)n;
    }
    if (n < 0 && skip == 0)
        return n;
    e->closed_tick = tick;
    e->age_ms = STORE_AGE_MS;
    e->dirty = true;
    if (!e->head.alive) {
        head_close(&e->head);
        return 0;
    }
    return head_open(&e->head, tick + 1);
}

void closing_full(struct store *s) {
    size_t n = 8 + s->n_full / 4;

    if (n > s->n_full)
        n = s->n_full;
    for (size_t i = 0; i < n; i++) {
        s->full[i]->full = false;
        if (s->full[i]->head.open && s->full[i]->head.record.n >= budget(s, s->full[i]))
            close_head(s, s->full[i]);
    }
    s->n_full -= n;
    if (s->n_full > 0)
        memmove(s->full, s->full + n, s->n_full * sizeof(struct series *));
}

static bool too_old(const struct store *s, const struct series *e) {
    uint64_t now = head_tick_now(&s->ticks);
    int64_t at_ms, age;

    if (!e->head.open || e->head.first > now)
        return false;
    at_ms = head_tick_at(&s->ticks, now);
    age = at_ms - head_tick_at(&s->ticks, e->head.first);
    /* A clock that was set far back: the number of ticks tells. */
    if (age >= e->age_ms || now - e->head.first >= (uint64_t)HEAD_CHUNK * 4)
        return true;
    return !e->head.alive && (at_ms - e->gone_ms >= STORE_GONE_MS || at_ms < e->gone_ms);
}

/* Looks at a part of all series: what is old is closed, what is dead and written is forgotten. */
void closing_old(struct store *s) {
    enum { AT_ONCE = 8, PARTS = 16 };
    size_t look = s->n_series / PARTS + 1;

    for (unsigned closed = 0; look > 0 && closed < AT_ONCE && s->n_series > 0; look--) {
        struct series *e = s->series[s->cursor = s->cursor % s->n_series];

        if (too_old(s, e)) {
            close_head(s, e);
            closed++;
        }
        if (!e->head.alive && !e->head.open && !e->dirty && !e->full && s->db.h)
            registry_evict(s, s->cursor); /* another one stands here now */
        else
            s->cursor++;
    }
}

/* Heads that the log cannot bring back any more. */
void closing_unlogged(struct store *s, unsigned at_once) {
    unsigned closed = 0;

    if (s->flush_tick == 0)
        return;
    for (size_t i = 0; i < s->n_series; i++) {
        struct series *e = s->series[i];

        if (!e->head.open || e->head.first >= s->flush_tick)
            continue;
        if (closed++ == at_once)
            return;
        close_head(s, e);
    }
    s->flush_tick = 0;
}
