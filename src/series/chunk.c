#include "series/chunk.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#include "base/mem.h"
#include "series/codec.h"
#include "series/crc32c.h"
#include "series/varint.h"

/* FORMAT, number of times, first time, last less first, length and code of the times (as distance
 * from the first); of each column its kind and metric in a byte, twice the length, and the code;
 * the checksum of all that, little endian. Of a column that moves as one before it did, one is
 * added to twice the length, and the code is its front and the ordinal of the other. */
enum {
    FORMAT = 1,
    CHECKSUM = 4,
    KIND_SHIFT = 6,
    METRIC_MASK = (1 << KIND_SHIFT) - 1,
    ALIKE_PAYS = 2
};

static_assert(METRIC_N <= METRIC_MASK + 1 && CHUNK_COLUMNS <= 4, "a column's name is a byte");

struct column {
    unsigned name;
    bool alike;
    struct str code;
};

static bool cut_part(struct str *rest, struct str *out) {
    uint64_t length;

    if (!varint_cut(rest, &length) || length > rest->n)
        return false;
    *out = str_head(*rest, (size_t)length);
    *rest = str_from(*rest, (size_t)length);
    return true;
}

static bool cut_column(struct str *rest, struct column *out) {
    uint64_t length;

    if (rest->n == 0)
        return false;
    out->name = (uint8_t)rest->p[0];
    *rest = str_from(*rest, 1);
    if (!varint_cut(rest, &length) || length / 2 > rest->n)
        return false;
    out->alike = length & 1;
    out->code = str_head(*rest, (size_t)(length / 2));
    *rest = str_from(*rest, (size_t)(length / 2));
    return true;
}

static int read_head(struct str text, struct chunk *out) {
    struct chunk c = {.text = text};
    struct str rest = str_from(text, 1), times;
    uint64_t n, from, span;

    if (text.n == 0 || text.p[0] != FORMAT)
        return -EBADMSG;
    if (!varint_cut(&rest, &n) || n == 0 || n > CODEC_MAX || !varint_cut(&rest, &from) ||
        !varint_cut(&rest, &span))
        return -EBADMSG;
    c.n = (size_t)n;
    c.times_at = c.text.n - rest.n;
    c.from_ms = (int64_t)unzigzag(from);
    c.to_ms = (int64_t)(unzigzag(from) + span);
    if (span > INT64_MAX || c.to_ms < c.from_ms || !cut_part(&rest, &times))
        return -EBADMSG;
    c.columns_at = c.text.n - rest.n;
    *out = c;
    return 0;
}

/* --- writing ---------------------------------------------------------------------------------- */

/* Puts a number before what was added since `from`. */
static int prepend(struct buf *out, size_t from, uint64_t number) {
    size_t length = out->n - from, bytes = varint_bytes(number);
    char *p;

    if (!buf_room(out, bytes))
        return buf_error(out);
    p = out->p + from;
    memmove(p + bytes, p, length);
    for (size_t i = 0; i < bytes; i++, number >>= 7)
        p[i] = (char)((number & 0x7f) | (i + 1 < bytes ? 0x80 : 0));
    buf_grow(out, bytes);
    return 0;
}

int chunk_begin(struct buf *out, const int64_t *at_ms, size_t n) {
    auto_free int64_t *distance = NULL;
    size_t from;
    int r;

    assert(out->n == 0);
    if (n == 0 || n > CODEC_MAX)
        return -EINVAL;
    distance = malloc(n * sizeof(*distance));
    if (!distance)
        return -ENOMEM;
    for (size_t i = 0; i < n; i++)
        distance[i] = (int64_t)((uint64_t)at_ms[i] - (uint64_t)at_ms[0]);
    buf_add_char(out, FORMAT);
    varint_add(out, n);
    varint_add(out, zigzag((uint64_t)at_ms[0]));
    varint_add(out, (uint64_t)at_ms[n - 1] - (uint64_t)at_ms[0]);
    if (buf_error(out) < 0)
        return buf_error(out);
    from = out->n;
    r = codec_encode_times(out, distance, n);
    return r < 0 ? r : prepend(out, from, out->n - from);
}

/* The ordinal of a column that moves as this code does, or -1. */
static int find_alike(const struct chunk *c, struct str code) {
    struct str rest = str_from(c->text, c->columns_at);
    struct column column;

    for (int i = 0; cut_column(&rest, &column); i++)
        if (!column.alike && codec_alike(column.code, code))
            return i;
    return -1;
}

