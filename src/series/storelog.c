#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "series/storeint.h"

/* A row is a commit: its messages one after the other, each with its length before it. A KEY has a
 * row of its own. Rows are numbered without gaps, from the time on when the file was made: so a
 * reader's place is never taken for one in a file that was set aside. */
enum { LENGTH = 4, RAW_MAX = 32 << 20 };

static void add_length(struct buf *out, size_t n) {
    for (unsigned i = 0; i < LENGTH; i++)
        buf_add_char(out, (char)(n >> 8 * i));
}

void store_log_add(struct buf *out, struct str message) {
    add_length(out, message.n);
    buf_add(out, message);
}

void log_init(struct store *s) {
    s->log.state = LOG_EMPTY;
    buf_init(&s->log.raw, RAW_MAX);
}

void log_done(struct store *s) {
    buf_done(&s->log.raw);
    free(s->log.key);
}

/* --- appending -------------------------------------------------------------------------------- */

static void lose(struct store *s, uint64_t messages, uint64_t seq) {
    s->dropped += messages;
    if (seq > s->log.given_up)
        s->log.given_up = seq;
}

/* What waits is of no use without what is missing: nothing counts until the next KEY. */
static void lose_all(struct store *s) {
    lose(s, s->log.messages, s->log.seq_to);
    for (const struct item *item = s->log_queue.first; item; item = item->next)
        lose(s, item->number, item->seq_to);
    queue_clear(&s->log_queue);
    buf_clear(&s->log.raw);
    s->log.messages = 0;
    s->log.state = LOG_LOST;
    s->flush_tick = head_tick_now(&s->ticks) + 1;
}

void log_give_up(struct store *s) {
    struct item *key = NULL;

    for (struct item *item = s->log_queue.first; item; item = item->next)
        if (item->flags & LOG_KEY && item != s->log_queue.first)
            key = item;
    if (!key) {
        lose_all(s);
        return;
    }
    while (s->log_queue.first != key) {
        lose(s, s->log_queue.first->number, s->log_queue.first->seq_to);
        queue_drop_first(&s->log_queue);
    }
    key->flags |= LOG_RESYNC;
    s->flush_tick = key->tick_to + 1;
}

static struct item *add_row(struct store *s, struct str messages, unsigned flags) {
    struct item *item;

    if (pack(s, messages, &s->scratch) < 0)
        return NULL;
    item = queue_add(&s->log_queue, ITEM_LOG, buf_str(&s->scratch));
    if (!item)
        return NULL;
    item->size = (uint32_t)messages.n;
    item->flags = flags;
    item->boot = s->log.boot;
    item->seq_from = s->log.seq_from;
    item->seq_to = s->log.seq_to;
    item->from_ms = s->log.at_ms;
    /* A message's tick may be taken before it is logged or after: between two rows both are done.
     */
    item->tick_from = flags & LOG_KEY ? head_tick_now(&s->ticks) : s->log.tick_to;
    item->tick_to = s->log.tick_to = head_tick_now(&s->ticks);
    item->number = s->log.messages;
    item->need = store_need(s);
    return item;
}

void log_seal(struct store *s) {
    struct log *l = &s->log;
    unsigned flags = l->state == LOG_EMPTY ? LOG_BEGIN : 0;

    if (l->messages == 0)
        return;
    if (!add_row(s, buf_str(&l->raw), flags)) {
        lose_all(s);
        return;
    }
    if (l->state == LOG_EMPTY)
        l->state = LOG_GOOD;
    buf_clear(&l->raw);
    l->messages = 0;
}

int store_log(struct store *s, uint64_t boot, uint64_t seq, int64_t at_ms, struct str message) {
    struct log *l = &s->log;

    if (l->messages > 0 && boot != l->boot)
        log_seal(s);
    if (boot != l->boot)
        l->acked = l->given_up = 0;
    l->boot = boot;
    l->seq_to = seq;
    l->at_ms = at_ms;
    if (l->state == LOG_LOST) {
        lose(s, 1, seq);
        return 0;
    }
    if (l->messages++ == 0)
        l->seq_from = seq;
    store_log_add(&l->raw, message);
    if (buf_error(&l->raw) < 0)
        lose_all(s);
    return 0;
}

