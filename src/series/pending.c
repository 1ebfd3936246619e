#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "series/storeint.h"

void queue_init(struct queue *q) {
    *q = (struct queue){.first = NULL};
    q->end = &q->first;
}

void queue_drop_first(struct queue *q) {
    struct item *item = q->first;

    if (!item)
        return;
    q->first = item->next;
    if (!q->first)
        q->end = &q->first;
    q->bytes -= sizeof(*item) + item->n;
    free(item);
}

void queue_clear(struct queue *q) {
    while (q->first)
        queue_drop_first(q);
}

struct item *queue_add(struct queue *q, enum item_kind kind, struct str body) {
    struct item *item = malloc(sizeof(*item) + body.n);

    if (!item)
        return NULL;
    *item = (struct item){.kind = kind, .n = body.n};
    if (body.n > 0)
        memcpy(item->body, body.p, body.n);
    *q->end = item;
    q->end = &item->next;
    q->bytes += sizeof(*item) + body.n;
    return item;
}

/* --- compression ------------------------------------------------------------------------------ */

int pack(struct store *s, struct str text, struct buf *out) {
    size_t bound = ZSTD_compressBound(text.n), n;
    char *room;

    if (!s->zip) {
        s->zip = ZSTD_createCCtx();
        if (!s->zip)
            return -ENOMEM;
        /* A small window: what is compressed is small, and memory counts. */
        ZSTD_CCtx_setParameter(s->zip, ZSTD_c_compressionLevel, 1);
        ZSTD_CCtx_setParameter(s->zip, ZSTD_c_windowLog, 17);
    }
    buf_clear(out);
    room = buf_room(out, bound);
    if (!room)
        return -ENOMEM;
    n = ZSTD_compress2(s->zip, room, bound, text.p, text.n);
    if (ZSTD_isError(n))
        return -ENOMEM;
    buf_grow(out, n);
    return 0;
}

int unpack(struct str text, size_t size, struct buf *out) {
    char *room;

    buf_clear(out);
    if (size == 0 || size > (size_t)STORE_PENDING_MAX * 2)
        return -EBADMSG;
    room = buf_room(out, size);
    if (!room)
        return -ENOMEM;
    if (ZSTD_decompress(room, size, text.p, text.n) != size)
        return -EBADMSG;
    buf_grow(out, size);
    return 0;
}

/* --- writing ---------------------------------------------------------------------------------- */

/* The chunk has a checksum of its own, which stands at its end: this one ties it to its row. */
uint32_t chunk_row_sum(int64_t series, int64_t from_ms, int64_t to_ms, int64_t number,
                       struct str body) {
    uint32_t sum = sum_number(0, series);

    sum = sum_number(sum, from_ms);
    sum = sum_number(sum, to_ms);
    sum = sum_number(sum, number);
    sum = sum_number(sum, (int64_t)body.n);
    return crc32c(sum, str_from(body, body.n < 4 ? 0 : body.n - 4));
}

static int write_chunk(struct store *s, const struct item *item) {
    sqlite3_stmt *st = db_stmt(&s->db, DB_CHUNK_PUT + LEVEL_RAW);
    struct str body = {item->body, item->n};

    if (!st)
        return -EIO;
    sqlite3_bind_int64(st, 1, item->series);
    sqlite3_bind_int64(st, 2, item->from_ms);
    sqlite3_bind_int64(st, 3, item->to_ms);
    sqlite3_bind_int64(st, 4, (int64_t)item->number);
    sqlite3_bind_int64(
        st, 5,
        chunk_row_sum(item->series, item->from_ms, item->to_ms, (int64_t)item->number, body));
    db_bind_text(st, 6, body);
    return db_step(&s->db, st);
}

static int write_oom(struct store *s, const struct item *item) {
    sqlite3_stmt *st = db_stmt(&s->db, DB_OOM_PUT);
    struct str json = {item->body, item->n};
    uint32_t sum = sum_number(sum_number(0, item->series), item->from_ms);

    if (!st)
        return -EIO;
    sqlite3_bind_int64(st, 1, item->series);
    sqlite3_bind_int64(st, 2, item->from_ms);
    sqlite3_bind_int64(st, 3, (int64_t)item->number);
    sqlite3_bind_int64(st, 4, crc32c(sum_number(sum, (int64_t)item->number), json));
    db_bind_text(st, 5, json);
    return db_step(&s->db, st);
}

/* until_ms is not in the sum: it moves, and what it says is checked by its use. */
static int write_procs(struct store *s, const struct item *item) {
    sqlite3_stmt *st = db_stmt(&s->db, DB_PROCS_PUT);
    struct str body = {item->body, item->n};
    uint32_t sum = sum_number(sum_number(0, item->series), item->from_ms);

    if (!st)
        return -EIO;
    sqlite3_bind_int64(st, 1, item->series);
    sqlite3_bind_int64(st, 2, item->from_ms);
    sqlite3_bind_int64(st, 3, item->to_ms);
    sqlite3_bind_int64(st, 4, item->size);
    sqlite3_bind_int64(st, 5, crc32c(sum_number(sum, item->size), body));
    db_bind_text(st, 6, body);
    return db_step(&s->db, st);
}

static int write_until(struct store *s, const struct item *item) {
    sqlite3_stmt *st = db_stmt(&s->db, DB_PROCS_UNTIL);

    if (!st)
        return -EIO;
    sqlite3_bind_int64(st, 1, item->series);
    sqlite3_bind_int64(st, 2, item->from_ms);
    sqlite3_bind_int64(st, 3, item->to_ms);
    return db_step(&s->db, st);
}

int queue_write(struct store *s, const struct queue *q) {
    int64_t row = s->log.next_row;
    int r = 0;

    for (const struct item *item = q->first; item && r == 0; item = item->next) {
        switch (item->kind) {
        case ITEM_LOG:
            r = log_write(s, item, row++);
            break;
        case ITEM_CHUNK:
            r = write_chunk(s, item);
            break;
        case ITEM_OOM:
            r = write_oom(s, item);
            break;
        case ITEM_EVENT:
            r = event_write(s, item);
            break;
        case ITEM_PROCS:
            r = write_procs(s, item);
            break;
        case ITEM_PROCS_UNTIL:
            r = write_until(s, item);
            break;
        }
    }
    return r;
}
