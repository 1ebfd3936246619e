#include "series/chunk.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#include "base/mem.h"
#include "series/codec.h"
#include "series/crc32c.h"
#include "series/varint.h"

/* FORMAT, number of times, first time, last less first, length and code of the times (as distance
 * from the first); of each column its kind and metric in a byte, length and code; the checksum of
 * all that, little endian. */
enum { FORMAT = 1, CHECKSUM = 4, KIND_SHIFT = 6, METRIC_MASK = (1 << KIND_SHIFT) - 1 };

static_assert(METRIC_N <= METRIC_MASK + 1 && CHUNK_COLUMNS <= 4, "a column's name is a byte");

/* --- writing ---------------------------------------------------------------------------------- */

/* Puts the length of what was added since `from` before it. */
static int prepend_length(struct buf *out, size_t from) {
    size_t length = out->n - from, bytes = 1;
    char *p;

    for (size_t rest = length; rest >= 0x80; rest >>= 7)
        bytes++;
    if (!buf_room(out, bytes))
        return buf_error(out);
    p = out->p + from;
    memmove(p + bytes, p, length);
    for (size_t rest = length, i = 0; i < bytes; i++, rest >>= 7)
        p[i] = (char)((rest & 0x7f) | (i + 1 < bytes ? 0x80 : 0));
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
    return r < 0 ? r : prepend_length(out, from);
}

int chunk_add(struct buf *out, enum metric metric, enum chunk_column kind, const uint64_t *value,
              const bool *known) {
    struct str head = str_from(buf_str(out), 1);
    uint64_t n;
    size_t from;
    int r;

    if (!varint_cut(&head, &n))
        return buf_error(out) < 0 ? buf_error(out) : -EINVAL;
    buf_add_char(out, (char)(kind << KIND_SHIFT | metric));
    if (buf_error(out) < 0)
        return buf_error(out);
    from = out->n;
    r = codec_encode(out, value, known, (size_t)n);
    return r < 0 ? r : prepend_length(out, from);
}

int chunk_end(struct buf *out) {
    uint32_t sum = crc32c(0, buf_str(out));

    for (unsigned i = 0; i < CHECKSUM; i++)
        buf_add_char(out, (char)(sum >> 8 * i));
    return buf_error(out);
}

/* --- reading ---------------------------------------------------------------------------------- */

static bool cut_part(struct str *rest, struct str *out) {
    uint64_t length;

    if (!varint_cut(rest, &length) || length > rest->n)
        return false;
    *out = str_head(*rest, (size_t)length);
    *rest = str_from(*rest, (size_t)length);
    return true;
}

static bool cut_column(struct str *rest, unsigned *name_out, struct str *code_out) {
    if (rest->n == 0)
        return false;
    *name_out = (uint8_t)rest->p[0];
    *rest = str_from(*rest, 1);
    return cut_part(rest, code_out);
}

static bool checksum_fits(struct str text) {
    uint32_t sum = 0;

    for (unsigned i = 0; i < CHECKSUM; i++)
        sum |= (uint32_t)(uint8_t)text.p[text.n - CHECKSUM + i] << 8 * i;
    return sum == crc32c(0, str_head(text, text.n - CHECKSUM));
}

int chunk_open(struct str text, struct chunk *out) {
    struct chunk c = {.text = text};
    struct str rest, code;
    uint64_t n, from, span;
    unsigned name;

    if (text.n < 1 + CHECKSUM || text.p[0] != FORMAT || !checksum_fits(text))
        return -EBADMSG;
    c.text = str_head(text, text.n - CHECKSUM);
    rest = str_from(c.text, 1);
    if (!varint_cut(&rest, &n) || n == 0 || n > CODEC_MAX || !varint_cut(&rest, &from) ||
        !varint_cut(&rest, &span))
        return -EBADMSG;
    c.n = (size_t)n;
    c.times_at = c.text.n - rest.n;
    c.from_ms = (int64_t)unzigzag(from);
    c.to_ms = (int64_t)(unzigzag(from) + span);
    if (span > INT64_MAX || c.to_ms < c.from_ms || !cut_part(&rest, &code))
        return -EBADMSG;
    c.columns_at = c.text.n - rest.n;
    while (rest.n > 0)
        if (!cut_column(&rest, &name, &code))
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

int chunk_column(const struct chunk *c, enum metric metric, enum chunk_column kind,
                 uint64_t *value_out, bool *known_out) {
    struct str rest = str_from(c->text, c->columns_at), code;
    unsigned name;

    while (cut_column(&rest, &name, &code))
        if (name == ((unsigned)kind << KIND_SHIFT | (unsigned)metric))
            return codec_decode(code, c->n, value_out, known_out);
    return -ENODATA;
}

uint64_t chunk_metrics(const struct chunk *c, enum chunk_column kind) {
    struct str rest = str_from(c->text, c->columns_at), code;
    uint64_t set = 0;
    unsigned name;

    while (cut_column(&rest, &name, &code))
        if (name >> KIND_SHIFT == (unsigned)kind)
            set |= 1ull << (name & METRIC_MASK);
    return set;
}
