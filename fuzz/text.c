/* Any bytes on their way to a terminal, to a cell of a table, and into JSON (as jansson reads it).
 */
#include "base/text.h"

#include <assert.h>
#include <jansson.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void is_harmless(struct str shown, bool plain) {
    while (shown.n > 0) {
        uint32_t code = 0;
        size_t n = text_decode(shown, &code);

        assert(n > 0 && code >= 0x20 && code != 0x7f && (code < 0x80 || code >= 0xa0));
        assert(!plain || code < 0x80);
        shown = str_from(shown, n);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct str raw = {(const char *)data, size};
    struct buf b;
    json_error_t error;
    json_t *value;

    buf_init(&b, 1 << 20);
    for (unsigned plain = 0; plain < 2; plain++) {
        size_t columns;

        buf_clear(&b);
        text_add_visible(&b, raw, plain);
        assert(buf_error(&b) == 0 || 10 * size > 1 << 20);
        is_harmless(buf_str(&b), plain);
        columns = text_columns(buf_str(&b));
        assert(text_head(buf_str(&b), columns).n == b.n);
        for (size_t width = 0; width < 5; width++)
            assert(text_columns(text_head(buf_str(&b), width)) <= width);
    }
    buf_clear(&b);
    buf_add_char(&b, '"');
    text_add_json(&b, raw);
    buf_add_char(&b, '"');
    if (buf_error(&b) == 0) {
        value = json_loadb(b.p, b.n, JSON_DECODE_ANY | JSON_ALLOW_NUL, &error);
        assert(value && json_is_string(value));
        json_decref(value);
    }
    buf_done(&b);
    return 0;
}
