/* wireint.h - how numbers and texts lie in a message: for the files that say what is in one. */
#pragma once
#include <errno.h>
#include <string.h>

#include "wire/wire.h"

enum { PAGE = 4096, VARINT_MAX = 10 };

/* --- writing ---------------------------------------------------------------------------------- */

/* Writers run on after there is no room, and the whole is taken back at the end: see settle. */
static inline void put(struct wire_out *w, uint64_t value) {
    if (w->size - w->n < VARINT_MAX) {
        w->full = true;
        return;
    }
    for (; value >= 0x80; value >>= 7)
        w->p[w->n++] = (uint8_t)(value | 0x80);
    w->p[w->n++] = (uint8_t)value;
}

/* Signed numbers: small ones of either sign are short. */
static inline void put_signed(struct wire_out *w, int64_t value) {
    put(w, (uint64_t)value << 1 ^ (value < 0 ? UINT64_MAX : 0));
}

/* Most sizes are whole pages. */
static inline void put_value(struct wire_out *w, uint64_t value) {
    if (value % PAGE == 0)
        put(w, value / PAGE << 1);
    else if (value < UINT64_MAX / 2)
        put(w, value << 1 | 1);
    else { /* too large for the flag: the longest odd number stands for "as it is, after me" */
        put(w, UINT64_MAX);
        put(w, value);
    }
}

static inline void put_text(struct wire_out *w, struct str s) {
    size_t n = s.n < WIRE_TEXT ? s.n : WIRE_TEXT;

    put(w, n);
    if (w->full || w->size - w->n < n) {
        w->full = true;
        return;
    }
    if (n > 0)
        memcpy(w->p + w->n, s.p, n);
    w->n += n;
}

static inline bool settle(struct wire_out *w, size_t from) {
    if (w->full)
        w->n = from;
    return !w->full;
}

/* --- reading ---------------------------------------------------------------------------------- */

/* Reads on after a failure, of nothing: the caller looks once, at the end. */
struct reader {
    struct wire_in in;
    bool bad;
};

static inline uint64_t get(struct reader *r) {
    uint64_t value = 0;

    for (unsigned shift = 0; shift < 64 && r->in.n > 0; shift += 7) {
        uint8_t byte = *r->in.p;

        r->in.p++;
        r->in.n--;
        if (shift == 63 && byte > 1)
            break; /* above 2^64 */
        value |= (uint64_t)(byte & 0x7f) << shift;
        if (!(byte & 0x80))
            return value;
    }
    r->bad = true;
    r->in.n = 0;
    return 0;
}

static inline uint64_t get_at_most(struct reader *r, uint64_t most) {
    uint64_t value = get(r);

    if (value > most)
        r->bad = true;
    return r->bad ? 0 : value;
}

static inline int64_t get_signed(struct reader *r) {
    uint64_t value = get(r);

    return (int64_t)(value >> 1) ^ -(int64_t)(value & 1);
}

static inline int32_t get_pid(struct reader *r) {
    int64_t value = get_signed(r);

    if (value < INT32_MIN || value > INT32_MAX)
        r->bad = true;
    return r->bad ? 0 : (int32_t)value;
}

static inline uint64_t get_value(struct reader *r) {
    uint64_t value = get(r);

    if (value == UINT64_MAX)
        return get(r);
    if (value & 1)
        return value >> 1;
    if (value >> 1 > UINT64_MAX / PAGE)
        r->bad = true;
    return (value >> 1) * PAGE;
}

static inline struct str get_text(struct reader *r) {
    size_t n = get_at_most(r, WIRE_TEXT);
    struct str s = {(const char *)r->in.p, n};

    if (r->bad || n > r->in.n) {
        r->bad = true;
        return (struct str){"", 0};
    }
    r->in.p += n;
    r->in.n -= n;
    return s;
}

static inline int finish(const struct reader *r, struct wire_in *in) {
    if (r->bad)
        return -EBADMSG;
    *in = r->in;
    return 0;
}

/* A message that holds one thing and no more. */
static inline int finish_whole(const struct reader *r, struct wire_in *in) {
    return r->in.n > 0 ? -EBADMSG : finish(r, in);
}