bool store_wants_key(const struct store *s, int64_t now_ms) {
    const struct log *l = &s->log;

    if (s->ticks.n == 0)
        return false;
    if (l->state == LOG_LOST)
        return head_tick_round(&s->ticks, head_tick_now(&s->ticks));
    return !l->have_key || now_ms - l->key_ms >= STORE_KEY_MS || now_ms < l->key_ms;
}

int store_log_key(struct store *s, uint64_t boot, uint64_t seq, int64_t at_ms,
                  struct str messages) {
    struct log *l = &s->log;
    unsigned flags = LOG_KEY;

    log_seal(s);
    if (boot != l->boot)
        l->acked = l->given_up = 0;
    if (l->state == LOG_LOST)
        flags |= LOG_RESYNC;
    l->boot = boot;
    l->seq_from = l->seq_to = seq;
    l->at_ms = at_ms;
    if (messages.n == 0)
        return -EINVAL;
    if (!add_row(s, messages, flags)) {
        lose_all(s);
        return -ENOMEM;
    }
    l->state = LOG_GOOD;
    l->have_key = true;
    l->key_ms = at_ms;
    return 0;
}

/* Another file: what is in memory goes there in chunks, and the log begins with the next KEY. */
void log_restart(struct store *s) {
    lose_all(s);
    s->log.keys = 0;
    s->log.have_key = false;
}

/* --- writing ---------------------------------------------------------------------------------- */

static int add_key(struct log *l, const struct log_key *key) {
    if (l->keys == l->keys_room) {
        size_t room = l->keys_room ? l->keys_room * 2 : 16;
        struct log_key *all = calloc(room, sizeof(*all));

        if (!all)
            return -ENOMEM;
        if (l->keys > 0)
            memcpy(all, l->key, l->keys * sizeof(*all));
        free(l->key);
        l->key = all;
        l->keys_room = room;
    }
    l->key[l->keys++] = *key;
    return 0;
}

static uint32_t row_sum(const struct log_row *row) {
    uint32_t sum = crc32c(0, (struct str){(const char *)row->number, sizeof(row->number)});

    return crc32c(sum, row->body);
}

int log_write(struct store *s, const struct item *item, int64_t id) {
    sqlite3_stmt *st = db_stmt(&s->db, DB_LOG_PUT);
    struct log_row row = {
        .number = {id, (int64_t)item->boot, (int64_t)item->seq_from, (int64_t)item->seq_to,
                   item->from_ms, item->flags, (int64_t)item->tick_from, (int64_t)item->tick_to,
                   (int64_t)item->need, item->size},
        .body = {item->body, item->n},
    };

    if (!st)
        return -EIO;
    for (int i = 0; i < LOG_ROW_NUMBERS; i++)
        sqlite3_bind_int64(st, i + 1, row.number[i]);
    sqlite3_bind_int64(st, LOG_ROW_NUMBERS + 1, row_sum(&row));
    db_bind_text(st, LOG_ROW_NUMBERS + 2, row.body);
    return db_step(&s->db, st);
}

void log_committed(struct store *s) {
    struct log *l = &s->log;

    for (const struct item *item = s->log_queue.first; item; item = item->next) {
        struct log_key key = {l->next_row, item->from_ms, item->tick_from, item->need};

        if (item->flags != 0)
            add_key(l, &key); /* without it the log is only kept longer */
        if (item->boot == l->boot)
            l->acked = item->seq_to;
        l->next_row++;
    }
    queue_clear(&s->log_queue);
    if (l->given_up > l->acked)
        l->acked = l->given_up;
}

/* The newest row from which everything that is in memory alone can be had again, and that is old
 * enough for readers: -1 none. */
ptrdiff_t log_base(const struct log *l, uint64_t need, int64_t before_ms) {
    for (size_t i = l->keys; i-- > 0;)
        if (l->key[i].tick < need && l->key[i].at_ms <= before_ms)
            return (ptrdiff_t)i;
    return -1;
}

