/* Columns: what the bytes mean as a code, and what becomes of them as values. */
#include "series/codec.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

enum { VALUES = 5000 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Values come back as they were; what was not known as the last known. */
static void round_trip(const uint64_t *value, const bool *known, size_t n) {
    static uint64_t back[VALUES];
    static bool back_known[VALUES];
    uint64_t last = 0;
    struct buf code;

    buf_init(&code, 1 << 20);
    assert(codec_encode(&code, value, known, n) == 0);
    assert(codec_decode(buf_str(&code), n, back, back_known) == 0);
    assert(codec_front(buf_str(&code)) <= 11);
    for (size_t i = 0; i < n; i++) {
        last = !known || known[i] ? value[i] : last;
        assert(back[i] == last && back_known[i] == (!known || known[i]));
    }
    buf_done(&code);
}

/* The first two bytes are the number of values and whether gaps are taken, the rest the code. */
static void as_code(const uint8_t *data, size_t size) {
    static int64_t time[VALUES];
    size_t n = 1 + (data[0] | (size_t)(data[1] & 0x7f) << 8) % VALUES;
    struct str code = {(const char *)data + 2, size - 2};
    uint64_t *value = calloc(n, sizeof(*value)); /* exactly: a sanitizer sees the next */
    bool *known = calloc(n, sizeof(*known));

    assert(value && known);
    if (codec_decode(code, n, value, data[1] & 0x80 ? NULL : known) == 0)
        round_trip(value, data[1] & 0x80 ? NULL : known, n);
    if (codec_decode_times(code, n, time) == 0)
        for (size_t i = 1; i < n; i++)
            assert(time[i - 1] <= time[i]);
    free(value);
    free(known);
}

/* Pairs of bytes: by how much the next value differs, of several sizes, or that it is unknown. */
static void as_values(const uint8_t *data, size_t size) {
    static uint64_t value[VALUES];
    static bool known[VALUES];
    size_t n = size / 2 < VALUES ? size / 2 : VALUES;

    for (size_t i = 0; i < n; i++) {
        uint64_t step = data[2 * i + 1];

        known[i] = (data[2 * i] & 0x80) == 0;
        value[i] = i > 0 ? value[i - 1] : 0;
        if (data[2 * i] & 0x40)
            value[i] -= step << (data[2 * i] & 0x3f);
        else
            value[i] += step << (data[2 * i] & 0x3f);
    }
    if (n > 0) {
        round_trip(value, known, n);
        round_trip(value, NULL, n);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size < 2)
        return 0;
    as_code(data, size);
    as_values(data, size);
    return 0;
}
