#include "series/symbols.h"

#include <assert.h>
#include <endian.h>
#include <errno.h>
#include <string.h>

#include "base/mem.h"
#include "series/varint.h"

/* The code: how many 16-bit words there are, the states that the decoder begins with, the words,
 * and then bits, the lowest of a byte first: the table of frequencies and the low bits of the
 * numbers.
 *
 * The state x of a 32-bit rANS coder stays in [2^16, 2^32); frequencies add up to 2^12, so each
 * symbol moves at most one word. A long code has two states that take turns, so that a processor
 * can work at both at once; they share the words. */
enum {
    SCALE_BITS = 12,
    SCALE = 1 << SCALE_BITS,
    STATE_BITS = 16,
    USED_MAX = 256, /* symbols of one code: an index is a byte */
    LEVEL_MAX = 36, /* twice the binary logarithm of a count */
    FINE_BITS = 3,
    STATES = 2,
    LONG = 256, /* numbers, from which on both states are used */
    LEVEL_BITS = 6,
};

static_assert((64 - 2 + 1) << 2 <= USED_MAX, "all symbols of some parting fit into an index");

struct frequency {
    unsigned symbol, level, low_bits;
    uint32_t share, start; /* of SCALE */
    uint64_t base;         /* the smallest such number */
};

struct table {
    size_t used;
    struct frequency f[USED_MAX];
};

static const uint32_t STATE_LEAST = 1u << STATE_BITS;

static unsigned states_of(size_t n) {
    return n < LONG ? 1 : STATES;
}

/* --- symbols ---------------------------------------------------------------------------------- */

static unsigned log2_floor(uint64_t number) {
    return 63 - (unsigned)__builtin_clzll(number);
}

static inline unsigned symbol_of(uint64_t number, unsigned fine) {
    unsigned shift;

    if (number < 2ull << fine)
        return (unsigned)number;
    shift = log2_floor(number) - fine;
    return (shift << fine) + (unsigned)(number >> shift);
}

/* False: no number has that symbol. */
static bool describe(unsigned symbol, unsigned fine, struct frequency *out) {
    unsigned shift = symbol < 2u << fine ? 0 : (symbol >> fine) - 1;

    if (shift + fine > 63)
        return false;
    out->symbol = symbol;
    out->low_bits = shift;
    out->base = (uint64_t)(symbol - (shift << fine)) << shift;
    return true;
}

static uint64_t weight_of(unsigned level) {
    return (level & 1 ? 181ull : 128ull) << level / 2;
}

static unsigned level_of(uint32_t count) {
    unsigned level = 2 * log2_floor(count);

    /* the limits lie at the quarters: 2^0.25 and 2^0.75, as parts of 256 */
    uint64_t parts = ((uint64_t)count << 8) >> level / 2;

    return level + (parts >= 304) + (parts >= 431);
}

/* Shares of SCALE by the levels: each at least one, and the rest to the most frequent. */
static void share_out(struct table *t) {
    uint32_t left = SCALE, start = 0;
    uint64_t whole = 0;
    size_t most = 0;

    for (size_t i = 0; i < t->used; i++) {
        whole += weight_of(t->f[i].level);
        if (t->f[i].level > t->f[most].level)
            most = i;
    }
    for (size_t i = 0; i < t->used; i++) {
        t->f[i].share = 1 + (uint32_t)(weight_of(t->f[i].level) * (SCALE - t->used) / whole);
        left -= t->f[i].share;
    }
    t->f[most].share += left;
    for (size_t i = 0; i < t->used; i++) {
        t->f[i].start = start;
        start += t->f[i].share;
    }
}

/* What the level of the next symbol would be if numbers were as dense there as at this one. */
static int next_level(const struct frequency *before, const struct frequency *now) {
    return (int)before->level + 2 * ((int)now->low_bits - (int)before->low_bits);
}

/* --- bits ------------------------------------------------------------------------------------- */

struct bit_writer {
    struct buf *out;
    uint64_t held;
    unsigned n; /* bits held, below 8 between calls */
};