int log_trim(struct store *s, int64_t now_ms) {
    struct log *l = &s->log;
    ptrdiff_t base = log_base(l, store_need(s), now_ms - s->options.log_ms);
    sqlite3_stmt *st;
    int r;

    if (base <= 0)
        return 0;
    st = db_stmt(&s->db, DB_LOG_DROP);
    if (!st)
        return -EIO;
    sqlite3_bind_int64(st, 1, l->key[base].row);
    r = db_step(&s->db, st);
    if (r < 0)
        return r;
    /* Should the commit fail, these rows are there still and nobody needs them. */
    l->keys -= (size_t)base;
    memmove(l->key, l->key + base, l->keys * sizeof(*l->key));
    return 0;
}

/* --- reading ---------------------------------------------------------------------------------- */

int log_load(struct store *s) {
    sqlite3_stmt *st = db_stmt(&s->db, DB_LOG_KEYS);
    struct log *l = &s->log;
    int r;

    l->keys = 0;
    while ((r = db_step(&s->db, st)) > 0) {
        struct log_key key = {
            sqlite3_column_int64(st, 0),
            sqlite3_column_int64(st, 1),
            (uint64_t)sqlite3_column_int64(st, 2),
            (uint64_t)sqlite3_column_int64(st, 3),
        };

        r = add_key(l, &key);
        if (r < 0)
            return r;
    }
    return r;
}

/* A row of DB_LOG_AFTER, its messages unpacked into out. -EBADMSG: damaged. */
int log_read_row(struct store *s, sqlite3_stmt *st, struct log_row *row, struct buf *out) {
    for (int i = 0; i < LOG_ROW_NUMBERS; i++)
        row->number[i] = sqlite3_column_int64(st, i);
    row->body = db_text(st, LOG_ROW_NUMBERS + 1);
    if (sqlite3_column_int64(st, LOG_ROW_NUMBERS) != row_sum(row)) {
        s->damaged++;
        return -EBADMSG;
    }
    return unpack(row->body, (size_t)row->number[9], out);
}

/* --- for remote writers ----------------------------------------------------------------------- */

/* Row 8, flags 4, at_ms 8, length 4 bytes, little endian: see logread.c. */
static void add_number(struct buf *out, uint64_t value, unsigned bytes) {
    for (unsigned i = 0; i < bytes; i++)
        buf_add_char(out, (char)(value >> 8 * i));
}

/* The first row that a reader who has seen `after` gets: one that goes on there, or a KEY. */
static int64_t first_row(const struct store *s, int64_t after, bool *key_out) {
    const struct log *l = &s->log;

    *key_out = false;
    if (after > 0 && after < l->next_row && l->keys > 0 && after + 1 >= l->key[0].row)
        return after + 1;
    *key_out = true;
    return 0;
}

int store_log_read(struct store *s, int64_t after, size_t max, struct buf *out) {
    bool need_key;
    int64_t from = first_row(s, after, &need_key), expected = need_key ? 0 : from;
    sqlite3_stmt *st = db_stmt(&s->db, DB_LOG_AFTER);
    struct buf text;

    if (!st)
        return s->db.h ? -EIO : 0;
    sqlite3_bind_int64(st, 1, from);
    buf_init(&text, (size_t)STORE_PENDING_MAX * 2);
    while (out->n < max && db_step(&s->db, st) > 0) {
        struct log_row row;
        int r = log_read_row(s, st, &row, &text);

        if (r < 0 || (expected != 0 && row.number[0] != expected))
            need_key = true;
        expected = sqlite3_column_int64(st, 0) + 1;
        if (r < 0 || (need_key && row.number[5] == 0))
            continue;
        need_key = false;
        add_number(out, (uint64_t)row.number[0], 8);
        add_number(out, (uint64_t)row.number[5], 4);
        add_number(out, (uint64_t)row.number[4], 8);
        add_number(out, text.n, 4);
        buf_add(out, buf_str(&text));
    }
    sqlite3_reset(st);
    buf_done(&text);
    return buf_error(out);
}