int chunk_add(struct buf *out, enum metric metric, enum chunk_column kind, const uint64_t *value,
              const bool *known) {
    struct str code;
    struct chunk c;
    size_t from, front;
    int r, alike;

    if (read_head(buf_str(out), &c) < 0)
        return buf_error(out) < 0 ? buf_error(out) : -EINVAL;
    buf_add_char(out, (char)(kind << KIND_SHIFT | metric));
    from = out->n;
    r = codec_encode(out, value, known, c.n);
    if (r < 0)
        return r;
    code = str_from(buf_str(out), from);
    front = codec_front(code);
    c.text = str_head(buf_str(out), from - 1); /* the buffer may have moved */
    alike = code.n > front + ALIKE_PAYS ? find_alike(&c, code) : -1;
    if (alike >= 0) {
        out->n = from + front;
        varint_add(out, (uint64_t)alike);
    }
    return prepend(out, from, (out->n - from) * 2 + (alike >= 0));
}

int chunk_end(struct buf *out) {
    uint32_t sum = crc32c(0, buf_str(out));

    for (unsigned i = 0; i < CHECKSUM; i++)
        buf_add_char(out, (char)(sum >> 8 * i));
    return buf_error(out);
}

/* --- reading ---------------------------------------------------------------------------------- */

static bool checksum_fits(struct str text) {
    uint32_t sum = 0;

    for (unsigned i = 0; i < CHECKSUM; i++)
        sum |= (uint32_t)(uint8_t)text.p[text.n - CHECKSUM + i] << 8 * i;
    return sum == crc32c(0, str_head(text, text.n - CHECKSUM));
}

int chunk_open(struct str text, struct chunk *out) {
    struct column column;
    struct str rest;
    struct chunk c;

    if (text.n < CHECKSUM || !checksum_fits(text) ||
        read_head(str_head(text, text.n - CHECKSUM), &c) < 0)
        return -EBADMSG;
    rest = str_from(c.text, c.columns_at);
    while (rest.n > 0)
        if (!cut_column(&rest, &column))
            return -EBADMSG;
    *out = c;
    return 0;
}

int chunk_times(const struct chunk *c, int64_t *at_ms_out) {
    struct str rest = str_from(c->text, c->times_at), code;
    int64_t span = c->to_ms - c->from_ms;

    if (!cut_part(&rest, &code) || codec_decode_times(code, c->n, at_ms_out) < 0)
        return -EBADMSG;
    if (at_ms_out[0] != 0 || at_ms_out[c->n - 1] != span)
        return -EBADMSG;
    for (size_t i = 0; i < c->n; i++)
        at_ms_out[i] += c->from_ms;
    return 0;
}

static int decode(const struct chunk *c, const struct column *column, uint64_t *value_out,
                  bool *known_out) {
    struct str front = str_head(column->code, codec_front(column->code)), rest;
    struct column other = {.alike = true};
    uint64_t ordinal;

    if (!column->alike)
        return codec_decode(column->code, c->n, value_out, known_out);
    rest = str_from(column->code, front.n);
    if (!varint_cut(&rest, &ordinal) || rest.n > 0 || ordinal > CHUNK_COLUMNS << KIND_SHIFT)
        return -EBADMSG;
    rest = str_from(c->text, c->columns_at);
    for (uint64_t i = 0; i <= ordinal; i++)
        if (!cut_column(&rest, &other))
            return -EBADMSG;
    if (other.alike)
        return -EBADMSG;
    return codec_decode_parts(front, str_from(other.code, codec_front(other.code)), c->n, value_out,
                              known_out);
}

int chunk_column(const struct chunk *c, enum metric metric, enum chunk_column kind,
                 uint64_t *value_out, bool *known_out) {
    struct str rest = str_from(c->text, c->columns_at);
    struct column column;

    while (cut_column(&rest, &column))
        if (column.name == ((unsigned)kind << KIND_SHIFT | (unsigned)metric))
            return decode(c, &column, value_out, known_out);
    return -ENODATA;
}

uint64_t chunk_metrics(const struct chunk *c, enum chunk_column kind) {
    struct str rest = str_from(c->text, c->columns_at);
    struct column column;
    uint64_t set = 0;

    while (cut_column(&rest, &column))
        if (column.name >> KIND_SHIFT == (unsigned)kind)
            set |= 1ull << (column.name & METRIC_MASK);
    return set;
}