static void put_bits(struct bit_writer *w, uint64_t value, unsigned bits) {
    while (bits > 32) {
        put_bits(w, value & UINT32_MAX, 32);
        value >>= 32;
        bits -= 32;
    }
    w->held |= value << w->n;
    for (w->n += bits; w->n >= 8; w->n -= 8) {
        buf_add_char(w->out, (char)w->held);
        w->held >>= 8;
    }
}

/* Elias' gamma code of value + 1: short when it is small. */
static void put_small(struct bit_writer *w, unsigned value) {
    unsigned bits = log2_floor((uint64_t)value + 1);

    put_bits(w, 1ull << bits, bits + 1);
    put_bits(w, (value + 1) & ((1u << bits) - 1), bits);
}

struct bit_reader {
    const char *p;
    size_t n, at; /* bytes; bits */
};

/* At most 56 bits; zeros behind the end, which over() tells. */
static inline uint64_t cut_bits(struct bit_reader *r, unsigned bits) {
    size_t byte = r->at / 8;
    uint64_t word = 0;

    if (byte + 8 <= r->n)
        memcpy(&word, r->p + byte, sizeof(word));
    else if (byte < r->n)
        memcpy(&word, r->p + byte, r->n - byte);
    word = le64toh(word) >> r->at % 8;
    r->at += bits;
    return word & ((1ull << bits) - 1);
}

static inline uint64_t cut_low_bits(struct bit_reader *r, unsigned bits) {
    uint64_t low = cut_bits(r, bits > 56 ? 56 : bits);

    return bits > 56 ? low | cut_bits(r, bits - 56) << 56 : low;
}

static bool is_over(const struct bit_reader *r) {
    return r->at > 8 * r->n;
}

static bool cut_small(struct bit_reader *r, unsigned *out) {
    unsigned bits = 0;

    while (cut_bits(r, 1) == 0)
        if (++bits > 16 || is_over(r))
            return false;
    *out = (1u << bits) + (unsigned)cut_bits(r, bits) - 1;
    return !is_over(r);
}

/* --- planning --------------------------------------------------------------------------------- */

/* Binary logarithm in 1/256, within 2/256. */
static uint64_t log2_parts(uint64_t number) {
    unsigned whole = log2_floor(number);
    uint64_t part = (whole >= 8 ? number >> (whole - 8) : number << (8 - whole)) & 255;

    return (uint64_t)whole * 256 + part + part * (256 - part) * 88 / 65536;
}

/* Bits of the code with that parting, or 0 when it has too many symbols. */
static uint64_t cost_of(const struct symbols *plan, const uint32_t *count, unsigned fine) {
    uint64_t parts = 0, all = log2_parts(plan->n), low = 0;
    unsigned used = 0;

    for (unsigned s = 0; s < SYMBOLS_ALL; s++) {
        struct frequency f;

        if (count[s] == 0 || !describe(s, fine, &f))
            continue;
        used++;
        parts += count[s] * (all - log2_parts(count[s]));
        low += (uint64_t)count[s] * f.low_bits;
    }
    return used > USED_MAX ? 0 : parts / 256 + low + 4 * used + 64;
}

/* The counts of the next coarser parting, in place. */
static void coarsen(uint32_t *count, unsigned fine) {
    for (unsigned s = 0; s < SYMBOLS_ALL; s++) {
        uint32_t times = count[s];
        struct frequency f;

        if (times == 0 || !describe(s, fine, &f))
            continue;
        count[s] = 0;
        count[symbol_of(f.base, fine - 1)] += times;
    }
}

void symbols_plan(struct symbols *plan, const uint64_t *number, size_t n) {
    uint32_t count[SYMBOLS_ALL];

    *plan = (struct symbols){.n = n};
    for (size_t i = 0; i < n; i++)
        plan->count[symbol_of(number[i], SYMBOLS_FINE)]++;
    memcpy(count, plan->count, sizeof(count));
    for (unsigned fine = SYMBOLS_FINE;; fine--) {
        uint64_t bits = cost_of(plan, count, fine);

        if (bits > 0 && (plan->bits == 0 || bits < plan->bits)) {
            plan->bits = bits;
            plan->fine = fine;
        }
        if (fine == 0)
            break;
        coarsen(count, fine);
    }
}

