/* prwtest.h - for unit tests: takes a packed request apart, with a reader of protobuf that knows
 * nothing of the writer. Included after <cmocka.h>.
 */
#pragma once
#include <snappy-c.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"

static inline uint64_t prwtest_varint(struct str *in) {
    uint64_t value = 0;

    for (unsigned shift = 0; shift < 64; shift += 7) {
        assert_true(in->n > 0);
        uint8_t byte = (uint8_t)in->p[0];

        *in = str_from(*in, 1);
        value |= (uint64_t)(byte & 0x7f) << shift;
        if (byte < 0x80)
            return value;
    }
    fail();
    return 0;
}

static inline struct str prwtest_bytes(struct str *in, uint64_t wanted_key) {
    struct str part;
    uint64_t n;

    assert_int_equal(prwtest_varint(in), wanted_key);
    n = prwtest_varint(in);
    assert_true(n <= in->n);
    part = str_head(*in, (size_t)n);
    *in = str_from(*in, (size_t)n);
    return part;
}

/* Sample {double value = 1; int64 timestamp = 2;} */
static inline void prwtest_add_sample(struct buf *out, struct str in) {
    double value = 0;
    int64_t at = 0;
    uint64_t bits;

    if (in.n > 0 && in.p[0] == (1 << 3 | 1)) {
        memcpy(&value, in.p + 1, sizeof(value));
        in = str_from(in, 9);
    }
    if (in.n > 0) {
        assert_int_equal(prwtest_varint(&in), 2 << 3);
        at = (int64_t)prwtest_varint(&in);
    }
    assert_int_equal(in.n, 0);
    memcpy(&bits, &value, sizeof(bits));
    if (bits == 0x7ff0000000000002)
        buf_add_format(out, " stale@%lld\n", (long long)at);
    else
        buf_add_format(out, " %.17g@%lld\n", value, (long long)at);
}

/* Each series on a line: name=value, ... of its labels, then its sample. */
static inline void prwtest_read(struct str packed, struct buf *out) {
    size_t n;
    auto_free char *plain = NULL;
    struct str rest;

    assert_int_equal(snappy_uncompressed_length(packed.p, packed.n, &n), SNAPPY_OK);
    plain = malloc(n + 1);
    assert_int_equal(snappy_uncompress(packed.p, packed.n, plain, &n), SNAPPY_OK);
    for (rest = (struct str){plain, n}; rest.n > 0;) {
        struct str series = prwtest_bytes(&rest, 1 << 3 | 2);

        while (series.n > 0 && series.p[0] == (1 << 3 | 2)) {
            struct str label = prwtest_bytes(&series, 1 << 3 | 2);
            struct str name = prwtest_bytes(&label, 1 << 3 | 2);
            struct str value = prwtest_bytes(&label, 2 << 3 | 2);

            assert_int_equal(label.n, 0);
            buf_add_format(out, "%.*s=%.*s,", STR_ARG(name), STR_ARG(value));
        }
        prwtest_add_sample(out, prwtest_bytes(&series, 2 << 3 | 2));
        assert_int_equal(series.n, 0);
    }
}
