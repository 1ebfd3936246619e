/* Sizes and durations as people type them; and what is printed for them. */
#include "base/num.h"

#include <assert.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct str text = {(const char *)data, size};
    uint64_t bytes = 77, ms = 77;
    struct buf b;

    if (num_parse_ms(text, &ms) < 0)
        assert(ms == 77);
    if (num_parse_size(text, &bytes) < 0)
        assert(bytes == 77);
    else
        assert(bytes <= INT64_MAX);
    if (size >= sizeof(bytes))
        memcpy(&bytes, data, sizeof(bytes));
    buf_init(&b, 4096);
    num_add_iec(&b, bytes);
    assert(b.n >= 2 && b.n <= 6);
    buf_clear(&b);
    num_add_docker_iec(&b, bytes);
    num_add_docker_si(&b, bytes);
    assert(b.n <= 20);
    buf_clear(&b);
    num_add_centi(&b, num_centi_pct(bytes, ms | 1), 2);
    assert(b.n >= 4 && buf_error(&b) == 0);
    buf_done(&b);
    return 0;
}