/* --- encoding --------------------------------------------------------------------------------- */

static void make_table(const struct symbols *plan, struct table *t, uint8_t *index) {
    uint32_t count[SYMBOLS_ALL];

    memcpy(count, plan->count, sizeof(count));
    for (unsigned fine = SYMBOLS_FINE; fine > plan->fine; fine--)
        coarsen(count, fine);
    t->used = 0;
    for (unsigned s = 0; s < SYMBOLS_ALL; s++) {
        if (count[s] == 0 || !describe(s, plan->fine, &t->f[t->used]))
            continue;
        t->f[t->used].level = level_of(count[s]);
        index[s] = (uint8_t)t->used++;
    }
    share_out(t);
}

static void put_table(struct bit_writer *w, const struct table *t, unsigned fine) {
    unsigned next = 0;

    put_bits(w, fine, FINE_BITS);
    put_small(w, (unsigned)t->used - 1);
    for (size_t i = 0; i < t->used; i++) {
        const struct frequency *f = &t->f[i];

        put_small(w, f->symbol - next);
        next = f->symbol + 1;
        if (i == 0)
            put_bits(w, f->level, LEVEL_BITS);
        else
            put_small(w, (unsigned)zigzag((uint64_t)((int)f->level - next_level(f - 1, f))));
    }
}

/* Fills word[] from its end; returns the first that is used. */
static size_t put_states(const struct table *t, const uint8_t *index, unsigned fine,
                         const uint64_t *number, size_t n, uint16_t *word, uint32_t *state) {
    size_t at = n;

    for (size_t i = n; i-- > 0;) {
        const struct frequency *f = &t->f[index[symbol_of(number[i], fine)]];
        uint32_t *x = &state[n >= LONG ? i % STATES : 0];

        if (*x >= (uint64_t)f->share << (32 - SCALE_BITS)) {
            word[--at] = (uint16_t)*x;
            *x >>= STATE_BITS;
        }
        *x = (*x / f->share << SCALE_BITS) + *x % f->share + f->start;
    }
    return at;
}

int symbols_encode(struct buf *out, const struct symbols *plan, const uint64_t *number, size_t n) {
    auto_free uint16_t *word = malloc(n * sizeof(*word));
    uint8_t index[SYMBOLS_ALL];
    struct bit_writer w = {.out = out};
    struct table t;
    uint32_t state[STATES] = {STATE_LEAST, STATE_LEAST};
    size_t at;

    if (!word)
        return -ENOMEM;
    make_table(plan, &t, index);
    at = put_states(&t, index, plan->fine, number, n, word, state);
    varint_add(out, n - at);
    for (unsigned i = 0; i < 4 * states_of(n); i++)
        buf_add_char(out, (char)(state[i / 4] >> 8 * (i % 4)));
    for (; at < n; at++) {
        buf_add_char(out, (char)word[at]);
        buf_add_char(out, (char)(word[at] >> 8));
    }
    put_table(&w, &t, plan->fine);
    for (size_t i = 0; i < n; i++) {
        const struct frequency *f = &t.f[index[symbol_of(number[i], plan->fine)]];

        put_bits(&w, number[i] - f->base, f->low_bits);
    }
    put_bits(&w, 0, (8 - w.n) % 8);
    return buf_error(out);
}

/* --- decoding --------------------------------------------------------------------------------- */

static bool cut_table(struct bit_reader *r, struct table *t) {
    unsigned fine = (unsigned)cut_bits(r, FINE_BITS), next = 0, less, gap, folded;

    if (fine > SYMBOLS_FINE || !cut_small(r, &less) || less >= USED_MAX)
        return false;
    t->used = less + 1;
    for (size_t i = 0; i < t->used; i++) {
        struct frequency *f = &t->f[i];
        int64_t level;

        if (!cut_small(r, &gap) || !describe(next + gap, fine, f))
            return false;
        next = f->symbol + 1;
        if (i == 0) {
            level = (int64_t)cut_bits(r, LEVEL_BITS);
        } else {
            if (!cut_small(r, &folded))
                return false;
            level = next_level(f - 1, f) + (int64_t)unzigzag(folded);
        }
        if (level < 0 || level > LEVEL_MAX)
            return false;
        f->level = (unsigned)level;
    }
    share_out(t);
    return !is_over(r);
}

/* What the loop of the decoder needs, packed. Of each place of SCALE: index, share less one, and
 * the distance from the symbol's start. */
struct decoder {
    uint32_t place[SCALE];
    uint64_t base[USED_MAX];
    uint8_t low_bits[USED_MAX];
};

enum { PLACE_SHARE = 8, PLACE_DISTANCE = 20, PLACE_MASK = SCALE - 1 };

static void fill_decoder(const struct table *t, struct decoder *d) {
    uint32_t *place = d->place;

    for (size_t i = 0; i < t->used; i++) {
        uint32_t code = (uint32_t)i | (t->f[i].share - 1) << PLACE_SHARE;

        for (uint32_t left = t->f[i].share; left > 0; left--, code += 1u << PLACE_DISTANCE)
            *place++ = code;
        d->base[i] = t->f[i].base;
        d->low_bits[i] = (uint8_t)t->f[i].low_bits;
    }
}

/* Where the loop is: a struct of its own, so that it is kept in registers. */
struct cursor {
    const char *word; /* the next */
    struct bit_reader bits;
};

static inline uint64_t next_number(const struct decoder *d, struct cursor *c, uint32_t *state) {
    uint32_t x = *state, code = d->place[x & PLACE_MASK];
    unsigned index = code & (USED_MAX - 1), low_bits = d->low_bits[index];
    /* the table of frequencies, two bytes at least, stands behind the last word */
    uint32_t next = (uint8_t)c->word[0] | (uint32_t)(uint8_t)c->word[1] << 8;
    bool moves;

    x = ((code >> PLACE_SHARE & PLACE_MASK) + 1) * (x >> SCALE_BITS) + (code >> PLACE_DISTANCE);
    moves = x < STATE_LEAST; /* no branch: nobody can foretell it */
    *state = moves ? x << STATE_BITS | next : x;
    c->word += moves ? 2 : 0;
    return d->base[index] + (low_bits ? cut_low_bits(&c->bits, low_bits) : 0);
}

static int decode(const struct decoder *d, struct cursor c, const char *end,
                  const uint32_t first[STATES], size_t n, uint64_t *number_out) {
    uint32_t x = first[0], y = first[1];
    size_t i = 0;

    for (; n >= LONG && i + 1 < n && c.word <= end; i += 2) {
        number_out[i] = next_number(d, &c, &x);
        if (c.word > end)
            return -EBADMSG;
        number_out[i + 1] = next_number(d, &c, &y);
    }
    for (; i < n && c.word <= end; i++)
        number_out[i] = next_number(d, &c, &x);
    if (i < n || c.word != end || x != STATE_LEAST || y != STATE_LEAST)
        return -EBADMSG;
    return is_over(&c.bits) || c.bits.n > (c.bits.at + 7) / 8 ? -EBADMSG : 0;
}

int symbols_decode(struct str text, size_t n, uint64_t *number_out) {
    uint32_t state[STATES] = {0};
    size_t heads = 4 * states_of(n);
    struct decoder d;
    struct cursor c;
    struct table t;
    uint64_t words;

    if (!varint_cut(&text, &words) || text.n < heads || words > (text.n - heads) / 2)
        return -EBADMSG;
    for (size_t k = 0; k < heads; k++)
        state[k / 4] |= (uint32_t)(uint8_t)text.p[k] << 8 * (k % 4);
    if (n < LONG)
        state[1] = STATE_LEAST;
    text = str_from(text, heads);
    c.word = text.p;
    text = str_from(text, 2 * (size_t)words);
    c.bits = (struct bit_reader){.p = text.p, .n = text.n};
    if (!cut_table(&c.bits, &t))
        return -EBADMSG;
    fill_decoder(&t, &d);
    return decode(&d, c, text.p, state, n, number_out);
}
